//! What a task that failed says of its end, in what it printed: the cause where that is another than its own error, and the
//! line that says so.

use super::job_dir::JobDir;
use crate::{machines::job::Cause, workflow::errors::diagnose};
use std::{
    fs,
    io::{self, Read, Seek},
    path::Path,
};

/// Of a log the end is read: what a program died of stands there.
const END_OF_A_LOG: u64 = 64 << 10;

/// What the log of a task that failed by itself says of its cause, where that is another than its own error: a GPU without
/// memory, of which a scheduler knows nothing, or a network that may be there the next time. With the line that says so.
pub fn log_says(dir: &JobDir, shard: u32) -> Option<(Cause, String)> {
    let found = [dir.stderr(shard), dir.stdout(shard)]
        .iter()
        .find_map(|path| diagnose(&end_of(path).ok()?))?;
    let cause = match found.kind.as_str() {
        "gpu_out_of_memory" => Cause::GpuMemory,
        "network_error" | "container_pull_failed" => Cause::Transient,
        _ => return None,
    };
    Some((cause, found.message))
}

/// What one of our workers said that it ended of: the last such line of its log.
pub fn last_error(dir: &JobDir, shard: u32) -> Option<String> {
    let text = end_of(&dir.stderr(shard)).ok()?;
    let said = text.lines().rev().find_map(|line| {
        let (_, rest) = line.strip_prefix("campaignd: ")?.split_once(" of ")?;
        rest.split_once(": ").map(|(_, said)| said)
    })?;
    Some(said.chars().take(500).collect())
}

/// The end of a file, as text.
///
/// # Errors
/// Those of reading it.
pub fn end_of(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(END_OF_A_LOG);
    file.seek(io::SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(END_OF_A_LOG).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_without_memory_is_known_from_the_log() {
        let root = tempfile::tempdir().unwrap();
        let dir = JobDir::new(root.path());
        assert!(log_says(&dir, 0).is_none(), "there is no log");
        fs::create_dir_all(dir.task(0)).unwrap();
        fs::write(dir.stdout(0), "step 12, loss 0.4\n").unwrap();
        fs::write(dir.stderr(0), "CUDA out of disk, not of what was asked\n").unwrap();
        assert!(log_says(&dir, 0).is_none());
        let said = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n";
        let long = "x".repeat(200_000) + "\n" + said + &"at frame\n".repeat(50);
        fs::write(dir.stderr(0), &long).unwrap();
        assert_eq!(
            log_says(&dir, 0).map(|(cause, _)| cause),
            Some(Cause::GpuMemory)
        );
        let pulled = "Error: Failed to pull singularity image\n";
        fs::write(dir.stderr(0), pulled).unwrap();
        let (cause, line) = log_says(&dir, 0).unwrap();
        assert_eq!(
            (cause, line.contains("Failed to pull")),
            (Cause::Transient, true)
        );
        // What was said long before the end is not what it died of.
        let early = said.to_string() + &"step\n".repeat(50_000);
        fs::write(dir.stderr(0), early).unwrap();
        assert!(log_says(&dir, 0).is_none());
    }

    #[test]
    fn what_our_own_trainer_says_is_known() {
        let root = tempfile::tempdir().unwrap();
        let dir = JobDir::new(root.path());
        fs::create_dir_all(dir.task(0)).unwrap();
        let ended = |said: &str| {
            let line = format!("note: x\ncampaignd: Train of /s/jobs/a-1: {said}\n");
            fs::write(dir.stderr(0), line).unwrap();
        };
        for said in [
            "the GPU memory set aside for training has no 1.2 GB free in one piece (0.3 GB in all)",
            "the GPU had too little memory for its weights: end what else uses it",
        ] {
            ended(said);
            let (cause, _) = log_says(&dir, 0).unwrap();
            assert_eq!(cause, Cause::GpuMemory, "{said}");
        }
        ended("the loss is not a number; there is no checkpoint yet");
        assert!(log_says(&dir, 0).is_none());
        assert_eq!(
            last_error(&dir, 0).as_deref(),
            Some("the loss is not a number; there is no checkpoint yet")
        );
        fs::write(dir.stderr(0), "killed\n").unwrap();
        assert_eq!(last_error(&dir, 0), None);
    }
}
