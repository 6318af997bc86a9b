//! Deliveries to directories, and by a real rsync whose remote shell is a script of this machine.

use super::*;
use std::os::unix::fs::PermissionsExt;

/// A finished directory.
fn finished(dir: &Path, text: &str) -> PathBuf {
    let from = dir.join("from");
    let _ = fs::remove_dir_all(&from);
    fs::create_dir_all(from.join("routing")).unwrap();
    fs::write(from.join("routing/train.jsonl"), text).unwrap();
    fs::write(from.join("README.md"), "a card").unwrap();
    fs::write(from.join(sums::NAME), sums::text(&sums::of(&from).unwrap())).unwrap();
    from
}

fn local(dir: &Path) -> Destination {
    Destination::Directory(dir.join("to"))
}

#[test]
fn destinations_are_directories_or_hosts_and_never_options() {
    let remote = |host: &str, path: &str| Destination::Remote {
        host: host.into(),
        path: path.into(),
    };
    assert_eq!(
        "/data/x:y".parse(),
        Ok(Destination::Directory("/data/x:y".into()))
    );
    assert_eq!("host:sets/".parse(), Ok(remote("host", "sets")));
    assert_eq!(
        "me@host.example:/a b/$(x)".parse(),
        Ok(remote("me@host.example", "/a b/$(x)"))
    );
    let wrong = [
        "sets",
        "./x:y",
        "-oProxyCommand=x:y",
        "me@-x:y",
        "-x@host:y",
        "a b:y",
        "host:",
        "host::module",
        "rsync://host/x",
        "@host:x",
        "me@:x",
        "a;b:x",
        "host:a\nb",
        "",
        ":x",
    ];
    for text in wrong {
        assert!(text.parse::<Destination>().is_err(), "{text:?} is taken");
    }
}

#[test]
fn a_directory_is_copied_once_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let (from, rsync) = (finished(dir.path(), "one\n"), Rsync::default());
    let to = local(dir.path());
    assert_eq!(deliver(&from, &to, "set", &rsync), Ok(Delivered::Now));
    let target = dir.path().join("to/set");
    assert_eq!(sums::of(&target).unwrap(), sums::of(&from).unwrap());
    assert_eq!(deliver(&from, &to, "set", &rsync), Ok(Delivered::Before));
    // What was changed there since, or here, is put right.
    fs::write(target.join("README.md"), "a scar").unwrap();
    assert_eq!(deliver(&from, &to, "set", &rsync), Ok(Delivered::Now));
    let from = finished(dir.path(), "two\n");
    assert_eq!(deliver(&from, &to, "set", &rsync), Ok(Delivered::Now));
    assert_eq!(
        fs::read(target.join("routing/train.jsonl")).unwrap(),
        b"two\n"
    );
    let left: Vec<_> = fs::read_dir(dir.path().join("to")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let from = finished(dir.path(), "one\n");
    let thesis = dir.path().join("to/set/thesis.tex");
    fs::create_dir_all(thesis.parent().unwrap()).unwrap();
    fs::write(&thesis, "years").unwrap();
    let refused = deliver(&from, &local(dir.path()), "set", &Rsync::default());
    let Err(Undelivered::Final(why)) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("no earlier export"), "{why}");
    assert_eq!(fs::read(&thesis).unwrap(), b"years");
    let nowhere = Destination::Directory(dir.path().join("not/mounted"));
    let refused = deliver(&from, &nowhere, "set", &Rsync::default());
    assert!(matches!(refused, Err(Undelivered::Final(_))), "{refused:?}");
}

#[test]
fn what_differs_from_its_sums_is_not_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let from = finished(dir.path(), "one\n");
    fs::write(from.join("more"), "x").unwrap();
    let refused = deliver(&from, &local(dir.path()), "set", &Rsync::default());
    assert!(matches!(refused, Err(Undelivered::Final(_))), "{refused:?}");
    fs::remove_file(from.join("more")).unwrap();
    fs::write(from.join("README.md"), "changed").unwrap();
    let refused = deliver(&from, &local(dir.path()), "set", &Rsync::default());
    assert!(refused.is_err(), "{refused:?}");
    assert!(!dir.path().join("to/set").exists());
}

