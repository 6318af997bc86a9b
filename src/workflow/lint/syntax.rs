//! What Nextflow's first language wrote otherwise.

use super::{
    super::dsl::{
        token::{Kind, Span},
        tree::{Process, Statement},
    },
    Edit, Findings, Rule,
};

pub(super) fn check(findings: &mut Findings<'_, '_>, process: &Process<'_>) {
    for declaration in process.inputs.iter().chain(&process.outputs) {
        declared(findings, declaration);
    }
}

/// A declaration: one finding, mended if nothing but words must change.
fn declared(findings: &mut Findings<'_, '_>, declaration: &Statement<'_>) {
    let tree = findings.tree;
    let lexed = &tree.lexed;
    let span = declaration.span;
    let linked = span
        .indices()
        .skip(1)
        .find(|&at| matches!(lexed.of(at), "from" | "into") && links(findings, at, span));
    let head = declaration.head.text;
    let words: Vec<(usize, &str)> = match head {
        "set" => vec![(span.from, "tuple")],
        "file" if !tree.typed && !named(findings, span) => vec![(span.from, "path")],
        _ => Vec::new(),
    };
    let tuple =
        head == "set" || (head == "tuple" && lexed.kind(span.from + 1) != Some(Kind::Paren));
    let files = span.indices().skip(1).filter(|&at| {
        let starts = matches!(lexed.kind(at - 1), Some(Kind::Comma | Kind::Word));
        tuple && lexed.is(at, "file") && starts && lexed.kind(at + 1) == Some(Kind::Paren)
    });
    let files: Vec<usize> = if tree.typed {
        Vec::new()
    } else {
        files.collect()
    };
    let start = lexed.tokens[span.from].start as usize;
    if let Some(link) = linked {
        let message = format!(
            "`{}` links channels inside a process as DSL1 did: call the process with them in a workflow",
            lexed.of(link)
        );
        findings.push_at(Rule::Dsl1Syntax, start, message, Vec::new());
        return;
    }
    if words.is_empty() && files.is_empty() {
        return;
    }
    let old = if words.is_empty() { "file" } else { head };
    let new = if old == "set" { "tuple" } else { "path" };
    let mut edits: Vec<Edit> = words
        .iter()
        .map(|&(at, new)| replace(findings, at, new))
        .collect();
    edits.extend(files.iter().map(|&at| replace(findings, at, "path")));
    if head == "set" {
        edits.extend(bare(findings, declaration.arguments()));
    }
    edits.sort_by_key(|edit| edit.at);
    let message = format!("`{old}` is DSL1: write `{new}`");
    findings.push_at(Rule::Dsl1Syntax, start, message, edits);
}

/// Whether `from` or `into` stands between a declaration and a channel.
fn links(findings: &Findings<'_, '_>, at: usize, span: Span) -> bool {
    let lexed = &findings.tree.lexed;
    let after = at + 1 < span.to
        && matches!(
            lexed.kind(at + 1),
            Some(Kind::Word | Kind::Bracket | Kind::Paren | Kind::Text(_) | Kind::Number)
        );
    let before = matches!(
        lexed.kind(at - 1),
        Some(Kind::Word | Kind::Close | Kind::Text(_))
    );
    lexed.kind(at) == Some(Kind::Word) && after && before
}

/// `file = ..` and `file: ..` name something.
fn named(findings: &Findings<'_, '_>, span: Span) -> bool {
    matches!(
        findings.tree.lexed.kind(span.from + 1),
        Some(Kind::Assign | Kind::Colon | Kind::Dot)
    )
}

fn replace(findings: &Findings<'_, '_>, at: usize, new: &str) -> Edit {
    let lexed = &findings.tree.lexed;
    Edit {
        at: lexed.tokens[at].start as usize,
        remove: lexed.of(at).len(),
        insert: new.to_owned(),
    }
}

/// Bare names of a `set`, which a tuple wants in `val(..)`.
fn bare(findings: &Findings<'_, '_>, span: Span) -> Vec<Edit> {
    let lexed = &findings.tree.lexed;
    let mut edits = Vec::new();
    let mut at = span.from;
    while at < span.to {
        let ends = at + 1 >= span.to || lexed.kind(at + 1) == Some(Kind::Comma);
        let begins = at == span.from || lexed.kind(at - 1) == Some(Kind::Comma);
        let word = lexed.kind(at) == Some(Kind::Word);
        if word && begins && ends && !matches!(lexed.of(at), "stdin" | "stdout") {
            edits.push(replace(findings, at, &format!("val({})", lexed.of(at))));
        }
        at = lexed.after(at);
    }
    edits
}

pub(super) fn check_file(findings: &mut Findings<'_, '_>) {
    let tree = findings.tree;
    let lexed = &tree.lexed;
    if let Some(at) = tree.dsl1 {
        let message = "DSL1 is gone from Nextflow: nextflow.enable.dsl = 2";
        findings.push(Rule::Dsl1Syntax, at, message.to_owned());
    }
    for at in 0..lexed.tokens.len() {
        if lexed.kind(at) != Some(Kind::Dot) {
            continue;
        }
        let created = matches!(lexed.of(at + 1), "create")
            && at > 0
            && matches!(lexed.of(at - 1), "Channel" | "channel");
        let split = lexed.of(at + 1) == "into" && lexed.kind(at + 2) == Some(Kind::Brace);
        if created || split {
            let message = if created {
                "Channel.create is DSL1: assign what an operator or a process gives"
            } else {
                "into is DSL1: a channel may be read as often as you like"
            };
            findings.push(Rule::Dsl1Syntax, at + 1, message.to_owned());
        }
    }
}
