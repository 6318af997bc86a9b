//! The same rows through datasketch, where there is a Python that has it.

use crate::{
    Measured, Texts,
    table::Table,
    times::{short, thousands},
};
use campaignd::curation::near::normalised;
use std::{fmt::Write, fs, path::Path, process::Command};

/// Says what it took: seconds for signatures and for the search, rows dropped, of these without a row that stays at 0.85,
/// and bytes of memory.
const PROGRAM: &str = include_str!("beside.py");

pub fn datasketch(
    table: &mut Table,
    texts: &Texts,
    rows: usize,
    ours: &Measured,
    python: &Path,
    dir: &Path,
) {
    let mut lines = String::new();
    (0..rows).for_each(|row| writeln!(lines, "{}", normalised(texts.get(row))).unwrap());
    let (file, program) = (dir.join("rows"), dir.join("beside.py"));
    fs::write(&file, lines).unwrap();
    fs::write(&program, PROGRAM).unwrap();
    let output = match Command::new(python).arg(&program).arg(&file).output() {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            let reason = error.lines().last().unwrap_or("it said nothing");
            return eprintln!("skipped datasketch: {reason}");
        }
        Err(error) => return eprintln!("skipped datasketch: {}: {error}", python.display()),
    };
    let said: Vec<f64> = output
        .split_whitespace()
        .map(|n| n.parse().unwrap())
        .collect();
    let [signing, searching, dropped, wrong, memory] = said[..] else {
        panic!("datasketch said {output:?}");
    };
    let theirs = signing + searching;
    let count = thousands(rows as f64);
    table.note(
        &format!("{count} rows, all steps"),
        format!(
            "{} s; {} go, each for a row that stays at 0.85 or more",
            short(ours.whole()),
            thousands((ours.found.dropped.len() + rows - ours.distinct) as f64)
        ),
        format!(
            "datasketch, one thread: {} s ({} s of it MinHash), {} go, {} of them at 0.85 like no row that it names; {} bytes a row; a million \
             rows by extrapolation {} s",
            short(theirs),
            short(signing),
            thousands(dropped),
            thousands(wrong),
            thousands(memory / rows as f64),
            short(theirs * 1e6 / rows as f64)
        ),
    );
}
