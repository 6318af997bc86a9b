//! Reads progress from a line of text: log lines and tqdm bars.
//!
//! Any `n/m` may be a date, a path or a share of something else, so a fraction counts only with a witness beside it: a word such as
//! `Progress` before it, a unit such as `samples` after it, or the shape of a bar around it. Fractions that name another unit
//! (`3/5 epochs`) and bars of the set-up (`Loading checkpoint shards`) are left out.

use super::lines::Hints;
use super::number::{self, Count, decimal, is_count_byte};
use super::ratio::{self, occurrences};
use super::{Fraction, Reading, Stage};

/// Words directly before a fraction that make it a counter of samples.
const COUNTERS: [&[u8]; 8] = [
    b"progress",
    b"generated",
    b"completed",
    b"processed",
    b"finished",
    b"samples",
    b"accepted",
    b"done",
];

/// Words directly after a fraction that make it a counter of samples.
const SAMPLES: [&[u8]; 6] = [
    b"sample",
    b"samples",
    b"row",
    b"rows",
    b"example",
    b"examples",
];

/// Words directly after a fraction that make it a counter of something else.
const OTHER_UNITS: [&[u8]; 16] = [
    b"epoch", b"epochs", b"step", b"steps", b"batch", b"batches", b"shard", b"shards", b"file",
    b"files", b"domain", b"domains", b"worker", b"workers", b"stages", b"phases",
];

/// Words in the description of a bar that belongs to the set-up.
const SET_UP: [&[u8]; 8] = [
    b"loading",
    b"download",
    b"fetching",
    b"capturing",
    b"compiling",
    b"warm",
    b"checkpoint shards",
    b"building",
];

/// A longer stage name is cut: it is shown on one line.
const MAX_STAGE: usize = 64;

/// Adds to `reading` what the line says; looks only for what `hints` leave possible.
pub(super) fn read(line: &[u8], hints: Hints, reading: &mut Reading) {
    if hints.has(Hints::STAGE) {
        reading.stage = stage(line);
    }
    if hints.has(Hints::TARGET) {
        reading.announcement = announcement(line);
    }
    if hints.has(Hints::QUALITY) {
        reading.quality = ratio::quality(line);
    }
    if hints.has(Hints::ACCEPTANCE) {
        reading.acceptance = ratio::acceptance(line);
    }
    if hints.has(Hints::SPEED) {
        reading.rate = stated_rate(line);
    }
    if hints.has(Hints::FRACTION) {
        fractions(line, &mut reading.fractions);
    }
}

/// The line without white space around it and without the task number that `srun --label` puts before it (`0: `).
pub(super) fn without_task_label(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    let digits = line.iter().take_while(|b| b.is_ascii_digit()).count();
    match &line[digits..] {
        [b':', b' ', rest @ ..] if digits > 0 => rest.trim_ascii_start(),
        _ => line,
    }
}

fn fractions(line: &[u8], found: &mut Vec<Fraction>) {
    let slashes = line.iter().enumerate().filter(|(_, b)| **b == b'/');
    found.extend(slashes.filter_map(|(at, _)| fraction(line, at)));
}

/// The fraction around the slash at `at`, if it is one and has a witness.
fn fraction(line: &[u8], at: usize) -> Option<Fraction> {
    let left = line[..at].trim_ascii_end();
    let start = left.len() - left.iter().rev().take_while(|b| is_count_byte(**b)).count();
    let right = line[at + 1..].trim_ascii_start();
    let length = right.iter().take_while(|b| is_count_byte(**b)).count();
    let token = without_punctuation(&right[..length]);
    let (before, after) = (&line[..start], &right[token.len()..]);
    if !starts_alone(before) || !ends_alone(after) {
        return None;
    }
    let (done, total) = (Count::parse(&left[start..])?, Count::parse(token)?);
    let bar = bar(before, after);
    let counted = bar || is_counter(before, after);
    counted.then(|| Fraction {
        done,
        total,
        rate: bar_rate(after),
    })
}

/// The token without the full stop or comma that belongs to its sentence.
fn without_punctuation(token: &[u8]) -> &[u8] {
    let kept = token.iter().rev().skip_while(|b| b".,".contains(b));
    &token[..kept.count()]
}

