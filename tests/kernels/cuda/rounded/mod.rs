//! The plain machine, rounding to bf16 wherever a GPU stores: what is left between the two is the order of sums.

use campaignd::{
    lora::{
        backend::{
            AdamStep, Adapter, Backend, Done, Heads, Kind, Member, Moments, Pair, Part, Projection,
            Rope, Shape, Use,
        },
        batch::{Batch, Span},
        plain::{Group, Plain},
    },
    training::philox::{mask4, step_key},
};
use half::bf16;

/// Rounds to the nearest, ties to even.
pub fn round(x: f32) -> f32 {
    bf16::from_f32(x).to_f32()
}

fn round_all(numbers: &mut [f32]) {
    numbers.iter_mut().for_each(|x| *x = round(*x));
}

/// The machine.
pub struct Rounded;

/// Numbers of a kind.
pub struct Numbers(Vec<f32>, Kind);

impl Numbers {
    fn store(&mut self) {
        if !matches!(self.1, Kind::Statistic | Kind::Logit) {
            round_all(&mut self.0);
        }
    }
}

/// A group: its adapters in f32, and the shape of everything.
pub struct Linear {
    site: u32,
    group: Vec<Projection>,
    trained: Group,
    /// By member.
    gradients: Vec<Vec<Option<Pair>>>,
}

/// One projection's place among columns of y and of h.
struct Place<'a> {
    number: usize,
    projection: &'a Projection,
    adapter: Option<&'a Adapter>,
    output: usize,
    rank: usize,
}

/// The ranks of adapters.
fn ranks<'a>(adapters: impl IntoIterator<Item = &'a Option<Adapter>>) -> usize {
    let each = adapters.into_iter().flatten();
    each.map(|adapter| adapter.rank).sum()
}

/// Whose row it is, and how the member takes part in it.
fn owner(batch: &Batch, used: &[Use], t: usize) -> Option<(usize, Use)> {
    let has = |span: &Span| (span.first..span.first + span.rows).contains(&t);
    let span = batch.spans().into_iter().find(has)?;
    let used = Use::of(used, span.member);
    (used != Use::Off).then_some((span.member, used))
}

impl Linear {
    /// Each projection, with the adapter of a member.
    fn places<'a>(
        group: &'a [Projection],
        now: &'a [Vec<Option<Adapter>>],
        member: Option<usize>,
    ) -> Vec<Place<'a>> {
        let before = member.unwrap_or(0).min(now.len());
        let own = member.and_then(|member| now.get(member));
        let (mut output, mut rank) = (0, ranks(now[..before].iter().flatten()));
        let each = group.iter().enumerate();
        each.map(|(number, projection)| {
            let adapter = own.and_then(|own| own[number].as_ref());
            let place = Place {
                number,
                projection,
                adapter,
                output,
                rank,
            };
            output += projection.outputs;
            rank += adapter.map_or(0, |adapter| adapter.rank);
            place
        })
        .collect()
    }

    /// The adapters of every member.
    fn all(&self) -> Done<Vec<Vec<Option<Adapter>>>> {
        let members = 0..self.gradients.len();
        members
            .map(|member| Plain.adapters(&self.trained, member))
            .collect()
    }

    /// Gradients of 0 for so many members.
    fn forget(&mut self, members: usize) -> Done {
        let each = (0..members).map(|member| Plain.gradients(&self.trained, member));
        self.gradients = each.collect::<Done<_>>()?;
        Ok(())
    }

    fn inputs(&self) -> usize {
        self.group[0].inputs
    }

    fn outputs(&self) -> usize {
        self.group.iter().map(|p| p.outputs).sum()
    }

    /// What a token's inputs are multiplied by.
    fn mask(&self, batch: &Batch, used: Use, t: usize) -> Vec<f32> {
        let Use::Drop(dropout) = used else {
            return vec![1.0; self.inputs()];
        };
        let key = step_key(dropout.seed, dropout.step);
        let (example, position) = (batch.examples[t], batch.positions[t]);
        let keep = 1.0 / (1.0 - dropout.p);
        let quads = 0..self.inputs().div_ceil(4) as u32;
        let numbers = quads.flat_map(|q| mask4(key, self.site, example, position, q));
        let of = |number: f32| if number < dropout.p { 0.0 } else { keep };
        numbers.take(self.inputs()).map(of).collect()
    }

    /// drop(x), rounded as the matrix units take it.
    fn dropped(&self, batch: &Batch, used: Use, t: usize, x: &[f32]) -> Vec<f32> {
        let mask = self.mask(batch, used, t);
        x.iter()
            .zip(mask)
            .map(|(x, mask)| round(x * mask))
            .collect()
    }
}

