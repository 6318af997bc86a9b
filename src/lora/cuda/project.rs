//! A projection group forward and backward: thin passes of our own around one matrix product each.

use super::{
    super::backend::{Done, Trouble, Use},
    Cuda,
    device::{Address, Arg, Device, Element, Gemm, Kernel, Matrix},
    launch::{grid, int, row},
    linear::{Linear, Trained},
    memory::Buffer,
    place::Placed,
    segments::{ROWS, partial_bytes},
};
use crate::training::philox::step_key;

/// Dropout as kernels take it.
struct Mask {
    key: [u32; 2],
    site: u32,
    p: f32,
    keep: f32,
}

impl Mask {
    fn new(used: Use, site: u32) -> Self {
        match used {
            Use::Drop(dropout) => Self {
                key: step_key(dropout.seed, dropout.step),
                site,
                p: dropout.p,
                keep: 1.0 / (1.0 - dropout.p),
            },
            Use::On | Use::Off => Self {
                key: [0; 2],
                site,
                p: 0.0,
                keep: 1.0,
            },
        }
    }

    fn args(&self) -> [Arg; 5] {
        let [k0, k1] = self.key;
        [
            k0.into(),
            k1.into(),
            self.site.into(),
            self.p.into(),
            self.keep.into(),
        ]
    }
}

/// What adapts a group in a pass, if anything.
fn adapted<D: Device>(linear: &Linear<D>, used: Use) -> Option<&Trained<D>> {
    linear.trained.as_ref().filter(|_| used != Use::Off)
}

/// That the tail of a buffer begins behind `columns` and has `ranks`.
fn tail<D: Device>(buffer: &Buffer<D>, columns: usize, ranks: usize) -> Done<Address> {
    match columns + ranks <= buffer.ld() {
        true => Ok(buffer.at().bf16(columns as u64)),
        false => Err(Trouble(format!(
            "a row of {} numbers has no room for {columns} and {ranks} beside them",
            buffer.ld()
        ))),
    }
}

