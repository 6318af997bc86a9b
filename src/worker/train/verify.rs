//! What was written is read again and compared with what was trained: an adapter that does nothing, or merged weights that
//! do something else, must not leave this place.
//!
//! On a few rows: logits with the adapter as it was trained and as it is read back must be the same; with and without it
//! they must differ; those of the merged weights must be near. Merging rounds to the model's own type, so how near depends
//! on that; the numbers stand in `training.json` and on the card.

use super::prepare::Prepared;
use crate::{
    lora::{
        backend::{Backend, Use},
        batch::Batch,
        engine::{Adapters, Engine},
        files::{Dtype, ModelDir, read_adapter},
        tokens::{Example, Row},
    },
    worker::Undone,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// Rows that are compared, and tokens of each.
const ROWS: usize = 4;
/// See [`ROWS`].
const TOKENS: usize = 64;
/// How far logits of the adapter that was read back may be away: it has the same bytes.
const SAME: f64 = 1e-6;

/// The share of what the adapter moves that merging may be away: weights that were not merged at all are all of it away.
const LOST: f64 = 0.5;

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Rows that were compared.
    pub rows: u64,
    /// Tokens of them.
    pub tokens: u64,
    /// Largest difference of a logit between the adapter in memory and on disk.
    pub reloaded_max_abs: f64,
    /// Largest difference of a logit between the model with and without its adapter.
    pub off_on_max_abs: f64,
    /// Merged weights, where they were asked for.
    pub merged: Option<Merged>,
}

/// What was measured on merged weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Merged {
    /// The type that they are in.
    pub dtype: String,
    /// Largest difference of a logit from the model with its adapter.
    pub max_abs: f64,
    /// Largest difference of a token's log-probability.
    pub log_prob_gap: f64,
    /// What of that is taken.
    pub tolerance: f64,
}

/// The rows that are compared, and the logits that they must have.
pub struct Probe {
    batch: Batch,
    expected: Vec<f32>,
    /// The largest difference of a log-probability that the adapter makes.
    moved: f64,
    /// What was measured so far.
    pub verified: Verified,
}

/// Whether adapters change anything: some B is not 0.
pub fn is_moved(adapters: &Adapters) -> bool {
    let moved = |numbers: &[f32]| numbers.iter().any(|number| *number != 0.0);
    adapters.values().any(|adapter| moved(&adapter.b))
}

/// Refuses adapters that were never moved: every B is 0.
///
/// # Errors
/// A sentence.
pub fn learned(adapters: &Adapters) -> Result<(), Undone> {
    if is_moved(adapters) {
        return Ok(());
    }
    let why = "nothing was learned: every B of the adapter is 0";
    Err(why.to_string().into())
}

impl Probe {
    /// Takes the logits that adapters have in memory, and without any.
    ///
    /// # Errors
    /// An adapter that changes nothing; those of the machine.
    pub fn take<B: Backend>(
        engine: &mut Engine<B>,
        adapters: &Adapters,
        prepared: &Prepared,
    ) -> Result<Self, Undone> {
        let batch = batch(prepared);
        engine.equip(adapters, None)?;
        let expected = engine.logits(&batch, Use::On)?;
        let off = engine.logits(&batch, Use::Off)?;
        let verified = Verified {
            rows: batch.documents() as u64,
            tokens: batch.tokens() as u64,
            off_on_max_abs: max_abs(&expected, &off),
            ..Verified::default()
        };
        if verified.off_on_max_abs == 0.0 {
            let why = "the adapter changes nothing: its logits are those of the model without it";
            return Err(why.to_string().into());
        }
        let mut probe = Self {
            batch,
            expected,
            moved: 0.0,
            verified,
        };
        probe.moved = probe.log_prob_gap(&off, prepared.model.decoder.vocabulary);
        Ok(probe)
    }

    /// Compares an adapter's directory.
    ///
    /// # Errors
    /// It cannot be read back, or computes something else.
    pub fn reloaded<B: Backend>(
        &mut self,
        engine: &mut Engine<B>,
        dir: &Path,
        prepared: &Prepared,
    ) -> Result<(), Undone> {
        let read = read_adapter(dir, &prepared.model.decoder).map_err(|error| error.to_string())?;
        engine.equip(&read.adapters, None)?;
        let found = engine.logits(&self.batch, Use::On)?;
        let far = max_abs(&self.expected, &found);
        self.verified.reloaded_max_abs = far;
        if far <= SAME {
            return Ok(());
        }
        let text = format!(
            "the adapter that was written is not the one that was trained: its logits are {far:e} away"
        );
        Err(text.into())
    }

