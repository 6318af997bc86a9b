//! What the coordinator makes of what the writer says.

use super::*;
use crate::{
    actors::{Pace, journal_writer::Order, tuning::Tuned},
    executor::slurm::{bucket::Rate, desk::Terms},
    machines::{
        admission::Limits,
        spec::{CampaignSpec, Parts, RetryTimes, SlurmSpec},
    },
};
use std::sync::mpsc as std_mpsc;

fn tuning() -> Tuning {
    let often = Duration::from_secs(10);
    Tuning::new(Tuned {
        limits: Limits {
            max_concurrent_jobs: 1,
            max_training_jobs: 1,
            max_jobs_per_hour: 1,
            local_slots: 1,
            local_training: 1,
            max_array_size: 1,
        },
        pace: Pace {
            pilot: often,
            campaign: often,
            silent_after: often,
        },
        retry: RetryTimes {
            transient: 3,
            lost: 3,
        },
        site: SlurmSpec::default(),
        slurm: Terms {
            interval: often,
            rate: Rate {
                burst: 1,
                per_minute: 1,
            },
            largest: 1,
            at_once: 1,
        },
    })
}

/// A burst is committed as one, so that many decisions turn durable at the same instant. What is kept is the last of them.
#[actix::test]
async fn a_burst_is_published_in_the_order_of_its_decisions() {
    const PAUSES: u64 = 12;
    let (orders, inbox) = std_mpsc::channel();
    let (lines, mut told) = broadcast::channel(64);
    let coordinator = Coordinator::new(
        Trees::new(),
        orders,
        lines,
        tuning(),
        Arc::default(),
        Arc::default(),
        Guard::of_nobody(),
    )
    .start();
    let id: CampaignId = "alttp".parse().unwrap();
    let submitted = Event::Submitted {
        spec: Box::new(CampaignSpec::bare("alttp")),
        parts: Parts::Whole,
    };
    let turn = |at| match at % 2 {
        0 => Event::PauseAsked {},
        _ => Event::ResumeAsked {},
    };
    for event in [submitted].into_iter().chain((0..PAUSES).map(turn)) {
        let campaign = id.clone();
        coordinator.do_send(Report { campaign, event });
    }
    coordinator.send(Beat).await.unwrap();
    let decisions: Vec<Decision> = inbox
        .try_iter()
        .filter_map(|order| match order {
            Order::Decide(decision) => Some(*decision),
            _ => None,
        })
        .collect();
    assert_eq!(decisions.len() as u64, 1 + PAUSES);
    let newest = Arc::clone(&decisions[decisions.len() - 1].after);
    for (decision, seq) in decisions.into_iter().zip(1..) {
        decision.durable.send(seq).unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() as u64 <= PAUSES {
        let line = tokio::time::timeout(Duration::from_secs(30), told.recv());
        seen.push(line.await.unwrap().unwrap().seq);
    }
    assert_eq!(seen, (1..=1 + PAUSES).collect::<Vec<_>>());
    let durable = coordinator.send(Snapshot).await.unwrap();
    assert!(Arc::ptr_eq(&durable[&id], &newest));
}
