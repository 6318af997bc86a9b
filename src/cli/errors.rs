//! `campaignd errors FILE...`: what went wrong in a run, read from its output, and what helps.

use super::{args::Shape, fail::Fail, out};
use crate::workflow::errors::{Diagnosis, Resolution, Situation, diagnose, resolve};
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
    diagnosis: Option<Diagnosis>,
    resolution: Option<Resolution>,
}

/// Prints what each file tells; status 1 where any tells of an error.
pub fn errors(args: &ErrorsArgs, shape: Shape) -> Result<u8, Fail> {
    let situation = Situation {
        memory_gb: args.memory_gb,
        time_h: args.time_h,
        ..Situation::unknown()
    };
    let read = |file| answer(file, &situation);
    let answers: Vec<Answer> = args.files.iter().map(read).collect::<Result<_, _>>()?;
    if shape.json {
        out::json(&serde_json::json!({ "version": 1, "files": answers }))?;
    } else {
        out::print(&answers.iter().map(told).collect::<String>())?;
    }
    let found = answers.iter().any(|answer| answer.diagnosis.is_some());
    Ok(if found { FOUND } else { 0 })
}

fn answer(file: &PathBuf, situation: &Situation) -> Result<Answer, Fail> {
    let unread = |error| {
        let message = format!("{} cannot be read: {error}", file.display());
        Fail::usage(message, "a file that holds the output of a run")
    };
    // Logs hold bytes of every kind; what is no text cannot be a message.
    let bytes = fs::read(file).map_err(unread)?;
    let diagnosis = diagnose(&String::from_utf8_lossy(&bytes));
    Ok(Answer {
        file: file.display().to_string(),
        resolution: diagnosis.as_ref().map(|found| resolve(found, situation)),
        diagnosis,
    })
}

/// A file's answer to read: place and kind, the line, where it happened, what helps.
fn told(answer: &Answer) -> String {
    let Answer { file, .. } = answer;
    let (Some(found), Some(help)) = (&answer.diagnosis, &answer.resolution) else {
        return format!("{file}: no error\n");
    };
    let category = found.category.name();
    let mut text = format!("{file}:{}: {} ({category})\n", found.line, found.kind);
    text += &format!("  says     {}\n", found.message);
    if let Some(process) = &found.process {
        let status = found.exit_status;
        let status = status.map_or_else(String::new, |status| format!(", exit status {status}"));
        text += &format!("  process  {process}{status}\n");
    }
    if !found.also.is_empty() {
        text += &format!("  also     {}\n", found.also.join(", "));
    }
    let value = help.new_value.as_ref();
    let value = value.map_or_else(String::new, |value| format!(": {value}"));
    text += &format!("  helps    {}{value}\n", help.action);
    for line in help.config_change.iter().flat_map(|change| change.lines()) {
        text += &format!("  config   {line}\n");
    }
    text
}
