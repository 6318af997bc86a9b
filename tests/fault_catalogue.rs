//! Faults that were reported of other tools, each with the test that makes it here: a test that is renamed or lost is missed.
//! And what a shim does that SLURM started.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

const SIM: &str = "tests/campaign_sim/catalogue.rs";

/// (fault, file, test).
const FAULTS: &[(&str, &str, &str)] = &[
    (
        "sbatch times out and succeeds",
        SIM,
        "sbatch_times_out_and_succeeds_every_time",
    ),
    (
        "sbatch fails after queueing",
        SIM,
        "sbatch_fails_and_the_job_is_queued_much_later",
    ),
    (
        "sbatch prints a banner before the id",
        "src/executor/slurm/rows/tests.rs",
        "an_id_is_found_among_banners",
    ),
    (
        "sbatch is rate-limited",
        SIM,
        "sbatch_is_turned_away_by_a_rate_limit",
    ),
    ("sbatch rejects by QoS", SIM, "sbatch_rejects_by_qos"),
    (
        "squeue times out",
        SIM,
        "squeue_times_out_25_times_in_a_row",
    ),
    ("sacct is away", SIM, "accounting_is_away_all_the_time"),
    (
        "squeue returns partial output",
        SIM,
        "squeue_output_is_partial_every_time",
    ),
    (
        "sacct returns partial output",
        SIM,
        "sacct_output_is_partial_every_time_and_squeue_half_of_the_time",
    ),
    ("an unknown id", SIM, "a_job_is_purged_from_both"),
    ("squeue lags", SIM, "squeue_lags"),
    (
        "sacct starts at midnight",
        SIM,
        "sacct_starts_at_midnight_unless_asked_otherwise",
    ),
    (
        "sacct shows the first attempt of a requeued job",
        SIM,
        "sacct_shows_the_first_attempt_of_a_job_that_was_put_back",
    ),
    ("a recycled id", SIM, "ids_are_used_again"),
    (
        "CANCELLED by 1000",
        "tests/slurm/ends.rs",
        "tasks_that_somebody_cancels_are_started_again_and_who_it_was_is_told",
    ),
    ("PREEMPTED with requeue", SIM, "put_back_into_the_queue"),
    (
        "PREEMPTED without requeue",
        SIM,
        "preempted_without_requeue",
    ),
    ("NODE_FAIL", SIM, "nodes_fail"),
    (
        "OUT_OF_MEMORY",
        SIM,
        "out_of_memory_is_tried_again_with_more",
    ),
    (
        "CUDA out-of-memory as FAILED",
        "src/executor/said.rs",
        "a_gpu_without_memory_is_known_from_the_log",
    ),
    (
        "partition changed",
        SIM,
        "an_operator_moves_jobs_to_another_partition",
    ),
    (
        "the job ends before the first poll",
        SIM,
        "jobs_end_before_the_first_poll",
    ),
    (
        "the script is not visible yet",
        "tests/fault_catalogue.rs",
        "a_shim_waits_until_it_sees_its_job_directory",
    ),
    (
        "daemon binary replaced",
        "tests/slurm/adoption.rs",
        "a_program_that_is_replaced_while_jobs_wait_is_run_as_it_was",
    ),
    (
        "state file torn",
        "src/store/tests/crash.rs",
        "an_append_torn_at_any_byte_leaves_what_was_acknowledged",
    ),
    (
        "state file empty",
        "src/store/tests/crash.rs",
        "a_journal_that_is_gone_is_not_replaced_by_an_empty_one",
    ),
    (
        "state file from a newer version",
        "tests/store_versions/daemon.rs",
        "the_daemon_refuses_a_newer_store_with_a_sentence",
    ),
    (
        "disk full",
        "tests/torture/starve.rs",
        "a_full_disk_under_the_samples_is_waited_out",
    ),
    (
        "PID recycled",
        "tests/torture/pids.rs",
        "a_recycled_pid_is_never_adopted_and_never_killed",
    ),
    (
        "reboot",
        "tests/local_executor.rs",
        "after_a_reboot_nothing_runs",
    ),
    (
        "clock back",
        "tests/torture/clock.rs",
        "an_hour_back_changes_nothing",
    ),
    (
        "log truncated",
        "src/artifacts/follow.rs",
        "a_truncated_file_is_read_from_its_start",
    ),
    (
        "log rotated",
        "src/artifacts/follow.rs",
        "a_rotated_file_is_finished_before_the_new_one",
    ),
    (
        "carriage returns",
        "tests/progress_logs.rs",
        "tqdm_with_carriage_returns_until_the_time_limit",
    ),
    (
        "progress per shard instead of per campaign",
        "src/generation/progress/tests.rs",
        "sub_generators_never_read_as_a_complete_pilot_before_the_last",
    ),
    (
        "totals that change",
        "src/generation/progress/tests.rs",
        "an_inner_bar_does_not_speak_for_the_campaign",
    ),
    (
        "0/0",
        "src/generation/progress/tests.rs",
        "a_count_without_a_total_is_never_all",
    ),
    (
        "evaluation with no model",
        "tests/trainer.rs",
        "a_model_that_is_not_there_is_refused_when_it_is_handed_in",
    ),
    (
        "zero samples accepted",
        "src/evaluation/gate/tests.rs",
        "no_samples_pass_no_check",
    ),
];

