//! A crash before and after every commit of a whole campaign: the same final records, each job launched once. And every
//! effect performed twice, which must change nothing.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod common;

use campaignd::{
    ids::CampaignId,
    machines::{
        campaign::State,
        event::Event,
        job::State as JobState,
        step::{Refused, step},
        tree::CampaignTree,
    },
    store::{Draft, SEGMENT_LIMIT, Store, changes, load_trees},
};
use common::{NOW, World, submitted};
use std::path::Path;

/// The daemon's loop, with a crash planned at one of its commits.
struct Daemon<'a> {
    dir: &'a Path,
    store: Option<Store>,
    tree: Option<CampaignTree>,
    commits: usize,
    crash: Option<(usize, When)>,
    crashes: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum When {
    Before,
    After,
}

impl Daemon<'_> {
    fn open(&mut self) {
        self.store = None;
        let (store, _) = Store::open(self.dir, SEGMENT_LIMIT).unwrap();
        let id: CampaignId = "quickstart".parse().unwrap();
        self.tree = load_trees(&store).unwrap().remove(&id);
        self.store = Some(store);
    }

    /// Decides and commits one event; false when it crashed, and the caller's knowledge is of an earlier life.
    fn take(&mut self, event: &Event) -> bool {
        let outcome = match step(self.tree.as_ref(), event, NOW) {
            Ok(outcome) => outcome,
            Err(Refused::Late) => return true,
            Err(refused) => panic!("{}: {refused}", event.name()),
        };
        let number = self.commits;
        self.commits += 1;
        if self.crash == Some((number, When::Before)) {
            return self.crash();
        }
        let draft = Draft {
            at_ms: NOW.0,
            uid: None,
            campaign: "quickstart".into(),
            event: event.name().into(),
            what: outcome.what,
            payload: serde_json::to_vec(event).unwrap(),
            changes: changes(self.tree.as_ref(), &outcome.tree),
        };
        self.store.as_mut().unwrap().commit(vec![draft]).unwrap();
        self.tree = Some(outcome.tree);
        if self.crash == Some((number, When::After)) {
            return self.crash();
        }
        true
    }

    fn crash(&mut self) -> bool {
        self.crash = None;
        self.crashes += 1;
        self.open();
        false
    }

    /// Performs what is owed until nothing is.
    fn live(&mut self, world: &mut World, twice: bool) -> CampaignTree {
        self.open();
        for _ in 0..500 {
            let Some(tree) = self.tree.clone() else {
                // Not acknowledged: the person hands it in again.
                self.take(&submitted());
                continue;
            };
            let Some(id) = tree.outbox.keys().next().cloned() else {
                return tree;
            };
            let mut events = world.perform(&tree, &id);
            if twice {
                events.extend(world.perform(&tree, &id));
            }
            for event in events {
                if !self.take(&event) {
                    break;
                }
            }
        }
        panic!("it does not end");
    }
}

fn run(
    crash: Option<(usize, When)>,
    world: &mut World,
    twice: bool,
) -> (CampaignTree, usize, usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Daemon {
        dir: dir.path(),
        store: None,
        tree: None,
        commits: 0,
        crash,
        crashes: 0,
    };
    let tree = daemon.live(world, twice);
    (tree, daemon.commits, daemon.crashes)
}

/// Look 1 undecided, then good; one task of the full generation is lost once.
fn world() -> World {
    World {
        scores: vec![0.755, 0.9],
        lost_once: Some((7, 1)),
        ..World::default()
    }
}

fn assert_sound(tree: &CampaignTree, world: &World) {
    assert_eq!(
        tree.campaign.state,
        State::Completed,
        "{:?}",
        tree.campaign.cause
    );
    assert_eq!(tree.check(), Vec::<String>::new());
    assert_eq!(tree.campaign.cycle, 2, "both cycles were trained");
    assert!(world.launches.values().all(|count| *count == 1));
    assert_eq!(
        world.launches.len(),
        tree.jobs.len(),
        "every job of the record was launched, and no other"
    );
    assert_eq!(
        tree.jobs
            .values()
            .filter(|job| job.state == JobState::Lost)
            .count(),
        1,
        "the lost task was seen"
    );
}

#[test]
fn a_crash_at_any_commit_changes_nothing() {
    let mut undisturbed = world();
    let (expected, commits, _) = run(None, &mut undisturbed, false);
    assert_sound(&expected, &undisturbed);
    assert!(commits > 30, "only {commits} commits");
    let mut survived = 0;
    for number in 0..commits {
        for when in [When::Before, When::After] {
            let mut world = world();
            let (tree, _, crashes) = run(Some((number, when)), &mut world, false);
            assert_eq!(crashes, 1, "no crash at commit {number}");
            assert_sound(&tree, &world);
            assert_eq!(
                without_notes(tree),
                without_notes(expected.clone()),
                "after a crash at commit {number}"
            );
            survived += 1;
        }
    }
    println!("{survived} crashes survived over {commits} commits");
    assert_eq!(survived, 2 * commits);
}

/// Whether a launch was found or made stands in a sentence, and is the one thing a crash may change.
fn without_notes(mut tree: CampaignTree) -> CampaignTree {
    for step in &mut tree.campaign.trail {
        step.text.clear();
    }
    tree
}

#[test]
fn every_effect_may_be_performed_twice() {
    let (mut once, mut twice) = (world(), world());
    let (expected, ..) = run(None, &mut once, false);
    let (tree, ..) = run(None, &mut twice, true);
    assert_sound(&tree, &twice);
    assert_eq!(tree, expected);
    assert_eq!(twice.launches, once.launches);
}

#[test]
fn replaying_the_journal_gives_the_records() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Daemon {
        dir: dir.path(),
        store: None,
        tree: None,
        commits: 0,
        crash: None,
        crashes: 0,
    };
    let tree = daemon.live(&mut world(), false);
    let entries = daemon
        .store
        .as_ref()
        .unwrap()
        .history()
        .events(1, None, usize::MAX)
        .unwrap();
    assert_eq!(entries.len(), daemon.commits);
    let mut replayed = None;
    for entry in entries {
        let event: Event = serde_json::from_slice(&entry.payload).unwrap();
        assert_eq!(event.name(), entry.event);
        replayed = Some(step(replayed.as_ref(), &event, NOW).unwrap().tree);
    }
    assert_eq!(replayed, Some(tree));
}
