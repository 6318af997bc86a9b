//! Segments and the history that is read from them.

use super::*;

#[test]
fn segments_are_closed_and_each_stands_alone() {
    let dir = fresh();
    let (mut store, _) = Store::open(dir.path(), 600).unwrap();
    (1..=60).for_each(|number| drop(store.commit(vec![numbered(number, 50)]).unwrap()));
    let state = dump(&store);
    assert!(segments(dir.path()).len() > 5);
    let all: Vec<u64> = store
        .history()
        .entries(1)
        .unwrap()
        .map(|entry| entry.unwrap().seq)
        .collect();
    assert_eq!(all, (1..=60).collect::<Vec<_>>());
    drop(store);

    let (last, older) = segments(dir.path())
        .pop()
        .map(|last| (last, segments(dir.path())))
        .unwrap();
    older
        .iter()
        .filter(|path| **path != last)
        .for_each(|path| fs::remove_file(path).unwrap());
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    let (store, opened) = open(dir.path());
    assert_eq!(
        (opened.last_seq, opened.rebuilt),
        (60, Some(Rebuilt::Missing))
    );
    assert!(opened.entries < 60);
    assert_eq!(dump(&store), state);
}

#[test]
fn pruning_removes_only_what_is_wholly_before() {
    let dir = fresh();
    let (mut store, _) = Store::open(dir.path(), 600).unwrap();
    (1..=60).for_each(|number| drop(store.commit(vec![numbered(number, 50)]).unwrap()));
    let before = segments(dir.path()).len();
    let removed = store.prune(30).unwrap();
    assert!(removed > 0);
    assert_eq!(segments(dir.path()).len(), before - removed);
    let kept: Vec<u64> = store
        .history()
        .entries(1)
        .unwrap()
        .map(|entry| entry.unwrap().seq)
        .collect();
    assert!(
        kept[0] > 1 && kept[0] <= 30 && kept.last() == Some(&60),
        "{kept:?}"
    );
    store.prune(u64::MAX).unwrap();
    assert_eq!(segments(dir.path()).len(), 1);
}

#[test]
fn history_is_read_while_the_store_is_written() {
    let dir = fresh();
    let (mut store, _) = Store::open(dir.path(), 2000).unwrap();
    let history = store.history();
    let reader = std::thread::spawn(move || {
        let mut seen = 0;
        while seen < 300 {
            for entry in history.entries(seen + 1).unwrap() {
                seen += 1;
                assert_eq!(entry.unwrap().seq, seen);
            }
        }
    });
    (1..=300).for_each(|number| drop(store.commit(vec![numbered(number, 50)]).unwrap()));
    reader.join().unwrap();
}

#[test]
fn history_is_read_from_any_entry_and_by_campaign() {
    let dir = fresh();
    let (mut store, _) = Store::open(dir.path(), 1000).unwrap();
    for number in 0..10 {
        let campaigns = ["alttp", "oracle", "alttp"]
            .map(|name| draft(name, vec![numbered(number, 9).changes[0].clone()]));
        store.commit(campaigns.to_vec()).unwrap();
    }
    let seqs = |from, campaign, limit| -> Vec<u64> {
        let events = store.history().events(from, campaign, limit).unwrap();
        events.into_iter().map(|entry| entry.seq).collect()
    };
    assert_eq!(seqs(17, None, 4), [17, 18, 19, 20]);
    assert_eq!(seqs(24, Some("oracle"), 9), [26, 29]);
    assert_eq!(seqs(0, Some("oracle"), 2), [2, 5]);
    assert_eq!(seqs(31, None, 4), [0u64; 0]);
    assert_eq!(
        History::at(dir.path()).events(30, None, 9).unwrap().len(),
        1
    );
}
