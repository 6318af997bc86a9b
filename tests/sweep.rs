//! `campaignd train --sweep`: every member comes out as it does alone, byte for byte, whoever else is trained with it, killed
//! or not.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

#[path = "sweep/halving.rs"]
mod halving;
mod tiny;

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Output,
    thread,
    time::{Duration, Instant},
};
use tiny::{Bench, said};

/// Members that differ in everything in which members may: sizes, steps, modules, chance.
const MEMBERS: [(&str, &str); 4] = [
    ("plain", ""),
    (
        "wide",
        "r = 17\nlora_alpha = 5.0\nlora_dropout = 0.0\nlearning_rate = 0.02\nseed = 7\n\
         target_modules = [\"q_proj\", \"gate_proj\", \"down_proj\"]\n",
    ),
    (
        "small",
        "r = 1\nlora_dropout = 0.4\nper_device_train_batch_size = 5\ngradient_accumulation_steps = 1\n\
         num_train_epochs = 2.0\nweight_decay = 0.1\nseed = 99\n",
    ),
    (
        "slow",
        "learning_rate = 0.001\ngradient_accumulation_steps = 3\nmax_steps = 5\nuse_rslora = true\n\
         target_modules = [\"v_proj\"]\nearly_stopping_patience = 1\n",
    ),
];

/// Settings with other values for some keys.
fn over(own: &str) -> String {
    let key = |line: &str| line.split(" =").next().unwrap().to_string();
    let set: Vec<String> = own.lines().map(key).collect();
    let kept = tiny::SETTINGS
        .lines()
        .filter(|line| !set.contains(&key(line)));
    kept.map(|line| format!("{line}\n")).collect::<String>() + own
}

fn write_sweep(bench: &Bench, members: &[(&str, &str)], shared: &str) {
    let mut text = format!(
        "model = \"model\"\ndata = [\"train.jsonl\"]\nholdout = [\"holdout.jsonl\"]\noutput = \"sweep\"\n\
         device = \"cpu\"\n{}",
        over(shared)
    );
    for (name, own) in members {
        text += &format!("\n[[member]]\nname = \"{name}\"\n{own}");
    }
    fs::write(bench.path("sweep.toml"), text).unwrap();
}

fn sweep(bench: &Bench, more: &[&str]) -> Output {
    let words = [&["--sweep", "sweep.toml"], more].concat();
    bench.bare(&words).output().unwrap()
}

/// What must be the same: the adapter's bytes, and the rows of the metrics without the speed.
fn made(dir: &Path) -> (BTreeMap<String, Vec<u8>>, Vec<Value>) {
    let names = ["adapter_config.json", "adapter_model.safetensors"];
    let files = names.map(|name| (name.to_string(), fs::read(dir.join(name)).unwrap()));
    let text = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let rows = text.lines().map(|line| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        row.as_object_mut().unwrap().remove("tokens_per_second");
        row
    });
    (files.into(), rows.collect())
}

fn same(found: &Path, expected: &Path) {
    let ((files, rows), (known, known_rows)) = (made(found), made(expected));
    let (found, expected) = (found.display(), expected.display());
    assert!(known_rows.len() > 3, "{expected} has metrics");
    assert_eq!(rows, known_rows, "{found} and {expected}: other metrics");
    for (name, bytes) in &known {
        assert!(
            files[name] == *bytes,
            "{found} and {expected}: other {name}"
        );
    }
}

/// The members trained one by one, in `alone/NAME`.
fn one_by_one(bench: &Bench, members: &[(&str, &str)], shared: &str) {
    for (name, own) in members {
        fs::write(bench.path("train.toml"), over(&format!("{shared}{own}"))).unwrap();
        let output = format!("alone/{name}");
        let done = bench.train(&output, &["--device", "cpu"]);
        assert!(done.status.success(), "{name}: {}", said(&done));
    }
}

fn members(bench: &Bench, of: &str) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(bench.path(of)).unwrap();
    let each = entries.map(|entry| entry.unwrap().path());
    let complete = |path: &PathBuf| path.join("training.json").is_file();
    let each = each.filter(complete);
    each.map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, path)
    })
    .collect()
}

/// Every member of the sweep is the one that was trained alone, and nothing else is left.
fn all_are_the_same(bench: &Bench, count: usize) {
    let (found, expected) = (members(bench, "sweep"), members(bench, "alone"));
    assert_eq!(expected.len(), count);
    let names = |all: &BTreeMap<String, PathBuf>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    for (found, expected) in found.values().zip(expected.values()) {
        same(found, expected);
    }
}

