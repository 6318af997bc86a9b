//! Whether what a process asks for exists: amounts, units, bounds.

use super::{
    super::dsl::{
        token::Kind,
        tree::{Process, Statement},
    },
    Findings, Rule,
};

const MB: f64 = 1_048_576.0;
const MOST_MEMORY: f64 = 2.0 * 1_048_576.0 * MB;
const MOST_DISK: f64 = 1_048_576.0 * MOST_MEMORY;
const MOST_CPUS: f64 = 1024.0;
const YEAR: f64 = 366.0 * 86_400.0;

/// Reads an amount as it is written.
type Read = fn(&str) -> Option<f64>;

pub(super) fn check(findings: &mut Findings<'_, '_>, process: &Process<'_>) {
    for directive in &process.directives {
        let bounds: (f64, f64, Read) = match directive.head.text {
            "cpus" => (1.0, MOST_CPUS, |text| text.trim().parse().ok()),
            "memory" => (MB, MOST_MEMORY, bytes),
            "disk" => (MB, MOST_DISK, bytes),
            "time" => (1.0, YEAR, seconds),
            _ => continue,
        };
        let Some(asked) = asked(findings, directive) else {
            continue;
        };
        let (least, most, read) = bounds;
        let what = directive.head.text;
        let wrong = match read(&asked) {
            None => format!("{what} {asked:?} is no amount: e.g. {}", example(what)),
            Some(amount) if amount < least => format!("{what} {asked:?} is too little"),
            Some(amount) if amount > most => format!("{what} {asked:?} is more than any node has"),
            Some(_) => continue,
        };
        findings.push(Rule::InvalidResources, directive.head.at, wrong);
    }
}

fn example(what: &str) -> &'static str {
    match what {
        "cpus" => "4",
        "time" => "'2 h'",
        _ => "'8 GB'",
    }
}

/// The amount that is written down, if one is: a text, a number, a number with a unit, or the first of those in a closure.
fn asked(findings: &Findings<'_, '_>, directive: &Statement<'_>) -> Option<String> {
    let lexed = &findings.tree.lexed;
    let mut at = directive.span.from + 1;
    let closure = lexed.kind(at) == Some(Kind::Brace);
    while matches!(
        lexed.kind(at),
        Some(Kind::Brace | Kind::Paren | Kind::Assign)
    ) {
        at += 1;
    }
    if closure && lexed.kind(at) == Some(Kind::Word) {
        // `{ check_max(8.GB * task.attempt, 'memory') }`
        let call = lexed.kind(at + 1) == Some(Kind::Paren);
        at += if call { 2 } else { return None };
    }
    let negative = lexed.of(at) == "-";
    at += usize::from(negative);
    if at >= directive.span.to {
        return None;
    }
    match lexed.kind(at)? {
        Kind::Text(_) if !closure || lexed.kind(at + 1) == Some(Kind::Close) => {
            Some(lexed.inner(at).to_owned())
        }
        Kind::Number => {
            let sign = if negative { "-" } else { "" };
            let unit = if lexed.kind(at + 1) == Some(Kind::Dot) {
                lexed.of(at + 2)
            } else {
                ""
            };
            // What is reckoned with may be anything: `{ 2 * task.attempt }` is right, `{ 0.GB * .. }` is not.
            Some(format!("{sign}{}{unit}", lexed.of(at)))
        }
        _ => None,
    }
}

fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-');
    let (amount, unit) = text.split_at(unit.unwrap_or(text.len()));
    // `8.GB` as a text: the dot belongs to the unit.
    let amount = amount.trim_end_matches('.');
    Some((amount.parse().ok()?, unit.trim()))
}

/// `8 GB`, `8GB`, `8.GB`, `1.5 TB`, `512`.
fn bytes(text: &str) -> Option<f64> {
    let (amount, unit) = split(text)?;
    let scale = match unit.to_ascii_uppercase().trim_end_matches('B') {
        "" if unit.len() < 2 => 1.0,
        "K" => 1024.0,
        "M" => MB,
        "G" => 1024.0 * MB,
        "T" => 1024.0 * 1024.0 * MB,
        "P" => 1024.0 * 1024.0 * 1024.0 * MB,
        "E" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * MB,
        _ => return None,
    };
    (unit.len() <= 2).then_some(amount * scale)
}

/// `2h`, `1 d 12 h`, `30.min`; a bare number is milliseconds.
fn seconds(text: &str) -> Option<f64> {
    let (mut rest, mut total) = (text.trim(), 0.0);
    if let Ok(millis) = rest.parse::<f64>() {
        return Some(millis / 1000.0);
    }
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (amount, tail) = rest.split_at(end);
        let amount: f64 = amount.trim().trim_end_matches('.').parse().ok()?;
        let end = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let scale = match unit {
            "ms" | "milli" | "millis" => 0.001,
            "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            _ => return None,
        };
        total += amount * scale;
        rest = tail.trim_start();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::{bytes, seconds};

    #[test]
    fn amounts_are_read_as_they_are_written() {
        for text in ["8 GB", "8GB", "8.GB", "8 gb", "8G"] {
            assert_eq!(bytes(text), Some(8.0 * 1_073_741_824.0), "{text}");
        }
        for text in ["8 Gigs", "GB", "", "8 GBB", "eight GB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
        assert_eq!(seconds("1d 2h"), Some(93_600.0));
        assert_eq!(seconds("30.min"), Some(1_800.0));
        assert_eq!(seconds("2 fortnights"), None);
    }
}
