//! Numbers that cross between a test and the memory of a launch: fixed size, little-endian.

use half::{bf16, f16};

/// A number with a fixed number of bytes.
pub trait Number: Copy {
    /// Bytes of one.
    const SIZE: usize;
    /// Appends its bytes.
    fn put(self, bytes: &mut Vec<u8>);
    /// From exactly `SIZE` bytes.
    fn take(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Number for $type {
            const SIZE: usize = size_of::<$type>();
            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
            fn take(bytes: &[u8]) -> Self {
                let mut own = [0; Self::SIZE];
                own.copy_from_slice(bytes);
                Self::from_le_bytes(own)
            }
        }
    )*};
}
number!(u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 bf16 f16);
