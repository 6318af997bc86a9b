//! Operations on rows of tokens: gathering, norms, the gate.

use super::{
    super::backend::{Done, Heads, Part},
    Cuda,
    device::{Address, Device, Kernel, Launch},
    launch::{grid, int, row},
    memory::{Buffer, Piece},
    place::Placed,
};

/// Blocks that share out the columns of rows.
fn sliced(rows: usize, width: usize) -> Launch {
    grid(rows, width.div_ceil(8 * 256 * 2).max(1), 256, 0)
}

/// A block for each row of a norm.
fn normed(rows: usize, width: usize) -> Launch {
    let threads = width.div_ceil(16).next_multiple_of(32).clamp(32, 512);
    row(rows, threads as u32, 64)
}

/// First column, and heads, of a part.
fn part_of(heads: &Heads, part: Part) -> (usize, usize) {
    match part {
        Part::Queries => (0, heads.heads),
        Part::Keys => (heads.queries(), heads.kv_heads),
    }
}

impl<D: Device> Cuda<D> {
    /// The numbers 0, 1, 2, ... of so many rows.
    fn counting(&self, rows: usize) -> Done<Address> {
        let mut held = self.counting.borrow_mut();
        let enough = |piece: &&Piece<D>| piece.bytes() >= 4 * rows as u64;
        if let Some(piece) = held.as_ref().filter(enough) {
            return Ok(piece.at());
        }
        *held = None;
        let numbers: Vec<u32> = (0..rows.next_power_of_two() as u32).collect();
        let piece = Piece::of_u32(&self.device, &numbers)?;
        let at = piece.at();
        *held = Some(piece);
        Ok(at)
    }

    /// Copies rows of bf16 that lie so many numbers apart.
    pub(super) fn copy_rows(
        &self,
        (from, from_ld): (Address, usize),
        (to, to_ld): (Address, usize),
        rows: usize,
        columns: usize,
    ) -> Done {
        let args = [
            self.counting(rows)?.into(),
            from.into(),
            to.into(),
            int(rows),
            int(columns),
            int(from_ld),
            int(to_ld),
        ];
        self.device
            .launch(Kernel("gather_rows"), &sliced(rows, columns), &args)
    }

    /// x = rows of the table by token id.
    pub(super) fn look_up(
        &self,
        table: &Buffer<D>,
        batch: &Placed<D>,
        h: usize,
        x: &Buffer<D>,
    ) -> Done {
        x.check(batch.tokens, "tokens")?;
        let args = [
            batch.ids.into(),
            table.at().into(),
            x.at().into(),
            int(batch.tokens),
            int(h),
            int(table.ld()),
            int(x.ld()),
        ];
        self.device
            .launch(Kernel("embed"), &sliced(batch.tokens, h), &args)
    }

    /// out = the supervised rows of x.
    pub(super) fn pick(&self, batch: &Placed<D>, x: &Buffer<D>, h: usize, out: &Buffer<D>) -> Done {
        out.check(batch.supervised_count, "supervised rows")?;
        let args = [
            batch.supervised.into(),
            x.at().into(),
            out.at().into(),
            int(batch.supervised_count),
            int(h),
            int(x.ld()),
            int(out.ld()),
        ];
        let launch = sliced(batch.supervised_count, h);
        self.device.launch(Kernel("gather_rows"), &launch, &args)
    }

    /// dx = d in the supervised rows, 0 in all others.
    pub(super) fn spread(
        &self,
        batch: &Placed<D>,
        d: &Buffer<D>,
        m: usize,
        h: usize,
        dx: &Buffer<D>,
    ) -> Done {
        dx.check(m, "tokens")?;
        let args = [
            batch.inverse.into(),
            d.at().into(),
            dx.at().into(),
            int(m),
            int(h),
            int(d.ld()),
            int(dx.ld()),
        ];
        self.device
            .launch(Kernel("scatter_rows"), &sliced(m, h), &args)
    }

