//! The brain that needs no model: its trajectories word by word, and what the gate makes of them.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod house;

use campaignd::{
    generation::Plan,
    time::Timestamp,
    trajectory::{TrajectoryRecord, record::Sample},
    worker::{
        agents::rules::Rules,
        supervisor::{Settings, make},
    },
};
use futures_util::FutureExt;
use house::{House, stderr};
use serde_json::Value;
use std::{collections::BTreeMap, env, fs, path::Path};

const SEED: u64 = 2026;
const NOW: Timestamp = Timestamp(1_772_442_842_000);

fn trajectory(index: u64, defects: f64) -> TrajectoryRecord {
    let settings = Settings {
        seed: SEED,
        defects,
        max_cycles: 3,
        session: "golden/pilot".into(),
    };
    let queries = Plan {
        seed: SEED,
        faults: 0.0,
    };
    let sample = queries.sample(index).unwrap();
    let made = make(&Rules, &settings, sample, || NOW).now_or_never();
    made.expect("rules wait for nobody").unwrap()
}

/// One of each analysis type: the first with a defect and an error scenario, so that all agents act.
fn eventful() -> BTreeMap<String, TrajectoryRecord> {
    let mut found = BTreeMap::new();
    for index in 0..4_000 {
        let record = trajectory(index, 1.0);
        let raised = record
            .error_resolutions
            .iter()
            .any(|one| !one.error_message.is_empty());
        if raised {
            found.entry(record.analysis_type.clone()).or_insert(record);
        }
    }
    found
}

#[test]
fn trajectories_of_all_types_are_the_golden_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/trajectories");
    let bless = env::var_os("CAMPAIGND_BLESS").is_some();
    let all = eventful();
    assert_eq!(all.len(), 15, "{:?}", all.keys());
    let mut different = Vec::new();
    for (name, record) in &all {
        let sample = Sample {
            id: &record.trajectory_id,
            trajectory: record,
        };
        let text = serde_json::to_string_pretty(&sample).unwrap() + "\n";
        let path = root.join(format!("{name}.json"));
        if bless {
            fs::create_dir_all(&root).unwrap();
            fs::write(&path, &text).unwrap();
        } else if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            different.push(path.display().to_string());
        }
        // A line reads back as what it was written from.
        let read: TrajectoryRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(&read, record, "{name}");
        // Every field of the specification's record.
        let value: Value = serde_json::from_str(&text).unwrap();
        for field in FIELDS {
            assert!(value.get(field).is_some(), "{name} has no {field}");
        }
    }
    assert!(
        different.is_empty(),
        "other than golden (CAMPAIGND_BLESS=1 renews them):\n{}",
        different.join("\n")
    );
}

/// `TrajectoryRecord` of specification 1, section 2.1.
const FIELDS: [&str; 28] = [
    "trajectory_id",
    "query",
    "analysis_type",
    "organism",
    "complexity",
    "steps",
    "routing_decisions",
    "plan_json",
    "generated_code",
    "config_code",
    "readme",
    "validation_iterations",
    "validation_issues",
    "final_validation_passed",
    "execution_submitted",
    "execution_completed",
    "execution_exit_code",
    "execution_logs_path",
    "outcome",
    "total_tokens",
    "total_cost_usd",
    "total_latency_ms",
    "session_id",
    "user_feedback",
    "created_at",
    "completed_at",
    "quality_score",
    "accepted",
];

fn run(house: &House, name: &str, generator: &str) -> (Option<i32>, Value) {
    let file = house.path(&format!("{name}.toml"));
    let text =
        format!("name = \"{name}\"\ncampaign_target = 40\n[generator]\nshards = 2\n{generator}\n");
    fs::write(&file, text).unwrap();
    let output = house.campaignd(&["run", &file.display().to_string(), "--json"]);
    let answer = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    (output.status.code(), answer)
}

#[test]
fn the_gate_reads_what_was_made() {
    let house = House::new();
    let (status, answer) = run(&house, "sound", "");
    assert_eq!(status, Some(0), "{answer}");
    // Six in ten workflows have a defect that nobody mends: whatever the labels say, that is not good enough.
    let (status, answer) = run(&house, "spoilt", "defects = 0.6\nrepair = false");
    assert_eq!(status, Some(3), "{answer}");
    // The same defects, mended.
    let (status, answer) = run(&house, "mended", "defects = 0.6");
    assert_eq!(status, Some(0), "{answer}");
}
