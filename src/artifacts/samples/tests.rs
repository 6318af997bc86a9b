//! Shard files as generators leave them, and samples drawn from them.

use super::*;
use crate::manifest::StateDir;
use std::path::Path;

fn campaign(dir: &Path, files: &[(&str, u32, &str)]) -> CampaignManifest {
    let campaign = StateDir::new(dir).campaign(&"c".parse().unwrap());
    for (phase, number, text) in files {
        fs::create_dir_all(campaign.data(phase)).unwrap();
        fs::write(campaign.shard(phase, *number), text).unwrap();
    }
    campaign
}

fn rows(ids: impl Iterator<Item = usize>) -> String {
    ids.map(|id| format!("{{\"id\":\"s-{id}\",\"n\":{id}}}\n"))
        .collect()
}

fn drawn(campaign: &CampaignManifest, count: usize, seed: u64) -> Vec<String> {
    let sampled = sample(campaign, count, seed, 1 << 20, |_| true).unwrap();
    sampled.rows.into_iter().map(|(_, id, _)| id).collect()
}

#[test]
fn shards_come_in_order_and_a_torn_line_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        ("generate", 10, "{\"id\":4}\n{\"id\":"),
        ("generate", 2, "{\"id\":\"c\"}\r\n\n{\"id\":\"d\"}\n"),
        ("pilot", 0, "{\"id\":\"a\"}\nno json\n"),
    ];
    let campaign = campaign(dir.path(), &files);
    fs::write(campaign.data("pilot").join("shard-x.jsonl"), "{}\n").unwrap();
    for most in [1, PIECE] {
        let mut samples = Samples::of(&campaign).unwrap();
        let mut found = Vec::new();
        while samples
            .read(most, |shard, number, line| {
                found.push((shard.phase, shard.number, number, id(line)));
            })
            .unwrap()
        {}
        let some = |id: &str| Some(id.to_string());
        let expected = [
            ("pilot", 0, 1, some("a")),
            ("pilot", 0, 2, None),
            ("generate", 2, 1, some("c")),
            ("generate", 2, 3, some("d")),
            ("generate", 10, 1, some("4")),
        ];
        assert_eq!(found, expected);
    }
}

#[test]
fn an_id_is_text_or_a_number_of_a_line_that_all_can_read() {
    assert_eq!(id(b"{\"x\":[1],\"id\":\"a\"}").as_deref(), Some("a"));
    assert_eq!(id(b"{\"id\":17}").as_deref(), Some("17"));
    for none in [
        &b"{\"id\":\"\"}"[..],
        b"{\"id\":null}",
        b"{}",
        b"[1]",
        b"{\"id\":\"a\"} b",
        b"{\"id\":\"a\",\"x\":\"\xff\"}",
        b"{\"id\":\"a\",\"x\":\"\\ud800\"}",
        b"{\"id\":\"a\",\"x\":NaN}",
        b"{\"id\":\"a\",\"x\":1e999}",
        format!(
            "{{\"id\":\"a\",\"x\":{}1{}}}",
            "[".repeat(200),
            "]".repeat(200)
        )
        .as_bytes(),
    ] {
        assert_eq!(id(none), None, "{}", String::from_utf8_lossy(none));
    }
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(
        id(format!("{{\"x\":{deep},\"id\":1}}").as_bytes()).as_deref(),
        Some("1")
    );
}

#[test]
fn the_first_line_of_an_id_is_found_however_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let text = "{\"id\":\"x\",\"about\":\"t-1\"}\n{\"id\":\"\\u0074-1\",\"n\":1}\n{\"id\":\"t-1\",\"n\":2}\n{\"id\":\"a\\/\u{e9}\"}\n";
    let campaign = campaign(dir.path(), &[("pilot", 0, text)]);
    let (shard, line) = find(&campaign, "t-1").unwrap().unwrap();
    assert_eq!(shard.phase, "pilot");
    assert!(String::from_utf8(line).unwrap().contains("\"n\":1"));
    assert!(find(&campaign, "a/\u{e9}").unwrap().is_some());
    assert!(find(&campaign, "t-2").unwrap().is_none());
    let nothing = StateDir::new(dir.path()).campaign(&"none".parse().unwrap());
    assert!(find(&nothing, "t-1").unwrap().is_none());
}

#[test]
fn a_sample_does_not_depend_on_the_files_and_begins_with_the_smaller_one() {
    let dir = tempfile::tempdir().unwrap();
    let one = campaign(&dir.path().join("1"), &[("pilot", 0, &rows(0..300))]);
    let (even, odd) = (
        rows((0..300).rev().step_by(2)),
        rows((0..300).rev().skip(1).step_by(2)),
    );
    let twice = rows(0..50).replace("\"n\":", "\"again\":");
    let files = [
        ("pilot", 0, even.as_str()),
        ("generate", 0, &odd),
        ("generate", 1, &twice),
    ];
    let other = campaign(&dir.path().join("2"), &files);
    let sample_of_40 = drawn(&one, 40, 7);
    assert_eq!(sample_of_40.len(), 40);
    assert_eq!(drawn(&other, 40, 7), sample_of_40);
    assert_eq!(drawn(&one, 10, 7), sample_of_40[..10]);
    assert_ne!(drawn(&one, 40, 8), sample_of_40);
    let all = sample(&other, 1000, 7, 1 << 20, |_| true).unwrap();
    assert_eq!((all.population, all.rows.len()), (300, 300));
    for (_, id, line) in &all.rows {
        assert_eq!(super::id(line).as_ref(), Some(id));
        assert!(
            !line.windows(5).any(|word| word == b"again"),
            "the first line counts"
        );
    }
}

/// Each of 60 samples is in 1,000 samples of 15 about 250 times: chi-square with 59 degrees, 99.99 % of it below 107.
#[test]
fn a_sample_is_uniform() {
    let dir = tempfile::tempdir().unwrap();
    let campaign = campaign(dir.path(), &[("pilot", 0, &rows(0..60))]);
    let mut counts = std::collections::HashMap::new();
    for seed in 0..1000 {
        for id in drawn(&campaign, 15, seed) {
            *counts.entry(id).or_insert(0u32) += 1;
        }
    }
    assert_eq!(counts.len(), 60);
    let squares = counts.values().map(|n| (f64::from(*n) - 250.0).powi(2));
    // A draw without putting back varies less than one with: 250 * (1 - 15/60).
    let chi_square = squares.sum::<f64>() / (250.0 * 0.75);
    assert!(chi_square < 107.0, "{chi_square}");
}

#[test]
fn a_sample_is_bounded_and_can_pass_some_over() {
    let dir = tempfile::tempdir().unwrap();
    let campaign = campaign(dir.path(), &[("pilot", 0, &rows(0..20))]);
    let error = sample(&campaign, 20, 0, 50, |_| true).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    let first = drawn(&campaign, 20, 0).remove(0);
    let rest = sample(&campaign, 20, 0, 1 << 20, |id| id != first).unwrap();
    assert_eq!((rest.population, rest.rows.len()), (19, 19));
}

#[test]
fn a_file_that_is_replaced_meanwhile_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let campaign = campaign(dir.path(), &[("pilot", 0, &rows(0..20))]);
    for replace in [true, false] {
        let mut samples = Samples::of(&campaign).unwrap();
        assert!(samples.read(1, |_, _, _| {}).unwrap());
        let path = campaign.shard("pilot", 0);
        fs::rename(&path, path.with_extension("old")).unwrap();
        if replace {
            fs::write(&path, rows(0..5)).unwrap();
        }
        assert!(samples.read(1, |_, _, _| {}).is_err(), "{replace}");
    }
}