#[test]
fn every_member_is_the_adapter_that_it_is_alone() {
    let bench = Bench::new();
    one_by_one(&bench, &MEMBERS, "");
    write_sweep(&bench, &MEMBERS, "");
    let done = sweep(&bench, &["--json"]);
    assert!(done.status.success(), "{}", said(&done));
    all_are_the_same(&bench, 4);
    let swept: Value = serde_json::from_slice(&done.stdout).unwrap();
    let written = fs::read(bench.path("sweep/sweep.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), swept);
    assert_eq!(swept["plan_key"], Value::Null);
    let varied = swept["members"][1]["settings"].as_object().unwrap();
    assert_eq!(varied["r"], 17);
    assert!(!varied.contains_key("adam_beta1"), "all have the same");
    let page = fs::read_to_string(bench.path("sweep/report.html")).unwrap();
    for (name, _) in MEMBERS {
        assert!(page.contains(name));
    }
    // What is finished is shown again, to sweeps and to trainings of their own.
    let again = sweep(&bench, &[]);
    let text = String::from_utf8(again.stdout).unwrap();
    assert!(
        again.status.success() && text.contains("4 of 4 members"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    let done = bench.train("sweep/slow", &["--device", "cpu"]);
    assert!(
        said(&done).contains("the training is finished"),
        "{}",
        said(&done)
    );
    // With other settings it is another member.
    write_sweep(&bench, &MEMBERS, "seed = 5\n");
    let done = sweep(&bench, &[]);
    assert_eq!(done.status.code(), Some(2));
    assert!(said(&done).contains("seed 42, now 5"), "{}", said(&done));
}

#[test]
fn one_member_is_trained_by_itself() {
    let bench = Bench::new();
    one_by_one(&bench, &MEMBERS[1..2], "");
    write_sweep(&bench, &MEMBERS, "");
    let done = sweep(&bench, &["--only", "nobody"]);
    let text = said(&done);
    assert_eq!(done.status.code(), Some(2), "{text}");
    assert!(text.contains("plain, wide, small, slow"), "{text}");
    let done = sweep(&bench, &["--only", "wide"]);
    assert!(done.status.success(), "{}", said(&done));
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.contains("3 members are not trained yet"), "{text}");
    all_are_the_same(&bench, 1);
    let page = fs::read_to_string(bench.path("sweep/report.html")).unwrap();
    assert_eq!(page.matches(">not finished yet<").count(), 3, "{page}");
    // Another one is begun by itself, whatever there is of the first.
    let done = sweep(&bench, &["--only", "small"]);
    assert!(done.status.success(), "{}", said(&done));
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.contains("2 of 4 members"), "{text}");
}

#[test]
fn preferences_are_swept_too() {
    let bench = Bench::new();
    let row = |row: u32| {
        let answer = |step: u32| {
            let ids = (0..9).map(|at| 40 + (row * 7 + at * if at < 4 { 1 } else { step }) % 60);
            let ids: Vec<u32> = ids.chain([tiny::END_OF_TURN]).collect();
            let label = |(at, id): (usize, &u32)| if at < 4 { -100 } else { i64::from(*id) };
            let labels: Vec<i64> = ids.iter().enumerate().map(label).collect();
            serde_json::json!({ "input_ids": ids, "labels": labels })
        };
        serde_json::json!({ "chosen": answer(1), "rejected": answer(2) }).to_string()
    };
    let rows = |all: std::ops::Range<u32>| all.map(|r| row(r) + "\n").collect::<String>();
    fs::write(bench.path("train.jsonl"), rows(0..16)).unwrap();
    fs::write(bench.path("holdout.jsonl"), rows(20..24)).unwrap();
    let some = [
        ("soft", "beta = 0.05\nseed = 3\n"),
        (
            "hard",
            "beta = 0.5\nr = 2\nlora_dropout = 0.0\nper_device_train_batch_size = 3\n",
        ),
    ];
    let shared = "loss = \"dpo\"\nnum_train_epochs = 2.0\n";
    one_by_one(&bench, &some, shared);
    write_sweep(&bench, &some, shared);
    let done = sweep(&bench, &[]);
    assert!(done.status.success(), "{}", said(&done));
    all_are_the_same(&bench, 2);
}

#[test]
fn a_member_that_diverges_stops_alone() {
    let bench = Bench::new();
    let good = [MEMBERS[1], MEMBERS[3]];
    one_by_one(&bench, &good, "");
    let wild = (
        "wild",
        "learning_rate = 1.0\nlora_alpha = 64.0\nlr_scheduler_type = \"linear\"\nmax_grad_norm = 0.0\n\
         warmup_steps = 500\nmax_steps = 1000\neval_steps = 1000\nsave_steps = 1\n",
    );
    write_sweep(&bench, &[good[0], wild, good[1]], "");
    let done = sweep(&bench, &[]);
    let (text, screen) = (said(&done), String::from_utf8(done.stdout).unwrap());
    assert_eq!(done.status.code(), Some(2), "{text}");
    assert!(
        screen.contains("2 of 3 members") && screen.contains("wild goes no further: "),
        "{screen}"
    );
    all_are_the_same(&bench, 2);
    let swept = fs::read(bench.path("sweep/sweep.json")).unwrap();
    let swept: Value = serde_json::from_slice(&swept).unwrap();
    assert!(
        swept["members"][1]["stopped"]
            .as_str()
            .unwrap()
            .contains("in step")
    );
    assert_eq!(swept["members"][1]["trained"], Value::Null);
    let kept = bench.path("sweep/.wild.campaignd-training/metrics.jsonl");
    let before = fs::read(&kept).unwrap();
    // Asked again it is not trained into the same end.
    let again = sweep(&bench, &[]);
    assert_eq!(again.status.code(), Some(2));
    assert!(
        said(&again).contains("the sweep has ended"),
        "{}",
        said(&again)
    );
    assert_eq!(fs::read(&kept).unwrap(), before);
    let page = fs::read_to_string(bench.path("sweep/report.html")).unwrap();
    assert_eq!(page.matches(">finished<").count(), 2, "{page}");
    assert_eq!(page.matches(">stopped<small>").count(), 1);
    // With other settings it begins anew, and leaves nothing behind.
    write_sweep(&bench, &[good[0], ("wild", "seed = 8\n"), good[1]], "");
    let done = sweep(&bench, &[]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(bench.path("sweep/wild/training.json").is_file());
    assert!(!kept.exists());
}

#[test]
fn a_member_that_learns_nothing_keeps_no_other_from_its_end() {
    let bench = Bench::new();
    let good = [MEMBERS[3]];
    one_by_one(&bench, &good, "");
    let idle = (
        "idle",
        "learning_rate = 1e-30\nlora_dropout = 0.0\nmax_steps = 4\n",
    );
    write_sweep(&bench, &[idle, good[0]], "");
    let done = sweep(&bench, &[]);
    let screen = String::from_utf8(done.stdout.clone()).unwrap();
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    assert!(screen.contains("idle goes no further: "), "{screen}");
    assert!(screen.contains("1 of 2 members"), "{screen}");
    all_are_the_same(&bench, 1);
}

#[test]
fn a_sweep_that_was_killed_goes_on_with_every_member() {
    let bench = Bench::new();
    one_by_one(&bench, &MEMBERS, "");
    write_sweep(&bench, &MEMBERS, "");
    let words = ["--sweep", "sweep.toml", "--resume", "--quiet"];
    let mut kills = 0;
    // So many checkpoints must be there before it is killed, more each time, until it is through.
    for at_least in (1..).step_by(3) {
        let mut child = bench.bare(&words).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(240);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if steps(&bench) >= at_least {
                break None;
            }
            assert!(Instant::now() < deadline, "it makes no steps");
            thread::sleep(Duration::from_millis(1));
        };
        match status {
            Some(status) => {
                assert!(status.success(), "{status}");
                break;
            }
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
            }
        }
        if kills == 1 {
            let done = sweep(&bench, &[]);
            assert!(said(&done).contains("a sweep was begun"), "{}", said(&done));
        }
    }
    println!("{kills} kills");
    assert!(kills >= 3, "{kills} kills are no test");
    all_are_the_same(&bench, 4);
}

/// The highest step that any member has a checkpoint of, all added.
fn steps(bench: &Bench) -> u64 {
    let names = MEMBERS.map(|(name, _)| format!("sweep/.{name}.campaignd-training/checkpoints"));
    let highest = names.map(|dir| {
        let entries = fs::read_dir(bench.path(&dir))
            .into_iter()
            .flatten()
            .flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let steps = names.filter_map(|name| name.strip_prefix("step-")?.parse::<u64>().ok());
        steps.max().unwrap_or(0)
    });
    highest.iter().sum()
}

#[test]
fn what_cannot_be_swept_is_refused_in_a_sentence() {
    let bench = Bench::new();
    let refused = |more: &[&str], words: &[&str]| {
        let done = sweep(&bench, more);
        let text = said(&done);
        assert_eq!(done.status.code(), Some(2), "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
        assert!(!bench.path("sweep").exists(), "nothing is left");
    };
    refused(&[], &["sweep.toml"]);
    write_sweep(&bench, &MEMBERS[..2], "");
    refused(&["--merge"], &["--merge", "--sweep"]);
    refused(&["--model", "nowhere"], &["nowhere"]);
    write_sweep(&bench, &[("one", "lora_dropout = 1.5\n")], "");
    refused(&[], &["lora_dropout", "1.5"]);
    write_sweep(&bench, &[("one", "early_stopping_patience = 2\n")], "");
    let text = fs::read_to_string(bench.path("sweep.toml")).unwrap();
    let text = text.replace("holdout = [\"holdout.jsonl\"]\n", "");
    fs::write(bench.path("sweep.toml"), text).unwrap();
    refused(&[], &["held-out"]);
    write_sweep(&bench, &MEMBERS[..2], "");
    fs::create_dir_all(bench.path("sweep/wide")).unwrap();
    fs::write(bench.path("sweep/wide/notes"), "mine").unwrap();
    let done = sweep(&bench, &[]);
    assert!(
        said(&done).contains("is no trained adapter"),
        "{}",
        said(&done)
    );
    let left = fs::read_dir(bench.path("sweep")).unwrap();
    assert_eq!(left.count(), 1, "and nothing was begun");
}
