//! Evaluations of a run: directories of `campaignd evaluate`, and `.eval` logs of inspect-ai.

use super::{below, text};
use crate::{
    cli::experiment::read::Open,
    evaluation::{job::Measured, paired::Share},
    experiment::{
        analysis::{
            RunResult,
            items::{Answered, Items, graded, ours},
        },
        plan::{Run, Task},
        scaffold::evaluation,
    },
    report::inspect::{self, Log},
};
use std::{
    fs::{self, File},
    io::{BufReader, ErrorKind},
    path::{Path, PathBuf},
};

/// Notes the numbers of every evaluation, and what is missing.
pub fn read(open: &Open, run: &Run, dir: &Path, found: &mut RunResult) {
    let eval = dir.join("eval");
    for (task, epoch) in open.plan.evaluations(run) {
        let results = eval
            .join(evaluation(&task.name, epoch))
            .join("results.json");
        match fs::read(&results) {
            Ok(text) => measured(
                &text,
                &label(open, run, task, epoch),
                below(dir, &results),
                found,
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => found.why.push(format!("{}: {error}", below(dir, &results))),
        }
    }
    for path in logs(&eval.join("logs")) {
        let shown = below(dir, &path);
        match log(&path) {
            Ok(log) => scored(open, run, (&log, &shown), found),
            Err(why) => found.why.push(format!("{shown} cannot be read: {why}")),
        }
    }
}

/// What a task's numbers are called: of an epoch before the last with the epoch.
fn label(open: &Open, run: &Run, task: &Task, epoch: u32) -> String {
    match epoch == open.plan.last_epoch(run) {
        true => task.name.clone(),
        false => evaluation(&task.name, epoch),
    }
}

fn measured(text: &[u8], label: &str, shown: String, found: &mut RunResult) {
    let measured: Measured = match serde_json::from_slice(text) {
        Ok(measured) => measured,
        Err(error) => {
            found.why.push(format!("{shown} cannot be read: {error}"));
            return;
        }
    };
    // The base stands first.
    if let Some(arm) = measured.arms.get(1) {
        for (metric, scored) in &arm.metrics {
            found.measured(format!("{label}/{}", metric.name()), Some(scored.value));
        }
        found.sources.push(shown);
    } else {
        found.why.push(format!("{shown} measured no adapter"));
    }
}

/// Every `.eval` below a directory and the directories in it, sorted.
fn logs(dir: &Path) -> Vec<PathBuf> {
    let of = |dir: &Path| super::files(dir, "", ".eval");
    let mut all = of(dir);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            all.extend(of(&entry.path()));
        }
    }
    all
}

fn log(path: &Path) -> Result<Log<BufReader<File>>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    inspect::read(BufReader::new(file))
}

/// The task of a log and the epoch after which it was run: what the script wrote into it, else the task's own name.
fn of_log(open: &Open, run: &Run, log: &Log<BufReader<File>>) -> String {
    let spec = &log.header.eval;
    let said = |key: &str| match spec.metadata.get(key) {
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(serde_json::Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let epoch = said("epoch").and_then(|text| text.parse::<u32>().ok());
    let own = spec
        .task
        .rsplit('/')
        .next()
        .unwrap_or(&spec.task)
        .to_string();
    let name = said("task_name").unwrap_or(own);
    match epoch.filter(|epoch| *epoch != open.plan.last_epoch(run)) {
        Some(epoch) => evaluation(&name, epoch),
        None => name,
    }
}

fn scored(
    open: &Open,
    run: &Run,
    (log, shown): (&Log<BufReader<File>>, &str),
    found: &mut RunResult,
) {
    let label = of_log(open, run, log);
    let header = &log.header;
    if header.status != "success" {
        let why = header
            .error
            .as_ref()
            .map_or(String::new(), |error| format!(": {}", error.message));
        found
            .why
            .push(format!("{shown} ended as {:?}{why}", header.status));
        return;
    }
    let scores = header.results.iter().flat_map(|results| &results.scores);
    for score in scores {
        for (name, metric) in &score.metrics {
            found.measured(format!("{label}/{}/{name}", score.name), metric.value);
        }
    }
    found.sources.push(shown.into());
}

/// Notes what a run answered, item by item, after its last epoch.
pub fn items(open: &Open, run: &Run, dir: &Path, found: &mut Items) {
    let eval = dir.join("eval");
    let last = open.plan.last_epoch(run);
    for (task, epoch) in open
        .plan
        .evaluations(run)
        .into_iter()
        .filter(|(_, epoch)| *epoch == last)
    {
        let path = eval.join(evaluation(&task.name, epoch)).join("items.jsonl");
        if path.is_file() {
            ours(&task.name, &text(&path), found);
        }
    }
    for log in logs(&eval.join("logs"))
        .iter()
        .filter_map(|path| log(path).ok())
    {
        if log.header.status == "success" {
            of_inspect(&of_log(open, run, &log), &log, found);
        }
    }
}

fn of_inspect(label: &str, log: &Log<BufReader<File>>, found: &mut Items) {
    for sample in &log.summaries {
        // The same sample asked again knows of itself.
        let cluster = format!("{label}/{}", sample.id);
        let shares = sample
            .scores
            .iter()
            .flatten()
            .filter_map(|(scorer, given)| {
                let share = Share {
                    sum: graded(&given.value)?,
                    count: 1.0,
                };
                Some((format!("{label}/{scorer}"), share))
            });
        let answered = Answered {
            shares: shares.collect(),
            cluster: cluster.clone(),
        };
        found.insert(format!("{cluster}/{}", sample.epoch), answered);
    }
}
