//! The letters of the page: escaped text, numbers as people write them, figures and sections.

pub(in crate::report) use crate::curation::card::number as count;
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// A page that loads nothing and runs nothing; title and body are already escaped.
pub(in crate::report) fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// Text from data as text of the page, in an element or in a quoted attribute.
pub(in crate::report) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\n' | '\t' => out.push(' '),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A name from data, which may go on in the next line after an underscore or a slash.
pub(in crate::report) fn name(text: &str) -> String {
    let mut out = String::new();
    for piece in text.split_inclusive(['_', '/']) {
        if !out.is_empty() {
            out += "<wbr/>";
        }
        out += &escape(piece);
    }
    out
}

/// 12345 as 12.3k: for narrow places. Exact below ten thousand.
pub(in crate::report) fn compact(n: u64) -> String {
    let (scale, letter) = match n {
        0..10_000 => return count(n),
        10_000..1_000_000 => (1e3, "k"),
        1_000_000..1_000_000_000 => (1e6, "M"),
        _ => (1e9, "G"),
    };
    let scaled = n as f64 / scale;
    match scaled {
        0.0..99.95 => format!("{scaled:.1}{letter}"),
        _ => format!("{scaled:.0}{letter}"),
    }
}

/// A count and its word: "1 row", "2 rows".
pub(in crate::report) fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A share in per cent; a dash of nothing. What is there is never shown as 0, nor what is missing as 100.
pub(in crate::report) fn share(n: u64, of: u64) -> String {
    match n as f64 / of as f64 * 100.0 {
        _ if of == 0 => "–".into(),
        part if n > 0 && part < 0.1 => "&lt;\u{202f}0.1\u{202f}%".into(),
        part if n < of && part > 99.9 => "&gt;\u{202f}99.9\u{202f}%".into(),
        part => format!("{part:.1}\u{202f}%"),
    }
}

/// A number between 0 and 1.
pub(in crate::report) fn unit(value: f64) -> String {
    trimmed(format!("{value:.3}"))
}

/// A number of tokens or rows.
pub(in crate::report) fn whole(value: f64) -> String {
    count(value.round().max(0.0) as u64)
}

/// A price in USD with three digits that say something.
pub(in crate::report) fn usd(value: f64) -> String {
    let digits = match value {
        0.0..0.0001 => 6,
        0.0001..0.01 => 5,
        0.01..1.0 => 3,
        _ => 2,
    };
    if value == 0.0 {
        return "$0".into();
    }
    let text = format!("{value:.digits$}");
    // Cents are written out where there are dollars.
    if value >= 1.0 {
        return match text.split_once('.') {
            Some((dollars, "00")) => format!("${dollars}"),
            _ => format!("${text}"),
        };
    }
    format!("${}", trimmed(text))
}

fn trimmed(text: String) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

/// A formatted number, or a dash where there is none.
pub(in crate::report) fn or_dash(value: Option<f64>, format: fn(f64) -> String) -> String {
    value.map_or("–".into(), format)
}

/// A percentage as a coordinate.
pub(in crate::report) fn at(part: f64) -> String {
    let part = if part.is_finite() { part } else { 0.0 };
    trimmed(format!("{:.3}", part.clamp(0.0, 100.0))) + "%"
}

/// The next of 1, 2, 2.5, 5, 10, ... times a power of ten.
pub(in crate::report) fn round_step(least: f64) -> f64 {
    if !least.is_finite() || least <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = steps.iter().find(|step| *step * power >= least * 0.999_999);
    step.unwrap_or(&10.0) * power
}

/// One plot or table: its title, one line of numbers or explanation (already escaped), and itself.
pub(in crate::report) fn figure(title: &str, note: &str, body: &str) -> String {
    let note = match note {
        "" => String::new(),
        note => format!("<p class=\"note\">{note}</p>\n"),
    };
    format!(
        "<figure>\n<figcaption><h3>{}</h3>\n{note}</figcaption>\n{body}</figure>\n",
        escape(title)
    )
}

/// A figure that has nothing to show, and why (already escaped).
pub(in crate::report) fn nothing(title: &str, why: &str) -> String {
    figure(title, "", &format!("<p class=\"none\">{why}</p>\n"))
}

/// Figures side by side where there is room.
pub(in crate::report) fn grid(figures: &[String]) -> String {
    format!("<div class=\"grid\">\n{}</div>\n", figures.concat())
}

/// A part of the page; `lead` is already escaped.
pub(in crate::report) fn section(id: &str, title: &str, lead: &str, body: &str) -> String {
    format!(
        "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{}</h2>\n<p class=\"lead\">{lead}</p>\n{body}</section>\n",
        escape(title)
    )
}

/// The numbers of a plot, for whoever cannot or does not want to look at it. Heads and cells are escaped here.
pub(in crate::report) fn numbers(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = String::from(
        "<details><summary>Numbers</summary>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Numbers\"><table class=\"plain\">\n<thead><tr>",
    );
    for head in heads {
        let _ = write!(text, "<th scope=\"col\">{}</th>", escape(head));
    }
    text += "</tr></thead>\n<tbody>\n";
    for row in rows {
        text += "<tr>";
        for (at, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            let _ = match at {
                0 => write!(text, "<th scope=\"row\">{cell}</th>"),
                _ => write!(text, "<td>{cell}</td>"),
            };
        }
        text += "</tr>\n";
    }
    text + "</tbody></table></div>\n</details>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(compact(9_999), "9,999");
        assert_eq!(compact(12_345), "12.3k");
        assert_eq!(compact(345_678), "346k");
        assert_eq!(share(1, 100_000), "&lt;\u{202f}0.1\u{202f}%");
        assert_eq!(share(99_999, 100_000), "&gt;\u{202f}99.9\u{202f}%");
        assert_eq!(share(0, 0), "–");
        assert_eq!(usd(0.0), "$0");
        assert_eq!(usd(0.0125), "$0.013");
        assert_eq!(usd(0.000_12), "$0.00012");
        assert_eq!(usd(3.0), "$3");
        assert_eq!(usd(3.5), "$3.50");
        assert_eq!(unit(0.9), "0.9");
        assert_eq!(at(f64::NAN), "0%");
        assert_eq!(round_step(0.21), 0.25);
        assert_eq!(round_step(1.0), 1.0);
    }

    #[test]
    fn long_names_may_break_and_stay_text() {
        assert_eq!(name("rna_seq"), "rna_<wbr/>seq");
        assert_eq!(name("</b>_"), "&lt;/<wbr/>b&gt;_");
    }

    #[test]
    fn text_stays_text() {
        assert_eq!(
            escape("<script>\"a\" & 'b'\u{0}\n"),
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;\u{fffd} "
        );
    }
}
