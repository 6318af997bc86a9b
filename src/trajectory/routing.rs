//! Which tier an agent is sent to: the cheapest that has been seen to do as well as the one that was asked for.
//!
//! A decision is recorded with everything that was in front of it. Whether it was the best is measured on a sampled
//! share, by asking a second tier the same; for the others nobody knows, and the record says so.

use super::{
    experience::Tries,
    record::{Agent, Alternative, ModelComparison, OrchestratorDecision, Tier},
};
use crate::generation::permutation::{draw, draw_unit};

/// Answers seen of both tiers before one is preferred to the other.
const ENOUGH: u64 = 20;
/// A tier does as well when its share of good answers is at most this much smaller.
const AS_WELL: f64 = 0.02;
/// Streams of draws, apart from those of the plan of queries.
const WHETHER: u64 = 301;
const WHICH: u64 = 302;

/// A tier as the router sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The tier.
    pub tier: Tier,
    /// Its model.
    pub model: String,
    /// What this request is expected to cost there, USD.
    pub cost_estimate: f64,
    /// The mean latency seen there so far, milliseconds.
    pub latency_ms: Option<f64>,
    /// Its answers to this agent so far.
    pub tries: Tries,
}

/// Whose request is routed.
#[derive(Clone, Copy, Debug)]
pub struct Errand<'a> {
    /// The agent.
    pub agent: Agent,
    /// The request, shortened.
    pub summary: &'a str,
    /// The tier that the campaign file sends this agent to.
    pub asked_for: Tier,
}

/// The place of the chosen tier among `candidates`, and the decision; none where there is no candidate. The cost of the
/// decision and whether it was the best are not known yet.
pub fn choose(
    errand: &Errand<'_>,
    candidates: &[Candidate],
) -> Option<(usize, OrchestratorDecision)> {
    let asked = nearest(errand.asked_for, candidates)?;
    let wanted = &candidates[asked];
    let as_good = |candidate: &Candidate| {
        let (ours, theirs) = (&wanted.tries, &candidate.tries);
        ours.tried >= ENOUGH
            && theirs.tried >= ENOUGH
            && theirs.rate() >= ours.rate() - AS_WELL
            && candidate.cost_estimate < wanted.cost_estimate
    };
    let cheaper = candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| as_good(candidate))
        .min_by(|(_, a), (_, b)| a.cost_estimate.total_cmp(&b.cost_estimate));
    let place = cheaper.map_or(asked, |(place, _)| place);
    let chosen = &candidates[place];
    let reasoning = if place == asked {
        format!("{} is sent to {}", errand.agent, wanted.tier)
    } else {
        format!(
            "{} did as well as {} ({:.0} % and {:.0} % of {} and {} answers) for less",
            chosen.tier,
            wanted.tier,
            100.0 * chosen.tries.rate(),
            100.0 * wanted.tries.rate(),
            chosen.tries.tried,
            wanted.tries.tried
        )
    };
    let others: Vec<Alternative> = candidates
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != place)
        .map(|(_, candidate)| alternative(candidate))
        .collect();
    let decision = OrchestratorDecision {
        agent: errand.agent,
        query_summary: errand.summary.into(),
        selected_tier: chosen.tier,
        selected_model: chosen.model.clone(),
        reasoning,
        alternatives_considered: others.iter().map(|other| other.tier.to_string()).collect(),
        alternatives: others,
        cost_estimate: chosen.cost_estimate,
        actual_cost: 0.0,
        was_optimal: None,
    };
    Some((place, decision))
}

/// The tier asked for, or the next one that there is: larger before smaller.
fn nearest(asked: Tier, candidates: &[Candidate]) -> Option<usize> {
    let place = |tier: Tier| Tier::ALL.iter().position(|other| *other == tier);
    let asked = place(asked)?;
    let distance = |tier: Tier| {
        let here = place(tier).unwrap_or(0);
        // A model that is larger than asked for costs money, one that is smaller costs the sample.
        if here >= asked {
            2 * (here - asked)
        } else {
            2 * (asked - here) + 1
        }
    };
    (0..candidates.len()).min_by_key(|at| distance(candidates[*at].tier))
}

fn alternative(candidate: &Candidate) -> Alternative {
    Alternative {
        tier: candidate.tier,
        model: candidate.model.clone(),
        cost_estimate: candidate.cost_estimate,
        latency_ms: candidate.latency_ms,
        success_rate: (candidate.tries.tried > 0).then(|| candidate.tries.rate()),
    }
}

