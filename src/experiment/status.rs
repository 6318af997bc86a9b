//! The two status tables of an experiment's summary: where each fine-tune and each evaluation is.

use serde::{Deserialize, Serialize};

/// The heading above the table of fine-tunes.
pub const FINE_TUNING: &str = "## Fine-tuning status";
/// The heading above that of evaluations.
pub const EVALUATION: &str = "## Evaluation status";
/// The state of what was not handed in yet.
pub const PENDING: &str = "pending";

/// A line of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The run, and for an evaluation `RUN/TASK_epochN`.
    pub name: String,
    /// Its state, in the scheduler's words where it has them.
    pub state: String,
    /// The scheduler's number.
    pub job: Option<String>,
    /// How long it took, or has been running.
    pub duration: Option<String>,
    /// What there is to say.
    pub note: String,
}

impl Row {
    /// What was not handed in yet.
    pub fn pending(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: PENDING.into(),
            job: None,
            duration: None,
            note: String::new(),
        }
    }
}

/// A table.
pub fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "Nothing is planned.\n".into();
    }
    let mut text = String::from("| Run | State | Job | Duration | Note |\n|---|---|---|---|---|\n");
    for row in rows {
        let or_dash = |text: &Option<String>| text.as_deref().map_or("-".into(), cell);
        text += &format!(
            "| {} | {} | {} | {} | {} |\n",
            cell(&row.name),
            cell(&row.state),
            or_dash(&row.job),
            or_dash(&row.duration),
            cell(&row.note)
        );
    }
    text
}

/// Text that stays in its cell.
pub fn cell(text: &str) -> String {
    text.replace(char::is_control, " ")
        .replace('\\', "\\\\")
        .replace('|', "\\|")
}

/// The summary with another table below a heading; whatever else was written in it stays. None where the heading is not there.
pub fn replaced(summary: &str, heading: &str, rows: &[Row]) -> Option<String> {
    let start = summary
        .match_indices(heading)
        .map(|(at, _)| at)
        .find(|at| {
            let own_line = *at == 0 || summary[..*at].ends_with('\n');
            own_line && summary[at + heading.len()..].starts_with(['\n', '\r'])
        })?;
    let (before, rest) = summary.split_at(start + heading.len());
    let end = rest.find("\n#").unwrap_or(rest.len());
    let after = &rest[end..];
    let space = if after.is_empty() { "" } else { "\n" };
    Some(format!(
        "{before}\n\n{}{}{}",
        table(rows),
        space,
        after.strip_prefix('\n').unwrap_or(after)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_replaced_and_the_rest_stays() {
        let rows = [Row::pending("rank8"), Row::pending("rank|16")];
        let text = format!(
            "# a\n\n{FINE_TUNING}\n\n{}\n{EVALUATION}\n\n{}",
            table(&rows),
            table(&rows)
        );
        assert!(text.contains("| rank\\|16 | pending | - | - |  |\n"));
        let row = Row {
            state: "COMPLETED".into(),
            job: Some("12".into()),
            duration: Some("3h 24m".into()),
            note: "two\nlines".into(),
            ..rows[0].clone()
        };
        let new = replaced(&text, FINE_TUNING, std::slice::from_ref(&row)).unwrap();
        let expected = format!(
            "# a\n\n{FINE_TUNING}\n\n{}\n{EVALUATION}\n\n{}",
            table(std::slice::from_ref(&row)),
            table(&rows)
        );
        assert_eq!(new, expected);
        assert!(new.contains("| rank8 | COMPLETED | 12 | 3h 24m | two lines |"));
        let both = replaced(&new, EVALUATION, &[]).unwrap();
        assert!(both.ends_with("status\n\nNothing is planned.\n"));
        assert_eq!(replaced("no such heading", EVALUATION, &rows), None);
        assert_eq!(
            replaced("say ## Evaluation status\n", EVALUATION, &rows),
            None
        );
    }
}
