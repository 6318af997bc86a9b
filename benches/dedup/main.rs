//! What curation of short rows costs: near-duplicates beside datasketch's MinHash on the same rows, every other filter, and
//! `campaignd curate` as a whole.
//!
//! `cargo bench --bench dedup` prints the table and writes it into `benches/README.md`, between its markers. `--quick`
//! takes 100,000 rows for a million; `--dir DIR` puts the sets there; `--python FILE` is a Python that has `datasketch`, by
//! default that of `target/datasketch`: `python3 -m venv target/datasketch`, `target/datasketch/bin/pip install datasketch`.
//! `--print` writes nothing into the README.
#![allow(
    clippy::unwrap_used,
    reason = "a measurement ends where its assumption does"
)]

#[path = "../cost/table.rs"]
mod table;
#[allow(dead_code, reason = "another bench needs the rest")]
#[path = "../cost/times.rs"]
mod times;

mod beside;
mod rows;
mod whole;

use campaignd::curation::near::{
    Found, Sets, Settings, Signatures, dedup, normalised, shingles, text_key,
};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use table::Table;
use times::{short, thousands, timed};

/// Threads that read rows and sign them; the search has one.
const THREADS: usize = 2;
/// Rows that datasketch gets.
const BESIDE: usize = 100_000;

/// Many texts, in one piece.
pub struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    fn new(rows: usize) -> Self {
        let (mut all, mut ends) = (String::new(), Vec::new());
        for number in 0..rows as u64 {
            rows::write(number, rows as u64, &mut all);
            ends.push(all.len());
        }
        Self { all, ends }
    }

    /// One of them.
    /// A text.
    pub fn get(&self, row: usize) -> &str {
        let from = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.all[from..self.ends[row]]
    }
}

/// The sets of many rows, in one piece.
#[derive(Default)]
struct Flat {
    all: Vec<u32>,
    ends: Vec<usize>,
    keys: Vec<u128>,
}

impl Flat {
    fn of(texts: &Texts, rows: Range<usize>) -> Self {
        let (mut made, mut set) = (Self::default(), Vec::new());
        for row in rows {
            let text = normalised(texts.get(row));
            shingles(&text, &mut set);
            made.all.extend(&set);
            made.ends.push(made.all.len());
            made.keys.push(text_key(&text));
        }
        made
    }

    fn range(&self, row: usize) -> Range<usize> {
        let from = if row == 0 { 0 } else { self.ends[row - 1] };
        from..self.ends[row]
    }

    fn append(mut self, later: Self) -> Self {
        let before = self.all.len();
        self.all.extend(later.all);
        self.ends.extend(later.ends.iter().map(|end| before + end));
        self.keys.extend(later.keys);
        self
    }
}

impl Sets for Flat {
    fn set(&self, row: u32, into: &mut Vec<u32>) {
        into.clear();
        into.extend_from_slice(&self.all[self.range(row as usize)]);
    }
}

/// The sets of many rows, in a file.
struct Spilled {
    file: File,
    ends: Vec<usize>,
}

impl Spilled {
    fn new(flat: &Flat, path: &Path) -> Self {
        let mut file = BufWriter::new(File::create_new(path).unwrap());
        for shingle in &flat.all {
            file.write_all(&shingle.to_le_bytes()).unwrap();
        }
        file.flush().unwrap();
        Self {
            file: File::open(path).unwrap(),
            ends: flat.ends.clone(),
        }
    }
}

impl Sets for Spilled {
    fn set(&self, row: u32, into: &mut Vec<u32>) {
        let row = row as usize;
        let from = if row == 0 { 0 } else { self.ends[row - 1] };
        let mut bytes = [0; 4096];
        let bytes = &mut bytes[..(self.ends[row] - from) * 4];
        self.file.read_exact_at(bytes, from as u64 * 4).unwrap();
        into.clear();
        into.extend(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|four| u32::from_le_bytes(*four)),
        );
    }
}

/// Both halves of the rows, each by its own thread.
fn halves<T: Send>(rows: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let parts = (0..THREADS).map(|at| rows * at / THREADS..rows * (at + 1) / THREADS);
        let parts: Vec<_> = parts.map(|part| scope.spawn(|| work(part))).collect();
        parts.into_iter().map(|part| part.join().unwrap()).collect()
    })
}

/// Rows, best first, each text once: the order is that of their keys, as good as any.
fn order(keys: &[u128]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..keys.len() as u32).collect();
    order.sort_unstable_by_key(|row| (keys[*row as usize], *row));
    order.dedup_by_key(|row| keys[*row as usize]);
    order
}

/// A line of this process's status, in bytes.
fn memory(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let found = status
        .lines()
        .find_map(|one| one.strip_prefix(line))
        .unwrap();
    let kilobytes = found.trim_matches(|c: char| !c.is_ascii_digit());
    kilobytes.parse::<u64>().unwrap() * 1024
}

