//! Checkpoints: everything that a training goes on from, each in a directory that appears whole, by rename.
//!
//! ```text
//! step-00000010/
//!   adapter_config.json, adapter_model.safetensors    as PEFT reads them: any checkpoint is an adapter
//!   optimizer.safetensors                             AdamW's moments
//!   state.json                                        cursor, looks, norms, and what it all was started with
//!   SHA256SUMS                                        of all of them
//! ```
//!
//! Reading asks first, of the cursor alone, whether it is the same training that goes on: with another model no tensor of it
//! would fit. Then one whose sums are wrong is no checkpoint, and the one before it is. A damaged one is said and left where
//! it is, until that step is made again: what cannot be read today is not thereby worthless. The last two stay, and those that
//! hold their best adapters.

use super::{
    Tell, Told,
    identity::{Identity, TRAINER},
    places::CHECKPOINTS,
    state::State,
    undone,
};
use crate::{
    artifacts::{
        making::{Making, is_replaceable},
        named,
        room::{patiently, say},
        sums,
    },
    executor::job_dir::TRY_AGAIN,
    lora::{
        backend::{Moments, Pair},
        decoder::Decoder,
        engine::{Adapters, AllMoments},
        files::{read_adapter, read_tensors, write_adapter, write_tensors},
    },
    points::point,
    training::{job::FineTune, site::Site},
    worker::Undone,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

/// Checkpoints that stay, besides the best.
const KEPT: usize = 2;
/// The cursor's file.
const STATE: &str = "state.json";
/// The moments' file.
const OPTIMIZER: &str = "optimizer.safetensors";

/// What a checkpoint holds.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The cursor.
    pub state: State,
    /// The adapters.
    pub adapters: Adapters,
    /// Their moments.
    pub moments: AllMoments,
}

/// The checkpoints of one training.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    dir: PathBuf,
    /// Those that were found damaged and were not written again.
    damaged: BTreeSet<u64>,
}

/// Why a checkpoint is not gone on from.
#[derive(Debug)]
enum Fault {
    /// It is not what was written.
    Damaged(String),
    /// It may be whole, and must not be passed over: another training's, or the machine cannot read it now.
    Undone(Undone),
}

impl Fault {
    /// An absence or a broken form is damage; anything else that a file system says may pass.
    fn of(error: &io::Error) -> Self {
        use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
        match error.kind() {
            InvalidData | NotFound | UnexpectedEof => Fault::Damaged(error.to_string()),
            _ => Fault::Undone(Undone {
                status: TRY_AGAIN,
                text: format!("a checkpoint cannot be read: {error}"),
            }),
        }
    }
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Fault::Damaged(why)
    }
}

impl Checkpoints {
    /// Those in a training's directory.
    pub fn of(work: &Path) -> Self {
        Self {
            dir: work.join(CHECKPOINTS),
            damaged: BTreeSet::new(),
        }
    }

    /// Where the checkpoint of a step is.
    pub fn path(&self, step: u64) -> PathBuf {
        self.dir.join(format!("step-{step:08}"))
    }

    /// Writes one, waiting for room where the disk is full; then those go that are not needed any more.
    ///
    /// # Errors
    /// Those of the file system; under the checkpoint's name is nothing then.
    pub fn write(&mut self, job: &FineTune, checkpoint: &Checkpoint) -> Result<(), Undone> {
        let say_so = |error: &io::Error| say(&format!("{error}; waiting for room"));
        patiently(say_so, || self.make(job, checkpoint))
            .map_err(|error| undone("the checkpoint cannot be written", &error))?;
        self.damaged.remove(&checkpoint.state.step);
        self.prune(&checkpoint.state);
        point!("train.checkpoint.pruned");
        Ok(())
    }

    fn make(&self, job: &FineTune, checkpoint: &Checkpoint) -> io::Result<()> {
        let path = self.path(checkpoint.state.step);
        let making = Making::beside(&path)?;
        let dir = making.path();
        write_adapter(dir, &job.settings, &job.model, &checkpoint.adapters)?;
        point!("train.checkpoint.adapter");
        write_moments(&dir.join(OPTIMIZER), &checkpoint.moments)?;
        fs::write(
            dir.join(STATE),
            serde_json::to_vec_pretty(&checkpoint.state)?,
        )?;
        let sums = sums::text(&sums::of(dir)?);
        fs::write(dir.join(sums::NAME), sums)?;
        point!("train.checkpoint.written");
        // What has the name is of this training and damaged: the same is written again.
        if path.exists() && !is_replaceable(&path) {
            fs::remove_dir_all(&path).map_err(|error| named(error, "replace", &path))?;
        }
        making.complete(true)?;
        point!("train.checkpoint.renamed");
        Ok(())
    }

