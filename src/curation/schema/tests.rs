//! Foreign rows of every kind: no order changes a schema, and nothing is lost on the way into it.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn row(value: Value) -> Map<String, Value> {
    let Value::Object(row) = value else {
        panic!("{value} is no row")
    };
    row
}

fn infer(rows: &[Map<String, Value>]) -> Inference {
    let mut inference = Inference::default();
    rows.iter().for_each(|row| inference.add(row));
    inference
}

/// The type of a column `a` that held these values.
fn type_of(values: Value) -> Type {
    let values = values.as_array().unwrap().iter();
    let rows: Vec<_> = values.map(|value| row(json!({ "a": value }))).collect();
    infer(&rows).schema().0[0].of.clone()
}

fn list(of: Type) -> Type {
    Type::List(Box::new(of))
}

#[test]
fn the_type_is_the_least_that_loses_nothing() {
    let cases = [
        (json!([null, true]), Type::Bool),
        (json!([null, null]), Type::Text),
        (json!([1, -2, i64::MAX]), Type::Int),
        (json!([1, 2.5]), Type::Float),
        (json!([2.5, i64::MAX]), Type::Text),
        (json!([1, u64::MAX]), Type::Text),
        (json!([1, "one"]), Type::Text),
        (json!([true, 1]), Type::Text),
        (json!([[], null, [1, null], [2.0]]), list(Type::Float)),
        (json!([[], ["a"]]), list(Type::Text)),
        (json!([[], null]), list(Type::Text)),
        (json!([["a"], "a"]), Type::Text),
        (json!([["a", 1]]), Type::Text),
        (json!([[["a"]]]), Type::Text),
        (json!([{ "a": 1 }, { "b": 2 }]), Type::Text),
        (
            json!([[], [{ "role": "user", "content": "x" }], [{ "role": "tool", "content": null }]]),
            chat(),
        ),
        (
            json!([[{ "from": "human", "value": "x" }]]),
            texts(["from", "value"]),
        ),
        (json!([[{ "role": "user", "content": [1] }]]), Type::Text),
        (
            json!([[{ "role": "user", "content": "x", "name": "y" }]]),
            Type::Text,
        ),
        (
            json!([[{ "from": "human", "value": "x" }, { "role": "user", "content": "x" }]]),
            Type::Text,
        ),
    ];
    for (values, of) in cases {
        assert_eq!(type_of(values.clone()), of, "{values}");
    }
}

#[test]
fn mixed_columns_are_told_with_what_they_held() {
    let rows = [
        row(json!({ "a": 1, "b": "x", "c": null })),
        row(json!({ "a": ["x", { "k": 1 }], "b": u64::MAX, "c": "x" })),
    ];
    let told = infer(&rows).mixed();
    let mixed = |name: &str, values: &[&'static str], elements: &[&'static str]| MixedColumn {
        name: name.into(),
        values: values.to_vec(),
        elements: elements.to_vec(),
    };
    assert_eq!(
        told,
        [
            mixed("a", &["int", "list"], &["text", "object"]),
            mixed("b", &["huge int", "text"], &[])
        ]
    );
}

