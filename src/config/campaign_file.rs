//! A campaign file, with every layer, to what is frozen.

use super::{
    agents, curation, evaluation, execution, keys, layers::Layers, places::Env, planning,
    problem::Problem, settings::Settings, slurm, training,
};
use crate::{
    evaluation::{Criteria, GateKind},
    generation::check_target,
    machines::{
        job::Phase,
        spec::{
            Brain, CampaignSpec, EvaluationSettings, EvidenceKind, ExecutionSpec, ExecutorKind,
            GeneratorSpec, PlanningSpec, Provenance, SlurmSpec, TrainingSpec,
        },
    },
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What a command may ask for in braces.
const PLACEHOLDERS: [&str; 6] = ["phase", "target", "shard", "shards", "output", "seed"];
/// How many looks there are when nothing bounds the pilot.
const LOOKS: u64 = 3;

/// Where a campaign comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The defaults of `campaignd run`.
    Embedded,
}

/// Flags, over everything else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `--quality-threshold`.
    pub quality_threshold: Option<f64>,
    /// `--campaign-target`.
    pub campaign_target: Option<u64>,
    /// `--min-pilot-samples`.
    pub min_pilot_samples: Option<u64>,
    /// `--no-auto-launch`.
    pub no_auto_launch: bool,
    /// `--gate`.
    pub gate: Option<String>,
    /// `--seed`.
    pub seed: Option<u64>,
    /// `--name`.
    pub name: Option<String>,
    /// `--cycles`.
    pub cycles: Option<u64>,
}

/// A campaign, resolved, whose models and rows are there. `here` is the directory that relative paths of the embedded
/// campaign start from.
///
/// # Errors
/// All that is wrong with it, at once.
pub fn load_campaign(
    source: &Source,
    flags: &Overrides,
    env: &Env,
    settings: &Settings,
    here: &Path,
) -> Result<CampaignSpec, Vec<Problem>> {
    let spec = read_campaign(source, flags, env, settings, here)?;
    let missing = missing(&spec, env);
    if missing.is_empty() {
        Ok(spec)
    } else {
        Err(missing)
    }
}

/// What a campaign names and this machine has not.
fn missing(spec: &CampaignSpec, env: &Env) -> Vec<Problem> {
    let curation = spec.curation.iter().flat_map(curation::missing);
    let training = spec.training.iter().flat_map(training::missing);
    let execution = spec.execution.iter();
    // What the nodes have is seen there.
    let here = !spec.on_slurm(Phase::Execute);
    let execution = execution.filter(|_| here);
    let execution = execution.flat_map(|spec| execution::missing(spec, env));
    execution.chain(curation).chain(training).collect()
}

/// As [`load_campaign`], whether or not what it names is there: for what starts nothing.
///
/// # Errors
/// All that is wrong with it, at once.
pub fn read_campaign(
    source: &Source,
    flags: &Overrides,
    env: &Env,
    settings: &Settings,
    here: &Path,
) -> Result<CampaignSpec, Vec<Problem>> {
    let mut layers = Layers::new(keys::CAMPAIGN);
    layers.may_repeat = keys::SEVERAL;
    let (file, directory) = match source {
        Source::File(path) => {
            layers.file(path, &[]);
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let parent = whole
                .parent()
                .map_or_else(|| here.to_path_buf(), Path::to_path_buf);
            (Some(whole.display().to_string()), parent)
        }
        Source::Embedded => {
            layers.text(
                include_str!("../../config/quickstart.toml"),
                "quickstart.toml",
                &[],
            );
            (None, here.to_path_buf())
        }
    };
    if layers.unread {
        return Err(layers.problems);
    }
    layers.environment(env);
    apply_flags(&mut layers, flags);
    finish(&mut layers, settings);
    let phases = Phases::read(&mut layers, settings, &directory);
    if flags.cycles.is_some() && phases.planning.is_none() {
        let message = "there is no [planning] that says what further cycles vary".into();
        let right = "[planning] with vary = { r = [8, 16, 32] }, or no --cycles";
        layers.complain("planning.cycles", message, Some(right.into()));
    }
    if !layers.problems.is_empty() {
        return Err(layers.problems);
    }
    build(&layers, settings, file, &directory, phases).map_err(|problem| vec![*problem])
}

