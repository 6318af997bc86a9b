//! The adapters' part of dX where there is dropout: every number against f64 arithmetic.

use crate::counts::Counted;
use crate::lora::{Mask, THREADS, batch};
use crate::ptx::{Counts, Module};
use crate::support::{Chance, Matrix, int, launch, module, rounding::Sum, run};
use campaignd::lora::batch::Batch;
use half::bf16;

#[derive(Clone, Copy, Debug)]
struct Shape {
    m: usize,
    k: usize,
    ranks: usize,
    spare: usize,
}

struct Case {
    shape: Shape,
    batch: Batch,
    dh: Matrix,
    a: Matrix,
    dx: Matrix,
    mask: Mask,
}

impl Case {
    fn random(chance: &mut Chance, shape: Shape, p: f32) -> Self {
        let Shape { m, k, ranks, spare } = shape;
        Self {
            shape,
            batch: batch(chance, m),
            dh: Matrix::random(chance, m, ranks, ranks + spare),
            a: Matrix::random(chance, ranks, k, k + spare),
            dx: Matrix::random(chance, m, 0, k + spare),
            mask: Mask::random(chance, p),
        }
    }

    fn run(&self, module: &Module) -> (Vec<bf16>, Counts) {
        let Shape { m, k, ranks, .. } = self.shape;
        let (result, counts) = run(
            module.kernel("lora_preload"),
            &launch([k.div_ceil(128), m.div_ceil(64), 1], THREADS, 53_248),
            |memory| {
                let dx = memory.writable(&self.dx.numbers);
                let mut args = vec![
                    memory.put(&self.dh.numbers).into(),
                    memory.put(&self.a.numbers).into(),
                    memory.put(&self.batch.examples).into(),
                    memory.put(&self.batch.positions).into(),
                    dx.into(),
                ];
                args.extend([m, k, ranks, self.dh.ld, self.a.ld, self.dx.ld].map(int));
                args.extend(self.mask.ints());
                args.extend(self.mask.floats());
                (args, dx)
            },
            |memory, &dx| memory.get::<u16>(dx),
        )
        .unwrap();
        (result.into_iter().map(bf16::from_bits).collect(), counts)
    }

    fn check(&self, module: &Module) -> Counts {
        let Shape { m, k, ranks, .. } = self.shape;
        let (result, counts) = self.run(module);
        for row in 0..m {
            for column in 0..self.dx.ld {
                let got = result[row * self.dx.ld + column];
                let what = || format!("{:?} {:?} row {row} column {column}", self.shape, self.mask);
                if column >= k {
                    assert_eq!(got.to_bits(), bf16::NAN.to_bits(), "{}", what());
                    continue;
                }
                let factor = f64::from(self.mask.factor(&self.batch, row, column));
                let product = |r| factor * self.dh.at(row, r) * self.a.at(r, column);
                Sum::of((0..ranks).map(product)).expect_rounded(got, ranks + 1, what);
            }
        }
        counts
    }
}

#[test]
fn dx_is_the_masked_product() {
    let module = module("preload");
    let chance = &mut Chance::new(91);
    for at in 0..14 {
        let shape = Shape {
            m: [1, 64, 65][at % 3] + chance.of(&[0, 0, 70]),
            k: chance.of(&[8, 64, 128, 136, 392]),
            ranks: chance.of(&[16, 32, 64, 80, 144, 256]),
            spare: chance.of(&[0, 8, 24]),
        };
        Case::random(chance, shape, [0.1, 0.5, 0.0][at % 3]).check(&module);
    }
}

/// The row of the table of figures.
pub fn counted() -> Vec<Counted> {
    let (m, k, ranks, p) = (128, 1024, 16, 0.1);
    let shape = Shape {
        m,
        k,
        ranks,
        spare: 0,
    };
    let counts = Case::random(&mut Chance::new(92), shape, p).check(&module("preload"));
    let of = "128 x 1,024, rank 16, dropout 0.1";
    let plan = (m * k + m * ranks + ranks * k) * 2 + m * 8;
    let because = "A, for each 64 rows; dh, for each 128 columns";
    vec![Counted::new("lora_preload", of, counts, plan).because(because)]
}
