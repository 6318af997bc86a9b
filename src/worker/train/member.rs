//! One fine-tune among those that are computed together: how far it is, what its next step learns from, what comes of the
//! step, looks at its holdout and checkpoints.
//!
//! It knows nothing of the others: whatever it has is a function of its own request.

use super::{
    Step, Told,
    checkpoint::{Checkpoint, Checkpoints},
    look::{self, Seen},
    metrics::{Metrics, NAME},
    places::Places,
    prepare::{Prepared, unit},
    rung::LeftOut,
    start::Start,
    state::State,
    verify::is_moved,
};
use crate::{
    lora::{
        backend::{AdamStep, Backend, Dropout, Use},
        batch::Batch,
        engine::{Engine, Preference},
        pack::Layout,
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
use std::time::{Duration, Instant};

/// Where `save_steps` does not say it, a checkpoint is not older than this: what a kill costs at most. No number depends on
/// when checkpoints are written.
const OFTEN: Duration = Duration::from_secs(600);
/// Rows of a step that are named when it fails.
const NAMED: usize = 16;

/// Who is told of a member.
pub type Tell<'a> = &'a mut dyn FnMut(Told);

/// Why a member goes no further.
pub enum Halt {
    /// Its own numbers: others go on.
    Own(Undone),
    /// The machine or its files: everything ends, and is tried again.
    All(Undone),
}

impl<T: Into<Undone>> From<T> for Halt {
    fn from(error: T) -> Self {
        Self::All(error.into())
    }
}

/// A fine-tune that is being computed.
pub struct Member<'a> {
    /// Which one, to the machine.
    pub number: usize,
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
    /// Why it ended by itself.
    pub stopped: Option<Undone>,
    /// Where it waits until the members of a rung are compared; none: nowhere.
    pub rung: Option<u64>,
    /// The rung that it goes no further than.
    pub left_out: Option<LeftOut>,
    /// The last look, and after how many steps.
    seen: Option<(u64, Seen)>,
    /// How the rows of a look stand in a batch.
    looks: Layout,
    metrics: Metrics,
    saved: Instant,
}

/// A step on its way.
pub struct Turn {
    /// The rows of each micro-batch.
    rows: Vec<Vec<u32>>,
    /// Its micro-batches.
    pub batches: Vec<Batch>,
    /// How its adapters take part.
    pub used: Use,
    sums: Sums,
    began: Instant,
}

/// The sums of a step, before its update.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    loss: f64,
    units: u64,
    tokens: u64,
    rewards: Rewards,
}

impl Turn {
    /// What each token of the step weighs, with DPO each pair: the same, whatever micro-batch it is in.
    pub fn weight(&self) -> f64 {
        1.0 / self.sums.units as f64
    }

    /// The losses of the tokens of a micro-batch.
    pub fn take_losses(&mut self, losses: &[f32]) {
        self.sums.loss += losses.iter().copied().map(f64::from).sum::<f64>();
    }

    /// The pairs of a micro-batch.
    pub fn take_pairs(&mut self, pairs: &[Preference], beta: f64) {
        for pair in pairs {
            self.sums.loss += pair.loss;
            self.sums.rewards.add(
                beta * (pair.chosen - pair.reference_chosen),
                beta * (pair.rejected - pair.reference_rejected),
            );
        }
    }
}

impl<'a> Member<'a> {
    /// Opens its metrics where its state left them.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn new(
        number: usize,
        (job, places, prepared): (&'a FineTune, &'a Places, &'a Prepared),
        start: Start,
        looks: Layout,
        tell: Tell<'_>,
    ) -> Result<Self, Undone> {
        let mut state = start.state;
        if start.moments.is_some() {
            let step = state.step;
            tell(Told::Note(format!("going on from step {step}")));
        }
        let metrics = Metrics::open(&places.work, state.metrics_bytes)?;
        if metrics.bytes() < state.metrics_bytes {
            let work = places.work.display();
            let text = format!("{NAME} in {work} has lost rows: the report will lack them");
            tell(Told::Note(text));
            state.metrics_bytes = metrics.bytes();
        }
        Ok(Self {
            number,
            job,
            places,
            prepared,
            state,
            checkpoints: start.checkpoints,
            stopped: None,
            rung: None,
            left_out: None,
            seen: None,
            looks,
            metrics,
            saved: Instant::now(),
        })
    }

