//! What a machine must be able to compute for a decoder to be trained on it: each operation forward and backward, no autograd.
//!
//! Buffers are row-major; every shape is an argument. M is the number of tokens of a batch, H the hidden width, F that
//! of the feed-forward block, V the vocabulary, R the sum of the ranks of a projection group. Results are a function of the
//! arguments alone: no operation depends on the number of threads or on the order in which they run.

pub use super::shape::{Kind, Shape};
use super::{batch::Batch, decoder::Decoder};
use crate::training::site::Site;

/// Why a machine could not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble(pub String);

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

/// A result of a machine.
pub type Done<T = ()> = Result<T, Trouble>;

/// A frozen matrix with its adapter: y = x W^T + bias + scale * drop(x) A^T B^T.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// Columns of y: rows of W.
    pub outputs: usize,
    /// Columns of x, and of W.
    pub inputs: usize,
    /// W, [outputs, inputs].
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Option<Vec<f32>>,
    /// What is trained, by member of the pack: each has its own adapter, or none. Empty: nothing is.
    pub adapters: Vec<Option<Adapter>>,
}

/// The low-rank part of a projection.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// Rank r.
    pub rank: usize,
    /// What its output is multiplied by.
    pub scale: f32,
    /// A, [rank, inputs].
    pub a: Vec<f32>,
    /// B, [outputs, rank].
    pub b: Vec<f32>,
}

/// The trained numbers of one adapter, or numbers of their shape: gradients, moments.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Like A, [rank, inputs].
    pub a: Vec<f32>,
    /// Like B, [outputs, rank].
    pub b: Vec<f32>,
}

/// One member's part of a projection group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Member {
    /// Its adapters, None where a projection has none.
    pub adapters: Vec<Option<Adapter>>,
    /// What AdamW keeps of them; none: 0.
    pub moments: Option<Vec<Option<Moments>>>,
}

impl Member {
    /// The members that projections come with.
    pub fn all(group: &[Projection]) -> Vec<Self> {
        let count = group.iter().map(|p| p.adapters.len()).max().unwrap_or(0);
        let own = |member: usize| {
            let of = |p: &Projection| p.adapters.get(member).cloned().flatten();
            group.iter().map(of).collect()
        };
        let members = 0..count;
        members
            .map(|member| Self {
                adapters: own(member),
                moments: None,
            })
            .collect()
    }
}

/// What AdamW keeps of one adapter, besides itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// First moment.
    pub first: Pair,
    /// Second moment.
    pub second: Pair,
}

/// One step of AdamW, as torch defines it: p *= 1 - lr * decay, then p -= lr * m' / (sqrt(v') + epsilon).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Which step it is, from 1, for the bias correction.
    pub step: u64,
    /// Learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second.
    pub beta2: f64,
    /// Added outside the root.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// What gradients are multiplied by first: clipping.
    pub gradient_scale: f64,
}

/// Which inputs of adapters are dropped: those whose number from Philox 4x32-10 is below p.
///
/// The mask is a function of (seed, step, site, example, position, column), so neither layout, nor resuming, nor threads
/// change it, and nothing of it is stored: see [`crate::training::philox`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Root of all chance.
    pub seed: u64,
    /// The optimiser's step, from 1.
    pub step: u64,
    /// Share that is dropped, above 0 and below 1; what stays is divided by 1 - p.
    pub p: f32,
}

/// How a member's adapters take part in its rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Use {
    /// Not at all: the base model.
    Off,
    /// As it is.
    On,
    /// With dropout.
    Drop(Dropout),
}

impl Use {
    /// How a member takes part, where `all` says it by member: one that is not named does not.
    pub fn of(all: &[Use], member: usize) -> Use {
        all.get(member).copied().unwrap_or(Use::Off)
    }

    /// Whether no member takes part.
    pub fn is_none(all: &[Use]) -> bool {
        all.iter().all(|used| *used == Use::Off)
    }
}

