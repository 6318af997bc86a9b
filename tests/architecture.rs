//! The floors of the house, read from the sources: who may import whom, what is pure, which package stays in which room.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every module, the modules it may import, floor by floor. A module that is not here may not exist.
const FLOORS: &[(&str, &[&str])] = &[
    // floor 0: words
    ("words", &[]),
    ("digits", &[]),
    ("ids", &["words"]),
    ("time", &["words"]),
    ("manifest", &["ids", "time", "words"]),
    // floor 1: domain
    ("generation", &["ids", "time", "words"]),
    ("workflow", &["ids", "time", "words"]),
    (
        "trajectory",
        &["ids", "time", "words", "generation", "workflow"],
    ),
    (
        "evaluation",
        &["ids", "time", "words", "generation", "training"],
    ),
    ("chat", &["ids", "time", "words"]),
    (
        "curation",
        &[
            "ids",
            "time",
            "words",
            "chat",
            "generation",
            "workflow",
            "trajectory",
        ],
    ),
    ("training", &["ids", "time", "words"]),
    ("parameters", &["ids", "time", "words"]),
    (
        "history",
        &["ids", "time", "words", "evaluation", "parameters"],
    ),
    (
        "planning",
        &["ids", "time", "words", "parameters", "history", "training"],
    ),
    (
        "experiment",
        &[
            "ids",
            "time",
            "words",
            "parameters",
            "history",
            "training",
            "evaluation",
        ],
    ),
    // floor 2: machines
    (
        "machines",
        &[
            "ids",
            "time",
            "words",
            "evaluation",
            "generation",
            "workflow",
            "trajectory",
            "training",
            "parameters",
            "history",
            "planning",
            "experiment",
        ],
    ),
    // floor 3: the machines in a made-up world
    (
        "rehearsal",
        &[
            "ids",
            "time",
            "words",
            "parameters",
            "history",
            "planning",
            "training",
            "evaluation",
            "generation",
            "machines",
        ],
    ),
    // floor 3: files
    ("points", &[]),
    (
        "artifacts",
        &[
            "ids",
            "time",
            "words",
            "manifest",
            "training",
            "trajectory",
            "curation",
            "points",
        ],
    ),
    // floor 4: edges, never each other
    (
        "config",
        &[
            "parameters",
            "experiment",
            "training",
            "ids",
            "time",
            "words",
            "manifest",
            "evaluation",
            "generation",
            "workflow",
            "trajectory",
            "curation",
            "machines",
            "artifacts",
            "parameters",
            "planning",
        ],
    ),
    (
        "collect",
        &["ids", "time", "words", "workflow", "artifacts"],
    ),
    (
        "llm",
        &["points", "ids", "time", "words", "trajectory", "artifacts"],
    ),
    (
        "lora",
        &[
            "points",
            "ids",
            "time",
            "words",
            "manifest",
            "chat",
            "training",
            "artifacts",
        ],
    ),
    (
        "store",
        &[
            "points",
            "ids",
            "time",
            "machines",
            "artifacts",
            "evaluation",
            "training",
            "history",
            "parameters",
            "planning",
        ],
    ),
    (
        "executor",
        &[
            "workflow",
            "evaluation",
            "training",
            "points",
            "ids",
            "time",
            "words",
            "manifest",
            "machines",
            "artifacts",
        ],
    ),
    (
        "control",
        &[
            "history",
            "training",
            "ids",
            "time",
            "words",
            "machines",
            "evaluation",
            "artifacts",
            "parameters",
            "history",
        ],
    ),
    (
        "report",
        &[
            "parameters",
            "experiment",
            "training",
            "ids",
            "time",
            "words",
            "manifest",
            "machines",
            "evaluation",
            "curation",
            "history",
            "artifacts",
        ],
    ),
    // floor 5: three shells, never each other
    (
        "actors",
        &[
            "digits",
            "training",
            "points",
            "ids",
            "time",
            "words",
            "manifest",
            "evaluation",
            "generation",
            "workflow",
            "curation",
            "history",
            "parameters",
            "machines",
            "artifacts",
            "store",
            "executor",
            "control",
            "llm",
            "report",
        ],
    ),
    (
        "worker",
        &[
            "collect",
            "digits",
            "planning",
            "training",
            "lora",
            "collect",
            "manifest",
            "points",
            "ids",
            "time",
            "words",
            "generation",
            "workflow",
            "trajectory",
            "evaluation",
            "chat",
            "curation",
            "artifacts",
            "executor",
            "llm",
            "machines",
            "report",
        ],
    ),
    // and a third, which lives without a daemon: the runner of an experiment
    (
        "runner",
        &[
            "points",
            "ids",
            "time",
            "words",
            "manifest",
            "parameters",
            "experiment",
            "machines",
            "artifacts",
            "executor",
            "report",
        ],
    ),
    // floor 6: assembly
    (
        "daemon",
        &[
            "points",
            "ids",
            "time",
            "words",
            "manifest",
            "evaluation",
            "machines",
            "artifacts",
            "config",
            "store",
            "executor",
            "control",
            "actors",
        ],
    ),
    (
        "cli",
        &[
            "rehearsal",
            "planning",
            "parameters",
            "history",
            "experiment",
            "collect",
            "digits",
            "training",
            "ids",
            "time",
            "words",
            "manifest",
            "evaluation",
            "generation",
            "workflow",
            "trajectory",
            "machines",
            "artifacts",
            "chat",
            "curation",
            "config",
            "control",
            "report",
            "daemon",
            "worker",
            "runner",
            "store",
            "executor",
        ],
    ),
    ("bin", &["cli", "daemon", "points", "worker"]),
];

