//! Tallies of single rows, of mixes, and what holds for all of them.

use proptest::prelude::*;

use super::*;

fn tally(lines: &[&str]) -> Tally {
    let mut tally = Tally::default();
    lines
        .iter()
        .for_each(|line| tally.add_line(line.as_bytes()));
    tally
}

#[test]
fn nothing_observed_has_no_quality() {
    for lines in [
        &[][..],
        &["", "  \n"],
        &["not json"],
        &[r#"{"id":"a"}"#],
        &[r#"{"id":"a","quality_score":7}"#],
    ] {
        let tally = tally(lines);
        assert_eq!(
            (tally.quality(), tally.scores()),
            (None, vec![]),
            "{lines:?}"
        );
    }
}

#[test]
fn every_row_is_distinct_duplicate_or_invalid() {
    let tally = tally(&[
        r#"{"id":"a","quality_score":0.5}"#,
        r#"{"id":"a","quality_score":1.0}"#,
        r#"{"id":1,"quality_score":1.0}"#,
        r#"{"id":1.0}"#,
        r#"{"id":"1","extra":{"id":"x"},"list":[1]}"#,
        r#"{"id":18446744073709551615}"#,
        r#"{"id":18446744073709551614}"#,
        "",
        "nonsense",
        "[1,2]",
        "3",
        r#"["a",0.5,true]"#,
        r#"{"quality_score":0.9}"#,
        r#"{"id":null}"#,
        r#"{"id":""}"#,
        r#"{"id":[1]}"#,
        r#"{"id":true}"#,
        r#"{"id":{"a":1}}"#,
        r#"{"id":"torn","qual"#,
        r#"{"id":"b","quality_score":NaN}"#,
    ]);
    assert_eq!(
        (
            tally.rows(),
            tally.distinct(),
            tally.duplicates(),
            tally.invalid()
        ),
        (19, 5, 2, 12)
    );
    assert_eq!(
        (tally.scored(), tally.scores()),
        (2, vec![0.5, 1.0, 0.0, 0.0, 0.0])
    );
    assert_eq!(tally.quality(), Some(0.3));
}

#[test]
fn a_bad_score_counts_as_missing_and_is_counted() {
    let bad = [
        "-0.1",
        "1.1",
        "\"0.9\"",
        "[0.9]",
        "{}",
        "true",
        "1e300",
        "18446744073709551615",
    ];
    let mut tally = tally(&[
        r#"{"id":"good","quality_score":1}"#,
        r#"{"id":"none","quality_score":null}"#,
    ]);
    for (i, score) in bad.iter().enumerate() {
        tally.add_line(format!(r#"{{"id":{i},"quality_score":{score}}}"#).as_bytes());
    }
    assert_eq!(
        (tally.bad_score(), tally.scored(), tally.distinct()),
        (8, 1, 10)
    );
    assert_eq!(tally.quality(), Some(0.1));
}

#[test]
fn accepted_shares_count_only_without_scores() {
    let mut rows = vec![
        r#"{"id":1,"accepted":true}"#,
        r#"{"id":2,"accepted":false}"#,
        r#"{"id":3}"#,
        r#"{"id":4,"accepted":"yes"}"#,
    ];
    let share = tally(&rows);
    assert_eq!((share.quality(), share.accepted()), (Some(0.25), 1));
    assert_eq!(share.scores(), [1.0, 0.0, 0.0, 0.0]);
    rows.push(r#"{"id":5,"quality_score":0.5}"#);
    assert_eq!(
        tally(&rows).quality(),
        Some(0.1),
        "in a mix a missing score counts 0"
    );
}

#[test]
fn hashes_are_stable_and_spread() {
    assert_eq!(
        stable_hash(b's', b"sample-1"),
        stable_hash(b's', b"sample-1")
    );
    let mut tally = Tally::default();
    for i in 0..50_000 {
        tally.add_line(format!(r#"{{"id":"sample-{i:05}"}}"#).as_bytes());
        tally.add_line(format!(r#"{{"id":{i}}}"#).as_bytes());
    }
    assert_eq!((tally.distinct(), tally.duplicates()), (100_000, 0));
}

/// Rows of which every id always has the same content, so that first occurrence makes no difference.
fn consistent_rows() -> impl Strategy<Value = Vec<String>> {
    let row = (0_u32..30).prop_map(|id| match id % 5 {
        0 => format!(r#"{{"id":{id},"quality_score":{}}}"#, f64::from(id) / 30.0),
        1 => format!(r#"{{"id":"s{id}","quality_score":0.3,"accepted":true}}"#),
        2 => format!(r#"{{"id":{id},"quality_score":-1}}"#),
        3 => format!(r#"{{"id":{id},"accepted":{}}}"#, id % 2 == 0),
        _ => "broken".to_owned(),
    });
    prop::collection::vec(row, 0..60)
}

fn of(rows: &[String]) -> Tally {
    let mut tally = Tally::default();
    rows.iter().for_each(|row| tally.add_line(row.as_bytes()));
    tally
}

fn summary(tally: &Tally) -> (Vec<u64>, Option<f64>, Vec<f64>) {
    let counts = vec![
        tally.rows(),
        tally.distinct(),
        tally.duplicates(),
        tally.invalid(),
        tally.bad_score(),
        tally.scored(),
        tally.accepted(),
    ];
    let mut scores = tally.scores();
    scores.sort_by(f64::total_cmp);
    (counts, tally.quality(), scores)
}

proptest! {
    #[test]
    fn order_does_not_matter(rows in consistent_rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()))) {
        prop_assert_eq!(summary(&of(&rows.0)), summary(&of(&rows.1)));
    }

    #[test]
    fn shards_count_as_one_file_and_each_for_itself(rows in prop::collection::vec((0_u32..3, 0_usize..40), 0..60), all in consistent_rows()) {
        let rows: Vec<(u32, &String)> = rows.iter().filter_map(|(shard, at)| Some((*shard, all.get(*at)?))).collect();
        let (mut whole, mut union) = (Tally::default(), Tally::default());
        let mut each = [Tally::default(), Tally::default(), Tally::default()];
        let mut counted = [[0; 4]; 3];
        for (shard, row) in rows {
            let here = shard as usize;
            whole.add_line(row.as_bytes());
            each[here].add_line(row.as_bytes());
            counted[here][union.add(shard, Line::read(row.as_bytes())) as usize] += 1;
        }
        prop_assert_eq!(summary(&union), summary(&whole));
        prop_assert_eq!(union.scores(), whole.scores());
        for (own, counted) in each.iter().zip(counted) {
            prop_assert_eq!([0, own.invalid(), own.distinct(), own.duplicates()], counted);
        }
        let distinct: u64 = each.iter().map(Tally::distinct).sum();
        prop_assert_eq!(union.shared(), distinct - union.distinct());
    }

    #[test]
    fn the_latest_scores_are_the_end_of_all(rows in consistent_rows(), most in 0_usize..60) {
        let tally = of(&rows);
        let all = tally.scores();
        prop_assert_eq!(tally.latest_scores(most), all[all.len().saturating_sub(most)..].to_vec());
    }

    #[test]
    fn random_lines_do_no_harm(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..40)) {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.add_line(line));
        prop_assert_eq!(tally.rows(), tally.distinct() + tally.duplicates() + tally.invalid());
        prop_assert!(tally.quality().is_none_or(|quality| (0.0..=1.0).contains(&quality)));
    }

    #[test]
    fn quality_is_the_mean_of_scores(rows in consistent_rows()) {
        let tally = of(&rows);
        let scores = tally.scores();
        match tally.quality() {
            None => prop_assert!(scores.is_empty()),
            Some(quality) => {
                let mean = scores.iter().sum::<f64>() / scores.len() as f64;
                prop_assert!((mean - quality).abs() < 1e-12);
            }
        }
    }
}
