//! What a training was started with: a checkpoint is gone on with only where all of it is the same.

use super::{export::TOKENIZER, undone};
use crate::{
    artifacts::sums,
    training::{
        job::{FineTune, PlanKey, StageOf},
        settings::Settings,
        words::Device,
    },
    worker::{Undone, device},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{io, path::Path};

/// Counts up whenever the trainer computes other numbers from the same input, or writes other checkpoints.
pub const TRAINER: u32 = 4;

/// Everything that the trained numbers are a function of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Which trainer.
    pub trainer: u32,
    /// The model's own digest.
    pub model: String,
    /// What makes its tokenizer, and what says where an answer ends: rows are other numbers with others.
    pub tokenizer: Vec<FileSum>,
    /// Where is computed: machines add up in another order.
    pub device: Device,
    /// The files of rows.
    pub data: Vec<FileSum>,
    /// The files of the holdout.
    pub holdout: Vec<FileSum>,
    /// The adapter that it started from.
    pub adapter_init: Option<FileSum>,
    /// With a stage: the share of rows that are replayed, and what it starts from.
    pub stage: Option<StageOf>,
    /// With a stage: the files that its own rows are from, whose mixture `data` is.
    pub sources: Vec<FileSum>,
    /// The hyperparameters. A key that an older trainer did not know has its default.
    pub settings: Settings,
    /// Of a member of a sweep, on a machine whose numbers depend on it: what its products are shaped by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_key: Option<PlanKey>,
}

/// A file and its digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileSum {
    /// Its path.
    pub path: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

impl Identity {
    /// Of a fine-tune as it was asked for and as it is begun, whose model has this digest.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of(asked: &FineTune, job: &FineTune, model: String) -> Result<Self, Undone> {
        let sums = |paths: &[String]| -> io::Result<Vec<FileSum>> {
            paths.iter().map(|path| sum(path)).collect()
        };
        let weights = |dir: &String| {
            let path = Path::new(dir).join("adapter_model.safetensors");
            sum(&path.to_string_lossy())
        };
        let read = || -> io::Result<Self> {
            Ok(Self {
                trainer: TRAINER,
                model,
                tokenizer: tokenizer(Path::new(&job.model))?,
                device: device::resolved(job.device),
                data: sums(&job.data)?,
                holdout: sums(&job.holdout)?,
                adapter_init: job.adapter_init.as_ref().map(weights).transpose()?,
                stage: job.stage.clone(),
                sources: match &job.stage {
                    Some(_) => sums(&asked.data)?,
                    None => Vec::new(),
                },
                settings: job.settings.clone(),
                plan_key: None,
            })
        };
        read().map_err(|error| undone("the input cannot be read", &error))
    }

    /// The first difference, as what `self` was started with; none where they are the same.
    pub fn difference(&self, now: &Self) -> Option<String> {
        if self.trainer != now.trainer {
            let (then, now) = (self.trainer, now.trainer);
            return Some(format!("by trainer {then}, this is trainer {now}"));
        }
        if self.model != now.model {
            return Some("with another model: its files have changed".into());
        }
        if let Some(name) = other_name(&self.tokenizer, &now.tokenizer) {
            return Some(format!("with another tokenizer: {name} has changed"));
        }
        if self.device != now.device {
            let (then, now) = (self.device, now.device);
            return Some(format!("on {then}, and now it is to be on {now}"));
        }
        if let Some(what) = other_stage(self.stage.as_ref(), now.stage.as_ref()) {
            return Some(format!("as another stage: {what}"));
        }
        let files = [
            ("other data", &self.sources, &now.sources),
            ("other data", &self.data, &now.data),
            ("another holdout", &self.holdout, &now.holdout),
        ];
        for (what, then, now) in files {
            if let Some(why) = other_files(then, now) {
                return Some(format!("with {what}: {why}"));
            }
        }
        if self.plan_key != now.plan_key {
            let value = |key: &Option<PlanKey>| serde_json::to_value(key).unwrap_or_default();
            let what = other_key(&value(&self.plan_key), &value(&now.plan_key))?;
            return Some(format!(
                "in another sweep, and its numbers depend on it: {what}"
            ));
        }
        let init = |sum: &Option<FileSum>| sum.as_ref().map(|sum| sum.sha256.clone());
        if init(&self.adapter_init) != init(&now.adapter_init) {
            return Some("from another adapter".into());
        }
        // A step learns from the same rows however many of them are in memory at once: a run that found too little of it
        // goes on with smaller micro-batches.
        let value = |settings: &Settings| {
            let rows = settings
                .per_device_train_batch_size
                .saturating_mul(settings.gradient_accumulation_steps);
            let whole = Settings {
                per_device_train_batch_size: 1,
                gradient_accumulation_steps: rows,
                ..settings.clone()
            };
            serde_json::to_value(whole).unwrap_or_default()
        };
        let key = other_key(&value(&self.settings), &value(&now.settings))?;
        Some(format!("with other settings: {key}"))
    }
}

fn sum(path: &str) -> io::Result<FileSum> {
    Ok(FileSum {
        path: path.into(),
        sha256: sums::digest(Path::new(path))?,
    })
}

/// The files of a model's directory that tokens depend on, as far as they are there, by their names.
fn tokenizer(dir: &Path) -> io::Result<Vec<FileSum>> {
    let names = TOKENIZER.into_iter().chain(["generation_config.json"]);
    let there = names.filter(|name| dir.join(name).exists());
    let sum = |name: &str| {
        Ok(FileSum {
            path: name.into(),
            sha256: sums::digest(&dir.join(name))?,
        })
    };
    there.map(sum).collect()
}

