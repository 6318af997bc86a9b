//! What came of a run: its end, its tasks, its error, and whether it yielded what its data set expects.

use super::{
    observed::Stated,
    place::{self, Place},
    repair::{Sample, situation},
    runner::Ended,
};
use crate::{
    collect::{Sources, collect},
    machines::spec::TestDatasetSpec,
    time::two_units,
    trajectory::{Execution, Outcome, record::Recovery},
    workflow::{
        errors::{Diagnosis, ErrorResolution, Outcome as Recovered, diagnose, entries},
        expectation::{Check, Expectation},
        trace::ExecutionMetrics,
    },
};
use std::{
    borrow::Cow,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

/// So much of the end of a log is read: errors stand there.
const LOG_BYTES: u64 = 4 << 20;
/// How sure an exit status alone makes a cause, where no line tells of one.
const BY_STATUS: f64 = 0.6;
/// Signals by which people end programs.
const BY_PEOPLE: [i32; 3] = [1, 2, 15];

/// The line of a run.
pub(super) fn account(
    sample: &Sample,
    place: &Place,
    set: Option<&TestDatasetSpec>,
    ended: &Ended,
    limit: Option<u64>,
) -> Execution {
    let mut notes = Vec::new();
    let metrics = metrics(sample, place, &mut notes);
    let checks = match ended.status {
        Some(0) => checks(set, &Stated::of(place, metrics.as_ref(), &mut notes)),
        _ => Vec::new(),
    };
    let ran_nothing = traced(place) && metrics.as_ref().is_some_and(|all| all.total_processes == 0);
    let (outcome, reason) = outcome(ended, &checks, ran_nothing, limit);
    let diagnosis = match outcome {
        Outcome::Success => None,
        _ => diagnosis(place, ended),
    };
    let reason = match &diagnosis {
        Some(found) if outcome == Outcome::ExecutionFailed && ended.status != Some(0) => {
            let process = found.process.as_deref();
            let process = process.map_or(String::new(), |process| format!(" in {process}"));
            format!("{reason}: {}{process}", found.kind)
        }
        _ => reason,
    };
    let broken = outcome == Outcome::ExecutionFailed && ended.status != Some(0);
    let error_resolution = diagnosis.as_ref().filter(|_| broken);
    Execution {
        id: sample.id.clone(),
        trajectory_id: sample.id.clone(),
        parent: sample.parent.clone(),
        dataset: set.map(|set| set.name.clone()),
        command: place.command.clone(),
        exit_code: ended.status,
        signal: ended.signal,
        timed_out: ended.timed_out,
        started_at: ended.started_at.to_string(),
        ended_at: ended.ended_at.to_string(),
        logs_path: format!("executions/{}", sample.id),
        metrics,
        notes,
        error_resolution: error_resolution.map(|found| recovery(sample, found, outcome)),
        diagnosis,
        checks,
        outcome,
        outcome_reason: reason,
    }
}

fn metrics(sample: &Sample, place: &Place, notes: &mut Vec<String>) -> Option<ExecutionMetrics> {
    let sources = Sources {
        directory: Some(place.dir.clone()),
        ..Sources::default()
    };
    match collect(&sources) {
        Ok(found) => {
            notes.extend(found.notes);
            let mut metrics = found.metrics;
            metrics.workflow_id.clone_from(&sample.id);
            Some(metrics)
        }
        Err(error) => {
            notes.push(format!("there is no account of its tasks: {error}"));
            None
        }
    }
}

/// Whether Nextflow wrote a trace, so that a run without a task is known to be one.
fn traced(place: &Place) -> bool {
    let own = place.dir.join("trace.txt");
    own.exists() || place.results().join("pipeline_info/trace.txt").exists()
}

fn checks(set: Option<&TestDatasetSpec>, stated: &Stated<'_>) -> Vec<Check> {
    let wanted = set.into_iter().flat_map(|set| &set.expected_outputs);
    wanted
        .map(|(metric, wanted)| match Expectation::of(metric, wanted) {
            Ok(expectation) => expectation.check(&stated.values(metric)),
            // Refused when the campaign was handed in; whatever is none holds for nothing.
            Err(why) => Check {
                metric: metric.clone(),
                wanted: wanted.clone(),
                observed: None,
                values: 0,
                passed: false,
                why: Some(why),
            },
        })
        .collect()
}

fn outcome(
    ended: &Ended,
    checks: &[Check],
    ran_nothing: bool,
    limit: Option<u64>,
) -> (Outcome, String) {
    if ended.timed_out {
        let limit = Duration::from_secs(limit.unwrap_or(0));
        let text = format!("it reached its time limit of {}", two_units(limit));
        return (Outcome::Timeout, text);
    }
    match (ended.status, ended.signal) {
        (None, Some(signal)) if BY_PEOPLE.contains(&signal) => {
            let text = format!("somebody ended it by signal {signal}");
            (Outcome::UserCancelled, text)
        }
        (None, signal) => {
            let text = format!("signal {} ended it", signal.unwrap_or(0));
            (Outcome::ExecutionFailed, text)
        }
        (Some(0), _) if ran_nothing => {
            let text = "it ended with status 0 and ran no task".into();
            (Outcome::ExecutionFailed, text)
        }
        (Some(0), _) => held(checks),
        (Some(status), _) => {
            let text = format!("it ended with status {status}");
            (Outcome::ExecutionFailed, text)
        }
    }
}

/// How a run ended that ended well by itself.
fn held(checks: &[Check]) -> (Outcome, String) {
    let failed: Vec<&Check> = checks.iter().filter(|check| !check.passed).collect();
    let Some(first) = failed.first() else {
        let text = match checks.len() {
            0 => "it ended with status 0".into(),
            all => format!("it ended with status 0, and {all} of {all} expectations hold"),
        };
        return (Outcome::Success, text);
    };
    let why = match (&first.why, first.observed) {
        (Some(why), _) => why.clone(),
        (None, Some(observed)) => format!("it is {observed}"),
        (None, None) => "it is not stated".into(),
    };
    let (metric, wanted) = (&first.metric, &first.wanted);
    let text = format!(
        "{} of {} expectations do not hold: {metric} {wanted}, {why}",
        failed.len(),
        checks.len()
    );
    (Outcome::ExecutionFailed, text)
}

/// Why a run failed: what its logs say, else what its exit status means.
fn diagnosis(place: &Place, ended: &Ended) -> Option<Diagnosis> {
    let logs = [
        place.dir.join(".nextflow.log"),
        place.stdout(),
        place.stderr(),
    ];
    let log: Vec<String> = logs.iter().map(|path| tail(path)).collect();
    diagnose(&log.join("\n")).or_else(|| by_status(ended.status?))
}

/// What an exit status alone means.
fn by_status(status: i32) -> Option<Diagnosis> {
    let known = (entries().iter()).find(|entry| entry.exits.contains(&status));
    let entry = known.filter(|_| status != 0)?;
    Some(Diagnosis {
        kind: entry.name.clone(),
        category: entry.category,
        message: format!("the run ended with status {status}"),
        line: 0,
        process: None,
        exit_status: Some(status),
        confidence: entry.confidence.min(BY_STATUS),
        also: Vec::new(),
    })
}

/// The end of a log; one that is not there says nothing.
fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
        let mut text = Vec::new();
        file.take(LOG_BYTES).read_to_end(&mut text)?;
        Ok(text)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// The error with what should help, as data sets have it.
fn recovery(sample: &Sample, found: &Diagnosis, outcome: Outcome) -> Recovery {
    let plan = place::plan(&sample.row);
    let situation = situation(sample, plan.as_ref(), found);
    let known = ErrorResolution::of(found, &situation, Recovered::Untried);
    let row = known.row(sample.repairs + 1, outcome.name());
    Recovery {
        error_type: Some(known.error_type),
        error_message: known.error_message,
        context: known.context,
        resolution: known.resolution,
        outcome: known.outcome,
        resolution_attempted: row.resolution_attempted,
        resolution_success: row.resolution_success,
        iterations: row.iterations,
        final_state: Cow::Owned(row.final_state),
        diagnosed_kind: Some(found.kind.clone()),
        planned_kind: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: Option<i32>, signal: Option<i32>) -> Ended {
        Ended {
            status,
            signal,
            ..Ended::default()
        }
    }

    #[test]
    fn ends_have_the_words_of_the_specification() {
        let word = |ended: &Ended| outcome(ended, &[], false, Some(7200));
        let late = Ended {
            timed_out: true,
            ..ended(None, Some(15))
        };
        assert_eq!(
            word(&late),
            (
                Outcome::Timeout,
                "it reached its time limit of 2h 00m".into()
            )
        );
        for (status, signal, expected) in [
            (Some(0), None, Outcome::Success),
            (Some(1), None, Outcome::ExecutionFailed),
            (None, Some(9), Outcome::ExecutionFailed),
            (None, Some(15), Outcome::UserCancelled),
            (None, Some(2), Outcome::UserCancelled),
            (None, None, Outcome::ExecutionFailed),
        ] {
            assert_eq!(
                word(&ended(status, signal)).0,
                expected,
                "{status:?} {signal:?}"
            );
        }
        let nothing = outcome(&ended(Some(0), None), &[], true, None);
        assert_eq!(nothing.0, Outcome::ExecutionFailed, "no task ran");
    }

    #[test]
    fn an_expectation_that_does_not_hold_is_a_failure_that_says_which() {
        let expectation = Expectation::parse("mapping_rate > 80 %").unwrap();
        let missing = outcome(
            &ended(Some(0), None),
            &[expectation.check(&[])],
            false,
            None,
        );
        assert_eq!(missing.0, Outcome::ExecutionFailed);
        assert_eq!(
            missing.1,
            "1 of 1 expectations do not hold: mapping_rate > 80 %, the run states no mapping_rate"
        );
    }

    #[test]
    fn a_status_alone_may_be_the_cause() {
        let found = by_status(137).unwrap();
        assert_eq!(found.kind, "out_of_memory");
        assert!(found.confidence <= BY_STATUS);
        assert!(by_status(0).is_none() && by_status(1).is_none());
    }
}
