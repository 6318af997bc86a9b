//! Bugs planted in the text of a kernel: a test that does not find them proves nothing.

use crate::ptx::Module;

/// A kernel file with `change` made to the body of one of its kernels.
///
/// # Panics
/// There is no such kernel, or nothing changes, or the result is no PTX: the test would prove nothing.
pub fn mutant(file: &str, kernel: &str, change: impl Fn(&str) -> String) -> Module {
    let text = crate::support::text(file);
    let start = text
        .find(&format!(".entry {kernel}("))
        .unwrap_or_else(|| panic!("{file} has no {kernel}"));
    let end = start + text[start..].find("\n}").expect("a kernel ends");
    let body = &text[start..end];
    let changed = change(body);
    assert_ne!(changed, body, "nothing was changed in {kernel}");
    let mutant = [&text[..start], &changed, &text[end..]].concat();
    Module::parse(&mutant).unwrap_or_else(|error| panic!("{kernel}, changed: {error}"))
}

/// `body` with the `nth` occurrence (from 0) of `from` replaced.
///
/// # Panics
/// There are not so many.
pub fn replaced(body: &str, from: &str, nth: usize, to: &str) -> String {
    let at = place(body, from, nth);
    [&body[..at], to, &body[at + from.len()..]].concat()
}

/// `body` without its `nth` barrier (from 0).
///
/// # Panics
/// There are not so many.
pub fn without_barrier(body: &str, nth: usize) -> String {
    replaced(body, "bar.sync \t0;", nth, "")
}

/// `body` without the last conditional branch before the `nth` occurrence (from 0) of `of`.
///
/// # Panics
/// There is none.
pub fn unguarded(body: &str, of: &str, nth: usize) -> String {
    let before = &body[..place(body, of, nth)];
    let start = before.rfind("\t@%p").expect("a branch");
    let end = start + body[start..].find('\n').expect("its end");
    [&body[..start], &body[end..]].concat()
}

/// Part of a kernel's body.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// All of it.
    All,
    /// From the first of the one to the next of the other.
    Between(&'a str, &'a str),
    /// From the last of it.
    Behind(&'a str),
}

/// `body` with `from` replaced wherever it is in a part of it.
///
/// # Panics
/// There is no such part, or nothing to replace in it.
pub fn replaced_in(body: &str, part: Part<'_>, from: &str, to: &str) -> String {
    let after = |mark: &str, start: usize| start + place(&body[start..], mark, 0);
    let (start, end) = match part {
        Part::All => (0, body.len()),
        Part::Between(one, other) => {
            let start = after(one, 0);
            (start, after(other, start))
        }
        Part::Behind(mark) => {
            let start = body.rfind(mark);
            let start = start.unwrap_or_else(|| panic!("no {mark}"));
            (start, body.len())
        }
    };
    let inside = body[start..end].replace(from, to);
    assert_ne!(inside, body[start..end], "no {from} in {part:?}");
    [&body[..start], &inside, &body[end..]].concat()
}

/// One of the findings at least must name one of the words of `by`: a bug that is found by accident is not found.
///
/// # Panics
/// None does.
pub fn must_be_found(bug: &str, findings: impl IntoIterator<Item = String>, by: &[&str]) {
    let findings: Vec<String> = findings.into_iter().collect();
    println!("{bug}: {findings:#?}");
    assert!(!findings.is_empty(), "{bug}: not found");
    let named = |finding: &String| by.iter().any(|word| finding.contains(word));
    assert!(
        findings.iter().any(named),
        "{bug}: none of {by:?} in {findings:?}"
    );
}

fn place(body: &str, what: &str, nth: usize) -> usize {
    let found = body.match_indices(what).nth(nth);
    let (at, _) = found.unwrap_or_else(|| panic!("no {what} number {nth}"));
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "ld a;\n\t@%p1 bra end;\nmma;\nadd a;\nmma;\nadd b;\n";

    #[test]
    fn what_is_named_is_changed_and_nothing_else() {
        let changed = BODY.replace("mma;\nadd b", "MMA;\nadd b");
        assert_eq!(replaced(BODY, "mma", 1, "MMA"), changed);
        let changed = BODY.replace("\t@%p1 bra end;", "");
        assert_eq!(unguarded(BODY, "add", 1), changed);
        for (part, changed) in [
            (Part::All, BODY.replace("add", "sub")),
            (Part::Between("ld", "add b"), BODY.replace("add a", "sub a")),
            (Part::Behind("mma"), BODY.replace("add b", "sub b")),
        ] {
            assert_eq!(replaced_in(BODY, part, "add", "sub"), changed, "{part:?}");
        }
    }

    #[test]
    fn what_changes_nothing_is_refused() {
        let refused = |plant: fn() -> String| std::panic::catch_unwind(plant).is_err();
        assert!(refused(|| replaced(BODY, "mma", 2, "MMA")));
        assert!(refused(|| unguarded(BODY, "ld", 0)));
        assert!(refused(|| replaced_in(
            BODY,
            Part::Behind("add b"),
            "mma",
            "MMA"
        )));
        assert!(refused(|| replaced_in(BODY, Part::All, "add", "add")));
    }

    #[test]
    fn what_is_found_otherwise_is_not_found() {
        let judged = |findings: &[&str]| {
            let findings: Vec<String> = findings.iter().map(|f| f.to_string()).collect();
            std::panic::catch_unwind(|| must_be_found("a bug", findings, &["race", "wait"])).is_ok()
        };
        assert!(judged(&["numbers", "a race"]));
        assert!(!judged(&[]) && !judged(&["numbers"]));
    }
}
