//! `campaignctl experiment`, as a person types it: designed, scaffolded for both back ends, the scripts run, analysed.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
};
use tempfile::TempDir;

mod logs;
mod refused;

/// A directory of experiments.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn ctl(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_campaignctl"));
        command
            .arg("experiment")
            .args(args)
            .current_dir(self.0.path());
        command.env_remove("CAMPAIGND_SOCKET").output().unwrap()
    }

    /// Does it; its answer.
    fn done(&self, args: &[&str]) -> String {
        let output = self.ctl(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[args, &["--json"]].concat())).unwrap()
    }

    /// Is refused with status 2; what is said.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.ctl(args);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8(output.stderr).unwrap()
    }

    /// Rows to learn from and rows held out: questions with one answer each.
    fn rows(&self) {
        let row = |n: usize| {
            let (a, b) = (n % 7, n % 5);
            let turns = [
                ("user", format!("{a} and {b}?")),
                ("assistant", format!("{}", a + b)),
            ];
            let turns = turns.map(|(role, content)| json!({ "role": role, "content": content }));
            json!({ "id": format!("row-{n}"), "messages": turns }).to_string()
        };
        let lines =
            |range: std::ops::Range<usize>| range.map(row).collect::<Vec<_>>().join("\n") + "\n";
        self.write("rows.jsonl", &lines(0..30));
        self.write("held.jsonl", &lines(30..60));
    }
}

/// A Llama that torchtune knows, as far as a config is made of it.
fn llama(place: &Place) {
    place.write(
        "llama/config.json",
        r#"{"model_type":"llama","hidden_size":2048,"num_hidden_layers":16,"vocab_size":128256}"#,
    );
    for file in ["model.safetensors", "original/tokenizer.model"] {
        place.write(&format!("llama/{file}"), "");
    }
    place.write("task.py", "");
}

const RANKS: [&str; 13] = [
    "design",
    "ranks",
    "--vary",
    "r=2,4",
    "--vary",
    "lr=1e-3..1e-2:log",
    "--runs",
    "2",
    "--epochs",
    "1",
    "--set",
    "seed=7",
    "--back-end",
];

