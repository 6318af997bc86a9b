//! A piece of memory with its shadow: a global allocation, the shared memory of a block, or the local memory of a warp. Every
//! access is checked for bounds, alignment, permission, initialisation and races before a byte moves.

use crate::ptx::shadow::{Flags, Marks, Turn};

/// Bytes and what is known of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Region {
    bytes: Vec<u8>,
    /// Bytes that were written and are there; none where all are from the start.
    written: Option<Flags>,
    /// Bytes a copy in the background is on its way to.
    awaited: Option<Flags>,
    /// Who touched what; empty where races are impossible.
    marks: Marks,
    writable: bool,
}

impl Region {
    /// Bytes that are there from the start.
    pub fn filled(bytes: Vec<u8>, granule: usize, writable: bool) -> Self {
        let marks = if writable {
            Marks::new(bytes.len(), granule)
        } else {
            Marks::default()
        };
        Self {
            marks,
            bytes,
            writable,
            ..Self::default()
        }
    }

    /// Bytes of which none was written yet.
    pub fn poisoned(len: usize, granule: usize) -> Self {
        Self {
            written: Some(Flags::new(len, false)),
            ..Self::filled(vec![0xa5; len], granule, true)
        }
    }

    /// Shared memory: nothing written, granules of two bytes, copies in the background.
    pub fn shared(len: usize) -> Self {
        Self {
            awaited: Some(Flags::new(len, false)),
            ..Self::poisoned(len, 2)
        }
    }

    /// Local memory: nothing written, and seen by one thread only.
    pub fn local(len: usize) -> Self {
        Self {
            marks: Marks::default(),
            ..Self::poisoned(len, 1)
        }
    }

    /// Forgets what was written.
    pub fn poison(&mut self) {
        if let Some(written) = &mut self.written {
            written.clear();
        }
        if let Some(awaited) = &mut self.awaited {
            awaited.clear();
        }
    }

    /// Forgets who touched what.
    pub fn forget(&mut self) {
        self.marks.clear();
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes without any check.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a run of bytes was written.
    pub fn known(&self, at: usize, len: usize) -> bool {
        self.written
            .as_ref()
            .is_none_or(|written| written.all(at, len))
    }

    /// Overwrites bytes from outside a launch.
    pub fn replace(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        if let Some(written) = &mut self.written {
            written.set(at, bytes.len(), true);
        }
    }

    /// The byte an access begins at, if it is inside and aligned.
    #[inline(always)]
    fn bounds(&self, at: i64, size: usize, element: usize, what: &str) -> Result<usize, String> {
        // As an unsigned number a negative byte is far beyond every end.
        let start = at as usize;
        if start < self.bytes.len()
            && self.bytes.len() - start >= size
            && start & (element - 1) == 0
        {
            return Ok(start);
        }
        Err(self.misplaced(at, size, element, what))
    }

    #[cold]
    fn misplaced(&self, at: i64, size: usize, element: usize, what: &str) -> String {
        let len = self.bytes.len();
        if at >= 0 && at as usize + size <= len {
            return format!("misaligned {what} of {element} bytes at byte {at}");
        }
        format!("{what} of {size} bytes out of bounds: byte {at} of {len}")
    }

    /// Whether a copy in the background is on its way to any of these bytes.
    #[inline(always)]
    fn is_awaited(&self, at: usize, size: usize) -> bool {
        self.awaited
            .as_ref()
            .is_some_and(|awaited| awaited.any(at, size))
    }

    /// Reads a run of `size` bytes made of accesses of `element` bytes each.
    ///
    /// # Errors
    /// Why it is not allowed.
    #[inline]
    pub fn read(
        &mut self,
        at: i64,
        size: usize,
        element: usize,
        turn: &Turn,
    ) -> Result<&[u8], String> {
        let at = self.bounds(at, size, element, "read")?;
        if !self.known(at, size) {
            return Err(if self.is_awaited(at, size) {
                awaited("read", at)
            } else {
                unknown(at, size)
            });
        }
        if !self.marks.is_empty() {
            self.marks.read(at, size, turn)?;
        }
        Ok(&self.bytes[at..at + size])
    }

    /// A run of bytes that may be written now and counts as written.
    ///
    /// # Errors
    /// Why it is not allowed.
    #[inline]
    pub fn write(
        &mut self,
        at: i64,
        size: usize,
        element: usize,
        turn: &Turn,
    ) -> Result<&mut [u8], String> {
        let at = self.bounds(at, size, element, "write")?;
        if !self.writable {
            return Err(format!(
                "write of {size} bytes at byte {at} of read-only memory"
            ));
        }
        if self.is_awaited(at, size) {
            return Err(awaited("write", at));
        }
        self.mark_written(at, size, turn)?;
        if let Some(written) = &mut self.written {
            written.set(at, size, true);
        }
        Ok(&mut self.bytes[at..at + size])
    }

    #[inline]
    fn mark_written(&mut self, at: usize, size: usize, turn: &Turn) -> Result<(), String> {
        if self.marks.is_empty() {
            Ok(())
        } else {
            self.marks.write(at, size, turn)
        }
    }

    /// A copy in the background sets out for these bytes: until it lands nobody may touch them.
    ///
    /// # Errors
    /// Why it is not allowed.
    pub fn await_copy(&mut self, at: i64, size: usize, turn: &Turn) -> Result<(), String> {
        let start = self.bounds(at, size, size, "write")?;
        if self.is_awaited(start, size) {
            return Err(awaited("write", start));
        }
        self.mark_written(start, size, turn)?;
        if let (Some(awaited), Some(written)) = (&mut self.awaited, &mut self.written) {
            awaited.set(start, size, true);
            written.set(start, size, false);
        }
        Ok(())
    }

    /// The copy lands.
    ///
    /// # Errors
    /// The race with whoever touched the bytes meanwhile.
    pub fn land_copy(&mut self, at: usize, bytes: &[u8], turn: &Turn) -> Result<(), String> {
        if let Some(awaited) = &mut self.awaited {
            awaited.set(at, bytes.len(), false);
        }
        self.mark_written(at, bytes.len(), turn)?;
        self.replace(at, bytes);
        Ok(())
    }
}

#[cold]
fn awaited(what: &str, at: usize) -> String {
    format!("{what} of byte {at}, to which a cp.async is still on its way")
}

#[cold]
fn unknown(at: usize, size: usize) -> String {
    format!("read of {size} bytes at byte {at} that were never written")
}
