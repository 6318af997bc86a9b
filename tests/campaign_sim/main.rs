//! Whole campaigns over a faulty cluster in virtual time: arrays of tasks, failures, outages, and a daemon that is killed at
//! random. No task is started twice, none is forgotten, no acknowledged sample is lost.
//!
//! `CAMPAIGND_TORTURE=1` runs ten thousand seeds, `CAMPAIGND_COUNT` another number, `CAMPAIGND_SEED` others.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

#[path = "../cluster/mod.rs"]
mod cluster;
mod daemon;
mod world;

use campaignd::{
    executor::slurm::{bucket::Rate, queue::Pace},
    generation::shard_range,
    machines::{admission::Limits, campaign::State, event::Event, spec::CampaignSpec, step::step},
    time::Timestamp,
};
use cluster::{Chances, Cluster, Fates, Faults, Outage};
use daemon::Daemon;
use std::{collections::BTreeMap, time::Duration};
use world::{World, chance};

/// Samples of a campaign.
const SAMPLES: u64 = 34_500;
/// 2026-03-02, half an hour before midnight.
const BEGIN: Timestamp = Timestamp(1_772_494_200_000);
/// From one look to the next.
const TICK: Duration = Duration::from_secs(5);
/// A campaign that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

fn spec(shards: u32) -> CampaignSpec {
    let text = serde_json::json!({
        "name": "sim", "file": null, "directory": "/",
        "criteria": { "gate": "point", "quality_threshold": 0.75, "min_pilot_samples": 1, "pilot_target": 1,
            "max_pilot_samples": 1 },
        "campaign_target": SAMPLES, "auto_launch": true, "executor": "slurm", "seed": 1,
        "generator": { "brain": "rules", "command": [], "shards": shards, "time_seconds": null, "evidence": "samples",
            "faults": 0.1 },
        "retry": { "transient": 40, "lost": 40 }, "execution": null, "curation": null, "training": null,
        "evaluation": null, "planning": null, "provenance": [],
    });
    let mut spec: CampaignSpec = serde_json::from_value(text).unwrap();
    let slurm = campaignd::machines::spec::SlurmSpec {
        mem_mib: Some(1024),
        grow_percent: 50,
        ..Default::default()
    };
    spec.slurm
        .insert(campaignd::machines::job::Phase::Generate, slurm);
    spec
}

fn of<T: Copy>(seed: u64, word: u64, all: &[T]) -> T {
    let at = (chance(seed, &[word]) * all.len() as f64) as usize;
    all[at.min(all.len() - 1)]
}

/// A cluster that is about as bad as this seed says.
fn faults(seed: u64) -> Faults {
    let up_to = |word: u64, most: f64| chance(seed, &[word]) * most;
    let chances = |word: u64| Chances {
        done_unsure: up_to(word, 0.3),
        late_unsure: up_to(word + 1, 0.1),
        unsure: up_to(word + 2, 0.2),
        later: up_to(word + 3, 0.1),
        old: up_to(word + 4, 0.1),
        partial: up_to(word + 5, 0.1),
        odd: up_to(word + 6, 0.05),
        first_attempt: up_to(word + 7, 0.1),
        ..Chances::default()
    };
    let outage = |word: u64, accounting: bool| Outage {
        from_seconds: up_to(word, 5_000.0) as u64,
        seconds: up_to(word + 1, 2_400.0) as u64,
        accounting,
    };
    Faults {
        sbatch: chances(100),
        squeue: chances(110),
        sacct: chances(120),
        scancel: chances(130),
        fates: Fates {
            node_fail: up_to(140, 0.02),
            preempted: up_to(141, 0.02),
            memory: up_to(142, 0.01),
            requeued: up_to(143, 0.02),
            launch: up_to(144, 0.01),
            ..Fates::default()
        },
        moved: up_to(145, 0.1),
        forgotten: up_to(146, 0.2),
        outages: vec![outage(150, false), outage(152, false), outage(154, true)],
        ids: (chance(seed, &[160]) < 0.3).then_some(50),
        foreign: 3,
        start_seconds: 30,
        accounts_late_seconds: 30,
        late_seconds: 45,
        ..Faults::default()
    }
}

