//! On a real SLURM, where there is one beside the checkout.

use crate::{
    cluster::{self, Cluster},
    place::{Place, ended, said, told},
};
use std::process::Command;

const QUICK: &str =
    "[slurm]\npoll_interval = \"1s\"\n[slurm.calls]\nburst = 10000\nper_minute = 100000\n";

fn command(place: &Place, cluster: &Cluster, args: &[&str]) -> Command {
    place.write("quick.toml", QUICK);
    let all = [
        &[
            "run",
            "ranks",
            "--executor",
            "slurm",
            "--config",
            "quick.toml",
        ],
        args,
    ]
    .concat();
    let mut command = place.command(&all);
    command.envs(cluster.env());
    command
}

#[test]
fn on_slurm_jobs_are_found_again_and_halved_once() {
    let Some(cluster) = cluster::shared("on_slurm_jobs_are_found_again_and_halved_once") else {
        return;
    };
    let place = Place::without_gpus(&["--partition", "main", "--time", "10", "--mem", "100M"]);
    place.write("ranks/rank2/oom", "1");
    place.write("ranks/rank4/fail", "");
    // Before and after sbatch, while jobs run, and between the end of one and what follows of it.
    for point in [
        "slurm.ask=return",
        "slurm.answered=return",
        "slurm.answered=2*off->return",
        "run.ended=return",
        "run.requested=3*off->return",
    ] {
        let mut command = command(&place, cluster, &[]);
        command.env("CAMPAIGND_CRASH_MARK", place.path(&format!("mark-{point}")));
        let output = command.env("FAILPOINTS", point).output().unwrap();
        println!("{point}: {}", output.status);
    }
    let output = command(&place, cluster, &[]).output().unwrap();
    ended(&output, 1);
    let lines = place.lines();
    let begun = ["rank8 8", "rank2 8", "rank2 4", "rank2 2", "rank4 8"];
    let counts = begun.map(|what| place.count(&format!("begin tune {what} x")));
    assert_eq!(counts, [1, 1, 1, 0, 1], "{lines:?}");
    assert_eq!(place.count("begin inspect"), 2, "{lines:?}");
    for (name, state) in [
        ("rank8", "COMPLETED"),
        ("rank2", "COMPLETED"),
        ("rank4", "FAILED"),
        ("rank4/task_epoch0", "skipped"),
    ] {
        assert_eq!(place.state(name), state, "{name}");
    }
    assert_eq!(
        place.row("rank4")["note"],
        "ended with status 3: the disk is full of sand"
    );
    let job = place.row("rank8")["job"].as_str().unwrap().to_string();
    assert!(job.parse::<u64>().is_ok(), "{job}");
    assert_eq!(
        place.read(&format!("ranks/rank8/slurm-{job}.out")),
        "training rank8\n"
    );
    assert_eq!(place.files("ranks/rank2/eval", "slurm-", ".out").len(), 1);
    let log = place.read("ranks/run-torchtune.log");
    assert_eq!(
        (said(&log, "SUBMIT_JOB"), said(&log, "OOM_RETRY")),
        (4, 1),
        "{log}"
    );
    // By the accounts, no name was submitted twice.
    let all = cluster.say(&["squeue", "-h", "-t", "all", "-o", "%j"]);
    let id = place.read("ranks/.campaignd/id");
    let mut names: Vec<&str> = all.lines().filter(|name| name.ends_with(&id)).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), count), (6, 6), "{all}");
}

#[test]
fn what_slurm_refuses_is_told_with_its_own_words() {
    let Some(cluster) = cluster::shared("what_slurm_refuses_is_told_with_its_own_words") else {
        return;
    };
    let place = Place::without_gpus(&["--partition", "nowhere"]);
    let output = command(&place, cluster, &[]).output().unwrap();
    ended(&output, 1);
    for run in ["rank8", "rank2", "rank4"] {
        let row = place.row(run);
        assert_eq!(row["state"], "FAILED");
        let note = row["note"].as_str().unwrap();
        assert!(
            note.starts_with("SLURM refuses the job: ") && note.contains("partition"),
            "{note}"
        );
        assert_eq!(place.state(&format!("{run}/task_epoch0")), "skipped");
    }
    assert!(place.lines().is_empty());
    let log = place.read("ranks/run-torchtune.log");
    assert_eq!(log.matches("Result: failed: ").count(), 3, "{log}");
    let again = command(&place, cluster, &["--dry-run", "--again"])
        .output()
        .unwrap();
    assert!(ended(&again, 0).contains("attempt 2"), "{}", told(&again));
}