fn dot(a: &[f32], b: impl Iterator<Item = f32>) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, b)| f64::from(a) * f64::from(b))
        .sum()
}

/// Frozen numbers as they are stored.
fn stored(mut projection: Projection) -> Projection {
    round_all(&mut projection.weight);
    projection.bias.iter_mut().for_each(|bias| round_all(bias));
    projection
}

impl Backend for Rounded {
    type Buffer = Numbers;
    type Placed = Batch;
    type Linear = Linear;

    fn zeros(&self, shape: Shape) -> Done<Numbers> {
        Ok(Numbers(vec![0.0; shape.len()], shape.kind))
    }

    fn put(&self, shape: Shape, numbers: &[f32]) -> Done<Numbers> {
        let mut numbers = Numbers(numbers.to_vec(), shape.kind);
        numbers.store();
        Ok(numbers)
    }

    fn get(&self, buffer: &Numbers, len: usize) -> Done<Vec<f32>> {
        Plain.get(&buffer.0, len)
    }

    fn copy(&self, from: &Numbers, len: usize, to: &mut Numbers) -> Done {
        Plain.copy(&from.0, len, &mut to.0)
    }

    fn add(&self, x: &Numbers, len: usize, acc: &mut Numbers) -> Done {
        Plain.add(&x.0, len, &mut acc.0)?;
        acc.store();
        Ok(())
    }

    fn place(&self, batch: &Batch) -> Done<Batch> {
        Ok(batch.clone())
    }

    fn linear(&self, site: u32, group: Vec<Projection>) -> Done<Linear> {
        let group: Vec<_> = group.into_iter().map(stored).collect();
        let mut linear = Linear {
            site,
            trained: Plain.linear(site, group.clone())?,
            group,
            gradients: Vec::new(),
        };
        linear.forget(Member::all(&linear.group).len())?;
        Ok(linear)
    }

    fn forward(
        &self,
        linear: &Linear,
        batch: &Batch,
        used: &[Use],
        x: &Numbers,
        m: usize,
        h: &mut Numbers,
        accumulate: bool,
        y: &mut Numbers,
    ) -> Done {
        let (k, n) = (linear.inputs(), linear.outputs());
        let now = linear.all()?;
        let ranks = ranks(now.iter().flatten());
        for t in 0..m {
            let x = &x.0[t * k..][..k];
            let owner = owner(batch, used, t);
            let dropped = linear.dropped(batch, owner.map_or(Use::Off, |(_, used)| used), t, x);
            for place in &Linear::places(&linear.group, &now, owner.map(|(member, _)| member)) {
                let adapter = place.adapter;
                let h = match adapter {
                    None => &mut [],
                    Some(adapter) => {
                        let h = &mut h.0[t * ranks + place.rank..][..adapter.rank];
                        for (h, a) in h.iter_mut().zip(adapter.a.chunks_exact(k)) {
                            *h = round(dot(&dropped, a.iter().copied().map(round)) as f32);
                        }
                        h
                    }
                };
                let weight = place.projection.weight.chunks_exact(k);
                for (j, row) in weight.enumerate() {
                    let mut sum = dot(x, row.iter().copied());
                    sum += place
                        .projection
                        .bias
                        .as_ref()
                        .map_or(0.0, |b| f64::from(b[j]));
                    if let Some(adapter) = adapter {
                        let b = adapter.b[j * adapter.rank..][..adapter.rank].iter();
                        sum += dot(h, b.map(|b| round(adapter.scale * b)));
                    }
                    let y = &mut y.0[t * n + place.output + j];
                    let before = if accumulate { f64::from(*y) } else { 0.0 };
                    *y = (before + sum) as f32;
                }
            }
        }
        y.store();
        Ok(())
    }

