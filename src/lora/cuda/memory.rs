//! Memory of the device that is given back when nobody has it any more, and rows of numbers in it.

use super::{
    super::backend::{Done, Kind, Shape, Trouble},
    device::{Address, Device},
};
use half::bf16;
use std::{cell::RefCell, rc::Rc};

/// Leading dimensions are multiples of this many numbers, so that rows of bf16 begin at multiples of 16 bytes.
pub const LANE: usize = 8;

/// A reservation.
pub struct Piece<D: Device> {
    device: Rc<D>,
    at: Address,
    bytes: u64,
}

impl<D: Device> Piece<D> {
    /// So many bytes; what is in them is undefined. Nothing is a place too: kernels are given its address though they never
    /// look there.
    pub fn room(device: &Rc<D>, bytes: u64) -> Done<Self> {
        Ok(Self {
            device: device.clone(),
            at: device.reserve(bytes)?,
            bytes,
        })
    }

    /// So many bytes, all 0.
    pub fn zeros(device: &Rc<D>, bytes: u64) -> Done<Self> {
        let piece = Self::room(device, bytes)?;
        piece.clear()?;
        Ok(piece)
    }

    /// These bytes.
    pub fn of(device: &Rc<D>, bytes: &[u8]) -> Done<Self> {
        let piece = Self::room(device, bytes.len() as u64)?;
        if !bytes.is_empty() {
            device.upload(bytes, piece.at)?;
        }
        Ok(piece)
    }

    /// These numbers.
    pub fn of_f32(device: &Rc<D>, numbers: &[f32]) -> Done<Self> {
        Self::of(device, &bytes_of_f32(numbers))
    }

    /// These numbers.
    pub fn of_u32(device: &Rc<D>, numbers: &[u32]) -> Done<Self> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        Self::of(device, &bytes)
    }

    /// Where it begins.
    pub fn at(&self) -> Address {
        self.at
    }

    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Sets it to 0.
    pub fn clear(&self) -> Done {
        match self.bytes {
            0 => Ok(()),
            bytes => self.device.zero(self.at, bytes),
        }
    }

    /// f32 numbers from the given one on.
    pub fn read_f32(&self, from: usize, len: usize) -> Done<Vec<f32>> {
        let mut bytes = vec![0; 4 * len];
        self.device.download(self.at.f32(from as u64), &mut bytes)?;
        let numbers = bytes.as_chunks::<4>().0.iter();
        Ok(numbers.map(|b| f32::from_le_bytes(*b)).collect())
    }
}

impl<D: Device> Drop for Piece<D> {
    fn drop(&mut self) {
        self.device.release(self.at);
    }
}

/// Memory that one operation needs for itself. It grows and is never given back.
pub struct Scratch<D: Device>(RefCell<Option<Piece<D>>>);

impl<D: Device> Scratch<D> {
    /// Without any room.
    pub fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// So many bytes at least; what is in them is undefined.
    pub fn hold(&self, device: &Rc<D>, bytes: u64) -> Done<Address> {
        let mut held = self.0.borrow_mut();
        if let Some(piece) = held.as_ref().filter(|piece| piece.bytes() >= bytes) {
            return Ok(piece.at());
        }
        // The old one goes first: both may not fit.
        *held = None;
        let piece = Piece::room(device, bytes)?;
        let at = piece.at();
        *held = Some(piece);
        Ok(at)
    }
}

/// Rows of numbers on the device: bf16, or f32 where they are statistics.
pub struct Buffer<D: Device> {
    piece: Piece<D>,
    shape: Shape,
    ld: usize,
}

impl<D: Device> Buffer<D> {
    /// Zeros. drop(x) A^T has the padded ranks, its tail, for columns; where x is kept it has no place of its own.
    pub fn zeros(device: &Rc<D>, shape: Shape) -> Done<Self> {
        let (ld, bytes) = stride(&shape);
        let piece = Piece::zeros(device, bytes)?;
        Ok(Self { piece, shape, ld })
    }

