//! A campaign in virtual time: the real decisions in a made-up world end, keep to their bounds, and say why they stopped.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use campaignd::{
    history::{History, constraints::Strength},
    machines::{
        admission::Limits,
        campaign::{State, StopCause},
        job::Phase,
        plan,
        spec::{BudgetSpec, CampaignSpec, PlanningSpec, RunSpec, SlurmSpec, TrainingSpec},
    },
    parameters::Domain,
    planning::approval::Risk,
    rehearsal::{Assumptions, Bowl, Objective, Rehearsed, Row, rehearse},
    time::Timestamp,
    training::{settings::Settings, words::Device},
};
use std::{collections::BTreeMap, time::Instant};

const LIMITS: Limits = Limits {
    max_concurrent_jobs: 16,
    max_training_jobs: 3,
    max_jobs_per_hour: 60,
    local_slots: u32::MAX,
    local_training: u32::MAX,
    max_array_size: 1000,
};

fn planned(cycles: u32, vary: &[(&str, &str)]) -> PlanningSpec {
    let domain = |(name, text): &(&str, &str)| (name.to_string(), Domain::parse(text).unwrap());
    PlanningSpec {
        cycles,
        vary: vary.iter().map(domain).collect(),
        approval: Some(Risk::High),
        ..PlanningSpec::default()
    }
}

/// 34,500 samples, a fine-tune, and so many cycles of three proposals.
fn campaign(cycles: u32) -> CampaignSpec {
    let text = serde_json::json!({
        "name": "rehearsed", "file": null, "directory": "/",
        "criteria": { "gate": "confidence", "quality_threshold": 0.75, "min_pilot_samples": 150, "pilot_target": 190,
            "max_pilot_samples": 570 },
        "campaign_target": 34_500, "auto_launch": true, "executor": "local", "seed": 7,
        "generator": { "brain": "rules", "command": [], "shards": 8, "time_seconds": null, "evidence": "samples",
            "faults": 0.1 },
        "retry": { "transient": 5, "lost": 5 }, "execution": null, "curation": null, "training": null,
        "evaluation": null, "planning": null, "provenance": [],
    });
    let mut spec: CampaignSpec = serde_json::from_value(text).unwrap();
    let run = RunSpec {
        name: "base".into(),
        model: "/models/small".into(),
        dataset: None,
        minimum_examples: 1,
        merge: false,
        device: Device::Auto,
        settings: Settings::default(),
        stages: Vec::new(),
    };
    spec.training = Some(TrainingSpec {
        runs: vec![run],
        time_seconds: 86_400,
    });
    spec.evaluation = Some(Default::default());
    spec.planning = Some(planned(
        cycles,
        &[
            ("r", "4..64:log:int"),
            ("learning_rate", "1e-5..1e-2:log"),
            ("lora_dropout", "0..0.3"),
        ],
    ));
    spec
}

fn plays(spec: &CampaignSpec, assumed: &Assumptions) -> Rehearsed {
    let found = rehearse(spec, LIMITS, assumed).unwrap_or_else(|why| panic!("{why}: {assumed:?}"));
    assert_eq!(found.violations, Vec::<String>::new(), "{assumed:?}");
    assert_eq!(found.tree.check(), Vec::<String>::new());
    let planning = spec.planning.as_ref().unwrap();
    assert!(found.tree.campaign.cycle <= planning.cycles);
    for bound in &found.bounds {
        assert!(
            bound.beyond <= bound.in_flight + 1e-6 + if bound.bound == "wall" { 1.0 } else { 0.0 },
            "{bound:?} {assumed:?}"
        );
    }
    found
}

#[test]
fn five_cycles_of_34_500_samples_with_failures_complete() {
    let assumed = Assumptions {
        failures: 0.05,
        ..Assumptions::default()
    };
    let began = Instant::now();
    let found = plays(&campaign(5), &assumed);
    println!(
        "{} cycles, {} events, {:?} virtual seconds in {:?}; retried {:?}",
        found.cycles.len(),
        found.events,
        found.wall_seconds,
        began.elapsed(),
        found.retried
    );
    assert_eq!(found.state, State::Completed, "{:?}", found.cause);
    assert_eq!(found.stopped.unwrap().by, StopCause::Cycles);
    assert_eq!(found.cycles.len(), 5);
    assert_eq!(found.cycles.iter().map(|one| one.runs).sum::<u64>(), 13);
    assert!(found.launches_checked >= 12);
    // 34,500 samples at two a second, on eight tasks.
    let generate = found
        .phases
        .iter()
        .find(|one| one.stage.name() == "generate");
    assert!(generate.unwrap().seconds > 34_500.0 / 2.0 / 8.0 * 0.9);
    let bests: Vec<f64> = found.cycles.iter().map(|one| one.best.unwrap()).collect();
    assert!(bests.windows(2).all(|pair| pair[1] <= pair[0]), "{bests:?}");
    assert!(bests[4] < bests[0], "{bests:?}");
}

