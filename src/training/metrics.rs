//! The rows of `metrics.jsonl`: one for each step, one for each look at the holdout, by the names of Hugging Face and TRL.

use serde::{Deserialize, Serialize};

/// A step of the optimiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRow {
    /// Which one, from 1.
    pub step: u64,
    /// Passes over the rows by its end.
    pub epoch: f64,
    /// Mean over its learned tokens (over its pairs with DPO), nats, before the update.
    pub loss: f64,
    /// L2 norm of all gradients before clipping.
    pub grad_norm: f64,
    /// The learning rate that it used.
    pub lr: f64,
    /// Tokens that went through the model so far, learned or not.
    pub tokens: u64,
    /// Tokens of this step a second, by the wall clock.
    pub tokens_per_second: f64,
    /// DPO: mean reward of the chosen.
    #[serde(rename = "rewards/chosen", skip_serializing_if = "Option::is_none")]
    pub rewards_chosen: Option<f64>,
    /// DPO: mean reward of the rejected.
    #[serde(rename = "rewards/rejected", skip_serializing_if = "Option::is_none")]
    pub rewards_rejected: Option<f64>,
    /// DPO: share of pairs whose chosen has the higher reward.
    #[serde(rename = "rewards/accuracies", skip_serializing_if = "Option::is_none")]
    pub rewards_accuracies: Option<f64>,
}

/// A look at the holdout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookRow {
    /// Steps done by then; 0: before the first.
    pub step: u64,
    /// Passes over the rows by then.
    pub epoch: f64,
    /// Mean over the holdout's learned tokens (over its pairs with DPO), nats.
    pub eval_loss: f64,
    /// DPO: share of pairs whose chosen has the higher reward.
    #[serde(
        rename = "eval_rewards/accuracies",
        skip_serializing_if = "Option::is_none"
    )]
    pub eval_rewards_accuracies: Option<f64>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Row {
    /// Of a step.
    Step(StepRow),
    /// Of a look.
    Look(LookRow),
}

/// The rewards of a step's pairs, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rewards {
    /// Pairs.
    pub pairs: u64,
    /// Sum of the chosen's.
    pub chosen: f64,
    /// Sum of the rejected's.
    pub rejected: f64,
    /// Pairs whose chosen has the higher one.
    pub right: u64,
}

impl Rewards {
    /// Takes a pair.
    pub fn add(&mut self, chosen: f64, rejected: f64) {
        self.pairs += 1;
        self.chosen += chosen;
        self.rejected += rejected;
        self.right += u64::from(chosen > rejected);
    }

    /// The mean of one of its sums; none without pairs.
    pub fn mean(&self, sum: f64) -> Option<f64> {
        (self.pairs > 0).then(|| sum / self.pairs as f64)
    }

    /// Share of pairs that are right; none without pairs.
    pub fn accuracy(&self) -> Option<f64> {
        self.mean(self.right as f64)
    }
}

/// Reads rows; a line that is none is passed over.
pub fn rows(text: &str) -> Vec<Row> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> StepRow {
        StepRow {
            step: 3,
            epoch: 0.5,
            loss: 2.25,
            grad_norm: 0.1,
            lr: 1e-4,
            tokens: 700,
            tokens_per_second: 350.0,
            rewards_chosen: None,
            rewards_rejected: None,
            rewards_accuracies: None,
        }
    }

    #[test]
    fn rows_have_the_names_that_people_plot_and_are_told_apart() {
        let look = Row::Look(LookRow {
            step: 3,
            epoch: 0.5,
            eval_loss: 2.0,
            eval_rewards_accuracies: None,
        });
        let step = Row::Step(step());
        let text = serde_json::to_string(&step).unwrap();
        assert_eq!(
            text,
            r#"{"step":3,"epoch":0.5,"loss":2.25,"grad_norm":0.1,"lr":0.0001,"tokens":700,"tokens_per_second":350.0}"#
        );
        let lines = format!(
            "{text}\n{}\n{{\"torn",
            serde_json::to_string(&look).unwrap()
        );
        assert_eq!(rows(&lines), [step, look]);
    }

    #[test]
    fn rewards_are_means_over_pairs() {
        let mut rewards = Rewards::default();
        assert_eq!(rewards.accuracy(), None);
        rewards.add(1.0, 0.0);
        rewards.add(0.5, 0.5);
        assert_eq!(
            (rewards.accuracy(), rewards.mean(rewards.chosen)),
            (Some(0.5), Some(0.75))
        );
        let row = StepRow {
            rewards_accuracies: rewards.accuracy(),
            ..step()
        };
        assert!(
            serde_json::to_string(&row)
                .unwrap()
                .ends_with(r#""rewards/accuracies":0.5}"#)
        );
    }
}
