//! The evaluation worker: a model, its adapters and held-out rows in, a directory of results out, which appears only when it
//! is complete.
//!
//! Base and adapters answer the same items in the same batches. What is reported of an adapter is the difference on them,
//! item by item: see [`crate::evaluation::paired`].

mod arm;
mod bigram;
mod inputs;
mod items;
mod kind;
mod language;
mod output;
mod plans;
mod results;
#[cfg(test)]
mod tests;

use super::{Undone, device, train::origin};
use crate::{
    artifacts::{
        create_dir_private,
        making::{Making, is_replaceable},
    },
    evaluation::job::{Measure, Measured},
    executor::job_dir::{JobDir, Work},
    lora::{
        backend::{Backend, Use},
        engine::{Adapters, Engine},
        files::{ModelDir, read_adapter},
        tokens::{self, Example, Row, Tokens},
    },
    time::Timestamp,
    training::words::{Device, Loss},
};
use arm::{Course, Outcome};
use bigram::Bigram;
use items::Held;
use language::Language;
use plans::Kept;
use results::Baseline;
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::SystemTime,
};

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Something to know of an adapter, that is no error.
    Note(String),
    /// An arm is begun: `base`, or an adapter.
    Arm(String),
    /// Items of an arm are done.
    Step {
        /// With what.
        stage: &'static str,
        /// Steps done.
        done: u64,
        /// Of how many.
        total: u64,
    },
}

/// Who is told.
pub type Tell<'a> = &'a mut dyn FnMut(Told);

/// The work of a job directory: one evaluation after the other; those whose results are there already are left as they are.
///
/// # Errors
/// [`Undone`]: to be tried again where the machine lacks something.
pub fn run(job_dir: &Path, shard: u32) -> Result<(), Undone> {
    let dir = JobDir::new(job_dir);
    let Work::Evaluate { jobs } = dir.read_request().map_err(|error| error.to_string())?.work
    else {
        return Err("request.toml asks for other work".to_owned().into());
    };
    let progress = dir.progress(shard);
    for job in &jobs {
        let measured = evaluate(job, outdated(job), &mut |told| {
            note(&progress, &job.name, &told);
        })?;
        // The results are there; stdout may lie on a full disk.
        let _ = writeln!(
            io::stdout(),
            "{}: {} items, {}",
            job.name,
            measured.items.measured,
            job.output
        );
    }
    Ok(())
}

/// Whether there are results of something else: an adapter that was trained again since, other rows. A campaign's job makes
/// them anew; a person is asked first.
fn outdated(job: &Measure) -> bool {
    let output = Path::new(&job.output);
    let found = || output::unchanged(output, job, output::read(output, job)?);
    fs::symlink_metadata(output).is_ok() && found().is_err_and(|why: Undone| why.status == 1)
}

/// Progress is a hint; where it cannot be written nothing is lost.
fn note(path: &Path, name: &str, told: &Told) {
    let line = match told {
        Told::Note(text) => json!({ "stage": "evaluate", "evaluation": name, "note": text }),
        Told::Arm(arm) => json!({ "stage": "evaluate", "evaluation": name, "model": arm }),
        Told::Step { stage, done, total } => {
            json!({ "stage": stage, "evaluation": name, "done": done, "total": total })
        }
    };
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path);
    if let Ok(mut file) = file {
        let _ = writeln!(file, "{line}");
    }
}

