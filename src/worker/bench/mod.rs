//! How fast a model of a given shape is trained on this machine: a training step, the same step without adapters, and its
//! matrix products alone.
//!
//! The three are measured in one run and in turns, several rounds, and the best of each counts: other work on the machine only
//! ever slows, and what one of them meets the others meet too. Weights are random, so no model is needed and nothing is
//! written.

mod bytes;
mod ceiling;
mod flops;
mod measuring;
mod random;
mod room;
mod shape;

use super::{Undone, device};
use crate::training::{
    settings::Settings,
    words::{Device, Module},
};
use flops::Count;

pub use bytes::Bytes;
pub use flops::Origin;
pub use measuring::{Found, Measuring, Seconds};
pub use shape::Shape;

/// Tokens of a microbatch where nobody says how many: on a GPU, and on the processor, which takes minutes for as many.
pub const TOKENS: [usize; 2] = [8192, 512];
/// Tokens of a document at most, where nobody says how many.
pub const LENGTH: usize = 2048;

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// A known model's name, or a `config.json`.
    pub shape: String,
    /// Its first layers only.
    pub layers: Option<usize>,
    /// Modules that have adapters.
    pub targets: Vec<Module>,
    /// Their rank.
    pub rank: u32,
    /// Share of their inputs that is dropped.
    pub dropout: f64,
    /// Tokens of a document.
    pub length: Option<usize>,
    /// Tokens of a microbatch.
    pub tokens: Option<usize>,
    /// Rounds.
    pub rounds: u32,
    /// Where.
    pub device: Device,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The shape.
    pub shape: Shape,
    /// What is trained, and how.
    pub settings: Settings,
    /// Where.
    pub device: Device,
    /// Tokens of a document.
    pub length: usize,
    /// Tokens of the microbatch.
    pub tokens: usize,
    /// Those that are learned.
    pub supervised: usize,
    /// Rounds.
    pub rounds: u32,
    /// Numbers that are trained.
    pub trained: u64,
    /// The best of each.
    pub seconds: Seconds,
    /// Operations for each token, by origin.
    pub flops: Vec<Origin>,
    /// Of them, those that the ceiling does.
    pub product_flops: f64,
    /// Memory.
    pub bytes: Bytes,
    /// Mean loss of the first step in nats, near the logarithm of the vocabulary.
    pub loss: f64,
}

impl Report {
    /// Share of a training step that its frozen products alone would take.
    pub fn share_of_ceiling(&self) -> f64 {
        self.seconds.products / self.seconds.step
    }

    /// What training costs beyond the frozen step, as a share of it.
    pub fn tax(&self) -> f64 {
        self.seconds.step / self.seconds.frozen - 1.0
    }

    /// Operations for each token.
    pub fn flops_per_token(&self) -> f64 {
        let both = self.flops.iter().map(|part| part.forward + part.backward);
        both.sum()
    }
}

/// Who is told what is done now.
pub type Tell<'a> = &'a mut dyn FnMut(String);

/// Measures on the device that is asked for.
///
/// # Errors
/// A sentence: what is wrong with the request, that it would not fit into memory, what the machine could not.
pub fn measure(request: &Request, tell: Tell<'_>) -> Result<Report, Undone> {
    if let Some(why) = device::without_gpu(request.device) {
        tell(format!("computes on the processor: {why}"));
    }
    let resolved = device::resolved(request.device);
    measure_by(request, resolved, tell, |measuring| {
        device::on(resolved, None, measuring)
    })
}

/// Measures a request on whichever machine `by` gives the work to; `device` says what it is.
///
/// # Errors
/// Those of [`measure`], and of `by`.
pub fn measure_by(
    request: &Request,
    device: Device,
    tell: Tell<'_>,
    by: impl FnOnce(Measuring<'_>) -> Result<Found, Undone>,
) -> Result<Report, Undone> {
    let settings = settings(request)?;
    let shape = Shape::read(&request.shape, request.layers)?;
    let (tokens, length) = lengths(request, device, shape.decoder.context)?;
    if device == Device::Cpu {
        let supervised = tokens - tokens / length;
        room::check(&shape.decoder, &settings, [tokens, supervised])?;
    }
    let batch = random::batch(shape.decoder.vocabulary, tokens, length);
    let found = by(Measuring {
        shape: &shape,
        settings: &settings,
        batch: &batch,
        rounds: request.rounds,
        tell,
    })?;
    let count = Count {
        decoder: &shape.decoder,
        settings: &settings,
        length,
    };
    Ok(Report {
        trained: count.trained(),
        flops: count.origins().to_vec(),
        product_flops: count.products(),
        device,
        length,
        tokens,
        supervised: batch.supervised.len(),
        rounds: request.rounds,
        seconds: found.seconds,
        bytes: found.bytes,
        loss: found.loss,
        shape,
        settings,
    })
}

/// The settings of a fine-tune as they are by default, but for what is asked.
fn settings(request: &Request) -> Result<Settings, String> {
    let settings = Settings {
        r: request.rank,
        lora_alpha: 2.0 * f64::from(request.rank.max(1)),
        lora_dropout: request.dropout,
        target_modules: request.targets.clone(),
        ..Settings::default()
    };
    if request.rounds == 0 {
        return Err("rounds = 0 is wrong: 1 or more".into());
    }
    match settings.problems().into_iter().next() {
        Some((key, value, right)) => Err(format!("{key} = {value} is wrong: {right}")),
        None => Ok(settings),
    }
}

/// Tokens of the microbatch and of each of its documents, which fill it.
fn lengths(request: &Request, device: Device, context: usize) -> Result<(usize, usize), String> {
    let default = TOKENS[usize::from(device == Device::Cpu)];
    let tokens = request
        .tokens
        .unwrap_or(default.max(request.length.unwrap_or(0)));
    let length = request.length.unwrap_or(LENGTH.min(tokens).min(context));
    let wrong = |why: String| Err(format!("--seq {length} is wrong: {why}"));
    match (tokens, length) {
        (_, 0 | 1) => wrong("a document of one token teaches nothing".into()),
        (_, length) if length > context => wrong(format!("the model knows {context} positions")),
        (tokens, length) if !tokens.is_multiple_of(length) || tokens == 0 => wrong(format!(
            "documents of so many tokens do not fill a microbatch of {tokens}, see --tokens"
        )),
        (tokens, _) if u32::try_from(tokens).is_err() => {
            Err(format!("--tokens {tokens} is wrong: at most {}", u32::MAX))
        }
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests;
