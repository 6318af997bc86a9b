//! LoRA-down: every number of h against `Plain`, and that nothing else of x's buffer changes.

use crate::counts::Counted;
use crate::lora::{Mask, THREADS, batch};
use crate::ptx::{Counts, Module};
use crate::support::{Chance, Matrix, int, launch, module, rounding::Sum, run};
use campaignd::lora::{
    backend::{Adapter, Backend, Projection, Use},
    batch::Batch,
    plain::Plain,
};
use half::bf16;

#[derive(Clone, Copy, Debug)]
struct Shape {
    m: usize,
    k: usize,
    ranks: usize,
    first: usize,
    tail: usize,
    spare: usize,
}

/// What a launch needs: x in the first columns of its buffer, NaN in the others.
struct Case {
    shape: Shape,
    batch: Batch,
    x: Matrix,
    a: Matrix,
    mask: Mask,
}

impl Case {
    fn random(chance: &mut Chance, shape: Shape, p: f32) -> Self {
        let Shape { m, k, ranks, .. } = shape;
        let ldx = k + shape.tail + shape.spare;
        Self {
            shape,
            batch: batch(chance, m),
            x: Matrix::random(chance, m, k, ldx),
            a: Matrix::random(chance, ranks, k, k + shape.spare),
            mask: Mask::random(chance, p),
        }
    }

    /// The whole buffer afterwards.
    fn run(&self, module: &Module) -> (Vec<bf16>, Counts) {
        let Shape {
            m,
            k,
            ranks,
            first,
            tail,
            ..
        } = self.shape;
        let (name, most, shared) = match ranks {
            ..=64 => ("lora_down_64", 64, 73_728),
            _ => ("lora_down_256", 256, 92_160),
        };
        let launch = launch([m.div_ceil(64), ranks.div_ceil(most), 1], THREADS, shared);
        let (result, counts) = run(
            module.kernel(name),
            &launch,
            |memory| {
                let x = memory.writable(&self.x.numbers);
                let mut args = vec![
                    x.into(),
                    memory.put(&self.a.numbers).into(),
                    x.offset(k, 2).into(),
                    memory.put(&self.batch.examples).into(),
                    memory.put(&self.batch.positions).into(),
                ];
                let (ldx, lda) = (self.x.ld, self.a.ld);
                args.extend([m, k, ranks, ldx, lda, ldx, first, tail].map(int));
                args.extend(self.mask.ints());
                args.extend(self.mask.floats());
                (args, x)
            },
            |memory, &x| memory.get::<u16>(x),
        )
        .unwrap();
        (result.into_iter().map(bf16::from_bits).collect(), counts)
    }

    /// drop(x) A^T of `Plain`, x dropped and rounded before.
    fn plain(&self, dropped: &Matrix) -> Vec<f32> {
        let Shape { m, k, ranks, .. } = self.shape;
        let adapter = Adapter {
            rank: ranks,
            scale: 1.0,
            a: self.a.dense(),
            b: vec![],
        };
        let projection = Projection {
            outputs: 0,
            inputs: k,
            weight: vec![],
            bias: None,
            adapters: vec![Some(adapter)],
        };
        let group = Plain
            .linear(self.mask.site, vec![projection])
            .expect("a group");
        let mut h = vec![f32::NAN; m * ranks];
        Plain
            .forward(
                &group,
                &self.batch,
                &[Use::On],
                &dropped.dense(),
                m,
                &mut h,
                false,
                &mut vec![],
            )
            .expect("h");
        h
    }

