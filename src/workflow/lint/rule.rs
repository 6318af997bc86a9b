//! What the linter looks for: one table, printed by `campaignd lint --rules`.

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The workflow breaks, or loses results.
    Error,
    /// It runs, worse than it could.
    Warning,
}

impl Severity {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "RULES says what each one is")]
pub enum Rule {
    UnclosedBlock,
    DuplicateProcess,
    UndefinedProcess,
    UndeclaredChannel,
    UnknownOutput,
    ParamsUndeclared,
    MissingContainer,
    MissingOutput,
    ShellVariableEscape,
    InvalidResources,
    Dsl1Syntax,
    HardcodedPath,
    LatestTag,
    MissingPublishDir,
    UnusedProcess,
    MissingTag,
    MissingResources,
}

/// Whether `--fix` mends what a rule finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixable {
    /// Every time.
    Always,
    /// Where the mending cannot change what the workflow means.
    Sometimes,
    /// It takes somebody who knows what was meant.
    Never,
}

/// A rule in the table.
#[derive(Clone, Copy, Debug)]
pub struct RuleFacts {
    /// The rule.
    pub rule: Rule,
    /// Its name.
    pub name: &'static str,
    /// How bad its findings are.
    pub severity: Severity,
    /// Whether they are mended.
    pub fixable: Fixable,
    /// What it finds, and what it lets pass.
    pub meaning: &'static str,
}

const fn row(
    rule: Rule,
    name: &'static str,
    severity: Severity,
    fixable: Fixable,
    meaning: &'static str,
) -> RuleFacts {
    RuleFacts {
        rule,
        name,
        severity,
        fixable,
        meaning,
    }
}

use Fixable::{Always, Never, Sometimes};
use Severity::{Error, Warning};

/// All rules.
pub const RULES: [RuleFacts; 17] = [
    row(
        Rule::UnclosedBlock,
        "unclosed_block",
        Error,
        Never,
        "a block or string that is never closed, or a closing without an opening; one finding a top-level block, and what it makes unreadable is not judged",
    ),
    row(
        Rule::DuplicateProcess,
        "duplicate_process",
        Error,
        Never,
        "a process or workflow whose name is already taken by another or by an include",
    ),
    row(
        Rule::UndefinedProcess,
        "undefined_process",
        Error,
        Never,
        "a call of something that is neither defined nor included here, nor part of Nextflow",
    ),
    row(
        Rule::UndeclaredChannel,
        "undeclared_channel",
        Error,
        Never,
        "a name in a workflow that nothing binds, or the outputs of a process that the workflow does not call; names inside closures are not judged",
    ),
    row(
        Rule::UnknownOutput,
        "unknown_output",
        Error,
        Never,
        "NAME.out.x where a process or workflow of this file emits no x",
    ),
    row(
        Rule::ParamsUndeclared,
        "params_undeclared",
        Error,
        Never,
        "params.x without a declaration, in a file with an entry workflow that writes defaults of its own; without such defaults they are in the configuration",
    ),
    row(
        Rule::MissingContainer,
        "missing_container",
        Error,
        Never,
        "a process without a container directive; conda alone does not count, exec: needs none",
    ),
    row(
        Rule::MissingOutput,
        "missing_output",
        Error,
        Never,
        "a process that declares no output",
    ),
    row(
        Rule::ShellVariableEscape,
        "shell_variable_escape",
        Error,
        Sometimes,
        "a dollar in a \"\"\" script that Groovy cannot resolve: it needs a backslash to reach the shell; not mended where it looks like a misspelt name",
    ),
    row(
        Rule::InvalidResources,
        "invalid_resources",
        Error,
        Never,
        "cpus, memory, disk or time that is zero, malformed or beyond any node (1,024 cpus, 2 TB of memory, a year)",
    ),
    row(
        Rule::Dsl1Syntax,
        "dsl1_syntax",
        Error,
        Sometimes,
        "from, into, set and file in declarations, Channel.create, .into, nextflow.enable.dsl = 1; set and file alone are mended",
    ),
    row(
        Rule::HardcodedPath,
        "hardcoded_path",
        Error,
        Never,
        "an absolute path of some machine in a script, parameter or file argument; paths of containers (/usr, /opt, /tmp, /dev ...) pass inside scripts",
    ),
    row(
        Rule::LatestTag,
        "latest_tag",
        Warning,
        Never,
        "a container image with the tag latest or none; image files, addresses of blobs and variables pass",
    ),
    row(
        Rule::MissingPublishDir,
        "missing_publish_dir",
        Warning,
        Never,
        "a process without publishDir whose outputs nothing uses; only in a file with an entry workflow, without publish: or output { }, and not where task.ext shows that a configuration publishes",
    ),
    row(
        Rule::UnusedProcess,
        "unused_process",
        Warning,
        Never,
        "a process that no workflow of its file calls; a file without workflows is a module",
    ),
    row(
        Rule::MissingTag,
        "missing_tag",
        Warning,
        Always,
        "a process that takes tuples with a key and has no tag, so its tasks look alike in the log",
    ),
    row(
        Rule::MissingResources,
        "missing_resources",
        Warning,
        Always,
        "a process without label, cpus, memory, time or accelerator",
    ),
];

impl Rule {
    /// Its row.
    pub fn facts(self) -> &'static RuleFacts {
        // The table is in the order of the rules.
        &RULES[self as usize]
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// How bad its findings are.
    pub fn severity(self) -> Severity {
        self.facts().severity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_rules_and_says_their_names() {
        for (at, facts) in RULES.iter().enumerate() {
            assert_eq!(facts.rule as usize, at);
            let name = serde_json::to_value(facts.rule).unwrap();
            assert_eq!(name, facts.name);
        }
    }
}