/// The phases that are asked for, but for curation.
struct Phases {
    execution: Option<ExecutionSpec>,
    training: Option<TrainingSpec>,
    evaluation: Option<EvaluationSettings>,
    planning: Option<PlanningSpec>,
    slurm: BTreeMap<Phase, SlurmSpec>,
}

impl Phases {
    fn read(layers: &mut Layers, settings: &Settings, directory: &Path) -> Self {
        let execution = execution::execution(layers, settings, directory);
        let training = training::training(layers, directory);
        let evaluation = evaluation::evaluation(layers);
        training::finish(layers, training.as_ref());
        Self {
            execution,
            planning: planning::planning(layers, training.as_ref()),
            training,
            evaluation,
            slurm: slurm::phases(layers, directory),
        }
    }
}

fn apply_flags(layers: &mut Layers, flags: &Overrides) {
    let whole = |value: u64| toml::Value::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    if let Some(value) = flags.quality_threshold {
        layers.flag(
            "quality_threshold",
            "--quality-threshold",
            toml::Value::Float(value),
        );
    }
    if let Some(value) = flags.campaign_target {
        layers.flag("campaign_target", "--campaign-target", whole(value));
    }
    if let Some(value) = flags.min_pilot_samples {
        layers.flag("min_pilot_samples", "--min-pilot-samples", whole(value));
    }
    if let Some(value) = flags.seed {
        layers.flag("seed", "--seed", whole(value));
    }
    if flags.no_auto_launch {
        layers.flag(
            "auto_launch",
            "--no-auto-launch",
            toml::Value::Boolean(false),
        );
    }
    if let Some(gate) = &flags.gate {
        layers.flag("gate", "--gate", toml::Value::String(gate.clone()));
    }
    if let Some(name) = &flags.name {
        layers.flag("name", "--name", toml::Value::String(name.clone()));
    }
    if let Some(cycles) = flags.cycles {
        layers.flag("planning.cycles", "--cycles", whole(cycles));
    }
}

/// What follows from several values, and what several values together forbid.
fn finish(layers: &mut Layers, settings: &Settings) {
    if layers.get("max_pilot_samples").is_none() {
        let most =
            i64::try_from(layers.whole("pilot_target").saturating_mul(LOOKS)).unwrap_or(i64::MAX);
        layers.derive(
            "max_pilot_samples",
            toml::Value::Integer(most),
            "three looks",
        );
    }
    if let Err(right) = layers.string("name").parse::<crate::ids::CampaignId>() {
        let message = if layers.get("name").is_none() {
            "the campaign has no name"
        } else {
            "this cannot be a name"
        };
        layers.complain(
            "name",
            message.into(),
            Some(format!("name = \"alttp\": {right}")),
        );
    }
    finish_generator(layers, settings);
    for problem in criteria(layers)
        .map(|criteria| criteria.problems())
        .unwrap_or_default()
    {
        layers.complain("pilot_target", problem, None);
    }
}

fn finish_generator(layers: &mut Layers, settings: &Settings) {
    let command = layers.list("generator.command");
    let given =
        |layers: &Layers, key: &str| layers.get(key).is_some_and(|set| set.from != "default");
    if given(layers, "generator.brain") && given(layers, "generator.command") {
        let right =
            Some("one of them: command runs a foreign generator, brain a built-in one".into());
        layers.complain(
            "generator.brain",
            "brain and command are both given".into(),
            right,
        );
    }
    if given(layers, "generator.command") && command.first().is_none_or(String::is_empty) {
        let right =
            Some("command = [\"python3\", \"generate.py\", \"--out\", \"{output}\"]".into());
        layers.complain("generator.command", "the command is empty".into(), right);
    }
    placeholders(layers, "generator.command", &PLACEHOLDERS);
    let shards = layers.whole("generator.shards");
    let local = !slurm::is_on_slurm(layers, "generator.");
    if local && shards > u64::from(settings.limits.max_concurrent_jobs) {
        let right = format!(
            "at most {} (limits.max_concurrent_jobs)",
            settings.limits.max_concurrent_jobs
        );
        layers.complain(
            "generator.shards",
            "there are more shards than jobs may run at once".into(),
            Some(right),
        );
    }
    agents::finish(layers);
    curation::finish(layers);
    let total = layers
        .whole("campaign_target")
        .saturating_add(layers.whole("max_pilot_samples"));
    if command.is_empty()
        && let Err(message) = check_target(total)
    {
        layers.complain(
            "campaign_target",
            message,
            Some("a smaller campaign_target, or a generator of your own".into()),
        );
    }
}

