//! `campaignd collect` and `campaignd errors`, the programs, on made runs and on real traces.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use serde_json::Value;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn campaignd(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campaignd"));
    command.args(args).output().unwrap()
}

fn json(args: &[&str]) -> (Value, i32) {
    let output = campaignd(args);
    let value = serde_json::from_slice(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    (
        value.unwrap_or_else(|_| panic!("{said}")),
        output.status.code().unwrap(),
    )
}

fn fixtures(folder: &str, test: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/fixtures")
        .join(folder);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped {test}: no {}", path.display());
    None
}

const TRACE: &str = "task_id\thash\tname\tstatus\texit\tsubmit\tduration\trealtime\t%cpu\tpeak_rss\n\
    1\t8d/61af4f\tA (1)\tFAILED\t137\t2024-01-01 00:00:00.000\t1m\t-\t-\t-\n\
    2\t8e/61af4f\tA (1)\tCOMPLETED\t0\t2024-01-01 00:01:00.000\t2h\t1h\t200%\t1 GB\n\
    3\t8f/61af4f\tB (1)\tFAILED\t1\t2024-01-01 00:01:00.000\t1h\t30m\t100%\t2 GB\n\
    4\t90/61af4f\tC (1)\tCACHED\t0\t2023-01-01 00:01:00.000\t1h\t1h\t100%\t1 GB\n";

fn task(run: &Path, dir: &str) -> PathBuf {
    let task = run.join("work").join(dir);
    fs::create_dir_all(&task).unwrap();
    task
}

/// A run with a recovered failure, a final one and a cached task.
fn run() -> tempfile::TempDir {
    let run = tempfile::tempdir().unwrap();
    let (root, outside) = (run.path().join("run"), run.path().join("data"));
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("reads.fq"), "ACGT").unwrap();
    fs::create_dir_all(root.join("results/pipeline_info")).unwrap();
    fs::write(
        root.join("results/pipeline_info/execution_trace_2024.txt"),
        TRACE,
    )
    .unwrap();
    fs::write(
        root.join(".nextflow.log"),
        "Jan-01 DEBUG nextflow.Session - Run name: calm_bohr\n",
    )
    .unwrap();
    let first = task(&root, "8d/61af4f0123456789abcdef0123456789");
    fs::write(
        first.join(".command.err"),
        "slurmstepd: error: Detected 1 oom_kill event in StepId=1.batch.\n",
    )
    .unwrap();
    fs::write(first.join(".exitcode"), "137").unwrap();
    let lost = task(&root, "8f/61af4f0123456789abcdef0123456789");
    fs::write(
        lost.join(".command.err"),
        "sort: write failed: No space left on device\n",
    )
    .unwrap();
    fs::write(lost.join(".exitcode"), "1\n").unwrap();
    fs::write(lost.join("half.bam"), vec![0; 1_000]).unwrap();
    symlink(outside.join("reads.fq"), lost.join("reads.fq")).unwrap();
    symlink(&outside, root.join("work/8f/secrets0")).unwrap();
    let report = r#"{"report_general_stats_data": [{"s1": ["{\"sample\":\"s1\",\"data\":{\"gc\":48.0}}"]}]}"#;
    fs::create_dir_all(root.join("results/multiqc/multiqc_data")).unwrap();
    fs::write(
        root.join("results/multiqc/multiqc_data/multiqc_data.json"),
        report,
    )
    .unwrap();
    run
}

