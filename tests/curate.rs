//! `campaignd curate` on what people really have: other people's JSON, broken JSON, and a machine that dies in between.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

fn campaignd() -> Command {
    Command::new(env!("CARGO_BIN_EXE_campaignd"))
}

fn curate(dir: &Path, args: &[&str]) -> Output {
    let mut command = campaignd();
    command.current_dir(dir).arg("curate").args(args);
    command.output().unwrap()
}

fn made(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Numbers that differ wherever the seed or the number does.
fn mix(seed: u64, n: u64) -> u64 {
    let mut x = seed ^ n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A text of made-up words.
fn said(n: u64) -> String {
    let word = |k: u64| {
        let letters = mix(n, k).to_le_bytes();
        letters
            .iter()
            .take(6)
            .map(|byte| char::from(b'a' + byte % 26))
            .collect::<String>()
    };
    (0..8).map(word).collect::<Vec<_>>().join(" ")
}

fn row(n: u64) -> Value {
    json!({ "id": format!("r{n:06}"), "text": said(n), "response": said(n + 1_000_000), "quality_score": 0.9 })
}

fn lines(rows: impl Iterator<Item = Value>) -> String {
    rows.map(|row| row.to_string() + "\n").collect()
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            all.extend(
                files(&path)
                    .into_iter()
                    .map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)),
            );
        } else {
            all.insert(name, fs::read(&path).unwrap());
        }
    }
    all
}

#[test]
fn what_people_really_have_has_a_clear_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join("in").join(name);
    fs::create_dir(dir.path().join("in")).unwrap();
    // A pretty-printed array where JSON lines were meant.
    let array: Vec<Value> = (0..5).map(row).collect();
    fs::write(
        at("array.json"),
        serde_json::to_string_pretty(&array).unwrap(),
    )
    .unwrap();
    // Nulls before texts, numbers among texts, keys that only one row has, nested free form.
    let mut odd: Vec<Value> = (10..15).map(row).collect();
    odd[0]["note"] = Value::Null;
    odd[1]["note"] = "text".into();
    odd[2]["note"] = 7.into();
    odd[3]["only"] = json!({ "here": [1, "two", { "three": null }] });
    odd[4]["list"] = json!([]);
    fs::write(at("odd.jsonl"), lines(odd.into_iter())).unwrap();
    // Broken in every way, each once.
    let mut broken = Vec::new();
    broken.extend(lines([row(20)].into_iter()).into_bytes());
    broken.extend(b"{\"id\":\"u\",\"text\":\"\xFF\xFE is no text at all\"}\n");
    broken.extend(b"{\"id\":\"cut\",\"text\":}\n");
    broken.extend(lines([row(20)].into_iter()).into_bytes());
    broken.extend(lines([json!({ "text": "this row has no id" })].into_iter()).into_bytes());
    broken.extend(b"{\"id\":\"long\",\"text\":\"");
    broken.resize(broken.len() + 100_000_000, b'x');
    broken.extend(b"\"}\n");
    broken.extend(b"{\"id\":\"torn\",\"text\":\"the writer was killed");
    fs::write(at("broken.jsonl"), broken).unwrap();
    let made = made(&curate(
        dir.path(),
        &["--input", "in", "--output", "set", "--json"],
    ));
    assert_eq!(
        (made["rows_in"].as_u64(), made["kept"].as_u64()),
        (Some(17), Some(12)),
        "{made}"
    );
    let gone = |reason: &str| {
        made["removed_by_reason"][reason]["rows"]
            .as_u64()
            .unwrap_or(0)
    };
    for (reason, rows) in [
        ("invalid_utf8", 1),
        ("invalid_json", 2),
        ("duplicate_id", 1),
        ("line_too_long", 1),
    ] {
        assert_eq!(gone(reason), rows, "{reason}: {made}");
    }
    let rejected = fs::read_to_string(dir.path().join("set/rejected.jsonl")).unwrap();
    assert_eq!(rejected.lines().count(), 5);
    assert!(
        rejected.len() < 10_000,
        "a row of 100 MB is not kept: {}",
        rejected.len()
    );
    let mut rows = Vec::new();
    for split in ["train", "validation", "test"] {
        let text = fs::read_to_string(dir.path().join(format!("set/samples/{split}.jsonl")))
            .unwrap_or_default();
        rows.extend(
            text.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()),
        );
    }
    assert_eq!(rows.len(), 12);
    for row in &rows {
        let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            rows[0].as_object().unwrap().keys().collect::<Vec<_>>(),
            "every key in every row"
        );
        assert!(
            row["note"].is_null() || row["note"].is_string(),
            "one type in a column: {row}"
        );
    }
    let stats: Value =
        serde_json::from_slice(&fs::read(dir.path().join("set/stats.json")).unwrap()).unwrap();
    assert_eq!(stats["input_notes"]["rows_without_an_id"], 1, "{stats}");
    assert_eq!(stats["input_notes"]["torn_last_line"], 1, "{stats}");
    assert_eq!(
        stats["input_notes"]["files_that_are_no_json_lines"], 1,
        "{stats}"
    );
}

