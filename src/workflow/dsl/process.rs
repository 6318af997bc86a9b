//! A process block: directives, declarations, and the names that its code may use.

use super::{
    flow,
    lexer::Lexed,
    parser::{sections, statements},
    token::{Kind, Span},
    tree::{Flow, Name, Process, Statement, statement_end},
};

const LABELS: [&str; 9] = [
    "input", "output", "stage", "topic", "when", "script", "shell", "exec", "stub",
];

pub(super) fn process<'a>(lexed: &Lexed<'a>, at: usize, name: Name<'a>, body: Span) -> Process<'a> {
    let mut process = Process {
        name,
        at,
        body,
        directives: Vec::new(),
        sections: sections(lexed, body, &LABELS),
        inputs: Vec::new(),
        outputs: Vec::new(),
        names: Vec::new(),
        emits: Vec::new(),
        configured: configured(lexed, body),
    };
    let mut flow = Flow::default();
    for section in process.sections.clone() {
        match section.label {
            "" => process.directives = directives(lexed, section.span),
            "input" => {
                process.inputs = statements(lexed, section.span);
                process.names.extend(words(lexed, section.span));
            }
            "output" => {
                process.outputs = statements(lexed, section.span);
                process.emits = emits(lexed, section.span);
            }
            "script" | "shell" | "exec" | "stub" | "when" => {
                flow::bindings(lexed, section.span, &mut flow);
            }
            _ => {}
        }
    }
    // A script may stand without a label, after the directives.
    if let Some(first) = process.sections.first() {
        flow::bindings(lexed, first.span, &mut flow);
    }
    process.names.append(&mut flow.bound);
    process
}

/// Statements of the part before the first label; those in `if` and `else` blocks count.
fn directives<'a>(lexed: &Lexed<'a>, span: Span) -> Vec<Statement<'a>> {
    let mut found = Vec::new();
    let mut at = span.from;
    while at < span.to {
        match lexed.kind(at) {
            Some(Kind::Word) if lexed.is(at, "else") => at += 1,
            Some(Kind::Word) if lexed.is(at, "if") && lexed.kind(at + 1) == Some(Kind::Paren) => {
                at = lexed.after(at + 1);
            }
            Some(Kind::Word) => {
                let to = statement_end(lexed, at, span.to);
                found.push(Statement {
                    head: Name {
                        text: lexed.of(at),
                        at,
                    },
                    span: Span { from: at, to },
                });
                at = to;
            }
            // The block of an `if`: in.
            Some(Kind::Brace) => at += 1,
            _ => at = lexed.after(at),
        }
    }
    found
}

/// Every word that is no property: names of inputs, and a few keywords that harm nobody.
fn words<'a>(lexed: &Lexed<'a>, span: Span) -> impl Iterator<Item = &'a str> {
    span.indices().filter_map(move |at| {
        let word = lexed.kind(at) == Some(Kind::Word) && lexed.kind(at - 1) != Some(Kind::Dot);
        word.then(|| lexed.of(at))
    })
}

fn emits<'a>(lexed: &Lexed<'a>, span: Span) -> Vec<&'a str> {
    let named = span
        .indices()
        .filter(|&at| lexed.is(at, "emit") && lexed.kind(at + 1) == Some(Kind::Colon));
    named.map(|at| lexed.inner(at + 2)).collect()
}

/// `task.ext`, as code or in a string.
fn configured(lexed: &Lexed<'_>, body: Span) -> bool {
    body.indices().any(|at| match lexed.kind(at) {
        Some(Kind::Word) => lexed.is(at, "task") && lexed.is(at + 2, "ext"),
        Some(Kind::Name) => lexed.of(at).starts_with("$task.ext"),
        _ => false,
    })
}