/// Measures. Results that are there already, of the same request, are read; others are replaced with `force` and are an error
/// without.
///
/// # Errors
/// A sentence: what is wrong with settings, model, adapter or rows; that nothing is left to measure; the file system's.
pub fn evaluate(job: &Measure, force: bool, tell: Tell<'_>) -> Result<Measured, Undone> {
    if let Some((key, value, right)) = job.settings.problems().into_iter().next() {
        return Err(format!("{key} = {value} is wrong: {right}").into());
    }
    let output = Path::new(&job.output);
    if fs::symlink_metadata(output).is_ok() && !force {
        let found = output::read(output, job)?;
        return output::unchanged(output, job, found);
    }
    if fs::symlink_metadata(output).is_ok() && !is_replaceable(output) {
        let what = "is there, and holds more than an evaluation";
        return Err(format!("{} {what}", output.display()).into());
    }
    let model = ModelDir::open(Path::new(&job.model)).map_err(|error| error.to_string())?;
    let inputs = inputs::of(job, &model).map_err(|error| error.to_string())?;
    let tokens = Tokens::open(Path::new(&job.model), model.decoder.vocabulary)?;
    let adapters = adapters(job, &model, &inputs.model, tell)?;
    let prepared = Prepared::read(
        job,
        &tokens,
        model.decoder.context,
        model.decoder.vocabulary,
    )?;
    // Taken before anything is computed, so that of two who would make the same the second is told at once.
    let making = parent(output).and_then(|()| Making::beside(output));
    let making = making.map_err(|error| output::undone(output, &error))?;
    if let Some(why) = device::distrusted(job.device) {
        tell(Told::Note(format!("computes on the processor: {why}")));
    }
    let plans = Kept::beside(output);
    let began = SystemTime::now().into();
    let task = Arms {
        course: prepared.course(job, &tokens, model.decoder.context),
        model: &model,
        adapters: &adapters,
        job,
        tell,
    };
    let made = device::on(job.device, Some(plans.path()), task).and_then(|outcomes| {
        let measured = Measured {
            inputs,
            ..results::results(job, &prepared.held, &outcomes, prepared.bigram.as_ref())
        };
        let made = output::Made {
            held: &prepared.held,
            outcomes: &outcomes,
            measured: &measured,
            began,
            ended: Timestamp::from(SystemTime::now()),
        };
        let copied = match device::resolved(job.device) {
            Device::Cuda => plans.copy(making.path()),
            Device::Cpu | Device::Auto => Ok(()),
        };
        let written = copied
            .and_then(|()| output::write(making.path(), &made))
            .and_then(|()| making.complete(force));
        written.map_err(|error| output::undone(output, &error))?;
        Ok(measured)
    });
    plans.settle(made)
}

/// The directory that the output is in: that of all evaluations of a campaign is made with the first. What lies above it
/// must be there.
fn parent(output: &Path) -> io::Result<()> {
    match output.parent() {
        Some(parent) if parent.parent().is_some_and(Path::exists) => create_dir_private(parent),
        _ => Ok(()),
    }
}

/// Every adapter of the request, checked against the model before anything is computed.
fn adapters(
    job: &Measure,
    model: &ModelDir,
    hash: &str,
    tell: Tell<'_>,
) -> Result<Vec<Adapters>, Undone> {
    let mut all = Vec::new();
    for (at, contender) in job.adapters.iter().enumerate() {
        let before = job.adapters[..at].iter().map(|other| other.name.as_str());
        if std::iter::once(BASE)
            .chain(before)
            .any(|name| name == contender.name)
        {
            return Err(format!("two models are called {:?}", contender.name).into());
        }
        let directory = Path::new(&contender.directory);
        let read = read_adapter(directory, &model.decoder)?;
        if let Some(note) = origin::check(directory, &read, model, hash)? {
            tell(Told::Note(note));
        }
        all.push(read.adapters);
    }
    Ok(all)
}

/// What the model without adapters is called.
pub const BASE: &str = "base";

/// What is read before anything is computed.
struct Prepared {
    held: Held,
    distractors: Vec<Vec<usize>>,
    bigram: Option<Baseline>,
}

impl Prepared {
    fn read(
        job: &Measure,
        language: &dyn Language,
        context: usize,
        vocabulary: usize,
    ) -> Result<Self, Undone> {
        let most = match job.settings.max_seq_length as usize {
            0 => context,
            most => most.min(context),
        };
        let mut held = items::read(&job.data, &job.settings, most, language)?;
        let rows = taught(job, language)?;
        held.counts.trained_on = both(&held, &rows);
        if held.counts.trained_on == held.counts.measured {
            let (data, training) = (job.data.join(", "), job.training.join(", "));
            let why = format!(
                "nothing in {data} is held out: every row that would be measured is a training row in {training}"
            );
            return Err(why.into());
        }
        Ok(Self {
            distractors: items::distractors(&held.items, &job.settings, most),
            bigram: baseline(job, &held, &rows, vocabulary)?,
            held,
        })
    }

    fn course<'a>(
        &'a self,
        job: &'a Measure,
        language: &'a dyn Language,
        context: usize,
    ) -> Course<'a> {
        Course {
            context,
            items: &self.held.items,
            distractors: &self.distractors,
            settings: &job.settings,
            language,
            decoded: arm::DECODED,
        }
    }
}

