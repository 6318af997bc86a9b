//! Files: how they are created, replaced, followed and read line by line.
//!
//! Everything that other processes may look at is replaced whole: written beside the target, made durable, then renamed, so that a
//! reader sees the old content or the new and a crash leaves one of the two. Files and directories are private to the user.

pub mod corpus;
pub mod dataset;
pub mod deliver;
pub mod executions;
pub mod feedback;
pub mod follow;
pub mod jsonl;
pub mod left;
pub mod making;
pub mod room;
pub mod rows;
pub mod run;
pub mod samples;
pub mod sums;
pub mod table;

use crate::points::point;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Mode of the files that are written here: readable and writable by the user alone.
const PRIVATE_FILE: u32 = 0o600;
/// Mode of the directories that are created here.
const PRIVATE_DIR: u32 = 0o700;

/// Replaces the content of `path` atomically and durably; the file has mode 0600 afterwards. A symbolic link at `path` is
/// replaced, not followed.
///
/// # Errors
/// Names the path. The old content is untouched then, except when only the last step failed (making the rename durable).
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomic_with(path, |file| file.write_all(bytes))
}

/// The same for what is made piece by piece, since it would not be in memory twice.
///
/// # Errors
/// Those of [`write_atomic`], and what `write` says.
pub fn write_atomic_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let written = write_new(&temporary, write).and_then(|()| {
        point!("artifact.written");
        fs::rename(&temporary, path)
    });
    point!("artifact.renamed");
    if written.is_err() {
        // The write error is the one to report; a temporary file that cannot be removed does no harm.
        let _ = fs::remove_file(&temporary);
    }
    written
        .and_then(|()| sync_dir(parent(path)))
        .map_err(|error| named(error, "write", path))
}

/// Creates a directory and its missing ancestors with mode 0700, durably. One that exists is left as it is.
///
/// # Errors
/// Names the path, for instance when a part of it is a file.
pub fn create_dir_private(path: &Path) -> io::Result<()> {
    create_missing(path).map_err(|error| named(error, "create directory", path))
}

fn create_missing(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent(path);
    create_missing(parent)?;
    match DirBuilder::new().mode(PRIVATE_DIR).create(path) {
        // Another process may have been faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        created => created.and_then(|()| sync_dir(parent)),
    }
}

/// Makes the names in a directory durable.
///
/// # Errors
/// Those of opening and fsync.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn write_new(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(path)?;
    write(&mut file)?;
    file.sync_all()
}

/// A name in the same directory that no other writer uses: rename works only within one file system.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| {
        let message = format!("cannot write {}: it does not name a file", path.display());
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })?;
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{serial}.tmp", std::process::id()));
    Ok(path.with_file_name(temporary))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// An error with what was tried and on what; what the system said stays its source.
#[derive(Debug)]
struct Named {
    text: String,
    source: io::Error,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Named {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// `error` with a sentence around it: `cannot VERB PATH: ...`.
pub fn named(error: io::Error, verb: &str, path: &Path) -> io::Error {
    let text = format!("cannot {verb} {}: {error}", path.display());
    io::Error::new(
        error.kind(),
        Named {
            text,
            source: error,
        },
    )
}

/// Whether an error says that the machine lacks something for now: room on a disk, descriptors, processes, memory. What
/// failed so may succeed later, unchanged, and is nobody's fault.
pub fn is_starved(error: &io::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, QuotaExceeded, ReadOnlyFilesystem, StorageFull, WouldBlock};
    let kind = matches!(
        error.kind(),
        StorageFull | QuotaExceeded | ReadOnlyFilesystem | OutOfMemory | WouldBlock
    );
    // EMFILE and ENFILE have no kind of their own.
    kind || matches!(os_error(error), Some(23 | 24))
}

fn os_error(error: &io::Error) -> Option<i32> {
    let source = || {
        let named = error.get_ref()?.downcast_ref::<Named>()?;
        os_error(&named.source)
    };
    error.raw_os_error().or_else(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn starvation_is_seen_through_the_sentence_around_it() {
        let emfile = || io::Error::from_raw_os_error(24);
        assert!(is_starved(&emfile()));
        let path = Path::new("/x");
        let twice = named(named(emfile(), "open", path), "start", path);
        assert!(is_starved(&twice), "{twice}");
        assert!(is_starved(&named(
            io::ErrorKind::StorageFull.into(),
            "write",
            path
        )));
        assert!(!is_starved(&named(
            io::ErrorKind::NotFound.into(),
            "read",
            path
        )));
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("status.json");
        fs::write(&path, "old and longer").unwrap();
        let reader = File::open(&path).unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), mode(&path)),
            (b"new".to_vec(), 0o600)
        );
        assert_eq!(io::read_to_string(reader).unwrap(), "old and longer");
        assert_eq!(
            names(dir.path()),
            ["status.json"],
            "no temporary file stays"
        );
    }

    #[test]
    fn a_failed_write_names_the_path_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("occupied");
        fs::create_dir(&path).unwrap();
        let error = write_atomic(&path, b"x").unwrap_err().to_string();
        assert!(error.contains("occupied"), "{error}");
        assert_eq!(names(dir.path()), ["occupied"]);
        assert!(write_atomic(Path::new("/"), b"x").is_err());
    }

    #[test]
    fn directories_are_private_and_may_exist() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c");
        create_dir_private(&path).unwrap();
        create_dir_private(&path).unwrap();
        assert_eq!((mode(&path), mode(&dir.path().join("a"))), (0o700, 0o700));
        fs::write(dir.path().join("file"), "").unwrap();
        let error = create_dir_private(&dir.path().join("file/below"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("file/below"), "{error}");
    }
}
