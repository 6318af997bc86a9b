//! A shard that is cut anywhere goes on to the same bytes.

use super::*;
use crate::artifacts::jsonl::cut_torn_tail;
use std::fs;

const NOW: Timestamp = Timestamp(1_772_442_842_000);

fn shard(dir: &Path, first: u64, target: u64) -> Shard {
    Shard {
        plan: Plan {
            seed: 7,
            faults: 0.1,
        },
        first,
        target,
        output: dir.join(format!("shard-{first}-{target}.jsonl")),
        progress: None,
        experience: Some(dir.join(format!("experience-{first}-{target}.json"))),
        session: "alttp/pilot".into(),
        agents: AgentsSpec::default(),
    }
}

fn make(shard: &Shard) -> Made {
    generate_by(shard, || NOW).unwrap()
}

#[test]
fn it_goes_on_after_any_cut_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let shard = shard(dir.path(), 0, 20);
    assert_eq!(make(&shard).new, 20);
    let whole = fs::read(&shard.output).unwrap();
    let learned = fs::read(shard.experience.as_ref().unwrap()).unwrap();
    for length in (0..whole.len()).step_by(9973) {
        fs::write(&shard.output, &whole[..length]).unwrap();
        cut_torn_tail(&shard.output).unwrap();
        let made = make(&shard);
        assert_eq!(made.existing + made.new, 20);
        assert_eq!(fs::read(&shard.output).unwrap(), whole, "cut at {length}");
        let again = fs::read(shard.experience.as_ref().unwrap()).unwrap();
        assert_eq!(again, learned, "cut at {length}");
    }
    assert_eq!(make(&shard).new, 0, "a finished shard makes nothing");
}

#[test]
fn shards_together_are_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let whole = shard(dir.path(), 0, 30);
    let parts = [0, 10, 20].map(|first| shard(dir.path(), first, 10));
    make(&whole);
    let (mut joined, mut experience) = (Vec::new(), Experience::default());
    for part in &parts {
        experience.join(&make(part).experience);
        joined.extend(fs::read(&part.output).unwrap());
    }
    assert_eq!(joined, fs::read(&whole.output).unwrap());
    let learned = fs::read(whole.experience.as_ref().unwrap()).unwrap();
    assert_eq!(serde_json::to_vec(&experience).unwrap(), learned);
}
