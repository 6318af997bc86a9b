//! Every defect, at every chance, in every workflow that offers it, however that is formatted: found, where it is said to be.

use super::{Defect, plant};
use crate::workflow::{
    dsl::{
        lex,
        token::{Kind, Quote},
    },
    fix::fix,
    lint::{Issue, Rule, lint},
};
use std::collections::BTreeMap;

const CLEAN: [(&str, &str); 5] = [
    (
        "rnaseq",
        include_str!("../../../tests/data/nextflow/rnaseq.nf"),
    ),
    (
        "module",
        include_str!("../../../tests/data/nextflow/module.nf"),
    ),
    (
        "pipes",
        include_str!("../../../tests/data/nextflow/pipes.nf"),
    ),
    (
        "heredocs",
        include_str!("../../../tests/data/nextflow/heredocs.nf"),
    ),
    (
        "subworkflows",
        include_str!("../../../tests/data/nextflow/subworkflows.nf"),
    ),
];

/// How often each place is asked for: more often than any of the workflows has places.
const CHANCES: u64 = 120;

/// The same workflow, written by somebody with other habits.
fn reformatted(text: &str, habit: u32) -> String {
    let lexed = lex(text);
    let (mut out, mut at, mut inside) = (String::new(), 0, 0);
    for (index, token) in lexed.tokens.iter().enumerate() {
        let (start, end) = (token.start as usize, token.end as usize);
        let gap = &text[at..start];
        if inside == 0 && token.first && habit & 1 != 0 && index > 0 {
            out += &gap.replace('\n', "   \n\n");
            out += "// a note: { ( \" ' $x ${y}\n\t  /* and\n another } */ ";
        } else if inside == 0 && token.first && habit & 2 != 0 && index > 0 {
            out += gap.trim_end_matches([' ', '\t']);
        } else {
            out += gap;
        }
        let body = text[start..end].get(1..end - start - 1).unwrap_or("");
        let plain = !body.contains(['\\', '\'', '"', '$']);
        match token.kind {
            Kind::Text(Quote::Single) if habit & 4 != 0 && plain => out += &format!("\"{body}\""),
            Kind::Text(Quote::Double) if habit & 4 != 0 && plain => out += &format!("'{body}'"),
            Kind::Comma if inside == 0 && habit & 8 != 0 => out += " ,\t ",
            _ => out += &text[start..end],
        }
        let opens = matches!(token.kind, Kind::Quoted(_));
        let closes = token.kind == Kind::Close
            && matches!(lexed.kind(token.mate as usize), Some(Kind::Quoted(_)));
        inside = inside + u32::from(opens) - u32::from(closes);
        at = end;
    }
    out += &text[at..];
    if habit & 16 != 0 {
        out = out.replace('\n', "\r\n");
    }
    out
}

fn said(issues: &[Issue]) -> Vec<(Rule, &str)> {
    issues
        .iter()
        .map(|issue| (issue.rule, &*issue.message))
        .collect()
}

#[test]
fn clean_workflows_have_no_finding_whatever_their_formatting() {
    for (name, text) in CLEAN {
        for habit in 0..32 {
            let text = reformatted(text, habit);
            assert_eq!(lint(&text), [], "{name}, habit {habit}:\n{text}");
            assert_eq!(fix(&text).text, text, "{name}");
        }
    }
}

#[test]
fn every_planted_defect_is_found_with_its_line_and_rule() {
    let mut places: BTreeMap<Defect, Vec<&str>> = BTreeMap::new();
    for (name, text) in CLEAN {
        for defect in Defect::ALL {
            for chance in 0..CHANCES {
                let Some((spoilt, planted)) = plant(defect, text, chance) else {
                    break;
                };
                places.entry(defect).or_default().push(name);
                let found = lint(&spoilt);
                let here =
                    |issue: &&Issue| issue.line == planted.line && issue.rule == planted.rule;
                let why = format!("{name} {defect:?} {chance} {planted:?}\n{found:#?}\n{spoilt}");
                assert!(found.iter().any(|issue| here(&issue)), "{why}");
                assert!(found.len() <= 3, "a hail of findings: {why}");
                assert_eq!(planted.rule, defect.rule(), "{why}");
                if defect == Defect::UnclosedBlock {
                    assert_eq!(found.len(), 1, "{why}");
                }
                assert_eq!(plant(defect, text, chance), Some((spoilt, planted)));
            }
        }
    }
    for defect in Defect::ALL {
        let mut workflows = places.remove(&defect).unwrap_or_default();
        workflows.dedup();
        println!("{defect:?}: {workflows:?}");
        assert!(!workflows.is_empty(), "no workflow offers {defect:?}");
    }
}

#[test]
fn a_defect_is_the_same_finding_whatever_the_formatting() {
    for (name, text) in CLEAN {
        for defect in Defect::ALL {
            for chance in 0..12 {
                let Some((spoilt, _)) = plant(defect, text, chance) else {
                    break;
                };
                if defect == Defect::UnclosedBlock {
                    continue;
                }
                for habit in [1, 2, 4, 8, 15, 31] {
                    let other = reformatted(&spoilt, habit);
                    let why = format!("{name} {defect:?} {chance}, habit {habit}\n{other}");
                    assert_eq!(said(&lint(&other)), said(&lint(&spoilt)), "{why}");
                }
            }
        }
    }
}

#[test]
fn a_defect_is_planted_and_found_in_reformatted_workflows_too() {
    for (name, text) in CLEAN {
        for habit in [1, 6, 8, 27] {
            let text = reformatted(text, habit);
            for defect in Defect::ALL {
                for chance in 0..8 {
                    let Some((spoilt, planted)) = plant(defect, &text, chance) else {
                        break;
                    };
                    let mut found = lint(&spoilt).into_iter();
                    let here =
                        |issue: Issue| (issue.line, issue.rule) == (planted.line, planted.rule);
                    assert!(
                        found.any(here),
                        "{name} {defect:?} {chance} {habit}\n{spoilt}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_fixable_is_mended_once_and_nothing_else_comes_of_it() {
    let mut mended = 0;
    for (name, text) in CLEAN {
        for first in Defect::ALL {
            for second in Defect::ALL {
                let Some((one, _)) = plant(first, text, 3) else {
                    continue;
                };
                let (two, _) = plant(second, &one, 5).unwrap_or((one, lint_line(first)));
                let before = lint(&two);
                let fixed = fix(&two);
                let after = lint(&fixed.text);
                let why = format!("{name} {first:?} {second:?}\n{}", fixed.text);
                assert!(after.iter().all(|issue| !issue.auto_fixable), "{why}");
                let old: Vec<_> = before
                    .into_iter()
                    .filter(|issue| !issue.auto_fixable)
                    .collect();
                assert_eq!(said(&after), said(&old), "{why}");
                assert_eq!(fix(&fixed.text).text, fixed.text, "{why}");
                assert_eq!(fixed.fixed.is_empty(), fixed.text == two, "{why}");
                mended += fixed.fixed.len();
            }
        }
    }
    assert!(mended > 100, "only {mended} findings were mended");
}

fn lint_line(defect: Defect) -> super::Planted {
    super::Planted {
        defect,
        rule: defect.rule(),
        line: 0,
    }
}
