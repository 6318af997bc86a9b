//! What a pilot must show: the kind of gate, its threshold, and how many samples each look asks
//! for.
//!
//! A campaign freezes its criteria when it starts, so that a later change of settings cannot move
//! the bar under a running pilot. The schedule of looks lives here too, because the bounds' error
//! budget depends on how many looks there may be.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::bounds;
use super::gate::reaches;

/// The gate looks at a pilot at most this many times: each further look costs error budget and
/// gains little.
pub const MOST_LOOKS: u32 = 3;

/// The one-sided error that all looks of one pilot share, at a true quality of exactly the threshold.
///
/// Nominal: Student's bounds assume a normal mean, and simulated scores with a strong left skew
/// reach 5.8 %. Away from the threshold the error falls fast; see `operating_table`.
pub const FAMILY_ERROR: f64 = 0.05;

/// How the gate decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GateKind {
    /// By confidence bounds: approves what is shown to be good, refuses what is shown to be bad,
    /// asks for more between.
    #[serde(rename = "confidence")]
    Confidence,
    /// By the mean alone, at one look.
    #[serde(rename = "point")]
    Point,
}

impl GateKind {
    /// The name in files, flags and JSON.
    pub fn name(self) -> &'static str {
        match self {
            GateKind::Confidence => "confidence",
            GateKind::Point => "point",
        }
    }
}

impl fmt::Display for GateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownGate(pub String);

impl fmt::Display for UnknownGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown gate {:?}: \"confidence\" or \"point\"", self.0)
    }
}

impl std::error::Error for UnknownGate {}

impl FromStr for GateKind {
    type Err = UnknownGate;

    fn from_str(name: &str) -> Result<Self, UnknownGate> {
        match name {
            "confidence" => Ok(GateKind::Confidence),
            "point" => Ok(GateKind::Point),
            _ => Err(UnknownGate(name.to_owned())),
        }
    }
}

/// What a pilot must show. The fields carry the names of the campaign file's keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Criteria {
    /// How the gate decides.
    pub gate: GateKind,
    /// The quality to reach, 0 to 1, inclusive.
    pub quality_threshold: f64,
    /// Distinct, valid samples below which nothing is approved.
    pub min_pilot_samples: u64,
    /// Samples that each look adds.
    pub pilot_target: u64,
    /// Samples that the pilot never exceeds.
    pub max_pilot_samples: u64,
}

impl Criteria {
    /// How often the gate may look, 1 to [`MOST_LOOKS`]. The point gate never extends and so looks
    /// once.
    pub fn looks(&self) -> u32 {
        if self.gate == GateKind::Point || self.pilot_target == 0 {
            return 1;
        }
        let needed = self.max_pilot_samples.div_ceil(self.pilot_target);
        needed.clamp(1, u64::from(MOST_LOOKS)) as u32
    }

    /// Samples asked for, in all, at look 1, 2, ...
    pub fn asked_at(&self, look: u32) -> u64 {
        self.pilot_target
            .saturating_mul(u64::from(look))
            .min(self.max_pilot_samples)
    }

    /// The error of one bound at one look. Bonferroni: the looks share [`FAMILY_ERROR`], so that
    /// looking again cannot raise the chance of ever being wrong above it.
    pub fn error_per_look(&self) -> f64 {
        FAMILY_ERROR / f64::from(self.looks())
    }

    /// True for a threshold that a quality can be compared with; NaN is none.
    pub(super) fn threshold_is_a_quality(&self) -> bool {
        (0.0..=1.0).contains(&self.quality_threshold)
    }

