//! The reader as a whole: what streams say, and what holds for every stream.

use proptest::prelude::*;

use super::*;

fn read(target: u64, bytes: &[u8]) -> Progress {
    let mut reader = ProgressReader::new(target);
    reader.feed(bytes);
    reader.finish();
    reader.progress()
}

#[test]
fn a_full_log_line_gives_everything() {
    let line = b"2025-12-21 06:50:15 [PilotQualityMonitor] INFO: Progress: 89/190 (46.8%) | Quality: 0.821 | Acceptance: 87.00%\n";
    let progress = read(190, line);
    assert_eq!((progress.done, progress.total), (Some(89), Some(190)));
    assert_eq!(
        (progress.quality, progress.acceptance),
        (Some(0.821), Some(0.87))
    );
    assert_eq!((progress.lines, progress.ignored), (1, 0));
}

#[test]
fn sub_generators_never_read_as_a_complete_pilot_before_the_last() {
    let mut reader = ProgressReader::new(190);
    reader.feed(b"INFO: Target: 38 samples\n");
    for (i, domain) in ["asm", "gigaleak", "oracle", "cpp", "errors"]
        .iter()
        .enumerate()
    {
        reader.feed(format!("Generating from domain: {domain}\nProgress: 1/38\n").as_bytes());
        assert_eq!(reader.progress().done, Some(38 * i as u64 + 1));
        assert_eq!(reader.progress().stage.as_deref(), Some(*domain));
        reader.feed(b"Progress: 38/38\n");
        assert_eq!(reader.progress().done, Some(38 * (i as u64 + 1)));
    }
    assert_eq!(reader.progress().ignored, 0);
}

#[test]
fn counters_after_generation_are_not_samples() {
    let progress = read(
        190,
        b"Progress: 60/190\nStarting curation\nProgress: 190/190\nQuality: 0.5\n",
    );
    assert_eq!(
        (progress.done, progress.stage.as_deref()),
        (Some(60), Some("curation"))
    );
    assert_eq!((progress.quality, progress.ignored), (Some(0.5), 1));
}

#[test]
fn a_rounded_bar_counts_and_is_never_all() {
    let bar = " 24%|███▌   | 8.22k/34.5k [01:02<03:20, 132it/s]\r";
    let progress = read(34_500, bar.as_bytes());
    assert_eq!(
        (progress.done, progress.rate_per_second),
        (Some(8220), Some(132.0))
    );
    let progress = read(
        34_500,
        "100%|████| 34.5k/34.5k [01:02<00:00, 132it/s]\n".as_bytes(),
    );
    assert_eq!(progress.done, Some(34_499));
}

#[test]
fn an_inner_bar_does_not_speak_for_the_campaign() {
    let progress = read(
        190,
        b"5/190 [00:01<00:37, 5.0it/s]\n 3/8 [00:01<00:02, 99it/s]\n",
    );
    assert_eq!(
        (progress.done, progress.rate_per_second, progress.ignored),
        (Some(5), Some(5.0), 1)
    );
}

#[test]
fn a_live_bar_counts_when_it_is_overwritten_and_at_the_end() {
    let mut reader = ProgressReader::new(50);
    reader.feed(b"\r 2%|  | 1/50 [00:01<00:50, 1it/s]\r 4%|  | 2/50 [00:02");
    assert_eq!(reader.progress().done, Some(1));
    reader.finish();
    assert_eq!(reader.progress().done, Some(2));
}

#[test]
fn json_lines_text_and_noise_mix() {
    let stream = b"{\"done\":10,\"total\":190}\nnoise\n0: {\"done\":12,\"total\":190,\"quality\":0.7}\nProgress: 13/190\n{\"broken\n";
    let progress = read(190, stream);
    assert_eq!((progress.done, progress.quality), (Some(13), Some(0.7)));
    assert_eq!((progress.lines, progress.ignored), (5, 2));
}

#[test]
fn a_count_without_a_total_is_never_all() {
    assert_eq!(read(190, b"{\"done\":500}\n").done, Some(189));
}

