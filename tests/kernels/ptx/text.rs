//! PTX text into statements: comments away, directives that carry nothing away, the rest cut at semicolons, braces and
//! labels, each with its line.

/// A piece of the text.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Piece<'a> {
    /// `{` that opens a body or a scope.
    Open,
    /// `}` that closes one.
    Close,
    /// `name:`.
    Label(&'a str),
    /// An instruction, a declaration, or the head of an entry.
    Statement(&'a str),
}

/// Directives that end with their line and say nothing the interpreter needs.
const LINES: [&str; 5] = [".version", ".target", ".address_size", ".loc", ".file"];

/// Blanks comments out, keeping every line break so that line numbers stand.
pub(crate) fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('/') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else {
            out.push('/');
            rest = &rest[1..];
            continue;
        };
        out.extend(
            rest[..end]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Cuts text without comments into pieces, each with its line (from 1).
///
/// # Errors
/// A brace that closes nothing, or a statement that never ends; with the line.
pub(crate) fn pieces(text: &str) -> Result<Vec<(usize, Piece<'_>)>, String> {
    let mut out = Vec::new();
    let (mut start, mut line, mut vectors, mut quoted) = (0, 1, 0, false);
    // The line on which what is pending began.
    let mut began = 1;
    let mut empty = true;
    for (at, character) in text.char_indices() {
        if !"\"\n{};:".contains(character) {
            if empty && !character.is_whitespace() {
                (began, empty) = (line, false);
            }
            continue;
        }
        let pending = text[start..at].trim();
        let next = at + 1;
        match character {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '\n' => {
                if LINES.iter().any(|directive| pending.starts_with(directive)) {
                    start = next;
                }
                line += 1;
            }
            '{' if pending.is_empty() => {
                out.push((line, Piece::Open));
                start = next;
            }
            '{' if pending.contains(".entry") || pending.contains(".func") => {
                out.push((began, Piece::Statement(pending)));
                out.push((line, Piece::Open));
                start = next;
            }
            '{' => vectors += 1,
            '}' if vectors > 0 => vectors -= 1,
            '}' if pending.is_empty() => {
                out.push((line, Piece::Close));
                start = next;
            }
            '}' => return Err(format!("line {line}: `{pending}` has no end")),
            ';' => {
                if !pending.is_empty() {
                    out.push((began, Piece::Statement(pending)));
                }
                start = next;
            }
            ':' if !pending.contains(char::is_whitespace) => {
                out.push((line, Piece::Label(pending)));
                start = next;
            }
            _ => {}
        }
        empty = text[start..next].trim().is_empty();
    }
    match text[start..].trim() {
        "" => Ok(out),
        rest if LINES.iter().any(|directive| rest.starts_with(directive)) => Ok(out),
        rest => Err(format!("line {line}: `{rest}` has no end")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_lines_stay() {
        let text = "a; // one; {\n/* two\n; */ b;\nc / d;";
        let clean = without_comments(text);
        assert_eq!(clean.matches('\n').count(), 3);
        let want =
            [(1, "a"), (3, "b"), (4, "c / d")].map(|(line, text)| (line, Piece::Statement(text)));
        assert_eq!(pieces(&clean).unwrap(), want);
    }

    #[test]
    fn braces_are_scopes_or_vectors() {
        let text = ".version 8.0\n.visible .entry k(\n.param .u64 a\n)\n{\nst.v2.u32 [%r1],\n {%r2, %r3};\n{ $L1:\n mov.b32 %r1, 5; }\n}";
        assert_eq!(
            pieces(text).unwrap(),
            [
                (2, Piece::Statement(".visible .entry k(\n.param .u64 a\n)")),
                (5, Piece::Open),
                (6, Piece::Statement("st.v2.u32 [%r1],\n {%r2, %r3}")),
                (8, Piece::Open),
                (8, Piece::Label("$L1")),
                (9, Piece::Statement("mov.b32 %r1, 5")),
                (9, Piece::Close),
                (10, Piece::Close),
            ]
        );
    }

    #[test]
    fn what_never_ends_is_refused() {
        assert!(
            pieces("mov.b32 %r1, 5")
                .unwrap_err()
                .contains("line 1: `mov.b32 %r1, 5` has no end")
        );
        assert!(pieces("{ a }").unwrap_err().contains("has no end"));
    }
}
