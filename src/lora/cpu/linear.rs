//! A projection group: one product with all frozen weights over all rows, and thin ones with the adapters over the rows of each
//! member of a pack.

use super::{adapters::Trained, panels::Panels};
use crate::lora::{
    backend::{Adapter, Member, Moments, Pair, Projection, Use},
    batch::{Batch, Span},
};

/// A projection group on the processor.
pub struct Linear {
    pub(super) site: u32,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Outputs of each projection.
    widths: Vec<usize>,
    /// The weights of all, one below the other, as the way forward reads them: [inputs, outputs].
    pub(super) weight: Panels,
    pub(super) bias: Option<Vec<f32>>,
    /// What each member of the pack trains.
    pub(super) members: Vec<Own>,
    /// Sum of the ranks of all.
    pub(super) ranks: usize,
}

/// What one member trains of a group.
pub(super) struct Own {
    /// By projection.
    pub(super) trained: Vec<Option<Trained>>,
    /// Columns of x.
    pub(super) inputs: usize,
    /// Its first column of h.
    pub(super) from: usize,
    /// Sum of its ranks.
    pub(super) ranks: usize,
}

/// The rows of a member that takes part.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// What it trains.
    pub(super) own: &'a Own,
    /// How it takes part.
    pub(super) used: Use,
    /// Its rows.
    pub(super) span: Span,
}

impl Linear {
    /// Packs a group.
    pub(super) fn new(site: u32, group: Vec<Projection>) -> Result<Self, String> {
        let inputs = group.first().map_or(0, |projection| projection.inputs);
        let widths: Vec<usize> = group.iter().map(|projection| projection.outputs).collect();
        let outputs = widths.iter().sum();
        let mut weight = Panels::new(inputs, outputs);
        let mut bias = vec![0.0; outputs];
        let mut biased = false;
        let members = Member::all(&group);
        let mut at = 0;
        for projection in group {
            let width = projection.outputs;
            if projection.inputs != inputs || projection.weight.len() != width * inputs {
                return Err(format!(
                    "a weight of a group with {inputs} inputs has {} numbers, not {width} x {inputs}",
                    projection.weight.len(),
                ));
            }
            weight.put_columns(at, &projection.weight, inputs, 1.0);
            if let Some(own) = projection.bias {
                if own.len() != width {
                    return Err(format!("a bias has {} numbers, not {width}", own.len()));
                }
                bias[at..at + width].copy_from_slice(&own);
                biased = true;
            }
            at += width;
        }
        let mut linear = Self {
            site,
            inputs,
            outputs,
            widths,
            weight,
            bias: biased.then_some(bias),
            members: Vec::new(),
            ranks: 0,
        };
        linear.equip(&members)?;
        Ok(linear)
    }

    /// Columns of x.
    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Columns of y.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Takes other members; see [`crate::lora::backend::Backend::equip`].
    pub(super) fn equip(&mut self, members: &[Member]) -> Result<(), String> {
        let mut all = Vec::new();
        let mut from = 0;
        for member in members {
            let own = Own::new(member, self.inputs, &self.widths, from)?;
            from += own.ranks;
            all.push(own);
        }
        (self.members, self.ranks) = (all, from);
        Ok(())
    }

    /// The adapters of a member.
    pub(super) fn each(&self, member: usize) -> impl Iterator<Item = &Trained> {
        let own = self.members.get(member).into_iter();
        own.flat_map(Own::each)
    }

    /// The same, to change them.
    pub(super) fn each_mut(&mut self, member: usize) -> impl Iterator<Item = &mut Trained> {
        let own = self.members.get_mut(member).into_iter();
        own.flat_map(Own::each_mut)
    }

    /// Something of each of a member's projections.
    pub(super) fn of<T>(&self, member: usize, part: impl Fn(&Trained) -> T) -> Vec<Option<T>> {
        match self.members.get(member) {
            Some(own) => own
                .trained
                .iter()
                .map(|one| one.as_ref().map(&part))
                .collect(),
            None => self.widths.iter().map(|_| None).collect(),
        }
    }

    /// The members that take part in the first `m` rows, with their rows.
    pub(super) fn parts(&self, batch: &Batch, used: &[Use], m: usize) -> Vec<Part<'_>> {
        if Use::is_none(used) || self.ranks == 0 || m == 0 {
            return Vec::new();
        }
        let part = |span: Span| {
            let (own, used) = (self.members.get(span.member)?, Use::of(used, span.member));
            let takes = used != Use::Off && own.ranks > 0 && span.rows > 0;
            takes.then_some(Part { own, used, span })
        };
        batch.spans().into_iter().filter_map(part).collect()
    }
}

impl Own {
    fn new(member: &Member, inputs: usize, widths: &[usize], from: usize) -> Result<Self, String> {
        let Member { adapters, moments } = member;
        let (count, of) = (adapters.len(), widths.len());
        if count != of || moments.as_ref().is_some_and(|moments| moments.len() != of) {
            return Err(format!("a group of {of} is given {count} adapters"));
        }
        let mut trained = Vec::new();
        let (mut ranks, mut output_from) = (0, 0);
        for (number, (adapter, &width)) in adapters.iter().zip(widths).enumerate() {
            let kept = moments.as_ref().and_then(|moments| moments[number].clone());
            trained.push(match adapter {
                None => None,
                Some(adapter) => {
                    check(adapter, kept.as_ref(), inputs, width)?;
                    let one = Trained::new(adapter.clone(), kept, ranks, output_from);
                    ranks += adapter.rank;
                    Some(one)
                }
            });
            output_from += width;
        }
        Ok(Self {
            trained,
            inputs,
            from,
            ranks,
        })
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Trained> {
        self.trained.iter().flatten()
    }

    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut Trained> {
        self.trained.iter_mut().flatten()
    }

    /// All A, one below the other: [ranks, inputs] by rows, or its transpose.
    pub(super) fn down(&self, transposed: bool) -> Panels {
        let mut down = match transposed {
            true => Panels::new(self.inputs, self.ranks),
            false => Panels::new(self.ranks, self.inputs),
        };
        for trained in self.each() {
            let (from, a) = (trained.rank_from, &trained.adapter.a);
            match transposed {
                true => down.put_columns(from, a, self.inputs, 1.0),
                false => down.put_rows(from, a, self.inputs, 1.0),
            }
        }
        down
    }

    /// scale B of each, as the way forward reads it: [rank, outputs].
    pub(super) fn ups(&self) -> Vec<Panels> {
        let up = |trained: &Trained| {
            let Adapter { rank, scale, b, .. } = &trained.adapter;
            let mut up = Panels::new(*rank, b.len() / rank);
            up.put_columns(0, b, *rank, *scale);
            up
        };
        self.each().map(up).collect()
    }
}

/// Whether the shapes of an adapter fit.
fn check(
    adapter: &Adapter,
    moments: Option<&Moments>,
    inputs: usize,
    outputs: usize,
) -> Result<(), String> {
    let rank = adapter.rank;
    let fits = |a: &[f32], b: &[f32]| a.len() == rank * inputs && b.len() == outputs * rank;
    let pair = |pair: &Pair| fits(&pair.a, &pair.b);
    let right = rank > 0
        && fits(&adapter.a, &adapter.b)
        && moments.is_none_or(|moments| pair(&moments.first) && pair(&moments.second));
    match right {
        true => Ok(()),
        false => Err(format!(
            "an adapter of rank {rank} does not fit {inputs} inputs and {outputs} outputs"
        )),
    }
}