    /// Why a pilot under these criteria could not be judged, or could never be approved; empty if
    /// all is well.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let (target, most, least) = (
            self.pilot_target,
            self.max_pilot_samples,
            self.min_pilot_samples,
        );
        if !self.threshold_is_a_quality() {
            problems.push(format!(
                "quality_threshold = {} is not between 0 and 1",
                self.quality_threshold
            ));
        }
        if target == 0 {
            problems.push("pilot_target = 0 asks for no samples".to_owned());
        }
        if least == 0 {
            problems.push("min_pilot_samples = 0 would judge nothing".to_owned());
        }
        if least > target {
            problems.push(format!(
                "min_pilot_samples = {least} is more than pilot_target = {target} asks for"
            ));
        }
        if most < target {
            problems.push(format!(
                "max_pilot_samples = {most} is less than pilot_target = {target}"
            ));
        }
        if problems.is_empty() {
            problems.extend(self.out_of_reach());
        }
        problems
    }

    /// A threshold that even a flawless pilot cannot be shown to reach on so few samples.
    fn out_of_reach(&self) -> Option<String> {
        if self.gate == GateKind::Point {
            return None;
        }
        let samples = self.asked_at(self.looks());
        let best = bounds::of_equal_scores(1.0, samples, self.error_per_look()).low?;
        (!reaches(best, self.quality_threshold)).then(|| {
            format!(
                "quality_threshold = {} is out of reach: {samples} perfect samples \
                 show at least {best:.3}; raise max_pilot_samples and pilot_target, \
                 or set gate = \"point\"",
                self.quality_threshold
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn criteria(gate: GateKind) -> Criteria {
        Criteria {
            gate,
            quality_threshold: 0.75,
            min_pilot_samples: 150,
            pilot_target: 190,
            max_pilot_samples: 570,
        }
    }

    #[test]
    fn three_looks_ask_190_380_570() {
        let criteria = criteria(GateKind::Confidence);
        assert_eq!(criteria.looks(), 3);
        assert_eq!(
            [1, 2, 3, 4].map(|look| criteria.asked_at(look)),
            [190, 380, 570, 570]
        );
        assert!((criteria.error_per_look() - 0.05 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn looks_follow_the_most_samples_and_stay_between_one_and_three() {
        for (most, looks) in [
            (0, 1),
            (100, 1),
            (190, 1),
            (191, 2),
            (380, 2),
            (570, 3),
            (100_000, 3),
        ] {
            let criteria = Criteria {
                max_pilot_samples: most,
                ..criteria(GateKind::Confidence)
            };
            assert_eq!(criteria.looks(), looks, "at most {most} samples");
        }
        assert_eq!(criteria(GateKind::Point).looks(), 1);
    }

    #[test]
    fn the_defaults_have_no_problems() {
        for gate in [GateKind::Confidence, GateKind::Point] {
            assert_eq!(criteria(gate).problems(), Vec::<String>::new());
        }
    }

    #[test]
    fn each_problem_names_its_key() {
        let good = criteria(GateKind::Confidence);
        let cases = [
            (
                Criteria {
                    quality_threshold: f64::NAN,
                    ..good.clone()
                },
                "quality_threshold = NaN",
            ),
            (
                Criteria {
                    quality_threshold: 80.0,
                    ..good.clone()
                },
                "quality_threshold = 80 is not",
            ),
            (
                Criteria {
                    quality_threshold: -0.1,
                    ..good.clone()
                },
                "quality_threshold = -0.1",
            ),
            (
                Criteria {
                    pilot_target: 0,
                    ..good.clone()
                },
                "pilot_target = 0",
            ),
            (
                Criteria {
                    min_pilot_samples: 0,
                    ..good.clone()
                },
                "min_pilot_samples = 0",
            ),
            (
                Criteria {
                    min_pilot_samples: 191,
                    ..good.clone()
                },
                "min_pilot_samples = 191",
            ),
            (
                Criteria {
                    max_pilot_samples: 189,
                    ..good.clone()
                },
                "max_pilot_samples = 189",
            ),
            (
                Criteria {
                    quality_threshold: 0.995,
                    ..good.clone()
                },
                "out of reach",
            ),
        ];
        for (criteria, words) in cases {
            let problems = criteria.problems();
            assert!(
                problems.iter().any(|problem| problem.contains(words)),
                "{words}: {problems:?}"
            );
        }
    }

    #[test]
    fn gate_names_are_read_as_they_are_written() {
        for gate in [GateKind::Confidence, GateKind::Point] {
            assert_eq!(gate.name().parse(), Ok(gate));
            assert_eq!(serde_json::to_value(gate).unwrap(), gate.name());
        }
        let error = "mean".parse::<GateKind>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown gate \"mean\": \"confidence\" or \"point\""
        );
    }
}
