//! An experiment as it is planned, and where it stands: `experiment.json`.

use super::{estimate::Estimate, names::names, space, status::Row, vocabulary::{BackEnd, Vocabulary}};
use crate::parameters::{Assignment, Domain, Fault, Value};
use serde::{Deserialize, Serialize};

/// Of the file's form.
pub const VERSION: u32 = 1;
/// The file.
pub const TWIN: &str = "experiment.json";
/// What people read of it.
pub const SUMMARY: &str = "experiment_summary.md";
/// Runs of an experiment at most: more are a sweep, or a search.
pub const MOST_RUNS: usize = 256;
/// Points of a cell where nobody says how many runs there are to be.
const POINTS_OF_A_CELL: usize = 4;
/// And in all, at least.
const LEAST_POINTS: usize = 8;

/// An experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// What it is called: its directory's name.
    pub name: String,
    /// What it is to find out.
    pub question: String,
    /// What trains.
    pub back_end: BackEnd,
    /// What is varied, in the order asked for.
    pub variables: Vec<Variable>,
    /// Every other parameter, the same in all runs.
    pub controls: Assignment,
    /// Where the controls and the baseline run are from.
    pub baseline: String,
    /// The base model's directory.
    pub model: Option<String>,
    /// Files of rows to learn from.
    pub data: Vec<String>,
    /// Files of rows that are only looked at.
    pub holdout: Vec<String>,
    /// What is evaluated of every run.
    pub tasks: Vec<Task>,
    /// After which epochs, from 0.
    pub eval_epochs: Vec<u32>,
    /// What jobs ask the scheduler for.
    pub resources: Resources,
    /// The runs.
    pub runs: Vec<Run>,
    /// What it will take, each with its basis.
    pub estimates: Vec<Estimate>,
    /// GPU hours that it may take.
    pub budget_gpu_hours: Option<f64>,
    /// Root of all chance in the choice of points.
    pub seed: u64,
    /// Where the fine-tunes are.
    pub fine_tuning: Vec<Row>,
    /// Where the evaluations are.
    pub evaluation: Vec<Row>,
}

/// A parameter that is varied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Over what.
    pub domain: Domain,
}

/// What is evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What it is called; a name of a file.
    pub name: String,
    /// An inspect-ai script, or with the built-in back end a file of held-out rows.
    pub script: String,
    /// Which task of the script, where it has several.
    pub task: Option<String>,
}

/// What jobs ask the scheduler for; what is not said is the site's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Where.
    pub partition: Option<String>,
    /// Whose.
    pub account: Option<String>,
    /// GPUs.
    pub gres: Option<String>,
    /// Memory.
    pub mem: Option<String>,
    /// How long at most.
    pub time: Option<String>,
    /// Processors.
    pub cpus_per_task: Option<u32>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its directory's name.
    pub name: String,
    /// The parameters that are varied, with its values.
    pub varied: Assignment,
    /// Whether it is what the others are compared with.
    pub baseline: bool,
}

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
    pub fn runs(&self, words: &Vocabulary, baseline: &Assignment) -> Result<Vec<Run>, Vec<Unplanned>> {
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
        all.extend(points.into_iter().filter(|one| !same(one)).map(|one| (one, false)));
        Ok(self.named(words, baseline, all))
    }

    fn named(&self, words: &Vocabulary, baseline: &Assignment, all: Vec<(Assignment, bool)>) -> Vec<Run> {
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
                all.push((format!("{name} is varied twice"), "once, with all its values".into()));
            }
            if name == "seed" && self.seeds > 1 {
                let right = "--seeds N, or --vary seed=1,2,3";
                all.push(("seed is varied, and there are repetitions".into(), right.into()));
            }
        }
        if self.vary.is_empty() && self.seeds < 2 {
            let right = "--vary NAME=8,16,64, --vary NAME=1e-5..1e-3:log, or --seeds N";
            all.push(("nothing is varied".into(), right.into()));
        }
        let ranges = self.vary.iter().filter(|one| space::has_ranges(std::slice::from_ref(one)));
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
            let right = format!("without --runs, or --runs {cells}; a range such as r=8..64:int has as many points as asked for");
            return Err((format!("the grid of the choices has {cells} runs, not {count}"), right));
        }
        if count < cells {
            let right = format!("--runs {cells} or more, or fewer values");
            return Err((format!("{count} runs do not fill the grid of the choices, which has {cells}"), right));
        }
        let affordable = self.affordable(seeds)?;
        // Nobody said how many: as many as the budget allows.
        if let (Some(most), None, true) = (affordable, self.runs, ranges) {
            count = count.min(most.max(cells));
        }
        if let Some(most) = affordable.filter(|most| count > *most) {
            let (budget, hours) = (self.budget.unwrap_or(0.0), self.hours_of_a_run.unwrap_or(0.0));
            let message = format!(
                "the budget of {budget} GPU hours does not allow {count} runs and a baseline of {hours:.3} GPU hours each{}",
                if seeds > 1 { format!(", {seeds} times") } else { String::new() }
            );
            let need = (count + 1) as f64 * hours * seeds as f64;
            return Err((message, format!("--budget {}h, or at most {most} runs", need.ceil())));
        }
        let all = count.saturating_add(1).saturating_mul(seeds);
        if all > MOST_RUNS {
            let message = format!("too many runs: {all} with the baseline and {seeds} seeds each");
            let message = if seeds > 1 { message } else { format!("too many runs: {all} with the baseline") };
            return Err((message, format!("at most {MOST_RUNS}; fewer values, or --runs N")));
        }
        Ok(count)
    }

    /// Points beside the baseline that the budget allows; none where nothing is known.
    fn affordable(&self, seeds: usize) -> Result<Option<usize>, Unplanned> {
        let Some(budget) = self.budget else {
            return Ok(None);
        };
        let none = |right: String| {
            (format!("a budget of {budget} GPU hours admits no run"), right)
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
            0 => Err(none(format!("--budget {}h or more: a run takes {hours:.3} GPU hours by the estimate", (hours * seeds as f64).ceil()))),
            1 => Err((format!("a budget of {budget} GPU hours admits the baseline alone"), format!("--budget {}h or more: a run takes {hours:.3} GPU hours by the estimate", (2.0 * hours * seeds as f64).ceil()))),
            runs => Ok(Some(runs - 1)),
        }
    }
}

