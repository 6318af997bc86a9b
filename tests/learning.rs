//! A campaign that plans, with the real programs: a second cycle, its proposals, their results, and what is asked of them.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod house;

use house::{House, stderr};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt};

const FILE: &str = r#"
name = "learning"
pilot_target = 190
campaign_target = 600
[generator]
shards = 2
[curation]
[training]
model = "made"
dataset = "error_recovery"
device = "cpu"
r = 4
lora_dropout = 0.0
learning_rate = 0.001
per_device_train_batch_size = 2
max_steps = 4
max_seq_length = 256
[evaluation]
items = 20
generate = 0
options = 0
[planning]
cycles = 2
proposals = 2
approval = "high"
[planning.vary]
r = [2, 4, 8]
learning_rate = "1e-4..1e-2:log"
"#;

#[test]
fn a_second_cycle_tries_what_was_proposed_and_everything_of_it_can_be_asked() {
    let mut house = House::new();
    fs::write(house.path("learning.toml"), FILE).unwrap();
    house.serve();
    let submitted = house.ctl(&["submit", "learning.toml"]);
    assert!(submitted.status.success(), "{}", stderr(&submitted));
    let ended = house.ctl(&["wait", "learning", "--timeout", "8m"]);
    let explained = house.ctl(&["explain", "learning"]);
    let told = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(0), "{told}{}", stderr(&ended));

    let proposals = house.json(&["proposals", "learning"]);
    assert_eq!(
        (&proposals["plan"]["cycle"], &proposals["plan"]["cycles"]),
        (&2.into(), &2.into())
    );
    let all = proposals["proposals"].as_array().unwrap();
    assert_eq!(all.len(), 2, "{proposals}");
    for one in all {
        assert_eq!(one["state"], "tried", "{one}");
        assert_eq!(one["result"]["status"], "completed", "{one}");
        assert!(
            one["result"]["value"].as_f64().is_some_and(f64::is_finite),
            "{one}"
        );
        let rank = one["values"]["r"].as_i64().unwrap();
        assert!([2, 4, 8].contains(&rank), "{one}");
        let names: Vec<&str> = one["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| check["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            ["constraints", "budget", "novelty", "predicted_gain"]
        );
    }
    assert_ne!(all[0]["values"], all[1]["values"]);
    assert!(
        proposals["plan"]["stopped"]
            .as_str()
            .unwrap()
            .contains("2 cycles")
    );
    let page = house.ctl(&["explain", "proposal", "learning/p1"]);
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(
        page.contains("novelty") && page.contains("learning-run-2-p1"),
        "{page}"
    );

    let history = house.json(&["history"]);
    assert_eq!(
        (&history["total"], &history["matched"]),
        (&3.into(), &3.into())
    );
    let good = house.json(&["history", "--where", "proposal = p1 and eval_loss > 0"]);
    assert_eq!(good["matched"], 1, "{good}");
    let none = house.ctl(&["history", "--where", "f1 > 0"]);
    assert_eq!(none.status.code(), Some(2), "{}", stderr(&none));
    assert!(stderr(&none).contains("f1"), "{}", stderr(&none));

    // What each was set to lies beside the campaign's other files, for its owner alone.
    let configured = fs::read_dir(house.path("state/campaigns/learning/experiments")).unwrap();
    let mut configured: Vec<_> = configured.map(|entry| entry.unwrap().path()).collect();
    configured.sort();
    assert_eq!(configured.len(), 3, "{configured:?}");
    for (dir, changed) in configured.iter().zip([false, true, true]) {
        for name in ["config.json", "config.yaml"] {
            let mode = fs::metadata(dir.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{dir:?} {name}");
        }
        let config = fs::read(dir.join("config.json")).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        let run = dir.file_name().unwrap().to_string_lossy();
        assert_eq!(config["experiment_id"], format!("learning-{run}"));
        assert_eq!(config["config"]["max_steps"], 4);
        let names = config["changed"].as_array().unwrap();
        assert_eq!(!names.is_empty(), changed, "{config}");
    }

    // Its results are in the file, and a daemon that starts again adds nothing to them.
    house.kill();
    house.serve();
    let again = house.json(&["history"]);
    assert_eq!(again["total"], 3);
    let file = fs::read(house.path("state/training_history.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(file["total_experiments"], 3);
    assert_eq!(file["cycles"].as_array().unwrap().len(), 2);

    // A person's rule is kept, told, and binds.
    let added = house.ctl(&[
        "constraints",
        "--campaign",
        "learning",
        "add",
        "learning_rate <= 0.005",
    ]);
    assert!(added.status.success(), "{}", stderr(&added));
    let shown = house.json(&["constraints", "--campaign", "learning"]);
    assert_eq!(shown["constraints"].as_array().unwrap().len(), 1, "{shown}");
    let late = house.ctl(&["propose", "learning", "r=8"]);
    assert_eq!(late.status.code(), Some(2), "it is completed");
}

#[test]
fn nothing_is_launched_that_breaks_a_hard_constraint() {
    let mut house = House::new();
    let file = FILE.replace(
        "name = \"learning\"",
        "name = \"held\"\nauto_launch = false",
    );
    fs::write(
        house.path("held.toml"),
        file.replace("cycles = 2", "cycles = 1"),
    )
    .unwrap();
    house.serve();
    let submitted = house.ctl(&["submit", "held.toml"]);
    assert!(submitted.status.success(), "{}", stderr(&submitted));
    house.until("it waits for a person", || {
        house.state("held") == "awaiting_approval"
    });
    let rule = [
        "constraints",
        "--campaign",
        "held",
        "add",
        "learning_rate >= 0.005",
    ];
    let added = house.ctl(&rule);
    assert!(added.status.success(), "{}", stderr(&added));
    let approved = house.ctl(&["approve", "held"]);
    assert!(approved.status.success(), "{}", stderr(&approved));
    house.ctl(&["wait", "held", "--timeout", "8m"]);
    let history = house.json(&["history", "--where", "status = failed"]);
    assert_eq!(history["matched"], 1, "{history}");
    assert_eq!(history["experiments"][0]["failure"]["cause"], "refused");
    let failure = &history["experiments"][0]["failure"]["text"];
    let failure = failure.as_str().unwrap();
    for part in [
        "the constraint c-",
        "learning_rate = 0.001",
        "allowed is learning_rate >= 0.005",
        "constraints delete",
    ] {
        assert!(failure.contains(part), "{part}: {failure}");
    }
    assert!(!house.path("state/campaigns/held/experiments").exists());
    let began = fs::read_dir(house.path("state/campaigns/held/runs"));
    assert_eq!(began.map_or(0, Iterator::count), 0, "it did not begin");
}