impl<D: Device> Cuda<D> {
    /// y = (or +=) x^ [W | sB]^T + bias, where h stands in the tail of x; it is copied into `h` where that has room of its own.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn project(
        &self,
        linear: &Linear<D>,
        batch: &Placed<D>,
        used: Use,
        x: &Buffer<D>,
        m: usize,
        h: &Buffer<D>,
        accumulate: bool,
        y: &Buffer<D>,
    ) -> Done {
        let border = &linear.border;
        let (k, n, ranks) = (border.inputs, border.outputs, border.ranks);
        x.check(m, "tokens")?;
        y.check(m, "tokens")?;
        let mut width = k;
        if adapted(linear, used).is_some() {
            let low = tail(x, k, ranks)?;
            self.lora_down(linear, batch, used, x, m, low)?;
            if !h.is_empty() {
                h.check(m, "tokens")?;
                let (from, to) = ((low, x.ld()), (h.at(), h.ld()));
                self.copy_rows(from, to, m, ranks)?;
            }
            width += ranks;
        }
        let a = Matrix::plain(x.at(), x.ld());
        let b = Matrix::transposed(linear.weight.at(), border.ld());
        self.device.gemm(&Gemm {
            element: match y.is_f32() {
                true => Element::F32,
                false => Element::Bf16,
            },
            beta: if accumulate { 1.0 } else { 0.0 },
            bias: linear.bias.as_ref().map(|bias| bias.at()),
            ..Gemm::new([m, n, width], a, b, y.at(), y.ld())
        })
    }

    /// h = drop(x) A^T into the tail of x; its padding becomes 0.
    fn lora_down(
        &self,
        linear: &Linear<D>,
        batch: &Placed<D>,
        used: Use,
        x: &Buffer<D>,
        m: usize,
        low: Address,
    ) -> Done {
        let border = &linear.border;
        let used_ranks: usize = border.places.iter().map(|place| place.padded).sum();
        let a = (border.outputs * border.ld()) as u64;
        let mut args = vec![
            x.at().into(),
            linear.weight.at().bf16(a).into(),
            low.into(),
            batch.examples.into(),
            batch.positions.into(),
            int(m),
            int(border.inputs),
            int(used_ranks),
            int(x.ld()),
            int(border.ld()),
            int(x.ld()),
            int(0),
            int(border.ranks),
        ];
        args.extend(Mask::new(used, linear.site).args());
        let (kernel, wide, shared) = match used_ranks <= 64 {
            true => (Kernel("lora_down_64"), 64, 73_728),
            false => (Kernel("lora_down_256"), 256, 92_160),
        };
        let launch = grid(m.div_ceil(64), used_ranks.div_ceil(wide), 256, shared);
        self.device.launch(kernel, &launch, &args)
    }

    /// The gradients of A and B are added, and dx is made where it is asked for.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn unproject(
        &self,
        linear: &Linear<D>,
        batch: &Placed<D>,
        used: Use,
        x: &Buffer<D>,
        h: &Buffer<D>,
        dy: &Buffer<D>,
        m: usize,
        dx: Option<&Buffer<D>>,
    ) -> Done {
        let border = &linear.border;
        let (k, n, ranks) = (border.inputs, border.outputs, border.ranks);
        let mask = Mask::new(used, linear.site);
        dy.check(m, "tokens")?;
        let mut width = n;
        let mut beta = 0.0;
        let trained = adapted(linear, used);
        if let Some(trained) = trained {
            let dh = tail(dy, n, ranks)?;
            let h = match h.is_empty() {
                true => (tail(x, k, ranks)?, x.ld()),
                false => (h.at(), h.ld()),
            };
            self.learn(linear, trained, batch, &mask, x, h, dy, dh, m)?;
            if let Some(dx) = dx.filter(|_| mask.p > 0.0) {
                self.preload(linear, batch, &mask, dh, dy.ld(), m, dx)?;
                beta = 1.0;
            } else {
                width += ranks;
            }
        }
        let Some(dx) = dx else { return Ok(()) };
        dx.check(m, "tokens")?;
        let a = Matrix::plain(dy.at(), dy.ld());
        let b = Matrix::plain(linear.weight.at(), border.ld());
        self.device.gemm(&Gemm {
            beta,
            ..Gemm::new([m, k, width], a, b, dx.at(), dx.ld())
        })
    }

    /// dh = dy (sB) into the tail of dy, and the gradients of B and A.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    fn learn(
        &self,
        linear: &Linear<D>,
        trained: &Trained<D>,
        batch: &Placed<D>,
        mask: &Mask,
        x: &Buffer<D>,
        h: (Address, usize),
        dy: &Buffer<D>,
        dh: Address,
        m: usize,
    ) -> Done {
        let border = &linear.border;
        let (of_dh, of_gradients) = partial_bytes(border, m);
        let work = self.workspace.hold(&self.device, of_dh + of_gradients)?;
        let (dh_partials, partials) = (work, work.plus(of_dh));
        let (segments, b_len) = (&trained.segments, trained.adapters.b_len);
        let count = segments.table.len();
        let args = [
            dy.at().into(),
            linear.weight.at().bf16(border.inputs as u64).into(),
            h.0.into(),
            trained.table.at().into(),
            dh_partials.into(),
            partials.into(),
            int(m),
            int(count),
            int(ROWS),
            int(dy.ld()),
            int(border.ld()),
            int(h.1),
            int(b_len),
        ];
        let (kernel, shared) = match segments.width {
            16 => (Kernel("lora_dy_16"), 94_208),
            _ => (Kernel("lora_dy_64"), 79_872),
        };
        let row_blocks = m.div_ceil(ROWS);
        let launch = grid(segments.tiles(), row_blocks, 256, shared);
        self.device.launch(kernel, &launch, &args)?;
        self.reduce_b(linear, trained, partials, row_blocks)?;
        let args = [
            dh_partials.into(),
            trained.table.at().into(),
            dh.into(),
            int(m),
            int(count),
            int(segments.tile()),
            int(segments.width),
            int(dy.ld()),
            int(border.ranks),
        ];
        let launch = row((m * (border.ranks / 4)).div_ceil(256), 256, 0);
        self.device.launch(Kernel("lora_dh"), &launch, &args)?;
        self.learn_a(linear, trained, batch, mask, x, (dh, dy.ld()), partials, m)
    }

    /// The gradient of each B, its scale put to it.
    fn reduce_b(
        &self,
        linear: &Linear<D>,
        trained: &Trained<D>,
        partials: Address,
        row_blocks: usize,
    ) -> Done {
        let adapters = &trained.adapters;
        let to = adapters.gradients_at().f32(adapters.b_gradients as u64);
        let scales = adapters.scales().into_iter().zip(&adapters.offsets);
        for (place, (scale, &offset)) in linear.border.places.iter().zip(scales) {
            let n = place.outputs * place.padded;
            let (to, from) = (to.f32(offset as u64), partials.f32(offset as u64));
            self.reduce(to, from, n, row_blocks, adapters.b_len, scale)?;
        }
        Ok(())
    }

    /// dA = dh^T drop(x).
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    fn learn_a(
        &self,
        linear: &Linear<D>,
        trained: &Trained<D>,
        batch: &Placed<D>,
        mask: &Mask,
        x: &Buffer<D>,
        dh: (Address, usize),
        partials: Address,
        m: usize,
    ) -> Done {
        let border = &linear.border;
        let ranks = trained.adapters.b_gradients / border.inputs;
        let mut args = vec![
            dh.0.into(),
            x.at().into(),
            batch.examples.into(),
            batch.positions.into(),
            partials.into(),
            int(m),
            int(border.inputs),
            int(ranks),
            int(ROWS),
            int(dh.1),
            int(x.ld()),
        ];
        args.extend(mask.args());
        let row_blocks = m.div_ceil(ROWS);
        let mut launch = grid(border.inputs.div_ceil(256), ranks.div_ceil(64), 256, 43_008);
        launch.grid[2] = super::launch::blocks(row_blocks);
        self.device.launch(Kernel("lora_da"), &launch, &args)?;
        let n = trained.adapters.b_gradients;
        let to = trained.adapters.gradients_at();
        self.reduce(to, partials, n, row_blocks, n, 1.0)
    }

    /// dx = mask * (dh A) / (1 - p): what the product with W is added to.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    fn preload(
        &self,
        linear: &Linear<D>,
        batch: &Placed<D>,
        mask: &Mask,
        dh: Address,
        lddh: usize,
        m: usize,
        dx: &Buffer<D>,
    ) -> Done {
        let border = &linear.border;
        let ranks: usize = border.places.iter().map(|place| place.padded).sum();
        let a = (border.outputs * border.ld()) as u64;
        let mut args = vec![
            dh.into(),
            linear.weight.at().bf16(a).into(),
            batch.examples.into(),
            batch.positions.into(),
            dx.at().into(),
            int(m),
            int(border.inputs),
            int(ranks),
            int(lddh),
            int(border.ld()),
            int(dx.ld()),
        ];
        args.extend(mask.args());
        let launch = grid(border.inputs.div_ceil(128), m.div_ceil(64), 256, 53_248);
        self.device.launch(Kernel("lora_preload"), &launch, &args)
    }

    /// to += scale * the sum of the partials, in their order.
    fn reduce(
        &self,
        to: Address,
        partials: Address,
        n: usize,
        count: usize,
        stride: usize,
        scale: f32,
    ) -> Done {
        let args = [
            to.into(),
            partials.into(),
            int(n),
            int(count),
            int(stride),
            int(1),
            scale.into(),
        ];
        let launch = row(n.div_ceil(256), 256, 0);
        self.device.launch(Kernel("reduce"), &launch, &args)
    }
}
