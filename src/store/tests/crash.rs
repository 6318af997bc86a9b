//! Torn appends, damaged files and states of another moment: what was acknowledged is there, what is wrong is said.

use std::time::{Duration, Instant};

use super::*;

/// A closed store with `count` commits, in segments of `limit` bytes.
fn made(count: u64, limit: u64) -> TempDir {
    let dir = fresh();
    let (mut store, _) = Store::open(dir.path(), limit).unwrap();
    (1..=count).for_each(|number| drop(store.commit(vec![numbered(number, 20)]).unwrap()));
    dir
}

pub(super) fn last_segment(dir: &Path) -> PathBuf {
    segments(dir).pop().expect("a segment")
}

#[test]
fn an_append_torn_at_any_byte_leaves_what_was_acknowledged() {
    let dir = fresh();
    let (mut store, _) = open(dir.path());
    store
        .commit(vec![numbered(1, 20), numbered(2, 20)])
        .unwrap();
    let (acknowledged, state) = (fs::read(last_segment(dir.path())).unwrap(), dump(&store));
    drop(store);
    let before = fresh();
    copy_dir(dir.path(), before.path());
    open(dir.path())
        .0
        .commit(vec![numbered(3, 20), numbered(4, 20)])
        .unwrap();
    let whole = fs::read(last_segment(dir.path())).unwrap();

    let path = last_segment(before.path());
    for len in acknowledged.len()..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        let (store, opened) = open(before.path());
        assert_eq!(
            (opened.last_seq, opened.rebuilt),
            (2, None),
            "torn at {len}"
        );
        assert_eq!(opened.cut_bytes as usize, len - acknowledged.len());
        assert_eq!(dump(&store), state);
        assert_eq!(fs::read(&path).unwrap(), acknowledged);
    }
    fs::write(&path, &whole).unwrap();
    let (store, opened) = open(before.path());
    assert_eq!((opened.last_seq, opened.brought_forward), (4, 2));
    assert_eq!(dump(&store), replayed(&store.history()));
}

#[test]
fn a_tail_whose_blocks_never_reached_the_disk_is_cut() {
    let dir = made(3, SEGMENT_LIMIT);
    let path = last_segment(dir.path());
    let acknowledged = fs::read(&path).unwrap();
    fs::write(&path, [acknowledged.as_slice(), &[0; 5000]].concat()).unwrap();
    assert_eq!(open(dir.path()).1.cut_bytes, 5000);
    assert_eq!(fs::read(&path).unwrap(), acknowledged);
}

#[test]
fn any_flipped_byte_before_the_last_frame_is_damage() {
    let dir = made(3, SEGMENT_LIMIT);
    let path = last_segment(dir.path());
    let whole = fs::read(&path).unwrap();
    let last_frame =
        whole.len() - (whole.len() - replay::replay(&path).unwrap().snapshot_len as usize) / 3;
    for at in 0..last_frame {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(&path, &bytes).unwrap();
        match Store::open(dir.path(), SEGMENT_LIMIT).err() {
            Some(Error::Damaged {
                file,
                offset,
                way_back,
                ..
            }) => {
                assert_eq!(file, path);
                assert!(
                    offset <= at as u64 && way_back.contains("restore"),
                    "byte {at}: {offset} {way_back}"
                );
            }
            other => panic!("byte {at}: {other:?}"),
        }
        assert_eq!(
            fs::read(&path).unwrap(),
            bytes,
            "a damaged file is left as it is"
        );
    }
}

#[test]
fn damage_in_an_old_segment_is_found_by_its_reader() {
    let dir = made(40, 600);
    let path = segments(dir.path()).remove(1);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 3;
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let read: Result<Vec<Entry>, Error> = History::at(dir.path()).entries(1).unwrap().collect();
    assert!(matches!(read, Err(Error::Damaged { file, .. }) if file == path));
    fs::remove_file(&path).unwrap();
    let read: Result<Vec<Entry>, Error> = History::at(dir.path()).entries(1).unwrap().collect();
    assert!(
        matches!(read, Err(Error::Damaged { .. })),
        "a missing segment is a gap"
    );
}

#[test]
fn entries_that_were_on_disk_cannot_vanish_unseen_from_a_reader() {
    let dir = fresh();
    let (mut store, _) = open(dir.path());
    (1..=3).for_each(|number| drop(store.commit(vec![numbered(number, 20)]).unwrap()));
    let path = last_segment(dir.path());
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let last = store.history().entries(1).unwrap().last();
    assert!(matches!(last, Some(Err(Error::Damaged { .. }))), "{last:?}");
    assert_eq!(History::at(dir.path()).entries(1).unwrap().count(), 2);
}

#[test]
fn a_journal_that_is_gone_is_not_replaced_by_an_empty_one() {
    let dir = made(3, SEGMENT_LIMIT);
    fs::remove_dir_all(journal_dir(dir.path())).unwrap();
    for _ in 0..2 {
        let error = Store::open(dir.path(), SEGMENT_LIMIT)
            .err()
            .expect("no store");
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }
}

