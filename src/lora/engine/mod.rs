//! A decoder with adapters on a machine: which operations are done in which order, forward and backward.
//!
//! Nothing here knows which machine it is. Of the way forward only what is dear to make again is kept; norms and the
//! activation of the feed-forward block are computed again. Nothing below the lowest adapter is propagated to, and the loss
//! head sees supervised rows only.

mod decode;
mod fresh;
mod layer;
mod load;
mod measure;
mod memory;
mod prefer;
pub mod shapes;
#[cfg(test)]
mod tests;
mod trained;

use super::{
    backend::{Adapter, Backend, Done, Kind, Level, Moments, Shape, Trouble, Use},
    batch::Batch,
    decoder::{Decoder, Tensors},
};
use crate::training::site::Site;
use layer::{Attention, Layer};
use memory::Memory;
use std::collections::BTreeMap;

pub use fresh::fresh;
pub use layer::MODULES;
pub use prefer::{Preference, Stake};

/// The adapters of a model, by where they sit.
pub type Adapters = BTreeMap<Site, Adapter>;

/// What AdamW keeps of them.
pub type AllMoments = BTreeMap<Site, Moments>;

/// A decoder with adapters, on a machine.
pub struct Engine<B: Backend> {
    backend: B,
    decoder: Decoder,
    table: B::Buffer,
    layers: Vec<Layer<B>>,
    gain: B::Buffer,
    head: B::Linear,
    memory: Memory<B>,
    /// Members of the pack.
    members: usize,
}

/// A batch on its way through the layers.
struct Pass<B: Backend> {
    placed: B::Placed,
    /// Tokens.
    m: usize,
    /// Supervised rows.
    s: usize,
    /// How each member takes part.
    used: Vec<Use>,
}

impl<B: Backend> Engine<B> {
    /// Loads a model, and adapters for it; there may be none.
    ///
    /// # Errors
    /// A tensor is missing or of another size, an adapter does not fit, the machine has no room.
    pub fn new(
        backend: B,
        decoder: &Decoder,
        tensors: &dyn Tensors,
        adapters: &Adapters,
    ) -> Done<Self> {
        Self::packed(backend, decoder, tensors, std::slice::from_ref(adapters))
    }

