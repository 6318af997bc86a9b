//! A store outlives the program that wrote it: one of an older version is brought forward, one of a newer version is
//! refused untouched, a damaged one is refused with a way back, and that way really leads back.
//!
//! Version 1 is the first that was ever released, so the older records are made up here, and older frames within
//! `store::tests::versions`. `golden/store-v1` was written by version 1 and must open for ever.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

#[path = "../common/mod.rs"]
mod common;
mod daemon;
#[path = "../common/journal.rs"]
mod journal;

use campaignd::{
    machines::{job::Job, step::step, tree::CampaignTree},
    store::{
        Change, Draft, Error, Fault, Opened, Rebuilt, Record, SEGMENT_LIMIT, Store, Tree, changes,
        load_trees, wire,
    },
};
use common::{NOW, World, submitted, whole_spec};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

type Records = BTreeMap<(Tree, String), Vec<u8>>;

fn draft(what: &str, changes: Vec<Change>) -> Draft {
    Draft {
        at_ms: NOW.0,
        uid: Some(1000),
        campaign: "quickstart".into(),
        event: what.into(),
        what: what.into(),
        payload: Vec::new(),
        changes,
    }
}

fn open(dir: &Path) -> (Store, Opened) {
    Store::open(dir, SEGMENT_LIMIT).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(dir: &Path) -> Error {
    let error = Store::open(dir, SEGMENT_LIMIT)
        .err()
        .expect("the store is refused");
    assert!(!error.way_back().is_empty(), "{error}");
    error
}

fn records(store: &Store) -> Records {
    let of = |tree| {
        store
            .raw(tree)
            .unwrap()
            .into_iter()
            .map(move |(key, value)| ((tree, key), value))
    };
    Tree::ALL.into_iter().flat_map(of).collect()
}

/// Drives a campaign until training is under way, one commit an event; the tree it then is.
fn fill(dir: &Path, limit: u64) -> CampaignTree {
    let (mut store, _) = Store::open(dir, limit).unwrap();
    let mut world = World {
        scores: vec![0.9],
        ..World::default()
    };
    let mut event = submitted();
    if let campaignd::machines::event::Event::Submitted { spec, .. } = &mut event {
        **spec = whole_spec();
        spec.provenance.truncate(2);
    }
    let (mut tree, mut happenings) = (None::<CampaignTree>, vec![event]);
    loop {
        for event in std::mem::take(&mut happenings) {
            let outcome = step(tree.as_ref(), &event, NOW).unwrap();
            let all = changes(tree.as_ref(), &outcome.tree);
            store.commit(vec![draft(event.name(), all)]).unwrap();
            tree = Some(outcome.tree);
        }
        let now = tree.as_ref().expect("it was submitted");
        if !now.runs.is_empty() {
            return now.clone();
        }
        let owed = now
            .outbox
            .keys()
            .next()
            .cloned()
            .expect("it goes on by itself");
        happenings = world.perform(now, &owed);
    }
}

/// A store that was written and closed.
fn written() -> (TempDir, Records) {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), SEGMENT_LIMIT);
    let records = records(&open(dir.path()).0);
    (dir, records)
}

/// Every file below `dir` but the lock, which says who looked.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name() != Some("lock".as_ref()) {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn last_segment(dir: &Path) -> PathBuf {
    journal::segments(dir).pop().unwrap()
}

/// Makes the header say that a program with the next format wrote it.
fn raise_format(dir: &Path) {
    let path = last_segment(dir);
    let mut bytes = fs::read(&path).unwrap();
    let header = journal::header(&bytes, 2, 1, 1);
    bytes[..journal::HEADER].copy_from_slice(&header);
    fs::write(path, bytes).unwrap();
}

