//! An experiment as it is planned, and where it stands: `experiment.json`.

use super::{estimate::Estimate, status::Row, vocabulary::BackEnd};
use crate::parameters::{Assignment, Domain};
use serde::{Deserialize, Serialize};

/// Of the file's form.
pub const VERSION: u32 = 1;
/// The file.
pub const TWIN: &str = "experiment.json";
/// What people read of it.
pub const SUMMARY: &str = "experiment_summary.md";
/// Runs of an experiment at most: more are a sweep, or a search.
pub const MOST_RUNS: usize = 256;

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
    /// After which epochs, from 0; empty: after the last of each run.
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

    /// Evaluations of a run, in order: the task and after which epoch. An epoch that the run does not have is passed over.
    pub fn evaluations(&self, run: &Run) -> Vec<(&Task, u32)> {
        let last = self.last_epoch(run);
        let epochs: Vec<u32> = match self.eval_epochs.as_slice() {
            [] => vec![last],
            some => some
                .iter()
                .copied()
                .filter(|epoch| *epoch <= last)
                .collect(),
        };
        let each = |task| epochs.iter().map(move |epoch| (task, *epoch));
        self.tasks.iter().flat_map(each).collect()
    }

    /// The last epoch of a run, from 0.
    pub fn last_epoch(&self, run: &Run) -> u32 {
        let settings = self.settings(run);
        let words = ["num_train_epochs", "epochs"];
        let epochs = words.iter().find_map(|word| settings.get(*word)?.number());
        // An f64 that is no number becomes 0.
        (epochs.unwrap_or(1.0).ceil() as u32).saturating_sub(1)
    }

    /// Both status tables as they are before anything is handed in.
    pub fn reset(&mut self) {
        self.fine_tuning = self
            .runs
            .iter()
            .map(|run| Row::pending(&run.name))
            .collect();
        let of = |run: &Run| -> Vec<Row> {
            let all = self.evaluations(run).into_iter();
            let name = |(task, epoch): (&Task, u32)| {
                format!(
                    "{}/{}",
                    run.name,
                    super::scaffold::evaluation(&task.name, epoch)
                )
            };
            all.map(|one| Row::pending(name(one))).collect()
        };
        self.evaluation = self.runs.iter().flat_map(of).collect();
    }

    /// `experiment.json`.
    pub fn json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.map_or_else(
            |error| format!("{{\"error\": {:?}}}", error.to_string()),
            |text| text + "\n",
        )
    }

    /// Reads `experiment.json`.
    ///
    /// # Errors
    /// A sentence: it is none, or of a newer form, or holds names that could not be names of directories.
    pub fn read(text: &str) -> Result<Self, String> {
        let plan: Plan =
            serde_json::from_str(text).map_err(|error| format!("it is no experiment: {error}"))?;
        if plan.version > VERSION {
            return Err(format!(
                "it is of a newer form, {} where {VERSION} is known",
                plan.version
            ));
        }
        let names = plan.runs.iter().map(|run| &run.name);
        let names = names
            .chain(plan.tasks.iter().map(|task| &task.name))
            .chain([&plan.name]);
        for name in names {
            if let Some(why) = super::names::problem(name) {
                return Err(format!("{name:?} is no name: {why}"));
            }
        }
        Ok(plan)
    }
}
