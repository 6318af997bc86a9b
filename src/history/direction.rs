//! Which way a metric is better. Its name says it, as the field names metrics; whole words count, never a part of one.

use crate::words::words;

words! {
    /// Which values of a metric are better.
    pub enum Direction {
        /// Smaller ones: losses, errors, times.
        Smaller = "smaller",
        /// Larger ones: everything else.
        Larger = "larger",
    }
}

/// Words of metrics that are better the smaller they are.
#[rustfmt::skip]
const SMALLER: &[&str] = &[
    "loss", "losses", "logloss", "valloss", "trainloss", "testloss", "evalloss", "nll", "crossentropy", "perplexity", "ppl",
    "bpb", "bpc", "error", "errors", "err", "mse", "rmse", "mae", "mape", "wer", "cer", "ter", "eer", "fpr", "fnr", "false",
    "brier", "ece", "fid", "kl", "divergence", "distance", "regret", "seconds", "second", "ms", "minutes", "hours", "time",
    "runtime", "walltime", "duration", "latency", "cost", "usd", "price", "memory", "vram", "energy", "joules", "removed",
    "failed", "failures", "failure", "faults", "crashes", "retries", "toxicity", "hallucination", "hallucinations",
    "violations", "overfitting", "penalty", "waste", "lost",
];

/// Words of metrics that are better the larger they are. They are listed only where another word of a name could mislead.
#[rustfmt::skip]
const LARGER: &[&str] = &[
    "auc", "auroc", "auprc", "accuracy", "acc", "f1", "fscore", "precision", "recall", "sensitivity", "specificity", "score",
    "scores", "reward", "rewards", "quality", "bleu", "rouge", "meteor", "r2", "throughput", "speedup", "coverage", "map",
    "mrr", "ndcg", "iou", "dice", "kappa", "mcc", "correlation", "likelihood", "gain", "improvement", "reduction", "saved",
    "savings", "pass", "passed", "success", "successes", "win", "wins",
];

/// Words that turn the rest of the name round: `neg_mean_squared_error`.
const NEGATED: &[&str] = &["neg", "negative", "inverse"];

impl Direction {
    /// Of a metric. The last telling word decides (`accuracy_loss` is a loss, `error_recall` a recall); what stands behind
    /// `per` does not (`tokens_per_second`); a name that says nothing is of a metric that is better the larger it is.
    pub fn of(metric: &str) -> Direction {
        let words = words(metric);
        let per = words.iter().position(|word| word == "per");
        let told = &words[..per.filter(|at| *at > 0).unwrap_or(words.len())];
        let telling = told.iter().enumerate().rev().find_map(|(at, word)| {
            let cross = word == "entropy" && at > 0 && told[at - 1] == "cross";
            if cross || SMALLER.contains(&word.as_str()) {
                Some(Direction::Smaller)
            } else {
                LARGER.contains(&word.as_str()).then_some(Direction::Larger)
            }
        });
        let negated = words
            .first()
            .is_some_and(|word| NEGATED.contains(&word.as_str()));
        match (telling, negated) {
            (Some(Direction::Smaller), false) | (Some(Direction::Larger), true) => {
                Direction::Smaller
            }
            _ => Direction::Larger,
        }
    }

    /// By how much `new` is better than `old`; below 0: it is worse.
    pub fn gain(self, new: f64, old: f64) -> f64 {
        match self {
            Direction::Smaller => old - new,
            Direction::Larger => new - old,
        }
    }

    /// Whether `new` is better than `old`; nothing is better than what is no number.
    pub fn better(self, new: f64, old: f64) -> bool {
        self.gain(new, old) > 0.0
    }
}

/// Whether a smaller value of a metric is better; by its name.
pub fn smaller_is_better(metric: &str) -> bool {
    Direction::of(metric) == Direction::Smaller
}

/// The words of a name, in small letters: `evalLoss`, `eval_loss`, `eval/loss` and `EVAL-LOSS` have the same.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let (mut inside, mut small) = (false, false);
    for sign in name.chars() {
        if !sign.is_alphanumeric() {
            inside = false;
            continue;
        }
        // A capital behind a small letter begins a word.
        if !inside || (small && sign.is_uppercase()) {
            all.push(String::new());
        }
        inside = true;
        small = sign.is_lowercase();
        if let Some(word) = all.last_mut() {
            word.extend(sign.to_lowercase());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_which_way_is_better() {
        for down in [
            "loss",
            "eval_loss",
            "evalLoss",
            "val/loss",
            "validation-loss",
            "test_loss_difference",
            "error_rate",
            "perplexity",
            "seconds",
            "seconds_per_step",
            "duration_seconds",
            "removed_rows",
            "mean_squared_error",
            "loss_per_token",
            "false_positive_rate",
            "cross_entropy",
            "accuracy_loss",
            "peak_memory_gb",
            "WER",
            "neg_accuracy",
        ] {
            assert!(smaller_is_better(down), "{down}");
        }
        for up in [
            "auc",
            "accuracy",
            "f1",
            "f1_macro",
            "flawless",
            "flawless_share",
            "glossary_hits",
            "terrors",
            "reward",
            "tokens_per_second",
            "samples_per_second",
            "error_recall",
            "loss_reduction",
            "neg_mean_squared_error",
            "pilot_quality",
            "samples",
            "dataset_rows",
            "entropy",
            "per",
            "",
            "ranking_accuracy_difference",
            "time_score",
            "timeline_hits",
        ] {
            assert!(!smaller_is_better(up), "{up}");
        }
    }

    #[test]
    fn nothing_is_better_than_no_number() {
        for direction in Direction::ALL {
            assert!(!direction.better(f64::NAN, 1.0) && !direction.better(1.0, f64::NAN));
            assert!(!direction.better(1.0, 1.0));
        }
        assert!(Direction::Smaller.better(1.0, 2.0) && Direction::Larger.better(2.0, 1.0));
    }
}
