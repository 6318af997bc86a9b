//! The faults that broke other tools, one by one, over the same campaign: what SLURM's programs say and do, and what tasks
//! and nodes do. (What files, clocks and generators do is tested elsewhere: `tests/fault_catalogue.rs` says where.)

use crate::{
    cluster::{Chances, Fates, Fault, Faults, On, Outage, Rate},
    course::{Course, Ended},
};
use campaignd::machines::{campaign::State, job::Cause};
use std::time::Duration;

/// A campaign over a cluster with this fault, which must come to its end.
fn over(faults: Faults) -> Ended {
    let course = Course {
        faults,
        ..Course::default()
    };
    let ended = course.run();
    ended.check();
    ended
}

/// The same in several arrays, and over several seeds, for faults of chance. Gives commands begun, retries and copies.
fn often(faults: &Faults) -> (u64, u64, u64) {
    let (mut commands, mut retries, mut copies) = (0, 0, 0);
    for seed in 0..12 {
        let course = Course {
            seed,
            faults: faults.clone(),
            shards: 60,
            largest: 20,
            ..Course::default()
        };
        let ended = course.run();
        ended.check();
        commands += ended.world.tally.commands;
        retries += ended.retries();
        copies += ended.copies();
    }
    assert!(commands >= 12 * 60);
    (commands, retries, copies)
}

fn always(program: &str, fault: Fault) -> Faults {
    some(program, 1, u64::MAX, fault)
}

fn some(program: &str, first: u64, last: u64, fault: Fault) -> Faults {
    Faults {
        on: vec![On {
            program: program.into(),
            first,
            last,
            fault,
        }],
        ..Faults::default()
    }
}

#[test]
fn sbatch_times_out_and_succeeds_every_time() {
    let ended = over(always("sbatch", Fault::DoneUnsure));
    assert_eq!((ended.copies(), ended.daemon.adopted), (0, 1));
    assert_eq!(ended.cluster.runs("sbatch"), 1, "asked once, found by name");
    let (commands, retries, copies) = often(&always("sbatch", Fault::DoneUnsure));
    assert_eq!((commands, retries, copies), (12 * 60, 0, 0));
}

#[test]
fn what_sbatch_left_in_doubt_is_resolved_within_two_polls() {
    for fault in [Fault::DoneUnsure, Fault::Unsure] {
        let ended = over(some("sbatch", 1, 1, fault));
        let log: Vec<&str> = ended
            .cluster
            .log()
            .iter()
            .map(|(_, program)| program.as_str())
            .collect();
        let first = log.iter().position(|program| *program == "sbatch").unwrap();
        let until = match fault {
            // Submitted again.
            Fault::Unsure => log
                .iter()
                .rposition(|program| *program == "sbatch")
                .unwrap(),
            _ => {
                assert_eq!(ended.cluster.runs("sbatch"), 1);
                let launched = ended
                    .daemon
                    .tree
                    .jobs
                    .values()
                    .next()
                    .unwrap()
                    .launched_at
                    .unwrap();
                ended
                    .cluster
                    .log()
                    .iter()
                    .position(|(at, _)| *at > launched)
                    .unwrap()
            }
        };
        let polls = log[first..until]
            .iter()
            .filter(|program| **program == "squeue")
            .count();
        assert!((1..=2).contains(&polls), "{fault:?}: {polls} polls");
        assert_eq!(ended.copies(), 0, "{fault:?}");
    }
}

#[test]
fn sbatch_fails_and_the_job_is_queued_later() {
    let faults = Faults {
        late_seconds: 4,
        ..always("sbatch", Fault::LateUnsure)
    };
    let (_, retries, copies) = often(&faults);
    assert_eq!(
        (retries, copies),
        (0, 0),
        "found in the second poll at the latest"
    );
}

/// So late that it was given up and submitted again: the queue has it twice, and its tasks run once.
#[test]
fn sbatch_fails_and_the_job_is_queued_much_later() {
    let mut faults = some("sbatch", 1, 1, Fault::LateUnsure);
    faults.late_seconds = 3600;
    let mut copies = 0;
    for seed in 0..30 {
        let course = Course {
            seed,
            faults: faults.clone(),
            ..Course::default()
        };
        let ended = course.run();
        ended.check();
        assert_eq!(ended.world.tally.commands, 35);
        copies += ended.copies();
    }
    assert!(copies > 0, "none came late");
}

#[test]
fn sbatch_is_turned_away_by_a_rate_limit() {
    let faults = Faults {
        rate: Some(Rate {
            burst: 3,
            per_minute: 2,
        }),
        ..Faults::default()
    };
    let (commands, retries, copies) = often(&faults);
    assert_eq!((commands, retries, copies), (12 * 60, 0, 0));
}

