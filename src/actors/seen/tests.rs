//! Counting shards: alone, together, rewritten, and by several readers at once.

use super::*;
use std::fs;

const NOW: Timestamp = Timestamp(1_772_442_842_000);

struct House {
    dir: tempfile::TempDir,
    seen: Seen,
    id: CampaignId,
}

impl House {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            seen: Seen::default(),
            id: "alttp".parse().unwrap(),
        }
    }

    fn file(&self, shard: u32) -> PathBuf {
        self.dir.path().join(format!("shard-{shard}.jsonl"))
    }

    fn write(&self, shard: u32, ids: impl IntoIterator<Item = u32>) {
        let rows = ids.into_iter().map(|id| format!("{{\"id\":{id}}}\n"));
        fs::write(self.file(shard), rows.collect::<String>()).unwrap();
    }

    fn look_at(&self, shard: u32, now: Timestamp) -> ShardCount {
        let file = self.file(shard);
        self.seen
            .look(&self.id, Phase::Generate, shard, &file, now)
            .unwrap()
    }

    fn look(&self, shard: u32) -> ShardCount {
        self.look_at(shard, NOW)
    }

    fn distinct(&self) -> u64 {
        self.seen.count(&self.id, Phase::Generate).distinct
    }

    fn shared(&self) -> u64 {
        self.seen.shared_ids(&self.id, Phase::Generate)
    }
}

#[test]
fn shards_are_counted_each_for_itself_and_together() {
    let house = House::new();
    house.write(0, [1, 2, 3, 3]);
    house.write(1, [3, 4]);
    let first = ShardCount {
        rows: 4,
        distinct: 3,
        invalid: 0,
        duplicates: 1,
    };
    assert_eq!(house.look(0), first);
    assert_eq!(house.look(0), first, "nothing is counted twice");
    let second = ShardCount {
        rows: 2,
        distinct: 2,
        ..ShardCount::default()
    };
    assert_eq!(house.look(1), second);
    assert_eq!((house.distinct(), house.shared()), (4, 1));
}

#[test]
fn a_shard_that_is_another_file_counts_anew_and_so_do_the_others() {
    let house = House::new();
    house.write(0, [1, 2, 3]);
    house.write(1, [3, 4]);
    house.look(0);
    house.look(1);
    fs::remove_file(house.file(0)).unwrap();
    house.write(0, [5]);
    assert_eq!(house.look(0).distinct, 1);
    assert_eq!((house.distinct(), house.shared()), (3, 0), "3, 4 and 5");
    assert_eq!(house.look(1).distinct, 2);
}

#[test]
fn readers_at_the_same_time_count_each_row_once() {
    let house = House::new();
    // More than one piece of reading, so that they do meet.
    for shard in 0..3 {
        house.write(shard, shard * 100_000..(shard + 1) * 100_000);
    }
    std::thread::scope(|scope| {
        for number in 0..6 {
            let house = &house;
            scope.spawn(move || assert_eq!(house.look(number % 3).distinct, 100_000));
        }
    });
    assert_eq!((house.distinct(), house.shared()), (300_000, 0));
}

#[test]
fn what_stood_there_at_the_first_look_is_no_speed() {
    let house = House::new();
    house.write(0, 0..10);
    house.write(1, 100..1_000);
    house.look(0);
    house.look_at(1, Timestamp(NOW.0 + 1_000));
    let rate = || house.seen.count(&house.id, Phase::Generate).rate_per_second;
    assert_eq!(rate(), None);
    house.write(0, 0..30);
    house.look_at(0, Timestamp(NOW.0 + 3_000));
    assert_eq!(rate(), Some(10.0));
}