/// A remote shell that is this machine: `SCRIPT HOST COMMAND...`.
fn rsync(dir: &Path, script: &str) -> Option<Rsync> {
    if !std::process::Command::new("rsync")
        .arg("--version")
        .output()
        .is_ok_and(|said| said.status.success())
    {
        return None;
    }
    let shell = dir.join("rsh");
    fs::write(&shell, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
    Some(Rsync {
        program: "rsync".into(),
        shell: Some(shell.display().to_string()),
    })
}

/// As ssh does it: perhaps a user, a host, and words that are one command of the other side's shell.
const HERE: &str = "[ \"$1\" = -l ] && shift 2; echo \"$1\" >> \"$(dirname \"$0\")/hosts\"; shift; exec sh -c \"$*\"";

#[test]
fn rsync_delivers_and_compares() {
    let dir = tempfile::tempdir().unwrap();
    let Some(rsync) = rsync(dir.path(), HERE) else {
        eprintln!("skipped rsync_delivers_and_compares: rsync is not installed");
        return;
    };
    let from = finished(dir.path(), "one\n");
    // A path that a shell would read otherwise.
    let there = dir.path().join("a $(touch forged) 'b");
    fs::create_dir(&there).unwrap();
    let to = Destination::Remote {
        host: "me@cluster".into(),
        path: there.display().to_string(),
    };
    assert_eq!(deliver(&from, &to, "set", &rsync), Ok(Delivered::Now));
    assert_eq!(
        sums::of(&there.join("set")).unwrap(),
        sums::of(&from).unwrap()
    );
    assert_eq!(deliver(&from, &to, "set", &rsync), Ok(Delivered::Before));
    fs::write(there.join("set/README.md"), "a scar").unwrap();
    assert_eq!(deliver(&from, &to, "set", &rsync), Ok(Delivered::Now));
    assert!(!dir.path().join("forged").exists() && !Path::new("forged").exists());
    let hosts = fs::read_to_string(dir.path().join("hosts")).unwrap();
    assert!(hosts.lines().count() >= 6, "{hosts}");
}

#[test]
fn what_rsync_says_passes_or_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let from = finished(dir.path(), "one\n");
    let to = Destination::Remote {
        host: "cluster".into(),
        path: dir.path().join("none/there").display().to_string(),
    };
    let Some(unreachable) = rsync(dir.path(), "echo 'no route to host' >&2; exit 255") else {
        eprintln!("skipped what_rsync_says_passes_or_does_not: rsync is not installed");
        return;
    };
    let said = deliver(&from, &to, "set", &unreachable);
    let Err(Undelivered::Passing(why)) = said else {
        panic!("{said:?}");
    };
    assert!(why.contains("no route to host"), "{why}");
    let here = rsync(dir.path(), HERE).unwrap();
    let said = deliver(&from, &to, "set", &here);
    assert!(matches!(said, Err(Undelivered::Final(_))), "{said:?}");
    let absent = Rsync {
        program: dir.path().join("no-rsync"),
        shell: None,
    };
    let said = deliver(&from, &to, "set", &absent);
    assert!(matches!(said, Err(Undelivered::Final(_))), "{said:?}");
}

/// The other side takes everything and keeps something else: only the comparison finds it.
#[test]
fn a_copy_that_changed_on_its_way_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let spoil = format!(
        "{HERE_THEN}\necho spoilt > '{0}/there/set/README.md'",
        dir.path().display()
    );
    let Some(rsync) = rsync(dir.path(), &spoil) else {
        eprintln!("skipped a_copy_that_changed_on_its_way_is_found: rsync is not installed");
        return;
    };
    let from = finished(dir.path(), "one\n");
    fs::create_dir(dir.path().join("there")).unwrap();
    let to = Destination::Remote {
        host: "cluster".into(),
        path: dir.path().join("there").display().to_string(),
    };
    let said = deliver(&from, &to, "set", &rsync);
    let Err(Undelivered::Passing(why)) = said else {
        panic!("{said:?}");
    };
    assert!(why.contains("differs still"), "{why}");
}

const HERE_THEN: &str = "shift; sh -c \"$*\" || exit";
