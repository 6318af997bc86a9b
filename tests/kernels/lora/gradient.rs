//! The gradient of A: every partial sum against f64 arithmetic.

use crate::counts::Counted;
use crate::lora::{Mask, THREADS, batch};
use crate::ptx::{Counts, Module};
use crate::support::{Chance, Matrix, int, launch, module, rounding::Sum, run};
use campaignd::lora::batch::Batch;

#[derive(Clone, Copy, Debug)]
struct Shape {
    m: usize,
    k: usize,
    ranks: usize,
    rows: usize,
    spare: usize,
}

struct Case {
    shape: Shape,
    batch: Batch,
    dh: Matrix,
    x: Matrix,
    mask: Mask,
}

impl Case {
    fn random(chance: &mut Chance, shape: Shape, p: f32) -> Self {
        let Shape {
            m, k, ranks, spare, ..
        } = shape;
        Self {
            shape,
            batch: batch(chance, m),
            dh: Matrix::random(chance, m, ranks, ranks + spare),
            x: Matrix::random(chance, m, k, k + spare),
            mask: Mask::random(chance, p),
        }
    }

    fn run(&self, module: &Module) -> (Vec<u32>, Counts) {
        let Shape {
            m, k, ranks, rows, ..
        } = self.shape;
        let grid = [k.div_ceil(256), ranks.div_ceil(64), m.div_ceil(rows)];
        run(
            module.kernel("lora_da"),
            &launch(grid, THREADS, 43_008),
            |memory| {
                let partials = memory.room::<f32>(m.div_ceil(rows) * ranks * k);
                let mut args = vec![
                    memory.put(&self.dh.numbers).into(),
                    memory.put(&self.x.numbers).into(),
                    memory.put(&self.batch.examples).into(),
                    memory.put(&self.batch.positions).into(),
                    partials.into(),
                ];
                args.extend([m, k, ranks, rows, self.dh.ld, self.x.ld].map(int));
                args.extend(self.mask.ints());
                args.extend(self.mask.floats());
                (args, partials)
            },
            |memory, &partials| memory.get::<u32>(partials),
        )
        .unwrap()
    }

    fn check(&self, module: &Module) -> Counts {
        let Shape {
            m, k, ranks, rows, ..
        } = self.shape;
        let (result, counts) = self.run(module);
        let dropped = self.mask.apply(&self.batch, &self.x);
        let mut results = result.into_iter().map(f32::from_bits);
        for block in (0..m).step_by(rows) {
            for rank in 0..ranks {
                for column in 0..k {
                    let tokens = block..m.min(block + rows);
                    let products = tokens.map(|t| self.dh.at(t, rank) * dropped.at(t, column));
                    let what =
                        || format!("{:?} block {block} rank {rank} column {column}", self.shape);
                    let got = results.next().expect("a number for each");
                    Sum::of(products).expect(got, rows + 1, what);
                }
            }
        }
        assert_eq!(results.next(), None);
        counts
    }
}

#[test]
fn partials_are_sums_over_their_rows() {
    let module = module("lora_da");
    let chance = &mut Chance::new(81);
    for at in 0..12 {
        let shape = Shape {
            m: [1, 32, 33][at % 3] + chance.of(&[0, 0, 100]),
            k: chance.of(&[8, 64, 256, 264, 520]),
            ranks: chance.of(&[16, 32, 48, 64, 80]),
            rows: chance.of(&[32, 64, 1024]),
            spare: chance.of(&[0, 8, 24]),
        };
        Case::random(chance, shape, [0.0, 0.1, 0.5][at % 3]).check(&module);
    }
}

/// The row of the table of figures.
pub fn counted() -> Vec<Counted> {
    let (m, k, ranks, p) = (256, 1024, 16, 0.1);
    let shape = Shape {
        m,
        k,
        ranks,
        rows: m,
        spare: 0,
    };
    let counts = Case::random(&mut Chance::new(82), shape, p).check(&module("lora_da"));
    let of = "256 x 1,024, rank 16, dropout 0.1";
    let plan = (m * k + m * ranks) * 2 + m * 8 + ranks * k * 4;
    vec![Counted::new("lora_da", of, counts, plan).because("dh, for each 256 columns")]
}
