//! The Trainer with the real programs: what is checked before anything is launched, and what a person sees of it.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod house;

use house::{House, generator, stderr};
use std::fs;

/// A campaign that goes on to train, beside a directory that could be a model's.
fn campaign(house: &House, training: &str) -> String {
    fs::create_dir_all(house.path("small")).unwrap();
    let config = r#"{"architectures": ["LlamaForCausalLM"]}"#;
    fs::write(house.path("small/config.json"), config).unwrap();
    let extra = format!("[curation]\nmin_quality = 0.1\n{training}\n");
    house.campaign("tuned", &extra, &generator("0", "0.9"))
}

#[test]
fn too_few_rows_fail_the_campaign_before_any_run_is_launched() {
    let mut house = House::new();
    house.serve();
    let training = "[[training.run]]\nname = \"one\"\nmodel = \"small\"\n\
                    [[training.run]]\nname = \"two\"\nmodel = \"small\"\nminimum_examples = 5000";
    let file = campaign(&house, training);
    let submitted = house.ctl(&["submit", &file]);
    assert!(submitted.status.success(), "{}", stderr(&submitted));
    let waited = house.ctl(&["wait", "tuned", "--timeout", "60s"]);
    assert_eq!(
        waited.status.code(),
        Some(4),
        "{}\n{}",
        stderr(&waited),
        house.log()
    );

    let status = house.json(&["status", "tuned"]);
    let view = &status["campaigns"][0];
    let cause = view["cause"].as_str().unwrap();
    assert!(
        cause.contains("training rows, 5,000 are needed (training.run.minimum_examples)"),
        "{cause}"
    );
    let runs = view["runs"].as_array().unwrap();
    let names: Vec<&str> = runs
        .iter()
        .map(|run| run["run"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["run-1-one", "run-1-two"]);
    assert!(!house.path("state/campaigns/tuned/runs").exists());

    let jobs = house.json(&["jobs", "tuned"]);
    let all = jobs["jobs"].as_array().unwrap();
    let train: Vec<_> = all
        .iter()
        .filter(|job| job["phase"].as_str().unwrap().starts_with("train"))
        .collect();
    assert_eq!(train.len(), 2, "{jobs}");
    for job in train {
        assert!(job["launched_at"].is_null(), "{job}");
        let request = format!("state/jobs/{}/request.toml", job["job"].as_str().unwrap());
        assert!(!house.path(&request).exists(), "{request}");
    }
    let phases: Vec<(&str, &str)> = view["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| {
            (
                phase["phase"].as_str().unwrap(),
                phase["status"].as_str().unwrap(),
            )
        })
        .collect();
    assert!(phases.contains(&("train", "failed")), "{phases:?}");
    // The job of the other run may still be ending.
    house.until("it is retried", || {
        house.ctl(&["retry", "tuned"]).status.success()
    });
    let waited = house.ctl(&["wait", "tuned", "--timeout", "60s"]);
    assert_eq!(waited.status.code(), Some(4), "{}", stderr(&waited));
}

#[test]
fn a_model_that_is_not_there_is_refused_when_it_is_handed_in() {
    let mut house = House::new();
    house.serve();
    let file = campaign(&house, "[training]\nmodel = \"gone\"");
    let submitted = house.ctl(&["submit", &file]);
    assert_eq!(submitted.status.code(), Some(2));
    let said = stderr(&submitted);
    assert!(said.contains("gone/config.json"), "{said}");
    assert!(
        said.contains("training.model names what is there"),
        "{said}"
    );
}

#[test]
fn check_shows_what_is_trained_and_init_offers_it() {
    let house = House::new();
    let text = "[training]\nmodel = \"small\"\nr = 8\n[evaluation]\nitems = 50";
    let file = campaign(&house, text);
    let output = house.campaignd(&["check", &file]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("local jobs, then 1 fine-tune"), "{said}");
    let line = said
        .lines()
        .find(|line| line.starts_with("training.r "))
        .unwrap();
    assert!(
        line.contains(" 8 ") && line.contains("tuned.toml:"),
        "{line}"
    );
    assert!(
        said.lines()
            .any(|line| line.starts_with("evaluation.items ")),
        "{said}"
    );

    let keys = house.campaignd(&["check", "--keys"]);
    let keys = String::from_utf8(keys.stdout).unwrap();
    for key in ["training.lora_alpha", "evaluation.confidence"] {
        assert!(keys.contains(key), "{key}\n{keys}");
    }
    assert!(house.campaignd(&["init", "my.toml"]).status.success());
    let made = fs::read_to_string(house.path("my.toml")).unwrap();
    assert!(
        made.contains("# [training]") && made.contains("# model = \"made\""),
        "{made}"
    );
    assert!(house.campaignd(&["check", "my.toml"]).status.success());
}
