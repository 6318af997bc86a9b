//! Bugs put into the kernels on purpose: each class must be found, and by what should find it.

use crate::lora::{Mask, THREADS, batch};
use crate::ptx::{Arg, Fault, Launch, Memory, Mode, Module};
use crate::support::{
    Chance, Matrix, int, launch, module,
    mutation::{must_be_found, mutant, replaced, without_barrier},
};
use half::bf16;

const M: usize = 70;
const K: usize = 328;
const RANKS: usize = 32;
const KERNEL: &str = "lora_down_64";

/// Which launch a bug is planted in, and the numbers it is run on.
struct Planted {
    module: Module,
    grid: [usize; 3],
    m: usize,
}

impl Planted {
    /// lora_down as it is.
    fn none() -> Self {
        Self {
            module: module("lora_down"),
            grid: [M.div_ceil(64), 1, 1],
            m: M,
        }
    }

    /// Its text changed.
    fn changed(change: impl Fn(&str) -> String) -> Self {
        Self {
            module: mutant("lora_down", KERNEL, change),
            ..Self::none()
        }
    }

    /// The buffer of x and h afterwards.
    fn run(&self, mode: Mode) -> Result<Vec<Option<bf16>>, Fault> {
        let chance = &mut Chance::new(131);
        let batch = batch(chance, M);
        let ldx = K + 64;
        let x = Matrix::random(chance, M, K, ldx);
        let a = Matrix::random(chance, RANKS, K, K);
        let mask = Mask::random(chance, 0.1);
        let mut memory = Memory::new();
        let room = memory.writable(&x.numbers);
        let h = memory.room::<bf16>(M * 64);
        let mut args: Vec<Arg> = [
            room,
            memory.put(&a.numbers),
            h,
            memory.put(&batch.examples),
            memory.put(&batch.positions),
        ]
        .map(Arg::from)
        .into();
        args.extend([self.m, K, RANKS, ldx, K, 64, 0, 64].map(int));
        args.extend(mask.ints());
        args.extend(mask.floats());
        let launch: Launch = launch(self.grid, THREADS, 73_728);
        self.module
            .kernel(KERNEL)
            .run(&launch, &args, &mut memory, mode)?;
        Ok(memory.get_raw(h))
    }

    /// What went wrong in each mode; none: nothing.
    fn faults(&self) -> Vec<String> {
        let right = Self::none().run(Mode::ALL[0]).expect("no bug, no fault");
        let mut found = Vec::new();
        for mode in Mode::ALL {
            match self.run(mode) {
                Err(fault) => found.push(fault.to_string()),
                Ok(h) if h.iter().any(Option::is_none) => found.push("a number is missing".into()),
                Ok(h) => {
                    let bits = |h: &[Option<bf16>]| -> Vec<_> {
                        h.iter().map(|n| n.map(bf16::to_bits)).collect()
                    };
                    if bits(&h) != bits(&right) {
                        found.push("numbers differ".into());
                    }
                }
            }
        }
        found
    }

    fn must_be_found(&self, bug: &str, by: &[&str]) {
        must_be_found(bug, self.faults(), by);
    }
}

#[test]
fn nothing_planted_nothing_found() {
    assert_eq!(Planted::none().faults(), Vec::<String>::new());
}

#[test]
fn a_barrier_is_missing_after_the_copies() {
    Planted::changed(|body| without_barrier(body, 0))
        .must_be_found("first barrier", &["race", "never written"]);
}

#[test]
fn a_barrier_is_missing_before_the_next_copies() {
    Planted::changed(|body| without_barrier(body, 1))
        .must_be_found("second barrier", &["race", "on its way"]);
}

#[test]
fn a_wait_is_too_short() {
    let planted = Planted::changed(|body| {
        replaced(body, "cp.async.wait_group 3", 0, "cp.async.wait_group 4")
    });
    planted.must_be_found(
        "wait",
        &["unwritten", "cp.async", "never", "numbers differ"],
    );
}

#[test]
fn an_operand_is_not_turned() {
    let planted = Planted::changed(|body| replaced(body, ".x4.shared", 1, ".x4.trans.shared"));
    planted.must_be_found("transposed", &["numbers differ"]);
}

#[test]
fn the_mask_is_another() {
    let planted = Planted::changed(|body| replaced(body, "-1640531527", 0, "-1640531526"));
    planted.must_be_found("key of Philox", &["numbers differ"]);
}

#[test]
fn a_row_too_many_is_out_of_bounds() {
    let planted = Planted {
        m: M + 1,
        ..Planted::none()
    };
    planted.must_be_found("bound", &["bound", "outside"]);
}

#[test]
fn a_block_is_forgotten() {
    let planted = Planted {
        grid: [1, 1, 1],
        ..Planted::none()
    };
    planted.must_be_found("grid", &["missing"]);
}
