//! `campaignd train` on what people really have: models, rows and adapters with something wrong, each a sentence and nothing
//! half-written; and what comes of it where nothing is.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod tiny;

use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tiny::{Bench, rows_by, said, tensors, these_weights, weights};

/// What is left in the bench beside what it began with.
fn left(bench: &Bench) -> Vec<String> {
    let there = ["model", "train.jsonl", "holdout.jsonl", "train.toml"];
    let names = fs::read_dir(bench.path("")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| !there.contains(&name.as_str()))
        .collect()
}

/// A training that must be refused: with status 2, in one sentence with these words, and nothing is left.
fn refused(bench: &Bench, more: &[&str], words: &[&str]) {
    let before = left(bench);
    let done = bench.train("out", more);
    let text = said(&done);
    assert_eq!(done.status.code(), Some(2), "{text}");
    let error = text.lines().find_map(|line| line.strip_prefix("error: "));
    let error = error.unwrap_or_else(|| panic!("no sentence: {text}"));
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error:?}");
    }
    assert!(
        !error.ends_with('.') && !text.contains("panicked"),
        "{text}"
    );
    assert_eq!(left(bench), before);
}

fn settings(bench: &Bench, change: &[(&str, &str)]) {
    let mut text = String::from(tiny::SETTINGS);
    for (key, line) in change {
        let kept = text
            .lines()
            .filter(|line| !line.starts_with(&format!("{key} =")));
        text = kept.map(|line| format!("{line}\n")).collect();
        text = format!("{line}\n{text}");
    }
    fs::write(bench.path("train.toml"), text).unwrap();
}

#[test]
fn models_with_something_wrong_are_refused_by_name() {
    let bench = Bench::new();
    let file = bench.path("model/model.safetensors");
    let part = "model.layers.1.mlp.up_proj.weight";
    let without: Vec<_> = tensors()
        .into_iter()
        .filter(|(name, _)| name != part)
        .collect();
    these_weights(&file, without, |_, _| ());
    refused(&bench, &[], &[part, "missing"]);
    let mut turned = tensors();
    for (_, shape) in turned.iter_mut().filter(|(name, _)| name == part) {
        shape.reverse();
    }
    these_weights(&file, turned, |_, _| ());
    refused(&bench, &[], &[part, "shape"]);
    weights(&file, |name, numbers| {
        if name == part {
            numbers[7] = f32::NAN;
        }
    });
    refused(&bench, &[], &[part]);
    weights(&file, |_, _| ());
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 100]).unwrap();
    refused(&bench, &[], &["model.safetensors"]);
    fs::write(&file, &whole).unwrap();
    let path = bench.path("model/tokenizer.json");
    let tokenizer = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        tokenizer.replace("\"vocab\":{", "\"vocab\":{\"zz\":999,"),
    )
    .unwrap();
    refused(&bench, &[], &["tokenizer.json"]);
    fs::write(&path, tokenizer).unwrap();
    let path = bench.path("model/config.json");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        config.replace("LlamaForCausalLM", "MambaForCausalLM"),
    )
    .unwrap();
    refused(&bench, &[], &["MambaForCausalLM", "LlamaForCausalLM"]);
    fs::remove_file(&path).unwrap();
    refused(&bench, &[], &["config.json"]);
}

#[test]
fn rows_with_something_wrong_are_counted_and_none_is_no_data_set() {
    let bench = Bench::new();
    let row = |length: usize, learned: std::ops::Range<usize>| {
        let ids: Vec<u32> = (0..length as u32)
            .map(|at| 40 + at % 60)
            .chain([258])
            .collect();
        let label = |at: usize| {
            if learned.contains(&at) || at == length {
                i64::from(ids[at])
            } else {
                -100
            }
        };
        let labels: Vec<i64> = (0..ids.len()).map(label).collect();
        json!({ "input_ids": ids, "labels": labels }).to_string()
    };
    let good = fs::read_to_string(bench.path("train.jsonl")).unwrap();
    let all = [
        &good,
        // An answer ends before the cut, and another begins behind it.
        row(90, 20..40).as_str(),
        // Their only answer is cut, or behind the cut.
        &row(90, 20..90),
        &row(90, 80..90),
        "{\"text\"",
        "",
    ]
    .join("\n");
    fs::write(bench.path("train.jsonl"), all).unwrap();
    let made = bench.trained("counted", &[]);
    let count = |key: &str| made[key].as_u64().unwrap();
    assert_eq!(
        [
            count("rows"),
            count("truncated"),
            count("too_long"),
            count("refused")
        ],
        [25, 1, 2, 1],
        "{made}"
    );
    for (rows, word) in [
        (String::new(), "train.jsonl"),
        ("{\"a\": 1}\n".into(), "train.jsonl"),
    ] {
        fs::write(bench.path("train.jsonl"), rows).unwrap();
        refused(&bench, &[], &[word]);
    }
    fs::remove_file(bench.path("train.jsonl")).unwrap();
    refused(&bench, &[], &["train.jsonl"]);
}

