//! What was seen of a pilot: its scores, and how many samples were asked for, made, broken or made
//! twice.
//!
//! Evidence comes from files that another program wrote, so it is suspected before it is used: a
//! score outside 0 to 1, or counts that do not agree, are a [fault](Evidence::fault), and a fault
//! is never averaged away.

use serde::{Deserialize, Serialize};

/// Where the quality comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EvidenceSource {
    /// From the samples on disk.
    #[serde(rename = "samples")]
    Samples,
    /// From a line in the generator's log: a hint, which the verdict names as such.
    #[serde(rename = "log")]
    Log,
}

/// What was seen of a pilot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// One score per distinct valid sample, 0 to 1; empty if the quality comes from a log.
    pub scores: Vec<f64>,
    /// Samples asked for, in all looks so far.
    pub asked: u64,
    /// Distinct valid samples on disk; with scores, exactly as many as there are scores.
    pub distinct: u64,
    /// Lines on disk that are no sample.
    pub invalid: u64,
    /// Lines on disk whose id was there before.
    pub duplicates: u64,
    /// Where the quality comes from.
    pub source: EvidenceSource,
    /// The quality that the log names, if the source is the log.
    pub logged_quality: Option<f64>,
}

impl Evidence {
    /// Evidence of samples on disk, none of them broken or made twice.
    pub fn from_scores(scores: Vec<f64>, asked: u64) -> Self {
        let distinct = scores.len() as u64;
        let source = EvidenceSource::Samples;
        Evidence {
            scores,
            asked,
            distinct,
            invalid: 0,
            duplicates: 0,
            source,
            logged_quality: None,
        }
    }

    /// Evidence of `distinct` samples on disk that carry no scores, with the quality that the log
    /// names.
    pub fn from_log(logged_quality: Option<f64>, distinct: u64, asked: u64) -> Self {
        let source = EvidenceSource::Log;
        Evidence {
            scores: Vec::new(),
            asked,
            distinct,
            invalid: 0,
            duplicates: 0,
            source,
            logged_quality,
        }
    }

    /// The number of samples that the verdict counts.
    pub fn n(&self) -> u64 {
        self.distinct
    }

    /// True if all that was asked for is there. Nothing of nothing is not complete.
    pub fn is_complete(&self) -> bool {
        self.asked > 0 && self.distinct >= self.asked
    }

    /// Why no quality can be computed from this, if so.
    pub fn fault(&self) -> Option<String> {
        if self.distinct == 0 {
            return Some(format!("no valid samples{}", self.lost()));
        }
        match self.source {
            EvidenceSource::Samples => self.fault_of_scores(),
            EvidenceSource::Log => match self.logged_quality {
                None => Some("the log names no quality".to_owned()),
                Some(quality) if is_score(quality) => None,
                Some(quality) => Some(format!(
                    "the log's quality {quality} is not between 0 and 1"
                )),
            },
        }
    }

    fn fault_of_scores(&self) -> Option<String> {
        let scores = self.scores.len() as u64;
        if scores != self.distinct {
            return Some(format!(
                "{} distinct samples have {scores} scores",
                self.distinct
            ));
        }
        let broken: Vec<f64> = self
            .scores
            .iter()
            .copied()
            .filter(|score| !is_score(*score))
            .collect();
        let first = broken.first()?;
        Some(format!(
            "{} of {scores} scores are not between 0 and 1, such as {first}",
            broken.len()
        ))
    }

    /// What else was on disk, to be named beside a shortfall: `" (2 invalid lines, 5 duplicates)"`
    /// or nothing.
    pub(super) fn lost(&self) -> String {
        match (self.invalid, self.duplicates) {
            (0, 0) => String::new(),
            (invalid, 0) => format!(" ({invalid} invalid)"),
            (0, duplicates) => format!(" ({duplicates} duplicates)"),
            (invalid, duplicates) => format!(" ({invalid} invalid, {duplicates} duplicates)"),
        }
    }
}

/// True for a number that a score can be; NaN is none.
fn is_score(score: f64) -> bool {
    (0.0..=1.0).contains(&score)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_nothing_is_not_complete() {
        assert!(!Evidence::from_scores(Vec::new(), 0).is_complete());
        assert!(Evidence::from_scores(vec![1.0; 3], 3).is_complete());
        assert!(!Evidence::from_scores(vec![1.0; 2], 3).is_complete());
    }

    #[test]
    fn each_fault_is_named_with_its_count() {
        let scores = |scores: &[f64]| Evidence::from_scores(scores.to_vec(), 3);
        let short = Evidence {
            distinct: 4,
            ..scores(&[0.5; 3])
        };
        let empty = Evidence {
            invalid: 2,
            duplicates: 5,
            ..scores(&[])
        };
        let cases = [
            (empty, "no valid samples (2 invalid, 5 duplicates)"),
            (short, "4 distinct samples have 3 scores"),
            (
                scores(&[0.5, f64::NAN, 1.0]),
                "1 of 3 scores are not between 0 and 1, such as NaN",
            ),
            (
                scores(&[0.5, 80.0, -1.0]),
                "2 of 3 scores are not between 0 and 1, such as 80",
            ),
            (Evidence::from_log(None, 3, 3), "the log names no quality"),
            (
                Evidence::from_log(Some(f64::INFINITY), 3, 3),
                "the log's quality inf is not between 0 and 1",
            ),
        ];
        for (evidence, words) in cases {
            assert_eq!(evidence.fault().as_deref(), Some(words));
        }
        assert_eq!(scores(&[0.0, 0.5, 1.0]).fault(), None);
        assert_eq!(Evidence::from_log(Some(0.8), 3, 3).fault(), None);
    }
}
