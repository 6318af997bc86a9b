//! What the tests of row kernels share: what a launch has and leaves, comparison with the reference, planted faults.

use crate::ptx::{Arg, Counts, Kernel, Launch, Memory, Module, Pointer};
use crate::support::{
    Chance, Matrix, launch, module,
    mutation::{must_be_found, mutant},
    rounding::{F32, near},
};
use half::bf16;
use std::ops::Range;

/// What norms add to the mean square.
pub const EPSILON: f32 = 1e-5;

/// A kernel against the reference, for one shape: rows and what is as wide as its columns.
pub type Check = fn(&Module, &mut Chance, usize, usize) -> Result<(), String>;

/// A fault that is planted in a kernel, and the word by which it must be told.
pub struct Fault {
    pub entry: &'static str,
    pub from: &'static str,
    pub to: &'static str,
    pub check: Check,
    pub symptom: &'static str,
}

impl Fault {
    /// One of the shapes at least must show it.
    pub fn must_be_found(&self, file: &str, shapes: &[(usize, usize)]) {
        let change = |body: &str| body.replace(self.from, self.to);
        let mutant = mutant(file, self.entry, change);
        let mut chance = Chance::new(3);
        let failures = shapes
            .iter()
            .filter_map(|&(rows, width)| (self.check)(&mutant, &mut chance, rows, width).err());
        let bug = format!("{} for {} in {}", self.to, self.from, self.entry);
        must_be_found(&bug, failures, &[self.symptom]);
    }
}

/// A block for each row in `slices` parts, and one past the last row, which must do nothing.
pub fn row_blocks(rows: usize, slices: usize, threads: usize, shared: u32) -> Launch {
    launch([rows + 1, slices, 1], threads as u32, shared)
}

/// Rows of different size, more often small numbers than large: one row in eight is zeros.
pub fn matrix(chance: &mut Chance, rows: usize, columns: usize) -> Matrix {
    let ld = columns + chance.of(&[0, 8, 64]);
    let (mut at, mut size) = (0, 0.0);
    Matrix::filled(rows, columns, ld, || {
        if at % columns == 0 {
            size = chance.of(&[1.0, 1.0, 1.0, 0.02, 8.0, 100.0, 1e-6, 0.0]);
        }
        at += 1;
        chance.around(size) * chance.around(1.0)
    })
}

/// A kernel's arguments, and which of them it writes.
pub struct Placed {
    pub args: Vec<Arg>,
    pub matrix: Pointer,
    pub floats: Option<Pointer>,
}

/// What a kernel wrote; None where it wrote nothing.
pub struct Found {
    pub matrix: Vec<Option<bf16>>,
    pub floats: Vec<Option<f32>>,
    pub counts: Counts,
}

impl Found {
    /// Its numbers by their bits, which tell NaN from NaN.
    pub fn bits(&self) -> (Vec<Option<u16>>, Vec<Option<u32>>) {
        let matrix = self.matrix.iter().map(|n| n.map(bf16::to_bits));
        let floats = self.floats.iter().map(|n| n.map(f32::to_bits));
        (matrix.collect(), floats.collect())
    }
}

/// Runs a kernel in every mode, which must not change a bit.
pub fn run(
    kernel: &Kernel,
    launch: &Launch,
    place: impl Fn(&mut Memory) -> Placed,
) -> Result<Found, String> {
    let place = |memory: &mut Memory| {
        let placed = place(memory);
        (placed.args, (placed.matrix, placed.floats))
    };
    let read = |memory: &Memory, &(matrix, floats): &(Pointer, Option<Pointer>)| {
        let floats = floats.map(|at| memory.get_raw::<u32>(at));
        (memory.get_raw::<u16>(matrix), floats.unwrap_or_default())
    };
    let ((matrix, floats), counts) = crate::support::run(kernel, launch, place, read)?;
    let matrix = matrix.into_iter().map(|n| n.map(bf16::from_bits));
    let floats = floats.into_iter().map(|n| n.map(f32::from_bits));
    Ok(Found {
        matrix: matrix.collect(),
        floats: floats.collect(),
        counts,
    })
}

/// Every number of the columns must be near `expected(row, column)`, an exact number and its error in f32; every other must be
/// what it was `before`: nothing, when there is none.
pub fn compare(
    found: &[Option<bf16>],
    ld: usize,
    columns: Range<usize>,
    before: Option<&Matrix>,
    expected: impl Fn(usize, usize) -> (f64, f64),
) -> Result<(), String> {
    for (at, found) in found.iter().enumerate() {
        let (row, column) = (at / ld, at % ld);
        if columns.contains(&column) {
            let (exact, error) = expected(row, column);
            if !found.is_some_and(|found| near(found, exact, error)) {
                return Err(format!(
                    "row {row}, column {column}: {found:?}, not {exact} to within {error}"
                ));
            }
        } else {
            let before = before.map(|before| before.numbers[at].to_bits());
            if before != found.map(bf16::to_bits) {
                return Err(format!("row {row}, column {column} was touched: {found:?}"));
            }
        }
    }
    Ok(())
}

/// As [`compare`] for f32 numbers: `expected(at)` has its error with it.
pub fn compare_floats(
    found: &[Option<f32>],
    expected: impl Fn(usize) -> (f64, f64),
) -> Result<(), String> {
    for (at, found) in found.iter().enumerate() {
        let (exact, error) = expected(at);
        if !found.is_some_and(|found| (f64::from(found) - exact).abs() <= error) {
            return Err(format!(
                "number {at}: {found:?}, not {exact} to within {error}"
            ));
        }
    }
    Ok(())
}

/// The relative errors of 1 / rms and of a normalised number, where the sum over them is so many roundings deep.
pub fn norm_errors(depth: f64) -> (f64, f64) {
    let rstd = (depth / 2.0 + 5.0) * F32;
    (rstd, rstd + 3.0 * F32)
}

/// The error of a norm's gradient: `g` and `x` of this number, `products` the mean of |g x| over the row.
pub fn norm_backward_error(depth: f64, rstd: f64, g: f64, x: f64, products: f64) -> f64 {
    let slope = rstd * rstd * products * x.abs();
    F32 * rstd * (5.0 * g.abs() + (depth + 9.0) * slope)
}

/// Checks kernels of norms twice for each shape.
pub fn norm_for_each(check: Check, shapes: &[(usize, usize)]) {
    let norm = module("norm");
    let mut chance = Chance::new(11);
    for &(rows, width) in shapes {
        for _ in 0..2 {
            check(&norm, &mut chance, rows, width).unwrap();
        }
    }
}

pub mod gather;
pub mod head_norm;
pub mod norm;
pub mod rope;
pub mod swiglu;
