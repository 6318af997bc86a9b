//! Data sets as their users load them: with Hugging Face `datasets` and with pyarrow, which nobody here wrote.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use campaignd::{
    artifacts::table::TableWriter,
    curation::schema::{
        Field, Inference, Schema, Type, chat,
        features::{Config, configs_yaml},
    },
};
use parquet::file::{reader::FileReader, serialized_reader::SerializedFileReader};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// What the readers said of directories: each a data set with its card, or a folder of tables as an export leaves it.
struct Said {
    right: bool,
    text: String,
}

/// Asks the readers.
///
/// # Errors
/// Why they cannot be had here.
fn ask(dirs: &[&Path]) -> Result<Said, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/readers/check");
    let output = Command::new("bash").arg(script).args(dirs).output();
    let output = output.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(77) => Err(text.trim().to_owned()),
        Some(0) => Ok(Said { right: true, text }),
        _ => Ok(Said {
            right: false,
            text: text + &String::from_utf8_lossy(&output.stderr),
        }),
    }
}

/// Loads everything in a directory with both readers and gives what they found, or why they cannot be had here.
///
/// # Panics
/// When something is not as it should be.
pub fn check(dir: &Path) -> Result<String, String> {
    let said = ask(&[dir])?;
    assert!(said.right, "{}", said.text);
    Ok(said.text)
}

fn row(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// A name, the columns, the rows.
type Set<'a> = (&'a str, &'a Schema, &'a [Map<String, Value>]);

/// A data set of these tables, with card and checksums.
fn lay_out(dir: &Path, sets: &[Set]) {
    let configs: Vec<Config> = sets
        .iter()
        .map(|(name, schema, _)| Config {
            name,
            schema,
            splits: &["train", "test_unseen_template"],
        })
        .collect();
    for (config, (name, schema, rows)) in configs.iter().zip(sets) {
        fs::create_dir_all(dir.join(name)).unwrap();
        for (split, rows) in config.splits.iter().zip([*rows, &rows[..2]]) {
            let mut writer = TableWriter::create(&dir.join(name), split, schema).unwrap();
            for row in rows {
                writer.push(&schema.conform(row.clone())).unwrap();
            }
            assert_eq!(writer.finish().unwrap(), rows.len() as u64);
        }
    }
    let card = format!("---\n{}---\n\n# Toys\n", configs_yaml(&configs));
    fs::write(dir.join("README.md"), card).unwrap();
    fs::write(dir.join("rejected.jsonl"), "{\"reason\":\"trivial\"}\n").unwrap();
    sums(dir);
}

