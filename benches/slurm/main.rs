//! What SLURM's jobs cost: calls of its programs, and processor time of the daemon.
//!
//! `cargo bench --bench slurm --features failpoints` (the faulty cluster's programs, without faults, stand in for SLURM's).
#![allow(
    clippy::unwrap_used,
    reason = "a measurement ends where its assumption does"
)]
#![allow(dead_code, reason = "the simulation is the tests'")]

#[path = "../../tests/cluster/mod.rs"]
mod cluster;
#[path = "../../tests/campaign_sim/course.rs"]
mod course;
#[path = "../../tests/campaign_sim/daemon.rs"]
mod daemon;
#[path = "../../tests/cluster/front.rs"]
mod front;
#[path = "../../tests/campaign_sim/world.rs"]
mod world;

use campaignd::{
    executor::slurm::{
        bucket::{Bucket, Rate},
        calls::{Answer, Call, Indices, QueueRow},
        queue::{Launch, Next, Pace, Queue, Submission},
        words::State,
    },
    ids::{CampaignId, EffectId},
    machines::spec::SlurmSpec,
};
use cluster::Faults;
use course::{BEGIN, Course};
use front::Front;
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use world::{Dir, TaskDir, World};

/// Live tasks.
const LIVE: u32 = 1000;
/// The daemon is measured over this.
const OVER: Duration = Duration::from_secs(120);
/// Before that it settles: a young job is looked at more often.
const SETTLE: Duration = Duration::from_secs(240);
const PATIENCE: Duration = Duration::from_secs(600);

fn main() {
    let quick = std::env::args().any(|word| word == "--quick");
    println!("| | measured | aim |\n|---|---|---|");
    submissions();
    calls();
    let (settle, over) = match quick {
        true => (Duration::from_secs(20), Duration::from_secs(60)),
        false => (SETTLE, OVER),
    };
    daemon(settle, over);
}

fn row(what: &str, measured: &str, aim: &str) {
    println!("| {what} | {measured} | {aim} |");
}

/// A thousand jobs of one task, decided and written down; the calls themselves take no time here.
fn submissions() {
    let rate = Rate {
        burst: 10_000,
        per_minute: 10_000,
    };
    let pace = Pace {
        interval: Duration::from_secs(60),
        rate,
        largest: 1000,
    };
    let campaign: CampaignId = "bench".parse().unwrap();
    let jobs: Vec<EffectId> = (1..=u64::from(LIVE))
        .map(|number| campaign.effect(number))
        .collect();
    let targets: BTreeMap<u32, u64> = [(0, 1)].into();
    let mut world = World::new(1, BEGIN, targets);
    for job in &jobs {
        let dir = Dir {
            handle: None,
            shards: vec![0],
            tasks: [(0, TaskDir::default())].into(),
            slurm: SlurmSpec::default(),
        };
        world.dirs.insert(job.clone(), dir);
    }
    let mut queue = Queue::new(pace, Bucket::full(rate, BEGIN));
    let began = Instant::now();
    for job in &jobs {
        let asked = Submission {
            job: job.clone(),
            name: job.scheduler_name("5eed"),
            clusters: String::new(),
            shards: vec![0],
            launched: false,
        };
        queue.take(&asked, &world, BEGIN).unwrap();
    }
    let (mut id, mut sbatch, mut rows) = (0, 0, Vec::new());
    let now = BEGIN;
    while let Next::Call(call) = queue.next(&mut world, now) {
        let answer = match &call {
            Call::Submit { name, .. } => {
                (id, sbatch) = (id + 1, sbatch + 1);
                rows.push(QueueRow {
                    id,
                    indices: Indices::Whole,
                    name: name.clone(),
                    state: State::read("PENDING"),
                    reason: "Priority".into(),
                    nodes: String::new(),
                    partition: "main".into(),
                });
                Answer::Submitted { id }
            }
            Call::Queue => Answer::Queue(rows.clone()),
            _ => Answer::Pong,
        };
        queue.heard(&call, Ok(answer), Duration::from_millis(6), &mut world, now);
        if sbatch == LIVE {
            break;
        }
    }
    let took = began.elapsed();
    let done = |job: &&EffectId| matches!(queue.launch(job), Some(Launch::Done { .. }));
    assert_eq!(jobs.iter().filter(done).count(), LIVE as usize);
    let each = took.as_secs_f64() * 1e6 / f64::from(LIVE);
    row(
        "1,000 submissions, without the time of sbatch",
        &format!("{:.3} s, {each:.0} µs each", took.as_secs_f64()),
        "",
    );
}

