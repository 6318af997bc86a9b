//! The faulty cluster behind programs: without faults it behaves like SLURM, and its faults are seen through them.

use crate::{
    bench::{Bench, all},
    cluster::{Chances, Faults},
    front::Front,
    same::behaves_like_slurm,
};
use campaignd::executor::slurm::calls::{Answer, Call, Unanswered};
use std::{
    fs,
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_faulty-slurm");

fn site(faults: &Faults, does: &str) -> (Front, Bench) {
    let front = Front::new(PROGRAM, faults, 1);
    let bench = Bench::new(front.path(), does);
    (front, bench)
}

#[test]
fn the_faulty_cluster_behaves_like_slurm() {
    let faults = Faults {
        banners: true,
        ..Faults::default()
    };
    let front = Front::new(PROGRAM, &faults, 1);
    behaves_like_slurm(&front.path());
    let calls = front.calls();
    assert_eq!(calls[0], "scontrol ping");
    assert!(calls[1].starts_with("sbatch --parsable"), "{calls:?}");
    assert_eq!(front.cluster().unwrap().starts().len(), 5);
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
    let (front, bench) = site(&faults, "");
    let answer = bench.submit("a-1", 1);
    assert!(matches!(answer, Err(Unanswered::Unsure(_))), "{answer:?}");
    bench.until("it is over", "a-1", |rows| all(rows, "COMPLETED"));
    front.set(&Faults {
        most_queued: Some(0),
        ..Faults::default()
    });
    assert!(matches!(bench.submit("a-2", 1), Err(Unanswered::Later(_))));
    front.set(&Faults {
        most_in_array: Some(0),
        ..Faults::default()
    });
    assert!(matches!(
        bench.submit("a-2", 2),
        Err(Unanswered::Refused(_))
    ));
}

#[test]
fn what_does_not_obey_is_killed() {
    let faults = Faults {
        kill_wait_seconds: 1,
        ..Faults::default()
    };
    let waits = "trap 'echo told' TERM; echo ready; while true; do sleep 0.05; done";
    let (_front, bench) = site(&faults, waits);
    assert_eq!(bench.submit("a-1", 1), Ok(Answer::Submitted { id: 1 }));
    let ready = |_: &[_]| bench.output("a-1-1.out").contains("ready");
    bench.until("it runs", "a-1", ready);
    let call = Call::Cancel {
        ids: [1].into(),
        names: ["nobody".into()].into(),
    };
    assert_eq!(bench.ask(&call), Ok(Answer::Cancelled));
    bench.until("it is cancelled", "a-1", |rows| all(rows, "CANCELLED"));
    assert!(bench.output("a-1-1.out").contains("told"));
}

#[test]
fn dropped_it_leaves_nothing_running() {
    let (front, bench) = site(&Faults::default(), "echo $$ >&2; exec sleep 1000");
    bench.queued("a-1", 1);
    let pid = || {
        bench
            .output("a-1-1.out")
            .lines()
            .nth(1)?
            .parse::<u32>()
            .ok()
    };
    bench.until("it runs", "a-1", |_| pid().is_some());
    let stat = PathBuf::from(format!("/proc/{}/stat", pid().unwrap()));
    drop(front);
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < deadline, "{stat:?} is still there");
        sleep(Duration::from_millis(20));
    }
}
