//! Sums of partials and borders: the same bits as the same operations on the host.

use crate::lora::THREADS;
use crate::support::{Chance, int, launch, module, run};
use half::bf16;

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
        let (result, _) = run(
            module.kernel("reduce"),
            &launch([n.div_ceil(256), 1, 1], THREADS, 0),
            |memory| {
                let out = match accumulate {
                    true => memory.writable(&before),
                    false => memory.room::<f32>(n),
                };
                let mut args = vec![out.into(), memory.put(&partials).into()];
                args.extend([n, count, stride, usize::from(accumulate)].map(int));
                args.push(scale.into());
                (args, out)
            },
            |memory, &out| memory.get::<u32>(out),
        )
        .unwrap();
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
        let (result, _) = run(
            module.kernel("border"),
            &launch([(to_rows * to_columns).div_ceil(256), 1, 1], THREADS, 0),
            |memory| {
                let to = memory.writable(&before);
                let from = match rows {
                    0 => crate::ptx::Arg::Null,
                    _ => memory.put(&from).into(),
                };
                let mut args = vec![to.into(), from];
                args.extend([rows, columns, to_rows, to_columns, ldto, ldfrom].map(int));
                args.push(scale.into());
                (args, to)
            },
            |memory, &to| memory.get::<u16>(to),
        )
        .unwrap();
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
