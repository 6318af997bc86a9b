//! The directory of an evaluation.
//!
//! ```text
//! results.json         numbers, intervals, verdicts: a function of model, adapters, data and settings
//! items.jsonl          every item as every model answered it
//! report.html          the same to look at
//! logs/NAME.eval       of each model, in the format of inspect-ai
//! products.txt         of a GPU: the algorithms of its matrix products
//! SHA256SUMS           so that a later evaluation may take its place
//! ```

use super::{
    arm::Outcome,
    inputs,
    items::{Held, Item},
};
use crate::{
    artifacts::{is_starved, named, sums},
    evaluation::{
        job::{Arm, Measure, Measured, Metric},
        paired::Share,
    },
    executor::job_dir::TRY_AGAIN,
    lora::files::ModelDir,
    report::{
        evaluation::{self, Example},
        inspect::{
            self, Sample, Stopped, identifier,
            log::{
                self, Config, Dataset, Header, Plan, Results, Score, Scorer, Spec, Stats, Step,
                Usage,
            },
        },
    },
    time::Timestamp,
    worker::Undone,
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

/// What was made, to be written.
pub struct Made<'a> {
    /// The items.
    pub held: &'a Held,
    /// How every arm answered them, the base first.
    pub outcomes: &'a [Vec<Outcome>],
    /// What it comes to.
    pub measured: &'a Measured,
    /// When it began; only logs say so.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

/// Reads the results of an earlier evaluation of the same request, by its names, paths and settings.
///
/// # Errors
/// The directory is of something else, or of another request.
pub fn read(output: &Path, job: &Measure) -> Result<Measured, Undone> {
    let path = output.join("results.json");
    let other = |why: &str| format!("{} is there, and {why}", output.display());
    let text = fs::read(&path).map_err(|_| other("is no evaluation"))?;
    let found: Measured = serde_json::from_slice(&text)
        .map_err(|error| other(&format!("its results.json cannot be read: {error}")))?;
    let arms = found.arms.iter().skip(1);
    let same_arms = arms
        .map(|arm| (arm.name.as_str(), arm.directory.as_deref()))
        .eq(job
            .adapters
            .iter()
            .map(|a| (a.name.as_str(), Some(a.directory.as_str()))));
    let data = found.data.iter().map(|file| &file.path);
    let same = same_arms
        && data.eq(&job.data)
        && (&found.name, &found.model, &found.settings) == (&job.name, &job.model, &job.settings)
        && found.bigram.is_some() != job.training.is_empty();
    if !same {
        return Err(other("is the evaluation of another request").into());
    }
    Ok(found)
}

/// The results, if every byte that they are a function of is what it was.
///
/// # Errors
/// What has changed; a file that cannot be read.
pub fn unchanged(output: &Path, job: &Measure, found: Measured) -> Result<Measured, Undone> {
    let changed = |why: &str| {
        let output = output.display();
        format!(
            "{output} has the results of an earlier evaluation, and {why}: choose another --output, or --force to replace them"
        )
    };
    for file in &found.data {
        let now = sums::digest(Path::new(&file.path)).map_err(|error| error.to_string())?;
        if now != file.sha256 {
            return Err(changed(&format!("{} has changed since", file.path)).into());
        }
    }
    let model = ModelDir::open(Path::new(&job.model)).map_err(|error| error.to_string())?;
    let now = inputs::of(job, &model).map_err(|error| error.to_string())?;
    match found.inputs.difference(&now) {
        Some(why) => Err(changed(&why).into()),
        None => Ok(found),
    }
}

/// To be tried again where the machine lacks something; else final.
pub fn undone(output: &Path, error: &io::Error) -> Undone {
    Undone {
        status: if is_starved(error) { TRY_AGAIN } else { 1 },
        text: format!("{} cannot be written: {error}", output.display()),
    }
}

/// Writes everything below a directory that is there.
///
/// # Errors
/// Those of the file system, naming the path.
pub fn write(dir: &Path, made: &Made<'_>) -> io::Result<()> {
    let results = serde_json::to_vec_pretty(made.measured)?;
    put(&dir.join("results.json"), &results)?;
    items(&dir.join("items.jsonl"), made)?;
    let page = evaluation::render(made.measured, &examples(made));
    put(&dir.join("report.html"), page.as_bytes())?;
    let logs = dir.join("logs");
    fs::create_dir(&logs).map_err(|error| named(error, "make", &logs))?;
    for (arm, outcomes) in made.measured.arms.iter().zip(made.outcomes) {
        let path = logs.join(format!("{}.eval", file_name(&arm.name)));
        let file = File::create(&path).map_err(|error| named(error, "write", &path))?;
        let samples = samples(made.held, outcomes);
        inspect::write(BufWriter::new(file), &header(made, arm, outcomes), &samples)
            .map_err(|error| named(error, "write", &path))?;
    }
    let sums = sums::text(&sums::of(dir)?);
    put(&dir.join(sums::NAME), sums.as_bytes())
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes).map_err(|error| named(error, "write", path))
}

