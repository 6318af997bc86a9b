//! What a file declares and uses, with the place of everything: what the rules read.

use super::{
    lexer::Lexed,
    token::{Kind, Span},
};

/// A name and its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// As written.
    pub text: &'a str,
    /// The token.
    pub at: usize,
}

/// A directive or a declaration: its first word and all its tokens, that word included.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// The first word; empty where there is none.
    pub head: Name<'a>,
    /// All of it.
    pub span: Span,
}

impl Statement<'_> {
    /// What comes after the first word.
    pub fn arguments(&self) -> Span {
        Span {
            from: self.span.from + 1,
            to: self.span.to,
        }
    }
}

/// A labelled part of a process or workflow.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// `input`, `script`, `take`, `main` ...
    pub label: &'a str,
    /// The label's token.
    pub at: usize,
    /// Its content.
    pub span: Span,
}

/// A process.
#[derive(Debug)]
pub struct Process<'a> {
    /// What it is called.
    pub name: Name<'a>,
    /// The word `process`.
    pub at: usize,
    /// What its braces hold.
    pub body: Span,
    /// Directives, those inside `if` and `else` too.
    pub directives: Vec<Statement<'a>>,
    /// Its labelled parts, in order.
    pub sections: Vec<Section<'a>>,
    /// Declarations of `input:`.
    pub inputs: Vec<Statement<'a>>,
    /// Declarations of `output:`.
    pub outputs: Vec<Statement<'a>>,
    /// Names that its code may use: inputs and whatever it assigns.
    pub names: Vec<&'a str>,
    /// Names of `emit:`.
    pub emits: Vec<&'a str>,
    /// Whether its settings come from a configuration: it reads `task.ext`.
    pub configured: bool,
}

impl<'a> Process<'a> {
    /// The first directive of a name.
    pub fn directive(&self, name: &str) -> Option<&Statement<'a>> {
        self.directives.iter().find(|found| found.head.text == name)
    }

    /// The first part of a label.
    pub fn section(&self, label: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|found| found.label == label)
    }
}

/// What a name is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// `NAME(...)`.
    Call,
    /// An operand of `|` or `&`.
    Piped,
    /// `NAME.out`, perhaps with the output's name.
    Output(Option<Name<'a>>),
    /// A value.
    Value,
    /// Inside a closure or a bare command: a mention that is not judged.
    Mention,
}

/// One use of a name.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// The name.
    pub name: Name<'a>,
    /// What for.
    pub purpose: Purpose<'a>,
}

/// Names that code binds and uses.
#[derive(Debug, Default)]
pub struct Flow<'a> {
    /// Bound by an assignment, `set`, `def`, a loop.
    pub bound: Vec<&'a str>,
    /// Used, in order.
    pub uses: Vec<Use<'a>>,
}

/// A workflow.
#[derive(Debug)]
pub struct Workflow<'a> {
    /// What it is called; the entry workflow has no name.
    pub name: Option<Name<'a>>,
    /// The word `workflow`.
    pub at: usize,
    /// What its braces hold.
    pub body: Span,
    /// Its labelled parts, in order.
    pub sections: Vec<Section<'a>>,
    /// Names of `take:`.
    pub takes: Vec<&'a str>,
    /// Names of `emit:`.
    pub emits: Vec<&'a str>,
    /// What its code binds and uses.
    pub flow: Flow<'a>,
}

impl<'a> Workflow<'a> {
    /// The first part of a label.
    pub fn section(&self, label: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|found| found.label == label)
    }
}

/// `params.name = value`, or an entry of `params { }`.
#[derive(Clone, Copy, Debug)]
pub struct Param<'a> {
    /// The name.
    pub name: Name<'a>,
    /// Whether the value is a default written here, not computed from settings elsewhere.
    pub default: bool,
    /// The tokens of the value.
    pub value: Span,
}

/// A file.
#[derive(Debug)]
pub struct Tree<'a> {
    /// Its tokens.
    pub lexed: Lexed<'a>,
    /// Names that includes bring in.
    pub included: Vec<Name<'a>>,
    /// Parameters that it declares.
    pub params: Vec<Param<'a>>,
    /// Functions that it defines.
    pub functions: Vec<Name<'a>>,
    /// Its processes, in order.
    pub processes: Vec<Process<'a>>,
    /// Its workflows, in order.
    pub workflows: Vec<Workflow<'a>>,
    /// The top-level code.
    pub top: Flow<'a>,
    /// The value's token of `nextflow.enable.dsl = 1`.
    pub dsl1: Option<usize>,
    /// Whether `nextflow.enable.types` is set: declarations then have a syntax of their own.
    pub typed: bool,
    /// Whether there is an `output { }` block.
    pub publishes: bool,
}

impl Tree<'_> {
    /// Whether a workflow starts here: the file is no module.
    pub fn has_entry(&self) -> bool {
        self.workflows.iter().any(|found| found.name.is_none())
    }

    /// The end of the statement that begins at a token: a line's end that nothing carries on, or a semicolon.
    pub fn statement_end(&self, from: usize, to: usize) -> usize {
        statement_end(&self.lexed, from, to)
    }
}

pub(super) fn statement_end(lexed: &Lexed<'_>, from: usize, to: usize) -> usize {
    let mut at = from;
    loop {
        at = lexed.after(at);
        if at >= to {
            return to;
        }
        let (last, next) = (lexed.tokens[at - 1], lexed.tokens[at]);
        if matches!(next.kind, Kind::Semicolon | Kind::Close)
            || (next.first && !carries_on(last.kind, next.kind))
        {
            return at;
        }
    }
}

/// Whether a line's end between two tokens ends no statement.
fn carries_on(last: Kind, next: Kind) -> bool {
    use Kind::{Amp, Assign, Colon, Comma, Compare, Dot, Elvis, Logic, Pipe, Question, Sign};
    let after = matches!(
        last,
        Amp | Assign | Colon | Comma | Compare | Dot | Elvis | Logic | Pipe | Question | Sign
    );
    let before = matches!(
        next,
        Amp | Assign | Colon | Comma | Compare | Dot | Elvis | Logic | Pipe | Question
    );
    after || before
}