/// `SHA256SUMS` of all that is below a directory.
fn sums(dir: &Path) {
    let (mut below, mut text) = (vec![dir.to_owned()], String::new());
    while let Some(path) = below.pop() {
        if path.is_dir() {
            below.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if path.file_name().unwrap() != "SHA256SUMS" {
            let sum = Sha256::digest(fs::read(&path).unwrap());
            let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
            text += &format!("{hex}  {}\n", path.strip_prefix(dir).unwrap().display());
        }
    }
    fs::write(dir.join("SHA256SUMS"), text).unwrap();
}

fn messages(question: &str, answer: &str) -> Value {
    json!([{ "role": "user", "content": question }, { "role": "assistant", "content": answer }])
}

/// The schema of [`many`]: every type, lists and structs in each other, names that a card must quote.
fn wide() -> Schema {
    let list = |of| Type::List(Box::new(of));
    let part = vec![
        Field::new("name", Type::Text),
        Field::new("weights", list(Type::Float)),
        Field::new("ok", Type::Bool),
    ];
    Schema(vec![
        Field::new("id", Type::Text),
        Field::new("messages", chat()),
        Field::new("late", Type::Text),
        Field::new("score", Type::Float),
        Field::new("count", Type::Int),
        Field::new("no", Type::Bool),
        Field::new("tags", list(Type::Text)),
        Field::new("parts", list(Type::Struct(part.clone()))),
        Field::new("best: part #1", Type::Struct(part)),
        Field::new("grid", list(list(Type::Int))),
        Field::new("a.b", Type::Int),
        Field::new("größe 🧬", Type::Float),
    ])
}

/// Rows whose first thousands are null or empty where later ones are not, of some 50 MB.
fn many(rows: usize) -> Vec<Map<String, Value>> {
    let make = |n: usize| {
        let code =
            format!("process P{n} {{ ÄÖÜ 🧬 \"quoted\" \\ \u{2028} \t }}\n").repeat(1 + n % 9 * 3);
        let mut all = json!({
            "id": format!("row-{n:06}"),
            "messages": messages(&format!("What about {n}?"), &code),
            "tags": [],
            "parts": [],
            "score": n as f64,
        });
        if n > rows / 2 {
            let part = json!({ "name": format!("p{}", n % 7), "weights": [0.1, null, n], "ok": n.is_multiple_of(2) });
            all["late"] = json!("2026-01-02T03:04:05Z");
            all["tags"] = json!(["a", null, ""]);
            all["parts"] = json!([part, null, { "name": null, "weights": [] }]);
            all["best: part #1"] = part;
            all["grid"] = json!([[], [1, null], null]);
            all["count"] = json!(i64::MAX - n as i64);
            all["no"] = json!(n.is_multiple_of(3));
            all["a.b"] = json!(n);
            all["größe 🧬"] = json!(n as f64 / 3.0);
        }
        row(all)
    };
    (0..rows).map(make).collect()
}

fn preferences() -> (Schema, Vec<Map<String, Value>>) {
    let fields = ["prompt", "chosen", "rejected"].map(|name| Field::new(name, chat()));
    let make = |n: usize| {
        let answer =
            |text: &str| json!([{ "role": "assistant", "content": format!("{text} {n}") }]);
        let prompt = json!([{ "role": "user", "content": "which?" }]);
        row(json!({ "prompt": prompt, "chosen": answer("this"), "rejected": answer("that") }))
    };
    (Schema(fields.into()), (0..20).map(make).collect())
}

/// Rows of somebody else, with the schema that is found for them.
fn foreign() -> (Schema, Vec<Map<String, Value>>) {
    let rows: Vec<_> = [
        json!({ "id": 1, "x": null, "meta": { "a": 1 }, "n": 1, "list": [] }),
        json!({ "id": "b", "x": 3, "meta": { "b": [2] }, "n": 2.5, "list": ["q"], "huge": u64::MAX }),
        json!({ "id": null, "x": "5", "y": [1, "two"], "chat": messages("a", "b"), "": 1 }),
    ]
    .map(row)
    .into();
    let mut inference = Inference::default();
    rows.iter().for_each(|row| inference.add(row));
    (inference.schema(), rows)
}

#[test]
fn what_is_written_here_loads_everywhere() {
    let name = "what_is_written_here_loads_everywhere";
    let dir = tempfile::tempdir().unwrap();
    let (preferred, pairs) = preferences();
    let (found, others) = foreign();
    let wide = wide();
    lay_out(
        dir.path(),
        &[
            ("routing", &wide, &many(50_000)),
            ("validation_preferences", &preferred, &pairs),
            ("samples", &found, &others),
        ],
    );
    let file = File::open(dir.path().join("routing/train.parquet")).unwrap();
    let groups = SerializedFileReader::new(file).unwrap().num_row_groups();
    assert!(groups > 1, "{groups} row group");
    let began = Instant::now();
    let said = match check(dir.path()) {
        Ok(said) => said,
        Err(reason) => return eprintln!("skipped {name}: {reason}"),
    };
    eprintln!("{name}: {:.1} s: {said}", began.elapsed().as_secs_f64());
    let expected = "3 data sets, 12 files, 50029 rows; routing conversational language modelling, \
                    validation_preferences conversational preference, samples rows of others";
    assert!(said.contains(expected), "{said}");
}

/// A folder as an export leaves it: one table, without a card.
fn export(dir: &Path, name: &str, rows: &[Value]) -> PathBuf {
    let folder = dir.join(name);
    fs::create_dir_all(&folder).unwrap();
    let rows: Vec<_> = rows.iter().cloned().map(row).collect();
    let mut inference = Inference::default();
    rows.iter().for_each(|row| inference.add(row));
    let schema = inference.schema();
    let mut writer = TableWriter::create(&folder, "train", &schema).unwrap();
    for row in rows {
        writer.push(&schema.conform(row)).unwrap();
    }
    writer.finish().unwrap();
    folder
}

#[test]
fn every_format_is_of_a_shape_that_trainers_document() {
    let dir = tempfile::tempdir().unwrap();
    let (user, answer) = (
        json!([{ "role": "user", "content": "a" }]),
        json!([{ "role": "assistant", "content": "b" }]),
    );
    let other = json!([{ "role": "assistant", "content": "c" }]);
    let right = [
        (
            "messages",
            json!({ "messages": messages("a", "b") }),
            "conversational language modelling",
        ),
        (
            "text",
            json!({ "text": "<|im_start|>user\na<|im_end|>\n" }),
            "standard language modelling",
        ),
        (
            "completion",
            json!({ "prompt": user, "completion": answer }),
            "conversational prompt-completion",
        ),
        (
            "plain",
            json!({ "prompt": "a", "completion": "b" }),
            "standard prompt-completion",
        ),
        (
            "dpo",
            json!({ "prompt": user, "chosen": answer, "rejected": other }),
            "conversational preference",
        ),
        (
            "sharegpt",
            json!({ "conversations": [{ "from": "human", "value": "a" }, { "from": "gpt", "value": "b" }] }),
            "sharegpt",
        ),
        (
            "alpaca",
            json!({ "instruction": "a", "input": "", "output": "b" }),
            "alpaca",
        ),
    ];
    let wrong = [
        (
            "no_role",
            json!({ "messages": [{ "content": "a" }, { "role": "assistant", "content": "b" }] }),
            "has no role",
        ),
        (
            "no_answer",
            json!({ "messages": user }),
            "without an answer",
        ),
        (
            "mixed",
            json!({ "prompt": "a", "completion": answer }),
            "prompt is no list of messages",
        ),
        (
            "equal",
            json!({ "prompt": user, "chosen": answer, "rejected": answer }),
            "chosen is rejected",
        ),
        (
            "unknown",
            json!({ "question": "a", "answer": "b" }),
            "no trainer knows",
        ),
    ];
    let cases: Vec<_> = right
        .iter()
        .chain(&wrong)
        .map(|(name, row, _)| export(dir.path(), name, &[row.clone(), row.clone()]))
        .collect();
    let dirs: Vec<&Path> = cases.iter().map(PathBuf::as_path).collect();
    let said = match ask(&dirs) {
        Ok(said) => said.text,
        Err(reason) => {
            return eprintln!(
                "skipped every_format_is_of_a_shape_that_trainers_document: {reason}"
            );
        }
    };
    for (path, (name, _, shape)) in cases.iter().zip(&right) {
        let line = format!(
            "ok {}: 2 files, 2 rows; train.jsonl {shape}\n",
            path.display()
        );
        assert!(said.contains(&line), "{name}: {said}");
    }
    for (path, (name, _, reason)) in cases[right.len()..].iter().zip(&wrong) {
        let begin = format!("{}: ", path.display());
        let line = said.lines().find(|line| line.starts_with(&begin));
        assert!(
            line.is_some_and(|line| line.contains(reason)),
            "{name}: {said}"
        );
    }
}

/// What the readers would load as something else, or not at all, is found.
#[test]
fn what_does_not_load_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (schema, rows) = preferences();
    let change = |dir: &Path, file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(dir.join(file)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(dir.join(file), text.replacen(from, to, 1)).unwrap();
    };
    let lines = "pairs/train.jsonl";
    let planted = [
        ("value", lines, "this 7", "this 8", "pyarrow sees row 8"),
        (
            "torn",
            lines,
            "that 19\"}]}\n",
            "that 19\"}]}",
            "line 20 is torn",
        ),
        (
            "type",
            "README.md",
            "dtype: string",
            "dtype: binary",
            "features",
        ),
        (
            "name",
            "README.md",
            "pairs/test_unseen_template.parquet",
            "pairs/train.parquet",
            "in no config",
        ),
        (
            "missing",
            "README.md",
            "pairs/train.parquet",
            "pairs/trian.parquet",
            "trian",
        ),
        (
            "sum",
            "SHA256SUMS",
            "  pairs/train.jsonl",
            "0  pairs/train.jsonl",
            "train.jsonl is another",
        ),
        (
            "unlisted",
            "SHA256SUMS",
            "  README.md",
            "  README",
            "not on both sides",
        ),
    ];
    let cases: Vec<PathBuf> = planted
        .iter()
        .map(|(name, ..)| dir.path().join(name))
        .collect();
    for (path, (_, file, from, to, _)) in cases.iter().zip(&planted) {
        lay_out(path, &[("pairs", &schema, &rows)]);
        change(path, file, from, to);
        if *file != "SHA256SUMS" {
            sums(path);
        }
    }
    let dirs: Vec<&Path> = cases.iter().map(PathBuf::as_path).collect();
    let said = match ask(&dirs) {
        Ok(said) => said,
        Err(reason) => return eprintln!("skipped what_does_not_load_is_found: {reason}"),
    };
    assert!(!said.right);
    for (path, (name, _, _, _, reason)) in cases.iter().zip(&planted) {
        let begin = format!("{}: ", path.display());
        let line = said.text.lines().find(|line| line.starts_with(&begin));
        assert!(
            line.is_some_and(|line| line.contains(reason)),
            "{name}: {}",
            said.text
        );
    }
}

