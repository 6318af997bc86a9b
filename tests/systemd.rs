//! The unit in a real systemd: it starts, reloads, hangs, is killed and stopped, and its jobs go on; who may change
//! things; what the sandbox keeps closed and the drop-in opens.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod service;

use service::{Machine, STATE, campaign, ctl, read, sources, text, with_script};
use std::{fs, process::Command};

/// Waits for nothing longer than a test likes to; hangs are noticed in seconds.
const HASTE: &str = "[Service]\nWatchdogSec=6s\nRestartSec=100ms\n";

fn submit(machine: &Machine, name: &str, toml: &str) {
    let file = format!("/etc/campaignd/{name}.toml");
    machine.file(&file, toml);
    machine.ok(&ctl(&format!("submit {file}")));
}

#[test]
fn it_starts_reports_and_refuses_a_second_one() {
    let Some(machine) = Machine::new("it_starts_reports_and_refuses_a_second_one") else {
        return;
    };
    let verified = machine.sh("systemd-analyze verify /etc/systemd/system/campaignd.service");
    assert_eq!(text(&verified), "", "verify is not silent");
    let made = machine.ok("stat -c '%U %a' /var/lib/campaignd /etc/campaignd; id -un campaignd");
    assert_eq!(made, "campaignd 700\nroot 755\ncampaignd\n");
    machine.ok("systemctl start campaignd");
    assert_eq!(machine.property("ActiveState"), "active");
    assert_eq!(machine.property("User"), "campaignd");
    submit(&machine, "words", &campaign("words", 2));
    machine.until("its line says what is under way", || {
        machine.property("StatusText") == "1 campaign live, 2 jobs running"
    });
    let second = machine.sh(&format!(
        "runuser -u campaignd -- campaignd --state-dir {STATE} serve"
    ));
    let holder = format!("PID {}", machine.property("MainPID"));
    assert_eq!(second.status.code(), Some(2), "{}", text(&second));
    assert!(text(&second).contains(&holder), "{}", text(&second));
    machine.ok(&format!("touch {STATE}/words.go"));
    machine.until("it completes", || machine.state("words") == "completed");
    entries_have_fields(&machine);
}

fn entries_have_fields(machine: &Machine) {
    let launched = machine.journal("CAMPAIGN=words EVENT=job_launched JOB=words-1");
    assert_eq!(launched.lines().count(), 1, "{launched}");
    let one = machine.journal("CAMPAIGN=words SEQ=1 SYSLOG_IDENTIFIER=campaignd PRIORITY=6");
    assert_eq!(one.lines().count(), 1, "{one}");
    assert_eq!(machine.journal("CAMPAIGN=nobody"), "");
    let warned = machine.journal("-p warning SYSLOG_IDENTIFIER=campaignd");
    assert_eq!(warned, "", "a quiet run warns of nothing");
}

#[test]
fn a_reload_changes_limits_and_a_wrong_file_changes_nothing() {
    let Some(machine) = Machine::new("a_reload_changes_limits_and_a_wrong_file_changes_nothing")
    else {
        return;
    };
    if std::thread::available_parallelism().is_ok_and(|count| count.get() < 2) {
        println!(
            "skipped a_reload_changes_limits_and_a_wrong_file_changes_nothing: one processor runs one job"
        );
        return;
    }
    let limit = |value: &str| {
        let text = format!("[limits]\nmax_concurrent_jobs = {value}\n");
        machine.file("/etc/campaignd/campaignd.toml", &text);
    };
    limit("1");
    machine.ok("systemctl start campaignd");
    let main = machine.property("MainPID");
    for name in ["one", "two"] {
        submit(&machine, name, &campaign(name, 1));
    }
    let begun = || {
        let ledgers = machine.lines(&format!("{STATE}/*.ledger"));
        ledgers
            .iter()
            .filter(|line| line.starts_with("generate"))
            .count()
    };
    machine.until("one job runs", || begun() == 1);
    limit("\"many\"");
    machine.sh("systemctl reload campaignd");
    machine.until("the error is told", || {
        let told = machine.journal("PRIORITY=3");
        told.contains("the settings stay as they were") && told.contains("max_concurrent_jobs")
    });
    assert_eq!(machine.property("ActiveState"), "active");
    assert_eq!(begun(), 1);
    // No more run here at once than the machine has processors, whatever the limit says.
    limit("2");
    machine.ok("systemctl reload campaignd");
    machine.until("the second runs", || begun() == 2);
    assert_eq!(machine.property("MainPID"), main);
}

