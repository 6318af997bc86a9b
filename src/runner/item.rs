//! What is run: one fine-tune of each run, and its evaluations. Each has a stem that its job directories are named by.

use super::evals;
use crate::{
    experiment::{
        BackEnd,
        plan::{Plan, Run, Task},
        scaffold::{builtin::ADAPTER, evaluation, torchtune::OUTPUT},
    },
    ids::{CampaignId, EffectId},
    words::words,
};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

words! {
    /// Who runs it: the workers of specification 2.
    pub enum Worker {
        /// Fine-tunes, of either back end.
        Torchtune = "run-torchtune",
        /// Evaluations.
        Inspect = "run-inspect",
    }
}

/// One fine-tune, or one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Who runs it.
    pub worker: Worker,
    /// Its run.
    pub run: Run,
    /// What tables call it: the run, or `RUN/TASK_epochN`.
    pub name: String,
    /// What its job directories are called, before the number of the attempt.
    pub stem: CampaignId,
    /// Its script, below the run's directory.
    pub script: String,
    /// Files below the run's directory: of a fine-tune those that tell of a whole result, of an evaluation the checkpoint that
    /// it looks at.
    pub files: Vec<PathBuf>,
    /// What tells of the whole result of an evaluation.
    pub proof: Option<Proof>,
}

/// What tells that an evaluation has measured: its program may end with status 0 and have measured nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A file below the run's directory, which is the last that is written.
    File(PathBuf),
    /// A log of inspect-ai in `eval/logs` that ended with success, of this task after this epoch.
    Log {
        /// The task.
        task: String,
        /// After which epoch.
        epoch: u32,
    },
}

impl Item {
    /// Fine-tunes in the plan's order, then evaluations in theirs.
    pub fn all(plan: &Plan) -> Vec<Item> {
        let tunes = plan.runs.iter().map(|run| fine_tune(plan, run));
        let of = |run| {
            let each = plan.evaluations(run).into_iter();
            each.map(move |(task, epoch)| evaluate(plan, run, task, epoch))
        };
        tunes.chain(plan.runs.iter().flat_map(of)).collect()
    }

    /// The id of an attempt.
    pub fn attempt(&self, number: u64) -> EffectId {
        self.stem.effect(number)
    }

    /// Where what its jobs print is shown, below the experiment's directory.
    pub fn prints(&self, dir: &Path) -> PathBuf {
        let run = dir.join(&self.run.name);
        match self.worker {
            Worker::Torchtune => run,
            Worker::Inspect => run.join("eval"),
        }
    }

    /// What it was to leave and did not, of an attempt that began then (ms since 1970).
    pub fn unproved(&self, dir: &Path, began: Option<i64>) -> Option<PathBuf> {
        let run = dir.join(&self.run.name);
        match &self.proof {
            None => self.missing(dir),
            Some(Proof::File(file)) => Some(run.join(file)).filter(|path| !path.exists()),
            Some(Proof::Log { task, epoch }) => {
                let logs = run.join("eval/logs");
                match evals::succeeded(&logs, (task, *epoch), began) {
                    true => None,
                    false => Some(logs.join("*.eval, with success")),
                }
            }
        }
    }

    /// The first of its files that is not there.
    pub fn missing(&self, dir: &Path) -> Option<PathBuf> {
        let run = dir.join(&self.run.name);
        let mut files = self.files.iter().map(|file| run.join(file));
        files.find(|path| !path.exists())
    }
}

fn fine_tune(plan: &Plan, run: &Run) -> Item {
    let files = match plan.back_end {
        // It appears by rename, with these as its last.
        BackEnd::Builtin | BackEnd::Generic => ["adapter_config.json", "training.json"]
            .map(|name| Path::new(ADAPTER).join(name))
            .into(),
        BackEnd::Torchtune => vec![checkpoint(plan, plan.last_epoch(run))],
    };
    Item {
        worker: Worker::Torchtune,
        name: run.name.clone(),
        stem: stem(plan, run, None),
        script: "finetune.slurm".into(),
        files,
        proof: None,
        run: run.clone(),
    }
}

fn evaluate(plan: &Plan, run: &Run, task: &Task, epoch: u32) -> Item {
    let name = evaluation(&task.name, epoch);
    Item {
        worker: Worker::Inspect,
        stem: stem(plan, run, Some((task, epoch))),
        script: format!("eval/{name}.slurm"),
        name: format!("{}/{name}", run.name),
        files: vec![checkpoint(plan, epoch)],
        proof: Some(match plan.back_end {
            BackEnd::Builtin | BackEnd::Generic => Proof::File(
                Path::new("eval")
                    .join(evaluation(&task.name, epoch))
                    .join("results.json"),
            ),
            BackEnd::Torchtune => Proof::Log {
                task: task.name.clone(),
                epoch,
            },
        }),
        run: run.clone(),
    }
}

