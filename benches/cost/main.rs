//! What campaignd costs: each figure beside what it is compared with, measured in the same run.
//!
//! `cargo bench --bench cost` prints the table and writes it into `benches/README.md`, between its markers. `--quick`
//! takes fewer trials and smaller files; `--dir DIR` measures the disk of `DIR`, which should be the one that the state
//! directory will be on; `--only PART` measures one part and writes nothing.
#![allow(
    clippy::unwrap_used,
    reason = "a measurement ends where its assumption does"
)]

#[path = "../../tests/common/mod.rs"]
mod common;
mod house;
mod logs;
mod samples;
mod store;
mod table;
mod times;

use std::path::PathBuf;
use table::Table;

/// How much is measured, and where.
pub struct Plan {
    quick: bool,
    dir: PathBuf,
}

impl Plan {
    /// The one number or the other.
    fn size<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// A directory that is removed again.
    fn scratch(&self) -> tempfile::TempDir {
        tempfile::tempdir_in(&self.dir).unwrap()
    }
}

type Part = (&'static str, fn(&Plan, &mut Table));

const PARTS: [Part; 6] = [
    // First, so that this program is as small as it is compared with.
    ("idle", samples::idle),
    ("transitions", store::transitions),
    ("journal", store::journal),
    ("some", samples::some),
    ("many", samples::many),
    ("logs", logs::logs),
];

fn main() {
    // What cargo adds, `--bench`, says nothing here.
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        args.get(at + 1).cloned()
    };
    let plan = Plan {
        quick: args.iter().any(|arg| arg == "--quick"),
        dir: value("--dir").map_or(env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from),
    };
    let only = value("--only");
    let mut table = Table::new("cost", &plan.dir, plan.quick);
    for (name, measure) in PARTS {
        if only.as_deref().is_none_or(|only| only == name) {
            measure(&plan, &mut table);
        }
    }
    if only.is_none() {
        table.write();
    }
}
