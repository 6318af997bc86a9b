//! Frames of an older version are brought forward. No older one was ever released, so version 0 is made up here: its
//! entries do not say who asked. It goes the way that a real one will go: `Body::migrate`.

use super::*;
use crate::store::frame;
use crate::store::segment::{Body, open as open_segment};
use std::io::Write;

/// [`Body`] as it would have been.
#[derive(Serialize, Deserialize)]
pub(in crate::store) enum BodyV0 {
    Snapshot(Vec<Change>),
    SnapshotEnd { keys: u64, seq: u64 },
    Batch(Vec<EntryV0>),
}

/// [`Entry`] as it would have been.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct EntryV0 {
    seq: u64,
    campaign: String,
    changes: Vec<Change>,
}

pub(in crate::store) fn body_v0_to_v1(old: BodyV0) -> Body {
    match old {
        BodyV0::Snapshot(changes) => Body::Snapshot(changes),
        BodyV0::SnapshotEnd { keys, seq } => Body::SnapshotEnd { keys, seq },
        BodyV0::Batch(entries) => Body::Batch(entries.into_iter().map(entry_v0_to_v1).collect()),
    }
}

fn entry_v0_to_v1(old: EntryV0) -> Entry {
    let blank = draft(&old.campaign, old.changes);
    Entry {
        uid: None,
        ..blank.numbered(old.seq)
    }
}

/// Appends `body`, encoded in version 0, to the last segment.
fn append_v0(dir: &Path, seq: u64, body: &BodyV0) {
    let path = segments(dir).pop().expect("a segment");
    let seal = open_segment(&path).unwrap().0.seal();
    let bytes = frame::frame(seal, seq, &wire::encode(0, body));
    let mut file = fs::File::options().append(true).open(&path).unwrap();
    file.write_all(&bytes).unwrap();
}

#[test]
fn an_older_store_is_brought_forward_and_goes_on() {
    let dir = fresh();
    open(dir.path()).0.commit(vec![numbered(1, 0)]).unwrap();
    let old = |seq, value| EntryV0 {
        seq,
        campaign: "oracle".into(),
        changes: vec![put(Tree::Campaigns, "oracle", value)],
    };
    let batch = BodyV0::Batch(vec![old(2, "drafted"), old(3, "piloting")]);
    append_v0(dir.path(), 3, &batch);

    let (mut store, opened) = open(dir.path());
    assert_eq!((opened.last_seq, opened.cut_bytes), (3, 0));
    let oracle = (Tree::Campaigns, "oracle".to_owned());
    assert_eq!(dump(&store)[&oracle], b"piloting");
    // Old and new stand behind one another in the same segment.
    assert_eq!(store.commit(vec![numbered(4, 0)]).unwrap(), [4]);
    drop(store);
    let (store, opened) = open(dir.path());
    assert_eq!((opened.last_seq, opened.rebuilt), (4, None));
    assert_eq!(replayed(&store.history()), dump(&store));
    let entries = store.history().events(1, None, 10).unwrap();
    let seen: Vec<_> = entries.iter().map(|entry| (entry.seq, entry.uid)).collect();
    assert_eq!(
        seen,
        [(1, Some(1000)), (2, None), (3, None), (4, Some(1000))]
    );
}

#[test]
fn a_whole_segment_of_an_older_version_opens() {
    let dir = fresh();
    drop(open(dir.path()));
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    let path = segments(dir.path()).pop().unwrap();
    let header = fs::read(&path).unwrap()[..header::HEADER].to_vec();
    fs::write(&path, header).unwrap();
    append_v0(dir.path(), 0, &BodyV0::Snapshot(Vec::new()));
    append_v0(dir.path(), 0, &BodyV0::SnapshotEnd { keys: 0, seq: 0 });
    let changes = vec![put(Tree::Runs, "alttp/1", "running")];
    let (seq, campaign) = (1, "alttp".into());
    let entry = EntryV0 {
        seq,
        campaign,
        changes,
    };
    append_v0(dir.path(), 1, &BodyV0::Batch(vec![entry]));
    let (store, opened) = open(dir.path());
    assert_eq!((opened.last_seq, dump(&store).len()), (1, 1));
}

#[test]
fn an_older_frame_that_does_not_read_is_damage_with_a_way_back() {
    let path = Path::new("journal/00000001.log");
    let error = Body::decode(path, 36, &[0, 0, 9, 9]).unwrap_err();
    assert!(
        matches!(&error, Error::Damaged { offset: 36, .. }),
        "{error}"
    );
    assert!(error.way_back().contains("restore"));
}
