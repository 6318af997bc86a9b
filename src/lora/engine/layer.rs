//! One layer of a decoder, forward and backward: a norm, attention, the residual; a norm, the gated block, the residual.

use super::{
    super::{
        backend::{Backend, Done, Heads, Level, Part, Use},
        decoder::Decoder,
    },
    Pass,
    memory::{Saved, Work, exchange},
    shapes::Low,
};
use crate::training::words::Module;

/// Projection groups of a layer, in the order in which they are computed.
pub const GROUPS: usize = 4;
/// Queries, keys and values: they read the same x.
pub const QKV: usize = 0;
/// Attention's output.
pub const O: usize = 1;
/// Gate and up.
pub const GATE_UP: usize = 2;
/// Down.
pub const DOWN: usize = 3;

/// The modules of each group, in the order of their columns.
pub const MODULES: [&[Module]; GROUPS] = [
    &[Module::Q, Module::K, Module::V],
    &[Module::O],
    &[Module::Gate, Module::Up],
    &[Module::Down],
];

/// One layer on a machine.
pub struct Layer<B: Backend> {
    /// The shape of its attention.
    pub heads: Heads,
    /// Projection groups.
    pub groups: [B::Linear; GROUPS],
    /// The sum of the ranks of each group; 0: nothing of it is trained.
    pub ranks: [usize; GROUPS],
    /// Gain of the first norm, `[H]`.
    pub gain: B::Buffer,
    /// Of the second, `[H]`.
    pub mid_gain: B::Buffer,
    /// Of the norm of each query head and of each key head, `[head_dim]`.
    pub head_gains: Option<[B::Buffer; 2]>,
}

/// What a layer's tokens attend to.
pub enum Attention<'a, B: Backend> {
    /// Their own documents.
    Whole,
    /// The same; keys and values go into a cache [n, capacity, 2 * keys].
    Fill {
        /// Tokens that it has room for.
        capacity: usize,
        /// Of this layer.
        cache: &'a mut B::Buffer,
    },
    /// A cache: each token is the next of a sequence.
    Cached {
        /// Tokens that are there.
        lengths: &'a [usize],
        /// Tokens that it has room for.
        capacity: usize,
        /// Of this layer.
        cache: &'a mut B::Buffer,
    },
}

impl<B: Backend> Layer<B> {
    /// What its groups need beside the rows they read and make.
    pub fn low(&self, backend: &B) -> Low {
        Low {
            ranks: self.ranks,
            tails: [QKV, O, GATE_UP, DOWN].map(|group| backend.tail(&self.groups[group])),
        }
    }

    /// From `work.x` to `work.x`; what `saved` is to keep of the way is kept in it.
    #[allow(clippy::too_many_arguments, reason = "a layer has no state of a pass")]
    pub fn forward(
        &self,
        backend: &B,
        decoder: &Decoder,
        pass: &Pass<B>,
        attention: Attention<'_, B>,
        saved: &mut Saved<B>,
        work: &mut Work<B>,
    ) -> Done {
        let (m, hidden, epsilon) = (pass.m, decoder.hidden, decoder.epsilon);
        let (kept, all) = (
            saved.level.is_some(),
            saved.level == Some(Level::Everything),
        );
        let k = &mut saved.kept;
        if kept {
            backend.copy(&work.x, m * hidden, &mut k.x)?;
        }
        exchange(all, &mut k.normed, &mut work.normed);
        let (rstd, normed) = (&mut k.rstd, &mut work.normed);
        backend.norm(&work.x, &self.gain, m, hidden, epsilon, rstd, normed)?;
        self.attend(backend, decoder, pass, attention, saved, work)?;
        exchange(all, &mut saved.kept.normed, &mut work.normed);
        self.project(
            backend,
            O,
            pass,
            &saved.kept.out,
            &mut saved.h[O],
            true,
            &mut work.x,
        )?;
        let Saved { kept: k, h, .. } = saved;
        if kept {
            backend.copy(&work.x, m * hidden, &mut k.mid)?;
        }
        exchange(all, &mut k.mid_normed, &mut work.normed);
        let (rstd, normed) = (&mut k.mid_rstd, &mut work.normed);
        backend.norm(&work.x, &self.mid_gain, m, hidden, epsilon, rstd, normed)?;
        let (h_gate_up, gu) = (&mut h[GATE_UP], &mut k.gu);
        self.project(backend, GATE_UP, pass, &work.normed, h_gate_up, false, gu)?;
        exchange(all, &mut k.mid_normed, &mut work.normed);
        exchange(all, &mut k.act, &mut work.act);
        backend.swiglu(&k.gu, m, decoder.intermediate, &mut work.act)?;
        let (h_down, x) = (&mut h[DOWN], &mut work.x);
        self.project(backend, DOWN, pass, &work.act, h_down, true, x)?;
        exchange(all, &mut k.act, &mut work.act);
        Ok(())
    }

