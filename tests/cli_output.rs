//! The real binaries with a stdout that takes nothing, and with a peer at the socket that is not campaignd: a sentence
//! and a status, never a panic, never a wait without an end.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use serde_json::Value;
use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::{
        net::{UnixListener, UnixStream},
        process::ExitStatusExt,
    },
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const CAMPAIGND: &str = env!("CARGO_BIN_EXE_campaignd");
const CAMPAIGNCTL: &str = env!("CARGO_BIN_EXE_campaignctl");

/// No verb of these tests takes this long.
const PATIENCE: Duration = Duration::from_secs(50);

fn command(program: &str, dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("CAMPAIGND_STATE_DIR", dir.join("state"))
        .current_dir(dir)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What came of a command that must end by itself.
#[track_caller]
fn ended(mut child: Child) -> Output {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it hangs: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// One error of one sentence on stderr, and its status.
#[track_caller]
fn one_sentence(output: &Output, status: i32) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let errors: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("error: "))
        .collect();
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert_eq!(errors.len(), 1, "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(
        said.starts_with("error: ") && !errors[0].ends_with('.'),
        "{said}"
    );
    errors[0].into()
}

/// Verbs of both programs that answer without a daemon.
fn verbs() -> Vec<(&'static str, &'static [&'static str])> {
    vec![
        (CAMPAIGND, &["--help"]),
        (CAMPAIGND, &["--version"]),
        (CAMPAIGND, &["queries"]),
        (CAMPAIGND, &["queries", "--json"]),
        (CAMPAIGND, &["queries", "--sample", "2000000"]),
        (CAMPAIGND, &["queries", "--sample", "2000000", "--json"]),
        (CAMPAIGND, &["check"]),
        (CAMPAIGND, &["check", "--json"]),
        (CAMPAIGND, &["check", "--keys"]),
        (CAMPAIGND, &["completions", "bash"]),
        (CAMPAIGND, &["simulate", "gate", "--trials", "1"]),
        (CAMPAIGND, &["simulate", "c.toml"]),
        (
            CAMPAIGND,
            &["simulate", "c.toml", "--trials", "2", "--json"],
        ),
        (CAMPAIGND, &["doctor"]),
        (CAMPAIGNCTL, &["--help"]),
        (CAMPAIGNCTL, &["machine"]),
        (CAMPAIGNCTL, &["machine", "--format", "dot"]),
        (CAMPAIGNCTL, &["completions", "zsh"]),
        (CAMPAIGNCTL, &["submit", "c.toml", "--dry-run"]),
        (CAMPAIGNCTL, &["submit", "c.toml", "--dry-run", "--json"]),
    ]
}

fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let campaign = "name = \"c\"\npilot_target = 200\n";
    fs::write(dir.path().join("c.toml"), campaign).unwrap();
    fs::create_dir(dir.path().join("state")).unwrap();
    dir
}

#[test]
fn a_full_disk_under_stdout_is_a_sentence() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped a_full_disk_under_stdout_is_a_sentence: there is no /dev/full");
        return;
    }
    let dir = place();
    for (program, args) in verbs() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = command(program, dir.path(), args);
        let said = one_sentence(&ended(command.stdout(full).spawn().unwrap()), 1);
        assert!(said.starts_with("stdout cannot be written: "), "{said}");
    }
}

#[test]
fn a_reader_that_has_gone_ends_a_verb_quietly() {
    let dir = place();
    for (program, args) in verbs() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(program, dir.path(), args);
        let output = ended(command.stdout(writer).spawn().unwrap());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
        assert_eq!(said, "", "{args:?}");
    }
}

#[test]
fn a_reader_that_has_enough_ends_a_long_answer() {
    let dir = place();
    let args = ["queries", "--sample", "99999999999"];
    let mut child = command(CAMPAIGND, dir.path(), &args).spawn().unwrap();
    let mut begun = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut begun).unwrap();
    let output = ended(child);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// Where neither stream takes anything, the status is all there is; and it is said by ending, not by a signal.
#[test]
fn without_any_stream_the_status_remains() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped without_any_stream_the_status_remains: there is no /dev/full");
        return;
    }
    let dir = place();
    let cases: [(&str, &[&str], i32); 4] = [
        (CAMPAIGND, &["queries"], 1),
        (CAMPAIGND, &["check", "absent.toml", "--json"], 2),
        (CAMPAIGNCTL, &["status", "--json"], 7),
        (CAMPAIGNCTL, &["no-such-verb"], 2),
    ];
    for (program, args, status) in cases {
        let full = || File::options().write(true).open("/dev/full").unwrap();
        let mut command = command(program, dir.path(), args);
        let output = ended(command.stdout(full()).stderr(full()).spawn().unwrap());
        assert_eq!(output.status.code(), Some(status), "{args:?}");
        assert_eq!(output.status.signal(), None, "{args:?}");
    }
}

/// Without a limit that a clock could reach, one waits for ever; here, for a peer that never answers well.
#[test]
fn a_wait_of_ages_is_no_panic() {
    let dir = place();
    peer(dir.path(), say(b""));
    let args = ["wait", "alttp", "--timeout", "500000000000years"];
    let output = ended(command(CAMPAIGNCTL, dir.path(), &args).spawn().unwrap());
    assert!(one_sentence(&output, 7).contains("broke off"));
}

