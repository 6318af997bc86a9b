//! A campaign in virtual time: the real decisions in a made-up world end, keep to their bounds, and say why they stopped.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod worlds;

use campaignd::{
    machines::{
        admission::Limits,
        campaign::{State, StopCause},
        spec::{BudgetSpec, CampaignSpec, PlanningSpec, RunSpec, TrainingSpec},
    },
    parameters::Domain,
    planning::approval::Risk,
    rehearsal::{Assumptions, Bowl, Objective, Rehearsed, Row, rehearse},
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
