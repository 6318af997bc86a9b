//! Filters that look at one row (incomplete, trivial) or at the balance of what is left (outcomes, strata).
//!
//! The second kind takes rows as numbers, best first, and only ever cuts the worst of a class that has too many: nothing is
//! duplicated to make up for it, and the same ranking always loses the same rows.

use super::row;
use crate::trajectory::Outcome;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What an incomplete row lacks, by the name of its field; none for a whole one.
///
/// One of our trajectories needs a query, an end, when that was, and after a success a plan and code. Any other row has to
/// say something that can be read, and to answer where its shape promises an answer.
pub fn incomplete(row: &Map<String, Value>) -> Option<&'static str> {
    if row::is_trajectory(row) {
        incomplete_trajectory(row)
    } else {
        incomplete_foreign(row)
    }
}

fn incomplete_trajectory(row: &Map<String, Value>) -> Option<&'static str> {
    let lacks = |name: &'static str| (!says(row.get(name))).then_some(name);
    let outcome = row.get("outcome").and_then(Value::as_str);
    let outcome: Option<Outcome> = outcome.and_then(|word| word.parse().ok());
    let made = ["plan_json", "generated_code"];
    let unmade = || {
        let succeeded = outcome == Some(Outcome::Success);
        made.into_iter().filter(|_| succeeded).find_map(lacks)
    };
    lacks("query")
        .or(outcome.is_none().then_some("outcome"))
        .or_else(|| lacks("completed_at"))
        .or_else(unmade)
}

/// Where rows of other generators answer. One that is null is one that the shape does not have.
const ANSWERS: [&str; 7] = [
    "completion",
    "response",
    "output",
    "answer",
    "chosen",
    "rejected",
    "generated_code",
];

fn incomplete_foreign(row: &Map<String, Value>) -> Option<&'static str> {
    if let Some(preference) = row::preference(row) {
        return preference.lacks();
    }
    for name in ["messages", "conversations"] {
        let Some(list) = row.get(name) else { continue };
        match row::chat(list) {
            Some(talk) if !talk.says() => return Some(name),
            Some(talk) if talk.ends_with_a_question() => return Some("answer"),
            None if list.is_array() => return Some(name),
            _ => {}
        }
    }
    let given = |name: &&str| !matches!(row.get(*name), None | Some(Value::Null));
    let empty = ANSWERS
        .into_iter()
        .filter(given)
        .find(|name| !says(row.get(*name)));
    empty.or_else(|| (!row::talk(row).says()).then_some("text"))
}

/// Whether there is more than white space: in a text, in any turn of a conversation, in any part of a turn.
fn says(value: Option<&Value>) -> bool {
    match value {
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Array(parts)) => parts.iter().any(|part| says(Some(part))),
        Some(Value::Object(turn)) => ["content", "value", "text", "tool_calls", "function_call"]
            .into_iter()
            .any(|name| says(turn.get(name)) || calls(name, turn.get(name))),
        Some(Value::Number(_)) => true,
        _ => false,
    }
}

/// A turn that calls a tool says something without words.
fn calls(name: &str, value: Option<&Value>) -> bool {
    name.ends_with("_call") && value.is_some_and(Value::is_object)
        || name == "tool_calls"
            && value
                .and_then(Value::as_array)
                .is_some_and(|all| !all.is_empty())
}

/// Whether a text is too short to learn from: fewer words, or fewer characters than asked. White space is no character, and a
/// wide one (Chinese, Japanese, Korean) counts twice, as it does on a screen.
pub fn trivial(text: &str, min_words: usize, min_chars: usize) -> bool {
    let width = |c: char| match script(c) {
        Script::Ideographs => 2,
        _ if c.is_whitespace() => 0,
        _ if ('\u{AC00}'..='\u{D7A3}').contains(&c) => 2,
        _ => 1,
    };
    text.chars().map(width).sum::<usize>() < min_chars || words(text) < min_words
}

/// How a script divides words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    /// By spaces.
    Spaced,
    /// Each character says about as much as a word.
    Ideographs,
    /// Not at all: Thai, Lao, Burmese, Khmer.
    Unspaced,
}

fn script(c: char) -> Script {
    match c {
        // Kana, Bopomofo, ideographs with their extensions.
        '\u{3041}'..='\u{312F}'
        | '\u{31A0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{FF66}'..='\u{FF9D}'
        | '\u{20000}'..='\u{3FFFD}' => Script::Ideographs,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' => {
            Script::Unspaced
        }
        _ => Script::Spaced,
    }
}

/// Letters of a word in scripts that do not divide them, about.
const UNSPACED_WORD: usize = 4;

/// Words of a text: what white space divides and has a letter or digit in it, each ideograph or kana, and each four letters of
/// scripts that have neither.
pub fn words(text: &str) -> usize {
    text.split_whitespace().map(words_of_run).sum()
}

/// Words of a text without white space.
fn words_of_run(run: &str) -> usize {
    let (mut words, mut unspaced, mut in_word) = (0, 0, false);
    for c in run.chars() {
        match script(c) {
            Script::Ideographs => {
                words += 1;
                in_word = false;
            }
            Script::Unspaced => {
                unspaced += 1;
                in_word = false;
            }
            Script::Spaced if c.is_alphanumeric() => {
                words += usize::from(!in_word);
                in_word = true;
            }
            // A hyphen or point inside a word ends none.
            Script::Spaced => {}
        }
    }
    words + usize::div_ceil(unspaced, UNSPACED_WORD)
}

