//! What a trajectory is worth to learn from (specification 1, 3.2), with the parts of the judgement kept.
//!
//! Merit is a weighted mean of what makes a trajectory rich; discounts are for what makes it poor:
//!
//! ```text
//! value  = (BASE + (1 - BASE) * merit) * substance * course * novelty
//! merit  = 0.35 complex_success + 0.25 error_recovery + 0.20 validation_fixes + 0.20 rarity
//! ```
//!
//! | part | 0 to 1 |
//! | --- | --- |
//! | `complex_success` | 0 unless it ended well; then a third for a simple query, two thirds for a medium, 1 for a complex one |
//! | `error_recovery` | 1 where an error was overcome, or, where nothing was run, its planned cause was found |
//! | `validation_fixes` | 1 - 1/2^n after n faulty drafts, where the last look found nothing |
//! | `rarity` | mean of its organism's and of its rarest tool's, by the frequencies of the corpus |
//! | `substance` | from 0.5 for a wordless query to 1 for one of twelve words |
//! | `course` | 1 where it ended well; 0.7 where it did not but something was overcome or tried again; 0.3 where it failed at once |
//! | `novelty` | 1 up to a similarity of one half with the nearest kept one, falling in a line to 0.25 at the same text |
//!
//! The value never falls when a part rises, and each part never falls with what it is made of (more drafts mended, a rarer tool, a
//! nearest neighbour further off). Sums, products and quotients alone, rounded to four decimals: the same on every machine.

use super::filters::words;
use crate::trajectory::{Outcome, TrajectoryRecord, record::Recovery};
use crate::workflow::errors::Outcome as Recovered;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// What is left of a trajectory without any merit.
const BASE: f64 = 0.2;
/// Weights of merit; their sum is 1.
const WEIGHTS: [f64; 4] = [0.35, 0.25, 0.20, 0.20];
/// Words of a query that says enough.
const SAYING: f64 = 12.0;

/// How often organisms and tools are met in a corpus.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frequencies {
    organisms: Counted,
    tools: Counted,
}

/// Names with the number of trajectories that have them.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counted {
    by: BTreeMap<String, u64>,
    trajectories: u64,
}

impl Counted {
    fn add<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        let before = self.trajectories;
        for name in names {
            self.trajectories = before + 1;
            match self.by.get_mut(name) {
                Some(count) => *count += 1,
                None => {
                    self.by.insert(name.into(), 1);
                }
            }
        }
    }

    /// 1 for what is never met, about one half for what is met as often as it would be if all were met alike, 0 for the only
    /// one there is; falls as the count rises.
    fn rarity(&self, name: &str) -> f64 {
        let count = self.by.get(name).copied().unwrap_or(0);
        if count == 0 {
            return 1.0;
        }
        // At most 1: each trajectory counts once a name.
        let share = count as f64 / self.trajectories as f64;
        let kinds = self.by.len() as f64;
        (1.0 - share) / (1.0 - share + kinds * share)
    }
}

impl Frequencies {
    /// Counts one trajectory; in whatever order, the sum is the same.
    pub fn add(&mut self, trajectory: &TrajectoryRecord) {
        self.organisms.add(trajectory.organism.as_deref());
        let tools = tools(trajectory);
        self.tools.add(tools.iter().map(String::as_str));
    }

    /// The rarity of a trajectory's organism and rarest tool, 0 to 1; 0 where it names neither.
    fn rarity(&self, organism: Option<&str>, tools: &BTreeSet<String>) -> f64 {
        let organism = organism.map(|name| self.organisms.rarity(name));
        let tool = tools.iter().map(|name| self.tools.rarity(name));
        let tool = tool.fold(None, |most: Option<f64>, rarity| {
            Some(most.map_or(rarity, |most| most.max(rarity)))
        });
        let known: Vec<f64> = organism.into_iter().chain(tool).collect();
        if known.is_empty() {
            0.0
        } else {
            known.iter().sum::<f64>() / known.len() as f64
        }
    }
}