    /// Where the newest whole one of at most this step is; none: there is none.
    pub fn last(&self, most: u64) -> Option<PathBuf> {
        let steps = self.whole();
        let step = steps.into_iter().rev().find(|step| *step <= most)?;
        Some(self.path(step))
    }

    /// The steps that have a directory that was not found damaged, in order.
    fn whole(&self) -> Vec<u64> {
        let mut steps = self.steps();
        steps.retain(|step| !self.damaged.contains(step));
        steps
    }

    /// The steps that have a directory, in order.
    fn steps(&self) -> Vec<u64> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let step = |name: String| name.strip_prefix("step-")?.parse().ok();
        let mut steps: Vec<u64> = entries
            .filter_map(|entry| step(entry.file_name().into_string().ok()?))
            .collect();
        steps.sort_unstable();
        steps
    }

    /// Removes what is neither among the last nor holds the best adapters of one of these. What cannot be removed does no
    /// harm.
    fn prune(&self, newest: &State) {
        let steps = self.whole();
        let last = &steps[steps.len().saturating_sub(KEPT)..];
        let mut kept: BTreeSet<u64> = last.iter().copied().collect();
        for step in last {
            let state = if *step == newest.step {
                Ok(newest.clone())
            } else {
                self.state(*step).map_err(drop)
            };
            let best = state.ok().and_then(|state| state.stopping.best);
            kept.extend(best.map(|best| best.step));
        }
        for step in steps.iter().filter(|step| !kept.contains(step)) {
            let _ = fs::remove_dir_all(self.path(*step));
        }
    }

    /// A checkpoint's cursor, whose sum is right.
    fn state(&self, step: u64) -> Result<State, Fault> {
        let dir = self.path(step);
        let sums = sums::read(&dir).map_err(|error| Fault::of(&error))?;
        let path = dir.join(STATE);
        let found = sums::digest(&path).map_err(|error| Fault::of(&error))?;
        if sums.get(STATE) != Some(&found) {
            return Err(format!("the sum of {STATE} is wrong").into());
        }
        let text = fs::read(&path).map_err(|error| Fault::of(&named(error, "read", &path)))?;
        let read: Result<State, _> = serde_json::from_slice(&text);
        read.map_err(|error| Fault::Undone(foreign(&path, &text, &error)))
    }

    /// The newest that is whole; damaged ones are said and passed over.
    ///
    /// # Errors
    /// One that was started with something else, or cannot be read for a reason that may pass.
    pub fn newest(
        &mut self,
        now: &Identity,
        decoder: &Decoder,
        tell: Tell<'_>,
    ) -> Result<Option<Checkpoint>, Undone> {
        for step in self.steps().into_iter().rev() {
            match self.read(step, now, decoder) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(Fault::Undone(undone)) => return Err(undone),
                Err(Fault::Damaged(why)) => {
                    let path = self.path(step);
                    let text = format!("{} is damaged and not gone on from: {why}", path.display());
                    tell(Told::Note(text));
                    self.damaged.insert(step);
                }
            }
        }
        Ok(None)
    }

    /// One that is of this training and whole, as are its best adapters.
    fn read(&self, step: u64, now: &Identity, decoder: &Decoder) -> Result<Checkpoint, Fault> {
        let dir = self.path(step);
        let state = self.state(step)?;
        if let Some(why) = state.identity.difference(now) {
            let dir = dir.display();
            let text =
                format!("the training of {dir} was started {why}; another output begins anew");
            return Err(Fault::Undone(text.into()));
        }
        if state.step != step {
            return Err(format!("it is of step {}", state.step).into());
        }
        check(&dir)?;
        if let Some(best) = state.stopping.best
            && best.step != step
        {
            check(&self.path(best.step)).map_err(|fault| match fault {
                Fault::Damaged(why) => {
                    Fault::Damaged(format!("its best adapters, of step {}: {why}", best.step))
                }
                undone => undone,
            })?;
        }
        // The sums are right: what fails now is the machine.
        let adapters = read_adapter(&dir, decoder).map_err(unread)?.adapters;
        let moments = read_moments(&dir.join(OPTIMIZER), &adapters).map_err(unread)?;
        Ok(Checkpoint {
            state,
            adapters,
            moments,
        })
    }

    /// The adapters of a step, which has a checkpoint.
    ///
    /// # Errors
    /// A sentence; damage too.
    pub fn adapters(&self, step: u64, decoder: &Decoder) -> Result<Adapters, String> {
        let dir = self.path(step);
        let read = match check(&dir) {
            Ok(()) => read_adapter(&dir, decoder),
            Err(Fault::Damaged(why)) => Err(why),
            Err(Fault::Undone(undone)) => Err(undone.text),
        };
        read.map(|read| read.adapters)
            .map_err(|why| format!("{}: {why}", dir.display()))
    }
}

