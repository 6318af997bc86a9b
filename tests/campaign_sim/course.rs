//! One campaign over one cluster, from its beginning to its end.

use crate::{
    cluster::{Cluster, Faults},
    daemon::Daemon,
    world::{World, chance},
};
use campaignd::{
    executor::slurm::{bucket::Rate, queue::Pace},
    generation::shard_range,
    machines::{
        admission::Limits,
        campaign::State,
        event::Event,
        job::Phase,
        spec::{CampaignSpec, SlurmSpec},
        step::step,
    },
    time::Timestamp,
};
use std::{collections::BTreeMap, time::Duration};

/// Samples of a campaign.
pub const SAMPLES: u64 = 34_500;
/// 2026-03-02, half an hour before midnight.
pub const BEGIN: Timestamp = Timestamp(1_772_494_200_000);
/// From one look to the next.
pub const TICK: Duration = Duration::from_secs(5);
/// A campaign that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// What is to happen.
#[derive(Clone, Debug)]
pub struct Course {
    pub seed: u64,
    pub faults: Faults,
    pub shards: u32,
    /// The most tasks of one array.
    pub largest: u32,
    pub rate: Rate,
    /// How often in a look the daemon is killed.
    pub killing: f64,
    /// Share of commands that fail and may be tried again.
    pub failing: f64,
    /// When a person cancels it.
    pub cancelled_after: Option<Duration>,
    /// What its jobs ask for.
    pub slurm: SlurmSpec,
}

impl Default for Course {
    /// A good cluster that may be asked as often as one likes, and nobody who kills.
    fn default() -> Self {
        Self {
            seed: 1,
            faults: Faults::default(),
            shards: 35,
            largest: 1000,
            rate: Rate {
                burst: 1000,
                per_minute: 600,
            },
            killing: 0.0,
            failing: 0.0,
            cancelled_after: None,
            slurm: SlurmSpec {
                mem_mib: Some(1024),
                grow_percent: 50,
                ..SlurmSpec::default()
            },
        }
    }
}

/// What came of it.
pub struct Ended {
    pub daemon: Daemon,
    pub world: World,
    pub cluster: Cluster,
    pub kills: u64,
    pub now: Timestamp,
    targets: BTreeMap<u32, u64>,
}

impl Course {
    fn spec(&self) -> CampaignSpec {
        let text = serde_json::json!({
            "name": "sim", "file": null, "directory": "/",
            "criteria": { "gate": "point", "quality_threshold": 0.75, "min_pilot_samples": 1, "pilot_target": 1,
                "max_pilot_samples": 1 },
            "campaign_target": SAMPLES, "auto_launch": true, "executor": "slurm", "seed": 1,
            "generator": { "brain": "rules", "command": [], "shards": self.shards, "time_seconds": null,
                "evidence": "samples", "faults": 0.1 },
            "retry": { "transient": 40, "lost": 40 }, "execution": null, "curation": null, "training": null,
            "evaluation": null, "planning": null, "provenance": [],
        });
        let mut spec: CampaignSpec = serde_json::from_value(text).unwrap();
        spec.slurm.insert(Phase::Generate, self.slurm.clone());
        spec
    }

    /// To the end.
    pub fn run(&self) -> Ended {
        self.run_with(|_| ())
    }

