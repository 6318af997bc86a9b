//! Every planned defect, planted in workflows of every analysis, is mended by its plan.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use std::collections::BTreeMap;

use super::repair;
use crate::workflow::catalogue::catalogue;
use crate::workflow::defect::{Defect, plant};
use crate::workflow::lint::lint;
use crate::workflow::plan::{Asked, Plan, plan};
use crate::workflow::writer::write;

fn plans() -> Vec<Plan> {
    let slots = BTreeMap::new();
    let names = catalogue()
        .analyses
        .iter()
        .map(|analysis| analysis.name.as_str());
    names
        .map(|name| {
            plan(&Asked {
                analysis_type: name,
                organism: "human",
                complexity: "simple",
                query: "",
                slots: &slots,
            })
            .unwrap()
        })
        .collect()
}

#[test]
fn every_defect_is_mended() {
    let (mut mended, mut restored) = (0, 0);
    for plan in plans() {
        let source = write(&plan).main_nf;
        for defect in Defect::ALL {
            for chance in 0..4 {
                let Some((spoilt, _)) = plant(defect, &source, chance) else {
                    continue;
                };
                let issues = lint(&spoilt);
                assert!(
                    !issues.is_empty(),
                    "{defect:?} in {} is not found",
                    plan.analysis_type
                );
                let text = repair(&plan, &spoilt, &issues);
                let left = lint(&text);
                assert!(
                    left.is_empty(),
                    "{defect:?} {chance} in {}: {issues:#?} became {left:#?}",
                    plan.analysis_type
                );
                mended += 1;
                restored += u32::from(text == source);
            }
        }
    }
    assert!(mended > 700, "only {mended} defects were planted");
    assert!(
        restored * 10 > mended * 8,
        "only {restored} of {mended} became the text that they had been"
    );
}

#[test]
fn what_no_issue_names_stays() {
    let plan = &plans()[0];
    let source = write(plan).main_nf.replace(
        "// Check read quality before trimming",
        "// A remark of mine",
    );
    let (spoilt, _) = plant(Defect::MissingContainer, &source, 1).unwrap();
    let text = repair(plan, &spoilt, &lint(&spoilt));
    assert_eq!(text, source);
    assert_eq!(repair(plan, &spoilt, &[]), spoilt);
}

#[test]
fn no_issue_lies_outside_a_text_that_has_no_parts() {
    let plan = &plans()[0];
    let issues = lint("process X {");
    assert_eq!(repair(plan, "process X {", &issues), write(plan).main_nf);
}
