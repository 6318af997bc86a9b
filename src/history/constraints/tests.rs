//! What is learned from failures, what is refused for it, and what persons rule.

use super::{super::tests::one, *};
mod persons;
mod properties;

use crate::{
    history::{Experiment, Failure, Status},
    parameters::{Assignment, Domain, Parameter, Schema, Value},
};

const DAY: i64 = 86_400_000;
const NOW: Timestamp = Timestamp(10 * DAY);

/// `r=8 optimizer=adam`.
fn set(text: &str) -> Assignment {
    let pairs = text
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.into(), value.parse().unwrap()))
        .collect()
}

fn ran(id: &str, config: &str, cause: Option<FailureCause>) -> Experiment {
    let status = if cause.is_some() {
        Status::Failed
    } else {
        Status::Completed
    };
    let mut made = one(id, 1, status, 0.5, DAY);
    made.config = set(config);
    made.failure = cause.map(|cause| Failure {
        cause,
        text: "said so".into(),
    });
    made
}

/// Runs by their settings; `!` before those that failed of the cause.
fn runs(cause: FailureCause, all: &[&str]) -> Vec<Experiment> {
    let each = all
        .iter()
        .enumerate()
        .map(|(at, text)| match text.strip_prefix('!') {
            Some(text) => ran(&format!("e{at}"), text, Some(cause)),
            None => ran(&format!("e{at}"), text, None),
        });
    each.collect()
}

fn learned(all: &[Experiment], rules: &Rules) -> Vec<Constraint> {
    learn(&all.iter().collect::<Vec<_>>(), NOW, rules)
}

/// `hard r < 16` of what these runs teach by the ordinary rules.
fn taught(cause: FailureCause, all: &[&str]) -> Vec<String> {
    let said = learned(&runs(cause, all), &Rules::default()).into_iter();
    said.map(|one| format!("{} {}", one.strength, one.text()))
        .collect()
}

use FailureCause::{Memory, Node, Program, Stability, TimeLimit};

#[test]
fn one_failure_is_soft_and_two_are_hard() {
    assert_eq!(
        taught(Memory, &["batch_size=16", "!batch_size=32"]),
        ["soft batch_size < 32"]
    );
    let all = ["batch_size=16", "!batch_size=64", "!batch_size=32"];
    assert_eq!(taught(Memory, &all), ["hard batch_size < 32"]);
    let one = &learned(&runs(Memory, &all), &Rules::default())[0];
    assert_eq!(
        (one.scope.as_str(), one.cause, one.origin),
        (ANY, Some(Memory), Origin::Learned)
    );
    assert_eq!(
        (one.evidence.as_slice(), one.counter_evidence),
        (["e1".to_string(), "e2".into()].as_slice(), 0)
    );
    assert!((one.confidence - 0.05_f64.cbrt()).abs() < 1e-9);
    assert_eq!(
        (one.learned_at, one.expires_at),
        (Timestamp(DAY), Some(Timestamp(91 * DAY)))
    );
    assert_eq!(
        one.reason,
        "2 runs ran out of memory without batch_size < 32; 1 completed outside"
    );
}

#[test]
fn attempts_at_one_proposal_are_one_failure() {
    let mut all = runs(
        Memory,
        &["batch_size=16", "!batch_size=64", "!batch_size=32"],
    );
    all[1].proposal = Some("p1".into());
    all[2].proposal = Some("p1".into());
    assert_eq!(learned(&all, &Rules::default())[0].strength, Strength::Soft);
}

#[test]
fn a_success_in_the_region_removes_or_shrinks_it() {
    let two = ["r=8", "!r=64", "!r=32"];
    assert_eq!(taught(Memory, &two), ["hard r < 32"]);
    assert_eq!(
        taught(Memory, &[&two[..], &["r=48"]].concat()),
        ["soft r < 64"]
    );
    assert_eq!(
        taught(Memory, &[&two[..], &["r=64"]].concat()),
        Vec::<String>::new()
    );
}

#[test]
fn two_parameters_together_are_a_joint_region() {
    let all = [
        "batch_size=32 max_seq_length=1024",
        "batch_size=4 max_seq_length=8192",
        "!batch_size=16 max_seq_length=4096",
        "!batch_size=32 max_seq_length=4096",
        "!batch_size=16 max_seq_length=8192",
    ];
    assert_eq!(
        taught(Memory, &all),
        ["hard batch_size < 16 or max_seq_length < 4096"]
    );
    let found = learned(&runs(Memory, &all), &Rules::default());
    let broken = |text: &str| check(&found, &set(text), "m").len();
    assert_eq!(broken("batch_size=16 max_seq_length=4096"), 1);
    assert_eq!(broken("batch_size=64 max_seq_length=2048"), 0);
    assert_eq!(broken("batch_size=64"), 0, "what is not set breaks nothing");
}

