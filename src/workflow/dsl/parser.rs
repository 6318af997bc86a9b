//! The top of a file: includes, parameters, functions, processes, workflows, and the code between them.

use super::{
    flow,
    lexer::{Lexed, lex},
    process,
    token::{Kind, Span},
    tree::{Flow, Name, Param, Section, Statement, Tree, Workflow, statement_end},
};

/// Reads a text. Whatever the text, there is a tree.
pub fn parse(text: &str) -> Tree<'_> {
    let mut tree = Tree {
        lexed: lex(text),
        included: Vec::new(),
        params: Vec::new(),
        functions: Vec::new(),
        processes: Vec::new(),
        workflows: Vec::new(),
        top: Flow::default(),
        dsl1: None,
        typed: false,
        publishes: false,
    };
    let (mut at, end) = (0, tree.lexed.tokens.len());
    while at < end {
        at = item(&mut tree, at, end);
    }
    tree.included = includes(&tree.lexed);
    for name in &tree.included {
        tree.top.bound.push(name.text);
    }
    params(&mut tree);
    tree
}

/// One thing at the top; gives the token after it.
fn item<'a>(tree: &mut Tree<'a>, at: usize, end: usize) -> usize {
    let lexed = &tree.lexed;
    let word = lexed.kind(at) == Some(Kind::Word);
    if !word {
        return code(tree, at, end);
    }
    match lexed.of(at) {
        "process" if lexed.kind(at + 2) == Some(Kind::Brace) => {
            let name = Name {
                text: lexed.inner(at + 1),
                at: at + 1,
            };
            let body = inside(lexed, at + 2);
            let process = process::process(lexed, at, name, body);
            tree.processes.push(process);
            lexed.after(at + 2)
        }
        "workflow" => match (lexed.kind(at + 1), lexed.kind(at + 2)) {
            (Some(Kind::Brace), _) => workflow(tree, at, None, at + 1),
            (Some(Kind::Word), Some(Kind::Brace)) => {
                let name = Name {
                    text: lexed.of(at + 1),
                    at: at + 1,
                };
                workflow(tree, at, Some(name), at + 2)
            }
            _ => code(tree, at, end),
        },
        "output" if lexed.kind(at + 1) == Some(Kind::Brace) => {
            tree.publishes = true;
            lexed.after(at + 1)
        }
        "params" if lexed.kind(at + 1) == Some(Kind::Brace) => {
            let block = inside(lexed, at + 1);
            let entries = statements(lexed, block);
            let declared = entries.iter().map(|entry| declared(lexed, entry));
            tree.params.extend(declared);
            lexed.after(at + 1)
        }
        _ => code(tree, at, end),
    }
}

/// What an opening and its closing hold.
pub(super) fn inside(lexed: &Lexed<'_>, open: usize) -> Span {
    let to = lexed
        .tokens
        .get(open)
        .map_or(open, |token| token.mate as usize);
    Span {
        from: (open + 1).min(to),
        to,
    }
}

/// The statements of a span, one after another.
pub(super) fn statements<'a>(lexed: &Lexed<'a>, span: Span) -> Vec<Statement<'a>> {
    let mut found = Vec::new();
    let mut at = span.from;
    while at < span.to {
        if matches!(lexed.kind(at), Some(Kind::Semicolon | Kind::Close)) {
            at += 1;
            continue;
        }
        let to = statement_end(lexed, at, span.to);
        let text = if lexed.kind(at) == Some(Kind::Word) {
            lexed.of(at)
        } else {
            ""
        };
        found.push(Statement {
            head: Name { text, at },
            span: Span { from: at, to },
        });
        at = to;
    }
    found
}

/// The labelled parts of a body; what stands before the first label has the empty one.
pub(super) fn sections<'a>(lexed: &Lexed<'a>, body: Span, labels: &[&str]) -> Vec<Section<'a>> {
    let mut found = vec![Section {
        label: "",
        at: body.from,
        span: body,
    }];
    let mut at = body.from;
    while at < body.to {
        let token = lexed.tokens[at];
        let starts = token.first || at == body.from || begins(lexed, at);
        if starts
            && token.kind == Kind::Word
            && lexed.kind(at + 1) == Some(Kind::Colon)
            && labels.contains(&lexed.of(at))
        {
            if let Some(last) = found.last_mut() {
                last.span.to = at;
            }
            found.push(Section {
                label: lexed.of(at),
                at,
                span: Span {
                    from: (at + 2).min(body.to),
                    to: body.to,
                },
            });
            at += 2;
            continue;
        }
        at = lexed.after(at);
    }
    found
}

fn begins(lexed: &Lexed<'_>, at: usize) -> bool {
    at > 0 && matches!(lexed.kind(at - 1), Some(Kind::Semicolon))
}

/// An entry of `params { }`: `name = value`, `name: Type = value`.
fn declared<'a>(lexed: &Lexed<'a>, entry: &Statement<'a>) -> Param<'a> {
    let assign = entry
        .span
        .indices()
        .find(|&at| lexed.kind(at) == Some(Kind::Assign));
    Param {
        name: entry.head,
        default: true,
        value: Span {
            from: assign.map_or(entry.span.to, |at| at + 1),
            to: entry.span.to,
        },
    }
}

const LABELS: [&str; 6] = ["take", "main", "emit", "publish", "onComplete", "onError"];

