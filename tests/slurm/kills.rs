//! The daemon killed again and again: before `sbatch`, while it runs, after it, around every other call, and at any moment.

use crate::{
    cluster,
    site::{QUICK, STEADY, Site},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

const SHARDS: u32 = 200;
const AT_ONCE: usize = 50;
const KILLS: usize = 20;
/// Before this kill as many tasks run as may; from then on they go on.
const RELEASED: usize = 8;
/// These end after the last kill.
const LAST: u32 = 190;

/// Around the two submissions that the campaign needs: of the job that does nothing, and of its array.
const AROUND_SBATCH: [&str; 4] = ["before", "after", "before", "late"];

/// Random numbers (splitmix64): the same for the same seed, which is printed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let asked = std::env::var("CAMPAIGND_SEED").ok();
        let seed = asked
            .and_then(|text| text.parse().ok())
            .unwrap_or(20_261_122);
        println!("seed {seed}; again by CAMPAIGND_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

/// One life of the daemon, ended by its `call`th call of SLURM, before it or after it.
fn killed_at_a_call(site: &mut Site, point: &str, call: u64) {
    let lived = site.env.len();
    let points = format!("{point}={call}*off->return");
    site.env.push(("FAILPOINTS".into(), points));
    site.spawn();
    site.until_killed(point);
    site.env.truncate(lived);
}

/// All 20, and how many of each kind.
fn kill(site: &mut Site) -> BTreeMap<&'static str, usize> {
    let mut dice = Dice::new();
    let mut kills: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (life, how) in AROUND_SBATCH.into_iter().enumerate() {
        site.arm(how);
        if life == 0 {
            site.try_submit("many");
        } else {
            site.spawn();
        }
        site.until_killed(how);
        *kills.entry(how).or_default() += 1;
    }
    for number in AROUND_SBATCH.len()..KILLS {
        if number == RELEASED {
            site.until_begun("many", AT_ONCE);
            site.release();
        }
        let point = ["slurm.ask", "slurm.answered"][number / 2 % 2];
        let kind = if cfg!(feature = "failpoints") && number % 2 == 0 {
            killed_at_a_call(site, point, dice.below(4));
            point
        } else {
            site.spawn();
            std::thread::sleep(Duration::from_millis(dice.below(1_200)));
            site.kill();
            "at random"
        };
        *kills.entry(kind).or_default() += 1;
    }
    kills
}

/// The most tasks between their two lines at a time.
fn most_at_once(site: &Site, name: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for line in site.lines(name) {
        now = if line.ends { now - 1 } else { now + 1 };
        most = most.max(now);
    }
    most
}

/// All samples, and how many of them are distinct.
fn made(site: &Site, name: &str, shards: u32) -> (usize, usize) {
    let (mut all, mut ids) = (0, BTreeSet::new());
    for shard in 0..shards {
        let text = fs::read_to_string(site.samples(name, shard)).unwrap();
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            ids.insert(row["id"].as_str().unwrap().to_owned());
            all += 1;
        }
    }
    (all, ids.len())
}

/// Accounting's rows of an array, repeated runs too, once there are as many ended ones as tasks.
fn accounted(site: &Site, array: u64, tasks: usize) -> BTreeMap<String, Vec<String>> {
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    site.until("accounting knows every end", || {
        let array = array.to_string();
        let words = ["sacct", "-n", "-P", "-X", "-D", "-j", &array];
        let printed = site
            .cluster
            .say(&[&words[..], &["--format=JobID,State"]].concat());
        rows.clear();
        for (task, state) in printed.lines().filter_map(|line| line.split_once('|')) {
            rows.entry(task.into()).or_default().push(state.into());
        }
        let ended = |states: &Vec<String>| states.iter().all(|state| state == "COMPLETED");
        rows.values().filter(|states| ended(states)).count() >= tasks
    });
    rows
}

