//! The records the store holds: campaign trees in and out, each type with its version and its tree.

mod v1;

use super::{Change, Error, Fault, Record, Store, Tree, wire};
use crate::{
    ids::{CampaignId, EffectId},
    machines::{
        campaign::Campaign, effect::Obligation, job::Job, training_run::TrainingRun,
        tree::CampaignTree,
    },
};
use std::collections::BTreeMap;

impl Record for Campaign {
    const VERSION: u16 = 2;
    const TREE: Tree = Tree::Campaigns;

    fn migrate(version: u16, bytes: &[u8]) -> Result<Self, Fault> {
        match version {
            1 => wire::body(bytes).map(v1::v1_to_v2),
            found => Err(Fault::Older { found }),
        }
    }
}

impl Record for TrainingRun {
    const VERSION: u16 = 1;
    const TREE: Tree = Tree::Runs;
}

impl Record for Job {
    const VERSION: u16 = 1;
    const TREE: Tree = Tree::Jobs;
}

impl Record for Obligation {
    const VERSION: u16 = 1;
    const TREE: Tree = Tree::Outbox;
}

/// The changes that lead from one tree to the next; all of it when there was none.
pub fn changes(before: Option<&CampaignTree>, after: &CampaignTree) -> Vec<Change> {
    let none = CampaignTree::new(after.campaign.clone());
    let old = before.unwrap_or(&none);
    let mut all = Vec::new();
    if before.is_none_or(|before| before.campaign != after.campaign) {
        all.push(Change::put(after.campaign.id.as_str(), &after.campaign));
    }
    let run_key = |key: &String| format!("{}/{key}", after.campaign.id);
    differences(&old.runs, &after.runs, run_key, &mut all);
    differences(&old.jobs, &after.jobs, EffectId::to_string, &mut all);
    differences(&old.outbox, &after.outbox, EffectId::to_string, &mut all);
    all
}

/// The changes that remove a campaign and everything of it.
pub fn removal(tree: &CampaignTree) -> Vec<Change> {
    let id = &tree.campaign.id;
    let runs = tree
        .runs
        .keys()
        .map(|key| Change::delete(Tree::Runs, format!("{id}/{key}")));
    let jobs = tree
        .jobs
        .keys()
        .map(|job| Change::delete(Tree::Jobs, job.to_string()));
    let owed = tree
        .outbox
        .keys()
        .map(|effect| Change::delete(Tree::Outbox, effect.to_string()));
    let campaign = Change::delete(Tree::Campaigns, id.as_str());
    runs.chain(jobs).chain(owed).chain([campaign]).collect()
}

fn differences<K: Ord, R: Record + PartialEq>(
    before: &BTreeMap<K, R>,
    after: &BTreeMap<K, R>,
    key: impl Fn(&K) -> String,
    all: &mut Vec<Change>,
) {
    let changed = after
        .iter()
        .filter(|(name, record)| before.get(name) != Some(*record));
    all.extend(changed.map(|(name, record)| Change::put(key(name), record)));
    let gone = before.keys().filter(|name| !after.contains_key(name));
    all.extend(gone.map(|name| Change::delete(R::TREE, key(name))));
}

/// Every campaign of a store with its runs, jobs and outbox.
///
/// # Errors
/// Those of [`Store::load`]; a record whose key belongs to no campaign is damage.
pub fn load_trees(store: &Store) -> Result<BTreeMap<CampaignId, CampaignTree>, Error> {
    let mut trees: BTreeMap<CampaignId, CampaignTree> = store
        .load::<Campaign>()?
        .into_iter()
        .map(|(_, campaign)| (campaign.id.clone(), CampaignTree::new(campaign)))
        .collect();
    for (key, run) in store.load::<TrainingRun>()? {
        let owner = key
            .rsplit_once('/')
            .and_then(|(name, run)| Some((name.parse().ok()?, run)));
        let tree = owner.and_then(|(id, name)| Some((trees.get_mut::<CampaignId>(&id)?, name)));
        let (tree, name) = tree.ok_or_else(|| store.orphan(Tree::Runs, &key))?;
        tree.runs.insert(name.into(), run);
    }
    for (key, job) in store.load::<Job>()? {
        let tree = trees
            .get_mut(&job.id.campaign)
            .ok_or_else(|| store.orphan(Tree::Jobs, &key))?;
        tree.jobs.insert(job.id.clone(), job);
    }
    for (key, owed) in store.load::<Obligation>()? {
        let id: Option<EffectId> = key.parse().ok();
        let tree = id.and_then(|id| Some((trees.get_mut(&id.campaign)?, id)));
        let (tree, id) = tree.ok_or_else(|| store.orphan(Tree::Outbox, &key))?;
        tree.outbox.insert(id, owed);
    }
    Ok(trees)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        machines::{event::Event, spec::Parts, step::step},
        time::Timestamp,
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

    /// If one of these fails, stored records read differently: raise the type's `VERSION` and write its migration.
    #[test]
    fn golden_bytes() {
        let tree = tree();
        let run = TrainingRun {
            cycle: 1,
            stage: 2,
            stages: 3,
            state: crate::machines::training_run::State::Running,
            started_at: Timestamp(5),
            ended_at: None,
        };
        let all = [
            (
                "campaign-v2",
                hex(&wire::encode(Campaign::VERSION, &tree.campaign)),
            ),
            (
                "job-v1",
                hex(&wire::encode(
                    Job::VERSION,
                    tree.jobs.values().next().unwrap(),
                )),
            ),
            (
                "obligation-v1",
                hex(&wire::encode(
                    Obligation::VERSION,
                    tree.outbox.values().next().unwrap(),
                )),
            ),
            ("run-v1", hex(&wire::encode(TrainingRun::VERSION, &run))),
        ];
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        for (name, bytes) in all {
            let file = golden.join(format!("{name}.hex"));
            let expected = std::fs::read_to_string(&file)
                .unwrap_or_else(|error| panic!("{}: {error}\n{bytes}", file.display()));
            assert_eq!(bytes, expected.trim(), "{name}");
        }
    }

    #[test]
    fn a_campaign_of_version_1_is_brought_forward() {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let text = std::fs::read_to_string(golden.join("campaign-v1.hex")).unwrap();
        let digits = text.trim().as_bytes().chunks(2);
        let byte =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let bytes: Vec<u8> = digits.map(byte).collect();
        let campaign: Campaign = wire::record(&bytes).unwrap();
        assert_eq!(campaign, tree().campaign);
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
}