/// Floors 0 to 2 know no world.
const PURE: &[&str] = &[
    "digits",
    "words",
    "ids",
    "time",
    "manifest",
    "generation",
    "workflow",
    "trajectory",
    "evaluation",
    "chat",
    "curation",
    "history",
    "parameters",
    "planning",
    "experiment",
    "training",
    "machines",
    "rehearsal",
];
const WORLD: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
    "tokio::",
    "actix",
    "sled::",
    "nix::",
    "tracing::",
    "rustix::",
];

/// Packages and the only modules that may name them.
const FENCES: &[(&str, &[&str])] = &[
    ("sled::", &["store"]),
    ("bincode::", &["store"]),
    ("actix::", &["actors", "daemon"]),
    ("actix_web::", &["actors", "daemon"]),
    ("signal_hook::", &["daemon"]),
    ("daemonize::", &["daemon"]),
    ("sd_notify::", &["daemon", "executor"]),
    ("tracing_journald", &["daemon"]),
    ("hyper::", &["control", "llm"]),
    ("tokio_rustls::", &["llm"]),
    ("indicatif::", &["cli"]),
    ("rusqlite::", &["report"]),
    ("clap::", &["cli"]),
    ("minijinja::", &["chat"]),
    ("minijinja_contrib::", &["chat"]),
    ("parquet::", &["artifacts"]),
    ("aho_corasick::", &["workflow"]),
    ("cudarc::", &["lora"]),
    ("half::", &["lora"]),
    ("safetensors::", &["lora"]),
    ("tokenizers::", &["lora"]),
    ("zip::", &["report"]),
    ("ruzstd::", &["report"]),
];

/// One subject a file.
const MOST_LINES: usize = 500;

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file: without its tests, without comments.
fn code(text: &str) -> String {
    let body = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text);
    body.lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n")
}

fn module_of(path: &str) -> String {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside
        .split('/')
        .next()
        .unwrap_or("")
        .trim_end_matches(".rs")
        .into()
}

