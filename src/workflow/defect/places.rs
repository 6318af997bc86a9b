//! Where a text offers a defect, and the edits that plant it there: found in the tree, so that the formatting is of no matter.

use super::{
    super::{
        dsl::{
            token::{Kind, Quote, Span},
            tree::{Name, Process, Purpose, Tree, Use},
        },
        lint::Edit,
    },
    Defect,
};

/// The edits of one place, in the order of the text.
type Place = Vec<Edit>;

pub(super) fn places(defect: Defect, tree: &Tree<'_>, chance: u64) -> Vec<Place> {
    let each = |place: &dyn Fn(&Process<'_>) -> Option<Place>| -> Vec<Place> {
        tree.processes.iter().filter_map(place).collect()
    };
    match defect {
        Defect::MissingContainer => each(&|p| without(tree, p, &["container"])),
        Defect::MissingTag => each(&|p| without(tree, p, &["tag"])),
        Defect::MissingPublishDir => each(&|p| without(tree, p, &["publishDir"])),
        Defect::MissingResources => each(&|p| {
            let words = [
                "label",
                "cpus",
                "memory",
                "time",
                "accelerator",
                "machineType",
            ];
            without(tree, p, &words)
        }),
        Defect::MissingOutput => each(&|p| without_outputs(tree, p)),
        Defect::WrongMemory => each(&|p| wrong_memory(tree, p, chance)),
        Defect::DuplicateProcess => each(&|p| again(tree, p, "")),
        Defect::UnusedProcess => each(&|p| again(tree, p, "_EXTRA")),
        Defect::UnclosedBlock => unclosed(tree),
        Defect::LatestTag => latest(tree),
        Defect::Dsl1Syntax => dsl1(tree),
        Defect::HardcodedPath => paths(tree),
        Defect::ShellVariableUnescaped => unescaped(tree),
        Defect::ParamsUndeclared => params(tree),
        Defect::MissingInclude => includes(tree),
        Defect::UndeclaredChannel => renamed(tree, |found| {
            let value = found.purpose == Purpose::Value && found.name.text != "params";
            value.then(|| (found.name, format!("{}_raw", found.name.text)))
        }),
        Defect::ProcessNameTypo => renamed(tree, |found| {
            let called = matches!(found.purpose, Purpose::Call | Purpose::Piped);
            let upper = found
                .name
                .text
                .starts_with(|c: char| c.is_ascii_uppercase());
            (called && upper).then(|| (found.name, misspelt(found.name.text)))
        }),
        Defect::OutputNameTypo => renamed(tree, |found| match found.purpose {
            Purpose::Output(Some(name)) => Some((name, misspelt(name.text))),
            _ => None,
        }),
    }
}

fn start(tree: &Tree<'_>, at: usize) -> usize {
    tree.lexed
        .tokens
        .get(at)
        .map_or(tree.lexed.text.len(), |token| token.start as usize)
}

fn end(tree: &Tree<'_>, at: usize) -> usize {
    tree.lexed
        .tokens
        .get(at)
        .map_or(tree.lexed.text.len(), |token| token.end as usize)
}

fn replace(tree: &Tree<'_>, at: usize, insert: String) -> Edit {
    Edit {
        at: start(tree, at),
        remove: end(tree, at) - start(tree, at),
        insert,
    }
}

/// Takes tokens away, and their lines where nothing else is on them.
fn cut(tree: &Tree<'_>, span: Span) -> Edit {
    let text = tree.lexed.text;
    let (mut from, mut to) = (start(tree, span.from), end(tree, span.to.saturating_sub(1)));
    let line = text[..from].rfind('\n').map_or(0, |at| at + 1);
    let rest = text[to..].find('\n').map_or(text.len(), |at| to + at + 1);
    if text[line..from].trim().is_empty() && text[to..rest].trim().is_empty() {
        (from, to) = (line, rest);
    }
    Edit {
        at: from,
        remove: to - from,
        insert: String::new(),
    }
}

/// A process without some of its directives; none if it has none of them, or has them under a condition.
fn without(tree: &Tree<'_>, process: &Process<'_>, words: &[&str]) -> Option<Place> {
    let found = process
        .directives
        .iter()
        .filter(|d| words.contains(&d.head.text));
    let edits: Place = found.map(|directive| cut(tree, directive.span)).collect();
    let conditional = process.directive("if").is_some();
    (!edits.is_empty() && !conditional).then_some(edits)
}

