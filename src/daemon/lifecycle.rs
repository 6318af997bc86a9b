//! The edges of the daemon's life: its socket, its PID file, its word to systemd.

use super::StartError;
use crate::{
    actors::{access::Access, coordinator::Trees},
    artifacts::{create_dir_private, write_atomic},
    executor::local::{INHERITED, Inherited},
    manifest::StateDir,
};
use nix::{
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        stat::{Mode, umask},
    },
    unistd::{Gid, chown},
};
use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
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

/// Who may use the control socket beside the daemon's own user and root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doors {
    /// Its members may change things.
    pub group: Option<Gid>,
    /// Whoever may enter the socket's directory may read.
    pub all_read: bool,
}

impl Doors {
    /// The rule that the routes keep.
    pub fn access(&self) -> Access {
        Access::new(self.group)
    }

    /// The mode of the socket: who may connect at all.
    fn mode(&self) -> u32 {
        match (self.all_read, self.group) {
            (true, _) => 0o666,
            (false, Some(_)) => 0o660,
            (false, None) => 0o600,
        }
    }
}

/// Binds the control socket. A file left by a daemon that died is replaced; one behind which somebody answers is not.
pub fn bind(path: &Path, doors: &Doors) -> Result<Bound, StartError> {
    let wrong = |message: String, right: &str| StartError::lasting(message, path, right);
    let length = path.as_os_str().len();
    if length > SOCKET_PATH {
        let message = format!("the socket path is too long: {length} bytes");
        return Err(wrong(
            message,
            "at most 107: --socket PATH, or a shorter --state-dir",
        ));
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    create_dir_private(parent)
        .map_err(|error| StartError::io(&error, path, "a directory that this user may write"))?;
    refuse_closed_directory(parent, doors)?;
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(wrong(
                "there is a file where the socket should be".into(),
                "remove it, or --socket PATH",
            ));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(wrong(
                "another daemon answers on this socket".into(),
                "--socket PATH of its own",
            ));
        }
        Ok(_) => fs::remove_file(path)
            .map_err(|error| StartError::io(&error, path, "remove it by hand"))?,
        Err(_) => {}
    }
    // Made for nobody else, by this process's umask: the doors open only when everything is set.
    let listener = UnixListener::bind(path).map_err(|error| StartError {
        message: format!("the socket cannot be bound: {error}"),
        ..StartError::io(&error, path, "--socket PATH")
    })?;
    if let Some(group) = doors.group {
        chown(path, None, Some(group)).map_err(|error| {
            let message = format!("the socket cannot be given to group {group}: {error}");
            wrong(message, "a group that campaignd's user is in")
        })?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(doors.mode()))
        .map_err(|error| wrong(error.to_string(), "a file system with permissions"))?;
    Ok(Bound {
        listener,
        path: path.into(),
    })
}

/// Open doors in a closed house let nobody in: said at the start, not found out by users.
fn refuse_closed_directory(parent: &Path, doors: &Doors) -> Result<(), StartError> {
    let found = fs::metadata(parent)
        .map_err(|error| StartError::io(&error, parent, "a directory that can be looked at"))?;
    let needed = match doors {
        Doors { all_read: true, .. } => 0o001,
        Doors {
            group: Some(group), ..
        } if found.gid() == group.as_raw() => 0o010,
        Doors { group: Some(_), .. } => 0o001,
        _ => return Ok(()),
    };
    if found.mode() & needed != 0 {
        return Ok(());
    }
    Err(StartError::lasting(
        "others may use the socket, but not enter its directory",
        parent,
        "socket = \"/run/campaignd/control.sock\", in a directory of mode 0755",
    ))
}

/// Asks for as many descriptors as are allowed, since sockets and followed files take many, and makes everything private
/// that this process will ever create: sled names its own modes. What was before is passed on to the jobs.
pub fn settle_in() {
    let before = umask(Mode::from_bits_truncate(0o077)).bits();
    let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(error) => return tracing::warn!("how many files may be open is unknown: {error}"),
    };
    // Set already where a second daemon is opened in one process; the first values are the right ones.
    let _ = INHERITED.set(Inherited {
        open_files: soft,
        umask: before,
    });
    if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        tracing::warn!("at most {soft} open files: {error}");
    }
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

/// A sign of life, and what is under way in one line; the ping only where systemd asks for it.
pub fn alive(trees: &Trees, ping: bool) {
    let live = || trees.values().filter(|tree| !tree.campaign.state.ended());
    let jobs = live().flat_map(|tree| tree.jobs.values());
    let running: usize = jobs.map(|job| job.running_tasks()).sum();
    let counted = |number: usize, what: &str| {
        let plural = if number == 1 { "" } else { "s" };
        format!("{number} {what}{plural}")
    };
    let (campaigns, jobs) = (counted(live().count(), "campaign"), counted(running, "job"));
    let status = format!("{campaigns} live, {jobs} running");
    let mut state = vec![sd_notify::NotifyState::Status(&status)];
    if ping {
        state.push(sd_notify::NotifyState::Watchdog);
    }
    if let Err(error) = sd_notify::notify(&state) {
        tracing::debug!("no word to systemd: {error}");
    }
}

/// Tells systemd that settings are read again; [`ready`] ends that.
pub fn reloading() {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::NotifyState::monotonic_usec_now()
        .and_then(|now| sd_notify::notify(&[sd_notify::NotifyState::Reloading, now]));
}

/// Tells systemd that it is over.
pub fn ended() {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
}