/// The modules of this crate that a piece of code names, by `crate::x`, `crate::{x::..., y}` or `campaignd::x`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code
        .match_indices("crate::")
        .chain(code.match_indices("campaignd::"))
    {
        let rest = code[at..].split_once("::").map_or("", |(_, rest)| rest);
        if let Some(group) = rest.strip_prefix('{') {
            found.extend(group_heads(group));
        } else {
            found.push(head(rest));
        }
    }
    found
}

fn head(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The first segments of a `{a::b, c::{d, e}}` group, read up to its closing brace.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut heads) = (0, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            _ if start && depth == 0 && !c.is_whitespace() => {
                heads.push(head(&group[at..]));
                start = false;
            }
            _ => {}
        }
    }
    heads
}

/// Everything wrong with one file.
fn problems(path: &str, text: &str) -> Vec<String> {
    let module = module_of(path);
    if module == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = FLOORS.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{path}: {module} has no floor")];
    };
    let code = code(text);
    let mut found = Vec::new();
    let known = |name: &str| FLOORS.iter().any(|(module, _)| *module == name);
    for import in imports(&code) {
        if known(&import) && import != module && !allowed.contains(&import.as_str()) {
            found.push(format!("{path} imports {import}: {module} may not"));
        }
    }
    let tests = path.ends_with("tests.rs") || path.contains("/tests/");
    if PURE.contains(&module.as_str()) && !tests {
        let worldly = WORLD.iter().filter(|word| code.contains(*word));
        found.extend(worldly.map(|word| format!("{path} uses {word}: {module} is pure")));
    }
    for (package, rooms) in FENCES {
        if names(&code, package) && !rooms.contains(&module.as_str()) {
            found.push(format!(
                "{path} uses {package}: only {} may",
                rooms.join(", ")
            ));
        }
    }
    if !tests && code.contains(".unwrap()") {
        found.push(format!("{path} unwraps outside tests"));
    }
    if !tests && code.lines().count() > MOST_LINES {
        found.push(format!(
            "{path} has {} lines: one subject each",
            code.lines().count()
        ));
    }
    if !text.starts_with("//!") {
        found.push(format!("{path} does not say what it is"));
    }
    found
}

/// Whether code names a package, not merely a longer word that ends so.
fn names(code: &str, package: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(package)
        .any(|(at, _)| !code[..at].ends_with(word))
}

#[test]
fn the_house_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    assert!(files.len() > 40, "only {} sources were found", files.len());
    let mut found = Vec::new();
    for file in files {
        let path = file
            .strip_prefix(root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        found.extend(problems(&path, &fs::read_to_string(&file).unwrap()));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn planted_violations_are_found() {
    let planted = [
        (
            "src/machines/step.rs",
            "//! x\nuse crate::store::Store;",
            "imports store",
        ),
        (
            "src/machines/step.rs",
            "//! x\nuse crate::{\n    ids::X,\n    actors::{A, B},\n};",
            "imports actors",
        ),
        (
            "src/worker/exec.rs",
            "//! x\nuse crate::actors::X;",
            "imports actors",
        ),
        (
            "src/time.rs",
            "//! x\nfn f() { std::time::SystemTime::now(); }",
            "is pure",
        ),
        (
            "src/control/client.rs",
            "//! x\nuse sled::Db;",
            "only store may",
        ),
        (
            "src/control/client.rs",
            "//! x\nfn f() { y.unwrap(); }",
            "unwraps",
        ),
        ("src/unheard/of.rs", "//! x", "has no floor"),
        ("src/ids.rs", "use std::fmt;", "does not say what it is"),
    ];
    for (path, text, expected) in planted {
        let found = problems(path, text).join("\n");
        assert!(found.contains(expected), "{expected:?} is not in {found:?}");
    }
    let clean = "//! x\nuse crate::ids::X; // crate::store is not imported\n#[cfg(test)]\nmod tests { fn f() { y.unwrap(); } }";
    assert_eq!(
        problems("src/machines/step.rs", clean),
        Vec::<String>::new()
    );
}
