//! The adapter's directory: made beside its name, read back and compared with what was trained, checksummed, renamed.
//!
//! ```text
//! adapter_config.json, adapter_model.safetensors    as PEFT, vLLM and transformers read them
//! tokenizer files, chat template                    the model's own
//! README.md, report.html                            the card, the loss curve
//! training.json, metrics.jsonl                      the same for programs
//! products.txt                                      of a GPU: the algorithms of its matrix products
//! checkpoints/step-N/                               the one that was exported, to be trained on from
//! merged/                                           merged weights, where they were asked for
//! SHA256SUMS                                        of all of them
//! ```

use super::{
    Tell, Told, Trained, card,
    identity::Identity,
    member::Member,
    metrics,
    places::{CHECKPOINTS, MERGED},
    undone,
    verify::{self, Probe},
};
use crate::{
    artifacts::{
        create_dir_private,
        making::{Making, is_replaceable, sync_below},
        named,
        room::{patiently, say},
        sums, sync_dir,
    },
    lora::{
        backend::Backend,
        engine::{Adapters, Engine},
        files::{read_adapter, write_adapter, write_merged},
    },
    points::point,
    report,
    training::metrics::rows,
    worker::{Undone, device::PLANS},
};
use serde::{Deserialize, Serialize};
use std::{fs, io, path::Path};

/// What the directory says of itself to programs.
pub const TRAINING: &str = "training.json";
/// What makes a tokenizer, of any kind.
pub const TOKENIZER: [&str; 9] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
];

/// `training.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Of this file's form.
    pub version: u32,
    /// The model that the adapter is for.
    pub base_model: String,
    /// The program that made it.
    pub made_by: String,
    /// What it was started with: settings and digests.
    pub identity: Identity,
    /// What came of it.
    pub trained: Trained,
}

/// Whether a directory is a trained adapter's.
pub fn is_one(dir: &Path) -> bool {
    dir.join(TRAINING).is_file() && dir.join("adapter_model.safetensors").is_file()
}

/// What a complete directory says of itself.
///
/// # Errors
/// Names the file; it was trained with something else.
pub fn read(dir: &Path, identity: &Identity) -> Result<Trained, Undone> {
    let path = dir.join(TRAINING);
    let text = fs::read(&path).map_err(|error| named(error, "read", &path).to_string())?;
    let read: Result<Training, _> = serde_json::from_slice(&text);
    let training = read.map_err(|error| format!("{}: {error}", path.display()))?;
    if let Some(why) = training.identity.difference(identity) {
        let dir = dir.display();
        return Err(format!("{dir} holds an adapter that was trained {why}").into());
    }
    Ok(training.trained)
}

/// What was learned, before it has a name.
pub struct Learned {
    step: u64,
    adapters: Adapters,
}

impl Learned {
    /// The adapters that are exported, and the step that made them: those of the best look, without looks the last.
    ///
    /// # Errors
    /// Nothing was learned; the best adapters cannot be read.
    pub fn of<B: Backend>(engine: &Engine<B>, member: &Member<'_>) -> Result<Self, Undone> {
        let last = member.state.step;
        let (step, adapters) = match member.state.stopping.best {
            Some(best) if best.step != last => {
                let decoder = &member.prepared.model.decoder;
                let read = member.checkpoints.adapters(best.step, decoder);
                let why = |why| format!("the best adapters cannot be read: {why}");
                (best.step, read.map_err(why)?)
            }
            _ => (last, engine.adapters(member.number)?),
        };
        verify::learned(&adapters)?;
        Ok(Self { step, adapters })
    }

    /// Writes them, and compares what was written; the engine has these adapters alone then. Nothing has the output's name yet.
    ///
    /// # Errors
    /// What was written is not what was trained; those of files and machine.
    pub fn write<'a, B: Backend>(
        self,
        engine: &mut Engine<B>,
        member: &Member<'a>,
        tell: Tell<'_>,
    ) -> Result<Written<'a>, Undone> {
        tell(Told::Stage("verifying"));
        let Self { step, adapters } = self;
        let prepared = member.prepared;
        let mut probe = Probe::take(engine, &adapters, prepared)?;
        let parts = Parts::new(member.job, member.places, prepared);
        let making = patiently(waits, || parts.adapter(step, &adapters)).map_err(unwritten)?;
        point!("train.export.adapter");
        probe.reloaded(engine, making.path(), prepared)?;
        Ok(Written {
            trained: summary(member, step, &adapters),
            parts,
            adapters,
            making,
            probe,
        })
    }
}

/// What was learned, written and compared.
pub struct Written<'a> {
    parts: Parts<'a>,
    adapters: Adapters,
    making: Making,
    probe: Probe,
    trained: Trained,
}

