//! Projection groups: y = x W^T + bias + scale * drop(x) A^T B^T, its way back, and AdamW on A and B.

use super::{
    super::{
        backend::{AdamStep, Adapter, Moments, Pair, Projection, Use},
        batch::Batch,
    },
    add_scaled, dot, round,
};
use crate::training::philox::{mask4, step_key};

/// Projections that read the same x, with what is trained of them.
#[derive(Clone, Debug)]
pub struct Group {
    site: u32,
    projections: Vec<Projection>,
    pub(super) gradients: Vec<Option<Pair>>,
    moments: Vec<Option<Moments>>,
}

/// Where a projection's columns begin in y and in h.
struct Columns {
    output: usize,
    rank: usize,
}

fn zeros(adapter: &Adapter) -> Pair {
    Pair {
        a: vec![0.0; adapter.a.len()],
        b: vec![0.0; adapter.b.len()],
    }
}

fn still(adapter: &Adapter) -> Moments {
    Moments {
        first: zeros(adapter),
        second: zeros(adapter),
    }
}

impl Group {
    /// With gradients and moments of 0.
    pub(super) fn new(site: u32, projections: Vec<Projection>) -> Self {
        let of = |p: &Projection| p.adapter.as_ref().map(zeros);
        let gradients = projections.iter().map(of).collect();
        let of = |p: &Projection| p.adapter.as_ref().map(still);
        let moments = projections.iter().map(of).collect();
        Self {
            site,
            projections,
            gradients,
            moments,
        }
    }

    /// What it is called among all of the model, for dropout.
    pub fn site(&self) -> u32 {
        self.site
    }

    /// The projection of a group of one.
    pub(super) fn only(&self) -> &Projection {
        &self.projections[0]
    }

    fn inputs(&self) -> usize {
        self.projections[0].inputs
    }

    fn outputs(&self) -> usize {
        self.projections.iter().map(|p| p.outputs).sum()
    }

    fn ranks(&self) -> usize {
        let adapters = self.projections.iter().filter_map(|p| p.adapter.as_ref());
        adapters.map(|adapter| adapter.rank).sum()
    }

    /// Each projection with its place.
    fn placed(&self) -> Vec<(Columns, &Projection)> {
        let (mut output, mut rank) = (0, 0);
        let mut found = Vec::new();
        for projection in &self.projections {
            found.push((Columns { output, rank }, projection));
            output += projection.outputs;
            rank += projection.adapter.as_ref().map_or(0, |a| a.rank);
        }
        found
    }

    /// What a token's inputs are multiplied by before an adapter: 0 where they are dropped.
    fn mask(&self, batch: &Batch, used: Use, t: usize) -> Vec<f32> {
        let Use::Drop(dropout) = used else {
            return vec![1.0; self.inputs()];
        };
        let key = step_key(dropout.seed, dropout.step);
        let (example, position) = (batch.examples[t], batch.positions[t]);
        let quads = 0..self.inputs().div_ceil(4) as u32;
        let numbers = quads.flat_map(|q| mask4(key, self.site, example, position, q));
        let keep = 1.0 / (1.0 - dropout.p);
        let of = |number: f32| if number < dropout.p { 0.0 } else { keep };
        numbers.take(self.inputs()).map(of).collect()
    }

    fn dropped(&self, batch: &Batch, used: Use, t: usize, x: &[f32]) -> Vec<f32> {
        let mask = self.mask(batch, used, t);
        x.iter().zip(mask).map(|(x, mask)| x * mask).collect()
    }

