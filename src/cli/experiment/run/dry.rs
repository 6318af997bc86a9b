//! `--dry-run`: what would be launched, in order. Nothing is written.

use super::Ready;
use crate::{
    cli::{args::Shape, experiment::files::failed, fail::Fail, out},
    experiment::{attempts::Course, config::said},
    runner::{Followed, Worker, survey},
};
use serde_json::{Value, json};

/// What would be done with one job.
struct Would {
    worker: Worker,
    name: String,
    script: String,
    attempt: u64,
    does: &'static str,
    why: String,
}

/// Says it.
///
/// # Errors
/// The job directories cannot be read.
pub(super) fn run(ready: &Ready, shape: Shape) -> Result<u8, Fail> {
    let (all, _) = survey(
        &ready.place,
        (&ready.open.plan, ready.open.words),
        ready.terms.again,
    )
    .map_err(failed)?;
    let mine = all
        .iter()
        .filter(|one| ready.workers.contains(&one.item.worker));
    let would: Vec<Would> = mine.map(|one| of(ready, one, &all)).collect();
    if shape.json {
        let jobs: Vec<Value> = would
            .iter()
            .map(|one| {
                json!({
                    "worker": one.worker.name(), "name": one.name, "script": one.script, "attempt": one.attempt,
                    "does": one.does, "why": one.why,
                })
            })
            .collect();
        let most = (ready.terms.at_once < usize::MAX).then_some(ready.terms.at_once);
        out::json(&json!({
            "version": 1, "dry_run": true, "directory": ready.open.dir, "executor": ready.executor.name(),
            "at_once": most, "jobs": jobs,
        }))?;
    } else {
        out::print(&text(ready, &would))?;
    }
    Ok(0)
}

fn of(ready: &Ready, one: &Followed, all: &[Followed]) -> Would {
    let last = one.ends.last().cloned().flatten();
    let note = last.map_or(String::new(), |last| {
        format!("{} {}", last.state, last.note)
    });
    let attempts = one.ends.len() as u64;
    let (does, attempt, why) = match one.course(ready.open.words, &ready.open.plan) {
        Course::Done(number) => ("nothing", number, "it is done".into()),
        Course::Live(number) => ("follow", number, "it was launched".into()),
        Course::Over(why) => {
            let why = why.map_or(String::new(), |why| format!("; {why}"));
            ("nothing", attempts, format!("{}{why}", note.trim()))
        }
        Course::Launch { number, over, .. } => {
            let values = match over.is_empty() {
                true => String::new(),
                false => said(&over),
            };
            match after(ready, one, all) {
                Some(why) => ("nothing", number, why),
                None => ("launch", number, values),
            }
        }
    };
    Would {
        worker: one.item.worker,
        name: one.item.name.clone(),
        script: format!("{}/{}", one.item.run.name, one.item.script),
        attempt,
        does,
        why,
    }
}

/// Why an evaluation would not be launched, however its fine-tune ends now.
fn after(ready: &Ready, one: &Followed, all: &[Followed]) -> Option<String> {
    if one.item.worker == Worker::Torchtune {
        return None;
    }
    let tune = all.iter().find(|other| {
        other.item.worker == Worker::Torchtune && other.item.run.name == one.item.run.name
    })?;
    let alone = !ready.workers.contains(&Worker::Torchtune);
    match tune.course(ready.open.words, &ready.open.plan) {
        Course::Over(_) => Some("its fine-tune failed".into()),
        Course::Done(_) => None,
        _ => alone.then(|| "its fine-tune has not ended".into()),
    }
}

fn text(ready: &Ready, would: &[Would]) -> String {
    let most = match ready.terms.at_once {
        usize::MAX => "all at once".into(),
        most => format!("{most} at once"),
    };
    let mut text = format!(
        "{}: {}, {most}; nothing is launched now\n",
        ready.open.plan.name,
        ready.executor.name()
    );
    for (worker, head) in [
        (Worker::Torchtune, "run-torchtune"),
        (
            Worker::Inspect,
            "run-inspect, when all fine-tunes have ended",
        ),
    ] {
        let mine: Vec<&Would> = would.iter().filter(|one| one.worker == worker).collect();
        if mine.is_empty() {
            continue;
        }
        text += &format!("  {head}\n");
        for one in mine {
            let attempt = match one.attempt {
                0 | 1 => String::new(),
                number => format!("  attempt {number}"),
            };
            let why = match one.why.as_str() {
                "" => String::new(),
                why => format!("  ({why})"),
            };
            text += &format!("    {:<8} bash {}{attempt}{why}\n", one.does, one.script);
        }
    }
    text
}