    /// Compares merged weights.
    ///
    /// # Errors
    /// They cannot be read back, or are further away than their type explains.
    pub fn merged<B: Backend>(&mut self, machine: B, dir: &Path) -> Result<(), Undone> {
        let model = ModelDir::open(dir).map_err(|error| error.to_string())?;
        let mut engine = Engine::new(machine, &model.decoder, &model, &BTreeMap::new())?;
        let found = engine.logits(&self.batch, Use::Off)?;
        let width = model.decoder.vocabulary;
        let merged = Merged {
            dtype: model.dtype.to_string(),
            max_abs: max_abs(&self.expected, &found),
            log_prob_gap: self.log_prob_gap(&found, width),
            tolerance: tolerance(model.dtype),
        };
        let (gap, most) = (merged.log_prob_gap, merged.tolerance);
        self.verified.merged = Some(merged);
        if gap <= most && gap < self.moved * LOST {
            return Ok(());
        }
        if gap <= most {
            return Err(format!(
                "the merged weights have lost the adapter to rounding: a log-probability is {gap:.1e} away, and the adapter moves them by {:.1e} at most; without merging the adapter is written",
                self.moved
            )
            .into());
        }
        Err(format!(
            "the merged weights are not the model with its adapter: a log-probability is {gap:.3} away, more than {most} of {}; without merging the adapter is written",
            model.dtype
        )
        .into())
    }

    /// The largest difference of the log-probability of a token that comes next; NaN where a number is none.
    fn log_prob_gap(&self, found: &[f32], width: usize) -> f64 {
        let next = |row: usize| {
            let last = self.batch.starts.contains(&(row as u32 + 1));
            (!last).then(|| self.batch.ids[row + 1] as usize)
        };
        let rows = self.expected.chunks(width).zip(found.chunks(width));
        let gaps = rows.enumerate().filter_map(|(row, (expected, found))| {
            let token = next(row)?;
            Some((log_prob(expected, token) - log_prob(found, token)).abs())
        });
        gaps.fold(0.0, worst)
    }
}

/// By type: a type's rounding of a weight, some hundred times over, as deep models add it up.
fn tolerance(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F32 => 1e-3,
        Dtype::F16 => 5e-2,
        Dtype::Bf16 => 2.5e-1,
    }
}

/// The last learned tokens of the first rows of the holdout, or of the training rows, with those before them.
fn batch(prepared: &Prepared) -> Batch {
    let rows = if prepared.looked.rows.is_empty() {
        &prepared.read.rows
    } else {
        &prepared.looked.rows
    };
    let mut batch = Batch::default();
    for row in rows.iter().take(ROWS) {
        let (Row::Sft(example)
        | Row::Pair {
            chosen: example, ..
        }) = row;
        let Example { ids, learned, .. } = example;
        let last = learned.iter().rposition(|learned| *learned);
        let end = last.map_or(ids.len(), |last| last + 1);
        let start = end.saturating_sub(TOKENS);
        batch.push(0, &ids[start..end], &learned[start..end]);
    }
    batch
}

/// The larger one, and NaN where one is.
fn worst(most: f64, next: f64) -> f64 {
    if next.is_nan() || most.is_nan() {
        f64::NAN
    } else {
        most.max(next)
    }
}

/// The largest difference; NaN where a number is none, infinite where there are more of one.
fn max_abs(a: &[f32], b: &[f32]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let pairs = a.iter().zip(b);
    pairs
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs())
        .fold(0.0, worst)
}

fn log_prob(logits: &[f32], token: usize) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let most = f64::from(most);
    let sum: f64 = logits.iter().map(|x| (f64::from(*x) - most).exp()).sum();
    f64::from(logits[token]) - most - sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lora::backend::Adapter,
        training::{site::Site, words::Module},
    };

    #[test]
    fn an_adapter_that_was_never_moved_is_refused() {
        let site = Site {
            layer: 0,
            module: Module::Q,
        };
        let mut adapter = Adapter {
            rank: 1,
            scale: 1.0,
            a: vec![1.0, 2.0],
            b: vec![0.0, 0.0],
        };
        let of = |adapter: &Adapter| Adapters::from([(site, adapter.clone())]);
        let refused = learned(&of(&adapter)).unwrap_err();
        assert!(refused.text.starts_with("nothing was learned"));
        adapter.b[1] = 1e-9;
        assert!(learned(&of(&adapter)).is_ok());
        assert!(learned(&Adapters::new()).is_err(), "nor is none an adapter");
    }

    #[test]
    fn differences_are_the_largest_and_what_is_no_number_is_seen() {
        assert_eq!(max_abs(&[1.0, 2.0], &[1.5, 0.0]), 2.0);
        assert!(max_abs(&[1.0, f32::NAN], &[1.0, 1.0]).is_nan());
        assert_eq!(max_abs(&[1.0], &[]), f64::INFINITY);
        let half = log_prob(&[3.0, 3.0], 0);
        assert!((half - 0.5_f64.ln()).abs() < 1e-12, "{half}");
    }
}
