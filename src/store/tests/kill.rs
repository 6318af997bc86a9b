//! Full disks and killed processes: a commit counts wholly or not at all.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::crash::last_segment;
use super::*;

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

#[test]
fn a_segment_that_was_being_written_does_not_count() {
    let dir = fresh();
    open(dir.path()).0.commit(vec![numbered(1, 0)]).unwrap();
    let half = journal_dir(dir.path()).join("00000002.tmp");
    fs::write(&half, "half a segment").unwrap();
    assert_eq!(open(dir.path()).1.last_seq, 1);
    assert!(!half.exists());
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
    let files = fs::read_dir(journal_dir(dir.path())).unwrap().count();
    assert_eq!(
        files, 2,
        "a segment, the witness, and nothing of the one that did not fit"
    );
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