fn without_outputs(tree: &Tree<'_>, process: &Process<'_>) -> Option<Place> {
    let section = process.section("output")?;
    let span = Span {
        from: section.at,
        to: section.span.to,
    };
    Some(vec![cut(tree, span)])
}

fn wrong_memory(tree: &Tree<'_>, process: &Process<'_>, chance: u64) -> Option<Place> {
    const WRONG: [&str; 3] = ["'0 GB'", "'64000 GB'", "'8 GigaBits'"];
    // Another part of the chance than the one that picks the place.
    let wrong = WRONG[(chance / 7 % 3) as usize];
    if let Some(memory) = process.directive("memory") {
        let value = memory.arguments();
        let at = start(tree, value.from);
        let remove = end(tree, value.to - 1).checked_sub(at)?;
        return Some(vec![Edit {
            at,
            remove,
            insert: wrong.into(),
        }]);
    }
    let label = process.directive("label").or(process.directives.first())?;
    let at = start(tree, label.head.at);
    let before = &tree.lexed.text[..at];
    let indent = before
        .rsplit('\n')
        .next()
        .filter(|line| line.trim().is_empty())?;
    Some(vec![Edit {
        at,
        remove: 0,
        insert: format!("memory {wrong}\n{indent}"),
    }])
}

/// A process once more, its name with something at its end.
fn again(tree: &Tree<'_>, process: &Process<'_>, suffix: &str) -> Option<Place> {
    let text = tree.lexed.text;
    let (from, to) = (start(tree, process.at), end(tree, process.body.to));
    let name = end(tree, process.name.at);
    let copy = format!(
        "\n\n{}{suffix}{}\n",
        text.get(from..name)?,
        text.get(name..to)?
    );
    Some(vec![Edit {
        at: to,
        remove: 0,
        insert: copy,
    }])
}

fn unclosed(tree: &Tree<'_>) -> Vec<Place> {
    let bodies = tree.processes.iter().map(|process| process.body);
    let bodies = bodies.chain(tree.workflows.iter().map(|workflow| workflow.body));
    bodies
        .map(|body| {
            vec![cut(
                tree,
                Span {
                    from: body.to,
                    to: body.to + 1,
                },
            )]
        })
        .collect()
}

fn latest(tree: &Tree<'_>) -> Vec<Place> {
    let lexed = &tree.lexed;
    let directives = tree
        .processes
        .iter()
        .flat_map(|process| &process.directives);
    let images = directives.filter(|d| d.head.text == "container");
    let tokens = images.flat_map(|image| image.span.indices());
    let tagged = tokens.filter_map(|at| {
        let text = lexed.of(at);
        if !matches!(lexed.kind(at), Some(Kind::Text(_) | Kind::Literal)) {
            return None;
        }
        let colon = text.rfind(':')?;
        let tag = text[colon + 1..].trim_end_matches(['\'', '"']).trim_end();
        let named = !tag.is_empty() && !tag.contains('/') && !text.contains('@');
        named.then(|| {
            vec![Edit {
                at: start(tree, at) + colon + 1,
                remove: tag.len(),
                insert: "latest".into(),
            }]
        })
    });
    tagged.collect()
}

fn dsl1(tree: &Tree<'_>) -> Vec<Place> {
    let lexed = &tree.lexed;
    let inputs = tree.processes.iter().flat_map(|process| &process.inputs);
    let old = inputs.filter_map(|input| {
        let head = match input.head.text {
            "tuple" => "set",
            "path" => "file",
            _ => return None,
        };
        let words = input.span.indices().skip(1).filter(|&at| {
            head == "set" && lexed.is(at, "path") && lexed.kind(at + 1) == Some(Kind::Paren)
        });
        let mut place = vec![replace(tree, input.head.at, head.into())];
        place.extend(words.map(|at| replace(tree, at, "file".into())));
        Some(place)
    });
    old.collect()
}

