//! A member of a halved sweep at a rung: what it has to show there, and its end where it does not go on.

use super::{
    look::Seen,
    member::{Halt, Member, Tell},
};
use crate::{
    lora::{backend::Backend, engine::Engine},
    training::stopping::Look,
    worker::Undone,
};

/// The end of a member that did not go on from a rung. Until there nothing that it computed depends on the others.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    /// The step where it ends.
    pub step: u64,
    /// A sentence about it.
    pub why: String,
}

/// What a member has to show at a rung.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    /// Steps done by the look that counts.
    pub step: u64,
    /// Mean loss on the holdout; not finite where its numbers are none.
    pub loss: f64,
    /// Whether it has ended by itself.
    pub over: bool,
}

impl Member<'_> {
    /// Whether it waits for the others of its rung.
    pub fn waits(&self) -> bool {
        self.rung.is_some_and(|rung| self.state.step >= rung)
    }

    /// What it has to show at a rung: the look after this step, which is not counted as one of its own; where it is enough,
    /// its best look; where its numbers stopped it, none.
    ///
    /// # Errors
    /// Those of the machine.
    pub fn shown<B: Backend>(&mut self, engine: &mut Engine<B>) -> Result<Shown, Undone> {
        let (step, over) = (self.state.step, self.is_done());
        let none = Shown {
            step,
            loss: f64::NAN,
            over,
        };
        if self.stopped.is_some() {
            return Ok(none);
        }
        if let Some(Look { step, loss }) = self.state.stopping.best.filter(|_| self.is_enough()) {
            return Ok(Shown { step, loss, over });
        }
        let seen = self.see(engine)?;
        Ok(seen.map_or(none, |Seen { loss, .. }| Shown { loss, ..none }))
    }

    /// Ends it at the rung where it was left out, as the last planned step would end it: with a look and a checkpoint. Does
    /// nothing before that step, nor where it was done.
    ///
    /// # Errors
    /// Those of [`look`](Self::look) and of files.
    pub fn end_at_rung<B: Backend>(
        &mut self,
        engine: &mut Engine<B>,
        tell: Tell<'_>,
    ) -> Result<(), Halt> {
        let Some(left_out) = &self.left_out else {
            return Ok(());
        };
        let here = left_out.step == self.state.step;
        if !here || self.state.left_out || self.stopped.is_some() {
            return Ok(());
        }
        // A look that was due without the rung was taken.
        if !self.is_look_due(self.prepared.plan.steps()) {
            self.look(engine, tell)?;
        }
        Ok(self.save(engine, tell)?)
    }
}
