//! The worker without a daemon: shell scripts in the place of Nextflow.

use super::*;
use crate::{artifacts::executions, machines::spec::TestDatasetSpec, workflow::errors};
use serde_json::{Value, json};

/// A task on samples of these ids, with this script as its runner.
struct Bench {
    dir: tempfile::TempDir,
    job: Job,
}

impl Bench {
    fn new(ids: &[&str], script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let line = |id: &&str| {
            let row = json!({
                "id": id, "trajectory_id": id, "outcome": "success", "outcome_reason": "", "steps": [1],
                "analysis_type": "rna_seq", "organism": "human", "generated_code": "workflow {}\n",
                "config_code": "process { withName: 'ALIGN' { memory = '8 GB' } }\n", "error_resolutions": [],
            });
            format!("{row}\n")
        };
        fs::write(
            root.join("in.jsonl"),
            ids.iter().map(line).collect::<String>(),
        )
        .unwrap();
        fs::write(root.join("run.sh"), script).unwrap();
        let command = [
            "sh",
            "{campaign}/run.sh",
            "{directory}",
            "{outdir}",
            "{dataset}",
        ];
        let settings = ExecutionSpec {
            command: command.map(String::from).to_vec(),
            time_seconds: Some(60),
            ..ExecutionSpec::default()
        };
        let job = Job {
            inputs: vec![root.join("in.jsonl")],
            executions: root.join("executions"),
            repairs: root.join("data/repair/shard-0.jsonl"),
            output: root.join("data/execute/shard-0.jsonl"),
            summary: root.join("data/execute/summary-0.json"),
            progress: root.join("progress.jsonl"),
            work_base: None,
            directory: root.into(),
            shard: 0,
            shards: 1,
            settings,
            max_repairs: 2,
        };
        Self { dir, job }
    }

    fn run(&self) -> Result<(), Undone> {
        execute(&self.job, &mut Runner::new().unwrap())
    }

    fn lines(&self) -> Vec<Execution> {
        executions::read(&self.job.output).unwrap()
    }

    fn summary(&self) -> Summary {
        executions::summary(&self.job.summary).unwrap().unwrap()
    }

    fn ledger(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join("ledger")).unwrap_or_default();
        text.lines().map(String::from).collect()
    }
}

const BEGIN: &str = "id=$(basename \"$1\"); echo \"$id\" >> \"$CAMPAIGND_CAMPAIGN/ledger\"\n";
const OOM: &str = "echo \"Error executing process > 'ALIGN (a)'\" >&2; \
    echo 'slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.' >&2; exit 137\n";

#[test]
fn what_memory_kills_is_mended_by_the_writer_and_run_again() {
    let script = format!(
        "{BEGIN}grep -q 16 nextflow.config && exit 0\ncase $id in b*) exit 3;; esac\n{OOM}"
    );
    let bench = Bench::new(&["a", "b"], &script);
    bench.run().unwrap();
    let lines = bench.lines();
    let shown: Vec<(&str, Option<&str>, Outcome)> = (lines.iter())
        .map(|run| (run.id.as_str(), run.parent.as_deref(), run.outcome))
        .collect();
    assert_eq!(
        shown,
        [
            ("a", None, Outcome::ExecutionFailed),
            ("a.r1", Some("a"), Outcome::Success),
            ("b", None, Outcome::ExecutionFailed),
        ],
        "{lines:#?}"
    );
    let (failed, mended) = (&lines[0], &lines[1]);
    assert_eq!(failed.exit_code, Some(137));
    assert_eq!(failed.logs_path, "executions/a");
    assert_eq!(failed.diagnosis.as_ref().unwrap().kind, "out_of_memory");
    let met = failed.error_resolution.as_ref().unwrap();
    assert_eq!(met.resolution_attempted, "increase_memory: 16 GB");
    assert_eq!(met.context.current_memory, "8 GB");
    assert_eq!(
        met.outcome,
        errors::Outcome::Untried,
        "a line never changes"
    );
    assert!(mended.diagnosis.is_none() && mended.error_resolution.is_none());
    let sample: Value =
        serde_json::from_str(fs::read_to_string(&bench.job.repairs).unwrap().trim()).unwrap();
    assert_eq!(
        (&sample["id"], &sample["parent"]),
        (&json!("a.r1"), &json!("a"))
    );
    assert_eq!(sample["steps"], json!([]), "they are the parent's");
    assert!(
        sample["config_code"]
            .as_str()
            .unwrap()
            .contains("memory = '16 GB'")
    );
    let summary = bench.summary();
    assert_eq!(
        (
            summary.given,
            summary.run,
            summary.succeeded,
            summary.repairs
        ),
        (2, 2, 1, 1)
    );
    let joined = executions::Executions::read(std::slice::from_ref(&bench.job.output)).unwrap();
    let Value::Object(mut row) =
        json!({ "id": "a", "outcome": "success", "error_resolutions": [] })
    else {
        unreachable!("it is an object");
    };
    assert!(joined.join(&mut row));
    assert_eq!(
        row["error_resolutions"][0]["outcome"], "success",
        "the repair ran"
    );
}

