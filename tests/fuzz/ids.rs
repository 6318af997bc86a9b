//! Names and numbers that stand in file names, keys and URLs.

use crate::property::holds;
use campaignd::{
    ids::{CampaignId, EffectId},
    time::{Timestamp, format_duration, parse_duration, two_units},
};
use proptest::prelude::*;
use std::{path::Path, time::Duration};

/// Texts near a name: letters, digits, dashes, and what must not be in one.
fn near_a_name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-zA-Z0-9_/.-]{0,8}(-[0-9]{0,22})?", 1 => any::<String>(), 1 => "[a-z]{60,70}(-[0-9])?"]
}

#[test]
fn a_campaign_name_is_one_plain_file_name() {
    let expected = ["accepted", "refused"];
    holds(
        "a_campaign_name",
        1,
        &expected,
        near_a_name(),
        |text, seen| {
            let Ok(id) = text.parse::<CampaignId>() else {
                seen.note("refused");
                return Ok(());
            };
            seen.note("accepted");
            prop_assert_eq!(id.to_string(), text.clone());
            // As a part of a path it stays below the directory.
            prop_assert_eq!(
                Path::new("/state").join(id.as_str()).components().count(),
                3
            );
            prop_assert!(!text.starts_with(['.', '-']) && text.len() <= 64);
            Ok(())
        },
    );
}

#[test]
fn an_effect_id_reads_back_and_is_written_in_one_way() {
    let expected = ["accepted", "refused"];
    holds("an_effect_id", 1, &expected, near_a_name(), |text, seen| {
        let Ok(id) = text.parse::<EffectId>() else {
            seen.note("refused");
            return Ok(());
        };
        seen.note("accepted");
        // Two spellings of one id would be two keys of one job.
        prop_assert_eq!(id.to_string(), text);
        Ok(())
    });
}

#[test]
fn any_instant_and_any_duration_can_be_shown() {
    holds(
        "any_instant",
        1,
        &[],
        (any::<i64>(), any::<i64>(), any::<u64>()),
        |(at, other, ms), _| {
            let (at, other) = (Timestamp(at), Timestamp(other));
            prop_assert!(!at.to_string().is_empty());
            let duration = Duration::from_millis(ms);
            prop_assert!(at.after(duration) >= at);
            prop_assert!(at.since(other).is_zero() || at > other);
            prop_assert!(!two_units(duration).is_empty());
            Ok(())
        },
    );
}

#[test]
fn a_duration_that_is_accepted_reads_back() {
    let text = prop_oneof![
        "([0-9]{1,22} ?(ms|s|m|h|d|y|weeks|us)? ?){0,4}",
        any::<String>()
    ];
    holds(
        "a_duration",
        1,
        &["accepted", "refused"],
        text,
        |text, seen| {
            match parse_duration(&text) {
                Ok(duration) => {
                    seen.note("accepted");
                    prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
                }
                Err(sentence) => {
                    seen.note("refused");
                    prop_assert!(sentence.contains("10s"));
                }
            }
            Ok(())
        },
    );
}