    /// To the end, in a world that is somewhat different.
    pub fn run_with(&self, change: impl FnOnce(&mut World)) -> Ended {
        let Self { seed, largest, .. } = *self;
        let pace = Pace {
            interval: Duration::from_secs(60),
            rate: self.rate,
            largest,
        };
        let limits = Limits {
            max_concurrent_jobs: 50,
            max_training_jobs: 3,
            max_jobs_per_hour: 100,
            local_slots: 2,
            local_training: 1,
            max_array_size: largest,
        };
        let share = |shard: u32| {
            let range = shard_range(SAMPLES, u64::from(shard), u64::from(self.shards));
            (shard, range.end - range.start)
        };
        let targets: BTreeMap<u32, u64> = (0..self.shards).map(share).collect();
        let mut now = BEGIN;
        let mut world = World::new(seed, now, targets.clone());
        world.per_sample = Duration::from_millis(if self.shards < 10 { 50 } else { 1_500 });
        world.failing = self.failing;
        change(&mut world);
        let mut cluster = Cluster::new(self.faults.clone(), seed);
        let mut daemon = Daemon::new(self.spec(), pace, limits, now);
        let (mut kills, mut ticks, mut asked) = (0, 0_u64, false);
        let killing = self.killing;
        while !(daemon.tree.campaign.state.ended() && daemon.tree.outbox.is_empty()) {
            assert!(
                now.since(BEGIN) < LONGEST,
                "seed {seed}: it hangs in {}: {:?}",
                daemon.tree.campaign.state,
                daemon.tree.outbox
            );
            ticks += 1;
            world.now = now;
            cluster.advance(now, &mut world);
            let due = self
                .cancelled_after
                .is_some_and(|after| now.since(BEGIN) >= after);
            if due && !asked && !daemon.tree.campaign.state.ended() {
                let why = String::new();
                let cancel = Event::CancelAsked { why };
                daemon.tree = step(Some(&daemon.tree), &cancel, now).unwrap().tree;
                asked = true;
            }
            if chance(seed, &[9, ticks]) < killing {
                world.dies_in = Some((chance(seed, &[10, ticks]) * 6.0) as u32);
            }
            daemon.go(&mut world, &mut cluster, now);
            if world.dead || chance(seed, &[11, ticks]) < killing / 2.0 {
                kills += 1;
                daemon.restart(&mut world);
            }
            now = now.after(TICK);
        }
        Ended {
            daemon,
            world,
            cluster,
            kills,
            now,
            targets,
        }
    }
}

impl Ended {
    /// Everything was made, once; nothing runs on.
    pub fn check(&self) {
        let Self {
            daemon,
            world,
            cluster,
            targets,
            ..
        } = self;
        let seed = world.seed;
        let campaign = &daemon.tree.campaign;
        assert_eq!(
            campaign.state,
            State::Completed,
            "seed {seed}: {:?} {:?}",
            campaign.cause,
            daemon.launch_failures
        );
        self.check_once();
        assert_eq!(&world.samples, targets, "seed {seed}: samples on disk");
        assert_eq!(
            world.acknowledged.len(),
            targets.len(),
            "seed {seed}: every task was acknowledged"
        );
        assert_eq!(world.samples.values().sum::<u64>(), SAMPLES, "seed {seed}");
        assert!(world.tally.commands >= targets.len() as u64, "seed {seed}");
        let rate = daemon.pace.rate;
        let most = rate.burst + rate.per_minute + 2;
        let busiest = cluster.busiest(Duration::from_secs(60));
        assert!(
            busiest <= most as usize,
            "seed {seed}: {busiest} calls in a minute"
        );
    }

    /// Nothing was started twice, nothing of it runs, and nobody else's job was touched.
    pub fn check_once(&self) {
        let seed = self.world.seed;
        assert_eq!(
            self.world.tally.doubles,
            Vec::<String>::new(),
            "seed {seed}"
        );
        assert_eq!(self.world.running(), 0, "seed {seed}: a command runs on");
        let hits = self.cluster.foreign_hits();
        assert_eq!(hits, 0, "seed {seed}: somebody else's job was cancelled");
    }

    /// Jobs in the queue that were one too many.
    pub fn copies(&self) -> u64 {
        let mut names: BTreeMap<&str, u64> = BTreeMap::new();
        for name in self.cluster.names() {
            *names.entry(name).or_default() += 1;
        }
        names.values().map(|count| count - 1).sum()
    }

    /// Jobs that were started for tasks of others.
    pub fn retries(&self) -> u64 {
        let jobs = self.daemon.tree.jobs.values();
        jobs.filter(|job| job.attempt > 1).count() as u64
    }
}
