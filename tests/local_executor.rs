//! Local jobs with real processes: claims, ends, lost shims, recycled PIDs.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use campaignd::{
    executor::{
        identity::{Identity, session_members},
        job_dir::{JobDir, Request, TaskRequest, Work},
        local::{Local, Observed},
    },
    machines::job::Cause,
};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const SHIM: &str = env!("CARGO_BIN_EXE_campaignd");

fn job(dir: &Path, script: &str, time_seconds: Option<u64>) -> JobDir {
    let job = JobDir::new(dir.join("job-1"));
    let request = Request {
        job: "toy-1".into(),
        name: "toy-1.0".into(),
        campaign: "toy".into(),
        phase: "pilot".into(),
        attempt: 1,
        directory: dir.to_string_lossy().into_owned(),
        time_seconds,
        side_by_side: 1,
        slurm: None,
        work: Work::Command {
            argv: ["sh", "-c", script, "{output}", "{target}", "{json}"]
                .map(String::from)
                .to_vec(),
        },
        tasks: vec![TaskRequest {
            shard: 0,
            shards: 1,
            target: 7,
            first: 0,
            output: Some(dir.join("data/out.jsonl").to_string_lossy().into_owned()),
            seed: 1,
            experience: None,
            ledger: None,
            budget: None,
        }],
    };
    job.write_request(&request).unwrap();
    job
}

/// Starts a shim as the daemon does.
fn shim(job: &JobDir) -> std::process::Child {
    let mut command = Command::new(SHIM);
    command.args(["worker", "exec"]).arg(job.root()).arg("0");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn observe(job: &JobDir) -> Observed {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(Local.observe(job, 0))
}

#[test]
fn ends_are_told_as_they_were() {
    let cases = [
        ("exit 0", None, "ended with status 0"),
        ("exit 3", None, "ended with status 3"),
        (
            "kill -9 $$",
            None,
            "was killed from outside by signal 9, perhaps for want of memory",
        ),
        ("kill -6 $$", None, "was ended by signal 6"),
        ("sleep 60", Some(1), "reached its time limit"),
    ];
    let causes = [
        None,
        Some(Cause::Program),
        Some(Cause::Transient),
        Some(Cause::Program),
        Some(Cause::TimeLimit),
    ];
    for ((script, limit, expected), cause) in cases.into_iter().zip(causes) {
        let dir = tempfile::tempdir().unwrap();
        let job = job(dir.path(), script, limit);
        assert!(shim(&job).wait().unwrap().success());
        let Observed::Ended(exit) = observe(&job) else {
            panic!("{script}")
        };
        assert_eq!(exit.sentence(), expected, "{script}");
        assert_eq!(exit.cause(), cause, "{script}");
    }
}

#[test]
fn words_are_filled_in_as_data_and_the_environment_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo \"$0 $1 $2\"; echo \"$CAMPAIGND_OUTPUT $CAMPAIGND_TARGET\" >&2";
    let job = job(dir.path(), script, None);
    fs::create_dir_all(dir.path().join("data")).unwrap();
    fs::write(
        dir.path().join("data/out.jsonl"),
        "{\"id\":1}\n{\"id\":2,\"to",
    )
    .unwrap();
    assert!(shim(&job).wait().unwrap().success());
    let output = dir
        .path()
        .join("data/out.jsonl")
        .to_string_lossy()
        .into_owned();
    assert_eq!(
        fs::read_to_string(job.stdout(0)).unwrap(),
        format!("{output} 7 {{json}}\n")
    );
    assert_eq!(
        fs::read_to_string(job.stderr(0)).unwrap(),
        format!("{output} 7\n")
    );
    assert_eq!(
        fs::read_to_string(&output).unwrap(),
        "{\"id\":1}\n",
        "the torn line was cut before the command began"
    );
}

#[test]
fn of_many_shims_one_runs_the_command() {
    let dir = tempfile::tempdir().unwrap();
    let job = job(dir.path(), "echo run >> ledger", None);
    let shims: Vec<_> = (0..8).map(|_| shim(&job)).collect();
    for mut shim in shims {
        assert!(shim.wait().unwrap().success());
    }
    until("the winner has ended", || job.read_exit(0).unwrap());
    assert_eq!(
        fs::read_to_string(dir.path().join("ledger")).unwrap(),
        "run\n"
    );
}

