//! The gate, forward and backward.

use crate::counts::Counted;
use crate::ptx::Module;
use crate::rows::{Check, Fault, Found, Placed, compare, matrix, row_blocks, run};
use crate::support::{Chance, Matrix, int, module, rounding::F32};
use campaignd::lora::{backend::Backend, plain::Plain};
use half::bf16;

/// The relative error of the kernel's sigmoid, and what it is; below 2^-126 it may be 0.
fn sigmoid(gate: f64) -> (f64, f64) {
    let s = 1.0 / (1.0 + (-gate).exp());
    let error = (1.0 - s) * (2.0 * gate.abs() + 4.0) + 3.0;
    (s, error * F32)
}

const SMALLEST: f64 = f32::MIN_POSITIVE as f64;

fn forward(module: &Module, gu: &Matrix, ld: usize, slices: usize) -> Result<Found, String> {
    let (m, f) = (gu.rows, gu.columns / 2);
    run(
        module.kernel("swiglu"),
        &row_blocks(m, slices, 256, 0),
        |memory| {
            let act = memory.room::<bf16>(m * ld);
            let mut args = vec![memory.put(&gu.numbers).into(), act.into()];
            args.extend([m, f, gu.ld, ld].map(int));
            Placed {
                args,
                matrix: act,
                floats: None,
            }
        },
    )
}

fn backward(module: &Module, dact: &Matrix, gu: &Matrix, slices: usize) -> Result<Found, String> {
    let (m, f) = (gu.rows, gu.columns / 2);
    let kernel = module.kernel("swiglu_backward");
    run(kernel, &row_blocks(m, slices, 256, 0), |memory| {
        let matrix = memory.writable(&gu.numbers);
        let mut args = vec![memory.put(&dact.numbers).into(), matrix.into()];
        args.extend([m, f, dact.ld, gu.ld].map(int));
        Placed {
            args,
            matrix,
            floats: None,
        }
    })
}

fn check_forward(module: &Module, chance: &mut Chance, m: usize, f: usize) -> Result<(), String> {
    let gu = matrix(chance, m, 2 * f);
    let (ld, slices) = (f + chance.of(&[0, 64]), 1 + chance.below(3));
    let found = forward(module, &gu, ld, slices)?;
    let mut act = vec![0.0; m * f];
    Plain.swiglu(&gu.dense(), m, f, &mut act).unwrap();
    compare(&found.matrix, ld, 0..f, None, |row, column| {
        let (gate, up) = (gu.at(row, column), gu.at(row, f + column));
        let (_, error) = sigmoid(gate);
        let act = f64::from(act[row * f + column]);
        let lost = SMALLEST * (1.0 + (gate * up).abs());
        (act, act.abs() * (error + 3.0 * F32) + lost)
    })
}

fn check_backward(module: &Module, chance: &mut Chance, m: usize, f: usize) -> Result<(), String> {
    let (dact, before) = (matrix(chance, m, f), matrix(chance, m, 2 * f));
    let found = backward(module, &dact, &before, 1 + chance.below(3))?;
    let mut gu = before.dense();
    Plain.swiglu_backward(&dact.dense(), m, f, &mut gu).unwrap();
    compare(
        &found.matrix,
        before.ld,
        0..2 * f,
        Some(&before),
        |row, column| {
            let (gate, up) = (before.at(row, column % f), before.at(row, f + column % f));
            let (d, size) = (dact.at(row, column % f), gate.abs());
            let (s, error) = sigmoid(gate);
            let exact = f64::from(gu[row * 2 * f + column]);
            if column < f {
                // s + g s (1 - s): errors of s, of g s and of 1 - s, and four roundings.
                let errors = error * (1.0 + size) + F32 * (5.0 + 6.0 * size * (1.0 - s));
                let lost = SMALLEST * (1.0 + (d * up).abs() * (1.0 + size));
                (exact, (d * up).abs() * s * errors + lost)
            } else {
                let lost = SMALLEST * (1.0 + (d * gate).abs());
                (exact, exact.abs() * (error + 3.0 * F32) + lost)
            }
        },
    )
}

const SHAPES: [(usize, usize); 7] = [
    (0, 64),
    (1, 8),
    (1, 4864),
    (3, 64),
    (5, 2056),
    (9, 696),
    (2, 18_944),
];

#[test]
fn gates_are_those_of_the_reference() {
    let swiglu = module("swiglu");
    let mut chance = Chance::new(31);
    for (m, f) in SHAPES {
        check_forward(&swiglu, &mut chance, m, f).unwrap();
        check_backward(&swiglu, &mut chance, m, f).unwrap();
    }
}

#[test]
fn gates_of_any_size_give_numbers() {
    let gates: Vec<f32> = (-64..64).map(|i| i as f32 * 4.0).collect();
    let f = gates.len();
    let numbers = gates.iter().copied().chain(std::iter::repeat_n(1.0, f));
    let gu = Matrix {
        rows: 1,
        columns: 2 * f,
        ld: 2 * f,
        numbers: numbers.map(bf16::from_f32).collect(),
    };
    let found = forward(&module("swiglu"), &gu, f, 1).unwrap();
    let mut act = vec![0.0; f];
    Plain.swiglu(&gu.dense(), 1, f, &mut act).unwrap();
    compare(&found.matrix, f, 0..f, None, |_, column| {
        let (_, error) = sigmoid(gu.at(0, column));
        let act = f64::from(act[column]);
        (act, act.abs() * (error + 3.0 * F32) + SMALLEST * 257.0)
    })
    .unwrap();
}

#[test]
fn slices_change_no_bit() {
    let swiglu = module("swiglu");
    let mut chance = Chance::new(34);
    let gu = matrix(&mut chance, 3, 2 * 5000);
    let [one, three] = [1, 3].map(|slices| forward(&swiglu, &gu, 5000, slices).unwrap());
    assert_eq!(one.bits(), three.bits());
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
        // exp(g) for exp(-g).
        fault("swiglu", "0fBFB8AA3B", "0f3FB8AA3B", ahead, "not"),
        // One chunk too far: into what is behind the columns, or past the matrix.
        fault(
            "swiglu",
            "setp.ge.s32",
            "setp.gt.s32",
            ahead,
            "out of bounds",
        ),
        // 1 + s for 1 - s.
        fault("swiglu_backward", "sub.f32", "add.f32", back, "not"),
        // Every slice works on the same columns, in place: the second would take a gradient for a gate.
        fault(
            "swiglu_backward",
            "%ctaid.y",
            "%ctaid.z",
            back,
            "race between blocks",
        ),
    ];
    for fault in faults {
        fault.must_be_found("swiglu", &SHAPES);
    }
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let (m, f) = (4, 14_336);
    let (swiglu, of) = (module("swiglu"), "4 rows of 14,336");
    let mut chance = Chance::new(33);
    let (dact, gu) = (matrix(&mut chance, m, f), matrix(&mut chance, m, 2 * f));
    let ahead = forward(&swiglu, &gu, f, 4).unwrap();
    let back = backward(&swiglu, &dact, &gu, 4).unwrap();
    vec![
        Counted::new("swiglu", of, ahead.counts, 3 * m * f * 2),
        Counted::new("swiglu_backward", of, back.counts, 5 * m * f * 2),
    ]
}
