//! A campaign rehearsed: the program's own decisions in virtual time, in a world that is made up.
//!
//! What decides is real: [`crate::machines::step`], admission, the budget, the planner and the gate. What a task takes, what
//! fails and what a fine-tune comes to are [`Assumptions`], and nothing of the world is looked at. The same campaign and the
//! same assumptions give the same [`Rehearsed`].

mod bounds;
mod chance;
mod objective;
mod play;
mod record;
mod work;
mod world;

pub use bounds::Overshoot;
pub use objective::{Bowl, Objective, Row};
pub use play::rehearse;
pub use record::{CycleResult, PhaseTime, Rehearsed};

use serde::Serialize;

/// What is assumed of the world, not measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assumptions {
    /// Root of all that happens by chance.
    pub seed: u64,
    /// Mean score of the pilot's samples, 0 to 1.
    pub quality: f64,
    /// Samples that a task makes in a second.
    pub samples_per_second: f64,
    /// Seconds of curation.
    pub curate_seconds: f64,
    /// Seconds of one fine-tune, all its stages together.
    pub train_seconds: f64,
    /// Seconds of the evaluation of a cycle.
    pub evaluate_seconds: f64,
    /// Seconds that a task runs generated workflows.
    pub execute_seconds: f64,
    /// Share of the attempts at a task that fail by chance, 0 to 1: half of them vanish, half are failed by their node.
    pub failures: f64,
    /// GPUs of a task that trains or measures here, where its fine-tune leaves the device open.
    pub gpus_per_training: u32,
    /// What a fine-tune comes to.
    pub objective: Objective,
    /// Whether the person who is asked says yes.
    pub approve: bool,
    /// With more events than this the rehearsal is given up.
    pub most_events: u64,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self {
            seed: 1,
            quality: 0.85,
            samples_per_second: 2.0,
            curate_seconds: 60.0,
            train_seconds: 3600.0,
            evaluate_seconds: 300.0,
            execute_seconds: 3600.0,
            failures: 0.0,
            gpus_per_training: 1,
            objective: Objective::Analytic(Bowl::of("eval_loss")),
            approve: false,
            most_events: 200_000,
        }
    }
}

impl Assumptions {
    /// What cannot be assumed, as a sentence.
    pub fn problem(&self) -> Option<String> {
        let share = |name: &str, value: f64| {
            let wrong = !(0.0..=1.0).contains(&value);
            wrong.then(|| format!("{name} = {value} is not between 0 and 1"))
        };
        let time = |name: &str, value: f64| {
            // Beyond a thousand years every sum of times is one.
            let wrong = !(0.0..=3.2e10).contains(&value);
            wrong.then(|| format!("{name} = {value} is no number of seconds"))
        };
        let rate = self.samples_per_second;
        share("quality", self.quality)
            .or(share("failures", self.failures))
            .or(time("curate", self.curate_seconds))
            .or(time("train", self.train_seconds))
            .or(time("evaluate", self.evaluate_seconds))
            .or(time("execute", self.execute_seconds))
            .or((!(1e-6..=1e12).contains(&rate))
                .then(|| format!("rate = {rate} is no number of samples a second")))
            .or(self.objective.problem())
    }
}
