//! Kernels with a bug planted in their text: each must be caught, and by the check that is named.

use crate::head::tables::{Rule, Tensor};
use crate::ptx::{Arg, Launch, Memory, Mode, Module, Pointer};
use crate::support::{
    Chance, launch, module,
    mutation::{must_be_found, mutant, without_barrier},
};
use campaignd::lora::backend::AdamStep;
use half::bf16;

/// What goes wrong: a fault's text, or which mode's numbers are not `expected`.
fn caught(
    module: &Module,
    entry: &str,
    launch: &Launch,
    place: impl Fn(&mut Memory) -> (Vec<Arg>, Pointer),
    expected: impl Fn(&[u32]) -> bool,
) -> Option<String> {
    Mode::ALL.into_iter().find_map(|mode| {
        let mut memory = Memory::new();
        let (args, out) = place(&mut memory);
        match module.kernel(entry).run(launch, &args, &mut memory, mode) {
            Err(fault) => Some(fault.to_string()),
            Ok(_) if expected(&memory.get::<u32>(out)) => None,
            Ok(_) => Some("numbers".into()),
        }
    })
}

/// One row of a gradient of the loss whose target lies with another warp than the one that corrects it.
fn gradient(module: &Module, columns: usize) -> Option<String> {
    let mut chance = Chance::new(111);
    let ld = columns.next_multiple_of(8);
    let mut logits = chance.halves(ld, 4.0);
    let target = 100;
    // What the kernel as it is makes of it.
    let expected = {
        let wide = logits[..columns].iter().map(|x| x.to_f64());
        let sum: f64 = wide.clone().map(f64::exp).sum();
        wide.enumerate()
            .map(|(at, x)| x.exp() / sum - f64::from(u8::from(at == target)))
            .collect::<Vec<_>>()
    };
    logits[columns..].fill(bf16::NAN);
    caught(
        module,
        "cross_entropy_gradient",
        &launch([1, 1, 1], 512, 128),
        |memory| {
            let out = memory.writable(&logits);
            let args = vec![
                out.into(),
                memory.put(&[target as u32]).into(),
                memory.put(&[1f32]).into(),
                memory.room::<f32>(1).into(),
                1.into(),
                (columns as i32).into(),
                (ld as i32).into(),
            ];
            (args, out)
        },
        |words| {
            let found = words.iter().flat_map(|w| [*w as u16, (w >> 16) as u16]);
            let mut both = found.zip(&expected);
            both.all(|(bits, expected)| {
                let off = (bf16::from_bits(bits).to_f64() - expected).abs();
                off <= 0.005 * expected.abs()
            })
        },
    )
}

/// A small A of 6 rows and 100 columns, one step; the border as it should be.
fn border(module: &Module) -> Option<String> {
    let mut chance = Chance::new(112);
    let [p, g, m, v] = [1.0, 0.1, 0.1, 0.0].map(|size| chance.numbers(600, size));
    let step = AdamStep {
        step: 1,
        learning_rate: 0.01,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.0,
        gradient_scale: 1.0,
    };
    let rule = Rule::new(&step);
    let ld = 128;
    let mut expected = vec![0u16; 6 * ld];
    for at in 0..600 {
        let [now, ..] = rule.apply([p[at], m[at], v[at]], g[at]);
        expected[at / 100 * ld + at % 100] = bf16::from_f32(2.0 * now).to_bits();
    }
    caught(
        module,
        "adamw",
        &launch([1, 1, 1], 256, 0),
        |memory| {
            let [master, first, second] = [&p, &m, &v].map(|of| memory.writable(of));
            let gradient = memory.writable(&g);
            let border = memory.writable(&vec![0u16; 6 * ld]);
            let tensor = Tensor {
                master: master.address(),
                gradient: gradient.address(),
                first: first.address(),
                second: second.address(),
                border: border.address(),
                columns: 100,
                gradient_ld: 100,
                border_ld: ld,
                scale: 2.0,
                rule: 0,
                count: 600,
            };
            let args = vec![
                memory.put(&tensor.words()).into(),
                memory.put(&[0u32, 0]).into(),
                memory.put(&rule.words()).into(),
                1.into(),
                0.into(),
            ];
            (args, border)
        },
        |words| {
            let found = words.iter().flat_map(|w| [*w as u16, (w >> 16) as u16]);
            found.eq(expected.iter().copied())
        },
    )
}

