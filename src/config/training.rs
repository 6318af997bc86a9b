//! The keys of training: PEFT's and Hugging Face's names, in `train.toml`, under `[training]`, and once more in each
//! `[[training.run]]`, where they hold for that fine-tune alone.

mod checks;
mod keys;
mod stages;
mod sweep;

use super::{
    keys::Key,
    layers::{Layers, OneOfSeveral},
    problem::Problem,
};
use crate::{
    machines::spec::{Provenance, RunSpec, StageData, StageSpec, TrainingSet, TrainingSpec},
    training::{
        base::MADE,
        settings::Settings,
        words::{Device, Module},
    },
};
use keys::FILE;
use stages::{read_stage, stages};
use std::path::Path;

pub use keys::{KEYS, MEMBER, OF_A_STAGE, RUN, SWEEP};
pub use sweep::{SweepFile, load_sweep};

/// The tables of a campaign file that training may have several of.
pub const SEVERAL: &str = "training.run";
/// Those of `train.toml`.
const STAGE: &str = "stage";
/// What `train.toml` says, or the defaults: hyperparameters, and the stages that `--stage` chooses from. Paths start from the
/// file.
///
/// # Errors
/// All that is wrong with the file, at once.
pub fn load_training(
    file: Option<&Path>,
    here: &Path,
) -> Result<(Settings, Vec<StageSpec>), Vec<Problem>> {
    let mut layers = Layers::new(FILE);
    layers.may_repeat = &[STAGE];
    let mut directory = here.to_path_buf();
    if let Some(path) = file {
        layers.file(path, &[]);
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        directory = whole.parent().map_or(directory, Path::to_path_buf);
    }
    let settings = settings(&mut layers, "");
    let given = layers.several.clone();
    let stages = given.iter().zip(1..).map(|(one, number)| {
        let read = read_stage(&one.values, number, |file| {
            StageData::File(directory.join(file).display().to_string())
        });
        read.map_err(|(key, message, right)| {
            layers.problems.push(one.problem(&key, message, right))
        })
    });
    let stages: Vec<StageSpec> = stages.filter_map(Result::ok).collect();
    for (one, at) in given.iter().zip(0..) {
        let Some(stage) = stages.get(at) else { break };
        if stages[..at].iter().any(|other| other.name == stage.name) {
            let message = format!("two stages have the name {}", stage.name);
            layers
                .problems
                .push(one.problem("name", message, "another name".into()));
        }
    }
    match layers.problems {
        problems if !problems.is_empty() => Err(problems),
        _ => Ok((settings, stages)),
    }
}

/// The hyperparameters that the layers hold behind a prefix; complains of those that nothing can be trained with.
fn settings(layers: &mut Layers, prefix: &str) -> Settings {
    let named = |key: &str| format!("{prefix}{key}");
    let modules = layers.list(&named("target_modules"));
    let unknown = modules.iter().find_map(|name| name.parse::<Module>().err());
    if let Some(right) = unknown {
        let message = format!("{prefix}target_modules has no such value");
        layers.complain(&named("target_modules"), message, Some(right));
    }
    let settings = read_settings(layers, &named);
    let said = |problem: &Problem| {
        let key = problem.key.as_deref().unwrap_or_default();
        key.starts_with(prefix)
    };
    if !layers.problems.iter().any(said) {
        for (key, value, right) in settings.problems() {
            let message = format!("{prefix}{key} cannot be {value}");
            layers.complain(&named(key), message, Some(right));
        }
    }
    settings
}

fn read_settings(layers: &Layers, named: &dyn Fn(&str) -> String) -> Settings {
    let number = |key: &str| layers.number(&named(key));
    let whole = |key: &str| layers.whole(&named(key));
    let small = |key: &str| u32::try_from(whole(key)).unwrap_or(u32::MAX);
    let yes = |key: &str| layers.yes(&named(key));
    let defaults = Settings::default();
    let modules = layers.list(&named("target_modules")).into_iter();
    let ranks = layers.pattern(&named("rank_pattern")).into_iter();
    Settings {
        r: small("r"),
        lora_alpha: number("lora_alpha"),
        lora_dropout: number("lora_dropout"),
        target_modules: modules.filter_map(|name| name.parse().ok()).collect(),
        // No rank is a fraction; 0 is refused.
        rank_pattern: ranks
            .map(|(name, rank)| (name, if rank.fract() == 0.0 { rank as u32 } else { 0 }))
            .collect(),
        alpha_pattern: layers.pattern(&named("alpha_pattern")),
        use_rslora: yes("use_rslora"),
        loss: layers
            .string(&named("loss"))
            .parse()
            .unwrap_or(defaults.loss),
        beta: number("beta"),
        learning_rate: number("learning_rate"),
        adam_beta1: number("adam_beta1"),
        adam_beta2: number("adam_beta2"),
        adam_epsilon: number("adam_epsilon"),
        weight_decay: number("weight_decay"),
        max_grad_norm: number("max_grad_norm"),
        lr_scheduler_type: layers
            .string(&named("lr_scheduler_type"))
            .parse()
            .unwrap_or(defaults.lr_scheduler_type),
        warmup_steps: whole("warmup_steps"),
        warmup_ratio: number("warmup_ratio"),
        num_train_epochs: number("num_train_epochs"),
        max_steps: whole("max_steps"),
        per_device_train_batch_size: small("per_device_train_batch_size"),
        gradient_accumulation_steps: small("gradient_accumulation_steps"),
        max_seq_length: small("max_seq_length"),
        packing: yes("packing"),
        shuffle: yes("shuffle"),
        seed: whole("seed"),
        eval_steps: whole("eval_steps"),
        save_steps: whole("save_steps"),
        early_stopping_patience: small("early_stopping_patience"),
    }
}

