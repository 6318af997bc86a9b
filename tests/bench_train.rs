//! `campaignd bench-train` as it is typed, on a shape so small that it takes no time: its table, its JSON, its refusals.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use serde_json::{Value, json};
use std::{
    fs,
    process::{Command, Output},
};
use tempfile::TempDir;

/// A directory with a `config.json` of two layers.
fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 101,
        "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    });
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    dir
}

fn bench(dir: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campaignd"));
    command.arg("bench-train").args(args);
    command.current_dir(dir.path()).output().unwrap()
}

/// Flags of a measurement that ends soon.
const SMALL: [&str; 8] = [
    "--shape",
    "config.json",
    "--tokens",
    "64",
    "--seq",
    "16",
    "--rounds",
    "2",
];

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_table_says_everything_in_80_columns() {
    let dir = place();
    let done = bench(&dir, &[&SMALL[..], &["--layers", "1"]].concat());
    let (table, notes) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{notes}");
    for words in [
        "config.json, LlamaForCausalLM",
        "the first 1 of 2 layers",
        "r 16 on q_proj,k_proj,v_proj,o_proj",
        "64 tokens in documents of 16, 60 learned",
        "training step",
        "frozen step",
        "GEMM ceiling",
        "share of ceiling",
        "LoRA tax",
        "frozen weights",
        "with gradients and moments",
        "bytes of a token in a layer",
        "norms and activations",
        "of this process",
        "loss head",
    ] {
        assert!(table.contains(words), "{words:?} is not in\n{table}");
    }
    let wide = table.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "{table}");
    assert!(notes.contains("round 2 of 2"), "{notes}");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing is written: {names:?}");
}

#[test]
fn the_json_holds_together() {
    let dir = place();
    let args = ["--targets", "all", "--rank", "4", "--json", "--quiet"];
    let done = bench(&dir, &[&SMALL[..], &args].concat());
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(text(&done.stderr), "");
    let value: Value = serde_json::from_slice(&done.stdout).unwrap();
    let number = |pointer: &str| {
        let found = value.pointer(pointer).and_then(Value::as_f64);
        found.unwrap_or_else(|| panic!("{pointer} is no number: {value}"))
    };
    for part in ["training_step", "frozen_step", "gemm_ceiling"] {
        let seconds = number(&format!("/{part}/seconds"));
        assert!(seconds > 0.0);
        let rate = number(&format!("/{part}/tokens_per_second"));
        assert!((rate * seconds / 64.0 - 1.0).abs() < 1e-9);
    }
    let (step, frozen) = (
        number("/training_step/seconds"),
        number("/frozen_step/seconds"),
    );
    let tax = number("/lora_tax_percent");
    assert!((tax - 100.0 * (step / frozen - 1.0)).abs() < 1e-6);
    let share = number("/share_of_gemm_ceiling");
    assert!((share - number("/gemm_ceiling/seconds") / step).abs() < 1e-9);
    // Every module of two layers: q and o 32x32, k and v 16x32, gate, up and down 40x32.
    let numbers = 2 * 4 * (2 * (32 + 32) + 2 * (16 + 32) + 3 * (40 + 32));
    assert_eq!(number("/trained_parameters"), f64::from(numbers));
    let origins = value["flops_per_token"].as_array().unwrap();
    let both =
        |part: &Value| part["forward"].as_f64().unwrap() + part["backward"].as_f64().unwrap();
    let sum: f64 = origins.iter().map(both).sum();
    assert!((sum - number("/training_step/flops_per_token")).abs() < 1e-6);
    let weights = number("/bytes/frozen_weights");
    assert_eq!(weights, 4.0 * number("/parameters"));
    assert!(number("/bytes/peak") > weights);
    // x, mid, gate and up, q, k and v, attention's output, 4 sums of exponentials, 2 of squares, and 7 ranks of 4.
    let kept = 2 * 32 + 2 * 40 + 64 + 32 + 4 + 2 + 7 * 4;
    assert_eq!(number("/bytes/kept_per_token_layer"), 4.0 * f64::from(kept));
    assert_eq!(value["bytes"]["planned"], Value::Null);
}

#[test]
fn what_cannot_be_measured_is_a_sentence() {
    let dir = place();
    let cases: [(&[&str], &str); 7] = [
        (&["--shape", "gpt-2"], "there is no shape \"gpt-2\""),
        (
            &["--targets", "q_proj,queries"],
            "\"queries\" is none of q_proj",
        ),
        (&["--layers", "3"], "config.json has 1 to 2"),
        (
            &["--seq", "128", "--tokens", "128"],
            "the model knows 64 positions",
        ),
        (&["--tokens", "65"], "do not fill a microbatch of 65"),
        (&["--rank", "0"], "r = 0 is wrong"),
        (&["--tokens", "4294967280"], " MB are free"),
    ];
    for (args, words) in cases {
        let mut all: Vec<&str> = SMALL.to_vec();
        // A flag may be given once.
        for pair in args.chunks_exact(2) {
            match all.iter().position(|flag| *flag == pair[0]) {
                Some(at) => all[at + 1] = pair[1],
                None => all.extend(pair),
            }
        }
        all.extend(["--device", "cpu"]);
        let done = bench(&dir, &all);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(words), "{words:?} is not in {said}");
        assert_eq!(text(&done.stdout), "");
    }
}
