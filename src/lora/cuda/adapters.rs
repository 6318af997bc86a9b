//! What is trained of a projection group: f32 masters, moments and gradients, and the tables by which the optimiser finds them.

use super::{
    super::backend::{AdamStep, Adapter, Done, Moments, Pair},
    border::{Border, Place},
    device::{Address, Device, Kernel},
    launch::{int, row},
    memory::{Piece, bytes_of_f32},
};
use std::rc::Rc;

/// Numbers of a tensor that one block of the optimiser takes.
const CHUNK: usize = 4096;

/// A or B of one projection.
struct Tensor {
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

impl Tensor {
    fn len(&self) -> usize {
        self.rows * self.columns
    }
}

/// One projection's adapter.
struct Trained {
    rank: usize,
    scale: f32,
    a: Tensor,
    b: Tensor,
}

/// The adapters of a group on the device.
pub struct Adapters<D: Device> {
    trained: Vec<Option<Trained>>,
    /// Masters, first moments, second moments: unpadded, one after the other.
    numbers: Piece<D>,
    len: usize,
    gradients: Piece<D>,
    /// Where the gradient of each B begins among the gradients, less `b_gradients`.
    pub offsets: Vec<usize>,
    /// Numbers of the gradients of A; those of B follow.
    pub b_gradients: usize,
    /// Numbers of the gradients of B.
    pub b_len: usize,
    tensors: Piece<D>,
    chunks: Piece<D>,
    count: usize,
    rule: Piece<D>,
    partials: Piece<D>,
    bounds: Piece<D>,
    total: Piece<D>,
}

/// Places of A and B of a projection; `from` is the next free number among the masters, `offset` among the gradients of B.
fn trained(border: &Border, place: &Place, adapter: &Adapter, from: usize, b: usize) -> Trained {
    let a = Tensor {
        from,
        rows: place.rank,
        columns: border.inputs,
        gradient: place.low * border.inputs,
        gradient_ld: border.inputs,
        border: border.a(place),
        border_ld: border.ld(),
        scale: 1.0,
    };
    let b = Tensor {
        from: from + a.len(),
        rows: place.outputs,
        columns: place.rank,
        gradient: b,
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
    /// Adapters of a group whose W^ is at `weight`; moments are 0 where none are given. The borders are still to be written.
    pub fn new(
        device: &Rc<D>,
        border: &Border,
        weight: Address,
        adapters: &[Option<Adapter>],
        moments: Option<&[Option<Moments>]>,
    ) -> Done<Self> {
        let used: usize = border.places.iter().map(|place| place.padded).sum();
        let b_gradients = used * border.inputs;
        let (mut len, mut b_len) = (0, 0);
        let (mut all, mut offsets) = (Vec::new(), Vec::new());
        for (place, adapter) in border.places.iter().zip(adapters) {
            offsets.push(b_len);
            let one = adapter
                .as_ref()
                .map(|adapter| trained(border, place, adapter, len, b_gradients + b_len));
            len += one.as_ref().map_or(0, |one| one.a.len() + one.b.len());
            b_len += place.outputs * place.padded;
            all.push(one);
        }
        let numbers = Piece::of_f32(device, &numbers(&all, len, adapters, moments))?;
        let gradients = Piece::zeros(device, 4 * (b_gradients + b_len) as u64)?;
        let (tensors, chunks) = tables(&all, len, numbers.at(), gradients.at(), weight);
        let count = chunks.len() / 8;
        let bounds = [0, count as u32];
        Ok(Self {
            trained: all,
            numbers,
            len,
            gradients,
            offsets,
            b_gradients,
            b_len,
            tensors: Piece::of(device, &tensors)?,
            chunks: Piece::of(device, &chunks)?,
            count,
            rule: Piece::zeros(device, 32)?,
            partials: Piece::zeros(device, 8 * count as u64)?,
            bounds: Piece::of_u32(device, &bounds)?,
            total: Piece::zeros(device, 8)?,
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

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.numbers.bytes() + self.gradients.bytes()
    }

    /// Masters into the borders, rounded to bf16.
    pub fn write_borders(&self, device: &D) -> Done {
        let args = [
            self.tensors.at().into(),
            self.chunks.at().into(),
            int(self.count),
        ];
        device.launch(Kernel("borders"), &row(self.count, 256, 0), &args)
    }

    /// Sets the gradients to 0.
    pub fn clear(&self) -> Done {
        self.gradients.clear()
    }

    /// One step of AdamW; it writes the borders.
    pub fn adamw(&self, device: &D, step: &AdamStep) -> Done {
        device.upload(&bytes_of_f32(&rule(step)), self.rule.at())?;
        let args = [
            self.tensors.at().into(),
            self.chunks.at().into(),
            self.rule.at().into(),
            int(self.count),
            int(0),
        ];
        device.launch(Kernel("adamw"), &row(self.count, 256, 0), &args)
    }

    /// The sum of the squares of the gradients.
    pub fn squares(&self, device: &D) -> Done<f64> {
        let args = [
            self.tensors.at().into(),
            self.chunks.at().into(),
            self.partials.at().into(),
            int(self.count),
        ];
        device.launch(Kernel("squares"), &row(self.count, 256, 64), &args)?;
        let args = [
            self.partials.at().into(),
            self.bounds.at().into(),
            self.total.at().into(),
            int(1),
        ];
        device.launch(Kernel("squares_total"), &row(1, 256, 64), &args)?;
        let mut sum = [0; 8];
        device.download(self.total.at(), &mut sum)?;
        Ok(f64::from_le_bytes(sum))
    }

    /// One kind of numbers of every adapter: 0 masters, 1 and 2 moments.
    fn pairs(&self, kind: usize) -> Done<Vec<Option<Pair>>> {
        let all = self.numbers.read_f32(kind * self.len, self.len)?;
        let tensor = |t: &Tensor| all[t.from..][..t.len()].to_vec();
        let pair = |one: &Trained| Pair {
            a: tensor(&one.a),
            b: tensor(&one.b),
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
        let tensor = |t: &Tensor| -> Vec<f32> {
            let row = |row: usize| &all[t.gradient + row * t.gradient_ld..][..t.columns];
            (0..t.rows).flat_map(row).copied().collect()
        };
        let pair = |one: &Trained| Pair {
            a: tensor(&one.a),
            b: tensor(&one.b),
        };
        let pairs = self.trained.iter().map(|one| one.as_ref().map(pair));
        Ok(pairs.collect())
    }
}

/// Masters, first and second moments as they lie on the device.
fn numbers(
    all: &[Option<Trained>],
    len: usize,
    adapters: &[Option<Adapter>],
    moments: Option<&[Option<Moments>]>,
) -> Vec<f32> {
    let mut numbers = vec![0.0; 3 * len];
    for (at, one) in all.iter().enumerate() {
        let (Some(one), Some(adapter)) = (one, &adapters[at]) else {
            continue;
        };
        let mut put = |kind: usize, a: &[f32], b: &[f32]| {
            numbers[kind * len + one.a.from..][..a.len()].copy_from_slice(a);
            numbers[kind * len + one.b.from..][..b.len()].copy_from_slice(b);
        };
        put(0, &adapter.a, &adapter.b);
        if let Some(moments) = moments.and_then(|moments| moments[at].as_ref()) {
            put(1, &moments.first.a, &moments.first.b);
            put(2, &moments.second.a, &moments.second.b);
        }
    }
    numbers
}

/// The tables of tensors (64 bytes each) and of chunks (8 bytes each), as the kernels' headers describe them.
fn tables(
    all: &[Option<Trained>],
    len: usize,
    numbers: Address,
    gradients: Address,
    weight: Address,
) -> (Vec<u8>, Vec<u8>) {
    let (mut tensors, mut chunks) = (Vec::new(), Vec::new());
    let each = all.iter().flatten().flat_map(|one| [&one.a, &one.b]);
    for (number, t) in each.enumerate() {
        let kind = |kind: usize| numbers.f32((kind * len + t.from) as u64);
        let places = [
            kind(0),
            gradients.f32(t.gradient as u64),
            kind(1),
            kind(2),
            weight.bf16(t.border as u64),
        ];
        tensors.extend(places.iter().flat_map(|place| place.0.to_le_bytes()));
        for word in [t.columns, t.gradient_ld, t.border_ld] {
            tensors.extend((word as u32).to_le_bytes());
        }
        tensors.extend(t.scale.to_le_bytes());
        for word in [0, t.len() as u32] {
            tensors.extend(word.to_le_bytes());
        }
        for from in (0..t.len()).step_by(CHUNK) {
            for word in [number as u32, from as u32] {
                chunks.extend(word.to_le_bytes());
            }
        }
    }
    (tensors, chunks)
}

/// The scalars of one step, made in f64 and rounded once, as torch and the CPU backend make them.
fn rule(step: &AdamStep) -> [f32; 8] {
    let correction = |beta: f64| 1.0 - beta.powf(step.step as f64);
    [
        step.gradient_scale,
        1.0 - step.learning_rate * step.weight_decay,
        1.0 - step.beta1,
        step.beta2,
        1.0 - step.beta2,
        correction(step.beta2).sqrt(),
        step.epsilon,
        step.learning_rate / correction(step.beta1),
    ]
    .map(|number| number as f32)
}
