//! What becomes of jobs: how they start, end, are cancelled and put back.

use super::*;

#[test]
fn an_array_runs_so_many_at_once_and_is_forgotten_after_five_minutes() {
    let mut world = World::new(Faults::default(), Sim::new(10));
    let id = world.submit("a-1", &["--array=0-9%3"]).unwrap();
    let rows = world.queue();
    assert_eq!(rows[0].indices, Indices::Some(vec![(0, 9)]));
    world.pass(1);
    assert_eq!(world.cluster.running("a-1"), 3);
    let rows = world.queue();
    assert_eq!(rows[0].indices, Indices::Some(vec![(3, 9)]));
    assert_eq!(rows.len(), 4);
    for _ in 0..50 {
        world.pass(1);
        assert!(world.cluster.running("a-1") <= 3);
    }
    assert_eq!(world.cluster.starts().len(), 10);
    assert!(!world.cluster.is_busy());
    assert!(world.shown().iter().all(|row| row == "a-1 COMPLETED/"));
    let accounts = world.by_id(id);
    assert_eq!(accounts.len(), 10);
    assert!(accounts.iter().all(|row| row.elapsed_seconds == Some(10)));
    world.pass(300);
    assert_eq!(world.queue(), []);
    assert_eq!(world.by_id(id).len(), 10);
}

#[test]
fn a_singleton_waits_for_its_name() {
    let mut world = World::new(Faults::default(), Sim::new(10));
    let option = ["--dependency=singleton"];
    let first = world.submit("a-1", &option).unwrap();
    let second = world.submit("a-1", &option).unwrap();
    world.submit("b-1", &option).unwrap();
    world.pass(1);
    assert_eq!(
        world.shown(),
        ["a-1 RUNNING/", "a-1 PENDING/Dependency", "b-1 RUNNING/"]
    );
    world.pass(10);
    let started: Vec<u64> = world
        .cluster
        .starts()
        .iter()
        .map(|start| start.id)
        .collect();
    assert_eq!((started[0], started[2]), (first, second));
    assert_eq!(world.cluster.queued("a-1"), [first, second]);
}

#[test]
fn a_lost_node_ends_a_task_or_puts_it_back() {
    let fates = Fates {
        node_fail: 1.0,
        ..Fates::default()
    };
    let mut world = World::new(fated(fates), Sim::new(1000));
    let over = world.submit("a", &["--no-requeue"]).unwrap();
    let back = world.submit("b", &[]).unwrap();
    world.pass(10);
    assert_eq!(
        world.shown(),
        ["a NODE_FAIL/NodeDown", "b PENDING/BeginTime"]
    );
    assert_eq!(world.sim.killed, 2);
    assert_eq!(world.by_id(over)[0].state.to_string(), "NODE_FAIL");
    assert_eq!(world.by_id(back)[0].state.to_string(), "PENDING");
    world.cluster.faults.on = on("sacct", 1, 99, Fault::FirstAttempt).on;
    assert_eq!(world.by_id(back)[0].state.to_string(), "NODE_FAIL");
    world.cluster.faults.fates = Fates::default();
    world.pass(125);
    assert_eq!(world.cluster.starts().last().unwrap().restarts, 1);
    assert_eq!(world.cluster.starts().len(), 3);
}

#[test]
fn fates_end_tasks_as_slurm_says_it() {
    let end = |fates, options: &[&str]| {
        let mut world = World::new(fated(fates), Sim::new(1000));
        let id = world.submit("a", options).unwrap();
        world.pass(60);
        let exit = world.by_id(id)[0].exit.clone();
        (world.shown()[0].clone(), exit, world.cluster.starts().len())
    };
    let none = Fates::default;
    let no_requeue = ["--no-requeue"];
    let memory = end(
        Fates {
            memory: 1.0,
            ..none()
        },
        &no_requeue,
    );
    assert_eq!(
        memory,
        ("a OUT_OF_MEMORY/OutOfMemory".into(), "0:125".into(), 1)
    );
    let preempted = end(
        Fates {
            preempted: 1.0,
            ..none()
        },
        &no_requeue,
    );
    assert_eq!(preempted, ("a PREEMPTED/".into(), "0:15".into(), 1));
    let back = end(
        Fates {
            preempted: 1.0,
            ..none()
        },
        &[],
    );
    assert_eq!(back.0, "a PENDING/BeginTime");
    let requeued = end(
        Fates {
            requeued: 1.0,
            ..none()
        },
        &no_requeue,
    );
    assert_eq!(requeued.0, "a PENDING/BeginTime");
    let launch = end(
        Fates {
            launch: 1.0,
            ..none()
        },
        &no_requeue,
    );
    assert_eq!(
        launch,
        ("a FAILED/JobLaunchFailure".into(), "0:53".into(), 0)
    );
    let held = end(
        Fates {
            held: 1.0,
            ..none()
        },
        &no_requeue,
    );
    assert_eq!(
        (held.0.as_str(), held.2),
        ("a PENDING/launch failed requeued held", 0)
    );
}

