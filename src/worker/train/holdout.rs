//! Whether rows that are only to be looked at are learned from as well: then their loss says nothing about other rows.

use crate::lora::tokens::Row;
use std::collections::HashSet;

/// A row's tokens; with a pair those of both answers.
fn ids(row: &Row) -> Vec<&[u32]> {
    row.documents()
        .map(|document| document.ids.as_slice())
        .collect()
}

/// What is to be said about rows of the holdout that are learned from, token by token; none: there is none.
///
/// # Errors
/// All of them are: a sentence.
pub fn check(holdout: &[Row], rows: &[Row]) -> Result<Option<String>, String> {
    let learned: HashSet<Vec<&[u32]>> = rows.iter().map(ids).collect();
    let same = holdout.iter().filter(|row| learned.contains(&ids(row)));
    match same.count() {
        0 => Ok(None),
        same if same == holdout.len() => Err(format!(
            "all {same} rows of the holdout are learned from: its loss would say nothing about other rows"
        )),
        same => Ok(Some(format!(
            "{same} of {} rows of the holdout are learned from as well: its loss is too good",
            holdout.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::tokens::Example;

    fn row(id: u32) -> Row {
        let (ids, learned) = (vec![1, id], vec![false, true]);
        Row::Sft(Example { ids, learned })
    }

    #[test]
    fn some_that_are_learned_from_are_counted_and_all_are_refused() {
        let rows = [1, 2, 3].map(row);
        assert_eq!(check(&[], &rows), Ok(None));
        assert_eq!(check(&[7].map(row), &rows), Ok(None));
        let some = check(&[7, 2, 2].map(row), &rows).unwrap().unwrap();
        assert!(some.starts_with("2 of 3 rows"), "{some}");
        assert!(check(&[3, 2].map(row), &rows).is_err());
    }
}