#[test]
fn adapters_of_something_else_are_refused() {
    let bench = Bench::new();
    bench.trained("first", &[]);
    settings(&bench, &[("r", "r = 8")]);
    refused(&bench, &["--adapter-init", "first"], &["first", "rank"]);
    settings(&bench, &[]);
    // A model of the same shapes.
    let model = fs::read(bench.path("model/model.safetensors")).unwrap();
    weights(&bench.path("model/model.safetensors"), |_, numbers| {
        numbers[0] += 0.5;
    });
    refused(
        &bench,
        &["--adapter-init", "first"],
        &["first was trained for", "model", "are others"],
    );
    fs::write(bench.path("model/model.safetensors"), model).unwrap();
    let file = bench.path("first/adapter_model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let from = b"model.layers.1.";
    while let Some(at) = bytes.windows(from.len()).position(|some| some == from) {
        bytes[at + from.len() - 2] = b'7';
    }
    fs::write(&file, bytes).unwrap();
    refused(&bench, &["--adapter-init", "first"], &["first"]);
    refused(&bench, &["--adapter-init", "nowhere"], &["nowhere"]);
}

#[test]
fn numbers_that_are_none_stop_it_and_name_step_and_rows() {
    let bench = Bench::new();
    weights(&bench.path("model/model.safetensors"), |name, numbers| {
        if name == "model.norm.weight" {
            numbers.fill(3e38);
        }
    });
    refused(&bench, &[], &["the loss on the holdout", "after step 0"]);
    let done = bench
        .bare(&[
            "--model",
            "model",
            "--data",
            "train.jsonl",
            "--config",
            "train.toml",
            "--output",
            "out",
        ])
        .output()
        .unwrap();
    let text = said(&done);
    assert_eq!(done.status.code(), Some(2), "{text}");
    for word in [
        "the loss is",
        "in step 1, which learns from",
        "train.jsonl:",
        "no checkpoint yet",
    ] {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
    assert!(!bench.path("out").exists());
}

#[test]
fn what_learns_nothing_is_no_adapter() {
    let bench = Bench::new();
    // The first step of a warmup has the learning rate 0.
    settings(&bench, &[("max_steps", "max_steps = 1\nwarmup_steps = 1")]);
    let done = bench.train("out", &[]);
    assert!(
        said(&done).contains("nothing was learned"),
        "{}",
        said(&done)
    );
    assert!(!bench.path("out").exists());
}

#[test]
fn a_device_that_is_not_there_is_said() {
    if Path::new("/proc/driver/nvidia/version").exists() {
        println!("skipped a_device_that_is_not_there_is_said: there is an NVIDIA driver");
        return;
    }
    let bench = Bench::new();
    let words = ["no NVIDIA driver", "install driver 525", "device = \"cpu\""];
    refused(&bench, &["--device", "cuda"], &words);
}

#[test]
fn a_training_that_falls_apart_stops_and_names_a_checkpoint_to_go_on_from() {
    let bench = Bench::new();
    let constant = "lr_scheduler_type = \"constant\"\nmax_grad_norm = 0.0\nwarmup_ratio = 0.0";
    // Of the first steps nothing is learned that could fall apart.
    let warm =
        "lr_scheduler_type = \"linear\"\nmax_grad_norm = 0.0\nwarmup_steps = 500\nmax_steps = 1000";
    settings(
        &bench,
        &[
            ("lr_scheduler_type", warm),
            ("learning_rate", "learning_rate = 1.0"),
            ("save_steps", "save_steps = 1"),
            ("eval_steps", "eval_steps = 1000"),
            ("lora_alpha", "lora_alpha = 64.0"),
        ],
    );
    let done = bench.train("out", &[]);
    let text = said(&done);
    assert_eq!(done.status.code(), Some(2), "{text}");
    assert!(text.contains("exploded"), "{text}");
    let good = text.split("the last good checkpoint is ").nth(1);
    let good = good.unwrap_or_else(|| panic!("it names none: {text}"));
    let good = good.lines().next().unwrap().trim().to_string();
    assert!(Path::new(&good).is_dir(), "{good}");
    settings(
        &bench,
        &[
            ("lr_scheduler_type", constant),
            ("learning_rate", "learning_rate = 1e-4"),
            ("lora_alpha", "lora_alpha = 64.0"),
        ],
    );
    let made = bench.trained("on", &["--adapter-init", &good]);
    let (before, after) = (&made["eval_loss_before"], &made["eval_loss"]);
    assert!(before.as_f64().unwrap() < 10.0, "it is good: {made}");
    assert!(after.as_f64() <= before.as_f64(), "{made}");
}

#[test]
fn a_holdout_that_is_learned_from_is_refused_and_one_in_part_is_said() {
    let bench = Bench::new();
    fs::copy(bench.path("train.jsonl"), bench.path("holdout.jsonl")).unwrap();
    refused(
        &bench,
        &[],
        &["all 24 rows of the holdout are learned from"],
    );
    let rows = fs::read_to_string(bench.path("train.jsonl")).unwrap();
    rows_by(&bench.path("holdout.jsonl"), 6, 2, 1);
    let others = fs::read_to_string(bench.path("holdout.jsonl")).unwrap();
    let some = format!("{others}{}\n{{\"a\": 1}}\n", rows.lines().next().unwrap());
    fs::write(bench.path("holdout.jsonl"), some).unwrap();
    let done = bench.train("out", &["--json"]);
    let text = said(&done);
    assert!(done.status.success(), "{text}");
    for word in [
        "1 of 7 rows of the holdout",
        "1 rows of the holdout are left out",
    ] {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
    let made: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(made["holdout_left_out"], 1, "{made}");
}

#[test]
fn a_look_before_anything_was_learned_is_not_the_best() {
    let bench = Bench::new();
    // What is learned makes the holdout worse, and the first step learns nothing.
    rows_by(&bench.path("holdout.jsonl"), 6, 2, 7);
    settings(
        &bench,
        &[
            ("eval_steps", "eval_steps = 1"),
            ("warmup_steps", "warmup_steps = 1\nmax_steps = 40"),
            ("learning_rate", "learning_rate = 0.5"),
        ],
    );
    let made = bench.trained("out", &[]);
    assert!(made["best_step"].as_u64().unwrap() > 1, "{made}");
}

#[test]
fn merged_weights_can_be_asked_for_later() {
    let bench = Bench::new();
    bench.trained("whole", &["--merge"]);
    let before = bench.trained("out", &[]);
    assert!(before["merged"].is_null());
    let after = bench.trained("out", &["--merge"]);
    assert!(after["verification"]["merged"]["log_prob_gap"].is_number());
    let bytes = |name: &str| fs::read(bench.path(name)).unwrap();
    for name in ["merged/model.safetensors", "adapter_model.safetensors"] {
        let of = |dir: &str| bytes(&format!("{dir}/{name}"));
        assert!(of("whole") == of("out"), "{name}");
    }
    assert_eq!(bench.trained("out", &["--merge"]), after);
    assert!(bench.path("out/checkpoints").is_dir());
}

fn metrics(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_trained_adapter_has_everything_that_belongs_to_it() {
    let bench = Bench::new();
    let made = bench.trained("out", &["--merge"]);
    let out = bench.path("out");
    for name in [
        "adapter_config.json",
        "adapter_model.safetensors",
        "README.md",
        "metrics.jsonl",
        "report.html",
        "training.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "SHA256SUMS",
        "merged/model.safetensors",
        "merged/config.json",
        "merged/tokenizer.json",
    ] {
        assert!(out.join(name).is_file(), "{name}");
    }
    assert_eq!(made["steps"], 24);
    let (before, after) = (&made["eval_loss_before"], &made["eval_loss"]);
    assert!(after.as_f64().unwrap() < before.as_f64().unwrap(), "{made}");
    let found = &made["verification"];
    assert_eq!(found["reloaded_max_abs"], 0.0);
    assert!(found["off_on_max_abs"].as_f64().unwrap() > 0.0);
    assert!(found["merged"]["log_prob_gap"].as_f64().unwrap() < 1e-3);
    let rows = metrics(&out);
    let steps: Vec<&Value> = rows
        .iter()
        .filter(|row| row.get("loss").is_some())
        .collect();
    let looks: Vec<&Value> = rows
        .iter()
        .filter(|row| row.get("eval_loss").is_some())
        .collect();
    assert_eq!((steps.len(), looks.len()), (24, 9));
    assert_eq!(steps[23]["epoch"], 4.0);
    let best = looks[1..]
        .iter()
        .map(|row| row["eval_loss"].as_f64().unwrap());
    assert_eq!(
        made["eval_loss"].as_f64().unwrap(),
        best.fold(f64::MAX, f64::min)
    );
    // The checkpoint that it is of can be trained on from.
    let checkpoint = format!(
        "out/checkpoints/step-{:08}",
        made["best_step"].as_u64().unwrap()
    );
    let on = bench.trained("on", &["--adapter-init", &checkpoint]);
    assert_eq!(on["eval_loss_before"], made["eval_loss"]);
}

#[test]
fn the_holdout_ends_it_and_its_best_adapter_is_kept() {
    let bench = Bench::new();
    // It obeys another rule: what is learned does not help for long.
    rows_by(&bench.path("holdout.jsonl"), 6, 2, 7);
    settings(
        &bench,
        &[
            ("eval_steps", "eval_steps = 1\nearly_stopping_patience = 3"),
            ("num_train_epochs", "num_train_epochs = 40.0"),
            ("learning_rate", "learning_rate = 0.02"),
        ],
    );
    let made = bench.trained("out", &[]);
    let steps = made["steps"].as_u64().unwrap();
    assert_eq!(made["stopped_early"], true, "{made}");
    assert_eq!(made["best_step"].as_u64().unwrap() + 3, steps);
    let again = bench
        .path("out/checkpoints")
        .join(format!("step-{:08}", steps - 3));
    let bytes = |dir: PathBuf| fs::read(dir.join("adapter_model.safetensors")).unwrap();
    assert!(bytes(again) == bytes(bench.path("out")));
}

#[test]
fn preferences_are_learned() {
    let bench = Bench::new();
    let say = |role: &str, content: &str| json!([{ "role": role, "content": content }]);
    let rows: String = (0..16)
        .map(|n| {
            let row = json!({
                "prompt": say("user", &format!("{n}?")),
                "chosen": say("assistant", "yes"),
                "rejected": say("assistant", "no"),
            });
            format!("{row}\n")
        })
        .collect();
    let (unseen, seen): (Vec<&str>, Vec<&str>) = rows.lines().partition(|row| row.contains("1?"));
    fs::write(bench.path("train.jsonl"), seen.join("\n")).unwrap();
    fs::write(bench.path("holdout.jsonl"), unseen.join("\n")).unwrap();
    settings(&bench, &[("loss", "loss = \"dpo\"\nbeta = 0.5")]);
    let made = bench.trained("out", &[]);
    let rows = metrics(&bench.path("out"));
    let first = rows.iter().find(|row| row.get("loss").is_some()).unwrap();
    assert!(
        (first["loss"].as_f64().unwrap() - std::f64::consts::LN_2).abs() < 1e-6,
        "{first}"
    );
    assert!(made["eval_loss"].as_f64().unwrap() < 0.5, "{made}");
    let last = rows
        .iter()
        .rev()
        .find(|row| row.get("loss").is_some())
        .unwrap();
    assert_eq!(last["rewards/accuracies"], 1.0, "{last}");
    assert!(last["rewards/chosen"].as_f64() > last["rewards/rejected"].as_f64());
}

#[test]
fn stages_follow_the_manifest_and_fail_at_once_without_the_one_before() {
    for start in ["adapter", "merged"] {
        let bench = Bench::new();
        rows_by(&bench.path("second.jsonl"), 34, 3, 2);
        let stages = format!(
            "[[stage]]\nname = \"analysis\"\ndata = \"train.jsonl\"\n[[stage]]\nname = \"fix\"\ndata = \"second.jsonl\"\nreplay_share = 0.15\nstart = \"{start}\"\n"
        );
        let text = format!("{}{stages}", tiny::SETTINGS);
        fs::write(bench.path("train.toml"), text).unwrap();
        let words = |stage: &'static str| {
            [
                "--model",
                "model",
                "--config",
                "train.toml",
                "--output",
                "run",
                "--name",
                "tiny",
                "--json",
                "--stage",
                stage,
            ]
        };
        let train = |stage| bench.bare(&words(stage)).output().unwrap();
        let early = train("fix");
        assert_eq!(early.status.code(), Some(2));
        assert!(
            said(&early).contains("stage1/training-data/analysis-dataset.jsonl"),
            "{}",
            said(&early)
        );
        let run = bench.path("run");
        let names = fs::read_dir(&run)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        assert_eq!(
            names.collect::<Vec<_>>(),
            ["run-manifest.json"],
            "no directory ahead"
        );
        let first = train("analysis");
        assert!(first.status.success(), "{}", said(&first));
        assert!(
            run.join("stage1/adapters/adapter_model.safetensors")
                .exists()
        );
        assert_eq!(
            run.join("stage1/merged-model/model.safetensors").exists(),
            start == "merged"
        );
        assert!(!run.join("stage2").exists());
        let second = train("fix");
        assert!(second.status.success(), "{}", said(&second));
        assert!(
            run.join("stage2/final-model/adapter_model.safetensors")
                .exists()
        );
        let lines = |path: PathBuf| -> Vec<String> {
            fs::read_to_string(path)
                .unwrap()
                .lines()
                .map(String::from)
                .collect()
        };
        let own = lines(run.join("stage1/training-data/analysis-dataset.jsonl"));
        assert_eq!(own, lines(bench.path("train.jsonl")));
        let mixed = lines(run.join("stage2/training-data/mixed-dataset.jsonl"));
        let replayed = mixed.iter().filter(|row| own.contains(row)).count();
        assert_eq!((mixed.len(), replayed), (40, 6), "15 %");
        let said_again = train("fix");
        assert_eq!(said_again.stdout, second.stdout, "it is finished");
    }
}

#[test]
fn a_stage_after_one_that_starts_anew_belongs_to_its_merged_model() {
    let bench = Bench::new();
    let stages = ["one", "two", "three"].map(|name| {
        let start = match name {
            "one" => "",
            "two" => "start = \"merged\"\n",
            _ => "start = \"adapter\"\n",
        };
        format!("[[stage]]\nname = \"{name}\"\ndata = \"train.jsonl\"\n{start}")
    });
    let text = format!("{}{}", tiny::SETTINGS, stages.concat());
    fs::write(bench.path("train.toml"), text).unwrap();
    for stage in ["one", "two", "three"] {
        let words = [
            "--model",
            "model",
            "--config",
            "train.toml",
            "--output",
            "run",
            "--stage",
            stage,
        ];
        let done = bench.bare(&words).output().unwrap();
        assert!(done.status.success(), "{stage}: {}", said(&done));
    }
    let cards = ["stage2", "stage3"].map(|stage| {
        let mut found = Vec::new();
        for entry in fs::read_dir(bench.path("run").join(stage)).unwrap() {
            let path = entry.unwrap().path().join("training.json");
            found.extend(fs::read_to_string(path));
        }
        let training: Value = serde_json::from_str(&found.concat()).unwrap();
        training["base_model"].as_str().unwrap().to_string()
    });
    assert_eq!(cards[0], cards[1]);
    assert!(cards[1].ends_with("stage1/merged-model"), "{}", cards[1]);
}
