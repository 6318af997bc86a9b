//! The norm of the gradients: exact enough, in a fixed order, each member of a sweep for itself.

use crate::counts::Counted;
use crate::head::tables::{Tensor, chunks};
use crate::ptx::{Counts, Memory, Pointer};
use crate::support::{Chance, launch, module};

/// A gradient of [rows, columns] whose rows are `ld` apart.
#[derive(Clone)]
struct Gradient {
    rows: usize,
    columns: usize,
    ld: usize,
    numbers: Vec<f32>,
}

impl Gradient {
    /// Padding is not a number: reading it would show.
    fn new(chance: &mut Chance, rows: usize, columns: usize, ld: usize) -> Self {
        let mut numbers = vec![f32::NAN; rows * ld];
        for row in numbers.chunks_exact_mut(ld) {
            let size = 10f32.powi(chance.below(9) as i32 - 6);
            row[..columns].copy_from_slice(&chance.numbers(columns, size));
        }
        Self {
            rows,
            columns,
            ld,
            numbers,
        }
    }

    fn count(&self) -> usize {
        self.rows * self.columns
    }

    fn squares(&self) -> f64 {
        let rows = self.numbers.chunks_exact(self.ld);
        let numbers = rows.flat_map(|row| &row[..self.columns]);
        numbers.map(|&g| f64::from(g) * f64::from(g)).sum()
    }

    fn tensor(&self, at: Pointer) -> Tensor {
        Tensor {
            master: 0,
            gradient: at.address(),
            first: 0,
            second: 0,
            border: 0,
            columns: self.columns,
            gradient_ld: self.ld,
            border_ld: 0,
            scale: 1.0,
            rule: 0,
            count: self.count(),
        }
    }
}

/// Bits of the partial sums of all chunks.
fn partials(gradients: &[Gradient]) -> (Vec<u64>, Counts) {
    let chunks = chunks(gradients.iter().map(Gradient::count));
    crate::support::run(
        module("squares").kernel("squares"),
        &launch([chunks.len(), 1, 1], 256, 64),
        |memory: &mut Memory| {
            let mut words = Vec::new();
            for gradient in gradients {
                let at = memory.put(&gradient.numbers);
                words.extend(gradient.tensor(at).words());
            }
            let partials = memory.room::<u64>(chunks.len());
            let args = vec![
                memory.put(&words).into(),
                memory.put(chunks.as_flattened()).into(),
                partials.into(),
                (chunks.len() as i32).into(),
            ];
            (args, partials)
        },
        |memory, &partials| memory.get::<u64>(partials),
    )
    .unwrap()
}

/// Bits of the sum of each range.
fn totals(partials: &[u64], bounds: &[u32]) -> Vec<u64> {
    launched_totals(partials, bounds).0
}

/// The same, and what it took.
fn launched_totals(partials: &[u64], bounds: &[u32]) -> (Vec<u64>, Counts) {
    let ranges = bounds.len() - 1;
    crate::support::run(
        module("squares").kernel("squares_total"),
        &launch([ranges, 1, 1], 256, 64),
        |memory| {
            let totals = memory.room::<u64>(ranges);
            let args = vec![
                memory.put(partials).into(),
                memory.put(bounds).into(),
                totals.into(),
                (ranges as i32).into(),
            ];
            (args, totals)
        },
        |memory, &totals| memory.get::<u64>(totals),
    )
    .unwrap()
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let chance = &mut Chance::new(95);
    let a = Gradient::new(chance, 16, 4096, 4096);
    let b = Gradient::new(chance, 1024, 16, 16);
    let numbers = a.count() + b.count();
    let (partials, counts) = partials(&[a, b]);
    let plan = numbers * 4 + 2 * 64 + partials.len() * 16;
    let squares = Counted::new("squares", "81,920 numbers", counts, plan);
    let many = partials.repeat(100);
    let (_, counts) = launched_totals(&many, &[0, many.len() as u32]);
    let of = "2,000 partials";
    vec![
        squares,
        Counted::new("squares_total", of, counts, many.len() * 8 + 16),
    ]
}

