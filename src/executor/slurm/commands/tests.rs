//! Programs that stand in for SLURM's, asked as they would be.

use super::*;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command as Program,
};
use tempfile::TempDir;

/// A directory with programs in it; each writes its arguments, separated by line feeds, and an empty line to `asked`.
struct Site {
    dir: TempDir,
}

impl Site {
    /// Programs by name, with what they do in the language of sh.
    fn new(programs: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, does) in programs {
            let text = format!(
                "#!/bin/sh\nprintf '%s\\n' {name} \"$@\" '' >>\"${{0%/*}}/asked\"\n{does}\n"
            );
            install(&dir.path().join(name), &text);
        }
        Self { dir }
    }

    fn commands(&self, clusters: &str, within: Duration) -> Commands {
        let path = format!("{}:/usr/bin:/bin", self.dir.path().display());
        Commands::new(clusters, within).on_path(path)
    }

    fn ask(&self, call: &Call) -> Result<Answer, Unanswered> {
        run(self.commands("", Duration::from_secs(60)).ask(call))
    }

    /// The runs: program and arguments.
    fn asked(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.dir.path().join("asked")).unwrap();
        let runs = text.split("\n\n").filter(|run| !run.is_empty());
        runs.map(|run| run.lines().map(String::from).collect())
            .collect()
    }
}

