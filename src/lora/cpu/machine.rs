//! The processor as a [`Backend`].

use super::{Cpu, Linear, adapters::Trained, rope::Angles};
use crate::lora::{
    backend::{
        AdamStep, Adapter, Backend, Done, Heads, Member, Moments, Pair, Part, Projection, Rope,
        Shape, Trouble, Use,
    },
    batch::Batch,
};
use std::sync::OnceLock;

/// A batch, and the angles of its positions once they have been asked for.
pub struct Placed {
    batch: Batch,
    angles: OnceLock<Angles>,
}

impl Backend for Cpu {
    type Buffer = Vec<f32>;
    type Placed = Placed;
    type Linear = Linear;

    fn zeros(&self, shape: Shape) -> Done<Self::Buffer> {
        Ok(vec![0.0; shape.len()])
    }

    fn put(&self, _: Shape, numbers: &[f32]) -> Done<Self::Buffer> {
        Ok(numbers.to_vec())
    }

    fn get(&self, buffer: &Self::Buffer, len: usize) -> Done<Vec<f32>> {
        Ok(buffer[..len].to_vec())
    }

    fn copy(&self, from: &Self::Buffer, len: usize, to: &mut Self::Buffer) -> Done {
        to[..len].copy_from_slice(&from[..len]);
        Ok(())
    }

    fn add(&self, x: &Self::Buffer, len: usize, acc: &mut Self::Buffer) -> Done {
        let share = len.div_ceil(self.threads()).max(1);
        let parts = acc[..len].chunks_mut(share).zip(x[..len].chunks(share));
        self.each(parts.collect(), |(acc, x)| {
            acc.iter_mut().zip(x).for_each(|(acc, x)| *acc += x);
        });
        Ok(())
    }

    fn place(&self, batch: &Batch) -> Done<Self::Placed> {
        Ok(Placed {
            batch: batch.clone(),
            angles: OnceLock::new(),
        })
    }

    fn linear(&self, site: u32, group: Vec<Projection>) -> Done<Self::Linear> {
        Linear::new(site, group).map_err(Trouble)
    }

    fn forward(
        &self,
        linear: &Self::Linear,
        batch: &Self::Placed,
        used: &[Use],
        x: &Self::Buffer,
        m: usize,
        h: &mut Self::Buffer,
        accumulate: bool,
        y: &mut Self::Buffer,
    ) -> Done {
        self.linear_forward(linear, &batch.batch, used, x, m, h, accumulate, y);
        Ok(())
    }

    fn backward(
        &self,
        linear: &mut Self::Linear,
        batch: &Self::Placed,
        used: &[Use],
        x: &Self::Buffer,
        h: &Self::Buffer,
        dy: &Self::Buffer,
        m: usize,
        dx: Option<&mut Self::Buffer>,
    ) -> Done {
        self.linear_backward(
            linear,
            &batch.batch,
            used,
            x,
            h,
            dy,
            m,
            dx.map(Vec::as_mut_slice),
        );
        Ok(())
    }

    fn adapters(&self, linear: &Self::Linear, member: usize) -> Done<Vec<Option<Adapter>>> {
        Ok(linear.of(member, |trained| trained.adapter.clone()))
    }

    fn gradients(&self, linear: &Self::Linear, member: usize) -> Done<Vec<Option<Pair>>> {
        Ok(linear.of(member, |trained| trained.gradient.clone()))
    }

    fn moments(&self, linear: &Self::Linear, member: usize) -> Done<Vec<Option<Moments>>> {
        Ok(linear.of(member, |trained| trained.moments.clone()))
    }

    fn equip(&self, linear: &mut Self::Linear, members: &[Member]) -> Done {
        linear.equip(members).map_err(Trouble)
    }

    fn clear(&self, groups: &mut [&mut Self::Linear], member: usize) -> Done {
        let all = groups.iter_mut().flat_map(|group| group.each_mut(member));
        all.for_each(Trained::clear);
        Ok(())
    }

    fn squares(&self, groups: &[&Self::Linear], member: usize) -> Done<f64> {
        let of = |group: &&Linear| group.each(member).map(Trained::squares).sum::<f64>();
        Ok(groups.iter().map(of).sum())
    }

    fn adamw(&self, groups: &mut [&mut Self::Linear], member: usize, step: &AdamStep) -> Done {
        let all = groups.iter_mut().flat_map(|group| group.each_mut(member));
        all.for_each(|trained| trained.adamw(step));
        Ok(())
    }

    fn embed(
        &self,
        table: &Self::Buffer,
        batch: &Self::Placed,
        h: usize,
        x: &mut Self::Buffer,
    ) -> Done {
        let rows = table.len() / h.max(1);
        if let Some(id) = batch.batch.ids.iter().find(|&&id| id as usize >= rows) {
            return Err(Trouble(format!(
                "token {id} is not among the {rows} of the vocabulary"
            )));
        }
        self.embed_rows(table, &batch.batch, h, x);
        Ok(())
    }

    fn norm(
        &self,
        x: &Self::Buffer,
        gain: &Self::Buffer,
        m: usize,
        h: usize,
        epsilon: f32,
        rstd: &mut Self::Buffer,
        y: &mut Self::Buffer,
    ) -> Done {
        self.norm_rows(x, gain, m, h, epsilon, rstd, y);
        Ok(())
    }

