//! Every kind of input file has one outcome, whatever the size of the blocks in which it is read.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::fs;

const SMALL: Limits = Limits {
    longest: 1 << 20,
    block: 3,
};

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn read_with(bytes: &[u8], limits: Limits) -> (Shape, Vec<Item>, Tally) {
    let files = Files::new();
    let path = files.put("rows", bytes);
    let corpus = Corpus::open(&[path], limits).unwrap();
    let items: Vec<Item> = corpus.items().map(Result::unwrap).collect();
    let mut parsed = Vec::new();
    let keep = |item| {
        parsed.push(item);
        Ok::<_, io::Error>(())
    };
    let tallies = corpus.read_parallel(3, |item| item, keep).unwrap();
    assert_eq!(parsed, items, "in parallel it is the same");
    let mut again = corpus.again();
    for item in &items {
        let text = &bytes[item.at.offset as usize..][..item.at.len as usize];
        assert_eq!(again.bytes_at(&item.at).unwrap(), text);
        let newlines = bytes[..item.at.offset as usize].iter();
        let line = newlines.filter(|byte| **byte == b'\n').count() as u64 + 1;
        assert_eq!(item.at.line, line);
        if let What::Row(value) = &item.what {
            assert_eq!(&again.read_at(&item.at).unwrap(), value);
        }
    }
    (
        corpus.files()[0].shape,
        items,
        tallies.into_iter().sum::<Tally>(),
    )
}

/// Rows as they are, what is invalid as its reason and why, and the shape of the file.
fn read(bytes: &[u8]) -> (Shape, Vec<Value>, Tally) {
    let (shape, items, tally) = read_with(bytes, SMALL);
    assert_eq!(read_with(bytes, Limits::default()).1, items, "large blocks");
    let said = items.into_iter().map(|item| match item.what {
        What::Row(value) => value,
        What::Invalid { reason, why, .. } => json!(format!("{reason}: {why}")),
    });
    (shape, said.collect(), tally)
}

#[track_caller]
fn rows(bytes: &[u8], shape: Shape, expected: &[Value]) {
    let (read_as, rows, tally) = read(bytes);
    let text = String::from_utf8_lossy(bytes);
    assert_eq!((read_as, rows.as_slice()), (shape, expected), "{text}");
    assert_eq!(tally.rows, expected.len() as u64, "{text}");
}

/// One element is invalid for this reason, and these are the rows.
#[track_caller]
fn one_invalid(bytes: &[u8], shape: Shape, starts: &str, expected: &[Value]) {
    let (read_as, said, tally) = read(bytes);
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(read_as, shape, "{text}");
    let (invalid, rows): (Vec<_>, Vec<_>) = said.into_iter().partition(|row| row.is_string());
    assert_eq!(rows, expected, "{text}");
    assert_eq!(invalid.len(), 1, "{invalid:?} of {text}");
    assert!(
        invalid[0].as_str().unwrap().starts_with(starts),
        "{invalid:?}"
    );
    assert_eq!(tally.torn, u64::from(starts.contains("torn")), "{text}");
}

#[test]
fn the_shape_is_read_from_the_content() {
    let two = [json!({"a": 1}), json!({"a": 2})];
    for lines in [
        "{\"a\":1}\n{\"a\":2}\n",
        "{\"a\":1}\r\n\r\n  \n{\"a\":2}\r\n",
        "\u{feff}{\"a\":1}\n\u{feff}{\"a\":2}",
        "\n\n {\"a\":1} \n\t{\"a\":2}",
    ] {
        rows(lines.as_bytes(), Shape::Lines, &two);
    }
    for array in [
        "[{\"a\":1},{\"a\":2}]",
        "[\n  {\n    \"a\": 1\n  },\n  {\n    \"a\": 2\n  }\n]\n",
        "\u{feff} \r\n[{\"a\":1},\r\n{\"a\":2}]",
        "[{\"a\":1}\n, {\"a\":2},]",
        "[\n{\"a\":1}]\n\u{feff}[{\"a\":2}\n]\n",
    ] {
        rows(array.as_bytes(), Shape::Array, &two);
    }
    for objects in [
        "{\n \"a\": 1\n}\n{\n \"a\": 2\n}\n",
        "{\"a\":1}{\"a\":2}",
        "{\"a\":\n1} {\"a\":2}",
        "{\"a\":1\n}\n\n{\"a\":2}",
    ] {
        rows(objects.as_bytes(), Shape::Objects, &two);
    }
    rows(b"", Shape::Lines, &[]);
    rows(b" \n \n", Shape::Lines, &[]);
    rows(b"[]\n", Shape::Array, &[]);
}

