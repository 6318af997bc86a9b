//! Golden bytes of every record and version, and trees in and out of a store.

use super::*;
use crate::{
    history::{Failure, FailureCause, Status},
    machines::{
        campaign::{StopCause, Stopped},
        event::Event,
        proposal::{self, Prediction},
        spec::{
            BudgetSpec, EvaluationSettings, Parts, PlanningSpec, RunSpec, StageData, StageSpec,
            TrainingSet, TrainingSpec,
        },
        step::step,
    },
    parameters::{Assignment, Domain, Value},
    planning::approval::{Check, CheckName, Risk},
    time::Timestamp,
    training::{
        settings::Settings,
        words::{Device, Start},
    },
};

/// A campaign a step into its life: every record type but a training run.
fn tree() -> CampaignTree {
    let settings = serde_json::json!({
        "name": "alttp", "file": "alttp.toml", "directory": "/home/a",
        "criteria": { "gate": "confidence", "quality_threshold": 0.75, "min_pilot_samples": 150, "pilot_target": 190,
            "max_pilot_samples": 570 },
        "campaign_target": 34500, "auto_launch": true, "executor": "local", "seed": 1,
        "generator": { "brain": "rules", "command": [], "shards": 8, "time_seconds": null, "evidence": "samples",
            "faults": 0.1 },
        "retry": { "transient": 3, "lost": 3 }, "execution": null,
        "curation": { "min_quality": 0.7, "split": [0.8, 0.1, 0.1] }, "training": null, "evaluation": null,
        "planning": null, "provenance": [],
    });
    let spec = Box::new(serde_json::from_value(settings).unwrap());
    let now = Timestamp(1_772_442_842_000);
    step(
        None,
        &Event::Submitted {
            spec,
            parts: Parts::Whole,
        },
        now,
    )
    .unwrap()
    .tree
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn golden(name: &str) -> std::path::PathBuf {
    let all = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    all.join(format!("{name}.hex"))
}

/// The bytes of a golden file.
fn stored(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(golden(name)).unwrap();
    let digits = text.trim().as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

/// The same campaign, asking for two fine-tunes, one of them in two stages, and for an evaluation of them.
fn trained() -> CampaignTree {
    let mut tree = tree();
    let stage = |data, start| StageSpec {
        name: "next".into(),
        data,
        replay_share: if start == Start::Merged { 0.15 } else { 0.0 },
        start,
    };
    let run = |name: &str, dataset, stages| RunSpec {
        name: name.into(),
        model: "/models/a".into(),
        dataset,
        minimum_examples: 5000,
        merge: true,
        device: Device::Cpu,
        settings: Settings {
            rank_pattern: [("q_proj".to_string(), 8)].into(),
            ..Settings::default()
        },
        stages,
    };
    let file = StageData::File("/rows.jsonl".into());
    let stages = vec![
        stage(StageData::OfRun, Start::Adapter),
        stage(file, Start::Merged),
    ];
    tree.campaign.spec.training = Some(TrainingSpec {
        runs: vec![
            run("routing", Some(TrainingSet::Routing), Vec::new()),
            run("all", None, stages),
        ],
        time_seconds: 3600,
    });
    tree.campaign.spec.evaluation = Some(EvaluationSettings::default());
    tree
}

/// The same, planning further cycles under a budget.
fn planned() -> CampaignTree {
    let mut tree = trained();
    let rates = Domain::parse("1e-5..1e-3:log").unwrap();
    let ranks = Domain::parse("8,16").unwrap();
    tree.campaign.spec.planning = Some(PlanningSpec {
        cycles: 10,
        stop_when: Some("eval_loss < 0.5".parse().unwrap()),
        vary: [("learning_rate".into(), rates), ("r".into(), ranks)].into(),
        ..PlanningSpec::default()
    });
    tree.campaign.spec.budget = Some(BudgetSpec {
        gpu_hours: Some(40.0),
        wall_seconds: Some(259_200),
        ..BudgetSpec::default()
    });
    tree.campaign.stopped = Some(Stopped {
        by: StopCause::Goal,
        text: "good enough".into(),
    });
    let base = tree.campaign.spec.training.as_ref().unwrap().runs[0].clone();
    let values: Assignment = [
        ("r".to_string(), Value::Whole(16)),
        ("learning_rate".to_string(), Value::Number(2e-4)),
    ]
    .into();
    let proposal = Proposal {
        id: "p1".into(),
        cycle: Some(2),
        run: base.with("p1", &values).unwrap(),
        values: values.clone(),
        kind: "explore".into(),
        why: "far from what was tried".into(),
        prediction: Some(Prediction {
            metric: "eval_loss".into(),
            mean: 0.8,
            sd: 0.1,
        }),
        checks: vec![Check {
            name: CheckName::Novelty,
            passed: true,
            reason: "0.3 from the nearest".into(),
        }],
        risk: Risk::Low,
        risks: vec!["close to what was tried".into()],
        evidence: vec!["alttp-run-1-routing".into()],
        state: proposal::State::Tried,
        decided_by: "checks".into(),
        created_at: Timestamp(7),
        decided_at: Some(Timestamp(8)),
    };
    Arc::make_mut(&mut tree.proposals).insert("p1".into(), proposal);
    let experiment = Experiment {
        experiment_id: "alttp-run-2-p1".into(),
        campaign: "alttp".into(),
        cycle_id: 2,
        status: Status::Failed,
        config: values,
        metrics: [("eval_loss".to_string(), 0.75)].into(),
        duration_seconds: 60.0,
        gpu_hours: 0.5,
        proposal_type: "explore".into(),
        risk_level: "low".into(),
        proposal: Some("p1".into()),
        adapter: None,
        verdict: None,
        failure: Some(Failure {
            cause: FailureCause::Memory,
            text: "no memory".into(),
        }),
        ended_at: Timestamp(9),
    };
    let id = experiment.experiment_id.clone();
    Arc::make_mut(&mut tree.experiments).insert(id, experiment);
    tree
}

fn run() -> TrainingRun {
    TrainingRun {
        cycle: 1,
        name: "routing".into(),
        stage: 2,
        stages: 3,
        state: crate::machines::training_run::State::Running,
        started_at: Timestamp(5),
        ended_at: None,
    }
}

/// If one of these fails, stored records read differently: raise the type's `VERSION` and write its migration.
#[test]
fn golden_bytes() {
    let tree = planned();
    let mut job = tree.jobs.values().next().unwrap().clone();
    job.run = Some("run-1-routing".into());
    let owed = tree.outbox.values().next().unwrap();
    let all = [
        (
            "campaign-v5",
            hex(&wire::encode(Campaign::VERSION, &tree.campaign)),
        ),
        ("job-v4", hex(&wire::encode(Job::VERSION, &job))),
        (
            "obligation-v1",
            hex(&wire::encode(Obligation::VERSION, owed)),
        ),
        ("run-v2", hex(&wire::encode(TrainingRun::VERSION, &run()))),
        (
            "proposal-v1",
            hex(&wire::encode(Proposal::VERSION, &tree.proposals["p1"])),
        ),
        (
            "experiment-v1",
            hex(&wire::encode(
                Experiment::VERSION,
                &tree.experiments["alttp-run-2-p1"],
            )),
        ),
    ];
    for (name, bytes) in all {
        let file = golden(name);
        let expected = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}\n{bytes}", file.display()));
        assert_eq!(bytes, expected.trim(), "{name}");
    }
}

#[test]
fn campaigns_of_older_versions_are_brought_forward() {
    for name in ["campaign-v1", "campaign-v2"] {
        let campaign: Campaign = wire::record(&stored(name)).unwrap();
        assert_eq!(campaign, tree().campaign, "{name}");
    }
}

/// A campaign of version 3 that trained, and its job of version 2: the same as today's, which add nothing to what ran here.
#[test]
fn records_from_before_slurm_and_planning_are_brought_forward() {
    for name in ["campaign-v3", "campaign-v4"] {
        let campaign: Campaign = wire::record(&stored(name)).unwrap();
        assert_eq!(campaign, trained().campaign, "{name}");
    }
    for name in ["job-v2", "job-v3"] {
        let job: Job = wire::record(&stored(name)).unwrap();
        let mut today = trained().jobs.values().next().unwrap().clone();
        today.run = Some("run-1-routing".into());
        assert_eq!(job, today, "{name}");
    }
}

#[test]
fn jobs_and_runs_of_version_1_are_brought_forward() {
    let job: Job = wire::record(&stored("job-v1")).unwrap();
    assert_eq!(&job, tree().jobs.values().next().unwrap());
    let old: TrainingRun = wire::record(&stored("run-v1")).unwrap();
    assert_eq!(old.key(), "run-1", "it is found under the key that it had");
    let named = TrainingRun {
        name: run().name,
        ..old
    };
    assert_eq!(named, run());
}

#[test]
fn trees_survive_the_store_and_a_newer_record_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tree = planned();
    let draft = |changes| super::super::Draft {
        at_ms: 0,
        uid: None,
        campaign: "alttp".into(),
        event: "submitted".into(),
        what: String::new(),
        payload: Vec::new(),
        changes,
    };
    let (mut store, _) = Store::open(dir.path(), 1 << 20).unwrap();
    store.commit(vec![draft(changes(None, &tree))]).unwrap();
    assert_eq!(
        load_trees(&store)
            .unwrap()
            .into_values()
            .collect::<Vec<_>>(),
        vec![tree.clone()]
    );
    store.commit(vec![draft(removal(&tree))]).unwrap();
    assert!(load_trees(&store).unwrap().is_empty());
    // The history outlives the campaign, and another one of its name begins without it.
    let past = load_past(&store).unwrap();
    let began = tree.campaign.created_at;
    let taught = tree.experiments.values();
    let taught: Vec<Experiment> = taught.map(|one| one.of_the_past(began)).collect();
    assert_eq!(past, taught);
    let newer = wire::encode(Job::VERSION + 1, tree.jobs.values().next().unwrap());
    assert!(matches!(
        wire::record::<Job>(&newer),
        Err(Fault::Newer { .. })
    ));
}