#[test]
fn jobs_in_the_queue_and_on_nodes_are_stopped() {
    let Some(cluster) = cluster::shared("jobs_in_the_queue_and_on_nodes_are_stopped") else {
        return;
    };
    let place = Place::without_gpus(&[]);
    place.write("hold", "");
    let mut run = command(&place, cluster, &["--at-once", "2", "--detach"]);
    ended(&run.output().unwrap(), 0);
    place.until("two jobs run", || place.count("begin tune") == 2);
    let mut stop = place.command(&["stop", "ranks", "--config", "quick.toml", "--json"]);
    let answer = ended(&stop.envs(cluster.env()).output().unwrap(), 0);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["ended"], 2, "{answer}");
    assert_eq!(
        ["rank8", "rank2", "rank4"].map(|run| place.state(run)),
        ["CANCELLED", "CANCELLED", "pending"]
    );
    let id = place.read("ranks/.campaignd/id");
    let left = cluster.say(&["squeue", "-h", "-o", "%j"]);
    assert!(!left.contains(&id), "{left}");
    place.remove("hold");
    let output = command(&place, cluster, &["--again"]).output().unwrap();
    ended(&output, 0);
    assert_eq!((place.count("begin tune"), place.count("end tune")), (5, 3));
}

#[test]
fn what_the_queue_still_has_is_not_launched_again_though_nothing_here_knows_of_it() {
    let Some(cluster) = cluster::shared(
        "what_the_queue_still_has_is_not_launched_again_though_nothing_here_knows_of_it",
    ) else {
        return;
    };
    let place = Place::without_gpus(&[]);
    place.write("hold", "");
    let mut first = command(&place, cluster, &[]).spawn().unwrap();
    place.until("all run, and their numbers are known", || {
        let known = |run: &&str| place.state(run) == "RUNNING";
        ["rank8", "rank2", "rank4"].iter().all(known)
    });
    first.kill().unwrap();
    first.wait().unwrap();
    std::fs::remove_dir_all(place.path("ranks/.campaignd")).unwrap();
    let held = command(&place, cluster, &["--again"]).output().unwrap();
    ended(&held, 1);
    let mut jobs = Vec::new();
    for run in ["rank8", "rank2", "rank4"] {
        let row = place.row(run);
        let job = row["job"].as_str().unwrap();
        let said = format!("SLURM still has it as job {job}; scancel ends that");
        assert!(row["note"].as_str().unwrap().contains(&said), "{row}");
        jobs.push(job.to_string());
    }
    assert_eq!(place.count("begin tune"), 3);
    place.remove("hold");
    place.until("the jobs have ended", || place.count("end tune") == 3);
    place.until("the queue has them no longer", || {
        let left = cluster.say(&["squeue", "-h", "-o", "%A"]);
        !left.lines().any(|line| jobs.iter().any(|job| job == line))
    });
    ended(&command(&place, cluster, &["--again"]).output().unwrap(), 0);
    assert_eq!(place.count("begin tune"), 6);
}

#[test]
fn a_job_that_ended_by_itself_while_nobody_followed_it_is_stopped_with_slurms_word() {
    let Some(cluster) = cluster::strict(
        "a_job_that_ended_by_itself_while_nobody_followed_it_is_stopped_with_slurms_word",
    ) else {
        return;
    };
    let place = Place::without_gpus(&["--mem", "100M"]);
    place.write("hold", "");
    place.write("ranks/rank8/eat", "");
    let mut run = command(&place, cluster, &["--at-once", "2"]);
    let mut runner = run.spawn().unwrap();
    place.until("two run, and that is known", || {
        ["rank8", "rank2"].map(|run| place.state(run)) == ["RUNNING", "RUNNING"]
    });
    runner.kill().unwrap();
    runner.wait().unwrap();
    let jobs = ["rank8", "rank2"].map(|run| place.row(run)["job"].as_str().unwrap().to_string());
    // One whose memory runs out, and one whose shim is gone without a word.
    let claimed = |stem: &String| {
        let path = format!("ranks/.campaignd/jobs/{stem}/tasks/0/claim");
        let claim: serde_json::Value = serde_json::from_str(&place.read(&path)).unwrap();
        i32::try_from(claim["pid"].as_i64().unwrap()).unwrap()
    };
    let mut jobs_here = place.jobs().into_iter();
    let second = jobs_here.find(|stem| stem.starts_with("rank2_"));
    let shim = rustix::process::Pid::from_raw(claimed(&second.unwrap())).unwrap();
    rustix::process::kill_process(shim, rustix::process::Signal::KILL).unwrap();
    place.remove("hold");
    place.until("both have ended", || {
        let left = cluster.say(&["squeue", "-h", "-o", "%A"]);
        !left.lines().any(|line| jobs.iter().any(|job| job == line))
    });
    let mut stop = place.command(&["stop", "ranks", "--config", "quick.toml", "--json"]);
    ended(&stop.envs(cluster.env()).output().unwrap(), 0);
    assert_eq!(
        place.state("rank8"),
        "OUT_OF_MEMORY",
        "{}",
        place.row("rank8")
    );
    let row = place.row("rank2");
    assert_eq!(row["state"], "FAILED", "{row}");
    assert!(
        row["note"].as_str().unwrap().contains("SLURM says"),
        "{row}"
    );
    let again = command(&place, cluster, &["--dry-run"]).output().unwrap();
    assert!(
        ended(&again, 0).contains("attempt 2  (batch_size = 4"),
        "{}",
        told(&again)
    );
}
