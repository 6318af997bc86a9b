//! Crashes, damage and full disks: what was acknowledged is there, and what is wrong is said.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

/// A closed store with `count` commits, in segments of `limit` bytes.
fn made(count: u64, limit: u64) -> TempDir {
    let dir = fresh();
    let (mut store, _) = Store::open(dir.path(), limit).unwrap();
    (1..=count).for_each(|number| drop(store.commit(vec![numbered(number, 20)]).unwrap()));
    dir
}

fn last_segment(dir: &Path) -> PathBuf {
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
fn a_state_ahead_of_the_journal_gives_way() {
    let dir = made(3, SEGMENT_LIMIT);
    let path = last_segment(dir.path());
    let short = fs::read(&path).unwrap();
    open(dir.path()).0.commit(vec![numbered(4, 20)]).unwrap();
    fs::write(&path, short).unwrap();
    let opened = repaired(dir.path(), SEGMENT_LIMIT);
    assert_eq!(
        opened.rebuilt,
        Some(Rebuilt::Ahead {
            applied: 4,
            journal: 3
        })
    );
}

#[test]
fn a_state_that_lies_is_made_anew() {
    let dir = made(3, SEGMENT_LIMIT);
    let db = sled::open(dir.path().join("db")).unwrap();
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

#[test]
fn an_append_that_cannot_be_undone_ends_the_writing() {
    let dir = fresh();
    let (mut store, _) = open(dir.path());
    store.commit(vec![numbered(1, 0)]).unwrap();
    let state = dump(&store);
    store.journal.break_file();
    let error = store.commit(vec![numbered(2, 0)]).unwrap_err();
    assert!(
        matches!(&error, Error::Full { path } if *path == last_segment(dir.path())),
        "{error}"
    );
    let error = store.commit(vec![numbered(2, 0)]).unwrap_err();
    assert!(matches!(error, Error::Poisoned { .. }), "{error}");
    assert_eq!((store.last_seq(), dump(&store)), (1, state));
    drop(store);
    assert_eq!(open(dir.path()).1.last_seq, 1);
}

/// A small file system of its own, unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path, size: &str) -> Option<Tmpfs> {
        fs::create_dir_all(at).ok()?;
        let mut mount = Command::new("mount");
        mount
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size},mode=700"),
                "tmpfs",
            ])
            .arg(at)
            .stderr(Stdio::null());
        mount
            .status()
            .is_ok_and(|status| status.success())
            .then(|| Tmpfs(at.to_path_buf()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_loses_nothing_and_passes() {
    let dir = fresh();
    let Some(_disk) = Tmpfs::mount(&journal_dir(dir.path()), "256k") else {
        eprintln!("skipped a_full_disk_loses_nothing_and_passes: this user may not mount a tmpfs");
        return;
    };
    let (mut store, _) = Store::open(dir.path(), 60_000).unwrap();
    store.commit(vec![numbered(1, 20)]).unwrap();
    let (state, path) = (dump(&store), last_segment(dir.path()));
    let before = fs::read(&path).unwrap();
    for _ in 0..2 {
        let error = store.commit(vec![numbered(2, 400_000)]).unwrap_err();
        assert!(
            matches!(&error, Error::Full { path: full } if *full == path),
            "{error}"
        );
        assert_eq!((store.last_seq(), dump(&store)), (1, state.clone()));
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    // The next segment does not fit either: then the old one stays, whole.
    assert_eq!(store.commit(vec![numbered(2, 150_000)]).unwrap(), [2]);
    let error = store.commit(vec![numbered(3, 1)]).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert_eq!(segments(dir.path()), [path]);
    let state = dump(&store);
    drop(store);
    let (store, opened) = open(dir.path());
    assert_eq!(
        (opened.last_seq, opened.cut_bytes, dump(&store)),
        (2, 0, state)
    );
}

const CHILD: &str = "CAMPAIGND_TEST_STORE_CHILD";

/// Not a test by itself: the process that `acknowledged_entries_survive_kill` kills.
#[test]
fn child_that_commits_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let mut store = Store::open(&dir, 3000).unwrap().0;
    loop {
        let next = store.last_seq() + 1;
        let seqs = store
            .commit(vec![numbered(next, 30), numbered(next + 1, 30)])
            .unwrap();
        fs::write(dir.join("acknowledged.tmp"), seqs[1].to_string()).unwrap();
        fs::rename(dir.join("acknowledged.tmp"), dir.join("acknowledged")).unwrap();
    }
}

#[test]
fn acknowledged_entries_survive_kill() {
    let name = module_path!()
        .split_once("::")
        .expect("a module")
        .1
        .to_owned()
        + "::child_that_commits_until_it_is_killed";
    let dir = fresh();
    let acknowledged = || -> u64 {
        fs::read_to_string(dir.path().join("acknowledged")).map_or(0, |text| text.parse().unwrap())
    };
    for more in [1, 60, 7, 200, 31, 90] {
        let (wanted, deadline) = (
            acknowledged() + more,
            Instant::now() + Duration::from_secs(60),
        );
        let mut child = Command::new(std::env::current_exe().unwrap());
        let mut child = child
            .args([&name, "--exact"])
            .env(CHILD, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while acknowledged() < wanted {
            assert!(
                Instant::now() < deadline,
                "the child makes no progress: {:?}",
                child.try_wait()
            );
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (store, opened) = open(dir.path());
        assert!(
            opened.last_seq >= acknowledged() && opened.last_seq % 2 == 0,
            "{opened:?}"
        );
        assert_eq!(replayed(&store.history()), dump(&store));
        assert_eq!(
            store.history().entries(1).unwrap().count() as u64,
            opened.last_seq
        );
    }
}
