//! The delivery of a finished directory: to another directory, or to another machine by the system's rsync. Either way the
//! copy is compared with what was sent before anybody is told that it is there.
//!
//! The directory holds `SHA256SUMS`; a delivery that was made before is found by it and not made again. Retries are the
//! business of whoever asks, who is told which errors pass by themselves.

mod rsync;

pub use rsync::Rsync;

use super::{is_starved, making::Making, named, sums};
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A directory of this machine, absolute.
    Directory(PathBuf),
    /// A directory of another machine: `host:path` or `user@host:path`.
    Remote {
        /// Whom rsync is to reach.
        host: String,
        /// Where there.
        path: String,
    },
}

impl FromStr for Destination {
    type Err = String;

    /// # Errors
    /// A sentence without the destination itself.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(char::is_control) {
            return Err("a destination has no control characters".into());
        }
        if text.starts_with('/') {
            return Ok(Self::Directory(text.into()));
        }
        let (host, path) = text
            .split_once(':')
            .filter(|(host, _)| !host.contains('/'))
            .ok_or("a destination is an absolute path, or host:path")?;
        if path.starts_with(':') || path.starts_with("//") {
            return Err("an rsync daemon is no destination: host:path is reached by ssh".into());
        }
        let (user, machine) = host
            .split_once('@')
            .map_or((None, host), |(user, machine)| (Some(user), machine));
        // Neither ssh nor rsync may take a host for an option, nor a shell a word of it for anything.
        let plain = |word: &str| {
            let sign = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !word.is_empty() && !word.starts_with('-') && word.chars().all(sign)
        };
        if !plain(machine) || !user.is_none_or(plain) {
            return Err("a host is letters, digits, dots and hyphens, and begins with none".into());
        }
        if path.is_empty() {
            return Err("behind host: there is no path".into());
        }
        Ok(Self::Remote {
            host: host.into(),
            path: path.trim_end_matches('/').into(),
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Remote { host, path } => write!(f, "{host}:{path}"),
        }
    }
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is there.
    Now,
    /// It was there already.
    Before,
}

/// Why it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The network, a full disk: later, the same may do.
    Passing(String),
    /// Somebody must look at it.
    Final(String),
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Passing(why) | Self::Final(why)) = self;
        f.write_str(why)
    }
}

impl From<io::Error> for Undelivered {
    fn from(error: io::Error) -> Self {
        if is_starved(&error) {
            Self::Passing(error.to_string())
        } else {
            Self::Final(error.to_string())
        }
    }
}

/// Delivers the directory `from`, which has `SHA256SUMS`, as `name` below a destination.
///
/// A directory of this machine appears whole. One that is there stays where it holds the same, is replaced where it is an
/// earlier delivery (exactly the files of its own sums), and is refused otherwise. On another machine files are replaced
/// all at the end, and none is removed.
///
/// # Errors
/// Whether it passes, and a sentence.
pub fn deliver(
    from: &Path,
    to: &Destination,
    name: &str,
    rsync: &Rsync,
) -> Result<Delivered, Undelivered> {
    if !sums::is_listed(from) {
        let message = format!("{} is not what its {} says", from.display(), sums::NAME);
        return Err(Undelivered::Final(message));
    }
    match to {
        Destination::Directory(dir) => copy(from, dir, name),
        Destination::Remote { host, path } => rsync.send(from, host, &format!("{path}/{name}")),
    }
}

fn copy(from: &Path, dir: &Path, name: &str) -> Result<Delivered, Undelivered> {
    let wanted = sums::read(from)?;
    let target = dir.join(name);
    if sums::read(&target).is_ok_and(|there| there == wanted) && sums::of(&target)? == wanted {
        return Ok(Delivered::Before);
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(named(error, "make", dir).into());
        }
        _ => {}
    }
    let making = Making::beside(&target)?;
    for file in sums::files(from)? {
        let (source, copy) = (from.join(&file), making.path().join(&file));
        if let Some(parent) = copy.parent() {
            fs::create_dir_all(parent).map_err(|error| named(error, "make", parent))?;
        }
        let copied = fs::File::open(&source).and_then(|mut source| {
            // Not fs::copy: the copy is as readable as its place, not as private as the state directory.
            io::copy(&mut source, &mut fs::File::create_new(&copy)?)
        });
        copied.map_err(|error| named(error, "write", &copy))?;
    }
    if sums::of(making.path())? != wanted {
        let message = format!("the copy in {} differs from what was copied", dir.display());
        return Err(Undelivered::Passing(message));
    }
    making.complete(true).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            let message = format!(
                "{} is there and is no earlier export: another name or destination, or move it away",
                target.display()
            );
            return Undelivered::Final(message);
        }
        error.into()
    })?;
    Ok(Delivered::Now)
}

#[cfg(test)]
mod tests;
