//! What training and evaluation jobs are asked to do: where the settings of a run meet the data set that curation made.
//!
//! Everything a stage needs is looked for before it is launched: a model that is not there, too few rows, or an earlier stage
//! that left nothing is said at once, with the path.

use crate::{
    artifacts::{dataset, named, run},
    digits::thousands,
    evaluation::job::{Contender, Measure},
    machines::{
        job::Job,
        spec::{CampaignSpec, RunSpec, StageData, TrainingSet},
        training_run::{State, TrainingRun},
        tree::CampaignTree,
    },
    manifest::{CampaignManifest, RunManifest, StateDir},
    training::{
        architecture::Architecture,
        base::{BaseSettings, MADE},
        job::{FineTune, StageOf},
        settings::Settings,
        words::{Loss, Start},
    },
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What keeps a job from being launched.
pub(super) enum Trouble {
    /// The system refused something.
    Io(io::Error),
    /// It never can be: a sentence.
    Never(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Io(error)
    }
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Trouble::Never(text)
    }
}

/// Rows of one kind.
#[derive(Clone, Debug, PartialEq)]
struct Source {
    /// What people call it: `routing`, or a file's path.
    name: String,
    train: PathBuf,
    holdout: Option<PathBuf>,
}

/// The files of a campaign as training sees them.
struct Files<'a> {
    campaign: CampaignManifest,
    spec: &'a CampaignSpec,
}

/// The request of one stage of a training run, after everything that it needs was found. The run's manifest is written
/// before its first stage.
///
/// # Errors
/// [`Trouble`].
pub(super) fn fine_tune(
    state: &StateDir,
    tree: &CampaignTree,
    job: &Job,
) -> Result<FineTune, Trouble> {
    let files = Files::of(state, tree);
    let (asked, record) = files.run(tree, job.run.as_deref().unwrap_or_default())?;
    let dir = files.campaign.run(&record.key());
    if job.stage <= 1 {
        files.check_all(tree)?;
        let model = Path::new(&asked.model);
        let id = format!("{}-{}", files.spec.name, record.key());
        let model = run::named_model(model).map_err(|error| named(error, "resolve", model))?;
        let manifest = RunManifest::new(&id, record.started_at, &model, asked.stage_count());
        run::create(&dir, &manifest).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Trouble::Never(error.to_string()),
            _ => Trouble::Io(error),
        })?;
    }
    let manifest = run::read(&dir)?;
    let stage = asked.stages.get(job.stage.max(1) as usize - 1);
    let start = stage.map_or(Start::Adapter, |stage| stage.start);
    let model = files.model_of(asked, record, &manifest, job.stage)?;
    if job.stage > 1 {
        let before = run::stage(&dir, &manifest, job.stage - 1)?;
        exists(&before.adapter.join("adapter_config.json"))?;
        exists(&before.rows)?;
        exists(&Path::new(&model).join("config.json"))?;
    }
    let source = files.source(asked, asked.data(job.stage))?;
    exists(&source.train)?;
    Ok(FineTune {
        name: if asked.name.is_empty() {
            record.key()
        } else {
            asked.name.clone()
        },
        model,
        make: (job.stage <= 1 && asked.model == MADE).then(|| BaseSettings {
            seed: asked.settings.seed,
            ..BaseSettings::default()
        }),
        data: vec![text(&source.train)],
        holdout: source.holdout.iter().map(|path| text(path)).collect(),
        output: text(&dir),
        adapter_init: None,
        merge: asked.merges(job.stage),
        stage: Some(StageOf {
            number: job.stage,
            of: asked.stage_count(),
            replay_share: stage.map_or(0.0, |stage| stage.replay_share),
            start,
        }),
        // Several stages have the minimum together, and none of them sees them all.
        minimum: match asked.stage_count() {
            1 => asked.minimum_examples,
            _ => 0,
        },
        settings: halved(&asked.settings, tree.halvings(job)),
        device: asked.device,
    })
}