#[test]
fn a_killed_shim_takes_its_command_along_before_it_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let job = job(
        dir.path(),
        "echo $$ > pid; while :; do echo x >> written; sleep 0.01; done",
        None,
    );
    let mut shim = shim(&job);
    let orphan: i32 = until("the command runs", || {
        fs::read_to_string(dir.path().join("pid"))
            .ok()?
            .trim()
            .parse()
            .ok()
    });
    let command = Identity::of(orphan).unwrap().unwrap();
    shim.kill().unwrap();
    shim.wait().unwrap();
    assert!(command.alive().unwrap(), "the command outlives its shim");
    assert!(matches!(observe(&job), Observed::Lost { .. }));
    assert!(
        !command.alive().unwrap(),
        "nothing of a lost task may write beside its successor"
    );
    assert!(
        session_members(i32::try_from(shim.id()).unwrap())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_recycled_pid_is_nobodys_and_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let job = job(dir.path(), "true", None);
    let mut innocent = Command::new("sleep").arg("60").spawn().unwrap();
    let real = Identity::of(i32::try_from(innocent.id()).unwrap())
        .unwrap()
        .unwrap();
    let earlier = Identity {
        start_time: real.start_time - 1,
        ..real.clone()
    };
    assert!(job.take_claim(0, earlier, "shim").unwrap());
    assert!(matches!(observe(&job), Observed::Lost { .. }));
    assert!(real.alive().unwrap(), "an innocent process was killed");
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}

#[test]
fn after_a_reboot_nothing_runs() {
    let dir = tempfile::tempdir().unwrap();
    let job = job(dir.path(), "true", None);
    let me = Identity::own().unwrap();
    assert!(
        job.take_claim(
            0,
            Identity {
                boot_id: "an earlier boot".into(),
                ..me
            },
            "shim"
        )
        .unwrap()
    );
    let Observed::Lost { why } = observe(&job) else {
        panic!("it was found alive")
    };
    assert!(why.contains("started anew"), "{why}");
}

#[test]
fn what_is_cancelled_before_it_began_never_begins() {
    let dir = tempfile::tempdir().unwrap();
    let job = job(dir.path(), "echo run >> ledger", None);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ends = runtime.block_on(Local.end(&job, &[0], Duration::from_secs(5)));
    assert_eq!(ends.unwrap(), vec![(0, Observed::Cancelled)]);
    assert!(
        shim(&job).wait().unwrap().success(),
        "a late shim finds the claim taken and goes"
    );
    assert!(!dir.path().join("ledger").exists());
}

#[test]
fn torn_and_empty_files_are_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let job = job(dir.path(), "true", None);
    fs::create_dir_all(job.task(0)).unwrap();
    for text in ["", "{\"status\":", "null", "[]"] {
        fs::write(job.task(0).join("exit.json"), text).unwrap();
        assert_eq!(job.read_exit(0).unwrap(), None, "{text:?}");
    }
    assert_eq!(observe(&job), Observed::NotStarted);
}

#[test]
fn what_a_command_started_in_a_session_of_its_own_ends_with_it() {
    // Ended by itself, and lost with its shim: neither leaves anything that writes.
    for killed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let script = "setsid sh -c 'echo $$ > pid; while :; do echo x >> written; sleep 0.01; done' &\n\
            while [ ! -s pid ] || [ -e stay ]; do sleep 0.01; done";
        if killed {
            fs::write(dir.path().join("stay"), "").unwrap();
        }
        let job = job(dir.path(), script, None);
        let mut shim = shim(&job);
        let runaway: i32 = until("it runs", || {
            fs::read_to_string(dir.path().join("pid"))
                .ok()?
                .trim()
                .parse()
                .ok()
        });
        let runaway = Identity::of(runaway).unwrap();
        if killed {
            shim.kill().unwrap();
            shim.wait().unwrap();
            assert!(runaway.as_ref().unwrap().alive().unwrap());
            assert!(matches!(observe(&job), Observed::Lost { .. }));
        } else {
            assert!(shim.wait().unwrap().success());
            assert!(matches!(observe(&job), Observed::Ended(_)));
        }
        assert!(
            runaway.is_none_or(|process| !process.alive().unwrap()),
            "killed {killed}: it outlives its task"
        );
    }
}
