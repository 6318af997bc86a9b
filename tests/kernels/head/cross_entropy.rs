//! The loss of supervised rows and its gradient in place, against `Plain` and against f64.

use crate::counts::Counted;
use crate::ptx::{Arg, Counts, Module};
use crate::support::{Chance, launch, module, rounding};
use campaignd::lora::{
    backend::{Backend, Projection},
    batch::Batch,
    plain::Plain,
};
use half::bf16;

const NO_TARGET: u32 = u32::MAX;
const THREADS: u32 = 512;
const SHARED: u32 = 128;
/// The bits of padding, which must come back.
const PADDING: bf16 = bf16::from_bits(0x1234);

/// Rows of logits with their targets and weights.
struct Case {
    columns: usize,
    ld: usize,
    logits: Vec<bf16>,
    targets: Vec<u32>,
    weights: Vec<f32>,
}

impl Case {
    fn rows(&self) -> usize {
        self.targets.len()
    }

    fn row(&self, row: usize) -> &[bf16] {
        &self.logits[row * self.ld..][..self.columns]
    }
}

/// Rows of several kinds: flat, sharp, wide, far from 0, all equal.
fn case(chance: &mut Chance, rows: usize, columns: usize) -> Case {
    let ld = columns.next_multiple_of(8) + 8 * chance.below(3);
    let mut logits = vec![PADDING; rows * ld];
    let mut targets = Vec::new();
    for (row, logits) in logits.chunks_exact_mut(ld).enumerate() {
        let (middle, size) = [
            (0.0, 4.0),
            (0.0, 20.0),
            (0.0, 200.0),
            (-300.0, 3.0),
            (5.0, 0.0),
        ][row % 5];
        for logit in &mut logits[..columns] {
            *logit = bf16::from_f32(middle + chance.around(size));
        }
        let target = chance.below(columns);
        if row % 5 == 1 {
            logits[target] = bf16::from_f32(40.0);
        }
        targets.push(target as u32);
    }
    let weights = (0..rows).map(|_| chance.around(0.01)).collect();
    Case {
        columns,
        ld,
        logits,
        targets,
        weights,
    }
}

/// Losses, and with `gradient` the logits' buffer as the kernel left it, both as bits.
fn run(module: &Module, case: &Case, gradient: bool) -> (Vec<u32>, Vec<u16>, Counts) {
    let name = match gradient {
        true => "cross_entropy_gradient",
        false => "cross_entropy",
    };
    let ((losses, logits), counts) = crate::support::run(
        module.kernel(name),
        &launch([case.rows(), 1, 1], THREADS, SHARED),
        |memory| {
            let logits = match gradient {
                true => memory.writable(&case.logits),
                false => memory.put(&case.logits),
            };
            let losses = memory.room::<f32>(case.rows());
            let mut args = vec![logits.into(), memory.put(&case.targets).into()];
            if gradient {
                args.push(memory.put(&case.weights).into());
            }
            let shape = [case.rows(), case.columns, case.ld];
            args.push(losses.into());
            args.extend(shape.map(|number| Arg::I32(number as i32)));
            (args, (logits, losses))
        },
        |memory, &(logits, losses)| (memory.get::<u32>(losses), memory.get::<u16>(logits)),
    )
    .unwrap();
    (losses, logits, counts)
}

/// The softmax of a row in f64: e^(x - most) / sum, most, sum.
fn softmax(row: &[bf16]) -> (Vec<f64>, f64, f64) {
    let most = row.iter().map(|x| x.to_f64()).fold(f64::MIN, f64::max);
    let terms: Vec<f64> = row.iter().map(|x| (x.to_f64() - most).exp()).collect();
    let sum: f64 = terms.iter().sum();
    (terms.iter().map(|term| term / sum).collect(), most, sum)
}

/// Relative error of the kernel's sum: see the kernel's text.
fn sum_error(columns: usize) -> f64 {
    let c = columns as f64;
    let additions = (c / 512.0).ceil() + 12.0;
    let powers = 5.0 * ((c / 4096.0).ceil() + 4.0);
    rounding::F32 * (additions + powers + 2.5 * c.ln())
}

fn near(found: f64, expected: f64, tolerance: f64, what: &str) {
    let off = (found - expected).abs();
    assert!(
        off <= tolerance,
        "{what}: {found} for {expected}, off by {off:e}, allowed {tolerance:e}"
    );
}

/// Every number of a row against f64.
fn check_row(case: &Case, row: usize, loss: f32, gradient: Option<&[u16]>) {
    let logits = case.row(row);
    let target = case.targets[row] as usize;
    let (shares, most, sum) = softmax(logits);
    let behind = most - logits[target].to_f64();
    let s = sum_error(case.columns);
    let what = format!("row {row} of {} columns", case.columns);
    let tolerance = s + rounding::F32 * (8.0 * sum.log2().max(1.0) + 2.0 * behind);
    near(f64::from(loss), sum.ln() + behind, tolerance, &what);

    let Some(gradient) = gradient else { return };
    let weight = f64::from(case.weights[row]);
    for (column, (&found, share)) in gradient[..case.columns].iter().zip(shares).enumerate() {
        let onehot = f64::from(u8::from(column == target));
        let expected = weight * (share - onehot);
        let behind = most - logits[column].to_f64();
        let before = weight.abs() * share * (s + rounding::F32 * (8.0 + 2.5 * behind));
        let before = before + rounding::F32 * expected.abs() + weight.abs() * 2f64.powi(-125);
        let found = bf16::from_bits(found);
        assert!(
            rounding::near(found, expected, before),
            "{what}, column {column}: {found} for {expected}, allowed {before:e}"
        );
    }
    let padding = &gradient[case.columns..];
    assert!(
        padding.iter().all(|&bits| bits == PADDING.to_bits()),
        "{what}: padding was touched"
    );
}