fn near(found: u64, expected: f64, numbers: usize) {
    let off = (f64::from_bits(found) - expected).abs();
    assert!(
        off <= numbers as f64 * 2f64.powi(-53) * expected,
        "off by {off:e} of {expected}"
    );
}

#[test]
fn chunks_of_every_length() {
    let mut chance = Chance::new(91);
    let shapes = [
        (1, 1, 1),
        (6, 64, 64),
        (3, 5, 16),
        (8, 512, 512),
        (512, 8, 16),
        (17, 241, 241),
        (1024, 12, 16),
        (16, 1024, 1024),
    ];
    let gradients = shapes.map(|(rows, columns, ld)| Gradient::new(&mut chance, rows, columns, ld));
    let (partials, _) = partials(&gradients);
    let mut from = 0;
    let mut bounds = vec![0];
    for gradient in &gradients {
        from += gradient.count().div_ceil(4096) as u32;
        bounds.push(from);
    }
    for (found, gradient) in totals(&partials, &bounds).into_iter().zip(&gradients) {
        near(found, gradient.squares(), gradient.count());
    }
    let all: f64 = gradients.iter().map(Gradient::squares).sum();
    near(totals(&partials, &[0, from])[0], all, 200_000);
}

#[test]
fn more_partials_than_threads_and_empty_ranges() {
    let mut chance = Chance::new(92);
    let partials: Vec<u64> = (0..1500)
        .map(|_| f64::from(chance.unit()).to_bits())
        .collect();
    let bounds = [0, 0, 1, 257, 257, 1500, 1500];
    let found = totals(&partials, &bounds);
    for (range, found) in bounds.windows(2).zip(found) {
        let own = &partials[range[0] as usize..range[1] as usize];
        let expected: f64 = own.iter().map(|&bits| f64::from_bits(bits)).sum();
        near(found, expected, own.len());
    }
}

/// A member's norm has the bits of a run of its own, whatever else is packed beside it.
#[test]
fn a_member_is_not_changed_by_its_neighbours() {
    let mut chance = Chance::new(93);
    let mut member = |rank: usize| {
        [
            Gradient::new(&mut chance, rank, 1000, 1000),
            Gradient::new(&mut chance, 700, rank, 16),
        ]
    };
    let members = [member(3), member(16), member(8)];
    let (packed, _) = partials(members.as_flattened());
    let ends = members.each_ref().map(|member| {
        let counts = member.iter().map(Gradient::count);
        chunks(counts).len() as u32
    });
    let bounds = [0, ends[0], ends[0] + ends[1], ends[0] + ends[1] + ends[2]];
    let together = totals(&packed, &bounds);
    for ((member, end), together) in members.iter().zip(ends).zip(together) {
        let (alone, _) = partials(member);
        assert_eq!(totals(&alone, &[0, end]), [together]);
    }
}

#[test]
fn one_gradient_that_is_not_finite_is_seen_and_large_ones_are_not() {
    let mut chance = Chance::new(94);
    let calm = Gradient::new(&mut chance, 9, 1000, 1000);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [0, 4095, 4096, 8999] {
            let mut spoilt = calm.clone();
            spoilt.numbers[at] = bad;
            let (partials, _) = partials(&[calm.clone(), spoilt]);
            let found = totals(&partials, &[0, 3, 6]);
            assert!(f64::from_bits(found[0]).is_finite());
            assert!(!f64::from_bits(found[1]).is_finite(), "{bad} at {at}");
        }
    }
    let mut large = calm;
    large.numbers.fill(f32::MAX);
    let (partials, _) = partials(&[large]);
    assert!(f64::from_bits(totals(&partials, &[0, 3])[0]).is_finite());
}
