//! Workflows that nobody meant to write: the linter, the fixer and the planter give an answer, with places in the text.

use crate::{
    mutation::{anything, mutated},
    property::{Seen, holds},
};
use campaignd::workflow::{
    defect::{Defect, plant},
    dsl::lex,
    fix::fix,
    lint::lint,
};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestCaseResult};

const WORKFLOWS: [&str; 5] = [
    include_str!("../data/nextflow/rnaseq.nf"),
    include_str!("../data/nextflow/module.nf"),
    include_str!("../data/nextflow/pipes.nf"),
    include_str!("../data/nextflow/heredocs.nf"),
    include_str!("../data/nextflow/subworkflows.nf"),
];

/// Pieces that mean something to the lexer or to a rule.
const PIECES: [&str; 44] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "'",
    "\"",
    "'''",
    "\"\"\"",
    "${",
    "$",
    "$x",
    "$/",
    "/$",
    "/",
    "//",
    "/*",
    "*/",
    "\\",
    "\n",
    "process A {",
    "workflow {",
    "input:",
    "output:",
    "script:",
    "set val(x), file(y)",
    "tuple val(k), path(r)",
    "file x",
    "container 'a'",
    "memory '0 GB'",
    "params.x = ",
    "params { ",
    "include { A as B }",
    " from ",
    "| A |",
    "A.out.b",
    "x = ",
    "def (a, b)",
    ".set { c }",
    "a, b -> ",
    "é",
    "\r\n",
    "${x:-y}",
];

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    vec(select(&PIECES[..]), 0..60).prop_map(|pieces| pieces.join(" ").into_bytes())
}

fn workflows() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => select(&WORKFLOWS[..]).prop_flat_map(|text| mutated(text.as_bytes().to_vec())),
        3 => pieces(),
        1 => anything(),
    ]
}

fn judged(bytes: &[u8], seen: &Seen) -> TestCaseResult {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split('\n').count();
    let issues = lint(&text);
    seen.note(if issues.is_empty() {
        "clean"
    } else {
        "findings"
    });
    for issue in &issues {
        prop_assert!(
            (1..=lines).contains(&(issue.line as usize)),
            "{issue:?} of {lines} lines"
        );
        prop_assert!(issue.column >= 1);
    }
    let sorted = issues.windows(2).all(|pair| {
        let place = |at: usize| (pair[at].line, pair[at].column, pair[at].rule);
        place(0) < place(1)
    });
    prop_assert!(sorted, "{issues:?}");
    let steps = lex(&text).steps;
    prop_assert!(
        steps <= 4 * text.len() as u64 + 16,
        "{steps} steps for {} bytes",
        text.len()
    );
    Ok(())
}

#[test]
fn any_text_is_judged() {
    holds(
        "any_text_is_judged",
        1,
        &["clean", "findings"],
        workflows(),
        |bytes, seen| judged(&bytes, seen),
    );
}

#[test]
fn mending_ends_and_is_done_once() {
    holds(
        "mending_ends",
        1,
        &["mended", "as it was"],
        workflows(),
        |bytes, seen| {
            let text = String::from_utf8_lossy(&bytes);
            let fixed = fix(&text);
            seen.note(if fixed.fixed.is_empty() {
                "as it was"
            } else {
                "mended"
            });
            let left = lint(&fixed.text);
            prop_assert!(
                left.iter().all(|issue| !issue.auto_fixable),
                "{left:?}\n{}",
                fixed.text
            );
            prop_assert_eq!(&fix(&fixed.text).text, &fixed.text);
            Ok(())
        },
    );
}

#[test]
fn a_planted_defect_is_where_it_is_said_to_be() {
    let input = (workflows(), select(&Defect::ALL[..]), any::<u64>());
    holds(
        "a_planted_defect",
        1,
        &["planted", "no place"],
        input,
        |(bytes, defect, chance), seen| {
            let text = String::from_utf8_lossy(&bytes);
            match plant(defect, &text, chance) {
                None => seen.note("no place"),
                Some((spoilt, planted)) => {
                    seen.note("planted");
                    let found = lint(&spoilt);
                    let here = found
                        .iter()
                        .any(|issue| (issue.line, issue.rule) == (planted.line, planted.rule));
                    prop_assert!(here, "{planted:?}\n{spoilt}");
                }
            }
            Ok(())
        },
    );
}
