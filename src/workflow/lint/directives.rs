//! What a process must say about itself: container, resources, tag, outputs.

use super::{
    super::dsl::{
        token::{Kind, Span},
        tree::{Process, Statement},
    },
    Edit, Findings, Rule,
};

/// Any of these says what a task needs.
const RESOURCES: [&str; 6] = [
    "label",
    "cpus",
    "memory",
    "time",
    "accelerator",
    "machineType",
];

pub(super) fn check(findings: &mut Findings<'_, '_>, process: &Process<'_>) {
    let name = process.name.text;
    let native = process.section("exec").is_some();
    match process.directive("container") {
        None if !native => {
            let message = format!("process {name} has no container");
            findings.push(Rule::MissingContainer, process.at, message);
        }
        _ => {
            let images = process.directives.iter();
            for image in images.filter(|d| d.head.text == "container") {
                check_image(findings, image);
            }
        }
    }
    if process.outputs.is_empty() {
        let message = format!("process {name} declares no output");
        findings.push(Rule::MissingOutput, process.at, message);
    }
    if !RESOURCES
        .iter()
        .any(|word| process.directive(word).is_some())
    {
        let message = format!("process {name} says nothing about the resources it needs");
        let edit = insert(findings, process, "label 'process_medium'");
        push_fixable(findings, Rule::MissingResources, process, message, edit);
    }
    if let Some(key) = key(findings, process)
        && process.directive("tag").is_none()
    {
        let message = format!("process {name} has no tag: its tasks look alike in the log");
        let property = if key == "meta" { ".id" } else { "" };
        let edit = insert(findings, process, &format!("tag \"${{{key}{property}}}\""));
        push_fixable(findings, Rule::MissingTag, process, message, edit);
    }
}

fn push_fixable(
    findings: &mut Findings<'_, '_>,
    rule: Rule,
    process: &Process<'_>,
    message: String,
    edit: Edit,
) {
    let at = findings.tree.lexed.tokens[process.at].start as usize;
    findings.push_at(rule, at, message, vec![edit]);
}

/// A directive before everything else in a process, indented as what follows.
fn insert(findings: &Findings<'_, '_>, process: &Process<'_>, directive: &str) -> Edit {
    let lexed = &findings.tree.lexed;
    let brace = lexed.tokens[process.body.from.saturating_sub(1)].end as usize;
    let first = lexed.tokens.get(process.body.from);
    let first = first.filter(|token| token.first && process.body.from < process.body.to);
    let Some(token) = first else {
        return Edit {
            at: brace,
            remove: 0,
            insert: format!("\n    {directive}\n"),
        };
    };
    let at = token.start as usize;
    let line = lexed.text[brace..at].rsplit('\n').next().unwrap_or("");
    let indent = if line.trim().is_empty() { line } else { "    " };
    Edit {
        at,
        remove: 0,
        insert: format!("{directive}\n{indent}"),
    }
}

/// The key of the first tuple that has one: `tuple val(key), ..`.
fn key<'a>(findings: &Findings<'_, 'a>, process: &Process<'a>) -> Option<&'a str> {
    let lexed = &findings.tree.lexed;
    process.inputs.iter().find_map(|input| {
        let at = input.span.from;
        let tuple = matches!(input.head.text, "tuple" | "set");
        let keyed = tuple && lexed.is(at + 1, "val");
        let name = if lexed.kind(at + 2) == Some(Kind::Paren) {
            at + 3
        } else {
            at + 2
        };
        (keyed && lexed.kind(name) == Some(Kind::Word)).then(|| lexed.of(name))
    })
}

/// The images of a container directive: literals of a value, not of a comparison.
fn check_image(findings: &mut Findings<'_, '_>, image: &Statement<'_>) {
    let mut at = image.span.from + 1;
    while at < image.span.to {
        let lexed = &findings.tree.lexed;
        match lexed.kind(at) {
            Some(Kind::Text(_)) => {
                if !compared(findings, at) {
                    judge(findings, at, lexed.inner(at));
                }
                at += 1;
            }
            Some(Kind::Quoted(_)) => {
                let inside = Span {
                    from: at + 1,
                    to: lexed.tokens[at].mate as usize,
                };
                let literal = |at: &usize| {
                    lexed.kind(*at) == Some(Kind::Literal) && !lexed.of(*at).trim().is_empty()
                };
                let last = flat(findings, inside).filter(literal).last();
                match last {
                    // Only what stands after the last interpolation can be the tag.
                    Some(last) => {
                        if lexed.of(last).trim_end().ends_with(":latest") {
                            latest(findings, at, "latest");
                        }
                        at = lexed.after(at);
                    }
                    None => at += 1,
                }
            }
            // Arguments of a call are no images.
            Some(Kind::Paren)
                if lexed.kind(at - 1) == Some(Kind::Word) && at > image.span.from + 1 =>
            {
                at = lexed.after(at);
            }
            Some(Kind::Bracket) => at = lexed.after(at),
            _ => at += 1,
        }
    }
}

/// The tokens of a span, blocks skipped.
fn flat<'t>(findings: &'t Findings<'_, '_>, span: Span) -> impl Iterator<Item = usize> + 't {
    let lexed = &findings.tree.lexed;
    let mut at = span.from;
    std::iter::from_fn(move || {
        let here = at;
        at = lexed.after(at);
        (here < span.to).then_some(here)
    })
}

fn compared(findings: &Findings<'_, '_>, at: usize) -> bool {
    let lexed = &findings.tree.lexed;
    let compare = |at: usize| lexed.kind(at) == Some(Kind::Compare) || lexed.is(at, "in");
    compare(at - 1) || compare(at + 1)
}

fn judge(findings: &mut Findings<'_, '_>, at: usize, image: &str) {
    let image = image.trim();
    let file = image.starts_with(['/', '.'])
        || image.starts_with("file:")
        || [".sif", ".img", ".simg"]
            .iter()
            .any(|end| image.ends_with(end));
    if image.is_empty() || file || image.contains('@') {
        return;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        Some((_, "latest")) => latest(findings, at, "latest"),
        Some(_) => {}
        None if image.starts_with("http") => {}
        None => latest(findings, at, "none"),
    }
}

fn latest(findings: &mut Findings<'_, '_>, at: usize, tag: &str) {
    let message = match tag {
        "none" => "the container image has no tag: name a version",
        _ => "the container image has the tag latest: name a version",
    };
    findings.push(Rule::LatestTag, at, message.to_owned());
}
