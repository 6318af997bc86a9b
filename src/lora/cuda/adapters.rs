//! What a member trains of a projection group: f32 masters, moments and gradients in pieces of its own, so that clearing or
//! stepping one member never touches another.

use super::{
    super::backend::{Adapter, Done, Member, Moments, Pair},
    border::{Border, Part, Place},
    device::{Address, Device},
    memory::Piece,
    optimiser::{Tensor, Tensors},
};
use std::rc::Rc;

/// A or B of one projection.
struct Matrix {
    /// Numbers before it among all masters of the group.
    from: usize,
    rows: usize,
    columns: usize,
    /// Its first number among the gradients.
    gradient: usize,
    /// Numbers from row to row of its gradient.
    gradient_ld: usize,
    /// Its first number in W^.
    border: usize,
    /// Numbers from row to row of W^.
    border_ld: usize,
    /// What it is multiplied by in W^.
    scale: f32,
}

impl Matrix {
    fn len(&self) -> usize {
        self.rows * self.columns
    }
}

/// One projection's adapter.
struct Trained {
    rank: usize,
    scale: f32,
    a: Matrix,
    b: Matrix,
}

/// A member's adapters of a group on the device.
pub struct Adapters<D: Device> {
    trained: Vec<Option<Trained>>,
    /// Masters, first moments, second moments: unpadded, one after the other.
    numbers: Piece<D>,
    len: usize,
    gradients: Piece<D>,
    /// Numbers of the gradients of A; those of B follow.
    pub b_gradients: usize,
    /// Numbers of the gradients of B.
    pub b_len: usize,
    tensors: Tensors,
}

/// Places of A and B of a projection; `from` is the next free number among the masters.
fn trained(border: &Border, part: &Part, place: &Place, adapter: &Adapter, from: usize) -> Trained {
    let a = Matrix {
        from,
        rows: place.rank,
        columns: border.inputs,
        gradient: (place.low - part.low) * border.inputs,
        gradient_ld: border.inputs,
        border: border.a(place.low),
        border_ld: border.ld(),
        scale: 1.0,
    };
    let b = Matrix {
        from: from + a.len(),
        rows: place.outputs,
        columns: place.rank,
        gradient: part.ranks * border.inputs + place.gradient,
        gradient_ld: place.padded,
        border: border.b(place),
        border_ld: border.ld(),
        scale: adapter.scale,
    };
    Trained {
        rank: place.rank,
        scale: adapter.scale,
        a,
        b,
    }
}

impl<D: Device> Adapters<D> {
    /// Of a member that has such a part of the W^ at `weight`; moments are 0 where none are given. The borders are still to be
    /// written.
    pub fn new(
        device: &Rc<D>,
        border: &Border,
        part: &Part,
        weight: Address,
        member: &Member,
    ) -> Done<Self> {
        let mut len = 0;
        let mut all = Vec::new();
        for (place, adapter) in part.places.iter().zip(&member.adapters) {
            let adapter = adapter.as_ref();
            let one = adapter.map(|adapter| trained(border, part, place, adapter, len));
            len += one.as_ref().map_or(0, |one| one.a.len() + one.b.len());
            all.push(one);
        }
        let (b_gradients, b_len) = (part.ranks * border.inputs, part.b_len());
        let numbers = Piece::of_f32(device, &numbers(&all, len, member))?;
        let gradients = Piece::zeros(device, 4 * (b_gradients + b_len) as u64)?;
        Ok(Self {
            tensors: tensors(&all, len, numbers.at(), gradients.at(), weight),
            trained: all,
            numbers,
            len,
            gradients,
            b_gradients,
            b_len,
        })
    }

    /// The scale of each projection's adapter; 0 where there is none.
    pub fn scales(&self) -> Vec<f32> {
        let scale = |one: &Option<Trained>| one.as_ref().map_or(0.0, |one| one.scale);
        self.trained.iter().map(scale).collect()
    }

    /// Where the gradients begin: those of A, [padded ranks, K].
    pub fn gradients_at(&self) -> Address {
        self.gradients.at()
    }