/// `[training]` with its runs; none where it is not asked for. What is wrong is complained of.
pub fn training(layers: &mut Layers, directory: &Path) -> Option<TrainingSpec> {
    layers.tables.iter().find(|(name, _)| name == "training")?;
    let given: Vec<OneOfSeveral> = layers.named(SEVERAL).cloned().collect();
    let built_in = layers.list("generator.command").is_empty();
    let mut runs: Vec<RunSpec> = Vec::new();
    if given.is_empty() {
        let set = layers.string("training.dataset");
        let name = if set.is_empty() { "adapter" } else { &set };
        let run = run(layers, "training.", name, directory);
        if run.model.is_empty() {
            let right = "model = \"DIR\": a Hugging Face model directory, or \"made\"".into();
            layers.complain(
                "training.model",
                "there is no model to train".into(),
                Some(right),
            );
        }
        for (key, message, right) in checks::run(&run, built_in) {
            let key = format!("training.{key}");
            // A word that is none has been complained of, and counts as none.
            let known = |problem: &Problem| problem.key.as_ref() == Some(&key);
            if !layers.problems.iter().any(known) {
                layers.complain(&key, message, Some(right.into()));
            }
        }
        runs.push(run);
    }
    for one in &given {
        let mut own = Layers::new(all_of_a_run());
        for (key, set) in layers.all() {
            // What `[training]` says holds for every run that does not say otherwise.
            if let Some(short) = key.name.strip_prefix("training.") {
                own.inherit(&format!("training.run.{short}"), set);
            }
        }
        own.repeated(one, &[STAGE]);
        let set = own.string("training.run.dataset");
        let name = own.string("training.run.name");
        let name = if name.is_empty() { set } else { name };
        let mut run = run(&mut own, "training.run.", &name, directory);
        // What `[training]` says wrongly, every run inherits: it is said once.
        own.problems
            .retain(|problem| !layers.problems.contains(problem));
        layers.problems.append(&mut own.problems);
        let mut refuse = |key: &str, message: String, right: &str| {
            layers
                .problems
                .push(one.problem(key, message, right.into()));
        };
        if let Err(right) = run.name.parse::<crate::ids::CampaignId>() {
            let right = format!("name = \"routing\": {right}").replace("campaign name", "name");
            refuse(
                "name",
                "the training run has no name that can be one".into(),
                &right,
            );
        } else if runs.iter().any(|other| other.name == run.name) {
            let message = format!("two training runs have the name {}", run.name);
            refuse("name", message, "another name");
        }
        if run.model.is_empty() {
            let right = "model = \"DIR\", here or under [training]";
            refuse("model", "there is no model to train".into(), right);
        }
        match stages(one, directory) {
            Ok(stages) => run.stages = stages,
            Err((key, message, right)) => refuse(&key, message, &right),
        }
        for (key, message, right) in checks::run(&run, built_in) {
            refuse(key, message, right);
        }
        runs.push(run);
    }
    let time = layers.duration("training.time");
    if time.is_some_and(|time| time > checks::LONGEST) {
        let message = "training.time is longer than training may go without the end of a stage";
        let right = Some("at most 720h; its checkpoints remain, and it goes on from them".into());
        layers.complain("training.time", message.into(), right);
    }
    Some(TrainingSpec {
        runs,
        // Without a limit: longer than anything lasts.
        time_seconds: time.map_or(NO_LIMIT, |time| time.as_secs()),
    })
}

/// Ten years: what the state's own deadline cuts short.
const NO_LIMIT: u64 = 315_360_000;

/// The keys of a run, in one piece.
fn all_of_a_run() -> &'static [Key] {
    static ALL: std::sync::LazyLock<Vec<Key>> = std::sync::LazyLock::new(|| RUN.concat());
    &ALL
}

fn run(layers: &mut Layers, prefix: &str, name: &str, directory: &Path) -> RunSpec {
    let named = |key: &str| format!("{prefix}{key}");
    let model = layers.string(&named("model"));
    let dataset = layers.string(&named("dataset")).parse::<TrainingSet>().ok();
    let settings = settings(layers, prefix);
    let model = match model.as_str() {
        "" | MADE => model,
        given => directory.join(given).display().to_string(),
    };
    RunSpec {
        name: name.into(),
        model,
        dataset,
        minimum_examples: layers.whole(&named("minimum_examples")),
        merge: layers.yes(&named("merge")),
        device: layers
            .string(&named("device"))
            .parse()
            .unwrap_or(Device::Auto),
        settings,
        stages: Vec::new(),
    }
}

