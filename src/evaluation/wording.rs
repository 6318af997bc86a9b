//! The gate's sentences: why it decided so, and what to do next.
//!
//! Apart from the decision itself, so that no wording can change one. Every sentence carries the
//! numbers it rests on.

use super::bounds::Estimate;
use super::gate::{Obstacle, Standing, reaches};
use super::{Check, Criteria, Decision, Evidence, EvidenceSource, GateKind};

/// A decided case, to be put into words.
pub(super) struct Case<'a> {
    pub evidence: &'a Evidence,
    pub criteria: &'a Criteria,
    pub look: u32,
    pub estimate: Option<Estimate>,
    pub standing: Standing,
    pub decision: Decision,
    pub obstacle: Option<Obstacle>,
}

/// Why the case was decided so.
pub(super) fn reason(case: &Case) -> String {
    let mut reason = match (&case.obstacle, case.estimate) {
        (Some(obstacle), _) => reason_of_obstacle(case, obstacle),
        (None, Some(estimate)) => reason_of_quality(case, &estimate),
        (None, None) => "no quality can be computed".to_owned(),
    };
    if case.evidence.source == EvidenceSource::Log {
        reason.push_str("; it rests on a log, not on the samples");
    }
    reason
}

fn reason_of_obstacle(case: &Case, obstacle: &Obstacle) -> String {
    let (n, lost) = (case.evidence.n(), case.evidence.lost());
    match obstacle {
        Obstacle::Threshold => format!(
            "the threshold {} is not between 0 and 1",
            case.criteria.quality_threshold
        ),
        Obstacle::Fault(fault) => fault.clone(),
        Obstacle::Incomplete if case.evidence.asked == 0 => "no samples were asked for".to_owned(),
        Obstacle::Incomplete => format!(
            "the pilot is incomplete: {n} of {} samples{lost}",
            case.evidence.asked
        ),
        Obstacle::TooFew => format!(
            "too few samples: {n}, at least {} needed",
            case.criteria.min_pilot_samples
        ),
    }
}

fn reason_of_quality(case: &Case, estimate: &Estimate) -> String {
    let threshold = case.criteria.quality_threshold;
    let seen = format!(
        "{} on {}",
        interval(estimate.mean, estimate.low, estimate.high, threshold),
        samples(case.evidence.n())
    );
    match (case.criteria.gate, case.standing) {
        (GateKind::Point, Standing::Reached) => format!("{seen} reaches {threshold}"),
        (GateKind::Point, _) => format!("{seen} is below {threshold}"),
        (GateKind::Confidence, Standing::Reached) => {
            format!("{seen}: the lower bound reaches {threshold}")
        }
        (GateKind::Confidence, Standing::Below) if case.criteria.looks() > 1 => {
            format!("the upper bound is below {threshold}; the bounds hold over all looks")
        }
        (GateKind::Confidence, Standing::Below) => format!("the upper bound is below {threshold}"),
        (GateKind::Confidence, Standing::Undecided) if case.decision == Decision::Extend => {
            format!("{seen}: {threshold} is inside")
        }
        (GateKind::Confidence, Standing::Undecided) => {
            format!("not shown: {seen}, and at the last look {threshold} is still inside")
        }
    }
}

/// What to do next, in one sentence.
pub(super) fn recommendation(case: &Case) -> String {
    match case.decision {
        Decision::Approve => "launch the full generation".to_owned(),
        Decision::Extend => next_look(case),
        Decision::Reject => remedy(case),
    }
}

fn next_look(case: &Case) -> String {
    let (criteria, next) = (case.criteria, case.look + 1);
    let more = criteria.asked_at(next).saturating_sub(case.evidence.asked);
    let last = criteria.asked_at(criteria.looks());
    format!(
        "{more} more samples, look {next} of {}; at {last} it is final",
        criteria.looks()
    )
}

fn remedy(case: &Case) -> String {
    let evidence = case.evidence;
    match &case.obstacle {
        Some(Obstacle::Threshold) => "amend quality_threshold to a number from 0 to 1".to_owned(),
        Some(Obstacle::Fault(_)) if evidence.n() == 0 => {
            "read the generator's log: it made no samples".to_owned()
        }
        Some(Obstacle::Fault(_)) if evidence.source == EvidenceSource::Log => {
            "make the generator log its quality as a number from 0 to 1".to_owned()
        }
        Some(Obstacle::Fault(_)) => {
            "make the generator write each quality_score as a number from 0 to 1".to_owned()
        }
        Some(Obstacle::Incomplete) if evidence.asked == 0 => {
            "set pilot_target to at least 1".to_owned()
        }
        Some(Obstacle::Incomplete) => {
            let missing = evidence.asked.saturating_sub(evidence.n());
            format!(
                "read the generator's log, then let it make the missing {}",
                samples(missing)
            )
        }
        Some(Obstacle::TooFew) => "raise pilot_target, or lower min_pilot_samples".to_owned(),
        None => match case
            .estimate
            .map(|estimate| estimate.low.unwrap_or(estimate.mean))
        {
            Some(shown) => format!(
                "improve the generator, or amend quality_threshold if {} is enough",
                floor(shown)
            ),
            None => "improve the generator".to_owned(),
        },
    }
}

/// The part of a follower's line that says where the threshold lies.
pub(super) fn headline(quality: &Check) -> String {
    let place = match quality.passed {
        Some(true) => "is reached",
        Some(false)
            if quality
                .high
                .is_none_or(|high| !reaches(high, quality.required)) =>
        {
            "is above"
        }
        _ => "is inside",
    };
    format!("{}: {} {place}", quality.shown(), quality.required)
}

/// `0.812 (0.788 to 0.836)`, or `0.812` without bounds.
pub(super) fn interval(mean: f64, low: Option<f64>, high: Option<f64>, threshold: f64) -> String {
    let mean = decimal(mean, threshold);
    match (low, high) {
        (Some(low), Some(high)) => format!(
            "{mean} ({} to {})",
            decimal(low, threshold),
            decimal(high, threshold)
        ),
        _ => mean,
    }
}

/// Three decimals, or as many as keep the number on its side of the threshold: 0.7499 must not read
/// "0.750, below 0.75".
fn decimal(value: f64, threshold: f64) -> String {
    let texts = (3..=9).map(|digits| format!("{value:.digits$}"));
    let same_side = |text: &String| {
        text.parse()
            .is_ok_and(|read| reaches(read, threshold) == reaches(value, threshold))
    };
    texts
        .into_iter()
        .find(same_side)
        .unwrap_or_else(|| value.to_string())
}

/// Three decimals, rounded down: a threshold of exactly this would be reached.
fn floor(value: f64) -> String {
    format!("{:.3}", (value * 1000.0).floor() / 1000.0)
}

fn samples(n: u64) -> String {
    format!("{n} sample{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_shown_on_its_side_of_the_threshold() {
        assert_eq!(decimal(0.8124, 0.75), "0.812");
        assert_eq!(decimal(0.74996, 0.75), "0.74996");
        assert_eq!(decimal(0.7499, 0.75), "0.7499");
        assert_eq!(decimal(0.75, 0.75), "0.750");
        assert_eq!(decimal(f64::NAN, 0.75), "NaN");
    }

    #[test]
    fn a_suggested_threshold_is_rounded_down() {
        assert_eq!(floor(0.61469), "0.614");
        assert_eq!(floor(0.0), "0.000");
    }

    #[test]
    fn one_sample_is_singular() {
        assert_eq!(
            (samples(1), samples(0), samples(2)),
            ("1 sample".into(), "0 samples".into(), "2 samples".into())
        );
    }
}