/// What a whole search took, step by step.
struct Measured {
    read: Duration,
    signed: Duration,
    in_memory: Duration,
    in_file: Duration,
    /// Most bytes of signatures, index and search together.
    peak: u64,
    distinct: usize,
    found: Found,
}

impl Measured {
    fn whole(&self) -> f64 {
        (self.read + self.signed + self.in_file).as_secs_f64()
    }
}

fn measure(texts: Texts, rows: usize, spill: &Path) -> Measured {
    let settings = Settings::default();
    let (flat, read) = timed(|| {
        let parts = halves(rows, |part| Flat::of(&texts, part));
        parts.into_iter().reduce(Flat::append).unwrap()
    });
    drop(texts);
    let sign = || {
        let parts = halves(rows, |part| {
            let mut made = Signatures::new(settings.banding());
            made.reserve(part.len());
            part.for_each(|row| made.push(&flat.all[flat.range(row)]));
            made
        });
        let append = |mut all: Signatures, later| {
            all.append(later);
            all
        };
        parts.into_iter().reduce(append).unwrap()
    };
    let (signatures, signed) = timed(sign);
    let (order, fixed) = (order(&flat.keys), vec![false; rows]);
    let again = signatures.clone();
    let spilled = Spilled::new(&flat, spill);
    let of_signatures = rows as u64 * (settings.banding().bands as u64 * 4 + 16 + 4);
    // Sets the peak to what is in use now. First of the two searches: what another one freed would hide what this one takes.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS:");
    let (found, in_file) = timed(|| dedup(&order, &fixed, signatures, &spilled, &settings));
    let peak = memory("VmHWM:").saturating_sub(before) + of_signatures;
    let (same, in_memory) = timed(|| dedup(&order, &fixed, again, &flat, &settings));
    assert!(same == found);
    Measured {
        read,
        signed,
        in_memory,
        in_file,
        peak,
        distinct: order.len(),
        found,
    }
}

fn tell(table: &mut Table, rows: usize, measured: &Measured) {
    let rate = |rows: usize, time: Duration| {
        let seconds = time.as_secs_f64();
        format!(
            "{} rows/s, {} s",
            thousands(rows as f64 / seconds),
            short(seconds)
        )
    };
    let Measured { found, .. } = measured;
    let count = thousands(rows as f64);
    table.note(
        "normalised, shingled, keyed",
        rate(rows, measured.read),
        format!("{THREADS} threads; {count} rows"),
    );
    table.note(
        "signed",
        rate(rows, measured.signed),
        format!("{THREADS} threads"),
    );
    table.note(
        "indexed, searched, verified; sets in a file",
        rate(measured.distinct, measured.in_file),
        format!(
            "one thread; sets in memory: {}",
            rate(measured.distinct, measured.in_memory)
        ),
    );
    let (bytes, aim) = (measured.peak as f64 / rows as f64, 30.0 * rows as f64 / 1e6);
    table.row(
        "peak memory of signatures, index and search",
        format!("{bytes:.0} bytes a row"),
        format!("{} MB", thousands(measured.peak as f64 / 1e6)),
        "256",
        bytes <= 256.0,
    );
    table.note(
        "what came of it",
        format!("{} near-duplicates go", thousands(found.dropped.len() as f64)),
        format!(
            "{} the same but for typing; {} ties; {} rows had more neighbours than are verified, {} pairs",
            thousands((rows - measured.distinct) as f64),
            thousands(found.ties.len() as f64),
            thousands(f64::from(found.cut_short)),
            thousands(found.unchecked as f64)
        ),
    );
    table.row(
        &format!("{count} rows, all steps"),
        format!("{} s", short(measured.whole())),
        "sets in a file".into(),
        &format!("{aim:.0} s"),
        measured.whole() <= aim,
    );
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let value = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        args.get(at + 1).map(PathBuf::from)
    };
    let dir = value("--dir").unwrap_or(env!("CARGO_TARGET_TMPDIR").into());
    let scratch = tempfile::tempdir_in(&dir).unwrap();
    let rows = if has("--quick") { 100_000 } else { 1_000_000 };
    let mut table = Table::new("dedup", &dir, has("--quick"));
    let measured = measure(Texts::new(rows), rows, &scratch.path().join("sets"));
    tell(&mut table, rows, &measured);
    drop(measured);
    whole::measure(&mut table, &Texts::new(rows), rows, scratch.path());
    let texts = Texts::new(BESIDE);
    let ours = measure(Texts::new(BESIDE), BESIDE, &scratch.path().join("fewer"));
    let python = value("--python").unwrap_or_else(|| {
        Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("datasketch/bin/python")
    });
    beside::datasketch(&mut table, &texts, BESIDE, &ours, &python, scratch.path());
    if !has("--print") {
        table.write();
    }
}