/// What a campaign of the built-in generator, somebody's rows and every format of them come to.
#[test]
fn a_data_set_loads_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let campaignd = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_campaignd"))
            .current_dir(dir.path())
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    campaignd(&[
        "run",
        "--campaign-target",
        "600",
        "--state-dir",
        "state",
        "--json",
    ]);
    let made = dir.path().join("state/campaigns/quickstart/dataset");
    let mut dirs = vec![made];
    let odd = |n: usize| {
        json!({ "id": n, "text": format!("{n} {} reads of sample {n}", ["align", "trim", "count"][n % 3]), "response": "done",
            "note": if n < 30 { Value::Null } else { n.into() }, "tags": if n.is_multiple_of(2) { json!([]) } else { json!(["x"]) },
            "free": { "of": [n, null] }, "mixed": if n.is_multiple_of(7) { json!("seven") } else { json!(n) } })
    };
    let lines: String = (0..300).map(|n| odd(n).to_string() + "\n").collect();
    fs::write(dir.path().join("odd.jsonl"), lines).unwrap();
    let formats = [
        "prompt_completion",
        "qwen",
        "chatml",
        "llama3",
        "alpaca",
        "sharegpt",
    ];
    let export = |format: &str| {
        format!(
            "[[export]]\nname = \"{format}\"\nformat = \"{format}\"\ndestination = \"exports\"\n"
        )
    };
    let exports: String = formats.iter().map(|format| export(format)).collect();
    fs::write(
        dir.path().join("odd.toml"),
        "[curation]\n".to_owned() + &exports,
    )
    .unwrap();
    fs::create_dir(dir.path().join("exports")).unwrap();
    campaignd(&[
        "curate",
        "--input",
        "odd.jsonl",
        "--output",
        "odd",
        "--config",
        "odd.toml",
        "--json",
    ]);
    dirs.push(dir.path().join("odd"));
    dirs.extend(formats.map(|format| dir.path().join("exports").join(format)));
    assert!(dirs.iter().all(|dir| dir.join("SHA256SUMS").exists()));
    let all: Vec<&Path> = dirs.iter().map(PathBuf::as_path).collect();
    match ask(&all) {
        Ok(said) => assert!(said.right, "{}", said.text),
        Err(why) => eprintln!("skipped a_data_set_loads_everywhere: {why}"),
    }
}
