//! The curation worker: shard files in, a data set's directory out, which appears only when it is complete.

use crate::{
    artifacts::{
        create_dir_private,
        jsonl::{JsonlReader, Line},
        room::{patiently, say},
        sync_dir,
    },
    curation::{Counts, Fate, Reason, Split, card::card, decide, row::Row},
    executor::job_dir::{JobDir, Work},
    points::point,
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// What is to be curated.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Shard files; a missing one is an error.
    pub inputs: Vec<PathBuf>,
    /// The data set's directory.
    pub output: PathBuf,
    /// Rows below this quality are removed.
    pub min_quality: f64,
    /// Shares of train, validation and test.
    pub split: [f64; 3],
    /// Root of the split.
    pub seed: u64,
    /// The data set's name.
    pub name: String,
    /// Where progress goes.
    pub progress: Option<PathBuf>,
}

/// A line that could not be read as a row.
struct Unread {
    reason: Reason,
    file: String,
    line: u64,
    text: Value,
}

/// The work of a job directory.
///
/// # Errors
/// A sentence.
pub fn run(job_dir: &Path, shard: u32) -> Result<(), String> {
    let dir = JobDir::new(job_dir);
    let Work::Curate {
        inputs,
        output,
        min_quality,
        split,
        seed,
        name,
    } = dir.read_request().map_err(|error| error.to_string())?.work
    else {
        return Err("request.toml asks for other work".into());
    };
    let job = Job {
        inputs: inputs.into_iter().map(PathBuf::from).collect(),
        output: output.into(),
        min_quality,
        split,
        seed,
        name,
        progress: Some(dir.progress(shard)),
    };
    let counts = curate(&job)?;
    // The data set is there; stdout may lie on a full disk.
    let _ = writeln!(
        std::io::stdout(),
        "{} rows of {}",
        counts["kept"],
        counts["rows_in"]
    );
    Ok(())
}

/// Curates; gives `stats.json`. An output that exists is complete, and is left as it is.
///
/// # Errors
/// A sentence naming the file; nothing usable, with the reasons by count.
pub fn curate(job: &Job) -> Result<Value, String> {
    if job.output.exists() {
        let stats = job.output.join("stats.json");
        let text = fs::read(&stats).map_err(|error| format!("{}: {error}", stats.display()))?;
        return serde_json::from_slice(&text)
            .map_err(|error| format!("{}: {error}", stats.display()));
    }
    let (rows, unread) = read(job)?;
    let fates = decide(&rows, job.min_quality, job.split, job.seed);
    let mut counts = Counts::default();
    for (row, fate) in rows.iter().zip(&fates) {
        counts.add(Some(row), fate);
    }
    for line in &unread {
        counts.add(None, &Err(line.reason));
    }
    if counts.kept == 0 {
        return Err(format!(
            "no usable row among {}: {}",
            counts.rows_in,
            json!(counts.removed)
        ));
    }
    let say_so = |error: &std::io::Error| say(&format!("{error}; waiting for room"));
    patiently(say_so, || write(job, &rows, &fates, &unread, &counts))
        .map_err(|error| format!("the data set cannot be written: {error}"))?;
    Ok(counts.render())
}

/// Every row, in the order of ids, and every line that is none.
fn read(job: &Job) -> Result<(Vec<Row>, Vec<Unread>), String> {
    let (mut rows, mut unread) = (Vec::new(), Vec::new());
    for path in &job.inputs {
        let named = |error: std::io::Error| format!("{}: {error}", path.display());
        let file = path
            .file_name()
            .map_or(String::new(), |name| name.to_string_lossy().into_owned());
        for line in JsonlReader::<_, Value>::new(BufReader::new(File::open(path).map_err(named)?)) {
            match line.map_err(named)? {
                Line::Row { line_no, mut value } => match Row::read(&mut value) {
                    Ok(row) => rows.push(row),
                    Err(reason) => unread.push(Unread {
                        reason,
                        file: file.clone(),
                        line: line_no,
                        text: value,
                    }),
                },
                Line::Invalid { line_no, why } => {
                    let text = Value::String(why);
                    unread.push(Unread {
                        reason: Reason::InvalidJson,
                        file: file.clone(),
                        line: line_no,
                        text,
                    });
                }
            }
        }
        tell(job, rows.len());
    }
    rows.sort_by(|a, b| a.id.cmp(&b.id).then_with(|| a.rank(b)));
    Ok((rows, unread))
}

