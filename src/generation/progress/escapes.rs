//! Removes terminal escape sequences from a line.

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// The line without escape sequences; borrows `line` when it has none, and otherwise writes to `plain`.
///
/// Colours vanish; every other sequence (cursor movement, erasing, titles) becomes a space, because what stood on either side of it
/// stood in different places on the screen.
pub(super) fn strip<'a>(line: &'a [u8], plain: &'a mut Vec<u8>) -> &'a [u8] {
    if !line.contains(&ESC) {
        return line;
    }
    plain.clear();
    let mut rest = line;
    while let Some(at) = rest.iter().position(|&b| b == ESC) {
        plain.extend_from_slice(&rest[..at]);
        let (length, colour) = sequence(&rest[at..]);
        if !colour {
            plain.push(b' ');
        }
        rest = &rest[at + length..];
    }
    plain.extend_from_slice(rest);
    plain
}

/// Length of the sequence at the start of `bytes`, and whether it only sets a colour. A sequence cut off by the line's end takes
/// all that is left.
fn sequence(bytes: &[u8]) -> (usize, bool) {
    match bytes.get(1) {
        Some(b'[') => match bytes[2..].iter().position(|b| (0x40..=0x7e).contains(b)) {
            Some(at) => (at + 3, bytes[at + 2] == b'm'),
            None => (bytes.len(), false),
        },
        Some(b']') => (operating_system_command(bytes), false),
        Some(_) => (2, false),
        None => (1, false),
    }
}

/// Length of a title or hyperlink sequence, which ends with BEL or ESC backslash.
fn operating_system_command(bytes: &[u8]) -> usize {
    let end = bytes[2..].iter().position(|&b| b == BEL || b == ESC);
    match end {
        Some(at) if bytes[at + 2] == BEL => at + 3,
        Some(at) => (at + 4).min(bytes.len()),
        None => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_vanish_and_movements_separate() {
        for (line, expected) in [
            (&b"plain"[..], &b"plain"[..]),
            (b"\x1b[32m47\x1b[0m/190", b"47/190"),
            (b"7/25\x1b[A8/25", b"7/25 8/25"),
            (b"a\x1b]0;title\x07b\x1b]8;;x\x1b\\c", b"a b c"),
            (b"a\x1b[12", b"a "),
            (b"a\x1b", b"a "),
            (b"a\x1b]0;never ends", b"a "),
        ] {
            assert_eq!(
                strip(line, &mut Vec::new()),
                expected,
                "{}",
                line.escape_ascii()
            );
        }
    }
}
