//! Files of a run directory, read with bounds: nothing outside it, no more than the end of what is huge.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Most bytes of a log that are read: its end, for that is where it tells how it went.
pub const TAIL: u64 = 4 << 20;

/// A directory, and the notes on what was left out of it.
pub struct Room<'n> {
    /// Its real path.
    pub root: PathBuf,
    /// What was left out or cut.
    pub notes: &'n mut Vec<String>,
}

impl<'n> Room<'n> {
    /// # Errors
    /// The directory is not there or is none.
    pub fn open(directory: &Path, notes: &'n mut Vec<String>) -> io::Result<Room<'n>> {
        let named = |error: io::Error| {
            let text = format!("{} cannot be read: {error}", directory.display());
            io::Error::new(error.kind(), text)
        };
        let root = fs::canonicalize(directory).map_err(named)?;
        fs::read_dir(&root).map_err(named)?;
        Ok(Room { root, notes })
    }

    /// Whether a path is there and stays inside; what leaves by a link is noted.
    pub fn holds(&mut self, path: &Path) -> bool {
        let Ok(real) = fs::canonicalize(path) else {
            return false;
        };
        let inside = real.starts_with(&self.root);
        if !inside {
            let note = format!(
                "{} leads out of the run and is not followed",
                path.display()
            );
            self.note(note);
        }
        inside
    }

    /// Notes something once.
    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The entries of a directory inside, by name; none where it cannot be read.
    pub fn list(&mut self, directory: &Path) -> Vec<PathBuf> {
        if !self.holds(directory) {
            return Vec::new();
        }
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        found.sort();
        found
    }

    /// The end of a file inside as text, at most [`TAIL`] of it; none where it is no file.
    pub fn tail(&mut self, path: &Path) -> Option<String> {
        if !self.holds(path) {
            return None;
        }
        match tail(path) {
            Ok((text, cut)) => {
                if cut {
                    let note = format!("of {} only the last 4 MiB were read", path.display());
                    self.note(note);
                }
                Some(text)
            }
            Err(error) => {
                self.note(format!("{} cannot be read: {error}", path.display()));
                None
            }
        }
    }
}

/// The end of a file as text, and whether something stands before it. What is no UTF-8 is replaced.
///
/// # Errors
/// It is no file, or cannot be read.
fn tail(path: &Path) -> io::Result<(String, bool)> {
    // A pipe would be waited for.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let skipped = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if skipped == 0 {
        return Ok((text, false));
    }
    // The first line is cut, so it is no line.
    let from = text.find('\n').map_or(0, |end| end + 1);
    Ok((text[from..].to_owned(), true))
}

/// When a file was last written; the epoch where nobody says.
pub fn written(path: &Path) -> SystemTime {
    let modified = fs::metadata(path).and_then(|data| data.modified());
    modified.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The name of a path as text.
pub fn name(path: &Path) -> String {
    path.file_name()
        .map_or(String::new(), |name| name.to_string_lossy().into_owned())
}
