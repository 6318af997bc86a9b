//! What an experiment is made of: whether it is there.

use super::DesignArgs;
use crate::{
    cli::{
        experiment::files::{problem, whole},
        fail::Fail,
    },
    control::api::ErrorView,
    experiment::{BackEnd, names, plan::Task},
};
use std::path::{Path, PathBuf};

/// Files and directories, whole.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The base model.
    pub model: Option<String>,
    /// Rows to learn from.
    pub data: Vec<String>,
    /// Rows that are only looked at.
    pub holdout: Vec<String>,
    /// What is evaluated.
    pub tasks: Vec<Task>,
}

/// Looks.
///
/// # Errors
/// All that is missing, or is no task.
pub fn look(args: &DesignArgs) -> Result<Inputs, Fail> {
    let mut wrong = Vec::new();
    let mut there = |path: &Path, what: &str, right: &str| match path.to_str() {
        None => wrong.push(problem(
            &format!("the {what} has a name that is no text"),
            &path.display().to_string(),
            right,
        )),
        Some(_) if path.exists() => {}
        Some(_) => wrong.push(problem(
            &format!("the {what} is not there"),
            &path.display().to_string(),
            right,
        )),
    };
    let text = |path: &PathBuf| whole(path).to_string_lossy().into_owned();
    if let Some(model) = &args.model {
        there(
            &whole(model).join("config.json"),
            "model",
            "--model DIR, a Hugging Face model directory",
        );
    }
    for file in &args.data {
        there(&whole(file), "file of rows", "--data FILE");
    }
    for file in &args.holdout {
        there(&whole(file), "holdout", "--holdout FILE");
    }
    let tasks = tasks(args, &mut wrong);
    epochs(args, &mut wrong);
    match wrong.is_empty() {
        true => Ok(Inputs {
            model: args.model.as_ref().map(text),
            data: args.data.iter().map(text).collect(),
            holdout: args.holdout.iter().map(text).collect(),
            tasks,
        }),
        false => Err(Fail(wrong)),
    }
}

fn tasks(args: &DesignArgs, wrong: &mut Vec<ErrorView>) -> Vec<Task> {
    let scripts = args.back_end == BackEnd::Torchtune;
    // The built-in back end evaluates on rows: without a word, on the holdout's.
    let given: Vec<String> = match args.eval.as_slice() {
        [] if !scripts => args
            .holdout
            .iter()
            .map(|file| file.to_string_lossy().into_owned())
            .collect(),
        given => given.to_vec(),
    };
    let mut tasks: Vec<Task> = Vec::new();
    for word in &given {
        let (file, name) = match word.rsplit_once('@') {
            Some((file, name)) if scripts => (file, Some(name.to_string())),
            _ => (word.as_str(), None),
        };
        let path = whole(Path::new(file));
        let right = match scripts {
            true => "--eval TASK.py or TASK.py@name, an inspect-ai script",
            false => "--eval FILE, held-out rows",
        };
        if !path.is_file() {
            wrong.push(problem(
                "there is no such task",
                &path.display().to_string(),
                right,
            ));
            continue;
        }
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let called = plain(name.as_deref().or(stem.as_deref()).unwrap_or("task"));
        if let Some(why) = names::problem(&called) {
            wrong.push(problem(
                &format!("{called:?} is no name for a task: {why}"),
                word,
                right,
            ));
        }
        if tasks.iter().any(|other| other.name == called) {
            wrong.push(problem(
                &format!("two tasks are called {called}"),
                word,
                "tasks with different names",
            ));
        }
        tasks.push(Task {
            name: called,
            script: path.to_string_lossy().into_owned(),
            task: name,
        });
    }
    tasks
}

/// Signs of a file's name that a script's name cannot have become lines.
fn plain(word: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    word.chars()
        .map(|c| if fine(c) { c } else { '-' })
        .collect()
}

fn epochs(args: &DesignArgs, wrong: &mut Vec<ErrorView>) {
    if args.back_end == BackEnd::Builtin && !args.eval_epochs.is_empty() {
        let right = "without --eval-epochs: the built-in trainer keeps the adapter that is best on the holdout";
        wrong.push(problem(
            "there is one adapter of a run, not one of every epoch",
            "--eval-epochs",
            right,
        ));
    }
}
