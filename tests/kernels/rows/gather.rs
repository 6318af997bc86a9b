//! Rows by number: embedding, supervised rows there and back, sums of matrices. Bit for bit.

use crate::counts::Counted;
use crate::ptx::Module;
use crate::rows::{Check, Fault, Found, Placed, compare, matrix, row_blocks, run};
use crate::support::{Chance, Matrix, int, module};
use campaignd::lora::{backend::Backend, batch::Batch, plain::Plain};
use half::bf16;

/// What a kernel of the form (numbers, from, to, rows, width, ldfrom, ldto) does.
fn moved(
    module: &Module,
    kernel: &str,
    numbers: &[u32],
    from: &Matrix,
    ld: usize,
    slices: usize,
) -> Result<Found, String> {
    let rows = numbers.len();
    run(
        module.kernel(kernel),
        &row_blocks(rows, slices, 256, 0),
        |memory| {
            let to = memory.room::<bf16>(rows * ld);
            let mut args = vec![
                memory.put(numbers).into(),
                memory.put(&from.numbers).into(),
                to.into(),
            ];
            args.extend([rows, from.columns, from.ld, ld].map(int));
            Placed {
                args,
                matrix: to,
                floats: None,
            }
        },
    )
}

/// Compares with rows of the reference, which moves bits.
fn same(found: &Found, columns: usize, ld: usize, expected: &[f32]) -> Result<(), String> {
    compare(&found.matrix, ld, 0..columns, None, |row, column| {
        (f64::from(expected[row * columns + column]), 0.0)
    })?;
    let bits = |row: usize, column: usize| found.matrix[row * ld + column].map(bf16::to_f32);
    let unlike =
        (0..expected.len()).find(|at| bits(at / columns, at % columns) != Some(expected[*at]));
    unlike.map_or(Ok(()), |at| Err(format!("number {at} was rounded")))
}

/// A batch of two documents and an empty one, `rows` tokens, some of them supervised.
fn batch(chance: &mut Chance, rows: usize, vocabulary: usize) -> Batch {
    let mut batch = Batch::default();
    let first = chance.below(rows + 1);
    for (example, len) in [first, 0, rows - first].into_iter().enumerate() {
        let ids: Vec<u32> = (0..len).map(|_| chance.below(vocabulary) as u32).collect();
        let learned: Vec<bool> = (0..len).map(|_| chance.below(3) > 0).collect();
        batch.push(example as u32, &ids, &learned);
    }
    batch
}

/// The row of `d` that belongs to each token.
fn inverse(batch: &Batch) -> Vec<u32> {
    let mut inverse = vec![u32::MAX; batch.tokens()];
    for (at, &row) in batch.supervised.iter().enumerate() {
        inverse[row as usize] = at as u32;
    }
    inverse
}

fn check_embed(module: &Module, chance: &mut Chance, rows: usize, h: usize) -> Result<(), String> {
    let table = matrix(chance, 29, h);
    let batch = batch(chance, rows, 29);
    let (ld, slices) = (h + chance.of(&[0, 64]), 1 + chance.below(3));
    let found = moved(module, "embed", &batch.ids, &table, ld, slices)?;
    let mut x = vec![0.0; rows * h];
    Plain.embed(&table.dense(), &batch, h, &mut x).unwrap();
    same(&found, h, ld, &x)
}

fn check_gather(module: &Module, chance: &mut Chance, rows: usize, h: usize) -> Result<(), String> {
    let x = matrix(chance, rows, h);
    let batch = batch(chance, rows, 5);
    let (ld, slices) = (h + chance.of(&[0, 8]), 1 + chance.below(3));
    let found = moved(module, "gather_rows", &batch.supervised, &x, ld, slices)?;
    let mut out = vec![0.0; batch.supervised.len() * h];
    Plain.gather(&batch, &x.dense(), h, &mut out).unwrap();
    same(&found, h, ld, &out)
}