/// A cursor of another form, whose sum is right: another release of the trainer wrote it.
fn foreign(path: &Path, text: &[u8], error: &serde_json::Error) -> Undone {
    let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    let path = path.display();
    match value["identity"]["trainer"].as_u64() {
        Some(trainer) if trainer != u64::from(TRAINER) => format!(
            "{path} was written by trainer {trainer}, this is trainer {TRAINER}; another output begins anew"
        ),
        _ => format!("{path} was written by another release of campaignd: {error}"),
    }
    .into()
}

fn unread(why: String) -> Fault {
    Fault::Undone(Undone {
        status: TRY_AGAIN,
        text: format!("a checkpoint cannot be read, whose sums are right: {why}"),
    })
}

/// Whether a directory is what its sums say.
fn check(dir: &Path) -> Result<(), Fault> {
    let there = sums::read(dir).map_err(|error| Fault::of(&error))?;
    let found = sums::of(dir).map_err(|error| Fault::of(&error))?;
    for (name, sum) in &there {
        match found.get(name) {
            None => return Err(format!("{name} is missing").into()),
            Some(other) if other != sum => return Err(format!("the sum of {name} is wrong").into()),
            Some(_) => {}
        }
    }
    for name in [STATE, OPTIMIZER] {
        if !there.contains_key(name) {
            return Err(format!("it has no {name}").into());
        }
    }
    Ok(())
}

/// The parts of an adapter's moments, by the ends of their names, as torch calls them.
const PARTS: [&str; 4] = [
    "lora_A.exp_avg",
    "lora_B.exp_avg",
    "lora_A.exp_avg_sq",
    "lora_B.exp_avg_sq",
];

fn write_moments(path: &Path, moments: &AllMoments) -> io::Result<()> {
    let mut tensors: Vec<(String, Vec<usize>, &[f32])> = Vec::new();
    for (site, Moments { first, second }) in moments {
        let parts = [&first.a, &first.b, &second.a, &second.b];
        for (part, numbers) in PARTS.into_iter().zip(parts) {
            tensors.push((format!("{site}.{part}"), vec![numbers.len()], numbers));
        }
    }
    write_tensors(path, &tensors, BTreeMap::new())
}

/// The moments of these adapters.
fn read_moments(path: &Path, adapters: &Adapters) -> Result<AllMoments, String> {
    let read = read_tensors(path).map_err(|error| error.to_string())?;
    let mut tensors = read.tensors;
    let mut take = |site: &Site, part: &str, len: usize| {
        let name = format!("{site}.{part}");
        let found = tensors.remove(&name).map(|(_, numbers)| numbers);
        let found = found.filter(|numbers| numbers.len() == len);
        found.ok_or_else(|| format!("{OPTIMIZER} has no {name} of {len} numbers"))
    };
    let mut moments = AllMoments::new();
    for (site, adapter) in adapters {
        let (a, b) = (adapter.a.len(), adapter.b.len());
        let first = Pair {
            a: take(site, PARTS[0], a)?,
            b: take(site, PARTS[1], b)?,
        };
        let second = Pair {
            a: take(site, PARTS[2], a)?,
            b: take(site, PARTS[3], b)?,
        };
        moments.insert(*site, Moments { first, second });
    }
    Ok(moments)
}