#[test]
fn hung_killed_and_stopped_it_finds_its_jobs_as_they_were() {
    let Some(machine) = Machine::new("hung_killed_and_stopped_it_finds_its_jobs_as_they_were")
    else {
        return;
    };
    machine.drop_in("haste", HASTE);
    machine.ok("systemctl start campaignd");
    submit(&machine, "long", &campaign("long", 2));
    let ledger = format!("{STATE}/long.ledger");
    machine.until("two jobs run", || machine.lines(&ledger).len() == 3);
    machine.until("systemd keeps their handles", || stored(&machine) == "2");
    let before = machine.lines(&ledger);
    for (how, kept) in [
        ("kill -STOP $(systemctl show -P MainPID campaignd)", 2),
        ("kill -KILL $(systemctl show -P MainPID campaignd)", 2),
        ("systemctl restart campaignd", 2),
        (
            "systemctl stop campaignd && systemctl is-active campaignd || systemctl start campaignd",
            0,
        ),
    ] {
        let main = machine.property("MainPID");
        let told = handles_found(&machine);
        machine.ok(how);
        machine.until(&format!("another daemon answers after {how}"), || {
            machine.property("MainPID") != main && machine.state("long") == "generating"
        });
        machine.until(&format!("their handles are kept once after {how}"), || {
            stored(&machine) == "2"
        });
        assert_eq!(
            handles_found(&machine) - told,
            usize::from(kept > 0),
            "{how}"
        );
        assert_eq!(machine.lines(&ledger), before, "started twice after {how}");
        let pids = running(&before);
        assert_eq!(pids.len(), 2, "{before:?}");
        for pid in pids {
            machine.ok(&format!("kill -0 {pid}"));
        }
    }
    let hung = machine.ok("journalctl --no-pager -o cat -u campaignd");
    assert!(hung.contains("Watchdog timeout"), "{hung}");
    machine.ok(&format!("touch {STATE}/long.go"));
    machine.until("it completes", || machine.state("long") == "completed");
    assert_eq!(machine.lines(&ledger), before, "one launch a task");
    machine.until("no handle is left", || stored(&machine) == "0");
}

fn stored(machine: &Machine) -> String {
    machine.property("NFileDescriptorStore")
}

fn handles_found(machine: &Machine) -> usize {
    let log = machine.journal("");
    log.matches("systemd kept 2 handles of tasks; 2 of them still run")
        .count()
}

/// The PIDs of the generation.
fn running(ledger: &[String]) -> Vec<&str> {
    let running = ledger
        .iter()
        .filter_map(|line| line.strip_prefix("generate "));
    running.filter_map(|line| line.split(' ').nth(1)).collect()
}

#[test]
fn a_job_writes_under_a_home_directory_with_the_drop_in_alone() {
    let Some(machine) = Machine::new("a_job_writes_under_a_home_directory_with_the_drop_in_alone")
    else {
        return;
    };
    // The machine's own /home is not ours to write in.
    machine.ok(
        "mount -t tmpfs tmpfs /home && useradd --create-home ada && chmod 711 /home/ada \
                && install -d -o ada -g campaignd -m 2770 /home/ada/results",
    );
    let script = |name: &str| {
        with_script(
            name,
            2,
            &format!(
                "echo $2 > /home/ada/results/{name}-$2-$3 || exit 1; n=0; while [ $n -lt $1 ]; do \
             echo {{\\\"id\\\":\\\"$2-$3-$n\\\",\\\"quality_score\\\":0.9}} >> $4; n=$((n+1)); done"
            ),
        )
    };
    let written = || machine.lines("/dev/null; ls /home/ada/results").len();
    machine.ok("systemctl start campaignd");
    submit(&machine, "closed", &script("closed"));
    machine.until("the sandbox fails it", || {
        machine.state("closed") == "failed"
    });
    assert_eq!(
        written(),
        0,
        "the base unit lets jobs write in home directories"
    );
    let why = text(&machine.sh(&format!("cat {STATE}/jobs/closed-1/tasks/0/stderr")));
    assert!(why.contains("Read-only file system"), "{why}");
    machine.drop_in("local-jobs", &read("local-jobs.conf"));
    machine.ok("systemctl restart campaignd");
    submit(&machine, "open", &script("open"));
    machine.until("the drop-in lets it", || {
        machine.state("open") == "completed"
    });
    assert_eq!(written(), 3, "one task of the pilot, two of the generation");
    let made = machine.ok("stat -c '%U %G %a' /home/ada/results/open-pilot-0");
    assert_eq!(made, "campaignd campaignd 640\n", "its group may read it");
}

