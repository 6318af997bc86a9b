//! Text that fits a screen: it is wrapped, never cut, for what is cut off is what somebody needed.

/// Columns of a screen.
pub const WIDTH: usize = 80;

/// Columns that a text takes; escapes take none.
pub fn width(text: &str) -> usize {
    let mut escaped = false;
    let seen = text.chars().filter(|sign| {
        let shown = !escaped && *sign != '\x1b';
        escaped = !shown && *sign != 'm';
        shown
    });
    seen.count()
}

/// Text behind a label, in as many lines as it takes; further ones begin where its first does.
pub fn labelled(label: &str, text: &str) -> String {
    if width(label) + width(text) <= WIDTH && !text.contains('\n') {
        return format!("{label}{text}").trim_end().to_string() + "\n";
    }
    let indent = width(label);
    let (mut lines, mut used) = (label.to_string(), indent);
    for word in text.split_whitespace() {
        let wide = width(word);
        if used > indent && used + 1 + wide > WIDTH {
            lines = lines + "\n" + &" ".repeat(indent);
            used = indent;
        } else if used > indent {
            lines.push(' ');
            used += 1;
        }
        lines += word;
        used += wide;
    }
    lines + "\n"
}

/// Ways on behind a label: side by side, or a line each, so that each can be pasted.
pub fn choices(label: &str, ways: &[String], or: &str) -> String {
    let text = ways.join(or);
    if width(label) + width(&text) <= WIDTH {
        return format!("{label}{text}\n");
    }
    let indent = " ".repeat(width(label));
    format!("{label}{}\n", ways.join(&format!("\n{indent}")))
}

/// A row of a table: whose, and its cells.
pub struct Row {
    /// The first column: a name.
    pub name: String,
    /// The other columns.
    pub cells: Vec<String>,
}

/// Rows as lines, each column as wide as its widest cell. `sides` has a sign a column: `<` to the left, `>` to the right.
/// A name that leaves no room for the rest gets a line of its own.
pub fn table(rows: &[Row], sides: &str) -> Vec<String> {
    let widest = |at: usize| rows.iter().map(|row| width(&row.cells[at])).max();
    let columns: Vec<(usize, char)> = sides
        .chars()
        .enumerate()
        .map(|(at, side)| (widest(at).unwrap_or(0), side))
        .collect();
    let rest: usize = columns.iter().map(|(wide, _)| wide + 2).sum();
    let room = WIDTH.saturating_sub(rest);
    let names = rows.iter().map(|row| row.name.len());
    let first = names.filter(|name| *name <= room).max().unwrap_or(0);
    rows.iter()
        .map(|row| {
            let mut line = if row.name.len() > first {
                format!("{}\n{}", row.name, " ".repeat(first))
            } else {
                format!("{:<first$}", row.name)
            };
            for (cell, (wide, side)) in row.cells.iter().zip(&columns) {
                let pad = " ".repeat(wide - width(cell));
                line += &match side {
                    '>' => format!("  {pad}{cell}"),
                    _ => format!("  {cell}{pad}"),
                };
            }
            line.trim_end().to_string()
        })
        .collect()
}
