//! What was written is what is read: by the record reader of the Parquet crate, and line by line.

use super::*;
use crate::curation::schema::{Field, Type, chat};
use parquet::{
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::{Field as Read, Row},
};
use proptest::prelude::*;
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt};

/// A field as the record reader gives it, as JSON.
fn value(read: &Read) -> Value {
    match read {
        Read::Null => Value::Null,
        Read::Bool(value) => Value::from(*value),
        Read::Long(value) => Value::from(*value),
        Read::Double(value) => Value::from(*value),
        Read::Str(value) => Value::from(value.as_str()),
        Read::Group(row) => Value::Object(object(row)),
        Read::ListInternal(list) => list.elements().iter().map(value).collect(),
        other => panic!("{other:?} was never written"),
    }
}

fn object(row: &Row) -> Map<String, Value> {
    row.get_column_iter()
        .map(|(name, read)| (name.clone(), value(read)))
        .collect()
}

/// The rows of a Parquet file, and its row groups.
fn parquet_rows(path: &Path) -> (Vec<Map<String, Value>>, usize) {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    (
        rows.map(|row| object(&row.unwrap())).collect(),
        reader.num_row_groups(),
    )
}

fn json_rows(path: &Path) -> Vec<Map<String, Value>> {
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.collect()
}

fn row(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn any_type() -> impl Strategy<Value = Type> {
    let scalar = prop::sample::select(vec![Type::Bool, Type::Int, Type::Float, Type::Text]);
    scalar.prop_recursive(3, 12, 3, |inner| {
        let names = prop::sample::subsequence(vec!["b", "a", "c d"], 1..=3);
        let fields = (names, prop::collection::vec(inner.clone(), 3)).prop_map(|(names, types)| {
            let fields = names.into_iter().zip(types);
            Type::Struct(fields.map(|(name, of)| Field::new(name, of)).collect())
        });
        prop_oneof![inner.prop_map(|of| Type::List(Box::new(of))), fields]
    })
}

/// Values of a type, nulls and some that do not fit it.
fn of_type(of: &Type) -> BoxedStrategy<Value> {
    let fitting = match of {
        Type::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Type::Int => any::<i64>().prop_map(Value::from).boxed(),
        Type::Float => (-1e300..1e300).prop_map(Value::from).boxed(),
        Type::Text => "\\PC{0,6}".prop_map(Value::from).boxed(),
        Type::List(of) => prop::collection::vec(of_type(of), 0..4)
            .prop_map(Value::from)
            .boxed(),
        Type::Struct(fields) => fields_of(fields).prop_map(Value::Object).boxed(),
    };
    let odd = prop::sample::select(vec![
        json!([]),
        json!({}),
        json!("x"),
        json!(1),
        json!([null]),
    ]);
    prop_oneof![6 => fitting, 2 => Just(Value::Null), 1 => odd].boxed()
}

fn fields_of(fields: &[Field]) -> BoxedStrategy<Map<String, Value>> {
    let pairs: Vec<_> = fields
        .iter()
        .map(|field| (Just(field.name.clone()), of_type(&field.of)))
        .collect();
    pairs.prop_map(|pairs| pairs.into_iter().collect()).boxed()
}

fn any_table() -> impl Strategy<Value = (Schema, Vec<Map<String, Value>>)> {
    prop::collection::vec(any_type(), 1..5).prop_flat_map(|types| {
        let named = types.into_iter().enumerate();
        let fields: Vec<_> = named
            .map(|(number, of)| Field::new(&format!("column {number}"), of))
            .collect();
        let rows = prop::collection::vec(fields_of(&fields), 0..20);
        rows.prop_map(move |rows| (Schema(fields.clone()), rows))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_was_written_is_read((schema, rows) in any_table(), group in 1usize..600) {
        let rows: Vec<_> = rows.into_iter().map(|row| schema.conform(row)).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        let mut columns = Columns::new(File::create(&path).unwrap(), &schema, shape::shape(&schema).unwrap(), group).unwrap();
        for row in &rows {
            columns.push(&schema, row).unwrap();
        }
        columns.finish().unwrap();
        let (read, groups) = parquet_rows(&path);
        prop_assert_eq!(&read, &rows);
        prop_assert!(groups <= rows.len() && (groups > 0) != rows.is_empty());
        let mut writer = TableWriter::create(dir.path(), "train", &schema).unwrap();
        for row in &rows {
            writer.push(row).unwrap();
        }
        prop_assert_eq!(writer.finish().unwrap(), rows.len() as u64);
        prop_assert_eq!(&json_rows(&dir.path().join("train.jsonl")), &rows);
        prop_assert_eq!(&parquet_rows(&dir.path().join("train.parquet")).0, &rows);
    }
}

fn small() -> Schema {
    Schema(vec![
        Field::new("id", Type::Text),
        Field::new("messages", chat()),
        Field::new("at", Type::Int),
    ])
}

fn write_small(dir: &Path) {
    let mut writer = TableWriter::create(dir, "train", &small()).unwrap();
    for n in 0..1_000 {
        let chat = json!([{ "role": "user", "content": format!("What is {n}?") }]);
        let row = row(json!({ "id": format!("r{n}"), "messages": chat, "at": n }));
        writer.push(&row).unwrap();
    }
    writer.finish().unwrap();
}

/// Of the bytes: a change of any dependency that changes them is seen here, and is a change of every data set.
fn digest(path: &Path) -> String {
    use sha2::{Digest, Sha256};
    let sum = Sha256::digest(fs::read(path).unwrap());
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_are_those_of_every_machine() {
    let dir = tempfile::tempdir().unwrap();
    write_small(dir.path());
    assert_eq!(
        digest(&dir.path().join("train.parquet")),
        "8314dfb6cb277f06c8303f8f7f35af381eedafc7a743ef59267b17bf2499ef50"
    );
    assert_eq!(
        digest(&dir.path().join("train.jsonl")),
        "8cab0d747386187866d45a1c866ccaff6647d4d35241e389f07a02b2cc0ac49b"
    );
}

#[test]
fn both_files_are_private_new_and_in_the_order_of_the_schema() {
    let dir = tempfile::tempdir().unwrap();
    write_small(dir.path());
    for name in ["train.parquet", "train.jsonl"] {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
    }
    let text = fs::read_to_string(dir.path().join("train.jsonl")).unwrap();
    let first = r#"{"id":"r0","messages":[{"role":"user","content":"What is 0?"}],"at":0}"#;
    assert_eq!(text.lines().next(), Some(first));
    let error = TableWriter::create(dir.path(), "train", &small())
        .err()
        .unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("train.jsonl"), "{error}");
}

#[test]
fn a_row_of_another_type_is_refused_by_its_key_and_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = TableWriter::create(dir.path(), "test", &small()).unwrap();
    let error = writer
        .push(&row(json!({ "id": "a", "at": "x" })))
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(
        error.to_string().contains("\"at\"") && error.to_string().contains("test.parquet"),
        "{error}"
    );
    writer.push(&row(json!({ "id": "b" }))).unwrap();
    assert_eq!(writer.finish().unwrap(), 1);
    let rows = [row(json!({ "id": "b", "messages": null, "at": null }))];
    assert_eq!(parquet_rows(&dir.path().join("test.parquet")).0, rows);
    assert_eq!(json_rows(&dir.path().join("test.jsonl")), rows);
}

#[test]
fn what_is_no_table_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let twice = vec![Field::new("a", Type::Int), Field::new("a", Type::Text)];
    let hollow = vec![Field::new("a", Type::List(Box::new(Type::Struct(vec![]))))];
    for (fields, said) in [
        (vec![], "no fields"),
        (twice, "\"a\" twice"),
        (hollow, "\"a\" has no fields"),
    ] {
        let error = TableWriter::create(dir.path(), "x", &Schema(fields))
            .err()
            .unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(said), "{error}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// A disk that is full after some bytes.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        if taken == 0 {
            Err(io::Error::from_raw_os_error(28))
        } else {
            Ok(taken)
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_seen_as_one() {
    let schema = small();
    for room in [0, 10, 300, 5_000] {
        let fill = || {
            let mut columns = Columns::new(Full(room), &schema, shape::shape(&schema)?, 1_000)?;
            for n in 0..2_000 {
                columns.push(&schema, &row(json!({ "id": format!("{n}"), "at": n })))?;
            }
            columns.finish().map(|_| ())
        };
        let error = named(fill().unwrap_err(), "write", Path::new("/x.parquet"));
        assert!(crate::artifacts::is_starved(&error), "{room}: {error}");
    }
}