#[test]
fn the_same_seed_is_the_same_rehearsal() {
    let assumed = |seed| Assumptions {
        seed,
        failures: 0.1,
        ..Assumptions::default()
    };
    let of = |seed| plays(&campaign(3), &assumed(seed));
    assert_eq!(of(3), of(3));
    assert_ne!(of(3).wall_seconds, of(4).wall_seconds);
}

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

#[test]
fn the_breaker_opens_after_failures_in_a_row() {
    let bowl = Bowl {
        diverges_above: Some(1e-9),
        ..Bowl::of("eval_loss")
    };
    for failures in [1, 2, 4] {
        let mut spec = campaign(9);
        spec.planning.as_mut().unwrap().failures = failures;
        spec.planning.as_mut().unwrap().proposals = 1;
        let assumed = Assumptions {
            objective: Objective::Analytic(bowl),
            ..Assumptions::default()
        };
        let found = plays(&spec, &assumed);
        assert_eq!(found.state, State::Failed);
        assert_eq!(found.stopped.unwrap().by, StopCause::Failures);
        let runs: u64 = found.cycles.iter().map(|one| one.runs).sum();
        assert_eq!(runs, u64::from(failures));
        assert!(found.cause.unwrap().contains("planning.failures"));
    }
}

#[test]
fn a_metric_that_no_run_has_ends_with_a_sentence() {
    let row = |r: i64, value: f64| Row {
        values: serde_json::from_value(
            serde_json::json!({ "r": r, "learning_rate": 1e-4, "lora_dropout": 0.1 }),
        )
        .unwrap(),
        metrics: [("accuracy".to_string(), value)].into(),
        failure: None,
    };
    let assumed = Assumptions {
        objective: Objective::Table(vec![row(8, 0.7), row(32, 0.8)]),
        ..Assumptions::default()
    };
    let found = plays(&campaign(4), &assumed);
    assert_eq!(found.state, State::Completed);
    let stopped = found.stopped.unwrap();
    assert_eq!(stopped.by, StopCause::Nothing);
    assert!(
        stopped
            .text
            .contains("no experiment has the metric eval_loss"),
        "{}",
        stopped.text
    );
    assert!(stopped.text.contains("accuracy"), "{}", stopped.text);

    // The same table answers a campaign that asks for what it has, by its nearest row.
    let mut spec = campaign(2);
    spec.planning.as_mut().unwrap().metric = "accuracy".into();
    let found = plays(&spec, &assumed);
    assert!(
        [Some(0.7), Some(0.8)].contains(&found.best),
        "{:?}",
        found.best
    );
}

#[test]
fn everything_refused_ends() {
    // Two settings and the baseline among them: what is left to try is soon nothing.
    let mut spec = campaign(50);
    let planning = spec.planning.as_mut().unwrap();
    planning.vary = planned(1, &[("r", "8,16")]).vary;
    let found = plays(&spec, &Assumptions::default());
    let stopped = found.stopped.unwrap();
    println!(
        "{:?} after {} cycles: {}",
        stopped.by,
        found.cycles.len(),
        stopped.text
    );
    assert_eq!(found.state, State::Completed);
    assert_eq!(stopped.by, StopCause::Nothing);
    assert!(found.cycles.len() < 10);

    // A budget that leaves nothing for another run refuses every proposal.
    let mut spec = campaign(50);
    spec.budget = Some(BudgetSpec {
        gpu_hours: Some(1.3),
        ..BudgetSpec::default()
    });
    let found = plays(&spec, &Assumptions::default());
    println!("{:?} {:?}", found.stopped, found.refused.first());
    assert!(!found.refused.is_empty());
    let stopped = found.stopped.unwrap();
    assert_eq!(stopped.by, StopCause::Nothing);
    assert!(
        stopped.text.contains("every proposal is refused"),
        "{}",
        stopped.text
    );
}

#[test]
fn what_cannot_be_rehearsed_is_a_sentence() {
    let wrong = |change: &dyn Fn(&mut Assumptions)| {
        let mut assumed = Assumptions::default();
        change(&mut assumed);
        rehearse(&campaign(2), LIMITS, &assumed).unwrap_err()
    };
    assert!(wrong(&|it| it.failures = f64::NAN).contains("failures"));
    assert!(wrong(&|it| it.quality = 1.5).contains("quality"));
    assert!(wrong(&|it| it.samples_per_second = 0.0).contains("rate"));
    assert!(wrong(&|it| it.train_seconds = f64::INFINITY).contains("train"));
    let given_up = wrong(&|it| it.most_events = 20);
    assert!(given_up.contains("20 events"), "{given_up}");
    let foreign = Row {
        values: BTreeMap::new(),
        metrics: BTreeMap::new(),
        failure: None,
    };
    let table = Objective::Table(vec![foreign]);
    assert!(wrong(&|it| it.objective = table.clone()).contains("no row"));
}