impl Written<'_> {
    /// Merges, where it is asked for.
    ///
    /// # Errors
    /// The merged weights are not the model with its adapter; those of files and machine.
    pub fn merge<B: Backend>(
        &mut self,
        machine: &impl Fn() -> B,
        tell: Tell<'_>,
    ) -> Result<(), Undone> {
        if self.parts.job.merge {
            tell(Told::Stage("merging"));
            let (dir, probe) = (self.making.path(), &mut self.probe);
            self.trained.merged = Some(self.parts.merge(&self.adapters, dir, probe, machine)?);
        }
        Ok(())
    }

    /// Describes it and gives it its name.
    ///
    /// # Errors
    /// Those of files; nothing has the output's name then.
    pub fn name(self) -> Result<Trained, Undone> {
        let mut trained = self.trained;
        trained.verification = self.probe.verified;
        let (parts, making) = (self.parts, self.making);
        patiently(waits, || parts.describe(making.path(), &trained)).map_err(unwritten)?;
        point!("train.export.written");
        // Last: whoever sees the adapter sees all of it. Merged weights elsewhere in the run may have their name before; they are
        // whole by themselves, and nobody takes them without the adapter.
        making.complete(false).map_err(unwritten)?;
        point!("train.export.renamed");
        Ok(trained)
    }
}

fn waits(error: &io::Error) {
    say(&format!("{error}; waiting for room"));
}

fn unwritten(error: io::Error) -> Undone {
    undone("the adapter cannot be written", &error)
}

/// Writes the merged weights of an adapter that was trained without them. Its directory is made once more, with them, and takes
/// the place of the one that is there.
///
/// # Errors
/// Those of [`Learned::write`] and [`Written::merge`]; the adapter's directory is as it was then.
pub fn merge_finished<B: Backend>(
    parts: &Parts<'_>,
    mut trained: Trained,
    machine: &impl Fn() -> B,
    tell: Tell<'_>,
) -> Result<Trained, Undone> {
    tell(Told::Stage("merging"));
    let (output, model) = (&parts.places.output, &parts.prepared.model);
    let adapters = read_adapter(output, &model.decoder)?.adapters;
    let mut engine = Engine::new(machine(), &model.decoder, &**model, &adapters)?;
    let mut probe = Probe::take(&mut engine, &adapters, parts.prepared)?;
    drop(engine);
    let wrong = |error: io::Error| undone("the merged weights cannot be written", &error);
    let copy = || {
        let making = Making::beside(output)?;
        copy_all(output, making.path())?;
        Ok(making)
    };
    let making = patiently(waits, copy).map_err(wrong)?;
    trained.merged = Some(parts.merge(&adapters, making.path(), &mut probe, machine)?);
    trained.verification.merged = probe.verified.merged;
    patiently(waits, || parts.describe(making.path(), &trained)).map_err(wrong)?;
    making.complete(true).map_err(wrong)?;
    Ok(trained)
}

fn summary(member: &Member<'_>, step: u64, adapters: &Adapters) -> Trained {
    let Member {
        job,
        places,
        prepared,
        state,
        ..
    } = member;
    let (read, looked) = (&prepared.read, &prepared.looked);
    let numbers = adapters.values().map(|one| one.a.len() + one.b.len());
    Trained {
        name: job.name.clone(),
        output: places.output.to_string_lossy().into_owned(),
        merged: None,
        rows: read.rows.len() as u64,
        holdout_rows: looked.rows.len() as u64,
        too_long: read.too_long,
        truncated: read.truncated,
        refused: read.refusals(),
        holdout_left_out: looked.refusals() + looked.too_long,
        holdout_truncated: looked.truncated,
        trainable_parameters: numbers.sum::<usize>() as u64,
        steps: state.step,
        planned_steps: prepared.plan.steps(),
        epochs: prepared.plan.epoch_of(state.step),
        tokens: state.tokens,
        first_loss: state.first_loss,
        last_loss: state.last_loss,
        eval_loss_before: state.eval_loss_before,
        eval_loss: state.stopping.best.map(|best| best.loss),
        best_step: step,
        ended: member
            .left_out
            .as_ref()
            .map(|left_out| left_out.why.clone()),
        verification: verify::Verified::default(),
    }
}

/// What is written, and where.
pub struct Parts<'a> {
    job: &'a crate::training::job::FineTune,
    prepared: &'a super::prepare::Prepared,
    places: &'a super::places::Places,
    checkpoints: super::checkpoint::Checkpoints,
}

