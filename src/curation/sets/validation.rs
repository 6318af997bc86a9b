//! Validation: workflows with what is wrong with them, and mended ones with which nothing is.

use super::{
    Numbered,
    chat::{messages, numbered},
    columns::{field, flag, int, object, text},
    review::Review,
};
use crate::{
    curation::{
        schema::{Field, Type},
        words::DataSet,
    },
    trajectory::TrajectoryRecord,
    workflow::lint::Issue,
};
use serde_json::json;

pub(super) fn fields() -> Vec<Field> {
    let issue = Type::Struct(vec![int("line"), text("type"), text("message")]);
    vec![
        text("code"),
        field("issues", Type::List(Box::new(issue))),
        text("severity"),
        flag("auto_fixable"),
        text("planned_defect"),
        int("planned_line"),
    ]
}

/// A workflow to review, with its number, what is wrong with it, and what a model said of it.
pub(super) struct Case<'a> {
    pub n: usize,
    pub code: &'a str,
    pub issues: &'a [Issue],
    pub feedback: Option<&'a str>,
}

/// The faulty drafts, and the last version where it was mended: about as many clean as faulty ones, of the same kind.
///
/// A draft without findings was turned down for its plan. Of its code nothing wrong is known, and it is not right either.
pub(super) fn cases(of: &TrajectoryRecord) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = (of.drafts.iter().enumerate())
        .filter(|(_, draft)| !draft.issues.is_empty())
        .map(|(n, draft)| Case {
            n,
            code: &draft.code,
            issues: &draft.issues,
            feedback: draft.feedback.as_deref(),
        })
        .collect();
    let mended = (of.generated_code.as_deref()).filter(|_| of.final_validation_passed);
    if let (Some(code), false) = (mended, cases.is_empty()) {
        cases.push(Case {
            n: of.drafts.len(),
            code,
            issues: &[],
            feedback: None,
        });
    }
    cases
}

pub(super) fn rows(of: &TrajectoryRecord) -> Vec<Numbered> {
    let row = |case: Case<'_>| {
        let review = Review::of(case.issues);
        // A defect is planned into the first version alone.
        let planned = of.planned_defect.as_ref().filter(|_| case.n == 0);
        let said = messages(DataSet::Validation, &numbered(case.code), &review.answer());
        let row = json!({
            "messages": said,
            "code": case.code,
            "issues": review.issues,
            "severity": review.severity,
            "auto_fixable": review.auto_fixable,
            "planned_defect": planned.map(|defect| defect.kind),
            "planned_line": planned.map(|defect| defect.line).filter(|line| *line > 0),
        });
        (case.n, object(row))
    };
    cases(of).into_iter().map(row).collect()
}