    fn backward(
        &self,
        linear: &mut Linear,
        batch: &Batch,
        used: &[Use],
        x: &Numbers,
        h: &Numbers,
        dy: &Numbers,
        m: usize,
        mut dx: Option<&mut Numbers>,
    ) -> Done {
        let (k, n) = (linear.inputs(), linear.outputs());
        let now = linear.all()?;
        let ranks = ranks(now.iter().flatten());
        let mut gradients = std::mem::take(&mut linear.gradients);
        for t in 0..m {
            let (x, dy) = (&x.0[t * k..][..k], &dy.0[t * n..][..n]);
            let owner = owner(batch, used, t);
            let (member, used) = owner.unwrap_or((0, Use::Off));
            let dropped = linear.dropped(batch, used, t, x);
            let (mut base, mut low) = (vec![0.0_f64; k], vec![0.0_f64; k]);
            for place in Linear::places(&linear.group, &now, owner.map(|(member, _)| member)) {
                let dy = &dy[place.output..][..place.projection.outputs];
                for (&d, row) in dy.iter().zip(place.projection.weight.chunks_exact(k)) {
                    base.iter_mut()
                        .zip(row)
                        .for_each(|(b, w)| *b += f64::from(d) * f64::from(*w));
                }
                let Some(adapter) = place.adapter else {
                    continue;
                };
                let Some(gradient) = &mut gradients[member][place.number] else {
                    continue;
                };
                let h = &h.0[t * ranks + place.rank..][..adapter.rank];
                for (r, h) in h.iter().enumerate() {
                    let b = adapter.b.iter().skip(r).step_by(adapter.rank);
                    let dh = round(dot(dy, b.map(|b| round(adapter.scale * b))) as f32);
                    let a = &adapter.a[r * k..][..k];
                    let own = &mut gradient.a[r * k..][..k];
                    for c in 0..k {
                        low[c] += f64::from(dh) * f64::from(round(a[c]));
                        own[c] += dh * dropped[c];
                    }
                    for (j, d) in dy.iter().enumerate() {
                        gradient.b[j * adapter.rank + r] += adapter.scale * d * h;
                    }
                }
            }
            let Some(dx) = &mut dx else { continue };
            let mask = linear.mask(batch, used, t);
            let dx = &mut dx.0[t * k..][..k];
            for c in 0..k {
                // With dropout the adapters' part is stored first, and the product added to it.
                let low = match used {
                    Use::Drop(_) => f64::from(round((low[c] * f64::from(mask[c])) as f32)),
                    _ => low[c],
                };
                dx[c] = round((base[c] + low) as f32);
            }
        }
        linear.gradients = gradients;
        Ok(())
    }

    fn adapters(&self, linear: &Linear, member: usize) -> Done<Vec<Option<Adapter>>> {
        Plain.adapters(&linear.trained, member)
    }

    fn gradients(&self, linear: &Linear, member: usize) -> Done<Vec<Option<Pair>>> {
        let none = || linear.group.iter().map(|_| None).collect();
        let own = linear.gradients.get(member).cloned();
        Ok(own.unwrap_or_else(none))
    }

    fn moments(&self, linear: &Linear, member: usize) -> Done<Vec<Option<Moments>>> {
        Plain.moments(&linear.trained, member)
    }

    fn equip(&self, linear: &mut Linear, members: &[Member]) -> Done {
        Plain.equip(&mut linear.trained, members)?;
        linear.forget(members.len())
    }

    fn clear(&self, groups: &mut [&mut Linear], member: usize) -> Done {
        let own = groups.iter_mut().flat_map(|g| g.gradients.get_mut(member));
        for pair in own.flatten().flatten() {
            pair.a.fill(0.0);
            pair.b.fill(0.0);
        }
        Ok(())
    }

    fn squares(&self, groups: &[&Linear], member: usize) -> Done<f64> {
        let own = groups.iter().flat_map(|g| g.gradients.get(member));
        let pairs = own.flatten().flatten();
        let all = pairs.flat_map(|pair| pair.a.iter().chain(&pair.b));
        Ok(all.map(|&g| f64::from(g).powi(2)).sum())
    }

    fn adamw(&self, groups: &mut [&mut Linear], member: usize, step: &AdamStep) -> Done {
        for group in groups {
            self.step(group, member, step)?;
        }
        Ok(())
    }

