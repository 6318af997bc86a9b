//! How far a generator is: lines for the progress file, and on stdout the text that people and older tools read.

use super::{Made, Shard};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_millis(200);
/// Between two lines of progress on stdout.
const SPOKEN: Duration = Duration::from_secs(1);

/// Says how far it is: to the progress file, and to stdout in the text that people and older tools read.
pub(super) struct Teller {
    file: Option<File>,
    target: u64,
    told: Instant,
    spoke: Instant,
}

impl Teller {
    pub(super) fn new(shard: &Shard) -> Result<Self, String> {
        let open = |path: &PathBuf| {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path);
            file.map_err(|error| format!("{}: {error}", path.display()))
        };
        let file = shard.progress.as_ref().map(open).transpose()?;
        Ok(Self {
            file,
            target: shard.target,
            told: Instant::now(),
            spoke: Instant::now(),
        })
    }

    pub(super) fn tell(&mut self, made: &Made, last: bool) {
        let mean = |sum: f64| {
            if made.new > 0 {
                Some(sum / made.new as f64)
            } else {
                None
            }
        };
        let (quality, acceptance) = (mean(made.quality()), mean(made.accepted as f64));
        if last || self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            let line = serde_json::json!({ "done": made.done(), "total": self.target, "quality": quality });
            if let Some(file) = &mut self.file {
                // Progress is a hint; the samples are the evidence.
                let _ = writeln!(file, "{line}");
            }
        }
        if last || self.spoke.elapsed() >= SPOKEN {
            self.spoke = Instant::now();
            let percent = 100.0 * made.done() as f64 / self.target.max(1) as f64;
            let mut text = format!("Progress: {}/{} ({percent:.1}%)", made.done(), self.target);
            if let (Some(quality), Some(acceptance)) = (quality, acceptance) {
                text += &format!(
                    " | Quality: {quality:.3} | Acceptance: {:.2}%",
                    100.0 * acceptance
                );
            }
            // The same holds for stdout, which may lie on a full disk.
            let _ = writeln!(io::stdout(), "{text}");
        }
    }
}