/// Defaults of parameters, and inputs that a script names.
fn paths(tree: &Tree<'_>) -> Vec<Place> {
    let lexed = &tree.lexed;
    let mut found: Vec<Place> = Vec::new();
    for param in &tree.params {
        let at = param.value.from;
        if let Some(Kind::Text(_) | Kind::Quoted(_)) = lexed.kind(at)
            && lexed.after(at) == param.value.to
        {
            let from = start(tree, at);
            found.push(vec![Edit {
                at: from,
                remove: end(tree, param.value.to - 1) - from,
                insert: format!("'/home/researcher/project/{}'", param.name.text),
            }]);
        }
    }
    for process in &tree.processes {
        let script = process
            .section("script")
            .map_or(Span::default(), |section| section.span);
        for at in script.indices() {
            let name = match lexed.kind(at) {
                Some(Kind::Name) => lexed.of(at).trim_start_matches('$'),
                Some(Kind::Interp) if lexed.after(at) == at + 3 => lexed.of(at + 1),
                _ => continue,
            };
            let input = process.inputs.iter().any(|input| {
                let names = input.span.indices().skip(1);
                names.into_iter().any(|at| lexed.is(at, name))
            });
            let from = start(tree, at);
            let apart = lexed.text[..from].ends_with([' ', '\n', '\'', '"', '=']);
            if input && apart {
                found.push(vec![Edit {
                    at: from,
                    remove: end(tree, lexed.after(at) - 1) - from,
                    insert: format!("/home/researcher/project/{name}"),
                }]);
            }
        }
    }
    found
}

/// Every `\$` of a script.
fn unescaped(tree: &Tree<'_>) -> Vec<Place> {
    let lexed = &tree.lexed;
    let mut found = Vec::new();
    let sections = tree.processes.iter().flat_map(|process| &process.sections);
    for section in sections.filter(|section| matches!(section.label, "script" | "stub")) {
        let mut triple = false;
        for at in section.span.indices() {
            match lexed.kind(at) {
                Some(Kind::Quoted(quote)) => triple = quote == Quote::TripleDouble,
                Some(Kind::Literal) if triple => {}
                Some(Kind::Text(Quote::TripleDouble)) => {}
                _ => continue,
            }
            let text = lexed.of(at);
            for (dollar, _) in text.match_indices('$') {
                let slashes = text[..dollar]
                    .bytes()
                    .rev()
                    .take_while(|&b| b == b'\\')
                    .count();
                if slashes % 2 == 1 {
                    found.push(vec![Edit {
                        at: start(tree, at) + dollar - 1,
                        remove: 1,
                        insert: String::new(),
                    }]);
                }
            }
        }
    }
    found
}

fn params(tree: &Tree<'_>) -> Vec<Place> {
    let lexed = &tree.lexed;
    let reads = (0..lexed.tokens.len()).filter(|&at| {
        lexed.is(at, "params")
            && lexed.kind(at + 1) == Some(Kind::Dot)
            && lexed.kind(at + 2) == Some(Kind::Word)
            && lexed.kind(at + 3) != Some(Kind::Assign)
    });
    reads
        .map(|at| vec![replace(tree, at + 2, misspelt(lexed.of(at + 2)))])
        .collect()
}

fn includes(tree: &Tree<'_>) -> Vec<Place> {
    let lexed = &tree.lexed;
    let includes = (0..lexed.tokens.len())
        .filter(|&at| lexed.is(at, "include") && lexed.kind(at + 1) == Some(Kind::Brace));
    let whole = includes.filter_map(|at| {
        let from = lexed.after(at + 1);
        let span = Span {
            from: at,
            to: from + 2,
        };
        lexed.is(from, "from").then(|| vec![cut(tree, span)])
    });
    whole.collect()
}

fn renamed(
    tree: &Tree<'_>,
    new: impl for<'a> Fn(&Use<'a>) -> Option<(Name<'a>, String)>,
) -> Vec<Place> {
    let uses = tree
        .workflows
        .iter()
        .flat_map(|workflow| &workflow.flow.uses);
    let named = uses.filter_map(|found| {
        let (name, text) = new(found)?;
        Some(vec![replace(tree, name.at, text)])
    });
    named.collect()
}

/// Two letters in the wrong order, or one too many where all are alike.
fn misspelt(name: &str) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    let pairs = 1..letters.len().saturating_sub(1);
    match pairs.into_iter().find(|&at| letters[at] != letters[at + 1]) {
        Some(at) => letters.swap(at, at + 1),
        None => letters.push('x'),
    }
    letters.into_iter().collect()
}
