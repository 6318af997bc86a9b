//! Rotation of queries and keys.

use crate::counts::Counted;
use crate::ptx::Module;
use crate::rows::{Fault, Found, Placed, compare, matrix, row_blocks, run};
use crate::support::{Chance, Matrix, int, module, rounding::F32};
use campaignd::lora::{
    backend::{Backend, Heads, Rope},
    batch::Batch,
    plain::Plain,
};

/// Cosine and sine of each position and frequency, as the host makes them.
fn tables(rope: &Rope, positions: usize) -> (Vec<f32>, Vec<f32>) {
    let factor = f64::from(rope.attention_factor);
    let angles = (0..positions).flat_map(|position| {
        let turned = rope.frequencies.iter();
        turned.map(move |frequency| f64::from(position as f32 * frequency))
    });
    let pairs = angles.map(f64::sin_cos);
    pairs
        .map(|(sin, cos)| ((cos * factor) as f32, (sin * factor) as f32))
        .unzip()
}

/// A model's rotation, and a batch of `m` tokens in documents of any length.
struct Case {
    heads: Heads,
    rope: Rope,
    batch: Batch,
    m: usize,
}

impl Case {
    fn random(chance: &mut Chance, m: usize, head_dim: usize) -> Self {
        let kv_heads = chance.of(&[1, 2, 8]);
        let heads = Heads {
            heads: kv_heads * chance.of(&[1, 4, 7]),
            kv_heads,
            head_dim,
            window: None,
            scale: 1.0,
        };
        let half = head_dim / 2;
        let rope = Rope {
            frequencies: (0..half)
                .map(|i| 10_000_f32.powf(-(i as f32) / half as f32))
                .collect(),
            attention_factor: chance.of(&[1.0, 1.2079]),
        };
        let mut batch = Batch::default();
        let first = chance.below(m + 1);
        for (example, len) in [first, 0, m - first].into_iter().enumerate() {
            batch.push(example as u32, &vec![0; len], &vec![false; len]);
        }
        Self {
            heads,
            rope,
            batch,
            m,
        }
    }

    fn turned(&self, module: &Module, qkv: &Matrix, back: bool) -> Result<Found, String> {
        let launch = row_blocks(self.m, 1, 128, 0);
        let (cos, sin) = tables(&self.rope, self.m);
        run(module.kernel("rope"), &launch, |memory| {
            let matrix = memory.writable(&qkv.numbers);
            let mut args = vec![
                matrix.into(),
                memory.put(&cos).into(),
                memory.put(&sin).into(),
                memory.put(&self.batch.positions).into(),
            ];
            let heads = self.heads.heads + self.heads.kv_heads;
            let shape = [
                self.m,
                heads,
                self.heads.head_dim,
                qkv.ld,
                usize::from(back),
            ];
            args.extend(shape.map(int));
            Placed {
                args,
                matrix,
                floats: None,
            }
        })
    }

    fn check(&self, found: &Found, before: &Matrix, back: bool) -> Result<(), String> {
        let mut qkv = before.dense();
        Plain
            .rope(&self.heads, &self.rope, &self.batch, self.m, back, &mut qkv)
            .unwrap();
        let (columns, dim) = (self.heads.columns(), self.heads.head_dim);
        let turned = 0..self.heads.queries() + self.heads.keys();
        let factor = f64::from(self.rope.attention_factor);
        compare(
            &found.matrix,
            before.ld,
            turned,
            Some(before),
            |row, column| {
                // The other of the pair: half a head before or behind.
                let other = column - column % dim + (column + dim / 2) % dim;
                let place = column % (dim / 2);
                let position = self.batch.positions[row] as f32;
                let (sin, cos) = f64::from(position * self.rope.frequencies[place]).sin_cos();
                let products =
                    before.at(row, column) * cos.abs() + before.at(row, other) * sin.abs();
                let products = products.abs().max(
                    before.at(row, column).abs() * cos.abs()
                        + before.at(row, other).abs() * sin.abs(),
                );
                let error = 4.0 * F32 * factor * products;
                (f64::from(qkv[row * columns + column]), error)
            },
        )
    }
}

fn check(module: &Module, chance: &mut Chance, m: usize, head_dim: usize) -> Result<(), String> {
    let case = Case::random(chance, m, head_dim);
    let qkv = matrix(chance, m, case.heads.columns());
    for back in [false, true] {
        case.check(&case.turned(module, &qkv, back)?, &qkv, back)?;
    }
    Ok(())
}

const SHAPES: [(usize, usize); 9] = [
    (0, 64),
    (1, 64),
    (1, 128),
    (19, 64),
    (13, 128),
    (7, 16),
    (5, 32),
    (3, 256),
    (2, 2048),
];

#[test]
fn heads_turn_as_in_the_reference() {
    let rope = module("rope");
    let mut chance = Chance::new(21);
    for (m, head_dim) in SHAPES {
        check(&rope, &mut chance, m, head_dim).unwrap();
    }
}

#[test]
fn planted_faults_are_found() {
    let faults = [
        // Backwards turns forwards.
        ("neg.f32", "mov.f32", "not"),
        // A reflection, not a rotation.
        ("sub.f32", "add.f32", "not"),
        // A head too many: values are turned too.
        ("setp.lt.u32", "setp.le.u32", "touched"),
    ];
    for (from, to, symptom) in faults {
        let fault = Fault {
            entry: "rope",
            from,
            to,
            check,
            symptom,
        };
        fault.must_be_found("rope", &SHAPES);
    }
}

/// The row of the table of figures.
pub fn counted() -> Vec<Counted> {
    let mut chance = Chance::new(23);
    let mut case = Case::random(&mut chance, 4, 128);
    (case.heads.heads, case.heads.kv_heads) = (32, 8);
    let qkv = matrix(&mut chance, 4, case.heads.columns());
    let counts = case.turned(&module("rope"), &qkv, false).unwrap().counts;
    let (moved, tables) = (4 * 40 * 128 * 2, 4 * 2 * 64 * 4 + 4 * 4);
    vec![
        Counted::new(
            "rope",
            "4 rows of 40 heads of 128",
            counts,
            2 * moved + tables,
        )
        .because("the tables' rows, by each of a token's four warps"),
    ]
}
