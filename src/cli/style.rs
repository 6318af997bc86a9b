//! Colour, bars and numbers as people read them. Colour is never the only carrier.

use super::args::Color;
pub use crate::digits::thousands;
use crate::time::{Timestamp, two_units};
use std::{io::IsTerminal, time::Duration};

/// How to write to one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    color: bool,
    unicode: bool,
}

impl Style {
    /// For a stream that is, or is not, a terminal.
    pub fn of(stream: &impl IsTerminal, when: Color) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let auto = stream.is_terminal() && !set("NO_COLOR") && !dumb;
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let unicode =
            locale.is_none_or(|locale| locale.to_lowercase().replace('-', "").contains("utf8"));
        Self {
            color: when == Color::Always || (when == Color::Auto && auto),
            unicode,
        }
    }

    /// Plain text.
    #[cfg(test)]
    pub const PLAIN: Style = Style {
        color: false,
        unicode: true,
    };

    /// Text in colour.
    #[cfg(test)]
    pub const COLOR: Style = Style {
        color: true,
        unicode: true,
    };

    /// A state or decision in its colour: green done, yellow waits for you, red rejected or failed, dim next.
    pub fn word(self, word: &str) -> String {
        let code = match word {
            "completed" | "COMPLETED" | "done" | "APPROVE" | "yes" | "success" | "positive"
            | "improved" => "32",
            "awaiting_approval" | "EXTEND" | "open" | "halted" | "underpowered" => "33",
            "rejected" | "failed" | "lost" | "REJECT" | "no" | "negative" | "error" => "31",
            "validation_failed"
            | "max_cycles_exceeded"
            | "execution_failed"
            | "timeout"
            | "regressed" => "31",
            "FAILED" | "TIMEOUT" | "OUT_OF_MEMORY" | "NODE_FAIL" => "31",
            "then" | "cancelled" | "CANCELLED" | "skipped" | "user_cancelled" => "2",
            _ => return word.into(),
        };
        if self.color {
            format!("\x1b[{code}m{word}\x1b[0m")
        } else {
            word.into()
        }
    }

    /// Text in the colour of what is good.
    pub fn good(self, text: &str) -> String {
        if self.color {
            format!("\x1b[32m{text}\x1b[0m")
        } else {
            text.into()
        }
    }

    /// Whether signs beyond ASCII are shown.
    pub fn is_unicode(self) -> bool {
        self.unicode
    }

    /// What a bar is made of: done, and to come.
    pub fn bar_signs(self) -> &'static str {
        if self.unicode { "━─" } else { "=." }
    }

    /// A bar of a width.
    pub fn bar(self, done: u64, total: u64, width: usize) -> String {
        let share = if total == 0 {
            0.0
        } else {
            (done as f64 / total as f64).min(1.0)
        };
        let full = (share * width as f64) as usize;
        let (on, off) = if self.unicode {
            ("━", "─")
        } else {
            ("=", ".")
        };
        on.repeat(full) + &off.repeat(width - full)
    }
}

/// `1m 03s`.
pub fn seconds(seconds: f64) -> String {
    two_units(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default())
}

/// `2,610/s`, `1.1/s`.
pub fn rate(per_second: f64) -> String {
    if per_second >= 10.0 {
        format!("{}/s", thousands(per_second as u64))
    } else {
        format!("{per_second:.1}/s")
    }
}

/// How long ago an RFC 3339 instant was; `-` for none.
pub fn ago(at: Option<&str>, now: Timestamp) -> String {
    let Some(at) = at.and_then(|at| humantime::parse_rfc3339(at).ok()) else {
        return "-".into();
    };
    two_units(now.since(at.into()))
}

/// How long it is until an RFC 3339 instant; `-` for none.
pub fn until(at: Option<&str>, now: Timestamp) -> String {
    let Some(at) = at.and_then(|at| humantime::parse_rfc3339(at).ok()) else {
        return "-".into();
    };
    two_units(Timestamp::from(at).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(34_500), "34,500");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(rate(2610.4), "2,610/s");
        assert_eq!(rate(1.12), "1.1/s");
        assert_eq!(Style::PLAIN.bar(1, 2, 4), "━━──");
        assert_eq!(Style::PLAIN.bar(0, 0, 2), "──");
        assert_eq!(Style::PLAIN.word("done"), "done");
    }
}
