//! Names of workflows: called and defined, used and bound.

use super::{
    super::dsl::{
        token::Kind,
        tree::{Name, Process, Purpose, Use, Workflow},
    },
    Findings, Rule, meant,
};
use std::collections::{HashMap, HashSet};

/// Values that Nextflow and Groovy offer everywhere.
fn is_offered(word: &str) -> bool {
    matches!(
        word,
        "params"
            | "workflow"
            | "nextflow"
            | "projectDir"
            | "baseDir"
            | "launchDir"
            | "moduleDir"
            | "workDir"
            | "log"
            | "Channel"
            | "channel"
            | "session"
            | "it"
            | "args"
            | "secrets"
            | "task"
            | "System"
            | "Math"
    )
}

/// Functions that Nextflow and Groovy offer everywhere.
fn is_function(word: &str) -> bool {
    matches!(
        word,
        "file"
            | "files"
            | "print"
            | "println"
            | "printf"
            | "error"
            | "exit"
            | "tuple"
            | "groupKey"
            | "sleep"
            | "sendMail"
            | "branchCriteria"
            | "multiMapCriteria"
            | "assert"
            | "evaluate"
            | "record"
            | "path"
            | "env"
            | "get"
            | "publish"
            | "channel"
            | "interval"
            | "sprintf"
            | "any"
            | "all"
    )
}

/// Operators: what a pipe may lead to beside a process.
fn is_operator(word: &str) -> bool {
    matches!(
        word,
        "view"
            | "map"
            | "flatMap"
            | "filter"
            | "collect"
            | "collectFile"
            | "mix"
            | "join"
            | "combine"
            | "set"
            | "tap"
            | "branch"
            | "multiMap"
            | "groupTuple"
            | "transpose"
            | "flatten"
            | "first"
            | "last"
            | "take"
            | "unique"
            | "distinct"
            | "ifEmpty"
            | "count"
            | "countFastq"
            | "countFasta"
            | "countLines"
            | "countJson"
            | "min"
            | "max"
            | "sum"
            | "toList"
            | "toSortedList"
            | "toInteger"
            | "toLong"
            | "toFloat"
            | "toDouble"
            | "splitCsv"
            | "splitFasta"
            | "splitFastq"
            | "splitJson"
            | "splitText"
            | "buffer"
            | "collate"
            | "concat"
            | "cross"
            | "dump"
            | "merge"
            | "randomSample"
            | "reduce"
            | "subscribe"
            | "until"
            | "spread"
            | "separate"
            | "choice"
            | "close"
            | "phase"
            | "print"
            | "println"
            | "groupBy"
            | "into"
            | "stdout"
            | "topic"
    )
}

/// What a file defines, by name.
struct Known<'t, 'a> {
    processes: HashMap<&'a str, &'t Process<'a>>,
    workflows: HashMap<&'a str, &'t Workflow<'a>>,
    /// In the order of the text, included names too.
    names: Vec<&'a str>,
    set: HashSet<&'a str>,
}

pub(super) fn check(findings: &mut Findings<'_, '_>) {
    let tree = findings.tree;
    duplicates(findings);
    let mut known = Known {
        processes: tree.processes.iter().map(|p| (p.name.text, p)).collect(),
        workflows: HashMap::new(),
        names: Vec::new(),
        set: HashSet::new(),
    };
    let named = tree
        .workflows
        .iter()
        .filter_map(|w| Some((w.name?.text, w)));
    known.workflows.extend(named);
    known
        .names
        .extend(tree.processes.iter().map(|p| p.name.text));
    known
        .names
        .extend(tree.workflows.iter().filter_map(|w| Some(w.name?.text)));
    known
        .names
        .extend(tree.included.iter().map(|name| name.text));
    known.set.extend(&known.names);
    let mut used = HashSet::new();
    for used_at_top in &tree.top.uses {
        used.insert(used_at_top.name.text);
    }
    for workflow in &tree.workflows {
        check_workflow(findings, &known, workflow, &mut used);
    }
    if tree.workflows.is_empty() {
        return;
    }
    for process in &tree.processes {
        if !used.contains(process.name.text) {
            let message = format!("process {} is never called", process.name.text);
            findings.push(Rule::UnusedProcess, process.at, message);
        }
    }
    publishing(findings, &used);
}

