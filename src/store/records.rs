//! The records the store holds: campaign trees in and out, each type with its version and its tree.

mod v1;
mod v2;
mod v3;

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
    const VERSION: u16 = 4;
    const TREE: Tree = Tree::Campaigns;

    fn migrate(version: u16, bytes: &[u8]) -> Result<Self, Fault> {
        match version {
            1 => wire::body(bytes)
                .map(v1::v1_to_v2)
                .map(v2::v2_to_v3)
                .map(v3::v3_to_v4),
            2 => wire::body(bytes).map(v2::v2_to_v3).map(v3::v3_to_v4),
            3 => wire::body(bytes).map(v3::v3_to_v4),
            found => Err(Fault::Older { found }),
        }
    }
}

impl Record for TrainingRun {
    const VERSION: u16 = 2;
    const TREE: Tree = Tree::Runs;

    fn migrate(version: u16, bytes: &[u8]) -> Result<Self, Fault> {
        match version {
            1 => wire::body(bytes).map(v2::run_v1_to_v2),
            found => Err(Fault::Older { found }),
        }
    }
}

impl Record for Job {
    const VERSION: u16 = 3;
    const TREE: Tree = Tree::Jobs;

    fn migrate(version: u16, bytes: &[u8]) -> Result<Self, Fault> {
        match version {
            1 => wire::body(bytes)
                .map(v2::job_v1_to_v2)
                .map(v3::job_v2_to_v3),
            2 => wire::body(bytes).map(v3::job_v2_to_v3),
            found => Err(Fault::Older { found }),
        }
    }
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
mod tests;
