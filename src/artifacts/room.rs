//! Waiting for room: what a machine lacks for a while, work waits for, and says so once.

use super::is_starved;
use std::{
    io::{self, Write},
    thread,
    time::Duration,
};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Tries until the machine no longer lacks what it takes. It waits for as long as that is; the first refusal is told to
/// `say`. Blocking, for processes that have nothing else to do.
///
/// # Errors
/// Every other error of `attempt`, at once.
pub fn patiently<T>(
    say: impl FnOnce(&io::Error),
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let mut say = Some(say);
    loop {
        match attempt() {
            Err(error) if is_starved(&error) => {
                if let Some(say) = say.take() {
                    say(&error);
                }
                thread::sleep(PAUSE);
            }
            tried => return tried,
        }
    }
}

/// Writes all of `bytes`, waiting for room; what was taken before the disk was full is not written again.
///
/// # Errors
/// Every other error of the writer.
pub fn write_patiently(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let taken = patiently(
            |error| say(&format!("{error}; waiting for room")),
            || to.write(rest),
        )?;
        if taken == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = &rest[taken..];
    }
    Ok(())
}

/// A line on stderr, as far as there is one: it may lie on the very disk that is full.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes three bytes at a time and has no room at every other call.
    struct Tight {
        taken: Vec<u8>,
        calls: u32,
    }

    impl Write for Tight {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(2) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(3);
            self.taken.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_is_written_twice_while_room_comes_and_goes() {
        let mut to = Tight {
            taken: Vec::new(),
            calls: 0,
        };
        write_patiently(&mut to, b"abcdefg").unwrap();
        assert_eq!((to.taken.as_slice(), to.calls), (b"abcdefg".as_slice(), 5));
    }

    #[test]
    fn another_error_ends_the_wait() {
        let mut said = 0;
        let mut tries = 0;
        let tried: io::Result<()> = patiently(
            |_| said += 1,
            || {
                tries += 1;
                Err(match tries {
                    1 | 2 => io::ErrorKind::StorageFull.into(),
                    _ => io::ErrorKind::NotFound.into(),
                })
            },
        );
        assert_eq!(tried.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!((said, tries), (1, 3));
    }
}