/// What an evaluation after an epoch looks at.
fn checkpoint(plan: &Plan, epoch: u32) -> PathBuf {
    match plan.back_end {
        BackEnd::Builtin | BackEnd::Generic => ADAPTER.into(),
        BackEnd::Torchtune => Path::new(OUTPUT).join(format!("epoch_{epoch}")),
    }
}

/// Letters of a stem that people read.
const READABLE: usize = 48;

/// A name that people know again, and a digest of what the work is: planned anew with other values under the same name, it is
/// other work with other jobs.
fn stem(plan: &Plan, run: &Run, evaluation: Option<(&Task, u32)>) -> CampaignId {
    let what = serde_json::json!([
        plan.back_end.name(),
        run.name,
        plan.settings(run),
        plan.model,
        plan.data,
        plan.holdout,
        evaluation,
    ]);
    let digest = Sha256::digest(what.to_string().as_bytes());
    let digest: String = digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let task = evaluation.map_or(String::new(), |(task, epoch)| {
        format!("_{}_epoch{epoch}", task.name)
    });
    let word = |c: char| match c.is_ascii_alphanumeric() || c == '_' {
        true => c,
        false => '_',
    };
    let name: String = format!("{}{task}", run.name)
        .chars()
        .take(READABLE)
        .map(word)
        .collect();
    let stem = format!("{name}_{digest}").parse();
    // A run's name begins with a letter or a digit, as the plan is read; were it otherwise, the digest alone is one.
    stem.unwrap_or_else(|_| {
        format!("x{digest}")
            .parse()
            .expect("letters and digits are a name")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan::{Resources, VERSION};

    fn plan() -> Plan {
        let run = |name: &str, rank: &str| Run {
            name: name.into(),
            varied: [("r".to_string(), rank.parse().unwrap())].into(),
            baseline: false,
        };
        Plan {
            version: VERSION,
            name: "ranks".into(),
            question: String::new(),
            back_end: BackEnd::Builtin,
            variables: Vec::new(),
            controls: Default::default(),
            baseline: String::new(),
            model: None,
            data: Vec::new(),
            holdout: Vec::new(),
            tasks: vec![Task {
                name: "held".into(),
                script: "/held.jsonl".into(),
                task: None,
            }],
            eval_epochs: Vec::new(),
            resources: Resources::default(),
            runs: vec![run("rank8_lr0.001", "8"), run("rank8_lr0_001", "8")],
            estimates: Vec::new(),
            budget_gpu_hours: None,
            seed: 0,
            fine_tuning: Vec::new(),
            evaluation: Vec::new(),
        }
    }

    #[test]
    fn every_work_has_a_stem_of_its_own_that_follows_what_it_is() {
        let mut plan = plan();
        let all = Item::all(&plan);
        let names: Vec<&str> = all.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "rank8_lr0.001",
                "rank8_lr0_001",
                "rank8_lr0.001/held_epoch0",
                "rank8_lr0_001/held_epoch0"
            ]
        );
        let stems = |plan: &Plan| -> Vec<String> {
            let all = Item::all(plan).into_iter();
            all.map(|item| item.stem.to_string()).collect()
        };
        let before = stems(&plan);
        let distinct: std::collections::BTreeSet<&String> = before.iter().collect();
        assert_eq!(distinct.len(), 4, "{before:?}");
        assert!(before[0].starts_with("rank8_lr0_001_"), "{before:?}");
        // What it asks the scheduler for is not what it is.
        plan.resources.mem = Some("1G".into());
        plan.estimates.clear();
        assert_eq!(stems(&plan), before);
        plan.runs[0]
            .varied
            .insert("r".into(), "16".parse().unwrap());
        let after = stems(&plan);
        let same = before.iter().zip(&after).filter(|(a, b)| a == b).count();
        assert_eq!(same, 2, "the other run's: {before:?} {after:?}");
    }

    #[test]
    fn torchtune_keeps_an_epoch_each() {
        let mut plan = plan();
        plan.back_end = BackEnd::Torchtune;
        plan.controls.insert("epochs".into(), "3".parse().unwrap());
        let all = Item::all(&plan);
        assert_eq!(all[0].files, [Path::new("output/epoch_2")]);
        assert_eq!(all[2].script, "eval/held_epoch2.slurm");
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("rank8_lr0.001/output/epoch_2");
        assert_eq!(all[2].missing(dir.path()).as_ref(), Some(&there));
        std::fs::create_dir_all(&there).unwrap();
        assert_eq!(all[2].missing(dir.path()), None);
    }
}
