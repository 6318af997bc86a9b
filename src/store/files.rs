//! Directories and files that only their owner reads, and directory entries that survive a power cut.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::error::Error;

/// Makes `dir` with mode 0700 if it is not there, durably: the entry in its parent is synced too.
pub(super) fn private_dir(dir: &Path) -> Result<(), Error> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        private_dir(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::io(dir, "create")(error));
        }
        _ => {}
    }
    sync_dir(
        dir.parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new(".")),
    )
}

/// Opens `path` for reading and writing with mode 0600, making it if it is not there.
pub(super) fn private_file(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(Error::io(path, "open"))
}

/// Makes the entries of `dir` durable: without it a renamed file may be gone after a power cut.
pub(super) fn sync_dir(dir: &Path) -> Result<(), Error> {
    let handle = File::open(dir).map_err(Error::io(dir, "open"))?;
    handle.sync_all().map_err(Error::io(dir, "sync"))
}

/// Takes group and others off everything directly in `dir`: sled makes its files with the default mode.
pub(super) fn make_private(dir: &Path) -> Result<(), Error> {
    for item in fs::read_dir(dir).map_err(Error::io(dir, "list"))? {
        let path = item.map_err(Error::io(dir, "list"))?.path();
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(&path, Permissions::from_mode(mode))
            .map_err(Error::io(&path, "set the mode of"))?;
    }
    Ok(())
}
