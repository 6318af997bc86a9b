//! Real logs through the progress reader: for each file, what must be read from it. The logs are not part of this repository; where
//! they are absent each test says so by name.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use std::path::Path;

use campaignd::generation::progress::{Progress, ProgressReader};

/// Reads a log whole and in small chunks; both must agree.
fn read(test: &str, file: &str, target: u64) -> Option<Progress> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/fixtures/logs")
        .join(file);
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("skipped {test}: {} is not there", path.display());
        return None;
    };
    let read = |chunk| {
        let mut reader = ProgressReader::new(target);
        bytes.chunks(chunk).for_each(|chunk| reader.feed(chunk));
        reader.finish();
        reader.progress()
    };
    let progress = read(bytes.len());
    assert_eq!(progress, read(7), "{file} in chunks of 7 bytes");
    Some(progress)
}

fn assert_close(value: Option<f64>, expected: f64) {
    assert!(
        value.is_some_and(|value| (value - expected).abs() < 1e-6),
        "{value:?} is not {expected}"
    );
}

#[test]
fn tqdm_with_carriage_returns_until_the_time_limit() {
    let file = "tqdm_cr_slurm_time_limit.err";
    let Some(progress) = read("tqdm_with_carriage_returns_until_the_time_limit", file, 50) else {
        return;
    };
    assert_eq!((progress.done, progress.total), (Some(12), Some(50)));
    assert_close(progress.rate_per_second, 1.0 / 600.60);
    let part = read("", file, 190).expect("the file was there");
    assert_eq!(
        (part.done, part.total),
        (Some(12), Some(190)),
        "50 is not the campaign's total"
    );
}

#[test]
fn nested_bars_whose_last_is_not_the_furthest() {
    let file = "tqdm_nested_ansi.err";
    let Some(progress) = read("nested_bars_whose_last_is_not_the_furthest", file, 190) else {
        return;
    };
    assert_eq!(
        (progress.done, progress.total),
        (Some(33), Some(190)),
        "a round of bars at 25/25 and then a second one up to 8, though bars of 3 come between"
    );
    assert_eq!(
        read("", file, 25).expect("the file was there").done,
        Some(25)
    );
}

#[test]
fn bars_of_many_processes_in_one_stream() {
    let file = "tqdm_25_bars_one_stream.err";
    let Some(progress) = read("bars_of_many_processes_in_one_stream", file, 625) else {
        return;
    };
    assert_eq!(
        (progress.done, progress.total),
        (Some(13), Some(625)),
        "the furthest, though the last says 9"
    );
    assert_eq!(progress.quality, None);
}

#[test]
fn trainer_lines_and_a_finished_bar() {
    let file = "hf_trainer_dict_lines.log";
    let Some(progress) = read("trainer_lines_and_a_finished_bar", file, 200) else {
        return;
    };
    assert_eq!(
        (progress.done, progress.quality, progress.acceptance),
        (Some(200), None, None)
    );
    assert_close(progress.rate_per_second, 1.72);
    let other = read("", file, 190).expect("the file was there");
    assert_eq!(
        (other.done, other.rate_per_second),
        (None, None),
        "200 steps are no part of 190 samples"
    );
}

#[test]
fn offline_inference_counts_prompts_and_not_checkpoints() {
    let file = "vllm_offline_processed_prompts.log";
    let Some(progress) = read(
        "offline_inference_counts_prompts_and_not_checkpoints",
        file,
        190,
    ) else {
        return;
    };
    assert_eq!((progress.done, progress.stage), (Some(4), None));
    assert_close(progress.rate_per_second, 8.46);
}

#[test]
fn logs_without_progress_say_nothing() {
    let files = [
        "vllm_server_srun_label.log",
        "distilabel_pipeline_error.log",
        "sacct_parsable_ok.txt",
        "sacct_parsable_failed_255.txt",
        "sacct_table_mixed_states.excerpt.txt",
    ];
    for file in files {
        let Some(progress) = read("logs_without_progress_say_nothing", file, 190) else {
            continue;
        };
        assert!(progress.lines > 0, "{file}");
        let silent = Progress {
            total: Some(190),
            lines: progress.lines,
            ignored: progress.lines,
            ..Progress::default()
        };
        assert_eq!(progress, silent, "{file}");
    }
}