    /// One token forward.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn forward(
        &self,
        batch: &Batch,
        used: Use,
        t: usize,
        x: &[f32],
        h: &mut [f32],
        accumulate: bool,
        y: &mut [f32],
    ) {
        let (inputs, outputs, ranks) = (self.inputs(), self.outputs(), self.ranks());
        let x = &x[t * inputs..][..inputs];
        let dropped = self.dropped(batch, used, t, x);
        for (at, p) in self.placed() {
            let adapter = p.adapter.as_ref().filter(|_| used != Use::Off);
            let rank = adapter.map_or(0, |adapter| adapter.rank);
            let h = match adapter {
                Some(_) => &mut h[t * ranks + at.rank..][..rank],
                None => &mut [],
            };
            if let Some(adapter) = adapter {
                for (h, a) in h.iter_mut().zip(adapter.a.chunks_exact(inputs)) {
                    *h = dot(&dropped, a) as f32;
                }
            }
            let y = &mut y[t * outputs + at.output..][..p.outputs];
            for (j, y) in y.iter_mut().enumerate() {
                let mut sum = dot(x, &p.weight[j * inputs..][..inputs]);
                sum += p.bias.as_ref().map_or(0.0, |bias| f64::from(bias[j]));
                if let Some(adapter) = adapter {
                    sum += f64::from(adapter.scale) * dot(h, &adapter.b[j * rank..][..rank]);
                }
                *y = if accumulate {
                    *y + sum as f32
                } else {
                    sum as f32
                };
            }
        }
    }

    /// The gradient of h of one projection and token: scale * dy B.
    fn dh(adapter: &Adapter, dy: &[f32]) -> Vec<f64> {
        let mut dh = vec![0.0; adapter.rank];
        for (&d, b) in dy.iter().zip(adapter.b.chunks_exact(adapter.rank)) {
            add_scaled(&mut dh, f64::from(adapter.scale) * f64::from(d), b);
        }
        dh
    }

    /// One token's gradient of x.
    pub(super) fn backward(&self, batch: &Batch, used: Use, t: usize, dy: &[f32], dx: &mut [f32]) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let (mut base, mut low) = (vec![0.0; inputs], vec![0.0; inputs]);
        for (at, p) in self.placed() {
            let dy = &dy[t * outputs + at.output..][..p.outputs];
            for (&d, w) in dy.iter().zip(p.weight.chunks_exact(inputs)) {
                add_scaled(&mut base, f64::from(d), w);
            }
            if let Some(adapter) = p.adapter.as_ref().filter(|_| used != Use::Off) {
                let dh = Self::dh(adapter, dy);
                for (&dh, a) in dh.iter().zip(adapter.a.chunks_exact(inputs)) {
                    add_scaled(&mut low, dh, a);
                }
            }
        }
        let mask = self.mask(batch, used, t);
        for ((base, low), mask) in base.iter_mut().zip(low).zip(mask) {
            *base += low * f64::from(mask);
        }
        round(&base, &mut dx[t * inputs..][..inputs]);
    }

    /// Adds the gradients of A and B, summed over all tokens.
    pub(super) fn learn(
        &mut self,
        batch: &Batch,
        used: Use,
        x: &[f32],
        h: &[f32],
        dy: &[f32],
        m: usize,
    ) {
        let (inputs, outputs, ranks) = (self.inputs(), self.outputs(), self.ranks());
        let mut sums = Vec::new();
        for (at, p) in self.placed() {
            let Some(adapter) = &p.adapter else {
                sums.push(None);
                continue;
            };
            let rank = adapter.rank;
            let (mut a, mut b) = (vec![0.0; rank * inputs], vec![0.0; p.outputs * rank]);
            for t in 0..m {
                let dropped = self.dropped(batch, used, t, &x[t * inputs..][..inputs]);
                let h = &h[t * ranks + at.rank..][..rank];
                let dy = &dy[t * outputs + at.output..][..p.outputs];
                for (a, dh) in a.chunks_exact_mut(inputs).zip(Self::dh(adapter, dy)) {
                    add_scaled(a, dh, &dropped);
                }
                for (b, &d) in b.chunks_exact_mut(rank).zip(dy) {
                    add_scaled(b, f64::from(adapter.scale) * f64::from(d), h);
                }
            }
            sums.push(Some((a, b)));
        }
        for (gradient, sums) in self.gradients.iter_mut().zip(sums) {
            if let (Some(gradient), Some((a, b))) = (gradient, sums) {
                add(gradient, &a, &b);
            }
        }
    }

    pub(super) fn adapters(&self) -> Vec<Option<Adapter>> {
        self.projections.iter().map(|p| p.adapter.clone()).collect()
    }

    pub(super) fn gradients(&self) -> Vec<Option<Pair>> {
        self.gradients.clone()
    }

    pub(super) fn moments(&self) -> Vec<Option<Moments>> {
        self.moments.clone()
    }

    pub(super) fn equip(
        &mut self,
        adapters: &[Option<Adapter>],
        moments: Option<&[Option<Moments>]>,
    ) {
        for (projection, adapter) in self.projections.iter_mut().zip(adapters) {
            projection.adapter = adapter.clone();
        }
        *self = Self::new(self.site, std::mem::take(&mut self.projections));
        for (own, given) in self.moments.iter_mut().zip(moments.unwrap_or_default()) {
            if own.is_some() && given.is_some() {
                own.clone_from(given);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        for pair in self.gradients.iter_mut().flatten() {
            pair.a.fill(0.0);
            pair.b.fill(0.0);
        }
    }

    pub(super) fn squares(&self) -> f64 {
        let pairs = self.gradients.iter().flatten();
        pairs.map(|p| dot(&p.a, &p.a) + dot(&p.b, &p.b)).sum()
    }

    pub(super) fn adamw(&mut self, step: &AdamStep) {
        let adapters = self.projections.iter_mut().map(|p| p.adapter.as_mut());
        let rest = self.gradients.iter().zip(&mut self.moments);
        for (adapter, (gradient, moments)) in adapters.zip(rest) {
            let (Some(p), Some(g), Some(m)) = (adapter, gradient, moments) else {
                continue;
            };
            adamw(step, &mut p.a, &g.a, &mut m.first.a, &mut m.second.a);
            adamw(step, &mut p.b, &g.b, &mut m.first.b, &mut m.second.b);
        }
    }
}

/// gradient += what was summed over a batch.
pub(super) fn add(gradient: &mut Pair, a: &[f64], b: &[f64]) {
    let sums = a.iter().chain(b);
    let numbers = gradient.a.iter_mut().chain(&mut gradient.b);
    for (number, &sum) in numbers.zip(sums) {
        *number += sum as f32;
    }
}

/// One step over numbers of one shape.
fn adamw(step: &AdamStep, p: &mut [f32], g: &[f32], first: &mut [f32], second: &mut [f32]) {
    let correction = |beta: f64| 1.0 - beta.powf(step.step as f64);
    let (one, two) = (correction(step.beta1), correction(step.beta2));
    for (((p, &g), first), second) in p.iter_mut().zip(g).zip(first).zip(second) {
        let g = f64::from(g) * step.gradient_scale;
        *first = (f64::from(*first) * step.beta1 + g * (1.0 - step.beta1)) as f32;
        *second = (f64::from(*second) * step.beta2 + g * g * (1.0 - step.beta2)) as f32;
        let kept = f64::from(*p) * (1.0 - step.learning_rate * step.weight_decay);
        let root = (f64::from(*second) / two).sqrt() + step.epsilon;
        *p = (kept - step.learning_rate * f64::from(*first) / one / root) as f32;
    }
}
