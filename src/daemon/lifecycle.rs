//! The edges of the daemon's life: its socket, its PID file, its word to systemd.

use super::StartError;
use crate::{
    artifacts::{create_dir_private, write_atomic},
    manifest::StateDir,
};
use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

/// The longest path a Unix socket can have on Linux, in bytes.
pub const SOCKET_PATH: usize = 107;

/// A bound socket; its file goes when this is dropped.
pub struct Bound {
    listener: UnixListener,
    path: PathBuf,
}

impl Bound {
    /// The listener itself.
    pub fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.path);
    }
}

/// Binds the control socket. A file left by a daemon that died is replaced: the store's lock is held by now, so nobody
/// lives behind it.
pub fn bind(path: &Path) -> Result<Bound, StartError> {
    let wrong = |message: String, right: &str| StartError {
        message,
        at: path.display().to_string(),
        right: right.into(),
    };
    let length = path.as_os_str().len();
    if length > SOCKET_PATH {
        let message = format!("the socket path is too long: {length} bytes");
        return Err(wrong(
            message,
            "at most 107: --socket PATH, or a shorter --state-dir",
        ));
    }
    if let Some(parent) = path.parent() {
        create_dir_private(parent)
            .map_err(|error| wrong(error.to_string(), "a directory that this user may write"))?;
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(wrong(
                "there is a file where the socket should be".into(),
                "remove it, or --socket PATH",
            ));
        }
        Ok(_) => {
            fs::remove_file(path).map_err(|error| wrong(error.to_string(), "remove it by hand"))?
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(|error| {
        wrong(
            format!("the socket cannot be bound: {error}"),
            "--socket PATH",
        )
    })?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(|error| wrong(error.to_string(), "a file system with permissions"))?;
    Ok(Bound {
        listener,
        path: path.into(),
    })
}

/// The PID file: information for people; the store's lock is what keeps a second daemon out.
pub fn write_pid(state: &StateDir) {
    if let Err(error) = write_atomic(
        &state.pid_file(),
        format!("{}\n", std::process::id()).as_bytes(),
    ) {
        tracing::warn!("the PID file cannot be written: {error}");
    }
}

/// Tells systemd, where there is one, that requests are answered from now on.
pub fn ready() {
    let pid = std::process::id();
    let state = [
        sd_notify::NotifyState::Ready,
        sd_notify::NotifyState::MainPid(pid),
    ];
    if let Err(error) = sd_notify::notify(&state) {
        tracing::debug!("no word to systemd: {error}");
    }
}

/// Tells systemd that it is over.
pub fn ended() {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
}
