//! `campaignd lint`: the linter alone, on files and on whatever a pipe brings.

use super::{args::Shape, fail::Fail, out};
use crate::workflow::{
    fix::fix,
    lint::{Fixable, Issue, RULES, Severity, lint},
};
use serde::Serialize;
use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Findings are left.
const FINDINGS: u8 = 1;

/// The flags of `lint`.
#[derive(clap::Args, Clone, Debug)]
pub struct LintArgs {
    /// Workflows; a directory stands for every .nf below it, `-` for stdin
    #[arg(value_name = "FILE", required_unless_present = "rules")]
    pub files: Vec<PathBuf>,
    /// Mend what is safe to mend, in place; of stdin the mended text goes to stdout
    #[arg(long)]
    pub fix: bool,
    /// Print what is looked for, and look at nothing
    #[arg(long, conflicts_with_all = ["files", "fix"])]
    pub rules: bool,
}

/// One file and what is wrong with it.
#[derive(Serialize)]
struct Linted {
    file: String,
    issues: Vec<Issue>,
    /// What `--fix` mended, with places in the text before.
    fixed: Vec<Issue>,
    /// The mended text of stdin.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// Lints; 1 where findings are left.
///
/// # Errors
/// A file that cannot be read or written, or that is no UTF-8.
pub fn run(args: &LintArgs, shape: Shape) -> Result<u8, Fail> {
    if args.rules {
        return rules(shape);
    }
    let mut linted = Vec::new();
    for file in files(&args.files)? {
        linted.push(one(&file, args.fix)?);
    }
    if shape.json {
        let value =
            serde_json::json!({ "version": 1, "files": linted, "summary": counts(&linted) });
        out::json(&value)?;
    } else {
        tell(&linted, shape)?;
    }
    let left = linted.iter().any(|file| !file.issues.is_empty());
    Ok(if left { FINDINGS } else { 0 })
}

fn one(file: &Path, mend: bool) -> Result<Linted, Fail> {
    let (name, text) = read(file)?;
    if !mend {
        return Ok(Linted {
            file: name,
            issues: lint(&text),
            fixed: Vec::new(),
            text: None,
        });
    }
    let fixed = fix(&text);
    let stdin = is_stdin(file);
    if !stdin && fixed.text != text {
        write(file, &fixed.text)?;
    }
    Ok(Linted {
        file: name,
        issues: lint(&fixed.text),
        fixed: fixed.fixed,
        text: stdin.then_some(fixed.text),
    })
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn wrong(file: &Path, what: &str, error: &io::Error) -> Fail {
    let right = match error.kind() {
        io::ErrorKind::InvalidData => "text in UTF-8",
        _ => "a workflow file, a directory of them, or - for stdin",
    };
    Fail::usage(
        format!("{} cannot be {what}: {error}", file.display()),
        right,
    )
}

fn read(file: &Path) -> Result<(String, String), Fail> {
    if is_stdin(file) {
        let mut text = String::new();
        let read = io::stdin().lock().read_to_string(&mut text);
        read.map_err(|error| wrong(Path::new("stdin"), "read", &error))?;
        return Ok(("<stdin>".into(), text));
    }
    let text = fs::read_to_string(file).map_err(|error| wrong(file, "read", &error))?;
    Ok((file.display().to_string(), text))
}

/// Beside it and then over it, so that no crash leaves half a workflow.
fn write(file: &Path, text: &str) -> Result<(), Fail> {
    let failed = |error: io::Error| wrong(file, "written", &error);
    // A link stays one: what it points to is what is mended.
    let real = fs::canonicalize(file).map_err(failed)?;
    let mut name = real.file_name().unwrap_or_default().to_owned();
    name.push(".campaignd-fix");
    let beside = real.with_file_name(name);
    let written = (|| {
        let mut new = fs::File::create(&beside)?;
        new.set_permissions(fs::metadata(&real)?.permissions())?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        fs::rename(&beside, &real)
    })();
    written.map_err(|error| {
        // What is in the way of the next try goes; what failed is said anyhow.
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}

/// The named files, and every .nf below a named directory, in the order of their names.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Fail> {
    let mut found = Vec::new();
    for name in named {
        if !is_stdin(name) && name.is_dir() {
            below(name, &mut found).map_err(|error| wrong(name, "read", &error))?;
        } else {
            found.push(name.clone());
        }
    }
    if found.is_empty() {
        let all: Vec<String> = named
            .iter()
            .map(|name| name.display().to_string())
            .collect();
        let message = format!("there is no .nf file below {}", all.join(", "));
        return Err(Fail::usage(message, "a directory that holds workflows"));
    }
    Ok(found)
}

/// Directories that hold copies and scratch: hidden ones and Nextflow's own `work`.
fn skipped(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name == "work"
}

fn below(dir: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries: io::Result<Vec<fs::DirEntry>> = fs::read_dir(dir)?.collect();
    let mut entries = entries?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        // Links to directories are not followed: they may lead back.
        if kind.is_dir() && !skipped(&path) {
            below(&path, found)?;
        } else if !kind.is_dir() && path.extension().is_some_and(|end| end == "nf") {
            found.push(path);
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Counts {
    files: usize,
    errors: usize,
    warnings: usize,
    fixable: usize,
    fixed: usize,
}

fn counts(linted: &[Linted]) -> Counts {
    let issues = || linted.iter().flat_map(|file| &file.issues);
    let of = |severity: Severity| issues().filter(|issue| issue.severity == severity).count();
    Counts {
        files: linted.len(),
        errors: of(Severity::Error),
        warnings: of(Severity::Warning),
        fixable: issues().filter(|issue| issue.auto_fixable).count(),
        fixed: linted.iter().map(|file| file.fixed.len()).sum(),
    }
}

/// A line a finding on stdout, or the mended text of stdin there and the findings on stderr; the summary on stderr.
fn tell(linted: &[Linted], shape: Shape) -> Result<(), Fail> {
    for file in linted {
        let mut lines = String::new();
        for issue in &file.issues {
            lines += &line(&file.file, issue);
        }
        match &file.text {
            Some(text) => {
                out::print(text)?;
                out::prompt(&lines);
            }
            None => {
                out::print(&lines)?;
            }
        }
    }
    if !shape.quiet {
        out::note(&summary(&counts(linted)));
    }
    Ok(())
}

fn line(file: &str, issue: &Issue) -> String {
    let mend = if issue.auto_fixable { " [--fix]" } else { "" };
    format!(
        "{file}:{}:{}: {} {}: {}{mend}\n",
        issue.line,
        issue.column,
        issue.severity.name(),
        issue.rule.name(),
        issue.message
    )
}

fn number(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn summary(counts: &Counts) -> String {
    let files = number(counts.files, "file");
    let mended = match counts.fixed {
        0 => String::new(),
        fixed => format!(", {} mended", number(fixed, "finding")),
    };
    if counts.errors + counts.warnings == 0 {
        return format!("{files}{mended}, nothing to report");
    }
    let (errors, warnings) = (
        number(counts.errors, "error"),
        number(counts.warnings, "warning"),
    );
    let hint = match counts.fixable {
        0 => String::new(),
        fixable => format!("; --fix mends {fixable}"),
    };
    format!("{files}{mended}, {errors}, {warnings}{hint}")
}

fn rules(shape: Shape) -> Result<u8, Fail> {
    let fixable = |fixable: Fixable| match fixable {
        Fixable::Always => "always",
        Fixable::Sometimes => "sometimes",
        Fixable::Never => "never",
    };
    if shape.json {
        let rows = RULES.iter().map(|rule| {
            serde_json::json!({
                "type": rule.name, "severity": rule.severity,
                "auto_fixable": fixable(rule.fixable), "meaning": rule.meaning,
            })
        });
        let rows: Vec<serde_json::Value> = rows.collect();
        out::json(&serde_json::json!({ "version": 1, "rules": rows }))?;
        return Ok(0);
    }
    let mut text = format!("{:<22} {:<9} {:<10} MEANING\n", "RULE", "SEVERITY", "--FIX");
    for rule in &RULES {
        let severity = rule.severity.name();
        text += &format!(
            "{:<22} {severity:<9} {:<10} {}\n",
            rule.name,
            fixable(rule.fixable),
            rule.meaning
        );
    }
    out::print(&text)?;
    Ok(0)
}
