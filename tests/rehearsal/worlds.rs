//! Two hundred worlds: budgets, walls, noise, failures, SLURM and approval by turns.

use super::{campaign, plays};
use campaignd::{
    history::{History, constraints::Strength},
    machines::{
        campaign::StopCause,
        job::Phase,
        plan,
        spec::{BudgetSpec, CampaignSpec, SlurmSpec},
    },
    planning::approval::Risk,
    rehearsal::{Assumptions, Bowl, Objective},
    time::Timestamp,
};
use std::collections::BTreeMap;

/// A campaign and a world for each seed: budgets, walls, noise, failures, SLURM and approval by turns.
fn by_turns(seed: u64) -> (CampaignSpec, Assumptions) {
    let mut spec = campaign(2 + (seed % 5) as u32);
    let base = &mut spec.training.as_mut().unwrap().runs[0].settings;
    base.learning_rate = 2e-5;
    base.r = 8;
    if seed % 5 < 3 {
        // Nothing is left to halve.
        base.per_device_train_batch_size = 1;
    }
    spec.campaign_target = 2_000;
    spec.generator.shards = 1 + (seed % 5) as u32;
    let planning = spec.planning.as_mut().unwrap();
    planning.proposals = 1 + (seed / 2 % 5) as u32;
    planning.failures = [2, 3, 30][(seed % 3) as usize];
    planning.approval =
        [Some(Risk::High), Some(Risk::Medium), Some(Risk::Low), None][(seed / 3 % 4) as usize];
    spec.auto_launch = !seed.is_multiple_of(7);
    if seed % 5 == 1 {
        planning.stop_when = Some("eval_loss < 0.55".parse().unwrap());
    }
    let bound = |index: u64, most: f64| (seed % 6 == index).then_some(most);
    let budget = BudgetSpec {
        gpu_hours: bound(0, 2.5),
        usd: bound(1, 6.0),
        gpu_hour_usd: Some(2.0),
        wall_seconds: bound(2, 14_000.0).map(|most| most as u64),
        jobs: bound(3, 6.0 + (seed % 5) as f64).map(|most| most as u64),
        ..BudgetSpec::default()
    };
    spec.budget = Some(budget);
    if seed % 8 == 5 {
        let slurm = SlurmSpec::default();
        for phase in [Phase::Generate, Phase::Train] {
            spec.slurm.insert(phase, slurm.clone());
        }
    }
    let bowl = Bowl {
        noise: if seed.is_multiple_of(2) { 0.05 } else { 0.0 },
        memory: (seed % 4 > 1).then_some(0.5),
        diverges_above: (seed % 4 < 3).then_some(1e-4),
        ..Bowl::of("eval_loss")
    };
    let assumed = Assumptions {
        seed,
        quality: if seed % 20 == 9 { 0.6 } else { 0.85 },
        failures: [0.0, 0.05, 0.2, 0.6][(seed / 2 % 4) as usize],
        objective: Objective::Analytic(bowl),
        approve: seed % 9 != 4,
        ..Assumptions::default()
    };
    (spec, assumed)
}

#[test]
fn two_hundred_worlds_end_and_keep_to_their_bounds() {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut count = |what: &str, by: u64| *counts.entry(what.into()).or_default() += by;
    for seed in 1..=200 {
        let (spec, assumed) = by_turns(seed);
        let found = plays(&spec, &assumed);
        count(found.state.name(), 1);
        if let Some(stopped) = &found.stopped {
            count(&format!("stopped by {}", stopped.by), 1);
            assert!(stopped.by != StopCause::Goal || found.best.unwrap() < 0.55);
        }
        let planning = spec.planning.as_ref().unwrap();
        if planning.stop_when.is_some() && found.best.is_some_and(|best| best < 0.55) {
            let by = found.stopped.as_ref().unwrap().by;
            assert!(matches!(by, StopCause::Goal | StopCause::Budget), "{by}");
        }
        for bound in found
            .bounds
            .iter()
            .filter(|one| one.reached_after.is_some())
        {
            count(&format!("reached {}", bound.bound), 1);
            count(
                &format!("passed {}", bound.bound),
                u64::from(bound.beyond > 0.0),
            );
        }
        count("launches checked", found.launches_checked);
        count("launches under a constraint", found.launches_constrained);
        count("refused proposals", found.refused.len() as u64);
        count("asked", found.asked.len() as u64);
        for (cause, times) in &found.retried {
            count(&format!("retried {cause}"), *times);
        }
        count(
            "failed runs",
            found.cycles.iter().map(|one| one.failed).sum(),
        );
        let history = History::new(found.tree.experiments.values().cloned().collect());
        let known = plan::constraints(&found.tree, &history, Timestamp(1_767_225_600_000));
        let hard = known.iter().filter(|one| one.strength == Strength::Hard);
        count("hard constraints", hard.count() as u64);
    }
    println!("{counts:#?}");
    for what in [
        "completed",
        "failed",
        "rejected",
        "awaiting_decision",
        "stopped by goal",
        "stopped by budget",
        "stopped by failures",
        "stopped by cycles",
        "reached gpu_hours",
        "reached usd",
        "reached wall",
        "reached jobs",
        "passed gpu_hours",
        "launches checked",
        "launches under a constraint",
        "asked",
        "retried lost",
        "retried transient",
        "retried gpu_memory",
        "failed runs",
        "hard constraints",
    ] {
        assert!(
            counts.get(what).is_some_and(|n| *n > 0),
            "{what} never happened"
        );
    }
}
