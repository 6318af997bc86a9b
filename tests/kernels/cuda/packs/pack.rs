//! Members, a batch of theirs, and what each of them is alone.

use super::super::given::{Made, STEP, adapter, batch, numbers, pairs, projection};
use super::super::simulated::Simulated;
use crate::ptx::Mode;
use campaignd::lora::{
    backend::{AdamStep, Adapter, Backend, Dropout, Kind, Pair, Projection, Shape, Use},
    batch::{Batch, Span},
    cuda::Cuda,
};

/// Columns of x, and of y of each projection.
pub const INPUTS: usize = 40;
pub const OUTPUTS: [usize; 2] = [48, 24];
/// Ranks of the members by projection. The second has none of the last, and the third takes no part in the batch.
pub const RANKS: [[usize; 2]; 4] = [[3, 3], [16, 0], [5, 70], [40, 16]];
/// Documents, and which of them are whose: those of nobody lie at the beginning and in between.
pub const LENGTHS: [usize; 6] = [5, 40, 31, 33, 3, 17];
/// Who has no rows.
pub const ABSENT: usize = 2;
pub const OWNERS: [Option<usize>; 6] = [None, Some(3), Some(3), Some(0), None, Some(1)];

pub fn drop(seed: u64, step: u64, p: f32) -> Use {
    Use::Drop(Dropout { seed, step, p })
}

/// How the members take part: with and without dropout side by side, all with, all without, one not at all.
pub fn uses() -> [Vec<Use>; 4] {
    let (first, last) = (drop(5, 2, 0.1), drop(9, 7, 0.3));
    [
        vec![first, Use::On, Use::On, last],
        vec![first, drop(5, 3, 0.2), Use::On, last],
        vec![Use::On; 4],
        vec![first, Use::Off, Use::On, Use::On],
    ]
}

/// Members, a batch of theirs, and the rows that it meets.
#[derive(Clone)]
pub struct Pack {
    pub group: Vec<Projection>,
    pub batch: Batch,
    pub used: Vec<Use>,
    /// x, dy, what y and dx were before: rows of the batch.
    pub rows: [Vec<f32>; 4],
    /// Whether the group finds h in the tail of x on the way back, or beside it; y is written, or added to.
    pub kept: bool,
    /// Each member's learning rate.
    pub rates: Vec<f64>,
    /// Who takes no part any more.
    pub retired: Option<usize>,
}

pub const WIDTHS: [usize; 4] = [
    INPUTS,
    OUTPUTS[0] + OUTPUTS[1],
    OUTPUTS[0] + OUTPUTS[1],
    INPUTS,
];

impl Pack {
    pub fn new(used: Vec<Use>, kept: bool) -> Self {
        let mut group = Vec::new();
        for (seed, (number, &outputs)) in (0..).step_by(10).zip(OUTPUTS.iter().enumerate()) {
            let of = |(member, ranks): (u32, &[usize; 2])| {
                let seed = 100 * member + seed;
                let rank = ranks[number];
                let made = || adapter(seed, INPUTS, outputs, rank);
                let scale = 0.5 + member as f32;
                (rank > 0).then(|| Adapter { scale, ..made() })
            };
            group.push(Projection {
                adapters: (0..).zip(&RANKS).map(of).collect(),
                ..projection(seed, INPUTS, outputs, 0, true)
            });
        }
        let mut batch = batch(&LENGTHS, 30);
        batch.spans = spans(&batch);
        let m = batch.tokens();
        let mut seed = 70;
        let rows = WIDTHS.map(|wide| {
            seed += 1;
            numbers(seed, m * wide)
        });
        Self {
            group,
            batch,
            used,
            rows,
            kept,
            rates: vec![0.01, 0.005, 0.1, 0.002],
            retired: None,
        }
    }

    /// A member with its rows, and nobody else's: its adapters are the first member's, or where they were.
    pub fn alone(&self, span: Span, same_border: bool) -> Self {
        let member = span.member;
        let mut alone = self.rows_of(span);
        if same_border {
            alone.batch.spans = vec![Span { first: 0, ..span }];
            return alone;
        }
        let own = |p: &Projection| Projection {
            adapters: vec![p.adapters[member].clone()],
            ..p.clone()
        };
        Self {
            group: self.group.iter().map(own).collect(),
            used: vec![self.used[member]],
            rates: vec![self.rates[member]],
            ..alone
        }
    }

    /// Rows of nobody, in a model where nothing is trained.
    pub fn frozen(&self, span: Span) -> Self {
        let mut alone = self.rows_of(span);
        alone.group.iter_mut().for_each(|p| p.adapters.clear());
        alone
    }

