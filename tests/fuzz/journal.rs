//! Segments of the journal: an opening gives the entries that were acknowledged or an error with a way back. The last
//! frame alone may be missing, since a frame that is cut short cannot be told from one that was never acknowledged.

use crate::{
    frames::{self, HEAD, HEADER},
    mutation::{anything, mutated},
    property::{Seen, holds},
};
use campaignd::store::{Change, Draft, Error, History, Opened, SEGMENT_LIMIT, Store, Tree};
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestCaseResult};
use std::{fs, path::Path};
use tempfile::TempDir;

/// How many entries the valid journal holds, one commit each.
const ENTRIES: u64 = 4;

fn draft(number: u64) -> Draft {
    Draft {
        at_ms: 1_772_442_842_000,
        uid: Some(1000),
        campaign: "alttp".into(),
        event: "job_lost".into(),
        what: format!("entry {number}"),
        payload: vec![7],
        changes: vec![Change {
            tree: Tree::Jobs,
            key: format!("alttp-{}", number % 3),
            value: Some(number.to_string().into_bytes()),
        }],
    }
}

/// A journal of [`ENTRIES`] entries, one commit each.
fn valid() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path(), SEGMENT_LIMIT).unwrap();
    for number in 1..=ENTRIES {
        store.commit(vec![draft(number)]).unwrap();
    }
    drop(store);
    fs::read(&frames::segments(dir.path())[0]).unwrap()
}

/// A state directory whose journal is `segment` alone.
fn store_of(segment: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("journal")).unwrap();
    fs::write(dir.path().join("journal/00000001.log"), segment).unwrap();
    dir
}

/// Entries as they read, and the error that ended the reading.
fn history(dir: &Path) -> (Vec<(u64, String)>, Option<Error>) {
    let mut entries = Vec::new();
    let all = match History::at(dir).entries(1) {
        Ok(all) => all,
        Err(error) => return (entries, Some(error)),
    };
    for entry in all {
        match entry {
            Ok(entry) => entries.push((entry.seq, entry.what)),
            Err(error) => return (entries, Some(error)),
        }
    }
    (entries, None)
}

fn has_a_way_back(error: &Error) -> TestCaseResult {
    prop_assert!(!error.way_back().is_empty());
    prop_assert!(
        !error.to_string().is_empty() && error.path().is_some(),
        "{}",
        error
    );
    Ok(())
}

fn written(last: u64) -> Vec<(u64, String)> {
    (1..=last)
        .map(|seq| (seq, format!("entry {seq}")))
        .collect()
}

/// What opening `segment` may lead to, when at least the first `acknowledged` entries are in it untouched.
fn opens_or_says_why(segment: &[u8], acknowledged: u64, seen: &Seen) -> TestCaseResult {
    let dir = store_of(segment);
    let (entries, failed) = history(dir.path());
    if let Some(error) = &failed {
        has_a_way_back(error)?;
    }
    match Store::open(dir.path(), SEGMENT_LIMIT) {
        Ok((store, Opened { last_seq, .. })) => {
            seen.note("opened");
            prop_assert!(
                last_seq >= acknowledged,
                "{} of {} entries",
                last_seq,
                acknowledged
            );
            prop_assert_eq!(history(dir.path()).0, written(last_seq));
            prop_assert_eq!(store.raw(Tree::Jobs).unwrap().len() as u64, last_seq.min(3));
        }
        Err(error) => {
            seen.note("refused");
            has_a_way_back(&error)?;
            prop_assert_eq!(fs::read(&frames::segments(dir.path())[0]).unwrap(), segment);
        }
    }
    // Readers never invent either.
    prop_assert!(written(ENTRIES).starts_with(&entries), "{:?}", entries);
    Ok(())
}

/// The entries before the last frame that begins before `at`: those may not vanish when bytes from `at` on go wrong.
fn whole_before(segment: &[u8], at: usize) -> u64 {
    let whole = frames::frames(segment)
        .into_iter()
        .filter(|(_, place)| place.end <= at);
    whole.map(|(seq, _)| seq).max().unwrap_or(0)
}

