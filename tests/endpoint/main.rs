//! Campaigns whose agents ask models: what is answered is paid once, what is bounded stays bounded, and no key is kept.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

#[path = "../house/mod.rs"]
mod house;
mod model;

use house::{House, stderr};
use model::{COMPLETION, Manners, Model};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

const KEY: &str = "sk-this-is-a-secret-0123456789abcdef";

/// A campaign of 6 pilot samples and 10 of two shards, asking one server for two tiers.
fn campaign(house: &House, name: &str, model: &Model, more: &str) -> String {
    let file = house.path(&format!("{name}.toml"));
    let url = &model.url;
    let text = format!(
        r#"
name = "{name}"
gate = "point"
quality_threshold = 0.5
pilot_target = 6
min_pilot_samples = 4
campaign_target = 10
[generator]
brain = "endpoint"
shards = 2
faults = 0.0
concurrency = 4
{more}
[generator.tiers.local_large]
url = "{url}"
model = "big"
prompt_price = 2.0
cached_price = 0.5
completion_price = 10.0
api_key = "env:MODEL_KEY"
[generator.tiers.local_small]
url = "{url}"
model = "small"
prompt_price = 0.2
completion_price = 1.0
api_key = "env:MODEL_KEY"
"#
    );
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn house() -> House {
    let mut house = House::new().with_settings("[retry.times]\ntransient = 50\n");
    house.env.push(("MODEL_KEY".into(), KEY.into()));
    house.serve();
    house
}

fn submit(house: &House, file: &str) {
    let output = house.ctl(&["submit", file]);
    assert!(output.status.success(), "{}", stderr(&output));
}

fn rows(house: &House, name: &str) -> Vec<Value> {
    let output = house.ctl(&["export", name, "--format", "jsonl"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

#[test]
fn agents_ask_models_mend_what_they_wrote_and_say_what_it_cost() {
    let model = Model::start(Manners {
        refuses: 7,
        sloppy: true,
        ..Manners::default()
    });
    let house = house();
    let file = campaign(
        &house,
        "asked",
        &model,
        "defects = 0.0\ncounterfactual = 1.0",
    );
    submit(&house, &file);
    house.until("it completes", || house.state("asked") == "completed");

    let rows = rows(&house, "asked");
    assert_eq!(rows.len(), 16);
    let ids: BTreeSet<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 16, "each once");
    for row in &rows {
        assert_eq!(row["outcome"], "success", "{}", row["outcome_reason"]);
        assert!(
            row["cycles"].as_u64().unwrap() >= 1,
            "its first workflow had no version"
        );
        let latest = |draft: &Value| {
            draft["issues"]
                .as_array()
                .unwrap()
                .iter()
                .any(|issue| issue["type"] == "latest_tag")
        };
        assert!(row["drafts"].as_array().unwrap().iter().any(latest));
        let steps = row["steps"].as_array().unwrap();
        let asked: Vec<&Value> = steps
            .iter()
            .filter(|step| !step["model_used"].is_null())
            .collect();
        assert!(
            asked.len() >= 5,
            "planner, codegen twice, validator, documenter"
        );
        for step in &asked {
            assert!(
                step["latency_ms"].as_f64().unwrap() >= 0.0
                    && step["cost_usd"].as_f64().unwrap() > 0.0
            );
            assert!(step["input_tokens"].as_u64().unwrap() > 100);
            assert_eq!(step["output_tokens"], COMPLETION);
        }
        let routed = row["routing_decisions"].as_array().unwrap();
        assert_eq!(routed.len(), asked.len());
        for decision in routed {
            let others = decision["alternatives"].as_array().unwrap();
            assert_eq!(others.len(), 1, "both tiers were in front of it");
            assert!(others[0]["cost_estimate"].as_f64().unwrap() > 0.0);
        }
        // Both models write the same here, so the dearer one was not the better choice; what nothing measures is not said.
        let planner = routed
            .iter()
            .find(|decision| decision["agent"] == "planner")
            .unwrap();
        assert_eq!(planner["was_optimal"], false, "{planner}");
        let documenter = routed
            .iter()
            .find(|decision| decision["agent"] == "documenter")
            .unwrap();
        assert_eq!(documenter["was_optimal"], Value::Null);
        assert!(!row["model_comparisons"].as_array().unwrap().is_empty());
    }
    budget_is_what_was_answered(&house, &model);
    no_key_is_kept(&house, &model);
}

/// The ledger is the only home of what was spent, and says what the server says.
fn budget_is_what_was_answered(house: &House, model: &Model) {
    let budget = house.json(&["budget", "asked"]);
    let tiers = budget["tiers"].as_array().unwrap();
    let sum = |key: &str| {
        tiers
            .iter()
            .map(|tier| tier[key].as_u64().unwrap())
            .sum::<u64>()
    };
    let answers = model.answers();
    assert!(answers > 100, "{answers}");
    let read = model.seen().read.clone();
    let prompt: u64 = read.values().map(|(prompt, _)| prompt).sum();
    let cached: u64 = read.values().map(|(_, cached)| cached).sum();
    assert_eq!(sum("answers"), answers);
    assert_eq!(sum("prompt_tokens"), prompt);
    assert_eq!(sum("cached_tokens"), cached);
    assert_eq!(sum("completion_tokens"), answers * COMPLETION);
    assert_eq!(
        budget["spent_tokens"],
        prompt - cached + answers * COMPLETION
    );
    let big = tiers
        .iter()
        .find(|tier| tier["tier"] == "local_large")
        .unwrap();
    let (prompt, cached) = read["big"];
    let completion = big["answers"].as_u64().unwrap() * COMPLETION;
    let cost = (prompt - cached) as f64 * 2.0 + cached as f64 * 0.5 + completion as f64 * 10.0;
    let told = big["cost_usd"].as_f64().unwrap();
    assert!((told - cost / 1e6).abs() < 1e-9, "{big}");
    let shown = house.ctl(&["budget", "asked"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("local_large"));
}

fn no_key_is_kept(house: &House, model: &Model) {
    assert!(
        model
            .seen()
            .keys
            .iter()
            .all(|key| *key == format!("Bearer {KEY}"))
    );
    let mut read = 0;
    for file in files(&house.path("state")) {
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            // The daemon is at work: a file that it replaces may go between the listing and the reading.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => panic!("{}: {error}", file.display()),
        };
        read += 1;
        let held = bytes
            .windows(KEY.len())
            .any(|window| window == KEY.as_bytes());
        assert!(!held, "{} holds the key", file.display());
    }
    assert!(read > 10, "{read} files");
    assert!(!house.log().contains(KEY));
}

#[test]
fn a_kill_in_the_middle_pays_for_nothing_twice() {
    let model = Model::start(Manners {
        pause: Duration::from_millis(15),
        ..Manners::default()
    });
    let house = house();
    let file = campaign(
        &house,
        "killed",
        &model,
        "defects = 0.0\ncounterfactual = 0.0",
    );
    submit(&house, &file);
    let mut kills = 0;
    let mut mark = 0;
    house.until("it completes", || {
        let answers = model.answers();
        if answers >= mark + 20 && kills < 4 {
            mark = answers;
            kills += kill_workers(&house);
        }
        house.state("killed") == "completed"
    });
    assert!(kills >= 2, "{kills}");
    let ids: Vec<Value> = rows(&house, "killed")
        .iter()
        .map(|row| row["id"].clone())
        .collect();
    assert_eq!(ids.len(), 16);
    let seen = model.seen();
    // What was on its way at a kill was not received; everything else is asked once.
    let twice: u64 = seen.answered.values().map(|times| times - 1).sum();
    let in_flight = kills * 4;
    assert!(
        twice <= in_flight,
        "{twice} asked again, {in_flight} were in flight at {kills} kills"
    );
    assert!(
        seen.most_in_flight <= 8,
        "two tasks of four: {}",
        seen.most_in_flight
    );
}

/// Kills every worker that asks models, as the kernel would; how many there were.
fn kill_workers(house: &House) -> u64 {
    let mut killed = 0;
    for pid in house::processes_below(&house.path("")) {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        if words.contains(&&b"generate"[..]) {
            let pid = nix::unistd::Pid::from_raw(pid);
            killed +=
                u64::from(nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).is_ok());
        }
    }
    killed
}

#[test]
fn a_budget_is_kept_and_a_raised_one_goes_on_with_what_was_paid() {
    let model = Model::start(Manners::default());
    let house = house();
    // A request reserves its whole completion: about 0.12 USD at the large tier.
    let file = campaign(
        &house,
        "bounded",
        &model,
        "defects = 0.0\ncounterfactual = 0.0",
    );
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n[budget]\nusd = 0.2\n")).unwrap();
    submit(&house, &file);
    house.until("it ends", || house.state("bounded") == "failed");
    let view = house.json(&["status", "bounded"]);
    let cause = view["campaigns"][0]["cause"]
        .as_str()
        .unwrap_or("")
        .to_owned();
    assert!(cause.contains("budget"), "{cause}");
    let spent = house.json(&["budget", "bounded"])["spent_usd"]
        .as_f64()
        .unwrap();
    assert!(spent > 0.02 && spent <= 0.2, "{spent}");
    let before = model.answers();

    let raised = house.ctl(&["amend", "bounded", "--budget-usd", "50"]);
    assert!(raised.status.success(), "{}", stderr(&raised));
    assert!(house.ctl(&["retry", "bounded"]).status.success());
    house.until("it completes", || house.state("bounded") == "completed");
    let seen = model.seen();
    assert!(
        seen.answered.values().all(|times| *times == 1),
        "nothing was paid twice"
    );
    assert!(seen.answered.len() as u64 > before);
    drop(seen);
    let view = house.json(&["budget", "bounded"]);
    assert_eq!(view["usd"], 50.0);
    let left = view["left_usd"].as_f64().unwrap() + view["spent_usd"].as_f64().unwrap();
    assert!((left - 50.0).abs() < 1e-6, "{left}");
}

#[test]
fn a_refused_key_ends_the_campaign_with_a_reason_and_a_written_one_is_refused_unseen() {
    let model = Model::start(Manners {
        locked: true,
        ..Manners::default()
    });
    let house = house();
    let file = campaign(&house, "locked", &model, "");
    submit(&house, &file);
    house.until("it ends", || house.state("locked") == "failed");
    let view = house.json(&["status", "locked"]);
    let cause = view["campaigns"][0]["cause"]
        .as_str()
        .unwrap_or("")
        .to_owned();
    assert!(cause.contains("78"), "{cause}");
    let worker: String = files(&house.path("state/jobs"))
        .iter()
        .filter(|path| path.ends_with("stderr"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(worker.contains("unauthorized"), "{worker}");
    assert_eq!(model.answers(), 0);

    model.behave(Manners::default());
    assert!(house.ctl(&["retry", "locked"]).status.success());
    house.until("it completes", || house.state("locked") == "completed");

    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("env:MODEL_KEY", KEY)).unwrap();
    let checked = house.campaignd(&["check", &file]);
    let said = stderr(&checked) + &String::from_utf8_lossy(&checked.stdout);
    assert!(
        !checked.status.success() && said.contains("api_key"),
        "{said}"
    );
    assert!(!said.contains(KEY), "{said}");
}