/// Opens `dir` and holds its state against the journal.
fn repaired(dir: &Path, limit: u64) -> Opened {
    let (mut store, opened) = Store::open(dir, limit).unwrap();
    assert_eq!(dump(&store), replayed(&store.history()));
    store.commit(vec![numbered(99, 0)]).unwrap();
    assert_eq!(dump(&store), replayed(&store.history()));
    drop(store);
    assert_eq!(Store::open(dir, limit).unwrap().1.rebuilt, None);
    opened
}

#[test]
fn a_state_that_is_gone_or_garbage_is_made_anew() {
    let dir = made(9, 600);
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    assert_eq!(repaired(dir.path(), 600).rebuilt, Some(Rebuilt::Missing));
    for name in ["db", "conf"] {
        fs::write(dir.path().join("db").join(name), "garbage ".repeat(9000)).unwrap();
        let opened = repaired(dir.path(), 600);
        assert!(opened.rebuilt.is_some(), "{name}: {opened:?}");
    }
    fs::write(dir.path().join("db/db"), "").unwrap();
    assert!(repaired(dir.path(), 600).rebuilt.is_some());
}

#[test]
fn a_state_of_another_moment_is_brought_to_this_one() {
    let dir = made(9, SEGMENT_LIMIT);
    let stale = fresh();
    copy_dir(&dir.path().join("db"), stale.path());
    let restore = |dir: &Path| {
        fs::remove_dir_all(dir.join("db")).unwrap();
        copy_dir(stale.path(), &dir.join("db"));
    };
    (10..=13).for_each(|number| {
        drop(
            open(dir.path())
                .0
                .commit(vec![numbered(number, 20)])
                .unwrap(),
        )
    });
    restore(dir.path());
    let opened = repaired(dir.path(), SEGMENT_LIMIT);
    assert_eq!((opened.rebuilt, opened.brought_forward), (None, 4));

    let (mut store, _) = Store::open(dir.path(), 1).unwrap();
    (14..=17).for_each(|number| drop(store.commit(vec![numbered(number, 20)]).unwrap()));
    drop(store);
    restore(dir.path());
    assert_eq!(
        repaired(dir.path(), SEGMENT_LIMIT).rebuilt,
        Some(Rebuilt::Behind { applied: 9 })
    );

    let other = made(9, SEGMENT_LIMIT);
    restore(other.path());
    assert_eq!(
        repaired(other.path(), SEGMENT_LIMIT).rebuilt,
        Some(Rebuilt::OtherStore)
    );
}

#[test]
fn a_journal_that_is_shorter_than_the_state_is_refused_untouched() {
    let dir = made(3, SEGMENT_LIMIT);
    let path = last_segment(dir.path());
    let short = fs::read(&path).unwrap();
    open(dir.path()).0.commit(vec![numbered(4, 20)]).unwrap();
    // As a torn append would leave it: only the state knows better.
    fs::write(&path, [&short[..], b"torn"].concat()).unwrap();
    let error = Store::open(dir.path(), SEGMENT_LIMIT)
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("it ends with entry 3, and entry 4 was acknowledged"),
        "{error}"
    );
    assert_eq!(
        fs::read(&path).unwrap(),
        [&short[..], b"torn"].concat(),
        "nothing is cut"
    );
    // The state says the same where nobody else does.
    fs::remove_file(dir.path().join("journal/acknowledged")).unwrap();
    let error = Store::open(dir.path(), SEGMENT_LIMIT)
        .map(drop)
        .unwrap_err();
    assert!(error.to_string().contains("db has entry 4"), "{error}");
    // The way back that it names.
    let way = error.way_back();
    let command = way.split('`').nth(1).unwrap();
    let done = std::process::Command::new("sh")
        .args(["-c", command])
        .status();
    assert!(done.unwrap().success());
    let opened = repaired(dir.path(), SEGMENT_LIMIT);
    assert_eq!(
        (opened.last_seq, opened.rebuilt),
        (3, Some(Rebuilt::Missing))
    );
}

#[test]
fn a_state_that_lies_is_made_anew() {
    let dir = made(3, SEGMENT_LIMIT);
    // The threads of the database that was just closed hold its lock a moment longer.
    let deadline = Instant::now() + Duration::from_secs(10);
    let db = loop {
        match sled::open(dir.path().join("db")) {
            Ok(db) => break db,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    db.open_tree("jobs")
        .unwrap()
        .insert("alttp-1", "forged")
        .unwrap();
    db.open_tree("runs").unwrap().insert("r", "forged").unwrap();
    drop(db);
    assert_eq!(
        repaired(dir.path(), SEGMENT_LIMIT).rebuilt,
        Some(Rebuilt::Differs { keys: 2 })
    );
}
