//! Whose rows of a batch are whose in a group, and how they take part: the passes around a product go share by share, the
//! product itself over all rows at once.

use super::{
    super::backend::{Done, Trouble, Use},
    border::Part,
    device::{Address, Arg, Device},
    linear::{Linear, Trained},
    memory::Buffer,
    place::Placed,
};
use crate::training::philox::step_key;

/// Dropout as kernels take it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mask {
    key: [u32; 2],
    site: u32,
    /// Share that is dropped; 0: none, and nothing else matters.
    pub p: f32,
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

    /// Whether anything is dropped.
    pub fn drops(&self) -> bool {
        self.p > 0.0
    }

    /// As kernels take it.
    pub fn args(&self) -> [Arg; 5] {
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

/// What adapts the rows of a member that takes part.
pub struct Own<'a, D: Device> {
    /// Its part of the border.
    pub part: &'a Part,
    /// What it trains.
    pub trained: &'a Trained<D>,
    /// What it drops.
    pub mask: Mask,
}

/// Rows one after the other that are adapted alike.
pub struct Share<'a, D: Device> {
    /// The first of them.
    pub first: usize,
    /// How many.
    pub rows: usize,
    /// By what; none: the base model alone.
    pub own: Option<Own<'a, D>>,
}

/// All rows of a batch, in their order.
pub struct Shares<'a, D: Device> {
    /// Each.
    pub all: Vec<Share<'a, D>>,
    /// The masks of all members that take part, whether or not they have rows here: what a product is shaped by is not to
    /// depend on who is there.
    masks: Vec<Mask>,
}

impl<'a, D: Device> Shares<'a, D> {
    /// Of the first `m` rows of a batch.
    pub fn new(linear: &'a Linear<D>, batch: &Placed<D>, used: &[Use], m: usize) -> Self {
        let members = 0..linear.border.members.len();
        let takes = |member: usize| {
            let used = Use::of(used, member);
            let takes = used != Use::Off && linear.trained(member).is_some();
            takes.then(|| Mask::new(used, linear.site))
        };
        let mut shares = Self {
            all: Vec::new(),
            masks: members.filter_map(takes).collect(),
        };
        let mut done = 0;
        for span in &batch.spans {
            let used = Use::of(used, span.member);
            let trained = linear.trained(span.member).filter(|_| used != Use::Off);
            let rows = span.rows.min(m.saturating_sub(span.first));
            let Some(trained) = trained.filter(|_| rows > 0) else {
                continue;
            };
            shares.of_nobody(done, span.first);
            let own = Own {
                part: &linear.border.members[span.member],
                trained,
                mask: Mask::new(used, linear.site),
            };
            shares.all.push(Share {
                first: span.first,
                rows,
                own: Some(own),
            });
            done = span.first + rows;
        }
        shares.of_nobody(done, m);
        shares
    }

    /// Rows in between go through the base model.
    fn of_nobody(&mut self, first: usize, end: usize) {
        if end > first {
            self.all.push(Share {
                first,
                rows: end - first,
                own: None,
            });
        }
    }

    /// Whether any member takes part whose mask is such a one.
    pub fn any(&self, which: impl Fn(&Mask) -> bool) -> bool {
        self.masks.iter().any(which)
    }
}

/// Rows of bf16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The first number.
    pub at: Address,
    /// Numbers from row to row.
    pub ld: usize,
}

impl Rows {
    /// Of a buffer.
    pub fn of<D: Device>(buffer: &Buffer<D>) -> Self {
        Self {
            at: buffer.at(),
            ld: buffer.ld(),
        }
    }

    /// Those beside the first `columns` numbers of a buffer's rows, where there are `ranks` of them.
    pub fn tail<D: Device>(buffer: &Buffer<D>, columns: usize, ranks: usize) -> Done<Self> {
        match columns + ranks <= buffer.ld() {
            true => Ok(Self::of(buffer).column(columns)),
            false => Err(Trouble(format!(
                "a row of {} numbers has no room for {columns} and {ranks} beside them",
                buffer.ld()
            ))),
        }
    }

    /// The same from a row on.
    pub fn row(self, row: usize) -> Self {
        let at = self.at.bf16((row * self.ld) as u64);
        Self { at, ..self }
    }

    /// The same from a column on.
    pub fn column(self, column: usize) -> Self {
        let at = self.at.bf16(column as u64);
        Self { at, ..self }
    }
}
