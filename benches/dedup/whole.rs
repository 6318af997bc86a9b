//! Every filter by itself, and `campaignd curate` as a whole process on the same rows.

use crate::{
    Texts,
    table::Table,
    times::{short, thousands, timed},
};
use campaignd::curation::{
    fates::{Fates, Key},
    near::text_key,
    row::{Bar, Seen, id_key},
    split::{self, Member},
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    hint::black_box,
    io::{BufWriter, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const TYPES: [&str; 15] = [
    "rna_seq",
    "atac_seq",
    "chip_seq",
    "wgs",
    "wes",
    "scrna_seq",
    "hic",
    "crispr",
    "spatial",
    "long_read",
    "methylation",
    "multiomics",
    "metagenomics",
    "small_rna_seq",
    "phylogenetics",
];

const LEVELS: [&str; 3] = ["simple", "medium", "complex"];

/// A row with everything that a filter looks at. One in five failed.
fn row(texts: &Texts, number: usize) -> Value {
    let outcome = if number.is_multiple_of(5) {
        "execution_failed"
    } else {
        "success"
    };
    json!({
        "id": format!("r{number:07}"), "text": texts.get(number), "response": "as asked", "outcome": outcome,
        "analysis_type": TYPES[number * number % 15], "complexity": LEVELS[number % 3],
        "quality_score": 0.7 + (number % 300) as f64 / 1000.0,
    })
}

/// Measures each filter over rows that stand, and the whole.
pub fn measure(table: &mut Table, texts: &Texts, rows: usize, dir: &Path) {
    let lines: Vec<String> = (0..rows)
        .map(|number| row(texts, number).to_string())
        .collect();
    let input = dir.join("rows.jsonl");
    let mut file = BufWriter::new(File::create_new(&input).unwrap());
    for line in &lines {
        writeln!(file, "{line}").unwrap();
    }
    file.flush().unwrap();
    filters(table, &lines);
    drop(lines);
    process(table, rows, &input, dir);
}

fn filters(table: &mut Table, lines: &[String]) {
    let rows = lines.len();
    let mut tell = |what: &str, time: Duration, beside: String| {
        let seconds = time.as_secs_f64();
        let figure = format!(
            "{} rows/s, {} s",
            thousands(rows as f64 / seconds),
            short(seconds)
        );
        table.note(what, figure, beside);
    };
    let (_, parsed) = timed(|| {
        for line in lines {
            black_box(serde_json::from_str::<Value>(line).unwrap());
        }
    });
    let bar = Bar {
        min_quality: 0.7,
        min_words: 3,
    };
    let (seen, read) = timed(|| -> Vec<Seen> {
        let read = |line: &String| Seen::read(&serde_json::from_str(line).unwrap(), bar).unwrap();
        lines.iter().map(read).collect()
    });
    let alone = format!(
        "serde_json alone: {} s; one thread",
        short(parsed.as_secs_f64())
    );
    tell("parsed; incomplete, trivial, quality", read, alone);
    let keys: Vec<Key> = seen.into_iter().map(key).collect();
    let (mut fates, ranked) = timed(|| Fates::new(&keys));
    tell("ranked, best first", ranked, String::new());
    let (_, time) = timed(|| {
        fates.ids();
        fates.structures();
        fates.texts();
    });
    tell("ids, structures and texts once", time, String::new());
    let (_, time) = timed(|| fates.balance(0.1));
    tell("outcome balance, to a tenth", time, String::new());
    let (_, time) = timed(|| fates.diversity(0.0667));
    tell("diversity, to a fifteenth", time, String::new());
    let members: Vec<Member> = fates
        .standing()
        .iter()
        .map(|row| member(&keys[*row as usize]))
        .collect();
    let standing = members.len();
    let (_, time) = timed(|| black_box(split::place(&members, &[], &split::Settings::default())));
    tell(
        "components and splits",
        time,
        format!("{} rows stand", thousands(standing as f64)),
    );
}

fn key(seen: Seen) -> Key {
    Key {
        id: seen.id.into(),
        content: seen.content,
        score: seen.score.map(|score| score as f32),
        structure: seen.structure,
        text: seen.text.as_deref().map(text_key),
        source: seen.source,
        template: None,
        kind: seen.kind.as_deref().map(|kind| text_key(kind) as u32),
        stratum: seen.stratum,
        success: seen.success,
        refused: seen.refused,
        frozen: None,
    }
}

fn member(key: &Key) -> Member {
    Member {
        id: id_key(&key.id),
        structure: key.structure,
        text: key.text,
        source: Some(key.source),
        template: key.template,
        kind: key.kind,
        stratum: key.stratum,
        frozen: None,
    }
}

/// The whole program, with the most memory it ever had.
fn process(table: &mut Table, rows: usize, input: &Path, dir: &Path) {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_campaignd"))
        .args(["curate", "--json", "--input"])
        .arg(input)
        .arg("--output")
        .arg(dir.join("set"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        // What was last seen of a process is its peak but for what its last milliseconds took.
        if let Some(now) = high(&status) {
            peak = now;
        }
        match child.try_wait().unwrap() {
            Some(ended) => break ended,
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    let took = began.elapsed().as_secs_f64();
    assert!(ended.success());
    let written: u64 = walk(&dir.join("set"));
    table.note(
        "`campaignd curate`, the whole process",
        format!(
            "{} rows/s, {} s",
            thousands(rows as f64 / took),
            short(took)
        ),
        format!(
            "{} MB read, {} MB written and checksummed",
            thousands(fs::metadata(input).unwrap().len() as f64 / 1e6),
            thousands(written as f64 / 1e6)
        ),
    );
    table.row(
        "its peak memory",
        format!("{} MB", thousands(peak as f64 / 1e6)),
        format!("{} bytes a row", thousands(peak as f64 / rows as f64)),
        "1,000 MB",
        peak <= 1_000_000_000,
    );
}

fn high(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line
        .trim_matches(|c: char| !c.is_ascii_digit())
        .parse()
        .ok()?;
    Some(kilobytes * 1024)
}

fn walk(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            kind if kind.is_dir() => walk(&entry.path()),
            file => file.len(),
        })
        .sum()
}
