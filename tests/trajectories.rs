//! The verbs that read, judge and take trajectories, with the real programs: rows of a foreign generator, some as a
//! trajectory is, one with nothing but an id and a text.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod house;

use house::{House, stderr};
use rusqlite::Connection;
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Output, Stdio},
    thread,
};

const CODE: &str = "process FASTQC {\n  tag \"${id}\\t\u{e9}\"\n}";
/// Rows: 8 of the pilot, 40 of the full generation; one of them is foreign.
const ALL: usize = 48;

/// A campaign whose generator writes the same rows for every name.
fn campaign(house: &House, name: &str) {
    let row = serde_json::json!({
        "id": "@ID@", "trajectory_id": "@ID@", "query": "RNA-seq for @ID@ \u{1b}[31m", "analysis_type": "rna_seq",
        "outcome": "success", "outcome_reason": "no findings", "created_at": "2026-03-02T09:14:02Z",
        "quality_score": 0.9, "accepted": true, "generated_code": CODE, "readme": null, "user_feedback": null,
        "plan_json": "{\"steps\":[{\"process\":\"FASTQC\",\"purpose\":\"quality\"}]}",
        "steps": [{"step_id": 1, "agent": "planner", "action": "generate_plan", "success": true}],
    });
    fs::write(house.path("row.json"), format!("{row}\n")).unwrap();
    let foreign =
        "{\"id\": \"f/@ID@\", \"text\": \"hello\", \"version\": \"7\", \"quality_score\": 0.8}\n";
    fs::write(house.path("foreign.json"), foreign).unwrap();
    let script = "n=0; [ -f \"$1\" ] && n=$(wc -l < \"$1\")\n\
         while [ \"$n\" -lt \"$2\" ]; do\n\
           case \"$3-$4-$n\" in generate-1-3) row=foreign.json;; *) row=row.json;; esac\n\
           sed \"s/@ID@/$3-$4-$n/g\" $row >> \"$1\"; n=$((n+1))\n\
         done\n";
    let file = house.campaign(name, "", script);
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

fn served(names: &[&str]) -> House {
    let mut house = House::new();
    house.serve();
    for name in names {
        campaign(&house, name);
    }
    house
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn refused(output: &Output, status: i32, expected: &str) {
    let errors = stderr(output);
    assert_eq!(output.status.code(), Some(status), "{errors}");
    assert!(errors.contains(expected), "{expected:?} is not in {errors}");
    assert!(
        !errors.contains("panicked") && output.stdout.is_empty(),
        "{output:?}"
    );
}

/// A request as `curl --unix-socket` sends it: status and body.
fn http(house: &House, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(house.path("state/control.sock")).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.into())
}

fn shard(house: &House, phase: &str, number: u32) -> PathBuf {
    house.path(&format!(
        "state/campaigns/c/data/{phase}/shard-{number}.jsonl"
    ))
}

fn feedback_file(house: &House) -> PathBuf {
    house.path("state/campaigns/c/feedback.jsonl")
}

fn feedback_lines(house: &House) -> Vec<Value> {
    let text = fs::read_to_string(feedback_file(house)).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn review(house: &House, args: &[&str], answers: &str) -> Output {
    let mut command = house.command(env!("CARGO_BIN_EXE_campaignctl"));
    let all = [&["review", "c"], args].concat();
    let piped = command.args(all).stdin(Stdio::piped());
    let piped = piped.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // It may have ended before it reads everything.
    let _ = child.stdin.take().unwrap().write_all(answers.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn one_trajectory_is_read_whole_or_in_part() {
    let house = served(&["c", "other"]);
    let shown = house.ctl(&["trajectory", "c/pilot-0-3"]);
    let text = said(&shown);
    for expected in [
        "pilot-0-3  success  c, pilot",
        "FASTQC: quality",
        "generate_plan",
        "0.900",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    assert!(
        !text.contains('\u{1b}'),
        "what a row says acts on a terminal"
    );
    let json = house.json(&["trajectory", "other/generate-1-2"]);
    assert_eq!(
        (&json["version"], &json["campaign"]),
        (&1.into(), &"other".into())
    );
    assert_eq!(
        (&json["phase"], &json["trajectory"]["generated_code"]),
        (&"generate".into(), &CODE.into())
    );
    let code = house.ctl(&["trajectory", "c/pilot-0-3", "--code"]);
    assert_eq!(code.stdout, CODE.as_bytes(), "byte for byte");
    let plan: Value =
        serde_json::from_str(&said(&house.ctl(&["trajectory", "c/pilot-0-3", "--plan"]))).unwrap();
    assert_eq!(plan["steps"][0]["process"], "FASTQC");
    refused(
        &house.ctl(&["trajectory", "c/pilot-0-3", "--readme"]),
        2,
        "has no readme",
    );
    let foreign = said(&house.ctl(&["trajectory", "c/f/generate-1-3"]));
    assert!(foreign.contains("text       hello"), "{foreign}");

    refused(
        &house.ctl(&["trajectory", "pilot-0-3"]),
        2,
        "c/pilot-0-3   or: other/pilot-0-3",
    );
    refused(
        &house.ctl(&["trajectory", "nothing"]),
        2,
        "there is no trajectory \"nothing\"",
    );
    refused(
        &house.ctl(&["trajectory", "c/nothing"]),
        2,
        "at     campaign c",
    );
    refused(
        &house.ctl(&["trajectory", "nobody/pilot-0-3"]),
        2,
        "there is no campaign \"nobody\"",
    );
    refused(
        &house.ctl(&["trajectory", "x", "--code", "--plan"]),
        2,
        "cannot be used with",
    );
    let error = house.json(&["trajectory", "c/nothing"]);
    assert_eq!(
        (&error["error"]["kind"], &error["error"]["exit_status"]),
        (&"unknown".into(), &2.into())
    );
    for verb in ["trajectory", "feedback", "review", "export"] {
        let help = said(&house.ctl(&[verb, "--help"]));
        assert!(
            help.contains("Examples:") && help.contains("--json"),
            "{help}"
        );
        let all = said(&house.ctl(&["--help"]));
        assert!(all.contains(verb), "{all}");
    }
}

#[test]
fn feedback_is_durable_joined_and_the_last_word_wins() {
    let mut house = served(&["c"]);
    let answer = house.json(&[
        "feedback",
        "pilot-0-1",
        "negative",
        "--note",
        "wrong aligner",
    ]);
    assert_eq!(answer["feedback"]["note"], "wrong aligner");
    assert!(answer["feedback"]["uid"].is_u64() && answer["feedback"]["given_at"].is_string());
    house.kill();
    // What a crash leaves in the middle of a line.
    let mut file = fs::File::options()
        .append(true)
        .open(feedback_file(&house))
        .unwrap();
    file.write_all(b"{\"trajectory\":\"pilot-0-2\",\"feedba")
        .unwrap();
    house.serve();
    let view = house.json(&["trajectory", "pilot-0-1"]);
    assert_eq!(view["trajectory"]["user_feedback"], "negative");
    assert_eq!(view["feedback"]["note"], "wrong aligner");
    assert_eq!(
        house.json(&["trajectory", "pilot-0-2"])["feedback"],
        Value::Null
    );

    let shown = said(&house.ctl(&["feedback", "c/pilot-0-1", "positive"]));
    assert!(
        shown.starts_with("c/pilot-0-1 is positive  (recorded, uid "),
        "{shown}"
    );
    assert_eq!(
        house.json(&["trajectory", "pilot-0-1"])["trajectory"]["user_feedback"],
        "positive"
    );
    let words: Vec<Value> = feedback_lines(&house)
        .iter()
        .map(|line| line["feedback"].clone())
        .collect();
    assert_eq!(
        words,
        ["negative", "positive"],
        "the torn line is gone, the others stay"
    );

    refused(
        &house.ctl(&["feedback", "c/nothing", "positive"]),
        2,
        "there is no trajectory",
    );
    refused(
        &house.ctl(&["feedback", "pilot-0-1", "great"]),
        2,
        "invalid value 'great'",
    );
    assert_eq!(feedback_lines(&house).len(), 2);
    let body = r#"{"trajectory":"pilot-0-1","feedback":"great"}"#;
    let (status, answer) = http(&house, "POST", "/v1/campaigns/c/feedback", body);
    let error: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &error["error"]["key"]), (400, &"feedback".into()));
    assert_eq!(error["error"]["right"], "positive, negative or neutral");
    let (_, listed) = http(&house, "GET", "/v1/campaigns/c/feedback", "");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["feedback"].as_array().unwrap().len(), 2);
}

#[test]
fn many_who_speak_at_once_are_all_heard() {
    let house = served(&["c"]);
    thread::scope(|scope| {
        for speaker in 0..8 {
            let house = &house;
            scope.spawn(move || {
                for n in 0..8 {
                    let body = format!(
                        r#"{{"trajectory":"pilot-0-{n}","feedback":"neutral","note":"{speaker}"}}"#
                    );
                    assert_eq!(
                        http(house, "POST", "/v1/campaigns/c/feedback", &body).0,
                        200
                    );
                }
            });
        }
    });
    let mut heard: Vec<(String, String)> = feedback_lines(&house)
        .iter()
        .map(|line| (line["trajectory"].to_string(), line["note"].to_string()))
        .collect();
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), 64);
}

