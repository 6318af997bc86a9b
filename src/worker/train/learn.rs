//! The steps: gradients of a step's rows, their norm, whether all is well, the update, the row of metrics; looks at the
//! holdout and checkpoints between them.

use super::{
    Step, Tell, Told,
    checkpoint::{Checkpoint, Checkpoints},
    look::{self, Seen},
    metrics::{Metrics, NAME},
    origin,
    places::Places,
    prepare::{Prepared, unit},
    state::State,
    verify::is_moved,
};
use crate::{
    lora::{
        backend::{AdamStep, Ask, Backend, Dropout, Use},
        engine::{Adapters, Engine, fresh},
        files::read_adapter,
    },
    points::point,
    training::{
        job::FineTune,
        metrics::{LookRow, Rewards, Row, StepRow},
        schedule::learning_rate,
        settings::Settings,
        stopping::Look,
        words::Loss,
    },
    worker::Undone,
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Where `save_steps` does not say it, a checkpoint is not older than this: what a kill costs at most. No number depends on
/// when checkpoints are written.
const OFTEN: Duration = Duration::from_secs(600);
/// Rows of a step that are named when it fails.
const NAMED: usize = 16;

/// A training on a machine.
pub struct Learning<'a, B: Backend> {
    /// The model with its adapters.
    pub engine: Engine<B>,
    /// What is asked for.
    pub job: &'a FineTune,
    /// Where everything is.
    pub places: &'a Places,
    /// What it learns from.
    pub prepared: &'a Prepared,
    /// How far it is.
    pub state: State,
    /// Its checkpoints.
    pub checkpoints: Checkpoints,
    metrics: Metrics,
    saved: Instant,
}

/// The sums of a step, before its update.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    loss: f64,
    units: u64,
    tokens: u64,
    rewards: Rewards,
}

impl<'a, B: Backend> Learning<'a, B> {
    /// Goes on from the newest checkpoint, or begins.
    ///
    /// # Errors
    /// A checkpoint that was started with something else; an adapter that does not fit; those of the machine.
    pub fn begin(
        job: &'a FineTune,
        places: &'a Places,
        prepared: &'a Prepared,
        machine: B,
        tell: Tell<'_>,
    ) -> Result<Self, Undone> {
        let mut checkpoints = Checkpoints::of(&places.work);
        let decoder = &prepared.model.decoder;
        let newest = checkpoints.newest(&prepared.identity, decoder, tell)?;
        let adapters = match &newest {
            Some(newest) => newest.adapters.clone(),
            None => first(job, prepared, tell)?,
        };
        tell(Told::Stage("loading"));
        let [tokens, supervised] = prepared.most(&job.settings);
        let level = machine.plan(&Ask {
            decoder,
            rank: &|site| adapters.get(&site).map_or(0, |adapter| adapter.rank),
            tokens,
            supervised,
        })?;
        let mut engine = Engine::new(machine, decoder, &prepared.model, &adapters)?;
        if let Some(level) = level {
            engine.keep(level);
            engine.reserve(tokens, supervised)?;
        }
        let mut state = match newest {
            Some(newest) => {
                engine.equip(&newest.adapters, Some(&newest.moments))?;
                let step = newest.state.step;
                tell(Told::Note(format!("going on from step {step}")));
                newest.state
            }
            None => State::new(prepared.identity.clone()),
        };
        let metrics = Metrics::open(&places.work, state.metrics_bytes)?;
        if metrics.bytes() < state.metrics_bytes {
            let work = places.work.display();
            let text = format!("{NAME} in {work} has lost rows: the report will lack them");
            tell(Told::Note(text));
            state.metrics_bytes = metrics.bytes();
        }
        Ok(Self {
            metrics,
            engine,
            job,
            places,
            prepared,
            state,
            checkpoints,
            saved: Instant::now(),
        })
    }

    /// Steps until there is nothing left to do, or the holdout says that it is enough.
    ///
    /// # Errors
    /// Numbers that are none; those of machine and files.
    pub fn go_on(&mut self, tell: Tell<'_>) -> Result<(), Undone> {
        if self.state.step == 0 && self.state.metrics_bytes == 0 {
            self.look(tell)?;
        }
        while !self.is_over() {
            self.step(tell)?;
            let due = self.is_look_due();
            let better = due && self.look(tell)?;
            if better || self.is_save_due(due) {
                self.save(tell)?;
            }
        }
        Ok(())
    }

