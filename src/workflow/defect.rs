//! Known defects, planted on purpose, so that findings and repairs have something true to be measured against.
//!
//! A defect is an edit of the text as it is, at one of the places that offer it; where it is and what the linter calls it is
//! not asserted but seen: a place whose defect is not found does not count as one.

mod places;

use super::{
    dsl::parse,
    lint::{Edit, Issue, Rule, lint},
};
use serde::{Deserialize, Serialize};

/// A kind of defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// A process loses its container.
    MissingContainer,
    /// A parameter or script names a place of one machine.
    HardcodedPath,
    /// A workflow uses a channel that nothing declares.
    UndeclaredChannel,
    /// A process asks for no memory, for absurdly much, or for nonsense.
    WrongMemory,
    /// A process loses its outputs.
    MissingOutput,
    /// A call misspells its process.
    ProcessNameTypo,
    /// A process or workflow loses its closing brace.
    UnclosedBlock,
    /// An image loses its version.
    LatestTag,
    /// A process loses its tag.
    MissingTag,
    /// A process no longer says what it needs.
    MissingResources,
    /// A variable of the shell loses its backslash.
    ShellVariableUnescaped,
    /// A process is there twice.
    DuplicateProcess,
    /// Results are no longer published.
    MissingPublishDir,
    /// A declaration is written as DSL1 did.
    Dsl1Syntax,
    /// A use of a parameter misspells it.
    ParamsUndeclared,
    /// A use of an output misspells it.
    OutputNameTypo,
    /// A process that nothing calls.
    UnusedProcess,
    /// A process is called whose include is gone.
    MissingInclude,
}

impl Defect {
    /// All kinds.
    pub const ALL: [Defect; 18] = [
        Defect::MissingContainer,
        Defect::HardcodedPath,
        Defect::UndeclaredChannel,
        Defect::WrongMemory,
        Defect::MissingOutput,
        Defect::ProcessNameTypo,
        Defect::UnclosedBlock,
        Defect::LatestTag,
        Defect::MissingTag,
        Defect::MissingResources,
        Defect::ShellVariableUnescaped,
        Defect::DuplicateProcess,
        Defect::MissingPublishDir,
        Defect::Dsl1Syntax,
        Defect::ParamsUndeclared,
        Defect::OutputNameTypo,
        Defect::UnusedProcess,
        Defect::MissingInclude,
    ];

    /// What the linter reports of it.
    pub fn rule(self) -> Rule {
        match self {
            Defect::MissingContainer => Rule::MissingContainer,
            Defect::HardcodedPath => Rule::HardcodedPath,
            Defect::UndeclaredChannel => Rule::UndeclaredChannel,
            Defect::WrongMemory => Rule::InvalidResources,
            Defect::MissingOutput => Rule::MissingOutput,
            Defect::ProcessNameTypo | Defect::MissingInclude => Rule::UndefinedProcess,
            Defect::UnclosedBlock => Rule::UnclosedBlock,
            Defect::LatestTag => Rule::LatestTag,
            Defect::MissingTag => Rule::MissingTag,
            Defect::MissingResources => Rule::MissingResources,
            Defect::ShellVariableUnescaped => Rule::ShellVariableEscape,
            Defect::DuplicateProcess => Rule::DuplicateProcess,
            Defect::MissingPublishDir => Rule::MissingPublishDir,
            Defect::Dsl1Syntax => Rule::Dsl1Syntax,
            Defect::ParamsUndeclared => Rule::ParamsUndeclared,
            Defect::OutputNameTypo => Rule::UnknownOutput,
            Defect::UnusedProcess => Rule::UnusedProcess,
        }
    }
}

/// A defect that is in a text now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planted {
    /// What was planted.
    pub defect: Defect,
    /// What the linter reports of it.
    pub rule: Rule,
    /// Where it reports it, in the new text, from 1.
    pub line: u32,
}

/// Places that are tried before a text counts as offering none.
const TRIES: usize = 16;

/// Plants a defect at the place that `chance` picks; none where the text offers no place.
pub fn plant(defect: Defect, source: &str, chance: u64) -> Option<(String, Planted)> {
    let tree = parse(source);
    let places = places::places(defect, &tree, chance);
    if places.is_empty() {
        return None;
    }
    let before = lint(source);
    let first = usize::try_from(chance % places.len() as u64).ok()?;
    let tried = places
        .iter()
        .cycle()
        .skip(first)
        .take(places.len().min(TRIES));
    for edits in tried {
        let text = apply(source, edits);
        if let Some(line) = seen(defect.rule(), &before, &lint(&text)) {
            let rule = defect.rule();
            return Some((text, Planted { defect, rule, line }));
        }
    }
    None
}

/// The line of a finding that was not there before.
fn seen(rule: Rule, before: &[Issue], after: &[Issue]) -> Option<u32> {
    let of_rule = |issue: &&Issue| issue.rule == rule;
    let known: Vec<&str> = before
        .iter()
        .filter(of_rule)
        .map(|issue| &*issue.message)
        .collect();
    let new = after
        .iter()
        .filter(of_rule)
        .find(|issue| !known.contains(&&*issue.message));
    // The same words may be true of another place.
    let more = after.iter().filter(of_rule).count() > known.len();
    new.or(after.iter().rfind(of_rule).filter(|_| more))
        .map(|issue| issue.line)
}

fn apply(source: &str, edits: &[Edit]) -> String {
    let mut text = String::with_capacity(source.len() + 64);
    let mut at = 0;
    for edit in edits {
        text.push_str(source.get(at..edit.at).unwrap_or(""));
        text.push_str(&edit.insert);
        at = edit.at + edit.remove;
    }
    text.push_str(source.get(at..).unwrap_or(""));
    text
}

#[cfg(test)]
mod tests;