/// A campaign of a thousand tasks in virtual time, by the default settings.
fn calls() {
    let course = Course {
        shards: LIVE,
        rate: Rate {
            burst: 40,
            per_minute: 4,
        },
        ..Course::default()
    };
    let ended = course.run();
    ended.check();
    let minutes = ended.now.since(BEGIN).as_secs_f64() / 60.0;
    let programs = ["sbatch", "squeue", "sacct", "scancel"];
    let calls: u64 = programs
        .iter()
        .map(|program| ended.cluster.runs(program))
        .sum();
    row(
        "calls a minute for 1,000 live tasks",
        &format!(
            "{:.2} ({calls} in {minutes:.0} minutes)",
            calls as f64 / minutes
        ),
        "4",
    );
}

/// A real daemon with a thousand tasks in the queue, of which ten run.
fn daemon(settle: Duration, over: Duration) {
    let faults = Faults {
        slots: 10,
        ..Faults::default()
    };
    let front = Front::new(env!("CARGO_BIN_EXE_faulty-slurm"), &faults, 1);
    let root = tempfile::tempdir().unwrap();
    let state = root.path().join("state");
    let file = root.path().join("bench.toml");
    let text = format!(
        "name = \"bench\"\ncampaign_target = {LIVE}\nexecutor = \"slurm\"\n[generator]\ncommand = [\"sleep\", \"3600\"]\nshards = {LIVE}\n"
    );
    fs::write(&file, text).unwrap();
    let settings = root.path().join("campaignd.toml");
    // A burst for the submission, then the pace of a strict site.
    fs::write(&settings, "[slurm.calls]\nburst = 40\nper_minute = 4\n").unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_campaignd"))
        .args(["serve", "--config"])
        .arg(&settings)
        .arg("--state-dir")
        .arg(&state)
        .env("PATH", front.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let socket = state.join("control.sock");
    until("the daemon answers", || socket.exists());
    let submitted = ctl(&socket, &["submit", "--skip-pilot", file.to_str().unwrap()]);
    assert!(submitted.status.success());
    until("a thousand tasks are live", || {
        let jobs = ctl(&socket, &["jobs", "--json"]);
        let text = String::from_utf8_lossy(&jobs.stdout).into_owned();
        let pending = text.matches("\"pending\"").count() + text.matches("\"running\"").count();
        pending >= LIVE as usize
    });
    std::thread::sleep(settle);
    let (cpu, calls, began) = (processor(&daemon), front.calls().len(), Instant::now());
    std::thread::sleep(over);
    let spent = processor(&daemon) - cpu;
    let calls = front.calls().len() - calls;
    let seconds = began.elapsed().as_secs_f64();
    let resident = resident(&daemon);
    row(
        "processor time of the daemon for 1,000 live tasks",
        &format!(
            "{:.2} ms a second (over {seconds:.0} s, to {:.2}; {calls} calls)",
            spent * 1e3 / seconds,
            10.0 / seconds
        ),
        "0.3 ms a second",
    );
    row(
        "resident memory with them",
        &format!("{resident:.0} MB"),
        "50 MB",
    );
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

fn ctl(socket: &Path, words: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campaignctl"));
    command.arg("--socket").arg(socket).args(words);
    command.output().unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Seconds of processor time, user and system, of the process alone (proc(5), `stat`, fields 14 and 15).
fn processor(child: &Child) -> f64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<&str> = text[text.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

fn resident(child: &Child) -> f64 {
    let text = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}