#[test]
fn killed_at_any_time_it_comes_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let rows = 30_000;
    fs::write(dir.path().join("in.jsonl"), lines((0..rows).map(row))).unwrap();
    let began = Instant::now();
    made(&curate(
        dir.path(),
        &[
            "--input", "in.jsonl", "--output", "whole", "--name", "set", "--json",
        ],
    ));
    let took = began.elapsed();
    let whole = files(&dir.path().join("whole"));
    let seed: u64 = std::env::var("CAMPAIGND_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_261_121);
    eprintln!("seed {seed}; again by CAMPAIGND_SEED={seed}");
    let mut killed = 0;
    for trial in 0..8 {
        let output = dir.path().join("again");
        let mut child = campaignd()
            .current_dir(dir.path())
            .args([
                "curate", "--input", "in.jsonl", "--output", "again", "--name", "set", "--json",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let share = mix(seed, trial) % 1000;
        std::thread::sleep(took * u32::try_from(share).unwrap() / 1000);
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        killed += usize::from(ended.code().is_none());
        // Whole under its name, or not there at all.
        if output.exists() {
            assert_eq!(files(&output), whole, "trial {trial}");
        } else {
            made(&curate(
                dir.path(),
                &[
                    "--input", "in.jsonl", "--output", "again", "--name", "set", "--json",
                ],
            ));
            assert_eq!(files(&output), whole, "trial {trial}");
        }
        fs::remove_dir_all(&output).unwrap();
    }
    assert!(killed >= 4, "only {killed} of 8 were killed in the middle");
    let left: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        left.iter()
            .all(|name| ["in.jsonl", "whole"].contains(&name.as_str())),
        "{left:?}"
    );
    assert!(took < Duration::from_secs(600));
}

#[test]
fn wrong_words_are_told_with_the_right_ones() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("in.jsonl"), lines((0..20).map(row))).unwrap();
    fs::write(dir.path().join("bad.jsonl"), "{\"id\":1,\"text\":\"hi\"}\n").unwrap();
    fs::create_dir(dir.path().join("there")).unwrap();
    fs::write(
        dir.path().join("wrong.toml"),
        "[curation]\nnear_duplicate = 7\n",
    )
    .unwrap();
    for (args, said) in [
        (vec!["--input", "nowhere", "--output", "x"], "nowhere"),
        (
            vec!["--input", "in.jsonl", "--output", "there"],
            "there already",
        ),
        (
            vec!["--input", "bad.jsonl", "--output", "x"],
            "\"trivial\":1",
        ),
        (
            vec![
                "--input",
                "in.jsonl",
                "--output",
                "x",
                "--config",
                "wrong.toml",
            ],
            "near_duplicate",
        ),
        (vec!["--input", "in.jsonl"], "--output"),
    ] {
        let output = curate(dir.path(), &args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
        assert!(!dir.path().join("x").exists());
    }
    let dry = made(&curate(
        dir.path(),
        &["--input", "in.jsonl", "bad.jsonl", "--dry-run", "--json"],
    ));
    assert_eq!(dry["kept"], 20, "{dry}");
    assert_eq!(
        dry["removed_by_reason"]["trivial"]["examples"][0]["id"], "1",
        "{dry}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[test]
fn exports_are_made_delivered_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let rows = (0..200).map(|n| {
        let mut row = row(n);
        row["domain"] = if n % 4 == 0 { "asm" } else { "tools" }.into();
        row
    });
    fs::write(dir.path().join("in.jsonl"), lines(rows)).unwrap();
    fs::create_dir(dir.path().join("there")).unwrap();
    let remote = has_rsync().then_some(
        "[[export]]\nname = \"far\"\nformat = \"sharegpt\"\ndestination = \"elsewhere:far\"\n",
    );
    let config = "[curation]\n[[export]]\nname = \"asm\"\ndomains = [\"asm\"]\nformat = \"qwen\"\ndestination = \"there\"\n"
        .to_owned()
        + remote.unwrap_or_default();
    fs::write(dir.path().join("set.toml"), config).unwrap();
    // A remote shell that knows one host: the directory `far` of this test.
    let shell = dir.path().join("shell");
    fs::write(
        &shell,
        format!(
            "#!/bin/sh\nshift\ncd {}\nexec sh -c \"$*\"\n",
            dir.path().display()
        ),
    )
    .unwrap();
    fs::set_permissions(&shell, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::create_dir(dir.path().join("far")).unwrap();
    let again = |output: &str| {
        let mut command = campaignd();
        command.current_dir(dir.path()).env("RSYNC_RSH", &shell);
        command.args([
            "curate", "--input", "in.jsonl", "--output", output, "--config", "set.toml", "--json",
            "--name", "set",
        ]);
        made(&command.output().unwrap())
    };
    let said = again("one");
    assert_eq!(said["exports"][0]["rows"], 50, "{said}");
    let asm = dir.path().join("there/asm");
    let files = files(&asm);
    let text = String::from_utf8(files["samples/train.jsonl"].clone()).unwrap();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        assert!(
            row["text"]
                .as_str()
                .unwrap()
                .contains("<|im_start|>assistant\n"),
            "{row}"
        );
    }
    assert!(files.contains_key("samples/train.parquet") && files.contains_key("README.md"));
    let sums = Command::new("sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(&asm)
        .status();
    assert!(sums.unwrap().success());
    // The same again is found there; what was changed by hand is not overwritten.
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(&asm);
    again("two");
    assert_eq!(inode(&asm), before, "it was there already");
    fs::write(asm.join("mine.txt"), "by hand").unwrap();
    fs::write(asm.join("samples/train.jsonl"), "by hand").unwrap();
    let mut command = campaignd();
    command.current_dir(dir.path()).env("RSYNC_RSH", &shell);
    let refused = command
        .args([
            "curate", "--input", "in.jsonl", "--output", "three", "--config", "set.toml",
        ])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("export asm") && stderr.contains("no earlier export"),
        "{stderr}"
    );
    assert_eq!(
        fs::read_to_string(asm.join("samples/train.jsonl")).unwrap(),
        "by hand"
    );
    assert!(
        dir.path().join("three/README.md").exists(),
        "the data set itself is there"
    );
    // Out of the way, the same command goes on where it was.
    fs::rename(&asm, dir.path().join("moved")).unwrap();
    let went_on = again("three");
    assert_eq!(went_on["exports"][0]["rows"], 50, "{went_on}");
    assert!(asm.join("SHA256SUMS").exists());
    if remote.is_some() {
        let far = dir.path().join("far/far/samples/train.jsonl");
        let text = fs::read_to_string(far).unwrap();
        let row: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(row["conversations"][1]["from"], "gpt", "{row}");
    } else {
        eprintln!("skipped the export by rsync: no rsync");
    }
    let left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().starts_with('.')),
        "{left:?}"
    );
}

fn has_rsync() -> bool {
    Command::new("rsync").arg("--version").output().is_ok()
}