    /// y = (or += with `residual`) one group of x.
    #[allow(clippy::too_many_arguments, reason = "a layer has no state of a pass")]
    fn project(
        &self,
        backend: &B,
        group: usize,
        pass: &Pass<B>,
        x: &B::Buffer,
        h: &mut B::Buffer,
        residual: bool,
        y: &mut B::Buffer,
    ) -> Done {
        let linear = &self.groups[group];
        backend.forward(linear, &pass.placed, &pass.used, x, pass.m, h, residual, y)
    }

    /// Queries, keys and values of `work.normed`, and what attention makes of them, in `kept.out`.
    fn attend(
        &self,
        backend: &B,
        decoder: &Decoder,
        pass: &Pass<B>,
        attention: Attention<'_, B>,
        saved: &mut Saved<B>,
        work: &Work<B>,
    ) -> Done {
        let (heads, m, Saved { kept: k, h, .. }) = (&self.heads, pass.m, saved);
        let h = &mut h[QKV];
        match &self.head_gains {
            None => self.project(backend, QKV, pass, &work.normed, h, false, &mut k.qkv)?,
            Some([query, key]) => {
                self.project(backend, QKV, pass, &work.normed, h, false, &mut k.raw)?;
                backend.copy(&k.raw, m * heads.columns(), &mut k.qkv)?;
                for (part, gain, rstd) in [
                    (Part::Queries, query, &mut k.query_rstd),
                    (Part::Keys, key, &mut k.key_rstd),
                ] {
                    let epsilon = decoder.epsilon;
                    backend.head_norm(heads, part, &k.raw, gain, m, epsilon, rstd, &mut k.qkv)?;
                }
            }
        }
        backend.rope(heads, &decoder.rope, &pass.placed, m, false, &mut k.qkv)?;
        match attention {
            Attention::Cached {
                lengths,
                capacity,
                cache,
            } => backend.attend_cached(heads, &k.qkv, lengths, capacity, cache, &mut k.out),
            Attention::Whole => {
                backend.attend(heads, &pass.placed, &k.qkv, m, &mut k.lse, &mut k.out)
            }
            Attention::Fill { capacity, cache } => {
                backend.fill_cache(heads, &pass.placed, &k.qkv, capacity, cache)?;
                backend.attend(heads, &pass.placed, &k.qkv, m, &mut k.lse, &mut k.out)
            }
        }
    }

