//! The GPU as a [`Backend`].

use super::{
    super::{
        backend::{
            AdamStep, Adapter, Ask, Backend, Done, Heads, Level, Member, Moments, Pair, Part,
            Projection, Rope, Shape, Trouble, Use,
        },
        batch::Batch,
    },
    Buffer, Cuda, Linear, Placed, budget,
    device::{Device, Kernel},
    launch::{int, row},
};

/// What each projection of a group has none of.
fn nothing<D: Device, T>(linear: &Linear<D>) -> Vec<Option<T>> {
    linear.border.widths.iter().map(|_| None).collect()
}

impl<D: Device> Backend for Cuda<D> {
    type Buffer = Buffer<D>;
    type Placed = Placed<D>;
    type Linear = Linear<D>;

    fn zeros(&self, shape: Shape) -> Done<Buffer<D>> {
        Buffer::zeros(&self.device, shape)
    }

    fn put(&self, shape: Shape, numbers: &[f32]) -> Done<Buffer<D>> {
        Buffer::put(&self.device, shape, numbers)
    }

    fn get(&self, buffer: &Buffer<D>, len: usize) -> Done<Vec<f32>> {
        buffer.get(&self.device, len)
    }

    fn copy(&self, from: &Buffer<D>, len: usize, to: &mut Buffer<D>) -> Done {
        let columns = from.shape().columns;
        let rows = len.div_ceil(columns.max(1));
        from.check(rows, "rows")?;
        to.check(rows, "rows")?;
        if from.ld() == to.ld() && from.is_f32() == to.is_f32() {
            let size = if from.is_f32() { 4 } else { 2 };
            let bytes = rows as u64 * from.ld() as u64 * size;
            return match bytes {
                0 => Ok(()),
                bytes => self.device.copy(from.at(), to.at(), bytes),
            };
        }
        if from.is_f32() || to.is_f32() {
            let kinds = (from.shape().kind, to.shape().kind);
            return Err(Trouble(format!(
                "{:?} is no copy of {:?}",
                kinds.1, kinds.0
            )));
        }
        self.copy_rows((from.at(), from.ld()), (to.at(), to.ld()), rows, columns)
    }

    fn add(&self, x: &Buffer<D>, len: usize, acc: &mut Buffer<D>) -> Done {
        self.sum_rows(x, len, acc)
    }

    fn likeliest(&self, logits: &Buffer<D>, rows: usize, columns: usize) -> Done<Vec<u32>> {
        logits.check(rows, "rows")?;
        let at = self.workspace.hold(&self.device, 8 * rows as u64 + 16)?;
        let sums = at.plus((4 * rows as u64).next_multiple_of(16));
        let args = [
            logits.at().into(),
            at.into(),
            sums.into(),
            int(logits.ld()),
            int(columns),
        ];
        self.device
            .launch(Kernel("greedy"), &row(rows, 512, 256), &args)?;
        let (mut tokens, mut chances) = (vec![0; 4 * rows], vec![0; 4 * rows]);
        self.device.download(at, &mut tokens)?;
        self.device.download(sums, &mut chances)?;
        let each = tokens.as_chunks::<4>().0.iter();
        let each = each.zip(chances.as_chunks::<4>().0).enumerate();
        each.map(|(at, (token, chance))| match f32::from_le_bytes(*chance) {
            chance if chance.is_finite() => Ok(u32::from_le_bytes(*token)),
            _ => Err(Trouble(format!("a logit of row {at} is no finite number"))),
        })
        .collect()
    }

    fn plan(&self, ask: &Ask<'_>) -> Done<Option<Level>> {
        let budget = budget::choose(ask, self.device.room(), self.device.side_by_side())?;
        self.reserve(budget.workspace)?;
        Ok(Some(budget.level))
    }

    fn peak_bytes(&self) -> Option<u64> {
        Some(self.device.peak())
    }

    fn place(&self, batch: &Batch) -> Done<Placed<D>> {
        Placed::new(&self.device, batch)
    }

    fn linear(&self, site: u32, group: Vec<Projection>) -> Done<Linear<D>> {
        Linear::new(&self.device, site, group)
    }

    fn tail(&self, linear: &Linear<D>) -> usize {
        linear.border.ranks
    }

    fn forward(
        &self,
        linear: &Linear<D>,
        batch: &Placed<D>,
        used: &[Use],
        x: &Buffer<D>,
        m: usize,
        h: &mut Buffer<D>,
        accumulate: bool,
        y: &mut Buffer<D>,
    ) -> Done {
        self.project(linear, batch, used, x, m, h, accumulate, y)
    }

    fn backward(
        &self,
        linear: &mut Linear<D>,
        batch: &Placed<D>,
        used: &[Use],
        x: &Buffer<D>,
        h: &Buffer<D>,
        dy: &Buffer<D>,
        m: usize,
        dx: Option<&mut Buffer<D>>,
    ) -> Done {
        self.unproject(linear, batch, used, x, h, dy, m, dx.map(|dx| &*dx))
    }

    fn adapters(&self, linear: &Linear<D>, member: usize) -> Done<Vec<Option<Adapter>>> {
        match linear.trained(member) {
            Some(trained) => trained.adapters.adapters(),
            None => Ok(nothing(linear)),
        }
    }

    fn gradients(&self, linear: &Linear<D>, member: usize) -> Done<Vec<Option<Pair>>> {
        match linear.trained(member) {
            Some(trained) => trained.adapters.gradients(),
            None => Ok(nothing(linear)),
        }
    }

    fn moments(&self, linear: &Linear<D>, member: usize) -> Done<Vec<Option<Moments>>> {
        match linear.trained(member) {
            Some(trained) => trained.adapters.moments(),
            None => Ok(nothing(linear)),
        }
    }