    /// The same members, and some of the rows.
    pub fn rows_of(&self, span: Span) -> Self {
        let cut_rows = |(rows, wide): (&Vec<f32>, usize)| {
            rows[span.first * wide..][..span.rows * wide].to_vec()
        };
        let rows: Vec<_> = self.rows.iter().zip(WIDTHS).map(cut_rows).collect();
        Self {
            batch: cut(&self.batch, span),
            rows: rows.try_into().unwrap(),
            ..self.clone()
        }
    }

    /// All rows are of a member that has none in the batch.
    pub fn soil(&self) -> Batch {
        let span = Span {
            member: ABSENT.min(self.group[0].adapters.len().saturating_sub(1)),
            first: 0,
            rows: self.batch.tokens(),
        };
        Batch {
            spans: vec![span],
            ..self.batch.clone()
        }
    }
}

/// Documents that are one after the other of one member.
pub fn spans(batch: &Batch) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (ends, owner) in batch.starts.windows(2).zip(OWNERS) {
        let (first, rows) = (ends[0] as usize, (ends[1] - ends[0]) as usize);
        let Some(member) = owner else { continue };
        match spans.last_mut() {
            Some(last) if last.member == member && last.first + last.rows == first => {
                last.rows += rows;
            }
            _ => spans.push(Span {
                member,
                first,
                rows,
            }),
        }
    }
    spans
}

/// The documents of a span.
pub fn cut(batch: &Batch, span: Span) -> Batch {
    let rows = span.first..span.first + span.rows;
    let inside = |&row: &u32| rows.contains(&(row as usize));
    let moved = |row: u32| row - span.first as u32;
    let supervised = batch.supervised.iter().zip(&batch.targets);
    let (supervised, targets) = supervised
        .filter(|(row, _)| inside(row))
        .map(|(&row, &target)| (moved(row), target))
        .unzip();
    let starts = batch.starts.iter().copied();
    let last = rows.end as u32;
    Batch {
        ids: batch.ids[rows.clone()].to_vec(),
        positions: batch.positions[rows.clone()].to_vec(),
        examples: batch.examples[rows.clone()].to_vec(),
        starts: starts
            .filter(|start| inside(start) || *start == last)
            .map(moved)
            .collect(),
        supervised,
        targets,
        spans: Vec::new(),
    }
}

/// What becomes of the rows of a batch, and of a member.
#[derive(Debug, PartialEq)]
pub struct Said {
    pub rows: Made,
    pub members: Vec<Made>,
    pub norms: Vec<u64>,
}

/// Two steps of training, after the buffers have been soiled.
pub fn say<B: Backend>(machine: &B, pack: &Pack) -> Said {
    let m = pack.batch.tokens();
    let members = pack.group[0].adapters.len();
    let mut linear = machine.linear(9, pack.group.clone()).unwrap();
    let tail = machine.tail(&linear);
    let [x, dy, y, dx] = &pack.rows;
    let [k, n, ..] = WIDTHS;
    let with_tail = |columns: usize| Shape::of(m, columns).with_tail(tail + 8);
    let x = machine.put(with_tail(k), x).unwrap();
    let dy = machine.put(with_tail(n), dy).unwrap();
    let all = pack.group.iter().flat_map(|p| p.adapters.iter().flatten());
    let low = Shape {
        kind: if pack.kept {
            Kind::LowOfKept
        } else {
            Kind::Low
        },
        ..Shape::of(m, all.map(|a| a.rank).sum()).with_tail(tail)
    };
    let mut h = machine.zeros(low).unwrap();
    let mut dx = machine.put(with_tail(k), dx).unwrap();
    let mut said = Said {
        rows: Made::new(),
        members: vec![Made::new(); members],
        norms: Vec::new(),
    };
    let soil = machine.place(&pack.soil()).unwrap();
    let placed = machine.place(&pack.batch).unwrap();
    let all_on = vec![Use::On; members];
    if let Some(member) = pack.retired {
        machine.retire(&mut [&mut linear], member).unwrap();
    }
    for (step, (batch, used)) in (0..).zip([
        (&soil, &all_on),
        (&placed, &pack.used),
        (&placed, &pack.used),
    ]) {
        let mut y = machine.put(Shape::of(m, n), y).unwrap();
        for member in 0..members {
            machine.clear(&mut [&mut linear], member).unwrap();
        }
        machine
            .forward(&linear, batch, used, &x, m, &mut h, !pack.kept, &mut y)
            .unwrap();
        machine
            .backward(&mut linear, batch, used, &x, &h, &dy, m, None)
            .unwrap();
        machine
            .backward(&mut linear, batch, used, &x, &h, &dy, m, Some(&mut dx))
            .unwrap();
        if step == 0 {
            continue;
        }
        for (what, wide, buffer) in [("y", n, &y), ("dx", k, &dx)] {
            let numbers = machine.get(buffer, m * wide).unwrap();
            said.rows.push((format!("{what} {step}"), wide, numbers));
        }
        for (member, made) in said.members.iter_mut().enumerate() {
            let gradients = machine.gradients(&linear, member).unwrap();
            pairs(made, &format!("{member}: gradient {step}"), k, gradients);
            let squares = machine.squares(&[&linear], member).unwrap();
            said.norms.push(squares.to_bits());
            let rule = AdamStep {
                step,
                learning_rate: pack.rates[member],
                ..STEP
            };
            if pack.retired != Some(member) {
                machine.adamw(&mut [&mut linear], member, &rule).unwrap();
            }
        }
    }
    for (member, made) in said.members.iter_mut().enumerate() {
        let adapters = machine.adapters(&linear, member).unwrap().into_iter();
        let adapters = adapters.map(|a| a.map(|Adapter { a, b, .. }| Pair { a, b }));
        pairs(made, &format!("{member}: adapter"), k, adapters.collect());
        let moments = machine.moments(&linear, member).unwrap().into_iter();
        let (first, second): (Vec<_>, Vec<_>) = moments
            .map(|m| m.map_or((None, None), |m| (Some(m.first), Some(m.second))))
            .unzip();
        pairs(made, &format!("{member}: first moment"), k, first);
        pairs(made, &format!("{member}: second moment"), k, second);
    }
    said
}