fn check_scatter(
    module: &Module,
    chance: &mut Chance,
    rows: usize,
    h: usize,
) -> Result<(), String> {
    let batch = batch(chance, rows, 5);
    let d = matrix(chance, batch.supervised.len(), h);
    let (ld, slices) = (h + chance.of(&[0, 8]), 1 + chance.below(3));
    let found = moved(module, "scatter_rows", &inverse(&batch), &d, ld, slices)?;
    let mut dx = vec![7.0; rows * h];
    Plain.scatter(&batch, &d.dense(), rows, h, &mut dx).unwrap();
    same(&found, h, ld, &dx)
}

/// What `add_rows` makes of `before` and x.
fn added(module: &Module, x: &Matrix, before: &Matrix, slices: usize) -> Result<Found, String> {
    let launch = row_blocks(x.rows, slices, 256, 0);
    run(module.kernel("add_rows"), &launch, |memory| {
        let matrix = memory.writable(&before.numbers);
        let mut args = vec![memory.put(&x.numbers).into(), matrix.into()];
        args.extend([x.rows, x.columns, x.ld, before.ld].map(int));
        Placed {
            args,
            matrix,
            floats: None,
        }
    })
}

fn check_add(module: &Module, chance: &mut Chance, rows: usize, h: usize) -> Result<(), String> {
    let (x, before) = (matrix(chance, rows, h), matrix(chance, rows, h));
    let found = added(module, &x, &before, 1 + chance.below(3))?;
    let mut acc = before.dense();
    Plain.add(&x.dense(), rows * h, &mut acc).unwrap();
    compare(
        &found.matrix,
        before.ld,
        0..h,
        Some(&before),
        |row, column| (f64::from(acc[row * h + column]), 0.0),
    )
}

const SHAPES: [(usize, usize); 8] = [
    (0, 64),
    (1, 8),
    (1, 4096),
    (2, 64),
    (5, 72),
    (17, 2056),
    (33, 896),
    (3, 8200),
];

#[test]
fn rows_are_those_of_the_reference() {
    let gather = module("gather");
    let mut chance = Chance::new(1);
    let checks: [Check; 4] = [check_embed, check_gather, check_scatter, check_add];
    for check in checks {
        for (rows, h) in SHAPES {
            check(&gather, &mut chance, rows, h).unwrap();
        }
    }
}

#[test]
fn planted_faults_are_found() {
    let faults = [
        // One chunk too far: into what is behind the columns, or past the matrix.
        Fault {
            entry: "embed",
            from: "setp.ge.s32",
            to: "setp.gt.s32",
            check: check_embed,
            symptom: "touched",
        },
        // Every slice moves the same columns.
        Fault {
            entry: "gather_rows",
            from: "%ctaid.y",
            to: "%ctaid.z",
            check: check_gather,
            symptom: "race between blocks",
        },
        // A token without gradient takes a row for it.
        Fault {
            entry: "scatter_rows",
            from: ", -1;",
            to: ", -2;",
            check: check_scatter,
            symptom: "bounds",
        },
        // The wrong sign.
        Fault {
            entry: "add_rows",
            from: "add.f32",
            to: "sub.f32",
            check: check_add,
            symptom: "not",
        },
        // Half a row is left as it was.
        Fault {
            entry: "embed",
            from: "%nctaid.y",
            to: "%nctaid.x",
            check: check_embed,
            symptom: "None, not",
        },
    ];
    for fault in faults {
        fault.must_be_found("gather", &SHAPES);
    }
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let (rows, h, gather) = (16, 4096, module("gather"));
    let mut chance = Chance::new(4);
    let (from, of) = (matrix(&mut chance, rows, h), "16 rows of 4,096");
    let numbers: Vec<u32> = (0..rows as u32).rev().collect();
    let moved = |kernel| {
        let found = moved(&gather, kernel, &numbers, &from, h, 1).unwrap();
        Counted::new(kernel, of, found.counts, 2 * rows * h * 2 + rows * 4)
    };
    let sum = added(&gather, &from, &from, 1).unwrap();
    let sum = Counted::new("add_rows", of, sum.counts, 3 * rows * h * 2);
    ["embed", "gather_rows", "scatter_rows"]
        .map(moved)
        .into_iter()
        .chain([sum])
        .collect()
}