/// The sum of 700 partials.
fn total(module: &Module) -> Option<String> {
    let partials: Vec<u64> = (0..700).map(|at| f64::from(at).to_bits()).collect();
    let expected = f64::from(699 * 700 / 2).to_bits();
    caught(
        module,
        "squares_total",
        &launch([1, 1, 1], 256, 64),
        |memory| {
            let out = memory.room::<u64>(1);
            let args = vec![
                memory.put(&partials).into(),
                memory.put(&[0u32, 700]).into(),
                out.into(),
                1.into(),
            ];
            (args, out)
        },
        |words| words == [expected as u32, (expected >> 32) as u32],
    )
}

/// The sum of one document of 128 values of 1.
fn document(module: &Module) -> Option<String> {
    let rows: Vec<u32> = (0..128).collect();
    let expected = 128f64.to_bits();
    caught(
        module,
        "document_sums",
        &launch([1, 1, 1], 256, 0),
        |memory| {
            let out = memory.room::<u64>(1);
            let args = vec![
                memory.put(&vec![1f32; 128]).into(),
                memory.put(&rows).into(),
                memory.put(&[0u32, 129]).into(),
                out.into(),
                128.into(),
                1.into(),
                1f32.into(),
            ];
            (args, out)
        },
        |words| words == [expected as u32, (expected >> 32) as u32],
    )
}

#[test]
fn nothing_is_caught_where_nothing_is_planted() {
    assert_eq!(gradient(&module("cross_entropy"), 4093), None);
    assert_eq!(border(&module("adamw")), None);
    assert_eq!(total(&module("squares")), None);
    assert_eq!(document(&module("logprob")), None);
}

#[test]
fn a_missing_barrier() {
    let loss = |which| {
        mutant("cross_entropy", "cross_entropy_gradient", |entry| {
            without_barrier(entry, which)
        })
    };
    // The maxima and sums of other warps are read before they are there.
    must_be_found("no first barrier", gradient(&loss(0), 4093), &["shared"]);
    must_be_found("no second barrier", gradient(&loss(1), 4093), &["shared"]);
    // The target's number is corrected before, or after, another warp writes it.
    must_be_found(
        "no third barrier",
        gradient(&loss(2), 4093),
        &["race between warps"],
    );
    let norm = mutant("squares", "squares_total", |entry| {
        without_barrier(entry, 0)
    });
    must_be_found("no barrier", total(&norm), &["shared"]);
}

#[test]
fn a_wrong_bound() {
    // Vectors of 4 where there are vectors of 8: far beyond the end of the row.
    let long = mutant("cross_entropy", "cross_entropy_gradient", |entry| {
        entry.replace(", 3;", ", 2;")
    });
    must_be_found("vectors of 4", gradient(&long, 4093), &["out of bounds"]);
    // A value more than the document has.
    let more = mutant("logprob", "document_sums", |entry| {
        let last = entry.rfind("setp.lt.s32").expect("the end of the loop");
        let (before, rest) = entry.split_at(last);
        format!("{before}{}", rest.replacen("setp.lt", "setp.le", 1))
    });
    must_be_found("a value more", document(&more), &["out of bounds"]);
}

#[test]
fn a_wrong_number() {
    // Rows of the border as far apart as those of the gradient.
    let place = mutant("adamw", "adamw", |entry| entry.replace("+48]", "+44]"));
    must_be_found("another leading dimension", border(&place), &["numbers"]);
    // Lanes that listen to the wrong neighbours.
    let tree = mutant("squares", "squares_total", |entry| {
        entry.replacen(", 16;", ", 8;", 1)
    });
    must_be_found("wrong neighbours", total(&tree), &["numbers"]);
}
