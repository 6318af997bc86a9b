//! The quality gate: the only place in the program where a threshold is compared.
//!
//! Two gates share three checks. *Completion*: as many distinct valid samples as were asked for.
//! *Minimum*: at least `min_pilot_samples`. *Quality*: the point gate asks whether the mean reaches
//! the threshold; the confidence gate asks whether the data show it. It approves when the lower
//! bound reaches the threshold, refuses when the upper bound stays below it, and between the two
//! asks for more samples while a look is left; at the last look "not shown" is a refusal, since a
//! launch costs days and a refusal an hour.
//!
//! The gate fails closed. An incomplete pilot, no samples, a score that is none, a threshold that
//! is none: all are refused with the reason, and nothing panics.

use super::bounds::{Estimate, estimate};
use super::wording;
use super::{Check, Criteria, Decision, Evidence, EvidenceSource, GateKind, Verdict};

/// Absorbs the rounding of a sum of scores, so that scores of 0.7 and 0.8 in equal number reach
/// 0.75 exactly. It is far below the precision of any score.
const ROUNDING: f64 = 1e-9;

/// The one comparison of a quality with a threshold: inclusive, and false if either is NaN.
pub(super) fn reaches(quality: f64, threshold: f64) -> bool {
    quality + ROUNDING >= threshold
}

/// Where the evidence stands to the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Shown to reach it.
    Reached,
    /// Shown to stay below it.
    Below,
    /// Neither.
    Undecided,
}

/// Judges a pilot at a look (from 1; the point gate has only one).
///
/// Approves only if all three checks pass; extends only under the confidence gate, on a complete
/// pilot, while a further look would bring more samples. A look beyond the last is judged as the
/// last.
pub fn judge(evidence: &Evidence, criteria: &Criteria, look: u32) -> Verdict {
    let look = look.max(1);
    let estimate = estimate(evidence, criteria);
    let obstacle = obstacle(evidence, criteria);
    let standing = estimate.map_or(Standing::Below, |estimate| stand(&estimate, criteria));
    let decision = match (&obstacle, standing) {
        (Some(_), _) | (None, Standing::Below) => Decision::Reject,
        (None, Standing::Reached) => Decision::Approve,
        (None, Standing::Undecided) if more_can_come(evidence, criteria, look) => Decision::Extend,
        (None, Standing::Undecided) => Decision::Reject,
    };
    let case = wording::Case {
        evidence,
        criteria,
        look,
        estimate,
        standing,
        decision,
        obstacle,
    };
    Verdict {
        decision,
        gate: criteria.gate,
        look,
        max_looks: criteria.looks().max(look),
        n: evidence.n(),
        mean: estimate.map(|estimate| estimate.mean),
        low: estimate.and_then(|estimate| estimate.low),
        high: estimate.and_then(|estimate| estimate.high),
        checks: checks(
            evidence,
            criteria,
            estimate,
            quality_passed(standing, decision),
        ),
        reason: wording::reason(&case),
        recommendation: wording::recommendation(&case),
        rests_on_log: evidence.source == EvidenceSource::Log,
    }
}

/// What forbids an approval whatever the quality is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The threshold is no quality.
    Threshold,
    /// No quality can be computed, for this reason.
    Fault(String),
    /// Fewer samples than were asked for.
    Incomplete,
    /// Fewer samples than `min_pilot_samples`.
    TooFew,
}

fn obstacle(evidence: &Evidence, criteria: &Criteria) -> Option<Obstacle> {
    if !criteria.threshold_is_a_quality() {
        return Some(Obstacle::Threshold);
    }
    if let Some(fault) = evidence.fault() {
        return Some(Obstacle::Fault(fault));
    }
    if !evidence.is_complete() {
        return Some(Obstacle::Incomplete);
    }
    (evidence.n() < criteria.min_pilot_samples).then_some(Obstacle::TooFew)
}

fn stand(estimate: &Estimate, criteria: &Criteria) -> Standing {
    let threshold = criteria.quality_threshold;
    if !criteria.threshold_is_a_quality() {
        return Standing::Below; // a negative one would be reached by anything
    }
    let (at_least, at_most) = match criteria.gate {
        GateKind::Point => (Some(estimate.mean), Some(estimate.mean)),
        GateKind::Confidence => (estimate.low, estimate.high),
    };
    match (at_least, at_most) {
        (Some(low), _) if reaches(low, threshold) => Standing::Reached,
        (_, Some(high)) if !reaches(high, threshold) => Standing::Below,
        _ => Standing::Undecided,
    }
}

/// True if a further look is allowed and would see more samples than this one.
fn more_can_come(evidence: &Evidence, criteria: &Criteria, look: u32) -> bool {
    look < criteria.looks() && criteria.asked_at(look + 1) > evidence.asked
}

/// Open only while the verdict is: what is undecided at the last look has not passed.
fn quality_passed(standing: Standing, decision: Decision) -> Option<bool> {
    match standing {
        Standing::Reached => Some(true),
        Standing::Undecided if decision == Decision::Extend => None,
        Standing::Below | Standing::Undecided => Some(false),
    }
}

fn checks(
    evidence: &Evidence,
    criteria: &Criteria,
    quality: Option<Estimate>,
    passed: Option<bool>,
) -> Vec<Check> {
    let n = evidence.n();
    let count = |check: &str, required: u64, passed: bool| Check {
        check: check.to_owned(),
        required: required as f64,
        observed: Some(n as f64),
        low: None,
        high: None,
        n,
        passed: Some(passed),
    };
    vec![
        count("completion", evidence.asked, evidence.is_complete()),
        count(
            "min_samples",
            criteria.min_pilot_samples,
            n > 0 && n >= criteria.min_pilot_samples,
        ),
        Check {
            check: "quality".to_owned(),
            required: criteria.quality_threshold,
            observed: quality.map(|quality| quality.mean),
            low: quality.and_then(|quality| quality.low),
            high: quality.and_then(|quality| quality.high),
            n,
            passed,
        },
    ]
}

#[cfg(test)]
mod tests;
