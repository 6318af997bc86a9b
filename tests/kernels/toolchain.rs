//! What is shipped is what the sources say: the pinned compiler makes the same bytes, and no architecture spills.

use crate::counts;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lora/cuda/kernels");
const MAKE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernels/make");
const ARCHITECTURES: [&str; 4] = ["sm_80", "sm_90", "sm_100", "sm_120"];

fn files(folder: &Path, extension: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| PathBuf::from(entry.unwrap().file_name()));
    names
        .filter(|name| name.extension().is_some_and(|found| found == extension))
        .map(|name| name.file_stem().unwrap().to_string_lossy().into_owned())
        .collect()
}

fn entries(ptx: &str) -> impl Iterator<Item = &str> {
    let named = |line: &str| line.contains(".entry ");
    let name = |line| str::split_once(line, ".entry ").map(|(_, name)| name.trim_end_matches('('));
    ptx.lines().filter(move |line| named(line)).filter_map(name)
}

/// The names of all kernels that are shipped.
pub fn shipped_kernels() -> BTreeSet<String> {
    let folder = Path::new(FOLDER);
    let texts = files(folder, "ptx").into_iter().map(|name| {
        let path = folder.join(format!("{name}.ptx"));
        fs::read_to_string(path).unwrap()
    });
    texts
        .flat_map(|text| entries(&text).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// All PTX made again, and what `ptxas` says of it.
///
/// # Errors
/// Why that cannot be done here.
///
/// # Panics
/// A source is wrong, or a kernel spills.
pub fn made() -> Result<(tempfile::TempDir, String), String> {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("bash").arg(MAKE).arg(folder.path()).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(77) {
        return Err(said.trim_end().into());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    Ok((folder, said))
}

/// Registers of a kernel and bytes that it spills, the most of all architectures, from lines as
/// `name sm_80 40 registers, 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads`.
pub fn resources(said: &str) -> BTreeMap<String, [String; 2]> {
    let mut most: BTreeMap<String, [u32; 2]> = BTreeMap::new();
    for line in said.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| {
            words[at]
                .parse::<u32>()
                .unwrap_or_else(|_| panic!("{line}"))
        };
        let now = [number(2), number(8) + number(12)];
        let kernel = most.entry(words[0].into()).or_default();
        *kernel = [0, 1].map(|at| kernel[at].max(now[at]));
    }
    let texts = |numbers: [u32; 2]| numbers.map(|number| number.to_string());
    let most = most.into_iter();
    most.map(|(name, numbers)| (name, texts(numbers))).collect()
}

#[test]
fn the_shipped_ptx_is_made_again_byte_for_byte_and_nothing_spills() {
    let (made, said) = match made() {
        Ok(made) => made,
        Err(reason) => {
            println!(
                "skipped the_shipped_ptx_is_made_again_byte_for_byte_and_nothing_spills: {reason}"
            );
            return;
        }
    };
    let folder = Path::new(FOLDER);
    let shipped = files(folder, "ptx");
    assert_eq!(shipped, files(folder, "cu"), "a source, a text");
    assert_eq!(shipped, files(made.path(), "ptx"));
    let mut kernels = 0;
    let mut names = BTreeSet::new();
    for name in &shipped {
        let text = |folder: &Path| fs::read_to_string(folder.join(format!("{name}.ptx"))).unwrap();
        let (ours, again) = (text(folder), text(made.path()));
        assert!(
            ours == again,
            "{name}.ptx is not what {name}.cu makes: tests/kernels/make src/lora/cuda/kernels"
        );
        for entry in entries(&ours) {
            assert!(
                names.insert(entry.to_owned()),
                "two kernels are called {entry}"
            );
            for architecture in ARCHITECTURES {
                let of = format!("{entry} {architecture} ");
                let lines: Vec<&str> = said.lines().filter(|line| line.starts_with(&of)).collect();
                assert_eq!(lines.len(), 1, "{of}: {said}");
                assert!(
                    lines[0].ends_with(
                        "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
                    ),
                    "{}",
                    lines[0]
                );
            }
            kernels += 1;
        }
    }
    assert!(kernels >= 30, "{kernels} kernels");
    for (kernel, cells) in counts::standing_resources() {
        let now = &resources(&said)[&kernel];
        assert_eq!(now[..], cells[..], "{kernel} in benches/README.md");
    }
    println!("{kernels} kernels of {} sources", shipped.len());
}

#[test]
fn only_one_file_holds_inline_ptx_and_no_kernel_adds_atomically() {
    let folder = Path::new(FOLDER);
    let mut seen = 0;
    for (extension, names) in [("cu", files(folder, "cu")), ("cuh", files(folder, "cuh"))] {
        for name in names {
            let text = fs::read_to_string(folder.join(format!("{name}.{extension}"))).unwrap();
            let machine = name == "machine";
            assert!(
                machine || !text.contains("asm"),
                "{name}.{extension} has inline PTX"
            );
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} files");
    for name in files(folder, "ptx") {
        let text = fs::read_to_string(folder.join(format!("{name}.ptx"))).unwrap();
        for word in ["atom.", "red."] {
            let found = text
                .lines()
                .find(|line| line.trim_start().starts_with(word));
            assert_eq!(found, None, "{name}.ptx");
        }
    }
}
