//! `run-manifest.json`: where every stage of a training run writes what it makes (specification 5, approach B).
//!
//! Written whole before the first stage starts, and never changed. It says nothing about how far the run is: what exists is
//! done, and a stage whose input does not exist fails.
//!
//! Everything that a run makes hangs on one of its paths: below an adapter's directory (`adapters_path`, `final_model_path`)
//! are its card, its curve, its best checkpoint, and in a later stage `merged/`; beside it, under the adapter's name with
//! `.campaignd-training` behind a dot, what is needed until it is complete. A base model that is made on the spot is an input
//! and lies outside the run.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path},
};

/// The file's name in a run's directory.
pub const RUN_MANIFEST: &str = "run-manifest.json";

/// The paths of a run, each relative to the run's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunManifest {
    /// Which run it is.
    pub run_metadata: RunMetadata,
    /// The first stage.
    pub stage1: FirstStage,
    /// The others, by `stage2`, `stage3` ...
    #[serde(flatten)]
    pub later: BTreeMap<String, LaterStage>,
}

/// Which run it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunMetadata {
    /// Its id.
    pub run_id: String,
    /// When it was created, RFC 3339.
    pub timestamp: String,
    /// The name of the model that it starts from; no path of a machine.
    pub base_model: String,
}

/// What the first stage makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstStage {
    /// The adapter's directory.
    pub adapters_path: String,
    /// The merged model's.
    pub merged_model_path: String,
    /// The rows that it learns from.
    pub training_data_path: String,
}

/// What a later stage makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaterStage {
    /// The model's directory: the adapter, and merged weights below it where they are asked for.
    pub final_model_path: String,
    /// The rows that it learns from.
    pub training_data_paths: MixedData,
}

/// The rows of a later stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixedData {
    /// Its own rows with those replayed from the stages before.
    pub mixed_dataset: String,
}

/// The paths of one stage, relative to the run's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageFiles<'a> {
    /// The adapter's directory.
    pub adapter: &'a str,
    /// The merged model's; none: below the adapter's.
    pub merged: Option<&'a str>,
    /// The rows.
    pub rows: &'a str,
}

impl RunManifest {
    /// The manifest of a run of so many stages. `model` is the directory of its base model, of which the name is kept.
    pub fn new(run_id: &str, created: Timestamp, model: &Path, stages: u32) -> Self {
        let base_model = model.file_name().unwrap_or(model.as_os_str());
        let later = (2..=stages).map(|number| {
            let stage = LaterStage {
                final_model_path: format!("./stage{number}/final-model/"),
                training_data_paths: MixedData {
                    mixed_dataset: format!("./stage{number}/training-data/mixed-dataset.jsonl"),
                },
            };
            (format!("stage{number}"), stage)
        });
        Self {
            run_metadata: RunMetadata {
                run_id: run_id.into(),
                timestamp: created.to_string(),
                base_model: base_model.to_string_lossy().into_owned(),
            },
            stage1: FirstStage {
                adapters_path: "./stage1/adapters/".into(),
                merged_model_path: "./stage1/merged-model/".into(),
                training_data_path: "./stage1/training-data/analysis-dataset.jsonl".into(),
            },
            later: later.collect(),
        }
    }

    /// How many stages there are.
    pub fn stages(&self) -> u32 {
        u32::try_from(self.later.len() + 1).unwrap_or(u32::MAX)
    }