/// Written by another process: a file that is open for writing in this one, or in what another test starts, is "busy".
fn install(path: &Path, text: &str) {
    let mut install = Program::new("install");
    install.args(["-m", "755", "/dev/stdin"]).arg(path);
    let mut child = install.stdin(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

fn submit() -> Call {
    Call::Submit {
        name: "a-1".into(),
        script: PathBuf::from("/s t/batch.sh"),
    }
}

#[test]
fn a_script_is_submitted_under_its_name() {
    let site = Site::new(&[("sbatch", "echo 'welcome to c1'; echo '17;c1'")]);
    let commands = site.commands("c1", Duration::from_secs(60));
    assert_eq!(
        run(commands.ask(&submit())),
        Ok(Answer::Submitted { id: 17 })
    );
    let arguments = [
        "sbatch",
        "--clusters=c1",
        "--parsable",
        "--job-name=a-1",
        "/s t/batch.sh",
    ];
    assert_eq!(site.asked(), [arguments]);
}

#[test]
fn an_answer_without_an_id_is_doubt_and_a_failure_is_sorted() {
    let silent = Site::new(&[("sbatch", "echo welcome")]);
    assert!(matches!(silent.ask(&submit()), Err(Unanswered::Unsure(_))));
    let failed = "echo 12; echo 'sbatch: error: Batch job submission failed: Invalid qos specification' >&2; exit 1";
    let failed = Site::new(&[("sbatch", failed)]);
    assert!(matches!(failed.ask(&submit()), Err(Unanswered::Refused(_))));
}

#[test]
fn a_program_that_is_not_there_was_not_asked() {
    let site = Site::new(&[]);
    let commands = Commands::new("", Duration::from_secs(60)).on_path(site.dir.path());
    let missing = |program| {
        Err(Unanswered::NotAsked(format!(
            "there is no {program} on PATH"
        )))
    };
    assert_eq!(run(commands.ask(&submit())), missing("sbatch"));
    assert_eq!(run(commands.ask(&Call::Queue)), missing("squeue"));
}

#[test]
fn a_program_that_takes_too_long_is_killed_with_what_it_started() {
    let site = Site::new(&[("sbatch", "sleep 1000 & echo $! >\"${0%/*}/started\"; wait")]);
    let started = site.dir.path().join("started");
    // Long enough to begin on any machine: the limit counts from the start of the program.
    let mut limit = Duration::from_millis(200);
    while !started.exists() {
        let asked = run(site.commands("", limit).ask(&submit()));
        assert!(matches!(asked, Err(Unanswered::Unsure(_))), "{asked:?}");
        limit *= 2;
    }
    let pid = fs::read_to_string(&started).unwrap();
    let stat = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
    let alive = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while alive() {
        assert!(std::time::Instant::now() < deadline, "{pid} still runs");
        std::thread::yield_now();
    }
}

#[test]
fn the_queue_is_asked_for_everything() {
    let line = r"printf '7\037N/A\037a-1\037RUNNING\037None\037n1\037main\n'";
    let site = Site::new(&[("squeue", line)]);
    let Ok(Answer::Queue(rows)) = site.ask(&Call::Queue) else {
        panic!("no queue");
    };
    assert_eq!(
        (rows.len(), rows[0].id, rows[0].name.as_str()),
        (1, 7, "a-1")
    );
    let asked = site.asked().concat();
    for option in [
        "--noheader",
        "--all",
        "--states=all",
        "--user",
        rows::QUEUE_FORMAT,
    ] {
        assert!(asked.iter().any(|word| word == option), "{asked:?}");
    }
    let partial = Site::new(&[("squeue", &format!("{line}; exit 1"))]);
    assert!(matches!(
        partial.ask(&Call::Queue),
        Err(Unanswered::Unsure(_))
    ));
}

#[test]
fn accounting_is_asked_by_id_and_by_name_in_pieces() {
    // The first answer is cut within its second line.
    let line =
        |id, end| format!("printf '{id}\\037a\\037FAILED\\0371:0\\0372\\0379\\037n1\\0375{end}'");
    let does = format!(
        "if [ -e \"$0.again\" ]; then {}; else touch \"$0.again\"; {}; {}; fi",
        line(3, "\\n"),
        line(1, "\\n"),
        line(2, "")
    );
    let site = Site::new(&[("sacct", &does)]);
    let inquiry = Inquiry {
        ids: (1..=2000).collect(),
        names: ["a-1".into(), "a-2".into()].into(),
        since: Timestamp(1_772_442_842_000),
    };
    let Ok(Answer::Accounts(rows)) = site.ask(&Call::Accounts(inquiry)) else {
        panic!("no accounts");
    };
    let ids: Vec<u64> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids, [1, 3, 3, 3]);
    let asked = site.asked();
    let value = |run: usize, key: &str| {
        let at = asked[run].iter().position(|word| word == key)?;
        asked[run].get(at + 1).cloned()
    };
    let lengths: Vec<_> = (0..3)
        .map(|run| value(run, "--jobs").unwrap().split(',').count())
        .collect();
    assert_eq!(lengths, [900, 900, 200]);
    assert_eq!(value(0, "--starttime"), None);
    assert_eq!(value(3, "--name").as_deref(), Some("a-1,a-2"));
    assert_eq!(
        value(3, "--starttime").as_deref(),
        Some("2026-03-02T08:14:02")
    );
    assert!(value(3, "--state").is_some() && value(3, "--endtime").is_some());
    assert_eq!(asked.len(), 4);
}

#[test]
fn nothing_asked_is_nothing_run_and_all_is_cancelled_that_can_be() {
    let down = "echo 'scancel: error: Kill job error on job id 1: Unable to contact slurm controller (connect failure)' >&2; exit 8";
    let site = Site::new(&[("scancel", down)]);
    let nothing = Call::Accounts(Inquiry::default());
    assert_eq!(site.ask(&nothing), Ok(Answer::Accounts(Vec::new())));
    let cancel = Call::Cancel {
        ids: [1, 2].into(),
        names: ["a-1".into()].into(),
    };
    assert!(matches!(site.ask(&cancel), Err(Unanswered::Unsure(_))));
    let asked = site.asked();
    assert_eq!(asked[0], ["scancel", "1", "2"]);
    assert_eq!(asked[1].last().unwrap(), "--name=a-1");
    let fine = Site::new(&[("scancel", "")]);
    assert_eq!(fine.ask(&cancel), Ok(Answer::Cancelled));
}

#[test]
fn a_controller_that_is_up_answers() {
    let up = Site::new(&[(
        "scontrol",
        "echo 'Slurmctld(primary) at h1 is DOWN'; echo 'Slurmctld(backup) at h2 is UP'",
    )]);
    assert_eq!(up.ask(&Call::Ping), Ok(Answer::Pong));
    let down = Site::new(&[(
        "scontrol",
        "echo 'Slurmctld(primary) at h1 is DOWN'; exit 1",
    )]);
    assert!(matches!(down.ask(&Call::Ping), Err(Unanswered::Unsure(_))));
}

#[test]
fn defaults_of_the_environment_are_left_out() {
    for key in [
        "SBATCH_PARTITION",
        "SQUEUE_STATES",
        "SLURM_JOB_ID",
        "SLURM_TIME_FORMAT",
        "SACCT_FORMAT",
    ] {
        assert!(is_default(OsStr::new(key)), "{key}");
    }
    for key in ["SLURM_CONF", "SLURM_CLUSTERS", "PATH", "HOME"] {
        assert!(!is_default(OsStr::new(key)), "{key}");
    }
}

#[test]
fn accounting_never_looks_back_to_midnight_only() {
    assert_eq!(start_time(Timestamp(0)), "1970-01-02T00:00:00");
    assert_eq!(start_time(Timestamp(i64::MIN)), "1970-01-02T00:00:00");
    assert_eq!(start_time(Timestamp(i64::MAX)), "9999-12-31T23:59:59");
}