#[test]
fn a_shard_that_was_cut_counts_what_is_left() {
    let house = House::new();
    house.write(0, 0..10);
    house.write(1, 5..15);
    house.look(0);
    house.look(1);
    assert_eq!((house.distinct(), house.shared()), (15, 5));
    // In place, so that it is the same file: once behind a whole row, once within one.
    let text = fs::read(house.file(0)).unwrap();
    for (length, rows) in [(text.len() - 9, 9), (text.len() - 12, 8)] {
        let file = fs::File::options().write(true).open(house.file(0)).unwrap();
        file.set_len(length as u64).unwrap();
        let count = house.look(0);
        assert_eq!((count.rows, count.distinct), (rows, rows));
        assert_eq!(house.distinct(), 10 + 5, "0 to 4 stand nowhere else");
    }
}

#[test]
fn a_shard_that_cannot_be_read_costs_the_others_nothing() {
    let house = House::new();
    for shard in 0..3 {
        house.write(shard, shard * 10..shard * 10 + 10);
        house.look(shard);
    }
    fs::remove_file(house.file(1)).unwrap();
    fs::create_dir(house.file(1)).unwrap();
    fs::remove_file(house.file(0)).unwrap();
    house.write(0, [99]);
    let file = house.file(0);
    let looked = house.seen.look(&house.id, Phase::Generate, 0, &file, NOW);
    assert!(looked.is_err(), "shard 1 is a directory");
    assert_eq!(house.distinct(), 1 + 10, "99, and all of shard 2");
}

#[test]
fn an_ended_campaign_keeps_its_counts_and_is_counted_again_when_it_goes_on() {
    let house = House::new();
    let rows = |shard: u32| format!("{{\"id\":{shard},\"quality_score\":0.{shard}}}\n");
    for shard in 1..3 {
        fs::write(house.file(shard), rows(shard) + &rows(7)).unwrap();
        house.look(shard);
    }
    let before = house.seen.count(&house.id, Phase::Generate);
    assert_eq!((before.distinct, before.duplicates), (3, 1));
    let scores = || house.seen.latest_scores(&house.id, Phase::Generate, 2);
    let (latest, tally) = (scores(), || house.seen.tally(&house.id, Phase::Generate));
    for _ in 0..2 {
        house.seen.rest(&house.id);
        assert_eq!(house.seen.count(&house.id, Phase::Generate), before);
        assert_eq!(scores(), latest);
        assert_eq!(tally().distinct(), 0, "its samples are forgotten");
    }
    fs::write(house.file(3), rows(3) + &rows(7)).unwrap();
    assert_eq!(house.look(3).distinct, 2);
    assert_eq!((house.distinct(), house.shared()), (4, 2), "1, 2, 3 and 7");
    assert_eq!(tally().distinct(), 4);
}

#[test]
fn workers_that_make_no_samples_are_added_up_and_have_a_speed() {
    let seen = Seen::default();
    let id: CampaignId = "alttp".parse().unwrap();
    let report = |round, piece: &str, done, total, second: i64| {
        let said = Reported { done, total };
        let at = Timestamp(second * 1000);
        seen.report(&id, (Phase::Train, round), piece, said, at);
        seen.count(&id, Phase::Train)
    };
    report(1, "run-1-a", 10, 100, 0);
    report(1, "run-1-b", 0, 50, 1);
    let count = report(1, "run-1-a", 30, 100, 11);
    let said: Vec<(u64, u64)> = count
        .reported
        .values()
        .map(|said| (said.done, said.total))
        .collect();
    assert_eq!(said, [(30, 100), (0, 50)]);
    assert_eq!(count.rate_per_second, Some(2.0), "20 steps in 10 seconds");
    let one = seen.reported(&id, Phase::Train, "run-1-b");
    assert_eq!(one, Some(Reported { done: 0, total: 50 }));
    let stage = report(1, "run-1-a", 1, 80, 12);
    assert_eq!(stage.rate_per_second, None, "another stage is no speed");
    let next = report(2, "run-2-a", 5, 10, 13);
    let runs: Vec<&String> = next.reported.keys().collect();
    assert_eq!(runs, ["run-2-a"], "an earlier cycle is forgotten");
}
