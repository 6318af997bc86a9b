//! A heat map: a table whose cells are tinted by their numbers.

use super::html::{compact, count, escape, name};
use crate::curation::stats::{Counts, NONE, OTHER};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// The most rows and columns; the others are summed up.
const MOST_ROWS: usize = 20;
const MOST_COLUMNS: usize = 14;
/// Tints, beside that of nothing.
const TINTS: u64 = 7;

/// What a row or column of the map stands for.
struct Line {
    name: String,
    members: BTreeSet<String>,
    total: u64,
    rest: bool,
}

/// The largest lines, and one for all others.
fn lines(totals: &Counts, most: usize) -> Vec<Line> {
    let mut named: Vec<(&String, u64)> = totals.iter().map(|(name, n)| (name, *n)).collect();
    // What did not say its name comes last, whatever its size.
    named.sort_by_key(|(name, n)| (*name == NONE || *name == OTHER, Reverse(*n), *name));
    let shown = if named.len() == most + 1 {
        named.len()
    } else {
        most.min(named.len())
    };
    let mut all: Vec<Line> = named[..shown]
        .iter()
        .map(|(name, n)| Line {
            name: if *name == NONE {
                "not said"
            } else {
                name.as_str()
            }
            .into(),
            members: [(*name).clone()].into(),
            total: *n,
            rest: *name == NONE || *name == OTHER,
        })
        .collect();
    if named.len() > shown {
        all.push(Line {
            name: format!("others {}", named.len() - shown),
            members: named[shown..]
                .iter()
                .map(|(name, _)| (*name).clone())
                .collect(),
            total: named[shown..].iter().map(|(_, n)| n).sum(),
            rest: true,
        });
    }
    all
}

/// The map, and the largest number of a cell that stands for one pair of names.
pub(super) fn heat(table: &BTreeMap<String, Counts>, down: &str, along: &str) -> (String, u64) {
    let rows: Counts = table
        .iter()
        .map(|(name, counts)| (name.clone(), counts.values().sum()))
        .collect();
    let mut columns = Counts::new();
    for (name, n) in table.values().flatten() {
        *columns.entry(name.clone()).or_default() += n;
    }
    let (rows, columns) = (lines(&rows, MOST_ROWS), lines(&columns, MOST_COLUMNS));
    let cell = |row: &Line, column: &Line| -> u64 {
        let cells = row.members.iter().filter_map(|name| table.get(name));
        cells
            .flatten()
            .filter(|(name, _)| column.members.contains(*name))
            .map(|(_, n)| n)
            .sum()
    };
    let pairs = rows
        .iter()
        .flat_map(|row| columns.iter().map(move |column| (row, column)));
    let most = pairs
        .filter(|(row, column)| !row.rest && !column.rest)
        .map(|(row, column)| cell(row, column))
        .max()
        .unwrap_or(0);
    let mut text = format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{0} by {1}\"><table class=\"heat{2}\">\n<thead><tr><th scope=\"col\">{0}</th>",
        escape(down),
        escape(along),
        if columns.len() > 8 { " many" } else { "" }
    );
    for column in &columns {
        let _ = write!(
            text,
            "<th scope=\"col\"><span>{}</span></th>",
            escape(&column.name)
        );
    }
    text += "<th scope=\"col\"><span>all</span></th></tr></thead>\n<tbody>\n";
    for row in &rows {
        let _ = write!(text, "<tr><th scope=\"row\">{}</th>", name(&row.name));
        for column in &columns {
            let n = cell(row, column);
            let _ = write!(
                text,
                "<td class=\"h{}\" title=\"{} × {}: {}\">{}</td>",
                tint(n, most),
                escape(&row.name),
                escape(&column.name),
                count(n),
                compact(n)
            );
        }
        let _ = writeln!(text, "<td class=\"all\">{}</td></tr>", compact(row.total));
    }
    text += "</tbody>\n<tfoot><tr><th scope=\"row\">all</th>";
    for column in &columns {
        let _ = write!(text, "<td>{}</td>", compact(column.total));
    }
    let sum = rows.iter().map(|row| row.total).sum();
    let _ = writeln!(text, "<td>{}</td></tr></tfoot></table></div>", compact(sum));
    (text, most)
}

/// 0 for nothing, then up to the largest by the square root: where one cell towers, the others still differ.
fn tint(n: u64, most: u64) -> u64 {
    let part = (n as f64 / most.max(1) as f64).sqrt();
    ((part * TINTS as f64).ceil() as u64).min(TINTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_to_show_is_summed_up_and_sums_agree() {
        let table: BTreeMap<String, Counts> = (0..40)
            .map(|row| {
                let counts = (0..30).map(|column| (format!("o{column:02}"), row + column));
                (format!("t{row:02}"), counts.collect())
            })
            .collect();
        let all: u64 = table.values().flat_map(|counts| counts.values()).sum();
        let (text, most) = heat(&table, "type", "organism");
        assert_eq!(most, 39 + 29);
        assert!(text.contains(">others 20<") && text.contains(">others 16<"));
        assert!(text.contains(&format!("<td>{}</td></tr></tfoot>", compact(all))));
        assert_eq!(
            (tint(0, 7), tint(1, 700), tint(175, 700), tint(700, 700)),
            (0, 1, 4, 7)
        );
    }
}