/// Complains of what a command asks for and nobody knows.
pub(super) fn placeholders(layers: &mut Layers, key: &str, known: &[&str]) {
    for word in layers.list(key) {
        let Some(unknown) = unknown_placeholder(&word, known) else {
            continue;
        };
        let right: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
        let message = format!("unknown placeholder {{{unknown}}}");
        layers.complain(key, message, Some(right.join(" ")));
    }
}

/// The first `{word}` of letters that is none of ours; other braces are data, JSON for instance.
fn unknown_placeholder(word: &str, known: &[&str]) -> Option<String> {
    word.split('{').skip(1).find_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        (plain && !known.contains(&name)).then(|| name.into())
    })
}

fn criteria(layers: &Layers) -> Option<Criteria> {
    Some(Criteria {
        gate: layers.string("gate").parse::<GateKind>().ok()?,
        quality_threshold: layers.number("quality_threshold"),
        min_pilot_samples: layers.whole("min_pilot_samples"),
        pilot_target: layers.whole("pilot_target"),
        max_pilot_samples: layers.whole("max_pilot_samples"),
    })
}

fn build(
    layers: &Layers,
    settings: &Settings,
    file: Option<String>,
    directory: &Path,
    phases: Phases,
) -> Result<CampaignSpec, Box<Problem>> {
    let wrong = |message: String| {
        Box::new(Problem {
            message,
            ..Problem::default()
        })
    };
    let command = layers.list("generator.command");
    let brain = match layers.string("generator.brain").as_str() {
        _ if !command.is_empty() => Brain::Command,
        "endpoint" => Brain::Endpoint,
        _ => Brain::Rules,
    };
    let curation = curation::curation(layers, directory)
        .ok_or_else(|| wrong("curation.split is no split".into()))?;
    let asked = |table: &str| layers.tables.iter().any(|(name, _)| name == table);
    // The defaults of a tier that there is not are nobody's.
    let known = layers
        .all()
        .filter(|(key, _)| agents::concerns(layers, key.name))
        .filter(|(key, _)| training::concerns(layers, key.name))
        .filter(|(key, _)| planning::concerns(layers, key.name))
        .filter(|(key, _)| slurm::concerns(layers, key.name));
    let provenance = known.map(|(key, set)| Provenance {
        key: key.name.into(),
        value: set.value.to_string(),
        from: set.from.clone(),
    });
    Ok(CampaignSpec {
        name: layers.string("name").parse().map_err(wrong)?,
        file,
        directory: directory.display().to_string(),
        criteria: criteria(layers).ok_or_else(|| wrong("gate has no such value".into()))?,
        campaign_target: layers.whole("campaign_target"),
        auto_launch: layers.yes("auto_launch"),
        executor: layers
            .string("executor")
            .parse::<ExecutorKind>()
            .map_err(wrong)?,
        slurm: phases.slurm,
        seed: layers.whole("seed"),
        generator: GeneratorSpec {
            brain,
            command,
            shards: u32::try_from(layers.whole("generator.shards")).unwrap_or(u32::MAX),
            time_seconds: layers.duration("generator.time").map(|time| time.as_secs()),
            evidence: layers
                .string("generator.evidence")
                .parse::<EvidenceKind>()
                .map_err(wrong)?,
            faults: layers.number("generator.faults"),
            agents: agents::agents(layers),
        },
        retry: settings.retry,
        execution: phases.execution,
        curation: asked("curation").then_some(curation),
        training: phases.training,
        evaluation: phases.evaluation,
        planning: phases.planning,
        budget: planning::budget(layers),
        provenance: provenance
            .chain(execution::provenance(layers))
            .chain(training::provenance(layers))
            .collect(),
    })
}

#[cfg(test)]
mod tests;