/// The settings with half the batch and twice the accumulation, so often: what a step learns from stays the same.
pub(super) fn halved(settings: &Settings, times: u32) -> Settings {
    let most = (settings.per_device_train_batch_size >> times.min(31)).max(1);
    let rows = settings
        .per_device_train_batch_size
        .saturating_mul(settings.gradient_accumulation_steps);
    // The largest that leaves a step its rows: its checkpoints are gone on from.
    let fits = |batch: &u32| times == 0 || rows.is_multiple_of(*batch);
    let batch = (1..=most).rev().find(fits).unwrap_or(1);
    Settings {
        per_device_train_batch_size: batch,
        gradient_accumulation_steps: rows.div_ceil(batch.max(1)),
        ..settings.clone()
    }
}

/// The measurements of the present cycle's adapters: those of one model and the same held-out rows together.
///
/// # Errors
/// [`Trouble`].
pub(super) fn measures(state: &StateDir, tree: &CampaignTree) -> Result<Vec<Measure>, Trouble> {
    let files = Files::of(state, tree);
    let settings = files.spec.evaluation.as_ref();
    let settings = settings.ok_or_else(|| "evaluation is not asked for".to_string())?;
    let mut all: Vec<Measure> = Vec::new();
    for record in tree.present_runs().filter(|run| run.state == State::Done) {
        let key = record.key();
        let (asked, _) = files.run(tree, &key)?;
        let dir = files.campaign.run(&key);
        let manifest = run::read(&dir)?;
        let last = run::stage(&dir, &manifest, manifest.stages())?;
        exists(&last.adapter.join("adapter_config.json"))?;
        let model = files.model_of(asked, record, &manifest, manifest.stages())?;
        let (data, training) = files.held_out(asked)?;
        let adapter = Contender {
            name: key.clone(),
            directory: text(&last.adapter),
        };
        let same = all
            .iter_mut()
            .find(|one| one.model == model && one.data == data && one.device == asked.device);
        match same {
            Some(measure) => measure.adapters.push(adapter),
            None => all.push(Measure {
                model,
                adapters: vec![adapter],
                data,
                training,
                output: text(&files.campaign.evaluation(&key)),
                settings: settings.clone(),
                device: asked.device,
                name: key,
            }),
        }
    }
    if all.is_empty() {
        return Err(Trouble::Never("there is no adapter to evaluate".into()));
    }
    Ok(all)
}

impl<'a> Files<'a> {
    fn of(state: &StateDir, tree: &'a CampaignTree) -> Self {
        let spec = &tree.campaign.spec;
        Self {
            campaign: state.campaign(&spec.name),
            spec,
        }
    }