/// The tools of a trajectory's plan, each once.
fn tools(trajectory: &TrajectoryRecord) -> BTreeSet<String> {
    let plan = trajectory.plan_json.as_deref();
    let plan: Option<Json> = plan.and_then(|text| serde_json::from_str(text).ok());
    let steps = plan.as_ref().and_then(|plan| plan.get("steps")?.as_array());
    let tool = |step: &Json| Some(step.get("tool")?.as_str()?.to_owned());
    steps.into_iter().flatten().filter_map(tool).collect()
}

/// What the value is made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// 0 simple, 1 medium, 2 complex.
    pub level: u8,
    /// Whether it ended well.
    pub success: bool,
    /// Whether an error was overcome, or its planned cause found where nothing was run.
    pub recovered: bool,
    /// Faulty drafts before a last look that found nothing; 0 where the last look found something.
    pub fixes: u32,
    /// Whether anything was tried again, successfully or not.
    pub tried_again: bool,
    /// Rarity of its organism and tools, 0 to 1.
    pub rarity: f64,
    /// Words of the query.
    pub words: usize,
    /// Similarity with the nearest one that is kept, 0 to 1; 0 where there is none near.
    pub nearest: f64,
}

impl Judged {
    /// Reads a trajectory. `nearest` is the verified similarity of its query with the nearest kept one, 0 where none is near.
    pub fn of(trajectory: &TrajectoryRecord, corpus: &Frequencies, nearest: f64) -> Judged {
        let faulty = trajectory.drafts.len() as u32;
        Judged {
            level: match trajectory.complexity.as_str() {
                "complex" => 2,
                "medium" => 1,
                _ => 0,
            },
            success: trajectory.outcome == Outcome::Success,
            recovered: trajectory.error_resolutions.iter().any(recovered),
            fixes: if trajectory.final_validation_passed {
                faulty
            } else {
                0
            },
            tried_again: trajectory.cycles > 0 || !trajectory.error_resolutions.is_empty(),
            rarity: corpus.rarity(trajectory.organism.as_deref(), &tools(trajectory)),
            words: words(&trajectory.query),
            nearest,
        }
    }
}

/// Whether an error was overcome. Where nobody tried, a cause that is known has to be the one that was found.
fn recovered(met: &Recovery) -> bool {
    match met.outcome {
        Recovered::Success => true,
        Recovered::Failure => false,
        Recovered::Untried => met.planned_kind.is_some() && met.planned_kind == met.diagnosed_kind,
    }
}

