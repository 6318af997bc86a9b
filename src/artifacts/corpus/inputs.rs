//! Which files an input is: files as they are named, directories by what is below them.
//!
//! A directory often holds what was made of its rows beside them. Read as rows, that would be every row twice.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

/// How the names of files end that are read from a directory.
const ENDINGS: &[&str] = &["jsonl", "ndjson", "json"];
/// How the names of compressed files end.
const COMPRESSED: &[&str] = &["gz", "zst", "xz", "bz2"];

/// The files of `inputs`, each once: those that are named in the order of their names here, those of a directory sorted.
pub(super) fn files(inputs: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let (mut seen, mut files) = (BTreeSet::new(), Vec::new());
    for input in inputs {
        let real = fs::canonicalize(input).map_err(|error| super::named(&error, input))?;
        let found = if real.is_dir() {
            below(input, &real)?
        } else {
            vec![(real, input.clone())]
        };
        for (real, path) in found {
            refuse_others(&real, &path)?;
            if seen.insert(real) {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// Rows are read twice, and as they are.
fn refuse_others(real: &Path, path: &Path) -> io::Result<()> {
    let refused = |why: &str| refused(&format!("{} {why}", path.display()));
    if ending(path).is_some_and(|ending| COMPRESSED.contains(&ending)) {
        return Err(refused("is compressed: decompress it first"));
    }
    if !real.is_file() {
        return Err(refused("is no regular file: write its rows to one first"));
    }
    Ok(())
}

/// The real and the shown path of every file below a directory that is to be read.
fn below(input: &Path, root: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let (mut found, mut left) = (Vec::new(), vec![input.to_owned()]);
    while let Some(dir) = left.pop() {
        let entries = fs::read_dir(&dir).map_err(|error| super::named(&error, &dir))?;
        for entry in entries {
            let entry = entry.map_err(|error| super::named(&error, &dir))?;
            let path = entry.path();
            let kind = entry.file_type()?;
            if is_hidden(&entry.file_name()) {
                continue;
            }
            if kind.is_dir() {
                if !is_made(&path) {
                    left.push(path);
                }
            } else if let Some(real) = wanted(&path, kind.is_symlink(), root)? {
                found.push((real, path));
            }
        }
    }
    if found.is_empty() {
        let why = format!("{} holds no .jsonl, .ndjson or .json file", input.display());
        return Err(refused(&why));
    }
    found.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(found)
}

/// Whether its name says that it is nobody's rows: caches, settings, what a killed run was making.
fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a directory was made of rows, or is being made: a curated data set has its checksums and its manifest.
fn is_made(dir: &Path) -> bool {
    let making = dir.extension().is_some_and(|ending| ending == "making");
    making
        || ["SHA256SUMS", "manifest.json"]
            .iter()
            .all(|name| dir.join(name).is_file())
}

/// The real path of an entry that is to be read. Whoever names a directory means what is in it: a link to elsewhere is
/// an error, and one to a directory inside is passed over, as that one is walked anyway, if it is to be read at all.
fn wanted(path: &Path, link: bool, root: &Path) -> io::Result<Option<PathBuf>> {
    let inner = path.file_stem().map(Path::new).and_then(ending);
    let read = match ending(path) {
        Some(last) if COMPRESSED.contains(&last) => inner,
        last => last,
    };
    if !link && !read.is_some_and(|read| ENDINGS.contains(&read)) {
        return Ok(None);
    }
    let real = fs::canonicalize(path).map_err(|error| super::named(&error, path))?;
    if !real.starts_with(root) {
        let why = format!(
            "{} is a link that leaves {}: name what it leads to as an input of its own",
            path.display(),
            root.display()
        );
        return Err(refused(&why));
    }
    let file = !real.is_dir() && read.is_some_and(|read| ENDINGS.contains(&read));
    Ok(file.then_some(real))
}

fn ending(path: &Path) -> Option<&str> {
    path.extension().and_then(|ending| ending.to_str())
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