    /// What is asked of a run, and its record.
    fn run<'t>(
        &self,
        tree: &'t CampaignTree,
        key: &str,
    ) -> Result<(&'t RunSpec, &'t TrainingRun), String> {
        let record = tree.runs.get(key);
        let asked = record.and_then(|run| tree.run_spec(&run.name));
        record
            .and_then(|record| Some((asked?, record)))
            .ok_or_else(|| format!("training run {key} is not asked for"))
    }

    /// The model that a stage's adapter belongs to: the run's, or what the latest stage that starts anew starts from.
    fn model_of(
        &self,
        asked: &RunSpec,
        record: &TrainingRun,
        manifest: &RunManifest,
        stage: u32,
    ) -> Result<String, String> {
        let key = record.key();
        let starts: Vec<Start> = asked.stages.iter().map(|stage| stage.start).collect();
        let dir = self.campaign.run(&key);
        Ok(match run::merged_base(&dir, manifest, &starts, stage)? {
            Some(merged) => text(&merged),
            None if asked.model == MADE => text(&self.campaign.base_model(&key)),
            None => asked.model.clone(),
        })
    }

    /// Checks every run of the cycle that is not done, so that nothing is launched beside one that cannot be.
    fn check_all(&self, tree: &CampaignTree) -> Result<(), Trouble> {
        for record in tree.present_runs().filter(|run| run.state != State::Done) {
            let (asked, _) = self.run(tree, &record.key())?;
            self.check(asked)?;
        }
        Ok(())
    }

    fn check(&self, asked: &RunSpec) -> Result<(), Trouble> {
        if asked.model.is_empty() {
            let text = format!("training run {} has no model", asked.name);
            return Err(text.into());
        }
        if asked.model != MADE {
            let config = Path::new(&asked.model).join("config.json");
            exists(&config)?;
            let text = fs::read(&config).map_err(|error| named(error, "read", &config))?;
            Architecture::of_config(&text).map_err(|why| format!("{}: {why}", config.display()))?;
        }
        let mut sources: Vec<Source> = Vec::new();
        for stage in 1..=asked.stage_count() {
            let source = self.source(asked, asked.data(stage))?;
            exists(&source.train)?;
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        let mut rows = 0;
        for source in &sources {
            let found = dataset::lines(&source.train)
                .map_err(|error| named(error, "read", &source.train))?;
            if found == 0 {
                let text = format!("{} has no rows to train on", source.train.display());
                return Err(text.into());
            }
            rows += found;
        }
        let needed = asked.minimum_examples;
        if rows < needed {
            let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            let have = if names.len() == 1 { "has" } else { "have" };
            let text = format!(
                "{} {have} {} training rows, {} are needed (training.run.minimum_examples)",
                names.join(" and "),
                thousands(rows),
                thousands(needed)
            );
            return Err(text.into());
        }
        // Days of training are nothing where there is nothing to evaluate on.
        if self.spec.evaluation.is_some() {
            self.held_out(asked)?;
        }
        Ok(())
    }

    fn source(&self, asked: &RunSpec, data: &StageData) -> Result<Source, Trouble> {
        let set = match data {
            StageData::File(path) => {
                return Ok(Source {
                    name: path.clone(),
                    train: path.into(),
                    holdout: None,
                });
            }
            StageData::Set(set) => *set,
            StageData::OfRun => self.data_set(asked)?,
        };
        let rows = self
            .campaign
            .dataset()
            .join(set.directory(asked.settings.loss));
        let holdout = rows.join("validation.jsonl");
        Ok(Source {
            name: set.name().into(),
            train: rows.join("train.jsonl"),
            holdout: has_rows(&holdout).then_some(holdout),
        })
    }

    /// The run's data set: the one that it names, else the one that there is.
    fn data_set(&self, asked: &RunSpec) -> Result<TrainingSet, String> {
        if let Some(set) = asked.dataset {
            return Ok(set);
        }
        let loss = asked.settings.loss;
        let dir = self.campaign.dataset();
        let there = TrainingSet::ALL.iter().filter(|set| {
            (loss == Loss::Sft || **set == TrainingSet::Validation)
                && has_rows(&dir.join(set.directory(loss)).join("train.jsonl"))
        });
        let there: Vec<TrainingSet> = there.copied().collect();
        match there.as_slice() {
            [one] => Ok(*one),
            [] => Err(format!("{} has no rows to train on", dir.display())),
            several => {
                let names: Vec<&str> = several.iter().map(|set| set.name()).collect();
                Err(format!(
                    "training run {} names none of the data sets {} (training.run.dataset)",
                    asked.name,
                    names.join(", ")
                ))
            }
        }
    }

    /// The held-out rows of a run's data set, and the rows that it learns from.
    fn held_out(&self, asked: &RunSpec) -> Result<(Vec<String>, Vec<String>), Trouble> {
        let last = asked.data(asked.stage_count());
        let set = match last {
            StageData::Set(set) => *set,
            _ => self.data_set(asked)?,
        };
        let dataset = self.campaign.dataset();
        let files = |loss| {
            let rows = dataset.join(set.directory(loss));
            let all = ["test.jsonl", "test_unseen_template.jsonl"].map(|name| rows.join(name));
            let there = all.into_iter().filter(|path| has_rows(path));
            (there.collect::<Vec<_>>(), rows.join("train.jsonl"))
        };
        // What preferences teach shows in answers: they are measured on the rows that have one.
        let (mut test, mut train) = files(Loss::Sft);
        if test.is_empty() {
            (test, train) = files(asked.settings.loss);
        }
        if test.is_empty() {
            let text = format!("{} has no held-out rows of {set}", dataset.display());
            return Err(text.into());
        }
        let training = has_rows(&train).then(|| text(&train));
        Ok((
            test.iter().map(|path| text(path)).collect(),
            training.into_iter().collect(),
        ))
    }
}

fn has_rows(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0)
}

/// Whether an input is there.
fn exists(path: &Path) -> Result<(), Trouble> {
    match fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = format!("{} is needed and is not there", path.display());
            Err(text.into())
        }
        Err(error) => Err(named(error, "read", path).into()),
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