    fn equip(&self, linear: &mut Linear<D>, members: &[Member]) -> Done {
        linear.equip(&self.device, members, |from, to, rows, columns| {
            self.copy_rows(from, to, rows, columns)
        })
    }

    fn clear(&self, groups: &mut [&mut Linear<D>], member: usize) -> Done {
        let mut own = groups.iter().filter_map(|group| group.trained(member));
        own.try_for_each(|trained| trained.adapters.clear())
    }

    fn squares(&self, groups: &[&Linear<D>], member: usize) -> Done<f64> {
        let groups = groups.iter().copied();
        let sum = self.optimise(groups, member, |table, device| table.squares(device))?;
        Ok(sum.unwrap_or(0.0))
    }

    fn adamw(&self, groups: &mut [&mut Linear<D>], member: usize, step: &AdamStep) -> Done {
        let groups = groups.iter().map(|group| &**group);
        let done = self.optimise(groups, member, |table, device| table.adamw(device, step));
        done.map(drop)
    }

    fn retire(&self, groups: &mut [&mut Linear<D>], member: usize) -> Done {
        let mut groups = groups.iter();
        groups.try_for_each(|group| group.retire(&self.device, member))
    }

    fn embed(&self, table: &Buffer<D>, batch: &Placed<D>, h: usize, x: &mut Buffer<D>) -> Done {
        self.look_up(table, batch, h, x)
    }

    fn norm(
        &self,
        x: &Buffer<D>,
        gain: &Buffer<D>,
        m: usize,
        h: usize,
        epsilon: f32,
        rstd: &mut Buffer<D>,
        y: &mut Buffer<D>,
    ) -> Done {
        self.norm_rows(x, gain, m, h, epsilon, rstd, y)
    }

    fn norm_backward(
        &self,
        x: &Buffer<D>,
        gain: &Buffer<D>,
        rstd: &Buffer<D>,
        dy: &Buffer<D>,
        m: usize,
        h: usize,
        acc: &mut Buffer<D>,
    ) -> Done {
        self.norm_rows_back(x, gain, rstd, dy, m, h, acc)
    }

    fn head_norm(
        &self,
        heads: &Heads,
        part: Part,
        raw: &Buffer<D>,
        gain: &Buffer<D>,
        m: usize,
        epsilon: f32,
        rstd: &mut Buffer<D>,
        qkv: &mut Buffer<D>,
    ) -> Done {
        self.norm_heads(heads, part, raw, gain, m, epsilon, rstd, qkv)
    }

    fn head_norm_backward(
        &self,
        heads: &Heads,
        part: Part,
        raw: &Buffer<D>,
        gain: &Buffer<D>,
        rstd: &Buffer<D>,
        m: usize,
        d: &mut Buffer<D>,
    ) -> Done {
        self.norm_heads_back(heads, part, raw, gain, rstd, m, d)
    }

    fn rope(
        &self,
        heads: &Heads,
        rope: &Rope,
        batch: &Placed<D>,
        m: usize,
        back: bool,
        qkv: &mut Buffer<D>,
    ) -> Done {
        self.rotate(heads, rope, batch, m, back, qkv)
    }

    fn attend(
        &self,
        heads: &Heads,
        batch: &Placed<D>,
        qkv: &Buffer<D>,
        _m: usize,
        lse: &mut Buffer<D>,
        out: &mut Buffer<D>,
    ) -> Done {
        self.look(heads, batch, qkv, lse, out)
    }

    fn attend_backward(
        &self,
        heads: &Heads,
        batch: &Placed<D>,
        qkv: &Buffer<D>,
        lse: &Buffer<D>,
        out: &Buffer<D>,
        dout: &Buffer<D>,
        _m: usize,
        dqkv: &mut Buffer<D>,
    ) -> Done {
        self.look_back(heads, batch, qkv, lse, out, dout, dqkv)
    }

    fn attend_cached(
        &self,
        heads: &Heads,
        qkv: &Buffer<D>,
        lengths: &[usize],
        capacity: usize,
        cache: &mut Buffer<D>,
        out: &mut Buffer<D>,
    ) -> Done {
        self.look_cached(heads, qkv, lengths, capacity, cache, out)
    }

    fn fill_cache(
        &self,
        heads: &Heads,
        batch: &Placed<D>,
        qkv: &Buffer<D>,
        capacity: usize,
        cache: &mut Buffer<D>,
    ) -> Done {
        self.keep(heads, batch, qkv, capacity, cache)
    }

    fn swiglu(&self, gu: &Buffer<D>, m: usize, f: usize, act: &mut Buffer<D>) -> Done {
        self.gate(gu, m, f, act)
    }

    fn swiglu_backward(&self, dact: &Buffer<D>, m: usize, f: usize, gu: &mut Buffer<D>) -> Done {
        self.gate_back(dact, m, f, gu)
    }

    fn gather(&self, batch: &Placed<D>, x: &Buffer<D>, h: usize, out: &mut Buffer<D>) -> Done {
        self.pick(batch, x, h, out)
    }

    fn scatter(
        &self,
        batch: &Placed<D>,
        d: &Buffer<D>,
        m: usize,
        h: usize,
        dx: &mut Buffer<D>,
    ) -> Done {
        self.spread(batch, d, m, h, dx)
    }

    fn head(
        &self,
        head: &Linear<D>,
        batch: &Placed<D>,
        x: &Buffer<D>,
        losses: &mut Buffer<D>,
        gradient: Option<(&[f32], &mut Buffer<D>)>,
    ) -> Done {
        let gradient = gradient.map(|(weights, dx)| (weights, &*dx));
        self.lose(head, batch, x, losses, gradient)
    }
}