impl Plan {
    /// What a run is set to: every parameter.
    pub fn settings(&self, run: &Run) -> Assignment {
        let mut all = self.controls.clone();
        all.extend(run.varied.clone());
        all
    }

    /// The run of a name.
    pub fn run(&self, name: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.name == name)
    }

    /// The first run that the others are compared with.
    pub fn baseline_run(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.baseline)
    }

    /// Evaluations of a run, in order: the task and after which epoch.
    pub fn evaluations(&self) -> impl Iterator<Item = (&Task, u32)> {
        let each = |task| self.eval_epochs.iter().map(move |epoch| (task, *epoch));
        self.tasks.iter().flat_map(each)
    }

    /// `experiment.json`.
    pub fn json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.map_or_else(|error| format!("{{\"error\": {:?}}}", error.to_string()), |text| text + "\n")
    }

    /// Reads `experiment.json`.
    ///
    /// # Errors
    /// A sentence: it is none, or of a newer form, or holds names that could not be names of directories.
    pub fn read(text: &str) -> Result<Self, String> {
        let plan: Plan = serde_json::from_str(text).map_err(|error| format!("it is no experiment: {error}"))?;
        if plan.version > VERSION {
            return Err(format!("it is of a newer form, {} where {VERSION} is known", plan.version));
        }
        let names = plan.runs.iter().map(|run| &run.name);
        let names = names.chain(plan.tasks.iter().map(|task| &task.name)).chain([&plan.name]);
        for name in names {
            if let Some(why) = super::names::problem(name) {
                return Err(format!("{name:?} is no name: {why}"));
            }
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::tests::words;

    fn asked(vary: &[(&str, &str)]) -> Asked {
        let domain = |text: &str| Domain::parse(text).unwrap();
        Asked {
            vary: vary.iter().map(|(name, text)| (name.to_string(), domain(text))).collect(),
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
        all.into_iter().map(|(message, right)| format!("{message} / {right}\n")).collect()
    }

    #[test]
    fn the_baseline_is_there_once() {
        let grid = asked(&[("r", "8,16"), ("learning_rate", "2e-4,1e-3")]);
        assert_eq!(names(&grid), ["rank16_lr2e-4", "rank8_lr2e-4", "rank8_lr0.001", "rank16_lr0.001"]);
        assert_eq!(names(&asked(&[("r", "8,64")])), ["rank16", "rank8", "rank64"]);
        let repeated = Asked { seeds: 2, ..asked(&[("r", "8")]) };
        assert_eq!(names(&repeated), ["rank16_seed0", "rank16_seed1", "rank8_seed0", "rank8_seed1"]);
    }

    #[test]
    fn ranges_have_as_many_points_as_asked_for_or_as_the_budget_allows() {
        let ranges = asked(&[("r", "8,64"), ("learning_rate", "1e-5..1e-3:log")]);
        assert_eq!(names(&ranges).len(), 9);
        assert_eq!(names(&Asked { runs: Some(5), ..ranges.clone() }).len(), 6);
        let budget = Asked { budget: Some(20.0), hours_of_a_run: Some(4.0), ..ranges.clone() };
        assert_eq!(names(&budget).len(), 5);
        let unknown = Asked { budget: Some(20.0), ..ranges.clone() };
        assert_eq!(names(&unknown).len(), 9, "nothing is known of a run's hours");
        assert!(refused(&Asked { budget: Some(3.0), ..budget.clone() }).contains("admits no run / --budget 4h"));
        assert!(refused(&Asked { budget: Some(5.0), ..budget.clone() }).contains("baseline alone"));
        assert!(refused(&Asked { budget: Some(0.0), ..unknown }).contains("admits no run"));
        assert!(refused(&Asked { budget: Some(f64::NAN), ..budget.clone() }).contains("admits no run"));
        assert!(refused(&Asked { runs: Some(6), ..budget }).contains("--budget 28h, or at most 4 runs"));
    }

    #[test]
    fn what_cannot_be_planned_is_told() {
        for (asked, told) in [
            (asked(&[]), "nothing is varied"),
            (asked(&[("rang", "8,16")]), "there is no parameter rang"),
            (asked(&[("r", "8,512")]), "r = 8,512 goes out of range"),
            (asked(&[("r", "8,16"), ("r", "32")]), "r is varied twice"),
            (asked(&[("r", "1..250:int"), ("note", "x,y")]), ""),
            (Asked { runs: Some(2), ..asked(&[("r", "8,16,64")]) }, "has 3 runs, not 2"),
            (Asked { runs: Some(300), ..asked(&[("r", "8..16:int")]) }, "too many runs: 301"),
            (Asked { seeds: 100, ..asked(&[("r", "8,16,64")]) }, "too many runs: 400 with the baseline and 100 seeds"),
            (Asked { seeds: 2, ..asked(&[("seed", "8,16")]) }, "repetitions"),
        ] {
            if told.is_empty() {
                assert!(asked.runs(&words(), &Assignment::new()).is_ok());
            } else {
                assert!(refused(&asked).contains(told), "{}", refused(&asked));
            }
        }
    }
}