/// Items that are training rows, token by token.
fn both(held: &Held, rows: &[Example]) -> u64 {
    let taught: HashSet<&[u32]> = rows.iter().map(|row| row.ids.as_slice()).collect();
    let items = held.items.iter();
    let both = items.filter(|item| taught.contains(item.example.ids.as_slice()));
    both.count() as u64
}

/// The training rows as the trainer sees them.
fn taught(job: &Measure, language: &dyn Language) -> Result<Vec<Example>, String> {
    let mut rows = Vec::new();
    for file in &job.training {
        let wrong = |why: String| format!("{file}: {why}");
        let lines = fs::File::open(file).map_err(|error| wrong(error.to_string()))?;
        for (number, line) in (1..).zip(BufReader::new(lines).lines()) {
            let line = line.map_err(|error| wrong(error.to_string()))?;
            if line.trim().is_empty() {
                continue;
            }
            let row: Value = serde_json::from_str(&line)
                .map_err(|error| wrong(format!("line {number}: {error}")))?;
            // What the trainer cannot use has taught nothing.
            match language.row(&row) {
                Ok(Row::Sft(example)) => rows.push(example),
                Ok(Row::Pair { chosen, .. }) => rows.push(chosen),
                Err(_) => {}
            }
        }
    }
    Ok(rows)
}

/// The bigram model of the training rows, and its loss on every item; none without files of rows.
fn baseline(
    job: &Measure,
    held: &Held,
    rows: &[Example],
    vocabulary: usize,
) -> Result<Option<Baseline>, String> {
    if job.training.is_empty() {
        return Ok(None);
    }
    let model = Bigram::of(rows, vocabulary).ok_or_else(|| {
        let files = job.training.join(", ");
        format!("there is no row to learn from in {files}, so there is no baseline")
    })?;
    let losses = held.items.iter().map(|item| model.loss(&item.example));
    Ok(Some(Baseline {
        losses: losses.collect(),
        pairs: model.pairs(),
        strength: model.strength(),
    }))
}

/// All arms, on whichever machine it will be.
struct Arms<'a> {
    course: Course<'a>,
    model: &'a ModelDir,
    adapters: &'a [Adapters],
    job: &'a Measure,
    tell: Tell<'a>,
}

impl device::Task for Arms<'_> {
    type Made = Vec<Vec<Outcome>>;

    fn run<B: Backend>(
        self,
        machine: impl Fn() -> B,
        room: Option<u64>,
    ) -> Result<Self::Made, Undone> {
        let decoder = &self.model.decoder;
        let decoded = match room {
            Some(room) => self.course.fitting(decoder, self.adapters, room)?,
            None => self.course.decoded,
        };
        let course = Course {
            decoded,
            ..self.course
        };
        let mut engine = Engine::new(machine(), decoder, self.model, &Adapters::new())
            .map_err(|trouble| trouble.to_string())?;
        let names = self.job.adapters.iter().map(|adapter| adapter.name.clone());
        let arms = std::iter::once((BASE.to_owned(), None))
            .chain(names.zip(self.adapters.iter().map(Some)));
        let mut all = Vec::new();
        for (name, adapters) in arms {
            (self.tell)(Told::Arm(name.clone()));
            if let Some(adapters) = adapters {
                engine
                    .equip(adapters, None)
                    .map_err(|trouble| trouble.to_string())?;
            }
            let used = adapters.map_or(Use::Off, |_| Use::On);
            let found = course.run(&mut engine, used, self.tell);
            all.push(found.map_err(|trouble| format!("{name}: {trouble}"))?);
        }
        Ok(all)
    }
}

impl Language for Tokens {
    fn row(&self, row: &Value) -> Result<Row, String> {
        let row = row.as_object().ok_or("it is no JSON object")?;
        let pair = row.get("rejected").is_some_and(|other| !other.is_null());
        tokens::row(self, row, if pair { Loss::Dpo } else { Loss::Sft })
    }

    fn text(&self, ids: &[u32]) -> String {
        self.decode(ids).unwrap_or_default()
    }

    fn ends(&self) -> &[u32] {
        &self.eos
    }
}
