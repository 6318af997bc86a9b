//! The tables and the code beside them agree: each name on one side is on the other, everything can be reached and ends.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use campaignd::machines::{
    campaign, job,
    table::{Entry, EventName, Guard, Table, tables},
    training_run, trajectory,
};
use std::collections::BTreeSet;

fn names<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|word| name(*word)).collect()
}

fn all() -> Vec<(&'static Table, Vec<&'static str>)> {
    let tables = tables();
    vec![
        (
            &tables.campaign,
            names(campaign::State::ALL, campaign::State::name),
        ),
        (
            &tables.training_run,
            names(training_run::State::ALL, training_run::State::name),
        ),
        (&tables.job, names(job::State::ALL, job::State::name)),
        (
            &tables.trajectory,
            names(trajectory::State::ALL, trajectory::State::name),
        ),
    ]
}

#[test]
fn tables_are_total_reachable_and_ending() {
    for (table, states) in all() {
        assert_eq!(table.problems(&states), Vec::<String>::new());
    }
}

#[test]
fn every_word_is_used_by_a_table() {
    let (mut events, mut guards, mut entries) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (table, _) in all() {
        let (some_events, some_guards, some_entries) = table.vocabulary();
        events.extend(some_events);
        guards.extend(some_guards);
        entries.extend(some_entries);
    }
    assert_eq!(events, EventName::ALL.iter().copied().collect());
    assert_eq!(guards, Guard::ALL.iter().copied().collect());
    assert_eq!(entries, Entry::ALL.iter().copied().collect());
}

/// What a machine's code performs on entering a state; the code of each passes over the words of the others.
#[test]
fn each_machine_uses_its_own_entries() {
    use Entry::*;
    let tables = tables();
    let entries = |table: &Table| table.vocabulary().2;
    assert_eq!(
        entries(&tables.campaign),
        BTreeSet::from([
            RunPilot,
            JudgePilot,
            RunGeneration,
            RunExecution,
            RunCuration,
            StartTraining,
            RunEvaluation,
            WriteRecord,
            KeepResults,
            PlanNext,
            EndJobs,
        ])
    );
    assert_eq!(entries(&tables.job), BTreeSet::from([Launch, Watch, End]));
    assert_eq!(entries(&tables.training_run), BTreeSet::from([RunStage]));
    let trajectory = &tables.trajectory;
    for entry in entries(trajectory) {
        let elsewhere = [&tables.campaign, &tables.job, &tables.training_run];
        assert!(
            elsewhere
                .iter()
                .all(|table| !entries(table).contains(&entry))
        );
    }
    let lengths = trajectory.state.values().map(|row| row.entry.len());
    assert!(
        lengths.max() == Some(1),
        "a worker asks one agent at a time"
    );
}

#[test]
fn the_code_and_the_tables_agree_on_what_ends() {
    let tables = tables();
    for state in campaign::State::ALL {
        assert_eq!(
            tables.campaign.row(state.name()).ends,
            state.ended(),
            "{state}"
        );
    }
    for state in job::State::ALL {
        assert_eq!(tables.job.row(state.name()).ends, state.ended(), "{state}");
    }
    for state in trajectory::State::ALL {
        assert_eq!(
            tables.trajectory.row(state.name()).ends,
            state.ended(),
            "{state}"
        );
    }
    for state in training_run::State::ALL {
        assert_eq!(
            tables.training_run.row(state.name()).ends,
            state.ended(),
            "{state}"
        );
    }
}

#[test]
fn drawings_show_every_state() {
    for (table, states) in all() {
        for drawing in [table.dot(), table.mermaid(), table.text()] {
            for state in &states {
                assert!(drawing.contains(state), "{state} is missing in\n{drawing}");
            }
        }
    }
}

#[test]
fn planted_defects_are_reported() {
    let sound = r#"
        machine = "toy"
        initial = "a"
        [state.a]
        deadline = "1m"
        [[state.a.on.work_done]]
        go = "b"
        [state.b]
        ends = true
    "#;
    let states = ["a", "b"];
    assert_eq!(
        Table::parse(sound).unwrap().problems(&states),
        Vec::<String>::new()
    );
    let planted = [
        (
            sound.replace("deadline = \"1m\"", ""),
            "needs exactly one of deadline",
        ),
        (sound.replace("\"1m\"", "\"soon\""), "has the deadline"),
        (sound.replace("go = \"b\"", "go = \"c\""), "leads to c"),
        (
            sound.replace("go = \"b\"", "go = \"b\"\nwhen = \"all_done\""),
            "no last way without a guard",
        ),
        (
            sound.replace("go = \"b\"", "go = \"a\""),
            "b cannot be reached",
        ),
        (
            sound.replace("ends = true", "deadline = \"1m\""),
            "cannot end",
        ),
        (
            format!("{sound}\n[state.c]\nends = true\n"),
            "state c is on one side only",
        ),
    ];
    for (text, expected) in planted {
        let problems = Table::parse(&text).unwrap().problems(&states).join("\n");
        assert!(
            problems.contains(expected),
            "{expected:?} is not in {problems:?}"
        );
    }
    let unknown = sound.replace("work_done", "work_dnoe");
    assert!(Table::parse(&unknown).unwrap_err().contains("work_dnoe"));
}
