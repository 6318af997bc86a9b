//! Code of workflows: which names it binds, and what it uses each name for.
//!
//! Closures are looked into only for what is bound and mentioned: their names live in scopes that a reader of one file
//! does not know. Blocks of `if`, `for` and `try` are ordinary code.

use super::{
    lexer::Lexed,
    parser::inside,
    token::{Kind, Span},
    tree::{Flow, Name, Purpose, Use},
};

/// Words that name nothing.
fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "if" | "else"
            | "for"
            | "while"
            | "do"
            | "in"
            | "as"
            | "instanceof"
            | "def"
            | "new"
            | "return"
            | "true"
            | "false"
            | "null"
            | "import"
            | "assert"
            | "try"
            | "catch"
            | "finally"
            | "throw"
            | "switch"
            | "case"
            | "default"
            | "break"
            | "continue"
            | "this"
            | "super"
            | "final"
            | "static"
            | "void"
            | "var"
            | "from"
            | "include"
    )
}

/// Tokens of the longest list of bound names that is read.
const LIST: usize = 64;

/// Reads code as statements of a workflow.
pub(super) fn walk<'a>(lexed: &Lexed<'a>, span: Span, flow: &mut Flow<'a>) {
    let mut at = span.from;
    while at < span.to {
        at = match lexed.kind(at) {
            Some(Kind::Word) => word(lexed, at, span, flow),
            Some(Kind::Brace) if !is_block(lexed, at) => {
                let block = inside(lexed, at);
                mentions(lexed, block, flow);
                lexed.after(at)
            }
            Some(Kind::Paren) => {
                if lexed.kind(lexed.after(at)) == Some(Kind::Assign) && begins(lexed, at, span) {
                    flow.bound.extend(words(lexed, inside(lexed, at)));
                }
                at + 1
            }
            _ => at + 1,
        };
    }
}

/// Statements of `emit:`: what is left of an equals sign names an output.
pub(super) fn emitted<'a>(lexed: &Lexed<'a>, span: Span, flow: &mut Flow<'a>) {
    let bound = flow.bound.len();
    walk(lexed, span, flow);
    flow.bound.truncate(bound);
}

/// Reads code whose names are not judged.
pub(super) fn mentions<'a>(lexed: &Lexed<'a>, span: Span, flow: &mut Flow<'a>) {
    for at in span.indices() {
        let named = match lexed.kind(at) {
            Some(Kind::Word) if !property(lexed, at) => lexed.of(at),
            Some(Kind::Name) => {
                let text = lexed.of(at).trim_start_matches('$');
                text.split('.').next().unwrap_or(text)
            }
            _ => continue,
        };
        bind(lexed, at, flow);
        let name = Name { text: named, at };
        let purpose = match output(lexed, at) {
            Some(name) => Purpose::Output(name),
            None => Purpose::Mention,
        };
        flow.uses.push(Use { name, purpose });
    }
}

/// Only what code binds: `x = ..`, `def x`, `{ a, b -> .. }`, `for (x in y)`.
pub(super) fn bindings<'a>(lexed: &Lexed<'a>, span: Span, flow: &mut Flow<'a>) {
    for at in span.indices() {
        match lexed.kind(at) {
            Some(Kind::Word) if !property(lexed, at) => {
                if lexed.kind(at + 1) == Some(Kind::Assign) {
                    flow.bound.push(lexed.of(at));
                }
                bind(lexed, at, flow);
            }
            Some(Kind::Arrow) => parameters(lexed, at, span.from, flow),
            _ => {}
        }
    }
}

/// Words before an arrow, back to the brace.
fn parameters<'a>(lexed: &Lexed<'a>, arrow: usize, from: usize, flow: &mut Flow<'a>) {
    let mut at = arrow;
    while at > from {
        at -= 1;
        match lexed.kind(at) {
            Some(Kind::Word) => flow.bound.push(lexed.of(at)),
            Some(Kind::Comma) => {}
            _ => return,
        }
    }
}

/// The words of a short list; nested ones would otherwise be read again on every level.
fn words<'a>(lexed: &Lexed<'a>, span: Span) -> impl Iterator<Item = &'a str> {
    span.indices()
        .take(LIST)
        .filter(|&at| lexed.kind(at) == Some(Kind::Word))
        .map(|at| lexed.of(at))
}

fn property(lexed: &Lexed<'_>, at: usize) -> bool {
    at > 0 && lexed.kind(at - 1) == Some(Kind::Dot)
}

/// Whether a statement begins here.
fn begins(lexed: &Lexed<'_>, at: usize, span: Span) -> bool {
    at == span.from
        || lexed.tokens[at].first
        || matches!(
            lexed.kind(at - 1),
            Some(Kind::Semicolon | Kind::Brace | Kind::Close)
        )
        || lexed.is(at - 1, "def")
        || lexed.is(at - 1, "else")
}

/// Whether a brace holds statements of the code around it.
fn is_block(lexed: &Lexed<'_>, brace: usize) -> bool {
    let Some(before) = brace.checked_sub(1) else {
        return true;
    };
    match lexed.kind(before) {
        Some(Kind::Word) => matches!(lexed.of(before), "else" | "try" | "finally" | "do"),
        Some(Kind::Close) => {
            let open = lexed.tokens[before].mate as usize;
            lexed.kind(open) == Some(Kind::Paren)
                && open > 0
                && matches!(
                    lexed.of(open - 1),
                    "if" | "for" | "while" | "switch" | "catch"
                )
        }
        _ => false,
    }
}