fn starts_alone(before: &[u8]) -> bool {
    !before
        .last()
        .is_some_and(|b| b.is_ascii_alphanumeric() || b"-+/_.,".contains(b))
}

fn ends_alone(after: &[u8]) -> bool {
    !after
        .first()
        .is_some_and(|b| b.is_ascii_alphanumeric() || b"/_%-".contains(b))
}

/// A tqdm bar: `|` before the count or `[` with a time after it, and not one of the set-up.
fn bar(before: &[u8], after: &[u8]) -> bool {
    let timed = match after.trim_ascii_start() {
        [b'[', next, ..] => next.is_ascii_digit() || *next == b'?',
        _ => false,
    };
    let drawn = before.trim_ascii_end().ends_with(b"|") && before.contains(&b'%');
    (timed || drawn)
        && !SET_UP
            .iter()
            .any(|word| occurrences(before, word).next().is_some())
}

fn is_counter(before: &[u8], after: &[u8]) -> bool {
    let unit = first_word(after);
    if is_one_of(unit, &OTHER_UNITS) {
        return false;
    }
    is_one_of(unit, &SAMPLES) || is_one_of(last_word(before), &COUNTERS)
}

fn is_one_of(word: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|w| w.eq_ignore_ascii_case(word))
}

fn first_word(after: &[u8]) -> &[u8] {
    let after = after.trim_ascii_start();
    let length = after.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    &after[..length]
}

fn last_word(before: &[u8]) -> &[u8] {
    let kept = before
        .iter()
        .rev()
        .skip_while(|b| b" \t:=([\"'".contains(b))
        .count();
    let before = &before[..kept];
    let length = before
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_alphabetic())
        .count();
    &before[before.len() - length..]
}

/// The speed in the brackets after a bar's count: `[01:02<03:20, 132it/s]`, `[10:19<8:25:45, 619.29s/it]`.
fn bar_rate(after: &[u8]) -> Option<f64> {
    let times = after.trim_ascii_start().strip_prefix(b"[")?;
    let comma = times.iter().position(|&b| b == b',' || b == b']')?;
    let speed = times[comma..].strip_prefix(b",")?.trim_ascii_start();
    let (value, length) = decimal(speed)?;
    let unit = &speed[length..];
    if unit.starts_with(b"s/") {
        return number::speed(1.0 / value);
    }
    let (scale, unit) = match unit {
        [b'k', rest @ ..] => (1e3, rest),
        [b'M', rest @ ..] => (1e6, rest),
        _ => (1.0, unit),
    };
    let word = unit.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    unit[word..]
        .starts_with(b"/s")
        .then(|| number::speed(value * scale))
        .flatten()
}

/// `12.5 samples/s` anywhere on the line.
fn stated_rate(line: &[u8]) -> Option<f64> {
    let at = occurrences(line, b"samples/s").next()?;
    let before = line[..at].trim_ascii_end();
    let length = before
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .count();
    let (sign, token) = before.split_at(before.len() - length);
    let (value, read) = decimal(token)?;
    (read == token.len() && starts_alone(sign))
        .then(|| number::speed(value))
        .flatten()
}

fn stage(line: &[u8]) -> Option<Stage> {
    const DOMAIN: &[u8] = b"generating from domain:";
    if let Some(at) = occurrences(line, DOMAIN).next() {
        return stage_name(&line[at + DOMAIN.len()..]).map(Stage::Part);
    }
    let curating = occurrences(line, b"starting curation").next().is_some();
    curating.then(|| Stage::After("curation".to_owned()))
}