/// An adapter's name is anybody's word, and no path.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let plain: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    if plain == name {
        return plain;
    }
    format!("{plain}-{}", &identifier(&[name])[..6])
}

/// Every item as every arm answered it, a line each.
fn items(path: &Path, made: &Made<'_>) -> io::Result<()> {
    let file = File::create(path).map_err(|error| named(error, "write", path))?;
    let mut file = BufWriter::new(file);
    for (at, item) in made.held.items.iter().enumerate() {
        let arms = made.measured.arms.iter().zip(made.outcomes);
        let arms: Map<String, Value> = arms
            .map(|(arm, outcomes)| (arm.name.clone(), answered(&outcomes[at])))
            .collect();
        let line = json!({
            "id": item.id, "dataset": item.dataset, "cluster": item.cluster,
            "tokens": item.example.ids.len(), "right": item.right, "models": arms,
        });
        writeln!(file, "{line}").map_err(|error| named(error, "write", path))?;
    }
    file.flush().map_err(|error| named(error, "write", path))
}

fn answered(outcome: &Outcome) -> Value {
    let metrics: Map<String, Value> = outcome
        .metrics
        .iter()
        .map(|(metric, share)| {
            let value = match metric.binary() {
                true => json!(share.sum),
                false => json!({ "sum": share.sum, "count": share.count }),
            };
            (metric.name().into(), value)
        })
        .collect();
    let mut all = json!({ "metrics": metrics });
    if !outcome.options.is_empty() {
        all["log_likelihood"] = json!(outcome.options);
    }
    if let Some(said) = &outcome.said {
        all["answer"] = json!(said.text);
        all["stop_reason"] = json!(said.stopped);
    }
    all
}

/// Some items that only one of base and an adapter has right, for the page.
fn examples(made: &Made<'_>) -> Vec<Example> {
    let mut found = Vec::new();
    for (arm, outcomes) in made.measured.arms.iter().zip(made.outcomes).skip(1) {
        for won in [true, false] {
            let each = made
                .held
                .items
                .iter()
                .zip(made.outcomes[0].iter().zip(outcomes));
            let differs =
                each.filter_map(|(item, (base, other))| example(&arm.name, won, item, base, other));
            found.extend(differs.take(EXAMPLES));
        }
    }
    found
}

/// Items of each kind that are shown.
const EXAMPLES: usize = 4;

fn example(arm: &str, won: bool, item: &Item, base: &Outcome, other: &Outcome) -> Option<Example> {
    let (before, now) = (base.said.as_ref()?, other.said.as_ref()?);
    let right = |share: &Share| share.count > 0.0 && share.sum == share.count;
    let binary = base.metrics.iter().filter(|(metric, _)| metric.binary());
    let mut decoded = binary.filter(|(metric, _)| metric.decoded());
    let (metric, _) = decoded.find(|(metric, share)| {
        let other = other.metrics.get(*metric).is_some_and(right);
        other == won && right(share) != won
    })?;
    Some(Example {
        adapter: arm.into(),
        metric: *metric,
        won,
        item: item.id.clone(),
        right: item.right.clone(),
        base: before.text.clone(),
        answer: now.text.clone(),
    })
}

fn usage(item: &Item, outcome: &Outcome) -> Usage {
    let (given, said) = match &outcome.said {
        Some(said) => (item.prompt().len() as u64, said.tokens),
        None => (0, 0),
    };
    Usage {
        input_tokens: given,
        output_tokens: said,
        total_tokens: given + said,
    }
}

fn samples(held: &Held, outcomes: &[Outcome]) -> Vec<Sample> {
    let sample = |(item, outcome): (&Item, &Outcome)| {
        let turns = item.turns.iter();
        let value = |share: &Share| share.sum / share.count;
        let scores = outcome.metrics.iter();
        Sample {
            id: item.id.clone(),
            messages: turns
                .map(|turn| (turn.role.clone(), turn.content.clone()))
                .collect(),
            target: item.right.clone(),
            answer: outcome.said.as_ref().map(|said| said.text.clone()),
            stopped: outcome
                .said
                .as_ref()
                .map_or(Stopped::Itself, |said| said.stopped),
            scores: scores
                .map(|(metric, share)| (metric.name().to_owned(), value(share)))
                .filter(|(_, value)| value.is_finite())
                .collect(),
            usage: usage(item, outcome),
        }
    };
    held.items.iter().zip(outcomes).map(sample).collect()
}

