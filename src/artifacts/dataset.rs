//! A finished data set on disk: which files it may have, which it has, how many rows.
//!
//! Files are known by name, each spelt here: what a stranger asks for is compared with these names, and never becomes part of
//! a path.

use super::{named, sums};
use crate::{
    curation::words::{DataSet, Split},
    words::words,
};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

words! {
    /// A file about the whole of a data set.
    pub enum Document {
        /// The card.
        Readme = "README.md",
        /// What the rows are, in numbers.
        Stats = "stats.json",
        /// The same to look at.
        Report = "report.html",
        /// What it was made from, and what it tests on.
        Manifest = "manifest.json",
        /// The rows that are not in it, with reasons.
        Rejected = "rejected.jsonl",
        /// What all the others hold.
        Sums = "SHA256SUMS",
    }
}

words! {
    /// How rows are written.
    pub enum Kind {
        /// With types.
        Parquet = "parquet",
        /// A row a line.
        Jsonl = "jsonl",
    }
}

/// The path of a split's rows below the data set's directory.
pub fn rows_path(set: DataSet, split: Split, kind: Kind) -> String {
    format!("{set}/{split}.{kind}")
}

/// Every path that a data set may have a file under.
pub fn paths() -> impl Iterator<Item = String> {
    let documents = Document::ALL.iter().map(|document| document.name().into());
    let rows = DataSet::ALL.iter().flat_map(|set| {
        let splits = Split::ALL.iter().map(move |split| (*set, *split));
        splits.flat_map(|(set, split)| {
            let kinds = Kind::ALL.iter();
            kinds.map(move |kind| rows_path(set, split, *kind))
        })
    });
    documents.chain(rows)
}

/// The path that is asked for, if a data set may have it.
pub fn known(asked: &str) -> Option<String> {
    paths().find(|path| path == asked)
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its path below the data set's directory.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// What `SHA256SUMS` says of it.
    pub sha256: Option<String>,
}

/// What a data set's directory holds; none where there is no finished one.
///
/// # Errors
/// Names the path.
pub fn files(dir: &Path) -> io::Result<Option<Vec<Found>>> {
    let sums = match sums::read(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let mut found = Vec::new();
    for path in paths() {
        match fs::symlink_metadata(dir.join(&path)) {
            Ok(file) if file.is_file() => found.push(Found {
                bytes: file.len(),
                sha256: sums.get(&path).cloned(),
                path,
            }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(named(error, "read", &dir.join(&path))),
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(Some(found))
}

/// The rows of every split that is there, counted.
///
/// # Errors
/// Names the path.
pub fn rows(dir: &Path) -> io::Result<Vec<(DataSet, Split, u64)>> {
    let mut counted = Vec::new();
    for set in DataSet::ALL {
        for split in Split::ALL {
            let path = dir.join(rows_path(*set, *split, Kind::Jsonl));
            match lines(&path) {
                Ok(rows) => counted.push((*set, *split, rows)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(named(error, "read", &path)),
            }
        }
    }
    Ok(counted)
}

/// The lines of a file.
///
/// # Errors
/// Those of reading it.
pub fn lines(path: &Path) -> io::Result<u64> {
    let (mut file, mut block, mut lines) = (File::open(path)?, vec![0; 1 << 18], 0);
    loop {
        match file.read(&mut block)? {
            0 => return Ok(lines),
            n => lines += block[..n].iter().filter(|byte| **byte == b'\n').count() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_spelt_here_is_known() {
        assert_eq!(paths().count(), 6 + 6 * 4 * 2);
        for path in [
            "README.md",
            "SHA256SUMS",
            "validation/test_unseen_template.parquet",
        ] {
            assert_eq!(known(path).as_deref(), Some(path));
        }
        for path in [
            "",
            "routing",
            "routing/train.csv",
            "../campaign.toml",
            "routing/../README.md",
            "/etc/passwd",
            "README.md\0",
        ] {
            assert_eq!(known(path), None, "{path}");
        }
    }

    #[test]
    fn a_directory_is_indexed_and_an_unfinished_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("routing")).unwrap();
        fs::write(dir.path().join("routing/test.jsonl"), "{}\n{}\n").unwrap();
        fs::write(dir.path().join("notes.txt"), "").unwrap();
        assert_eq!(files(dir.path()).unwrap(), None);
        let sums = sums::of(dir.path()).unwrap();
        fs::write(dir.path().join(sums::NAME), sums::text(&sums)).unwrap();
        let found = files(dir.path()).unwrap().unwrap();
        let paths: Vec<&str> = found.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["SHA256SUMS", "routing/test.jsonl"]);
        assert_eq!(
            (found[1].bytes, &found[1].sha256),
            (6, &sums.get("routing/test.jsonl").cloned())
        );
        assert_eq!(
            rows(dir.path()).unwrap(),
            [(DataSet::Routing, Split::Test, 2)]
        );
    }
}
