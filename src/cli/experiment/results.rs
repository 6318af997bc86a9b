//! The results of an experiment's runs, from its directory: ours, inspect-ai's, torchtune's, and what jobs printed.

mod evaluations;

use crate::{
    cli::experiment::read::Open,
    experiment::{
        BackEnd,
        analysis::{
            EVAL_LOSS, RunResult, SECONDS, TRAIN_LOSS,
            items::Items,
            logs::{self, Progress},
        },
        plan::Run,
        scaffold::{builtin::ADAPTER, torchtune::OUTPUT},
    },
    training::metrics::{Row, rows},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// Of a file that a job printed so much is read: its end.
const END_OF_A_LOG: u64 = 16 << 20;

/// What a run's directory says of it.
pub fn of(open: &Open, run: &Run) -> RunResult {
    let dir = open.dir.join(&run.name);
    let mut found = RunResult::of(run);
    if !dir.is_dir() {
        found.why.push("it is not scaffolded".into());
        return found;
    }
    match open.plan.back_end {
        BackEnd::Torchtune => torchtune(&dir, &mut found),
        BackEnd::Builtin | BackEnd::Generic => builtin(&dir.join(ADAPTER), &mut found),
    }
    evaluations::read(open, run, &dir, &mut found);
    if found.metrics.is_empty() && found.not_finite.is_empty() {
        found.why.extend(died(&dir));
    }
    found
}

/// What a run answered item by item.
pub fn items(open: &Open, name: &str) -> Items {
    let mut found = Items::new();
    if let Some(run) = open.plan.run(name) {
        evaluations::items(open, run, &open.dir.join(name), &mut found);
    }
    found
}

/// The result of `campaignd train`.
fn builtin(adapter: &Path, found: &mut RunResult) {
    let path = adapter.join("training.json");
    let Ok(text) = fs::read(&path) else {
        found
            .why
            .push("its fine-tune has no result: adapter/training.json is not there".into());
        return;
    };
    let written: Value = match serde_json::from_slice(&text) {
        Ok(written) => written,
        Err(error) => {
            found
                .why
                .push(format!("adapter/training.json cannot be read: {error}"));
            return;
        }
    };
    found.sources.push("adapter/training.json".into());
    let trained = &written["trained"];
    // JSON has no word for what is no number: it is null where there were steps.
    let number = |key: &str| trained[key].as_f64();
    let steps = trained["steps"].as_u64().unwrap_or(0);
    if steps > 0 {
        found.measured(TRAIN_LOSS, number("last_loss"));
    }
    if trained["holdout_rows"].as_u64().unwrap_or(0) > 0 {
        found.measured(EVAL_LOSS, number("eval_loss"));
    }
    if let Ok(text) = fs::read_to_string(adapter.join("metrics.jsonl")) {
        found.sources.push("adapter/metrics.jsonl".into());
        found.rows = rows(&text);
        let seconds: f64 = steps_of(&found.rows)
            .map(|(tokens, rate)| tokens / rate)
            .filter(|s| s.is_finite())
            .sum();
        if seconds > 0.0 {
            found.measured(SECONDS, Some(seconds));
        }
    }
}

/// Tokens of each step, and how many a second.
fn steps_of(rows: &[Row]) -> impl Iterator<Item = (f64, f64)> {
    let mut before = 0;
    rows.iter().filter_map(move |row| match row {
        Row::Step(step) => {
            let tokens = step.tokens.saturating_sub(before);
            before = step.tokens;
            Some((tokens as f64, step.tokens_per_second))
        }
        Row::Look(_) => None,
    })
}

/// The result of torchtune: its logger's files, and what its job printed.
fn torchtune(dir: &Path, found: &mut RunResult) {
    let mut logged: BTreeMap<u64, BTreeMap<String, f64>> = BTreeMap::new();
    let mut bar: Vec<Progress> = Vec::new();
    for path in files(&dir.join(OUTPUT).join("logs"), "log_", ".txt") {
        for (step, all) in logs::metrics(&text(&path)) {
            logged.entry(step).or_default().extend(all);
        }
        found.sources.push(below(dir, &path));
    }
    let mut printed = String::new();
    for path in outputs(dir) {
        printed += &text(&path);
        printed.push('\n');
        found.sources.push(below(dir, &path));
    }
    for (step, all) in logs::metrics(&printed) {
        logged.entry(step).or_default().extend(all);
    }
    bar.extend(logs::progress(&printed));
    found.rows = logs::rows(&bar, &logged);
    if let Some(loss) = logs::last_loss(&found.rows) {
        found.measured(TRAIN_LOSS, Some(loss));
    } else {
        found.why.push(
            "its fine-tune has no result: no step in output/logs, none in slurm-*.out or local-*.out".into(),
        );
    }
    let look = found.rows.iter().rev().find_map(|row| match row {
        Row::Look(look) => Some(look.eval_loss),
        Row::Step(_) => None,
    });
    if look.is_some() {
        found.measured(EVAL_LOSS, look);
    }
    let rates: Vec<f64> = logged
        .values()
        .filter_map(|all| all.get("tokens_per_second_per_gpu").copied())
        .collect();
    if let Some(rate) = crate::experiment::estimate::median(&rates) {
        found.measured("tokens_per_second", Some(rate));
    }
}

/// What the latest job of a run died of, or that there was none.
fn died(dir: &Path) -> Vec<String> {
    let all = outputs(dir);
    let Some(last) = all.last() else {
        return vec!["no job has run: there is no slurm-*.out and no local-*.out".into()];
    };
    let of_last = all
        .iter()
        .rev()
        .filter(|path| path.file_stem() == last.file_stem());
    let why = of_last.map(|path| {
        Some(format!(
            "{}: {}",
            below(dir, path),
            logs::death(&text(path))?
        ))
    });
    why.flatten().take(1).collect()
}

/// What jobs printed, the latest last: on SLURM by its numbers, then here by time, for a process id says nothing of that.
pub fn outputs(dir: &Path) -> Vec<PathBuf> {
    let both = |start: &str| {
        let mut all = files(dir, start, ".out");
        all.extend(files(dir, start, ".err"));
        all
    };
    let (mut all, mut here) = (both("slurm-"), both("local-"));
    let number = |path: &PathBuf| {
        let stem = path.file_stem()?.to_str()?.strip_prefix("slurm-")?;
        stem.split('_').next()?.parse::<u64>().ok()
    };
    // What a job complained of stands behind what it printed.
    let complaint = |path: &Path| path.extension().is_some_and(|kind| kind == "err");
    all.sort_by_key(|path| (number(path), complaint(path), path.clone()));
    let spoke = |path: &PathBuf| {
        // The later of its two files tells when it last said something.
        let made =
            |kind| fs::metadata(path.with_extension(kind)).and_then(|found| found.modified());
        ["out", "err"].map(made).into_iter().flatten().max()
    };
    here.sort_by_key(|path| (spoke(path), complaint(path), path.clone()));
    all.extend(here);
    all
}

/// Files of a directory with such a name, sorted.
pub fn files(dir: &Path, start: &str, end: &str) -> Vec<PathBuf> {
    let fits = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(start) && name.ends_with(end)) && path.is_file()
    };
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut all: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(fits)
        .collect();
    all.sort();
    all
}

/// The end of a file; nothing of one that cannot be read.
pub fn text(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let from = file.metadata()?.len().saturating_sub(END_OF_A_LOG);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(END_OF_A_LOG).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// A path below a run's directory.
pub fn below(dir: &Path, path: &Path) -> String {
    path.strip_prefix(dir).unwrap_or(path).display().to_string()
}