/// What one run came to.
#[derive(Default)]
struct Sums {
    tasks: u64,
    commands: u64,
    retries: u64,
    kills: u64,
    turned_away: u64,
    adopted: u64,
    ends_on_word: u64,
    copies: u64,
    hours: f64,
}

fn run(seed: u64) -> Sums {
    let shards = of(seed, 1, &[1, 12, 35, 120, 345]);
    let largest = of(seed, 2, &[10, 100, 1000]);
    let rate = of(
        seed,
        3,
        &[
            Rate {
                burst: 40,
                per_minute: 4,
            },
            Rate {
                burst: 40,
                per_minute: 30,
            },
            Rate {
                burst: 1000,
                per_minute: 600,
            },
        ],
    );
    let pace = Pace {
        interval: Duration::from_secs(60),
        rate,
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
    let targets: BTreeMap<u32, u64> = (0..shards)
        .map(|shard| {
            let range = shard_range(SAMPLES, u64::from(shard), u64::from(shards));
            (shard, range.end - range.start)
        })
        .collect();
    let mut now = BEGIN;
    let mut world = World::new(seed, now, targets.clone());
    world.per_sample = Duration::from_millis(if shards < 10 { 50 } else { 1_500 });
    let mut cluster = Cluster::new(faults(seed), seed);
    let mut daemon = Daemon::new(spec(shards), pace, limits, now);
    let mut sums = Sums::default();
    let killing = of(seed, 4, &[0.0, 0.002, 0.02]);
    let mut acknowledged: BTreeMap<u32, u64> = BTreeMap::new();
    let mut ticks = 0_u64;
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
        if chance(seed, &[9, ticks]) < killing {
            world.dies_in = Some((chance(seed, &[10, ticks]) * 6.0) as u32);
        }
        daemon.go(&mut world, &mut cluster, now);
        if world.dead || chance(seed, &[11, ticks]) < killing / 2.0 {
            sums.kills += 1;
            daemon.restart(&mut world);
        }
        for shard in &world.acknowledged {
            acknowledged.entry(*shard).or_insert(targets[shard]);
        }
        now = now.after(TICK);
    }
    check(seed, &daemon, &world, &cluster, &targets, &acknowledged);
    let tree = &daemon.tree;
    sums.tasks = u64::from(shards);
    sums.commands = world.tally.commands;
    sums.retries = tree.jobs.values().filter(|job| job.attempt > 1).count() as u64;
    sums.turned_away = world.tally.turned_away;
    sums.adopted = daemon.adopted;
    sums.ends_on_word = world.tally.ends_on_word;
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    for name in cluster.names() {
        *names.entry(name).or_default() += 1;
    }
    sums.copies = names.values().map(|count| count - 1).sum();
    sums.hours = now.since(BEGIN).as_secs_f64() / 3600.0;
    sums
}

