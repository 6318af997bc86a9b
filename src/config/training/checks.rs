//! What several keys of a fine-tune together forbid: found before days of generation, not after.

use crate::{
    config::problem::Problem,
    machines::spec::{RunSpec, StageData, TrainingSet},
    training::{architecture::Architecture, words::Loss},
};
use std::{path::Path, time::Duration};

/// The longest time limit of a job: the deadline of the campaign's `training` state, which counts from its launch.
pub(super) const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// What is wrong with a run: key, message, what would be right. `built_in` says that the built-in generator makes the data.
pub(super) fn run(run: &RunSpec, built_in: bool) -> Vec<(&'static str, String, &'static str)> {
    let mut found = Vec::new();
    let stages: Vec<&StageData> = (1..=run.stage_count()).map(|at| run.data(at)).collect();
    let named = |data: &&StageData| match data {
        StageData::Set(set) => Some(("stage", *set)),
        StageData::OfRun => run.dataset.map(|set| ("dataset", set)),
        StageData::File(_) => None,
    };
    let dpo = run.settings.loss == Loss::Dpo;
    let mut sets: Vec<(&str, TrainingSet)> = stages.iter().filter_map(named).collect();
    sets.dedup();
    for (key, set) in sets {
        if dpo && set != TrainingSet::Validation {
            let message = format!("dpo learns from preferences, which {set} has none of");
            found.push((key, message, "\"validation\", or loss = \"sft\""));
        } else if built_in && set == TrainingSet::Sft {
            let message = "the built-in generator makes no rows of the data set sft".to_string();
            let right = "routing, codegen, validation, error_recovery; or a generator.command";
            found.push((key, message, right));
        }
    }
    let of_run = stages.iter().any(|data| **data == StageData::OfRun);
    if built_in && !dpo && run.dataset.is_none() && of_run {
        let message = "the built-in generator makes several data sets, and none is named";
        let right = "dataset = \"routing\", \"codegen\", \"validation\" or \"error_recovery\"";
        found.push(("dataset", message.into(), right));
    }
    let file = stages.iter().any(|data| matches!(data, StageData::File(_)));
    if run.settings.early_stopping_patience > 0 && file {
        let message = "early stopping looks at held-out rows, which a file of rows has none of";
        let right = "early_stopping_patience = 0, or stages of data sets alone";
        found.push(("early_stopping_patience", message.into(), right));
    }
    found
}

/// What keeps a model from being trained, by the text of its `config.json`.
pub(super) fn model(path: &Path, text: &[u8]) -> Option<Problem> {
    let message = Architecture::of_config(text).err()?;
    Some(Problem {
        message,
        at: path.display().to_string(),
        right: Some("a model of one of these architectures".into()),
        key: Some("training.model".into()),
        value: Some(path.display().to_string()),
        ..Problem::default()
    })
}