#[test]
fn a_run_is_told_as_the_specification_asks() {
    let run = run();
    let root = run.path().join("run");
    let (metrics, status) = json(&["collect", "nextflow", root.to_str().unwrap(), "--json"]);
    assert_eq!(status, 1, "{metrics}");
    for (key, value) in [
        ("workflow_id", Value::from("calm_bohr")),
        ("total_processes", 4.into()),
        ("completed_processes", 2.into()),
        ("failed_processes", 2.into()),
        ("total_cpu_hours", 2.5.into()),
        ("total_memory_gb_hours", 2.0.into()),
        ("wall_time_minutes", 121.0.into()),
        ("error_processes", vec!["B (1)"].into()),
        (
            "error_messages",
            vec!["sort: write failed: No space left on device"].into(),
        ),
        ("input_files", 1.into()),
        ("output_files", 1.into()),
    ] {
        assert_eq!(metrics[key], value, "{key}");
    }
    assert_eq!(metrics["by_status"]["CACHED"], 1);
    assert_eq!(metrics["qc"]["s1"]["gc"], 48.0);
    assert_eq!(metrics["process_metrics"]["A"]["rows"], 2);
    let shown = campaignd(&["collect", "nextflow", root.to_str().unwrap()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("1 made good by another attempt"), "{shown}");
    assert!(
        shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
}

#[test]
fn without_a_trace_the_task_directories_stand_in() {
    let run = run();
    let root = run.path().join("run");
    fs::remove_dir_all(root.join("results/pipeline_info")).unwrap();
    let lost = root.join("work/8f/61af4f0123456789abcdef0123456789");
    fs::write(
        lost.join(".command.run"),
        "#!/bin/bash\n# NEXTFLOW TASK: B (1)\n",
    )
    .unwrap();
    fs::write(
        lost.join(".command.trace"),
        "nextflow.trace/v2\nrealtime=3600000\n%cpu=1500\npeak_rss=1048576\n",
    )
    .unwrap();
    let (metrics, status) = json(&["collect", "nextflow", root.to_str().unwrap(), "--json"]);
    assert_eq!(status, 1);
    assert_eq!(metrics["by_status"]["FAILED"], 2);
    assert_eq!(
        (
            &metrics["total_cpu_hours"],
            &metrics["total_memory_gb_hours"]
        ),
        (&1.5.into(), &1.0.into())
    );
    assert_eq!(metrics["error_processes"][1], "B (1)");
}

#[test]
fn slurm_says_why_and_stands_in_where_nothing_else_is() {
    let logs = tempfile::tempdir().unwrap();
    let path = logs.path().to_str().unwrap();
    fs::write(logs.path().join("sacct.txt"), "JobID|JobName|State|ExitCode|Elapsed|TotalCPU\n7|nf-A|TIMEOUT|0:0|02:00:00|01:00:00\n8|nf-B|COMPLETED|0:0|01:00:00|01:00:00\n").unwrap();
    let (metrics, status) = json(&["collect", "nextflow", "--slurm-logs", path, "--json"]);
    assert_eq!((status, &metrics["total_cpu_hours"]), (1, &2.0.into()));
    assert_eq!(metrics["error_messages"][0], "SLURM job 7 ended as TIMEOUT");
    let trace = logs.path().join("t.txt");
    fs::write(&trace, "native_id\tname\tstatus\n7\tA\tFAILED\n").unwrap();
    let log =
        "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2024-01-01T00:00:00 DUE TO TIME LIMIT ***";
    fs::write(logs.path().join("slurm-7.out"), log).unwrap();
    let trace = trace.to_str().unwrap();
    let (metrics, _) = json(&[
        "collect",
        "nextflow",
        "--trace",
        trace,
        "--slurm-logs",
        path,
        "--json",
    ]);
    assert_eq!(metrics["error_messages"], Value::from(vec![log]));
}

#[test]
fn nothing_is_never_a_success() {
    let run = tempfile::tempdir().unwrap();
    let path = run.path().to_str().unwrap();
    assert_eq!(
        campaignd(&["collect", "nextflow", path]).status.code(),
        Some(2)
    );
    fs::write(run.path().join("trace.txt"), "Sample\tgc\n").unwrap();
    let named = run.path().join("trace.txt");
    let output = campaignd(&["collect", "nextflow", "--trace", named.to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("trace.txt") && said.contains("task_id"),
        "{said}"
    );
    fs::write(&named, "task_id\tname\tstatus\n").unwrap();
    let output = campaignd(&["collect", "nextflow", path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("no task ran")
    );
    assert_eq!(campaignd(&["collect", "nextflow"]).status.code(), Some(2));
}

#[test]
fn real_traces_are_collected() {
    let Some(folder) = fixtures("nextflow/traces", "real_traces_are_collected") else {
        return;
    };
    let mut seen = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.to_str().unwrap();
        if name.ends_with(".expected.json") {
            continue;
        }
        let expected = fs::read(format!("{name}.expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let (metrics, _) = json(&["collect", "nextflow", "--trace", name, "--json"]);
        let sums = &expected["without_cached"];
        assert_eq!(
            metrics["total_cpu_hours"].as_f64(),
            sums["cpu_hours_pct"].as_f64(),
            "{name}"
        );
        assert_eq!(
            metrics["total_memory_gb_hours"].as_f64(),
            sums["mem_gib_hours_peak"].as_f64(),
            "{name}"
        );
        assert_eq!(metrics["by_status"], expected["by_status"], "{name}");
        assert_eq!(
            metrics["error_processes"], expected["failed_or_aborted_names_never_successful"],
            "{name}"
        );
        seen += 1;
    }
    assert!(seen >= 13, "{seen}");
}

#[test]
fn real_logs_are_an_array_of_what_they_tell() {
    let Some(folder) = fixtures("errors", "real_logs_are_an_array_of_what_they_tell") else {
        return;
    };
    let mut sidecars = Vec::new();
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "json") {
            let sidecar: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            sidecars.push(sidecar);
        }
    }
    let log = |sidecar: &Value| folder.join(sidecar["file"].as_str().unwrap());
    let files: Vec<PathBuf> = sidecars.iter().map(log).collect();
    let mut args = vec!["errors", "--json"];
    args.extend(files.iter().map(|file| file.to_str().unwrap()));
    let (told, status) = json(&args);
    assert_eq!(status, 1);
    for (one, sidecar) in told.as_array().unwrap().iter().zip(&sidecars) {
        let errors = one["errors"].as_array().unwrap();
        assert_eq!(one["is_failure"], sidecar["is_failure"], "{one}");
        if sidecar["is_failure"] == false {
            assert!(one["primary_kind"].is_null() && errors.is_empty(), "{one}");
            continue;
        }
        assert_eq!(one["primary_kind"], sidecar["primary_kind"], "{one}");
        assert_eq!(errors[0]["role"], "cause");
        for kind in sidecar["true_kinds"].as_array().unwrap() {
            assert!(
                errors.iter().any(|error| error["kind"] == *kind),
                "{kind} {one}"
            );
        }
        let text = fs::read(log(sidecar)).unwrap();
        let text = String::from_utf8_lossy(&text);
        for error in errors {
            let line = text
                .split('\n')
                .nth(error["line"].as_u64().unwrap() as usize - 1);
            let evidence = error["evidence"].as_str().unwrap();
            let begin = evidence.split('\t').next().unwrap();
            assert!(line.unwrap().contains(begin), "{evidence}");
            assert!(error["resolution"]["action"].is_string() && error["category"].is_string());
        }
    }
    assert_eq!(told.as_array().unwrap().len(), sidecars.len());
}

#[test]
fn a_gpu_that_ran_out_of_memory_is_a_kind_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("x.err");
    for text in [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "failed to allocate 1.50G (1610612736 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    ] {
        fs::write(&log, format!("epoch 1\n{text}\n")).unwrap();
        let (told, _) = json(&["errors", "--json", log.to_str().unwrap()]);
        let errors = told[0]["errors"].as_array().unwrap();
        assert_eq!(
            (errors.len(), &errors[0]["kind"]),
            (1, &"gpu_out_of_memory".into()),
            "{told}"
        );
        assert_eq!(
            (&errors[0]["line"], &errors[0]["category"]),
            (&2.into(), &"MEMORY".into())
        );
    }
}
