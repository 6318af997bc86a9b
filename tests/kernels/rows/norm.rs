//! RMSNorm of rows, forward and backward.

use crate::counts::Counted;
use crate::ptx::{Launch, Memory, Module};
use crate::rows::{
    Check, EPSILON, Fault, Found, Placed, compare, compare_floats, matrix, norm_backward_error,
    norm_errors, norm_for_each, row_blocks, run,
};
use crate::support::{Chance, Matrix, int, module, rounding::F32};
use campaignd::lora::{backend::Backend, plain::Plain};
use half::bf16;

/// Threads of a block that has a row.
fn threads(width: usize) -> usize {
    width.div_ceil(16).next_multiple_of(32).clamp(32, 512)
}

fn row_launch(rows: usize, width: usize) -> Launch {
    row_blocks(rows, 1, threads(width), 64)
}

/// How many roundings deep the sum over a row is.
fn row_depth(width: usize) -> f64 {
    let threads = threads(width);
    (width.div_ceil(8).div_ceil(threads) * 8 + 5 + threads / 32) as f64
}

fn forward(module: &Module, x: &Matrix, gain: &[f32], ld: usize) -> Result<Found, String> {
    let kernel = module.kernel("norm_forward");
    run(kernel, &row_launch(x.rows, x.columns), |memory| {
        let y = memory.room::<bf16>(x.rows * ld);
        let rstd = memory.room::<f32>(x.rows);
        let mut args = vec![
            memory.put(&x.numbers).into(),
            memory.put(gain).into(),
            y.into(),
            rstd.into(),
        ];
        args.extend([x.rows, x.columns, x.ld, ld].map(int));
        args.push(EPSILON.into());
        Placed {
            args,
            matrix: y,
            floats: Some(rstd),
        }
    })
}

fn check_forward(module: &Module, chance: &mut Chance, m: usize, h: usize) -> Result<(), String> {
    let (x, gain) = (matrix(chance, m, h), chance.numbers(h, 3.0));
    let ld = h + chance.of(&[0, 64]);
    let found = forward(module, &x, &gain, ld)?;
    let (mut rstd, mut y) = (vec![0.0; m], vec![0.0; m * h]);
    Plain
        .norm(&x.dense(), &gain, m, h, EPSILON, &mut rstd, &mut y)
        .unwrap();
    let errors = norm_errors(row_depth(h));
    compare_floats(&found.floats, |row| {
        let rstd = f64::from(rstd[row]);
        (rstd, rstd * errors.0)
    })?;
    compare(&found.matrix, ld, 0..h, None, |row, column| {
        let y = f64::from(y[row * h + column]);
        (y, y.abs() * errors.1)
    })
}

/// The arguments of a way back through a row, all but the counts.
fn place_backward(
    memory: &mut Memory,
    x: &Matrix,
    gain: &[f32],
    rstd: &[f32],
    dy: &Matrix,
    acc: &Matrix,
) -> Placed {
    let matrix = memory.writable(&acc.numbers);
    let mut args = vec![
        memory.put(&x.numbers).into(),
        memory.put(gain).into(),
        memory.put(rstd).into(),
        memory.put(&dy.numbers).into(),
        matrix.into(),
    ];
    args.extend([x.rows, x.columns, x.ld, dy.ld, acc.ld].map(int));
    Placed {
        args,
        matrix,
        floats: None,
    }
}

fn check_backward(module: &Module, chance: &mut Chance, m: usize, h: usize) -> Result<(), String> {
    let [x, dy, before] = [0; 3].map(|_| matrix(chance, m, h));
    let (gain, mut rstd) = (chance.numbers(h, 3.0), vec![0.0; m]);
    let (dense, mut y) = (x.dense(), vec![0.0; m * h]);
    Plain
        .norm(&dense, &gain, m, h, EPSILON, &mut rstd, &mut y)
        .unwrap();
    let kernel = module.kernel("norm_backward");
    let found = run(kernel, &row_launch(m, h), |memory| {
        place_backward(memory, &x, &gain, &rstd, &dy, &before)
    })?;
    let mut acc = before.dense();
    Plain
        .norm_backward(&dense, &gain, &rstd, &dy.dense(), m, h, &mut acc)
        .unwrap();
    let g = |row, column| dy.at(row, column) * f64::from(gain[column]);
    let products: Vec<f64> = (0..m)
        .map(|row| {
            (0..h)
                .map(|c| (g(row, c) * x.at(row, c)).abs())
                .sum::<f64>()
                / h as f64
        })
        .collect();
    compare(
        &found.matrix,
        before.ld,
        0..h,
        Some(&before),
        |row, column| {
            let (acc, rstd) = (f64::from(acc[row * h + column]), f64::from(rstd[row]));
            let (g, x) = (g(row, column), x.at(row, column));
            let error = norm_backward_error(row_depth(h), rstd, g, x, products[row]);
            (
                acc,
                error + 2.0 * F32 * (acc.abs() + before.at(row, column).abs()),
            )
        },
    )
}