#[test]
fn sbatch_says_not_now() {
    let ended = over(some("sbatch", 1, 5, Fault::Later));
    assert_eq!((ended.copies(), ended.cluster.runs("sbatch")), (0, 6));
    assert_eq!(ended.retries(), 0, "no attempt is spent on it");
}

#[test]
fn sbatch_rejects_by_qos() {
    let course = Course {
        faults: always("sbatch", Fault::Refused),
        ..Course::default()
    };
    let ended = course.run();
    ended.check_once();
    assert_eq!(ended.daemon.tree.campaign.state, State::Failed);
    let cause = ended.daemon.tree.campaign.cause.clone().unwrap();
    assert!(cause.contains("Invalid qos specification"), "{cause}");
    assert_eq!(
        ended.cluster.runs("sbatch"),
        1,
        "the same would be refused again"
    );
    assert_eq!(ended.world.tally.commands, 0);
}

/// Twenty-five status timeouts in a row over long jobs: a counter, and nothing else.
#[test]
fn squeue_times_out_25_times_in_a_row() {
    let course = Course {
        shards: 5,
        faults: some("squeue", 2, 26, Fault::Unsure),
        ..Course::default()
    };
    // Long enough for all of them.
    let mut long = course.clone();
    long.slurm.time_seconds = Some(86_400);
    let ended = long.run_with(|world| world.per_sample = Duration::from_secs(10));
    ended.check();
    assert!(
        ended.cluster.runs("squeue") > 26,
        "{}",
        ended.cluster.runs("squeue")
    );
    assert_eq!((ended.retries(), ended.copies()), (0, 0));
    assert_eq!(
        (ended.cluster.runs("sbatch"), ended.world.tally.commands),
        (1, 5)
    );
    assert_eq!(ended.world.tally.ends_on_word, 0, "no false recovery");
    assert_eq!(ended.daemon.longest_silence, 25, "tries without an answer");
}

#[test]
fn squeue_output_is_partial_every_time() {
    let (commands, retries, copies) = often(&always("squeue", Fault::Partial));
    assert_eq!((commands, retries, copies), (12 * 60, 0, 0));
}

#[test]
fn sacct_output_is_partial_every_time_and_squeue_half_of_the_time() {
    let faults = Faults {
        squeue: Chances {
            partial: 0.5,
            ..Chances::default()
        },
        ..always("sacct", Fault::Partial)
    };
    let (commands, retries, copies) = often(&faults);
    assert_eq!((commands, retries, copies), (12 * 60, 0, 0));
}

#[test]
fn squeue_lags() {
    let faults = Faults {
        old_seconds: 120,
        ..always("squeue", Fault::Old)
    };
    let (commands, retries, _) = often(&faults);
    assert_eq!((commands, retries), (12 * 60, 0));
}

#[test]
fn states_that_nobody_knows_decide_nothing() {
    let (commands, retries, copies) = often(&always("squeue", Fault::Odd));
    assert_eq!((commands, retries, copies), (12 * 60, 0, 0));
}

/// Nobody saw the job: it was queued, ran, ended and left the queue while the controller was away, and midnight went by.
#[test]
fn sacct_starts_at_midnight_unless_asked_otherwise() {
    let faults = Faults {
        outages: vec![Outage {
            from_seconds: 6,
            seconds: 7_200,
            accounting: false,
        }],
        ..always("sbatch", Fault::DoneUnsure)
    };
    let ended = over(faults);
    assert_eq!((ended.copies(), ended.retries()), (0, 0));
    assert_eq!(ended.world.tally.commands, 35);
}

#[test]
fn sacct_shows_the_first_attempt_of_a_job_that_was_put_back() {
    let faults = Faults {
        fates: Fates {
            requeued: 0.5,
            ..Fates::default()
        },
        squeue: Chances {
            partial: 0.3,
            ..Chances::default()
        },
        ..always("sacct", Fault::FirstAttempt)
    };
    often(&faults);
}

#[test]
fn ids_are_used_again() {
    let faults = Faults {
        ids: Some(4),
        foreign: 0,
        ..Faults::default()
    };
    let (_, retries, copies) = often(&faults);
    assert_eq!((retries, copies), (0, 0));
}

#[test]
fn accounting_is_away_all_the_time() {
    let faults = Faults {
        outages: vec![Outage {
            from_seconds: 0,
            seconds: u64::MAX / 2,
            accounting: true,
        }],
        fates: Fates {
            node_fail: 0.05,
            ..Fates::default()
        },
        ..some("sbatch", 1, 3, Fault::Unsure)
    };
    often(&faults);
}

