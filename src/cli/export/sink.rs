//! Where exported rows go, and how a file comes to its name: written beside it, made durable, renamed.

use super::{
    super::{
        fail::{Fail, MISSING, USAGE},
        out,
    },
    Format,
};
use crate::{
    artifacts::{is_starved, sync_dir},
    control::api::ErrorView,
    report::sqlite::{self, Counts, Database},
};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Where rows go.
pub enum Sink {
    /// Stdout.
    Stdout {
        /// Whether anybody still reads.
        open: bool,
    },
    /// A file of JSON lines.
    Lines(BufWriter<File>),
    /// A file that is a database.
    Database(Database),
}

impl Sink {
    /// Stdout, or a file that has no name yet.
    pub fn open(format: Format, temporary: Option<&Temporary>) -> Result<Sink, Fail> {
        let Some(temporary) = temporary else {
            return Ok(Sink::Stdout { open: true });
        };
        let (path, target) = (&temporary.path, &temporary.target);
        match format {
            Format::Sqlite => {
                let database = Database::create(path).map_err(|error| unstored(target, &error))?;
                Ok(Sink::Database(database))
            }
            Format::Jsonl => {
                let file = File::create_new(path).map_err(|error| unwritten(target, &error))?;
                Ok(Sink::Lines(BufWriter::new(file)))
            }
        }
    }

    /// Takes a row; whether anybody still reads.
    pub fn take(&mut self, row: &[u8], file: &Path) -> Result<bool, Fail> {
        match self {
            Sink::Stdout { open } => *open = out::line(&String::from_utf8_lossy(row))?,
            Sink::Lines(lines) => {
                let written = lines.write_all(row).and_then(|()| lines.write_all(b"\n"));
                written.map_err(|error| unwritten(file, &error))?;
            }
            Sink::Database(database) => {
                let row = serde_json::from_slice(row).map_err(|error| {
                    let message = format!("a row cannot be read: {error}");
                    Fail::usage(message, "--format jsonl")
                })?;
                database.add(&row).map_err(|error| unstored(file, &error))?;
            }
        }
        Ok(!matches!(self, Sink::Stdout { open: false }))
    }

    /// Everything is there; what became of the rows of a database.
    pub fn finish(self, file: &Path) -> Result<Option<Counts>, Fail> {
        match self {
            Sink::Stdout { .. } => Ok(None),
            Sink::Lines(lines) => {
                let flushed = lines.into_inner().map_err(io::IntoInnerError::into_error);
                flushed.map_err(|error| unwritten(file, &error))?;
                Ok(None)
            }
            Sink::Database(database) => {
                let counts = database.finish().map_err(|error| unstored(file, &error))?;
                Ok(Some(counts))
            }
        }
    }
}

/// What keeps a file from being written, where, and what would be right.
pub fn failed(message: String, at: &Path, right: &str, exit_status: u8) -> Fail {
    Fail(vec![ErrorView {
        kind: "store".into(),
        message,
        at: Some(at.display().to_string()),
        right: Some(right.into()),
        exit_status,
        ..ErrorView::default()
    }])
}

/// What the system says of a file.
pub fn unwritten(file: &Path, error: &io::Error) -> Fail {
    let status = if is_starved(error) { MISSING } else { USAGE };
    let message = format!("the export cannot be written: {error}");
    failed(
        message,
        file,
        "another --out; no half of a file was left",
        status,
    )
}

/// What SQLite says of a file.
pub fn unstored(file: &Path, error: &sqlite::Error) -> Fail {
    let status = if sqlite::is_starved(error) {
        MISSING
    } else {
        USAGE
    };
    let message = format!("the export cannot be written: {error}");
    failed(
        message,
        file,
        "another --out; no half of a file was left",
        status,
    )
}

/// A file that is removed unless it gets its name.
pub struct Temporary {
    /// Its name until then.
    pub path: PathBuf,
    /// The name it gets.
    pub target: PathBuf,
}

impl Temporary {
    /// In the same directory: rename works only within one file system.
    pub fn beside(target: &Path) -> Result<Self, Fail> {
        let name = target.file_name().ok_or_else(|| {
            failed(
                "--out does not name a file".into(),
                target,
                "--out trajectories.db",
                USAGE,
            )
        })?;
        let name = format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id());
        let path = target.with_file_name(name);
        // One that is there is of a process that is gone.
        let _ = fs::remove_file(&path);
        Ok(Self {
            path,
            target: target.into(),
        })
    }

    /// Durable, then under its name; a file that came there meanwhile is not replaced without being asked to.
    pub fn keep(&self, force: bool) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        match fs::hard_link(&self.path, &self.target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !force => {
                return Err(error);
            }
            // To replace, and where a file system has no links.
            Err(_) => fs::rename(&self.path, &self.target)?,
        }
        let parent = self
            .target
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        sync_dir(parent.unwrap_or(Path::new(".")))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
