//! A row-major matrix product as the library wants it: column-major, by taking the transpose of both sides.
//!
//! A row-major [r, c] with leading dimension ld is, byte for byte, a column-major [c, r] with the same ld. So D = op(A) op(B)
//! becomes D^T = op(B)^T op(A)^T: the factors change places, each keeps its own transposition, and nothing moves in memory. The
//! bias, one number for each column of D, is one for each row of D^T, which is what the library's epilogue adds.

use crate::lora::backend::{Done, Trouble};

use crate::lora::cuda::driver::{
    arena::{Arena, Place},
    device::{Address, Element, Gemm, Matrix},
};

/// A column-major matrix as it lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Where its first number is.
    pub at: Address,
    /// Rows of what is stored: the numbers that lie side by side.
    pub rows: u64,
    /// Columns of what is stored.
    pub columns: u64,
    /// Numbers from one stored column to the next.
    pub ld: i64,
    /// Whether the product takes its transpose.
    pub transposed: bool,
}

/// The library's product: result = first second, all column-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// op(first) is [n, k].
    pub first: Columns,
    /// op(second) is [k, m].
    pub second: Columns,
    /// [n, m], never transposed.
    pub result: Columns,
}

/// The library's view of a product.
pub fn product(gemm: &Gemm) -> Product {
    Product {
        first: columns(&gemm.b, [gemm.k, gemm.n]),
        second: columns(&gemm.a, [gemm.m, gemm.k]),
        result: columns(&Matrix::plain(gemm.d, gemm.ldd), [gemm.m, gemm.n]),
    }
}

/// `shape` is that of op(matrix), row-major.
fn columns(matrix: &Matrix, shape: [usize; 2]) -> Columns {
    let [rows, columns] = stored(matrix, shape);
    Columns {
        at: matrix.at,
        rows: columns as u64,
        columns: rows as u64,
        ld: matrix.ld as i64,
        transposed: matrix.transposed,
    }
}

/// The rows and columns in memory of a factor whose op(matrix) has `shape`.
fn stored(matrix: &Matrix, [rows, columns]: [usize; 2]) -> [usize; 2] {
    match matrix.transposed {
        true => [columns, rows],
        false => [rows, columns],
    }
}

/// The bytes that a product reads or writes: where they begin, and how many they are, from the first to the last.
pub fn spans(gemm: &Gemm) -> Vec<(&'static str, Address, u64)> {
    let span = |matrix: &Matrix, shape, bytes| {
        let [rows, columns] = stored(matrix, shape).map(|n| n as u64);
        let numbers = rows.saturating_sub(1) * matrix.ld as u64 + columns;
        (matrix.at, numbers * bytes)
    };
    let (a, a_bytes) = span(&gemm.a, [gemm.m, gemm.k], 2);
    let (b, b_bytes) = span(&gemm.b, [gemm.k, gemm.n], 2);
    let result = Matrix::plain(gemm.d, gemm.ldd);
    let (d, d_bytes) = span(&result, [gemm.m, gemm.n], gemm.element.bytes());
    let mut all = vec![("A", a, a_bytes), ("B", b, b_bytes), ("D", d, d_bytes)];
    all.extend(gemm.bias.map(|at| ("bias", at, 2 * gemm.n as u64)));
    all
}

/// Whether a product is one that [`Gemm`] allows, so that every machine refuses the same ones.
///
/// # Errors
///
/// Names the part that is wrong.
pub fn check(gemm: &Gemm) -> Done {
    let wrong = |why: String| Err(Trouble(format!("a matrix product of {why}")));
    let Gemm { m, n, k, .. } = *gemm;
    if k == 0 {
        return wrong(format!("{m} x {n} x {k} sums nothing"));
    }
    if [m, n, k].into_iter().any(|size| size > i32::MAX as usize) {
        return wrong(format!(
            "{m} x {n} x {k} is larger than the library's indices"
        ));
    }
    let result = Matrix::plain(gemm.d, gemm.ldd);
    let parts = [
        ("A", &gemm.a, [m, k]),
        ("B", &gemm.b, [k, n]),
        ("D", &result, [m, n]),
    ];
    for (name, matrix, shape) in parts {
        let [_, columns] = stored(matrix, shape);
        if matrix.ld < columns || !matrix.ld.is_multiple_of(8) || matrix.ld > i32::MAX as usize {
            return wrong(format!(
                "{m} x {n} x {k} has {name} with a leading dimension of {} for {columns} columns; it must be a multiple of 8",
                matrix.ld
            ));
        }
    }
    for (name, at, _) in spans(gemm) {
        if at == Address::NULL || !at.0.is_multiple_of(16) {
            return wrong(format!(
                "{m} x {n} x {k} has {name} at {:#x}, no multiple of 16",
                at.0
            ));
        }
    }
    if gemm.bias.is_some() && gemm.element != Element::Bf16 {
        return wrong(format!("{m} x {n} x {k} has a bias and an f32 result"));
    }
    Ok(())
}

/// A product that [`check`] allows and whose bytes all lie inside live pieces: only [`allow`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    gemm: Gemm,
    result: Place,
}

