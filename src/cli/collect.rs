//! `campaignd collect nextflow DIR`: what a run did and used, from what it left behind.

use super::{
    args::Shape,
    fail::{Fail, USAGE},
    out,
    screen::{
        clean,
        fit::{Row, labelled, table},
    },
    style::{Style, seconds, thousands},
};
use crate::{
    collect::{Collected, Sources, collect},
    control::api::ErrorView,
    workflow::trace::{ExecutionMetrics, ProcessMetrics},
};
use std::{io, path::PathBuf};

/// Tasks were lost, or none ran.
const NOT_WELL: u8 = 1;
/// Processes in the table for people.
const SHOWN: usize = 15;
/// Messages and names for people.
const LISTED: usize = 8;

/// The flags of `collect`.
#[derive(clap::Args, Clone, Debug)]
pub struct CollectArgs {
    /// What ran
    #[command(subcommand)]
    pub engine: Engine,
}

/// Workflow engines.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum Engine {
    /// A run of Nextflow
    #[command(
        after_help = "Examples:\n  campaignd collect nextflow runs/alttp --slurm-logs logs/slurm\n  campaignd collect nextflow --trace trace.txt --trace trace-resumed.txt --json\n\nExit statuses: 0 every task succeeded in the end, 1 tasks failed for good or none ran, 2 usage,\nor nothing of a run is there"
    )]
    Nextflow(NextflowArgs),
}

/// The flags of `collect nextflow`.
#[derive(clap::Args, Clone, Debug)]
pub struct NextflowArgs {
    /// The directory that Nextflow was started in
    #[arg(value_name = "DIR", required_unless_present_any = ["trace", "slurm_logs"])]
    pub directory: Option<PathBuf>,
    /// Trace files, instead of the newest in the directory
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub trace: Vec<PathBuf>,
    /// SLURM's logs of the tasks, and sacct --parsable2 in sacct.txt
    #[arg(long, value_name = "DIR")]
    pub slurm_logs: Option<PathBuf>,
}

/// Collects and prints; 1 where tasks failed for good or none ran.
///
/// # Errors
/// A source that is not there, or is no trace.
pub fn run(args: &CollectArgs, shape: Shape) -> Result<u8, Fail> {
    let Engine::Nextflow(args) = &args.engine;
    let sources = Sources {
        directory: args.directory.clone(),
        traces: args.trace.clone(),
        slurm_logs: args.slurm_logs.clone(),
    };
    let collected = collect(&sources).map_err(|error| fail(&error))?;
    for note in &collected.notes {
        out::note(&format!("note: {}", clean(note)));
    }
    if shape.json {
        out::json(&collected.metrics)?;
    } else {
        let style = Style::of(&io::stdout(), shape.color);
        out::print(&told(&collected, style))?;
    }
    let metrics = &collected.metrics;
    let well = metrics.total_processes > 0 && metrics.error_processes.is_empty();
    Ok(if well { 0 } else { NOT_WELL })
}

fn fail(error: &io::Error) -> Fail {
    let right = match error.kind() {
        io::ErrorKind::InvalidData => "a trace file of Nextflow: run it with -with-trace",
        _ => "campaignd collect nextflow DIR, where Nextflow was started, or --trace FILE",
    };
    Fail(vec![ErrorView {
        kind: "collect".into(),
        message: error.to_string(),
        right: Some(right.into()),
        exit_status: USAGE,
        ..ErrorView::default()
    }])
}

/// The account for people.
fn told(collected: &Collected, style: Style) -> String {
    let metrics = &collected.metrics;
    let mut text = labelled("run        ", &clean(&metrics.workflow_id));
    if metrics.total_processes == 0 {
        return text + "tasks      none: no task ran\n";
    }
    text += &labelled("tasks      ", &tasks(collected));
    text += &used(metrics);
    if metrics.input_files + metrics.output_files > 0 {
        let files = format!(
            "{} in, {:.2} GiB; {} made, {:.2} GiB",
            thousands(metrics.input_files),
            metrics.total_input_size_gb,
            thousands(metrics.output_files),
            metrics.total_output_size_gb
        );
        text += &labelled("files      ", &files);
    }
    if !metrics.qc.is_empty() {
        let count = metrics.qc.values().map(|own| own.len() as u64).sum();
        let samples = thousands(metrics.qc.len() as u64);
        let qc = format!("{} values of {samples} samples (MultiQC)", thousands(count));
        text += &labelled("quality    ", &qc);
    }
    text += "\n";
    text += &processes(metrics);
    let failed = style.word("failed");
    text += &listed(&format!("\n{failed} for good\n"), &metrics.error_processes);
    text + &listed("\nwhat they said\n", &metrics.error_messages)
}

