//! A projection group on the device: its bordered weight, and what is trained of it.

use super::{
    super::backend::{Adapter, Done, Moments, Projection, Trouble},
    adapters::Adapters,
    border::Border,
    device::{Address, Device, Kernel},
    launch::{int, row},
    memory::{LANE, Piece, bytes_of_bf16, padded_rows},
    segments::Segments,
};
use std::rc::Rc;

/// Numbers of a weight that are rounded and sent at a time.
const SLAB: usize = 1 << 24;

/// A group.
pub struct Linear<D: Device> {
    /// What it is called among all of the model, for dropout.
    pub site: u32,
    /// Where everything stands in `weight`.
    pub border: Border,
    /// W^.
    pub weight: Piece<D>,
    /// bf16 `[N]`: 0 where a projection has none.
    pub bias: Option<Piece<D>>,
    /// Where an adapter is.
    pub trained: Option<Trained<D>>,
}

/// What is trained of a group.
pub struct Trained<D: Device> {
    /// Numbers and gradients.
    pub adapters: Adapters<D>,
    /// How the pass over dY is shared out.
    pub segments: Segments,
    /// The same on the device.
    pub table: Piece<D>,
}

/// The layout of projections with these adapters.
fn layout(border: &Border, adapters: &[Option<Adapter>]) -> Border {
    let outputs = border.places.iter().map(|place| place.outputs);
    let ranks = adapters
        .iter()
        .map(|one| one.as_ref().map_or(0, |a| a.rank));
    Border::new(border.inputs, outputs.zip(ranks))
}

/// That the kernels can take a group of this shape.
fn check(group: &[Projection]) -> Done {
    let alone = group.len() == 1 && group[0].adapter.is_none();
    let odd = group.iter().find_map(|p| match p.inputs % LANE {
        0 => (!alone && p.outputs % LANE != 0).then_some(p.outputs),
        _ => Some(p.inputs),
    });
    match odd {
        None => Ok(()),
        Some(width) => Err(Trouble(format!(
            "a matrix has {width} rows or columns: the cuda backend needs a multiple of {LANE}"
        ))),
    }
}

impl<D: Device> Linear<D> {
    /// Takes a group to the device.
    pub fn new(device: &Rc<D>, site: u32, group: Vec<Projection>) -> Done<Self> {
        check(&group)?;
        let adapters: Vec<_> = group.iter().map(|p| p.adapter.clone()).collect();
        let frozen = group.iter().map(|p| (p.outputs, 0));
        let border = layout(&Border::new(group[0].inputs, frozen), &adapters);
        let weight = Piece::zeros(device, 2 * border.len() as u64)?;
        for (p, place) in group.iter().zip(&border.places) {
            let rows = (SLAB / border.ld()).max(1);
            for (slab, numbers) in p.weight.chunks(rows * p.inputs).enumerate() {
                let from = (place.output + slab * rows) * border.ld();
                let padded = padded_rows(numbers, p.inputs, border.ld());
                let to = weight.at().bf16(from as u64);
                device.upload(&bytes_of_bf16(&padded), to)?;
            }
        }
        let mut linear = Self {
            site,
            bias: bias(device, &group)?,
            border,
            weight,
            trained: None,
        };
        linear.train(device, &adapters, None)?;
        Ok(linear)
    }

    /// Other adapters on the same base, with moments of 0 where none are given. `copy` copies rows of bf16: from, numbers from
    /// row to row, to, numbers from row to row, rows, columns.
    pub fn equip(
        &mut self,
        device: &Rc<D>,
        adapters: &[Option<Adapter>],
        moments: Option<&[Option<Moments>]>,
        copy: impl Fn((Address, usize), (Address, usize), usize, usize) -> Done,
    ) -> Done {
        let border = layout(&self.border, adapters);
        self.trained = None;
        if border.ranks != self.border.ranks {
            let weight = Piece::zeros(device, 2 * border.len() as u64)?;
            copy(
                (self.weight.at(), self.border.ld()),
                (weight.at(), border.ld()),
                border.outputs,
                border.inputs,
            )?;
            self.weight = weight;
        }
        self.border = border;
        self.train(device, adapters, moments)
    }

    /// Masters, moments and gradients of these adapters, and the borders of them.
    fn train(
        &mut self,
        device: &Rc<D>,
        adapters: &[Option<Adapter>],
        moments: Option<&[Option<Moments>]>,
    ) -> Done {
        if self.border.ranks == 0 {
            return Ok(());
        }
        let (at, border) = (self.weight.at(), &self.border);
        let own = Adapters::new(device, border, at, adapters, moments)?;
        let segments = Segments::new(border, &own.offsets);
        let table = Piece::of_u32(device, segments.table.as_flattened())?;
        let (n, k, r) = (border.outputs, border.inputs, border.ranks);
        erase(device.as_ref(), border, at.bf16(k as u64), n, r)?;
        let below = at.bf16((n * border.ld()) as u64);
        erase(device.as_ref(), border, below, r, border.ld())?;
        own.write_borders(device.as_ref())?;
        self.trained = Some(Trained {
            adapters: own,
            segments,
            table,
        });
        Ok(())
    }
}

/// A region of W^ becomes 0.
fn erase<D: Device>(device: &D, border: &Border, at: Address, rows: usize, columns: usize) -> Done {
    let args = [
        at.into(),
        Address::NULL.into(),
        int(0),
        int(0),
        int(rows),
        int(columns),
        int(border.ld()),
        int(0),
        1.0_f32.into(),
    ];
    let launch = row((rows * columns).div_ceil(256), 256, 0);
    device.launch(Kernel("border"), &launch, &args)
}

/// The biases of a group side by side, where any projection has one.
fn bias<D: Device>(device: &Rc<D>, group: &[Projection]) -> Done<Option<Piece<D>>> {
    if group.iter().all(|p| p.bias.is_none()) {
        return Ok(None);
    }
    let each = group.iter().flat_map(|p| match &p.bias {
        Some(bias) => bias.clone(),
        None => vec![0.0; p.outputs],
    });
    let all: Vec<f32> = each.collect();
    Piece::of(device, &bytes_of_bf16(&all)).map(Some)
}
