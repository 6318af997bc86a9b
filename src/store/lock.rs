//! One campaignd per state dir: a lock that ends with its process, with the holder's name in it for the one refused.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::error::Error;
use super::files;

/// The held lock. The file stays when it is dropped: removing it would let two processes lock two files of one name.
#[derive(Debug)]
pub(super) struct Lock {
    _held: Flock<File>,
}

impl Lock {
    /// Takes `<state_dir>/lock` and writes `PID MILLISECONDS` into it, or says who has it.
    pub(super) fn take(state_dir: &Path) -> Result<Lock, Error> {
        let path = state_dir.join("lock");
        let mut held =
            match Flock::lock(files::private_file(&path)?, FlockArg::LockExclusiveNonblock) {
                Ok(held) => held,
                Err((file, Errno::EWOULDBLOCK)) => return Err(in_use(state_dir, file)),
                Err((_, errno)) => return Err(Error::io(&path, "lock")(errno.into())),
            };
        let line = format!("{} {}\n", std::process::id(), now_ms());
        held.set_len(0)
            .and_then(|()| held.write_all(line.as_bytes()))
            .map_err(Error::io(&path, "write"))?;
        Ok(Lock { _held: held })
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