/// Both forget a job at once: it is gone, which is known from both of them and from its silence.
#[test]
fn a_job_is_purged_from_both() {
    let faults = Faults {
        min_job_age_seconds: 0,
        forgotten: 1.0,
        fates: Fates {
            node_fail: 0.2,
            ..Fates::default()
        },
        ..Faults::default()
    };
    let (_, retries, _) = often(&faults);
    assert!(retries > 0);
}

#[test]
fn preempted_without_requeue() {
    let faults = Faults {
        fates: Fates {
            preempted: 0.3,
            ..Fates::default()
        },
        ..Faults::default()
    };
    let (commands, retries, _) = often(&faults);
    assert!(retries > 0 && commands > 12 * 60);
}

/// Whatever the job says, an operator puts it back: the same job goes on, and is no retry of ours.
#[test]
fn put_back_into_the_queue() {
    let faults = Faults {
        fates: Fates {
            requeued: 0.3,
            ..Fates::default()
        },
        ..Faults::default()
    };
    let (commands, _, copies) = often(&faults);
    assert!(commands > 12 * 60);
    assert_eq!(copies, 0);
}

#[test]
fn nodes_fail() {
    let faults = Faults {
        fates: Fates {
            node_fail: 0.3,
            ..Fates::default()
        },
        ..Faults::default()
    };
    let ended = over(faults.clone());
    let causes = ended.daemon.tree.jobs.values().flat_map(|job| &job.tasks);
    let transient = causes.filter(|task| task.cause() == Some(Cause::Transient));
    assert!(transient.count() > 0);
    let (_, retries, _) = often(&faults);
    assert!(retries > 0);
}

#[test]
fn out_of_memory_is_tried_again_with_more() {
    let faults = Faults {
        fates: Fates {
            memory: 0.3,
            ..Fates::default()
        },
        ..Faults::default()
    };
    let ended = over(faults);
    let tree = &ended.daemon.tree;
    let mut grown = 0;
    for retry in tree.jobs.values().filter(|job| job.attempt > 1) {
        let before = &tree.jobs[retry.retry_of.as_ref().unwrap()];
        let causes: Vec<Option<Cause>> = retry
            .tasks
            .iter()
            .map(|task| before.task(task.shard).unwrap().cause())
            .collect();
        assert!(
            causes
                .iter()
                .all(|cause| *cause == Some(Cause::OutOfMemory)),
            "{causes:?}"
        );
        let memory =
            |job: &campaignd::machines::job::Job| job.slurm.as_ref().unwrap().mem_mib.unwrap();
        assert_eq!(memory(retry), memory(before) * 3 / 2);
        grown += 1;
    }
    assert!(grown > 0);
    let told = campaignd::machines::resolution::resolutions(tree);
    assert!(told.len() >= grown);
    assert!(
        told.iter()
            .all(|one| one.resolution_attempted.starts_with("increase_memory "))
    );
    assert!(told.iter().all(|one| one.resolution_success.is_some()));
}

#[test]
fn an_operator_moves_jobs_to_another_partition() {
    let faults = Faults {
        moved: 1.0,
        start_seconds: 60,
        ..Faults::default()
    };
    let (commands, retries, copies) = often(&faults);
    assert_eq!((commands, retries, copies), (12 * 60, 0, 0));
}

#[test]
fn jobs_end_before_the_first_poll() {
    for seed in 0..12 {
        let course = Course {
            seed,
            faults: always("sbatch", Fault::DoneUnsure),
            shards: 12,
            ..Course::default()
        };
        let ended = course.run_with(|world| world.per_sample = Duration::from_millis(1));
        ended.check();
        assert_eq!((ended.world.tally.commands, ended.copies()), (12, 0));
    }
}

/// A whole campaign in thirty-five arrays within the calls that a strict site allows: forty, then four a minute.
#[test]
fn a_campaign_of_35_arrays_keeps_to_forty_calls_and_four_a_minute() {
    let course = Course {
        shards: 345,
        largest: 10,
        rate: campaignd::executor::slurm::bucket::Rate {
            burst: 40,
            per_minute: 4,
        },
        faults: Faults {
            rate: Some(Rate {
                burst: 40,
                per_minute: 4,
            }),
            ..Faults::default()
        },
        ..Course::default()
    };
    let ended = course.run();
    ended.check();
    assert_eq!(ended.cluster.runs("sbatch"), 35);
    let calls: u64 = ["sbatch", "squeue", "sacct", "scancel"]
        .iter()
        .map(|program| ended.cluster.runs(program))
        .sum();
    let minutes = ended.now.since(crate::course::BEGIN).as_secs() / 60;
    println!("{calls} calls in {minutes} minutes for 34,500 samples in 35 arrays");
    assert!(calls <= 40 + 4 * (minutes + 1));
    assert_eq!(ended.daemon.turned_away, 0, "no call was one too many");
}
