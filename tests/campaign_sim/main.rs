//! Whole campaigns over a faulty cluster in virtual time: arrays of tasks, failures, outages, and a daemon that is killed at
//! random. No task is started twice, none is forgotten, no acknowledged sample is lost.
//!
//! `CAMPAIGND_TORTURE=1` runs ten thousand seeds, `CAMPAIGND_COUNT` another number, `CAMPAIGND_SEED` others.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod catalogue;
#[path = "../cluster/mod.rs"]
mod cluster;
mod course;
mod daemon;
mod world;

use campaignd::{executor::slurm::bucket::Rate, machines::campaign::State};
use cluster::{Chances, Fates, Faults, Outage};
use course::{Course, SAMPLES, TICK};
use std::time::Duration;
use world::chance;

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

/// The campaign of a seed.
fn course(seed: u64) -> Course {
    let rates = [(40, 4), (40, 30), (1000, 600)];
    let (burst, per_minute) = of(seed, 3, &rates);
    Course {
        seed,
        faults: faults(seed),
        shards: of(seed, 1, &[1, 12, 35, 120, 345]),
        largest: of(seed, 2, &[10, 100, 1000]),
        rate: Rate { burst, per_minute },
        killing: of(seed, 4, &[0.0, 0.002, 0.02]),
        failing: 0.05,
        ..Course::default()
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn campaigns_come_through_a_faulty_cluster() {
    let whole = std::env::var_os("CAMPAIGND_TORTURE").is_some();
    let count = number("CAMPAIGND_COUNT").unwrap_or(if whole { 10_000 } else { 200 });
    let first = number("CAMPAIGND_SEED").unwrap_or(20_261_122);
    let (mut tasks, mut commands, mut retries, mut kills, mut adopted) = (0, 0, 0, 0, 0);
    let (mut copies, mut turned_away, mut on_word, mut hours) = (0, 0, 0, 0.0);
    for seed in first..first + count {
        let course = course(seed);
        let ended = course.run();
        ended.check();
        tasks += u64::from(course.shards);
        commands += ended.world.tally.commands;
        retries += ended.retries();
        kills += ended.kills;
        adopted += ended.daemon.adopted;
        copies += ended.copies();
        turned_away += ended.world.tally.turned_away;
        on_word += ended.world.tally.ends_on_word;
        hours += ended.now.since(course::BEGIN).as_secs_f64() / 3600.0;
    }
    println!(
        "{count} campaigns from CAMPAIGND_SEED={first}: {} samples, {tasks} tasks, {commands} commands begun, \
         {retries} retries, {kills} daemons killed, {adopted} jobs adopted, {copies} copies in the queue, {turned_away} \
         starts turned away, {on_word} ends on the scheduler's word, {hours:.0} hours; started twice 0, forgotten 0, \
         acknowledged samples lost 0",
        count * SAMPLES
    );
    assert!(tasks > count && commands > tasks && retries > 0);
    assert!(kills > 0 && adopted > 0 && turned_away > 0 && on_word > 0);
}

/// A campaign that is cancelled in the middle leaves nothing that runs or will run.
#[test]
fn a_cancelled_campaign_leaves_nothing() {
    let mut cancelled = 0;
    for seed in 0..20 {
        let course = Course {
            seed,
            faults: faults(seed),
            shards: 120,
            largest: 50,
            cancelled_after: Some(Duration::from_secs(30 + 40 * seed)),
            ..Course::default()
        };
        let mut ended = course.run();
        // What was on its way to the queue then finds its claims taken.
        let before = ended.world.tally.commands;
        for _ in 0..2_000 {
            ended.world.now = ended.now;
            ended.cluster.advance(ended.now, &mut ended.world);
            ended.now = ended.now.after(TICK);
        }
        ended.check_once();
        assert!(
            !ended.cluster.is_busy(),
            "seed {seed}: something waits in the queue"
        );
        let after = ended.world.tally.commands;
        assert_eq!(after, before, "seed {seed}: something began after the end");
        cancelled += u64::from(ended.daemon.tree.campaign.state == State::Cancelled);
    }
    println!("{cancelled} of 20 campaigns were cancelled in the middle");
    assert!(cancelled >= 15);
}
