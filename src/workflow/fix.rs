//! Mends what is safe to mend: the edits that the rules themselves propose, applied to the text as it is.

use super::lint::{Edit, Found, Issue, find, issues};

/// A text and what was mended in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The text, otherwise as it was.
    pub text: String,
    /// What was mended, with places in the text before.
    pub fixed: Vec<Issue>,
}

/// Rounds that are tried: mending uncovers nothing to mend, so that the second one finds nothing, but for input that was
/// made to confuse.
const ROUNDS: usize = 4;

/// Mends everything fixable. Mending again changes nothing.
pub fn fix(source: &str) -> Fixed {
    let mut fixed = Fixed {
        text: source.to_owned(),
        fixed: Vec::new(),
    };
    for _ in 0..ROUNDS {
        let found = find(&fixed.text);
        let fixable: Vec<Found> = found.into_iter().filter(|f| !f.edits.is_empty()).collect();
        if fixable.is_empty() {
            break;
        }
        fixed.fixed.extend(issues(&fixed.text, &fixable));
        fixed.text = apply(
            &fixed.text,
            fixable.into_iter().flat_map(|found| found.edits).collect(),
        );
    }
    fixed
}

/// A text with some edits; one that overlaps another waits for the next round.
fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.at);
    let mut mended = String::with_capacity(text.len() + 64 * edits.len());
    let mut at = 0;
    for edit in edits {
        let (Some(before), end) = (text.get(at..edit.at), edit.at + edit.remove) else {
            continue;
        };
        mended.push_str(before);
        mended.push_str(&edit.insert);
        at = end;
    }
    mended.push_str(text.get(at..).unwrap_or(""));
    mended
}
