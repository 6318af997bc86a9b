//! What is counted, and that no order can change it.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn facts<'a>(kind: &'a str, outcome: &'a str, quality: f64) -> Facts<'a> {
    Facts {
        analysis_type: Some(kind),
        organism: Some("human"),
        complexity: Some("simple"),
        outcome: Some(outcome),
        quality: Some(quality),
        quality_parts: vec![("lint", 1.0), ("diversity", quality)],
        training_value: Some(0.5),
        tokens: Some(900),
        cost_usd: Some(0.0125),
        models: vec![("local-7b", 2)],
        errors: vec!["MEMORY", "missing_container", "MEMORY"],
        split: Split::Train,
        duplicate_of_score: None,
    }
}

/// A small data set with something of everything.
fn small() -> Stats {
    let mut stats = Stats::default();
    stats.add(&facts("rna_seq", "success", 0.9));
    stats.add(&Facts {
        split: Split::Test,
        duplicate_of_score: Some(0.62),
        ..facts("rna_seq", "max_cycles_exceeded", 0.8)
    });
    stats.add(&Facts {
        organism: None,
        quality: Some(f64::NAN),
        cost_usd: Some(-1.0),
        tokens: None,
        models: Vec::new(),
        errors: Vec::new(),
        split: Split::Validation,
        ..facts("chip_seq", "success", 1.0)
    });
    stats.removed(Reason::InvalidJson, None);
    stats.removed(Reason::NearDuplicate, Some(0.875));
    stats.removed(Reason::NearDuplicate, Some(1.0));
    stats.removed(Reason::DuplicateId, None);
    stats.note("json_array", 1);
    stats.row(DataSet::Codegen, Split::Train, 120, 800);
    stats.row(DataSet::Codegen, Split::Test, 130, 700);
    stats.row(DataSet::Routing, Split::Train, 40, 60);
    stats.in_no_set();
    stats.component(Split::Train, 1);
    stats.component(Split::Validation, 1);
    stats.component(Split::Test, 1);
    stats
}

fn json_of(stats: Stats) -> Value {
    serde_json::to_value(stats.finish()).unwrap()
}

/// `CAMPAIGND_GOLDEN=1` prints what should be in the file.
#[test]
fn stats_are_golden() {
    let text = serde_json::to_string_pretty(&small().finish()).unwrap() + "\n";
    if option_env!("CAMPAIGND_GOLDEN").is_some() {
        println!("{text}");
    }
    assert_eq!(
        text,
        include_str!("../../../tests/golden/curation/stats.json")
    );
    let back: Summary = serde_json::from_str(&text).unwrap();
    assert_eq!(back, small().finish());
}

#[test]
fn every_field_of_the_specification_is_there() {
    let stats = json_of(small());
    for field in [
        "total_trajectories",
        "by_outcome",
        "by_analysis_type",
        "by_organism",
        "by_complexity",
        "token_distribution",
        "cost_distribution",
        "error_patterns",
        "model_usage",
    ] {
        assert!(stats.get(field).is_some(), "{field}");
    }
    assert_eq!(stats["by_outcome"]["execution_failed"], 0);
    assert_eq!(stats["by_outcome"]["success"], 2);
    assert_eq!(stats["token_distribution"]["p95"], 900);
    assert_eq!(stats["error_patterns"]["MEMORY"], 4);
    assert_eq!(stats["model_usage"]["local-7b"]["calls"], 4);
    assert_eq!(stats["rows_in"], 7);
    assert_eq!(stats["unreadable"], json!({ "invalid_json": 1 }));
    // NaN is no quality and a negative price no cost: said, not summed.
    assert_eq!(stats["without"]["quality"], 1);
    assert_eq!(stats["without"]["cost_usd"], 1);
    assert_eq!(stats["quality"]["mean"], 0.85);
}

#[test]
fn nothing_at_all_is_nulls_and_zeros() {
    let stats = json_of(Stats::default());
    assert_eq!(stats["quality"]["mean"], Value::Null);
    assert_eq!(stats["token_distribution"]["p95"], Value::Null);
    assert_eq!(stats["components"]["largest_share"], Value::Null);
    assert_eq!(stats["balance"]["effective_sample_size"], Value::Null);
    assert_eq!(stats["splits"]["test_unseen_template"], 0);
    assert_eq!(stats["datasets"], json!({}));
    let back: Summary = serde_json::from_value(stats).unwrap();
    assert_eq!(back, Stats::default().finish());
}

