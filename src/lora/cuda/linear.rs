//! A projection group on the device: its bordered weight, and what is trained of it.

use super::{
    super::backend::{Done, Member, Projection, Trouble},
    adapters::Adapters,
    border::{Border, Part},
    device::{Address, Device, Kernel},
    launch::{int, row},
    memory::{LANE, Piece, bytes_of_bf16, padded_rows},
    optimiser::Table,
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
    /// By member of the pack, where it has an adapter.
    members: Vec<Option<Trained<D>>>,
}

/// What a member trains of a group.
pub struct Trained<D: Device> {
    /// Numbers and gradients.
    pub adapters: Adapters<D>,
    /// How the pass over dY is shared out.
    pub segments: Segments,
    /// The same on the device.
    pub table: Piece<D>,
}

/// The layout of a group whose projections have these widths, with these members.
fn layout(inputs: usize, widths: Vec<usize>, members: &[Member]) -> Border {
    let ranks = |member: &Member| {
        let each = member.adapters.iter();
        each.map(|one| one.as_ref().map_or(0, |a| a.rank)).collect()
    };
    let ranks: Vec<Vec<usize>> = members.iter().map(ranks).collect();
    Border::new(inputs, widths, &ranks)
}

/// That the kernels can take a group of this shape.
fn check(group: &[Projection]) -> Done {
    let frozen = |p: &Projection| p.adapters.iter().all(Option::is_none);
    let alone = group.len() == 1 && frozen(&group[0]);
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
        let members = Member::all(&group);
        let widths: Vec<usize> = group.iter().map(|p| p.outputs).collect();
        let border = layout(group[0].inputs, widths, &members);
        let weight = Piece::zeros(device, 2 * border.len() as u64)?;
        let mut output = 0;
        for p in &group {
            let rows = (SLAB / border.ld()).max(1);
            for (slab, numbers) in p.weight.chunks(rows * p.inputs).enumerate() {
                let from = (output + slab * rows) * border.ld();
                let padded = padded_rows(numbers, p.inputs, border.ld());
                let to = weight.at().bf16(from as u64);
                device.upload(&bytes_of_bf16(&padded), to)?;
            }
            output += p.outputs;
        }
        let mut linear = Self {
            site,
            bias: bias(device, &group)?,
            border,
            weight,
            members: Vec::new(),
        };
        linear.train(device, &members)?;
        Ok(linear)
    }

    /// What a member trains here, if anything.
    pub fn trained(&self, member: usize) -> Option<&Trained<D>> {
        self.members.get(member)?.as_ref()
    }

    /// Other members on the same base. `copy` copies rows of bf16: from, numbers from row to row, to, numbers from row to row,
    /// rows, columns.
    pub fn equip(
        &mut self,
        device: &Rc<D>,
        members: &[Member],
        copy: impl Fn((Address, usize), (Address, usize), usize, usize) -> Done,
    ) -> Done {
        let border = layout(self.border.inputs, self.border.widths.clone(), members);
        self.members.clear();
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
        self.train(device, members)
    }

    /// Masters, moments and gradients of these members, and the borders of them.
    fn train(&mut self, device: &Rc<D>, members: &[Member]) -> Done {
        let (border, at) = (&self.border, self.weight.at());
        let ld = border.ld();
        let (right, below) = (at.bf16(border.inputs as u64), at.bf16(border.a(0) as u64));
        erase(device.as_ref(), right, ld, border.outputs, border.ranks)?;
        erase(device.as_ref(), below, ld, border.ranks, ld)?;
        for (part, member) in border.members.iter().zip(members) {
            let own = match part.ranks {
                0 => None,
                _ => Some(Trained::new(device, border, part, at, member)?),
            };
            self.members.push(own);
        }
        Ok(())
    }

    /// A member's part of the border becomes 0, and its numbers stay as they are: whatever they are, those whose rows have zeros
    /// in its columns come to no harm.
    pub fn retire(&self, device: &D, member: usize) -> Done {
        let (border, at) = (&self.border, self.weight.at());
        let Some(part) = border.members.get(member) else {
            return Ok(());
        };
        let right = at.bf16((border.inputs + part.low) as u64);
        let below = at.bf16(border.a(part.low) as u64);
        erase(device, right, border.ld(), border.outputs, part.ranks)?;
        erase(device, below, border.ld(), part.ranks, border.inputs)
    }
}

impl<D: Device> Trained<D> {
    /// Of a member that has such a part of the W^ at `weight`, whose border is 0 there.
    fn new(
        device: &Rc<D>,
        border: &Border,
        part: &Part,
        weight: Address,
        member: &Member,
    ) -> Done<Self> {
        let adapters = Adapters::new(device, border, part, weight, member)?;
        let segments = Segments::new(part);
        let table = Piece::of_u32(device, segments.table.as_flattened())?;
        Table::new(device, vec![adapters.tensors()])?.write_borders(device)?;
        Ok(Self {
            adapters,
            segments,
            table,
        })
    }
}

/// A region of rows of bf16 becomes 0.
pub fn erase<D: Device>(device: &D, at: Address, ld: usize, rows: usize, columns: usize) -> Done {
    let args = [
        at.into(),
        Address::NULL.into(),
        int(0),
        int(0),
        int(rows),
        int(columns),
        int(ld),
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
