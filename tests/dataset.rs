//! `campaignctl dataset`, with the real programs: a campaign whose data set is laid out by hand, so that every byte is known.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod house;

use campaignd::artifacts::{making::Making, sums};
use house::{House, generator, stderr};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Output,
};

/// A daemon with a finished campaign `c`, whose data set is ours.
fn served() -> House {
    let mut house = House::new();
    house.serve();
    campaign(&house, "c", "[curation]\nmin_quality = 0.1");
    lay_out(&house);
    house
}

fn campaign(house: &House, name: &str, extra: &str) {
    let file = house.campaign(name, extra, &generator("0", "0.9"));
    let submitted = house.ctl(&["submit", &file]);
    assert!(submitted.status.success(), "{}", stderr(&submitted));
    let waited = house.ctl(&["wait", name, "--timeout", "60s"]);
    assert!(
        waited.status.success(),
        "{}\n{}",
        stderr(&waited),
        house.log()
    );
}

fn set(house: &House) -> PathBuf {
    house.path("state/campaigns/c/dataset")
}

fn row(n: usize, question: &str) -> Value {
    json!({
        "id": format!("t-{n}/routing/0"), "trajectory_id": format!("t-{n}"), "analysis_type": "rna_seq",
        "quality_score": 0.5, "template": null, "query": question, "messages": [
            {"role": "system", "content": "route"}, {"role": "user", "content": question},
            {"role": "assistant", "content": "LOCAL_SMALL"},
        ],
    })
}

fn preference() -> Value {
    let said = |role: &str, text: &str| json!([{"role": role, "content": text}]);
    json!({
        "id": "t-1/preference/0", "quality_score": 0.5, "prompt": said("user", "check"),
        "chosen": said("assistant", "line 4"), "rejected": said("assistant", "nothing"),
    })
}

/// Ours, in the place of the one that curation made.
fn lay_out(house: &House) {
    let dir = set(house);
    fs::remove_dir_all(&dir).unwrap();
    let making = Making::beside(&dir).unwrap();
    let write = |path: &str, rows: &[Value]| {
        let path = making.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(path, lines).unwrap();
    };
    let train: Vec<Value> = (0..700)
        .map(|n| row(n, &format!("which? {n} {}", "x".repeat(900))))
        .collect();
    write("routing/train.jsonl", &train);
    write(
        "routing/test.jsonl",
        &[row(1000, "a"), row(1001, "b <|im_end|> c")],
    );
    write("validation_preferences/train.jsonl", &[preference()]);
    fs::write(
        making.path().join("routing/test.parquet"),
        b"PAR1 \x00\xff PAR1",
    )
    .unwrap();
    for name in [
        "README.md",
        "stats.json",
        "report.html",
        "manifest.json",
        "rejected.jsonl",
    ] {
        fs::write(making.path().join(name), name).unwrap();
    }
    sum(making.path());
    making.complete(false).unwrap();
}

fn sum(dir: &Path) {
    fs::write(dir.join(sums::NAME), sums::text(&sums::of(dir).unwrap())).unwrap();
}

fn lines(path: PathBuf) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn refused(output: &Output, expected: &str) {
    let errors = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains(expected), "{expected:?} is not in {errors}");
    assert!(
        !errors.contains("panicked") && output.stdout.is_empty(),
        "{output:?}"
    );
}

/// The names in the house that a taking could have left.
fn left(house: &House) -> Vec<String> {
    let names = fs::read_dir(house.path("")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.contains("making") || name.contains("out"))
        .collect()
}