/// Progress is a hint; where it cannot be written nothing is lost.
fn tell(job: &Job, rows: usize) {
    let Some(path) = &job.progress else { return };
    if let Ok(mut file) = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
    {
        let _ = writeln!(file, "{}", json!({ "done": rows, "stage": "curate" }));
    }
}

fn write(
    job: &Job,
    rows: &[Row],
    fates: &[Fate],
    unread: &[Unread],
    counts: &Counts,
) -> std::io::Result<()> {
    let making = job.output.with_extension("making");
    if making.exists() {
        fs::remove_dir_all(&making)?;
    }
    create_dir_private(&making)?;
    // One row at a time: all of them as values would take several times the memory of their text.
    let kept = || {
        let kept = rows.iter().zip(fates);
        kept.filter_map(|(row, fate)| Some(((*fate).ok()?, row)))
    };
    let mut keys = BTreeSet::new();
    for (_, row) in kept() {
        keys.extend(row.curated().into_iter().map(|(key, _)| key));
    }
    for split in Split::ALL {
        let lines = kept()
            .filter(|(where_to, _)| *where_to == split)
            .map(|(_, row)| whole(row.curated(), &keys));
        lines_to(&making.join(format!("{}.jsonl", split.name())), lines)?;
    }
    let refused = rows.iter().zip(fates).filter_map(|(row, fate)| {
        let reason = fate.err()?.name();
        let mut row = row.value();
        row.insert("rejection_reason".into(), reason.into());
        Some(Value::Object(row))
    });
    let broken = unread.iter().map(|line| {
        json!({ "rejection_reason": line.reason.name(), "file": line.file, "line": line.line, "text": line.text })
    });
    lines_to(&making.join("rejected.jsonl"), refused.chain(broken))?;
    text_to(
        &making.join("stats.json"),
        &serde_json::to_vec_pretty(&counts.render())?,
    )?;
    text_to(
        &making.join("README.md"),
        card(&job.name, counts, job.min_quality).as_bytes(),
    )?;
    checksums(&making)?;
    sync_dir(&making)?;
    point!("curate.written");
    fs::rename(&making, &job.output)?;
    point!("curate.renamed");
    job.output.parent().map_or(Ok(()), sync_dir)
}