#[test]
fn a_rehearsal_is_one_json_value() {
    let dir = place();
    let args = ["submit", "c.toml", "--dry-run", "--json", "--skip-pilot"];
    let output = command(CAMPAIGNCTL, dir.path(), &args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["version"], 1);
    assert_eq!(value["campaign"]["name"], "c");
    assert_eq!(value["campaign"]["criteria"]["pilot_target"], 200);
    assert_eq!(value["parts"], "skip_pilot");
}

/// A peer that says something to each of its callers, whatever they ask.
fn peer(dir: &Path, say: impl Fn(&mut UnixStream) + Send + 'static) {
    let listener = UnixListener::bind(dir.join("state/control.sock")).unwrap();
    // It ends with the test's process: nobody can be sure that no caller comes any more.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // What is asked matters to no answer; a caller may have gone.
            let _ = stream.read(&mut [0; 4096]);
            say(&mut stream);
        }
    });
}

const ASKED: [&[&str]; 7] = [
    &["status"],
    &["list", "--json"],
    &["explain", "alttp"],
    &["approve", "alttp"],
    &["wait", "alttp", "--timeout", "1s"],
    &["events", "-f"],
    &["logs", "alttp", "-f"],
];

#[track_caller]
fn all_fail(say: impl Fn(&mut UnixStream) + Send + 'static, expected: &str) {
    let dir = place();
    peer(dir.path(), say);
    for args in ASKED {
        let output = ended(command(CAMPAIGNCTL, dir.path(), args).spawn().unwrap());
        let said = one_sentence(&output, 7);
        assert!(said.contains(expected), "{args:?}: {said}");
        if args.contains(&"--json") {
            let value: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(value["error"]["exit_status"], 7, "{value}");
        } else {
            assert!(output.stdout.is_empty(), "{args:?}: {output:?}");
        }
    }
}

fn say(bytes: &[u8]) -> impl Fn(&mut UnixStream) + Send + 'static {
    let bytes = bytes.to_vec();
    // A caller that has heard enough hangs up.
    move |stream| drop(stream.write_all(&bytes))
}

#[test]
fn garbage_is_not_campaignds() {
    all_fail(say(&[0xFF; 1_000]), "the answer is not campaignd's");
    let page = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n<html>\n";
    all_fail(say(page), "the answer is not campaignd's");
    let deep = [
        b"HTTP/1.1 200 OK\r\n\r\n",
        "[".repeat(1_000_000).as_bytes(),
        b"\n",
    ]
    .concat();
    all_fail(say(&deep), "the answer is not campaignd's");
}

#[test]
fn an_answer_that_breaks_off_is_said_to() {
    all_fail(say(b""), "broke off");
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 700\r\n\r\n{\"version\":1,";
    all_fail(say(half), "broke off");
}

#[test]
fn a_head_without_an_end_is_not_read_for_ever() {
    let endless = |stream: &mut UnixStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"x-more: and more\r\n").is_ok() {}
    };
    all_fail(endless, "the answer is not campaignd's");
}

#[test]
fn a_newer_language_is_named() {
    let body = r#"{"version":2,"campaigns":[]}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}\n",
        body.len() + 1
    );
    let expected = "campaignd answers in version 2 of its language, this reads 1";
    all_fail(say(answer.as_bytes()), expected);
}

/// Past the limit a line is refused, and the process has not grown far beyond it.
#[test]
fn a_line_without_an_end_is_not_kept() {
    let dir = place();
    peer(dir.path(), |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b' '; 65_536]).is_ok() {}
    });
    let mut command = command(CAMPAIGNCTL, dir.path(), &["watch"]);
    let said = one_sentence(&ended(command.spawn().unwrap()), 7);
    assert_eq!(said, "a line is longer than 16777216 bytes");
}

#[test]
fn no_word_of_a_person_bends_a_request() {
    let dir = place();
    let asked = dir.path().join("asked");
    let file = asked.clone();
    let listener = UnixListener::bind(dir.path().join("state/control.sock")).unwrap();
    thread::spawn(move || {
        let mut log = File::create(file).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            log.write_all(&head[..read]).unwrap();
        }
    });
    let word = "a/b c?d%e#é&x=1";
    let verbs: [&[&str]; 5] = [
        &["status", word],
        &["list", "--state", word],
        &["verdict", word],
        &["pause", word],
        &["events", word],
    ];
    for args in verbs {
        ended(command(CAMPAIGNCTL, dir.path(), args).spawn().unwrap());
    }
    let heads = fs::read_to_string(asked).unwrap();
    let lines: Vec<&str> = heads
        .lines()
        .filter(|line| line.ends_with("HTTP/1.1"))
        // A body ends without an end of line.
        .map(|line| line.trim_start_matches("{\"why\":\"\",\"quality_threshold\":null}"))
        .collect();
    let coded = "a%2Fb%20c%3Fd%25e%23%C3%A9%26x%3D1";
    let expected = [
        format!("GET /v1/status?id={coded} HTTP/1.1"),
        format!("GET /v1/campaigns?state={coded} HTTP/1.1"),
        format!("GET /v1/campaigns/{coded}/verdict HTTP/1.1"),
        format!("POST /v1/campaigns/{coded}/pause HTTP/1.1"),
        format!("GET /v1/events?past=1&follow=0&id={coded} HTTP/1.1"),
    ];
    assert_eq!(lines, expected);
}
