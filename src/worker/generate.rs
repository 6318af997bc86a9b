//! The built-in generator's worker: appends the plan's samples to its shard, and makes none twice.

use crate::{
    artifacts::{
        jsonl::{JsonlReader, Line},
        room::{patiently, write_patiently},
    },
    executor::job_dir::{JobDir, Work},
    generation::{Plan, QuerySample},
    points::point,
};
use serde::Deserialize;
use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Rows are handed to the system at least this often: what a kill costs.
const ROWS: u64 = 256;
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_millis(200);
/// Between two lines of progress on stdout.
const SPOKEN: Duration = Duration::from_secs(1);

/// One shard's work.
#[derive(Clone, Debug, PartialEq)]
pub struct Shard {
    /// The plan.
    pub plan: Plan,
    /// The plan's index of the shard's first sample.
    pub first: u64,
    /// How many samples it makes.
    pub target: u64,
    /// Where they are appended.
    pub output: PathBuf,
    /// Where progress goes.
    pub progress: Option<PathBuf>,
}

/// What was there and what was made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Made {
    /// Samples found.
    pub existing: u64,
    /// Samples made now.
    pub new: u64,
    /// Accepted ones among those made now.
    pub accepted: u64,
    /// Sum of the quality of those made now.
    quality: f64,
}

impl Made {
    fn done(&self) -> u64 {
        self.existing + self.new
    }
}

#[derive(Deserialize)]
struct Row {
    id: String,
}

/// The work of one task of a job directory.
///
/// # Errors
/// A sentence.
pub fn run(job_dir: &Path, shard: u32) -> Result<(), String> {
    let dir = JobDir::new(job_dir);
    let request = dir.read_request().map_err(|error| error.to_string())?;
    let task = request
        .tasks
        .iter()
        .find(|task| task.shard == shard)
        .ok_or("no such task in request.toml")?;
    let Work::Generate {
        seed,
        faults,
        offset,
        ..
    } = request.work
    else {
        return Err("request.toml asks for other work".into());
    };
    let output = task.output.as_ref().ok_or("request.toml names no output")?;
    let shard = Shard {
        plan: Plan { seed, faults },
        first: offset + task.first,
        target: task.target,
        output: output.into(),
        progress: Some(dir.progress(shard)),
    };
    generate(&shard).map(drop)
}

/// Makes what is missing of a shard. Started again on a file that has samples it goes on from there.
///
/// # Errors
/// A sentence naming the file.
pub fn generate(shard: &Shard) -> Result<Made, String> {
    shard.plan.check()?;
    let named = |error: std::io::Error| format!("{}: {error}", shard.output.display());
    let there = existing(&shard.output)?;
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&shard.output)
        .map_err(named)?;
    let mut told = Teller::new(shard)?;
    let mut made = Made::default();
    let mut waiting = Vec::new();
    for index in shard.first..shard.first + shard.target {
        let sample = shard
            .plan
            .sample(index)
            .ok_or_else(|| format!("the plan has no sample {index}"))?;
        if there.contains(&sample.id) {
            made.existing += 1;
            continue;
        }
        append(&mut waiting, &sample)?;
        made.new += 1;
        made.accepted += u64::from(sample.accepted);
        made.quality += sample.quality_score;
        if made.new.is_multiple_of(ROWS) {
            write_patiently(&mut file, &waiting).map_err(named)?;
            point!("generate.appended");
            waiting.clear();
            told.tell(&made, false);
        }
    }
    write_patiently(&mut file, &waiting)
        .and_then(|()| patiently(|_| (), || file.sync_data()))
        .map_err(named)?;
    point!("generate.synced");
    told.tell(&made, true);
    Ok(made)
}

/// The ids that the file has. The shim has cut a torn last line already.
fn existing(output: &Path) -> Result<HashSet<String>, String> {
    let file = match File::open(output) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        // Taken for an empty file, its samples would be made twice.
        Err(error) => return Err(format!("{}: {error}", output.display())),
    };
    let mut ids = HashSet::new();
    for line in JsonlReader::<_, Row>::new(BufReader::new(file)) {
        match line.map_err(|error| format!("{}: {error}", output.display()))? {
            Line::Row { value, .. } => drop(ids.insert(value.id)),
            // Counted by who reads the samples; here it is merely not one of ours.
            Line::Invalid { .. } => {}
        }
    }
    Ok(ids)
}

fn append(to: &mut Vec<u8>, sample: &QuerySample) -> Result<(), String> {
    serde_json::to_writer(&mut *to, sample).map_err(|error| error.to_string())?;
    to.push(b'\n');
    Ok(())
}

/// Says how far it is: to the progress file, and to stdout in the text that people and older tools read.
struct Teller {
    file: Option<File>,
    target: u64,
    told: Instant,
    spoke: Instant,
}

impl Teller {
    fn new(shard: &Shard) -> Result<Self, String> {
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

    fn tell(&mut self, made: &Made, last: bool) {
        let mean = |sum: f64| {
            if made.new > 0 {
                Some(sum / made.new as f64)
            } else {
                None
            }
        };
        let (quality, acceptance) = (mean(made.quality), mean(made.accepted as f64));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::jsonl::cut_torn_tail;
    use std::fs;

    fn shard(dir: &Path, first: u64, target: u64) -> Shard {
        let output = dir.join(format!("shard-{first}-{target}.jsonl"));
        Shard {
            plan: Plan {
                seed: 7,
                faults: 0.1,
            },
            first,
            target,
            output,
            progress: None,
        }
    }

    #[test]
    fn it_goes_on_after_any_cut_to_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let shard = shard(dir.path(), 0, 20);
        assert_eq!(generate(&shard).unwrap().new, 20);
        let whole = fs::read(&shard.output).unwrap();
        for length in (0..whole.len()).step_by(97) {
            fs::write(&shard.output, &whole[..length]).unwrap();
            cut_torn_tail(&shard.output).unwrap();
            let made = generate(&shard).unwrap();
            assert_eq!(made.existing + made.new, 20);
            assert_eq!(fs::read(&shard.output).unwrap(), whole, "cut at {length}");
        }
        assert_eq!(
            generate(&shard).unwrap().new,
            0,
            "a finished shard makes nothing"
        );
    }

    #[test]
    fn shards_together_are_the_whole() {
        let dir = tempfile::tempdir().unwrap();
        let whole = shard(dir.path(), 0, 30);
        let parts = [
            shard(dir.path(), 0, 10),
            shard(dir.path(), 10, 10),
            shard(dir.path(), 20, 10),
        ];
        generate(&whole).unwrap();
        let mut joined = Vec::new();
        for part in &parts {
            generate(part).unwrap();
            joined.extend(fs::read(&part.output).unwrap());
        }
        assert_eq!(joined, fs::read(&whole.output).unwrap());
    }
}
