//! The kernels' table in `benches/README.md`: what one launch of each moves by the interpreter's count, beside what it cannot do
//! without, and what `ptxas` gives it. A launch has the shapes of a model, but fewer rows than a step: all blocks do the same.
//!
//!   cargo test --test kernels counts -- --ignored      counts, and puts the table into its place

use crate::ptx::Counts;
use crate::{attend, back, head, lora, rows, toolchain};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/README.md");
const BEGIN: &str =
    "<!-- kernels: written by `cargo test --test kernels counts -- --ignored`, not by hand -->";
const END: &str = "<!-- kernels: end -->";
const COLUMNS: [&str; 11] = [
    "kernel",
    "of",
    "registers",
    "spills",
    "shared memory",
    "conflicts",
    "read",
    "written",
    "least",
    "ratio",
    "read again",
];
/// Those that the interpreter does not know.
const OF_PTXAS: std::ops::Range<usize> = 2..4;
/// How much more than the least is not worth a word.
const SLACK: f64 = 1.05;

/// One launch of a kernel, counted.
pub struct Counted {
    kernel: &'static str,
    /// The launch's shape, in words.
    of: String,
    counts: Counts,
    /// Bytes that must move: each input read once, each output written once.
    least: usize,
    /// What is read more than once.
    again: String,
}

impl Counted {
    /// A launch that moves each byte once.
    pub fn new(kernel: &'static str, of: impl Into<String>, counts: Counts, least: usize) -> Self {
        Self {
            kernel,
            of: of.into(),
            counts,
            least,
            again: String::new(),
        }
    }

    /// The same, that reads something again.
    pub fn because(self, again: impl Into<String>) -> Self {
        Self {
            again: again.into(),
            ..self
        }
    }

    fn ratio(&self) -> f64 {
        (self.counts.read + self.counts.written) as f64 / self.least as f64
    }

    /// Its row of the table; registers and spills are not known to it.
    fn cells(&self) -> [String; COLUMNS.len()] {
        let Counts {
            shared,
            conflicts,
            read,
            written,
            ..
        } = self.counts;
        let [shared, conflicts, read, written, least] =
            [shared, conflicts, read, written, self.least as u64].map(grouped);
        [
            format!("`{}`", self.kernel),
            self.of.clone(),
            "not measured".into(),
            "not measured".into(),
            shared,
            conflicts,
            read,
            written,
            least,
            format!("{:.2}", self.ratio()),
            self.again.clone(),
        ]
    }
}

/// 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts = digits.as_bytes().rchunks(3).rev();
    let parts: Vec<_> = parts.map(String::from_utf8_lossy).collect();
    parts.join(",")
}

/// All of them, in the order of a step.
fn counted() -> Vec<Counted> {
    let families: [fn() -> Vec<Counted>; 18] = [
        rows::gather::counted,
        rows::norm::counted,
        rows::head_norm::counted,
        rows::rope::counted,
        rows::swiglu::counted,
        lora::down::counted,
        lora::up::counted,
        lora::gradient::counted,
        lora::preload::counted,
        lora::reduce::counted,
        attend::forward::counted,
        back::backward::counted,
        head::cross_entropy::counted,
        head::logprob::counted,
        head::squares::counted,
        head::adamw::counted,
        attend::decode::counted,
        attend::choose::counted,
    ];
    families
        .into_par_iter()
        .flat_map(|family| family())
        .collect()
}

/// The cells of the table's rows as they stand in the figures, by kernel.
fn standing() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(FIGURES).unwrap();
    let (_, table) = text
        .split_once(BEGIN)
        .expect("the figures have the markers");
    let (table, _) = table.split_once(END).expect("the figures have the markers");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| {
        row[2..]
            .split(" | ")
            .map(|cell| cell.trim_end_matches(" |"))
    });
    cells
        .map(|cells| cells.map(str::to_owned).collect::<Vec<_>>())
        .map(|cells| (cells[0].trim_matches('`').to_owned(), cells))
        .collect()
}

/// Registers and spills as they stand in the figures, by kernel.
pub fn standing_resources() -> BTreeMap<String, Vec<String>> {
    let rows = standing().into_iter();
    rows.map(|(kernel, cells)| (kernel, cells[OF_PTXAS].to_vec()))
        .collect()
}

#[test]
fn every_kernel_is_counted_and_the_figures_say_what_is_counted() {
    let (rows, standing) = (counted(), standing());
    let kernels: BTreeSet<String> = rows.iter().map(|row| row.kernel.into()).collect();
    assert_eq!(kernels, toolchain::shipped_kernels());
    assert_eq!((rows.len(), standing.len()), (kernels.len(), kernels.len()));
    for row in &rows {
        let (kernel, ratio) = (row.kernel, row.ratio());
        assert_eq!(row.counts.conflicts, 0, "{kernel}");
        assert!(ratio >= 1.0, "{kernel} moves less than it must: {ratio}");
        assert!(
            ratio < SLACK || !row.again.is_empty(),
            "{kernel} moves {ratio} times what it must, and nothing is said of it"
        );
        let (mut now, mut then) = (row.cells().to_vec(), standing[kernel].clone());
        for cells in [&mut now, &mut then] {
            cells.drain(OF_PTXAS);
        }
        assert_eq!(
            now, then,
            "benches/README.md is of other kernels: cargo test --test kernels counts -- --ignored"
        );
    }
}

#[test]
#[ignore = "writes the table into benches/README.md"]
fn the_table_is_written() {
    let resources = toolchain::made().map(|(_, said)| toolchain::resources(&said));
    if let Err(reason) = &resources {
        println!("registers and spills are not measured: {reason}");
    }
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut table = line(&COLUMNS.map(String::from)) + &"|---".repeat(COLUMNS.len()) + "|\n";
    for row in counted() {
        let mut cells = row.cells();
        if let Ok(of) = &resources {
            cells[OF_PTXAS].clone_from_slice(&of[row.kernel]);
        }
        table += &line(&cells);
    }
    println!("{table}");
    let old = fs::read_to_string(FIGURES).unwrap();
    let (before, rest) = old.split_once(BEGIN).expect("the figures have the markers");
    let (_, after) = rest.split_once(END).expect("the figures have the markers");
    fs::write(FIGURES, format!("{before}{BEGIN}\n\n{table}\n{END}{after}")).unwrap();
}

#[test]
fn numbers_are_grouped_by_thousands() {
    let grouped = [0, 999, 1000, 1_234_567].map(grouped);
    assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
}