impl Allowed {
    /// The product.
    pub fn gemm(&self) -> &Gemm {
        &self.gemm
    }

    /// The bytes of D.
    pub fn result(&self) -> Place {
        self.result
    }
}

/// Looks at a product before a machine is told to run it.
///
/// # Errors
///
/// As [`check`], or a factor, the bias or D that is not reserved.
pub fn allow(gemm: &Gemm, arena: &Arena) -> Done<Allowed> {
    check(gemm)?;
    let mut result = None;
    for (name, at, bytes) in spans(gemm) {
        let place = arena.place(&format!("{name} of a matrix product"), at, bytes)?;
        if name == "D" {
            result = Some(place);
        }
    }
    Ok(Allowed {
        gemm: *gemm,
        result: result.expect("D is one of the spans"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the library is documented to compute, number by number, from its own descriptors alone: column-major matrices,
    /// `op`, alpha, beta with C in D's place, and a bias of one number for each row of the result.
    fn library(
        product: &Product,
        memory: &[f64],
        alpha: f64,
        beta: f64,
        bias: Option<usize>,
    ) -> Vec<f64> {
        let number = |part: &Columns, row: u64, column: u64| {
            let (row, column) = match part.transposed {
                true => (column, row),
                false => (row, column),
            };
            assert!(
                row < part.rows && column < part.columns,
                "outside of a matrix"
            );
            memory[part.at.0 as usize / 16 + row as usize + column as usize * part.ld as usize]
        };
        let depth = match product.first.transposed {
            true => product.first.rows,
            false => product.first.columns,
        };
        let mut after = memory.to_vec();
        for column in 0..product.result.columns {
            for row in 0..product.result.rows {
                let sum: f64 = (0..depth)
                    .map(|k| number(&product.first, row, k) * number(&product.second, k, column))
                    .sum();
                let old = match beta {
                    0.0 => 0.0,
                    _ => beta * number(&product.result, row, column),
                };
                let bias = bias.map_or(0.0, |at| memory[at / 16 + row as usize]);
                let place = product.result.at.0 as usize / 16
                    + row as usize
                    + column as usize * product.result.ld as usize;
                after[place] = alpha * sum + old + bias;
            }
        }
        after
    }

    /// The product as [`Gemm`] describes it, row-major.
    fn plain(gemm: &Gemm, memory: &[f64]) -> Vec<f64> {
        let at = |matrix: &Matrix, row: usize, column: usize| {
            let (row, column) = match matrix.transposed {
                true => (column, row),
                false => (row, column),
            };
            memory[matrix.at.0 as usize / 16 + row * matrix.ld + column]
        };
        let mut after = memory.to_vec();
        for i in 0..gemm.m {
            for j in 0..gemm.n {
                let sum: f64 = (0..gemm.k)
                    .map(|k| at(&gemm.a, i, k) * at(&gemm.b, k, j))
                    .sum();
                let place = gemm.d.0 as usize / 16 + i * gemm.ldd + j;
                let old = match gemm.beta {
                    0.0 => 0.0,
                    beta => f64::from(beta) * memory[place],
                };
                let bias = gemm.bias.map_or(0.0, |at| memory[at.0 as usize / 16 + j]);
                after[place] = f64::from(gemm.alpha) * sum + old + bias;
            }
        }
        after
    }

    /// Numbers of test memory stand 16 bytes apart, so that every place is aligned.
    struct Drawn {
        state: u64,
        memory: Vec<f64>,
    }

    impl Drawn {
        fn below(&mut self, n: usize) -> usize {
            self.state = self
                .state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (self.state >> 33) as usize % n
        }

        fn numbers(&mut self, len: usize) -> Address {
            let at = self.memory.len() as u64 * 16;
            for _ in 0..len {
                let number = self.below(17) as f64 - 8.0;
                self.memory.push(number);
            }
            Address(at)
        }

        fn factor(&mut self, shape: [usize; 2]) -> Matrix {
            let mut matrix = Matrix {
                at: Address::NULL,
                ld: 0,
                transposed: self.below(2) == 1,
            };
            let [rows, columns] = stored(&matrix, shape);
            matrix.ld = columns.next_multiple_of(8) + 8 * self.below(3);
            matrix.at = self.numbers(rows * matrix.ld);
            matrix
        }

        fn gemm(&mut self) -> Gemm {
            let [m, n, k] = [0; 3].map(|_| 1 + self.below(20));
            let a = self.factor([m, k]);
            let b = self.factor([k, n]);
            let ldd = n.next_multiple_of(8) + 8 * self.below(2);
            let d = self.numbers(m * ldd);
            let bias = (self.below(2) == 1).then(|| self.numbers(n));
            Gemm {
                alpha: [1.0, 0.5][self.below(2)],
                beta: [0.0, 1.0, -0.25][self.below(3)],
                bias,
                ..Gemm::new([m, n, k], a, b, d, ldd)
            }
        }
    }

    #[test]
    fn the_library_computes_what_is_asked() {
        let mut seen = [false; 4];
        for seed in 0..200 {
            let mut drawn = Drawn {
                state: seed,
                memory: vec![f64::NAN],
            };
            let gemm = drawn.gemm();
            check(&gemm).expect("a product that is allowed");
            seen[usize::from(gemm.a.transposed) + 2 * usize::from(gemm.b.transposed)] = true;
            let bias = gemm.bias.map(|at| at.0 as usize);
            let (alpha, beta) = (f64::from(gemm.alpha), f64::from(gemm.beta));
            let made = library(&product(&gemm), &drawn.memory, alpha, beta, bias);
            let wanted = plain(&gemm, &drawn.memory);
            // Whole numbers, exact in f64; the whole memory is compared, so nothing beside D changes either.
            assert_eq!(made[1..], wanted[1..], "seed {seed}: {gemm:?}");
        }
        assert_eq!(seen, [true; 4], "every transposition occurs");
    }

    #[test]
    fn old_numbers_are_not_read_when_beta_is_0() {
        let mut drawn = Drawn {
            state: 7,
            memory: vec![f64::NAN],
        };
        let gemm = Gemm {
            beta: 0.0,
            ..drawn.gemm()
        };
        let first = gemm.d.0 as usize / 16;
        drawn.memory[first] = f64::NAN;
        let bias = gemm.bias.map(|at| at.0 as usize);
        let made = library(
            &product(&gemm),
            &drawn.memory,
            f64::from(gemm.alpha),
            0.0,
            bias,
        );
        assert!(made[first].is_finite());
    }

    /// y = x W^T of the bordered weight: [M, K + R] by [N, K + R], both row-major.
    #[test]
    fn a_projection_is_a_transposed_first_factor() {
        let gemm = Gemm::new(
            [100, 4096, 4160],
            Matrix::plain(Address(256), 4160),
            Matrix::transposed(Address(512), 4160),
            Address(1024),
            4224,
        );
        let made = product(&gemm);
        assert_eq!(
            made.first,
            Columns {
                at: Address(512),
                rows: 4160,
                columns: 4096,
                ld: 4160,
                transposed: true
            }
        );
        assert_eq!(
            (
                made.second.rows,
                made.second.columns,
                made.second.transposed
            ),
            (4160, 100, false)
        );
        assert_eq!(
            (made.result.rows, made.result.columns, made.result.ld),
            (4096, 100, 4224)
        );
        let bytes = |name| {
            spans(&gemm)
                .iter()
                .find(|part| part.0 == name)
                .map(|part| part.2)
        };
        assert_eq!(bytes("D"), Some((99 * 4224 + 4096) * 2));
        assert_eq!(bytes("B"), Some(4096 * 4160 * 2));
    }

    #[test]
    fn products_that_are_not_allowed_are_refused() {
        let good = Gemm::new(
            [3, 16, 8],
            Matrix::plain(Address(256), 8),
            Matrix::transposed(Address(512), 8),
            Address(1024),
            16,
        );
        check(&good).expect("allowed");
        let said = |gemm: Gemm| check(&gemm).expect_err("refused").0;
        assert!(said(Gemm { k: 0, ..good }).contains("sums nothing"));
        assert!(
            said(Gemm { ldd: 8, ..good })
                .contains("D with a leading dimension of 8 for 16 columns")
        );
        assert!(
            said(Gemm {
                a: Matrix::plain(Address(256), 12),
                ..good
            })
            .contains("multiple of 8")
        );
        assert!(
            said(Gemm {
                a: Matrix::plain(Address(258), 8),
                ..good
            })
            .contains("A at 0x102")
        );
        assert!(
            said(Gemm {
                b: Matrix::plain(Address(512), 8),
                ..good
            })
            .contains("B with a leading dimension")
        );
        assert!(
            said(Gemm {
                d: Address::NULL,
                ..good
            })
            .contains("D at 0x0")
        );
        assert!(said(Gemm { m: 1 << 33, ..good }).contains("indices"));
        let both = Gemm {
            bias: Some(Address(2048)),
            element: Element::F32,
            ..good
        };
        assert!(said(both).contains("a bias and an f32 result"));
        assert!(
            said(Gemm {
                bias: Some(Address(8)),
                ..good
            })
            .contains("bias at 0x8")
        );
    }

    #[test]
    fn what_a_product_touches_must_be_reserved() {
        let mut arena = Arena::new(Address(4096), 4096);
        let [a, b, d] = [48, 256, 96].map(|bytes| arena.reserve(bytes).expect("room"));
        let gemm = Gemm::new(
            [3, 16, 8],
            Matrix::plain(a, 8),
            Matrix::transposed(b, 8),
            d,
            16,
        );
        let allowed = allow(&gemm, &arena).expect("reserved");
        assert_eq!((allowed.result().at(), allowed.result().bytes()), (d, 96));
        // Pieces are whole multiples of 256 bytes: 16 rows of 16 numbers are 512.
        let wide = Gemm { m: 16, ..gemm };
        assert!(
            allow(&wide, &arena)
                .expect_err("too long")
                .0
                .starts_with("D of a matrix product uses 512 bytes")
        );
        arena.release(b);
        assert!(
            allow(&gemm, &arena)
                .expect_err("released")
                .0
                .starts_with("B of a matrix product uses 256 bytes")
        );
    }
}
