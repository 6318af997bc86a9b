//! `campaignctl experiment scaffold`, and its two workers alone.

use super::{
    config::refused,
    constraints,
    files::{How, Written, fail, log, problem, write},
    read::{self, Open},
};
use crate::{
    cli::{args::Shape, fail::Fail, out},
    control::api::ErrorView,
    experiment::{
        BackEnd,
        config::generate,
        log::{Block, Event, LogFile},
        plan::Run,
        scaffold::{self, File, Place, builtin, inspect, torchtune},
    },
    history::constraints::Constraint,
    parameters::Assignment,
};
use serde_json::{Value, json};
use std::{
    fs::{self, File as Open_},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// The flags of `scaffold` and of its workers.
#[derive(clap::Args, Debug)]
pub struct ScaffoldArgs {
    /// The experiment's directory
    pub dir: PathBuf,
    /// Say what would be written; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Replace files that say something else
    #[arg(long)]
    pub force: bool,
}

/// What is scaffolded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything.
    Both,
    /// Fine-tunes alone.
    FineTunes,
    /// Evaluations alone.
    Evaluations,
}

/// Writes the files.
///
/// # Errors
/// All that is missing, or cannot be said in a config or a script; files that say something else.
pub fn run(args: &ScaffoldArgs, part: Part, shape: Shape) -> Result<u8, Fail> {
    let open = read::open(&args.dir)?;
    let how = How {
        dry_run: args.dry_run,
        force: args.force,
    };
    let place = place(&open)?;
    let mut told = Vec::new();
    for (of, worker) in [
        (Part::FineTunes, LogFile::ScaffoldTorchtune),
        (Part::Evaluations, LogFile::ScaffoldInspect),
    ] {
        if part == Part::Both || part == of {
            told.push(begin(&open, &place, (of, worker), (part, how))?);
        }
    }
    if shape.json {
        let workers: Vec<Value> = told.iter().map(|(worker, done)| json!({
            "worker": worker, "made": done.made, "replaced": done.replaced, "left": done.left,
        })).collect();
        out::json(&json!({
            "version": 1, "dry_run": args.dry_run, "directory": open.dir, "summary_edited": open.edited.is_some(),
            "workers": workers,
        }))?;
    } else {
        out::print(&text(&open, &told, args.dry_run))?;
    }
    Ok(0)
}

/// One worker, with what its orchestrator notes of it.
fn begin(
    open: &Open,
    place: &Place,
    (of, file): (Part, LogFile),
    (part, how): (Part, How),
) -> Result<(String, Written), Fail> {
    let worker = file.name().trim_end_matches(".log").to_string();
    let note = |block: Block| match part == Part::Both && !how.dry_run {
        true => log(&open.dir, LogFile::Scaffold, &[block]),
        false => Ok(()),
    };
    note(Block::done(
        Event::CallWorker,
        &worker,
        format!("{} runs", open.plan.runs.len()),
    ))?;
    let made = match of {
        Part::Evaluations => evaluations(open, place),
        Part::Both | Part::FineTunes => fine_tunes(open, place),
    };
    let done = made.and_then(|(files, blocks)| {
        let done = write(&open.dir, &files, how)?;
        if !how.dry_run {
            log(&open.dir, file, &blocks)?;
        }
        Ok(done)
    });
    match done {
        Ok(done) => {
            let details = format!(
                "{} files made, {} replaced, {} left",
                done.made.len(),
                done.replaced.len(),
                done.left
            );
            note(Block::done(Event::WorkerDone, &worker, details))?;
            Ok((worker, done))
        }
        Err(fail) => {
            let why = fail
                .0
                .first()
                .map_or(String::new(), |error| error.message.clone());
            note(
                Block::done(Event::WorkerDone, &worker, "nothing was written")
                    .with_result(format!("failed: {why}")),
            )?;
            Err(fail)
        }
    }
}