/// `def x`, `def (x, y)`, `for (x in ..)`, `for (T x : ..)`, `.set { x }`.
fn bind<'a>(lexed: &Lexed<'a>, at: usize, flow: &mut Flow<'a>) {
    match lexed.of(at) {
        "def" | "final" | "var" => match lexed.kind(at + 1) {
            Some(Kind::Word) => {
                // A typed one has its name after the type.
                flow.bound.push(lexed.of(at + 1));
                if lexed.kind(at + 2) == Some(Kind::Word) && !lexed.tokens[at + 2].first {
                    flow.bound.push(lexed.of(at + 2));
                }
            }
            Some(Kind::Paren) => flow.bound.extend(words(lexed, inside(lexed, at + 1))),
            _ => {}
        },
        "for" | "catch" if lexed.kind(at + 1) == Some(Kind::Paren) => {
            let head = inside(lexed, at + 1);
            let bound = head.indices().take(4);
            let bound =
                bound.take_while(|&at| lexed.kind(at) == Some(Kind::Word) && !lexed.is(at, "in"));
            flow.bound.extend(bound.map(|at| lexed.of(at)));
        }
        "set" | "tap" | "into" if lexed.kind(at + 1) == Some(Kind::Brace) => {
            flow.bound.extend(words(lexed, inside(lexed, at + 1)));
        }
        _ => {}
    }
}

/// What `NAME.out.name` names, if `.out` follows.
fn output<'a>(lexed: &Lexed<'a>, at: usize) -> Option<Option<Name<'a>>> {
    if lexed.kind(at + 1) != Some(Kind::Dot) || !lexed.is(at + 2, "out") {
        return None;
    }
    let named = lexed.kind(at + 3) == Some(Kind::Dot) && lexed.kind(at + 4) == Some(Kind::Word);
    let method = matches!(lexed.kind(at + 5), Some(Kind::Paren | Kind::Brace));
    Some((named && !method).then(|| Name {
        text: lexed.of(at + 4),
        at: at + 4,
    }))
}

/// A word of a workflow's code; gives the token to go on at.
fn word<'a>(lexed: &Lexed<'a>, at: usize, span: Span, flow: &mut Flow<'a>) -> usize {
    let text = lexed.of(at);
    let next = lexed.kind(at + 1);
    if property(lexed, at) {
        bind(lexed, at, flow);
        let binds = matches!(text, "set" | "tap" | "into") && next == Some(Kind::Brace);
        return if binds { lexed.after(at + 1) } else { at + 1 };
    }
    if text == "include" && next == Some(Kind::Brace) {
        return lexed.after(at + 1);
    }
    if matches!(text, "def" | "final" | "for" | "catch") {
        bind(lexed, at, flow);
        // The names of `def (a, b)` and the word after `def` are bound, not used.
        return match next {
            Some(Kind::Word) if text != "for" => at + 2,
            Some(Kind::Paren) if text != "for" => lexed.after(at + 1),
            _ => at + 1,
        };
    }
    if is_keyword(text) {
        let typed = matches!(text, "new" | "as" | "instanceof" | "import");
        return if typed { at + 2 } else { at + 1 };
    }
    let name = Name { text, at };
    if let Some(purpose) = purpose(lexed, at, span, flow) {
        flow.uses.push(Use { name, purpose });
    }
    let binds = matches!(text, "set" | "tap" | "into") && next == Some(Kind::Brace);
    if binds {
        bind(lexed, at, flow);
        return lexed.after(at + 1);
    }
    at + 1
}

/// What a word is used for; none where it names a key, a type or what is bound.
fn purpose<'a>(
    lexed: &Lexed<'a>,
    at: usize,
    span: Span,
    flow: &mut Flow<'a>,
) -> Option<Purpose<'a>> {
    let before = at.checked_sub(1).filter(|&b| b >= span.from);
    let before = before.and_then(|at| lexed.kind(at));
    let next = lexed.tokens.get(at + 1).filter(|_| at + 1 < span.to);
    let kind = next.map(|token| token.kind);
    let same_line = next.is_some_and(|token| !token.first);
    match kind {
        Some(Kind::Assign) => {
            flow.bound.push(lexed.of(at));
            return None;
        }
        // A key or label; after a question mark a value.
        Some(Kind::Colon) if before != Some(Kind::Question) => return None,
        Some(Kind::Paren) if same_line => return Some(Purpose::Call),
        // A type before a name, a function before its argument.
        Some(Kind::Word) if same_line && !is_keyword(lexed.of(at + 1)) => {
            return Some(Purpose::Mention);
        }
        Some(Kind::Text(_) | Kind::Quoted(_) | Kind::Number) if same_line => {
            return Some(Purpose::Mention);
        }
        _ => {}
    }
    if let Some(name) = output(lexed, at) {
        return Some(Purpose::Output(name));
    }
    let piped = |kind: Option<Kind>| matches!(kind, Some(Kind::Pipe | Kind::Amp));
    if piped(before) || piped(kind) {
        return Some(Purpose::Piped);
    }
    // `NAME { .. }` alone is a call of something with a closure.
    if kind == Some(Kind::Brace) && same_line {
        return Some(Purpose::Mention);
    }
    Some(Purpose::Value)
}