/// What runs say over `[training]`, as settings with their origin.
pub fn provenance(layers: &Layers) -> Vec<Provenance> {
    let mut all = Vec::new();
    let inherited = layers.string("training.dataset");
    for one in layers.named(SEVERAL) {
        let said = |key: &str| one.values.get(key).and_then(toml::Value::as_str);
        let name = said("name").or(said("dataset")).unwrap_or(&inherited);
        let row = |key: String, value: &toml::Value, of: &str| Provenance {
            key: format!("training.run.{name}.{key}"),
            value: value.to_string(),
            from: one.line_of(of),
        };
        for (key, value) in one.values.iter().filter(|(key, _)| *key != "name") {
            let stages = value.as_array().filter(|_| key == STAGE);
            let Some(stages) = stages else {
                all.push(row(key.clone(), value, key));
                continue;
            };
            for (stage, number) in stages.iter().zip(1..) {
                let keys = stage.as_table().into_iter().flatten();
                all.extend(
                    keys.map(|(key, value)| row(format!("{STAGE}.{number}.{key}"), value, STAGE)),
                );
            }
        }
    }
    all
}

/// Whether the keys of a phase that is not asked for are shown: they are nobody's.
pub fn concerns(layers: &Layers, key: &str) -> bool {
    let table = key.split('.').next().unwrap_or("");
    !matches!(table, "execution" | "training" | "evaluation")
        || layers.tables.iter().any(|(name, _)| name == table)
}

/// What training and evaluation need of the rest of the file.
pub fn finish(layers: &mut Layers, training: Option<&TrainingSpec>) {
    let table = |layers: &Layers, name: &str| {
        let found = layers.tables.iter().find(|(table, _)| table == name);
        found.map(|(_, place)| place.clone())
    };
    let refuse = |layers: &mut Layers, name: &str, place: String, message: &str, right: &str| {
        let (file, line) = place.rsplit_once(':').unwrap_or((&place, ""));
        layers.problems.push(Problem {
            message: message.into(),
            at: format!("{place}   [{name}]"),
            right: Some(right.into()),
            file: Some(file.into()),
            line: line.parse().ok(),
            key: Some(name.into()),
            ..Problem::default()
        });
    };
    let own_rows = |run: &RunSpec| {
        !run.stages.is_empty()
            && run
                .stages
                .iter()
                .all(|stage| matches!(stage.data, StageData::File(_)))
    };
    if let (Some(spec), Some(place)) = (training, table(layers, "training"))
        && table(layers, "curation").is_none()
        && !spec.runs.iter().all(own_rows)
    {
        let message = "there is nothing to train on without curation";
        refuse(layers, "training", place, message, "[curation]");
    }
    let Some(place) = table(layers, "evaluation") else {
        return;
    };
    match training {
        None => {
            let message = "there is nothing to evaluate without training";
            refuse(layers, "evaluation", place, message, "[training]");
        }
        // Held-out rows are those of curation's data sets, also for adapters of other rows.
        Some(spec) if table(layers, "curation").is_none() && spec.runs.iter().all(own_rows) => {
            let message = "there are no held-out rows to evaluate on without curation";
            refuse(layers, "evaluation", place, message, "[curation]");
        }
        Some(_) if table(layers, "curation").is_some() && !holds_out(layers) => {
            let message = "curation holds no rows out to evaluate on";
            let right = "curation.split = [0.8, 0.1, 0.1], or curation.unseen_templates = true";
            refuse(layers, "evaluation", place, message, right);
        }
        Some(_) => {}
    }
}

/// Whether curation keeps any row to test on.
fn holds_out(layers: &Layers) -> bool {
    let split = layers.numbers("curation.split");
    // What is no split is complained of elsewhere.
    split.len() != 3 || split[2] > 0.0 || layers.yes("curation.unseen_templates")
}

/// Models and rows that training needs and that are not there: found before days of generation, not after.
pub fn missing(training: &TrainingSpec) -> Vec<Problem> {
    let named = |key: &str, path: &Path| Problem {
        message: "there is no such file".into(),
        at: path.display().to_string(),
        right: Some(format!("{key} names what is there")),
        key: Some(key.into()),
        value: Some(path.display().to_string()),
        ..Problem::default()
    };
    let mut found: Vec<Problem> = Vec::new();
    for run in &training.runs {
        let config = Path::new(&run.model).join("config.json");
        if run.model != MADE {
            match std::fs::read(&config) {
                Err(_) => found.push(named("training.model", &config)),
                Ok(text) => found.extend(checks::model(&config, &text)),
            }
        }
        for stage in &run.stages {
            if let StageData::File(path) = &stage.data
                && !Path::new(path).exists()
            {
                found.push(named("training.run.stage.data", Path::new(path)));
            }
        }
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests;
