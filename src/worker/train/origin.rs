//! Whether an adapter was trained for the model that it is to be put on. Shapes do not tell: two fine-tunes of one base have
//! the same.

use crate::lora::files::{AdapterDir, ModelDir};
use serde_json::Value;
use std::{fs, path::Path};

/// What a trained adapter's directory, or a checkpoint's, says of itself to programs.
const RECORDS: [&str; 2] = ["training.json", "state.json"];

/// Compares the model of an adapter that was read from `dir` with `model`, whose digest is `hash`. What was trained here knows
/// its model's digest; of others only a name is known, and an unlike one is told as a note.
///
/// # Errors
/// It was trained for another model: a sentence with both names.
pub fn check(
    dir: &Path,
    adapter: &AdapterDir,
    model: &ModelDir,
    hash: &str,
) -> Result<Option<String>, String> {
    let (name, base) = (model.directory().display(), adapter.base.as_deref());
    if let Some(trained) = trained_for(dir) {
        if trained == hash {
            return Ok(None);
        }
        let base = base.unwrap_or("another model");
        return Err(format!(
            "the adapter {} was trained for {base}, and not for {name} as it is: the files of the model are others",
            dir.display()
        ));
    }
    let last = |path: &Path| path.file_name().map(|name| name.to_os_string());
    match base {
        Some(base) if last(Path::new(base)) != last(model.directory()) => Ok(Some(format!(
            "the adapter {} says that it is for {base}; it is put on {name}, where its shapes fit",
            dir.display()
        ))),
        _ => Ok(None),
    }
}

/// The digest of the model that an adapter was trained for, where a training left one.
fn trained_for(dir: &Path) -> Option<String> {
    RECORDS.into_iter().find_map(|name| {
        let text = fs::read(dir.join(name)).ok()?;
        let value: Value = serde_json::from_slice(&text).ok()?;
        value["identity"]["model"].as_str().map(String::from)
    })
}
