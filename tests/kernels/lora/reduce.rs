//! Sums of partials and borders: the same bits as the same operations on the host.

use crate::counts::Counted;
use crate::lora::THREADS;
use crate::ptx::{Arg, Counts, Module};
use crate::support::{Chance, int, launch, module, run};
use half::bf16;

/// The bits of a sum of `count` partials of n numbers, added to `before` where that is given.
fn added(
    module: &Module,
    partials: &[f32],
    [n, count, stride]: [usize; 3],
    before: Option<&[f32]>,
    scale: f32,
) -> (Vec<u32>, Counts) {
    run(
        module.kernel("reduce"),
        &launch([n.div_ceil(256), 1, 1], THREADS, 0),
        |memory| {
            let out = match before {
                Some(before) => memory.writable(before),
                None => memory.room::<f32>(n),
            };
            let mut args = vec![out.into(), memory.put(partials).into()];
            args.extend([n, count, stride, usize::from(before.is_some())].map(int));
            args.push(scale.into());
            (args, out)
        },
        |memory, &out| memory.get::<u32>(out),
    )
    .unwrap()
}

/// The bits of a border; its shape as the kernel takes it.
fn bordered(
    module: &Module,
    from: &[f32],
    before: &[bf16],
    shape: [usize; 6],
    scale: f32,
) -> (Vec<u16>, Counts) {
    let [rows, _, to_rows, to_columns, ..] = shape;
    run(
        module.kernel("border"),
        &launch([(to_rows * to_columns).div_ceil(256), 1, 1], THREADS, 0),
        |memory| {
            let to = memory.writable(before);
            let from = match rows {
                0 => Arg::Null,
                _ => memory.put(from).into(),
            };
            let mut args = vec![to.into(), from];
            args.extend(shape.map(int));
            args.push(scale.into());
            (args, to)
        },
        |memory, &to| memory.get::<u16>(to),
    )
    .unwrap()
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let chance = &mut Chance::new(103);
    let (n, count, rows, tail) = (16 * 1024, 4, 16, 64);
    let partials = chance.numbers(count * n, 1.0);
    let (_, sums) = added(&module("reduce"), &partials, [n, count, n], None, 1.0);
    let (from, before) = (
        chance.numbers(rows * 4096, 1.0),
        vec![bf16::NAN; tail * 4096],
    );
    let shape = [rows, 4096, tail, 4096, 4096, 4096];
    let (_, borders) = bordered(&module("border"), &from, &before, shape, 1.0);
    let plan = from.len() * 4 + before.len() * 2;
    vec![
        Counted::new("reduce", "4 partials of 16,384", sums, (count + 1) * n * 4),
        Counted::new("border", "16 rows of 4,096, padded to 64", borders, plan),
    ]
}

#[test]
fn partials_are_added_in_ascending_order() {
    let module = module("reduce");
    let chance = &mut Chance::new(101);
    for (n, count, accumulate) in [
        (1, 1, false),
        (1, 3, true),
        (255, 0, false),
        (300, 0, true),
        (256, 7, true),
        (777, 13, false),
    ] {
        let stride = n + chance.between(0, 9);
        let scale = chance.around(1.0) * 3.0;
        let partials = chance.numbers(count * stride + 1, 1.0);
        let before = chance.numbers(n, 1.0);
        let given = accumulate.then_some(&before[..]);
        let (result, _) = added(&module, &partials, [n, count, stride], given, scale);
        for (i, got) in result.into_iter().enumerate() {
            let sum = (0..count).fold(0.0, |sum, p| sum + partials[p * stride + i]);
            let expected = match accumulate {
                true => scale.mul_add(sum, before[i]),
                false => scale * sum,
            };
            assert_eq!(f32::from_bits(got), expected, "n {n} count {count} i {i}");
        }
    }
}

#[test]
fn borders_are_scaled_rounded_and_padded() {
    let module = module("border");
    let chance = &mut Chance::new(102);
    for (rows, columns, to_rows, to_columns) in [
        (8, 40, 16, 40),
        (70, 5, 70, 16),
        (1, 1, 1, 1),
        (0, 0, 33, 24),
        (16, 300, 16, 304),
    ] {
        let (ldfrom, ldto) = (columns + 3, to_columns + chance.between(0, 8));
        let scale = chance.around(1.0) * 4.0;
        let from: Vec<f32> = chance.numbers(rows * ldfrom, 1.0);
        let before = vec![bf16::NAN; to_rows * ldto];
        let shape = [rows, columns, to_rows, to_columns, ldto, ldfrom];
        let (result, _) = bordered(&module, &from, &before, shape, scale);
        for (at, got) in result.into_iter().enumerate() {
            let (row, column) = (at / ldto, at % ldto);
            let expected = match (row < rows && column < columns, column < to_columns) {
                (true, _) => bf16::from_f32(scale * from[row * ldfrom + column]),
                (_, true) => bf16::ZERO,
                _ => bf16::NAN,
            };
            assert_eq!(got, expected.to_bits(), "row {row} column {column}");
        }
    }
}