/// Rows of a batch and what was learned of them, as bits.
#[derive(PartialEq)]
pub struct Bits(Vec<Vec<u32>>);

impl Bits {
    /// The rows of a span, and what a member learned.
    pub fn of(said: &Said, span: Span, member: Option<usize>) -> Self {
        let rows = said.rows.iter().map(|(_, wide, all)| {
            let own = all[span.first * wide..][..span.rows * wide].iter();
            own.map(|x| x.to_bits()).collect()
        });
        let mut bits: Vec<Vec<u32>> = rows.collect();
        if let Some(member) = member {
            let made = said.members[member].iter();
            bits.extend(made.map(|(_, _, all)| all.iter().map(|x| x.to_bits()).collect()));
            let norms = said.norms.iter().skip(member).step_by(said.members.len());
            bits.push(norms.flat_map(|n| [*n as u32, (*n >> 32) as u32]).collect());
        }
        Self(bits)
    }
}

/// What some rows and their member should be.
pub struct Alone {
    pub name: String,
    pub span: Span,
    pub member: Option<usize>,
    pub bits: Bits,
}

impl Alone {
    /// Of every member of a pack, with a border of its own and with that of all; of rows of nobody.
    pub fn all(pack: &Pack, mode: Mode) -> Vec<Self> {
        let cuda = || Cuda::new(Simulated::new(mode));
        let mut all = Vec::new();
        for &span in &pack.batch.spans {
            let first = Span { first: 0, ..span };
            for (border, number) in [("its own", 0), ("their", span.member)] {
                let said = say(&cuda(), &pack.alone(span, border == "their"));
                all.push(Self {
                    name: format!("member {} in {border} border", span.member),
                    span,
                    member: Some(span.member),
                    bits: Bits::of(&said, first, Some(number)),
                });
            }
        }
        for span in free(&pack.batch) {
            let said = say(&cuda(), &pack.frozen(span));
            all.push(Self {
                name: format!("{} rows of nobody", span.rows),
                span,
                member: None,
                bits: Bits::of(&said, Span { first: 0, ..span }, None),
            });
        }
        all
    }

    /// Whose bits in a batch of all are others.
    pub fn others(all: &[Self], said: &Said) -> Vec<String> {
        let other = |one: &&Self| Bits::of(said, one.span, one.member) != one.bits;
        all.iter()
            .filter(other)
            .map(|one| one.name.clone())
            .collect()
    }
}

/// Documents of nobody.
pub fn free(batch: &Batch) -> Vec<Span> {
    let each = batch.starts.windows(2).zip(OWNERS);
    let nobody = each.filter(|(_, owner)| owner.is_none());
    let span = |(ends, _): (&[u32], _)| Span {
        member: 0,
        first: ends[0] as usize,
        rows: (ends[1] - ends[0]) as usize,
    };
    nobody.map(span).collect()
}
