//! How numbers are stored in tensor files. All arithmetic is in f32; what is stored shorter is widened exactly on the way in and
//! rounded to the nearest, ties to even, on the way out, as torch does.

use crate::words::words;
use half::{f16, slice::HalfFloatSliceExt};

words! {
    /// The floating-point formats that models come in, by their names in safetensors files.
    pub enum Dtype {
        /// IEEE single precision.
        F32 = "F32",
        /// IEEE half precision.
        F16 = "F16",
        /// The upper half of single precision.
        Bf16 = "BF16",
    }
}

impl Dtype {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
        }
    }

    /// Appends the numbers that little-endian bytes stand for; what does not fill a number is left out.
    pub fn decode(self, bytes: &[u8], to: &mut Vec<f32>) {
        let pairs = bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
        match self {
            Dtype::F32 => {
                let words = bytes.chunks_exact(4);
                to.extend(words.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            }
            Dtype::F16 => {
                let halves: Vec<f16> = pairs.map(f16::from_le_bytes).collect();
                let start = to.len();
                to.resize(start + halves.len(), 0.0);
                halves.convert_to_f32_slice(&mut to[start..]);
            }
            Dtype::Bf16 => {
                to.extend(pairs.map(|b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)));
            }
        }
    }

    /// Appends the little-endian bytes of numbers. One beyond the format's range becomes an infinity.
    pub fn encode(self, values: &[f32], to: &mut Vec<u8>) {
        match self {
            Dtype::F32 => to.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Dtype::F16 => {
                let mut halves = vec![f16::ZERO; values.len()];
                halves.convert_from_f32_slice(values);
                to.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
            }
            Dtype::Bf16 => {
                let halves = values.iter().map(|&value| half::bf16::from_f32(value));
                to.extend(halves.flat_map(|half| half.to_le_bytes()));
            }
        }
    }
}
