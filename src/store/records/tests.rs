//! Golden bytes of every record and version, and trees in and out of a store.

use super::*;
use crate::{
    machines::{
        event::Event,
        spec::{
            EvaluationSettings, Parts, RunSpec, StageData, StageSpec, TrainingSet, TrainingSpec,
        },
        step::step,
    },
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
    let tree = trained();
    let mut job = tree.jobs.values().next().unwrap().clone();
    job.run = Some("run-1-routing".into());
    let owed = tree.outbox.values().next().unwrap();
    let all = [
        (
            "campaign-v4",
            hex(&wire::encode(Campaign::VERSION, &tree.campaign)),
        ),
        ("job-v3", hex(&wire::encode(Job::VERSION, &job))),
        (
            "obligation-v1",
            hex(&wire::encode(Obligation::VERSION, owed)),
        ),
        ("run-v2", hex(&wire::encode(TrainingRun::VERSION, &run()))),
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
fn records_from_before_slurm_are_brought_forward() {
    let campaign: Campaign = wire::record(&stored("campaign-v3")).unwrap();
    let today: Campaign = wire::record(&stored("campaign-v4")).unwrap();
    assert_eq!(campaign, today);
    assert!(campaign.spec.slurm.is_empty());
    let job: Job = wire::record(&stored("job-v2")).unwrap();
    let today: Job = wire::record(&stored("job-v3")).unwrap();
    assert_eq!(job, today);
    assert_eq!(job.slurm, None);
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
    let tree = tree();
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
    let newer = wire::encode(Job::VERSION + 1, tree.jobs.values().next().unwrap());
    assert!(matches!(
        wire::record::<Job>(&newer),
        Err(Fault::Newer { .. })
    ));
}
