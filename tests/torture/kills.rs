//! Random kills of the daemon, of shims and of commands, while campaigns of several shards run. The jobs keep a ledger
//! themselves, and each holds a lock for as long as anything of it lives: two at once would say so.

use crate::{
    house::House,
    trials::{Dice, count, row},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

const SHARDS: usize = 4;
const TARGET: usize = 120;
const SETTINGS: &str =
    "[limits]\nmax_jobs_per_hour = 1000000\n[retry.times]\ntransient = 1000\nlost = 1000\n";

/// `$1` output, `$2` target, `$3` phase, `$4` shard, `$5` campaign. The lock is held by every process of the task, the
/// sleeping ones too, so that one that outlives its task is found by the next.
const GENERATOR: &str = r#"
exec 9>"lock.$5.$3.$4"
flock -n 9 || echo "overlap $CAMPAIGND_PROGRESS" >> ledger
echo "launch $CAMPAIGND_PROGRESS" >> ledger
n=0; [ -f "$1" ] && n=$(wc -l < "$1")
while [ "$n" -lt "$2" ]; do
  echo "{\"id\":\"$5-$3-$4-$n\",\"text\":\"$5 $3 $4 $n\",\"quality_score\":0.9}" >> "$1"
  echo "made $5-$3-$4-$n" >> ledger
  n=$((n+1)); sleep 0.01
done
"#;

fn campaign(house: &House, name: &str) -> String {
    fs::write(house.path("generator.sh"), GENERATOR).unwrap();
    let words = "\"sh\", \"generator.sh\", \"{output}\", \"{target}\", \"{phase}\", \"{shard}\"";
    let text = format!(
        "name = \"{name}\"\npilot_target = 8\nmin_pilot_samples = 8\ncampaign_target = {TARGET}\ngate = \"point\"\n\
         [generator]\nshards = {SHARDS}\ncommand = [{words}, \"{name}\"]\n"
    );
    let file = house.path(&format!("{name}.toml"));
    fs::write(&file, text).unwrap();
    file.to_string_lossy().into_owned()
}

/// The shims that run, by what the job directories say.
fn shims(house: &House) -> Vec<i32> {
    let mut found = Vec::new();
    for task in tasks(&house.path("state/jobs")) {
        if task.join("exit.json").exists() {
            continue;
        }
        let claim = fs::read(task.join("claim")).unwrap_or_default();
        let claim: serde_json::Value = serde_json::from_slice(&claim).unwrap_or_default();
        let pid = claim["pid"]
            .as_i64()
            .and_then(|pid| i32::try_from(pid).ok());
        let words = pid.map(|pid| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default());
        let is_shim = words.is_some_and(|words| String::from_utf8_lossy(&words).contains("exec"));
        found.extend(pid.filter(|_| is_shim));
    }
    found
}

fn tasks(jobs: &Path) -> Vec<PathBuf> {
    let list = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten();
        entries.flatten().map(|entry| entry.path()).collect()
    };
    let jobs = list(jobs);
    jobs.iter()
        .flat_map(|job| list(&job.join("tasks")))
        .collect()
}

/// The processes whose session a shim leads, without itself.
fn commands(shim: i32) -> Vec<i32> {
    let members = campaignd::executor::identity::session_members(shim).unwrap_or_default();
    members.into_iter().filter(|pid| *pid != shim).collect()
}

fn hit(pid: i32, signal: Signal) -> bool {
    kill(Pid::from_raw(pid), signal).is_ok()
}

#[derive(Default)]
struct Counts {
    by_kind: BTreeMap<&'static str, usize>,
}

impl Counts {
    fn add(&mut self, kind: &'static str) {
        *self.by_kind.entry(kind).or_default() += 1;
    }

    fn kills(&self) -> usize {
        let kills = ["daemon", "shim", "command", "shim with the daemon down"];
        kills.iter().filter_map(|kind| self.by_kind.get(kind)).sum()
    }
}

/// One blow of a random kind; the daemon is up again afterwards.
fn strike(house: &mut House, dice: &mut Dice, counts: &mut Counts) {
    let shim = dice.pick(&shims(house)).copied();
    let done = match (dice.below(20), shim) {
        (0..=6, _) => {
            house.kill();
            house.serve();
            Some("daemon")
        }
        // Its command lives on, until somebody finds it.
        (7..=11, Some(shim)) => hit(shim, Signal::SIGKILL).then_some("shim"),
        (12..=14, Some(shim)) => {
            house.kill();
            counts.add("daemon");
            let hit = hit(shim, Signal::SIGKILL);
            house.serve();
            hit.then_some("shim with the daemon down")
        }
        (15..=16, Some(shim)) => {
            let command = dice.pick(&commands(shim)).copied();
            let hit = command.is_some_and(|pid| hit(pid, Signal::SIGKILL));
            hit.then_some("command")
        }
        (17, Some(shim)) => freeze(shim, dice),
        (18, _) => {
            let daemon = house.daemon.as_ref().map(std::process::Child::id);
            daemon.and_then(|pid| freeze(i32::try_from(pid).unwrap(), dice))
        }
        (19, _) => {
            replace_binary(house);
            Some("program replaced")
        }
        _ => None,
    };
    if let Some(kind) = done {
        counts.add(kind);
    }
}