    fn norm_backward(
        &self,
        x: &Self::Buffer,
        gain: &Self::Buffer,
        rstd: &Self::Buffer,
        dy: &Self::Buffer,
        m: usize,
        h: usize,
        acc: &mut Self::Buffer,
    ) -> Done {
        self.norm_rows_backward(x, gain, rstd, dy, m, h, acc);
        Ok(())
    }

    fn head_norm(
        &self,
        heads: &Heads,
        part: Part,
        raw: &Self::Buffer,
        gain: &Self::Buffer,
        m: usize,
        epsilon: f32,
        rstd: &mut Self::Buffer,
        qkv: &mut Self::Buffer,
    ) -> Done {
        self.head_norm_rows(heads, part, raw, gain, m, epsilon, rstd, qkv);
        Ok(())
    }

    fn head_norm_backward(
        &self,
        heads: &Heads,
        part: Part,
        raw: &Self::Buffer,
        gain: &Self::Buffer,
        rstd: &Self::Buffer,
        m: usize,
        d: &mut Self::Buffer,
    ) -> Done {
        self.head_norm_rows_backward(heads, part, raw, gain, rstd, m, d);
        Ok(())
    }

    fn rope(
        &self,
        heads: &Heads,
        rope: &Rope,
        batch: &Self::Placed,
        m: usize,
        back: bool,
        qkv: &mut Self::Buffer,
    ) -> Done {
        let angles = batch.angles.get_or_init(|| Angles::new(rope, &batch.batch));
        match angles.are_of(rope) {
            true => self.rotate_rows(heads, angles, &batch.batch, m, back, qkv),
            false => {
                let angles = Angles::new(rope, &batch.batch);
                self.rotate_rows(heads, &angles, &batch.batch, m, back, qkv);
            }
        }
        Ok(())
    }

    fn attend(
        &self,
        heads: &Heads,
        batch: &Self::Placed,
        qkv: &Self::Buffer,
        m: usize,
        lse: &mut Self::Buffer,
        out: &mut Self::Buffer,
    ) -> Done {
        debug_assert_eq!(m, batch.batch.tokens(), "attention is about whole batches");
        self.attend_rows(heads, &batch.batch, qkv, lse, out);
        Ok(())
    }

    fn attend_backward(
        &self,
        heads: &Heads,
        batch: &Self::Placed,
        qkv: &Self::Buffer,
        lse: &Self::Buffer,
        out: &Self::Buffer,
        dout: &Self::Buffer,
        m: usize,
        dqkv: &mut Self::Buffer,
    ) -> Done {
        debug_assert_eq!(m, batch.batch.tokens(), "attention is about whole batches");
        self.attend_rows_backward(heads, &batch.batch, qkv, lse, out, dout, dqkv);
        Ok(())
    }

    fn attend_cached(
        &self,
        heads: &Heads,
        qkv: &Self::Buffer,
        lengths: &[usize],
        capacity: usize,
        cache: &mut Self::Buffer,
        out: &mut Self::Buffer,
    ) -> Done {
        self.attend_last(heads, qkv, lengths, capacity, cache, out);
        Ok(())
    }

    fn fill_cache(
        &self,
        heads: &Heads,
        batch: &Self::Placed,
        qkv: &Self::Buffer,
        capacity: usize,
        cache: &mut Self::Buffer,
    ) -> Done {
        self.fill_rows(heads, &batch.batch, qkv, capacity, cache);
        Ok(())
    }

    fn swiglu(&self, gu: &Self::Buffer, m: usize, f: usize, act: &mut Self::Buffer) -> Done {
        self.swiglu_rows(gu, m, f, act);
        Ok(())
    }

    fn swiglu_backward(
        &self,
        dact: &Self::Buffer,
        m: usize,
        f: usize,
        gu: &mut Self::Buffer,
    ) -> Done {
        self.swiglu_rows_backward(dact, m, f, gu);
        Ok(())
    }

    fn gather(
        &self,
        batch: &Self::Placed,
        x: &Self::Buffer,
        h: usize,
        out: &mut Self::Buffer,
    ) -> Done {
        self.gather_rows(&batch.batch, x, h, out);
        Ok(())
    }

    fn scatter(
        &self,
        batch: &Self::Placed,
        d: &Self::Buffer,
        m: usize,
        h: usize,
        dx: &mut Self::Buffer,
    ) -> Done {
        self.scatter_rows(&batch.batch, d, m, h, dx);
        Ok(())
    }

    fn head(
        &self,
        head: &Self::Linear,
        batch: &Self::Placed,
        x: &Self::Buffer,
        losses: &mut Self::Buffer,
        gradient: Option<(&[f32], &mut Self::Buffer)>,
    ) -> Done {
        let rows = head.outputs();
        if let Some(id) = batch.batch.targets.iter().find(|&&id| id as usize >= rows) {
            return Err(Trouble(format!(
                "target {id} is not among the {rows} of the vocabulary"
            )));
        }
        let gradient = gradient.map(|(weights, dx)| (weights, dx.as_mut_slice()));
        self.head_rows(head, &batch.batch, x, losses, gradient);
        Ok(())
    }
}
