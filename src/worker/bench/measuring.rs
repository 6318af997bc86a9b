//! What is done on a machine: it is loaded and warmed up, and then a training step, a frozen step and the ceiling take turns.

use super::{
    super::{Undone, device},
    Bytes, Tell,
    ceiling::Products,
    flops,
    random::Random,
    room,
    shape::Shape,
};
use crate::{
    lora::{
        backend::{AdamStep, Ask, Backend, Done, Dropout, Trouble, Use},
        batch::Batch,
        cuda::budget,
        engine::{Engine, fresh},
    },
    training::settings::Settings,
};
use std::time::Instant;

/// What one machine found.
pub struct Found {
    /// The best of each.
    pub seconds: Seconds,
    /// Memory.
    pub bytes: Bytes,
    /// Mean loss of the first step in nats.
    pub loss: f64,
}

/// Seconds of the three.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds {
    /// Forward, backward, clipping, optimiser.
    pub step: f64,
    /// Forward and dX only, without adapters.
    pub frozen: f64,
    /// The frozen products of both.
    pub products: f64,
}

/// A measurement that is ready to be made.
pub struct Measuring<'a> {
    pub(super) shape: &'a Shape,
    pub(super) settings: &'a Settings,
    pub(super) batch: &'a Batch,
    pub(super) rounds: u32,
    pub(super) tell: Tell<'a>,
}

impl device::Task for Measuring<'_> {
    type Made = Found;

    fn run<B: Backend>(self, machine: impl Fn() -> B, _: Option<u64>) -> Result<Found, Undone> {
        let Self {
            shape,
            settings,
            batch,
            ..
        } = self;
        (self.tell)("drawing the weights".into());
        let lowest = flops::lowest(&settings.target_modules);
        let ceiling = || Products::new(machine(), &shape.decoder, batch, lowest);
        let backend = machine();
        // A machine that plans its memory gives the training what the ceiling leaves. Where memory is the process's, whose peak
        // is to be training's own, the ceiling comes last.
        let before = match backend.peak_bytes() {
            Some(_) => Some(ceiling()?),
            None => None,
        };
        let taken = backend.peak_bytes().unwrap_or(0);
        let (mut engine, planned) = self.load(backend)?;
        (self.tell)("warming up".into());
        // The first of each makes buffers and plans.
        let loss = train(&mut engine, settings, batch, 1)?;
        pass_through(&mut engine, batch)?;
        let bytes = match (planned, engine.peak_bytes()) {
            (Some(planned), peak) => Bytes::planned(&planned, peak.map(|peak| peak - taken)),
            (None, _) => Bytes::of_process(shape, settings, room::peak()),
        };
        let mut products = match before {
            Some(products) => products,
            None => ceiling()?,
        };
        products.run()?;
        let seconds = self.turns(&mut engine, &mut products)?;
        Ok(Found {
            seconds,
            bytes,
            loss,
        })
    }
}

impl Measuring<'_> {
    /// The model with fresh adapters, and the plan of its memory where the machine makes one.
    fn load<B: Backend>(&self, backend: B) -> Done<(Engine<B>, Option<budget::Budget>)> {
        let decoder = &self.shape.decoder;
        let adapters = fresh(self.settings, decoder);
        let [tokens, supervised] = [self.batch.tokens(), self.batch.supervised.len()];
        let ask = Ask {
            decoder,
            ranks: &|site| vec![adapters.get(&site).map_or(0, |adapter| adapter.rank)],
            tokens,
            supervised,
        };
        let level = backend.plan(&ask)?;
        let weights = Random::new(decoder);
        let mut engine = Engine::new(backend, decoder, &weights, &adapters)?;
        if let Some(level) = level {
            engine.keep(level);
            engine.reserve(tokens, supervised)?;
        }
        Ok((engine, level.map(|level| budget::at(&ask, level))))
    }

    /// The best of each over all rounds.
    fn turns<B: Backend>(
        self,
        engine: &mut Engine<B>,
        products: &mut Products<B>,
    ) -> Done<Seconds> {
        let mut best = Seconds {
            step: f64::MAX,
            frozen: f64::MAX,
            products: f64::MAX,
        };
        for round in 1..=self.rounds {
            (self.tell)(format!("round {round} of {}", self.rounds));
            let step = u64::from(round) + 1;
            faster(&mut best.step, || {
                train(engine, self.settings, self.batch, step).map(drop)
            })?;
            faster(&mut best.frozen, || pass_through(engine, self.batch))?;
            faster(&mut best.products, || products.run())?;
        }
        Ok(best)
    }
}

/// Seconds of some work, where they are fewer than those of before.
fn faster(best: &mut f64, work: impl FnOnce() -> Done) -> Done {
    let begin = Instant::now();
    work()?;
    *best = best.min(begin.elapsed().as_secs_f64());
    Ok(())
}

/// A whole training step; its mean loss.
fn train<B: Backend>(
    engine: &mut Engine<B>,
    settings: &Settings,
    batch: &Batch,
    step: u64,
) -> Done<f64> {
    let used = match settings.lora_dropout {
        0.0 => Use::On,
        p => Use::Drop(Dropout {
            seed: settings.seed,
            step,
            p: p as f32,
        }),
    };
    let rows = batch.supervised.len() as f64;
    engine.clear(0)?;
    let loss = engine.learn(batch, (1.0 / rows) as f32, used)? / rows;
    let norm = engine.squares(0)?.sqrt();
    engine.update(
        0,
        &AdamStep {
            step,
            learning_rate: settings.learning_rate,
            beta1: settings.adam_beta1,
            beta2: settings.adam_beta2,
            epsilon: settings.adam_epsilon,
            weight_decay: settings.weight_decay,
            gradient_scale: (settings.max_grad_norm / (norm + 1e-6)).min(1.0),
        },
    )?;
    engine.finish()?;
    match loss.is_finite() && norm.is_finite() && norm > 0.0 {
        true => Ok(loss),
        false => Err(Trouble(format!(
            "what is measured trains nothing: loss {loss}, norm of the gradients {norm}"
        ))),
    }
}

/// The same without adapters.
fn pass_through<B: Backend>(engine: &mut Engine<B>, batch: &Batch) -> Done {
    engine.pass_through(batch, 1.0 / batch.supervised.len() as f32)?;
    engine.finish()
}