#[test]
fn lines_that_are_arrays_are_no_array() {
    let arrays = [json!([1, 2]), json!([{"a": "]\n["}])];
    rows(b"[1,2]\n[{\"a\":\"]\\n[\"}]\n", Shape::Lines, &arrays);
    let nested = [json!([1, 2]), json!([3]), json!("x,]"), json!(4)];
    rows(b"[[1,2],\n[3],\"x,]\",4]", Shape::Array, &nested);
    // One line alone could be either; an array of rows is the likelier.
    rows(b"[1,2]\n", Shape::Array, &[json!(1), json!(2)]);
    one_invalid(
        b"[1,2\n[3,4]\n[5]\n",
        Shape::Lines,
        "invalid_json",
        &[json!([3, 4]), json!([5])],
    );
}

#[test]
fn a_broken_row_leaves_its_neighbours_whole() {
    let two = [json!({"a": 1}), json!({"a": 2})];
    for broken in [
        "{\"a\":",
        "{\"a\":1,",
        "{\"a",
        "{bad}",
        "{\"a\":1]}",
        "\0\0",
    ] {
        let lines = format!("{{\"a\":1}}\n{broken}\n{{\"a\":2}}\n");
        one_invalid(lines.as_bytes(), Shape::Lines, "invalid_json", &two);
        let first = format!("{broken}\n{{\"a\":1}}\n{{\"a\":2}}\n");
        one_invalid(first.as_bytes(), Shape::Lines, "invalid_json", &two);
        let array = format!("[\n{{\"a\":1}},\n{broken},\n{{\"a\":2}}\n]");
        one_invalid(array.as_bytes(), Shape::Array, "invalid_json", &two);
        // Behind a colon an object may stand: there the next one is taken for its value.
        if !broken.ends_with(':') {
            let objects = format!("{{\n\"a\":1}}\n{broken}\n{{\"a\":2}}\n");
            one_invalid(objects.as_bytes(), Shape::Objects, "invalid_json", &two);
        }
    }
}

#[test]
fn an_open_element_ends_before_the_comma_that_separates_it() {
    let (_, items, _) = read_with(b"[{\"a\": 1 , {\"a\":2}]", SMALL);
    let What::Invalid { excerpt, .. } = &items[0].what else {
        panic!("{items:?}")
    };
    assert_eq!(excerpt, "{\"a\": 1");
    assert_eq!(items.len(), 2);
}

#[test]
fn what_breaks_off_is_torn() {
    let one = [json!({"a": 1})];
    let torn = "invalid_json: torn";
    one_invalid(b"{\"a\":1}\n{\"a\":\"x", Shape::Lines, torn, &one);
    one_invalid(b"{\"a\":1}\n{\"a\":\"\xC3", Shape::Lines, torn, &one);
    one_invalid(b"{\"a\":1}\n12", Shape::Lines, torn, &one);
    one_invalid(b"[{\"a\":1},\n{\"a\":", Shape::Array, torn, &one);
    one_invalid(b"[{\"a\":1},\n", Shape::Array, torn, &one);
    one_invalid(b"[{\"a\":1},", Shape::Array, torn, &one);
    one_invalid(b"{\n\"a\":1}\n{\n\"a\":", Shape::Objects, torn, &one);
    rows(b"{\"a\":1}", Shape::Lines, &one);
}