    fn embed(&self, table: &Numbers, batch: &Batch, h: usize, x: &mut Numbers) -> Done {
        Plain.embed(&table.0, batch, h, &mut x.0)
    }

    fn norm(
        &self,
        x: &Numbers,
        gain: &Numbers,
        m: usize,
        h: usize,
        epsilon: f32,
        rstd: &mut Numbers,
        y: &mut Numbers,
    ) -> Done {
        Plain.norm(&x.0, &gain.0, m, h, epsilon, &mut rstd.0, &mut y.0)?;
        y.store();
        Ok(())
    }

    fn norm_backward(
        &self,
        x: &Numbers,
        gain: &Numbers,
        rstd: &Numbers,
        dy: &Numbers,
        m: usize,
        h: usize,
        acc: &mut Numbers,
    ) -> Done {
        Plain.norm_backward(&x.0, &gain.0, &rstd.0, &dy.0, m, h, &mut acc.0)?;
        acc.store();
        Ok(())
    }

    fn head_norm(
        &self,
        heads: &Heads,
        part: Part,
        raw: &Numbers,
        gain: &Numbers,
        m: usize,
        epsilon: f32,
        rstd: &mut Numbers,
        qkv: &mut Numbers,
    ) -> Done {
        Plain.head_norm(
            heads,
            part,
            &raw.0,
            &gain.0,
            m,
            epsilon,
            &mut rstd.0,
            &mut qkv.0,
        )?;
        qkv.store();
        Ok(())
    }

    fn head_norm_backward(
        &self,
        heads: &Heads,
        part: Part,
        raw: &Numbers,
        gain: &Numbers,
        rstd: &Numbers,
        m: usize,
        d: &mut Numbers,
    ) -> Done {
        Plain.head_norm_backward(heads, part, &raw.0, &gain.0, &rstd.0, m, &mut d.0)?;
        d.store();
        Ok(())
    }

    fn rope(
        &self,
        heads: &Heads,
        rope: &Rope,
        batch: &Batch,
        m: usize,
        back: bool,
        qkv: &mut Numbers,
    ) -> Done {
        Plain.rope(heads, rope, batch, m, back, &mut qkv.0)?;
        qkv.store();
        Ok(())
    }

    fn attend(
        &self,
        heads: &Heads,
        batch: &Batch,
        qkv: &Numbers,
        m: usize,
        lse: &mut Numbers,
        out: &mut Numbers,
    ) -> Done {
        Plain.attend(heads, batch, &qkv.0, m, &mut lse.0, &mut out.0)?;
        out.store();
        Ok(())
    }

    fn attend_backward(
        &self,
        heads: &Heads,
        batch: &Batch,
        qkv: &Numbers,
        lse: &Numbers,
        out: &Numbers,
        dout: &Numbers,
        m: usize,
        dqkv: &mut Numbers,
    ) -> Done {
        Plain.attend_backward(
            heads,
            batch,
            &qkv.0,
            &lse.0,
            &out.0,
            &dout.0,
            m,
            &mut dqkv.0,
        )?;
        dqkv.store();
        Ok(())
    }

    fn attend_cached(
        &self,
        heads: &Heads,
        qkv: &Numbers,
        lengths: &[usize],
        capacity: usize,
        cache: &mut Numbers,
        out: &mut Numbers,
    ) -> Done {
        Plain.attend_cached(heads, &qkv.0, lengths, capacity, &mut cache.0, &mut out.0)?;
        out.store();
        Ok(())
    }

    fn fill_cache(
        &self,
        heads: &Heads,
        batch: &Batch,
        qkv: &Numbers,
        capacity: usize,
        cache: &mut Numbers,
    ) -> Done {
        Plain.fill_cache(heads, batch, &qkv.0, capacity, &mut cache.0)
    }

    fn swiglu(&self, gu: &Numbers, m: usize, f: usize, act: &mut Numbers) -> Done {
        Plain.swiglu(&gu.0, m, f, &mut act.0)?;
        act.store();
        Ok(())
    }