#[test]
fn of_what_explains_as_much_the_region_that_forbids_least_is_taken() {
    let all = [
        "batch_size=16 r=8",
        "!batch_size=32 r=64",
        "!batch_size=32 r=64",
    ];
    assert_eq!(taught(Memory, &all), ["hard batch_size < 32 or r < 64"]);
    let all = [&all[..], &["!batch_size=32 r=8"]].concat();
    assert_eq!(taught(Memory, &all), ["hard batch_size < 32"]);
}

#[test]
fn each_cause_teaches_about_what_it_is_about() {
    let all = [
        "learning_rate=1e-4 r=8 epochs=1",
        "!learning_rate=0.1 r=64 epochs=9",
        "!learning_rate=0.05 r=32 epochs=5",
    ];
    assert_eq!(taught(Memory, &all), ["hard r < 32"]);
    assert_eq!(taught(Stability, &all), ["hard learning_rate < 0.05"]);
    assert_eq!(taught(TimeLimit, &all), ["hard epochs < 5 or r < 32"]);
    assert_eq!(taught(Node, &all), Vec::<String>::new());
    assert_eq!(taught(Program, &all), Vec::<String>::new());
    let mut unknown = runs(Memory, &all);
    unknown.iter_mut().for_each(|one| one.failure = None);
    assert_eq!(learned(&unknown, &Rules::default()), []);
    let mut cancelled = runs(Memory, &all);
    cancelled
        .iter_mut()
        .skip(1)
        .for_each(|one| one.status = Status::Cancelled);
    assert_eq!(learned(&cancelled, &Rules::default()), []);
}

#[test]
fn any_parameter_is_learned_about_if_chance_does_not_explain_it() {
    let few = ["knob=1", "knob=2", "!knob=7", "!knob=8"];
    assert_eq!(
        taught(Memory, &few),
        Vec::<String>::new(),
        "two of four by chance"
    );
    let many = [
        "knob=1", "knob=2", "knob=3", "knob=4", "knob=5", "!knob=7", "!knob=8", "!knob=9",
    ];
    assert_eq!(taught(Memory, &many), ["hard knob < 7"]);
    let small = many.map(|text| {
        if text.starts_with('!') {
            "!knob=0.5"
        } else {
            text
        }
    });
    assert_eq!(taught(Memory, &small), ["hard knob > 0.5"]);
    let words = many.map(|text| {
        if text.starts_with('!') {
            "!checkpointing=false"
        } else {
            "checkpointing=true"
        }
    });
    assert_eq!(taught(Memory, &words), ["hard checkpointing != false"]);
    let mixed = [
        "batch_size=32 gc=true",
        "batch_size=64 gc=true",
        "batch_size=48 gc=true",
        "batch_size=33 gc=true",
        "batch_size=40 gc=true",
        "batch_size=4 gc=false",
        "!batch_size=32 gc=false",
        "!batch_size=64 gc=false",
        "!batch_size=32 gc=false",
    ];
    assert_eq!(
        taught(Memory, &mixed),
        ["hard batch_size < 32 or gc != false"]
    );
    let seed = many.map(|text| text.replace("knob", "seed"));
    assert_eq!(
        taught(Memory, &seed.each_ref().map(String::as_str)),
        Vec::<String>::new()
    );
}

#[test]
fn a_program_error_teaches_about_a_word_that_always_fails_when_others_do_not() {
    let all = ["opt=adam", "opt=adam", "opt=sgd", "!opt=lion", "!opt=lion"];
    assert_eq!(taught(Program, &all), ["hard opt != lion"]);
    assert_eq!(taught(Program, &all[..4]), ["soft opt != lion"]);
    assert_eq!(
        taught(Program, &[&all[..], &["opt=lion"]].concat()),
        Vec::<String>::new()
    );
    let all_fail = ["!opt=adam", "!opt=sgd", "!opt=lion", "!opt=lion", "opt=rms"];
    assert_eq!(
        taught(Program, &all_fail),
        Vec::<String>::new(),
        "the data are wrong, not the word"
    );
    let model = ["model=a", "model=a", "!model=b", "!model=b"];
    assert_eq!(taught(Program, &model), ["hard model != b"]);
}

#[test]
fn models_learn_for_themselves() {
    let mut all = runs(
        Memory,
        &[
            "r=8 model=a",
            "!r=16 model=a",
            "!r=16 model=a",
            "r=64 model=b",
        ],
    );
    let found = learned(&all, &Rules::default());
    assert_eq!(
        (found.len(), found[0].scope.as_str(), found[0].text()),
        (1, "a", "r < 16".into())
    );
    assert_eq!(check(&found, &set("r=16"), "a").len(), 1);
    assert_eq!(check(&found, &set("r=16"), "b").len(), 0);
    all[3]
        .config
        .insert("model".into(), Value::Text("a".into()));
    assert_eq!(learned(&all, &Rules::default()), []);
}