fn stage_name(rest: &[u8]) -> Option<String> {
    let rest = rest.trim_ascii_start();
    let length = rest.iter().take_while(|b| !b.is_ascii_whitespace()).count();
    let name = without_punctuation(&rest[..length.min(MAX_STAGE)]);
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

/// `Target: 190 samples`: one generator's own idea of its share. Understood so that it does not look like noise, and without effect,
/// because the campaign's target is known.
fn announcement(line: &[u8]) -> bool {
    const TARGET: &[u8] = b"target:";
    occurrences(line, TARGET).any(|at| {
        let rest = line[at + TARGET.len()..].trim_ascii_start();
        let length = rest.iter().take_while(|b| is_count_byte(**b)).count();
        Count::parse(&rest[..length]).is_some() && is_one_of(first_word(&rest[length..]), &SAMPLES)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(line: &str) -> Vec<(u64, u64)> {
        let mut reading = Reading::default();
        read(line.as_bytes(), Hints::of(line.as_bytes()), &mut reading);
        reading
            .fractions
            .iter()
            .map(|f| (f.done.value, f.total.value))
            .collect()
    }

    fn rate(line: &str) -> Option<f64> {
        let mut reading = Reading::default();
        read(line.as_bytes(), Hints::of(line.as_bytes()), &mut reading);
        reading.fractions.first().map_or(reading.rate, |f| f.rate)
    }

    #[test]
    fn a_fraction_needs_a_witness() {
        for (line, expected) in [
            (
                "2025-12-21 06:50:15,001 [agents.training.base] INFO: Progress: 67/190",
                &[(67, 190)][..],
            ),
            ("Progress: 47/190 (24.7%) | Quality: 0.82", &[(47, 190)]),
            ("Progress: 47 / 190", &[(47, 190)]),
            ("progress=1,234/34,500.", &[(1234, 34_500)]),
            ("wrote 12/190 samples", &[(12, 190)]),
            (
                " 24%|##4   | 8.22k/34.5k [01:02<03:20, 132it/s]",
                &[(8220, 34_500)],
            ),
            (
                "3/25 [00:01<?, ?it/s] 12%|#  | 4/25 [00:01<00:02, 1it/s]",
                &[(3, 25), (4, 25)],
            ),
            (
                "12/50 [1:58:17<6:20:22, 600.60s/it]slurmstepd: error: JOB 42188",
                &[(12, 50)],
            ),
            (
                "Loading safetensors checkpoint shards: 100% Completed | 1/1 [00:00<00:00,  5.86it/s]",
                &[],
            ),
            ("Completed 3/5 epochs", &[]),
            ("read 06/27/24 11:07:33 from a/7/b", &[]),
            ("processed 06/27/24", &[]),
            ("ratio 3/4 of all", &[]),
            ("Progress: -5/190", &[]),
            ("Progress: nan/190", &[]),
            ("Progress: 5/inf", &[]),
            ("Progress: 5/190%", &[]),
            ("Progress: 1.5/190", &[]),
            ("Progress: 99999999999999999999/99999999999999999999", &[]),
        ] {
            assert_eq!(counts(line), expected, "{line:?}");
        }
    }

    #[test]
    fn speeds_are_per_second() {
        for (line, expected) in [
            ("5/25 [00:01<00:02, 132it/s]", Some(132.0)),
            ("5/25 [00:01<00:02, 1.5kit/s]", Some(1500.0)),
            ("5/25 [00:01<00:02, 4.00s/it]", Some(0.25)),
            (
                "5/25 [00:01<00:02, 8.46it/s, est. speed input: 46.55 toks/s]",
                Some(8.46),
            ),
            ("5/25 [00:01<?, ?it/s]", None),
            ("5/25 [00:01<00:02, 0.00s/it]", None),
            ("speed 12.5 samples/s", Some(12.5)),
            ("speed -12.5 samples/s", None),
            ("Avg prompt throughput: 3.0 tokens/s", None),
        ] {
            assert_eq!(rate(line), expected, "{line:?}");
        }
    }

    #[test]
    fn stages_and_announcements() {
        assert_eq!(
            stage(b"INFO: Generating from domain: asm..."),
            Some(Stage::Part("asm".into()))
        );
        assert_eq!(stage(b"Generating from domain: "), None);
        assert_eq!(
            stage(b"Starting curation"),
            Some(Stage::After("curation".into()))
        );
        assert!(announcement(b"INFO: Target: 190 samples"));
        assert!(!announcement(b"Target: the moon"));
    }

    #[test]
    fn a_task_label_is_not_part_of_the_line() {
        assert_eq!(without_task_label(b" 0: {\"done\": 1}"), b"{\"done\": 1}");
        assert_eq!(without_task_label(b"12:30 noon"), b"12:30 noon");
    }
}
