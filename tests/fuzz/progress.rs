//! What a generator prints.

use crate::{mutation::mutated, property::holds};
use campaignd::generation::progress::{Progress, ProgressReader};
use proptest::{collection::vec, prelude::*};

const LOG: &str = "Target: 190 samples\n\
    {\"done\":12,\"total\":190,\"quality\":0.81,\"stage\":\"rnaseq\"}\n\
    2026-03-02 09:14:02 - INFO - Progress: 38/190 (20.0%) acceptance rate: 93.5%\n\
    \r 45%|\x1b[32m####5     \x1b[0m| 86/190 [00:12<00:14,  7.1it/s]\r 46%|####6     | 88/190 [00:12<00:14,  7.2it/s]\n\
    [3/8] generated 120/190 quality=0.77\n\
    {\"event\":\"sample\",\"accepted\":true,\"quality_score\":0.9}\nCuration: 190/190 rows\n";

fn streams() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "190/190",
        "38/38",
        "1e400/2",
        "{\"done\":",
        "\r",
        "\n",
        "\x1b[",
        "\x1b]0;",
        "%|",
        "it/s]",
        "\0",
        "[1/8] ",
        "-5/10",
        "99999999999999999999/190",
        "quality: NaN",
        "acceptance: 150%",
        "}",
        "\"total\":0",
    ]);
    prop_oneof![
        mutated(LOG.as_bytes().to_vec()),
        vec(any::<u8>(), 0..400),
        vec(words, 0..40).prop_map(|words| words.concat().into_bytes()),
        // Around the longest line that is read.
        (65_530_usize..65_545, any::<u8>()).prop_map(|(length, byte)| [
            vec![byte; length],
            b"\n7/190\n".to_vec()
        ]
        .concat()),
    ]
}

fn read(bytes: &[u8], chunks: &[usize], target: u64) -> Progress {
    let mut reader = ProgressReader::new(target);
    let (mut rest, mut sizes) = (bytes, chunks.iter().cycle());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        reader.feed(piece);
        rest = behind;
    }
    reader.finish();
    reader.progress()
}

#[test]
fn progress_depends_on_the_bytes_and_not_on_their_chunks() {
    let input = (
        streams(),
        vec(1..50_usize, 1..8),
        prop_oneof![Just(190), 0..400_u64, Just(u64::MAX)],
    );
    let expected = ["counted", "silent", "quality", "rate"];
    holds(
        "progress",
        1,
        &expected,
        input,
        |(bytes, chunks, target), seen| {
            let progress = read(&bytes, &[usize::MAX], target);
            prop_assert_eq!(&progress, &read(&bytes, &chunks, target));
            let Progress {
                done,
                total,
                quality,
                acceptance,
                rate_per_second,
                lines,
                ignored,
                ..
            } = progress;
            seen.note(if done.is_some() { "counted" } else { "silent" });
            prop_assert!(done.is_none_or(|done| total.is_some_and(|total| done <= total)));
            prop_assert!(total.is_none_or(|total| total == target));
            for share in [quality, acceptance].into_iter().flatten() {
                seen.note("quality");
                prop_assert!((0.0..=1.0).contains(&share), "{}", share);
            }
            if let Some(rate) = rate_per_second {
                seen.note("rate");
                prop_assert!(rate.is_finite() && rate >= 0.0, "{}", rate);
            }
            prop_assert!(ignored <= lines);
            Ok(())
        },
    );
}