#[test]
fn an_overlong_line_is_dropped_and_counted() {
    let mut stream = vec![b'x'; MAX_LINE];
    stream.extend_from_slice(b" Progress: 190/190\nProgress: 3/190\n");
    let mut reader = ProgressReader::new(190);
    reader.feed(&stream);
    let progress = reader.progress();
    assert_eq!(
        (progress.done, progress.lines, progress.ignored),
        (Some(3), 2, 1)
    );
    assert_eq!(reader.overlong(), 1);
}

#[test]
fn nothing_observed_is_nothing_said() {
    for stream in [
        &b""[..],
        b"\n\n\r\n",
        b"0/0\nProgress: 0/0\n",
        b"0 samples accepted, 0 rejected\n",
    ] {
        let progress = read(190, stream);
        assert_eq!(
            (progress.done, progress.quality, progress.acceptance),
            (None, None, None)
        );
    }
    assert_eq!(read(0, b"Progress: 0/0\nProgress: 5/5\n").done, None);
}

/// Every form that the slow path understands passes the quick look.
#[test]
fn the_quick_look_loses_nothing() {
    for line in [
        "Progress: 4/19",
        "progress 4k/9k [00:",
        "Progress: 4 / 19",
        "x 3.5 samples/s",
        "Quality: 1",
        "QUALITY=1",
        "Acceptance: 1%",
        "ACCEPTED: 1 rejected: 1",
        "Pass rate 5%",
        "PASS_RATE=1",
        "Generating from domain: a",
        "Starting curation",
        "Target: 5 samples",
        "{\"done\":1}",
        "  12: {\"done\":1}",
        "GENERATING FROM DOMAIN: A",
        "TARGET: 5 SAMPLES",
        "4 SAMPLES/S",
        "\u{1b}[1mProgress: 4\u{1b}[0m/19",
    ] {
        assert!(Hints::of(line.as_bytes()).any(), "{line:?}");
    }
    assert!(!Hints::of(b"an ordinary line with 12 numbers and a /path/of/names").any());
}

/// Pieces that make streams which get far into the parser.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let fixed = prop::sample::select(vec![
        "\n",
        "\r",
        "\0",
        " ",
        "|",
        "%",
        "[",
        "Progress: ",
        "38/38",
        "1/38",
        "190/190",
        "8.2k/34.5k [01:02<?, 3it/s]",
        "Quality: 0.82",
        "quality_score=",
        "nan",
        "1e999",
        "-",
        "Acceptance: 87%",
        "0 samples accepted, 190 rejected",
        "Generating from domain: asm\n",
        "Starting curation",
        "{\"done\":5,",
        "\"total\":190}",
        "\u{1b}[A",
        "\u{1b}",
        "\u{1b}]0;",
        "Target: 190 samples",
        "/",
        "0",
        "999999999999999999999",
        "███▌",
    ]);
    prop_oneof![
        6 => fixed.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..80),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn chunking_does_not_matter(stream in stream(), cuts in prop::collection::vec(1_usize..40, 1..20), target in 0_u64..400) {
        let mut chunked = ProgressReader::new(target);
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, left) = rest.split_at((*cut).min(rest.len()));
            chunked.feed(chunk);
            rest = left;
        }
        chunked.finish();
        prop_assert_eq!(chunked.progress(), read(target, &stream));
    }

    #[test]
    fn values_stay_in_range(stream in stream(), target in 0_u64..400) {
        let progress = read(target, &stream);
        prop_assert!(progress.ignored <= progress.lines);
        prop_assert!(progress.done.is_none_or(|done| done <= target));
        for share in [progress.quality, progress.acceptance].into_iter().flatten() {
            prop_assert!((0.0..=1.0).contains(&share));
        }
        prop_assert!(progress.rate_per_second.is_none_or(|rate| rate.is_finite() && rate >= 0.0));
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        let progress = read(190, &bytes);
        prop_assert!(progress.done.is_none_or(|done| done <= 190));
    }
}