/// Where the experiment is, and the program that its scripts call.
///
/// # Errors
/// Its directory's name is no text.
pub(super) fn place(open: &Open) -> Result<Place, Fail> {
    let directory = open.dir.to_str().ok_or_else(|| {
        fail(
            "the experiment's directory has a name that is no text",
            &open.dir.display().to_string(),
            "another directory",
        )
    })?;
    // The program that was installed with this one; else the one that the job's shell finds.
    let own = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.join("campaignd")));
    let own = own
        .filter(|path| path.is_file())
        .and_then(|path| path.to_str().map(String::from));
    Ok(Place {
        directory: directory.into(),
        campaignd: own.unwrap_or_else(|| "campaignd".into()),
    })
}

/// Files to be written and what the log says of them.
type Made = (Vec<File>, Vec<Block>);

fn fine_tunes(open: &Open, place: &Place) -> Result<Made, Fail> {
    let inputs = inputs_of(open)?;
    let known = constraints::of_experiment(&open.dir, open.words)?;
    let (mut files, mut blocks, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for run in &open.plan.runs {
        match of_run(open, place, run, (inputs.as_ref(), &known)) {
            Ok(own) => {
                let names: Vec<&str> = own
                    .iter()
                    .filter_map(|file| file.path.rsplit('/').next())
                    .collect();
                blocks.push(Block::done(Event::CreateRun, &run.name, names.join(", ")));
                files.extend(own);
            }
            // What is wrong with the model or the data is wrong in every run, and said once.
            Err(errors) => wrong.extend(
                errors
                    .into_iter()
                    .filter(|error| !wrong.contains(error))
                    .collect::<Vec<_>>(),
            ),
        }
    }
    match wrong.is_empty() {
        true => Ok((files, blocks)),
        false => Err(Fail(wrong)),
    }
}

/// The files of a run's fine-tune.
///
/// # Errors
/// All that is missing, or cannot be said in a config or a script.
pub(super) fn of_run(
    open: &Open,
    place: &Place,
    run: &Run,
    (inputs, known): (Option<&torchtune::Inputs>, &[Constraint]),
) -> Result<Vec<File>, Vec<ErrorView>> {
    let (plan, words) = (&open.plan, open.words);
    let settings = plan.settings(run);
    let check = constraints::check(known, plan.model.as_deref());
    let both = (&Assignment::new(), &settings);
    let config = generate(words, &run.name, both, &check);
    let mut config = config.map_err(|refusal| refused(refusal).0)?;
    config.changed = run.varied.keys().cloned().collect();
    let mut files = scaffold::common(plan, words, run, &config);
    let told = |why: &String| {
        let right = "campaignctl experiment design with what is missing, and --force";
        problem(why, &open.dir.display().to_string(), right)
    };
    let own = match inputs {
        Some(inputs) => torchtune::files(plan, words, run, place, inputs),
        None => builtin::files(plan, words, run, place).map_err(|why| vec![why]),
    };
    files.extend(own.map_err(|all| all.iter().map(told).collect::<Vec<_>>())?);
    Ok(files)
}

/// What the configs of a back end are made of besides the plan; none for the built-in one.
///
/// # Errors
/// The model or the data cannot be read.
pub(super) fn inputs_of(open: &Open) -> Result<Option<torchtune::Inputs>, Fail> {
    match open.plan.back_end {
        BackEnd::Torchtune => inputs(open).map(Some),
        BackEnd::Builtin | BackEnd::Generic => Ok(None),
    }
}

/// What torchtune's configs are made of besides the plan.
fn inputs(open: &Open) -> Result<torchtune::Inputs, Fail> {
    let missing = |what: &str, right: &str| {
        fail(
            &format!("no {what} is named"),
            &open.dir.display().to_string(),
            right,
        )
    };
    let model = open
        .plan
        .model
        .as_deref()
        .ok_or_else(|| missing("model", "campaignctl experiment design with --model DIR"))?;
    let path = Path::new(model).join("config.json");
    let shown = path.display().to_string();
    let right = "a Hugging Face model directory";
    let text = fs::read(&path).map_err(|error| {
        fail(
            "the model cannot be read",
            &format!("{shown}: {error}"),
            right,
        )
    })?;
    let config = serde_json::from_slice(&text).map_err(|error| {
        fail(
            "the model cannot be read",
            &format!("{shown}: {error}"),
            right,
        )
    })?;
    let data = open.plan.data.first().ok_or_else(|| {
        missing(
            "file of rows to learn from",
            "campaignctl experiment design with --data FILE",
        )
    })?;
    let rows = first_row(Path::new(data)).and_then(|row| torchtune::shape(&row));
    let rows = rows.map_err(|why| {
        fail(
            "torchtune cannot learn from these rows",
            &format!("{data}: {why}"),
            "JSON lines with messages, conversations, or instruction and output",
        )
    })?;
    Ok(torchtune::Inputs {
        config,
        files: names(Path::new(model)),
        rows,
    })
}

/// The longest row that is looked at.
const LONGEST_ROW: u64 = 64 << 20;

fn first_row(path: &Path) -> Result<Value, String> {
    let file = Open_::open(path).map_err(|error| error.to_string())?;
    let mut lines = BufReader::new(file.take(LONGEST_ROW)).lines();
    let line = lines.find(|line| !matches!(line, Ok(line) if line.trim().is_empty()));
    let line = line
        .ok_or("there is no row")?
        .map_err(|error| error.to_string())?;
    serde_json::from_str(&line).map_err(|error| format!("its first row is no JSON: {error}"))
}

/// Files of a model's directory and of the directories in it, with `/` between.
fn names(dir: &Path) -> Vec<String> {
    let list = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten();
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect()
    };
    let below = list(dir).into_iter().flat_map(|path| match path.is_dir() {
        true => list(&path),
        false => vec![path],
    });
    let name = |path: PathBuf| {
        path.strip_prefix(dir)
            .ok()
            .and_then(|path| path.to_str().map(String::from))
    };
    let mut all: Vec<String> = below.filter_map(name).collect();
    all.sort();
    all
}

