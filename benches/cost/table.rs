//! The table: rows as they are measured, and its place in `benches/README.md`.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What was measured so far.
pub struct Table {
    /// The bench's name, which its markers bear.
    name: &'static str,
    rows: Vec<[String; 5]>,
    dir: PathBuf,
    quick: bool,
    load: String,
}

impl Table {
    pub fn new(name: &'static str, dir: &Path, quick: bool) -> Self {
        Self {
            name,
            rows: Vec::new(),
            dir: dir.to_owned(),
            quick,
            load: load(),
        }
    }

    /// A figure, what it is compared with, what was aimed at, and whether that was reached.
    pub fn row(&mut self, what: &str, figure: String, beside: String, aim: &str, met: bool) {
        let word = match (aim, met) {
            ("", _) => "",
            (_, true) => "met",
            (_, false) => "**missed**",
        };
        eprintln!("{what}: {figure} | {beside} | {aim} {word}");
        self.rows
            .push([what.into(), figure, beside, aim.into(), word.into()]);
    }

    /// A figure without an aim.
    pub fn note(&mut self, what: &str, figure: String, beside: String) {
        self.row(what, figure, beside, "", true);
    }

    /// Prints the table.
    pub fn print(&self) {
        println!("{}", self.text());
    }

    /// Prints the table and puts it between its markers.
    pub fn write(&self) {
        self.print();
        let text = self.text();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/README.md");
        let old = fs::read_to_string(&path).unwrap();
        let name = self.name;
        let begin =
            format!("<!-- {name}: written by `cargo bench --bench {name}`, not by hand -->");
        let end = format!("<!-- {name}: end -->");
        let (before, rest) = old.split_once(&begin).expect("the README has the markers");
        let (_, after) = rest.split_once(&end).expect("the README has the markers");
        fs::write(&path, format!("{before}{begin}\n{text}{end}{after}")).unwrap();
    }

    fn text(&self) -> String {
        let share = if self.quick { " -- --quick" } else { "" };
        let mut text = format!(
            "\n`cargo bench --bench {}{share}` on {}; load average {} before, {} after.\n\n",
            self.name,
            machine(&self.dir),
            self.load,
            load()
        );
        text += "| | measured | beside it | aim | |\n|---|---|---|---|---|\n";
        for row in &self.rows {
            text += &format!("| {} |\n", row.join(" | "));
        }
        text + "\n"
    }
}

/// The load average of the last minute: figures taken beside other work say so.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap();
    text.split(' ').next().unwrap_or("?").into()
}

fn machine(dir: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    // `6.18.44-vendor` says no more than its numbers to a stranger.
    let kernel = kernel.split('-').next().unwrap_or("?").trim();
    format!(
        "{cores} cores ({model}), Linux {kernel}, {}",
        file_system(dir)
    )
}

/// The kind of the file system that holds `dir`: that of the longest mount point above it.
fn file_system(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let kinds = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        dir.starts_with(point).then(|| (point.len(), kind.into()))
    });
    kinds.max().map_or("unknown".into(), |(_, kind)| kind)
}
