//! What calls come to: faults of the programs, limits, outages, and what accounting knows.

use super::*;

#[test]
fn a_submission_without_an_answer_may_be_queued_now_later_or_never() {
    let queued = |fault, seconds| {
        let mut world = World::new(on("sbatch", 1, 1, fault), Sim::new(1000));
        let answer = world.submit("a-1", &[]);
        assert!(matches!(answer, Err(Unanswered::Unsure(_))), "{answer:?}");
        world.pass(seconds);
        world.queue().len()
    };
    assert_eq!(queued(Fault::DoneUnsure, 0), 1);
    assert_eq!(queued(Fault::LateUnsure, 0), 0);
    assert_eq!(queued(Fault::LateUnsure, 61), 1);
    assert_eq!(queued(Fault::Unsure, 1000), 0);
}

#[test]
fn a_full_queue_and_a_large_array_are_turned_away() {
    let faults = Faults {
        most_queued: Some(5),
        most_in_array: Some(4),
        ..Faults::default()
    };
    let mut world = World::new(faults, Sim::new(10));
    assert!(world.submit("a-1", &["--array=0-3"]).is_ok());
    let full = world.submit("a-2", &["--array=0-1"]).unwrap_err();
    assert!(
        matches!(&full, Unanswered::Later(text) if text.contains("QOSMaxSubmitJobPerUserLimit"))
    );
    let large = world.submit("a-3", &["--array=0-4"]).unwrap_err();
    assert!(matches!(large, Unanswered::Refused(_)), "{large:?}");
    world.pass(20);
    assert!(world.submit("a-2", &["--array=0-1"]).is_ok());
    let no_script = Call::Submit {
        name: "a".into(),
        script: "/not/there".into(),
    };
    let answer = world.cluster.call(&no_script, NOON);
    assert!(matches!(answer, Err(Unanswered::NotAsked(_))), "{answer:?}");
}

#[test]
fn calls_beyond_the_limit_are_turned_away_and_counted() {
    let faults = Faults {
        rate: Some(Rate {
            burst: 3,
            per_minute: 4,
        }),
        ..Faults::default()
    };
    let mut world = World::new(faults, Sim::new(10));
    let ask = |world: &mut World| world.cluster.call(&Call::Queue, world.now).is_ok();
    let answers: Vec<bool> = (0..5).map(|_| ask(&mut world)).collect();
    assert_eq!(answers, [true, true, true, false, false]);
    assert!(matches!(world.submit("a", &[]), Err(Unanswered::Later(_))));
    world.pass(15);
    assert!(ask(&mut world) && !ask(&mut world));
    assert_eq!(world.cluster.call(&Call::Ping, world.now), Ok(Answer::Pong));
    assert_eq!(
        (world.cluster.runs("squeue"), world.cluster.runs("sbatch")),
        (7, 1)
    );
    assert_eq!(world.cluster.busiest(Duration::from_secs(15)), 6);
}

#[test]
fn a_queue_that_lags_shows_the_past_and_one_that_is_cut_shows_less() {
    let mut world = World::new(on("squeue", 2, 2, Fault::Old), Sim::new(1000));
    world.pass(100);
    for name in ["a", "b", "c"] {
        world.submit(name, &[]).unwrap();
    }
    assert_eq!(world.queue().len(), 3);
    assert_eq!(world.queue(), []);
    world.cluster.faults = on("squeue", 1, 99, Fault::Partial);
    assert!((0..20).all(|_| world.queue().len() < 3));
    world.cluster.faults = on("squeue", 1, 99, Fault::Odd);
    assert!(
        world
            .queue()
            .iter()
            .all(|row| matches!(row.state, State::Unknown(_)))
    );
    world.cluster.faults = on("squeue", 1, 99, Fault::Unsure);
    let answer = world.cluster.call(&Call::Queue, world.now);
    assert!(matches!(answer, Err(Unanswered::Unsure(_))), "{answer:?}");
}

#[test]
fn an_old_picture_has_old_states() {
    let mut world = World::new(on("squeue", 2, 99, Fault::Old), Sim::new(40));
    for _ in 0..2 {
        world.submit("a", &["--dependency=singleton"]).unwrap();
    }
    world.pass(60);
    assert_eq!(world.shown(), ["a COMPLETED/", "a RUNNING/"]);
    let old: Vec<_> = (0..30).map(|_| world.shown()).collect();
    assert!(
        old.contains(&vec!["a RUNNING/".into(), "a PENDING/Dependency".into()]),
        "{old:?}"
    );
}

