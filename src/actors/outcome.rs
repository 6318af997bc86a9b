//! What a training or an evaluation must have left when it says that it is done: an exit status alone is no adapter.

use crate::{
    artifacts::{named, run},
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
    fn other_work_is_judged_otherwise() {
        let work = Work::Command { argv: Vec::new() };
        assert_eq!(expected(&work).unwrap(), Vec::<PathBuf>::new());
    }
}
