//! The slow, obvious machine: one thread, plain loops, sums in f64. What the fast ones are checked against.

mod attention;
mod linear;
mod rows;
#[cfg(test)]
mod tests;

use super::{
    backend::{
        AdamStep, Adapter, Backend, Done, Heads, Member, Moments, Pair, Part, Projection, Rope,
        Shape, Use,
    },
    batch::Batch,
};
pub use linear::Group;

/// A machine without any state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plain;

/// The inner product, in f64.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
    products.sum()
}

/// sum += factor * row.
fn add_scaled(sum: &mut [f64], factor: f64, row: &[f32]) {
    for (sum, &number) in sum.iter_mut().zip(row) {
        *sum += factor * f64::from(number);
    }
}

/// Rounds a row of sums.
fn round(sums: &[f64], to: &mut [f32]) {
    for (to, &sum) in to.iter_mut().zip(sums) {
        *to = sum as f32;
    }
}

impl Backend for Plain {
    type Buffer = Vec<f32>;
    type Placed = Batch;
    type Linear = Group;

    fn zeros(&self, shape: Shape) -> Done<Vec<f32>> {
        Ok(vec![0.0; shape.len()])
    }

    fn put(&self, _: Shape, numbers: &[f32]) -> Done<Vec<f32>> {
        Ok(numbers.to_vec())
    }

    fn get(&self, buffer: &Vec<f32>, len: usize) -> Done<Vec<f32>> {
        Ok(buffer[..len].to_vec())
    }

    fn copy(&self, from: &Vec<f32>, len: usize, to: &mut Vec<f32>) -> Done {
        to[..len].copy_from_slice(&from[..len]);
        Ok(())
    }

    fn add(&self, x: &Vec<f32>, len: usize, acc: &mut Vec<f32>) -> Done {
        for (acc, x) in acc[..len].iter_mut().zip(&x[..len]) {
            *acc += x;
        }
        Ok(())
    }

    fn place(&self, batch: &Batch) -> Done<Batch> {
        Ok(batch.clone())
    }

    fn linear(&self, site: u32, group: Vec<Projection>) -> Done<Group> {
        Ok(Group::new(site, group))
    }

    fn forward(
        &self,
        linear: &Group,
        batch: &Batch,
        used: &[Use],
        x: &Vec<f32>,
        m: usize,
        h: &mut Vec<f32>,
        accumulate: bool,
        y: &mut Vec<f32>,
    ) -> Done {
        for t in 0..m {
            linear.forward(batch, used, t, x, h, accumulate, y);
        }
        Ok(())
    }

    fn backward(
        &self,
        linear: &mut Group,
        batch: &Batch,
        used: &[Use],
        x: &Vec<f32>,
        h: &Vec<f32>,
        dy: &Vec<f32>,
        m: usize,
        dx: Option<&mut Vec<f32>>,
    ) -> Done {
        if !Use::is_none(used) {
            linear.learn(batch, used, x, h, dy, m);
        }
        if let Some(dx) = dx {
            for t in 0..m {
                linear.backward(batch, used, t, dy, dx);
            }
        }
        Ok(())
    }

    fn adapters(&self, linear: &Group, member: usize) -> Done<Vec<Option<Adapter>>> {
        Ok(linear.adapters(member))
    }

    fn gradients(&self, linear: &Group, member: usize) -> Done<Vec<Option<Pair>>> {
        Ok(linear.gradients(member))
    }

    fn moments(&self, linear: &Group, member: usize) -> Done<Vec<Option<Moments>>> {
        Ok(linear.moments(member))
    }

    fn equip(&self, linear: &mut Group, members: &[Member]) -> Done {
        linear.equip(members);
        Ok(())
    }

    fn clear(&self, groups: &mut [&mut Group], member: usize) -> Done {
        groups.iter_mut().for_each(|group| group.clear(member));
        Ok(())
    }

    fn squares(&self, groups: &[&Group], member: usize) -> Done<f64> {
        Ok(groups.iter().map(|group| group.squares(member)).sum())
    }

    fn adamw(&self, groups: &mut [&mut Group], member: usize, step: &AdamStep) -> Done {
        groups
            .iter_mut()
            .for_each(|group| group.adamw(member, step));
        Ok(())
    }

    fn embed(&self, table: &Vec<f32>, batch: &Batch, h: usize, x: &mut Vec<f32>) -> Done {
        for (x, &id) in x.chunks_exact_mut(h).zip(&batch.ids) {
            x.copy_from_slice(&table[id as usize * h..][..h]);
        }
        Ok(())
    }

    fn norm(
        &self,
        x: &Vec<f32>,
        gain: &Vec<f32>,
        m: usize,
        h: usize,
        epsilon: f32,
        rstd: &mut Vec<f32>,
        y: &mut Vec<f32>,
    ) -> Done {
        for (t, rstd) in rstd[..m].iter_mut().enumerate() {
            let row = t * h..(t + 1) * h;
            *rstd = rows::norm(&x[row.clone()], &gain[..h], epsilon, &mut y[row]);
        }
        Ok(())
    }

    fn norm_backward(
        &self,
        x: &Vec<f32>,
        gain: &Vec<f32>,
        rstd: &Vec<f32>,
        dy: &Vec<f32>,
        m: usize,
        h: usize,
        acc: &mut Vec<f32>,
    ) -> Done {
        for (t, &rstd) in rstd[..m].iter().enumerate() {
            let row = t * h..(t + 1) * h;
            let dx = rows::norm_backward(&x[row.clone()], &gain[..h], rstd, &dy[row.clone()]);
            for (acc, dx) in acc[row].iter_mut().zip(dx) {
                *acc += dx as f32;
            }
        }
        Ok(())
    }

