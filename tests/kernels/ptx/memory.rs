//! Global memory: allocations far apart in one address space, so that an address says to which it belongs and a step beyond
//! an end never hits a neighbour.

use crate::ptx::number::Number;
use crate::ptx::region::Region;
use crate::ptx::shadow::{PHASES, Turn};

/// Every allocation begins at a multiple of this.
const STRIDE: u64 = 1 << 32;

/// The address of an allocation or of a place in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pointer {
    address: u64,
}

impl Pointer {
    /// The place so many elements of so many bytes further on.
    #[must_use]
    pub fn offset(self, elements: usize, size: usize) -> Self {
        Self {
            address: self.address + (elements * size) as u64,
        }
    }

    /// The number a kernel is given.
    pub fn address(self) -> u64 {
        self.address
    }
}

/// The global memory of a test; it outlives launches, as that of a device does.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    allocations: Vec<Region>,
    /// The phase that begins next.
    phase: u32,
}

impl Memory {
    /// No allocation yet.
    pub fn new() -> Self {
        Self {
            allocations: Vec::new(),
            phase: 1,
        }
    }

    /// Numbers a kernel may read; writing them is a fault.
    pub fn put<T: Number>(&mut self, numbers: &[T]) -> Pointer {
        self.allocate(Region::filled(bytes_of(numbers), T::SIZE, false))
    }

    /// Room for so many numbers to be written; reading one before is a fault.
    pub fn room<T: Number>(&mut self, len: usize) -> Pointer {
        self.allocate(Region::poisoned(len * T::SIZE, T::SIZE))
    }

    /// Numbers a kernel may read and write.
    pub fn writable<T: Number>(&mut self, numbers: &[T]) -> Pointer {
        self.allocate(Region::filled(bytes_of(numbers), T::SIZE, true))
    }

    /// Overwrites numbers from there on, read-only or not, between launches.
    ///
    /// # Panics
    /// If they reach beyond the allocation.
    pub fn set<T: Number>(&mut self, at: Pointer, numbers: &[T]) {
        let (region, from) = self.locate(at);
        self.allocations[region].replace(from, &bytes_of(numbers));
    }

    /// All numbers from there to the end of the allocation.
    ///
    /// # Panics
    /// If one was never written.
    pub fn get<T: Number>(&self, at: Pointer) -> Vec<T> {
        let numbers = self.get_raw(at).into_iter().enumerate();
        numbers
            .map(|(n, number)| number.unwrap_or_else(|| panic!("number {n} was never written")))
            .collect()
    }

    /// All numbers from there to the end of the allocation; none where one was never written.
    pub fn get_raw<T: Number>(&self, at: Pointer) -> Vec<Option<T>> {
        let (region, from) = self.locate(at);
        let region = &self.allocations[region];
        let numbers = region.bytes()[from..].chunks_exact(T::SIZE).enumerate();
        numbers
            .map(|(n, bytes)| {
                region
                    .known(from + n * T::SIZE, T::SIZE)
                    .then(|| T::take(bytes))
            })
            .collect()
    }

    pub(crate) fn allocate(&mut self, region: Region) -> Pointer {
        self.allocations.push(region);
        Pointer {
            address: self.allocations.len() as u64 * STRIDE,
        }
    }

    /// Gives back the allocations made after the first so many.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.allocations.truncate(len);
    }

    /// How many allocations there are.
    pub(crate) fn count(&self) -> usize {
        self.allocations.len()
    }

    /// Begins a launch: its first phase, with room for more after it.
    pub(crate) fn begin(&mut self) -> u32 {
        if self.phase > PHASES / 2 {
            self.allocations.iter_mut().for_each(Region::forget);
            self.phase = 1;
        }
        self.phase
    }

    /// Ends a launch that used the phases before this one.
    pub(crate) fn end(&mut self, phase: u32) {
        self.phase = phase;
    }

    fn locate(&self, at: Pointer) -> (usize, usize) {
        let (region, from) = split(at.address);
        assert!(
            self.allocations
                .get(region)
                .is_some_and(|region| from as usize <= region.len()),
            "pointer {at:?} is not into an allocation"
        );
        (region, from as usize)
    }

    #[inline(always)]
    fn region(&mut self, address: u64, what: &str) -> Result<(&mut Region, i64), String> {
        let (region, at) = split(address);
        match self.allocations.get_mut(region) {
            Some(region) => Ok((region, at)),
            None if address < STRIDE => Err(format!(
                "{what} through a null pointer (address {address:#x})"
            )),
            None => Err(format!(
                "{what} out of bounds: address {address:#x} is in no allocation"
            )),
        }
    }

    /// Reads for a kernel; see [`Region::read`].
    #[inline]
    pub(crate) fn read(
        &mut self,
        address: u64,
        size: usize,
        element: usize,
        turn: &Turn,
    ) -> Result<&[u8], String> {
        let (region, at) = self.region(address, "read")?;
        region.read(at, size, element, turn)
    }

    /// Writes for a kernel; see [`Region::write`].
    #[inline]
    pub(crate) fn write(
        &mut self,
        address: u64,
        size: usize,
        element: usize,
        turn: &Turn,
    ) -> Result<&mut [u8], String> {
        let (region, at) = self.region(address, "write")?;
        region.write(at, size, element, turn)
    }
}

/// The allocation and the byte in it. The upper half of the space under an allocation belongs to it too, as negative bytes:
/// a step before its beginning is then told apart from one far beyond the end of the one before.
#[inline(always)]
fn split(address: u64) -> (usize, i64) {
    let nearest = (address.wrapping_add(STRIDE / 4)) / STRIDE;
    let at = address.wrapping_sub(nearest * STRIDE).cast_signed();
    (nearest.wrapping_sub(1) as usize, at)
}

fn bytes_of<T: Number>(numbers: &[T]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(numbers.len() * T::SIZE);
    numbers.iter().for_each(|number| number.put(&mut bytes));
    bytes
}