#[test]
fn values_have_clear_outcomes() {
    let one = [json!({"a": 1})];
    let line = |row: &str| format!("{row}\n{{\"a\":1}}\n").into_bytes();
    one_invalid(
        &line("{\"a\":1e999}"),
        Shape::Lines,
        "invalid_json: number out",
        &one,
    );
    let deep = "[".repeat(5000) + &"]".repeat(5000);
    one_invalid(
        &line(&deep),
        Shape::Lines,
        "invalid_json: recursion limit",
        &one,
    );
    let array = format!("[{deep},\n{{\"a\":1}}]");
    one_invalid(
        array.as_bytes(),
        Shape::Array,
        "invalid_json: recursion",
        &one,
    );
    one_invalid(
        b"{\"a\":1}\n{\"a\":\"\xff\"}\n",
        Shape::Lines,
        "invalid_utf8: its byte 7",
        &one,
    );
    one_invalid(
        b"{\"a\":1}\n\0\0\0\0\n",
        Shape::Lines,
        "invalid_json: it holds NUL",
        &one,
    );
    one_invalid(
        b"[\n{\"a\":1},\n{\n\n\"b\": x}]",
        Shape::Array,
        "invalid_json: expected value at line 5 column 6",
        &one,
    );
    // The last of two equal keys, and the nearest float.
    rows(
        &line("{\"a\":2,\"a\":1}"),
        Shape::Lines,
        &[json!({"a": 1}), json!({"a": 1})],
    );
    let large = [json!({"a": 1.234_567_890_123_456_8e29}), json!({"a": 1})];
    rows(
        &line("{\"a\":123456789012345678901234567890}"),
        Shape::Lines,
        &large,
    );
}

#[test]
fn what_is_too_long_is_passed_over_and_counted() {
    let limits = Limits {
        longest: 230,
        block: 7,
    };
    let long = format!("{{\"a\":\"{}\"}}", "äx".repeat(200));
    let exact = format!("{{\"a\":\"{}\"}}", "x".repeat(222));
    for (text, shape) in [
        (format!("{exact}\n{long}\r\n{{\"a\":2}}\n"), Shape::Lines),
        (
            format!("{exact} \n{long}\n{{\"a\":2}}\n{long}"),
            Shape::Lines,
        ),
        (format!("[{exact},\n{long},{{\"a\":2}}]"), Shape::Array),
        (format!("{exact}{long}{{\"a\":2}}"), Shape::Objects),
    ] {
        for limits in [
            limits,
            Limits {
                block: 4096,
                ..limits
            },
        ] {
            let (read_as, items, tally) = read_with(text.as_bytes(), limits);
            assert_eq!(read_as, shape);
            assert_eq!((tally.rows, tally.invalid_json), (2, 0), "{items:?}");
            assert_eq!(tally.too_long, text.matches('ä').count() as u64 / 200);
            let What::Invalid { why, excerpt, .. } = &items[1].what else {
                panic!("{items:?}")
            };
            assert!(
                why.contains("608 bytes") || why.contains("609 bytes"),
                "{why}"
            );
            assert!(
                long.starts_with(excerpt.as_str()) && excerpt.len() >= 199,
                "{excerpt}"
            );
            assert_eq!(items[2].what, What::Row(json!({"a": 2})));
        }
    }
}

#[test]
fn other_files_are_refused_with_what_to_do() {
    let files = Files::new();
    let refused = |path: PathBuf| {
        let error = Corpus::open(std::slice::from_ref(&path), Limits::default()).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains(path.file_name().unwrap().to_str().unwrap()),
            "{said}"
        );
        said
    };
    assert!(refused(files.put("a.jsonl.gz", "x")).contains("decompress it first"));
    assert!(refused(files.put("a.jsonl", b"\x1f\x8b\x08")).contains("gunzip --keep"));
    assert!(refused(files.put("b", b"\x28\xb5\x2f\xfd")).contains("zstd --decompress"));
    assert!(refused(files.put("c.jsonl", b"\xff\xfe{\0")).contains("iconv"));
    assert!(refused(files.put("d", b"PAR1")).contains("Parquet"));
    assert!(refused(files.0.path().join("missing")).contains("cannot read"));
    assert!(refused(files.put("empty/x.txt", "").parent().unwrap().into()).contains("holds no"));
}