fn duplicates(findings: &mut Findings<'_, '_>) {
    let tree = findings.tree;
    let defined = tree.processes.iter().map(|p| (p.name, p.at, "process"));
    let named = tree
        .workflows
        .iter()
        .filter_map(|w| Some((w.name?, w.at, "workflow")));
    let mut defined: Vec<_> = defined.chain(named).collect();
    defined.sort_by_key(|(_, at, _)| *at);
    let mut taken: HashSet<&str> = tree.included.iter().map(|name| name.text).collect();
    for (name, at, what) in defined {
        if !taken.insert(name.text) {
            let message = format!("the name of {what} {} is already taken", name.text);
            findings.push(Rule::DuplicateProcess, at, message);
        }
    }
}

fn check_workflow<'a>(
    findings: &mut Findings<'_, 'a>,
    known: &Known<'_, 'a>,
    workflow: &Workflow<'a>,
    used: &mut HashSet<&'a str>,
) {
    let uses = &workflow.flow.uses;
    let bound: HashSet<&str> = workflow.flow.bound.iter().copied().collect();
    let calls = |u: &&Use<'_>| matches!(u.purpose, Purpose::Call | Purpose::Piped);
    let mut called: HashSet<&str> = uses.iter().filter(calls).map(|u| u.name.text).collect();
    used.extend(uses.iter().map(|u| u.name.text));
    let mut told = HashSet::new();
    // First the calls: a misspelt one is one finding, so what was meant counts as called.
    for found in uses.iter().filter(calls) {
        let name = found.name.text;
        if known.set.contains(name) || bound.contains(name) || findings.globals.contains(name) {
            continue;
        }
        if found.purpose == Purpose::Piped {
            piped(findings, known, found, &mut called, used, &mut told);
        } else if !is_function(name) && !constructs(name) && !operates(findings, found) {
            undefined(findings, known, found.name, (&mut called, used), &mut told);
        }
    }
    for found in uses {
        let name = found.name.text;
        match found.purpose {
            Purpose::Output(output) => {
                if known.set.contains(name) {
                    outputs(findings, known, found.name, output, &called);
                } else if !bound.contains(name) && !told.contains(name) {
                    undefined(findings, known, found.name, (&mut called, used), &mut told);
                }
            }
            Purpose::Value
                if !known.set.contains(name)
                    && !bound.contains(name)
                    && !findings.globals.contains(name)
                    && !is_offered(name)
                    && !constructs(name)
                    && told.insert(name) =>
            {
                undeclared(findings, found.name, &bound);
            }
            _ => {}
        }
    }
}

/// `ch | operator(..)`.
fn operates(findings: &Findings<'_, '_>, found: &Use<'_>) -> bool {
    let before = found.name.at.checked_sub(1);
    let before = before.and_then(|at| findings.tree.lexed.kind(at));
    before == Some(Kind::Pipe) && is_operator(found.name.text)
}

/// A class, by its spelling.
fn constructs(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.contains(|c: char| c.is_ascii_lowercase())
        && !name.contains('_')
}

fn undeclared(findings: &mut Findings<'_, '_>, name: Name<'_>, bound: &HashSet<&str>) {
    let mut near: Vec<&str> = bound.iter().copied().take(64).collect();
    near.sort_unstable();
    let hint = match meant(name.text, near.into_iter()) {
        Some(meant) => format!(": did you mean {meant}?"),
        None => String::new(),
    };
    let message = format!("nothing declares {}{hint}", name.text);
    findings.push(Rule::UndeclaredChannel, name.at, message);
}

/// An operand of a pipe that is no name of the file.
fn piped<'a>(
    findings: &mut Findings<'_, 'a>,
    known: &Known<'_, 'a>,
    found: &Use<'a>,
    called: &mut HashSet<&'a str>,
    used: &mut HashSet<&'a str>,
    told: &mut HashSet<&'a str>,
) {
    let name = found.name;
    if is_operator(name.text) || is_offered(name.text) || constructs(name.text) {
        return;
    }
    let before = name
        .at
        .checked_sub(1)
        .and_then(|at| findings.tree.lexed.kind(at));
    if before == Some(Kind::Pipe) {
        undefined(findings, known, name, (called, used), told);
    } else if told.insert(name.text) {
        undeclared(findings, name, &HashSet::new());
    }
}