    fn settings(&self) -> &'a Settings {
        &self.job.settings
    }

    /// Whether there is no step left.
    fn is_over(&self) -> bool {
        let patience = self.settings().early_stopping_patience;
        self.state.step >= self.prepared.plan.steps() || self.state.stopping.is_enough(patience)
    }

    fn is_look_due(&self) -> bool {
        let (step, plan) = (self.state.step, &self.prepared.plan);
        let every = match self.settings().eval_steps {
            0 => plan.steps_per_epoch(),
            every => every,
        };
        step.is_multiple_of(every.max(1)) || step == plan.steps()
    }

    fn is_save_due(&self, looked: bool) -> bool {
        let by_step = match self.settings().save_steps {
            0 => looked || self.saved.elapsed() >= OFTEN,
            every => self.state.step.is_multiple_of(every),
        };
        // What may be exploding is not to push good ones out.
        by_step && self.state.health.ill() == 0 || self.is_over()
    }

    fn step(&mut self, tell: Tell<'_>) -> Result<(), Undone> {
        let began = Instant::now();
        let (at, plan) = (self.state.step, &self.prepared.plan);
        let micro_batches = plan.step(at);
        let sums = self.gradients(&micro_batches)?;
        let loss = sums.loss / sums.units as f64;
        let norm = self.engine.squares()?.sqrt();
        self.state.health.judge(loss, norm).map_err(|ailment| {
            let rows = self.named(&micro_batches);
            self.stopped(&format!(
                "{ailment} in step {}, which learns from {rows}",
                at + 1
            ))
        })?;
        let settings = self.settings();
        let lr = learning_rate(settings, at, plan.steps());
        self.engine.update(&adam(settings, at + 1, lr, norm))?;
        self.engine.clear()?;
        point!("train.updated");
        self.state.step += 1;
        self.state.tokens += sums.tokens;
        self.state.first_loss.get_or_insert(loss);
        self.state.last_loss = Some(loss);
        let seconds = began.elapsed().as_secs_f64().max(1e-9);
        let row = StepRow {
            step: self.state.step,
            epoch: plan.epoch_of(self.state.step),
            loss,
            grad_norm: norm,
            lr,
            tokens: self.state.tokens,
            tokens_per_second: sums.tokens as f64 / seconds,
            rewards_chosen: sums.rewards.mean(sums.rewards.chosen),
            rewards_rejected: sums.rewards.mean(sums.rewards.rejected),
            rewards_accuracies: sums.rewards.accuracy(),
        };
        tell(Told::Step(Step {
            step: row.step,
            steps: plan.steps(),
            loss,
            tokens_per_second: row.tokens_per_second,
        }));
        self.metrics.push(&Row::Step(row))
    }

    /// Adds up the gradients of a step. Every token of it (with DPO: every pair) weighs the same, whatever micro-batch it
    /// is in.
    fn gradients(&mut self, micro_batches: &[Vec<u32>]) -> Result<Sums, Undone> {
        let settings = self.settings();
        let batches: Vec<_> = micro_batches
            .iter()
            .map(|rows| self.prepared.batch(rows))
            .collect();
        let mut sums = Sums {
            units: match settings.loss {
                Loss::Sft => batches
                    .iter()
                    .map(|batch| batch.supervised.len() as u64)
                    .sum(),
                Loss::Dpo => micro_batches.iter().map(|rows| rows.len() as u64).sum(),
            },
            ..Sums::default()
        };
        if sums.units == 0 {
            let (step, unit) = (self.state.step + 1, unit(settings.loss));
            return Err(format!("step {step} has no {unit} to learn").into());
        }
        let used = self.used();
        let weight = 1.0 / sums.units as f64;
        for batch in &batches {
            sums.tokens += batch.tokens() as u64;
            match settings.loss {
                Loss::Sft => sums.loss += self.engine.learn(batch, weight as f32, used)?,
                Loss::Dpo => {
                    for pair in self.engine.prefer(batch, settings.beta, weight, used)? {
                        sums.loss += pair.loss;
                        sums.rewards.add(
                            settings.beta * (pair.chosen - pair.reference_chosen),
                            settings.beta * (pair.rejected - pair.reference_rejected),
                        );
                    }
                }
            }
        }
        Ok(sums)
    }

    /// How adapters take part in the step that comes.
    fn used(&self) -> Use {
        let settings = self.settings();
        match settings.lora_dropout as f32 {
            p if p > 0.0 => Use::Drop(Dropout {
                seed: settings.seed,
                step: self.state.step + 1,
                p,
            }),
            _ => Use::On,
        }
    }

    /// Looks at the holdout, if there is one; whether it was the best look so far. What
    /// nothing was learned for is no candidate: its adapter would change nothing.
    fn look(&mut self, tell: Tell<'_>) -> Result<bool, Undone> {
        let settings = self.settings();
        let seen = look::look(&mut self.engine, self.prepared, settings)?;
        let Some(Seen { loss, accuracy }) = seen else {
            return Ok(false);
        };
        let step = self.state.step;
        if !loss.is_finite() {
            let text = format!("the loss on the holdout is no finite number after step {step}");
            return Err(self.stopped(&text));
        }
        if step == 0 {
            self.state.eval_loss_before = Some(loss);
        }
        let best = if step == 0 || !self.has_learned()? {
            false
        } else {
            self.state.stopping.look(Look { step, loss })
        };
        self.metrics.push(&Row::Look(LookRow {
            step,
            epoch: self.prepared.plan.epoch_of(step),
            eval_loss: loss,
            eval_rewards_accuracies: accuracy,
        }))?;
        tell(Told::Look { step, loss, best });
        Ok(best)
    }

    /// Whether the adapter does something. A warmup begins with steps that leave it as it is.
    fn has_learned(&self) -> Result<bool, Undone> {
        Ok(self.state.stopping.best.is_some() || is_moved(&self.engine.adapters()?))
    }

    fn save(&mut self, tell: Tell<'_>) -> Result<(), Undone> {
        tell(Told::Stage("checkpoint"));
        self.state.metrics_bytes = self.metrics.sync()?;
        let checkpoint = Checkpoint {
            state: self.state.clone(),
            adapters: self.engine.adapters()?,
            moments: self.engine.moments()?,
        };
        self.checkpoints.write(self.job, &checkpoint)?;
        self.saved = Instant::now();
        tell(Told::Stage("train"));
        Ok(())
    }

    /// Training ends here: what is wrong, and what is left.
    fn stopped(&self, why: &str) -> Undone {
        // The step after a checkpoint is the first that shows what its adapter is worth.
        let shown = (self.state.step + 1).saturating_sub(u64::from(self.state.health.ill()));
        let good = shown
            .checked_sub(1)
            .and_then(|step| self.checkpoints.last(step));
        let left = match (good, self.checkpoints.last(self.state.step)) {
            (Some(path), _) => format!("the last good checkpoint is {}", path.display()),
            (None, None) => "there is no checkpoint yet".into(),
            (None, Some(_)) => "there is no checkpoint from before it".into(),
        };
        format!("{why}; {left}").into()
    }

    /// The rows of a step, by where they stand.
    fn named(&self, micro_batches: &[Vec<u32>]) -> String {
        let rows: Vec<u32> = micro_batches.iter().flatten().copied().collect();
        let shown = rows.iter().take(NAMED);
        let mut text = shown
            .map(|row| self.prepared.place(*row))
            .collect::<Vec<_>>()
            .join(", ");
        if rows.len() > NAMED {
            text += &format!(" and {} others", rows.len() - NAMED);
        }
        text
    }
}