const ROWS: [(usize, usize); 10] = [
    (0, 64),
    (1, 8),
    (1, 512),
    (3, 520),
    (2, 1024),
    (5, 896),
    (7, 2056),
    (4, 3584),
    (2, 8192),
    (2, 16384),
];
#[test]
fn rows_forward() {
    norm_for_each(check_forward, &ROWS);
}

#[test]
fn rows_backward() {
    norm_for_each(check_backward, &ROWS);
}

#[test]
fn in_place_is_the_same() {
    let norm = module("norm");
    let mut chance = Chance::new(12);
    let (x, gain) = (matrix(&mut chance, 3, 904), chance.numbers(904, 1.0));
    let apart = forward(&norm, &x, &gain, x.ld).unwrap();
    let kernel = norm.kernel("norm_forward");
    let found = run(kernel, &row_launch(3, 904), |memory| {
        let (y, rstd) = (memory.writable(&x.numbers), memory.room::<f32>(3));
        let mut args = vec![y.into(), memory.put(&gain).into(), y.into(), rstd.into()];
        args.extend([3, 904, x.ld, x.ld].map(int));
        args.push(EPSILON.into());
        Placed {
            args,
            matrix: y,
            floats: Some(rstd),
        }
    });
    let found = found.unwrap();
    assert_eq!(found.floats, apart.floats);
    for (at, number) in apart.matrix.iter().enumerate() {
        assert!(number.is_none() || *number == found.matrix[at], "{at}");
    }
}

#[test]
fn planted_faults_are_found() {
    let fault = |entry, from, to, check, symptom| Fault {
        entry,
        from,
        to,
        check,
        symptom,
    };
    let (ahead, back): (Check, Check) = (check_forward, check_backward);
    let faults = [
        // Sums of warps are read before they are there.
        fault(
            "norm_forward",
            "bar.sync",
            "// bar.sync",
            ahead,
            "never written",
        ),
        fault(
            "norm_backward",
            "bar.sync",
            "// bar.sync",
            back,
            "never written",
        ),
        // A chunk past the width is read and written.
        fault(
            "norm_forward",
            "setp.ge.s32",
            "setp.gt.s32",
            ahead,
            "out of bounds",
        ),
        // One warp's sum is left out: it counts from 2.
        fault("norm_forward", "setp.lt.u32", "setp.le.u32", ahead, "not"),
        // The wrong sign of what is added to the gradient, and in the sums.
        fault("norm_backward", "add.f32", "sub.f32", back, "not"),
    ];
    for fault in faults {
        fault.must_be_found("norm", &ROWS);
    }
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let (m, h) = (8, 4096);
    let norm = module("norm");
    let mut chance = Chance::new(14);
    let (x, gain) = (matrix(&mut chance, m, h), chance.numbers(h, 1.0));
    let ahead = forward(&norm, &x, &gain, h).unwrap();
    let rstd: Vec<f32> = ahead.floats.iter().flatten().copied().collect();
    let kernel = norm.kernel("norm_backward");
    let back = run(kernel, &row_launch(m, h), |memory| {
        place_backward(memory, &x, &gain, &rstd, &x, &x)
    });
    let (numbers, of) = (m * h, "8 rows of 4,096");
    let once = h * 4 + m * 4;
    vec![
        Counted::new("norm_forward", of, ahead.counts, 2 * numbers * 2 + once)
            .because("the gain, for each row"),
        Counted::new(
            "norm_backward",
            of,
            back.unwrap().counts,
            4 * numbers * 2 + once,
        )
        .because("the gain, twice for each row: registers hold x and dy"),
    ]
}