/// Adds a frame whose body has the next version.
fn raise_body(dir: &Path) {
    let path = last_segment(dir);
    let mut bytes = fs::read(&path).unwrap();
    let next = journal::frames(&bytes).pop().unwrap().0 + 1;
    let frame = journal::frame(journal::seal(&bytes), next, &[3, 0, 9, 9, 9]);
    bytes.extend(frame);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_newer_store_is_refused_and_every_byte_stays() {
    for raise in [raise_format, raise_body] {
        let (dir, _) = written();
        raise(dir.path());
        // What its writer had begun when it was killed is its own to clear away.
        fs::write(dir.path().join("journal/00000002.tmp"), "a segment").unwrap();
        let before = files(dir.path());
        let error = refusal(dir.path());
        assert!(
            matches!(error, Error::Newer { found, reads, .. } if found == reads + 1),
            "{error:?}"
        );
        assert!(
            error.way_back().contains("newer one"),
            "{}",
            error.way_back()
        );
        assert!(files(dir.path()) == before, "something was changed");
    }
}

#[test]
fn a_newer_record_is_refused_by_name_and_stays() {
    let (dir, _) = written();
    let (mut store, _) = open(dir.path());
    let (key, job) = store.load::<Job>().unwrap().remove(0);
    let value = Some(wire::encode(Job::VERSION + 1, &job));
    let newer = Change {
        tree: Tree::Jobs,
        key: key.clone(),
        value,
    };
    store.commit(vec![draft("newer", vec![newer])]).unwrap();
    let known = records(&store);
    drop(store);
    let before = fs::read(last_segment(dir.path())).unwrap();
    for _ in 0..2 {
        let (store, _) = open(dir.path());
        let error = load_trees(&store).unwrap_err();
        assert!(
            matches!(&error, Error::Newer { what, found: 5, .. } if *what == format!("jobs {key}")),
            "{error:?}"
        );
        assert_eq!(records(&store), known);
    }
    assert_eq!(fs::read(last_segment(dir.path())).unwrap(), before);
}

/// A record as versions 1 and 2 of it would be.
#[derive(Serialize, Deserialize)]
struct NodeV1 {
    name: String,
    gpus: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Node {
    name: String,
    gpus: Vec<u32>,
    drained: bool,
}

fn v1_to_v2(old: NodeV1) -> Node {
    Node {
        name: old.name,
        gpus: (0..old.gpus).collect(),
        drained: false,
    }
}

impl Record for Node {
    const VERSION: u16 = 2;
    const TREE: Tree = Tree::Runs;

    fn migrate(version: u16, bytes: &[u8]) -> Result<Node, Fault> {
        match version {
            1 => wire::body(bytes).map(v1_to_v2),
            found => Err(Fault::Older { found }),
        }
    }
}

#[test]
fn older_records_are_brought_forward_beside_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    let old = NodeV1 {
        name: "gpu-7".into(),
        gpus: 2,
    };
    let value = Some(wire::encode(1, &old));
    let change = Change {
        tree: Tree::Runs,
        key: "a".into(),
        value,
    };
    store.commit(vec![draft("old", vec![change])]).unwrap();
    drop(store);

    let (mut store, _) = open(dir.path());
    let node = Node {
        name: "gpu-7".into(),
        gpus: vec![0, 1],
        drained: false,
    };
    assert_eq!(
        store.load::<Node>().unwrap(),
        [("a".to_owned(), v1_to_v2(old))]
    );
    store
        .commit(vec![draft("new", vec![Change::put("b", &node)])])
        .unwrap();
    drop(store);
    let (mut store, _) = open(dir.path());
    let all = store.load::<Node>().unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].1, all[1].1);

    // One step too old: nothing is guessed.
    let value = Some(wire::encode(0, &"?"));
    let older = Change {
        tree: Tree::Runs,
        key: "a".into(),
        value,
    };
    store.commit(vec![draft("older", vec![older])]).unwrap();
    let error = store.load::<Node>().unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unreadable {
                fault: Fault::Older { found: 0 },
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!error.way_back().is_empty());
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/store-v1")
}

/// A tree as text that a person can compare.
fn shown(tree: &CampaignTree) -> String {
    let jobs: Vec<_> = tree.jobs.values().collect();
    let owed: Vec<_> = tree
        .outbox
        .iter()
        .map(|(id, owed)| (id.to_string(), owed))
        .collect();
    let all = serde_json::json!({ "campaign": tree.campaign, "runs": tree.runs, "jobs": jobs, "outbox": owed });
    serde_json::to_string_pretty(&all).unwrap() + "\n"
}

/// Run by hand once a version: `cargo test --test store_versions golden -- --ignored`.
#[test]
#[ignore = "writes the golden store of this version"]
fn write_the_golden_store() {
    let dir = tempfile::tempdir().unwrap();
    let tree = fill(dir.path(), 2_000);
    journal::copy_dir(&dir.path().join("journal"), &golden().join("journal"));
    fs::write(golden().join("records.json"), shown(&tree)).unwrap();
}

