//! A trial of a device: one training step and one decoded answer of two models, so small that it takes no time, beside the
//! processor's.
//!
//! A driver compiles the kernels anew for its GPU, and a library brings products of its own; neither has been seen here. So
//! before a job's numbers are made on a GPU, its first step is one whose outcome is known. The device keeps bf16 where the
//! processor keeps f32, so numbers are close and not equal; what a device makes twice must be equal.

mod course;
pub mod made;

use super::{Cuda, device::Device};
use crate::lora::{
    backend::{Done, Trouble},
    cpu::Cpu,
    engine::Adapters,
};
use course::Said;
use std::{fmt, rc::Rc};

/// Bytes of the device's memory that a trial needs.
pub const MEMORY: u64 = 64 << 20;

/// Numbers of bf16 are off by 0.1 % each, and a loss comes of some twenty roundings one after the other that do not cancel: by
/// 0.1 % * sqrt(20) = 0.5 % of its size, or of a nat where it is smaller. Of a few hundred losses one is off by several times
/// as much; with the kernels that ship it is 1.4 %.
const LOSS: f64 = 0.03;
/// The mean of how far losses are off; 0.4 % with the kernels that ship.
const MEAN: f64 = 0.01;
/// The length of all gradients, whose errors cancel in part; below 0.4 %.
const NORM: f64 = 0.01;
/// A loss of five nats that is right to 0.5 % makes a probability that is right to 2.5 %, and gradients are as right as
/// probabilities, in direction too: 3.0 %. A term that is wrong is as large as the gradient.
const GRADIENT: f64 = 0.06;
/// AdamW divides a gradient by its own size, which adds to what is off where gradients are small: 3.8 %.
const UPDATE: f64 = 0.08;
/// Attention over a cache, of the same bf16 numbers, is rounded once at its end: 0.06 %.
const CACHED: f64 = 0.01;

/// A quantity, as the device and the processor computed it.
#[derive(Clone, Debug, PartialEq)]
struct Compared {
    what: String,
    found: f64,
    expected: f64,
    /// How far they are apart.
    far: f64,
    /// How far they may be.
    limit: f64,
}

impl Compared {
    /// NaN is far from everything.
    fn is_close(&self) -> bool {
        self.far <= self.limit
    }

    fn excess(&self) -> f64 {
        match self.far / self.limit {
            excess if excess.is_nan() => f64::INFINITY,
            excess => excess,
        }
    }
}

/// What a device passed with: how far it was from the processor at most, as shares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Losses, in the mean.
    pub loss: f64,
    /// Gradients of a module.
    pub gradient: f64,
    /// What AdamW made of them.
    pub update: f64,
    /// Tokens that were decoded, each as likely as the processor's likeliest.
    pub tokens: usize,
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "one training step agrees with the processor (losses to {:.1} %, gradients {:.1} %, AdamW {:.1} %), and so do {} \
             decoded tokens",
            100.0 * self.loss,
            100.0 * self.gradient,
            100.0 * self.update,
            self.tokens
        )
    }
}

/// How a trial ended otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Failed {
    /// The device reported a failure of its own.
    Stopped(Trouble),
    /// It computes something else than the processor.
    Differs(Trouble),
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self::Stopped(trouble)
    }
}

/// What a trial says of a device.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It may compute.
    Agrees(Agreement),
    /// It may not; what to do.
    Fails(Trouble),
    /// It could not be asked: it is out of memory, or broke; another time it may be.
    Unavailable(Trouble),
}

impl Verdict {
    /// Of a trial that ended like this; `passes` where a failure of the device's own is none of the kernels'.
    pub fn of(found: Result<Agreement, Failed>, passes: bool) -> Self {
        let fails = |why: &Trouble| {
            Self::Fails(Trouble(format!(
                "the GPU failed its trial: {why}: report it with the output of `campaignd doctor`, and compute with --device cpu"
            )))
        };
        match found {
            Ok(agreement) => Self::Agrees(agreement),
            Err(Failed::Stopped(trouble)) if passes => Self::Unavailable(trouble),
            Err(Failed::Stopped(why) | Failed::Differs(why)) => fails(&why),
        }
    }
}

/// Tries a device of which at least [`MEMORY`] is free; leaves nothing in it.
///
/// # Errors
/// The first model and quantity that is too far from the processor's, with both numbers; the device's own.
pub fn run<D: Device>(device: &Rc<D>) -> Result<Agreement, Failed> {
    let mut all: Option<Agreement> = None;
    for model in made::models() {
        let own = made::adapters(&model);
        let found = course::say(Cuda::shared(device.clone()), &model, &own)?;
        let one = judge(device.name(), &model, &own, &found)?;
        let again = course::say(Cuda::shared(device.clone()), &model, &own)?;
        twice(device.name(), &found, &again)?;
        all = Some(all.map_or(one, |all| Agreement {
            loss: all.loss.max(one.loss),
            gradient: all.gradient.max(one.gradient),
            update: all.update.max(one.update),
            tokens: all.tokens + one.tokens,
        }));
    }
    all.ok_or_else(|| Failed::Differs(Trouble("it computed nothing".into())))
}

