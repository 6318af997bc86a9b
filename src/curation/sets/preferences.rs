//! Preferences between reviews (specification 1, 4.4): the truth, and a review that misses something or sees what is not there.
//!
//! A model's own mistake comes first; where it made none, or none was asked, one is made up and held against the truth.
//! Workflows that are sound are among them: otherwise "no issues" would only ever be the worse answer.

use super::{
    Numbered,
    chat::{numbered, prompt, turn},
    columns::{object, text},
    review::{Remark, Review, read, same, wrong},
    validation::{Case, cases},
};
use crate::{
    curation::{schema::Field, words::DataSet},
    generation::permutation::draw,
    trajectory::TrajectoryRecord,
    workflow::lint::{Issue, Rule},
};
use serde_json::json;

/// Streams of draws: which mistake, and where.
const MISTAKE: u64 = 501;
const PLACE: u64 = 502;

pub(super) fn fields() -> Vec<Field> {
    [
        "query",
        "code",
        "chosen_feedback",
        "rejected_feedback",
        "rejected_by",
    ]
    .map(text)
    .to_vec()
}

pub(super) fn rows(of: &TrajectoryRecord) -> Vec<Numbered> {
    let row = |case: Case<'_>| {
        let (rejected, by) = rejected(&of.trajectory_id, &case)?;
        let chosen = Review::of(case.issues).answer();
        let rejected = Review::claimed(rejected, case.issues).answer();
        let row = json!({
            "prompt": prompt(DataSet::ValidationPreferences, &numbered(case.code)),
            "chosen": [turn("assistant", &chosen)],
            "rejected": [turn("assistant", &rejected)],
            "query": of.query,
            "code": case.code,
            "chosen_feedback": chosen,
            "rejected_feedback": rejected,
            "rejected_by": by,
        });
        Some((case.n, object(row)))
    };
    cases(of).into_iter().filter_map(row).collect()
}

/// A wrong review and whose it is; none for a sound workflow without a process to say something false of.
fn rejected(id: &str, case: &Case<'_>) -> Option<(Vec<Remark>, &'static str)> {
    let said = case.feedback.and_then(read);
    if let Some(said) = said.filter(|said| wrong(said, case.issues)) {
        return Some((said, "model"));
    }
    let (seed, n) = (root(id), case.n as u64);
    let alarm = false_alarm(seed, case);
    let missed = !case.issues.is_empty() && draw(seed, MISTAKE, n).is_multiple_of(2);
    match alarm {
        Some(alarm) if !missed => {
            let mut said: Vec<Remark> = case.issues.iter().map(Remark::from).collect();
            let at = said.partition_point(|remark| remark.line < alarm.line);
            said.insert(at, alarm);
            Some((said, "constructed"))
        }
        _ => (!case.issues.is_empty()).then_some((Vec::new(), "constructed")),
    }
}

/// A finding that the linter could have, in its words, and does not have, of a process that shows the contrary. Where a block
/// is not closed the linter is silent on what it cannot read: nothing there is known to be false.
fn false_alarm(seed: u64, case: &Case<'_>) -> Option<Remark> {
    let unread = |issue: &Issue| issue.rule == Rule::UnclosedBlock;
    if case.issues.iter().any(unread) {
        return None;
    }
    let mut alarms: Vec<Remark> = processes(case.code)
        .iter()
        .flat_map(|process| process.alarms())
        .filter(|alarm| !case.issues.iter().any(|issue| same(alarm, issue)))
        .collect();
    let place = draw(seed, PLACE, case.n as u64).checked_rem(alarms.len() as u64)?;
    Some(alarms.swap_remove(place as usize))
}

/// What is falsely said of a process, in the linter's words, and the lines that show that it is false: one begins so.
const ALARMS: [(Rule, &str, &[&str]); 4] = [
    (
        Rule::MissingContainer,
        "has no container",
        &["container '", "container \""],
    ),
    (Rule::MissingOutput, "declares no output", &["output:"]),
    (
        Rule::MissingResources,
        "says nothing about the resources it needs",
        &["label ", "cpus ", "memory "],
    ),
    (
        Rule::MissingTag,
        "has no tag: its tasks look alike in the log",
        &["tag '", "tag \"", "tag {"],
    ),
];

/// A process as its lines show it.
struct Process<'a> {
    /// Where it begins, from 1.
    line: i64,
    name: &'a str,
    body: Vec<&'a str>,
}

impl Process<'_> {
    /// Everything false that could be said of it.
    fn alarms(&self) -> impl Iterator<Item = Remark> {
        let shown = |(_, _, begins): &&(Rule, &str, &[&str])| {
            (self.body.iter()).any(|line| begins.iter().any(|words| line.starts_with(words)))
        };
        ALARMS.iter().filter(shown).map(|(rule, says, _)| Remark {
            line: self.line,
            kind: rule.name().into(),
            message: format!("process {} {says}", self.name),
        })
    }
}

/// The processes that begin and end at the margin; others are let be.
fn processes(code: &str) -> Vec<Process<'_>> {
    let mut found: Vec<Process<'_>> = Vec::new();
    let mut inside = false;
    for (line, text) in (1..).zip(code.lines()) {
        if let Some(name) = defines(text) {
            let body = Vec::new();
            found.push(Process { line, name, body });
            inside = true;
        } else if text.starts_with('}') {
            inside = false;
        } else if inside && let Some(process) = found.last_mut() {
            process.body.push(text.trim_start());
        }
    }
    found
}

/// The process that a line begins to define.
fn defines(line: &str) -> Option<&str> {
    let name = line.strip_prefix("process ")?.trim_end();
    let name = name.strip_suffix('{')?.trim();
    let word = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    word.then_some(name)
}

/// A number from an id (FNV-1a), the same on every machine.
fn root(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
