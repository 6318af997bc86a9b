//! `campaignd errors FILE...`: what went wrong in a run, read from its output, and what helps.

use super::{args::Shape, fail::Fail, out, screen::fit::labelled};
use crate::workflow::errors::{Category, Finding, Resolution, Role, Situation, findings, resolve};
use std::{fs, path::PathBuf};

/// The status when an error was found.
const FOUND: u8 = 1;

/// The flags of `errors`.
#[derive(clap::Args, Clone, Debug)]
pub struct ErrorsArgs {
    /// Output of a run: .nextflow.log, .command.err, a SLURM log
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Memory the process had, GB
    #[arg(long, value_name = "GB", default_value_t = Situation::default().memory_gb)]
    pub memory_gb: u32,
    /// Time the process had, hours
    #[arg(long, value_name = "HOURS", default_value_t = Situation::default().time_h)]
    pub time_h: u32,
}

/// One file's answer.
#[derive(serde::Serialize)]
struct Answer {
    file: String,
    is_failure: bool,
    primary_kind: Option<String>,
    /// The process whose task failed.
    process: Option<String>,
    /// Exit status of the task.
    exit_status: Option<i32>,
    errors: Vec<Told>,
}

/// One kind of error in a file.
#[derive(serde::Serialize)]
struct Told {
    kind: String,
    category: Category,
    /// Number of the line that shows it first, from 1.
    line: u32,
    /// What that line says.
    evidence: String,
    /// How sure this is, 0 to 1.
    confidence: f64,
    role: Role,
    /// Lines that show it.
    lines: u32,
    resolution: Resolution,
}

/// Prints what each file tells; status 1 where any tells of an error.
///
/// # Errors
/// A file that cannot be read.
pub fn errors(args: &ErrorsArgs, shape: Shape) -> Result<u8, Fail> {
    let situation = Situation {
        memory_gb: args.memory_gb,
        time_h: args.time_h,
        ..Situation::unknown()
    };
    let read = |file| answer(file, &situation);
    let answers: Vec<Answer> = args.files.iter().map(read).collect::<Result<_, _>>()?;
    if shape.json {
        out::json(&answers)?;
    } else {
        out::print(&answers.iter().map(told).collect::<String>())?;
    }
    let found = answers.iter().any(|answer| answer.is_failure);
    Ok(if found { FOUND } else { 0 })
}

fn answer(file: &PathBuf, situation: &Situation) -> Result<Answer, Fail> {
    let unread = |error| {
        let message = format!("{} cannot be read: {error}", file.display());
        Fail::usage(message, "a file that holds the output of a run")
    };
    // Logs hold bytes of every kind; what is no text cannot be a message.
    let bytes = fs::read(file).map_err(unread)?;
    let found = findings(&String::from_utf8_lossy(&bytes));
    let first = found.first().map(|first| first.diagnosis.clone());
    Ok(Answer {
        file: file.display().to_string(),
        is_failure: first.is_some(),
        primary_kind: first.as_ref().map(|first| first.kind.clone()),
        process: first.as_ref().and_then(|first| first.process.clone()),
        exit_status: first.as_ref().and_then(|first| first.exit_status),
        errors: found
            .into_iter()
            .map(|one| one_of(one, situation))
            .collect(),
    })
}

fn one_of(found: Finding, situation: &Situation) -> Told {
    let resolution = resolve(&found.diagnosis, situation);
    let diagnosis = found.diagnosis;
    Told {
        kind: diagnosis.kind,
        category: diagnosis.category,
        line: diagnosis.line,
        evidence: diagnosis.message,
        confidence: diagnosis.confidence,
        role: found.role,
        lines: found.lines,
        resolution,
    }
}

/// A file's answer to read: place and kind, the line, where it happened, what helps; then what came of it.
fn told(answer: &Answer) -> String {
    let Answer { file, .. } = answer;
    if answer.errors.is_empty() {
        return format!("{file}: no error\n");
    }
    let mut text = String::new();
    for error in &answer.errors {
        let category = error.category.name();
        let sure = (error.confidence * 100.0).round();
        text += &format!("{file}:{}: {} ({category})\n", error.line, error.kind);
        text += &labelled("  says     ", &error.evidence);
        let role = match error.role {
            Role::Cause => "cause",
            Role::Consequence => "consequence",
        };
        let often = match error.lines {
            0 | 1 => String::new(),
            lines => format!(", on {lines} lines"),
        };
        text += &format!("  role     {role}, {sure:.0} % sure{often}\n");
        if error.role == Role::Consequence {
            continue;
        }
        if let Some(process) = &answer.process {
            let status = answer.exit_status;
            let status = status.map_or_else(String::new, |one| format!(", exit status {one}"));
            text += &format!("  process  {process}{status}\n");
        }
        let help = &error.resolution;
        let value = help.new_value.as_ref();
        let value = value.map_or_else(String::new, |value| format!(": {value}"));
        text += &labelled("  helps    ", &format!("{}{value}", help.action));
        for line in help.config_change.iter().flat_map(|change| change.lines()) {
            text += &format!("  config   {line}\n");
        }
    }
    text
}