fn evaluations(open: &Open, place: &Place) -> Result<Made, Fail> {
    let (mut files, mut blocks, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for task in &open.plan.tasks {
        let there = Path::new(&task.script).is_file();
        if !there {
            let right =
                "the script of a task that is there; campaignctl experiment design --eval TASK";
            wrong.push(problem(
                &format!("the task {} is not there", task.name),
                &task.script,
                right,
            ));
        }
        blocks.push(Block::done(Event::VerifyTask, &task.name, &task.script));
    }
    for run in &open.plan.runs {
        match inspect::files(&open.plan, run, place) {
            Ok(own) => {
                let details = format!("{} scripts", own.len());
                blocks.push(Block::done(Event::CreateEval, &run.name, details));
                files.extend(own);
            }
            Err(why) => wrong.push(problem(
                &why,
                &run.name,
                "campaignctl experiment design with what is missing",
            )),
        }
    }
    match wrong.is_empty() {
        true => Ok((files, blocks)),
        false => Err(Fail(wrong)),
    }
}

fn text(open: &Open, told: &[(String, Written)], dry_run: bool) -> String {
    let mut text = format!("{}: {} runs\n", open.plan.name, open.plan.runs.len());
    let would = if dry_run { "would be " } else { "" };
    for (worker, done) in told {
        text += &format!(
            "  {worker:<20} {} files {would}made, {} {would}replaced, {} left as they are\n",
            done.made.len(),
            done.replaced.len(),
            done.left
        );
        if dry_run {
            for path in done.made.iter().chain(&done.replaced) {
                text += &format!("    {path}\n");
            }
        }
    }
    if open.plan.tasks.is_empty() {
        text += "  nothing is evaluated: no task was named\n";
    }
    text + &format!(
        "  next     campaignctl experiment run {}\n",
        open.dir.display()
    )
}