fn adam(settings: &Settings, step: u64, learning_rate: f64, norm: f64) -> AdamStep {
    let most = settings.max_grad_norm;
    AdamStep {
        step,
        learning_rate,
        beta1: settings.adam_beta1,
        beta2: settings.adam_beta2,
        epsilon: settings.adam_epsilon,
        weight_decay: settings.weight_decay,
        // As torch's clip_grad_norm_.
        gradient_scale: if most > 0.0 {
            (most / (norm + 1e-6)).min(1.0)
        } else {
            1.0
        },
    }
}

/// The adapters of the first step: those that were asked for, else fresh ones.
fn first(job: &FineTune, prepared: &Prepared, tell: Tell<'_>) -> Result<Adapters, Undone> {
    let decoder = &prepared.model.decoder;
    let fresh = fresh(&job.settings, decoder);
    let Some(dir) = &job.adapter_init else {
        return Ok(fresh);
    };
    let read = read_adapter(Path::new(dir), decoder).map_err(|error| error.to_string())?;
    let hash = &prepared.identity.model;
    if let Some(note) = origin::check(Path::new(dir), &read, &prepared.model, hash)? {
        tell(Told::Note(note));
    }
    for (site, adapter) in &fresh {
        let found = read.adapters.get(site);
        let same = found.is_some_and(|found| {
            found.rank == adapter.rank
                && (found.scale - adapter.scale).abs() <= 1e-6 * adapter.scale
        });
        if !same {
            let said = found.map_or("none".into(), |found| {
                format!("one of rank {} and scale {}", found.rank, found.scale)
            });
            return Err(format!(
                "the adapter {dir} does not fit the settings: for {site} they ask for rank {} and scale {}, and it has {said}",
                adapter.rank, adapter.scale
            )
            .into());
        }
    }
    if let Some(site) = read.adapters.keys().find(|site| !fresh.contains_key(site)) {
        let text = format!("the adapter {dir} has {site}, which is not among target_modules");
        return Err(text.into());
    }
    Ok(read.adapters)
}