#[test]
fn an_experiment_goes_from_its_design_to_its_report() {
    let place = Place::new();
    place.rows();
    let campaignd = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_campaignd"))
            .args(args)
            .current_dir(place.0.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    campaignd(&["base", "--data", "rows.jsonl", "--output", "base"]);
    let inputs = [
        "builtin",
        "--model",
        "base",
        "--data",
        "rows.jsonl",
        "--holdout",
        "held.jsonl",
    ];
    let design = [&RANKS[..], &inputs].concat();
    let plan = place.json(&design)["plan"].clone();
    assert_eq!(plan["runs"].as_array().unwrap().len(), 3);
    assert!(
        place
            .read("ranks/experiment_summary.md")
            .contains("no history: not estimated")
    );
    place.done(&design);
    place.done(&["scaffold", "ranks"]);
    let again = place.json(&["scaffold", "ranks"]);
    assert_eq!(
        again["workers"][0]["made"],
        json!([]),
        "what says the same is left"
    );
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    let names: Vec<&str> = plan["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["name"].as_str().unwrap())
        .collect();
    assert_eq!(names[0], "rank16_lr2e-4", "the baseline");
    assert!(
        names[1].starts_with("rank2_lr") && names[2].starts_with("rank4_lr"),
        "{names:?}"
    );
    for name in &names {
        assert_eq!(mode(&format!("ranks/{name}/config.json")), 0o600);
        assert_eq!(mode(&format!("ranks/{name}/config.yaml")), 0o600);
        for file in ["setup_finetune.yaml", "finetune.yaml", "train.toml"] {
            assert!(place.path(&format!("ranks/{name}/{file}")).is_file());
        }
    }
    let nothing = place.ctl(&["analyze", "ranks"]);
    assert_eq!(nothing.status.code(), Some(1), "no run has results");
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no job has run"));
    // What SLURM would run; the last run never does.
    for name in &names[..2] {
        for script in ["finetune.slurm", "eval/held_epoch0.slurm"] {
            let script = place.path(&format!("ranks/{name}/{script}"));
            let output = Command::new("bash").arg(&script).output().unwrap();
            assert!(
                output.status.success(),
                "{}: {}",
                script.display(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    place.write(
        &format!("ranks/{}/slurm-9.out", names[2]),
        "torch.OutOfMemoryError: CUDA out of memory\n",
    );
    let found = place.json(&["analyze", "ranks"])["analysis"].clone();
    assert_eq!(found["metric"], "eval_loss");
    assert_eq!(found["ranked"].as_array().unwrap().len(), 2);
    let ranked = &found["ranked"][0];
    assert!(
        ranked["metrics"]["held/loss"].is_number()
            && ranked["metrics"]["held/ranking_accuracy"].is_number()
    );
    assert!(
        found["without"][0]["why"]
            .to_string()
            .contains("the GPU has no memory left")
    );
    assert_eq!(found["effects"]["freedom"], 0);
    assert!(
        found["effects"]["why"]
            .to_string()
            .contains("not enough runs")
    );
    assert_eq!(
        found["best"], names[1],
        "a rate 5 times as high learns more in one epoch"
    );
    let loss = found["versus"]["comparisons"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["metric"] == "held/loss")
        .unwrap();
    assert_eq!(loss["found"]["items"], 30);
    let page = place.read("ranks/report.html");
    assert!(page.contains("<polyline") && page.contains(names[2]) && !page.contains("NaN"));
    for log in [
        "design-experiment.log",
        "scaffold-experiment.log",
        "scaffold-torchtune.log",
        "scaffold-inspect.log",
        "analyze-experiment.log",
    ] {
        let text = place.read(&format!("ranks/{log}"));
        assert!(
            text.starts_with('[') && text.contains("\nDetails: ") && text.contains("\nResult: "),
            "{log}: {text}"
        );
    }
    // An experiment starts from what the best of another was set to.
    place.done(&["baseline", "set-from", &format!("ranks/{}", names[1])]);
    assert_eq!(
        place.json(&["baseline", "get"])["baseline"]["values"]["r"],
        2
    );
    let next = place.json(&["design", "next", "--vary", "r=2,8", "--dry-run"]);
    assert_eq!(next["plan"]["controls"]["seed"], 7);
    assert!(!place.path("next").exists(), "a rehearsal writes nothing");
}

#[test]
fn a_config_for_torchtune_has_the_recipes_keys_and_its_scripts_quote_what_they_are_given() {
    let place = Place::new();
    place.rows();
    llama(&place);
    fs::rename(
        place.path("rows.jsonl"),
        place.path("it's $(touch x) rows.jsonl"),
    )
    .unwrap();
    let inputs = [
        "torchtune",
        "--model",
        "llama",
        "--data",
        "it's $(touch x) rows.jsonl",
        "--eval",
        "task.py@adding",
    ];
    // Two passes: `--epochs 2` in the place of `--epochs 1`.
    let ranks = RANKS.map(|word| if word == "1" { "2" } else { word });
    place.done(&[&ranks[..], &inputs, &["--eval-epochs", "0,1"]].concat());
    place.done(&["scaffold", "ranks"]);
    let run = place.json(&["scaffold", "ranks"]);
    assert_eq!(
        run["workers"][1]["left"], 6,
        "two evaluations of each of three runs"
    );
    let yaml = place.read("ranks/rank8_lr3e-4/finetune.yaml");
    assert!(
        yaml.contains("_component_: torchtune.models.llama3_2.lora_llama3_2_1b")
            && yaml.contains("lora_rank: 8\n"),
        "{yaml}"
    );
    assert!(yaml.contains("lr: 3.0e-4"), "{yaml}");
    let script = place.read("ranks/rank8_lr3e-4/eval/adding_epoch1.slurm");
    assert!(
        script.contains("model_path=../output/epoch_1") && script.contains("task.py@adding"),
        "{script}"
    );
    for entry in ["finetune.slurm", "eval/adding_epoch0.slurm"] {
        let checked = Command::new("bash")
            .arg("-n")
            .arg(place.path(&format!("ranks/rank8_lr3e-4/{entry}")))
            .status()
            .unwrap();
        assert!(checked.success());
    }
    // Results as torchtune and its scheduler leave them.
    for (at, entry) in fs::read_dir(place.path("ranks"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .enumerate()
    {
        let bar: String = (1..=20)
            .map(|step| {
                format!(
                    "\r1|{step}|Loss: {}: 5%|",
                    3.0 - 0.05 * f64::from(step) * (1.0 + at as f64)
                )
            })
            .collect();
        fs::write(entry.join("slurm-7.out"), format!("x\n{bar}\n")).unwrap();
    }
    let found = place.json(&["analyze", "ranks"])["analysis"].clone();
    assert_eq!(
        (
            found["metric"].as_str(),
            found["ranked"].as_array().unwrap().len()
        ),
        (Some("train_loss"), 3)
    );
    assert!(
        place
            .refused(&["analyze", "ranks", "--metric", "bleu"])
            .contains("no run has the metric bleu")
    );
    fs::remove_file(place.path("task.py")).unwrap();
    assert!(
        place
            .refused(&["scaffold-inspect", "ranks"])
            .contains("the task adding is not there")
    );
    place.done(&["scaffold-torchtune", "ranks"]);
    fs::remove_file(place.path("llama/original/tokenizer.model")).unwrap();
    assert!(
        place
            .refused(&["scaffold-torchtune", "ranks", "--force"])
            .contains("original/tokenizer.model")
    );
    python(&place, "ranks/rank8_lr3e-4/finetune.yaml");
}

/// Python's reader of YAML 1.1 reads what was meant, and torchtune takes it; either only where it is there.
fn python(place: &Place, file: &str) {
    let code = "import sys, yaml\nread = yaml.safe_load(open(sys.argv[1]))\nassert read['optimizer']['lr'] == 3e-4, read\nassert read['model']['lora_attn_modules'] == ['q_proj', 'v_proj', 'output_proj'], read\nassert read['dataset']['data_files'][0].endswith(\"it's $(touch x) rows.jsonl\"), read\nassert read['max_steps_per_epoch'] is None and read['compile'] is False, read\n";
    let there = |program: &str, args: &[&str]| {
        Command::new(program)
            .args(args)
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if there("python3", &["-c", "import yaml"]) {
        let output = Command::new("python3")
            .args(["-c", code])
            .arg(place.path(file))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    } else {
        println!("skipped python: there is no PyYAML");
    }
    // The program to ask; torchtune is large, and no part of what tests install.
    let Some(tune) = std::env::var_os("CAMPAIGND_TEST_TUNE") else {
        println!("skipped tune validate: CAMPAIGND_TEST_TUNE names no torchtune");
        return;
    };
    let output = Command::new(tune)
        .arg("validate")
        .arg(place.path(file))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
