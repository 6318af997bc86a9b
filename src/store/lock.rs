//! One campaignd per state dir: a lock that ends with its process, with the holder's name in it for the one refused.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::error::Error;
use super::files;

/// The held lock. The file stays when it is dropped: removing it would let two processes lock two files of one name.
///
/// A fork shares it: who goes must [`Lock::leave`] it to who stays, since dropping it unlocks it for both.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    held: Flock<File>,
}

impl Lock {
    /// Takes `<state_dir>/lock` and writes `PID MILLISECONDS` into it, or says who has it. Makes the directory.
    ///
    /// # Errors
    /// [`Error::InUse`], or those of the file system.
    pub fn take(state_dir: &Path) -> Result<Lock, Error> {
        files::private_dir(state_dir)?;
        let path = state_dir.join("lock");
        let held = match Flock::lock(files::private_file(&path)?, FlockArg::LockExclusiveNonblock) {
            Ok(held) => held,
            Err((file, Errno::EWOULDBLOCK)) => return Err(in_use(state_dir, file)),
            Err((_, errno)) => return Err(Error::io(&path, "lock")(errno.into())),
        };
        let mut lock = Lock { path, held };
        lock.sign()?;
        Ok(lock)
    }

    /// Writes this process into it, as its holder from now on.
    ///
    /// # Errors
    /// Those of writing.
    pub fn sign(&mut self) -> Result<(), Error> {
        let line = format!("{} {}\n", std::process::id(), now_ms());
        self.held
            .set_len(0)
            .and_then(|()| self.held.rewind())
            .and_then(|()| self.held.write_all(line.as_bytes()))
            .map_err(Error::io(&self.path, "write"))
    }

    /// Whether the file that is locked still has its name: without it another process would lock another file.
    pub fn is_named(&self) -> bool {
        let inode = |found: std::fs::Metadata| (found.dev(), found.ino());
        let (named, held) = (std::fs::metadata(&self.path), self.held.metadata());
        // What cannot be looked at for now is no news.
        match (named, held) {
            (Ok(named), Ok(held)) => inode(named) == inode(held),
            (Err(error), _) => error.kind() != std::io::ErrorKind::NotFound,
            _ => true,
        }
    }

    /// Leaves it to the other side of a fork: the descriptor is closed by the end of this process alone, and nothing is
    /// unlocked.
    pub fn leave(self) {
        std::mem::forget(self);
    }
}

fn in_use(state_dir: &Path, mut file: File) -> Error {
    let mut text = String::new();
    // A holder that is just starting has written nothing yet: then the answer names nobody.
    let _ = file.read_to_string(&mut text);
    let mut words = text.split_whitespace();
    let holder_pid = words.next().and_then(|word| word.parse().ok());
    let since_ms = words.next().and_then(|word| word.parse().ok());
    Error::InUse {
        path: state_dir.to_path_buf(),
        holder_pid,
        since_ms,
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