/// What a log says of the whole. Ids are functions of what was measured, times are not.
fn header(made: &Made<'_>, arm: &Arm, outcomes: &[Outcome]) -> Header {
    let measured = made.measured;
    let model = format!("campaignd/{}", arm.name);
    let hashes: Vec<&str> = measured
        .data
        .iter()
        .map(|file| file.sha256.as_str())
        .collect();
    let told = [
        [measured.name.as_str(), &measured.model, &arm.name].as_slice(),
        &hashes,
    ]
    .concat();
    let id = |kind: &'static str| identifier(&[[kind].as_slice(), &told].concat());
    let each = made.held.items.iter().zip(outcomes);
    let used = each.fold(Usage::default(), |sum, (item, outcome)| {
        let more = usage(item, outcome);
        Usage {
            input_tokens: sum.input_tokens + more.input_tokens,
            output_tokens: sum.output_tokens + more.output_tokens,
            total_tokens: sum.total_tokens + more.total_tokens,
        }
    });
    let settings = serde_json::to_value(&measured.settings).unwrap_or_default();
    let args = settings.as_object().cloned().unwrap_or_default();
    Header {
        version: log::VERSION,
        status: "success".into(),
        eval: Spec {
            eval_id: id("eval"),
            run_id: identifier(&["run", &measured.name, &measured.model]),
            created: made.began.to_string(),
            task: measured.name.clone(),
            task_id: identifier(&["task", &measured.name]),
            task_version: json!(0),
            task_args: args,
            dataset: Dataset {
                name: Some(measured.datasets.join("+")),
                location: measured.data.first().map(|file| file.path.clone()),
                samples: measured.items.measured,
                sample_ids: made.held.items.iter().map(|item| json!(item.id)).collect(),
                shuffled: false,
            },
            model: model.clone(),
            config: Config { epochs: 1 },
            packages: BTreeMap::from([("campaignd".into(), env!("CARGO_PKG_VERSION").into())]),
            scorers: scorers(arm),
            metadata: metadata(measured, arm),
        },
        plan: Plan {
            name: "plan".into(),
            steps: vec![Step {
                solver: "generate".into(),
                params: Map::from_iter([("temperature".into(), json!(0))]),
            }],
        },
        results: Some(Results {
            total_samples: measured.items.measured,
            completed_samples: measured.items.measured,
            scores: scores(measured, arm),
        }),
        stats: Stats {
            started_at: made.began.to_string(),
            completed_at: made.ended.to_string(),
            model_usage: BTreeMap::from([(model, used)]),
        },
        ..Header::default()
    }
}

fn metadata(measured: &Measured, arm: &Arm) -> Map<String, Value> {
    let mut all = Map::from_iter([("base_model".into(), json!(measured.model))]);
    if let Some(directory) = &arm.directory {
        all.insert("adapter".into(), json!(directory));
    }
    if let Some(shown) = measured.verdicts.get(&arm.name) {
        all.insert("verdict".into(), json!(shown));
    }
    all
}

fn scorers(arm: &Arm) -> Vec<Scorer> {
    let scorer = |metric: &Metric| Scorer {
        name: metric.name().into(),
        options: Map::new(),
        metrics: json!([{ "name": mean_of(*metric), "options": {} }]),
    };
    arm.metrics.keys().map(scorer).collect()
}

/// What inspect-ai calls the mean of right and wrong, and of numbers.
fn mean_of(metric: Metric) -> &'static str {
    if metric.binary() { "accuracy" } else { "mean" }
}

fn scores(measured: &Measured, arm: &Arm) -> Vec<Score> {
    let all = arm.metrics.iter();
    all.map(|(metric, scored)| {
        let name = mean_of(*metric);
        let mut metrics = BTreeMap::new();
        let mut number = |name: &str, value| {
            let value = Some(value);
            metrics.insert(
                name.to_owned(),
                log::Metric {
                    name: name.into(),
                    value,
                },
            );
        };
        number(name, scored.value);
        if let Some((low, high)) = scored.interval {
            number("low", low);
            number("high", high);
        }
        Score {
            name: metric.name().into(),
            scorer: metric.name().into(),
            scored_samples: Some(scored.items),
            unscored_samples: Some(measured.items.measured - scored.items),
            metrics,
            ..Score::default()
        }
    })
    .collect()
}