#[test]
fn columns_beyond_the_bound_share_the_last_one() {
    let key = |n: usize| format!("key{n:05}");
    let wide = |range: std::ops::Range<usize>| -> Map<String, Value> {
        range.map(|n| (key(n), Value::from(n))).collect()
    };
    let rows = [
        wide(500..1_500),
        wide(0..1_200),
        row(json!({ "messages": [], "zz": 1, "other": "mine" })),
    ];
    let mut inference = infer(&rows);
    let turned = infer(&[rows[2].clone(), rows[1].clone(), rows[0].clone()]);
    assert_eq!(inference, turned);
    let mut merged = infer(&rows[2..]);
    merged.merge(&infer(&rows[..2]));
    assert_eq!(inference, merged);
    let schema = inference.schema();
    let names: Vec<&str> = schema.0.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(
        (names.len(), names[0], names[1]),
        (MOST_COLUMNS + 1, "messages", "key00000")
    );
    assert_eq!(names[998..], ["key00997", "other", "other_"]);
    // Keys 998 to 1,499 of the first row, 998 to 1,199 of the second, and `zz`.
    assert_eq!(inference.rest(), 502 + 202 + 1);
    let own = schema.conform(rows[2].clone());
    assert_eq!(
        (&own["other"], &own["other_"]),
        (&json!("mine"), &json!("{\"zz\":1}"))
    );
    // A name that is none, in a table that is narrow.
    inference = infer(&[
        row(json!({ "": 1, "a\nb": 2, "x": 3 })),
        row(json!({ "k".repeat(300): 4 })),
    ]);
    assert_eq!((inference.rest(), inference.schema().0.len()), (3, 2));
}

#[test]
fn every_row_gets_every_key_and_what_does_not_fit_is_told() {
    let schema = Schema(vec![
        Field::new("id", Type::Text),
        Field::new("n", Type::Int),
        Field::new("x", Type::Float),
        Field::new("messages", chat()),
    ]);
    let odd = row(
        json!({ "id": 7, "n": 2.0, "x": 3, "more": 1, "messages": [{ "role": "user", "n": 1 }, 5] }),
    );
    let mut told = Vec::new();
    let whole = schema.conform_noting(odd, &mut |key, misfit| told.push((key.to_owned(), misfit)));
    let expected = json!({ "id": "7", "n": 2, "x": 3.0, "messages": [{ "role": "user", "content": null }, null] });
    assert_eq!(Value::Object(whole), expected);
    let told: Vec<_> = told
        .iter()
        .map(|(key, misfit)| (key.as_str(), *misfit))
        .collect();
    let expected = [
        ("id", Misfit::AsJson),
        ("messages", Misfit::Unknown),
        ("messages", Misfit::Lost),
        ("more", Misfit::Unknown),
    ];
    assert_eq!(told, expected);
    assert_eq!(schema.conform(Map::new()).len(), 4);
    for lost in [
        json!({ "n": 2.5 }),
        json!({ "n": u64::MAX }),
        json!({ "n": 1e300 }),
        json!({ "x": "1" }),
    ] {
        let mut told = Vec::new();
        schema.conform_noting(row(lost.clone()), &mut |_, misfit| told.push(misfit));
        assert_eq!(told, [Misfit::Lost], "{lost}");
    }
}

#[test]
fn the_column_of_the_rest_keeps_what_a_row_has_there_itself() {
    let schema = Schema(vec![
        Field::new("id", Type::Text),
        Field::new("other", Type::Text),
    ]);
    for (raw, whole, misfit) in [
        (
            json!({ "x": 1, "y": 2 }),
            json!({ "id": null, "other": "{\"x\":1,\"y\":2}" }),
            Misfit::AsJson,
        ),
        (
            json!({ "x": 1, "other": "own" }),
            json!({ "id": null, "other": "own" }),
            Misfit::Unknown,
        ),
    ] {
        let mut told = Vec::new();
        let made = schema.conform_noting(row(raw), &mut |key, misfit| {
            told.push((key.to_owned(), misfit))
        });
        assert_eq!(Value::Object(made), whole);
        assert!(told.contains(&("x".to_owned(), misfit)), "{told:?}");
    }
}

#[test]
fn a_row_that_does_not_fit_is_named() {
    let schema = Schema(vec![
        Field::new("n", Type::Int),
        Field::new("messages", chat()),
    ]);
    assert_eq!(
        schema.fits(&row(json!({ "n": 1, "messages": [{ "role": "a" }] }))),
        Ok(())
    );
    let refused = |value| schema.fits(&row(value)).unwrap_err();
    assert!(refused(json!({ "n": 1.0 })).contains("\"n\""));
    assert!(refused(json!({ "m": 1 })).contains("no column \"m\""));
    assert!(refused(json!({ "messages": [{ "roll": "a" }] })).contains("\"messages\""));
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-3i8..3).prop_map(|n| Value::from(f64::from(n) / 2.0)),
        "[a-c ü\"]{0,3}".prop_map(Value::from),
    ]
}

