//! Why a member of a sweep goes no further, kept beside its checkpoints: it is not trained again into the same end, and one with
//! other settings begins anew.

use super::{identity::Identity, places::Places, undone};
use crate::{artifacts::write_atomic, worker::Undone};
use serde::{Deserialize, Serialize};
use std::{fs, path::PathBuf};

/// The file's name.
pub const NAME: &str = "stopped.json";

#[derive(Serialize, Deserialize)]
struct Stopped {
    why: String,
    /// What it was started with.
    identity: Identity,
}

fn path(places: &Places) -> PathBuf {
    places.work.join(NAME)
}

/// Whether it was stopped, with whatever settings.
pub fn there(places: &Places) -> bool {
    path(places).exists()
}

/// Why it was, if it was started with this.
pub fn read(places: &Places, identity: &Identity) -> Option<String> {
    let text = fs::read(path(places)).ok()?;
    let stopped: Stopped = serde_json::from_slice(&text).ok()?;
    let same = stopped.identity.difference(identity).is_none();
    same.then_some(stopped.why)
}

/// Keeps why.
///
/// # Errors
/// Those of the file.
pub fn write(places: &Places, identity: &Identity, why: &str) -> Result<(), Undone> {
    let stopped = Stopped {
        why: why.into(),
        identity: identity.clone(),
    };
    let text = serde_json::to_vec_pretty(&stopped).map_err(|error| error.to_string())?;
    let written = write_atomic(&path(places), &text);
    written.map_err(|error| undone("why a member stopped cannot be written", &error))
}
