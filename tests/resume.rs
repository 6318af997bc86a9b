//! A training that is killed, anywhere and as often as one likes, and gone on with ends with the same bytes as one that was
//! not. CAMPAIGND_SEED and CAMPAIGND_COUNT repeat and resize a run; `tests/run --torture` makes it in full.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

#[path = "torture/mounts.rs"]
#[allow(dead_code, reason = "not every test needs everything")]
mod mounts;
mod tiny;
#[path = "torture/trials.rs"]
#[allow(dead_code, reason = "not every test needs everything")]
mod trials;

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tiny::{Bench, said};
use trials::{Dice, count, full, row, skip};

/// What must be the same: the adapter's bytes, and the rows of the metrics without the speed.
#[derive(PartialEq)]
struct Made {
    files: BTreeMap<String, Vec<u8>>,
    metrics: Vec<Value>,
}

fn made(dir: &Path) -> Made {
    let names = [
        "adapter_config.json",
        "adapter_model.safetensors",
        "tokenizer.json",
    ];
    let files = names.map(|name| (name.to_string(), fs::read(dir.join(name)).unwrap()));
    let text = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let rows = text.lines().map(|line| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        row.as_object_mut().unwrap().remove("tokens_per_second");
        row
    });
    Made {
        files: files.into(),
        metrics: rows.collect(),
    }
}

fn same(found: &Made, expected: &Made, how: &str) {
    assert_eq!(found.metrics, expected.metrics, "{how}: other metrics");
    for (name, bytes) in &expected.files {
        assert!(found.files[name] == *bytes, "{how}: other bytes of {name}");
    }
}

/// Nothing but the output is left in the directory of outputs.
fn alone(bench: &Bench, output: &str) {
    let names = fs::read_dir(bench.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let left: Vec<String> = names
        .map(|name| name.into_string().unwrap())
        .filter(|name| name.starts_with('.') && name.contains(output))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn work(bench: &Bench, output: &str) -> PathBuf {
    bench.path(&format!(".{output}.campaignd-training"))
}

fn checkpoints(bench: &Bench, output: &str) -> Vec<PathBuf> {
    let dir = work(bench, output).join("checkpoints");
    let mut all: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("step-")
        })
        .collect();
    all.sort();
    all
}

fn spawn(bench: &Bench, output: &str) -> Child {
    start(bench.command(output, &["--resume", "--quiet"]))
}

fn start(mut command: Command) -> Child {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills it after `pause`; whether it was alive.
fn struck(mut child: Child, pause: Duration) -> bool {
    let deadline = Instant::now() + pause;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "it ended by itself: {status}");
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    status.code().is_none()
}

