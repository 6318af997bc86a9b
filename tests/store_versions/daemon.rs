//! What the daemon itself says of such stores, and with which exit status.

use super::{damaged, files, last_segment, raise_format, written};
use std::{
    fs,
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

fn serve(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campaignd"));
    command
        .arg("serve")
        .arg("--state-dir")
        .arg(dir)
        .stdin(Stdio::null());
    command
}

/// What the daemon says while it refuses; one that starts instead is ended and said.
fn refused_by_the_daemon(dir: &Path) -> String {
    let mut daemon = serve(dir).stderr(Stdio::piped()).spawn().unwrap();
    if answers(&mut daemon, dir) {
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        panic!("the daemon took the store");
    }
    let Output { status, stderr, .. } = daemon.wait_with_output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{said}");
    said
}

/// Whether the daemon comes to answer; false once it has ended or a minute has passed.
fn answers(daemon: &mut Child, dir: &Path) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline && daemon.try_wait().unwrap().is_none() {
        if UnixStream::connect(dir.join("control.sock")).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

#[test]
fn the_daemon_refuses_a_newer_store_with_a_sentence() {
    let (dir, _) = written();
    raise_format(dir.path());
    let before = files(dir.path());
    let said = refused_by_the_daemon(dir.path());
    let sentence = "error: the store was written by a newer campaignd: version 2, this reads 1";
    assert!(said.contains(sentence), "{said}");
    assert!(
        said.contains("  right  the campaignd that wrote it, or a newer one (nothing was changed)"),
        "{said}"
    );
    assert!(files(dir.path()) == before, "something was changed");
}

#[test]
fn the_daemon_names_the_way_back_from_damage_and_starts_once_it_is_gone() {
    let (dir, _, error, whole) = damaged();
    let said = refused_by_the_daemon(dir.path());
    assert!(said.contains(&format!("error: {error}")), "{said}");
    assert!(
        said.contains(&format!("  right  {}", error.way_back())),
        "{said}"
    );
    fs::write(last_segment(dir.path()), whole).unwrap();
    let mut daemon = serve(dir.path()).stderr(Stdio::null()).spawn().unwrap();
    let answered = answers(&mut daemon, dir.path());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(answered, "it does not start again");
}
