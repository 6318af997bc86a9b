//! What a job must have left when it says that it is done: an exit status alone is no adapter, and no workflow that has run.

use crate::{
    artifacts::{
        executions::{self, Summary},
        named, run,
    },
    evaluation::job::Measure,
    executor::job_dir::{JobDir, Work},
    training::job::FineTune,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The first file of a job's result that is not there; none for work of other kinds.
///
/// # Errors
/// Those of reading the request, or of looking.
pub(super) fn missing(dir: &JobDir) -> io::Result<Option<PathBuf>> {
    for path in expected(&dir.read_request()?.work)? {
        match fs::metadata(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(path)),
            Err(error) => return Err(named(error, "read", &path)),
        }
    }
    Ok(None)
}

/// What a task of the execution has left.
#[derive(Debug, Default)]
pub(super) struct Executed {
    /// What it says of itself, once it has nothing more to run.
    pub summary: Option<Summary>,
    /// Distinct workflows that its lines tell of.
    pub run: u64,
}

/// Looks at the files of one task of the execution.
///
/// # Errors
/// Those of reading them.
pub(super) fn executed(lines: &Path, summary: &Path) -> io::Result<Executed> {
    let summary = executions::summary(summary)?;
    // Lines are long: they are counted when the task says that it is done.
    let run = match &summary {
        Some(_) => executions::count(lines)?,
        None => 0,
    };
    Ok(Executed { summary, run })
}

impl Executed {
    /// Why a task that ended with status 0 is not done, or what it did. Its lines on disk are the evidence: a task that was
    /// given workflows and ran none is not complete, and neither is one where there was none to run at all.
    pub fn judged(&self) -> Result<String, String> {
        let Some(summary) = &self.summary else {
            return Err("and no account of what was run".into());
        };
        let (given, run) = (summary.given, self.run);
        match &summary.problem {
            Some(problem) => Err(format!("and {problem}")),
            None if summary.workflows == 0 => Err("and there was no workflow to run".into()),
            None if run < given => Err(format!("and too few workflows run: {run} of {given}")),
            None => Ok(format!(
                "{run} workflows run, {} with success",
                summary.succeeded
            )),
        }
    }

    /// Why a task that failed could not go on, where it says so.
    pub fn problem(&self) -> Option<&str> {
        self.summary.as_ref()?.problem.as_deref()
    }
}

/// The files that tell of a whole result: each is the last, or appears with its directory.
fn expected(work: &Work) -> io::Result<Vec<PathBuf>> {
    match work {
        Work::Train { job } => {
            let adapter = adapter(job)?;
            let files = ["adapter_config.json", "training.json"];
            Ok(files.map(|name| adapter.join(name)).into())
        }
        Work::Evaluate { jobs } => {
            let results = |job: &Measure| Path::new(&job.output).join("results.json");
            Ok(jobs.iter().map(results).collect())
        }
        _ => Ok(Vec::new()),
    }
}

fn adapter(job: &FineTune) -> io::Result<PathBuf> {
    let dir = Path::new(&job.output);
    let Some(stage) = &job.stage else {
        return Ok(dir.into());
    };
    let found = run::read(dir).and_then(|manifest| run::stage(dir, &manifest, stage.number));
    found.map(|stage| stage.adapter).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        manifest::RunManifest,
        time::Timestamp,
        training::{
            job::StageOf,
            settings::Settings,
            words::{Device, Start},
        },
    };

    fn job(output: &Path) -> FineTune {
        serde_json::from_value(serde_json::json!({
            "name": "a", "model": "/m", "data": [], "holdout": [], "output": output, "adapter_init": null,
            "merge": false, "settings": Settings::default(), "device": Device::Auto,
            "stage": StageOf { number: 2, of: 2, replay_share: 0.0, start: Start::Adapter },
        }))
        .unwrap()
    }

    #[test]
    fn a_stage_without_its_adapter_is_not_done() {
        let root = tempfile::tempdir().unwrap();
        let work = Work::Train {
            job: job(root.path()),
        };
        assert!(expected(&work).is_err(), "there is no manifest");
        let manifest = RunManifest::new("a", Timestamp(0), Path::new("/m"), 2);
        run::create(root.path(), &manifest).unwrap();
        let adapter = root.path().join("stage2/final-model");
        assert_eq!(
            expected(&work).unwrap(),
            [
                adapter.join("adapter_config.json"),
                adapter.join("training.json")
            ]
        );
    }

    #[test]
    fn a_task_that_ran_fewer_workflows_than_it_was_given_is_not_done() {
        let dir = tempfile::tempdir().unwrap();
        let (lines, summary) = (dir.path().join("shard-0.jsonl"), dir.path().join("s.json"));
        let judged = || executed(&lines, &summary).unwrap().judged();
        assert!(judged().is_err(), "it says nothing");
        let say = |workflows: u64, given: u64| {
            let said = Summary {
                workflows,
                given,
                ..Summary::default()
            };
            fs::write(&summary, serde_json::to_vec(&said).unwrap()).unwrap();
        };
        say(0, 0);
        assert!(judged().is_err(), "0 of 0");
        say(3, 2);
        assert_eq!(judged().unwrap_err(), "and too few workflows run: 0 of 2");
        let repair = "{\"id\":\"a.r1\",\"parent\":\"a\"}\n";
        let line = "{\"id\":\"a\",\"parent\":null}\n";
        fs::write(&lines, format!("{line}{repair}{line}")).unwrap();
        assert!(
            judged().is_err(),
            "a repair, or a line twice, is no workflow"
        );
        fs::write(&lines, format!("{line}{repair}{{\"id\":\"b\"}}\n")).unwrap();
        assert_eq!(judged().unwrap(), "2 workflows run, 0 with success");
        say(3, 0);
        assert!(judged().is_ok(), "others have the workflows");
    }

    #[test]
    fn other_work_is_judged_otherwise() {
        let work = Work::Command { argv: Vec::new() };
        assert_eq!(expected(&work).unwrap(), Vec::<PathBuf>::new());
    }
}
