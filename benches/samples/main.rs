//! What making samples costs: trajectories by rules, the linter, and a request to a model.
//!
//! `cargo bench --bench samples` prints the table and writes it into `benches/README.md`, between its markers. `--quick`
//! takes fewer; `--dir DIR` writes the samples there.
#![allow(
    clippy::unwrap_used,
    reason = "a measurement ends where its assumption does"
)]

mod requests;
#[path = "../cost/table.rs"]
mod table;

use campaignd::{
    generation::Plan,
    machines::spec::AgentsSpec,
    worker::generate::{Shard, generate},
    workflow::lint::lint,
};
use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use table::Table;

const SEED: u64 = 1;
/// Samples of a default campaign.
const CAMPAIGN: u64 = 34_500;

fn shard(dir: &Path, first: u64, target: u64) -> Shard {
    Shard {
        plan: Plan {
            seed: SEED,
            faults: 0.1,
        },
        first,
        target,
        output: dir.join(format!("shard-{first}.jsonl")),
        progress: None,
        experience: None,
        session: "bench/generate".into(),
        agents: AgentsSpec::default(),
    }
}

fn megabytes(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}

/// One core makes samples; beside it, the same bytes are only written.
fn one_core(dir: &Path, count: u64, table: &mut Table) -> PathBuf {
    let shard = shard(dir, 0, count);
    let begun = Instant::now();
    generate(&shard).unwrap();
    let took = begun.elapsed();
    let bytes = fs::read(&shard.output).unwrap();
    let begun = Instant::now();
    let copy = dir.join("copy");
    fs::write(&copy, &bytes).unwrap();
    fs::File::open(&copy).unwrap().sync_data().unwrap();
    let written = begun.elapsed();
    let rate = count as f64 / took.as_secs_f64();
    table.row(
        "offline trajectories, one core",
        format!(
            "{rate:.0} a second, {:.1} KB each",
            bytes.len() as f64 / 1e3 / count as f64
        ),
        format!(
            "writing the same bytes: {:.0} a second",
            count as f64 / written.as_secs_f64()
        ),
        "2,000",
        rate >= 2_000.0,
    );
    shard.output
}

fn whole_campaign(dir: &Path, table: &mut Table) {
    let begun = Instant::now();
    thread::scope(|scope| {
        for half in 0..2 {
            let shard = shard(dir, 1_000_000 + half * CAMPAIGN / 2, CAMPAIGN / 2);
            scope.spawn(move || generate(&shard).unwrap());
        }
    });
    let took = begun.elapsed().as_secs_f64();
    table.row(
        "34,500 trajectories, two cores",
        format!("{took:.1} s"),
        "two shards, each in its own thread".into(),
        "20 s",
        took < 20.0,
    );
}

/// The workflows of real samples, linted; beside it, their lines are counted.
fn linter(samples: &Path, rounds: u32, table: &mut Table) {
    let text = fs::read_to_string(samples).unwrap();
    let codes: Vec<String> = text
        .lines()
        .take(500)
        .filter_map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row["generated_code"].as_str().map(String::from)
        })
        .collect();
    let bytes = codes.iter().map(String::len).sum::<usize>() as u64 * u64::from(rounds);
    let timed = |work: &dyn Fn(&str) -> usize| {
        let begun = Instant::now();
        for _ in 0..rounds {
            for code in &codes {
                black_box(work(code));
            }
        }
        begun.elapsed()
    };
    let linted = timed(&|code| lint(code).len());
    let counted = timed(&|code| code.lines().count());
    table.note(
        "linter",
        format!("{:.0} MB/s", megabytes(bytes, linted)),
        format!(
            "counting lines: {:.0} MB/s; {} workflows of {:.1} KB",
            megabytes(bytes, counted),
            codes.len(),
            bytes as f64 / 1e3 / codes.len() as f64 / f64::from(rounds)
        ),
    );
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let quick = args.iter().any(|arg| arg == "--quick");
    let at = args.iter().position(|arg| arg == "--dir");
    let dir = at.and_then(|at| args.get(at + 1));
    let dir = dir.map_or(env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
    let scratch = tempfile::tempdir_in(&dir).unwrap();
    let mut table = Table::new("samples", &dir, quick);
    let samples = one_core(
        scratch.path(),
        if quick { 2_000 } else { 8_000 },
        &mut table,
    );
    linter(&samples, if quick { 10 } else { 40 }, &mut table);
    whole_campaign(scratch.path(), &mut table);
    requests::overhead(
        scratch.path(),
        if quick { 6_400 } else { 19_200 },
        &mut table,
    );
    table.write();
}
