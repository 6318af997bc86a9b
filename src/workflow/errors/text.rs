//! Logs as they are: progress bars over one another, colours, NUL bytes where a file was cut.

use std::borrow::Cow;

/// The pieces of a line between carriage returns, cleaned: a message is often glued to the last of many overwritten
/// progress bars. An empty line has one, for it may end a block.
pub(super) fn pieces(line: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let parts = line.strip_suffix('\r').unwrap_or(line).split('\r');
    parts.map(clean)
}

/// The text without terminal sequences and control characters; tabs stay.
fn clean(text: &str) -> Cow<'_, str> {
    let odd = |c: char| c.is_control() && c != '\t';
    if !text.contains(odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut rest),
            c if odd(c) => {}
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Passes over what an escape began: `[`, parameters, a final letter; `]`, words, a bell; or one character.
fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => {
            // What is no parameter ends the sequence, so a broken one swallows a character, not a message.
            rest.find(|c| !matches!(c, '0'..='9' | ';' | '?' | ':' | ' '..='/'));
        }
        Some(']') => {
            rest.find(|c| matches!(c, '\u{7}' | '\\'));
        }
        _ => {}
    }
}

/// At most `most` characters of a line, around the byte `at` where it says what matters.
pub(super) fn window(line: &str, at: usize, most: usize) -> String {
    let trimmed = line.trim();
    if trimmed.len() <= most {
        return trimmed.to_owned();
    }
    let mut from = at.saturating_sub(most / 4).min(line.len());
    while !line.is_char_boundary(from) {
        from -= 1;
    }
    let cut: String = line[from..].chars().take(most).collect();
    cut.trim().to_owned()
}

/// What stands between two marks, the first time.
pub(super) fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(before)?;
    rest.split_once(after).map(|(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_overwritten_bars_are_pieces() {
        let line = " 10%|#\r 20%|##\u{1b}[0;31mslurm\u{1b}[0mstepd\r";
        let seen: Vec<_> = pieces(line).collect();
        assert_eq!(seen, [" 10%|#", " 20%|##slurmstepd"]);
        assert_eq!(pieces("").count(), 1);
        assert_eq!(pieces("\u{0}\u{0}").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn a_window_stays_within_characters() {
        let line = "é".repeat(500);
        for at in 0..line.len() {
            assert!(window(&line, at, 300).chars().count() <= 300);
        }
        assert_eq!(window("  short ", 2, 300), "short");
    }
}
