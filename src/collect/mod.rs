//! What a run of Nextflow left behind: its trace, its task directories, its logs, read into one account.
//!
//! The trace is the evidence of what ran and what it used. Where there is none, the task directories stand in for it, and
//! where there are none either, SLURM's accounting. Logs only say why something failed. Nothing is read that a link leads
//! to outside the directory, and of huge logs only the end; what was left out is noted.

mod files;
mod multiqc;
mod reasons;
mod slurm;
mod tasks;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::workflow::trace::{Account, ExecutionMetrics, Trace, parse};
use files::{Room, name, written};
use tasks::TaskDir;

/// Largest trace that is read: a row takes some 300 bytes.
const LARGEST: u64 = 1 << 30;
const GIB: f64 = (1_u64 << 30) as f64;

/// Where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The directory that Nextflow was started in.
    pub directory: Option<PathBuf>,
    /// Trace files; where there are any, the directory is not searched for others.
    pub traces: Vec<PathBuf>,
    /// A directory of SLURM logs, and of sacct's answer.
    pub slurm_logs: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    /// The account of the run.
    pub metrics: ExecutionMetrics,
    /// Everything that the rows add up to.
    pub account: Account,
    /// The files that the rows are from.
    pub traces: Vec<PathBuf>,
    /// What was left out, cut or doubtful, each in one sentence.
    pub notes: Vec<String>,
}

/// Reads what a run left behind.
///
/// Input files are the files outside the work directory that tasks were given by links; output files are the regular files
/// that tasks made. Both need the task directories: without them they are 0.
///
/// # Errors
/// A named source is not there, cannot be read or is no trace; nothing of a run is in the directory.
pub fn collect(run: &Sources) -> io::Result<Collected> {
    let mut collected = Collected::default();
    let mut directory = match &run.directory {
        Some(path) => Some(Room::open(path, &mut collected.notes)?),
        None => None,
    };
    let work = directory.as_ref().map(|room| room.root.join("work"));
    let mut tasks = Vec::new();
    if let (Some(room), Some(work)) = (&mut directory, work.as_deref().filter(|work| work.exists()))
    {
        tasks = tasks::find(room, work);
        let counted = tasks::count(room, work, &tasks);
        collected.metrics.input_files = counted.inputs.len() as u64;
        collected.metrics.output_files = counted.outputs;
        collected.metrics.total_input_size_gb = counted.input_bytes as f64 / GIB;
        collected.metrics.total_output_size_gb = counted.output_bytes as f64 / GIB;
    }
    let log = directory.as_mut().and_then(|room| {
        let path = room.root.join(".nextflow.log");
        path.exists().then(|| room.tail(&path)).flatten()
    });
    if let Some(room) = &mut directory {
        collected.metrics.qc = statistics(room);
    }
    let mut texts = read_traces(run, directory.as_mut())?;
    if texts.is_empty()
        && let Some(room) = directory.as_mut().filter(|_| !tasks.is_empty())
    {
        room.note("no trace: the task directories stand in for it".into());
        texts.push((room.root.join("work"), tasks::as_trace(room, &tasks)));
    }
    drop(directory);
    let slurm = match &run.slurm_logs {
        Some(path) => reasons::Slurm::read(Room::open(path, &mut collected.notes)?),
        None => reasons::Slurm::default(),
    };
    if texts.is_empty() && !slurm.jobs.is_empty() {
        let note = "no trace: the jobs of sacct stand in for it".to_owned();
        collected.notes.push(note);
        texts.push((slurm.file.clone(), slurm::as_trace(&slurm.jobs)));
    }
    if texts.is_empty() {
        return Err(nothing(run, log.is_some()));
    }
    add_up(&mut collected, &texts)?;
    collected.metrics.workflow_id = identity(run, log.as_deref(), &texts);
    let room = match &run.directory {
        Some(path) => Some(Room::open(path, &mut collected.notes)?),
        None => None,
    };
    let asked = reasons::Asked {
        account: &collected.account,
        tasks: &tasks,
        log: log.as_deref(),
        slurm: &slurm,
    };
    collected.metrics.error_messages = reasons::messages(&asked, room);
    Ok(collected)
}