fn workflow<'a>(tree: &mut Tree<'a>, at: usize, name: Option<Name<'a>>, open: usize) -> usize {
    let lexed = &tree.lexed;
    let body = inside(lexed, open);
    let mut workflow = Workflow {
        name,
        at,
        body,
        sections: sections(lexed, body, &LABELS),
        takes: Vec::new(),
        emits: Vec::new(),
        flow: Flow::default(),
    };
    for section in workflow.sections.clone() {
        match section.label {
            "take" => {
                let names = statements(lexed, section.span);
                let names = names.iter().map(|name| name.head.text);
                workflow.takes.extend(names.clone());
                workflow.flow.bound.extend(names);
            }
            "emit" => {
                for statement in statements(lexed, section.span) {
                    workflow.emits.push(statement.head.text);
                }
                // `name = value` binds the name outside, and `name` alone uses it.
                flow::emitted(lexed, section.span, &mut workflow.flow);
            }
            "" | "main" => flow::walk(lexed, section.span, &mut workflow.flow),
            "publish" => {
                tree.publishes = true;
                flow::mentions(lexed, section.span, &mut workflow.flow);
            }
            _ => flow::mentions(lexed, section.span, &mut workflow.flow),
        }
    }
    tree.workflows.push(workflow);
    tree.lexed.after(open)
}

/// A statement of top-level code.
fn code(tree: &mut Tree<'_>, at: usize, end: usize) -> usize {
    let lexed = &tree.lexed;
    if matches!(lexed.kind(at), Some(Kind::Semicolon | Kind::Close)) {
        return at + 1;
    }
    if lexed.is(at, "nextflow") && lexed.is(at + 4, "dsl") && lexed.of(at + 6) == "1" {
        tree.dsl1 = Some(at + 6);
    }
    tree.typed |= lexed.is(at, "nextflow") && lexed.is(at + 4, "types");
    let to = statement_end(lexed, at, end);
    let span = Span { from: at, to };
    if let Some(function) = function(lexed, span) {
        tree.functions.push(function);
        return to;
    }
    flow::walk(lexed, span, &mut tree.top);
    to
}

/// `def name(..) {`, `String name(..) {`.
fn function<'a>(lexed: &Lexed<'a>, span: Span) -> Option<Name<'a>> {
    let words = span.indices().take(8);
    let paren = words
        .take_while(|&at| !matches!(lexed.kind(at), Some(Kind::Assign | Kind::Brace | Kind::Dot)))
        .find(|&at| lexed.kind(at) == Some(Kind::Paren))?;
    let named = paren >= span.from + 2 && lexed.kind(paren - 1) == Some(Kind::Word);
    let brace = lexed.after(paren);
    let defined = named && span.holds(brace) && lexed.kind(brace) == Some(Kind::Brace);
    defined.then(|| Name {
        text: lexed.of(paren - 1),
        at: paren - 1,
    })
}

/// Names that `include { A; B as C } from '..'` brings in, wherever it stands.
fn includes<'a>(lexed: &Lexed<'a>) -> Vec<Name<'a>> {
    let mut found = Vec::new();
    for at in 0..lexed.tokens.len() {
        if !lexed.is(at, "include") {
            continue;
        }
        if lexed.kind(at + 1) == Some(Kind::Brace) {
            let block = inside(lexed, at + 1);
            let flat = |at: &usize| lexed.kind(*at) != Some(Kind::Brace);
            for name in block.indices().take_while(flat) {
                let is_name = lexed.kind(name) == Some(Kind::Word) && !lexed.is(name, "as");
                if is_name && !lexed.is(name + 1, "as") {
                    found.push(Name {
                        text: lexed.of(name),
                        at: name,
                    });
                }
            }
        } else if lexed.is(at + 2, "from") {
            found.push(Name {
                text: lexed.of(at + 1),
                at: at + 1,
            });
        }
    }
    found
}

/// Every `params.name = value`, wherever it stands.
fn params(tree: &mut Tree<'_>) {
    let lexed = &tree.lexed;
    let mut to = 0;
    for at in 0..lexed.tokens.len() {
        let declares = lexed.kind(at + 3) == Some(Kind::Assign)
            && lexed.is(at, "params")
            && lexed.kind(at + 1) == Some(Kind::Dot);
        if !declares || lexed.kind(at + 2) != Some(Kind::Word) {
            continue;
        }
        if at >= to {
            to = statement_end(lexed, at, lexed.tokens.len());
        }
        let value = Span { from: at + 4, to };
        tree.params.push(Param {
            name: Name {
                text: lexed.of(at + 2),
                at: at + 2,
            },
            default: is_default(lexed, value),
            value,
        });
    }
}

/// A literal, a list or map with something in it, `null`, or a text with the project's directory in it. What a function
/// computes comes from settings that this file does not show.
fn is_default(lexed: &Lexed<'_>, value: Span) -> bool {
    match lexed.kind(value.from) {
        Some(Kind::Text(_) | Kind::Quoted(_) | Kind::Number) => true,
        Some(Kind::Bracket) => {
            let list = inside(lexed, value.from);
            list.indices().any(|at| lexed.kind(at) != Some(Kind::Colon))
        }
        Some(Kind::Word) => matches!(lexed.of(value.from), "true" | "false" | "null"),
        Some(Kind::Sign) => true,
        _ => false,
    }
}
