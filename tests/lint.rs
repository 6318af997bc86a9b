//! `campaignd lint` as it is typed: lines, statuses, JSON, mending in place, directories and pipes.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use serde_json::Value;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

const CLEAN: &str = include_str!("data/nextflow/rnaseq.nf");

fn lint(dir: &Path, args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_campaignd"))
        .arg("lint")
        .args(args)
        .env_clear()
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever reads no stdin may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn file(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// Without a container (not fixable) and with a bare shell variable (fixable).
fn spoilt() -> String {
    let container = "    container 'quay.io/biocontainers/fastp:0.23.4--h5f740d0_0'\n";
    assert!(CLEAN.contains(container) && CLEAN.contains("\\$(ls"));
    CLEAN
        .replacen(container, "", 1)
        .replacen("\\$(ls", "$(ls", 1)
}

fn line_of(text: &str, piece: &str) -> usize {
    text[..text.find(piece).unwrap()].lines().count()
}

#[test]
fn a_clean_workflow_is_said_to_be_clean() {
    let dir = TempDir::new().unwrap();
    file(&dir, "main.nf", CLEAN);
    let output = lint(dir.path(), &["main.nf"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(out(&output), "");
    assert_eq!(err(&output), "1 file, nothing to report\n");
}

#[test]
fn findings_are_a_line_each_and_a_status() {
    let dir = TempDir::new().unwrap();
    let text = spoilt();
    file(&dir, "main.nf", &text);
    let output = lint(dir.path(), &["main.nf"], "");
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<&str> = out(&output).lines().collect();
    let process = line_of(&text, "process TRIM") + 1;
    let expected =
        format!("main.nf:{process}:1: error missing_container: process TRIM has no container");
    assert_eq!(lines[0], expected);
    let dollar = line_of(&text, "$(ls");
    assert!(
        lines[1].starts_with(&format!(
            "main.nf:{dollar}:22: error shell_variable_escape: "
        )),
        "{lines:?}"
    );
    assert!(lines[1].ends_with(" [--fix]"), "{lines:?}");
    assert_eq!(lines.len(), 2);
    assert_eq!(
        err(&output),
        "1 file, 2 errors, 0 warnings; --fix mends 1\n"
    );
}

#[test]
fn json_is_one_value_with_the_names_of_the_specification() {
    let dir = TempDir::new().unwrap();
    file(&dir, "main.nf", &spoilt());
    let output = lint(dir.path(), &["main.nf", "--json"], "");
    assert_eq!(output.status.code(), Some(1));
    let value: Value = serde_json::from_str(out(&output)).unwrap();
    let issue = &value["files"][0]["issues"][0];
    assert_eq!(issue["type"], "missing_container");
    assert_eq!(
        (&issue["column"], &issue["auto_fixable"]),
        (&1.into(), &false.into())
    );
    assert_eq!(value["summary"]["errors"], 2);
    assert_eq!(value["version"], 1);
    assert_eq!(err(&output), "");
}

#[test]
fn fix_mends_in_place_once() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "main.nf", &spoilt());
    let output = lint(dir.path(), &["--fix", "main.nf"], "");
    assert_eq!(
        output.status.code(),
        Some(1),
        "the container is still missing"
    );
    assert_eq!(
        err(&output),
        "1 file, 1 finding mended, 1 error, 0 warnings\n"
    );
    let mended = fs::read_to_string(&path).unwrap();
    assert_eq!(mended, spoilt().replacen("$(ls", "\\$(ls", 1));
    lint(dir.path(), &["--fix", "main.nf"], "");
    assert_eq!(fs::read_to_string(&path).unwrap(), mended);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn directories_are_walked_and_scratch_is_not() {
    let dir = TempDir::new().unwrap();
    for name in [
        "b.nf",
        "modules/a.nf",
        "work/1/c.nf",
        ".nextflow/d.nf",
        "e.txt",
    ] {
        file(&dir, name, "x = Channel.create()\n");
    }
    let output = lint(dir.path(), &["."], "");
    let files: Vec<&str> = out(&output)
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(files, ["./b.nf", "./modules/a.nf"]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    let output = lint(dir.path(), &["empty"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).starts_with("error: there is no .nf file below empty"));
}

#[test]
fn a_pipe_is_read_and_mended_through() {
    let dir = TempDir::new().unwrap();
    let output = lint(dir.path(), &["-"], &spoilt());
    assert!(out(&output).starts_with("<stdin>:"));
    let output = lint(dir.path(), &["-", "--fix"], &spoilt());
    assert_eq!(out(&output), spoilt().replacen("$(ls", "\\$(ls", 1));
    assert!(err(&output).contains("missing_container"));
}

#[test]
fn what_cannot_be_linted_is_a_usage_error() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("binary.nf"), b"\xff\xfe").unwrap();
    for args in [&["absent.nf"][..], &["binary.nf"], &[]] {
        let output = lint(dir.path(), args, "");
        assert_eq!(output.status.code(), Some(2), "{args:?} {output:?}");
        assert!(err(&output).starts_with("error: "), "{output:?}");
    }
}

#[test]
fn the_rules_are_a_table() {
    let dir = TempDir::new().unwrap();
    let output = lint(dir.path(), &["--rules"], "");
    assert_eq!(output.status.code(), Some(0));
    for name in [
        "missing_container",
        "dsl1_syntax",
        "unclosed_block",
        "missing_tag",
    ] {
        assert!(
            out(&output).lines().any(|line| line.starts_with(name)),
            "{name}"
        );
    }
    let output = lint(dir.path(), &["--rules", "--json"], "");
    let value: Value = serde_json::from_str(out(&output)).unwrap();
    assert_eq!(value["rules"].as_array().unwrap().len(), 17);
}