/// The shape of attention. Rows of `qkv` are [heads * head_dim | kv_heads * head_dim | kv_heads * head_dim].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one.
    pub head_dim: usize,
    /// A token attends to itself and the `window - 1` before it; none: to all before it.
    pub window: Option<usize>,
    /// What scores are multiplied by: 1 / sqrt(head_dim).
    pub scale: f32,
}

impl Heads {
    /// Columns of queries, and of attention's output.
    pub fn queries(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Columns of keys, and of values.
    pub fn keys(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Columns of a row of `qkv`.
    pub fn columns(&self) -> usize {
        self.queries() + 2 * self.keys()
    }
}

/// Rotary position embedding: pairs are (i, i + head_dim / 2), as Hugging Face has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Radians a position, `[head_dim / 2]`; any scaling of the model is in them.
    pub frequencies: Vec<f32>,
    /// What cosine and sine are multiplied by; 1 for most models.
    pub attention_factor: f32,
}

/// Which heads of `qkv` an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Queries.
    Queries,
    /// Keys.
    Keys,
}

/// How much of the way forward is kept for the way back; the rest is computed again. The results are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is computed again.
    Everything,
    /// Norms and the activation of the feed-forward block, which are cheap, are.
    Selective,
    /// Only a layer's input is kept, and the whole layer computed again.
    Layer,
}

/// A run, as far as memory is concerned.
pub struct Ask<'a> {
    /// The model.
    pub decoder: &'a Decoder,
    /// The ranks of the adapters of each site, by member; 0: none.
    pub ranks: &'a dyn Fn(Site) -> Vec<usize>,
    /// Tokens of a microbatch at most.
    pub tokens: usize,
    /// Supervised ones of them at most.
    pub supervised: usize,
}

/// The first of the highest.
fn likeliest(logits: &[f32]) -> Done<u32> {
    let mut best = 0;
    for (at, logit) in logits.iter().enumerate() {
        if !logit.is_finite() {
            return Err(Trouble(format!("the logit of token {at} is {logit}")));
        }
        if *logit > logits[best] {
            best = at;
        }
    }
    Ok(best as u32)
}

/// A machine. An operation whose last output is `acc` adds to it; every other output is overwritten.
pub trait Backend {
    /// Numbers on the machine, flat.
    type Buffer;
    /// A batch on the machine: ids, positions, documents, supervised rows and targets.
    type Placed;
    /// A projection group on the machine: projections that read the same x, their outputs side by side; their adapters,
    /// gradients and moments.
    type Linear;

    /// Zeros.
    fn zeros(&self, shape: Shape) -> Done<Self::Buffer>;
    /// These numbers, on the machine.
    fn put(&self, shape: Shape, numbers: &[f32]) -> Done<Self::Buffer>;
    /// The first `len` numbers of a buffer.
    fn get(&self, buffer: &Self::Buffer, len: usize) -> Done<Vec<f32>>;
    /// The first `len` numbers of `from` into `to`.
    fn copy(&self, from: &Self::Buffer, len: usize, to: &mut Self::Buffer) -> Done;
    /// acc `[len]` += x.
    fn add(&self, x: &Self::Buffer, len: usize, acc: &mut Self::Buffer) -> Done;
    /// The first of the highest of each row of [rows, columns]: the likeliest token.
    ///
    /// # Errors
    /// One of the numbers is infinite or none.
    fn likeliest(&self, logits: &Self::Buffer, rows: usize, columns: usize) -> Done<Vec<u32>> {
        let all = self.get(logits, rows * columns)?;
        all.chunks_exact(columns).map(likeliest).collect()
    }
    /// How much of the way forward is to be kept when so much is trained, where memory decides it; what operations need beside
    /// it is set aside. Asked before anything is loaded.
    ///
    /// # Errors
    /// It does not fit, with numbers.
    fn plan(&self, _ask: &Ask<'_>) -> Done<Option<Level>> {
        Ok(None)
    }
    /// The most bytes of its own memory that the machine has had in use, where it counts them.
    fn peak_bytes(&self) -> Option<u64> {
        None
    }
    /// A batch, on the machine.
    fn place(&self, batch: &Batch) -> Done<Self::Placed>;