#[test]
fn percentiles_are_nearest_ranks_and_histograms_hold_every_row() {
    let mut metric = Metric::new(WHOLE);
    (1..=100).rev().for_each(|value| {
        metric.add(f64::from(value));
    });
    let spread = metric.clone().distribution(false);
    assert_eq!(
        (spread.p5, spread.median, spread.p95, spread.max),
        (Some(5.0), Some(50.0), Some(95.0), Some(100.0))
    );
    assert_eq!(spread.histogram.counts.iter().sum::<u64>(), 100);
    // One giant does not flatten the rest.
    metric.add(1e6);
    let spread = metric.distribution(false);
    assert_eq!(spread.histogram.edges.last(), Some(&100.0));
    assert_eq!(spread.histogram.above, 1);
    assert_eq!(spread.histogram.counts.iter().sum::<u64>(), 100);
}

#[test]
fn strata_of_one_size_are_worth_all_their_rows() {
    let even: Counts = [("a".to_owned(), 50), ("b".to_owned(), 50)].into();
    assert_eq!(balance(&even).effective_sample_size, Some(100.0));
    assert_eq!(balance(&even).effective_strata, Some(2.0));
    let uneven: Counts = [("a".to_owned(), 99), ("b".to_owned(), 1)].into();
    assert_eq!(balance(&uneven).effective_sample_size, Some(3.96));
    assert!(balance(&uneven).effective_strata.unwrap() < 1.03);
}

#[test]
fn too_many_names_are_counted_together_the_same_in_any_order() {
    let count = |order: &mut dyn Iterator<Item = u32>| {
        let mut names = Names::new(8);
        order.for_each(|n| names.add(&format!("name {}", n % 500), 1));
        names.finish()
    };
    let forward = count(&mut (0..5000));
    assert_eq!(forward, count(&mut (0..5000).rev()));
    assert_eq!(forward.len(), 9);
    assert_eq!(forward.values().sum::<u64>(), 5000);
    assert_eq!(forward[OTHER], 4920);
    let mut long = Names::new(8);
    long.add(&"é".repeat(5000), 1);
    assert_eq!(long.finish().keys().next().unwrap().chars().count(), 121);
}

#[test]
fn one_name_is_one_name_wherever_it_is_counted() {
    let mut stats = Stats::default();
    for n in 0..3 {
        let (kind, organism) = (format!("{}{n}", "k".repeat(n)), "x".repeat(300));
        stats.add(&Facts {
            organism: Some(&organism),
            ..facts(&kind, "success\u{1f}or\nnot", 0.5)
        });
    }
    let summary = stats.finish();
    let table = &summary.by_analysis_type_and_organism;
    assert_eq!(table.len(), 3);
    for cells in table.values() {
        assert!(cells.keys().eq(summary.by_organism.keys()), "{cells:?}");
    }
    assert_eq!(summary.by_outcome["success or not"], 3);
}

#[test]
fn sizes_of_components_double() {
    let mut stats = Stats::default();
    for rows in [1, 1, 2, 3, 4, 7, 8] {
        stats.component(Split::Train, rows);
    }
    let components = stats.finish().components;
    assert_eq!(components.sizes, vec![(1, 2), (2, 2), (4, 2), (8, 1)]);
    assert_eq!(components.largest, 8);
    assert_eq!(components.by_split[&Split::Train].rows, 26);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_order_of_rows_changes_no_byte(
        rows in prop::collection::vec((0_usize..3, 0.0..1.0_f64, 0_u64..9000, 0.0..0.3_f64), 1..60),
        turn in any::<prop::sample::Index>(),
    ) {
        let kinds = ["rna_seq", "chip_seq", "wgs"];
        let all = |rows: &[(usize, f64, u64, f64)]| {
            let mut stats = Stats::default();
            for (kind, quality, tokens, cost) in rows {
                stats.add(&Facts {
                    tokens: Some(*tokens),
                    cost_usd: Some(*cost),
                    split: Split::ALL[*kind],
                    ..facts(kinds[*kind], "success", *quality)
                });
                stats.row(DataSet::Samples, Split::ALL[*kind], *tokens, *tokens / 2);
                stats.removed(Reason::NearDuplicate, Some(*quality));
            }
            serde_json::to_string(&stats.finish()).unwrap()
        };
        let mut turned = rows.clone();
        turned.rotate_left(turn.index(rows.len()));
        turned.reverse();
        prop_assert_eq!(all(&rows), all(&turned));
    }
}