    fn check(&self, module: &Module) -> Counts {
        let Shape {
            m,
            k,
            ranks,
            first,
            tail,
            ..
        } = self.shape;
        let (result, counts) = self.run(module);
        let dropped = self.mask.apply(&self.batch, &self.x);
        let plain = self.plain(&dropped);
        for row in 0..m {
            for column in 0..self.x.ld {
                let what = || format!("{:?} {:?} row {row} column {column}", self.shape, self.mask);
                let got = result[row * self.x.ld + column];
                let before = self.x.numbers[row * self.x.ld + column];
                if column < k || column >= k + tail {
                    assert_eq!(got.to_bits(), before.to_bits(), "{}", what());
                    continue;
                }
                let Some(rank) = (column - k).checked_sub(first).filter(|&r| r < ranks) else {
                    assert_eq!(got.to_bits(), 0, "{}", what());
                    continue;
                };
                let mut sum = Sum::of((0..k).map(|c| dropped.at(row, c) * self.a.at(rank, c)));
                sum.value = f64::from(plain[row * ranks + rank]);
                sum.expect_rounded(got, k + 2, what);
            }
        }
        counts
    }
}

#[test]
fn h_is_that_of_plain() {
    let module = module("lora_down");
    let chance = &mut Chance::new(71);
    for at in 0..14 {
        let ranks = chance.of(&[16, 32, 48, 64]);
        let first = chance.of(&[0, 0, 16, 64]);
        let shape = Shape {
            m: [1, 64, 65][at % 3] + chance.of(&[0, 0, 70]),
            k: chance.of(&[8, 64, 72, 200, 448]),
            ranks,
            first,
            tail: (first + ranks).next_multiple_of(64),
            spare: chance.of(&[0, 8, 24]),
        };
        Case::random(chance, shape, [0.0, 0.1, 0.5][at % 3]).check(&module);
    }
}

#[test]
fn many_ranks_too() {
    let module = module("lora_down");
    let chance = &mut Chance::new(72);
    for (m, k, ranks, p) in [
        (70, 136, 80usize, 0.1),
        (3, 72, 256, 0.0),
        (65, 80, 272, 0.3),
    ] {
        let tail = ranks.next_multiple_of(64);
        let shape = Shape {
            m,
            k,
            ranks,
            first: 0,
            tail,
            spare: 8,
        };
        Case::random(chance, shape, p).check(&module);
    }
}

#[test]
fn a_row_is_the_same_alone_and_among_others() {
    let module = module("lora_down");
    let chance = &mut Chance::new(73);
    let shape = Shape {
        m: 100,
        k: 136,
        ranks: 32,
        first: 0,
        tail: 64,
        spare: 0,
    };
    let whole = Case::random(chance, shape, 0.25);
    let from = 37;
    let alone = Case {
        shape: Shape {
            m: 1,
            ranks: 16,
            first: 16,
            ..shape
        },
        batch: Batch {
            examples: vec![whole.batch.examples[from]],
            positions: vec![whole.batch.positions[from]],
            ..Batch::default()
        },
        x: whole.x.part(from..from + 1),
        a: whole.a.part(16..32),
        mask: whole.mask,
    };
    let (among, _) = whole.run(&module);
    let (alone, _) = alone.run(&module);
    let ranks = 136 + 16..136 + 32;
    let bits = |h: &[bf16]| -> Vec<u16> { h.iter().map(|number| number.to_bits()).collect() };
    assert_eq!(
        bits(&among[from * whole.x.ld..][ranks.clone()]),
        bits(&alone[ranks])
    );
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let (m, k, p, module) = (128, 4096, 0.1, module("lora_down"));
    let counted = |kernel, ranks: usize| {
        let tail = ranks.next_multiple_of(64);
        let shape = Shape {
            m,
            k,
            ranks,
            first: 0,
            tail,
            spare: 0,
        };
        let counts = Case::random(&mut Chance::new(74), shape, p).check(&module);
        let of = format!("{m} x 4,096, rank {ranks}, dropout {p}");
        let plan = (m * k + ranks * k + m * tail) * 2 + m * 8;
        Counted::new(kernel, of, counts, plan).because("A, for each 64 rows")
    };
    vec![counted("lora_down_64", 48), counted("lora_down_256", 256)]
}
