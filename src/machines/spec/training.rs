//! What is asked of training: the fine-tunes of a cycle, and the stages of each.

use crate::{
    training::{
        settings::Settings,
        words::{Device, Loss, Start},
    },
    words::words,
};
use serde::{Deserialize, Serialize};

words! {
    /// What a fine-tune learns from: a data set of curation.
    pub enum TrainingSet {
        /// Which model to send a request to.
        Routing = "routing",
        /// A workflow from a plan.
        Codegen = "codegen",
        /// What is wrong with a workflow; with `loss = "dpo"` which of two validations is right.
        Validation = "validation",
        /// What to do about an error.
        ErrorRecovery = "error_recovery",
        /// Rows of generators that are not ours.
        Sft = "sft",
    }
}

impl TrainingSet {
    /// The directory of its rows below the data set's.
    pub fn directory(self, loss: Loss) -> &'static str {
        match (self, loss) {
            (TrainingSet::Validation, Loss::Dpo) => "validation_preferences",
            (TrainingSet::Sft, _) => "samples",
            (set, _) => set.name(),
        }
    }
}

/// `[training]`: the fine-tunes of a cycle, side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingSpec {
    /// The fine-tunes.
    pub runs: Vec<RunSpec>,
    /// Limit of one training job in seconds.
    pub time_seconds: u64,
}

/// One fine-tune.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// What it is called; with the cycle it names the run's directory.
    pub name: String,
    /// The directory of the model that it starts from.
    pub model: String,
    /// What it learns from; none: the one data set that there is.
    pub dataset: Option<TrainingSet>,
    /// With fewer rows to train on nothing is launched.
    pub minimum_examples: u64,
    /// Whether merged weights are written as well.
    pub merge: bool,
    /// Where is computed.
    pub device: Device,
    /// Hyperparameters.
    pub settings: Settings,
    /// Its stages, in order; none: one stage of the run's data set.
    pub stages: Vec<StageSpec>,
}

/// One stage of a fine-tune.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageSpec {
    /// What it is called.
    pub name: String,
    /// What it learns from.
    pub data: StageData,
    /// Share of its rows that are replayed from the stages before, 0 to below 1.
    pub replay_share: f64,
    /// What it starts from; nothing to the first.
    pub start: Start,
}

/// What a stage learns from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageData {
    /// The run's data set.
    OfRun,
    /// Another data set.
    Set(TrainingSet),
    /// A file of rows.
    File(String),
}

impl RunSpec {
    /// How many stages it has.
    pub fn stage_count(&self) -> u32 {
        u32::try_from(self.stages.len()).unwrap_or(u32::MAX).max(1)
    }

    /// What a stage learns from, by its number from 1.
    pub fn data(&self, stage: u32) -> &StageData {
        let named = self.stages.get(stage.max(1) as usize - 1);
        named.map_or(&StageData::OfRun, |stage| &stage.data)
    }

    /// Whether a stage's merged model is written: asked for, or what the next stage starts from.
    pub fn merges(&self, stage: u32) -> bool {
        let next = self.stages.get(stage as usize);
        self.merge || next.is_some_and(|next| next.start == Start::Merged)
    }

    fn problems(&self, refuse: &mut impl FnMut(bool, String)) {
        let name = &self.name;
        for (key, value, right) in self.settings.problems() {
            refuse(
                true,
                format!("training run {name}: {key} = {value}, not {right}"),
            );
        }
        refuse(
            self.model.is_empty(),
            format!("training run {name} has no model"),
        );
        refuse(
            self.stages.len() > MOST_STAGES,
            format!("training run {name} has more than {MOST_STAGES} stages"),
        );
        for (stage, at) in self.stages.iter().zip(1..) {
            let share = stage.replay_share;
            refuse(
                !(0.0..1.0).contains(&share) || (at == 1 && share > 0.0),
                format!("training run {name}, stage {at}: replay_share = {share}"),
            );
        }
    }
}

/// The most fine-tunes of a cycle, and stages of one.
pub const MOST_RUNS: usize = 100;
/// See [`MOST_RUNS`].
pub const MOST_STAGES: usize = 100;

impl TrainingSpec {
    /// The fine-tune of that name.
    pub fn run(&self, name: &str) -> Option<&RunSpec> {
        self.runs.iter().find(|run| run.name == name)
    }

    /// Tells `refuse` what is wrong.
    pub(super) fn problems(&self, refuse: &mut impl FnMut(bool, String)) {
        let count = self.runs.len();
        refuse(
            !(1..=MOST_RUNS).contains(&count),
            format!("training has {count} runs, not 1 to {MOST_RUNS}"),
        );
        for (at, run) in self.runs.iter().enumerate() {
            let name = &run.name;
            // It becomes a directory's name.
            refuse(
                name.parse::<crate::ids::CampaignId>().is_err(),
                format!("\"{name}\" cannot be a training run's name"),
            );
            let again = self.runs[..at].iter().any(|other| other.name == *name);
            refuse(again, format!("two training runs have the name {name}"));
            run.problems(refuse);
        }
    }
}