#[test]
fn without_anything_that_completed_nothing_is_hard() {
    assert_eq!(
        taught(Memory, &["!r=8 batch_size=4", "!r=16 batch_size=2"]),
        ["soft batch_size < 2 or r < 8"]
    );
}

#[test]
fn the_baseline_and_some_of_each_domain_stay_possible() {
    let all = runs(Memory, &["r=8", "!r=64", "!r=32"]);
    let rules = Rules {
        baseline: set("r=40"),
        ..Rules::default()
    };
    let found = learned(&all, &rules);
    assert_eq!(
        (found[0].text().as_str(), found[0].strength),
        ("r < 64", Strength::Soft)
    );
    let rules = Rules {
        baseline: set("r=64"),
        ..Rules::default()
    };
    assert_eq!(learned(&all, &rules), []);
    let of = |domain: &str| {
        let parameter = Parameter {
            name: "r".into(),
            domain: Domain::parse(domain).unwrap(),
            about: String::new(),
        };
        let schema = Schema {
            parameters: vec![parameter],
            sums: Vec::new(),
        };
        learned(
            &all,
            &Rules {
                schema,
                ..Rules::default()
            },
        )
        .len()
    };
    assert_eq!(
        (of("8..64:int"), of("32..64:int"), of("32,64"), of("16,64")),
        (1, 0, 0, 1)
    );
}

#[test]
fn what_has_no_new_evidence_is_forgotten() {
    let all = runs(Memory, &["r=8", "!r=64", "!r=32"]);
    let at = |days: i64| {
        learn(
            &all.iter().collect::<Vec<_>>(),
            Timestamp(days * DAY),
            &Rules::default(),
        )
        .len()
    };
    assert_eq!((at(90), at(91)), (1, 0));
    let found = learned(&all, &Rules::default());
    assert_eq!(
        (
            in_force(&found, Timestamp(90 * DAY)).len(),
            in_force(&found, Timestamp(91 * DAY)).len()
        ),
        (1, 0)
    );
}

#[test]
fn a_violation_names_parameter_value_bound_and_evidence() {
    let found = learned(&runs(Memory, &["r=8", "!r=64", "!r=32"]), &Rules::default());
    let said = check(&found, &set("r=32"), "any model");
    let expected = format!(
        "r = 32 breaks r < 32 ({}): 2 runs (e1, e2) ran out of memory",
        found[0].id
    );
    assert_eq!(
        (said[0].text.as_str(), said[0].strength),
        (expected.as_str(), Strength::Hard)
    );
    assert_eq!(
        (said[0].parameters.as_slice(), said[0].evidence.len()),
        (["r".to_string()].as_slice(), 2)
    );
    assert_eq!(check(&found, &set("r=31.5"), "x"), []);
    let nan = Assignment::from([("r".into(), Value::Number(f64::NAN))]);
    assert_eq!(
        check(&found, &nan, "x").len(),
        1,
        "no number is no way past a bound"
    );
    assert_eq!(check(&found, &set("r=auto"), "x"), []);
}

#[test]
fn the_same_lesson_has_the_same_id_and_another_has_another() {
    let id = |all: &[&str]| learned(&runs(Memory, all), &Rules::default())[0].id.clone();
    assert_eq!(id(&["r=8", "!r=64", "!r=32"]), id(&["r=4", "r=8", "!r=32"]));
    assert_ne!(id(&["r=8", "!r=32"]), id(&["r=8", "!r=16"]));
    let (a, b) = (
        parse("r < 16", ANY, NOW).unwrap(),
        parse("r < 16", "m", NOW).unwrap(),
    );
    assert_ne!(a.id, b.id);
    assert_eq!(a.id, parse("not r>=16.0", ANY, Timestamp(3)).unwrap().id);
}

#[test]
fn they_are_stored_as_json() {
    let all = runs(Memory, &["r=8 opt=a", "!r=64 opt=b", "!r=32 opt=b"]);
    let found = learned(&all, &Rules::default());
    let written = serde_json::to_string(&found).unwrap();
    assert_eq!(
        serde_json::from_str::<Vec<Constraint>>(&written).unwrap(),
        found
    );
    assert!(written.contains(r#""strength":"hard""#) && written.contains(r#""cause":"memory""#));
    let act = r#"{"add":{"text":"r <= 8","model":null,"strength":"soft"}}"#;
    let read: Act = serde_json::from_str(act).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), act);
}
