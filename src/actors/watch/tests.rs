//! What a look at a task takes from its log.

use super::{log::TaskLog, *};
use crate::{actors::seen::Seen, ids::CampaignId};

/// Two tasks of one generation that said how far they are, once, and then nothing more.
#[test]
fn silent_shards_stay_silent_and_report_no_steps() {
    let root = tempfile::tempdir().unwrap();
    let dir = JobDir::new(root.path());
    let (seen, campaign): (Seen, CampaignId) = (Seen::default(), "demo".parse().unwrap());
    let mut logs = Vec::new();
    for (shard, done) in [(0, 3), (1, 7)] {
        std::fs::create_dir_all(dir.task(shard)).unwrap();
        let line = format!("{{\"done\":{done},\"total\":9}}\n");
        std::fs::write(dir.progress(shard), line).unwrap();
        logs.push(TaskLog::new(&dir, shard, 9, Timestamp(1_000)));
    }
    for at in [2_000, 3_000, 4_000] {
        for log in &mut logs {
            let key = (Phase::Generate, 1);
            log.look(&seen, &campaign, key, "", Timestamp(at));
        }
    }
    let count = seen.count(&campaign, Phase::Generate);
    assert_eq!(count.grew_at, Some(Timestamp(2_000)), "nothing came since");
    assert!(count.reported.is_empty());
    assert_eq!(count.rate_per_second, None);
    assert!(logs.iter().all(|log| log.spoke_at == Timestamp(2_000)));
}
