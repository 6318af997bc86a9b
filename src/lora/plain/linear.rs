//! Projection groups: y = x W^T + bias + scale * drop(x) A^T B^T, its way back, and AdamW on A and B.

use super::{
    super::{
        backend::{AdamStep, Adapter, Member, Moments, Pair, Projection, Use},
        batch::{Batch, Span},
    },
    add_scaled, dot, round,
};
use crate::training::philox::{mask4, step_key};

/// Projections that read the same x, with what is trained of them.
#[derive(Clone, Debug)]
pub struct Group {
    site: u32,
    projections: Vec<Projection>,
    /// By member of the pack and by projection.
    pub(super) members: Vec<Vec<Option<Trained>>>,
    /// Sum of the ranks of all.
    ranks: usize,
}

/// Sums over tokens, shaped like A and like B.
type Sums = (Vec<f64>, Vec<f64>);

/// One adapter, and what is kept of it.
#[derive(Clone, Debug)]
pub(super) struct Trained {
    adapter: Adapter,
    pub(super) gradient: Pair,
    moments: Moments,
    /// Its first column of h.
    low: usize,
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

/// Whose row it is, and how the member takes part in it.
fn owner(batch: &Batch, used: &[Use], t: usize) -> Option<(usize, Use)> {
    if Use::is_none(used) {
        return None;
    }
    let has = |span: &Span| (span.first..span.first + span.rows).contains(&t);
    let span = batch.spans().into_iter().find(has)?;
    let used = Use::of(used, span.member);
    (used != Use::Off).then_some((span.member, used))
}

impl Group {
    /// With gradients and moments of 0.
    pub(super) fn new(site: u32, projections: Vec<Projection>) -> Self {
        let members = Member::all(&projections);
        let mut group = Self {
            site,
            projections,
            members: Vec::new(),
            ranks: 0,
        };
        group.equip(&members);
        group
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

    /// Each projection with its first column of y, and what a member trains of it.
    fn each(&self, member: Option<usize>) -> Vec<(usize, &Projection, Option<&Trained>)> {
        let own = member.and_then(|member| self.members.get(member));
        let mut output = 0;
        let each = self.projections.iter().enumerate();
        each.map(|(number, projection)| {
            let trained = own.and_then(|own| own[number].as_ref());
            let placed = (output, projection, trained);
            output += projection.outputs;
            placed
        })
        .collect()
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
        used: &[Use],
        t: usize,
        x: &[f32],
        h: &mut [f32],
        accumulate: bool,
        y: &mut [f32],
    ) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let x = &x[t * inputs..][..inputs];
        let owner = owner(batch, used, t);
        let dropped = owner.map_or(Vec::new(), |(_, used)| self.dropped(batch, used, t, x));
        for (output, p, trained) in self.each(owner.map(|(member, _)| member)) {
            let mut low: &[f32] = &[];
            if let Some(Trained {
                adapter, low: from, ..
            }) = trained
            {
                let h = &mut h[t * self.ranks + from..][..adapter.rank];
                for (h, a) in h.iter_mut().zip(adapter.a.chunks_exact(inputs)) {
                    *h = dot(&dropped, a) as f32;
                }
                low = h;
            }
            let y = &mut y[t * outputs + output..][..p.outputs];
            for (j, y) in y.iter_mut().enumerate() {
                let mut sum = dot(x, &p.weight[j * inputs..][..inputs]);
                sum += p.bias.as_ref().map_or(0.0, |bias| f64::from(bias[j]));
                if let Some(Trained { adapter, .. }) = trained {
                    let b = &adapter.b[j * adapter.rank..][..adapter.rank];
                    sum += f64::from(adapter.scale) * dot(low, b);
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
    pub(super) fn backward(
        &self,
        batch: &Batch,
        used: &[Use],
        t: usize,
        dy: &[f32],
        dx: &mut [f32],
    ) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let (mut base, mut low) = (vec![0.0; inputs], vec![0.0; inputs]);
        let owner = owner(batch, used, t);
        for (output, p, trained) in self.each(owner.map(|(member, _)| member)) {
            let dy = &dy[t * outputs + output..][..p.outputs];
            for (&d, w) in dy.iter().zip(p.weight.chunks_exact(inputs)) {
                add_scaled(&mut base, f64::from(d), w);
            }
            if let Some(Trained { adapter, .. }) = trained {
                let dh = Self::dh(adapter, dy);
                for (&dh, a) in dh.iter().zip(adapter.a.chunks_exact(inputs)) {
                    add_scaled(&mut low, dh, a);
                }
            }
        }
        let mask = self.mask(batch, owner.map_or(Use::Off, |(_, used)| used), t);
        for ((base, low), mask) in base.iter_mut().zip(low).zip(mask) {
            *base += low * f64::from(mask);
        }
        round(&base, &mut dx[t * inputs..][..inputs]);
    }

    /// Adds the gradients of A and B of each member, summed over its tokens among the first `m`.
    pub(super) fn learn(
        &mut self,
        batch: &Batch,
        used: &[Use],
        x: &[f32],
        h: &[f32],
        dy: &[f32],
        m: usize,
    ) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let mut sums: Vec<Vec<Option<Sums>>> = Vec::new();
        for own in &self.members {
            let of = |trained: &Option<Trained>| {
                let Adapter { a, b, .. } = &trained.as_ref()?.adapter;
                Some((vec![0.0; a.len()], vec![0.0; b.len()]))
            };
            sums.push(own.iter().map(of).collect());
        }
        for t in 0..m {
            let Some((member, used)) = owner(batch, used, t) else {
                continue;
            };
            let dropped = self.dropped(batch, used, t, &x[t * inputs..][..inputs]);
            for (number, (output, p, trained)) in self.each(Some(member)).into_iter().enumerate() {
                let Some(Trained { adapter, low, .. }) = trained else {
                    continue;
                };
                let Some((a, b)) = &mut sums[member][number] else {
                    continue;
                };
                let h = &h[t * self.ranks + low..][..adapter.rank];
                let dy = &dy[t * outputs + output..][..p.outputs];
                for (a, dh) in a.chunks_exact_mut(inputs).zip(Self::dh(adapter, dy)) {
                    add_scaled(a, dh, &dropped);
                }
                for (b, &d) in b.chunks_exact_mut(adapter.rank).zip(dy) {
                    add_scaled(b, f64::from(adapter.scale) * f64::from(d), h);
                }
            }
        }
        let trained = self.members.iter_mut().flatten();
        for (trained, sums) in trained.zip(sums.into_iter().flatten()) {
            if let (Some(trained), Some((a, b))) = (trained, sums) {
                add(&mut trained.gradient, &a, &b);
            }
        }
    }

    /// Something of each of a member's projections.
    pub(super) fn of<T>(&self, member: usize, part: impl Fn(&Trained) -> T) -> Vec<Option<T>> {
        let each = self.each(Some(member)).into_iter();
        each.map(|(_, _, trained)| trained.map(&part)).collect()
    }

    pub(super) fn adapters(&self, member: usize) -> Vec<Option<Adapter>> {
        self.of(member, |trained| trained.adapter.clone())
    }

    pub(super) fn gradients(&self, member: usize) -> Vec<Option<Pair>> {
        self.of(member, |trained| trained.gradient.clone())
    }

    pub(super) fn moments(&self, member: usize) -> Vec<Option<Moments>> {
        self.of(member, |trained| trained.moments.clone())
    }

    pub(super) fn equip(&mut self, members: &[Member]) {
        let mut low = 0;
        self.members.clear();
        for member in members {
            let mut own = Vec::new();
            for (number, adapter) in member.adapters.iter().enumerate() {
                let kept = member.moments.as_ref();
                own.push(adapter.as_ref().map(|adapter| {
                    let trained = Trained {
                        gradient: zeros(adapter),
                        moments: kept
                            .and_then(|kept| kept[number].clone())
                            .unwrap_or_else(|| still(adapter)),
                        adapter: adapter.clone(),
                        low,
                    };
                    low += adapter.rank;
                    trained
                }));
            }
            self.members.push(own);
        }
        self.ranks = low;
    }

    /// What a member trains, to change it.
    fn each_mut(&mut self, member: usize) -> impl Iterator<Item = &mut Trained> {
        let own = self.members.get_mut(member).into_iter();
        own.flatten().flatten()
    }

    pub(super) fn clear(&mut self, member: usize) {
        for trained in self.each_mut(member) {
            trained.gradient.a.fill(0.0);
            trained.gradient.b.fill(0.0);
        }
    }

    pub(super) fn squares(&self, member: usize) -> f64 {
        let squares = self.of(member, |Trained { gradient: p, .. }| {
            dot(&p.a, &p.a) + dot(&p.b, &p.b)
        });
        squares.into_iter().flatten().sum()
    }

    pub(super) fn adamw(&mut self, member: usize, step: &AdamStep) {
        for Trained {
            adapter: p,
            gradient: g,
            moments: m,
            ..
        } in self.each_mut(member)
        {
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