/// Every key in every row: a reader that takes its columns from the first row loses none.
fn whole(mut row: Map<String, Value>, keys: &BTreeSet<String>) -> Value {
    for key in keys {
        row.entry(key.clone()).or_insert(Value::Null);
    }
    Value::Object(row)
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn lines_to(path: &Path, lines: impl Iterator<Item = Value>) -> std::io::Result<()> {
    let mut file = BufWriter::new(create(path)?);
    for line in lines {
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n")?;
    }
    file.into_inner()
        .map_err(std::io::IntoInnerError::into_error)?
        .sync_data()
}

fn text_to(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = create(path)?;
    file.write_all(text)?;
    file.sync_data()
}

/// Of a file that may be larger than memory.
fn digest(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut hash = Sha256::new();
    loop {
        let piece = file.fill_buf()?;
        if piece.is_empty() {
            return Ok(hash.finalize().to_vec());
        }
        hash.update(piece);
        let taken = piece.len();
        file.consume(taken);
    }
}

/// `SHA256SUMS`, as `sha256sum --check` reads it.
fn checksums(dir: &Path) -> std::io::Result<()> {
    let mut sums = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let hex: String = digest(&entry.path())?
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        sums.insert(entry.file_name().to_string_lossy().into_owned(), hex);
    }
    let text: String = sums
        .iter()
        .map(|(name, sum)| format!("{sum}  {name}\n"))
        .collect();
    text_to(&dir.join("SHA256SUMS"), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(dir: &Path, name: &str, shards: &[String]) -> Job {
        let inputs = shards.iter().enumerate().map(|(n, text)| {
            let path = dir.join(format!("{name}-{n}.jsonl"));
            fs::write(&path, text).unwrap();
            path
        });
        Job {
            inputs: inputs.collect(),
            output: dir.join(name),
            min_quality: 0.5,
            split: [0.8, 0.1, 0.1],
            seed: 1,
            name: "toy".into(),
            progress: None,
        }
    }

    fn samples() -> Vec<String> {
        let row = |n: usize| json!({ "id": n, "query": format!("query {n}"), "quality_score": (n % 10) as f64 / 10.0 });
        (0..200).map(|n| row(n).to_string() + "\n").collect()
    }

    #[test]
    fn shards_and_order_do_not_change_a_byte() {
        let dir = tempfile::tempdir().unwrap();
        let rows = samples();
        let turned: Vec<String> = rows.iter().rev().cloned().collect();
        let one = job(dir.path(), "one", &[rows.concat()]);
        let two = job(
            dir.path(),
            "two",
            &[turned[..70].concat(), turned[70..].concat()],
        );
        let stats = curate(&one).unwrap();
        assert_eq!(stats["rows_in"].as_u64().unwrap(), 200);
        assert_eq!(
            stats["kept"].as_u64().unwrap() + stats["removed"].as_u64().unwrap(),
            200
        );
        assert_eq!(
            stats["removed_by_reason"],
            json!({ "below_min_quality": 100 })
        );
        curate(&two).unwrap();
        for file in [
            "train.jsonl",
            "validation.jsonl",
            "test.jsonl",
            "rejected.jsonl",
            "stats.json",
            "SHA256SUMS",
        ] {
            assert_eq!(
                fs::read(one.output.join(file)).unwrap(),
                fs::read(two.output.join(file)).unwrap(),
                "{file}"
            );
        }
    }

    #[test]
    fn bad_lines_are_counted_and_kept_with_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let text = "{\"id\":\"a\",\"text\":\"x\"}\nnot json\n{\"text\":\"no id\"}\n{\"id\":\"b\",\"text\":\"to";
        let job = job(dir.path(), "bad", &[text.to_string()]);
        let stats = curate(&job).unwrap();
        assert_eq!(
            stats["removed_by_reason"],
            json!({ "invalid_json": 1, "no_id": 1 })
        );
        let rejected = fs::read_to_string(job.output.join("rejected.jsonl")).unwrap();
        assert!(
            rejected.contains("\"line\":2") && rejected.contains("\"line\":3"),
            "{rejected}"
        );
    }

    #[test]
    fn nothing_usable_is_an_error_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let job = job(
            dir.path(),
            "none",
            &["{\"id\":1,\"quality_score\":0.1}\n".to_string()],
        );
        let error = curate(&job).unwrap_err();
        assert!(
            error.contains("no usable row") && error.contains("below_min_quality"),
            "{error}"
        );
        assert!(!job.output.exists());
    }

    #[test]
    fn what_a_killed_run_left_is_made_anew_and_what_is_complete_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let job = job(dir.path(), "again", &[samples().concat()]);
        fs::create_dir_all(job.output.with_extension("making")).unwrap();
        fs::write(
            job.output.with_extension("making").join("train.jsonl"),
            "torn",
        )
        .unwrap();
        let first = curate(&job).unwrap();
        let sums = fs::read(job.output.join("SHA256SUMS")).unwrap();
        assert_eq!(curate(&job).unwrap(), first);
        assert_eq!(fs::read(job.output.join("SHA256SUMS")).unwrap(), sums);
    }
}
