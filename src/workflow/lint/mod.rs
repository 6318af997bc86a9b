//! The linter: a text in, findings out, the same whatever the formatting.
//!
//! A rule pushes what it found and, where mending is safe, the edits that mend it: `fix` applies exactly those.

mod directives;
mod names;
mod params;
mod paths;
mod resources;
pub mod rule;
mod scripts;
mod syntax;

pub use rule::{Fixable, RULES, Rule, RuleFacts, Severity};

use super::dsl::{
    parse,
    tree::{Process, Tree},
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What was looked for.
    #[serde(rename = "type")]
    pub rule: Rule,
    /// What is wrong, in a sentence.
    pub message: String,
    /// How bad it is.
    pub severity: Severity,
    /// Whether `fix` mends it.
    pub auto_fixable: bool,
}

/// A change of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// The first byte.
    pub at: usize,
    /// Bytes that go.
    pub remove: usize,
    /// What comes in their place.
    pub insert: String,
}

/// A finding with its byte and the edits that mend it.
#[derive(Debug)]
pub(super) struct Found {
    pub at: usize,
    pub rule: Rule,
    pub message: String,
    pub edits: Vec<Edit>,
}

/// The tree and what the rules have found in it.
pub(super) struct Findings<'t, 'a> {
    pub tree: &'t Tree<'a>,
    /// Names that the file's top binds: all code may use them.
    pub globals: HashSet<&'a str>,
    pub found: Vec<Found>,
}

impl Findings<'_, '_> {
    /// A finding at a token.
    pub fn push(&mut self, rule: Rule, token: usize, message: String) {
        let start = self.tree.lexed.tokens.get(token).map_or(0, |t| t.start);
        self.push_at(rule, start as usize, message, Vec::new());
    }

    /// A finding at a byte, with the edits that mend it.
    pub fn push_at(&mut self, rule: Rule, at: usize, message: String, edits: Vec<Edit>) {
        self.found.push(Found {
            at,
            rule,
            message,
            edits,
        });
    }
}

/// What is wrong with a workflow, by line, column and rule. Any text is judged, in time linear in its length.
pub fn lint(source: &str) -> Vec<Issue> {
    issues(source, &find(source))
}

/// The findings, in the order of the text.
pub(super) fn find(source: &str) -> Vec<Found> {
    let tree = parse(source);
    let mut findings = Findings {
        tree: &tree,
        globals: globals(&tree),
        found: Vec::new(),
    };
    unclosed(&mut findings);
    for process in tree.processes.iter().filter(|p| readable(&tree, p)) {
        directives::check(&mut findings, process);
        resources::check(&mut findings, process);
        scripts::check(&mut findings, process);
        syntax::check(&mut findings, process);
    }
    syntax::check_file(&mut findings);
    paths::check(&mut findings);
    if tree.lexed.unclosed.is_empty() {
        names::check(&mut findings);
        params::check(&mut findings);
    }
    let mut found = findings.found;
    found.sort_by_key(|found| (found.at, found.rule));
    found.dedup_by_key(|found| (found.at, found.rule));
    found
}

fn globals<'a>(tree: &Tree<'a>) -> HashSet<&'a str> {
    let functions = tree.functions.iter().chain(&tree.included);
    let mut names: HashSet<&str> = functions.map(|name| name.text).collect();
    names.extend(&tree.top.bound);
    names
}

/// Findings with lines and columns.
pub(super) fn issues(source: &str, found: &[Found]) -> Vec<Issue> {
    let (mut line, mut column, mut at) = (1, 1, 0);
    let place = |found: &Found| {
        let passed = source.get(at..found.at).unwrap_or("");
        at += passed.len();
        for c in passed.chars() {
            if c == '\n' {
                (line, column) = (line + 1, 1);
            } else {
                column += 1;
            }
        }
        Issue {
            line,
            column,
            rule: found.rule,
            message: found.message.clone(),
            severity: found.rule.severity(),
            auto_fixable: !found.edits.is_empty(),
        }
    };
    found.iter().map(place).collect()
}

fn unclosed(findings: &mut Findings<'_, '_>) {
    let lexed = &findings.tree.lexed;
    for found in &lexed.unclosed {
        let rest = lexed.text.get(found.at as usize..).unwrap_or("");
        let sign: String = rest
            .chars()
            .take(if rest.starts_with("/*") { 2 } else { 1 })
            .collect();
        let message = if found.stray {
            format!("this `{sign}` closes nothing")
        } else {
            match sign.as_str() {
                "\"" | "'" => "the string that begins here is never closed".to_owned(),
                "/*" => "the comment that begins here is never closed".to_owned(),
                _ => format!("the `{sign}` here is never closed"),
            }
        };
        findings.found.push(Found {
            at: found.at as usize,
            rule: Rule::UnclosedBlock,
            message,
            edits: Vec::new(),
        });
    }
}

/// Whether everything in a process pairs.
fn readable(tree: &Tree<'_>, process: &Process<'_>) -> bool {
    let start = tree.lexed.tokens[process.at].start;
    let end = tree
        .lexed
        .tokens
        .get(process.body.to)
        .map_or(u32::MAX, |token| token.end);
    let found = &tree.lexed.unclosed;
    let next = found.partition_point(|found| found.at < start);
    found.get(next).is_none_or(|found| found.at > end)
}

/// Names that a misspelt one is compared with: a bound on work, not on files that anybody writes.
const KNOWN: usize = 256;

/// The nearest of some names, if it is near enough to be meant.
pub(super) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = |known: &&str| {
        let lengths = known.len().abs_diff(name.len()) <= 2;
        lengths && name.len() < 64 && strsim::osa_distance(name, known) <= 1 + name.len() / 6
    };
    known
        .take(KNOWN)
        .filter(near)
        .min_by_key(|known| strsim::osa_distance(name, known))
}

#[cfg(test)]
mod tests;
