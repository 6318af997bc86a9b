//! The model in virtual time.

use crate::cluster::{
    Cluster, Exit, Fault, Faults, Nodes, On, Outage, Rate, Run,
    faults::Fates,
    job::{self, Phase},
};
use campaignd::{
    executor::slurm::{
        calls::{AccountRow, Answer, Call, Indices, Inquiry, QueueRow, Unanswered},
        script::{Batch, render},
        words::State,
    },
    machines::spec::SlurmSpec,
    time::Timestamp,
};
use std::{collections::BTreeMap, path::Path, time::Duration};

/// Noon of a day.
const NOON: Timestamp = Timestamp(1_772_452_800_000);

/// Tasks that last as long as they are told.
struct Sim {
    lasts: Duration,
    exit: Exit,
    /// It ends when it is told to.
    obeys: bool,
    running: BTreeMap<(u64, u32), (Timestamp, Option<Exit>)>,
    told: usize,
    killed: usize,
}

impl Sim {
    fn new(seconds: u64) -> Self {
        Self {
            lasts: Duration::from_secs(seconds),
            exit: Exit {
                status: 0,
                signal: 0,
            },
            obeys: true,
            running: BTreeMap::new(),
            told: 0,
            killed: 0,
        }
    }
}

fn key(run: &Run) -> (u64, u32) {
    (run.serial, run.index.unwrap_or(0))
}

impl Nodes for Sim {
    fn start(&mut self, run: &Run, now: Timestamp) {
        let was = self.running.insert(key(run), (now.after(self.lasts), None));
        assert!(was.is_none(), "{run:?} runs twice");
    }

    fn look(&mut self, run: &Run, now: Timestamp) -> Option<Exit> {
        let (until, told) = self.running[&key(run)];
        let exit = told.or((until <= now).then_some(self.exit))?;
        self.running.remove(&key(run));
        Some(exit)
    }

    fn term(&mut self, run: &Run, _: Timestamp) {
        self.told += 1;
        if let Some((_, told)) = self.running.get_mut(&key(run)) {
            *told = self.obeys.then_some(Exit {
                status: 0,
                signal: 15,
            });
        }
    }

    fn kill(&mut self, run: &Run, _: Timestamp) {
        self.killed += 1;
        self.running.remove(&key(run));
    }
}

/// A cluster with its clock.
struct World {
    cluster: Cluster,
    sim: Sim,
    now: Timestamp,
}

impl World {
    fn new(faults: Faults, sim: Sim) -> Self {
        let mut world = Self {
            cluster: Cluster::new(faults, 7),
            sim,
            now: NOON,
        };
        world.pass(0);
        world
    }

    /// Seconds, one by one.
    fn pass(&mut self, seconds: u64) {
        self.cluster.advance(self.now, &mut self.sim);
        for _ in 0..seconds {
            self.now = self.now.after(Duration::from_secs(1));
            self.cluster.advance(self.now, &mut self.sim);
        }
    }

    fn submit(&mut self, name: &str, options: &[&str]) -> Result<u64, Unanswered> {
        let lines = options.iter().map(|option| format!("#SBATCH {option}\n"));
        let text = format!("#!/bin/bash\n{}true\n", lines.collect::<String>());
        let script = Path::new("/s").join(name);
        self.cluster.lay(&script, text);
        let call = Call::Submit {
            name: name.into(),
            script,
        };
        match self.cluster.call(&call, self.now)? {
            Answer::Submitted { id } => Ok(id),
            other => panic!("{other:?}"),
        }
    }

    fn queue(&mut self) -> Vec<QueueRow> {
        match self.cluster.call(&Call::Queue, self.now) {
            Ok(Answer::Queue(rows)) => rows,
            other => panic!("{other:?}"),
        }
    }

    fn accounts(&mut self, inquiry: Inquiry) -> Vec<AccountRow> {
        match self.cluster.call(&Call::Accounts(inquiry), self.now) {
            Ok(Answer::Accounts(rows)) => rows,
            other => panic!("{other:?}"),
        }
    }

    fn by_id(&mut self, id: u64) -> Vec<AccountRow> {
        self.accounts(Inquiry {
            ids: [id].into(),
            ..Inquiry::default()
        })
    }

