//! The real binaries over the real socket: campaigns to their ends, every verb, a daemon killed and started again.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod house;

use house::{House, generator, ledger, stderr};
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Of each data set, what is given to a model: no two splits have the same, and no two rows say the same.
fn nothing_is_asked_in_two_splits(dataset: &Path) {
    let mut compared = 0;
    for set in [
        "codegen",
        "validation",
        "error_recovery",
        "validation_preferences",
    ] {
        let (mut questions, mut said) = (HashMap::new(), HashSet::new());
        for split in ["train", "validation", "test", "test_unseen_template"] {
            let file = dataset.join(format!("{set}/{split}.jsonl"));
            for line in fs::read_to_string(file).unwrap_or_default().lines() {
                let row: Value = serde_json::from_str(line).unwrap();
                let turns = |list: &str| row[list].as_array().cloned().unwrap_or_default();
                let given = |turn: &Value| turn["role"] != "assistant";
                let question: Vec<Value> = turns("messages")
                    .into_iter()
                    .chain(turns("prompt"))
                    .filter(given)
                    .collect();
                let all = [
                    turns("messages"),
                    turns("prompt"),
                    turns("chosen"),
                    turns("rejected"),
                ];
                assert!(!question.is_empty(), "{row}");
                assert!(
                    said.insert(format!("{all:?}")),
                    "{set}: said twice: {}",
                    row["id"]
                );
                let before = questions.insert(format!("{question:?}"), split);
                assert!(
                    before.is_none_or(|before| before == split),
                    "{set}: {} is asked in {before:?} and {split}",
                    row["id"]
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 2000, "{compared} rows compared");
}

#[test]
fn the_quickstart_runs_to_a_data_set_and_is_not_run_twice() {
    let house = House::new();
    let args = ["run", "--campaign-target", "2000", "--json"];
    let output = house.campaignd(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let campaign = &result["campaign"];
    assert_eq!(campaign["state"], "completed");
    let dataset = &campaign["dataset"];
    let kept = dataset["rows"].as_u64().unwrap();
    assert_eq!(dataset["rows_in"], 2190, "pilot rows join the data set");
    assert_eq!(kept + dataset["removed"].as_u64().unwrap(), 2190);
    assert!(kept > 1500 && dataset["removed"].as_u64().unwrap() > 0);
    let directory = Path::new(campaign["directory"].as_str().unwrap());
    let stats = fs::read(directory.join("dataset/stats.json")).unwrap();
    let stats: Value = serde_json::from_slice(&stats).unwrap();
    assert_eq!(stats["kept"].as_u64(), Some(kept));
    let rows = |split: &str| {
        let file = directory.join(format!("dataset/codegen/{split}.jsonl"));
        let text = fs::read_to_string(file).unwrap();
        let chat = |line: &str| {
            serde_json::from_str::<Value>(line).unwrap()["messages"]
                .as_array()
                .is_some_and(|turns| turns.len() > 1)
        };
        assert!(text.lines().all(chat), "{split}");
        text.lines().count() as u64
    };
    let all: u64 = ["train", "validation", "test", "test_unseen_template"]
        .map(rows)
        .iter()
        .sum();
    assert_eq!(dataset["datasets"]["codegen"].as_u64(), Some(all));
    assert!(all > 1000, "{dataset}");
    nothing_is_asked_in_two_splits(&directory.join("dataset"));
    for file in [
        "pilot_monitor_status.json",
        "campaign_validation.json",
        "campaign_status.json",
        "campaign_monitor_status.json",
        "orchestrator_state.json",
    ] {
        let text = fs::read(directory.join("mirror").join(file)).unwrap();
        assert!(
            serde_json::from_slice::<Value>(&text).unwrap().is_object(),
            "{file}"
        );
    }
    let history = fs::read(house.path("state/training_history.json")).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&history).unwrap()["total_experiments"],
        1
    );
    let again = house.campaignd(&args);
    assert_eq!(again.status.code(), Some(0));
    assert!(
        stderr(&again).contains("already completed"),
        "{}",
        stderr(&again)
    );
    let other = house.campaignd(&["run", "--campaign-target", "2001"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(
        stderr(&other).contains("campaign_target"),
        "{}",
        stderr(&other)
    );
}

#[test]
fn a_bad_pilot_is_rejected_and_amended() {
    let house = House::new();
    let file = house.campaign("poor", "", &generator("0", "0.5"));
    let rejected = house.campaignd(&["run", &file]);
    assert_eq!(rejected.status.code(), Some(3), "{}", stderr(&rejected));
    let amended = house.campaignd(&["run", &file, "--quality-threshold", "0.4"]);
    assert_eq!(amended.status.code(), Some(0), "{}", stderr(&amended));
    assert_eq!(
        ledger(&house),
        ["launch generate 0", "launch generate 1", "launch pilot 0"],
        "the pilot is judged again, not made again"
    );
}

#[test]
fn failures_are_said_with_their_counts() {
    let house = House::new();
    let cases = [
        ("exits", "exit 3\n", "ended with status 3"),
        (
            "short",
            "echo '{\"id\":1}' >> \"$1\"; echo no json >> \"$1\"\n",
            "too few samples: 1 of 8, 1 lines are no samples",
        ),
        ("nothing", "true\n", "too few samples: 0 of 8"),
        (
            "same",
            "for i in 1 2 3 4 5 6 7 8; do echo '{\"id\":1}' >> \"$1\"; done\n",
            "1 of 8, 7 lines repeat an id",
        ),
    ];
    for (name, script, expected) in cases {
        let file = house.campaign(name, "", script);
        let output = house.campaignd(&["run", &file, "--json"]);
        assert_eq!(output.status.code(), Some(4), "{name}: {}", stderr(&output));
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        let cause = result["campaign"]["cause"].as_str().unwrap();
        assert!(cause.contains(expected), "{name}: {cause}");
    }
    let file = house.campaign("absent", "", "");
    let text = fs::read_to_string(&file)
        .unwrap()
        .replace("\"sh\"", "\"no-such-program\"");
    fs::write(&file, text).unwrap();
    let output = house.campaignd(&["run", &file, "--json"]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        result["campaign"]["cause"]
            .as_str()
            .unwrap()
            .contains("\"no-such-program\" cannot be started"),
        "{result}"
    );
}

#[test]
fn every_verb_works_on_a_daemon() {
    let mut house = House::new();
    house.serve();
    let file = house.campaign("verbs", "auto_launch = false", &generator("0.01", "0.9"));
    assert!(house.ctl(&["submit", &file]).status.success());
    assert!(
        house.ctl(&["submit", &file]).status.success(),
        "the same file answers again"
    );
    assert_eq!(
        house
            .ctl(&["wait", "--for", "awaiting_approval", "--timeout", "50s"])
            .status
            .code(),
        Some(0)
    );
    assert_eq!(house.ctl(&["wait"]).status.code(), Some(6));
    let view = house.json(&["status", "ve"]);
    assert_eq!(view["campaigns"][0]["needs"][0], "approve");
    assert_eq!(house.json(&["verdict"])["verdict"]["decision"], "APPROVE");
    assert_eq!(house.json(&["explain"])["state"], "awaiting_approval");
    let wrong = house.ctl(&["retry"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        stderr(&wrong).contains("campaignctl approve verbs"),
        "{}",
        stderr(&wrong)
    );
    assert_eq!(house.ctl(&["status", "unheard-of"]).status.code(), Some(2));
    assert!(house.ctl(&["pause"]).status.success());
    assert!(
        house.json(&["list"])["campaigns"][0]["paused"]
            .as_bool()
            .unwrap()
    );
    let approved = house.json(&["approve"]);
    assert_eq!(approved["state"], "launching");
    assert!(
        approved["uid"].is_u64(),
        "who asked is in the answer: {approved}"
    );
    assert_eq!(
        house.json(&["status"])["campaigns"][0]["jobs"]["waiting"],
        2,
        "a pause holds new work"
    );
    assert!(house.ctl(&["resume"]).status.success());
    assert_eq!(
        house.ctl(&["wait", "--timeout", "50s"]).status.code(),
        Some(0)
    );
    let jobs = house.json(&["jobs"]);
    assert!(
        jobs["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .all(|job| job["status"] == "COMPLETED"),
        "{jobs}"
    );
    let job = jobs["jobs"][0]["job"].as_str().unwrap();
    assert!(house.ctl(&["job", job]).status.success());
    let logs = String::from_utf8(house.ctl(&["logs", "--level", "tool"]).stdout).unwrap();
    assert!(logs.contains("Progress: 8/8"), "{logs}");
    let told = String::from_utf8(house.ctl(&["logs", "--level", "orchestration"]).stdout).unwrap();
    assert!(told.contains("[CampaignValidator] INFO:"), "{told}");
    let events = String::from_utf8(house.ctl(&["events", "--json"]).stdout).unwrap();
    let events: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let approval = events
        .iter()
        .find(|event| event["event"] == "approval_granted")
        .unwrap();
    assert!(approval["uid"].is_u64(), "the acting uid is in the journal");
    let second = house.campaignd(&["serve"]);
    assert_eq!(second.status.code(), Some(2));
    assert!(stderr(&second).contains("in use"), "{}", stderr(&second));
    assert!(house.ctl(&["clean", "--yes"]).status.success());
    assert_eq!(
        house.json(&["list"])["campaigns"].as_array().unwrap().len(),
        0
    );
    assert!(house.ctl(&["stop"]).status.success());
    house.until("the daemon is gone", || {
        house.ctl(&["status"]).status.code() == Some(7)
    });
    house.daemon.take().unwrap().wait().unwrap();
}

#[test]
fn a_killed_daemon_finds_its_jobs_again() {
    let mut house = House::new();
    let file = house.campaign("killed", "", &generator("0.05", "0.9"));
    house.serve();
    assert!(house.ctl(&["submit", &file]).status.success());
    for kill in 0..4 {
        house.until("a job runs", || {
            house.json(&["status", "killed"])["campaigns"][0]["jobs"]["running"] != 0
        });
        house.kill();
        house.serve();
        println!(
            "kill {kill}: {}",
            house.json(&["status", "killed"])["campaigns"][0]["state"]
        );
    }
    assert_eq!(
        house.ctl(&["wait", "--timeout", "50s"]).status.code(),
        Some(0)
    );
    assert_eq!(
        ledger(&house),
        ["launch generate 0", "launch generate 1", "launch pilot 0"],
        "nothing was launched twice"
    );
    let rows = |shard| {
        fs::read_to_string(house.path(&format!(
            "state/campaigns/killed/data/generate/shard-{shard}.jsonl"
        )))
        .unwrap()
    };
    let mut ids: Vec<String> = [rows(0), rows(1)]
        .concat()
        .lines()
        .map(String::from)
        .collect();
    ids.sort();
    let made = ids.len();
    ids.dedup();
    assert_eq!(
        (ids.len(), made),
        (40, 40),
        "no sample lost, none made twice"
    );
}

#[test]
fn cancel_ends_jobs_and_a_new_generator_of_anyone_works() {
    let mut house = House::new();
    house.serve();
    let file = house.campaign("long", "", &generator("5", "0.9"));
    assert!(house.ctl(&["submit", &file]).status.success());
    house.until("a job runs", || {
        house.json(&["jobs"])["jobs"][0]["place"]
            .as_str()
            .unwrap_or("-")
            .starts_with("PID")
    });
    let cancelled = house.ctl(&["cancel", "long", "--yes"]);
    assert!(cancelled.status.success(), "{}", stderr(&cancelled));
    assert_eq!(house.ctl(&["wait", "long"]).status.code(), Some(5));
    assert_eq!(house.json(&["jobs"])["jobs"][0]["status"], "CANCELLED");
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped the foreign generator: no python3");
        return;
    }
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/foreign.toml");
    assert!(
        house
            .ctl(&["submit", &example.to_string_lossy()])
            .status
            .success()
    );
    assert_eq!(
        house
            .ctl(&["wait", "foreign", "--timeout", "50s"])
            .status
            .code(),
        Some(0)
    );
    assert_eq!(
        house.json(&["status", "foreign"])["campaigns"][0]["dataset"]["rows_in"],
        240
    );
}

#[test]
fn ctrl_c_keeps_everything_and_the_same_command_continues() {
    let house = House::new();
    let file = house.campaign("stopped", "", &generator("0.03", "0.9"));
    let mut run = house.command(env!("CARGO_BIN_EXE_campaignd"));
    let mut run = run
        .args(["run", &file])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let made = || {
        fs::read_to_string(house.path("state/campaigns/stopped/data/generate/shard-0.jsonl"))
            .unwrap_or_default()
    };
    house.until("some samples are made", || made().lines().count() > 3);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(run.id().try_into().unwrap()),
        nix::sys::signal::Signal::SIGINT,
    )
    .unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let kept = made().lines().count();
    assert!((4..20).contains(&kept), "{kept} samples");
    let again = house.campaignd(&["run", &file]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    let mut ids: Vec<String> = made().lines().map(String::from).collect();
    ids.dedup();
    assert_eq!(ids.len(), 20, "it went on from what was there");
}

#[test]
fn a_silent_job_is_flagged_and_a_dead_one_is_started_again() {
    let mut house = House::new();
    fs::write(
        house.path("campaignd.toml"),
        "silent_after = \"300ms\"\ncheck_interval.pilot = \"100ms\"\n",
    )
    .unwrap();
    let script =
        "echo \"launch\" >> ledger; echo $PPID > shim; [ $(wc -l < ledger) -gt 1 ] || sleep 60\n"
            .to_string()
            + &generator("0", "0.9");
    let file = house.campaign("quiet", "", &script);
    let log = fs::File::create(house.path("daemon.log")).unwrap();
    let mut serve = house.command(env!("CARGO_BIN_EXE_campaignd"));
    let serve = serve
        .args(["serve", "--config", "campaignd.toml"])
        .stderr(log)
        .stdout(Stdio::null());
    house.daemon = Some(serve.spawn().unwrap());
    house.until("the daemon answers", || {
        house.ctl(&["status"]).status.success()
    });
    assert!(house.ctl(&["submit", &file]).status.success());
    let warnings = || house.json(&["status", "quiet"])["campaigns"][0]["warnings"].to_string();
    house.until("it is flagged", || warnings().contains("alive but silent"));
    let shim: i32 = fs::read_to_string(house.path("shim"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(shim),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    assert_eq!(
        house.ctl(&["wait", "--timeout", "50s"]).status.code(),
        Some(0)
    );
    let jobs = house.json(&["status", "quiet"])["campaigns"][0]["jobs"].clone();
    assert_eq!(
        (&jobs["lost"], &jobs["retried"]),
        (&1.into(), &1.into()),
        "{jobs}"
    );
}

#[test]
fn of_a_launch_that_half_failed_nothing_lives_beside_the_next_attempt() {
    let mut house = House::new();
    house.serve();
    let script = "exec 9>\"lock.$3.$4\"; flock -n 9 || echo \"overlap $3 $4\" >> ledger\n\
        while [ \"$3\" = pilot ] && [ ! -e go ]; do sleep 0.02; done\n"
        .to_string()
        + &generator("0.05", "0.9");
    let file = house.campaign("half", "", &script);
    assert!(house.ctl(&["submit", &file]).status.success());
    house.until("the pilot runs", || {
        !ledger(&house).is_empty() || house.path("lock.pilot.0").exists()
    });
    // No shim can claim the second shard of the first attempt.
    let job = house.path("state/jobs/half-4/tasks");
    fs::create_dir_all(&job).unwrap();
    fs::write(job.join("1"), "").unwrap();
    fs::write(house.path("go"), "").unwrap();
    house.until("it completes", || house.state("half") == "completed");
    let lines = ledger(&house);
    let log = house.log();
    assert!(
        log.contains("half-4"),
        "the number of the job is another: {log}"
    );
    assert!(
        !lines.iter().any(|line| line.starts_with("overlap")),
        "{lines:?}"
    );
    let attempts = house.json(&["jobs", "half"]);
    let attempts = attempts["jobs"].as_array().unwrap().iter();
    let most = attempts.filter_map(|job| job["attempt"].as_u64()).max();
    assert_eq!(most, Some(2), "the launch did not fail");
}
