//! Scripts, and what bash makes of them.

use super::*;
use std::process::Command;

fn batch(resources: &SlurmSpec) -> Batch<'_> {
    Batch {
        name: "alttp-3fa9-12",
        job_dir: Path::new("/state/jobs/alttp-12"),
        program: Path::new("/opt/campaignd"),
        first: 0,
        count: 1,
        at_once: 1,
        resources,
        log: Path::new("/state/jobs/alttp-12"),
        time_seconds: None,
        umask: None,
    }
}

#[test]
fn a_script_asks_for_everything_and_becomes_the_shim() {
    let resources = SlurmSpec {
        partition: "gpu".into(),
        account: "lab".into(),
        qos: "long".into(),
        time_seconds: Some(7),
        mem_mib: Some(64_000),
        cpus_per_task: Some(8),
        gres: "gpu:a100:1".into(),
        constraint: "ib&a100".into(),
        extra: vec!["--exclusive".into(), "-w".into(), "n[1-4]".into()],
        ..SlurmSpec::default()
    };
    let script = render(&Batch {
        first: 4,
        count: 10,
        at_once: 3,
        time_seconds: Some(90_061),
        umask: Some(0o22),
        ..batch(&resources)
    });
    let expected = r#"#!/bin/bash
#SBATCH "--exclusive"
#SBATCH "-w"
#SBATCH "n[1-4]"
#SBATCH "--partition=gpu"
#SBATCH "--account=lab"
#SBATCH "--qos=long"
#SBATCH "--gres=gpu:a100:1"
#SBATCH "--constraint=ib&a100"
#SBATCH "--time=1-01:01:01"
#SBATCH "--mem=64000M"
#SBATCH "--cpus-per-task=8"
#SBATCH "--job-name=alttp-3fa9-12"
#SBATCH "--chdir=/state/jobs/alttp-12"
#SBATCH "--output=/state/jobs/alttp-12/%x-%A_%a.out"
#SBATCH "--array=0-9%3"
#SBATCH "--open-mode=append"
#SBATCH "--no-requeue"
#SBATCH "--dependency=singleton"
#SBATCH "--kill-on-invalid-dep=yes"
#SBATCH "--export=NONE"
#SBATCH "--propagate=NONE"
unset SLURM_EXPORT_ENV
export CAMPAIGND_UMASK=18
exec '/opt/campaignd' worker exec '/state/jobs/alttp-12' --position "$((4 + ${SLURM_ARRAY_TASK_ID:?}))"
"#;
    assert_eq!(script.as_deref(), Ok(expected));
}

#[test]
fn one_task_is_no_array_and_all_at_once_is_no_limit() {
    let resources = SlurmSpec::default();
    let one = render(&Batch {
        first: 7,
        ..batch(&resources)
    })
    .unwrap();
    assert!(
        !one.contains("--array") && !one.contains("ARRAY_TASK"),
        "{one}"
    );
    assert!(
        one.contains("/%x-%j.out\"\n") && one.ends_with("--position 7\n"),
        "{one}"
    );
    let all = render(&Batch {
        count: 5,
        at_once: 5,
        ..batch(&resources)
    })
    .unwrap();
    assert!(all.contains("\"--array=0-4\"\n"), "{all}");
}

/// Bash is told to print the arguments instead of becoming the program.
#[test]
fn every_path_stays_data_in_bash() {
    let resources = SlurmSpec::default();
    let odd = "/st ate/a'b\"c $HOME `id` $(id) \\n * ! # é/jobs";
    let script = render(&Batch {
        job_dir: Path::new(odd),
        program: Path::new("/bin/../bin/printf '"),
        count: 3,
        at_once: 1,
        first: 5,
        ..batch(&resources)
    })
    .unwrap();
    let run = |index: Option<&str>| {
        let mut bash = Command::new("bash");
        bash.env_remove("SLURM_ARRAY_TASK_ID");
        bash.envs(index.map(|index| ("SLURM_ARRAY_TASK_ID", index)));
        let told = script.replace("\nexec ", "\nprintf '%s\\n' ");
        let output = bash.arg("-c").arg(told).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let arguments = format!("/bin/../bin/printf '\nworker\nexec\n{odd}\n--position\n7\n");
    assert_eq!(run(Some("2")), arguments);
    assert_eq!(run(None), "");
}

#[test]
fn options_stay_data_in_sbatch() {
    assert_eq!(
        option_word("--comment=a \"b\" \\ # 'c' $HOME").as_deref(),
        Ok(r#""--comment=a \"b\" \\ # 'c' $HOME""#)
    );
    let resources = SlurmSpec::default();
    let script = render(&Batch {
        log: Path::new("/logs/50%j"),
        ..batch(&resources)
    })
    .unwrap();
    assert!(
        script.contains("\"--output=/logs/50%%j/%x-%j.out\"\n"),
        "{script}"
    );
}

#[test]
fn what_would_be_read_otherwise_is_refused() {
    let with = |resources: SlurmSpec| render(&batch(&resources)).unwrap_err();
    let extra = |text: &str| SlurmSpec {
        extra: vec![text.into()],
        ..SlurmSpec::default()
    };
    assert!(with(extra("--comment=a\n#SBATCH --requeue")).contains("cannot be an option"));
    assert!(with(extra("a\0b")).contains("cannot be an option"));
    assert!(with(extra(&"x".repeat(5000))).contains("cannot be an option"));
    let partition = SlurmSpec {
        partition: "a\nb".into(),
        ..SlurmSpec::default()
    };
    assert!(with(partition).contains("cannot be an option"));
    let endless = SlurmSpec {
        time_seconds: Some(0),
        ..SlurmSpec::default()
    };
    assert!(with(endless).contains("at least 1s"));

    let resources = SlurmSpec::default();
    let base = batch(&resources);
    let refused = |batch: Batch| render(&batch).unwrap_err();
    for odd in ["/a\nb", "relative", "/a\0b"] {
        let path = Path::new(odd);
        assert!(
            refused(Batch {
                job_dir: path,
                ..base
            })
            .contains("batch script")
        );
        assert!(
            refused(Batch {
                program: path,
                ..base
            })
            .contains("batch script")
        );
        assert!(refused(Batch { log: path, ..base }).contains("batch script"));
    }
    assert!(
        refused(Batch {
            log: Path::new("/a\\b"),
            ..base
        })
        .contains("there is a \\")
    );
    for odd in ["", "a/b", "a,b", "a\nb"] {
        assert!(refused(Batch { name: odd, ..base }).contains("cannot name a job"));
    }
    assert!(refused(Batch { count: 0, ..base }).contains("0 tasks"));
    assert!(refused(Batch { at_once: 0, ..base }).contains("never begin"));
    assert!(
        refused(Batch {
            first: u32::MAX,
            count: 2,
            ..base
        })
        .contains("no task")
    );
}
