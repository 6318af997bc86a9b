//! What holds of whatever is learned from whatever runs.

use super::*;
use proptest::prelude::{Strategy, prop};
use proptest::{prop_assert, prop_assert_eq, proptest, test_runner::Config as ProptestConfig};

/// Runs over small sets of values, so that they repeat and contradict each other.
fn any_runs() -> impl Strategy<Value = Vec<Experiment>> {
    let value = (
        0..4_i64,
        0..4_i64,
        0..3_i64,
        0..3_usize,
        0..7_usize,
        0..3_usize,
    );
    prop::collection::vec(value, 0..40).prop_map(|all| {
        let each = all
            .into_iter()
            .enumerate()
            .map(|(at, (r, batch, rate, word, end, model))| {
                let word = ["adam", "sgd", "lion"][word];
                let mut config = format!(
                    "r={} batch_size={} learning_rate=0.{rate} opt={word} knob={end}",
                    8 << r,
                    1 << batch
                );
                config += ["", " model=a", " model=b"][model];
                let cause = [
                    None,
                    None,
                    None,
                    Some(Memory),
                    Some(Stability),
                    Some(Program),
                    Some(Node),
                ][end];
                ran(&format!("e{at:02}"), &config, cause)
            });
        each.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn learning_does_not_depend_on_the_order_nor_on_repetition(all in any_runs(), turn in 0..40_usize) {
        let found = learned(&all, &Rules::default());
        let mut turned = all.clone();
        turned.rotate_left(turn % all.len().max(1));
        prop_assert_eq!(&learned(&turned, &Rules::default()), &found);
        turned.reverse();
        turned.extend(all.iter().take(turn).cloned());
        prop_assert_eq!(&learned(&turned, &Rules::default()), &found);
    }

    #[test]
    fn nothing_that_completed_is_forbidden_and_what_is_hard_has_its_evidence(all in any_runs()) {
        let rules = Rules { baseline: set("r=8 batch_size=1 learning_rate=0.0 opt=adam"), ..Rules::default() };
        let found = learned(&all, &rules);
        for one in &all {
            let model = one.config.get("model").map(Value::to_string).unwrap_or_default();
            let broken = check(&found, &one.config, &model);
            prop_assert!(one.status != Status::Completed || broken.is_empty(), "{:?}", broken);
        }
        for model in ["", "a", "b"] {
            prop_assert_eq!(check(&found, &rules.baseline, model), vec![]);
        }
        for one in &found {
            prop_assert!(one.strength == Strength::Soft || one.evidence.len() >= 2);
            prop_assert_eq!(one.expires_at, Some(Timestamp(91 * DAY)));
            for id in &one.evidence {
                let failed = all.iter().find(|run| run.experiment_id == *id).unwrap();
                prop_assert!(one.broken_in(&failed.config));
                prop_assert_eq!(failed.failure.as_ref().map(|failure| failure.cause), one.cause);
            }
        }
        prop_assert_eq!(contradictions(&found, &Schema::default()), vec![]);
    }

    #[test]
    fn what_passes_the_check_breaks_nothing(all in any_runs(), r in 0..80_i64, batch in 0..9_i64, word in 0..3_usize) {
        let found = learned(&all, &Rules::default());
        let values = set(&format!("r={r} batch_size={batch} learning_rate=0.1 opt={}", ["adam", "sgd", "lion"][word]));
        let broken = check(&found, &values, "a");
        for one in found.iter().filter(|one| one.is_for("a")) {
            let allowed = one.bounds.iter().any(|bound| !bound.broken_in(&values));
            prop_assert_eq!(allowed, broken.iter().all(|violation| violation.constraint != one.id));
        }
    }

    #[test]
    fn a_success_removes_what_forbade_it(all in any_runs()) {
        for one in learned(&all, &Rules::default()) {
            let failed = all.iter().find(|run| run.experiment_id == one.evidence[0]).unwrap();
            let mut more = all.clone();
            let mut worked = failed.clone();
            (worked.experiment_id, worked.status, worked.failure) = ("z".into(), Status::Completed, None);
            more.push(worked);
            let model = failed.config.get("model").map(Value::to_string).unwrap_or_default();
            prop_assert_eq!(check(&learned(&more, &Rules::default()), &failed.config, &model), vec![]);
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same(all in any_runs(), text in "[a-z '`%.()=0-9-]{0,9}", low in -9..9_i64, width in 0..9_i64) {
        for one in learned(&all, &Rules::default()) {
            prop_assert_eq!(parse(&one.text(), &one.scope, NOW).unwrap().bounds, one.bounds);
        }
        let bound = Bound {
            parameter: if text.is_empty() { "p".into() } else { text.clone() },
            low: Some(low as f64),
            high: Some((low + width + 1) as f64 / 3.0 + 9.0),
            open: width % 2 == 0,
            not: vec![Value::Text(format!("x{text}")), Value::Flag(true), Value::Whole(width)],
            only: Vec::new(),
        };
        prop_assert_eq!(parse(&bound.to_string(), ANY, NOW).unwrap().bounds, vec![bound]);
    }
}
