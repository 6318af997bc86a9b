//! The workflows of every analysis: their golden texts, and a stub run by Nextflow itself where it is installed.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use campaignd::workflow::{
    catalogue::catalogue,
    plan::{Asked, Plan, plan},
    writer::{Artefact, rows, write},
};

/// The default plan of an analysis, for human or the first organism that has its reference.
fn default_plan(analysis: &str) -> Plan {
    let slots = BTreeMap::from([
        ("samples".to_owned(), "12-24".to_owned()),
        ("executor".to_owned(), "slurm".to_owned()),
        ("container_runtime".to_owned(), "singularity".to_owned()),
    ]);
    planned(analysis, "", &slots)
}

fn planned(analysis: &str, query: &str, slots: &BTreeMap<String, String>) -> Plan {
    plan(&Asked {
        analysis_type: analysis,
        organism: "human",
        complexity: "medium",
        query,
        slots,
    })
    .unwrap()
}

/// The default plan of each recipe that words alone choose.
fn variants(analysis: &str) -> Vec<Plan> {
    let recipes = &catalogue().analysis(analysis).unwrap().recipes;
    let words = recipes.iter().filter_map(|recipe| recipe.words.first());
    words
        .map(|word| planned(analysis, word, &BTreeMap::new()))
        .collect()
}

fn files(artefact: &Artefact, plan: &Plan) -> [(&'static str, String); 4] {
    let json = serde_json::to_string_pretty(plan).unwrap() + "\n";
    [
        ("plan.json", json),
        ("main.nf", artefact.main_nf.clone()),
        ("nextflow.config", artefact.config.clone()),
        ("README.md", artefact.readme.clone()),
    ]
}

#[test]
fn the_texts_are_the_golden_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/workflows");
    let bless = env::var_os("CAMPAIGND_BLESS").is_some();
    let mut different = Vec::new();
    for analysis in &catalogue().analyses {
        let plan = default_plan(&analysis.name);
        let dir = root.join(&analysis.name);
        for (name, text) in files(&write(&plan), &plan) {
            let path = dir.join(name);
            if bless {
                fs::create_dir_all(&dir).unwrap();
                fs::write(&path, &text).unwrap();
            } else if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
                different.push(path.display().to_string());
            }
        }
    }
    assert!(
        different.is_empty(),
        "other than golden (CAMPAIGND_BLESS=1 renews them):\n{}",
        different.join("\n")
    );
}

/// Writes a plan's files, a sample sheet and empty inputs; the arguments that name them.
fn lay_out(plan: &Plan, dir: &Path) -> Vec<String> {
    let artefact = write(plan);
    for (name, text) in files(&artefact, plan) {
        fs::write(dir.join(name), text).unwrap();
    }
    let rows = rows(plan);
    let mut sheet = plan.columns.join(",");
    for row in &rows {
        sheet.push('\n');
        sheet.push_str(&row.join(","));
        for (column, cell) in plan.columns.iter().zip(row) {
            if catalogue().columns[column].file {
                empty(&dir.join(cell));
            }
        }
    }
    fs::write(dir.join("samplesheet.csv"), sheet + "\n").unwrap();
    let mut arguments = vec!["--input".to_owned(), "samplesheet.csv".to_owned()];
    let required = plan
        .params
        .iter()
        .filter(|(name, value)| *value == "null" && *name != "input");
    for (name, _) in required {
        empty(&dir.join("reference").join(name));
        arguments.extend([format!("--{name}"), format!("reference/{name}")]);
    }
    arguments
}

fn empty(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "").unwrap();
}

fn installed() -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths)
        .map(|dir| dir.join("nextflow"))
        .find(|path| path.is_file())
}

/// The compiler's front end, without the engine: what it refuses never runs.
#[test]
fn nextflows_compiler_takes_every_workflow() {
    let dir = tempfile::tempdir().unwrap();
    let mut written = 0;
    for analysis in &catalogue().analyses {
        let mut plans = variants(&analysis.name);
        plans.push(default_plan(&analysis.name));
        for (number, plan) in plans.iter().enumerate() {
            let home = dir.path().join(format!("{}-{number}", analysis.name));
            fs::create_dir(&home).unwrap();
            let artefact = write(plan);
            fs::write(home.join("main.nf"), artefact.main_nf).unwrap();
            fs::write(home.join("nextflow.config"), artefact.config).unwrap();
            written += 2;
        }
    }
    let broken = dir.path().join("broken.nf");
    let check = |path: &Path| {
        Command::new("bash")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/nextflow/nf-check"
            ))
            .arg(path)
            .output()
            .unwrap()
    };
    let output = check(dir.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(77) {
        eprintln!(
            "skipped nextflows_compiler_takes_every_workflow: {}",
            said.trim()
        );
        return;
    }
    assert!(written >= 30, "{written} files");
    let all = format!("nf-check: {written} file(s), 0 error(s)");
    assert!(output.status.success() && said.contains(&all), "{said}");
    // It can refuse.
    fs::write(&broken, "workflow {\n    NOBODY()\n}\n").unwrap();
    assert_eq!(check(&broken).status.code(), Some(1));
}

#[test]
fn nextflow_runs_every_stub() {
    let Some(nextflow) = installed() else {
        eprintln!("skipped nextflow_runs_every_stub: nextflow is not in PATH");
        return;
    };
    let mut ran = 0;
    for analysis in &catalogue().analyses {
        let mut plans = variants(&analysis.name);
        plans.push(default_plan(&analysis.name));
        for plan in plans {
            let dir = tempfile::tempdir().unwrap();
            let arguments = lay_out(&plan, dir.path());
            let output = Command::new(&nextflow)
                .current_dir(dir.path())
                .env("NXF_OFFLINE", "true")
                .args([
                    "-q",
                    "run",
                    "main.nf",
                    "-stub-run",
                    "-ansi-log",
                    "false",
                    "-profile",
                    "stub",
                ])
                .args(["-with-trace", "trace.txt"])
                .args(arguments)
                .output()
                .unwrap();
            let told =
                String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "{} {}: {told}",
                plan.analysis_type,
                plan.variant
            );
            let trace = fs::read_to_string(dir.path().join("trace.txt")).unwrap();
            for step in &plan.steps {
                assert!(
                    trace.contains(&step.process),
                    "{} did not run: {told}",
                    step.process
                );
            }
            ran += 1;
        }
    }
    assert!(ran >= 15, "only {ran} workflows ran");
}