#[test]
fn a_time_limit_is_in_whole_minutes_and_ends_with_sigkill() {
    let mut sim = Sim::new(1000);
    sim.obeys = false;
    let mut world = World::new(Faults::default(), sim);
    world.submit("a", &["--time=0-00:01:01"]).unwrap();
    world.pass(119);
    assert_eq!(
        (world.shown()[0].as_str(), world.sim.told),
        ("a RUNNING/", 0)
    );
    world.pass(3);
    assert_eq!((world.sim.told, world.sim.killed), (1, 0));
    world.pass(30);
    assert_eq!(world.shown(), ["a TIMEOUT/TimeLimit"]);
    assert_eq!(world.sim.killed, 1);
}

#[test]
fn what_waits_is_cancelled_at_once_and_what_runs_is_told_first() {
    let faults = Faults {
        completing_seconds: 5,
        ..Faults::default()
    };
    let mut world = World::new(faults, Sim::new(1000));
    let id = world.submit("a", &["--array=0-3%1"]).unwrap();
    world.pass(1);
    world.cancel(id);
    let states: Vec<String> = world
        .queue()
        .iter()
        .map(|row| row.state.to_string())
        .collect();
    assert_eq!(states, ["CANCELLED", "RUNNING"]);
    world.pass(2);
    assert_eq!(world.shown()[1], "a COMPLETING/");
    world.pass(5);
    assert!(world.shown().iter().all(|row| row == "a CANCELLED/"));
    assert!(
        world
            .by_id(id)
            .iter()
            .all(|row| row.state == State::Cancelled { by: Some(1000) })
    );
    assert_eq!((world.sim.told, world.cluster.starts().len()), (1, 1));
    // By name, and without an answer.
    world.submit("b", &[]).unwrap();
    world.cluster.faults.on = on("scancel", 2, 2, Fault::DoneUnsure).on;
    let call = Call::Cancel {
        ids: Default::default(),
        names: ["b".into()].into(),
    };
    let answer = world.cluster.call(&call, world.now);
    assert!(matches!(answer, Err(Unanswered::Unsure(_))), "{answer:?}");
    assert_eq!(world.shown().last().unwrap(), "b CANCELLED/");
}

#[test]
fn a_waiting_task_can_leave_an_array_without_a_row() {
    let mut world = World::new(Faults::default(), Sim::new(5));
    let id = world.submit("a", &["--array=0-3%1"]).unwrap();
    world.pass(1);
    world.cluster.drop_task(id, 2, world.now);
    assert_eq!(
        world.queue()[0].indices,
        Indices::Some(vec![(1, 1), (3, 3)])
    );
    world.pass(60);
    let begun: Vec<u32> = world
        .cluster
        .starts()
        .iter()
        .map(|start| start.index)
        .collect();
    assert_eq!(begun, [0, 1, 3]);
}

#[test]
fn a_job_may_be_over_before_anybody_looks_and_move_to_another_partition() {
    let faults = Faults {
        moved: 1.0,
        min_job_age_seconds: 1,
        ..Faults::default()
    };
    let mut world = World::new(faults, Sim::new(0));
    let id = world.submit("a", &["--partition=gpu"]).unwrap();
    assert_eq!(world.queue()[0].partition, "moved");
    world.pass(3);
    assert_eq!(world.queue(), []);
    assert_eq!(world.by_id(id)[0].state.to_string(), "COMPLETED");
}

#[test]
fn slots_bound_everything_and_exits_are_told() {
    let faults = Faults {
        slots: 2,
        ..Faults::default()
    };
    let mut sim = Sim::new(5);
    sim.exit = Exit {
        status: 3,
        signal: 0,
    };
    let mut world = World::new(faults, sim);
    for name in ["a", "b", "c"] {
        world.submit(name, &[]).unwrap();
    }
    world.pass(1);
    assert_eq!(world.sim.running.len(), 2);
    world.pass(20);
    assert_eq!(world.shown()[2], "c FAILED/NonZeroExitCode");
    let id = world.cluster.queued("c")[0];
    assert_eq!(world.by_id(id)[0].exit, "3:0");
}