fn check(
    seed: u64,
    daemon: &Daemon,
    world: &World,
    cluster: &Cluster,
    targets: &BTreeMap<u32, u64>,
    acknowledged: &BTreeMap<u32, u64>,
) {
    let campaign = &daemon.tree.campaign;
    assert_eq!(
        campaign.state,
        State::Completed,
        "seed {seed}: {:?} {:?}",
        campaign.cause,
        daemon.launch_failures
    );
    assert_eq!(world.tally.doubles, Vec::<String>::new(), "seed {seed}");
    assert_eq!(world.running(), 0, "seed {seed}: a command runs on");
    for (shard, target) in targets {
        assert_eq!(
            world.samples.get(shard),
            Some(target),
            "seed {seed} shard {shard}"
        );
    }
    assert_eq!(
        acknowledged, targets,
        "seed {seed}: every task was acknowledged once"
    );
    assert_eq!(world.acknowledged.len(), targets.len());
    let made: u64 = world.samples.values().sum();
    assert_eq!(made, SAMPLES, "seed {seed}");
    assert!(world.tally.commands >= targets.len() as u64, "seed {seed}");
    assert_eq!(
        cluster.foreign_hits(),
        0,
        "seed {seed}: somebody else's job was cancelled"
    );
    let rate = daemon.pace.rate;
    let most = rate.burst + rate.per_minute + 2;
    let busiest = cluster.busiest(Duration::from_secs(60));
    assert!(
        busiest <= most as usize,
        "seed {seed}: {busiest} calls in a minute"
    );
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn campaigns_come_through_a_faulty_cluster() {
    let whole = std::env::var_os("CAMPAIGND_TORTURE").is_some();
    let count = number("CAMPAIGND_COUNT").unwrap_or(if whole { 10_000 } else { 200 });
    let first = number("CAMPAIGND_SEED").unwrap_or(20_261_122);
    let mut all = Sums::default();
    for seed in first..first + count {
        let one = run(seed);
        all.tasks += one.tasks;
        all.commands += one.commands;
        all.retries += one.retries;
        all.kills += one.kills;
        all.turned_away += one.turned_away;
        all.adopted += one.adopted;
        all.ends_on_word += one.ends_on_word;
        all.copies += one.copies;
        all.hours += one.hours;
    }
    println!(
        "{count} campaigns from CAMPAIGND_SEED={first}: {} samples, {} tasks, {} commands begun, {} retries, {} daemons killed, \
         {} jobs adopted, {} copies in the queue, {} of their starts turned away, {} ends on the scheduler's word, \
         {:.0} hours; started twice 0, forgotten 0, acknowledged samples lost 0",
        count * SAMPLES,
        all.tasks,
        all.commands,
        all.retries,
        all.kills,
        all.adopted,
        all.copies,
        all.turned_away,
        all.ends_on_word,
        all.hours
    );
    assert!(all.tasks > count && all.commands > all.tasks && all.retries > 0);
    assert!(all.kills > 0 && all.adopted > 0 && all.turned_away > 0 && all.ends_on_word > 0);
}

/// A campaign that is cancelled in the middle leaves nothing that runs or will run.
#[test]
fn a_cancelled_campaign_leaves_nothing() {
    let mut ended = 0;
    for seed in 0..20 {
        let pace = Pace {
            interval: Duration::from_secs(60),
            rate: Rate {
                burst: 1000,
                per_minute: 600,
            },
            largest: 50,
        };
        let limits = Limits {
            max_concurrent_jobs: 50,
            max_training_jobs: 3,
            max_jobs_per_hour: 100,
            local_slots: 2,
            local_training: 1,
            max_array_size: 50,
        };
        let targets: BTreeMap<u32, u64> = (0..120).map(|shard| (shard, 290)).collect();
        let mut world = World::new(seed, BEGIN, targets);
        let mut cluster = Cluster::new(faults(seed), seed);
        let mut daemon = Daemon::new(spec(120), pace, limits, BEGIN);
        let mut now = BEGIN;
        let cancel_at = BEGIN.after(Duration::from_secs(30 + 40 * seed));
        let mut asked = false;
        while !(daemon.tree.campaign.state.ended() && daemon.tree.outbox.is_empty()) {
            assert!(now.since(BEGIN) < LONGEST, "seed {seed}: it hangs");
            world.now = now;
            cluster.advance(now, &mut world);
            if now >= cancel_at && !asked && !daemon.tree.campaign.state.ended() {
                let why = String::new();
                let cancel = Event::CancelAsked { why };
                daemon.tree = step(Some(&daemon.tree), &cancel, now).unwrap().tree;
                asked = true;
            }
            daemon.go(&mut world, &mut cluster, now);
            now = now.after(TICK);
        }
        // What was on its way to the queue then finds its claims taken.
        let before = world.tally.commands;
        for _ in 0..2_000 {
            world.now = now;
            cluster.advance(now, &mut world);
            now = now.after(TICK);
        }
        assert_eq!(world.running(), 0, "seed {seed}");
        assert_eq!(
            world.tally.commands, before,
            "seed {seed}: something began after the end"
        );
        assert_eq!(world.tally.doubles, Vec::<String>::new(), "seed {seed}");
        ended += u64::from(daemon.tree.campaign.state == State::Cancelled);
    }
    println!("{ended} of 20 campaigns were cancelled in the middle");
    assert!(ended >= 15);
}
