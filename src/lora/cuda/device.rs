//! What the CUDA backend asks of a machine: memory, launches of its own kernels, matrix products.
//!
//! The backend is generic over it, so that the same launches run on a GPU through the driver and, in the tests, in a PTX
//! interpreter with a plain matrix product. Everything a device is told happens in the order in which it was told, as on one
//! stream; only [`Device::download`] and [`Device::synchronize`] wait for it. A failure of something told earlier may
//! therefore be reported by a later call.

use crate::lora::backend::Done;

/// A place in the device's memory, in bytes. Plain arithmetic on it is the caller's: [`plus`](Self::plus).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u64);

impl Address {
    /// No place: what a kernel is given for an argument that it does not use.
    pub const NULL: Self = Self(0);

    /// The place this many bytes further on.
    #[must_use]
    pub fn plus(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }

    /// The place this many bf16 numbers further on.
    #[must_use]
    pub fn bf16(self, numbers: u64) -> Self {
        self.plus(2 * numbers)
    }

    /// The place this many f32 or u32 numbers further on.
    #[must_use]
    pub fn f32(self, numbers: u64) -> Self {
        self.plus(4 * numbers)
    }
}

/// An entry point of the PTX texts that the device was opened with; names are unique across all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kernel(pub &'static str);

/// How many blocks of how many threads, and the dynamic shared memory of each block in bytes. A grid with a 0 in it launches
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y, z.
    pub block: [u32; 3],
    /// Bytes.
    pub shared: u32,
}

impl Launch {
    /// A row of blocks of a row of threads each.
    pub fn row(blocks: u32, threads: u32, shared: u32) -> Self {
        Self {
            grid: [blocks, 1, 1],
            block: [threads, 1, 1],
            shared,
        }
    }
}

/// One argument of a kernel, in the order in which its source declares them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arg {
    /// A pointer: inside a live reservation or just past its end, or [`Address::NULL`].
    Pointer(Address),
    /// `int`.
    I32(i32),
    /// `unsigned`.
    U32(u32),
    /// `unsigned long long`.
    U64(u64),
    /// `float`.
    F32(f32),
}

impl From<Address> for Arg {
    fn from(at: Address) -> Self {
        Self::Pointer(at)
    }
}

impl From<i32> for Arg {
    fn from(number: i32) -> Self {
        Self::I32(number)
    }
}

impl From<u32> for Arg {
    fn from(number: u32) -> Self {
        Self::U32(number)
    }
}

impl From<u64> for Arg {
    fn from(number: u64) -> Self {
        Self::U64(number)
    }
}

impl From<f32> for Arg {
    fn from(number: f32) -> Self {
        Self::F32(number)
    }
}

/// How the numbers of a matrix product's result are stored. Its factors are always bf16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    /// Two bytes, rounded once from the f32 accumulator.
    Bf16,
    /// Four bytes: the accumulator.
    F32,
}

impl Element {
    /// Bytes of one number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }
}

/// A factor of a matrix product as it lies in memory: row-major, `ld` numbers from one row to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Its first number; a multiple of 16 bytes.
    pub at: Address,
    /// Numbers from one stored row to the next: a multiple of 8, and at least the columns of the stored matrix.
    pub ld: usize,
    /// Whether the product takes its transpose: then the stored matrix has the columns of the factor as its rows.
    pub transposed: bool,
}

impl Matrix {
    /// A matrix as it is stored.
    pub fn plain(at: Address, ld: usize) -> Self {
        Self {
            at,
            ld,
            transposed: false,
        }
    }

    /// The transpose of what is stored.
    pub fn transposed(at: Address, ld: usize) -> Self {
        Self {
            at,
            ld,
            transposed: true,
        }
    }
}

/// A matrix product, row-major: D [m, n] = alpha op(A) op(B) + beta D + bias, where op(A) is [m, k] and op(B) [k, n], both
/// bf16, summed in f32. y = x W^T with x [m, k] and W [n, k] is `a: plain(x, ldx), b: transposed(w, ldw)`; dx = dy W with dy
/// [m, n'] and W [n', k'] is `a: plain(dy, lddy), b: plain(w, ldw)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gemm {
    /// Rows of D; 0: nothing happens.
    pub m: usize,
    /// Columns of D; 0: nothing happens.
    pub n: usize,
    /// Summands of each number of D; at least 1.
    pub k: usize,
    /// op(A) is [m, k].
    pub a: Matrix,
    /// op(B) is [k, n].
    pub b: Matrix,
    /// D's first number; a multiple of 16 bytes. D overlaps neither A nor B.
    pub d: Address,
    /// Numbers from one row of D to the next, a multiple of 8; what lies between row ends is not touched.
    pub ldd: usize,
    /// How D is stored.
    pub element: Element,
    /// What the product is multiplied by.
    pub alpha: f32,
    /// What D's old numbers are multiplied by; with 0 they are not read, so they may be anything, NaN too.
    pub beta: f32,
    /// bf16 `[n]`, added to every row before the one rounding; only with a bf16 D. A multiple of 16 bytes.
    pub bias: Option<Address>,
}

impl Gemm {
    /// D = op(A) op(B) in bf16: what most products are; change the fields that differ.
    pub fn new([m, n, k]: [usize; 3], a: Matrix, b: Matrix, d: Address, ldd: usize) -> Self {
        Self {
            m,
            n,
            k,
            a,
            b,
            d,
            ldd,
            element: Element::Bf16,
            alpha: 1.0,
            beta: 0.0,
            bias: None,
        }
    }
}

/// A machine with memory of its own. Failures are sentences; after one, no number on the device may be relied on.
pub trait Device {
    /// What it is called, for messages.
    fn name(&self) -> &str;

    /// So many bytes of the arena, aligned to 256; their content is undefined. The same calls in the same order give the same
    /// places.
    ///
    /// # Errors
    ///
    /// The arena has no piece of this size: says how much was asked for, and how much there is.
    fn reserve(&self, bytes: u64) -> Done<Address>;
    /// Gives back what [`reserve`](Self::reserve) gave; work told before may still use it. Anything else is ignored.
    fn release(&self, at: Address);
    /// Bytes of the arena that are not reserved.
    fn room(&self) -> u64;
    /// The most bytes of it that were ever reserved at a time.
    fn peak(&self) -> u64;
    /// How many processes were to share the memory that it is part of, this one among them.
    fn side_by_side(&self) -> u32 {
        1
    }

    /// These bytes to `to`; they may be changed once this returns.
    fn upload(&self, bytes: &[u8], to: Address) -> Done;
    /// As many bytes from `from`, once all told before is done.
    fn download(&self, from: Address, bytes: &mut [u8]) -> Done;
    /// Sets bytes to 0.
    fn zero(&self, at: Address, bytes: u64) -> Done;
    /// Copies bytes within the device; the two places do not overlap.
    fn copy(&self, from: Address, to: Address, bytes: u64) -> Done;

    /// Runs a kernel. Its arguments must be those of the entry point, in number, size and order.
    fn launch(&self, kernel: Kernel, launch: &Launch, args: &[Arg]) -> Done;
    /// Runs a matrix product.
    fn gemm(&self, gemm: &Gemm) -> Done;
    /// Waits until all told before is done.
    ///
    /// # Errors
    ///
    /// The first failure of anything told before.
    fn synchronize(&self) -> Done;
}