#[test]
fn a_directory_is_all_below_it_and_nothing_beside_it() {
    let files = Files::new();
    for name in [
        "in/b.jsonl",
        "in/a/z.ndjson",
        "in/c.json",
        "in/x.txt",
        "other/y.jsonl",
    ] {
        files.put(name, "1\n");
    }
    let dir = files.0.path().join("in");
    let names = |inputs: &[PathBuf]| {
        let corpus = Corpus::open(inputs, Limits::default())?;
        let name = |source: &Source| {
            let inner = source.path.strip_prefix(&dir).unwrap_or(&source.path);
            inner.to_str().unwrap().to_owned()
        };
        Ok::<_, io::Error>(corpus.files().iter().map(name).collect::<Vec<_>>())
    };
    let all = ["a/z.ndjson", "b.jsonl", "c.json"];
    assert_eq!(names(&[dir.clone(), dir.join("b.jsonl")]).unwrap(), all);
    // Links to what is inside are read once, a circle ends.
    std::os::unix::fs::symlink(&dir, dir.join("a/circle")).unwrap();
    std::os::unix::fs::symlink("b.jsonl", dir.join("again.jsonl")).unwrap();
    assert_eq!(names(std::slice::from_ref(&dir)).unwrap().len(), 3);
    let link = dir.join("out.jsonl");
    std::os::unix::fs::symlink("../other/y.jsonl", &link).unwrap();
    let said = names(std::slice::from_ref(&dir)).unwrap_err().to_string();
    assert!(said.contains("out.jsonl is a link that leaves"), "{said}");
    assert_eq!(names(std::slice::from_ref(&link)).unwrap(), ["out.jsonl"]);
    fs::remove_file(link).unwrap();
    files.put("in/packed.jsonl.gz", "x");
    assert!(
        names(std::slice::from_ref(&dir))
            .unwrap_err()
            .to_string()
            .contains("packed.jsonl.gz is compressed")
    );
}