    /// Whether nothing was done yet.
    pub fn is_new(&self) -> bool {
        self.state.step == 0 && self.state.metrics_bytes == 0
    }

    /// Whether it makes no further step.
    pub fn is_done(&self) -> bool {
        self.stopped.is_some() || self.is_over()
    }

    /// Whether it makes a step now.
    pub fn goes(&self) -> bool {
        !self.is_done() && !self.waits()
    }

    fn settings(&self) -> &'a Settings {
        &self.job.settings
    }

    /// Whether there is no step left.
    fn is_over(&self) -> bool {
        self.is_enough() || self.state.step >= self.last()
    }

    /// Whether its holdout said that it is enough.
    pub fn is_enough(&self) -> bool {
        let patience = self.settings().early_stopping_patience;
        self.state.stopping.is_enough(patience)
    }

    /// The last step that it may make.
    fn last(&self) -> u64 {
        let steps = self.prepared.plan.steps();
        let left_out = self.left_out.as_ref();
        left_out.map_or(steps, |left_out| steps.min(left_out.step))
    }

    /// Whether a look is due after this step, where `last` is the last one.
    pub fn is_look_due(&self, last: u64) -> bool {
        let (step, plan) = (self.state.step, &self.prepared.plan);
        let every = match self.settings().eval_steps {
            0 => plan.steps_per_epoch(),
            every => every,
        };
        step.is_multiple_of(every.max(1)) || step == last
    }

    fn is_save_due(&self, looked: bool) -> bool {
        let by_step = match self.settings().save_steps {
            0 => looked || self.saved.elapsed() >= OFTEN,
            every => self.state.step.is_multiple_of(every),
        };
        // What may be exploding is not to push good ones out.
        by_step && self.state.health.ill() == 0 || self.is_over()
    }

    /// Begins a step.
    ///
    /// # Errors
    /// There is nothing in it to learn from.
    pub fn turn(&self) -> Result<Turn, Halt> {
        let settings = self.settings();
        let rows = self.prepared.plan.step(self.state.step);
        let batches: Vec<Batch> = rows.iter().map(|rows| self.prepared.batch(rows)).collect();
        let units = match settings.loss {
            Loss::Sft => batches.iter().map(|batch| batch.supervised.len()).sum(),
            Loss::Dpo => rows.iter().map(Vec::len).sum::<usize>(),
        };
        if units == 0 {
            let (step, unit) = (self.state.step + 1, unit(settings.loss));
            let why = format!("step {step} has no {unit} to learn");
            return Err(Halt::Own(why.into()));
        }
        Ok(Turn {
            rows,
            used: used(settings, self.state.step + 1),
            sums: Sums {
                units: units as u64,
                tokens: batches.iter().map(|batch| batch.tokens() as u64).sum(),
                ..Sums::default()
            },
            batches,
            began: Instant::now(),
        })
    }

    /// Ends a step, whose gradients are all there: its norm, whether all is well, the update, the row of metrics.
    ///
    /// # Errors
    /// Numbers that are none; those of machine and files.
    pub fn end<B: Backend>(
        &mut self,
        engine: &mut Engine<B>,
        turn: &Turn,
        tell: Tell<'_>,
    ) -> Result<(), Halt> {
        let (at, plan, sums) = (self.state.step, &self.prepared.plan, turn.sums);
        let loss = sums.loss / sums.units as f64;
        let norm = engine.squares(self.number)?.sqrt();
        let judged = self.state.health.judge(loss, norm);
        judged.map_err(|ailment| {
            let rows = self.named(&turn.rows);
            Halt::Own(self.stopped_by(&format!(
                "{ailment} in step {}, which learns from {rows}",
                at + 1
            )))
        })?;
        let settings = self.settings();
        let lr = learning_rate(settings, at, plan.steps());
        engine.update(self.number, &adam(settings, at + 1, lr, norm))?;
        engine.clear(self.number)?;
        point!("train.updated");
        self.state.step += 1;
        self.state.tokens += sums.tokens;
        self.state.first_loss.get_or_insert(loss);
        self.state.last_loss = Some(loss);
        let seconds = turn.began.elapsed().as_secs_f64().max(1e-9);
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
        Ok(self.metrics.push(&Row::Step(row))?)
    }

    /// What is due after a step: a look at the holdout, a checkpoint.
    ///
    /// # Errors
    /// Those of [`look`](Self::look); those of files.
    pub fn pause<B: Backend>(
        &mut self,
        engine: &mut Engine<B>,
        tell: Tell<'_>,
    ) -> Result<(), Halt> {
        let due = self.is_look_due(self.last());
        let better = due && self.look(engine, tell)?;
        if better || self.is_save_due(due) {
            self.save(engine, tell)?;
        }
        Ok(())
    }

    /// Looks at the holdout, if there is one; whether it was the best look so far. What
    /// nothing was learned for is no candidate: its adapter would change nothing.
    ///
    /// # Errors
    /// A loss that is no number; those of machine and files.
    pub fn look<B: Backend>(
        &mut self,
        engine: &mut Engine<B>,
        tell: Tell<'_>,
    ) -> Result<bool, Halt> {
        let Some(Seen { loss, accuracy }) = self.see(engine)? else {
            return Ok(false);
        };
        let step = self.state.step;
        if !loss.is_finite() {
            let text = format!("the loss on the holdout is no finite number after step {step}");
            return Err(Halt::Own(self.stopped_by(&text)));
        }
        if step == 0 {
            self.state.eval_loss_before = Some(loss);
        }
        let best = if step == 0 || !self.has_learned(engine)? {
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

    /// What the holdout shows after this step. Nothing of the member's changes by it.
    ///
    /// # Errors
    /// Those of the machine.
    pub fn see<B: Backend>(&mut self, engine: &mut Engine<B>) -> Result<Option<Seen>, Undone> {
        let step = self.state.step;
        if let Some((_, seen)) = self.seen.filter(|(at, _)| *at == step) {
            return Ok(Some(seen));
        }
        let settings = self.settings();
        let seen = look::look(engine, self.number, self.prepared, &self.looks, settings)?;
        self.seen = seen.map(|seen| (step, seen));
        Ok(seen)
    }

    /// Whether the adapter does something. A warmup begins with steps that leave it as it is.
    fn has_learned<B: Backend>(&self, engine: &Engine<B>) -> Result<bool, Undone> {
        Ok(self.state.stopping.best.is_some() || is_moved(&engine.adapters(self.number)?))
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    /// Those of files.
    pub fn save<B: Backend>(&mut self, engine: &Engine<B>, tell: Tell<'_>) -> Result<(), Undone> {
        tell(Told::Stage("checkpoint"));
        self.state.metrics_bytes = self.metrics.sync()?;
        let left_out = self.left_out.as_ref();
        self.state.left_out = left_out.is_some_and(|left_out| left_out.step == self.state.step);
        let checkpoint = Checkpoint {
            state: self.state.clone(),
            adapters: engine.adapters(self.number)?,
            moments: engine.moments(self.number)?,
        };
        self.checkpoints.write(self.job, &checkpoint)?;
        self.saved = Instant::now();
        tell(Told::Stage("train"));
        Ok(())
    }

    /// Training ends here: what is wrong, and what is left.
    fn stopped_by(&self, why: &str) -> Undone {
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

/// How adapters take part in a step.
pub fn used(settings: &Settings, step: u64) -> Use {
    match settings.lora_dropout as f32 {
        p if p > 0.0 => Use::Drop(Dropout {
            seed: settings.seed,
            step,
            p,
        }),
        _ => Use::On,
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
