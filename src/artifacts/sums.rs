//! `SHA256SUMS`: what a finished directory holds, as `sha256sum --check` reads it. It is written last, names every other file
//! by its path below the directory, and is what two copies are compared by.

use super::named;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

/// The file's name.
pub const NAME: &str = "SHA256SUMS";
/// Bytes of it that are read: some hundred thousand files.
const MOST_BYTES: u64 = 64 << 20;
/// Bytes that are hashed at a time.
const BLOCK: usize = 1 << 16;

/// Hexadecimal digests by path, in the order of paths.
pub type Sums = BTreeMap<String, String>;

/// A digest that grows with what is written to it.
#[derive(Clone, Debug, Default)]
pub struct Hash(Sha256);

impl Hash {
    /// Takes bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all of them, hexadecimal.
    pub fn finish(self) -> String {
        let digest = self.0.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The digest of a file, which may be larger than memory.
///
/// # Errors
/// Names the path.
pub fn digest(path: &Path) -> io::Result<String> {
    let hashed = || {
        let mut file = File::open(path)?;
        let (mut hash, mut block) = (Hash::default(), vec![0; BLOCK]);
        loop {
            match file.read(&mut block)? {
                0 => return Ok(hash.finish()),
                n => hash.update(&block[..n]),
            }
        }
    };
    hashed().map_err(|error| named(error, "read", path))
}

/// The sums that lie in a directory.
///
/// # Errors
/// Names the path; `InvalidData` for a line that is none, or that names a file outside the directory.
pub fn read(dir: &Path) -> io::Result<Sums> {
    let path = dir.join(NAME);
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text));
    let parsed = read.and_then(|_| parse(&text));
    parsed.map_err(|error| named(error, "read", &path))
}

fn parse(text: &str) -> io::Result<Sums> {
    let mut sums = Sums::new();
    for (at, line) in text.lines().enumerate() {
        let (digest, name) = line.split_once("  ").unwrap_or_default();
        let hexadecimal = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
        if !hexadecimal || !is_inside(name) {
            let message = format!("line {} is no checksum of a file below it", at + 1);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        sums.insert(name.into(), digest.to_ascii_lowercase());
    }
    Ok(sums)
}

/// Whether a path leads to a file below the directory it is relative to.
fn is_inside(name: &str) -> bool {
    let path = Path::new(name);
    !name.is_empty()
        && path
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

/// The file's text.
pub fn text(sums: &Sums) -> String {
    let lines = sums
        .iter()
        .map(|(name, digest)| format!("{digest}  {name}\n"));
    lines.collect()
}

/// The digests of all files below a directory but `SHA256SUMS` itself.
///
/// # Errors
/// Names the path; `InvalidData` for what is neither file nor directory, or has a name that is no text.
pub fn of(dir: &Path) -> io::Result<Sums> {
    let mut sums = Sums::new();
    for name in files(dir)? {
        if name != NAME {
            let digest = digest(&dir.join(&name))?;
            sums.insert(name, digest);
        }
    }
    Ok(sums)
}

/// The paths of all files below a directory, in order.
///
/// # Errors
/// Those of [`of`].
pub fn files(dir: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        let here = dir.join(&below);
        let entries = fs::read_dir(&here).map_err(|error| named(error, "read", &here))?;
        for entry in entries {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, below.join(entry.file_name()));
            if kind.is_dir() {
                waiting.push(path);
                continue;
            }
            let strange = || {
                let message = "it is no file with a name in UTF-8";
                let error = io::Error::new(io::ErrorKind::InvalidData, message);
                named(error, "take", &entry.path())
            };
            let name = path.to_str().filter(|_| kind.is_file());
            found.push(name.ok_or_else(strange)?.to_string());
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a directory is exactly what its `SHA256SUMS` names: no file more, none less. Their contents are not read.
pub fn is_listed(dir: &Path) -> bool {
    let (Ok(sums), Ok(mut files)) = (read(dir), files(dir)) else {
        return false;
    };
    files.retain(|name| name != NAME);
    files.iter().eq(sums.keys())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_summed_and_known_again() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/x.jsonl"), "abc").unwrap();
        fs::write(dir.path().join("README.md"), "").unwrap();
        assert!(!is_listed(dir.path()));
        let sums = of(dir.path()).unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sums["a/x.jsonl"], abc);
        fs::write(dir.path().join(NAME), text(&sums)).unwrap();
        assert_eq!(read(dir.path()).unwrap(), sums);
        assert!(is_listed(dir.path()));
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        assert!(!is_listed(dir.path()), "a file of somebody else's");
    }

    #[test]
    fn sums_of_files_elsewhere_are_refused() {
        let digest = "0".repeat(64);
        assert!(parse(&format!("{digest}  a/b\n")).is_ok());
        for name in ["/etc/passwd", "../x", "a/../../x", "./x", ""] {
            assert!(parse(&format!("{digest}  {name}\n")).is_err(), "{name}");
        }
        assert!(parse("short  x\n").is_err() && parse("x").is_err());
    }
}
