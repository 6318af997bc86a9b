//! What the store promises, tried on real directories.

mod crash;
mod format;
mod history;
mod kill;
mod model;
pub(super) mod versions;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::*;

type State = BTreeMap<(Tree, String), Vec<u8>>;

fn fresh() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn open(dir: &Path) -> (Store, Opened) {
    Store::open(dir, SEGMENT_LIMIT).expect("the store opens")
}

fn put(tree: Tree, key: &str, value: &str) -> Change {
    Change {
        tree,
        key: key.into(),
        value: Some(value.as_bytes().to_vec()),
    }
}

fn draft(campaign: &str, changes: Vec<Change>) -> Draft {
    let (event, what) = ("job_lost".into(), format!("{campaign}-14: PID gone"));
    Draft {
        at_ms: 1_772_442_842_000,
        uid: Some(1000),
        campaign: campaign.into(),
        event,
        what,
        payload: vec![7],
        changes,
    }
}

/// A draft that sets one key to `number`, with `padding` bytes behind it.
fn numbered(number: u64, padding: usize) -> Draft {
    let value = format!("{number}{}", ".".repeat(padding));
    draft(
        "alttp",
        vec![put(Tree::Jobs, &format!("alttp-{}", number % 5), &value)],
    )
}

fn dump(store: &Store) -> State {
    let pairs = |tree| {
        store
            .raw(tree)
            .expect("the tree reads")
            .into_iter()
            .map(move |(key, value)| ((tree, key), value))
    };
    Tree::ALL.into_iter().flat_map(pairs).collect()
}

/// The state that the whole history leads to.
fn replayed(history: &History) -> State {
    let mut state = State::new();
    for entry in history.entries(1).expect("the history opens") {
        for Change { tree, key, value } in entry.expect("the entry reads").changes {
            match value {
                Some(value) => state.insert((tree, key), value),
                None => state.remove(&(tree, key)),
            };
        }
    }
    state
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    segment::list(&journal_dir(dir)).expect("the journal lists")
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for item in fs::read_dir(from).expect("a directory") {
        let item = item.expect("an item").path();
        let target = to.join(item.file_name().expect("a name"));
        if item.is_dir() {
            copy_dir(&item, &target);
        } else {
            fs::copy(&item, &target).expect("a copy");
        }
    }
}

#[test]
fn what_is_committed_is_there_after_reopening() {
    let dir = fresh();
    let (mut store, opened) = open(dir.path());
    assert_eq!((opened.last_seq, opened.rebuilt), (0, None));
    let changes = vec![
        put(Tree::Campaigns, "alttp", "piloting"),
        put(Tree::Outbox, "alttp-1", "launch"),
    ];
    assert_eq!(store.commit(vec![draft("alttp", changes)]).unwrap(), [1]);
    let changes = vec![
        put(Tree::Campaigns, "alttp", "validating"),
        Change::delete(Tree::Outbox, "alttp-1"),
    ];
    let both = vec![
        draft("alttp", changes),
        draft("oracle", vec![put(Tree::Campaigns, "oracle", "drafted")]),
    ];
    assert_eq!(store.commit(both).unwrap(), [2, 3]);
    let (id, state) = (store.store_id().to_owned(), dump(&store));
    assert_eq!(state.len(), 2);
    assert_eq!(state[&(Tree::Campaigns, "alttp".into())], b"validating");
    drop(store);

    let (mut store, opened) = open(dir.path());
    let expected = Opened {
        last_seq: 3,
        entries: 3,
        cut_bytes: 0,
        brought_forward: 0,
        rebuilt: None,
    };
    assert_eq!(opened, expected);
    assert_eq!((store.store_id(), dump(&store)), (id.as_str(), state));
    assert_eq!(id.len(), 16);
    assert_eq!(store.commit(vec![numbered(4, 0)]).unwrap(), [4]);
}

#[test]
fn two_stores_have_two_ids() {
    let (one, other) = (fresh(), fresh());
    assert_ne!(
        open(one.path()).0.store_id(),
        open(other.path()).0.store_id()
    );
}

#[test]
fn an_empty_commit_writes_nothing() {
    let dir = fresh();
    let (mut store, _) = open(dir.path());
    assert!(store.commit(Vec::new()).unwrap().is_empty());
    assert_eq!((store.last_seq(), store.syncs()), (0, 0));
}

