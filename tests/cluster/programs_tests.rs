//! The faulty cluster behind programs, asked as the daemon asks SLURM.

use crate::{
    cluster::{Chances, Faults},
    front::{Front, install},
};
use campaignd::{
    executor::slurm::{
        calls::{Answer, Call, Indices, Inquiry, QueueRow, Unanswered},
        commands::Commands,
        script::{Batch, render},
    },
    machines::spec::SlurmSpec,
};
use std::{
    fs,
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_faulty-slurm");

/// A site, a job directory, and a shim that writes down what it was given.
struct Bench {
    front: Front,
    jobs: TempDir,
    shim: PathBuf,
}

impl Bench {
    fn new(faults: &Faults, does: &str) -> Self {
        let jobs = tempfile::tempdir().unwrap();
        let shim = jobs.path().join("shim");
        let told = "echo \"$@\" $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID";
        install(&shim, &format!("#!/bin/bash\n{told}\n{does}\n"));
        Self {
            front: Front::new(PROGRAM, faults, 1),
            jobs,
            shim,
        }
    }

    fn ask(&self, call: &Call) -> Result<Answer, Unanswered> {
        let commands = Commands::new("", Duration::from_secs(60)).on_path(self.front.path());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(commands.ask(call))
    }

    fn submit(&self, name: &str, count: u32) -> Result<Answer, Unanswered> {
        let script = self.jobs.path().join(format!("{name}.sh"));
        let text = render(&Batch {
            name,
            job_dir: self.jobs.path(),
            program: &self.shim,
            first: 5,
            count,
            at_once: 2,
            resources: &SlurmSpec::default(),
            log: self.jobs.path(),
            time_seconds: None,
            umask: None,
        });
        fs::write(&script, text.unwrap()).unwrap();
        self.ask(&Call::Submit {
            name: name.into(),
            script,
        })
    }

    fn queue(&self) -> Vec<QueueRow> {
        match self.ask(&Call::Queue) {
            Ok(Answer::Queue(rows)) => rows,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the queue looks so.
    fn until(&self, what: &str, so: impl Fn(&[QueueRow]) -> bool) -> Vec<QueueRow> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let rows = self.queue();
            if so(&rows) {
                return rows;
            }
            assert!(Instant::now() < deadline, "{what}: {rows:?}");
            sleep(Duration::from_millis(20));
        }
    }

    fn output(&self, name: &str) -> String {
        fs::read_to_string(self.jobs.path().join(name)).unwrap()
    }
}

fn all(rows: &[QueueRow], state: &str) -> bool {
    !rows.is_empty() && rows.iter().all(|row| row.state.to_string() == state)
}

#[test]
fn an_array_really_runs_and_is_accounted_for() {
    let faults = Faults {
        banners: true,
        ..Faults::default()
    };
    let bench = Bench::new(&faults, "exit $SLURM_ARRAY_TASK_ID");
    assert_eq!(bench.ask(&Call::Ping), Ok(Answer::Pong));
    assert_eq!(bench.submit("a-1", 3), Ok(Answer::Submitted { id: 1 }));
    let over = |rows: &[QueueRow]| {
        rows.len() == 3
            && rows
                .iter()
                .all(|row| !row.state.to_string().contains("ING"))
    };
    let rows = bench.until("all over", over);
    let states: Vec<String> = rows.iter().map(|row| row.state.to_string()).collect();
    assert_eq!(states, ["COMPLETED", "FAILED", "FAILED"]);
    assert_eq!(rows[2].indices, Indices::Some(vec![(2, 2)]));
    let given = format!(
        "worker exec {} --position 7 1 2\n",
        bench.jobs.path().display()
    );
    assert_eq!(bench.output("a-1-1_2.out"), given);
    let inquiry = Inquiry {
        ids: [1].into(),
        names: ["a-1".into()].into(),
        since: SystemTime::now().into(),
    };
    let Ok(Answer::Accounts(rows)) = bench.ask(&Call::Accounts(inquiry)) else {
        panic!("no accounts");
    };
    let exits: Vec<&str> = rows.iter().map(|row| row.exit.as_str()).collect();
    assert_eq!(
        exits,
        ["0:0", "1:0", "2:0", "0:0", "1:0", "2:0"],
        "by id and by name"
    );
    assert_eq!(bench.front.cluster().unwrap().starts().len(), 3);
    let calls = bench.front.calls();
    assert!(
        calls[0] == "scontrol ping" && calls[1].starts_with("sbatch --parsable"),
        "{calls:?}"
    );
}

#[test]
fn a_list_of_indices_comes_whole() {
    let faults = Faults {
        slots: 0,
        ..Faults::default()
    };
    let bench = Bench::new(&faults, "");
    let lines: Vec<String> = (0..100).map(|index| (index * 2).to_string()).collect();
    let script = bench.jobs.path().join("s");
    let text = format!("#!/bin/bash\n#SBATCH --array={}\ntrue\n", lines.join(","));
    fs::write(&script, text).unwrap();
    let call = Call::Submit {
        name: "a-1".into(),
        script,
    };
    assert!(bench.ask(&call).is_ok());
    let rows = bench.queue();
    assert!(
        rows[0].indices.has(198) && !rows[0].indices.has(197),
        "{rows:?}"
    );
}

#[test]
fn what_timed_out_is_queued_and_runs() {
    let faults = Faults {
        sbatch: Chances {
            done_unsure: 1.0,
            ..Chances::default()
        },
        ..Faults::default()
    };
    let bench = Bench::new(&faults, "");
    let answer = bench.submit("a-1", 1);
    assert!(matches!(answer, Err(Unanswered::Unsure(_))), "{answer:?}");
    bench.until("it is over", |rows| all(rows, "COMPLETED"));
    bench.front.set(&Faults {
        most_queued: Some(0),
        ..Faults::default()
    });
    assert!(matches!(bench.submit("a-2", 1), Err(Unanswered::Later(_))));
    bench.front.set(&Faults {
        most_in_array: Some(0),
        ..Faults::default()
    });
    assert!(matches!(
        bench.submit("a-2", 2),
        Err(Unanswered::Refused(_))
    ));
}

#[test]
fn scancel_tells_and_then_kills() {
    let faults = Faults {
        kill_wait_seconds: 1,
        ..Faults::default()
    };
    let waits = "trap 'echo told' TERM; echo ready; while true; do sleep 0.05; done";
    let bench = Bench::new(&faults, waits);
    bench.submit("a-1", 1).unwrap();
    let output = bench.jobs.path().join("a-1-1.out");
    bench.until("it runs", |_| {
        fs::read_to_string(&output).is_ok_and(|text| text.contains("ready"))
    });
    let call = Call::Cancel {
        ids: [1].into(),
        names: ["nobody".into()].into(),
    };
    assert_eq!(bench.ask(&call), Ok(Answer::Cancelled));
    bench.until("it is cancelled", |rows| all(rows, "CANCELLED"));
    assert!(bench.output("a-1-1.out").contains("told"));
}

#[test]
fn dropped_it_leaves_nothing_running() {
    let bench = Bench::new(&Faults::default(), "echo $$ >&2; exec sleep 1000");
    bench.submit("a-1", 1).unwrap();
    let output = bench.jobs.path().join("a-1-1.out");
    let pid = |text: String| text.lines().nth(1)?.parse::<u32>().ok();
    bench.until("it runs", |_| {
        fs::read_to_string(&output).ok().and_then(pid).is_some()
    });
    let pid = fs::read_to_string(&output).ok().and_then(pid).unwrap();
    drop(bench.front);
    let stat = PathBuf::from(format!("/proc/{pid}/stat"));
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < deadline, "{pid} still runs");
        sleep(Duration::from_millis(20));
    }
}
