//! A training run's manifest on disk: created whole, read with every path held inside the run's directory.

use super::{create_dir_private, named, write_atomic};
use crate::{
    manifest::{RUN_MANIFEST, RunManifest},
    training::words::Start,
};
use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

/// The paths of one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagePaths {
    /// The adapter's directory.
    pub adapter: PathBuf,
    /// The merged model's; none: below the adapter's.
    pub merged: Option<PathBuf>,
    /// The rows.
    pub rows: PathBuf,
}

/// Creates a run: its directory and its manifest, and nothing else. One that is there with the same content stays.
///
/// # Errors
/// Those of the file system, naming the path; `InvalidData` where another manifest is there, or for one that no run can have.
pub fn create(dir: &Path, manifest: &RunManifest) -> io::Result<()> {
    let path = dir.join(RUN_MANIFEST);
    if let Some(problem) = manifest.problem() {
        let why = format!("{} cannot be written: {problem}", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let mut text = serde_json::to_vec_pretty(manifest)?;
    text.push(b'\n');
    match fs::read(&path) {
        Ok(found) if found == text => return Ok(()),
        Ok(_) => {
            let why = format!("{} is of another run", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(named(error, "read", &path)),
    }
    create_dir_private(dir)?;
    write_atomic(&path, &text)
}

/// The model's path with a name at its end, for the manifest: `.` and `..` have none of their own.
///
/// # Errors
/// Those of the file system.
pub fn named_model(model: &Path) -> io::Result<PathBuf> {
    match model.components().next_back() {
        Some(Component::Normal(_)) => Ok(model.into()),
        _ => fs::canonicalize(model),
    }
}

/// Reads a run's manifest.
///
/// # Errors
/// A sentence that names the file: it is not there, no manifest, or leads out of the run.
pub fn read(dir: &Path) -> Result<RunManifest, String> {
    let path = dir.join(RUN_MANIFEST);
    let bytes = fs::read(&path).map_err(|error| named(error, "read", &path).to_string())?;
    let read: Result<RunManifest, _> = serde_json::from_slice(&bytes);
    let manifest =
        read.map_err(|error| format!("{} is no manifest of a run: {error}", path.display()))?;
    match manifest.problem() {
        Some(problem) => Err(format!("{}: {problem}", path.display())),
        None => Ok(manifest),
    }
}

/// Where a stage's files are, by its number from 1.
///
/// # Errors
/// A sentence: there is no such stage, or a symbolic link leads out of the run.
pub fn stage(dir: &Path, manifest: &RunManifest, number: u32) -> Result<StagePaths, String> {
    let Some(stage) = manifest.stage(number) else {
        let path = dir.join(RUN_MANIFEST);
        let all = manifest.stages();
        return Err(format!(
            "{} has {all} stages, no stage {number}",
            path.display()
        ));
    };
    if let Some(problem) = manifest.problem() {
        return Err(format!("{}: {problem}", dir.join(RUN_MANIFEST).display()));
    }
    Ok(StagePaths {
        adapter: inside(dir, stage.adapter)?,
        merged: stage.merged.map(|path| inside(dir, path)).transpose()?,
        rows: inside(dir, stage.rows)?,
    })
}

/// The merged model that a stage's adapter belongs to, where `starts` says how each stage starts, from the first: that of the
/// stage before the latest one that starts anew, up to this one; none: the run's own model.
///
/// # Errors
/// Those of [`stage`].
pub fn merged_base(
    dir: &Path,
    manifest: &RunManifest,
    starts: &[Start],
    number: u32,
) -> Result<Option<PathBuf>, String> {
    let anew = |number: &u32| starts.get(*number as usize - 1) == Some(&Start::Merged);
    let Some(anew) = (2..=number).rev().find(anew) else {
        return Ok(None);
    };
    let before = stage(dir, manifest, anew - 1)?;
    let below = || before.adapter.join("merged");
    Ok(Some(before.merged.clone().unwrap_or_else(below)))
}

/// The path below `dir`, without `.` and trailing slashes; what of it exists must lie in `dir` when every link is followed.
fn inside(dir: &Path, relative: &str) -> Result<PathBuf, String> {
    let parts = Path::new(relative).components();
    let parts = parts.filter(|part| matches!(part, Component::Normal(_)));
    let path = dir.join(parts.collect::<PathBuf>());
    let resolve = |path: &Path| {
        fs::canonicalize(path).map_err(|error| named(error, "resolve", path).to_string())
    };
    let root = resolve(dir)?;
    // A link to nothing exists too, and whatever is made of it is made elsewhere.
    let mut there = path.as_path();
    while fs::symlink_metadata(there).is_err() {
        match there.parent() {
            Some(parent) => there = parent,
            None => break,
        }
    }
    if resolve(there)?.starts_with(&root) {
        Ok(path)
    } else {
        Err(format!("{} leads out of {}", path.display(), dir.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use std::os::unix::fs::symlink;

    fn manifest(run: &str) -> RunManifest {
        RunManifest::new(run, Timestamp(0), Path::new("/models/small"), 2)
    }

    #[test]
    fn a_run_is_created_whole_once_and_with_no_directory_ahead() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("runs/run-1-a");
        for _ in 0..2 {
            create(&dir, &manifest("a")).unwrap();
            let names: Vec<_> = fs::read_dir(&dir)
                .unwrap()
                .map(|one| one.unwrap().file_name())
                .collect();
            assert_eq!(names, [RUN_MANIFEST]);
        }
        let before = fs::read(dir.join(RUN_MANIFEST)).unwrap();
        let error = create(&dir, &manifest("b")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("run-manifest.json"), "{error}");
        assert_eq!(fs::read(dir.join(RUN_MANIFEST)).unwrap(), before);
        assert_eq!(read(&dir).unwrap(), manifest("a"));
        let second = stage(&dir, &read(&dir).unwrap(), 2).unwrap();
        assert_eq!(second.adapter, dir.join("stage2/final-model"));
        assert_eq!(second.merged, None);
        assert!(
            stage(&dir, &manifest("a"), 3)
                .unwrap_err()
                .contains("no stage 3")
        );
    }

    #[test]
    fn a_model_without_a_name_gets_its_own_or_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let model = root.path().join("small");
        fs::create_dir_all(model.join("below")).unwrap();
        for path in [model.join("below/.."), model.join("."), model.clone()] {
            let named = named_model(&path).unwrap();
            assert_eq!(named.file_name().unwrap(), "small", "{}", path.display());
        }
        let manifest = RunManifest::new("a", Timestamp(0), Path::new(".."), 1);
        let error = create(&root.path().join("run"), &manifest).unwrap_err();
        assert!(error.to_string().contains("base_model"), "{error}");
        assert!(!root.path().join("run").exists(), "nothing is half made");
    }

    #[test]
    fn a_stage_belongs_to_what_the_latest_one_that_starts_anew_starts_from() {
        use Start::{Adapter, Merged};
        let root = tempfile::tempdir().unwrap();
        let manifest = RunManifest::new("a", Timestamp(0), Path::new("/models/small"), 4);
        create(root.path(), &manifest).unwrap();
        let merged = |number| stage(root.path(), &manifest, number).unwrap();
        let merged = |number| {
            let paths = merged(number);
            Some(paths.merged.unwrap_or(paths.adapter.join("merged")))
        };
        let starts = [Merged, Adapter, Merged, Adapter];
        for (number, base) in [(1, None), (2, None), (3, merged(2)), (4, merged(2))] {
            let found = merged_base(root.path(), &manifest, &starts, number);
            assert_eq!(found, Ok(base), "{number}");
        }
        let again = merged_base(root.path(), &manifest, &[Adapter, Merged, Adapter], 3);
        assert_eq!(again, Ok(merged(1)));
    }

    #[test]
    fn what_is_missing_or_no_manifest_is_named() {
        let root = tempfile::tempdir().unwrap();
        let absent = read(root.path()).unwrap_err();
        assert!(absent.contains("run-manifest.json"), "{absent}");
        for text in ["", "{}", "[1]", "{\"run_metadata\": {}}"] {
            fs::write(root.path().join(RUN_MANIFEST), text).unwrap();
            let error = read(root.path()).unwrap_err();
            assert!(error.contains("is no manifest"), "{error}");
        }
        let mut bad = manifest("a");
        bad.stage1.training_data_path = "../../rows.jsonl".into();
        fs::write(
            root.path().join(RUN_MANIFEST),
            serde_json::to_vec(&bad).unwrap(),
        )
        .unwrap();
        let error = read(root.path()).unwrap_err();
        assert!(error.contains("../../rows.jsonl"), "{error}");
    }

    #[test]
    fn links_out_of_the_run_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let (dir, other) = (root.path().join("run"), root.path().join("other"));
        create(&dir, &manifest("a")).unwrap();
        fs::create_dir(&other).unwrap();
        symlink(&other, dir.join("stage1")).unwrap();
        let error = stage(&dir, &manifest("a"), 1).unwrap_err();
        assert!(error.contains("leads out of"), "{error}");
        assert!(stage(&dir, &manifest("a"), 2).is_ok());
        symlink(root.path().join("nothing"), dir.join("stage2")).unwrap();
        assert!(
            stage(&dir, &manifest("a"), 2).is_err(),
            "a link to nothing leads somewhere too"
        );
        fs::remove_file(dir.join("stage1")).unwrap();
        fs::create_dir(dir.join("real")).unwrap();
        symlink(dir.join("real"), dir.join("stage1")).unwrap();
        assert!(
            stage(&dir, &manifest("a"), 1).is_ok(),
            "a link within the run is no harm"
        );
    }
}
