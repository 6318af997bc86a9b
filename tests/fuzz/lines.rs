//! Sample files, which generators of all kinds append to while they are read.

use crate::{mutation::mutated, property::holds};
use campaignd::{
    artifacts::{
        jsonl::{JsonlReader, Line, cut_torn_tail},
        rows::RowReader,
    },
    generation::tally::Tally,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::Value;
use std::{fs, io::Write, path::Path};

const ROWS: &str = "{\"id\":\"q-1\",\"quality_score\":0.9,\"accepted\":true,\"text\":\"align \\u00e9\"}\n\
    {\"id\":2,\"quality_score\":0.7}\n\n{\"id\":\"q-3\",\"accepted\":false}\r\n{\"quality_score\":0.5}\n[1,2]\n\
    {\"id\":\"q-1\",\"quality_score\":0.1}\n{\"id\":\"q-5\",\"quality_score\":7}\n";

fn files() -> impl Strategy<Value = Vec<u8>> {
    let letters = b"{}\"id:1,.-\n\r \xff\x00[]".to_vec();
    prop_oneof![
        3 => mutated(ROWS.as_bytes().to_vec()),
        1 => vec(prop::sample::select(letters), 0..300),
        1 => vec(any::<u8>(), 0..300),
    ]
}

fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    &bytes[..end]
}

/// Reads a file that grows to `bytes` in pieces, as a monitor does; the tally and every line with its number.
fn follow(path: &Path, bytes: &[u8], cuts: &[Index], most: u64) -> (Tally, Vec<(u64, Vec<u8>)>) {
    let mut ends: Vec<usize> = cuts
        .iter()
        .map(|at| at.index(bytes.len() + 1))
        .chain([bytes.len()])
        .collect();
    ends.sort_unstable();
    let mut file = fs::File::create(path).unwrap();
    let (mut tally, mut lines, mut written) = (Tally::default(), Vec::new(), 0);
    let mut reader = RowReader::new(path);
    for end in ends {
        file.write_all(&bytes[written..end]).unwrap();
        written = end;
        loop {
            let found = reader.read_new(most, |number, line| {
                tally.add_line(line);
                lines.push((number, line.to_vec()));
            });
            let found = found.unwrap();
            assert!(!found.restarted, "the file only grew");
            if !found.more {
                break;
            }
        }
        // A daemon that starts again goes on from the cursor alone.
        reader = RowReader::resume(path, reader.cursor());
    }
    (tally, lines)
}

#[test]
fn every_whole_row_is_counted_once_however_the_file_grows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("samples.jsonl");
    let input = (files(), vec(any::<Index>(), 0..5), 1..200_u64);
    let expected = ["samples", "invalid", "duplicates", "bad score", "torn"];
    holds(
        "every_whole_row",
        1,
        &expected,
        input,
        |(bytes, cuts, most), seen| {
            let whole = whole_lines(&bytes);
            let (tally, lines) = follow(&path, &bytes, &cuts, most);
            let expected = whole
                .split_inclusive(|&byte| byte == b'\n')
                .map(|line| line[..line.len() - 1].to_vec());
            prop_assert_eq!(lines, (1..).zip(expected).collect::<Vec<_>>());
            prop_assert_eq!(
                tally.rows(),
                tally.distinct() + tally.duplicates() + tally.invalid()
            );
            let quality = tally.quality();
            prop_assert!(
                quality.is_none_or(|quality| (0.0..=1.0).contains(&quality)),
                "{:?}",
                quality
            );
            prop_assert!(quality.is_none() || tally.scores().len() as u64 == tally.distinct());
            for (what, count) in [
                ("samples", tally.distinct()),
                ("invalid", tally.invalid()),
                ("duplicates", tally.duplicates()),
                ("bad score", tally.bad_score()),
                ("torn", (bytes.len() - whole.len()) as u64),
            ] {
                if count > 0 {
                    seen.note(what);
                }
            }
            Ok(())
        },
    );
}

#[test]
fn only_a_torn_tail_is_cut_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("samples.jsonl");
    holds(
        "only_a_torn_tail",
        1,
        &["cut", "whole"],
        files(),
        |bytes, seen| {
            fs::write(&path, &bytes).unwrap();
            let cut = cut_torn_tail(&path).unwrap();
            let whole = whole_lines(&bytes);
            prop_assert_eq!(cut.unwrap_or(0), (bytes.len() - whole.len()) as u64);
            prop_assert_eq!(&fs::read(&path).unwrap(), whole);
            prop_assert_eq!(cut_torn_tail(&path).unwrap(), None);
            seen.note(if cut.is_some() { "cut" } else { "whole" });
            Ok(())
        },
    );
}

#[test]
fn every_line_is_a_row_or_is_told() {
    holds(
        "every_line",
        1,
        &["row", "invalid", "torn"],
        (files(), 1..60_usize),
        |(bytes, longest), seen| {
            let mut reader = JsonlReader::<_, Value>::with_max_line(&bytes[..], longest);
            let mut numbers = Vec::new();
            for line in reader.by_ref() {
                numbers.push(match line.unwrap() {
                    Line::Row { line_no, .. } => {
                        seen.note("row");
                        line_no
                    }
                    Line::Invalid { line_no, why } => {
                        seen.note("invalid");
                        prop_assert!(!why.is_empty() && !why.contains('\n'));
                        line_no
                    }
                });
            }
            let whole = whole_lines(&bytes);
            let filled = whole.split(|&byte| byte == b'\n').zip(1..);
            let filled =
                filled.filter(|(line, _)| line.len() > longest || !line.trim_ascii().is_empty());
            prop_assert_eq!(
                numbers,
                filled.map(|(_, number)| number).collect::<Vec<u64>>()
            );
            prop_assert_eq!(reader.torn_bytes(), (bytes.len() - whole.len()) as u64);
            if reader.torn_bytes() > 0 {
                seen.note("torn");
            }
            Ok(())
        },
    );
}
