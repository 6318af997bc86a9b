//! The files of an experiment's runs, rendered: fine-tunes for a back end, scripts of evaluations. Whoever calls writes them.
//!
//! ```text
//! rank8_lr1e-5/
//!   setup_finetune.yaml     what the run is: its values, inputs, output
//!   config.yaml, .json      every parameter, by the config generator
//!   finetune.yaml           what the back end is given (built-in: train.toml says the same)
//!   finetune.slurm          the job
//!   eval/TASK_epochN.slurm  its evaluations
//! ```

pub mod builtin;
pub mod inspect;
pub mod shell;
pub mod torchtune;

use super::{
    config::Config,
    plan::{Plan, Run},
    vocabulary::Vocabulary,
    yaml::Node,
};

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Below the experiment's directory, with `/` between.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// Where an experiment is, and what it calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The experiment's directory, whole.
    pub directory: String,
    /// The program that trains and evaluates with the built-in back end.
    pub campaignd: String,
}

impl Place {
    /// A directory or file of a run, whole.
    pub fn of(&self, run: &str, below: &str) -> String {
        match below {
            "" => format!("{}/{run}", self.directory),
            below => format!("{}/{run}/{below}", self.directory),
        }
    }
}

/// The files that every run has, whatever the back end: its setup and its config.
pub fn common(plan: &Plan, words: &Vocabulary, run: &Run, config: &Config) -> Vec<File> {
    let file = |name: &str, text: String| File {
        path: format!("{}/{name}", run.name),
        text,
    };
    vec![
        file("setup_finetune.yaml", setup(plan, words, run)),
        file("config.yaml", config.yaml()),
        file("config.json", config.json()),
    ]
}

/// `setup_finetune.yaml`.
fn setup(plan: &Plan, words: &Vocabulary, run: &Run) -> String {
    let mut node = Node::map([
        ("experiment", Node::text(&plan.name)),
        ("run", Node::text(&run.name)),
        ("baseline", Node::flag(run.baseline)),
        ("back_end", Node::text(plan.back_end.name())),
    ]);
    if !words.recipe.is_empty() {
        node.set("recipe", Node::text(&words.recipe));
    }
    let model = plan.model.as_ref().map_or(Node::Null, Node::text);
    node.set("model", model);
    node.set("data", Node::texts(&plan.data));
    node.set("holdout", Node::texts(&plan.holdout));
    node.set("varied", Node::values(&run.varied));
    node.set("controls", Node::values(&plan.controls));
    let evaluations = plan
        .evaluations(run)
        .into_iter()
        .map(|(task, epoch)| evaluation(&task.name, epoch));
    node.set("evaluations", Node::texts(evaluations));
    node.document("what this run is; finetune.yaml is made of it")
}

/// What the evaluation of a task after an epoch is called.
pub fn evaluation(task: &str, epoch: u32) -> String {
    format!("{task}_epoch{epoch}")
}
