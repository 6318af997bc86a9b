//! What is asked of an experiment, as runs: how many there are to be, whether the budget allows them, and what cannot be asked.

use super::{
    names::names,
    plan::{MOST_RUNS, Run},
    space,
    vocabulary::Vocabulary,
};
use crate::parameters::{Assignment, Domain, Fault, Value};

/// Points of a cell where nobody says how many runs there are to be.
const POINTS_OF_A_CELL: usize = 4;
/// And in all, at least.
const LEAST_POINTS: usize = 8;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// What is varied, in order.
    pub vary: Vec<(String, Domain)>,
    /// Runs in all, without the baseline and without repetitions.
    pub runs: Option<usize>,
    /// Repetitions with other seeds.
    pub seeds: u32,
    /// GPU hours that it may take.
    pub budget: Option<f64>,
    /// GPU hours that a run is estimated to take.
    pub hours_of_a_run: Option<f64>,
    /// Root of all chance.
    pub seed: u64,
}

/// Why nothing is planned: (what is wrong, what would be right).
pub type Unplanned = (String, String);

impl Asked {
    /// The runs, the baseline's first: points of the space, and each with all seeds.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn runs(
        &self,
        words: &Vocabulary,
        baseline: &Assignment,
    ) -> Result<Vec<Run>, Vec<Unplanned>> {
        let faults = self.faults(words);
        if !faults.is_empty() {
            return Err(faults);
        }
        let count = self.count().map_err(|why| vec![why])?;
        let points = space::points(&self.vary, count, self.seed);
        let values = |name: &String| {
            let value = baseline.get(name).or(words.defaults.get(name));
            Some((name.clone(), value?.clone()))
        };
        let names = self.vary.iter().map(|(name, _)| name);
        let base: Assignment = names.filter_map(values).collect();
        let same = |point: &Assignment| {
            point.len() == base.len() && point.iter().all(|(name, value)| base[name].same(value))
        };
        let mut all: Vec<(Assignment, bool)> = vec![(base.clone(), true)];
        all.extend(
            points
                .into_iter()
                .filter(|one| !same(one))
                .map(|one| (one, false)),
        );
        Ok(self.named(words, baseline, all))
    }

    fn named(
        &self,
        words: &Vocabulary,
        baseline: &Assignment,
        all: Vec<(Assignment, bool)>,
    ) -> Vec<Run> {
        let mut order: Vec<String> = self.vary.iter().map(|(name, _)| name.clone()).collect();
        let mut runs = all;
        if self.seeds > 1 {
            order.push("seed".into());
            let first = baseline.get("seed").or(words.defaults.get("seed"));
            let first = first.and_then(Value::number).unwrap_or(0.0) as i64;
            let repeated = runs.iter().flat_map(|(values, base)| {
                (0..self.seeds).map(move |n| {
                    let mut values = values.clone();
                    values.insert("seed".into(), Value::Whole(first + i64::from(n)));
                    (values, *base)
                })
            });
            runs = repeated.collect();
        }
        let values: Vec<Assignment> = runs.iter().map(|(values, _)| values.clone()).collect();
        let names = names(words, &order, &values).into_iter();
        names
            .zip(runs)
            .map(|(name, (varied, baseline))| Run {
                name,
                varied,
                baseline,
            })
            .collect()
    }

    fn faults(&self, words: &Vocabulary) -> Vec<Unplanned> {
        let told = |fault: Fault| (fault.message, fault.right);
        let mut all: Vec<Unplanned> = Vec::new();
        for ((name, domain), at) in self.vary.iter().zip(0..) {
            all.extend(words.schema.fault_of(name, domain).map(told));
            if self.vary[..at].iter().any(|(other, _)| other == name) {
                all.push((
                    format!("{name} is varied twice"),
                    "once, with all its values".into(),
                ));
            }
            if name == "seed" && self.seeds > 1 {
                let right = "--seeds N, or --vary seed=1,2,3";
                all.push((
                    "seed is varied, and there are repetitions".into(),
                    right.into(),
                ));
            }
        }
        if self.vary.is_empty() && self.seeds < 2 {
            let right = "--vary NAME=8,16,64, --vary NAME=1e-5..1e-3:log, or --seeds N";
            all.push(("nothing is varied".into(), right.into()));
        }
        let ranges = self
            .vary
            .iter()
            .filter(|one| space::has_ranges(std::slice::from_ref(one)));
        if ranges.count() > space::MOST_RANGES {
            let right = format!("at most {}", space::MOST_RANGES);
            all.push(("too many ranges are varied".into(), right));
        }
        all
    }

    /// How many points there are.
    fn count(&self) -> Result<usize, Unplanned> {
        let cells = space::cells(&self.vary).unwrap_or(usize::MAX);
        let ranges = space::has_ranges(&self.vary);
        let seeds = self.seeds.max(1) as usize;
        let default = if ranges {
            cells.saturating_mul(POINTS_OF_A_CELL).max(LEAST_POINTS)
        } else {
            cells
        };
        let mut count = self.runs.unwrap_or(default);
        if !ranges && count != cells {
            let right = format!(
                "without --runs, or --runs {cells}; a range such as r=8..64:int has as many points as asked for"
            );
            return Err((
                format!("the grid of the choices has {cells} runs, not {count}"),
                right,
            ));
        }
        if count < cells {
            let right = format!("--runs {cells} or more, or fewer values");
            return Err((
                format!("{count} runs do not fill the grid of the choices, which has {cells}"),
                right,
            ));
        }
        let affordable = self.affordable(seeds)?;
        // Nobody said how many: as many as the budget allows.
        if let (Some(most), None, true) = (affordable, self.runs, ranges) {
            count = count.min(most.max(cells));
        }
        if let Some(most) = affordable.filter(|most| count > *most) {
            let (budget, hours) = (
                self.budget.unwrap_or(0.0),
                self.hours_of_a_run.unwrap_or(0.0),
            );
            let message = format!(
                "the budget of {budget} GPU hours does not allow {count} runs and a baseline of {hours:.3} GPU hours each{}",
                if seeds > 1 {
                    format!(", {seeds} times")
                } else {
                    String::new()
                }
            );
            let need = (count + 1) as f64 * hours * seeds as f64;
            return Err((
                message,
                format!("--budget {}h, or at most {most} runs", need.ceil()),
            ));
        }
        let all = count.saturating_add(1).saturating_mul(seeds);
        if all > MOST_RUNS {
            let message = format!("too many runs: {all} with the baseline and {seeds} seeds each");
            let message = if seeds > 1 {
                message
            } else {
                format!("too many runs: {all} with the baseline")
            };
            return Err((
                message,
                format!("at most {MOST_RUNS}; fewer values, or --runs N"),
            ));
        }
        Ok(count)
    }

    /// Points beside the baseline that the budget allows; none where nothing is known.
    fn affordable(&self, seeds: usize) -> Result<Option<usize>, Unplanned> {
        let Some(budget) = self.budget else {
            return Ok(None);
        };
        let none = |right: String| {
            (
                format!("a budget of {budget} GPU hours admits no run"),
                right,
            )
        };
        // Written so that a budget that is no number admits nothing.
        let some = budget > 0.0;
        if !some {
            return Err(none("a budget above 0, such as 20h".into()));
        }
        let Some(hours) = self.hours_of_a_run.filter(|hours| *hours > 0.0) else {
            return Ok(None);
        };
        let runs = (budget / hours / seeds as f64 + 1e-9).floor() as usize;
        match runs {
            0 => Err(none(format!(
                "--budget {}h or more: a run takes {hours:.3} GPU hours by the estimate",
                (hours * seeds as f64).ceil()
            ))),
            1 => Err((
                format!("a budget of {budget} GPU hours admits the baseline alone"),
                format!(
                    "--budget {}h or more: a run takes {hours:.3} GPU hours by the estimate",
                    (2.0 * hours * seeds as f64).ceil()
                ),
            )),
            runs => Ok(Some(runs - 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::tests::words;

    fn asked(vary: &[(&str, &str)]) -> Asked {
        let domain = |text: &str| Domain::parse(text).unwrap();
        Asked {
            vary: vary
                .iter()
                .map(|(name, text)| (name.to_string(), domain(text)))
                .collect(),
            seeds: 1,
            ..Asked::default()
        }
    }

    fn names(asked: &Asked) -> Vec<String> {
        let runs = asked.runs(&words(), &Assignment::new()).unwrap();
        assert!(runs.iter().any(|run| run.baseline));
        runs.into_iter().map(|run| run.name).collect()
    }

    fn refused(asked: &Asked) -> String {
        let all = asked.runs(&words(), &Assignment::new()).unwrap_err();
        all.into_iter()
            .map(|(message, right)| format!("{message} / {right}\n"))
            .collect()
    }

    #[test]
    fn the_baseline_is_there_once() {
        let grid = asked(&[("r", "8,16"), ("learning_rate", "2e-4,1e-3")]);
        assert_eq!(
            names(&grid),
            [
                "rank16_lr2e-4",
                "rank8_lr2e-4",
                "rank8_lr0.001",
                "rank16_lr0.001"
            ]
        );
        assert_eq!(
            names(&asked(&[("r", "8,64")])),
            ["rank16", "rank8", "rank64"]
        );
        let repeated = Asked {
            seeds: 2,
            ..asked(&[("r", "8")])
        };
        assert_eq!(
            names(&repeated),
            ["rank16_seed0", "rank16_seed1", "rank8_seed0", "rank8_seed1"]
        );
    }

    #[test]
    fn ranges_have_as_many_points_as_asked_for_or_as_the_budget_allows() {
        let ranges = asked(&[("r", "8,64"), ("learning_rate", "1e-5..1e-3:log")]);
        assert_eq!(names(&ranges).len(), 9);
        assert_eq!(
            names(&Asked {
                runs: Some(5),
                ..ranges.clone()
            })
            .len(),
            6
        );
        let budget = Asked {
            budget: Some(20.0),
            hours_of_a_run: Some(4.0),
            ..ranges.clone()
        };
        assert_eq!(names(&budget).len(), 5);
        let unknown = Asked {
            budget: Some(20.0),
            ..ranges.clone()
        };
        assert_eq!(
            names(&unknown).len(),
            9,
            "nothing is known of a run's hours"
        );
        assert!(
            refused(&Asked {
                budget: Some(3.0),
                ..budget.clone()
            })
            .contains("admits no run / --budget 4h")
        );
        assert!(
            refused(&Asked {
                budget: Some(5.0),
                ..budget.clone()
            })
            .contains("baseline alone")
        );
        assert!(
            refused(&Asked {
                budget: Some(0.0),
                ..unknown
            })
            .contains("admits no run")
        );
        assert!(
            refused(&Asked {
                budget: Some(f64::NAN),
                ..budget.clone()
            })
            .contains("admits no run")
        );
        assert!(
            refused(&Asked {
                runs: Some(6),
                ..budget
            })
            .contains("--budget 28h, or at most 4 runs")
        );
    }

    #[test]
    fn what_cannot_be_planned_is_told() {
        for (asked, told) in [
            (asked(&[]), "nothing is varied"),
            (asked(&[("rang", "8,16")]), "there is no parameter rang"),
            (asked(&[("r", "8,512")]), "r = 8,512 goes out of range"),
            (asked(&[("r", "8,16"), ("r", "32")]), "r is varied twice"),
            (asked(&[("r", "1..250:int"), ("note", "x,y")]), ""),
            (
                Asked {
                    runs: Some(2),
                    ..asked(&[("r", "8,16,64")])
                },
                "has 3 runs, not 2",
            ),
            (
                Asked {
                    runs: Some(300),
                    ..asked(&[("r", "8..16:int")])
                },
                "too many runs: 301",
            ),
            (
                Asked {
                    seeds: 100,
                    ..asked(&[("r", "8,16,64")])
                },
                "too many runs: 400 with the baseline and 100 seeds",
            ),
            (
                Asked {
                    seeds: 2,
                    ..asked(&[("seed", "8,16")])
                },
                "repetitions",
            ),
        ] {
            if told.is_empty() {
                assert!(asked.runs(&words(), &Assignment::new()).is_ok());
            } else {
                assert!(refused(&asked).contains(told), "{}", refused(&asked));
            }
        }
    }
}