    fn cancel(&mut self, id: u64) {
        let call = Call::Cancel {
            ids: [id].into(),
            names: Default::default(),
        };
        assert_eq!(self.cluster.call(&call, self.now), Ok(Answer::Cancelled));
    }

    /// `name state/reason` of each row of the queue.
    fn shown(&mut self) -> Vec<String> {
        let rows = self.queue();
        let text = |row: &QueueRow| format!("{} {}/{}", row.name, row.state, row.reason);
        rows.iter().map(text).collect()
    }
}

fn on(program: &str, first: u64, last: u64, fault: Fault) -> Faults {
    Faults {
        on: vec![On {
            program: program.into(),
            first,
            last,
            fault,
        }],
        ..Faults::default()
    }
}

fn fated(fates: Fates) -> Faults {
    Faults {
        fates,
        fate_seconds: 5,
        ..Faults::default()
    }
}

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

/// Everything that can go wrong does, for a while.
fn bad_day(seed: u64, torn: bool) -> String {
    let faults: Faults = serde_json::from_str(
        r#"{"sbatch": {"done_unsure": 0.3, "late_unsure": 0.2, "later": 0.1},
            "squeue": {"old": 0.2, "partial": 0.2, "unsure": 0.1}, "foreign": 3, "ids": 20,
            "fates": {"node_fail": 0.1, "preempted": 0.1, "requeued": 0.1, "memory": 0.1},
            "start_seconds": 30, "fate_seconds": 30, "accounts_late_seconds": 10, "slots": 5}"#,
    )
    .unwrap();
    let mut cluster = Cluster::new(faults, seed);
    cluster.lay("/s", "#!/bin/bash\n#SBATCH --array=0-3\n");
    let (mut sim, mut told) = (Sim::new(40), String::new());
    for minute in 0..60 {
        let now = NOON.after(Duration::from_secs(minute * 20));
        if torn {
            let bytes = serde_json::to_vec(&cluster).unwrap();
            cluster = serde_json::from_slice(&bytes).unwrap();
            cluster.lay("/s", "#!/bin/bash\n#SBATCH --array=0-3\n");
        }
        cluster.advance(now, &mut sim);
        let submit = Call::Submit {
            name: format!("a-{}", minute % 7),
            script: "/s".into(),
        };
        for call in [submit, Call::Queue] {
            told.push_str(&format!("{:?}\n", cluster.call(&call, now)));
        }
    }
    told
}

#[test]
fn a_seed_says_everything() {
    let day = bad_day(1, false);
    for word in ["timed out", "OutOfMemory", "BeginTime", "foreign-"] {
        assert!(day.contains(word), "{word}");
    }
    assert_eq!(day, bad_day(1, false));
    assert_eq!(day, bad_day(1, true), "kept in JSON between two calls");
    assert_ne!(day, bad_day(2, false));
}

#[test]
fn options_read_as_they_were_written() {
    let resources = SlurmSpec {
        partition: "gp u".into(),
        extra: vec!["--comment=a \"b\" \\ 'c' #d $HOME".into()],
        ..SlurmSpec::default()
    };
    let odd = "/o dd/it's \"%x\" #1";
    let script = render(&Batch {
        name: "a-1",
        job_dir: Path::new(odd),
        program: Path::new("/bin/true"),
        first: 0,
        count: 4,
        at_once: 2,
        resources: &resources,
        log: Path::new(odd),
        time_seconds: Some(61),
        umask: None,
    })
    .unwrap();
    let options = job::options(&script);
    assert_eq!(options["partition"], "gp u");
    assert_eq!(options["comment"], "a \"b\" \\ 'c' #d $HOME");
    assert_eq!(options["chdir"], odd);
    assert_eq!(options["array"], "0-3%2");
    assert!(options.contains_key("no-requeue") && options["dependency"] == "singleton");
    assert_eq!(job::options("#SBATCH -a\ntrue\n#SBATCH --b=1\n").len(), 1);
    assert_eq!(job::indices("1,3,7-9%2"), Some(vec![1, 3, 7, 8, 9]));
    assert_ne!(Phase::Waiting(NOON), Phase::Over(NOON));
}