/// A training of the bench, killed once there are so many checkpoints.
fn cut_short(bench: &Bench, output: &str, at_least: usize) {
    let mut child = spawn(bench, output);
    let deadline = Instant::now() + Duration::from_secs(120);
    while checkpoints(bench, output).len() < at_least {
        assert!(child.try_wait().unwrap().is_none(), "it was too fast");
        assert!(Instant::now() < deadline, "there is no checkpoint");
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A kind of training that is killed.
struct Case {
    kind: &'static str,
    bench: Bench,
    expected: Made,
    /// How long it takes when nobody kills it.
    takes: Duration,
}

const STAGES: &str = "[[stage]]\nname = \"one\"\ndata = \"train.jsonl\"\n\
    [[stage]]\nname = \"two\"\ndata = \"second.jsonl\"\nreplay_share = 0.15\n";

impl Case {
    const KINDS: [&'static str; 5] = ["plain", "packing", "dpo", "stage", "wide"];

    fn new(kind: &'static str) -> Self {
        let bench = Bench::new();
        let settings = |more: String| fs::write(bench.path("train.toml"), more).unwrap();
        match kind {
            "packing" => settings(format!("{}packing = true\n", tiny::SETTINGS)),
            "dpo" => {
                preferences(&bench.path("train.jsonl"), 24, 1);
                preferences(&bench.path("holdout.jsonl"), 6, 2);
                settings(format!("{}loss = \"dpo\"\n", tiny::SETTINGS));
            }
            "stage" => {
                tiny::rows_by(&bench.path("second.jsonl"), 20, 3, 2);
                settings(format!("{}{STAGES}", tiny::SETTINGS));
            }
            // Wider than a block of the matrix products.
            "wide" => tiny::model_of(&bench.path("model"), 320),
            _ => {}
        }
        let mut case = Self {
            kind,
            bench,
            expected: Made {
                files: BTreeMap::new(),
                metrics: Vec::new(),
            },
            takes: Duration::ZERO,
        };
        case.prepare("whole");
        let began = Instant::now();
        case.done("whole");
        case.takes = began.elapsed();
        case.expected = made(&case.dir("whole"));
        assert!(case.expected.metrics.len() > 6, "{kind}");
        case
    }

    fn is_stage(&self) -> bool {
        self.kind == "stage"
    }

    /// What must be there before it: the stage before.
    fn prepare(&self, output: &str) {
        if self.is_stage() {
            let done = self.stage(output, "one").output().unwrap();
            assert!(done.status.success(), "{}", said(&done));
        }
    }

    fn stage(&self, output: &str, stage: &str) -> Command {
        let more = ["--stage", stage, "--name", "tiny", "--resume"];
        let model = ["--model", "model", "--config", "train.toml", "--output"];
        self.bench
            .bare(&[&model[..], &[output], &more[..]].concat())
    }

    fn command(&self, output: &str) -> Command {
        if self.is_stage() {
            return self.stage(output, "two");
        }
        self.bench.command(output, &["--resume"])
    }

    /// The adapter's directory.
    fn dir(&self, output: &str) -> PathBuf {
        let dir = self.bench.path(output);
        if self.is_stage() {
            return dir.join("stage2/final-model");
        }
        dir
    }

    /// To its end.
    fn done(&self, output: &str) {
        let done = self.command(output).output().unwrap();
        assert!(done.status.success(), "{}: {}", self.kind, said(&done));
    }
}

/// Rows of preferences.
fn preferences(path: &Path, n: usize, seed: usize) {
    let row = |row: usize| {
        let prompt = format!("{seed} and {row}?");
        serde_json::json!({ "prompt": prompt, "chosen": " yes", "rejected": " no" }).to_string()
            + "\n"
    };
    fs::write(path, (0..n).map(row).collect::<String>()).unwrap();
}

/// The same command with so many threads: the trainer takes one for each processor that it may use.
fn with_threads(command: &Command, threads: usize) -> Command {
    let mut bound = Command::new("taskset");
    bound.args(["-c", &format!("0-{}", threads - 1)]);
    bound.arg(command.get_program()).args(command.get_args());
    bound.current_dir(command.get_current_dir().unwrap());
    bound
}

/// How many threads can be chosen from; 1 where they cannot be.
fn most_threads() -> usize {
    let tried = Command::new("taskset").args(["-c", "0", "true"]).output();
    if tried.is_ok_and(|tried| tried.status.success()) {
        return thread::available_parallelism().map_or(1, usize::from);
    }
    eprintln!("skipped a random number of threads: there is no taskset");
    1
}

#[test]
fn killed_at_random_instants_it_ends_with_the_same_bytes() {
    let mut dice = Dice::of("resume");
    let wanted = count(Case::KINDS.len(), 100);
    let (mut kills, mut trainings, mut patience) = (0, 0, 0);
    let most_threads = most_threads();
    for (at, kind) in Case::KINDS.into_iter().enumerate() {
        let case = Case::new(kind);
        let until = wanted * (at + 1) / Case::KINDS.len();
        while kills < until {
            let output = format!("cut{trainings}");
            trainings += 1;
            case.prepare(&output);
            let mut blows = 0;
            while !case.dir(&output).exists() {
                // Now and then it is left alone, so that it ends.
                let most = if blows > 4 { 3 } else { 1 } * case.takes.as_micros() as usize;
                let pause = Duration::from_micros(dice.below(most) as u64);
                let mut command = case.command(&output);
                if most_threads > 1 {
                    command = with_threads(&command, 1 + dice.below(most_threads));
                }
                kills += usize::from(struck(start(command), pause));
                blows += 1;
                patience += 1;
                assert!(patience < 60 * wanted, "it does not end");
            }
            // Killed between its last rename and its end it has something left to clear.
            case.done(&output);
            same(&made(&case.dir(&output)), &case.expected, kind);
            alone(&case.bench, &output);
            fs::remove_dir_all(case.bench.path(&output)).unwrap();
        }
    }
    let how = format!(
        "{trainings} trainings of {} kinds to their end; each adapter has the bytes of one that was not killed",
        Case::KINDS.len()
    );
    row(22, "training killed at random", kills, kills, 0, &how);
}

/// The points of the trainer that the sources name.
fn points() -> Vec<String> {
    let mut found = Vec::new();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/worker/train");
    for entry in fs::read_dir(dir).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for part in text.split(" point!(\"").skip(1) {
            found.extend(part.split('"').next().map(String::from));
        }
    }
    // One fine-tune comes by no rung; `tests/sweep.rs` kills there.
    found.retain(|point| !point.starts_with("train.rung."));
    found.sort();
    assert!(found.len() >= 8, "the points are not found: {found:?}");
    found
}

#[test]
fn killed_at_every_named_point_it_ends_with_the_same_bytes() {
    if !cfg!(feature = "failpoints") {
        return skip(
            "killed_at_every_named_point",
            "needs --features failpoints, as tests/run gives it",
        );
    }
    let mut dice = Dice::of("training points");
    let bench = Bench::new();
    bench.trained("whole", &["--merge"]);
    let expected = made(&bench.path("whole"));
    let points = points();
    let mut trials = 0;
    for (at, point) in points.iter().enumerate() {
        let often = !point.contains("export") && (full() || at % 2 == 0);
        // The first time that it comes by, and some later time.
        for after in [0, dice.below(8) + 1]
            .into_iter()
            .take(1 + usize::from(often))
        {
            let output = format!("point{trials}");
            let mark = bench.path(&format!("mark{trials}"));
            let mut command = bench.command(&output, &["--merge"]);
            let killed = command
                .env("FAILPOINTS", format!("{point}={after}*off->return"))
                .env("CAMPAIGND_CRASH_MARK", &mark)
                .output()
                .unwrap();
            assert!(mark.exists(), "nothing came by {point}: {}", said(&killed));
            assert!(!killed.status.success(), "{point} killed nobody");
            bench.trained(&output, &["--merge", "--resume"]);
            same(&made(&bench.path(&output)), &expected, point);
            alone(&bench, &output);
            trials += 1;
        }
    }
    let how = format!(
        "each of the {} named points of the trainer; the same bytes",
        points.len()
    );
    row(
        23,
        "training killed at a named point",
        trials,
        trials,
        0,
        &how,
    );
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_said() {
    let bench = Bench::new();
    bench.trained("whole", &[]);
    let expected = made(&bench.path("whole"));
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("a byte of the adapter", |dir| {
            flip(&dir.join("adapter_model.safetensors"))
        }),
        ("a byte of the moments", |dir| {
            flip(&dir.join("optimizer.safetensors"))
        }),
        ("a state cut short", |dir| {
            fs::write(dir.join("state.json"), "{").unwrap()
        }),
        ("no sums", |dir| {
            fs::remove_file(dir.join("SHA256SUMS")).unwrap()
        }),
    ];
    for (at, (what, damage)) in damages.into_iter().enumerate() {
        let output = format!("damaged{at}");
        cut_short(&bench, &output, 2);
        let newest = checkpoints(&bench, &output).pop().unwrap();
        damage(&newest);
        // The row that was being written when it was killed.
        let metrics = work(&bench, &output).join("metrics.jsonl");
        let torn = [fs::read(&metrics).unwrap().as_slice(), b"{\"step\":9"].concat();
        fs::write(&metrics, torn).unwrap();
        let done = bench.train(&output, &["--resume"]);
        assert!(done.status.success(), "{what}: {}", said(&done));
        let name = newest.file_name().unwrap().to_string_lossy().into_owned();
        let passed = said(&done);
        assert!(
            passed.contains(&format!("{name} is damaged")),
            "{what}: {passed}"
        );
        same(&made(&bench.path(&output)), &expected, what);
    }
}

/// What the daemon and `experiment run` do where memory ran out.
#[test]
fn a_batch_that_is_halved_goes_on_from_its_checkpoint() {
    let bench = Bench::new();
    // What is dropped out depends on where a row stands in its batch.
    let before = tiny::SETTINGS.replace("lora_dropout = 0.1", "lora_dropout = 0.0");
    fs::write(bench.path("train.toml"), &before).unwrap();
    bench.trained("whole", &[]);
    let whole = made(&bench.path("whole"));
    cut_short(&bench, "out", 2);
    let halved = before
        .replace("batch_size = 2", "batch_size = 1")
        .replace("accumulation_steps = 2", "accumulation_steps = 4");
    assert_ne!(halved, before);
    fs::write(bench.path("train.toml"), halved).unwrap();
    let done = bench.train("out", &["--resume"]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(
        said(&done).contains("going on from step"),
        "{}",
        said(&done)
    );
    // Every step once, from the same rows: what differs is the order of sums.
    let out = made(&bench.path("out"));
    assert_eq!(out.metrics.len(), whole.metrics.len());
    for (ours, theirs) in out.metrics.iter().zip(&whole.metrics) {
        assert_eq!(
            (&ours["step"], &ours["tokens"]),
            (&theirs["step"], &theirs["tokens"])
        );
        for key in ["loss", "eval_loss"] {
            let pair = [&ours[key], &theirs[key]].map(Value::as_f64);
            if let [Some(ours), Some(theirs)] = pair {
                assert!(
                    (ours - theirs).abs() <= 1e-3 * theirs.abs(),
                    "{ours} beside {theirs}"
                );
            }
        }
    }
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() - 3;
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn only_the_same_training_is_gone_on_with() {
    let bench = Bench::new();
    cut_short(&bench, "out", 1);
    let refused = |more: &[&str], why: &str| {
        let done = bench.train("out", more);
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
        assert!(
            said(&done).contains(why),
            "{why:?} is not in {}",
            said(&done)
        );
    };
    refused(&[], "a training was begun in");
    refused(&[], "right  --resume");
    let settings = fs::read_to_string(bench.path("train.toml")).unwrap();
    let other = settings.replace("learning_rate = 0.01", "learning_rate = 0.02");
    fs::write(bench.path("train.toml"), &other).unwrap();
    refused(
        &["--resume"],
        "was started with other settings: learning_rate 0.01, now 0.02",
    );
    fs::write(bench.path("train.toml"), settings).unwrap();
    let rows = fs::read_to_string(bench.path("train.jsonl")).unwrap();
    fs::write(bench.path("train.jsonl"), rows.replacen("41", "42", 1)).unwrap();
    refused(&["--resume"], "was started with other data");
    fs::write(bench.path("train.jsonl"), rows).unwrap();
    let weights = fs::read(bench.path("model/model.safetensors")).unwrap();
    flip(&bench.path("model/model.safetensors"));
    refused(&["--resume"], "was started with another model");
    // A model of another shape: no tensor of a checkpoint fits it.
    let config = fs::read(bench.path("model/config.json")).unwrap();
    let there = checkpoints(&bench, "out");
    tiny::model_of(&bench.path("model"), 64);
    refused(&["--resume"], "was started with another model");
    assert_eq!(checkpoints(&bench, "out"), there, "they stay");
    fs::write(bench.path("model/config.json"), config).unwrap();
    fs::write(bench.path("model/model.safetensors"), weights).unwrap();
    let tokenizer = fs::read_to_string(bench.path("model/tokenizer_config.json")).unwrap();
    let changed = tokenizer.replace("content'] + '<|im_end|>", "content'] + ' <|im_end|>");
    assert_ne!(changed, tokenizer);
    fs::write(bench.path("model/tokenizer_config.json"), changed).unwrap();
    refused(
        &["--resume"],
        "with another tokenizer: tokenizer_config.json",
    );
    fs::write(bench.path("model/tokenizer_config.json"), tokenizer).unwrap();
    let first = bench.trained("out", &["--resume"]);
    let before = made(&bench.path("out"));
    // Once more, with and without the word.
    for more in [&["--resume"][..], &[]] {
        assert_eq!(bench.trained("out", more), first);
        assert!(said(&bench.train("out", more)).contains("is finished"));
    }
    assert!(made(&bench.path("out")) == before);
    fs::write(bench.path("train.toml"), other).unwrap();
    refused(
        &["--resume"],
        "holds an adapter that was trained with other settings",
    );
}

#[test]
fn a_disk_that_is_full_is_waited_for() {
    let bench = Bench::new();
    bench.trained("whole", &[]);
    let expected = made(&bench.path("whole"));
    let disk = match mounts::Mounted::memory(&bench.path("disk"), "2m") {
        Ok(disk) => disk,
        Err(why) => return skip("a_disk_that_is_full", &why),
    };
    // Room for the rows, and for a part of the first checkpoint.
    let filler = mounts::fill(&disk.at, 24 << 10);
    let log = bench.path("log");
    let mut command = bench.command("disk/out", &[]);
    command
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !fs::read_to_string(&log)
        .unwrap()
        .contains("waiting for room")
    {
        assert!(
            child.try_wait().unwrap().is_none(),
            "{}",
            fs::read_to_string(&log).unwrap()
        );
        assert!(Instant::now() < deadline, "it does not say that it waits");
        thread::sleep(Duration::from_millis(5));
    }
    fs::remove_file(filler).unwrap();
    assert!(
        child.wait().unwrap().success(),
        "{}",
        fs::read_to_string(&log).unwrap()
    );
    same(&made(&bench.path("disk/out")), &expected, "a full disk");
}