/// The first file that is not the same, or is there only once.
fn other_name<'a>(then: &'a [FileSum], now: &'a [FileSum]) -> Option<&'a str> {
    let other = |one: &&FileSum| !(then.contains(one) && now.contains(one));
    let mut all = then.iter().chain(now);
    all.find(other).map(|file| file.path.as_str())
}

/// What of a stage differs: `replay_share 0.15, now 0`.
fn other_stage(then: Option<&StageOf>, now: Option<&StageOf>) -> Option<String> {
    let value = |stage: Option<&StageOf>| serde_json::to_value(stage).unwrap_or_default();
    other_key(&value(then), &value(now))
}

/// Files are the same where their contents are: they may have been moved.
fn other_files(then: &[FileSum], now: &[FileSum]) -> Option<String> {
    if then.len() != now.len() {
        return Some(format!("{} files, now {}", then.len(), now.len()));
    }
    let mut pairs = then.iter().zip(now);
    let (_, now) = pairs.find(|(then, now)| then.sha256 != now.sha256)?;
    Some(format!("{} has changed", now.path))
}

/// The first setting that differs: `learning_rate 0.0002, now 0.0001`.
fn other_key(then: &Value, now: &Value) -> Option<String> {
    if then == now {
        return None;
    }
    let (Value::Object(then), Value::Object(now)) = (then, now) else {
        return Some("none that can be compared".into());
    };
    let mut keys: Vec<&String> = then.keys().chain(now.keys()).collect();
    keys.sort();
    let key = keys
        .into_iter()
        .find(|key| then.get(*key) != now.get(*key))?;
    let said = |value: Option<&Value>| value.map_or("nothing".into(), Value::to_string);
    let (then, now) = (said(then.get(key)), said(now.get(key)));
    Some(format!("{key} {then}, now {now}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    fn identity() -> Identity {
        let file = |path: &str| FileSum {
            path: path.into(),
            sha256: path.repeat(2),
        };
        Identity {
            trainer: TRAINER,
            model: "m".into(),
            tokenizer: vec![file("tokenizer.json")],
            device: Device::Cpu,
            data: vec![file("a"), file("b")],
            holdout: vec![file("h")],
            adapter_init: None,
            stage: Some(StageOf {
                number: 2,
                of: 2,
                replay_share: 0.15,
                start: crate::training::words::Start::Adapter,
            }),
            sources: vec![file("s")],
            settings: Settings::default(),
            plan_key: None,
        }
    }

    type Change = fn(&mut Identity);

    #[test]
    fn a_smaller_micro_batch_of_the_same_step_is_no_difference() {
        let then = identity();
        let of = |batch, accumulation| {
            let mut now = identity();
            now.settings.per_device_train_batch_size = batch;
            now.settings.gradient_accumulation_steps = accumulation;
            then.difference(&now)
        };
        assert_eq!(of(8, 1), None);
        assert_eq!(of(2, 4), None, "it learns from the same rows");
        let told = of(4, 1).unwrap();
        assert!(told.contains("other settings"), "{told}");
    }

    #[test]
    fn the_first_difference_is_named_by_what_it_was_and_is() {
        let cases: [(Change, &str); 14] = [
            (|now| now.trainer = 0, "by trainer 4, this is trainer 0"),
            (
                |now| now.model = "n".into(),
                "with another model: its files have changed",
            ),
            (
                |now| now.data[1].sha256 = "x".into(),
                "with other data: b has changed",
            ),
            (
                |now| now.data.truncate(1),
                "with other data: 2 files, now 1",
            ),
            (
                |now| now.holdout[0].sha256 = "x".into(),
                "with another holdout: h has changed",
            ),
            (
                |now| now.settings.learning_rate = 1e-4,
                "with other settings: learning_rate 0.0002, now 0.0001",
            ),
            (
                |now| now.tokenizer[0].sha256 = "x".into(),
                "with another tokenizer: tokenizer.json has changed",
            ),
            (
                |now| now.tokenizer.clear(),
                "with another tokenizer: tokenizer.json has changed",
            ),
            (
                |now| now.device = Device::Cuda,
                "on cpu, and now it is to be on cuda",
            ),
            (
                |now| now.stage.as_mut().unwrap().replay_share = 0.5,
                "as another stage: replay_share 0.15, now 0.5",
            ),
            (
                |now| {
                    now.plan_key = Some(PlanKey {
                        padded_rows: 128,
                        slots: vec![128],
                        rank_bucket: [64; 4],
                        aligned_ranks: vec![16],
                        drops: vec![true],
                        borders: "x".into(),
                    });
                },
                "in another sweep, and its numbers depend on it: none that can be compared",
            ),
            (
                |now| now.stage = None,
                "as another stage: none that can be compared",
            ),
            (
                |now| now.sources[0].sha256 = "x".into(),
                "with other data: s has changed",
            ),
            (
                |now| now.adapter_init = Some(now.data[0].clone()),
                "from another adapter",
            ),
        ];
        for (change, said) in cases {
            let mut now = identity();
            change(&mut now);
            assert_eq!(identity().difference(&now).as_deref(), Some(said));
        }
        let mut moved = identity();
        moved.data[0].path = "elsewhere".into();
        assert_eq!(identity().difference(&moved), None);
    }

    #[test]
    fn a_setting_that_an_older_one_does_not_know_has_its_default() {
        let mut value = serde_json::to_value(identity()).unwrap();
        let settings = value["settings"].as_object_mut().unwrap();
        assert!(settings.remove("packing").is_some());
        let read: Identity = serde_json::from_value(value).unwrap();
        assert_eq!(read.difference(&identity()), None);
    }
}
