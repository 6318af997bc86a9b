//! What can go wrong with the store: each error names the file, and [`Error::way_back`] says what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::wire::Fault;

/// Why the store could not be opened, read or written.
#[derive(Debug)]
pub enum Error {
    /// Another process has the state dir open.
    InUse {
        /// The state dir.
        path: PathBuf,
        /// Who holds it, where it said so.
        holder_pid: Option<i32>,
        /// Since when, in milliseconds since the Unix epoch.
        since_ms: Option<i64>,
    },
    /// A newer campaignd wrote it; nothing was touched.
    Newer {
        /// The file that holds it.
        file: PathBuf,
        /// What was newer, as `journal` or `campaigns alttp`.
        what: String,
        /// Its version.
        found: u16,
        /// The newest version that this program reads.
        reads: u16,
    },
    /// The journal does not hold what was written to it; nothing was touched.
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where the first bad byte may be.
        offset: u64,
        /// What is wrong there.
        why: String,
        /// What a person can do.
        way_back: String,
    },
    /// A record is no value of its type.
    Unreadable {
        /// The directory of the state database.
        file: PathBuf,
        /// The record, as `jobs alttp-12`.
        what: String,
        /// Why it cannot be read.
        fault: Fault,
    },
    /// The disk or the quota is full. Nothing was committed, and a later commit may succeed.
    Full {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The system refused an operation. Nothing was committed.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, as in "cannot `open` PATH".
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The journal's file was removed while it was open. Nothing written to it since can be kept.
    Gone {
        /// The file that is not there any more.
        path: PathBuf,
    },
    /// The batch is too large for one frame. Nothing was committed.
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The largest size, in bytes.
        limit: usize,
    },
    /// An earlier append failed and could not be undone: whether it counts is decided at the next opening.
    Poisoned {
        /// The segment.
        path: PathBuf,
    },
    /// The entries **are** committed, but the state database did not take them: it is repaired at the next opening.
    Unapplied {
        /// The directory of the state database.
        path: PathBuf,
        /// The last entry of the batch.
        seq: u64,
        /// What sled said.
        why: String,
    },
    /// The state database failed.
    State {
        /// Its directory.
        path: PathBuf,
        /// What sled said.
        why: String,
    },
}

impl Error {
    /// A failure of the system, told apart from a full disk.
    pub(super) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full { path },
            _ => Error::Io {
                path,
                doing,
                source,
            },
        }
    }

    pub(super) fn damaged(
        file: &Path,
        offset: u64,
        why: impl Into<String>,
        way_back: String,
    ) -> Error {
        Error::Damaged {
            file: file.to_path_buf(),
            offset,
            why: why.into(),
            way_back,
        }
    }

    /// The file or directory it is about, if it is about one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Error::Newer { file, .. }
            | Error::Damaged { file, .. }
            | Error::Unreadable { file, .. } => Some(file),
            Error::InUse { path, .. } | Error::Full { path } | Error::Io { path, .. } => Some(path),
            Error::Gone { path }
            | Error::Poisoned { path }
            | Error::Unapplied { path, .. }
            | Error::State { path, .. } => Some(path),
            Error::TooLarge { .. } => None,
        }
    }

    /// Whether the machine merely lacks something for now, room or descriptors: nothing was committed, and the same
    /// commit may succeed later.
    pub fn is_starved(&self) -> bool {
        match self {
            Error::Full { .. } => true,
            Error::Io { source, .. } => crate::artifacts::is_starved(source),
            _ => false,
        }
    }

    /// What a person can do about it, in one line.
    pub fn way_back(&self) -> String {
        match self {
            Error::InUse { .. } => {
                "campaignctl works with the one that runs; or another --state-dir".into()
            }
            Error::Newer { .. } => {
                "the campaignd that wrote it, or a newer one (nothing was changed)".into()
            }
            Error::Damaged { way_back, .. } => way_back.clone(),
            Error::Unreadable { .. } => {
                "the campaignd that wrote it; its journal is whole and untouched".into()
            }
            Error::Full { path } => format!(
                "free space on the file system of {}; nothing was lost",
                path.display()
            ),
            Error::Io { path, .. } => {
                format!("see to {} and start campaignd again", path.display())
            }
            Error::Gone { path } => format!(
                "restore {} from a backup; jobs that run go on by themselves",
                path.display()
            ),
            Error::TooLarge { .. } => "fewer entries in one commit".into(),
            Error::Poisoned { .. } | Error::Unapplied { .. } | Error::State { .. } => {
                "start campaignd again: the journal repairs the state".into()
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InUse {
                path,
                holder_pid: Some(pid),
                ..
            } => {
                write!(
                    f,
                    "the state dir {} is in use by campaignd, PID {pid}",
                    path.display()
                )
            }
            Error::InUse { path, .. } => write!(
                f,
                "the state dir {} is in use by another process",
                path.display()
            ),
            Error::Newer {
                found, reads, file, ..
            } => write!(
                f,
                "the store was written by a newer campaignd: version {found}, this reads {reads} ({})",
                file.display()
            ),
            Error::Damaged {
                file, offset, why, ..
            } => {
                write!(f, "{} is damaged at byte {offset}: {why}", file.display())
            }
            Error::Unreadable { file, what, fault } => {
                write!(
                    f,
                    "the record {what} in {} cannot be read: {fault}",
                    file.display()
                )
            }
            Error::Full { path } => write!(f, "no space left for {}", path.display()),
            Error::Io {
                path,
                doing,
                source,
            } => write!(f, "cannot {doing} {}: {source}", path.display()),
            Error::Gone { path } => {
                write!(f, "{} was removed while campaignd ran", path.display())
            }
            Error::TooLarge { bytes, limit } => {
                write!(
                    f,
                    "one commit of {bytes} bytes is too large: at most {limit}"
                )
            }
            Error::Poisoned { path } => {
                write!(
                    f,
                    "{} takes no more entries: a failed append could not be undone",
                    path.display()
                )
            }
            Error::Unapplied { path, seq, why } => {
                write!(
                    f,
                    "entry {seq} is committed, but {} did not take it: {why}",
                    path.display()
                )
            }
            Error::State { path, why } => {
                write!(f, "the state database {} failed: {why}", path.display())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Unreadable { fault, .. } => Some(fault),
            _ => None,
        }
    }
}
