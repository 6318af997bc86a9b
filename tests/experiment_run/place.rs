//! A directory of experiments with stand-ins for the programs that train and evaluate.

use campaignd::report::inspect::{
    log::{Header, VERSION},
    write,
};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Trains: `oom` in the run's directory holds how often memory runs out first; `fail` ends it with status 3; `eat` has it take
/// 300 MB of memory; `hold` above all runs keeps it from ending.
const TUNE: &str = r#"#!/bin/bash
run=$(basename "$PWD")
batch=$(sed -n 's/^batch_size: //p' finetune.yaml)
steps=$(sed -n 's/^gradient_accumulation_steps: //p' finetune.yaml)
echo "begin tune $run $batch x $steps" >> ../../lines
echo "training $run"
while [ -e ../../hold ]; do sleep 0.02; done
left=$(cat oom 2>/dev/null || echo 0)
if [ "$left" -gt 0 ]; then
  echo $((left - 1)) > oom
  echo "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB." >&2
  exit 1
fi
if [ -e eat ]; then head -c 300M /dev/zero | tail > /dev/null || exit 1; fi
if [ -e fail ]; then echo "the disk is full of sand" >&2; exit 3; fi
if [ ! -e silent ]; then mkdir -p output/epoch_0; fi
echo "end tune $run" >> ../../lines
"#;

/// Evaluates.
const INSPECT: &str = r#"#!/bin/bash
run=$(basename "$(dirname "$PWD")")
echo "begin inspect $run" >> ../../../lines
[ -d ../output/epoch_0 ] || exit 9
mkdir -p logs
if [ ! -e ../unmeasured ]; then cp ../../../measured.eval logs/$$.eval; fi
echo "end inspect $run" >> ../../../lines
"#;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of experiments.
pub struct Place(TempDir);

impl Place {
    /// With an experiment `ranks` of three runs, scaffolded, each evaluated once.
    pub fn new() -> Self {
        let place = Self::unscaffolded(&[]);
        place.done(&["scaffold", "ranks"]);
        place
    }

    /// Designed with more words, and not scaffolded.
    pub fn unscaffolded(words: &[&str]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.program("tune", TUNE);
        place.program("inspect", INSPECT);
        let header = Header {
            version: VERSION,
            status: "success".into(),
            ..Header::default()
        };
        let log = fs::File::create(place.path("measured.eval")).unwrap();
        write(log, &header, &[]).unwrap();
        let config = r#"{"model_type":"llama","hidden_size":2048,"num_hidden_layers":16,"vocab_size":128256}"#;
        place.write("llama/config.json", config);
        for file in [
            "llama/model.safetensors",
            "llama/original/tokenizer.model",
            "task.py",
        ] {
            place.write(file, "");
        }
        place.write(
            "rows.jsonl",
            "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}\n",
        );
        let design = [
            "design",
            "ranks",
            "--vary",
            "r=2,4",
            "--epochs",
            "1",
            "--set",
            "batch_size=8",
            "--back-end",
            "torchtune",
            "--model",
            "llama",
            "--data",
            "rows.jsonl",
            "--eval",
            "task.py",
        ];
        place.done(&[&design[..], words].concat());
        place
    }

    /// The same, asking for no GPU: the cluster of these tests has none.
    pub fn without_gpus(words: &[&str]) -> Self {
        let place = Self::unscaffolded(words);
        let mut plan = place.plan();
        plan["resources"]["gres"] = Value::Null;
        place.write("ranks/experiment.json", &plan.to_string());
        place.done(&["scaffold", "ranks"]);
        place
    }

    fn program(&self, name: &str, text: &str) {
        self.write(&format!("bin/{name}"), text);
        let all = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path(&format!("bin/{name}")), all).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// The command, with the stand-ins on PATH.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_campaignctl"));
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .arg("experiment")
            .args(args)
            .current_dir(self.0.path())
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env_remove("CAMPAIGND_SOCKET")
            .env_remove("CUDA_VISIBLE_DEVICES")
            .stdin(Stdio::null());
        command
    }

    pub fn ctl(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs it here; all words behind `run ranks`.
    pub fn run(&self, args: &[&str]) -> Output {
        self.ctl(&[&["run", "ranks", "--executor", "local"], args].concat())
    }

    /// Does it; its answer.
    pub fn done(&self, args: &[&str]) -> String {
        ended(&self.ctl(args), 0)
    }

    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[args, &["--json"]].concat())).unwrap()
    }

    /// Begins it, and goes on.
    pub fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// What the stand-ins said, a line each.
    pub fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("lines")).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    /// How many lines begin so.
    pub fn count(&self, start: &str) -> usize {
        self.lines()
            .iter()
            .filter(|line| line.starts_with(start))
            .count()
    }

    /// The plan, with its rows.
    pub fn plan(&self) -> Value {
        serde_json::from_str(&self.read("ranks/experiment.json")).unwrap()
    }

    /// A row of a table.
    pub fn row(&self, name: &str) -> Value {
        let plan = self.plan();
        let all = ["fine_tuning", "evaluation"].map(|key| plan[key].as_array().unwrap().clone());
        let mut all = all.into_iter().flatten();
        all.find(|row| row["name"] == name)
            .unwrap_or_else(|| panic!("no row {name}"))
    }

    pub fn state(&self, name: &str) -> String {
        self.row(name)["state"].as_str().unwrap().into()
    }

    /// The job directories, sorted.
    pub fn jobs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("ranks/.campaignd/jobs"));
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut all: Vec<String> = entries
            .into_iter()
            .flatten()
            .map(|entry| name(entry).into_string().unwrap())
            .collect();
        all.sort();
        all
    }

    /// Files of a run's directory with such a name.
    pub fn files(&self, below: &str, start: &str, end: &str) -> Vec<PathBuf> {
        let found = fs::read_dir(self.path(below)).into_iter().flatten();
        let fits = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(start) && name.ends_with(end)
        };
        let mut all: Vec<PathBuf> = found.map(|one| one.unwrap().path()).filter(fits).collect();
        all.sort();
        all
    }

    /// Everything that is there, with its bytes.
    pub fn snapshot(&self, below: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let mut all = Vec::new();
        let mut open = vec![self.path(below)];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => open.push(path),
                    false => all.push((path.clone(), fs::read(path).unwrap())),
                }
            }
        }
        all.sort();
        all
    }

    pub fn until(&self, what: &str, found: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !found() {
            assert!(Instant::now() < deadline, "not within a minute: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// How often a log says something.
pub fn said(log: &str, event: &str) -> usize {
    log.matches(&format!("] {event}: ")).count()
}

/// Ended with a status; stdout. Else what it said.
pub fn ended(output: &Output, status: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let answer = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(status), "{said}\n{answer}");
    answer.into_owned()
}

pub fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A path is the same file as another.
pub fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let of = |path: &Path| {
        fs::metadata(path)
            .map(|found| (found.dev(), found.ino()))
            .unwrap()
    };
    of(a) == of(b)
}
