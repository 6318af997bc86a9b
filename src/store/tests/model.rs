//! Random batches and reopenings against a map: the store is a map that forgets nothing.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Vec<Change>>),
    Reopen,
    /// Reopen with the state of an earlier moment, as after a kill.
    ReopenStale,
    /// Reopen without a state.
    ReopenBare,
}

fn change() -> impl Strategy<Value = Change> {
    let tree = prop::sample::select(&Tree::ALL[..]);
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..40));
    (tree, "[a-d]", value).prop_map(|(tree, key, value)| Change { tree, key, value })
}

fn step() -> impl Strategy<Value = Step> {
    let batch = prop::collection::vec(prop::collection::vec(change(), 0..4), 0..4);
    prop_oneof![
        12 => batch.prop_map(Step::Commit),
        2 => Just(Step::Reopen),
        1 => Just(Step::ReopenStale),
        1 => Just(Step::ReopenBare),
    ]
}

fn reopen(dir: &Path, limit: u64, store: Store, step: &Step, stale: &mut Option<TempDir>) -> Store {
    drop(store);
    let (db, kept) = (dir.join("db"), stale.take());
    match (step, &kept) {
        (Step::ReopenBare, _) => fs::remove_dir_all(&db).unwrap(),
        (Step::ReopenStale, Some(kept)) => {
            fs::remove_dir_all(&db).unwrap();
            copy_dir(kept.path(), &db);
        }
        _ => {}
    }
    let (store, opened) = Store::open(dir, limit).unwrap();
    assert_eq!(opened.cut_bytes, 0);
    drop(store);
    let now = fresh();
    copy_dir(&db, now.path());
    *stale = Some(kept.unwrap_or(now));
    Store::open(dir, limit).unwrap().0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_map_that_forgets_nothing(limit in 1u64..2000, steps in prop::collection::vec(step(), 1..25)) {
        let dir = fresh();
        let mut store = Store::open(dir.path(), limit).unwrap().0;
        let (mut model, mut count, mut stale) = (State::new(), 0, None);
        for step in &steps {
            let Step::Commit(batch) = step else {
                store = reopen(dir.path(), limit, store, step, &mut stale);
                prop_assert_eq!(dump(&store), model.clone());
                continue;
            };
            count += batch.len() as u64;
            store.commit(batch.iter().map(|changes| draft("alttp", changes.clone())).collect()).unwrap();
            for Change { tree, key, value } in batch.iter().flatten().cloned() {
                match value {
                    Some(value) => model.insert((tree, key), value),
                    None => model.remove(&(tree, key)),
                };
            }
            prop_assert_eq!(store.last_seq(), count);
        }
        prop_assert_eq!(dump(&store), model.clone());
        prop_assert_eq!(replayed(&store.history()), model);
    }
}