#[test]
fn a_job_can_be_forgotten_by_both() {
    let faults = Faults {
        forgotten: 1.0,
        ..Faults::default()
    };
    let mut world = World::new(faults, Sim::new(10));
    let id = world.submit("a", &[]).unwrap();
    world.pass(310);
    assert_eq!(world.queue(), []);
    assert_eq!(world.by_id(id), []);
    let named = Inquiry {
        names: ["a".into()].into(),
        since: NOON,
        ..Inquiry::default()
    };
    assert_eq!(world.accounts(named), []);
}

#[test]
fn ids_go_round_and_accounting_shows_the_latest() {
    let faults = Faults {
        ids: Some(3),
        foreign: 1,
        min_job_age_seconds: 10,
        ..Faults::default()
    };
    let mut world = World::new(faults, Sim::new(5));
    let id = world.submit("a", &[]).unwrap();
    world.pass(20);
    assert!(world.queue().iter().all(|row| row.id != id));
    assert_eq!(world.by_id(id)[0].name, "a");
    let again = (0..3).map(|other| world.submit(&format!("b-{other}"), &[]).unwrap());
    let again: Vec<u64> = again.collect();
    assert!(again.contains(&id), "{again:?}");
    world.pass(1);
    assert!(world.by_id(id)[0].name.starts_with("b-"));
    let named = Inquiry {
        names: ["a".into()].into(),
        since: NOON,
        ..Inquiry::default()
    };
    assert_eq!(world.accounts(named)[0].id, id);
    let rows = world.queue();
    let foreign = rows
        .iter()
        .find(|row| row.name.starts_with("foreign"))
        .unwrap();
    world.cancel(foreign.id);
    assert_eq!(world.cluster.foreign_hits(), 1);
}

#[test]
fn in_an_outage_nobody_answers_and_work_goes_on() {
    let outage = |from_seconds, accounting| Outage {
        from_seconds,
        seconds: 100,
        accounting,
    };
    let faults = Faults {
        outages: vec![outage(10, false), outage(200, true)],
        ..Faults::default()
    };
    let mut world = World::new(faults, Sim::new(20));
    let id = world.submit("a", &[]).unwrap();
    world.pass(50);
    for call in [Call::Ping, Call::Queue] {
        let answer = world.cluster.call(&call, world.now);
        assert!(matches!(answer, Err(Unanswered::Unsure(_))), "{answer:?}");
    }
    assert!(matches!(world.submit("b", &[]), Err(Unanswered::Unsure(_))));
    world.pass(59);
    world.now = world.now.after(Duration::from_secs(1));
    // It ended long ago; the controller has yet to hear of it.
    assert_eq!(world.shown(), ["a RUNNING/"]);
    world.pass(1);
    assert_eq!(world.shown(), ["a COMPLETED/"]);
    assert!(world.by_id(id)[0].elapsed_seconds > Some(20));
    world.pass(100);
    let asked = Call::Accounts(Inquiry {
        ids: [id].into(),
        ..Inquiry::default()
    });
    let answer = world.cluster.call(&asked, world.now);
    assert!(matches!(answer, Err(Unanswered::Unsure(_))), "{answer:?}");
    assert_eq!(world.shown(), ["a COMPLETED/"]);
}

#[test]
fn accounting_looks_back_to_midnight_unless_it_is_told_how_far() {
    let mut world = World::new(Faults::default(), Sim::new(5));
    world.submit("a", &[]).unwrap();
    world.pass(5);
    world.now = world.now.after(Duration::from_secs(86_400));
    let named = |since| Inquiry {
        names: ["a".into()].into(),
        since,
        ..Inquiry::default()
    };
    assert_eq!(world.accounts(named(Timestamp(0))), []);
    assert_eq!(world.accounts(named(NOON)).len(), 1);
}

#[test]
fn accounting_is_late() {
    let faults = Faults {
        accounts_late_seconds: 30,
        ..Faults::default()
    };
    let mut world = World::new(faults, Sim::new(1));
    let ids: Vec<u64> = (0..20)
        .map(|n| world.submit(&format!("a-{n}"), &[]).unwrap())
        .collect();
    world.pass(2);
    let state = |world: &mut World, id| world.by_id(id).first().map(|row| row.state.to_string());
    let early: Vec<_> = ids.iter().map(|id| state(&mut world, *id)).collect();
    assert!(early.contains(&None), "{early:?}");
    assert!(
        early.iter().flatten().any(|state| state != "COMPLETED"),
        "{early:?}"
    );
    world.pass(31);
    assert!(
        ids.iter()
            .all(|id| state(&mut world, *id).as_deref() == Some("COMPLETED"))
    );
}