#[test]
fn a_burst_waits_for_the_disk_once() {
    let dir = fresh();
    let (mut store, _) = open(dir.path());
    let seqs = store
        .commit((1..=1000).map(|number| numbered(number, 0)).collect())
        .unwrap();
    assert_eq!(seqs, (1..=1000).collect::<Vec<_>>());
    assert_eq!(store.syncs(), 1);
    drop(store);
    assert_eq!(open(dir.path()).1.entries, 1000);
}

#[test]
fn a_second_daemon_learns_who_has_it() {
    let dir = fresh();
    let held = open(dir.path());
    let error = Store::open(dir.path(), SEGMENT_LIMIT)
        .err()
        .expect("it is in use");
    let Error::InUse {
        holder_pid,
        since_ms,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*holder_pid, Some(std::process::id() as i32));
    assert!(since_ms.is_some_and(|ms| ms > 1_700_000_000_000));
    assert!(error.to_string().contains("is in use by campaignd, PID"));
    drop(held);
    open(dir.path());
}

#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    fn check(path: &Path) {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            mode,
            if path.is_dir() { 0o700 } else { 0o600 },
            "{}",
            path.display()
        );
        if path.is_dir() {
            fs::read_dir(path)
                .unwrap()
                .for_each(|item| check(&item.unwrap().path()));
        }
    }
    let dir = fresh();
    let state_dir = dir.path().join("made/by/the/store");
    open(&state_dir).0.commit(vec![numbered(1, 0)]).unwrap();
    check(&state_dir);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    state: String,
}

impl Record for Job {
    const VERSION: u16 = 2;
    const TREE: Tree = Tree::Jobs;
}

#[test]
fn records_load_by_type_and_newer_ones_are_refused() {
    let dir = fresh();
    let (mut store, _) = open(dir.path());
    let job = Job {
        state: "running".into(),
    };
    store
        .commit(vec![draft("alttp", vec![Change::put("alttp-1", &job)])])
        .unwrap();
    assert_eq!(store.load::<Job>().unwrap(), [("alttp-1".to_owned(), job)]);

    let newer = Change {
        tree: Tree::Jobs,
        key: "alttp-2".into(),
        value: Some(wire::encode(3, &"?")),
    };
    store.commit(vec![draft("alttp", vec![newer])]).unwrap();
    let error = store.load::<Job>().unwrap_err();
    assert!(
        matches!(&error, Error::Newer { what, found: 3, reads: 2, .. } if what == "jobs alttp-2"),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .starts_with("the store was written by a newer campaignd: version 3, this reads 2")
    );

    let older = Change {
        tree: Tree::Jobs,
        key: "alttp-2".into(),
        value: Some(wire::encode(1, &"?")),
    };
    store.commit(vec![draft("alttp", vec![older])]).unwrap();
    let error = store.load::<Job>().unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unreadable {
                fault: Fault::Older { found: 1 },
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_state_that_missed_a_batch_is_not_read_or_written_on() {
    let dir = fresh();
    let (mut store, _) = open(dir.path());
    store.unapplied = Some((1, "why".into()));
    assert!(matches!(store.raw(Tree::Jobs), Err(Error::State { .. })));
    assert!(matches!(
        store.commit(vec![numbered(1, 0)]),
        Err(Error::State { .. })
    ));
    assert_eq!(store.last_seq(), 0);
}

#[test]
fn changes_that_are_held_back_are_read_and_outlive_the_store() {
    let dir = fresh();
    let (mut store, _) = open(dir.path());
    let large = "x".repeat(20_000);
    // Past the bound, so that some of them were given to sled and some were not.
    for number in 1..=20 {
        let gone = format!("alttp-{}", number - 1);
        let changes = vec![
            put(Tree::Campaigns, "alttp", &format!("{number}{large}")),
            put(Tree::Outbox, &format!("alttp-{number}"), "owed"),
            Change::delete(Tree::Outbox, gone),
        ];
        store.commit(vec![draft("alttp", changes)]).unwrap();
    }
    let expected = BTreeMap::from([
        (
            (Tree::Campaigns, "alttp".into()),
            format!("20{large}").into_bytes(),
        ),
        ((Tree::Outbox, "alttp-20".into()), b"owed".to_vec()),
    ]);
    drop(store);
    let (store, opened) = open(dir.path());
    assert_eq!((opened.brought_forward, opened.rebuilt), (0, None));
    assert_eq!(dump(&store), expected);
}