    fn swiglu_backward(&self, dact: &Numbers, m: usize, f: usize, gu: &mut Numbers) -> Done {
        Plain.swiglu_backward(&dact.0, m, f, &mut gu.0)?;
        gu.store();
        Ok(())
    }

    fn gather(&self, batch: &Batch, x: &Numbers, h: usize, out: &mut Numbers) -> Done {
        Plain.gather(batch, &x.0, h, &mut out.0)
    }

    fn scatter(&self, batch: &Batch, d: &Numbers, m: usize, h: usize, dx: &mut Numbers) -> Done {
        Plain.scatter(batch, &d.0, m, h, &mut dx.0)
    }

    fn head(
        &self,
        head: &Linear,
        batch: &Batch,
        x: &Numbers,
        losses: &mut Numbers,
        mut gradient: Option<(&[f32], &mut Numbers)>,
    ) -> Done {
        let projection = &head.group[0];
        let h = projection.inputs;
        for (row, &target) in batch.targets.iter().enumerate() {
            let x = &x.0[row * h..][..h];
            let weight = projection.weight.chunks_exact(h);
            let bias = |j: usize| {
                projection
                    .bias
                    .as_ref()
                    .map_or(0.0, |bias| f64::from(bias[j]))
            };
            let logits = weight
                .enumerate()
                .map(|(j, w)| dot(x, w.iter().copied()) + bias(j));
            let logits: Vec<f64> = logits.map(|l| f64::from(round(l as f32))).collect();
            let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let lse = highest + logits.iter().map(|l| (l - highest).exp()).sum::<f64>().ln();
            losses.0[row] = (lse - logits[target as usize]) as f32;
            let Some((weights, dx)) = &mut gradient else {
                continue;
            };
            let mut sums = vec![0.0; h];
            for (j, (l, w)) in logits
                .iter()
                .zip(projection.weight.chunks_exact(h))
                .enumerate()
            {
                let hot = f64::from(u8::from(j == target as usize));
                let d = round((f64::from(weights[row]) * ((l - lse).exp() - hot)) as f32);
                sums.iter_mut()
                    .zip(w)
                    .for_each(|(s, w)| *s += f64::from(d) * f64::from(*w));
            }
            let dx = &mut dx.0[row * h..][..h];
            dx.iter_mut()
                .zip(sums)
                .for_each(|(dx, sum)| *dx = round(sum as f32));
        }
        Ok(())
    }
}

impl Rounded {
    /// A plain group can be given no gradients, so its step is made here as it makes it.
    fn step(&self, linear: &mut Linear, member: usize, step: &AdamStep) -> Done {
        let mut members = Vec::new();
        for member in 0..linear.gradients.len() {
            members.push(Member {
                adapters: Plain.adapters(&linear.trained, member)?,
                moments: Some(Plain.moments(&linear.trained, member)?),
            });
        }
        let Member { adapters, moments } = &mut members[member];
        let both = adapters.iter_mut().zip(moments.iter_mut().flatten());
        for ((adapter, moments), gradient) in both.zip(&linear.gradients[member]) {
            let (Some(p), Some(moments), Some(g)) = (adapter, moments, gradient) else {
                continue;
            };
            let Moments { first, second } = moments;
            adamw(step, &mut p.a, &g.a, &mut first.a, &mut second.a);
            adamw(step, &mut p.b, &g.b, &mut first.b, &mut second.b);
        }
        Plain.equip(&mut linear.trained, &members)
    }
}

/// One step, as the plain machine makes it.
fn adamw(step: &AdamStep, p: &mut [f32], g: &[f32], first: &mut [f32], second: &mut [f32]) {
    let correction = |beta: f64| 1.0 - beta.powf(step.step as f64);
    let (one, two) = (correction(step.beta1), correction(step.beta2));
    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(first).zip(second) {
        let g = f64::from(g) * step.gradient_scale;
        *m = (f64::from(*m) * step.beta1 + g * (1.0 - step.beta1)) as f32;
        *v = (f64::from(*v) * step.beta2 + g * g * (1.0 - step.beta2)) as f32;
        let kept = f64::from(*p) * (1.0 - step.learning_rate * step.weight_decay);
        let root = (f64::from(*v) / two).sqrt() + step.epsilon;
        *p = (kept - step.learning_rate * f64::from(*m) / one / root) as f32;
    }
}