/// Beside the processor.
fn judge(
    name: &str,
    model: &made::Model,
    own: &Adapters,
    found: &Said,
) -> Result<Agreement, Failed> {
    let expected = course::say(Cpu::new(1), model, own)?;
    let losses = losses(found, &expected);
    let mean = mean(&losses);
    let norm = relative("the norm of all gradients", found.norm, expected.norm);
    let gradients = course::distances(&found.gradients, &expected.gradients);
    let moved = |said: &Said| course::moved(own, &said.adapters);
    let updates = course::distances(&moved(found), &moved(&expected));
    let tokens = tokens(model, &expected.adapters, &found.tokens)?;
    let [length, wanted, far] = course::apart(&found.cached, &expected.cached);
    let cached = Compared {
        what: "attention over a cache (its length)".into(),
        found: length,
        expected: wanted,
        far,
        limit: CACHED,
    };
    let worst = |all: Vec<Compared>| close(name, all);
    // In the order in which one comes of the other: what is said first is nearest to the cause.
    let gradient = worst(named("the gradient of", gradients, GRADIENT))?;
    worst(vec![norm])?;
    let agreement = Agreement {
        gradient,
        update: worst(named("AdamW's step of", updates, UPDATE))?,
        loss: worst(vec![mean])?,
        tokens: tokens.len(),
    };
    worst(losses)?;
    worst(vec![cached])?;
    worst(tokens)?;
    Ok(agreement)
}

/// What a device says twice is the same.
fn twice(name: &str, found: &Said, again: &Said) -> Result<(), Failed> {
    match found.differs(again) {
        None => Ok(()),
        Some((what, first, second)) => Err(Failed::Differs(Trouble(format!(
            "{what} is {first} on {name} and {second} when it is computed again"
        )))),
    }
}

/// The largest distance.
///
/// # Errors
/// It is too large, or there is nothing to compare.
fn close(name: &str, all: Vec<Compared>) -> Result<f64, Failed> {
    let worst = all
        .into_iter()
        .max_by(|a, b| a.excess().total_cmp(&b.excess()));
    let differs = |said: String| Failed::Differs(Trouble(said));
    let worst = worst.ok_or_else(|| differs(format!("{name} made nothing to compare")))?;
    if worst.is_close() {
        return Ok(worst.far);
    }
    let Compared {
        what,
        found,
        expected,
        far,
        limit,
    } = worst;
    Err(differs(format!(
        "{what} is {found:.5} on {name} and {expected:.5} on the processor, {:.1} % apart where {:.1} % is rounding",
        100.0 * far,
        100.0 * limit
    )))
}

fn losses(found: &Said, expected: &Said) -> Vec<Compared> {
    let both = found.losses.iter().zip(&expected.losses);
    let compared = both.map(|((what, found), (_, expected))| {
        let (found, expected) = (f64::from(*found), f64::from(*expected));
        Compared {
            what: format!("the loss of {what}"),
            found,
            expected,
            far: (found - expected).abs() / (1.0 + expected.abs()),
            limit: LOSS,
        }
    });
    compared.collect()
}

/// How far losses are apart in the mean.
fn mean(all: &[Compared]) -> Compared {
    let of = |number: fn(&Compared) -> f64| all.iter().map(number).sum::<f64>() / all.len() as f64;
    Compared {
        what: "the mean of all losses".into(),
        found: of(|one| one.found),
        expected: of(|one| one.expected),
        far: of(|one| one.far),
        limit: MEAN,
    }
}

fn relative(what: &str, found: f64, expected: f64) -> Compared {
    Compared {
        what: what.into(),
        found,
        expected,
        far: (found / expected - 1.0).abs(),
        limit: NORM,
    }
}

/// Distances of modules: their lengths are what is said of them.
fn named(what: &str, distances: Vec<course::Distance>, limit: f64) -> Vec<Compared> {
    let compared = distances.into_iter().map(|distance| Compared {
        what: format!("{what} {} (its length)", distance.site),
        found: distance.found,
        expected: distance.expected,
        far: distance.far,
        limit,
    });
    compared.collect()
}

/// How much less likely the device's tokens are than the processor's likeliest, in its logits; after one that was as likely as
/// another all others are others, so each is judged behind those that came before it.
fn tokens(model: &made::Model, adapters: &Adapters, answers: &[Vec<u32>]) -> Done<Vec<Compared>> {
    let mut all = Vec::new();
    for (number, (prompt, answer)) in made::prompts(model).iter().zip(answers).enumerate() {
        if answer.len() != made::ANSWER {
            let (len, most) = (answer.len(), made::ANSWER);
            return Err(Trouble(format!("{len} of {most} tokens were decoded")));
        }
        let logits = course::logits(
            Cpu::new(1),
            model,
            adapters,
            &[&prompt[..], answer].concat(),
        )?;
        let rows = logits.chunks_exact(model.decoder.vocabulary);
        for ((at, token), row) in answer.iter().enumerate().zip(rows.skip(prompt.len() - 1)) {
            let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let own = row.get(*token as usize).copied().unwrap_or(f32::NAN);
            all.push(Compared {
                what: format!("the logit of decoded token {at} of answer {number}"),
                found: own.into(),
                expected: highest.into(),
                far: f64::from(highest - own) / f64::from(1.0 + highest.abs()),
                limit: LOSS,
            });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
