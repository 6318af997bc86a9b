//! The control socket under those who mean no good, or do not know better.

use crate::{
    house::House,
    trials::{Dice, count, full, row, skip},
};
use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

fn connect(house: &House) -> UnixStream {
    let stream = UnixStream::connect(house.path("state/control.sock")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

/// The first line of the answer; empty where the connection was closed without one.
fn answer(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    while !bytes.contains(&b'\n') {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
    String::from_utf8_lossy(&bytes)
        .lines()
        .next()
        .unwrap_or("")
        .into()
}

fn status_of(answer: &str) -> Option<u32> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// Asks for the status over a connection of its own; how long that took.
fn good_client(house: &House) -> Duration {
    let began = Instant::now();
    let mut stream = connect(house);
    stream
        .write_all(b"GET /v1/status HTTP/1.1\r\nhost: campaignd\r\nconnection: close\r\n\r\n")
        .unwrap();
    let line = answer(&mut stream);
    assert_eq!(status_of(&line), Some(200), "{line}");
    began.elapsed()
}

/// Resident memory of the daemon, in KiB.
fn resident(house: &House) -> u64 {
    let pid = house.daemon.as_ref().unwrap().id();
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What the daemon may grow by under any of this, in KiB.
const GROWTH: u64 = 64 << 10;

fn served() -> House {
    let mut house = House::new();
    house.serve();
    house
}

#[test]
fn a_thousand_connections_leave_room_for_a_good_client() {
    let (soft, hard) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    if hard < 4096 {
        return skip(
            "a_thousand_connections",
            &format!("only {hard} open files are allowed"),
        );
    }
    if soft < 4096 {
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, 4096, hard)
            .unwrap();
    }
    let house = served();
    let before = resident(&house);
    let half: &[&[u8]] = &[
        b"",
        b"GET /v1/sta",
        b"POST /v1/campaigns HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"spec\"",
        b"GET /v1/events?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n",
    ];
    let mut crowd: Vec<UnixStream> = Vec::new();
    for number in 0..1000 {
        let mut stream = connect(&house);
        stream.write_all(half[number % half.len()]).unwrap();
        crowd.push(stream);
    }
    let mut took: Vec<Duration> = (0..200).map(|_| good_client(&house)).collect();
    took.sort();
    let (median, p99) = (took[100], took[197]);
    // A share runs beside other tests; only the torture has the machine for itself.
    assert!(!full() || p99 < Duration::from_millis(50), "{p99:?}");
    let grown = resident(&house).saturating_sub(before);
    assert!(grown < GROWTH, "{grown} KiB more");
    drop(crowd);
    good_client(&house);
    let how = format!(
        "idle, half a head, half a body, following: status answered 200 times in {:.1} ms (median) and {:.1} ms (p99), {} MiB more memory",
        median.as_secs_f64() * 1e3,
        p99.as_secs_f64() * 1e3,
        grown >> 10
    );
    row(17, "1,000 simultaneous connections", 1000, 1000, 0, &how);
}

#[test]
fn slow_clients_are_let_go() {
    let house = served();
    let heads: &[&[u8]] = &[
        b"GET /v1/sta",
        b"POST /v1/campaigns HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"spec\"",
        b"POST /v1/stop HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"in",
    ];
    for head in heads {
        let mut stream = connect(&house);
        stream.write_all(head).unwrap();
        let line = answer(&mut stream);
        let said = status_of(&line);
        assert!(said == Some(408) || line.is_empty(), "{line}");
    }
    assert!(house.answers());
}

#[test]
fn large_bodies_are_refused_in_little_memory() {
    let house = served();
    let before = resident(&house);
    let trials = count(4, 32);
    thread::scope(|scope| {
        for number in 0..trials {
            let house = &house;
            scope.spawn(move || {
                let mut stream = connect(house);
                let length = 100 << 20;
                let (head, chunked) = if number % 2 == 0 {
                    (format!("content-length: {length}"), false)
                } else {
                    ("transfer-encoding: chunked".to_string(), true)
                };
                let head = format!("POST /v1/campaigns HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{head}\r\n\r\n");
                stream.write_all(head.as_bytes()).unwrap();
                let mut block = vec![b' '; 64 << 10];
                if chunked {
                    block = [b"10000\r\n".as_slice(), &block, b"\r\n"].concat();
                }
                // It may hang up before it has everything; what it said until then is still to be read.
                let sent = (0..length / (64 << 10)).take_while(|_| stream.write_all(&block).is_ok()).count();
                let line = answer(&mut stream);
                assert!(sent > 0, "nothing was taken at all");
                let said = status_of(&line);
                assert!(said.is_none_or(|status| (400..500).contains(&status)), "{line}");
            });
        }
    });
    let grown = resident(&house).saturating_sub(before);
    assert!(grown < GROWTH, "{grown} KiB more");
    good_client(&house);
    row(
        18,
        "bodies of 100 MB",
        trials,
        trials,
        0,
        &format!("refused, and never held; {} MiB more memory", grown >> 10),
    );
}

#[test]
fn nonsense_is_refused_and_harms_nobody() {
    let house = served();
    let mut dice = Dice::of("nonsense");
    let json = |body: &[u8]| {
        let head = format!(
            "POST /v1/campaigns HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let mut requests: Vec<Vec<u8>> = vec![
        b"\xff\xfe\xfd HTTP/1.1\r\n\r\n".to_vec(),
        b"GET /v1/campaigns/\xff\xfe/verdict HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET /v1/campaigns/%ff%fe/verdict HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET /v1/status?id=%ff%00 HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET /v1/campaigns/..%2f..%2fetc/logs HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET /v1/status HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /v1/status\r\n\r\n".to_vec(),
        b"POST /v1/campaigns HTTP/1.1\r\ncontent-length: -1\r\n\r\n".to_vec(),
        b"POST /v1/campaigns HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        json(b"\xff\xfe"),
        json(b"{}"),
        json(b"[[[[[[[["),
        json(&vec![b'['; 100_000]),
        json(br#"{"spec":{"name":"../../etc"},"parts":"whole"}"#),
    ];
    requests.push(
        [
            b"GET / HTTP/1.1\r\n".as_slice(),
            &b"x: y\r\n".repeat(5_000),
            b"\r\n",
        ]
        .concat(),
    );
    requests.push(
        [
            b"GET /".as_slice(),
            &vec![b'a'; 200_000],
            b" HTTP/1.1\r\n\r\n",
        ]
        .concat(),
    );
    for _ in 0..count(200, 2000) {
        let length = 1 + dice.below(300);
        let mut noise: Vec<u8> = (0..length).map(|_| dice.next() as u8).collect();
        noise.extend_from_slice(b"\r\n\r\n");
        requests.push(noise);
    }
    let before = resident(&house);
    let mut refused = 0;
    for request in &requests {
        let mut stream = connect(&house);
        // It may hang up in the middle.
        let _ = stream.write_all(request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let line = answer(&mut stream);
        let said = status_of(&line);
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        assert!(
            said.is_none_or(|status| (400..500).contains(&status)),
            "{shown:?}: {line}"
        );
        refused += usize::from(said.is_some());
    }
    assert!(refused > 10, "{refused} refusals of {}", requests.len());
    // A version of another time is told which one is spoken here.
    let mut stream = connect(&house);
    stream
        .write_all(b"GET /v7/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(
        text.starts_with("HTTP/1.1 404") && text.contains("version 1 is spoken here"),
        "{text}"
    );
    assert!(resident(&house).saturating_sub(before) < GROWTH);
    good_client(&house);
    assert_eq!(
        house.json(&["list"])["campaigns"].as_array().map(Vec::len),
        Some(0)
    );
    row(
        19,
        "malformed requests, invalid UTF-8, other versions",
        requests.len() + 1,
        requests.len() + 1,
        0,
        "each refused or hung up on; the next good client is answered",
    );
}

/// The client as another user, with that group.
fn as_other(house: &House, gid: u32, args: &[&str]) -> Output {
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            "54321",
            "--regid",
            &gid.to_string(),
            "--clear-groups",
            "--",
        ])
        .arg(house.path("open/campaignctl"))
        .args([
            "--socket",
            &house.path("open/control.sock").to_string_lossy(),
        ])
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", "/nonexistent")
        .current_dir(house.path("open"));
    command.output().unwrap()
}

/// A directory that others may enter, in one that they may enter.
fn open_house(group: &str, readers: &str) -> Option<House> {
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    let house = House::new();
    open(&house.path(""));
    fs::create_dir(house.path("open")).unwrap();
    open(&house.path("open"));
    fs::copy(
        env!("CARGO_BIN_EXE_campaignctl"),
        house.path("open/campaignctl"),
    )
    .unwrap();
    let socket = house.path("open/control.sock");
    let settings = format!(
        "socket = \"{}\"\nsocket_group = \"{group}\"\nsocket_readers = \"{readers}\"\n",
        socket.display()
    );
    let mut house = house.with_settings(&settings);
    house.client_env = vec![(
        "CAMPAIGND_SOCKET".into(),
        socket.to_string_lossy().into_owned(),
    )];
    let root = nix::unistd::geteuid().is_root();
    (root && Command::new("setpriv").arg("--version").output().is_ok()).then(|| {
        house.serve();
        house
    })
}

const TINY: &str = "name = \"tiny\"\npilot_target = 8\nmin_pilot_samples = 8\ncampaign_target = 20\ngate = \"point\"\n";

#[test]
fn who_may_read_and_who_may_change_is_the_kernels_word() {
    let Some(house) = open_house("users", "everyone") else {
        return skip("other_users", "needs root and setpriv");
    };
    let users = nix::unistd::Group::from_name("users")
        .unwrap()
        .unwrap()
        .gid
        .as_raw();
    fs::write(house.path("open/tiny.toml"), TINY).unwrap();
    let stranger = |args: &[&str]| as_other(&house, 54_321, args);
    let member = |args: &[&str]| as_other(&house, users, args);
    let mut refused = 0;
    let changes: [&[&str]; 4] = [
        &["submit", "tiny.toml"],
        &["cancel", "tiny", "--yes"],
        &["clean", "tiny", "--yes"],
        &["stop", "--yes"],
    ];
    for (number, change) in changes.iter().enumerate() {
        assert!(stranger(&["status"]).status.success(), "anybody may look");
        let answer = stranger(change);
        let text = String::from_utf8_lossy(&answer.stderr).into_owned();
        // Of what does not exist a stranger learns that it does not: nothing is changed either way.
        let missing = number > 0 && text.contains("no campaign");
        assert!(
            answer.status.code() == Some(8) || missing,
            "{change:?}: {answer:?}"
        );
        refused += usize::from(answer.status.code() == Some(8));
        if number == 0 {
            let answer = member(change);
            assert!(
                answer.status.success(),
                "a member of the group may: {answer:?}"
            );
        }
    }
    assert_eq!(refused, 4);
    assert!(house.answers(), "a stranger stopped it");
    house.until("it completes", || house.state("tiny") == "completed");
    let events = house.ctl(&["events", "tiny", "--json"]);
    let events = String::from_utf8(events.stdout).unwrap();
    let first: serde_json::Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    assert_eq!(
        first["uid"].as_u64(),
        Some(54_321),
        "who acted is in the journal: {first}"
    );
    row(
        20,
        "another user",
        refused,
        refused,
        0,
        "may look where `socket_readers` says so, may change nothing; a member of `socket_group` may, and the journal has the uid",
    );
}

#[test]
fn without_a_word_nobody_else_gets_in() {
    let Some(house) = open_house("", "group") else {
        return skip("other_users_by_default", "needs root and setpriv");
    };
    let answer = as_other(&house, 54_321, &["status"]);
    assert_eq!(answer.status.code(), Some(8), "{answer:?}");
}