#[test]
fn repairs_end_when_they_are_spent_and_when_they_repeat_themselves() {
    let bench = Bench::new(&["a"], &format!("{BEGIN}{OOM}"));
    bench.run().unwrap();
    assert_eq!(bench.ledger(), ["a", "a.r1", "a.r2"]);
    let memory: Vec<String> = (bench.lines().iter())
        .map(|run| {
            run.error_resolution
                .as_ref()
                .unwrap()
                .resolution_attempted
                .clone()
        })
        .collect();
    assert_eq!(
        memory,
        ["16 GB", "32 GB", "64 GB"].map(|more| format!("increase_memory: {more}"))
    );
    let mut none = Bench::new(&["a"], &format!("{BEGIN}{OOM}"));
    none.job.max_repairs = 0;
    none.run().unwrap();
    assert_eq!(none.ledger(), ["a"]);
}

#[test]
fn a_task_that_is_begun_again_runs_nothing_twice() {
    let bench = Bench::new(
        &["a", "b", "c"],
        &format!("{BEGIN}case $id in a*) {OOM};; esac\nexit 0\n"),
    );
    bench.run().unwrap();
    let (lines, ledger) = (bench.lines(), bench.ledger());
    assert_eq!(ledger, ["a", "a.r1", "a.r2", "b", "c"]);
    bench.run().unwrap();
    assert_eq!((bench.lines(), bench.ledger()), (lines, ledger.clone()));
    // Cut behind any line, as a kill leaves it, it goes on from there.
    let text = fs::read_to_string(&bench.job.output).unwrap();
    for kept in 0..5 {
        let head: String = text.split_inclusive('\n').take(kept).collect();
        fs::write(&bench.job.output, head).unwrap();
        fs::remove_file(bench.dir.path().join("ledger")).unwrap();
        bench.run().unwrap();
        assert_eq!(bench.ledger(), ledger[kept..], "{kept} lines were there");
        let repaired = fs::read_to_string(&bench.job.repairs).unwrap();
        assert_eq!(
            repaired.lines().count(),
            2,
            "no repaired sample is kept twice"
        );
        assert_eq!(bench.summary().run, 3);
    }
}

#[test]
fn a_run_that_hangs_is_ended_with_everything_it_started() {
    let mut bench = Bench::new(&["a"], "setsid sleep 1000 & echo $! > pid\nsleep 1000\n");
    bench.job.settings.time_seconds = Some(1);
    bench.run().unwrap();
    let run = &bench.lines()[0];
    assert!(run.timed_out && !run.completed());
    assert_eq!(run.outcome, Outcome::Timeout);
    assert!(run.error_resolution.is_none(), "nobody knows of an error");
    let mark = format!(
        "CAMPAIGND_EXECUTION={}",
        bench.job.executions.join("a").display()
    );
    let left = crate::executor::identity::with_environment(&mark).unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn expectations_are_held_against_what_the_run_states() {
    let script = "echo '{\"mapping_rate\": \"71.5 %\", \"genes\": 20000}' > metrics.json\n";
    let mut bench = Bench::new(&["a"], script);
    let expect = |bench: &mut Bench, wanted: &[(&str, &str)]| {
        bench.job.settings.datasets = vec![TestDatasetSpec {
            name: "small".into(),
            expected_outputs: (wanted.iter())
                .map(|(metric, wanted)| ((*metric).into(), (*wanted).into()))
                .collect(),
            ..TestDatasetSpec::default()
        }];
        let _ = fs::remove_file(&bench.job.output);
        bench.run().unwrap();
        bench.lines().remove(0)
    };
    let good = expect(
        &mut bench,
        &[("mapping_rate", "> 70 %"), ("genes", "> 15000")],
    );
    assert_eq!(good.outcome, Outcome::Success);
    assert_eq!(good.dataset.as_deref(), Some("small"));
    assert_eq!(good.checks.iter().filter(|check| check.passed).count(), 2);
    let low = expect(
        &mut bench,
        &[("mapping_rate", "> 80 %"), ("genes", "> 15000")],
    );
    assert_eq!(
        (low.outcome, low.exit_code),
        (Outcome::ExecutionFailed, Some(0))
    );
    assert_eq!(low.checks[0].observed, Some(71.5));
    assert!(
        low.outcome_reason.contains("1 of 2"),
        "{}",
        low.outcome_reason
    );
    let missing = expect(&mut bench, &[("insert_size", "< 400")]);
    assert_eq!(missing.outcome, Outcome::ExecutionFailed);
    assert_eq!(
        missing.checks[0].why.as_deref(),
        Some("the run states no insert_size")
    );
    assert_eq!(
        bench.lines().len(),
        1,
        "what is run again is not mended: there is no error"
    );
}

#[test]
fn a_command_that_is_not_there_is_no_failure_of_a_workflow() {
    let mut bench = Bench::new(&["a"], "");
    bench.job.settings.command = vec!["no-such-program".into()];
    let undone = bench.run().unwrap_err();
    assert!(undone.text.contains("no-such-program"), "{}", undone.text);
    assert!(bench.lines().is_empty());
    assert!(
        bench
            .summary()
            .problem
            .unwrap()
            .contains("cannot be started")
    );
}

#[test]
fn a_trace_without_a_task_is_no_success() {
    let script = "printf 'task_id\\thash\\tname\\tstatus\\texit\\n' > trace.txt\n";
    let bench = Bench::new(&["a"], script);
    bench.run().unwrap();
    let run = &bench.lines()[0];
    // Without an account nothing is known of its tasks either way.
    if run.metrics.is_some() {
        assert_eq!(run.outcome, Outcome::ExecutionFailed, "{run:?}");
    }
}

#[test]
fn nothing_to_run_is_told_and_no_success() {
    let bench = Bench::new(&[], "");
    assert!(bench.run().is_err());
    let problem = bench.summary().problem.unwrap();
    assert!(problem.contains("0 of 0 samples"), "{problem}");
}
