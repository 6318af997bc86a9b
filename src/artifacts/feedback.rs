//! What people say of trajectories: `feedback.jsonl`, a line each time, joined by id when a trajectory is read. A trajectory
//! never changes; this file is the one home of what is said of it, and the last word on each wins.
//!
//! A line that was acknowledged is durable. What a crash or a full disk leaves of another one is cut before the next.

use super::{
    jsonl::{JsonlReader, Line, cut_torn_tail},
    named, sync_dir,
};
use crate::words::words;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

words! {
    /// A person's word on a trajectory (specification 1, "user_feedback").
    pub enum Opinion {
        /// Learn from it.
        Positive = "positive",
        /// Do not.
        Negative = "negative",
        /// Neither.
        Neutral = "neutral",
    }
}

/// Who said what of which trajectory, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// The trajectory's id.
    pub trajectory: String,
    /// The word.
    pub feedback: Opinion,
    /// Why.
    #[serde(default)]
    pub note: Option<String>,
    /// The review in which it was said, such as `sample 40, seed 0`.
    #[serde(default)]
    pub review: Option<String>,
    /// When, RFC 3339.
    pub given_at: String,
    /// The user.
    pub uid: u32,
}

/// Appends one, durably. Nobody else may be appending meanwhile.
///
/// # Errors
/// With the path; a full disk for one. The file holds what it held before then.
pub fn append(path: &Path, feedback: &Feedback) -> io::Result<()> {
    cut_torn_tail(path)?;
    let mut line = serde_json::to_vec(feedback)?;
    line.push(b'\n');
    add(path, &line).map_err(|error| named(error, "write", path))
}

fn add(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(super::PRIVATE_FILE)
        .open(path)?;
    let before = file.metadata()?.len();
    let added = file.write_all(line).and_then(|()| file.sync_data());
    if added.is_err() {
        // What cannot be taken back now is torn, or said again: nothing was acknowledged.
        let _ = file.set_len(before).and_then(|()| file.sync_data());
    }
    added?;
    if before == 0 {
        sync_dir(super::parent(path))?;
    }
    Ok(())
}

/// Everything that was said, oldest first, and how many lines are none of ours. No file is nothing said.
///
/// # Errors
/// Those of opening and reading, with the path.
pub fn read(path: &Path) -> io::Result<(Vec<Feedback>, u64)> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        opened => opened.map_err(|error| named(error, "open", path))?,
    };
    let (mut said, mut strange) = (Vec::new(), 0);
    for line in JsonlReader::new(BufReader::new(file)) {
        match line.map_err(|error| named(error, "read", path))? {
            Line::Row { value, .. } => said.push(value),
            Line::Invalid { .. } => strange += 1,
        }
    }
    Ok((said, strange))
}

/// The last word on each trajectory.
///
/// # Errors
/// Those of [`read`].
pub fn last_words(path: &Path) -> io::Result<HashMap<String, Feedback>> {
    let (said, _) = read(path)?;
    let by_id = |feedback: Feedback| (feedback.trajectory.clone(), feedback);
    Ok(said.into_iter().map(by_id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    fn word(trajectory: &str, feedback: Opinion) -> Feedback {
        Feedback {
            trajectory: trajectory.into(),
            feedback,
            note: Some("two\nlines and \u{1b}".into()),
            review: None,
            given_at: "2026-03-02T09:14:02Z".into(),
            uid: 1000,
        }
    }

    #[test]
    fn what_is_said_is_kept_in_order_and_the_last_word_wins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("feedback.jsonl");
        assert_eq!(read(&path).unwrap(), (Vec::new(), 0));
        let said = [
            word("t-1-1", Opinion::Positive),
            word("t-1-2", Opinion::Neutral),
            word("t-1-1", Opinion::Negative),
        ];
        for feedback in &said {
            append(&path, feedback).unwrap();
        }
        assert_eq!(read(&path).unwrap(), (said.to_vec(), 0));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
        let last = last_words(&path).unwrap();
        assert_eq!(last["t-1-1"].feedback, Opinion::Negative);
        assert_eq!(last.len(), 2);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_torn_line_is_cut_before_the_next_and_spoils_neither() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("feedback.jsonl");
        append(&path, &word("a", Opinion::Positive)).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in 1..whole.len() {
            let torn = [&whole[..], &whole[..cut]].concat();
            fs::write(&path, torn).unwrap();
            assert_eq!(read(&path).unwrap().0.len(), 1, "cut at {cut}");
            append(&path, &word("b", Opinion::Negative)).unwrap();
            let (said, strange) = read(&path).unwrap();
            assert_eq!((said.len(), strange), (2, 0), "cut at {cut}");
        }
    }

    #[test]
    fn a_line_that_is_none_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("feedback.jsonl");
        fs::write(&path, b"{\"trajectory\":\"a\"}\n\n\xff\n").unwrap();
        append(&path, &word("b", Opinion::Negative)).unwrap();
        let (said, strange) = read(&path).unwrap();
        assert_eq!((said.len(), strange), (1, 2));
    }

    #[test]
    fn a_disk_without_room_is_an_error_with_the_path() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            eprintln!("skipped a_disk_without_room_is_an_error_with_the_path: no /dev/full");
            return;
        }
        let error = add(full, b"{}\n").map_err(|error| named(error, "write", full));
        let error = error.unwrap_err();
        assert!(super::super::is_starved(&error), "{error}");
        assert!(error.to_string().contains("/dev/full"), "{error}");
    }
}
