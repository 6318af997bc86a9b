//! Tokens a second of the trainer on the processor, beside PyTorch and PEFT on the same machine, with the same model and the
//! same batches.
//!
//! `cargo bench --bench train` prints the table and writes it into `benches/README.md`, between its markers; `-- --print`
//! only prints it, `-- --quick` has the small model and one round only. `CAMPAIGND_PYTHON` names a Python that has torch,
//! transformers and peft; without it the other side stays empty. Sides take turns, each in a process of its own, and of
//! several rounds the best counts: other work on the machine only ever slows.
#![allow(
    clippy::unwrap_used,
    reason = "a measurement ends where its assumption does"
)]

#[path = "../cost/table.rs"]
#[allow(dead_code, reason = "another bench needs the rest")]
mod table;

mod model;
mod ours;

use model::{LENGTH, RANK, ROWS, SIZES, Size};
use serde_json::{Value, json};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use table::Table;

/// What is measured.
struct Case {
    size: Size,
    dropout: f32,
    /// Whether only a quarter of the tokens is learned.
    prompts: bool,
    threads: usize,
    steps: u32,
}

/// What came of it.
struct Figures {
    /// Of the fastest step.
    seconds: f64,
    /// Mean loss of the first step, to see that both sides compute the same.
    loss: f64,
    /// Peak, in bytes.
    memory: f64,
}

impl Figures {
    fn better(self, other: Option<Self>) -> Option<Self> {
        match other {
            Some(other) if other.seconds < self.seconds => Some(other),
            _ => Some(self),
        }
    }
}

impl Case {
    fn from(words: &[String]) -> Self {
        let size = SIZES.iter().find(|size| size.name == words[0]).unwrap();
        Self {
            size: *size,
            dropout: words[1].parse().unwrap(),
            prompts: words[2].parse().unwrap(),
            threads: words[3].parse().unwrap(),
            steps: words[4].parse().unwrap(),
        }
    }

    fn words(&self) -> [String; 5] {
        [
            self.size.name.into(),
            self.dropout.to_string(),
            self.prompts.to_string(),
            self.threads.to_string(),
            self.steps.to_string(),
        ]
    }

    fn ours(&self) -> Figures {
        let own = env::current_exe().unwrap();
        let mut command = Command::new(own);
        command.arg("--one").args(self.words());
        figures(&mut command).expect("the trainer trains")
    }

    fn theirs(&self, python: &Path, model: &Path) -> Option<Figures> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peft_baseline.py");
        let batches = model.join(format!("batches-{}.json", self.prompts));
        let steps: Vec<Value> = (1..=self.steps)
            .map(|step| json!(model::rows(step, self.prompts)))
            .collect();
        fs::write(&batches, json!(steps).to_string()).unwrap();
        let mut command = Command::new(python);
        command.arg(script).arg(model).arg(batches);
        command.args([self.dropout.to_string(), self.threads.to_string()]);
        figures(&mut command)
    }
}

/// Runs a process that prints its figures as one JSON value in its last line.
fn figures(command: &mut Command) -> Option<Figures> {
    let output = command.stderr(Stdio::inherit()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let value: Value = serde_json::from_str(text.lines().last()?).ok()?;
    Some(Figures {
        seconds: value["seconds"].as_f64()?,
        loss: value["loss"].as_f64()?,
        memory: value["memory"].as_f64()?,
    })
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--one") {
        let Figures {
            seconds,
            loss,
            memory,
        } = ours::run(&Case::from(&arguments[1..]));
        println!(
            "{}",
            json!({"seconds": seconds, "loss": loss, "memory": memory})
        );
        return;
    }
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let quick = has("--quick");
    let python = env::var_os("CAMPAIGND_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!(
            "CAMPAIGND_PYTHON names no Python with torch and peft: there is nothing beside it"
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let mut table = Table::new("train", directory.path(), quick);
    let rate = ours::rate(2);
    let sizes = if quick { &SIZES[..1] } else { &SIZES[..] };
    for &size in sizes {
        let dir = directory.path().join(size.hidden.to_string());
        size.write(&dir);
        for (dropout, prompts) in [(0.0, false), (0.1, false), (0.1, true)] {
            let case = Case {
                size,
                dropout,
                prompts,
                threads: 2,
                steps: if size.layers > 4 { 3 } else { 16 },
            };
            measure(
                &case,
                &dir,
                python.as_deref(),
                if quick { 1 } else { 3 },
                rate,
                &mut table,
            );
        }
    }
    match has("--print") {
        true => table.print(),
        false => table.write(),
    }
}

fn measure(
    case: &Case,
    dir: &Path,
    python: Option<&Path>,
    rounds: usize,
    rate: f64,
    table: &mut Table,
) {
    let (mut ours, mut theirs) = (None, None);
    for _ in 0..rounds {
        ours = case.ours().better(ours);
        let found = python.and_then(|python| case.theirs(python, dir));
        theirs = match found {
            Some(found) => found.better(theirs),
            None => theirs,
        };
    }
    let ours = ours.expect("there is a round");
    let tokens = (ROWS * LENGTH) as f64;
    let learned = model::batch(1, case.prompts).supervised.len();
    let operations = case.size.operations(ROWS * LENGTH, learned);
    let what = format!(
        "{}, r {RANK}, dropout {}, {} learned",
        case.size.name,
        case.dropout,
        if case.prompts {
            "a quarter"
        } else {
            "all tokens"
        }
    );
    let figure = format!(
        "{:.0} tokens/s; {:.0} % of the floor's {:.3} s; {:.0} MB",
        tokens / ours.seconds,
        100.0 * operations / rate / ours.seconds,
        operations / rate,
        ours.memory / 1e6
    );
    let Some(theirs) = theirs else {
        table.note(&what, figure, "no Python with torch and peft".into());
        return;
    };
    let apart = (ours.loss - theirs.loss).abs();
    assert!(
        case.dropout > 0.0 || apart < 1e-4,
        "the same model on the same batch: {} and {} nats",
        ours.loss,
        theirs.loss
    );
    let faster = theirs.seconds / ours.seconds;
    let aim = if case.size.layers > 4 { 1.0 } else { 2.0 };
    let beside = format!(
        "PEFT: {:.0} tokens/s, {:.0} MB; {faster:.2}x",
        tokens / theirs.seconds,
        theirs.memory / 1e6
    );
    table.row(&what, figure, beside, &format!("{aim}x"), faster >= aim);
}
