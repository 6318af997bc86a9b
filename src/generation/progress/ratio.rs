//! Finds quality and acceptance on a text line.
//!
//! Only a value that is bound to its name counts: `Quality: 0.82`, `quality_score=0.821`, `pass rate 87%`, `87% acceptance`. A bare
//! number after a name needs a colon or an equals sign, a percentage does not. Limits (`min_quality`, `quality threshold`) and
//! other numbers of the same line are never taken for it.

use super::number::{self, decimal, ends_cleanly, plain};

/// A quantity: what to search for, and the identifiers in which that counts.
struct Quantity {
    needle: &'static [u8],
    names: &'static [&'static [u8]],
}

const QUALITY: Quantity = Quantity {
    needle: b"quality",
    names: &[
        b"quality",
        b"quality_score",
        b"mean_quality",
        b"avg_quality",
        b"average_quality",
        b"estimated_quality",
        b"quality_mean",
        b"mean_quality_score",
        b"avg_quality_score",
    ],
};

const ACCEPTANCE: [Quantity; 3] = [
    Quantity {
        needle: b"accept",
        names: &[b"acceptance", b"acceptance_rate", b"accept_rate"],
    },
    Quantity {
        needle: b"pass rate",
        names: &[b"pass rate"],
    },
    Quantity {
        needle: b"pass_rate",
        names: &[b"pass_rate"],
    },
];

/// Words that turn the name after them into something else.
const OTHER_MEANING: [&[u8]; 9] = [
    b"min",
    b"minimum",
    b"max",
    b"maximum",
    b"low",
    b"poor",
    b"required",
    b"target",
    b"threshold",
];

/// Words that may stand between a name and its value.
const BETWEEN: [&[u8]; 7] = [
    b"score", b"rate", b"mean", b"average", b"check", b"is", b"of",
];

/// The quality that the line states, 0 to 1.
pub(super) fn quality(line: &[u8]) -> Option<f64> {
    stated(line, &QUALITY)
}

/// The acceptance that the line states, or the share that its counts of accepted and rejected samples give, 0 to 1.
pub(super) fn acceptance(line: &[u8]) -> Option<f64> {
    ACCEPTANCE
        .iter()
        .find_map(|quantity| stated(line, quantity))
        .or_else(|| accepted_share(line))
}

fn stated(line: &[u8], quantity: &Quantity) -> Option<f64> {
    occurrences(line, quantity.needle).find_map(|at| {
        let (start, end) = identifier(line, at, at + quantity.needle.len());
        let name = &line[start..end];
        let known = quantity.names.iter().any(|n| n.eq_ignore_ascii_case(name));
        if !known || means_other(&line[..start]) {
            return None;
        }
        value_after(&line[end..]).or_else(|| percentage_before(&line[..start]))
    })
}

/// Start of each occurrence of `needle`, without regard to case.
pub(super) fn occurrences<'a>(
    line: &'a [u8],
    needle: &'a [u8],
) -> impl Iterator<Item = usize> + 'a {
    let last_start = (line.len() + 1).saturating_sub(needle.len());
    let (low, high) = (
        needle[0].to_ascii_lowercase(),
        needle[0].to_ascii_uppercase(),
    );
    let starts = line[..last_start].iter().enumerate();
    starts.filter_map(move |(at, &b)| {
        let found =
            (b == low || b == high) && line[at..at + needle.len()].eq_ignore_ascii_case(needle);
        found.then_some(at)
    })
}

/// Widens a match to the identifier around it.
fn identifier(line: &[u8], start: usize, end: usize) -> (usize, usize) {
    let part = |b: &&u8| b.is_ascii_alphanumeric() || **b == b'_';
    let before = line[..start].iter().rev().take_while(part).count();
    let after = line[end..].iter().take_while(part).count();
    (start - before, end + after)
}

fn means_other(before: &[u8]) -> bool {
    let before = before.trim_ascii_end();
    let word = before
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_alphabetic())
        .count();
    let word = &before[before.len() - word..];
    OTHER_MEANING
        .iter()
        .any(|other| other.eq_ignore_ascii_case(word))
}

/// The value that follows a name.
fn value_after(mut rest: &[u8]) -> Option<f64> {
    let mut bound = false;
    for _ in 0..=BETWEEN.len() {
        let skipped = rest.iter().take_while(|b| b" \t:='\"".contains(b)).count();
        bound |= rest[..skipped].iter().any(|b| b":=".contains(b));
        rest = &rest[skipped..];
        match leading_word(rest) {
            Some(length) if !bound => rest = &rest[length..],
            _ => break,
        }
    }
    let (value, length) = decimal(rest)?;
    let rest = &rest[length..];
    match rest.first() {
        Some(b'%') => number::share(value / 100.0),
        Some(b'/') => None,
        _ if bound && ends_cleanly(rest) => number::share(value),
        _ => None,
    }
}