fn message() -> impl Strategy<Value = Value> {
    let named = |keys: [&'static str; 2]| {
        ("[us]", "[xy]{0,2}").prop_map(move |(a, b)| json!({ keys[0]: a, keys[1]: b }))
    };
    prop_oneof![4 => named(["role", "content"]), 1 => named(["from", "value"]), 1 => named(["role", "x"])]
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => scalar(),
        2 => prop::collection::vec(scalar(), 0..3).prop_map(Value::from),
        2 => prop::collection::vec(message(), 0..3).prop_map(Value::from),
        1 => message(),
        1 => scalar().prop_map(|value| json!([[value]])),
    ]
}

fn any_rows() -> impl Strategy<Value = Vec<Map<String, Value>>> {
    let key = prop::sample::select(vec!["id", "messages", "other", "other_", "a", "", "b\u{1}"]);
    let pair = (key.prop_map(str::to_owned), any_value());
    let row = prop::collection::vec(pair, 0..5).prop_map(|pairs| pairs.into_iter().collect());
    prop::collection::vec(row, 0..6)
}

/// Whether a conformed value still says what the raw one said.
fn same(raw: &Value, whole: &Value) -> bool {
    match (raw, whole) {
        (Value::String(_), _) | (Value::Null, _) => raw == whole,
        (_, Value::String(text)) => serde_json::from_str::<Value>(text).unwrap() == *raw,
        (Value::Number(a), Value::Number(b)) => {
            a == b
                || (!a.is_f64()
                    && a.as_f64() == b.as_f64()
                    && a.as_i64().unwrap().unsigned_abs() <= EXACT)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            b.iter()
                .all(|(key, b)| same(a.get(key).unwrap_or(&Value::Null), b))
                && a.keys().all(|key| b.contains_key(key))
        }
        _ => raw == whole,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn neither_order_nor_shares_change_the_schema(rows in any_rows().prop_shuffle(), cut in 0usize..6) {
        let whole = infer(&rows);
        let turned: Vec<_> = rows.iter().rev().cloned().collect();
        prop_assert_eq!(&infer(&turned), &whole);
        let cut = cut.min(rows.len());
        let mut merged = infer(&rows[cut..]);
        merged.merge(&infer(&rows[..cut]));
        prop_assert_eq!(&merged, &whole);
        prop_assert_eq!(merged.schema(), whole.schema());
    }

    #[test]
    fn the_inferred_schema_loses_nothing(rows in any_rows()) {
        let inference = infer(&rows);
        let schema = inference.schema();
        let mut names: Vec<_> = schema.0.iter().map(|field| &field.name).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), schema.0.len());
        for raw in rows {
            let mut lost = 0;
            let whole = schema.conform_noting(raw.clone(), &mut |_, misfit| lost += u32::from(misfit != Misfit::AsJson));
            prop_assert_eq!(lost, 0);
            prop_assert_eq!(whole.len(), schema.0.len());
            prop_assert_eq!(schema.fits(&whole), Ok(()));
            let rest = schema.0.last().and_then(|last| whole[&last.name].as_str());
            for (key, value) in &raw {
                let said = whole.get(key).is_some_and(|whole| same(value, whole));
                let rest = || serde_json::from_str::<Value>(rest.unwrap()).unwrap();
                prop_assert!(said || rest()[key] == *value, "{} of {:?} in {:?}", key, raw, whole);
            }
            // Once is enough.
            prop_assert_eq!(schema.conform(whole.clone()), whole);
        }
    }
}