#[test]
fn only_its_user_root_and_the_group_change_things() {
    let Some(machine) = Machine::new("only_its_user_root_and_the_group_change_things") else {
        return;
    };
    machine.ok("useradd ada && useradd --groups campaignd grace");
    let submit_as = |user: &str, name: &str| {
        let file = format!("/etc/campaignd/{name}.toml");
        machine.file(&file, &campaign(name, 1));
        machine.sh(&format!(
            "runuser -u {user} -- {}",
            ctl(&format!("submit {file}"))
        ))
    };
    let status_as = |user: &str| machine.sh(&format!("runuser -u {user} -- {}", ctl("status")));
    machine.ok("systemctl start campaignd");
    for user in ["ada", "grace"] {
        assert!(
            !status_as(user).status.success(),
            "{user} reads with nobody let in"
        );
    }
    machine.file(
        "/etc/campaignd/campaignd.toml",
        "socket_group = \"campaignd\"\nsocket_readers = \"everyone\"\n",
    );
    machine.ok("systemctl restart campaignd");
    assert!(
        status_as("ada").status.success(),
        "{}",
        text(&status_as("ada"))
    );
    let refused = submit_as("ada", "theirs");
    assert!(
        !refused.status.success() && text(&refused).contains("its group may change things"),
        "{}",
        text(&refused)
    );
    assert_eq!(machine.state("theirs"), "");
    for (user, name) in [
        ("grace", "of-grace"),
        ("campaignd", "of-the-user"),
        ("root", "of-root"),
    ] {
        let done = submit_as(user, name);
        assert!(done.status.success(), "{user}: {}", text(&done));
    }
    let uid = machine.ok("id -u grace");
    let events = machine.ok(&ctl("events of-grace --json"));
    assert!(
        events.contains(&format!("\"uid\":{}", uid.trim())),
        "{events}"
    );
}

#[test]
fn the_scores_are_as_stated() {
    let test = "the_scores_are_as_stated";
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped {test}: no systemd-analyze");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("campaignd.service");
    fs::copy(sources("campaignd.service"), &unit).unwrap();
    let score = || {
        let said = Command::new("systemd-analyze")
            .args(["security", "--offline=true"])
            .arg(&unit)
            .output()
            .unwrap();
        let said = text(&said);
        let words = said.split("exposure level for campaignd.service:").nth(1);
        let score = words.and_then(|words| words.split_whitespace().next());
        score
            .unwrap_or_else(|| panic!("no score in {said}"))
            .to_string()
    };
    let base = score();
    let drop_ins = dir.path().join("campaignd.service.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::copy(sources("local-jobs.conf"), drop_ins.join("local-jobs.conf")).unwrap();
    let loosened = score();
    assert!(base.parse::<f64>().unwrap() <= 2.0, "{base}");
    assert!(
        read("campaignd.service").contains(&format!("--offline=true: {base} ")),
        "{base}"
    );
    assert!(
        read("local-jobs.conf").contains(&format!("the unit with it: {loosened}\n")),
        "{loosened}"
    );
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    for row in [
        format!("| `campaignd.service` | {base} |"),
        format!("| with `local-jobs.conf` | {loosened} |"),
    ] {
        assert!(readme.contains(&row), "README.md lacks {row}");
    }
}
