//! A house on a cluster: campaigns whose jobs keep a ledger of their own, and what SLURM says of them.

use crate::{cluster::Cluster, house::House};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::{Deref, DerefMut},
    path::PathBuf,
    process::Output,
    time::{Duration, Instant},
};

/// Settings that do not keep a test waiting.
pub const QUICK: &str =
    "[slurm]\npoll_interval = \"1s\"\n[slurm.calls]\nburst = 10000\nper_minute = 100000\n";

/// Goes on from the lines that are there, with a sample every 0.1 s; waits while there is a file `hold`.
/// `$1` output, `$2` target, `$3` phase, `$4` shard.
pub const STEADY: &str = "\
n=0; [ -f \"$1\" ] && n=$(wc -l < \"$1\")
while [ -e hold ]; do sleep 0.1; done
while [ \"$n\" -lt \"$2\" ]; do
  printf '{\"id\":\"%s-%s-%s\",\"text\":\"%s\",\"quality_score\":0.9}\\n' \"$3\" \"$4\" \"$n\" \"$n\" >> \"$1\"
  n=$((n+1)); sleep 0.1
done
";

/// A house whose daemon finds a cluster.
pub struct Site {
    house: House,
    pub cluster: &'static Cluster,
}

/// What a task wrote when it began, or when it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub ends: bool,
    pub shard: u32,
    pub pid: u32,
    /// The SLURM job that it was, each task of an array by its own id.
    pub task: u64,
    /// The SLURM job; of an array, the array.
    pub job: u64,
}

impl Deref for Site {
    type Target = House;

    fn deref(&self) -> &House {
        &self.house
    }
}

impl DerefMut for Site {
    fn deref_mut(&mut self) -> &mut House {
        &mut self.house
    }
}

impl Site {
    pub fn new(cluster: &'static Cluster, settings: &str) -> Self {
        let mut house = House::new().with_settings(settings);
        house.env = cluster.env();
        Self { house, cluster }
    }

    /// A campaign of so many shards on SLURM, two samples each; `slurm` is its table, `script` what a task does between the
    /// two lines of its ledger.
    pub fn campaign(&self, name: &str, shards: u32, head: &str, slurm: &str, script: &str) {
        let mark = |what: &str| {
            format!(
                "printf '{what} %s %s %s %s\\n' \"$4\" $$ $SLURM_JOB_ID ${{SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}} >> {name}.ledger\n"
            )
        };
        let script = [&mark("start"), script, &mark("end")].concat();
        fs::write(self.path(&format!("{name}.sh")), script).unwrap();
        let target = shards * 2;
        let text = format!(
            "name = \"{name}\"\nexecutor = \"slurm\"\ncampaign_target = {target}\ngate = \"point\"\n{head}\n\
             [generator]\nshards = {shards}\n\
             command = [\"sh\", \"{name}.sh\", \"{{output}}\", \"{{target}}\", \"{{phase}}\", \"{{shard}}\"]\n\
             [slurm]\n{slurm}\n"
        );
        fs::write(self.path(&format!("{name}.toml")), text).unwrap();
    }

    /// Hands a campaign in, without a pilot.
    pub fn submit(&self, name: &str) {
        let output = self.try_submit(name);
        assert!(output.status.success(), "{output:?}");
    }

    /// The same where the daemon may be killed before it answers.
    pub fn try_submit(&self, name: &str) -> Output {
        let file = format!("{name}.toml");
        self.ctl(&["submit", &file, "--skip-pilot"])
    }

    pub fn hold(&self) {
        fs::write(self.path("hold"), "").unwrap();
    }

    pub fn release(&self) {
        fs::remove_file(self.path("hold")).unwrap();
    }