impl<'a> Parts<'a> {
    /// Of a fine-tune.
    pub fn new(
        job: &'a crate::training::job::FineTune,
        places: &'a super::places::Places,
        prepared: &'a super::prepare::Prepared,
    ) -> Self {
        Self {
            job,
            prepared,
            places,
            checkpoints: super::checkpoint::Checkpoints::of(&places.work),
        }
    }

    /// The adapter with what belongs to it: tokenizer, metrics, the checkpoint that it is of.
    fn adapter(&self, step: u64, adapters: &Adapters) -> io::Result<Making> {
        let making = Making::beside(&self.places.output)?;
        let dir = making.path();
        write_adapter(dir, &self.job.settings, &self.job.model, adapters)?;
        self.tokenizer(dir)?;
        let metrics = self.places.work.join(metrics::NAME);
        copy(&metrics, &dir.join(metrics::NAME))?;
        let from = self.checkpoints.path(step);
        copy_all(
            &from,
            &dir.join(CHECKPOINTS).join(format!("step-{step:08}")),
        )?;
        Ok(making)
    }

    fn tokenizer(&self, to: &Path) -> io::Result<()> {
        let from = self.prepared.model.directory();
        for name in TOKENIZER {
            let (from, to) = (from.join(name), to.join(name));
            if from.is_file() && !to.exists() {
                copy(&from, &to)?;
            }
        }
        Ok(())
    }

    /// The merged weights: made beside, compared, made durable, then put below the adapter's directory `dir`, or where the run
    /// has a place of their own. Gives where they will be.
    fn merge<B: Backend>(
        &self,
        adapters: &Adapters,
        dir: &Path,
        probe: &mut Probe,
        machine: &impl Fn() -> B,
    ) -> Result<String, Undone> {
        let wrong = |error: io::Error| undone("the merged weights cannot be written", &error);
        let apart = self.places.work.join(MERGED);
        patiently(waits, || {
            clear(&apart)?;
            write_merged(&self.prepared.model, adapters, &apart, &mut |_, _| ())?;
            self.tokenizer(&apart)?;
            list(&apart)
        })
        .map_err(wrong)?;
        probe.merged(machine(), &apart)?;
        sync_below(&apart).map_err(wrong)?;
        let (target, will_be) = match &self.places.merged {
            Some(target) => (target.clone(), target.clone()),
            None => (dir.join(MERGED), self.places.output.join(MERGED)),
        };
        if !target.exists() || is_replaceable(&target) {
            clear(&target).map_err(wrong)?;
        }
        let moved = fs::rename(&apart, &target).map_err(|error| named(error, "make", &target));
        let parent = target.parent().unwrap_or(Path::new("."));
        moved.and_then(|()| sync_dir(parent)).map_err(wrong)?;
        point!("train.export.merged");
        Ok(will_be.to_string_lossy().into_owned())
    }

    /// What is said of it all, for programs and people; last the sums.
    fn describe(&self, dir: &Path, trained: &Trained) -> io::Result<()> {
        let training = Training {
            version: 1,
            base_model: self.job.model.clone(),
            made_by: format!("campaignd {}", env!("CARGO_PKG_VERSION")),
            identity: self.prepared.identity.clone(),
            trained: trained.clone(),
        };
        write(dir, TRAINING, &serde_json::to_vec_pretty(&training)?)?;
        let plans = &self.places.plans;
        if plans.exists() {
            copy(plans, &dir.join(PLANS))?;
        }
        let metrics = rows(&fs::read_to_string(dir.join(metrics::NAME))?);
        write(dir, "README.md", card::card(self.job, trained).as_bytes())?;
        let about = report::training::About {
            name: &trained.name,
            facts: &card::facts(trained),
            settings: &card::settings(&self.job.settings),
        };
        let page = report::training::render(&about, &metrics);
        write(dir, "report.html", page.as_bytes())?;
        list(dir)
    }
}

/// The files of a directory, and of those below it.
fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    for name in sums::files(from)? {
        let to = to.join(&name);
        create_dir_private(to.parent().unwrap_or(to.as_path()))?;
        copy(&from.join(&name), &to)?;
    }
    Ok(())
}

/// Removes a directory that may be there.
fn clear(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(named(error, "replace", dir)),
        _ => Ok(()),
    }
}

/// Writes `SHA256SUMS`.
fn list(dir: &Path) -> io::Result<()> {
    match fs::remove_file(dir.join(sums::NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let text = sums::text(&sums::of(dir)?);
    write(dir, sums::NAME, text.as_bytes())
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = dir.join(name);
    fs::write(&path, bytes).map_err(|error| named(error, "write", &path))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let copied = fs::copy(from, to).map(drop);
    copied.map_err(|error| named(error, "write", to))
}
