//! A directory that appears only whole: made beside its name, made durable, renamed. One that is there already is replaced
//! only where nothing can be lost by it: it is empty, or exactly what its own `SHA256SUMS` names.
//!
//! Two processes never make the same directory at once: a locked file stands beside it while it is made.

use super::{named, sums, sync_dir};
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2},
};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A directory on its way. Dropped before it is complete, it is gone.
#[derive(Debug)]
pub struct Making {
    path: PathBuf,
    target: PathBuf,
    /// Dropped last.
    _lock: Lock,
}

impl Making {
    /// A fresh directory beside `target`, whose parent must exist: what is not mounted is not to be filled.
    ///
    /// # Errors
    /// Names the path; `ResourceBusy` while another process makes it.
    pub fn beside(target: &Path) -> io::Result<Self> {
        let nameless = || io::Error::new(io::ErrorKind::InvalidInput, "it names no directory");
        let name = target.file_name().ok_or_else(nameless);
        let name = name.map_err(|error| named(error, "make", target))?;
        let name = format!(".{}.making", name.to_string_lossy());
        let path = target.with_file_name(&name);
        let lock = Lock::take(target.with_file_name(name + ".lock"))
            .map_err(|error| named(error, "make", target))?;
        // One that is there is of somebody who is gone.
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(named(error, "replace", &path));
            }
            _ => {}
        }
        fs::create_dir(&path).map_err(|error| named(error, "make", &path))?;
        Ok(Self {
            path,
            target: target.into(),
            _lock: lock,
        })
    }

    /// Where it is being made.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything in it is there: gives it its name, durably. With `replace` a directory that has the name goes.
    ///
    /// # Errors
    /// Names the path; `AlreadyExists` for one that is there and stays.
    pub fn complete(self, replace: bool) -> io::Result<()> {
        sync_below(&self.path)?;
        let renamed = self.rename(replace);
        renamed.map_err(|error| named(error, "make", &self.target))?;
        let parent = self
            .target
            .parent()
            .filter(|parent| *parent != Path::new(""));
        sync_dir(parent.unwrap_or(Path::new(".")))
    }

    fn rename(&self, replace: bool) -> io::Result<()> {
        let at = |flags| renameat2(AT_FDCWD, &self.path, AT_FDCWD, &self.target, flags);
        match at(RenameFlags::RENAME_NOREPLACE).map_err(io::Error::from) {
            // A file system that does not know the flag: a directory never replaces another that is not empty.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                if !self.target.exists() {
                    return fs::rename(&self.path, &self.target);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done,
        }
        if !replace || !is_replaceable(&self.target) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // What was there is under the temporary name then, and goes with it.
        if at(RenameFlags::RENAME_EXCHANGE).is_ok() {
            return Ok(());
        }
        let old = self.path.with_extension("old");
        fs::rename(&self.target, &old)?;
        let renamed = fs::rename(&self.path, &self.target);
        if renamed.is_err() {
            fs::rename(&old, &self.target)?;
            return renamed;
        }
        // What cannot be removed does no harm.
        let _ = fs::remove_dir_all(&old);
        Ok(())
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A file that only one process holds. It goes with its holder; one that a killed process left is taken over.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _held: Flock<File>,
}

impl Lock {
    fn take(path: PathBuf) -> io::Result<Self> {
        loop {
            let file = File::create(&path)?;
            let held = Flock::lock(file, FlockArg::LockExclusiveNonblock);
            let held = held.map_err(|(_, errno)| match errno {
                Errno::EWOULDBLOCK => {
                    io::Error::new(io::ErrorKind::ResourceBusy, "another process is making it")
                }
                other => other.into(),
            })?;
            // Between the two its holder may have removed it: then what is locked is nobody's.
            let own = held.metadata()?;
            let same = |there: fs::Metadata| (there.dev(), there.ino()) == (own.dev(), own.ino());
            if fs::metadata(&path).is_ok_and(same) {
                return Ok(Self { path, _held: held });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is held; one that cannot be removed is taken over by the next.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a directory may go: nobody's files are in it.
pub fn is_replaceable(dir: &Path) -> bool {
    let is_link = fs::symlink_metadata(dir).is_ok_and(|found| found.is_symlink());
    let empty = || fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    !is_link && (empty() || sums::is_listed(dir))
}

/// Makes everything below a directory durable.
///
/// # Errors
/// Those of the file system.
pub fn sync_below(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_below(&entry.path())?;
        } else {
            let synced = File::open(entry.path()).and_then(|file| file.sync_all());
            synced.map_err(|error| named(error, "write", &entry.path()))?;
        }
    }
    sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(target: &Path, text: &str) -> Making {
        let making = Making::beside(target).unwrap();
        fs::write(making.path().join("x"), text).unwrap();
        making
    }

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn it_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("set");
        drop(made(&target, "half"));
        assert!(names(dir.path()).is_empty());
        made(&target, "whole").complete(false).unwrap();
        assert_eq!(fs::read(target.join("x")).unwrap(), b"whole");
        assert_eq!(names(dir.path()), ["set"]);
        assert!(Making::beside(&dir.path().join("none/set")).is_err());
        assert!(Making::beside(Path::new("/")).is_err());
    }

    #[test]
    fn two_do_not_make_the_same_at_once_and_what_a_killed_one_left_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("set");
        let first = made(&target, "one");
        let second = Making::beside(&target).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::ResourceBusy);
        assert!(second.to_string().contains("another process"), "{second}");
        first.complete(false).unwrap();
        assert_eq!(fs::read(target.join("x")).unwrap(), b"one");
        fs::remove_dir_all(&target).unwrap();
        fs::create_dir(dir.path().join(".set.making")).unwrap();
        fs::write(dir.path().join(".set.making/y"), "").unwrap();
        fs::write(dir.path().join(".set.making.lock"), "").unwrap();
        made(&target, "two").complete(false).unwrap();
        assert_eq!(names(&target), ["x"]);
        assert_eq!(names(dir.path()), ["set"]);
    }

    #[test]
    fn nothing_of_others_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("set");
        made(&target, "one").complete(false).unwrap();
        let refused = |replace| made(&target, "two").complete(replace).unwrap_err();
        // It has no sums: it may be anybody's.
        assert_eq!(refused(true).kind(), io::ErrorKind::AlreadyExists);
        fs::write(
            target.join(sums::NAME),
            sums::text(&sums::of(&target).unwrap()),
        )
        .unwrap();
        assert_eq!(refused(false).kind(), io::ErrorKind::AlreadyExists);
        made(&target, "two").complete(true).unwrap();
        assert_eq!(fs::read(target.join("x")).unwrap(), b"two");
        assert_eq!(names(dir.path()), ["set"], "what was there is gone");
    }
}