    /// What the optimiser finds it by.
    pub fn tensors(&self) -> Tensors {
        self.tensors.clone()
    }

    /// Sets the gradients to 0.
    pub fn clear(&self) -> Done {
        self.gradients.clear()
    }

    /// One kind of numbers of every adapter: 0 masters, 1 and 2 moments.
    fn pairs(&self, kind: usize) -> Done<Vec<Option<Pair>>> {
        let all = self.numbers.read_f32(kind * self.len, self.len)?;
        let matrix = |m: &Matrix| all[m.from..][..m.len()].to_vec();
        let pair = |one: &Trained| Pair {
            a: matrix(&one.a),
            b: matrix(&one.b),
        };
        let pairs = self.trained.iter().map(|one| one.as_ref().map(pair));
        Ok(pairs.collect())
    }

    /// The adapters as they are now.
    pub fn adapters(&self) -> Done<Vec<Option<Adapter>>> {
        let both = self.trained.iter().zip(self.pairs(0)?);
        let adapter = |(one, pair): (&Option<Trained>, Option<Pair>)| {
            let (one, Pair { a, b }) = (one.as_ref()?, pair?);
            let (rank, scale) = (one.rank, one.scale);
            Some(Adapter { rank, scale, a, b })
        };
        Ok(both.map(adapter).collect())
    }

    /// What AdamW keeps of them.
    pub fn moments(&self) -> Done<Vec<Option<Moments>>> {
        let both = self.pairs(1)?.into_iter().zip(self.pairs(2)?);
        let moments = |(first, second): (Option<Pair>, Option<Pair>)| {
            let (first, second) = (first?, second?);
            Some(Moments { first, second })
        };
        Ok(both.map(moments).collect())
    }

    /// Their gradients, without padding.
    pub fn gradients(&self) -> Done<Vec<Option<Pair>>> {
        let all = self.gradients.read_f32(0, self.b_gradients + self.b_len)?;
        let matrix = |m: &Matrix| -> Vec<f32> {
            let row = |row: usize| &all[m.gradient + row * m.gradient_ld..][..m.columns];
            (0..m.rows).flat_map(row).copied().collect()
        };
        let pair = |one: &Trained| Pair {
            a: matrix(&one.a),
            b: matrix(&one.b),
        };
        let pairs = self.trained.iter().map(|one| one.as_ref().map(pair));
        Ok(pairs.collect())
    }
}

/// Masters, first and second moments as they lie on the device.
fn numbers(all: &[Option<Trained>], len: usize, member: &Member) -> Vec<f32> {
    let mut numbers = vec![0.0; 3 * len];
    for (at, one) in all.iter().enumerate() {
        let (Some(one), Some(adapter)) = (one, &member.adapters[at]) else {
            continue;
        };
        let mut put = |kind: usize, a: &[f32], b: &[f32]| {
            numbers[kind * len + one.a.from..][..a.len()].copy_from_slice(a);
            numbers[kind * len + one.b.from..][..b.len()].copy_from_slice(b);
        };
        put(0, &adapter.a, &adapter.b);
        let kept = member.moments.as_ref();
        if let Some(kept) = kept.and_then(|kept| kept.get(at)?.as_ref()) {
            put(1, &kept.first.a, &kept.first.b);
            put(2, &kept.second.a, &kept.second.b);
        }
    }
    numbers
}

/// Where the kernels find all of it.
fn tensors(
    all: &[Option<Trained>],
    len: usize,
    numbers: Address,
    gradients: Address,
    weight: Address,
) -> Tensors {
    let each = all.iter().flatten().flat_map(|one| [&one.a, &one.b]);
    let kind = |kind: usize, from: usize| numbers.f32((kind * len + from) as u64);
    let tensor = |m: &Matrix| Tensor {
        places: [
            kind(0, m.from),
            gradients.f32(m.gradient as u64),
            kind(1, m.from),
            kind(2, m.from),
            weight.bf16(m.border as u64),
        ],
        len: m.len(),
        columns: m.columns,
        gradient_ld: m.gradient_ld,
        border_ld: m.border_ld,
        scale: m.scale,
    };
    each.map(tensor).collect()
}