/// Which rows go so that failures are at most `max_failure_share` of the rows whose outcome is known: the worst failures.
///
/// `order` is best first; `class` says whether a row is a success, none where that is not known: such a row neither counts nor
/// goes. Nothing goes where there is only one class, or the share is 1. A share that is not a number lets no failure stay.
pub fn balance(
    order: &[u32],
    class: impl Fn(u32) -> Option<bool>,
    max_failure_share: f64,
) -> Vec<u32> {
    let successes = order
        .iter()
        .filter(|row| class(**row) == Some(true))
        .count();
    let failures = order
        .iter()
        .copied()
        .filter(|row| class(*row) == Some(false));
    if successes == 0 || max_failure_share >= 1.0 {
        return Vec::new();
    }
    failures
        .skip(most_failures(successes, max_failure_share))
        .collect()
}

/// The most failures beside so many successes: f / (f + s) <= share.
fn most_failures(successes: usize, share: f64) -> usize {
    let most = share * successes as f64 / (1.0 - share);
    // What decimals like 0.3 lose in binary takes no row away; what is not a number is 0.
    (most + 1e-6).floor() as usize
}

/// Which rows go so that no stratum has more than `max_share` of what remains: the worst of each that has too many.
///
/// `order` is best first; a row without a stratum neither counts nor goes. With k strata no smaller share than 1/k can be had:
/// a smaller one, or what is not a number, is taken as 1/k. Nothing goes where there is only one stratum, and never more than
/// half of the rows that have one: a corpus of one large type and a few strays is that type's, not the strays'.
pub fn diversity(order: &[u32], stratum: impl Fn(u32) -> Option<u32>, max_share: f64) -> Vec<u32> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for row in order {
        if let Some(stratum) = stratum(*row) {
            *counts.entry(stratum).or_default() += 1;
        }
    }
    let sizes: Vec<u64> = counts.into_values().collect();
    let Some(most) = cap(&sizes, max_share) else {
        return Vec::new();
    };
    let most = most.max(half(&sizes));
    let mut met: BTreeMap<u32, u64> = BTreeMap::new();
    let mut over = |row: &u32| {
        stratum(*row).is_some_and(|stratum| {
            let met = met.entry(stratum).or_default();
            *met += 1;
            *met > most
        })
    };
    order.iter().copied().filter(|row| over(row)).collect()
}

/// The most rows a stratum may keep so that none has more than `max_share` of what remains; none where nothing has to go.
///
/// The share that a cap leaves to the largest never falls as the cap rises, so the largest cap that holds is found between
/// two neighbouring sizes: below it m strata are whole and have w rows, the k - m others keep c each, and
/// c <= share (w + (k - m) c) gives c.
pub fn cap(sizes: &[u64], max_share: f64) -> Option<u64> {
    let mut sizes: Vec<u64> = sizes.iter().copied().filter(|size| *size > 0).collect();
    sizes.sort_unstable();
    let strata = sizes.len();
    let (largest, total) = (*sizes.last()?, sizes.iter().sum::<u64>());
    let least = 1.0 / strata as f64;
    let share = if max_share >= least { max_share } else { least };
    let holds = |cap: f64, kept: f64| cap <= share * kept + 1e-9 * kept;
    if strata == 1 || holds(largest as f64, total as f64) {
        return None;
    }
    let mut whole = 0.0;
    for (at, size) in sizes.iter().enumerate() {
        let cut = (strata - at) as f64;
        let size = *size as f64;
        if !holds(size, whole + cut * size) {
            // Between the size before, which held, and this one, which does not: share * cut < 1.
            let most = share * whole / (1.0 - share * cut);
            return Some((most + 1e-6).floor() as u64);
        }
        whole += size;
    }
    None
}

/// The smallest cap that leaves half of all rows.
fn half(sizes: &[u64]) -> u64 {
    let total: u64 = sizes.iter().sum();
    let kept = |cap: u64| sizes.iter().map(|size| cap.min(*size)).sum::<u64>();
    let (mut low, mut high) = (0, sizes.iter().copied().max().unwrap_or(0));
    while low < high {
        let middle = low + (high - low) / 2;
        if kept(middle) * 2 >= total {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// How many rows of even strata tell as much as these: k^2 / (1/n1 + ... + 1/nk), the effective size of the sample when each
/// stratum weighs the same; four decimals. All rows where the strata are even, fewer where they are not, 0 where there are none.
pub fn effective_sample_size(counts: &[u64]) -> f64 {
    let counts = counts.iter().filter(|count| **count > 0);
    let mut sorted: Vec<u64> = counts.copied().collect();
    // Sums of fractions depend on their order in the last digit.
    sorted.sort_unstable();
    let strata = sorted.len() as f64;
    let parts: f64 = sorted.iter().map(|count| 1.0 / *count as f64).sum();
    if sorted.is_empty() {
        0.0
    } else {
        (strata * strata / parts * 1e4).round() / 1e4
    }
}

#[cfg(test)]
mod tests;