    /// A projection group. `site` names it among all of the model, for dropout.
    fn linear(&self, site: u32, group: Vec<Projection>) -> Done<Self::Linear>;
    /// Columns that this machine needs beside the rows of x and of dy of a group; [`equip`](Self::equip) may change them.
    fn tail(&self, _linear: &Self::Linear) -> usize {
        0
    }
    /// y [M, outputs of all] = (or += with `accumulate`) the group's outputs, each row with the adapters of the member whose it
    /// is and as `used` says it by member; `h` [M, R] keeps drop(x) A^T for the way back, its numbers elsewhere are anything.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    fn forward(
        &self,
        linear: &Self::Linear,
        batch: &Self::Placed,
        used: &[Use],
        x: &Self::Buffer,
        m: usize,
        h: &mut Self::Buffer,
        accumulate: bool,
        y: &mut Self::Buffer,
    ) -> Done;
    /// dx [M, inputs] = the gradient of x, where it is asked for; gradients of A and B, each over its member's rows alone, are
    /// added to the group's own. `used` must be that of the way forward; with [`Use::Off`] only dx is made.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    fn backward(
        &self,
        linear: &mut Self::Linear,
        batch: &Self::Placed,
        used: &[Use],
        x: &Self::Buffer,
        h: &Self::Buffer,
        dy: &Self::Buffer,
        m: usize,
        dx: Option<&mut Self::Buffer>,
    ) -> Done;
    /// A member's adapters, None where a projection has none.
    fn adapters(&self, linear: &Self::Linear, member: usize) -> Done<Vec<Option<Adapter>>>;
    /// Their gradients, summed since [`clear`](Self::clear).
    fn gradients(&self, linear: &Self::Linear, member: usize) -> Done<Vec<Option<Pair>>>;
    /// What AdamW keeps of them.
    fn moments(&self, linear: &Self::Linear, member: usize) -> Done<Vec<Option<Moments>>>;
    /// Puts other members in the place of those that are there, of whatever ranks; gradients become 0.
    fn equip(&self, linear: &mut Self::Linear, members: &[Member]) -> Done;
    /// Sets a member's gradients to 0.
    fn clear(&self, groups: &mut [&mut Self::Linear], member: usize) -> Done;
    /// The sum of the squares of a member's gradients in all these groups, in f64 and a fixed order.
    fn squares(&self, groups: &[&Self::Linear], member: usize) -> Done<f64>;
    /// One step of AdamW over a member's adapters in all these groups.
    fn adamw(&self, groups: &mut [&mut Self::Linear], member: usize, step: &AdamStep) -> Done;
    /// A member takes no part any more: whatever its numbers are, none of them reaches the rows of another, even where an
    /// infinite one would be multiplied by 0. They can be read as before.
    fn retire(&self, _groups: &mut [&mut Self::Linear], _member: usize) -> Done {
        Ok(())
    }

    /// x [M, H]: rows of `table` [V, H] by token id.
    fn embed(
        &self,
        table: &Self::Buffer,
        batch: &Self::Placed,
        h: usize,
        x: &mut Self::Buffer,
    ) -> Done;
    /// y [M, H] = x / rms(x) * gain; `rstd` `[M]` keeps 1 / rms.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    fn norm(
        &self,
        x: &Self::Buffer,
        gain: &Self::Buffer,
        m: usize,
        h: usize,
        epsilon: f32,
        rstd: &mut Self::Buffer,
        y: &mut Self::Buffer,
    ) -> Done;
    /// acc [M, H] += the gradient of x.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    fn norm_backward(
        &self,
        x: &Self::Buffer,
        gain: &Self::Buffer,
        rstd: &Self::Buffer,
        dy: &Self::Buffer,
        m: usize,
        h: usize,
        acc: &mut Self::Buffer,
    ) -> Done;
    /// Normalises each head of `part` by its own mean square, as [`norm`](Self::norm) does a row: `raw` and `qkv`
    /// [M, columns], gain `[head_dim]`; `rstd` [M, heads of the part]. Other columns of `qkv` are left alone.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    fn head_norm(
        &self,
        heads: &Heads,
        part: Part,
        raw: &Self::Buffer,
        gain: &Self::Buffer,
        m: usize,
        epsilon: f32,
        rstd: &mut Self::Buffer,
        qkv: &mut Self::Buffer,
    ) -> Done;
    /// d [M, columns], the gradient of the normalised heads, becomes that of the raw ones, in place.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    fn head_norm_backward(
        &self,
        heads: &Heads,
        part: Part,
        raw: &Self::Buffer,
        gain: &Self::Buffer,
        rstd: &Self::Buffer,
        m: usize,
        d: &mut Self::Buffer,
    ) -> Done;
    /// Rotates queries and keys of `qkv` [M, columns] by their positions, in place; backwards with `back`.
    fn rope(
        &self,
        heads: &Heads,
        rope: &Rope,
        batch: &Self::Placed,
        m: usize,
        back: bool,
        qkv: &mut Self::Buffer,
    ) -> Done;
    /// Causal attention within each document: out [M, queries]; `lse` [M, heads] keeps the log of the sum of the exponentials.
    fn attend(
        &self,
        heads: &Heads,
        batch: &Self::Placed,
        qkv: &Self::Buffer,
        m: usize,
        lse: &mut Self::Buffer,
        out: &mut Self::Buffer,
    ) -> Done;
    /// dqkv [M, columns] = the gradient of qkv.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    fn attend_backward(
        &self,
        heads: &Heads,
        batch: &Self::Placed,
        qkv: &Self::Buffer,
        lse: &Self::Buffer,
        out: &Self::Buffer,
        dout: &Self::Buffer,
        m: usize,
        dqkv: &mut Self::Buffer,
    ) -> Done;
    /// One new token of each of n sequences: `qkv` [n, columns] is rotated already. Its key and value are written to
    /// `cache` [n, capacity, 2 * keys] at `lengths[i]`, and it attends to all up to itself. out [n, queries].
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    fn attend_cached(
        &self,
        heads: &Heads,
        qkv: &Self::Buffer,
        lengths: &[usize],
        capacity: usize,
        cache: &mut Self::Buffer,
        out: &mut Self::Buffer,
    ) -> Done;
    /// Keys and values of whole documents (document i is sequence i) into such a cache.
    fn fill_cache(
        &self,
        heads: &Heads,
        batch: &Self::Placed,
        qkv: &Self::Buffer,
        capacity: usize,
        cache: &mut Self::Buffer,
    ) -> Done;
    /// act [M, F] = silu(gate) * up, where `gu` [M, 2F] is [gate | up].
    fn swiglu(&self, gu: &Self::Buffer, m: usize, f: usize, act: &mut Self::Buffer) -> Done;
    /// `gu` [M, 2F] becomes its own gradient, in place.
    fn swiglu_backward(
        &self,
        dact: &Self::Buffer,
        m: usize,
        f: usize,
        gu: &mut Self::Buffer,
    ) -> Done;
    /// out [S, H] = the supervised rows of x [M, H].
    fn gather(
        &self,
        batch: &Self::Placed,
        x: &Self::Buffer,
        h: usize,
        out: &mut Self::Buffer,
    ) -> Done;
    /// dx [M, H] = 0 but for the supervised rows, which are those of d [S, H].
    fn scatter(
        &self,
        batch: &Self::Placed,
        d: &Self::Buffer,
        m: usize,
        h: usize,
        dx: &mut Self::Buffer,
    ) -> Done;
    /// The loss head over S supervised rows: `losses` `[S]` = -log p(target) in nats; with `gradient` (weights `[S]`, dx [S, H]),
    /// dx = weight * (softmax - onehot) W. Logits are made in chunks of rows and never all kept.
    fn head(
        &self,
        head: &Self::Linear,
        batch: &Self::Placed,
        x: &Self::Buffer,
        losses: &mut Self::Buffer,
        gradient: Option<(&[f32], &mut Self::Buffer)>,
    ) -> Done;
}
