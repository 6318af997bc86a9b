//! What the store holds: entries (facts, in order) and the changes of state that each one makes.
//!
//! A change is an **after-image**, the whole new value under a key, so that applying a journal twice, or from any
//! earlier state, ends in the same state. Everything here is serialised: fields and variants are only ever appended,
//! and doing so raises `segment::BODY_VERSION` (bincode reads by position, and would read an old file wrongly).

use serde::{Deserialize, Serialize};

use super::raw;
use super::wire::{self, Record};

/// A table of records. The journal stores the position, sled the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tree {
    /// One record a campaign, by its name.
    Campaigns,
    /// One record a training run.
    Runs,
    /// One record a job, by its effect id.
    Jobs,
    /// The obligations not yet discharged, by their effect id.
    Outbox,
    /// One record a proposal.
    Proposals,
    /// One record an experiment, also of campaigns that are gone.
    Experiments,
}

impl Tree {
    /// Every tree, in the order of the discriminants.
    pub const ALL: [Tree; 6] = [
        Tree::Campaigns,
        Tree::Runs,
        Tree::Jobs,
        Tree::Outbox,
        Tree::Proposals,
        Tree::Experiments,
    ];

    /// The name of the sled tree.
    pub fn name(self) -> &'static str {
        match self {
            Tree::Campaigns => "campaigns",
            Tree::Runs => "runs",
            Tree::Jobs => "jobs",
            Tree::Outbox => "outbox",
            Tree::Proposals => "proposals",
            Tree::Experiments => "experiments",
        }
    }
}

/// The value that one key has after an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Where the key lives.
    pub tree: Tree,
    /// The key within the tree.
    pub key: String,
    /// The whole new value; `None` deletes the key.
    #[serde(with = "raw::perhaps")]
    pub value: Option<Vec<u8>>,
}

impl Change {
    /// `record` is what `key` holds from now on.
    pub fn put<R: Record>(key: impl Into<String>, record: &R) -> Change {
        let value = Some(wire::encode(R::VERSION, record));
        Change {
            tree: R::TREE,
            key: key.into(),
            value,
        }
    }

    /// `key` holds nothing from now on.
    pub fn delete(tree: Tree, key: impl Into<String>) -> Change {
        Change {
            tree,
            key: key.into(),
            value: None,
        }
    }
}

/// An entry that has no number yet: what [`Store::commit`](super::Store::commit) takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// When it happened, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The user who asked for it; `None` where nobody did.
    pub uid: Option<u32>,
    /// The campaign it belongs to.
    pub campaign: String,
    /// The name of the event.
    pub event: String,
    /// One sentence for a person.
    pub what: String,
    /// The encoded event.
    pub payload: Vec<u8>,
    /// The state it leads to.
    pub changes: Vec<Change>,
}

impl Draft {
    pub(super) fn numbered(self, seq: u64) -> Entry {
        let Draft {
            at_ms,
            uid,
            campaign,
            event,
            what,
            payload,
            changes,
        } = self;
        Entry {
            seq,
            at_ms,
            uid,
            campaign,
            event,
            what,
            payload,
            changes,
        }
    }
}

/// One committed fact with the changes it made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number: 1 for the first of a store, without gaps.
    pub seq: u64,
    /// When it happened, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The user who asked for it; `None` where nobody did.
    pub uid: Option<u32>,
    /// The campaign it belongs to.
    pub campaign: String,
    /// The name of the event.
    pub event: String,
    /// One sentence for a person.
    pub what: String,
    /// The encoded event.
    #[serde(with = "raw::whole")]
    pub payload: Vec<u8>,
    /// The state it led to.
    pub changes: Vec<Change>,
}
