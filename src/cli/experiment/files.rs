//! Files of an experiment: written where they are not there, left where they say the same, refused where they say something
//! else, unless that is wanted.

use crate::{
    artifacts::{create_dir_private, named, write_atomic},
    cli::fail::{Fail, USAGE},
    control::api::ErrorView,
    experiment::{
        diff::diff,
        log::{Block, LogFile},
        scaffold::File,
    },
};
use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// How files are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Say what would be; write nothing.
    pub dry_run: bool,
    /// Replace what says something else.
    pub force: bool,
}

/// What became of files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// That were not there.
    pub made: Vec<String>,
    /// That said something else.
    pub replaced: Vec<String>,
    /// That said the same.
    pub left: usize,
}

/// Writes files below a directory: first all are looked at, then all are written.
///
/// # Errors
/// All that say something else, each with the difference; those of the file system.
pub fn write(dir: &Path, files: &[File], how: How) -> Result<Written, Fail> {
    let (mut done, mut refused, mut todo) = (Written::default(), Vec::new(), Vec::new());
    for file in files {
        let path = dir.join(&file.path);
        match look(&path)? {
            None => {
                done.made.push(file.path.clone());
                todo.push((path, &file.text));
            }
            Some(found) if found == file.text => done.left += 1,
            Some(_) if how.force => {
                done.replaced.push(file.path.clone());
                todo.push((path, &file.text));
            }
            Some(found) => refused.push(differs(&path, &found, &file.text)),
        }
    }
    if !refused.is_empty() {
        return Err(Fail(refused));
    }
    if !how.dry_run {
        for (path, text) in todo {
            put(&path, text.as_bytes())?;
        }
    }
    Ok(done)
}

/// One file, with the directories above it.
///
/// # Errors
/// Those of the file system.
pub fn put(path: &Path, bytes: &[u8]) -> Result<(), Fail> {
    let parent = path.parent().unwrap_or(Path::new("."));
    create_dir_private(parent)
        .and_then(|()| write_atomic(path, bytes))
        .map_err(failed)
}

/// What is in a file; none where there is none. What is no text is said to be.
fn look(path: &Path) -> Result<Option<String>, Fail> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(named(error, "read", path))),
    }
}

fn differs(path: &Path, was: &str, is: &str) -> ErrorView {
    let shown = diff(was, is, ("what is there", "what would be written"));
    let at = format!(
        "{}\n{}",
        path.display(),
        indented(&shown.unwrap_or_default())
    );
    problem(
        "a file is there and says something else",
        &at,
        "--force replaces it; or move it away",
    )
}

fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("         {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// An error with its place.
pub fn problem(message: &str, at: &str, right: &str) -> ErrorView {
    ErrorView {
        kind: "experiment".into(),
        message: message.into(),
        at: Some(at.into()),
        right: Some(right.into()),
        exit_status: USAGE,
        ..ErrorView::default()
    }
}

/// The same as the only one.
pub fn fail(message: &str, at: &str, right: &str) -> Fail {
    Fail(vec![problem(message, at, right)])
}

/// An error of the file system.
pub fn failed(error: io::Error) -> Fail {
    let right = "a directory that can be read and written";
    Fail(vec![ErrorView {
        kind: "files".into(),
        message: error.to_string(),
        right: Some(right.into()),
        exit_status: USAGE,
        ..ErrorView::default()
    }])
}

/// Adds blocks to a log, in one write.
///
/// # Errors
/// Those of the file system.
pub fn log(dir: &Path, file: LogFile, blocks: &[Block]) -> Result<(), Fail> {
    let path = dir.join(file.name());
    let now = crate::cli::now();
    let text: String = blocks.iter().map(|block| block.text(now)).collect();
    let open = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path);
    open.and_then(|mut log| log.write_all(text.as_bytes()))
        .map_err(|error| failed(named(error, "write", &path)))
}

/// A path as a whole one, its links as they are.
pub fn whole(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    // `absolute` keeps a slash at the end.
    whole.components().collect()
}
