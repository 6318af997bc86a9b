//! The data set's directory: made beside its name, checksummed, renamed when it is complete; and read again.

use super::Made;
use crate::{
    artifacts::{create_dir_private, named, sums, sync_dir},
    curation::words::{DataSet, Reason, Split},
    points::point,
};
use serde_json::Value;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Where a directory is made that is to be called `output`; empty.
///
/// # Errors
/// Those of the file system.
pub fn begin(output: &Path) -> io::Result<PathBuf> {
    let making = making(output);
    if making.exists() {
        fs::remove_dir_all(&making)?;
    }
    create_dir_private(&making)?;
    Ok(making)
}

/// The directory's name while it is made: one that nobody else gives.
pub fn making(output: &Path) -> PathBuf {
    beside(output, "making")
}

/// A directory of ours beside the output, for one purpose.
pub fn beside(output: &Path, purpose: &str) -> PathBuf {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    output.with_file_name(format!(".{name}.campaignd-{purpose}"))
}

/// Checksums it, makes it durable and gives it its name.
///
/// # Errors
/// Those of the file system.
pub fn end(making: &Path, output: &Path) -> io::Result<()> {
    let sums = sums::of(making)?;
    text(&making.join(sums::NAME), sums::text(&sums).as_bytes())?;
    for entry in fs::read_dir(making)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_dir(&path)?;
        }
    }
    sync_dir(making)?;
    point!("curate.written");
    fs::rename(making, output)?;
    point!("curate.renamed");
    output.parent().map_or(Ok(()), sync_dir)
}

/// A file that is not there yet, for its owner alone.
///
/// # Errors
/// Those of the file system.
pub fn create(path: &Path) -> io::Result<BufWriter<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| named(error, "make", path))?;
    Ok(BufWriter::with_capacity(1 << 16, file))
}

/// Whole and durable.
///
/// # Errors
/// Those of the file.
pub fn finish(file: BufWriter<File>) -> io::Result<()> {
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_data()
}

/// A file of a text.
///
/// # Errors
/// Those of the file system.
pub fn text(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = create(path)?;
    file.write_all(text)?;
    finish(file)
}

/// What a complete data set says of itself.
///
/// # Errors
/// A sentence naming the file.
pub fn read(output: &Path) -> Result<Made, String> {
    let path = output.join("stats.json");
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read(&path).map_err(|error| wrong(&error))?;
    let stats: Value = serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let removed = Reason::ALL.iter().filter_map(|reason| {
        let rows = number(&stats["removed_by_reason"][reason.name()]);
        let gone = super::Gone {
            rows,
            examples: Vec::new(),
        };
        (rows > 0).then_some((*reason, gone))
    });
    let splits = Split::ALL
        .iter()
        .map(|split| (split.name(), number(&stats["splits"][split.name()])));
    let sets = DataSet::ALL
        .iter()
        .map(|set| (set.name(), number(&stats["datasets"][set.name()]["rows"])));
    Ok(Made {
        rows_in: number(&stats["rows_in"]),
        kept: number(&stats["kept"]),
        removed: removed.collect(),
        splits: splits.filter(|(_, rows)| *rows > 0).collect(),
        datasets: sets.filter(|(_, rows)| *rows > 0).collect(),
        exports: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_whole_when_it_has_its_name_and_its_sums_are_right() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("set.v1");
        fs::create_dir_all(making(&output).join("left")).unwrap();
        let made = begin(&output).unwrap();
        assert_eq!(fs::read_dir(&made).unwrap().count(), 0);
        create_dir_private(&made.join("codegen")).unwrap();
        text(&made.join("codegen/train.jsonl"), b"{}\n").unwrap();
        text(&made.join("README.md"), b"").unwrap();
        end(&made, &output).unwrap();
        assert!(!made.exists());
        let sums = fs::read_to_string(output.join("SHA256SUMS")).unwrap();
        assert_eq!(
            sums,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  README.md\n\
             ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356  codegen/train.jsonl\n"
        );
    }
}