fn undefined<'a>(
    findings: &mut Findings<'_, 'a>,
    known: &Known<'_, 'a>,
    name: Name<'a>,
    (called, used): (&mut HashSet<&'a str>, &mut HashSet<&'a str>),
    told: &mut HashSet<&'a str>,
) {
    let uncalled = known
        .names
        .iter()
        .copied()
        .filter(|known| !called.contains(known));
    let nearest =
        meant(name.text, uncalled).or_else(|| meant(name.text, known.names.iter().copied()));
    let hint = match nearest {
        Some(nearest) => {
            called.insert(nearest);
            used.insert(nearest);
            format!(": did you mean {nearest}?")
        }
        None => String::new(),
    };
    told.insert(name.text);
    let message = format!("{} is neither defined nor included{hint}", name.text);
    findings.push(Rule::UndefinedProcess, name.at, message);
}

/// `NAME.out` and `NAME.out.x`.
fn outputs(
    findings: &mut Findings<'_, '_>,
    known: &Known<'_, '_>,
    name: Name<'_>,
    output: Option<Name<'_>>,
    called: &HashSet<&str>,
) {
    if !called.contains(name.text) {
        let message = format!(
            "{0}.out is used, but {0} is not called in this workflow",
            name.text
        );
        findings.push(Rule::UndeclaredChannel, name.at, message);
        return;
    }
    let emits: &[&str] = match (
        known.processes.get(name.text),
        known.workflows.get(name.text),
    ) {
        (Some(process), _) => &process.emits,
        (None, Some(workflow)) => &workflow.emits,
        (None, None) => return,
    };
    if let Some(output) = output
        && !emits.is_empty()
        && !emits.contains(&output.text)
    {
        let hint = match meant(output.text, emits.iter().copied()) {
            Some(meant) => format!(": did you mean {meant}?"),
            None => String::new(),
        };
        let message = format!("{} emits no {}{hint}", name.text, output.text);
        findings.push(Rule::UnknownOutput, output.at, message);
    }
}

/// Results that nobody keeps.
fn publishing(findings: &mut Findings<'_, '_>, used: &HashSet<&str>) {
    let tree = findings.tree;
    if !tree.has_entry() || tree.publishes {
        return;
    }
    let mut kept: HashSet<&str> = HashSet::new();
    for workflow in &tree.workflows {
        let uses = workflow.flow.uses.iter();
        kept.extend(
            uses.filter(|found| goes_on(findings, found))
                .map(|found| found.name.text),
        );
    }
    for process in &tree.processes {
        let name = process.name.text;
        let published = process.directive("publishDir").is_some() || process.configured;
        if !published && !process.outputs.is_empty() && used.contains(name) && !kept.contains(name)
        {
            let message = format!("the outputs of process {name} are neither used nor published");
            findings.push(Rule::MissingPublishDir, process.at, message);
        }
    }
}

/// Whether something is done with what a use gives.
fn goes_on(findings: &Findings<'_, '_>, found: &Use<'_>) -> bool {
    let lexed = &findings.tree.lexed;
    let at = found.name.at;
    let takes = |at: usize| matches!(lexed.kind(at), Some(Kind::Dot | Kind::Pipe | Kind::Amp));
    let given = at.checked_sub(1).is_some_and(|before| {
        matches!(
            lexed.kind(before),
            Some(Kind::Assign | Kind::Paren | Kind::Comma | Kind::Bracket | Kind::Colon)
        )
    });
    match found.purpose {
        Purpose::Output(_) => true,
        Purpose::Call => given || takes(lexed.after(at + 1)),
        Purpose::Piped => given || takes(at + 1) || assigned(findings, at),
        Purpose::Value | Purpose::Mention => false,
    }
}

/// Whether the pipe that ends here began with an assignment.
fn assigned(findings: &Findings<'_, '_>, at: usize) -> bool {
    const FAR: usize = 128;
    let lexed = &findings.tree.lexed;
    let mut here = at;
    for _ in 0..FAR {
        let Some(before) = here.checked_sub(1) else {
            return false;
        };
        let token = lexed.tokens[before];
        match token.kind {
            Kind::Assign => return true,
            Kind::Close => here = token.mate as usize,
            kind if kind.opens() || kind == Kind::Semicolon => return false,
            _ => here = before,
        }
        let starts = lexed.tokens[here].first
            && !matches!(lexed.kind(here), Some(Kind::Pipe | Kind::Dot | Kind::Amp));
        let carried = here > 0 && matches!(lexed.kind(here - 1), Some(Kind::Pipe | Kind::Assign));
        if starts && !carried {
            return false;
        }
    }
    false
}