fn freeze(pid: i32, dice: &mut Dice) -> Option<&'static str> {
    let stopped = hit(pid, Signal::SIGSTOP);
    pause(dice, 300);
    (stopped && hit(pid, Signal::SIGCONT)).then_some("stopped and continued")
}

/// As an upgrade does it: another file under the name of the running program.
fn replace_binary(house: &House) {
    let new = house.path("campaignd.new");
    fs::copy(env!("CARGO_BIN_EXE_campaignd"), &new).unwrap();
    fs::rename(&new, &house.program).unwrap();
}

fn pause(dice: &mut Dice, at_most_ms: usize) {
    thread::sleep(Duration::from_millis(1 + dice.below(at_most_ms) as u64));
}

#[test]
fn random_kills_lose_nothing_and_start_nothing_twice() {
    let mut dice = Dice::of("kills");
    let wanted = count(24, 300);
    let mut house = House::new().with_settings(SETTINGS);
    house.program = house.path("campaignd");
    replace_binary(&house);
    house.serve();
    let mut counts = Counts::default();
    let mut campaigns = Vec::new();
    while counts.kills() < wanted || counts.by_kind.len() < 4 {
        let name = format!("k{}", campaigns.len());
        let file = campaign(&house, &name);
        let submitted = house.ctl(&["submit", &file]);
        assert!(submitted.status.success(), "{submitted:?}");
        campaigns.push(name.clone());
        let mut rounds = 0;
        loop {
            pause(&mut dice, 250);
            match house.state(&name).as_str() {
                "completed" => break,
                // For a person to judge, who here always says again.
                "failed" => drop(house.ctl(&["retry", &name])),
                _ => strike(&mut house, &mut dice, &mut counts),
            }
            rounds += 1;
            assert!(rounds < 2000, "{name} does not end: {}", house.log());
        }
    }
    let lost: usize = campaigns.iter().map(|name| faults_of(&house, name)).sum();
    let kinds: Vec<String> = counts
        .by_kind
        .iter()
        .map(|(kind, number)| format!("{kind} {number}"))
        .collect();
    let overlaps = ledger(&house)
        .iter()
        .filter(|line| line.starts_with("overlap"))
        .count();
    assert_eq!(overlaps, 0, "two attempts lived together");
    let how = format!(
        "{} campaigns of {SHARDS} shards to their end; {}; no launch twice, no two attempts alive together",
        campaigns.len(),
        kinds.join(", ")
    );
    row(
        1,
        "`kill -9` at random",
        counts.kills(),
        counts.kills(),
        lost,
        &how,
    );
}

fn ledger(house: &House) -> Vec<String> {
    let text = fs::read_to_string(house.path("ledger")).unwrap();
    text.lines().map(String::from).collect()
}

/// How many samples of a campaign were lost or made twice; launches made twice end the test.
fn faults_of(house: &House, name: &str) -> usize {
    let lines = ledger(house);
    let of = |kind: &str, part: &str| -> Vec<String> {
        let wanted = lines.iter().filter_map(|line| line.strip_prefix(kind));
        wanted
            .filter(|rest| rest.contains(part))
            .map(String::from)
            .collect()
    };
    let launches = of("launch ", &format!("/jobs/{name}-"));
    let tasks: BTreeSet<&String> = launches.iter().collect();
    assert_eq!(
        launches.len(),
        tasks.len(),
        "a task was launched twice: {launches:?}"
    );
    assert!(
        launches.len() > SHARDS,
        "the ledger of {name} is not one: {launches:?}"
    );
    let mut rows = Vec::new();
    for (phase, shards, target) in [("pilot", 1, 8), ("generate", SHARDS, TARGET)] {
        let mut made = 0;
        for shard in 0..shards {
            let file = format!("state/campaigns/{name}/data/{phase}/shard-{shard}.jsonl");
            let text = fs::read_to_string(house.path(&file)).unwrap();
            for line in text.lines() {
                let row: serde_json::Value = serde_json::from_str(line).unwrap();
                rows.push(row["id"].as_str().unwrap().to_string());
                made += 1;
            }
        }
        assert!(made >= target, "{name} {phase}: {made} of {target}");
    }
    let distinct: BTreeSet<&String> = rows.iter().collect();
    let twice = rows.len() - distinct.len();
    // What a job says that it has made, it said after it was written.
    let made = of("made ", &format!("{name}-"));
    assert!(!made.is_empty());
    let lost = made.iter().filter(|id| !distinct.contains(id)).count();
    let again = made.len() - made.iter().collect::<BTreeSet<_>>().len();
    assert_eq!(
        (twice, lost, again),
        (0, 0, 0),
        "{name}: rows twice, lost, made twice"
    );
    twice + lost + again
}