#[test]
fn a_journal_cut_at_any_byte_keeps_what_is_whole() {
    let segment = valid();
    let seen = Seen::default();
    for length in 0..segment.len() {
        let kept = whole_before(&segment, length);
        let outcome = opens_or_says_why(&segment[..length], kept, &seen);
        assert!(outcome.is_ok(), "the first {length} bytes: {outcome:?}");
    }
}

#[test]
fn a_flipped_bit_loses_nothing_in_front_of_the_last_frame() {
    let segment = valid();
    let last = frames::frames(&segment).pop().unwrap().1;
    let input = (any::<Index>(), 0..8_u8);
    holds(
        "a_flipped_bit",
        2,
        &["opened", "refused"],
        input,
        |(at, bit), seen| {
            let at = at.index(segment.len());
            let mut bytes = segment.clone();
            bytes[at] ^= 1 << bit;
            let before = if at < last.start {
                ENTRIES
            } else {
                ENTRIES - 1
            };
            opens_or_says_why(&bytes, before, seen)
        },
    );
}

#[test]
fn any_accident_leaves_entries_or_an_error() {
    let segment = valid();
    let input = prop_oneof![4 => mutated(segment.clone()), 1 => anything()];
    holds(
        "any_accident",
        2,
        &["opened", "refused"],
        input,
        |bytes, seen| {
            let same = bytes
                .iter()
                .zip(&segment)
                .take_while(|(new, old)| new == old)
                .count();
            // Behind the first wrong byte all may be torn, in front of it nothing may go.
            opens_or_says_why(&bytes, whole_before(&segment, same), seen)
        },
    );
}

#[test]
fn whole_frames_of_any_content_end_no_process() {
    let segment = valid();
    let bodies: Vec<Vec<u8>> = frames::frames(&segment)
        .into_iter()
        .map(|(_, place)| segment[place.start + HEAD..place.end].to_vec())
        .collect();
    let old = prop::sample::select(bodies);
    let body = prop_oneof![old.clone(), old.prop_flat_map(mutated), anything()];
    let number = prop_oneof![0..9_u64, Just(u64::MAX), any::<u64>()];
    let input = (number.clone(), vec((number, body), 0..7), any::<bool>());
    holds(
        "whole_frames",
        2,
        &["opened", "refused"],
        input,
        |(first, parts, kept), seen| {
            let mut bytes = if kept {
                segment.clone()
            } else {
                frames::header(&segment, 1, 1, first)
            };
            let seal = frames::seal(&bytes);
            for (seq, body) in parts {
                bytes.extend(frames::frame(seal, seq, &body));
            }
            let dir = store_of(&bytes);
            let (entries, failed) = history(dir.path());
            prop_assert!(!kept || failed.is_some() || entries.len() as u64 >= ENTRIES);
            match Store::open(dir.path(), SEGMENT_LIMIT) {
                Ok((_, opened)) => {
                    seen.note("opened");
                    prop_assert!(!kept || opened.last_seq >= ENTRIES);
                }
                Err(error) => {
                    seen.note("refused");
                    has_a_way_back(&error)?;
                    prop_assert_eq!(fs::read(&frames::segments(dir.path())[0]).unwrap(), bytes);
                }
            }
            Ok(())
        },
    );
}

#[test]
fn a_directory_in_place_of_a_segment_is_said() {
    let dir = store_of(&valid()[..HEADER]);
    fs::remove_file(dir.path().join("journal/00000001.log")).unwrap();
    fs::create_dir(dir.path().join("journal/00000001.log")).unwrap();
    let error = Store::open(dir.path(), SEGMENT_LIMIT)
        .err()
        .expect("it is no segment");
    assert!(error.way_back().contains("00000001.log"), "{error}");
    assert!(history(dir.path()).1.is_some());
}
