//! A whole kernel made by NVRTC, tensor cores and background copies and all, against f64; and the same kernel with one line
//! broken at a time: each bug must be found, and named.

use crate::ptx::{Counts, Launch, Memory, Mode, Module};
use half::bf16;
use proptest::prelude::*;

const TEXT: &str = include_str!("kernels/down.ptx");

/// Bytes of shared memory: two stages of 64 rows of x and 16 rows of a, 72 numbers each.
const SHARED: u32 = 2 * (64 + 16) * 72 * 2;

/// Numbers between -1/2 and 1/2 that any run makes again.
fn numbers(seed: u64, count: usize) -> Vec<bf16> {
    let mut state = seed;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bf16::from_f32((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5)
    };
    (0..count).map(next).collect()
}

struct Outcome {
    h: Vec<bf16>,
    largest: Vec<f32>,
    sums: Vec<f32>,
    counts: Counts,
}

fn run(text: &str, (m, k): (usize, usize), mode: Mode) -> Result<Outcome, String> {
    let module = Module::parse(text)?;
    let (x, a) = (numbers(1, m * k), numbers(2, 16 * k));
    let mut memory = Memory::new();
    let (at_x, at_a) = (memory.put(&x), memory.put(&a));
    let (h, largest) = (memory.room::<bf16>(m * 16), memory.room::<f32>(m));
    let blocks = m.div_ceil(64);
    let sums = memory.room::<f32>(blocks * 4);
    let launch = Launch {
        grid: [blocks as u32, 1, 1],
        block: [128, 1, 1],
        shared: SHARED,
    };
    let args = [
        at_x.into(),
        at_a.into(),
        h.into(),
        largest.into(),
        sums.into(),
        (m as i32).into(),
        (k as i32).into(),
    ];
    let counts = module
        .kernel("down")
        .run(&launch, &args, &mut memory, mode)
        .map_err(|fault| fault.to_string())?;
    Ok(Outcome {
        h: memory.get(h),
        largest: memory.get(largest),
        sums: memory.get(sums),
        counts,
    })
}

fn check(m: usize, k: usize) {
    let (x, a) = (numbers(1, m * k), numbers(2, 16 * k));
    for mode in Mode::ALL {
        let outcome = run(TEXT, (m, k), mode).unwrap();
        let mut total = 0.0;
        for row in 0..m {
            let mut most = 0f64;
            for column in 0..16 {
                let want: f64 = (0..k)
                    .map(|j| x[row * k + j].to_f64() * a[column * k + j].to_f64())
                    .sum();
                let got = outcome.h[row * 16 + column].to_f64();
                assert!(
                    (got - want).abs() <= want.abs() / 256.0 + 1e-5,
                    "{mode:?} {row} {column}: {got} {want}"
                );
                (most, total) = (most.max(want.abs()), total + want);
            }
            assert!(
                (f64::from(outcome.largest[row]) - most).abs() <= 1e-5,
                "{mode:?} row {row}"
            );
        }
        let sum: f64 = outcome.sums.iter().map(|sum| f64::from(*sum)).sum();
        assert!(
            (sum - total).abs() <= 1e-5 * (m * k) as f64,
            "{mode:?}: {sum} {total}"
        );
    }
}

#[test]
fn whole_tiles() {
    check(128, 128);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_shape(m in 1usize..150, k in 1usize..30) {
        check(m, 8 * k);
    }
}

#[test]
fn counts_are_what_the_kernel_moves() {
    let (m, k) = (256, 1024);
    let started = std::time::Instant::now();
    let counts = run(TEXT, (m, k), Mode::ALL[0]).unwrap().counts;
    println!("{counts:?} in {:?}", started.elapsed());
    assert_eq!(counts.multiplies as usize, m / 16 * k / 16 * 2);
    // Every block reads its own rows of x and the whole of a, and nothing twice.
    assert_eq!(counts.read as usize, (m * k + m / 64 * 16 * k) * 2);
    assert_eq!(counts.written as usize, m * 16 * 2 + m * 4 + m / 64 * 4 * 4);
    assert_eq!(counts.conflicts, 0);
}

/// The text with the `n`-th line that holds `what` replaced.
fn broken(what: &str, n: usize, by: &str) -> String {
    let at: Vec<usize> = TEXT.match_indices(what).map(|(at, _)| at).collect();
    format!("{}{by}{}", &TEXT[..at[n]], &TEXT[at[n] + what.len()..])
}

/// Some mode must find the bug, by one of these sentences.
fn caught(text: &str, shape: (usize, usize), sentences: &[&str]) {
    let faults = Mode::ALL.map(|mode| run(text, shape, mode).err());
    println!("{faults:?}");
    assert!(faults.iter().any(Option::is_some), "no mode found the bug");
    for fault in faults.iter().flatten() {
        assert!(
            sentences.iter().any(|sentence| fault.contains(sentence)),
            "{fault}"
        );
    }
}

#[test]
fn a_missing_barrier_after_the_wait_is_caught() {
    let text = broken("bar.sync \t0;", 0, "");
    caught(
        &text,
        (64, 256),
        &["race between warps", "still on its way", "never written"],
    );
}

#[test]
fn a_missing_barrier_at_the_end_of_the_loop_is_caught() {
    caught(
        &broken("bar.sync \t0;", 1, ""),
        (64, 256),
        &["race between warps", "still on its way"],
    );
}

#[test]
fn a_wait_for_too_little_is_caught() {
    caught(
        &broken("wait_group 1;", 0, "wait_group 2;"),
        (64, 256),
        &["still on its way"],
    );
    caught(
        &broken("wait_group 0;", 0, "wait_group 1;"),
        (64, 256),
        &["still on its way"],
    );
}

#[test]
fn a_copy_that_is_not_committed_is_caught() {
    caught(
        &broken("cp.async.commit_group;", 0, ""),
        (64, 64),
        &["still on its way"],
    );
}

#[test]
fn a_missing_bound_is_caught() {
    let text = TEXT.replace("@%p74 bra \t$L__BB0_39;", "");
    caught(&text, (50, 64), &["write of 4 bytes out of bounds"]);
}

#[test]
fn a_shuffle_of_lanes_that_are_away_is_caught() {
    let text = TEXT.replace("@%p75 bra \t$L__BB0_41;", "@%p75 exit;");
    caught(&text, (5, 64), &["have exited"]);
}