#[test]
fn a_review_records_each_answer_and_goes_on_where_it_stopped() {
    let house = served(&["c"]);
    let drawn = house.json(&["review", "c", "--sample", "6", "--seed", "3"]);
    let ids: Vec<&str> = drawn["sample"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert_eq!((ids.len(), &drawn["population"]), (6, &ALL.into()));
    assert!(feedback_lines(&house).is_empty(), "--json asks nothing");

    let args = ["--sample", "6", "--seed", "3"];
    let first = review(&house, &args, "p\nc\nn wrong aligner\ns\n=\n");
    assert!(first.status.success(), "{}", stderr(&first));
    assert!(
        stderr(&first).contains("process FASTQC {"),
        "{}",
        stderr(&first)
    );
    let summary = said(&first);
    assert!(
        summary.contains("c: 3 of 6 judged, drawn from 48 (seed 3)"),
        "{summary}"
    );
    assert!(summary.contains("33.3 % (6.1 to 79.2, n = 3)"), "{summary}");
    let lines = feedback_lines(&house);
    let answered: Vec<&str> = lines
        .iter()
        .map(|line| line["trajectory"].as_str().unwrap())
        .collect();
    assert_eq!(answered, [ids[0], ids[1], ids[3]]);
    assert_eq!(
        (&lines[1]["note"], &lines[1]["review"]),
        (&"wrong aligner".into(), &"sample 6, seed 3".into())
    );

    let second = review(&house, &args, "p\np\np\n");
    assert!(
        said(&second).contains("c: 6 of 6 judged"),
        "{}",
        said(&second)
    );
    assert_eq!(
        stderr(&second).matches("[q]uit").count(),
        3,
        "only the others are asked"
    );
    assert_eq!(feedback_lines(&house)[3]["trajectory"], ids[2]);

    let strange = review(&house, &["--sample", "8", "--seed", "3"], "n\nyes\n");
    refused(&strange, 2, "answer 2 is not understood: \"yes\"");
    assert_eq!(
        feedback_lines(&house).len(),
        7,
        "what was answered before is kept"
    );
    refused(
        &review(&house, &["--sample", "0"], ""),
        2,
        "a sample has 1 to 1000 trajectories",
    );
}

#[test]
fn a_sample_is_reproducible_and_says_what_is_wrong_with_a_question() {
    let house = served(&["c"]);
    let ask = |query: &str| {
        let (status, body) = http(
            &house,
            "GET",
            &format!("/v1/campaigns/c/trajectories?{query}"),
            "",
        );
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let ids = |query: &str| -> Vec<String> {
        let (status, body) = ask(query);
        assert_eq!(status, 200, "{body}");
        body["sample"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].to_string())
            .collect()
    };
    let ten = ids("sample=10&seed=1");
    assert_eq!((ten.len(), ids("sample=10&seed=1")), (10, ten.clone()));
    assert_eq!(ids("sample=4&seed=1"), ten[..4]);
    assert_ne!(ids("sample=10&seed=2"), ten);
    // A line that repeats an id, and lines in another file, change nothing.
    let again = fs::read(shard(&house, "pilot", 0)).unwrap();
    fs::write(shard(&house, "pilot", 7), again).unwrap();
    assert_eq!(ids("sample=10&seed=1"), ten);
    let first = ten[0].trim_matches('"');
    assert!(house.ctl(&["feedback", first, "neutral"]).status.success());
    assert_eq!(ids("sample=9&seed=1&unreviewed=true"), ten[1..]);
    assert_eq!(ids("sample=10&seed=1"), ten);
    for (query, key) in [
        ("sample=x", "sample"),
        ("sample=1001", "sample"),
        ("sample=1&seed=-1", "seed"),
    ] {
        let (status, body) = ask(query);
        assert_eq!(
            (status, body["error"]["key"].as_str()),
            (400, Some(key)),
            "{body}"
        );
    }
}

#[test]
fn rows_are_taken_as_they_are_with_what_was_said_of_them() {
    let house = served(&["c"]);
    assert!(
        house
            .ctl(&["feedback", "generate-0-5", "positive"])
            .status
            .success()
    );
    // A byte that is no text, a line that is no sample, and a line that is still being written.
    let mut file = fs::File::options()
        .append(true)
        .open(shard(&house, "generate", 1))
        .unwrap();
    file.write_all(b"{\"id\":\"x\",\"text\":\"\xff\"}\nno json\n{\"id\":\"torn")
        .unwrap();

    let lines = said(&house.ctl(&["export", "c", "--format", "jsonl"]));
    let found: Vec<&str> = lines.lines().collect();
    assert_eq!(found.len(), ALL);
    let written = [("pilot", 0), ("generate", 0), ("generate", 1)].map(|(phase, number)| {
        String::from_utf8_lossy(&fs::read(shard(&house, phase, number)).unwrap()).into_owned()
    });
    let verbatim = found.iter().filter(|line| {
        written
            .iter()
            .any(|text| text.lines().any(|row| row == **line))
    });
    assert_eq!(verbatim.count(), ALL - 1);
    let judged: Vec<Value> = found
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let judged: Vec<&Value> = judged
        .iter()
        .filter(|row| row["user_feedback"] == "positive")
        .collect();
    assert_eq!(
        (judged.len(), &judged[0]["id"]),
        (1, &"generate-0-5".into())
    );
    assert!(said(&house.ctl(&["trajectory", "c/generate-1-4"])).contains("generate-1-4"));

    let told = house.json(&["export", "c", "--format", "jsonl", "--out", "c.jsonl"]);
    assert_eq!(
        (&told["rows"], &told["unreadable"]),
        (&ALL.into(), &2.into())
    );
    assert_eq!(fs::read_to_string(house.path("c.jsonl")).unwrap(), lines);
}

#[test]
fn a_database_is_written_whole_and_not_over_another_file() {
    let house = served(&["c"]);
    assert!(
        house
            .ctl(&["feedback", "pilot-0-1", "positive"])
            .status
            .success()
    );
    let args = ["export", "c", "--format", "sqlite", "--out", "c.db"];
    refused(&house.ctl(&args[..4]), 2, "a database needs a file");
    let shown = said(&house.ctl(&args));
    assert!(
        shown.contains("c exported: 47 trajectories in c.db"),
        "{shown}"
    );
    assert!(shown.contains("1 without query"), "{shown}");
    {
        let database = Connection::open(house.path("c.db")).unwrap();
        let one = |query: &str| {
            database
                .query_row(query, [], |row| row.get::<_, String>(0))
                .unwrap()
        };
        assert_eq!(one("PRAGMA integrity_check"), "ok");
        assert_eq!(
            one("SELECT COUNT(*) || '' FROM pragma_foreign_key_check"),
            "0"
        );
        assert_eq!(
            one(
                "SELECT group_concat(trajectory_id) FROM trajectories WHERE user_feedback = 'positive'"
            ),
            "pilot-0-1"
        );
        assert_eq!(
            one("SELECT COUNT(*) || '' FROM trajectories JOIN steps USING (trajectory_id)"),
            "47"
        );
        assert_eq!(
            one("SELECT json_extract(data_json, '$.generated_code') FROM trajectories LIMIT 1"),
            CODE
        );
    }
    let before = fs::read(house.path("c.db")).unwrap();
    refused(&house.ctl(&args), 2, "the file is there already");
    assert_eq!(fs::read(house.path("c.db")).unwrap(), before);
    let told = house.json(&[&args[..], &["--force"]].concat());
    assert_eq!(told["counts"]["trajectories"], 47);
    assert_eq!(told["counts"]["left_out"]["query"], 1);
    refused(
        &house.ctl(&["export", "c", "--format", "sqlite", "--out", "no/dir/c.db"]),
        2,
        "cannot be written",
    );
    let left: Vec<String> = fs::read_dir(house.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".tmp"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn the_scorecard_has_every_metric_and_says_what_is_not_measured() {
    let house = served(&["scored"]);
    let card = house.json(&["scorecard", "scored"]);
    let metrics = card["metrics"].as_array().unwrap();
    assert_eq!(
        (metrics.len(), card["campaign"].as_str()),
        (13, Some("scored"))
    );
    let of = |name: &str| metrics.iter().find(|line| line["metric"] == name).unwrap();
    let queries = of("unique_queries");
    // The foreign row has no query.
    assert_eq!(queries["observed"], 47.0, "{queries}");
    assert_eq!(
        (&queries["n"], &queries["standing"]),
        (&Value::from(ALL), &Value::from("missed"))
    );
    assert_eq!(of("trajectories")["observed"], 47.0);
    assert_eq!(of("analysis_types")["observed"], 1.0);
    for (name, why) in [
        ("successful_generations", "no sample says"),
        ("routing_accuracy_gain", "no adapter was evaluated"),
        ("workflows_executed", "no workflow was executed"),
        ("routing_cost_reduction", "no routing decision"),
    ] {
        let line = of(name);
        assert_eq!(line["standing"], "not_measured", "{line}");
        assert!(line["note"].as_str().unwrap().contains(why), "{line}");
    }
    let shown = said(&house.ctl(&["scorecard"]));
    assert!(
        shown.contains("1,000") && shown.contains("not measured"),
        "{shown}"
    );
    refused(&house.ctl(&["scorecard", "nobody"]), 2, "nobody");
}