    /// These numbers, rounded where they are kept as bf16.
    pub fn put(device: &Rc<D>, shape: Shape, numbers: &[f32]) -> Done<Self> {
        let buffer = Self::zeros(device, shape)?;
        let rows = padded_rows(numbers, shape.columns, buffer.ld);
        let bytes = match buffer.is_f32() {
            true => bytes_of_f32(&rows),
            false => bytes_of_bf16(&rows),
        };
        if !bytes.is_empty() {
            device.upload(&bytes, buffer.at())?;
        }
        Ok(buffer)
    }

    /// The first `len` numbers, without tails.
    pub fn get(&self, device: &D, len: usize) -> Done<Vec<f32>> {
        let columns = self.shape.columns.max(1);
        let rows = len.div_ceil(columns);
        self.check(rows, "rows")?;
        let size = if self.is_f32() { 4 } else { 2 };
        let mut bytes = vec![0; rows * self.ld * size];
        device.download(self.at(), &mut bytes)?;
        let all: Vec<f32> = match self.is_f32() {
            true => {
                let numbers = bytes.as_chunks::<4>().0.iter();
                numbers.map(|b| f32::from_le_bytes(*b)).collect()
            }
            false => {
                let numbers = bytes.as_chunks::<2>().0.iter();
                numbers.map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
            }
        };
        let rows = all.chunks_exact(self.ld.max(1));
        let numbers = rows.flat_map(|row| &row[..columns]);
        Ok(numbers.copied().take(len).collect())
    }

    /// Where it begins.
    pub fn at(&self) -> Address {
        self.piece.at()
    }

    /// Numbers from one row to the next.
    pub fn ld(&self) -> usize {
        self.ld
    }

    /// What it holds.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Bytes of it.
    pub fn bytes(&self) -> u64 {
        self.piece.bytes()
    }

    /// Whether it has memory at all.
    pub fn is_empty(&self) -> bool {
        self.piece.bytes() == 0
    }

    /// Whether its numbers are f32.
    pub fn is_f32(&self) -> bool {
        matches!(self.shape.kind, Kind::Statistic | Kind::Logit)
    }

    /// That there are so many rows in it.
    pub fn check(&self, rows: usize, what: &str) -> Done {
        match rows <= self.shape.rows {
            true => Ok(()),
            false => Err(Trouble(format!(
                "{rows} {what} do not fit into a buffer of {}",
                self.shape.rows
            ))),
        }
    }
}

/// Numbers from row to row, and bytes, of a buffer.
pub fn stride(shape: &Shape) -> (usize, u64) {
    let (columns, size) = match shape.kind {
        Kind::Activation => (shape.columns + shape.tail, 2),
        Kind::Statistic | Kind::Logit => (shape.columns, 4),
        Kind::Low => (shape.tail, 2),
        Kind::LowOfKept => (0, 2),
    };
    let ld = match shape.kind {
        Kind::Statistic => columns,
        _ => columns.next_multiple_of(LANE),
    };
    (ld, shape.rows as u64 * ld as u64 * size)
}

/// Rows of `columns` numbers, with zeros up to `ld` each.
pub fn padded_rows(numbers: &[f32], columns: usize, ld: usize) -> Vec<f32> {
    if columns == ld || columns == 0 {
        return numbers.to_vec();
    }
    let mut padded = Vec::with_capacity(numbers.len() / columns * ld);
    for row in numbers.chunks_exact(columns) {
        padded.extend_from_slice(row);
        padded.resize(padded.len() + ld - columns, 0.0);
    }
    padded
}

/// Little-endian, as the device has them.
pub fn bytes_of_f32(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// Rounded to the nearest, ties to even.
pub fn bytes_of_bf16(numbers: &[f32]) -> Vec<u8> {
    let numbers = numbers.iter().map(|&n| bf16::from_f32(n));
    numbers.flat_map(|n| n.to_le_bytes()).collect()
}