fn tasks(collected: &Collected) -> String {
    let statuses = collected.metrics.by_status.iter();
    let statuses: Vec<String> = statuses
        .map(|(word, rows)| format!("{} {}", thousands(*rows), clean(word)))
        .collect();
    let recovered = match collected.account.recovered() {
        0 => String::new(),
        count => format!("; {} made good by another attempt", thousands(count)),
    };
    format!("{}{recovered}", statuses.join(", "))
}

/// What was used; a sum of no rows is no number.
fn used(metrics: &ExecutionMetrics) -> String {
    let seen = metrics.observations;
    let told = |label: &str, rows: u64, value: String| {
        let value = if rows == 0 { "not known".into() } else { value };
        labelled(label, &value)
    };
    let rows = |rows: u64| format!("from {} rows", thousands(rows));
    let wall = seconds(metrics.wall_time_minutes * 60.0);
    told("wall time  ", seen.wall, wall)
        + &told(
            "processor  ",
            seen.cpu,
            format!(
                "{:.2} CPU hours, {}",
                metrics.total_cpu_hours,
                rows(seen.cpu)
            ),
        )
        + &told(
            "memory     ",
            seen.memory,
            format!(
                "{:.2} GiB hours at peak, {}",
                metrics.total_memory_gb_hours,
                rows(seen.memory)
            ),
        )
}

/// The processes that ran longest.
fn processes(metrics: &ExecutionMetrics) -> String {
    let mut all: Vec<(&String, &ProcessMetrics)> = metrics.process_metrics.iter().collect();
    all.sort_by(|a, b| b.1.realtime_hours.total_cmp(&a.1.realtime_hours));
    let heading = ["tasks", "failed", "time", "CPU h", "peak"].map(str::to_owned);
    let mut rows = vec![Row {
        name: "process".into(),
        cells: heading.to_vec(),
    }];
    for (name, one) in all.iter().take(SHOWN) {
        let failed = ["FAILED", "ABORTED"]
            .iter()
            .filter_map(|word| one.by_status.get(*word));
        let peak = one.max_peak_bytes;
        rows.push(Row {
            name: clean(shortest(name, &all)),
            cells: vec![
                thousands(one.rows),
                thousands(failed.sum()),
                seconds(one.realtime_hours * 3_600.0),
                format!("{:.2}", one.cpu_hours),
                peak.map_or("-".into(), |peak| {
                    format!("{:.1} GiB", peak / (1_u64 << 30) as f64)
                }),
            ],
        });
    }
    let mut text = table(&rows, ">>>>>").join("\n") + "\n";
    if all.len() > SHOWN {
        text += &format!("and {} more\n", all.len() - SHOWN);
    }
    text
}

/// A process without the scopes before it, which make its name wide; with them where another is called the same.
fn shortest<'n>(name: &'n str, all: &[(&String, &ProcessMetrics)]) -> &'n str {
    let short = |name: &'n str| name.rsplit(':').next().unwrap_or(name);
    let own = short(name);
    let same = all
        .iter()
        .filter(|(other, _)| other.rsplit(':').next() == Some(own));
    if same.count() > 1 { name } else { own }
}

fn listed(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut text = title.to_owned();
    text.extend(
        lines
            .iter()
            .take(LISTED)
            .map(|line| labelled("  ", &clean(line))),
    );
    if lines.len() > LISTED {
        text += &format!("  and {} more\n", lines.len() - LISTED);
    }
    text
}
