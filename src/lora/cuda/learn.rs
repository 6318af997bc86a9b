//! What a member learns from its rows: dh, and the gradients of its A and B, by partial sums over blocks of its own rows.

use super::{
    super::backend::Done,
    Cuda,
    device::{Address, Device, Kernel},
    launch::{blocks, grid, int, row},
    linear::Linear,
    place::Placed,
    segments::{ROWS, partial_bytes},
    shares::{Own, Rows, Share},
};

/// A group on its way back.
pub struct Back<'a, D: Device> {
    /// The group.
    pub linear: &'a Linear<D>,
    /// The batch.
    pub batch: &'a Placed<D>,
    /// What the group read.
    pub x: Rows,
    /// drop(x) A^T.
    pub h: Rows,
    /// The gradient of what it made.
    pub dy: Rows,
    /// dy (sB), in the tail of dy.
    pub dh: Rows,
}

impl<'a, D: Device> Back<'a, D> {
    /// The same from a row on.
    fn row(&self, row: usize) -> Self {
        Self {
            x: self.x.row(row),
            h: self.h.row(row),
            dy: self.dy.row(row),
            dh: self.dh.row(row),
            ..*self
        }
    }
}

/// Sums of a share's rows that are not yet summed over blocks of them.
#[derive(Clone, Copy)]
struct Partials {
    /// Of the gradients.
    at: Address,
    /// Blocks of rows.
    blocks: usize,
}

impl<D: Device> Cuda<D> {
    /// dh of a share into the tail of dy, 0 in the columns of other members, and the gradients of its member's B and A.
    pub(super) fn learn(&self, back: &Back<'_, D>, share: &Share<'_, D>, own: &Own<'_, D>) -> Done {
        let border = &back.linear.border;
        let (of_dh, of_gradients) = partial_bytes(border.inputs, own.part, share.rows);
        let work = self.workspace.hold(&self.device, of_dh + of_gradients)?;
        let partials = Partials {
            at: work.plus(of_dh),
            blocks: share.rows.div_ceil(ROWS),
        };
        let back = back.row(share.first);
        self.learn_b(&back, share, own, work, partials)?;
        let segments = &own.trained.segments;
        let args = [
            work.into(),
            own.trained.table.at().into(),
            back.dh.at.into(),
            int(share.rows),
            int(segments.table.len()),
            int(segments.tile()),
            int(segments.width),
            int(back.dh.ld),
            int(border.ranks),
        ];
        let threads = share.rows * (border.ranks / 4);
        let launch = row(threads.div_ceil(256), 256, 0);
        self.device.launch(Kernel("lora_dh"), &launch, &args)?;
        self.learn_a(&back, share, own, partials)
    }

    /// Parts of dh, and the gradient of each B, its scale put to it.
    fn learn_b(
        &self,
        back: &Back<'_, D>,
        share: &Share<'_, D>,
        own: &Own<'_, D>,
        dh_partials: Address,
        partials: Partials,
    ) -> Done {
        let (border, segments) = (&back.linear.border, &own.trained.segments);
        let adapters = &own.trained.adapters;
        let sb = back.linear.weight.at().bf16(border.inputs as u64);
        let args = [
            back.dy.at.into(),
            sb.into(),
            back.h.at.into(),
            own.trained.table.at().into(),
            dh_partials.into(),
            partials.at.into(),
            int(share.rows),
            int(segments.table.len()),
            int(ROWS),
            int(back.dy.ld),
            int(border.ld()),
            int(back.h.ld),
            int(adapters.b_len),
        ];
        let (kernel, shared) = match segments.width {
            16 => (Kernel("lora_dy_16"), 94_208),
            _ => (Kernel("lora_dy_64"), 79_872),
        };
        let launch = grid(segments.tiles(), partials.blocks, 256, shared);
        self.device.launch(kernel, &launch, &args)?;
        let to = adapters.gradients_at().f32(adapters.b_gradients as u64);
        for (place, scale) in own.part.places.iter().zip(adapters.scales()) {
            let (n, from) = (place.outputs * place.padded, place.gradient as u64);
            let each = Partials {
                at: partials.at.f32(from),
                ..partials
            };
            self.reduce(to.f32(from), each, n, adapters.b_len, scale)?;
        }
        Ok(())
    }

    /// dA = dh^T drop(x).
    fn learn_a(
        &self,
        back: &Back<'_, D>,
        share: &Share<'_, D>,
        own: &Own<'_, D>,
        partials: Partials,
    ) -> Done {
        let (inputs, part) = (back.linear.border.inputs, own.part);
        let mut args = vec![
            back.dh.column(part.low).at.into(),
            back.x.at.into(),
            back.batch.examples.f32(share.first as u64).into(),
            back.batch.positions.f32(share.first as u64).into(),
            partials.at.into(),
            int(share.rows),
            int(inputs),
            int(part.ranks),
            int(ROWS),
            int(back.dh.ld),
            int(back.x.ld),
        ];
        args.extend(own.mask.args());
        let (columns, ranks) = (inputs.div_ceil(256), part.ranks.div_ceil(64));
        let mut launch = grid(columns, ranks, 256, 43_008);
        launch.grid[2] = blocks(partials.blocks);
        self.device.launch(Kernel("lora_da"), &launch, &args)?;
        let adapters = &own.trained.adapters;
        let n = adapters.b_gradients;
        self.reduce(adapters.gradients_at(), partials, n, n, 1.0)
    }

    /// to += scale * the sum of the partials, in their order.
    fn reduce(&self, to: Address, partials: Partials, n: usize, stride: usize, scale: f32) -> Done {
        let args = [
            to.into(),
            partials.at.into(),
            int(n),
            int(partials.blocks),
            int(stride),
            int(1),
            scale.into(),
        ];
        let launch = row(n.div_ceil(256), 256, 0);
        self.device.launch(Kernel("reduce"), &launch, &args)
    }
}