    /// The gradient of the layer's output becomes that of its input, in `work.d`; gradients of adapters are added.
    /// `last` is the group below which nothing is trained: there it ends.
    pub fn backward(
        &mut self,
        backend: &B,
        decoder: &Decoder,
        pass: &Pass<B>,
        last: Option<usize>,
        saved: &mut Saved<B>,
        work: &mut Work<B>,
    ) -> Done {
        let ends = [Self::backward_block, Self::backward_attention];
        for half in ends {
            if half(self, backend, decoder, pass, last, saved, work)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether a pass teaches a group anything: the way back then reads what the group read.
    fn learns(&self, group: usize, pass: &Pass<B>) -> bool {
        self.ranks[group] > 0 && !Use::is_none(&pass.used)
    }

    /// The way back through one group, from `dy` to `dx`; whether it ends there.
    #[allow(clippy::too_many_arguments, reason = "a layer has no state of a pass")]
    fn unproject(
        &mut self,
        backend: &B,
        group: usize,
        pass: &Pass<B>,
        last: Option<usize>,
        x: &B::Buffer,
        h: &B::Buffer,
        dy: &B::Buffer,
        dx: &mut B::Buffer,
    ) -> Done<bool> {
        let ends = last == Some(group);
        let dx = (!ends).then_some(dx);
        let linear = &mut self.groups[group];
        backend.backward(linear, &pass.placed, &pass.used, x, h, dy, pass.m, dx)?;
        Ok(ends)
    }

    /// The way back through a group that reads normed rows, and through their norm; whether it ends there. Rows that were not
    /// kept are made again.
    #[allow(clippy::too_many_arguments, reason = "a layer has no state of a pass")]
    fn unproject_normed(
        &mut self,
        backend: &B,
        decoder: &Decoder,
        group: usize,
        pass: &Pass<B>,
        last: Option<usize>,
        saved: &mut Saved<B>,
        work: &mut Work<B>,
    ) -> Done<bool> {
        let (m, hidden, epsilon) = (pass.m, decoder.hidden, decoder.epsilon);
        let all = saved.level == Some(Level::Everything);
        let Saved { kept: k, h, .. } = saved;
        let (x, rstd, kept, dy) = match group {
            QKV => (&k.x, &mut k.rstd, &mut k.normed, &work.d_qkv),
            _ => (&k.mid, &mut k.mid_rstd, &mut k.mid_normed, &k.gu),
        };
        if self.learns(group, pass) && !all {
            let gain = self.gain_before(group);
            backend.norm(x, gain, m, hidden, epsilon, rstd, &mut work.normed)?;
        }
        exchange(all, kept, &mut work.normed);
        let (normed, h, dx) = (&work.normed, &h[group], &mut work.d_normed);
        let ends = self.unproject(backend, group, pass, last, normed, h, dy, dx)?;
        exchange(all, kept, &mut work.normed);
        if !ends {
            let (gain, dy) = (self.gain_before(group), &work.d_normed);
            backend.norm_backward(x, gain, rstd, dy, m, hidden, &mut work.d)?;
        }
        Ok(ends)
    }

    /// Gain of the norm that a group reads.
    fn gain_before(&self, group: usize) -> &B::Buffer {
        match group {
            QKV => &self.gain,
            _ => &self.mid_gain,
        }
    }

    /// The feed-forward block; whether the way back ends in it. What a group read is made again only where it is trained.
    fn backward_block(
        &mut self,
        backend: &B,
        decoder: &Decoder,
        pass: &Pass<B>,
        last: Option<usize>,
        saved: &mut Saved<B>,
        work: &mut Work<B>,
    ) -> Done<bool> {
        let (m, wide) = (pass.m, decoder.intermediate);
        let all = saved.level == Some(Level::Everything);
        let Saved { kept: k, h, .. } = &mut *saved;
        if self.learns(DOWN, pass) && !all {
            backend.swiglu(&k.gu, m, wide, &mut work.act)?;
        }
        exchange(all, &mut k.act, &mut work.act);
        let (act, d_act) = (&work.act, &mut work.d_act);
        let ends = self.unproject(backend, DOWN, pass, last, act, &h[DOWN], &work.d, d_act)?;
        exchange(all, &mut k.act, &mut work.act);
        if ends {
            return Ok(true);
        }
        backend.swiglu_backward(&work.d_act, m, wide, &mut k.gu)?;
        self.unproject_normed(backend, decoder, GATE_UP, pass, last, saved, work)
    }

    /// Attention; whether the way back ends in it.
    fn backward_attention(
        &mut self,
        backend: &B,
        decoder: &Decoder,
        pass: &Pass<B>,
        last: Option<usize>,
        saved: &mut Saved<B>,
        work: &mut Work<B>,
    ) -> Done<bool> {
        let (m, heads) = (pass.m, self.heads);
        let Saved { kept: k, h, .. } = &mut *saved;
        if self.unproject(
            backend,
            O,
            pass,
            last,
            &k.out,
            &h[O],
            &work.d,
            &mut work.d_out,
        )? {
            return Ok(true);
        }
        let (d_out, d_qkv) = (&work.d_out, &mut work.d_qkv);
        backend.attend_backward(
            &heads,
            &pass.placed,
            &k.qkv,
            &k.lse,
            &k.out,
            d_out,
            m,
            d_qkv,
        )?;
        backend.rope(&heads, &decoder.rope, &pass.placed, m, true, d_qkv)?;
        if let Some([query, key]) = &self.head_gains {
            for (part, gain, rstd) in [
                (Part::Queries, query, &k.query_rstd),
                (Part::Keys, key, &k.key_rstd),
            ] {
                backend.head_norm_backward(&heads, part, &k.raw, gain, rstd, m, d_qkv)?;
            }
        }
        self.unproject_normed(backend, decoder, QKV, pass, last, saved, work)
    }
}
