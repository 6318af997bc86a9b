//! `metrics.jsonl` while a training runs: rows are appended as steps are done, and cut back to what a checkpoint knows of
//! when one is gone on from, so that no step has two rows.

use super::undone;
use crate::{
    artifacts::{named, room::write_patiently},
    points::point,
    training::metrics::Row,
    worker::Undone,
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The file's name.
pub const NAME: &str = "metrics.jsonl";

/// The open file.
#[derive(Debug)]
pub struct Metrics {
    file: File,
    bytes: u64,
}

impl Metrics {
    /// The rows of a directory, cut to their first `bytes` bytes; where some were lost, to their last whole row.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(dir: &Path, bytes: u64) -> Result<Self, Undone> {
        let path = dir.join(NAME);
        let open = || {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)?;
            let mut left = bytes;
            if file.metadata()?.len() < bytes {
                let mut text = Vec::new();
                file.read_to_end(&mut text)?;
                let ended = text.iter().rposition(|byte| *byte == b'\n');
                left = ended.map_or(0, |at| at as u64 + 1);
            }
            file.set_len(left)?;
            file.seek(SeekFrom::Start(left))?;
            Ok((file, left))
        };
        let opened: io::Result<(File, u64)> = open();
        let (file, bytes) = opened.map_err(|error| {
            undone(
                "the metrics cannot be written",
                &named(error, "open", &path),
            )
        })?;
        Ok(Self { file, bytes })
    }

    /// Their length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends a row.
    ///
    /// # Errors
    /// Those of the file; a full disk is waited for.
    pub fn push(&mut self, row: &Row) -> Result<(), Undone> {
        let mut line = serde_json::to_vec(row).map_err(|error| error.to_string())?;
        line.push(b'\n');
        write_patiently(&mut self.file, &line)
            .map_err(|error| undone("the metrics cannot be written", &error))?;
        self.bytes += line.len() as u64;
        point!("train.metrics");
        Ok(())
    }

    /// Makes the rows durable; gives their length in bytes.
    ///
    /// # Errors
    /// Those of the file.
    pub fn sync(&self) -> Result<u64, Undone> {
        let synced = self.file.sync_data();
        synced.map_err(|error| undone("the metrics cannot be written", &error))?;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::metrics::LookRow;
    use std::fs;

    fn row(step: u64) -> Row {
        Row::Look(LookRow {
            step,
            epoch: 1.0,
            eval_loss: 2.0,
            eval_rewards_accuracies: None,
        })
    }

    #[test]
    fn rows_after_the_checkpoint_are_cut_and_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(dir.path(), 0).unwrap();
        metrics.push(&row(1)).unwrap();
        let known = metrics.sync().unwrap();
        metrics.push(&row(2)).unwrap();
        drop(metrics);
        let whole = fs::read(dir.path().join(NAME)).unwrap();
        let torn = [whole.as_slice(), b"{\"step\":3,"].concat();
        fs::write(dir.path().join(NAME), torn).unwrap();
        let mut metrics = Metrics::open(dir.path(), known).unwrap();
        metrics.push(&row(2)).unwrap();
        assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), whole);
        // Lost rows are not made up with zeros.
        fs::write(dir.path().join(NAME), &whole[..whole.len() - 2]).unwrap();
        let metrics = Metrics::open(dir.path(), whole.len() as u64).unwrap();
        assert_eq!(metrics.bytes(), known);
        assert_eq!(
            fs::read(dir.path().join(NAME)).unwrap(),
            whole[..known as usize]
        );
    }
}