    /// acc += x, in bf16.
    pub(super) fn sum_rows(&self, x: &Buffer<D>, len: usize, acc: &Buffer<D>) -> Done {
        let columns = x.shape().columns;
        let rows = len.div_ceil(columns.max(1));
        acc.check(rows, "rows")?;
        let args = [
            x.at().into(),
            acc.at().into(),
            int(rows),
            int(columns),
            int(x.ld()),
            int(acc.ld()),
        ];
        self.device
            .launch(Kernel("add_rows"), &sliced(rows, columns), &args)
    }

    /// y = x / rms(x) * gain.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn norm_rows(
        &self,
        x: &Buffer<D>,
        gain: &Buffer<D>,
        m: usize,
        h: usize,
        epsilon: f32,
        rstd: &Buffer<D>,
        y: &Buffer<D>,
    ) -> Done {
        y.check(m, "rows")?;
        rstd.check(m, "rows")?;
        let args = [
            x.at().into(),
            gain.at().into(),
            y.at().into(),
            rstd.at().into(),
            int(m),
            int(h),
            int(x.ld()),
            int(y.ld()),
            epsilon.into(),
        ];
        self.device
            .launch(Kernel("norm_forward"), &normed(m, h), &args)
    }

    /// acc += the gradient of x.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn norm_rows_back(
        &self,
        x: &Buffer<D>,
        gain: &Buffer<D>,
        rstd: &Buffer<D>,
        dy: &Buffer<D>,
        m: usize,
        h: usize,
        acc: &Buffer<D>,
    ) -> Done {
        acc.check(m, "rows")?;
        let args = [
            x.at().into(),
            gain.at().into(),
            rstd.at().into(),
            dy.at().into(),
            acc.at().into(),
            int(m),
            int(h),
            int(x.ld()),
            int(dy.ld()),
            int(acc.ld()),
        ];
        self.device
            .launch(Kernel("norm_backward"), &normed(m, h), &args)
    }

    /// Normalises each head of a part.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn norm_heads(
        &self,
        heads: &Heads,
        part: Part,
        raw: &Buffer<D>,
        gain: &Buffer<D>,
        m: usize,
        epsilon: f32,
        rstd: &Buffer<D>,
        qkv: &Buffer<D>,
    ) -> Done {
        qkv.check(m, "tokens")?;
        rstd.check(m, "tokens")?;
        let (first, count) = part_of(heads, part);
        let args = [
            raw.at().into(),
            gain.at().into(),
            qkv.at().into(),
            rstd.at().into(),
            int(m),
            int(count),
            int(first),
            int(heads.head_dim),
            int(raw.ld()),
            int(qkv.ld()),
            epsilon.into(),
        ];
        self.device
            .launch(Kernel("head_norm"), &row(m, 128, 0), &args)
    }

    /// Its way back, in place.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn norm_heads_back(
        &self,
        heads: &Heads,
        part: Part,
        raw: &Buffer<D>,
        gain: &Buffer<D>,
        rstd: &Buffer<D>,
        m: usize,
        d: &Buffer<D>,
    ) -> Done {
        d.check(m, "tokens")?;
        let (first, count) = part_of(heads, part);
        let args = [
            raw.at().into(),
            gain.at().into(),
            rstd.at().into(),
            d.at().into(),
            int(m),
            int(count),
            int(first),
            int(heads.head_dim),
            int(raw.ld()),
            int(d.ld()),
        ];
        self.device
            .launch(Kernel("head_norm_backward"), &row(m, 128, 0), &args)
    }

    /// act = silu(gate) * up.
    pub(super) fn gate(&self, gu: &Buffer<D>, m: usize, f: usize, act: &Buffer<D>) -> Done {
        act.check(m, "tokens")?;
        let args = [
            gu.at().into(),
            act.at().into(),
            int(m),
            int(f),
            int(gu.ld()),
            int(act.ld()),
        ];
        self.device.launch(Kernel("swiglu"), &sliced(m, f), &args)
    }

    /// Gate and up become their gradients.
    pub(super) fn gate_back(&self, dact: &Buffer<D>, m: usize, f: usize, gu: &Buffer<D>) -> Done {
        gu.check(m, "tokens")?;
        let args = [
            dact.at().into(),
            gu.at().into(),
            int(m),
            int(f),
            int(dact.ld()),
            int(gu.ld()),
        ];
        self.device
            .launch(Kernel("swiglu_backward"), &sliced(m, f), &args)
    }
}
