//! What is trained, as its users load it: by PEFT and transformers, which nobody here wrote. Row by row their losses are those
//! that `evaluate` measured.
//!
//! `CAMPAIGND_PYTHON` names a Python that has torch, transformers and peft; without it nothing is compared, and that is said.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use serde_json::{Value, json};
use std::{
    env,
    ffi::OsString,
    fmt::Write,
    fs,
    path::Path,
    process::{Command, Output},
};

/// Settings that all cases share: few steps, large ones, so that the adapters matter.
const SETTINGS: &str = "lora_dropout = 0.1\nlearning_rate = 0.02\nmax_steps = 8\nper_device_train_batch_size = 2\n\
     gradient_accumulation_steps = 2\nmax_seq_length = 64\nwarmup_ratio = 0.0\n";

/// An adapter's name, and what its `train.toml` says.
const CASES: [(&str, &str); 3] = [
    ("plain", "r = 4\nlora_alpha = 8.0\n"),
    (
        "patterns",
        "r = 4\nlora_alpha = 8.0\ntarget_modules = [\"q_proj\", \"v_proj\", \"down_proj\"]\n\
         rank_pattern = { q_proj = 2, \"layers.1.self_attn.v_proj\" = 6 }\n\
         alpha_pattern = { down_proj = 3.0, \"layers.0.self_attn.q_proj\" = 5.0 }\n",
    ),
    (
        "rslora",
        "r = 6\nlora_alpha = 4.0\nuse_rslora = true\nrank_pattern = { up_proj = 3 }\n\
         target_modules = [\"q_proj\", \"k_proj\", \"v_proj\", \"o_proj\", \"gate_proj\", \"up_proj\", \"down_proj\"]\n",
    ),
];

fn campaignd(dir: &Path, words: &[&str]) -> Output {
    let done = Command::new(env!("CARGO_BIN_EXE_campaignd"))
        .current_dir(dir)
        .args(words)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{words:?}: {said}");
    done
}

/// Texts to make a tokenizer of.
fn texts(path: &Path) {
    let mut text = String::new();
    for n in 0..60 {
        let said = format!("step {n} aligns reads of sample {} to the genome", n % 7);
        writeln!(text, "{}", json!({ "text": said })).unwrap();
    }
    fs::write(path, text).unwrap();
}

/// Pre-tokenised rows of several lengths: tokens go up by a step, the first five are given, the last ends the answer.
fn rows(path: &Path, numbers: std::ops::Range<u32>, vocabulary: u32, end: u32) {
    let row = |n: u32| {
        let length = 12 + n * 5 % 23;
        let token = |at: u32| (n * 37 + at * 3) % vocabulary;
        let ids: Vec<u32> = (0..length).map(token).chain([end]).collect();
        let labels: Vec<i64> = (0..)
            .zip(&ids)
            .map(|(at, id)| if at < 5 { -100 } else { i64::from(*id) })
            .collect();
        json!({ "input_ids": ids, "labels": labels }).to_string() + "\n"
    };
    fs::write(path, numbers.map(row).collect::<String>()).unwrap();
}

/// A token that ends an answer, as the model's own configuration has it.
fn end(model: &Path) -> u32 {
    let text = fs::read_to_string(model.join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    let ends = &config["eos_token_id"];
    let end = ends.get(0).unwrap_or(ends);
    u32::try_from(end.as_u64().unwrap()).unwrap()
}

/// Trains, merges and measures one case; gives what the readers say.
fn compared(python: &OsString, dir: &Path, name: &str, settings: &str) -> Output {
    fs::write(dir.join("train.toml"), format!("{SETTINGS}{settings}")).unwrap();
    let train = "train --model base --data train.jsonl --config train.toml --merge --device cpu";
    let words: Vec<&str> = train.split(' ').chain(["--output", name]).collect();
    campaignd(dir, &words);
    let results = format!("{name}-evaluation");
    let evaluate =
        "evaluate --model base --data held.jsonl --items 0 --options 0 --generate 0 --device cpu";
    let words: Vec<&str> = evaluate
        .split(' ')
        .chain(["--adapter", name, "--output", &results])
        .collect();
    campaignd(dir, &words);
    Command::new(python)
        .current_dir(dir)
        .env("HF_HUB_OFFLINE", "1")
        .env("CUDA_VISIBLE_DEVICES", "")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peft/check.py"))
        .args(["base", name, &format!("{name}/merged"), "held.jsonl"])
        .args([&format!("{results}/items.jsonl"), name])
        .output()
        .unwrap()
}

#[test]
fn peft_and_transformers_have_the_losses_that_evaluate_measured() {
    let Some(python) = env::var_os("CAMPAIGND_PYTHON") else {
        let name = "peft_and_transformers_have_the_losses_that_evaluate_measured";
        eprintln!(
            "skipped {name}: CAMPAIGND_PYTHON names no Python with torch, transformers and peft"
        );
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    texts(&dir.join("texts.jsonl"));
    let made = campaignd(
        dir,
        &[
            "base",
            "--data",
            "texts.jsonl",
            "--output",
            "base",
            "--json",
        ],
    );
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    // The last tokens of a vocabulary are those that mark something.
    let vocabulary = u32::try_from(made["vocabulary"].as_u64().unwrap()).unwrap() - 8;
    let end = end(&dir.join("base"));
    rows(&dir.join("train.jsonl"), 0..16, vocabulary, end);
    rows(&dir.join("held.jsonl"), 100..112, vocabulary, end);
    for (name, settings) in CASES {
        let done = compared(&python, dir, name, settings);
        let said = String::from_utf8_lossy(&done.stdout);
        let wrong = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{name}: {said}\n{wrong}");
        assert!(said.contains(&format!("ok {name}: 12 rows")), "{said}");
        eprint!("{said}");
    }
}
