//! What chat templates expect of Python: string methods, its idea of white space, and its dates.

use crate::time::Timestamp;
use minijinja::{
    Error, ErrorKind, State, Value,
    value::{ValueKind, from_args},
};

/// What Python strips: Unicode's white space, and the four separators that Unicode does not count.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The filter `trim`.
pub fn trim(value: Value, chars: Option<String>) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_string);
    stripped(&text, chars.as_deref(), true, true).into()
}

fn stripped<'a>(text: &'a str, chars: Option<&str>, start: bool, end: bool) -> &'a str {
    let falls = |c: char| chars.map_or(is_space(c), |chars| chars.contains(c));
    let text = if start {
        text.trim_start_matches(falls)
    } else {
        text
    };
    if end {
        text.trim_end_matches(falls)
    } else {
        text
    }
}

/// The test `iterable`: nothing is none.
pub fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

/// The test `sequence`: whatever has a length and items, as texts and maps have.
pub fn is_sequence(value: &Value) -> bool {
    use ValueKind::{Map, Seq, String, Undefined};
    matches!(value.kind(), Seq | String | Map | Undefined)
}

/// The methods of strings, lists and maps.
pub fn method(
    state: &mut State,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if let (Some(text), "strip" | "lstrip" | "rstrip") = (value.as_str(), name) {
        let (chars,): (Option<&str>,) = from_args(args)?;
        let text = stripped(text, chars, name != "rstrip", name != "lstrip");
        return Ok(text.into());
    }
    if let (Some(text), "title", []) = (value.as_str(), name, args) {
        return Ok(title(text).into());
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args)
}

/// A capital after everything that has no case, be it a space, a digit or a bracket.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_lowercase() || c.is_uppercase();
    }
    out
}

/// `raise_exception(message)`: a template says that it cannot render these messages.
pub fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A time in UTC in the C locale, for the directives that chat templates use.
///
/// # Errors
/// Names a directive that is not known here.
pub fn strftime(time: Timestamp, format: &str) -> Result<String, String> {
    // RFC 3339 is the one calendar that a timestamp speaks.
    let text = time.to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or("0");
    let number = |from: usize, to: usize| part(from, to).parse::<usize>().unwrap_or(0);
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let month_name = MONTHS[month.clamp(1, 12) - 1];
    let day_name = DAYS[weekday(year, month, day)];
    let hour = number(11, 13);
    let mut out = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut directive = rest.next();
        let bare = directive == Some('-');
        if bare {
            directive = rest.next();
        }
        let said = match directive {
            Some('Y') => part(0, 4).into(),
            Some('y') => part(2, 4).into(),
            Some('m') => part(5, 7).into(),
            Some('d') => part(8, 10).into(),
            Some('H') => part(11, 13).into(),
            Some('I') => format!("{:02}", (hour + 11) % 12 + 1),
            Some('M') => part(14, 16).into(),
            Some('S') => part(17, 19).into(),
            Some('p') => (if hour < 12 { "AM" } else { "PM" }).into(),
            Some('B') => month_name.into(),
            Some('b') => month_name[..3].into(),
            Some('A') => day_name.into(),
            Some('a') => day_name[..3].into(),
            Some('F') => part(0, 10).into(),
            Some('T') => part(11, 19).into(),
            Some('%') => "%".into(),
            other => {
                let directive = other.map_or(String::new(), String::from);
                return Err(format!("strftime_now knows no %{directive}"));
            }
        };
        let said: &str = if bare {
            let short = said.trim_start_matches('0');
            if short.is_empty() { "0" } else { short }
        } else {
            &said
        };
        out.push_str(said);
    }
    Ok(out)
}

/// The day of the week of a Gregorian date, 0 for Sunday (Sakamoto's method).
fn weekday(year: usize, month: usize, day: usize) -> usize {
    const SHIFT: [usize; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
    let month = month.clamp(1, 12);
    let year = if month < 3 {
        year.saturating_sub(1)
    } else {
        year
    };
    (year + year / 4 - year / 100 + year / 400 + SHIFT[month - 1] + day) % 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_as_python_writes_them() {
        let time = Timestamp(1_721_970_249_000);
        let cases = [
            ("%d %b %Y", "26 Jul 2024"),
            ("%Y-%m-%d", "2024-07-26"),
            ("%A, %-d %B %y, %-I:%M %p", "Friday, 26 July 24, 5:04 AM"),
            ("%a %F %T 100%%", "Fri 2024-07-26 05:04:09 100%"),
        ];
        for (format, expected) in cases {
            assert_eq!(strftime(time, format).as_deref(), Ok(expected));
        }
        let leap = Timestamp(951_825_600_000);
        assert_eq!(strftime(leap, "%a %I %p").as_deref(), Ok("Tue 12 PM"));
        assert!(strftime(time, "%Q").unwrap_err().contains("%Q"));
        assert!(strftime(time, "%").is_err());
    }

    #[test]
    fn white_space_is_what_python_takes_for_it() {
        assert_eq!(trim("\u{1f} \u{a0}x\u{1c}\n".into(), None), "x");
        assert_eq!(stripped("--x--", Some("-"), true, false), "x--");
        assert_eq!(stripped("\u{200b}x", None, true, true), "\u{200b}x");
    }
}