#[test]
fn every_fault_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for (fault, file, test) in FAULTS {
        let text = fs::read_to_string(root.join(file)).unwrap_or_default();
        let named = format!("fn {test}(");
        let marked = text
            .split("#[test]")
            .skip(1)
            .any(|part| part.lines().take(6).any(|line| line.contains(&named)));
        if !marked && !text.contains(&format!("    {named}")) {
            missing.push(format!("{fault}: {file} {test}"));
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    println!("{} faults, each with its test", FAULTS.len());
}

/// A job directory of one task that appends a line to a ledger.
struct Made {
    root: tempfile::TempDir,
}

impl Made {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
        }
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("jobs/sim-1")
    }

    fn ledger(&self) -> String {
        fs::read_to_string(self.root.path().join("ledger")).unwrap_or_default()
    }

    fn write_request(&self) {
        let root = self.root.path().display();
        let text = format!(
            "job = \"sim-1\"\nname = \"sim-1.x\"\ncampaign = \"sim\"\nphase = \"generate\"\nattempt = 1\ndirectory = \"{root}\"\n\
             side_by_side = 1\n\
             [work.command]\nargv = [\"sh\", \"-c\", \"echo $SLURM_JOB_ID $SLURM_RESTART_COUNT >> {root}/ledger\"]\n\
             [slurm]\npartition = \"\"\naccount = \"\"\nqos = \"\"\ngres = \"\"\nconstraint = \"\"\nclusters = \"\"\nextra = []\n\
             log_dir = \"\"\nwork_base_dir = \"\"\ngrow_percent = 50\n\
             [[tasks]]\nshard = 7\nshards = 8\ntarget = 0\nfirst = 0\nseed = 1\n\n# end\n"
        );
        fs::create_dir_all(self.dir()).unwrap();
        fs::write(self.dir().join("request.new"), text).unwrap();
        fs::rename(
            self.dir().join("request.new"),
            self.dir().join("request.toml"),
        )
        .unwrap();
    }

    /// What a batch script starts.
    fn shim(&self, job: u64, restarts: u32) -> Child {
        Command::new(env!("CARGO_BIN_EXE_campaignd"))
            .args(["worker", "exec"])
            .arg(self.dir())
            .args(["--position", "0"])
            .env("SLURM_JOB_ID", job.to_string())
            .env("SLURM_RESTART_COUNT", restarts.to_string())
            .env_remove("SLURM_ARRAY_JOB_ID")
            .spawn()
            .unwrap()
    }

    fn run(&self, job: u64, restarts: u32) {
        assert!(self.shim(job, restarts).wait().unwrap().success());
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir().join("tasks/7").join(name)
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.file(name)).unwrap()).unwrap()
    }
}

#[test]
fn a_shim_waits_until_it_sees_its_job_directory() {
    let made = Made::new();
    let mut shim = made.shim(41, 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    // It is there and waits: it has not ended for want of its request.
    while !Path::new(&format!("/proc/{}/stat", shim.id())).exists() {
        assert!(Instant::now() < deadline);
    }
    assert!(shim.try_wait().unwrap().is_none());
    made.write_request();
    assert!(shim.wait().unwrap().success());
    assert_eq!(made.ledger(), "41 0\n");
    assert_eq!(made.json("exit.json")["status"], 0);
    assert_eq!(
        made.json("claim")["scheduled"],
        json!({ "job": 41, "restarts": 0 })
    );
    assert!(
        made.json("exit.json")["used"]["max_rss_kib"]
            .as_u64()
            .unwrap()
            > 0
    );
}

#[test]
fn a_task_that_is_over_is_not_begun_again_by_a_job_that_was_put_back() {
    let made = Made::new();
    made.write_request();
    made.run(41, 0);
    made.run(41, 1);
    assert_eq!(made.ledger(), "41 0\n");
}

#[test]
fn a_job_that_was_put_back_takes_its_own_claim_over_and_nobody_elses() {
    let made = Made::new();
    made.write_request();
    made.run(41, 0);
    fs::remove_file(made.file("exit.json")).unwrap();
    made.run(42, 0);
    made.run(42, 1);
    assert_eq!(made.ledger(), "41 0\n", "another job's claim stands");
    assert!(!made.file("exit.json").exists());
    made.run(41, 1);
    assert_eq!(made.ledger(), "41 0\n41 1\n");
    assert_eq!(made.json("claim")["scheduled"]["restarts"], 1);
    // The same run a second time is no later run.
    fs::remove_file(made.file("exit.json")).unwrap();
    made.run(41, 1);
    assert_eq!(made.ledger(), "41 0\n41 1\n");
}

#[test]
fn many_shims_of_one_task_run_its_command_once() {
    let made = Made::new();
    made.write_request();
    let shims: Vec<Child> = (0..12).map(|job| made.shim(100 + job, 0)).collect();
    for mut shim in shims {
        assert!(shim.wait().unwrap().success());
    }
    assert_eq!(made.ledger().lines().count(), 1);
}