fn leading_word(rest: &[u8]) -> Option<usize> {
    let length = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    BETWEEN
        .iter()
        .any(|word| word.eq_ignore_ascii_case(&rest[..length]))
        .then_some(length)
}

/// The percentage directly before a name: `87% acceptance`.
fn percentage_before(before: &[u8]) -> Option<f64> {
    let digits = before.trim_ascii_end().strip_suffix(b"%")?;
    let length = digits
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .count();
    let (sign, token) = digits.split_at(digits.len() - length);
    let (value, read) = decimal(token)?;
    let alone = read == token.len()
        && !sign
            .last()
            .is_some_and(|b| b"-,_".contains(b) || b.is_ascii_alphabetic());
    alone.then(|| number::share(value / 100.0)).flatten()
}

/// `0 samples accepted, 190 rejected` is 0, not 100 %.
fn accepted_share(line: &[u8]) -> Option<f64> {
    let (accepted, rejected) = (count_at(line, b"accepted")?, count_at(line, b"rejected")?);
    let judged = accepted
        .checked_add(rejected)
        .filter(|&judged| judged > 0)?;
    number::share(accepted as f64 / judged as f64)
}

/// The count that belongs to a word: after it with a colon or equals sign, else before it, else after it.
fn count_at(line: &[u8], word: &[u8]) -> Option<u64> {
    let at = occurrences(line, word)
        .find(|&at| identifier(line, at, at + word.len()) == (at, at + word.len()))?;
    let (before, after) = (&line[..at], &line[at + word.len()..]);
    let bound = after
        .trim_ascii_start()
        .first()
        .is_some_and(|b| b":=".contains(b));
    let following = || count_after(after);
    if bound {
        following()
    } else {
        count_before(before).or_else(following)
    }
}

fn count_after(after: &[u8]) -> Option<u64> {
    let skipped = after.iter().take_while(|b| b" \t:='\"".contains(b)).count();
    let after = &after[skipped..];
    let length = after.iter().take_while(|b| b.is_ascii_digit()).count();
    ends_cleanly(&after[length..])
        .then(|| plain(&after[..length]))
        .flatten()
}

fn count_before(before: &[u8]) -> Option<u64> {
    let before = before.trim_ascii_end();
    let before = before
        .strip_suffix(b"samples")
        .unwrap_or(before)
        .trim_ascii_end();
    let length = before
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let (sign, digits) = before.split_at(before.len() - length);
    let alone = !sign
        .last()
        .is_some_and(|b| b"-.,_/".contains(b) || b.is_ascii_alphanumeric());
    alone.then(|| plain(digits)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_is_read_only_where_it_is_stated() {
        for (line, expected) in [
            ("quality_score: 0.82", Some(0.82)),
            ("Quality: 0.821", Some(0.821)),
            ("quality=0.82", Some(0.82)),
            ("{'quality': 0.5}", Some(0.5)),
            ("Quality score: 82%", Some(0.82)),
            ("Quality check: 85.0% passed", Some(0.85)),
            ("85% quality", Some(0.85)),
            ("Average quality score = 0.5.", Some(0.5)),
            ("Quality: 0", Some(0.0)),
            ("quality 3 of 4 files", None),
            ("quality_threshold: 0.75", None),
            ("Minimum quality: 0.7", None),
            ("min_quality=0.7", None),
            ("Quality: nan", None),
            ("Quality: inf", None),
            ("Quality: -0.5", None),
            ("-85% quality", None),
            ("Quality: 82", None),
            ("Quality: 140%", None),
            ("Quality: 0,82", None),
            ("Quality: 4/5", None),
            ("Quality: 0.9.1", None),
            ("Progress: 47/190 (24.7%) | Quality", None),
        ] {
            assert_eq!(quality(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn acceptance_is_a_rate_or_the_share_of_counts() {
        for (line, expected) in [
            ("Acceptance: 87%", Some(0.87)),
            ("Acceptance: 87.00%", Some(0.87)),
            ("acceptance_rate=0.5", Some(0.5)),
            ("Pass rate: 75%", Some(0.75)),
            ("pass rate 75%", Some(0.75)),
            ("75% pass rate", Some(0.75)),
            ("0 samples accepted, 190 rejected", Some(0.0)),
            ("19 accepted 171 rejected", Some(0.1)),
            ("Accepted: 1 rejected: 3", Some(0.25)),
            ("accepted 3, rejected 1", Some(0.75)),
            ("0 accepted, 0 rejected", None),
            ("-1 accepted, 3 rejected", None),
            ("sample accepted", None),
            ("190 rejected", None),
            ("unaccepted: 5, rejected: 5", None),
        ] {
            assert_eq!(acceptance(line.as_bytes()), expected, "{line:?}");
        }
    }
}
