//! The scalar types of PTX and where a value of each lives: in a predicate, in a narrow (32-bit) or in a wide (64-bit)
//! register. Untyped `.bN` are unsigned integers; 8- and 16-bit values and packed halves live in narrow registers.

use crate::ptx::registers::File;

/// A type named by an instruction or a declaration.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Type {
    Pred,
    U8,
    S8,
    U16,
    S16,
    U32,
    S32,
    U64,
    S64,
    F16,
    Bf16,
    F32,
    F64,
    /// Two bf16 numbers in one 32-bit register, the second source in the lower half.
    Bf16x2,
    /// Two f16 numbers in one 32-bit register, the second source in the lower half.
    F16x2,
}

impl Type {
    /// The type a modifier such as `u32` names; none if it is no type.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "pred" => Self::Pred,
            "b8" | "u8" => Self::U8,
            "s8" => Self::S8,
            "b16" | "u16" => Self::U16,
            "s16" => Self::S16,
            "b32" | "u32" => Self::U32,
            "s32" => Self::S32,
            "b64" | "u64" => Self::U64,
            "s64" => Self::S64,
            "f16" => Self::F16,
            "bf16" => Self::Bf16,
            "f32" => Self::F32,
            "f64" => Self::F64,
            "bf16x2" => Self::Bf16x2,
            "f16x2" => Self::F16x2,
            _ => return None,
        })
    }

    /// Bytes in memory.
    pub fn bytes(self) -> usize {
        match self {
            Self::Pred | Self::U8 | Self::S8 => 1,
            Self::U16 | Self::S16 | Self::F16 | Self::Bf16 => 2,
            Self::U32 | Self::S32 | Self::F32 | Self::Bf16x2 | Self::F16x2 => 4,
            Self::U64 | Self::S64 | Self::F64 => 8,
        }
    }

    /// Bits in memory.
    pub fn bits(self) -> u32 {
        8 * self.bytes() as u32
    }

    /// The register file that holds it.
    pub fn file(self) -> File {
        match self {
            Self::Pred => File::Predicate,
            Self::U64 | Self::S64 | Self::F64 => File::Wide,
            _ => File::Narrow,
        }
    }

    /// Whether it is a signed integer.
    pub fn signed(self) -> bool {
        matches!(self, Self::S8 | Self::S16 | Self::S32 | Self::S64)
    }

    /// Whether it is a floating-point type.
    pub fn float(self) -> bool {
        matches!(
            self,
            Self::F16 | Self::Bf16 | Self::F32 | Self::F64 | Self::Bf16x2 | Self::F16x2
        )
    }
}