#[test]
fn two_hundred_tasks_run_once_each_while_the_daemon_is_killed_twenty_times() {
    let Some(cluster) = cluster::shared("two_hundred_tasks") else {
        return;
    };
    let settings = format!("{QUICK}[limits]\nmax_concurrent_jobs = {AT_ONCE}\n");
    let mut site = Site::new(cluster, &settings);
    site.wrap();
    site.hold();
    site.serve();
    fs::write(site.path("last"), "").unwrap();
    let wait = format!("[ \"$4\" -lt {LAST} ] || while [ -e last ]; do sleep 0.1; done\n");
    site.campaign("many", SHARDS, "", "", &(wait + STEADY));
    let kills = kill(&mut site);
    let ended = site.lines("many").iter().filter(|line| line.ends).count();
    fs::remove_file(site.path("last")).unwrap();
    site.serve();
    site.until_state("many", "completed");

    site.assert_each_once("many", SHARDS);
    let arrays: BTreeSet<u64> = site.lines("many").iter().map(|line| line.job).collect();
    assert_eq!(arrays.len(), 1, "more than one array ran: {arrays:?}");
    let lines = site.lines("many");
    let tasks: BTreeSet<u64> = lines.iter().map(|line| line.task).collect();
    let pids: BTreeSet<(u32, u32)> = lines.iter().map(|line| (line.shard, line.pid)).collect();
    assert_eq!(tasks.len(), SHARDS as usize, "SLURM jobs");
    assert_eq!(pids.len(), SHARDS as usize, "who began is who ended");
    let most = most_at_once(&site, "many");
    assert_eq!(most, AT_ONCE, "at once");
    let whole = (SHARDS as usize * 2, SHARDS as usize * 2);
    assert_eq!(made(&site, "many", SHARDS), whole, "samples, distinct ones");
    let array = arrays.into_iter().next().unwrap();
    let rows = accounted(&site, array, SHARDS as usize);
    assert_eq!(rows.len(), SHARDS as usize);
    let once = |states: &Vec<String>| states.len() == 1;
    assert!(rows.values().all(once), "one ran twice: {rows:?}");
    let submitted = site.submitted("many");
    assert_eq!(
        submitted.len(),
        2,
        "one that does nothing, one array: {submitted:?}"
    );
    assert_eq!(kills.values().sum::<usize>(), KILLS);
    println!(
        "{kills:?} kills, the last with {ended} of {SHARDS} tasks over; {most} at once at most; {} samples; {} rows of accounting; {} calls",
        whole.0,
        rows.len(),
        site.calls().values().sum::<usize>()
    );
}

#[test]
fn arrays_of_one_job_are_submitted_once_each_though_the_daemon_is_killed_around_every_sbatch() {
    let Some(cluster) = cluster::shared("arrays_of_one_job") else {
        return;
    };
    let settings = QUICK.replace("[slurm]", "[slurm]\nmax_array_size = 2");
    let mut site = Site::new(cluster, &settings);
    site.wrap();
    site.serve();
    // The job that does nothing is over with this one.
    site.campaign("first", 1, "", "", STEADY);
    site.submit("first");
    site.until_state("first", "completed");
    site.campaign("parts", 6, "", "", STEADY);
    for (life, how) in ["after", "late", "before"].into_iter().enumerate() {
        site.arm(how);
        if life == 0 {
            site.try_submit("parts");
        } else {
            site.spawn();
        }
        site.until_killed(how);
    }
    site.serve();
    site.until_state("parts", "completed");
    site.assert_each_once("parts", 6);
    let submitted = site.submitted("parts");
    let names: BTreeSet<&String> = submitted.iter().map(|(_, name)| name).collect();
    assert_eq!((submitted.len(), names.len()), (3, 3), "{submitted:?}");
    // Two for the campaign before, three that were killed, and again the one that was not submitted.
    assert_eq!(site.calls_of("sbatch"), 6, "{:?}", site.calls());
    println!(
        "parts: 3 arrays, each submitted once over 3 kills; {:?}",
        site.calls()
    );
}

#[test]
fn arrays_side_by_side_keep_the_limit_together() {
    let Some(cluster) = cluster::shared("arrays_side_by_side") else {
        return;
    };
    let settings = QUICK.replace("[slurm]", "[slurm]\nmax_array_size = 2")
        + "[limits]\nmax_concurrent_jobs = 3\n";
    let mut site = Site::new(cluster, &settings);
    site.hold();
    site.serve();
    site.campaign("limited", 6, "", "", STEADY);
    site.submit("limited");
    site.until("three arrays are in the queue", || {
        site.queued("limited").len() == 6
    });
    site.until_begun("limited", 3);
    site.release();
    site.until_state("limited", "completed");
    site.assert_each_once("limited", 6);
    let most = most_at_once(&site, "limited");
    assert_eq!(most, 3, "at once");
}