/// A request as `curl --unix-socket` sends it: the status.
fn http(house: &House, path: &str) -> u16 {
    let mut stream = UnixStream::connect(house.path("state/control.sock")).unwrap();
    let head = format!("GET {path} HTTP/1.0\r\nhost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    std::str::from_utf8(&answer[9..12])
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn the_whole_data_set_is_taken_byte_for_byte() {
    let house = served();
    let text = said(&house.ctl(&["dataset", "c", "--output", "out"]));
    assert!(
        text.starts_with("c data set as messages: 703 rows in out\n"),
        "{text}"
    );
    assert!(
        text.contains("routing") && text.contains("train 700   test 2"),
        "{text}"
    );
    let out = house.path("out");
    assert_eq!(sums::of(&out).unwrap(), sums::of(&set(&house)).unwrap());
    assert_eq!(sums::read(&out).unwrap(), sums::of(&out).unwrap());
    assert!(sums::is_listed(&out));

    refused(
        &house.ctl(&["dataset", "--output", "out"]),
        "is there already",
    );
    let json = house.json(&[
        "dataset", "--output", "out", "--force", "--name", "routing", "--split", "test",
    ]);
    assert_eq!(
        (&json["rows"], &json["datasets"]["routing"]["test"]),
        (&2.into(), &2.into())
    );
    let files = sums::files(&out).unwrap();
    assert_eq!(
        files,
        [
            "README.md",
            "SHA256SUMS",
            "routing/test.jsonl",
            "routing/test.parquet"
        ]
    );
    assert!(sums::is_listed(&out), "it replaced the whole one");

    fs::write(out.join("thesis.tex"), "years").unwrap();
    refused(
        &house.ctl(&["dataset", "--output", "out", "--force"]),
        "holds other files",
    );
    assert_eq!(fs::read(out.join("thesis.tex")).unwrap(), b"years");
    assert_eq!(left(&house), ["out"]);
}

#[test]
fn rows_are_said_in_the_format_that_is_asked_for() {
    let house = served();
    let text = said(&house.ctl(&["dataset", "c", "--format", "qwen", "--output", "out"]));
    assert!(
        text.contains("701 rows") && text.contains("train 700"),
        "{text}"
    );
    assert!(
        text.contains("left out  1 of routing: a turn holds <|im_end|>"),
        "{text}"
    );
    assert!(
        text.contains("left out  1 of validation_preferences: it is a preference"),
        "{text}"
    );
    let train = lines(house.path("out/routing/train.jsonl"));
    assert_eq!(train.len(), 700);
    let text = train[0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("<|im_start|>system\nroute<|im_end|>\n<|im_start|>user\nwhich? 0"),
        "{text}"
    );
    assert_eq!(
        (&train[0]["id"], &train[0]["quality_score"]),
        (&"t-0/routing/0".into(), &0.5.into())
    );
    assert_eq!(train[0].get("query"), None);
    assert!(
        train[0].as_object().unwrap().contains_key("template"),
        "null stays a key"
    );
    let parquet = fs::read(house.path("out/routing/train.parquet")).unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    let card = fs::read_to_string(house.path("out/README.md")).unwrap();
    assert!(card.contains("- config_name: routing\n  data_files:\n  - split: train\n    path: routing/train.parquet\n"), "{card}");
    assert!(!house.path("out/validation_preferences").exists());

    said(&house.ctl(&["dataset", "--format", "dpo", "--output", "out-dpo"]));
    let dpo = lines(house.path("out-dpo/validation_preferences/train.jsonl"));
    assert_eq!(dpo[0]["chosen"][0]["content"], "line 4");
    refused(
        &house.ctl(&[
            "dataset",
            "--format",
            "alpaca",
            "--name",
            "validation_preferences",
            "--output",
            "out-none",
        ]),
        "no row can be said as alpaca",
    );

    fs::create_dir(house.path("model")).unwrap();
    let jinja = "{{ bos_token }}{{ strftime_now('%Y') }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";
    fs::write(house.path("model/chat_template.jinja"), jinja).unwrap();
    fs::write(
        house.path("model/tokenizer_config.json"),
        "{\"bos_token\": {\"content\": \"<s>\"}}",
    )
    .unwrap();
    let args = [
        "dataset",
        "--format",
        "template",
        "--model",
        "model",
        "--split",
        "test",
        "--output",
        "out-model",
    ];
    said(&house.ctl(&args));
    let test = lines(house.path("out-model/routing/test.jsonl"));
    let text = test[0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("<s>2") && text.ends_with("[system]route[user]a[assistant]LOCAL_SMALL"),
        "{text}"
    );
    assert_eq!(left(&house).len(), 3, "{:?}", left(&house));
}

#[test]
fn what_cannot_be_taken_is_said_and_leaves_nothing() {
    let house = served();
    let take = |args: &[&str]| house.ctl(&[&["dataset", "c", "--output", "out"], args].concat());
    refused(&take(&["--name", "rooting"]), "did you mean \"routing\"?");
    refused(
        &take(&["--name", "routing", "--split", "validation"]),
        "has no split \"validation\"",
    );
    refused(&take(&["--format", "template"]), "--model go together");
    refused(
        &take(&["--format", "template", "--model", "nowhere"]),
        "tokenizer_config.json",
    );
    refused(&take(&["--format", "lama3"]), "llama3");
    refused(
        &house.ctl(&["dataset", "c", "--output", "none/out"]),
        "no half of a directory",
    );
    let error = house.json(&["dataset", "c", "--output", "out", "--name", "rooting"]);
    assert_eq!(
        (&error["error"]["key"], &error["error"]["suggestion"]),
        (&"name".into(), &"routing".into())
    );

    for path in [
        "../campaign.toml",
        "%2e%2e/campaign.toml",
        "..%2Fcampaign.toml",
        "routing",
        "routing/train.csv",
        "%2Fetc%2Fpasswd",
        "codegen/train.jsonl",
    ] {
        assert_eq!(
            http(&house, &format!("/v1/campaigns/c/dataset/{path}")),
            404,
            "{path}"
        );
    }
    assert_eq!(
        http(&house, "/v1/campaigns/c/dataset/routing/train.jsonl"),
        200
    );
    assert_eq!(http(&house, "/v1/campaigns/c/dataset/SHA256SUMS"), 200);

    fs::write(
        set(&house).join("routing/test.jsonl"),
        "{\"id\":\"spoilt\"}\n",
    )
    .unwrap();
    refused(&take(&[]), "routing/test.jsonl differs from its checksum");
    refused(&take(&["--format", "chatml"]), "differs from its checksum");

    campaign(&house, "bare", "");
    refused(
        &house.ctl(&["dataset", "bare", "--output", "out"]),
        "its file has no [curation]",
    );
    let file = house.campaign(
        "later",
        "auto_launch = false\n[curation]",
        &generator("0", "0.9"),
    );
    assert!(house.ctl(&["submit", &file]).status.success());
    house.until("it waits for approval", || {
        house.state("later") == "awaiting_approval"
    });
    refused(
        &house.ctl(&["dataset", "later", "--output", "out"]),
        "no data set yet: it is awaiting_approval",
    );
    refused(
        &house.ctl(&["dataset", "nobody", "--output", "out"]),
        "there is no campaign",
    );
    assert_eq!(left(&house), Vec::<String>::new());

    let help = said(&house.ctl(&["dataset", "--help"]));
    assert!(
        help.contains("Examples:") && help.contains("--json") && help.contains("sharegpt"),
        "{help}"
    );
    assert!(said(&house.ctl(&["--help"])).contains("dataset"));
}