#[test]
fn the_golden_store_of_version_1_opens_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    journal::copy_dir(&golden().join("journal"), &dir.path().join("journal"));
    assert!(journal::segments(dir.path()).len() > 1, "it has history");
    let expected = fs::read_to_string(golden().join("records.json")).unwrap();
    let (mut store, opened) = open(dir.path());
    assert_eq!(
        (opened.rebuilt, opened.cut_bytes),
        (Some(Rebuilt::Missing), 0)
    );
    let trees: Vec<CampaignTree> = load_trees(&store).unwrap().into_values().collect();
    assert_eq!(trees.iter().map(shown).collect::<String>(), expected);
    let entries = store.history().events(1, None, usize::MAX).unwrap();
    assert_eq!(
        entries.len() as u64,
        opened.last_seq,
        "every entry since the first reads"
    );
    let next = store.commit(vec![draft("goes on", Vec::new())]).unwrap();
    assert_eq!(next, [opened.last_seq + 1]);
}

/// A store with a flipped bit in the middle of its journal: the error, and the journal as it was.
fn damaged() -> (TempDir, Records, Error, Vec<u8>) {
    let (dir, records) = written();
    let path = last_segment(dir.path());
    let whole = fs::read(&path).unwrap();
    let frames = journal::frames(&whole);
    let mut bytes = whole.clone();
    bytes[frames[frames.len() / 2].1.start + journal::HEAD + 3] ^= 4;
    fs::write(&path, bytes).unwrap();
    let before = files(dir.path());
    let error = refusal(dir.path());
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(files(dir.path()) == before, "something was changed");
    (dir, records, error, whole)
}

#[test]
fn a_damaged_segment_restored_from_a_copy_is_all_there() {
    let (dir, known, error, whole) = damaged();
    let path = last_segment(dir.path());
    let way = format!("restore {} from a backup", path.display());
    assert!(error.way_back().starts_with(&way), "{}", error.way_back());
    fs::write(&path, whole).unwrap();
    let (store, opened) = open(dir.path());
    assert_eq!((records(&store), opened.rebuilt), (known, None));
}

#[test]
fn the_command_that_the_way_back_names_goes_back_to_the_entry_that_it_names() {
    let (dir, _, error, whole) = damaged();
    let way = error.way_back();
    let command = way.split('`').nth(1).expect("a command to paste");
    let entry: u64 = way
        .split("to entry ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
        .unwrap();
    assert!(
        Command::new("sh")
            .args(["-c", command])
            .status()
            .unwrap()
            .success()
    );
    let (store, opened) = open(dir.path());
    let frames = journal::frames(&whole);
    assert_eq!(opened.last_seq, entry);
    assert_eq!(
        entry + 1,
        frames[frames.len() / 2].0,
        "only the damaged entry and later ones are gone"
    );
    assert!(
        matches!(opened.rebuilt, Some(Rebuilt::Missing)),
        "{:?}",
        opened.rebuilt
    );
    assert!(!load_trees(&store).unwrap().is_empty());
}

#[test]
fn a_damaged_header_is_refused_until_it_is_restored() {
    let (dir, known) = written();
    let path = last_segment(dir.path());
    let whole = fs::read(&path).unwrap();
    for bit in 0..journal::HEADER * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        let error = refusal(dir.path());
        assert!(
            matches!(error, Error::Damaged { .. }),
            "bit {bit}: {error:?}"
        );
        assert!(error.way_back().contains("restore"), "{}", error.way_back());
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(records(&open(dir.path()).0), known);
}

#[test]
fn a_state_that_is_gone_or_broken_is_made_anew_from_the_journal() {
    let (dir, known) = written();
    let db = dir.path().join("db");
    fs::remove_dir_all(&db).unwrap();
    let (store, opened) = open(dir.path());
    assert_eq!(
        (records(&store), opened.rebuilt),
        (known.clone(), Some(Rebuilt::Missing))
    );
    drop(store);
    for path in files(&db).into_keys() {
        fs::write(path, "garbage").unwrap();
    }
    let (store, opened) = open(dir.path());
    assert_eq!(records(&store), known);
    assert!(opened.rebuilt.is_some());
}

#[test]
fn a_journal_that_is_gone_is_not_begun_anew_until_it_is_restored() {
    let (dir, known) = written();
    let (journal, aside) = (dir.path().join("journal"), dir.path().join("aside"));
    fs::rename(&journal, &aside).unwrap();
    let error = refusal(dir.path());
    assert!(error.way_back().contains("restore"), "{}", error.way_back());
    fs::remove_dir_all(&journal).unwrap();
    fs::rename(&aside, &journal).unwrap();
    assert_eq!(records(&open(dir.path()).0), known);
}