    fn head_norm(
        &self,
        heads: &Heads,
        part: Part,
        raw: &Vec<f32>,
        gain: &Vec<f32>,
        m: usize,
        epsilon: f32,
        rstd: &mut Vec<f32>,
        qkv: &mut Vec<f32>,
    ) -> Done {
        for (at, head) in rows::heads_of(heads, part, m).enumerate() {
            rstd[at] = rows::norm(&raw[head.clone()], gain, epsilon, &mut qkv[head]);
        }
        Ok(())
    }

    fn head_norm_backward(
        &self,
        heads: &Heads,
        part: Part,
        raw: &Vec<f32>,
        gain: &Vec<f32>,
        rstd: &Vec<f32>,
        m: usize,
        d: &mut Vec<f32>,
    ) -> Done {
        for (at, head) in rows::heads_of(heads, part, m).enumerate() {
            let dx = rows::norm_backward(&raw[head.clone()], gain, rstd[at], &d[head.clone()]);
            round(&dx, &mut d[head]);
        }
        Ok(())
    }

    fn rope(
        &self,
        heads: &Heads,
        rope: &Rope,
        batch: &Batch,
        m: usize,
        back: bool,
        qkv: &mut Vec<f32>,
    ) -> Done {
        for part in [Part::Queries, Part::Keys] {
            let per_token = rows::count(heads, part);
            for (at, head) in rows::heads_of(heads, part, m).enumerate() {
                let position = batch.positions[at / per_token];
                rows::rotate(rope, position, back, &mut qkv[head]);
            }
        }
        Ok(())
    }

    fn attend(
        &self,
        heads: &Heads,
        batch: &Batch,
        qkv: &Vec<f32>,
        _m: usize,
        lse: &mut Vec<f32>,
        out: &mut Vec<f32>,
    ) -> Done {
        attention::forward(heads, batch, qkv, lse, out);
        Ok(())
    }

    fn attend_backward(
        &self,
        heads: &Heads,
        batch: &Batch,
        qkv: &Vec<f32>,
        lse: &Vec<f32>,
        out: &Vec<f32>,
        dout: &Vec<f32>,
        m: usize,
        dqkv: &mut Vec<f32>,
    ) -> Done {
        let mut sums = vec![0.0; m * heads.columns()];
        attention::backward(heads, batch, qkv, lse, out, dout, &mut sums);
        round(&sums, dqkv);
        Ok(())
    }

    fn attend_cached(
        &self,
        heads: &Heads,
        qkv: &Vec<f32>,
        lengths: &[usize],
        capacity: usize,
        cache: &mut Vec<f32>,
        out: &mut Vec<f32>,
    ) -> Done {
        attention::cached(heads, qkv, lengths, capacity, cache, out);
        Ok(())
    }

    fn fill_cache(
        &self,
        heads: &Heads,
        batch: &Batch,
        qkv: &Vec<f32>,
        capacity: usize,
        cache: &mut Vec<f32>,
    ) -> Done {
        let (columns, wide) = (heads.columns(), 2 * heads.keys());
        for (sequence, document) in batch.starts.windows(2).enumerate() {
            for (at, t) in (document[0] as usize..document[1] as usize).enumerate() {
                let row = &qkv[t * columns + heads.queries()..][..wide];
                cache[(sequence * capacity + at) * wide..][..wide].copy_from_slice(row);
            }
        }
        Ok(())
    }

    fn swiglu(&self, gu: &Vec<f32>, m: usize, f: usize, act: &mut Vec<f32>) -> Done {
        for t in 0..m {
            rows::swiglu(&gu[t * 2 * f..][..2 * f], &mut act[t * f..][..f]);
        }
        Ok(())
    }

    fn swiglu_backward(&self, dact: &Vec<f32>, m: usize, f: usize, gu: &mut Vec<f32>) -> Done {
        for t in 0..m {
            rows::swiglu_backward(&dact[t * f..][..f], &mut gu[t * 2 * f..][..2 * f]);
        }
        Ok(())
    }

    fn gather(&self, batch: &Batch, x: &Vec<f32>, h: usize, out: &mut Vec<f32>) -> Done {
        for (out, &row) in out.chunks_exact_mut(h).zip(&batch.supervised) {
            out.copy_from_slice(&x[row as usize * h..][..h]);
        }
        Ok(())
    }

    fn scatter(&self, batch: &Batch, d: &Vec<f32>, m: usize, h: usize, dx: &mut Vec<f32>) -> Done {
        dx[..m * h].fill(0.0);
        for (d, &row) in d.chunks_exact(h).zip(&batch.supervised) {
            dx[row as usize * h..][..h].copy_from_slice(d);
        }
        Ok(())
    }

    fn head(
        &self,
        head: &Group,
        batch: &Batch,
        x: &Vec<f32>,
        losses: &mut Vec<f32>,
        mut gradient: Option<(&[f32], &mut Vec<f32>)>,
    ) -> Done {
        let projection = head.only();
        let h = projection.inputs;
        for (row, &target) in batch.targets.iter().enumerate() {
            let x = &x[row * h..][..h];
            let (loss, mut d) = rows::cross_entropy(&projection.weight, x, target as usize);
            losses[row] = loss as f32;
            if let Some((weights, dx)) = &mut gradient {
                d.iter_mut().for_each(|d| *d *= f64::from(weights[row]));
                let sums = rows::through(&projection.weight, h, &d);
                round(&sums, &mut dx[row * h..][..h]);
            }
        }
        Ok(())
    }
}