#[test]
fn what_is_hidden_being_made_or_curated_is_no_input() {
    let files = Files::new();
    for name in [
        "in/.cache/a.jsonl",
        "in/.hidden.jsonl",
        "in/a.jsonl",
        "in/new.making/samples/train.jsonl",
        "in/set/SHA256SUMS",
        "in/set/manifest.json",
        "in/set/samples/train.jsonl",
        "in/shards/SHA256SUMS",
        "in/shards/b.jsonl",
        "in/x/manifest.json",
        "in/x/c.jsonl",
    ] {
        files.put(name, "{}\n");
    }
    let root = files.0.path().join("in");
    std::os::unix::fs::symlink(root.join("a.jsonl"), root.join(".a.jsonl")).unwrap();
    let names = |dir: &Path| {
        let corpus = Corpus::open(&[dir.to_owned()], Limits::default()).unwrap();
        let name = |source: &Source| source.path.strip_prefix(dir).unwrap().display().to_string();
        corpus.files().iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(
        names(&root),
        ["a.jsonl", "shards/b.jsonl", "x/c.jsonl", "x/manifest.json"]
    );
    // Whoever names one means it.
    assert_eq!(
        names(&root.join("set")),
        ["manifest.json", "samples/train.jsonl"]
    );
    assert_eq!(names(&root.join(".cache")), ["a.jsonl"]);
    assert_eq!(names(&root.join("new.making")), ["samples/train.jsonl"]);
}

#[test]
fn a_file_that_changes_is_an_error() {
    let files = Files::new();
    let path = files.put("rows.jsonl", "{\"a\":1}\n{\"a\":2}\n");
    let corpus = Corpus::open(std::slice::from_ref(&path), Limits::default()).unwrap();
    let first = corpus.items().next().unwrap().unwrap();
    let mut again = corpus.again();
    assert_eq!(again.read_at(&first.at).unwrap(), json!({"a": 1}));
    fs::write(&path, "{\"a\":1}\n").unwrap();
    let said = again.read_at(&first.at).unwrap_err().to_string();
    assert!(said.contains("rows.jsonl was changed"), "{said}");
    let read: Vec<_> = corpus.items().collect();
    assert!(matches!(read.as_slice(), [.., Err(_)]), "{read:?}");
    let ended = corpus.read_parallel(2, drop, |()| Ok::<_, io::Error>(()));
    assert!(ended.unwrap_err().to_string().contains("was changed"));
}

#[test]
fn many_files_come_in_order_and_the_reader_may_stop() {
    let files = Files::new();
    let mut inputs = Vec::new();
    for file in 0..7 {
        let rows = (0..file * 50).map(|row| format!("[{file},{row}]\n"));
        inputs.push(files.put(&format!("{file}.jsonl"), rows.collect::<String>() + "0\n"));
    }
    let limits = Limits { block: 64, ..SMALL };
    let corpus = Corpus::open(&inputs, limits).unwrap();
    for threads in [0, 1, 2, 5] {
        let mut places = Vec::new();
        let keep = |at| {
            places.push(at);
            Ok::<_, io::Error>(())
        };
        let tallies = corpus.read_parallel(threads, |item| item.at, keep).unwrap();
        assert!(places.is_sorted());
        assert_eq!(places.len(), 7 + 50 * 21);
        let rows: Vec<u64> = tallies.iter().map(|tally| tally.rows).collect();
        assert_eq!(rows, [1, 51, 101, 151, 201, 251, 301]);
    }
    let mut left = 10;
    let stop = |()| {
        left -= 1;
        if left == 0 {
            Err(io::Error::other("enough"))
        } else {
            Ok(())
        }
    };
    let ended = corpus.read_parallel(2, drop, stop).unwrap_err();
    assert_eq!(ended.to_string(), "enough");
}

proptest! {
    #[test]
    fn rows_are_found_however_they_are_written(
        values in prop::collection::vec((0..1000_u32, "[\\[\\]{}\",:\\\\\n a-cä]{0,12}"), 0..12),
        block in 1..40_u32,
    ) {
        let values: Vec<Value> = values.iter().map(|(n, text)| json!({"n": n, "of": [{"t": text}, text]})).collect();
        let one = |value: &Value| value.to_string();
        let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
        let each = |write: &dyn Fn(&Value) -> String, between: &str| values.iter().map(write).collect::<Vec<_>>().join(between);
        for text in [
            each(&one, "\n"),
            each(&one, "\r\n\n"),
            each(&pretty, "\n"),
            each(&one, ""),
            format!("[{}]", each(&one, ",")),
            serde_json::to_string_pretty(&values).unwrap(),
        ] {
            let (_, items, _) = read_with(text.as_bytes(), Limits { block, ..SMALL });
            let read: Vec<What> = items.into_iter().map(|item| item.what).collect();
            let expected: Vec<What> = values.iter().cloned().map(What::Row).collect();
            prop_assert_eq!(read, expected, "{}", text);
        }
    }

    #[test]
    fn no_bytes_are_lost_or_make_it_fall(bytes in prop::collection::vec(prop::sample::select(b"{}[]\"\\,: \n1a\xEF\xBB\xBF\0".to_vec()), 0..120), longest in 4..60_u32) {
        let (_, items, _) = read_with(&bytes, Limits { longest, block: 5 });
        let mut covered = vec![false; bytes.len()];
        for item in &items {
            covered[item.at.offset as usize..][..item.at.len as usize].fill(true);
        }
        // Between elements are only separators, and marks.
        for (byte, covered) in bytes.iter().zip(covered) {
            prop_assert!(covered || b" \n,[]\xEF\xBB\xBF".contains(byte), "{:?}", items);
        }
    }
}