/// Adds the traces up, and notes what was odd about them.
fn add_up(collected: &mut Collected, texts: &[(PathBuf, String)]) -> io::Result<()> {
    let mut traces: Vec<Trace<'_>> = Vec::new();
    for (path, text) in texts {
        let trace = parse(text).map_err(|wrong| {
            let text = format!("{} is {wrong}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        note_defects(path, &trace, &mut collected.notes);
        traces.push(trace);
    }
    let account = Account::of(&traces);
    for (column, count) in &account.unread {
        let note = format!("{count} values of {column} could not be read and are left out");
        collected.notes.push(note);
    }
    let own = std::mem::take(&mut collected.metrics);
    collected.metrics = ExecutionMetrics {
        qc: own.qc,
        input_files: own.input_files,
        output_files: own.output_files,
        total_input_size_gb: own.total_input_size_gb,
        total_output_size_gb: own.total_output_size_gb,
        ..ExecutionMetrics::from(&account)
    };
    collected.account = account;
    collected.traces = texts.iter().map(|(path, _)| path.clone()).collect();
    Ok(())
}

fn note_defects(path: &Path, trace: &Trace<'_>, notes: &mut Vec<String>) {
    let defects = &trace.defects;
    let mut say = |count: u64, what: &str| {
        if count > 0 {
            notes.push(format!("{}: {count} {what}", path.display()));
        }
    };
    say(u64::from(defects.torn), "last line was cut and is left out");
    say(defects.short, "rows have too few fields");
    say(
        defects.mended,
        "rows had tabs in the name, which was put together again",
    );
    say(defects.long, "rows have too many fields and are left out");
    say(defects.nul, "lines had NUL bytes, which were dropped");
    say(defects.headers, "headers stand between the rows");
    if !defects.duplicates.is_empty() {
        let names = defects.duplicates.join(", ");
        let note = format!("{}: {names} comes twice: the first counts", path.display());
        notes.push(note);
    }
}

fn nothing(run: &Sources, log: bool) -> io::Error {
    let place = run.directory.as_ref().or(run.slurm_logs.as_ref());
    let place = place.map_or("nowhere".into(), |path| path.display().to_string());
    let also = if log { ", only a .nextflow.log" } else { "" };
    let text = format!(
        "no run is in {place}{also}: a trace (trace*.txt, *execution_trace*), task directories in work/ or sacct.txt would be one"
    );
    io::Error::new(io::ErrorKind::NotFound, text)
}

/// The named traces, or else the newest of the directory.
fn read_traces(run: &Sources, room: Option<&mut Room<'_>>) -> io::Result<Vec<(PathBuf, String)>> {
    let mut read: Vec<(PathBuf, String)> = Vec::new();
    let mut real = Vec::new();
    for path in &run.traces {
        let text = read_trace(path)?;
        // One file named twice is one trace.
        let place = fs::canonicalize(path)?;
        if !real.contains(&place) {
            real.push(place);
            read.push((path.clone(), text));
        }
    }
    let Some(room) = room.filter(|_| run.traces.is_empty()) else {
        return Ok(read);
    };
    let found = find_traces(room);
    for (at, path) in found.iter().enumerate() {
        let text = read_trace(path)?;
        if let Err(wrong) = parse(&text) {
            room.note(format!("{} is {wrong}", path.display()));
            continue;
        }
        let older = found.len() - at - 1;
        if older > 0 {
            room.note(format!(
                "{older} older traces are left out: --trace names others"
            ));
        }
        return Ok(vec![(path.clone(), text)]);
    }
    Ok(read)
}

fn read_trace(path: &Path) -> io::Result<String> {
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("{} cannot be read: {error}", path.display()),
        )
    };
    let data = fs::metadata(path).map_err(named)?;
    if !data.is_file() || data.len() > LARGEST {
        let what = if data.is_file() {
            "larger than 1 GiB"
        } else {
            "no file"
        };
        let text = format!("{} is {what}: a trace is a file of rows", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let bytes = fs::read(path).map_err(named)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Files that are named as traces, in the directory, in `pipeline_info` and in the results' one; the newest first.
fn find_traces(room: &mut Room<'_>) -> Vec<PathBuf> {
    let root = room.root.clone();
    let mut places = vec![root.clone(), root.join("pipeline_info")];
    for path in room.list(&root) {
        let inside = path.join("pipeline_info");
        if name(&path) != "work" && inside.is_dir() {
            places.push(inside);
        }
    }
    let mut found = Vec::new();
    for place in places.into_iter().filter(|place| place.is_dir()) {
        let files = room.list(&place);
        let traces = files.into_iter().filter(|path| is_trace(&name(path)));
        found.extend(traces.filter(|path| path.is_file()));
    }
    found.retain(|path| room.holds(path));
    // By name where they are as old, for names end in a date.
    found.sort_by_key(|path| (written(path), name(path)));
    found.reverse();
    found
}

fn is_trace(name: &str) -> bool {
    let table = [".txt", ".tsv", ".csv"]
        .iter()
        .any(|kind| name.ends_with(kind));
    table && (name.starts_with("trace") || name.contains("execution_trace"))
}

/// Name of the run as its log has it; else of its directory, or of the first trace.
fn identity(run: &Sources, log: Option<&str>, texts: &[(PathBuf, String)]) -> String {
    let told = |line: &str| {
        let (_, rest) = line.split_once("Run name: ")?;
        Some(rest.trim().to_owned())
    };
    let told = log.and_then(|log| log.lines().find_map(told));
    let directory = || {
        let path = fs::canonicalize(run.directory.as_ref()?).ok()?;
        Some(name(&path))
    };
    let file = || texts.first().map(|(path, _)| name(path));
    told.or_else(directory).or_else(file).unwrap_or_default()
}

/// MultiQC's general statistics, from the best file there is.
fn statistics(room: &mut Room<'_>) -> multiqc::Statistics {
    let root = room.root.clone();
    let mut places = vec![root.clone()];
    for first in room.list(&root).into_iter().filter(|path| path.is_dir()) {
        if name(&first) == "work" || name(&first).starts_with('.') {
            continue;
        }
        if room.holds(&first) {
            let inside = room.list(&first).into_iter().filter(|path| path.is_dir());
            places.extend(inside);
            places.push(first);
        }
    }
    type Reader = fn(&str) -> Option<multiqc::Statistics>;
    let readers: [(&str, Reader); 3] = [
        ("multiqc_data.json", multiqc::json),
        ("multiqc_general_stats.txt", multiqc::table),
        ("multiqc_general_stats.yaml", multiqc::yaml),
    ];
    for (file, reader) in readers {
        for place in &places {
            for path in [place.join(file), place.join("multiqc_data").join(file)] {
                if !path.is_file() || !room.holds(&path) {
                    continue;
                }
                let text = read_trace(&path).unwrap_or_default();
                if let Some(found) = reader(&text) {
                    return found;
                }
                room.note(format!("{} has no general statistics", path.display()));
            }
        }
    }
    multiqc::Statistics::new()
}

/// The directory of an attempt, by the beginning of its hash.
fn directory_of<'t>(tasks: &'t [TaskDir], hash: &str) -> Option<&'t TaskDir> {
    tasks.iter().find(|task| task.hash == hash)
}
