//! The records the store holds: campaign trees in and out, each type with its version and its tree.

mod v1;
mod v2;
mod v3;
mod v4;

use super::{Change, Error, Fault, Record, Store, Tree, wire};
use crate::{
    history::Experiment,
    ids::{CampaignId, EffectId},
    machines::{
        campaign::Campaign, effect::Obligation, job::Job, proposal::Proposal,
        training_run::TrainingRun, tree::CampaignTree,
    },
};
use std::{collections::BTreeMap, sync::Arc};

impl Record for Campaign {
    const VERSION: u16 = 5;
    const TREE: Tree = Tree::Campaigns;

    fn migrate(version: u16, bytes: &[u8]) -> Result<Self, Fault> {
        match version {
            1 => wire::body(bytes)
                .map(v1::v1_to_v2)
                .map(v2::v2_to_v3)
                .map(v3::v3_to_v4)
                .map(v4::v4_to_v5),
            2 => wire::body(bytes)
                .map(v2::v2_to_v3)
                .map(v3::v3_to_v4)
                .map(v4::v4_to_v5),
            3 => wire::body(bytes).map(v3::v3_to_v4).map(v4::v4_to_v5),
            4 => wire::body(bytes).map(v4::v4_to_v5),
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
    const VERSION: u16 = 4;
    const TREE: Tree = Tree::Jobs;

    fn migrate(version: u16, bytes: &[u8]) -> Result<Self, Fault> {
        match version {
            1 => wire::body(bytes)
                .map(v2::job_v1_to_v2)
                .map(v3::job_v2_to_v3)
                .map(v4::job_v3_to_v4),
            2 => wire::body(bytes)
                .map(v3::job_v2_to_v3)
                .map(v4::job_v3_to_v4),
            3 => wire::body(bytes).map(v4::job_v3_to_v4),
            found => Err(Fault::Older { found }),
        }
    }
}

impl Record for Obligation {
    const VERSION: u16 = 1;
    const TREE: Tree = Tree::Outbox;
}

impl Record for Proposal {
    const VERSION: u16 = 1;
    const TREE: Tree = Tree::Proposals;
}

impl Record for Experiment {
    const VERSION: u16 = 1;
    const TREE: Tree = Tree::Experiments;
}

/// Before the keys of experiments whose campaign was cleaned: no campaign's name begins so.
const PAST: char = '~';

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
    if !Arc::ptr_eq(&old.proposals, &after.proposals) {
        differences(&old.proposals, &after.proposals, run_key, &mut all);
    }
    if !Arc::ptr_eq(&old.experiments, &after.experiments) {
        differences(&old.experiments, &after.experiments, run_key, &mut all);
    }
    all
}

/// The changes that remove a campaign and everything of it but for its experiments, which the history keeps.
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
    let proposals = tree
        .proposals
        .keys()
        .map(|key| Change::delete(Tree::Proposals, format!("{id}/{key}")));
    let experiments = tree.experiments.iter().flat_map(|(key, one)| {
        // Another campaign of that name may make experiments of the same names.
        let past = format!("{PAST}{}/{id}/{key}", tree.campaign.created_at.0);
        [
            Change::delete(Tree::Experiments, format!("{id}/{key}")),
            Change::put(past, &one.of_the_past(tree.campaign.created_at)),
        ]
    });
    let campaign = Change::delete(Tree::Campaigns, id.as_str());
    runs.chain(jobs)
        .chain(owed)
        .chain(proposals)
        .chain(experiments)
        .chain([campaign])
        .collect()
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
    for (key, proposal) in store.load::<Proposal>()? {
        let tree = owner(&mut trees, &key).ok_or_else(|| store.orphan(Tree::Proposals, &key))?;
        let all = Arc::make_mut(&mut tree.proposals);
        all.insert(proposal.id.clone(), proposal);
    }
    for (key, one) in store.load::<Experiment>()? {
        if key.starts_with(PAST) {
            continue;
        }
        let tree = owner(&mut trees, &key).ok_or_else(|| store.orphan(Tree::Experiments, &key))?;
        Arc::make_mut(&mut tree.experiments).insert(one.experiment_id.clone(), one);
    }
    Ok(trees)
}

/// The campaign that a key `NAME/REST` belongs to.
fn owner<'a>(
    trees: &'a mut BTreeMap<CampaignId, CampaignTree>,
    key: &str,
) -> Option<&'a mut CampaignTree> {
    let (name, _) = key.split_once('/')?;
    trees.get_mut::<CampaignId>(&name.parse().ok()?)
}

/// The experiments of campaigns that were cleaned, in no order.
///
/// # Errors
/// Those of [`Store::load`].
pub fn load_past(store: &Store) -> Result<Vec<Experiment>, Error> {
    let all = store.load::<Experiment>()?.into_iter();
    let past = all.filter(|(key, _)| key.starts_with(PAST));
    Ok(past.map(|(_, one)| one).collect())
}

#[cfg(test)]
mod tests;