    /// Loads a model once for several fine-tunes, each with adapters of its own. On a machine whose numbers of a row do not depend
    /// on how many rows there are, one learns bit for bit what it learns alone, whoever else is in the pack.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn packed(
        backend: B,
        decoder: &Decoder,
        tensors: &dyn Tensors,
        members: &[Adapters],
    ) -> Done<Self> {
        load::engine(backend, decoder, tensors, members)
    }

    /// How much of the way forward is kept from now on; no result depends on it.
    pub fn keep(&mut self, level: Level) {
        self.memory.level = level;
    }

    /// Room for batches of so many tokens and supervised rows, and for their way back.
    ///
    /// # Errors
    /// The machine has not as much.
    pub fn reserve(&mut self, tokens: usize, supervised: usize) -> Done {
        let lowest = trained::lowest(&self.layers).map(|(layer, _)| layer);
        let (memory, sizes) = (&mut self.memory, [tokens, supervised]);
        memory.hold(&self.backend, &self.decoder, &self.layers, sizes, lowest)
    }

    /// Learns from a batch: adds the gradient of `weight` times the sum of its token losses, and returns that sum in nats,
    /// without the weight. A step's weight is 1 / the supervised tokens of all its batches.
    ///
    /// # Errors
    /// The batch does not fit the model; the machine's own.
    pub fn learn(&mut self, batch: &Batch, weight: f32, used: Use) -> Done<f64> {
        let weights = vec![weight; batch.supervised.len()];
        let losses = self.learn_packed(batch, &weights, &self.all(used))?;
        Ok(losses.iter().copied().map(f64::from).sum())
    }

    /// Learns from a batch of several members: adds the gradient of the token losses times their weights, `[S]`, to those of the
    /// members whose rows they are, and returns the losses in nats, `[S]`. `used` says by member how it takes part.
    ///
    /// # Errors
    /// Those of [`learn`](Self::learn).
    pub fn learn_packed(&mut self, batch: &Batch, weights: &[f32], used: &[Use]) -> Done<Vec<f32>> {
        let pass = self.pass(batch, used)?;
        self.forward(&pass, true)?;
        let losses = self.head(&pass, Some(weights))?;
        if !Use::is_none(used) {
            self.backward(&pass)?;
        }
        Ok(losses)
    }

    /// The loss of each supervised row in nats, `[S]`. Leaves gradients alone.
    ///
    /// # Errors
    /// Those of [`learn`](Self::learn).
    pub fn losses(&mut self, batch: &Batch, used: Use) -> Done<Vec<f32>> {
        let pass = self.pass(batch, &self.all(used))?;
        self.forward(&pass, false)?;
        self.head(&pass, None)
    }

    /// Every member takes part in the same way.
    fn all(&self, used: Use) -> Vec<Use> {
        vec![used; self.members]
    }

    /// The logits of every token, [M, V].
    ///
    /// # Errors
    /// Those of [`learn`](Self::learn).
    pub fn logits(&mut self, batch: &Batch, used: Use) -> Done<Vec<f32>> {
        let everything = Batch {
            supervised: (0..batch.tokens() as u32).collect(),
            targets: vec![0; batch.tokens()],
            ..batch.clone()
        };
        let pass = self.pass(&everything, &self.all(used))?;
        self.forward(&pass, false)?;
        self.make_logits(&pass)?;
        let len = pass.s * self.decoder.vocabulary;
        self.backend.get(&self.memory.work.logits, len)
    }

    /// Puts a batch on the machine, once it is sure that the model can read it.
    fn pass(&self, batch: &Batch, used: &[Use]) -> Done<Pass<B>> {
        let Decoder {
            vocabulary,
            context,
            ..
        } = self.decoder;
        let read = batch.ids.iter().chain(&batch.targets);
        if let Some(id) = read.copied().find(|&id| id as usize >= vocabulary) {
            return Err(Trouble(format!(
                "token {id} is not among the model's {vocabulary}"
            )));
        }
        let position = batch.positions.iter().max();
        if let Some(position) = position.filter(|&&position| position as usize >= context) {
            return Err(Trouble(format!(
                "a row has more than the {context} positions that the model knows: {}",
                position + 1
            )));
        }
        Ok(Pass {
            placed: self.backend.place(batch)?,
            m: batch.tokens(),
            s: batch.supervised.len(),
            used: used.to_vec(),
        })
    }

    /// From tokens to the last hidden states, in `memory.work.x`. What the way back needs is kept if it is asked for.
    fn forward(&mut self, pass: &Pass<B>, keep: bool) -> Done {
        let lowest = match keep {
            true => trained::lowest(&self.layers).map(|(layer, _)| layer),
            false => None,
        };
        if lowest.is_none() {
            self.memory.lend();
        }
        let (memory, sizes) = (&mut self.memory, [pass.m, pass.s]);
        memory.hold(&self.backend, &self.decoder, &self.layers, sizes, lowest)?;
        // A layer that is made again on the way back keeps nothing on the way forward.
        memory.passing.level = None;
        let hidden = self.decoder.hidden;
        let x = &mut self.memory.work.x;
        self.backend.embed(&self.table, &pass.placed, hidden, x)?;
        for (at, layer) in self.layers.iter().enumerate() {
            let kept = lowest.is_some_and(|lowest| at >= lowest);
            let memory = &mut self.memory;
            let saved = match (kept, memory.level) {
                (true, Level::Layer) => {
                    let x = &mut memory.saved[at].kept.x;
                    self.backend.copy(&memory.work.x, pass.m * hidden, x)?;
                    &mut memory.passing
                }
                (true, _) => &mut memory.saved[at],
                (false, _) => &mut memory.passing,
            };
            let (backend, work) = (&self.backend, &mut memory.work);
            layer.forward(backend, &self.decoder, pass, Attention::Whole, saved, work)?;
        }
        if lowest.is_none() {
            self.memory.lend();
        }
        self.enter_head(pass)
    }

    /// Supervised rows of the last hidden states, normalised.
    fn enter_head(&mut self, pass: &Pass<B>) -> Done {
        let (work, decoder) = (&mut self.memory.work, &self.decoder);
        let hidden = decoder.hidden;
        self.backend
            .gather(&pass.placed, &work.x, hidden, &mut work.rows)?;
        self.backend.norm(
            &work.rows,
            &self.gain,
            pass.s,
            hidden,
            decoder.epsilon,
            &mut work.row_rstd,
            &mut work.normed_rows,
        )
    }

    /// The losses of supervised rows; with weights, their gradients too.
    fn head(&mut self, pass: &Pass<B>, weights: Option<&[f32]>) -> Done<Vec<f32>> {
        let work = &mut self.memory.work;
        let gradient = weights.map(|weights| (weights, &mut *work.d_normed_rows));
        self.backend.head(
            &self.head,
            &pass.placed,
            &work.normed_rows,
            &mut work.losses,
            gradient,
        )?;
        self.backend.get(&work.losses, pass.s)
    }

    /// The logits of supervised rows, [S, V], in `memory.work.logits`.
    fn make_logits(&mut self, pass: &Pass<B>) -> Done {
        let (work, backend) = (&mut self.memory.work, &self.backend);
        let shape = Shape {
            kind: Kind::Logit,
            ..Shape::of(pass.s, self.decoder.vocabulary)
        };
        work.logits.hold(backend, shape)?;
        backend.forward(
            &self.head,
            &pass.placed,
            &[],
            &work.normed_rows,
            pass.s,
            &mut work.no_ranks,
            false,
            &mut work.logits,
        )
    }

    /// From the gradient of the head's rows down to the lowest adapter.
    fn backward(&mut self, pass: &Pass<B>) -> Done {
        let Some((lowest, group)) = trained::lowest(&self.layers) else {
            return Ok(());
        };
        self.leave_head(pass)?;
        let (backend, decoder) = (&self.backend, &self.decoder);
        let Memory {
            saved,
            passing,
            work,
            level,
        } = &mut self.memory;
        passing.level = Some(Level::Selective);
        let layers = self.layers.iter_mut().zip(saved);
        for (at, (layer, mut saved)) in layers.enumerate().skip(lowest).rev() {
            let last = (at == lowest).then_some(group);
            if *level == Level::Layer {
                let len = pass.m * decoder.hidden;
                backend.copy(&saved.kept.x, len, &mut work.x)?;
                layer.forward(backend, decoder, pass, Attention::Whole, passing, work)?;
                saved = &mut *passing;
            }
            layer.backward(backend, decoder, pass, last, saved, work)?;
        }
        Ok(())
    }

    /// The gradient of the last hidden states, in `memory.work.d`: 0 in rows that nothing is learned from.
    fn leave_head(&mut self, pass: &Pass<B>) -> Done {
        let (work, backend, hidden) = (&mut self.memory.work, &self.backend, self.decoder.hidden);
        backend.copy(&work.zeros, pass.s * hidden, &mut work.d_rows)?;
        backend.norm_backward(
            &work.rows,
            &self.gain,
            &work.row_rstd,
            &work.d_normed_rows,
            pass.s,
            hidden,
            &mut work.d_rows,
        )?;
        backend.scatter(&pass.placed, &work.d_rows, pass.m, hidden, &mut work.d)
    }
}
