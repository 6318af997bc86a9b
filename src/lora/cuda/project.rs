//! A projection group forward and backward: thin passes of our own around one matrix product each.
//!
//! The passes go share by share, each with its member's columns, rows and mask, as if it were alone; the product takes all rows
//! at once, whoever's they are, since its shape must not depend on how a batch is shared.

use super::{
    super::backend::{Done, Use},
    Cuda,
    device::{Device, Element, Gemm, Kernel, Matrix},
    launch::{grid, int},
    learn::Back,
    linear::{Linear, erase},
    memory::Buffer,
    place::Placed,
    shares::{Mask, Own, Rows, Share, Shares},
};

impl<D: Device> Cuda<D> {
    /// y = (or +=) x^ [W | sB]^T + bias, where h stands in the tail of x; it is copied into `h` where that has room of its own.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn project(
        &self,
        linear: &Linear<D>,
        batch: &Placed<D>,
        used: &[Use],
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
        let shares = Shares::new(linear, batch, used, m);
        if shares.any(|_| true) {
            let low = Rows::tail(x, k, ranks)?;
            for share in &shares.all {
                let (x, low) = (Rows::of(x).row(share.first), low.row(share.first));
                match &share.own {
                    Some(own) => self.lora_down(linear, batch, share, own, x, low)?,
                    None => erase(self.device(), low.at, low.ld, share.rows, ranks)?,
                }
            }
            if !h.is_empty() {
                h.check(m, "tokens")?;
                self.copy_rows((low.at, low.ld), (h.at(), h.ld()), m, ranks)?;
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

    /// h = drop(x) A^T of a share into the tail of x; padding and the columns of other members become 0.
    fn lora_down(
        &self,
        linear: &Linear<D>,
        batch: &Placed<D>,
        share: &Share<'_, D>,
        own: &Own<'_, D>,
        x: Rows,
        low: Rows,
    ) -> Done {
        let (border, part) = (&linear.border, own.part);
        let a = linear.weight.at().bf16(border.a(part.low) as u64);
        let mut args = vec![
            x.at.into(),
            a.into(),
            low.at.into(),
            batch.examples.f32(share.first as u64).into(),
            batch.positions.f32(share.first as u64).into(),
            int(share.rows),
            int(border.inputs),
            int(part.ranks),
            int(x.ld),
            int(border.ld()),
            int(low.ld),
            int(part.low),
            int(border.ranks),
        ];
        args.extend(own.mask.args());
        let (kernel, wide, shared) = match part.ranks <= 64 {
            true => (Kernel("lora_down_64"), 64, 73_728),
            false => (Kernel("lora_down_256"), 256, 92_160),
        };
        let (rows, columns) = (share.rows.div_ceil(64), part.ranks.div_ceil(wide));
        let launch = grid(rows, columns, 256, shared);
        self.device.launch(kernel, &launch, &args)
    }

    /// The gradients of A and B are added, and dx is made where it is asked for.
    ///
    /// Rows without dropout have their adapters' part of dx from the product, which is R columns wider for it; rows with
    /// dropout have it in dx before the product adds to that. Where there are both, one product does both: it is wide and adds,
    /// and what is not a row's own way is 0 for it. An exact 0 more or less changes no sum, so each row comes out as it would
    /// among its like alone.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn unproject(
        &self,
        linear: &Linear<D>,
        batch: &Placed<D>,
        used: &[Use],
        x: &Buffer<D>,
        h: &Buffer<D>,
        dy: &Buffer<D>,
        m: usize,
        dx: Option<&Buffer<D>>,
    ) -> Done {
        let border = &linear.border;
        let (k, n, ranks) = (border.inputs, border.outputs, border.ranks);
        dy.check(m, "tokens")?;
        if let Some(dx) = dx {
            dx.check(m, "tokens")?;
        }
        let shares = Shares::new(linear, batch, used, m);
        let (wide, adds) = (shares.any(|mask| !mask.drops()), shares.any(Mask::drops));
        if wide || adds {
            let back = Back {
                linear,
                batch,
                x: Rows::of(x),
                h: match h.is_empty() {
                    true => Rows::tail(x, k, ranks)?,
                    false => Rows::of(h),
                },
                dy: Rows::of(dy),
                dh: Rows::tail(dy, n, ranks)?,
            };
            for share in &shares.all {
                if let Some(own) = &share.own {
                    self.learn(&back, share, own)?;
                }
                if let Some(dx) = dx {
                    self.enter(&back, share, Rows::of(dx), wide, adds)?;
                }
            }
        }
        let Some(dx) = dx else { return Ok(()) };
        let a = Matrix::plain(dy.at(), dy.ld());
        let b = Matrix::plain(linear.weight.at(), border.ld());
        let width = if wide { n + ranks } else { n };
        self.device.gemm(&Gemm {
            beta: if adds { 1.0 } else { 0.0 },
            ..Gemm::new([m, k, width], a, b, dx.at(), dx.ld())
        })
    }

    /// What the rows of a share bring into the product that makes dx: their part of it in dh or in dx, and 0 in the other where
    /// the product takes it (dh where it is `wide`, dx where it `adds`).
    fn enter(
        &self,
        back: &Back<'_, D>,
        share: &Share<'_, D>,
        dx: Rows,
        wide: bool,
        adds: bool,
    ) -> Done {
        let border = &back.linear.border;
        let (dh, dx) = (back.dh.row(share.first), dx.row(share.first));
        let dropping = share.own.as_ref().filter(|own| own.mask.drops());
        if let Some(own) = dropping {
            self.preload(back, share, own, dh, dx)?;
        } else if adds {
            erase(self.device(), dx.at, dx.ld, share.rows, border.inputs)?;
        }
        let in_dh = share.own.is_some() && dropping.is_none();
        match wide && !in_dh {
            true => erase(self.device(), dh.at, dh.ld, share.rows, border.ranks),
            false => Ok(()),
        }
    }

    /// dx = mask * (dh A) / (1 - p): what the product with W is added to.
    fn preload(
        &self,
        back: &Back<'_, D>,
        share: &Share<'_, D>,
        own: &Own<'_, D>,
        dh: Rows,
        dx: Rows,
    ) -> Done {
        let (border, part) = (&back.linear.border, own.part);
        let a = back.linear.weight.at().bf16(border.a(part.low) as u64);
        let mut args = vec![
            dh.column(part.low).at.into(),
            a.into(),
            back.batch.examples.f32(share.first as u64).into(),
            back.batch.positions.f32(share.first as u64).into(),
            dx.at.into(),
            int(share.rows),
            int(border.inputs),
            int(part.ranks),
            int(dh.ld),
            int(border.ld()),
            int(dx.ld),
        ];
        args.extend(own.mask.args());
        let (columns, rows) = (border.inputs.div_ceil(128), share.rows.div_ceil(64));
        let launch = grid(columns, rows, 256, 53_248);
        self.device.launch(Kernel("lora_preload"), &launch, &args)
    }
}
