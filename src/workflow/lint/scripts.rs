//! Dollars in scripts: Groovy reads them before any shell does.

use super::{
    super::dsl::{
        token::{Kind, Quote, Span},
        tree::Process,
    },
    Edit, Findings, Rule, meant,
};
use std::collections::HashSet;

/// What Nextflow itself offers to a script.
fn is_offered(word: &str) -> bool {
    matches!(
        word,
        "task"
            | "workflow"
            | "params"
            | "nextflow"
            | "meta"
            | "projectDir"
            | "baseDir"
            | "launchDir"
            | "moduleDir"
            | "workDir"
            | "session"
            | "log"
            | "it"
    )
}

pub(super) fn check(findings: &mut Findings<'_, '_>, process: &Process<'_>) {
    let names: HashSet<&str> = process.names.iter().copied().collect();
    for section in &process.sections {
        let labelled = matches!(section.label, "script" | "stub" | "exec");
        if !labelled && !section.label.is_empty() {
            continue;
        }
        for at in section.span.indices() {
            let token = findings.tree.lexed.tokens[at];
            // A text that stands alone on its line, or that has many of them, is a script or a part of one.
            let script = match token.kind {
                Kind::Quoted(Quote::TripleDouble) => true,
                Kind::Quoted(Quote::Double) => labelled && token.first,
                _ => false,
            };
            if script {
                text(findings, at, &names);
            }
        }
    }
}

/// The dollars of one string.
fn text(findings: &mut Findings<'_, '_>, string: usize, names: &HashSet<&str>) {
    let tree = findings.tree;
    let lexed = &tree.lexed;
    let end = lexed.tokens[string].mate as usize;
    let mut at = string + 1;
    while at < end {
        let name = match lexed.kind(at) {
            Some(Kind::Shell) => Some(""),
            Some(Kind::Name) => {
                let name = lexed.of(at).trim_start_matches('$');
                Some(name.split('.').next().unwrap_or(name))
            }
            Some(Kind::Interp) => head(findings, at),
            _ => None,
        };
        if let Some(name) = name
            && !names.contains(name)
            && !findings.globals.contains(name)
            && !is_offered(name)
        {
            unescaped(findings, at, name, names);
        }
        at = lexed.after(at);
    }
}

/// The name that an interpolation begins with, if its value hangs on that.
fn head<'a>(findings: &Findings<'_, 'a>, interp: usize) -> Option<&'a str> {
    let lexed = &findings.tree.lexed;
    let inside = Span {
        from: interp + 1,
        to: lexed.tokens[interp].mate as usize,
    };
    let at = inside.from + usize::from(lexed.of(inside.from) == "!");
    if !inside.holds(at) || lexed.kind(at) != Some(Kind::Word) {
        return None;
    }
    let name = lexed.of(at);
    let next = lexed.kind(at + 1);
    let class = next == Some(Kind::Dot)
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.contains(|c: char| c.is_ascii_lowercase());
    let code = matches!(name, "new" | "true" | "false" | "null");
    (next != Some(Kind::Paren) && !class && !code).then_some(name)
}

fn unescaped(findings: &mut Findings<'_, '_>, at: usize, name: &str, names: &HashSet<&str>) {
    let lexed = &findings.tree.lexed;
    let start = lexed.tokens[at].start as usize;
    let known = (name.len() >= 4)
        .then(|| meant(name, names.iter().copied()))
        .flatten();
    if let Some(known) = known {
        let message =
            format!("nothing declares ${name}: did you mean ${known}? for the shell: \\${name}");
        findings.push_at(Rule::ShellVariableEscape, start, message, Vec::new());
        return;
    }
    let message = if name.is_empty() {
        "this dollar is the shell's: write \\$".to_owned()
    } else {
        format!("nothing declares ${name}: if it is the shell's, write \\${name}")
    };
    let escape = Edit {
        at: start,
        remove: 0,
        insert: "\\".to_owned(),
    };
    findings.push_at(Rule::ShellVariableEscape, start, message, vec![escape]);
}
