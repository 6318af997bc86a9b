//! Where the state lies and where the socket is, and who said so.

use super::problem::Problem;
use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

/// The longest path a Unix socket can have on Linux, in bytes.
const SOCKET_PATH: usize = 107;

/// The environment as it was when the program started; given along, so that tests need none of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The process's own; variables that are no text are left out.
    pub fn capture() -> Self {
        let text = env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self(text.collect())
    }

    /// An environment of these variables.
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Self(
            variables
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
        )
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// The state directory and who named it: flag, `CAMPAIGND_STATE_DIR`, systemd's `STATE_DIRECTORY`, the file, the user's.
pub fn resolve_state_dir(flag: Option<&Path>, env: &Env, setting: &str) -> (PathBuf, String) {
    if let Some(flag) = flag {
        return (absolute(flag), "--state-dir".into());
    }
    for name in ["CAMPAIGND_STATE_DIR", "STATE_DIRECTORY"] {
        // systemd gives several with colons between; the first is the service's own.
        if let Some(path) = env.get(name).and_then(|value| value.split(':').next()) {
            return (absolute(Path::new(path)), name.into());
        }
    }
    if !setting.is_empty() {
        return (absolute(Path::new(setting)), "campaignd.toml".into());
    }
    if let Some(home) = env.get("XDG_STATE_HOME") {
        return (
            absolute(&Path::new(home).join("campaignd")),
            "XDG_STATE_HOME".into(),
        );
    }
    let home = env.get("HOME").unwrap_or("/");
    (
        absolute(&Path::new(home).join(".local/state/campaignd")),
        "default".into(),
    )
}

/// The control socket: flag, `CAMPAIGND_SOCKET`, the file, systemd's `RUNTIME_DIRECTORY`, the state directory's.
///
/// # Errors
/// A path too long for a socket.
pub fn resolve_socket(
    flag: Option<&Path>,
    env: &Env,
    setting: &str,
    state_dir: &Path,
) -> Result<PathBuf, Box<Problem>> {
    let (path, at) = match (flag, env.get("CAMPAIGND_SOCKET")) {
        (Some(flag), _) => (absolute(flag), format!("--socket {}", flag.display())),
        (None, Some(path)) => (
            absolute(Path::new(path)),
            format!("environment CAMPAIGND_SOCKET = \"{path}\""),
        ),
        (None, None) if !setting.is_empty() => (
            absolute(Path::new(setting)),
            format!("campaignd.toml   socket = \"{setting}\""),
        ),
        (None, None) if env.get("RUNTIME_DIRECTORY").is_some() => (
            Path::new(env.get("RUNTIME_DIRECTORY").unwrap_or("/run")).join("control.sock"),
            "RUNTIME_DIRECTORY".into(),
        ),
        (None, None) => (
            state_dir.join("control.sock"),
            state_dir.display().to_string(),
        ),
    };
    let length = path.as_os_str().len();
    if length <= SOCKET_PATH {
        return Ok(path);
    }
    Err(Box::new(Problem {
        message: format!("the socket path is too long: {length} bytes"),
        at,
        right: Some(format!(
            "at most {SOCKET_PATH}; without the key: control.sock in the state dir"
        )),
        key: Some("socket".into()),
        value: Some(path.display().to_string()),
        ..Problem::default()
    }))
}