    /// What the tasks of a campaign have written, in order. A line that is not whole fails.
    pub fn lines(&self, name: &str) -> Vec<Line> {
        let text = fs::read_to_string(self.path(&format!("{name}.ledger"))).unwrap_or_default();
        let line = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words.len(), 5, "{line:?} is no line of a ledger");
            Line {
                ends: words[0] == "end",
                shard: words[1].parse().unwrap(),
                pid: words[2].parse().unwrap(),
                task: words[3].parse().unwrap(),
                job: words[4].parse().unwrap(),
            }
        };
        text.lines().map(line).collect()
    }

    /// How often each shard began and ended.
    pub fn counts(&self, name: &str) -> BTreeMap<u32, (usize, usize)> {
        let mut counts: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
        for line in self.lines(name) {
            let count = counts.entry(line.shard).or_default();
            if line.ends {
                count.1 += 1;
            } else {
                count.0 += 1;
            }
        }
        counts
    }

    /// So many shards, each of which began and ended once.
    pub fn assert_each_once(&self, name: &str, shards: u32) {
        let expected: BTreeMap<_, _> = (0..shards).map(|shard| (shard, (1, 1))).collect();
        assert_eq!(self.counts(name), expected, "{}", self.log());
        println!("{name}: {shards} shards, each began once and ended once");
    }

    pub fn until_begun(&self, name: &str, tasks: usize) {
        self.until(&format!("{tasks} tasks have begun"), || {
            let lines = self.lines(name);
            lines.iter().filter(|line| !line.ends).count() >= tasks
        });
    }

    /// Waits for a campaign to come to a state; fails when it ends in another.
    pub fn until_state(&self, name: &str, wanted: &str) {
        // Two processors that others use too start 200 tasks in minutes.
        let deadline = Instant::now() + Duration::from_secs(420);
        loop {
            let state = self.state(name);
            if state == wanted {
                return;
            }
            let over = ["completed", "cancelled", "failed"].contains(&state.as_str());
            assert!(
                !over && Instant::now() < deadline,
                "{name} is {state}, not {wanted}\n{}\n{}",
                String::from_utf8_lossy(&self.ctl(&["explain", name]).stdout),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Rows of `campaignctl jobs`.
    pub fn jobs(&self, name: &str) -> Vec<Value> {
        let jobs = self.json(&["jobs", name]);
        jobs["jobs"].as_array().unwrap().clone()
    }

    /// Why a campaign failed, as its status says it.
    pub fn status(&self, name: &str) -> Value {
        self.json(&["status", name])["campaigns"][0].clone()
    }

    /// Jobs of a campaign that wait or run, by SLURM's word: `ID STATE`.
    pub fn queued(&self, name: &str) -> Vec<String> {
        let printed = self.cluster.say(&["squeue", "-h", "-r", "-o", "%i %T %j"]);
        let mine = |line: &&str| self.is_of(name, line.rsplit(' ').next().unwrap_or_default());
        printed.lines().filter(mine).map(String::from).collect()
    }

    /// Ids of the jobs of a campaign that SLURM ever had, an array counted once.
    pub fn submitted(&self, name: &str) -> BTreeSet<(String, String)> {
        let printed = self
            .cluster
            .say(&["squeue", "-h", "-t", "all", "-o", "%F %j"]);
        let pairs = printed.lines().filter_map(|line| line.split_once(' '));
        pairs
            .filter(|(_, job)| self.is_of(name, job))
            .map(|(id, job)| (id.into(), job.into()))
            .collect()
    }

    /// `toy-3.a1b2`: a job of this house's campaign, by its name.
    fn is_of(&self, campaign: &str, job: &str) -> bool {
        let Some((effect, store)) = job.split_once('.') else {
            return false;
        };
        let own = effect
            .rsplit_once('-')
            .is_some_and(|(name, _)| name == campaign);
        own && self.store() == store.split('.').next().unwrap_or_default()
    }

    /// The random id of the house's store, as its requests say it.
    fn store(&self) -> String {
        let requests = fs::read_dir(self.path("state/jobs")).into_iter().flatten();
        let named = requests.flatten().find_map(|job| {
            let text = fs::read_to_string(job.path().join("request.toml")).ok()?;
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("name = \""))?;
            let name = line.trim_end_matches('"');
            Some(name.split_once('.')?.1.to_owned())
        });
        named.unwrap_or_default()
    }

    /// The file of a task's samples.
    pub fn samples(&self, name: &str, shard: u32) -> PathBuf {
        self.path(&format!(
            "state/campaigns/{name}/data/generate/shard-{shard}.jsonl"
        ))
    }

    /// `error_resolutions.jsonl` of a campaign.
    pub fn resolutions(&self, name: &str) -> Vec<Value> {
        let path = self.path(&format!(
            "state/campaigns/{name}/mirror/error_resolutions.jsonl"
        ));
        let text = fs::read_to_string(path).unwrap_or_default();
        let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
        rows.collect()
    }
}
