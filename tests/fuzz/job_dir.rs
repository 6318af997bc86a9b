//! A job directory: written by shims of any age on any node, read by a daemon that must not guess.

use crate::{
    mutation::{anything, mutated, reworded},
    property::holds,
};
use campaignd::{
    executor::{
        identity::Identity,
        job_dir::{Claim, Exit, JobDir, Request, TaskRequest, Work},
    },
    machines::spec::BudgetSpec,
};
use proptest::prelude::*;
use std::{fs, path::Path};
use tempfile::TempDir;

fn job() -> (TempDir, JobDir) {
    let dir = tempfile::tempdir().unwrap();
    let job = JobDir::new(dir.path());
    fs::create_dir_all(job.task(0)).unwrap();
    (dir, job)
}

/// How the task ended, where that can be read.
fn exit(job: &JobDir) -> Option<Exit> {
    job.read_exit(0).unwrap()
}

fn task(shard: u32) -> TaskRequest {
    TaskRequest {
        shard,
        shards: 3,
        target: 12,
        first: u64::from(shard) * 12,
        output: Some(format!("/data/alttp/shard-{shard}.jsonl")),
        seed: 7,
        experience: Some(format!("/data/alttp/experience-{shard}.json")),
        ledger: Some(format!("/data/alttp/ledger-{shard}.jsonl")),
        budget: Some(BudgetSpec {
            usd: Some(2.5),
            tokens: Some(100_000),
            ..BudgetSpec::default()
        }),
    }
}

fn request() -> Request {
    Request {
        job: "alttp-12".into(),
        name: "alttp-12.0123456789abcdef".into(),
        campaign: "alttp".into(),
        phase: "generate".into(),
        attempt: 1,
        directory: "/home/a".into(),
        time_seconds: Some(3600),
        side_by_side: 1,
        slurm: None,
        work: Work::Command {
            argv: vec!["python3".into(), "generate.py".into(), "{output}".into()],
        },
        tasks: (0..3).map(task).collect(),
    }
}

/// Replaces a file by something that nobody reads: a directory, or a link to itself.
fn displace(path: &Path, link: bool) {
    if link {
        std::os::unix::fs::symlink(path, path).unwrap();
    } else {
        fs::create_dir(path).unwrap();
    }
}

#[test]
fn an_exit_is_read_whole_or_not_at_all() {
    let (_dir, job) = job();
    let ended = Exit {
        status: Some(3),
        started_at: 1_772_442_842_000,
        ended_at: 1_772_442_842_500,
        ..Exit::default()
    };
    job.write_exit(0, &ended).unwrap();
    assert_eq!(exit(&job), Some(ended));
    let valid = fs::read(job.task(0).join("exit.json")).unwrap();
    for length in 0..valid.len() {
        fs::write(job.task(0).join("exit.json"), &valid[..length]).unwrap();
        assert_eq!(exit(&job), None, "the first {length} bytes");
    }
    let input = prop_oneof![anything(), mutated(valid)];
    holds(
        "an_exit",
        1,
        &["ended", "not ended"],
        input,
        |bytes, seen| {
            fs::write(job.task(0).join("exit.json"), &bytes).unwrap();
            match exit(&job) {
                Some(exit) => {
                    seen.note("ended");
                    prop_assert!(!exit.sentence().is_empty() || exit.cannot_start.is_some());
                    // Only a status of 0 counts as done, never an absent one.
                    prop_assert!(exit.cause().is_some() || exit.status == Some(0));
                }
                None => seen.note("not ended"),
            }
            Ok(())
        },
    );
}

#[test]
fn a_claim_names_a_process_that_may_exist_or_none() {
    let (_dir, job) = job();
    let process = Identity {
        pid: 41_235,
        start_time: 771_234,
        boot_id: "2f1c0f9e-7b43-4c58-9d8e-1f6a2b3c4d5e".into(),
    };
    assert!(job.take_claim(0, process.clone(), "shim").unwrap());
    assert_eq!(job.read_claim(0).unwrap().process, process);
    let path = job.task(0).join("claim");
    let valid = fs::read_to_string(&path).unwrap();
    for length in 0..valid.len() {
        fs::write(&path, &valid[..length]).unwrap();
        assert_eq!(job.read_claim(0), None, "the first {length} bytes");
    }
    let other_pid = any::<i32>().prop_map({
        let valid = valid.clone();
        move |pid| valid.replace("41235", &pid.to_string()).into_bytes()
    });
    let input = prop_oneof![anything(), mutated(valid.into_bytes()), other_pid];
    holds(
        "a_claim",
        1,
        &["claimed", "unclaimed"],
        input,
        |bytes, seen| {
            fs::write(&path, &bytes).unwrap();
            match job.read_claim(0) {
                Some(Claim { process, .. }) => {
                    seen.note("claimed");
                    prop_assert!(process.pid > 0, "signals would go to {}", process.pid);
                }
                None => seen.note("unclaimed"),
            }
            Ok(())
        },
    );
}

#[test]
fn a_request_is_read_whole_or_a_sentence_names_the_file() {
    let (_dir, job) = job();
    job.write_request(&request()).unwrap();
    assert_eq!(job.read_request().unwrap(), request());
    let valid = fs::read_to_string(job.request_path()).unwrap();
    // The beginning of a TOML file is a TOML file too: a torn one must not pass for a smaller job.
    for length in 0..valid.len() {
        fs::write(job.request_path(), &valid[..length]).unwrap();
        assert!(
            job.read_request().is_err(),
            "the first {length} of {} bytes",
            valid.len()
        );
    }
    let input = prop_oneof![
        anything(),
        mutated(valid.clone().into_bytes()),
        reworded(&valid, '=').prop_map(String::into_bytes),
    ];
    holds(
        "a_request",
        1,
        &["read", "refused"],
        input,
        |bytes, seen| {
            fs::write(job.request_path(), &bytes).unwrap();
            match job.read_request() {
                Ok(request) => {
                    seen.note("read");
                    job.write_request(&request).unwrap();
                    prop_assert_eq!(
                        format!("{:?}", job.read_request().unwrap()),
                        format!("{request:?}")
                    );
                }
                Err(sentence) => {
                    seen.note("refused");
                    prop_assert!(
                        sentence.to_string().contains("request.toml"),
                        "{}",
                        sentence
                    );
                }
            }
            Ok(())
        },
    );
}

#[test]
fn a_directory_or_a_loop_in_place_of_a_file_is_no_evidence() {
    for link in [false, true] {
        let (_dir, job) = job();
        displace(&job.request_path(), link);
        displace(&job.task(0).join("claim"), link);
        displace(&job.task(0).join("exit.json"), link);
        assert!(
            job.read_request()
                .unwrap_err()
                .to_string()
                .contains("request.toml")
        );
        // Not even that nobody has the task, or that it has not ended: nothing may be started on such news.
        let claimed = job.claimed(0).unwrap_err().to_string();
        let ended = job.read_exit(0).unwrap_err().to_string();
        assert!(claimed.contains("claim") && ended.contains("exit.json"));
    }
}