    /// The paths of a stage, by its number from 1.
    pub fn stage(&self, number: u32) -> Option<StageFiles<'_>> {
        if number == 1 {
            let first = &self.stage1;
            return Some(StageFiles {
                adapter: &first.adapters_path,
                merged: Some(&first.merged_model_path),
                rows: &first.training_data_path,
            });
        }
        let later = self.later.get(&format!("stage{number}"))?;
        Some(StageFiles {
            adapter: &later.final_model_path,
            merged: None,
            rows: &later.training_data_paths.mixed_dataset,
        })
    }

    /// What no manifest may say, a sentence; none for a sound one.
    pub fn problem(&self) -> Option<String> {
        let unnumbered = |name: &&String| {
            let number = name.strip_prefix("stage").and_then(|n| n.parse().ok());
            number.is_none_or(|n: u32| {
                !(2..=self.stages()).contains(&n) || **name != format!("stage{n}")
            })
        };
        if let Some(name) = self.later.keys().find(unnumbered) {
            return Some(format!("{name} is no stage: they are numbered from 1"));
        }
        let base = Path::new(&self.run_metadata.base_model);
        if base.is_absolute() || !plain(base) {
            return Some(format!("base_model = \"{}\" is no name", base.display()));
        }
        let stages = (1..=self.stages()).filter_map(|number| self.stage(number));
        let mut seen = BTreeSet::new();
        for stage in stages {
            for path in [Some(stage.adapter), stage.merged, Some(stage.rows)] {
                let Some(text) = path else { continue };
                let path = Path::new(text);
                if path.is_absolute() || text.contains('\0') || !plain(path) {
                    return Some(format!("the path \"{text}\" leads out of the run"));
                }
                // Components without `.` and trailing slashes: what is one file has one name.
                let parts: Vec<_> = path
                    .components()
                    .filter(|part| *part != Component::CurDir)
                    .collect();
                if parts.is_empty() || !seen.insert(parts) {
                    return Some(format!("the path \"{text}\" is no file of its own"));
                }
            }
        }
        None
    }
}

/// Whether a path goes down only.
fn plain(path: &Path) -> bool {
    let mut parts = path.components();
    parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn two() -> RunManifest {
        let at = Timestamp(1_759_147_200_000);
        let model = Path::new("/models/OLMo-2-1B-mlx-q4");
        RunManifest::new("webauthn-security-20250929_120000", at, model, 2)
    }

    #[test]
    fn two_stages_are_the_specifications_to_the_letter() {
        let written = serde_json::to_value(two()).unwrap();
        let expected = json!({
            "run_metadata": {
                "run_id": "webauthn-security-20250929_120000",
                "timestamp": "2025-09-29T12:00:00Z",
                "base_model": "OLMo-2-1B-mlx-q4"
            },
            "stage1": {
                "adapters_path": "./stage1/adapters/",
                "merged_model_path": "./stage1/merged-model/",
                "training_data_path": "./stage1/training-data/analysis-dataset.jsonl"
            },
            "stage2": {
                "final_model_path": "./stage2/final-model/",
                "training_data_paths": {
                    "mixed_dataset": "./stage2/training-data/mixed-dataset.jsonl"
                }
            }
        });
        assert_eq!(written, expected);
        assert_eq!(
            serde_json::from_value::<RunManifest>(written).unwrap(),
            two()
        );
        assert_eq!(two().problem(), None);
    }

    #[test]
    fn one_stage_has_no_second_and_twelve_are_all_found() {
        let of = |stages| RunManifest::new("r", Timestamp(0), Path::new("m"), stages);
        assert_eq!(
            serde_json::to_value(of(1))
                .unwrap()
                .as_object()
                .unwrap()
                .len(),
            2
        );
        assert_eq!((of(1).stages(), of(12).stages()), (1, 12));
        assert_eq!(of(12).problem(), None);
        assert_eq!(of(12).stage(12).unwrap().adapter, "./stage12/final-model/");
        assert_eq!(of(12).stage(13), None);
        assert_eq!(of(12).stage(0), None);
    }

    #[test]
    fn paths_that_leave_the_run_are_refused() {
        for path in [
            "../other",
            "/etc",
            "a/../../b",
            "",
            "./",
            "a\0b",
            "./stage1/merged-model",
        ] {
            let mut manifest = two();
            manifest.stage1.adapters_path = path.into();
            assert!(manifest.problem().is_some(), "{path:?}");
            let mut manifest = two();
            let later = manifest.later.get_mut("stage2").unwrap();
            later.training_data_paths.mixed_dataset = path.into();
            assert!(manifest.problem().is_some(), "{path:?}");
        }
        let mut manifest = two();
        manifest.run_metadata.base_model = "/models/a".into();
        assert!(manifest.problem().is_some());
        let mut manifest = two();
        let stage = manifest.later.remove("stage2").unwrap();
        manifest.later.insert("stage02".into(), stage);
        assert!(manifest.problem().is_some());
    }

    #[test]
    fn what_is_not_in_the_specification_is_not_read() {
        let mut written = serde_json::to_value(two()).unwrap();
        written["stage1"]["status"] = json!("done");
        assert!(serde_json::from_value::<RunManifest>(written).is_err());
        let mut written = serde_json::to_value(two()).unwrap();
        written["status"] = json!("done");
        assert!(serde_json::from_value::<RunManifest>(written).is_err());
    }
}