fn check(module: &Module, case: &Case) {
    let (losses, kept, _) = run(module, case, false);
    let before: Vec<u16> = case.logits.iter().map(|logit| logit.to_bits()).collect();
    assert!(kept == before, "logits were changed");
    let (same, gradient, _) = run(module, case, true);
    assert_eq!(losses, same, "both entries give the same loss");
    for (row, &loss) in losses.iter().enumerate() {
        let gradient = &gradient[row * case.ld..][..case.ld];
        check_row(case, row, f32::from_bits(loss), Some(gradient));
    }
}

#[test]
fn random_shapes() {
    let module = module("cross_entropy");
    let mut chance = Chance::new(71);
    for columns in [1, 2, 7, 8, 9, 63, 517, 1000, 4095, 4096, 4104, 5003] {
        let rows = 1 + chance.below(7);
        check(&module, &case(&mut chance, rows, columns));
    }
}

#[test]
fn the_vocabularies_of_real_models() {
    let module = module("cross_entropy");
    let mut chance = Chance::new(72);
    for columns in [32_016, 152_064] {
        check(&module, &case(&mut chance, 2, columns));
    }
}

/// With a head of ones on the diagonal, `Plain`'s dx is the gradient of the logits.
#[test]
fn the_numbers_of_plain() {
    let module = module("cross_entropy");
    let mut chance = Chance::new(73);
    for columns in [9, 130] {
        let case = case(&mut chance, 5, columns);
        let wide = |row| case.row(row).iter().map(|x| x.to_f32()).collect::<Vec<_>>();
        let x: Vec<f32> = (0..5).flat_map(wide).collect();
        let mut weight = vec![0.0; columns * columns];
        weight
            .iter_mut()
            .step_by(columns + 1)
            .for_each(|w| *w = 1.0);
        let projection = Projection {
            outputs: columns,
            inputs: columns,
            weight,
            bias: None,
            adapters: Vec::new(),
        };
        let head = Plain.linear(0, vec![projection]).unwrap();
        let batch = Batch {
            targets: case.targets.clone(),
            ..Batch::default()
        };
        let (mut losses, mut dx) = (vec![0.0; 5], vec![0.0; 5 * columns]);
        let gradient = Some((&case.weights[..], &mut dx));
        Plain
            .head(&head, &batch, &x, &mut losses, gradient)
            .unwrap();

        let (found, gradient, _) = run(&module, &case, true);
        for row in 0..5 {
            let (loss, own) = (
                f64::from(losses[row]),
                f64::from(f32::from_bits(found[row])),
            );
            near(
                own,
                loss,
                sum_error(columns) + 1e-6 + loss * 4.0 * rounding::F32,
                "loss",
            );
            let weight = f64::from(case.weights[row].abs());
            for column in 0..columns {
                let expected = f64::from(dx[row * columns + column]);
                let own = bf16::from_bits(gradient[row * case.ld + column]);
                assert!(
                    rounding::near(own, expected, 1e-6 * weight),
                    "gradient: {own} for {expected}"
                );
            }
        }
    }
}

#[test]
fn a_logit_that_is_not_finite_spoils_its_row_alone() {
    let module = module("cross_entropy");
    let mut chance = Chance::new(74);
    for columns in [5, 8, 1003] {
        for bad in [bf16::NAN, bf16::INFINITY, bf16::NEG_INFINITY] {
            let mut case = case(&mut chance, 3, columns);
            let at = chance.below(columns);
            case.logits[case.ld + at] = bad;
            let (losses, _, _) = run(&module, &case, false);
            let (same, gradient, _) = run(&module, &case, true);
            assert_eq!(losses, same);
            let loss = |row: usize| f32::from_bits(losses[row]);
            let row = |row: usize| &gradient[row * case.ld..][..case.ld];
            assert!(loss(1).is_nan());
            let mut own = row(1)[..columns].iter();
            assert!(own.all(|&bits| bf16::from_bits(bits).is_nan()));
            for fine in [0, 2] {
                check_row(&case, fine, loss(fine), Some(row(fine)));
            }
        }
    }
}

#[test]
fn rows_that_only_fill_a_chunk_and_targets_that_are_none() {
    let module = module("cross_entropy");
    let mut chance = Chance::new(75);
    let mut case = case(&mut chance, 4, 77);
    case.targets[1] = NO_TARGET;
    case.targets[2] = 77;
    case.logits[case.ld..][..77].fill(bf16::NAN);
    let (losses, _, _) = run(&module, &case, false);
    let (same, gradient, _) = run(&module, &case, true);
    assert_eq!(losses, same);
    let row = |row: usize| &gradient[row * case.ld..][..case.ld];
    assert_eq!(losses[1], 0);
    assert!(row(1)[..77].iter().all(|&bits| bits == 0));
    assert_eq!(row(1)[77], PADDING.to_bits());
    assert!(f32::from_bits(losses[2]).is_nan());
    assert!(
        row(2)[..77]
            .iter()
            .all(|&bits| bf16::from_bits(bits).is_nan())
    );
    for fine in [0, 3] {
        check_row(&case, fine, f32::from_bits(losses[fine]), Some(row(fine)));
    }
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let (columns, module) = (128_256, module("cross_entropy"));
    let case = case(&mut Chance::new(76), 1, columns);
    let of = "1 row of 128,256";
    let [forward, gradient] = [false, true].map(|gradient| run(&module, &case, gradient).2);
    vec![
        Counted::new("cross_entropy", of, forward, 2 * columns + 8),
        Counted::new("cross_entropy_gradient", of, gradient, 4 * columns + 12)
            .because("the logits, twice: a row is too large for shared memory"),
    ]
}
