//! What a measurement asks of an engine, beside training: the same step without adapters, an end to wait for, and memory.

use super::{
    super::{
        backend::{Backend, Done},
        batch::Batch,
    },
    Engine,
};

impl<B: Backend> Engine<B> {
    /// The step of [`learn`](Self::learn) with the adapters off: forward, and the gradient back to where the lowest adapter
    /// sits, but nothing learned and nothing made again that only learning reads. What training costs beyond it is the price
    /// of the adapters. Returns the sum of the token losses in nats.
    ///
    /// # Errors
    /// Those of [`learn`](Self::learn).
    pub fn pass_through(&mut self, batch: &Batch, weight: f32) -> Done<f64> {
        let pass = self.pass(batch, &[])?;
        self.forward(&pass, true)?;
        let losses = self.head(&pass, Some(&vec![weight; pass.s]))?;
        self.backward(&pass)?;
        Ok(losses.iter().copied().map(f64::from).sum())
    }

    /// Waits until all that was asked for is computed: a machine may be behind its caller, but not when it is read from.
    ///
    /// # Errors
    /// The machine's own.
    pub fn finish(&self) -> Done {
        self.backend.get(&self.gain, 1).map(drop)
    }

    /// The most bytes of its own memory that the machine has had in use, where it counts them.
    pub fn peak_bytes(&self) -> Option<u64> {
        self.backend.peak_bytes()
    }
}