/// The place of the tier that is asked the same beside `chosen`, for a share of all requests; none for the others, and
/// where there is no second tier. A function of seed and place in the plan alone.
pub fn counterfactual(
    share: f64,
    seed: u64,
    index: u64,
    agent: Agent,
    chosen: usize,
    tiers: usize,
) -> Option<usize> {
    let key = index.wrapping_mul(16) + agent as u64;
    if tiers < 2 || draw_unit(seed, WHETHER, key) >= share {
        return None;
    }
    let other = (draw(seed, WHICH, key) % (tiers as u64 - 1)) as usize;
    Some(if other < chosen { other } else { other + 1 })
}

/// Who did better: by quality, and at the same quality by cost.
pub fn winner(comparison: &ModelComparison) -> &'static str {
    let quality = comparison.quality_a.total_cmp(&comparison.quality_b);
    match quality.then(comparison.cost_b.total_cmp(&comparison.cost_a)) {
        std::cmp::Ordering::Greater => "a",
        std::cmp::Ordering::Less => "b",
        std::cmp::Ordering::Equal => "tie",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(tier: Tier, cost_estimate: f64, tried: u64, good: u64) -> Candidate {
        Candidate {
            tier,
            model: format!("model of {tier}"),
            cost_estimate,
            latency_ms: None,
            tries: Tries { tried, good },
        }
    }

    fn errand(asked_for: Tier) -> Errand<'static> {
        Errand {
            agent: Agent::Codegen,
            summary: "a workflow",
            asked_for,
        }
    }

    #[test]
    fn the_tier_asked_for_unless_a_cheaper_one_was_seen_to_do_as_well() {
        let large = candidate(Tier::CloudLarge, 0.02, 50, 45);
        let chosen = |small: Candidate| {
            let tiers = [small, large.clone()];
            choose(&errand(Tier::CloudLarge), &tiers).unwrap()
        };
        let (place, decision) = chosen(candidate(Tier::LocalSmall, 0.0, 50, 45));
        assert_eq!((place, decision.selected_tier), (0, Tier::LocalSmall));
        assert_eq!(decision.alternatives_considered, ["cloud_large"]);
        assert_eq!(decision.alternatives[0].success_rate, Some(46.0 / 52.0));
        assert_eq!(decision.was_optimal, None, "nothing was measured");
        assert_eq!(
            chosen(candidate(Tier::LocalSmall, 0.0, 50, 30)).0,
            1,
            "worse"
        );
        assert_eq!(
            chosen(candidate(Tier::LocalSmall, 0.0, 10, 10)).0,
            1,
            "too few"
        );
        assert_eq!(
            chosen(candidate(Tier::LocalSmall, 0.03, 50, 50)).0,
            1,
            "dearer"
        );
    }

    #[test]
    fn a_tier_that_is_not_there_is_replaced_by_the_next_larger() {
        let tiers = [
            candidate(Tier::LocalSmall, 0.0, 0, 0),
            candidate(Tier::CloudLarge, 0.0, 0, 0),
        ];
        let place = |asked| choose(&errand(asked), &tiers).unwrap().0;
        assert_eq!((place(Tier::LocalSmall), place(Tier::CloudSmall)), (0, 1));
        assert!(choose(&errand(Tier::LocalSmall), &[]).is_none());
    }

    #[test]
    fn the_share_that_is_measured_is_the_share_asked_for() {
        let asked = |share: f64| {
            (0..4000)
                .filter_map(|index| counterfactual(share, 7, index, Agent::Codegen, 1, 3))
                .collect::<Vec<_>>()
        };
        let quarter = asked(0.25);
        assert!((900..1100).contains(&quarter.len()), "{}", quarter.len());
        assert!(quarter.contains(&0) && quarter.contains(&2) && !quarter.contains(&1));
        assert!(asked(0.0).is_empty() && asked(1.0).len() == 4000);
        assert!(counterfactual(1.0, 7, 0, Agent::Codegen, 0, 1).is_none());
    }

    #[test]
    fn quality_wins_and_cost_decides_between_equals() {
        let compare = |quality: (f64, f64), cost: (f64, f64)| {
            winner(&ModelComparison {
                query_hash: String::new(),
                model_a: String::new(),
                model_b: String::new(),
                output_a: String::new(),
                output_b: String::new(),
                quality_a: quality.0,
                quality_b: quality.1,
                cost_a: cost.0,
                cost_b: cost.1,
                winner: String::new(),
                timestamp: String::new(),
            })
        };
        assert_eq!(compare((0.9, 0.8), (2.0, 1.0)), "a");
        assert_eq!(compare((0.9, 0.9), (2.0, 1.0)), "b");
        assert_eq!(compare((0.9, 0.9), (1.0, 1.0)), "tie");
    }
}
