//! Mending a workflow by its plan: the parts that findings name are taken from a fresh rendering, the rest stays as it is.
//!
//! A part is a process, the workflow, or the header before them. Where braces do not match there are no parts to tell apart:
//! then, and only then, all of it is rendered again.

use super::dsl::parse;
use super::lint::{Issue, Rule};
use super::plan::Plan;
use super::writer;

/// A part of the source.
#[derive(Debug)]
struct Part {
    /// First byte.
    start: usize,
    /// The byte after the last.
    end: usize,
    /// The process; none for a workflow.
    process: Option<String>,
}

/// What becomes of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
    Becomes(String),
}

/// Mends what the issues name.
pub fn repair(plan: &Plan, source: &str, issues: &[Issue]) -> String {
    if issues.is_empty() {
        return source.to_owned();
    }
    if issues.iter().any(|issue| issue.rule == Rule::UnclosedBlock) {
        return writer::main_nf(plan);
    }
    let parts = parts(source);
    let Some(first) = parts.first().map(|part| part.start) else {
        return writer::main_nf(plan);
    };
    let mut fates = vec![Fate::Stays; parts.len()];
    let mut header = false;
    for issue in issues {
        let at = offset(source, issue.line);
        let hit = parts
            .iter()
            .position(|part| part.start <= at && at < part.end);
        header |= hit.is_none() || issue.rule == Rule::ParamsUndeclared;
        if let Some(hit) = hit {
            fates[hit] = fate(plan, &parts, hit, issue.rule);
        }
        if matches!(
            issue.rule,
            Rule::UnknownOutput | Rule::UndefinedProcess | Rule::UndeclaredChannel
        ) {
            named(plan, &parts, line(source, issue.line), &mut fates);
        }
    }
    lost(plan, &parts, &mut fates);
    let head = &source[..first];
    let head = if header {
        format!("{}\n", writer::header(plan))
    } else {
        head.to_owned()
    };
    assemble(plan, source, &head, &parts, &fates)
}

/// The processes and workflows of a source, in order.
fn parts(source: &str) -> Vec<Part> {
    let tree = parse(source);
    let span = |from: usize, to: usize| {
        let start = tree
            .lexed
            .tokens
            .get(from)
            .map_or(0, |token| token.start as usize);
        let end = tree
            .lexed
            .tokens
            .get(to)
            .map_or(source.len(), |token| token.end as usize);
        (start, end)
    };
    let processes = tree.processes.iter().map(|process| {
        let (start, end) = span(process.at, process.body.to);
        Part {
            start,
            end,
            process: Some(process.name.text.to_owned()),
        }
    });
    let workflows = tree.workflows.iter().map(|workflow| {
        let (start, end) = span(workflow.at, workflow.body.to);
        Part {
            start,
            end,
            process: None,
        }
    });
    let mut parts: Vec<Part> = processes.chain(workflows).collect();
    parts.sort_by_key(|part| part.start);
    parts
}

/// What mends the part that an issue lies in.
fn fate(plan: &Plan, parts: &[Part], hit: usize, rule: Rule) -> Fate {
    let Some(name) = &parts[hit].process else {
        return Fate::Becomes(writer::workflow(plan).trim_end().to_owned());
    };
    let earlier = parts[..hit]
        .iter()
        .any(|part| part.process.as_ref() == Some(name));
    if earlier && rule == Rule::DuplicateProcess {
        return Fate::Goes;
    }
    match meant(plan, name) {
        Some(meant) if meant == name || !has(parts, meant) => fresh(meant),
        // A process that the plan does not know, beside the one it may have been meant to be.
        _ if rule == Rule::UnusedProcess => Fate::Goes,
        _ => Fate::Stays,
    }
}

/// Renews the processes that a line of the workflow names: their outputs may be what is wrong.
fn named(plan: &Plan, parts: &[Part], line: &str, fates: &mut [Fate]) {
    for word in line.split(|c: char| !c.is_alphanumeric() && c != '_') {
        let at = parts
            .iter()
            .position(|part| part.process.as_deref() == Some(word));
        if let Some(at) = at.filter(|_| plan.steps.iter().any(|step| step.process == word)) {
            fates[at] = fresh(word);
        }
    }
}

/// Where a process of the plan is gone, the one with the nearest name that the plan does not know is it.
fn lost(plan: &Plan, parts: &[Part], fates: &mut [Fate]) {
    for (at, part) in parts.iter().enumerate() {
        let Some(name) = &part.process else {
            continue;
        };
        let meant = meant(plan, name).filter(|meant| *meant != name && !has(parts, meant));
        if let Some(meant) = meant {
            fates[at] = fresh(meant);
        }
    }
}

fn has(parts: &[Part], name: &str) -> bool {
    parts
        .iter()
        .any(|part| part.process.as_deref() == Some(name))
}

fn fresh(name: &str) -> Fate {
    writer::process(name).map_or(Fate::Stays, |block| {
        Fate::Becomes(block.trim_end().to_owned())
    })
}

/// The process of the plan that a name means: itself, or the nearest.
fn meant<'a>(plan: &'a Plan, name: &str) -> Option<&'a str> {
    let names = plan.steps.iter().map(|step| step.process.as_str());
    let near = names
        .map(|known| (strsim::osa_distance(known, name), known))
        .min();
    near.filter(|(distance, known)| *distance <= known.len() / 3)
        .map(|(_, known)| known)
}

/// The source with each part as its fate wants it; processes of the plan that are nowhere come before the first workflow.
fn assemble(plan: &Plan, source: &str, head: &str, parts: &[Part], fates: &[Fate]) -> String {
    let mut text = String::with_capacity(source.len() + 4096);
    text.push_str(head);
    let there = |name: &str| {
        parts.iter().zip(fates).any(|(part, fate)| match fate {
            Fate::Becomes(block) => block.starts_with(&format!("process {name} ")),
            Fate::Stays => part.process.as_deref() == Some(name),
            Fate::Goes => false,
        })
    };
    let mut absent: Vec<&str> = plan
        .steps
        .iter()
        .map(|step| step.process.as_str())
        .filter(|name| !there(name))
        .collect();
    if !fates
        .iter()
        .zip(parts)
        .any(|(fate, part)| part.process.is_none() && *fate != Fate::Stays)
    {
        // The workflow stays, and with it whatever it calls.
        absent.clear();
    }
    let mut from = parts.first().map_or(0, |part| part.start);
    for (part, fate) in parts.iter().zip(fates) {
        text.push_str(&source[from..part.start]);
        if part.process.is_none() {
            for block in absent.drain(..).filter_map(writer::process) {
                text.push_str(block);
                text.push('\n');
            }
        }
        match fate {
            Fate::Stays => text.push_str(&source[part.start..part.end]),
            Fate::Becomes(block) => text.push_str(block),
            Fate::Goes => text.truncate(text.trim_end().len()),
        }
        from = part.end;
    }
    text.push_str(&source[from..]);
    text
}

/// The first byte of a line, counted from 1, behind its indentation.
fn offset(source: &str, line: u32) -> usize {
    let lines = source
        .split_inclusive('\n')
        .take(line.saturating_sub(1) as usize);
    let start: usize = lines.map(str::len).sum();
    let rest = &source[start..];
    start + (rest.len() - rest.trim_start_matches([' ', '\t']).len())
}

fn line(source: &str, number: u32) -> &str {
    source
        .lines()
        .nth(number.saturating_sub(1) as usize)
        .unwrap_or("")
}

#[cfg(test)]
mod tests;