/// The value, 0 to 1, and its parts by name, in the order of the table above. What is not a number counts as the worst.
pub fn training_value(judged: &Judged) -> (f64, Vec<(&'static str, f64)>) {
    let rarity = unit(judged.rarity, 0.0);
    let complex_success = if judged.success {
        f64::from(judged.level.min(2) + 1) / 3.0
    } else {
        0.0
    };
    let validation_fixes = 1.0 - 1.0 / f64::from(1u32 << judged.fixes.min(20));
    let merits = [
        complex_success,
        f64::from(u8::from(judged.recovered)),
        validation_fixes,
        rarity,
    ];
    let merit: f64 = merits
        .iter()
        .zip(WEIGHTS)
        .map(|(part, weight)| part * weight)
        .sum();
    let substance = 0.5 + 0.5 * (judged.words as f64 / SAYING).min(1.0);
    let course = if judged.success {
        1.0
    } else if judged.recovered || judged.tried_again {
        0.7
    } else {
        0.3
    };
    let nearest = unit(judged.nearest, 1.0);
    let novelty = 1.0 - 1.5 * (nearest - 0.5).max(0.0);
    let value = (BASE + (1.0 - BASE) * merit) * substance * course * novelty;
    let names = [
        "complex_success",
        "error_recovery",
        "validation_fixes",
        "rarity",
        "substance",
        "course",
        "novelty",
    ];
    let parts = merits.into_iter().chain([substance, course, novelty]);
    let parts = names.into_iter().zip(parts.map(round)).collect();
    (round(value.clamp(0.0, 1.0)), parts)
}

/// A number cut to 0 to 1; `worst` for what is none.
fn unit(number: f64, worst: f64) -> f64 {
    if number.is_nan() {
        worst
    } else {
        number.clamp(0.0, 1.0)
    }
}

/// Four decimals, as quality has.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judged() -> impl Strategy<Value = Judged> {
        let facts = (
            0..4u8,
            any::<bool>(),
            any::<bool>(),
            0..40u32,
            any::<bool>(),
        );
        (facts, -0.5..1.5f64, 0..40usize, -0.5..1.5f64).prop_map(
            |((level, success, recovered, fixes, tried_again), rarity, words, nearest)| Judged {
                level,
                success,
                recovered,
                fixes,
                tried_again,
                rarity,
                words,
                nearest,
            },
        )
    }

    proptest! {
        #[test]
        fn a_value_is_a_number_from_0_to_1_with_all_its_parts(one in judged()) {
            let (value, parts) = training_value(&one);
            prop_assert!((0.0..=1.0).contains(&value));
            prop_assert_eq!(parts.len(), 7);
            prop_assert!(parts.iter().all(|(_, part)| (0.0..=1.0).contains(part)));
        }

        #[test]
        fn more_of_what_is_good_is_never_worth_less(one in judged(), more in 0.0..0.5f64) {
            let value = |judged: &Judged| training_value(judged).0;
            let better = [
                Judged { level: one.level.saturating_add(1), ..one },
                Judged { success: true, ..one },
                Judged { recovered: true, ..one },
                Judged { fixes: one.fixes + 1, ..one },
                Judged { tried_again: true, ..one },
                Judged { rarity: one.rarity + more, ..one },
                Judged { words: one.words + 1, ..one },
                Judged { nearest: one.nearest - more, ..one },
            ];
            for better in better {
                prop_assert!(value(&better) >= value(&one), "{better:?}");
            }
        }

        #[test]
        fn rarity_falls_with_the_count_and_not_with_the_order(counts in prop::collection::vec(1..50usize, 2..8)) {
            let mut names: Vec<String> = counts.iter().enumerate()
                .flat_map(|(at, count)| vec![at.to_string(); *count])
                .collect();
            let count = |names: &[String]| {
                let mut counted = Counted::default();
                names.iter().for_each(|name| counted.add([name.as_str()]));
                counted
            };
            let corpus = count(&names);
            names.reverse();
            prop_assert_eq!(&count(&names), &corpus);
            for (a, more) in counts.iter().enumerate() {
                for (b, less) in counts.iter().enumerate().filter(|(_, less)| *less < more) {
                    prop_assert!(corpus.rarity(&b.to_string()) > corpus.rarity(&a.to_string()), "{less} {more}");
                }
            }
        }
    }

    const GOOD: Judged = Judged {
        level: 2,
        success: true,
        recovered: true,
        fixes: 3,
        tried_again: true,
        rarity: 1.0,
        words: 20,
        nearest: 0.0,
    };

    #[test]
    fn the_ends_of_the_scale() {
        assert_eq!(training_value(&GOOD).0, 0.98);
        let poor = Judged {
            level: 0,
            success: false,
            recovered: false,
            fixes: 0,
            tried_again: false,
            rarity: 0.0,
            words: 2,
            nearest: 1.0,
        };
        assert_eq!(training_value(&poor).0, 0.0088);
        let failed_but_tried = Judged {
            tried_again: true,
            ..poor
        };
        assert!(training_value(&failed_but_tried).0 > training_value(&poor).0);
        assert_eq!(
            training_value(&Judged {
                nearest: f64::NAN,
                ..GOOD
            }),
            training_value(&Judged {
                nearest: 1.0,
                ..GOOD
            })
        );
    }

    #[test]
    fn the_only_kind_is_not_rare_and_an_unseen_one_is() {
        let mut corpus = Counted::default();
        corpus.add(["human"]);
        corpus.add(["human"]);
        assert_eq!(
            (corpus.rarity("human"), corpus.rarity("axolotl")),
            (0.0, 1.0)
        );
        assert_eq!(Frequencies::default().rarity(None, &BTreeSet::new()), 0.0);
    }
}
