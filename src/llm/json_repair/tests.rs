//! What models write, and what is made of it.

use super::*;
use proptest::prelude::*;
use serde_json::json;

#[track_caller]
fn mended(text: &str, value: Value, repairs: &[Repair]) {
    let got = repair(text).unwrap_or_else(|why| panic!("{why}: {text}"));
    assert_eq!((got.value, &got.repairs[..]), (value, repairs), "{text}");
}

#[test]
fn each_kind_of_damage_is_mended_and_named() {
    use Repair::*;
    mended("{\"a\": 1}", json!({"a": 1}), &[]);
    mended(" \"text\" ", json!("text"), &[]);
    mended(
        "```json\n{\"a\": [1]}\n```",
        json!({"a": [1]}),
        &[CodeFence],
    );
    mended(
        "Sure!\n```\n{'a': 1,}\n```\nDone.",
        json!({"a": 1}),
        &[CodeFence, ProseAround, OtherQuotes, TrailingComma],
    );
    mended(
        "Here it is: {\"a\": 1} and that is all",
        json!({"a": 1}),
        &[ProseAround],
    );
    mended(
        "{a: 1, b_c: \"x\"}",
        json!({"a": 1, "b_c": "x"}),
        &[UnquotedKey],
    );
    mended(
        "{\"a\": True, \"b\": None, \"c\": NaN}",
        json!({"a": true, "b": null, "c": null}),
        &[PythonLiteral, NoValue],
    );
    mended(
        "{\"a\": [1, {\"b\": \"x",
        json!({"a": [1, {"b": "x"}]}),
        &[MissingCloser],
    );
    mended("{\"a\": \"x\ny\"}", json!({"a": "x\ny"}), &[RawNewline]);
    mended(
        "{\"a\": 1 // one\n, /* two */ \"b\": 2 # three\n}",
        json!({"a": 1, "b": 2}),
        &[Comment],
    );
    mended(
        "{\"a\": 1\n \"b\": [1 ,, 2]}",
        json!({"a": 1, "b": [1, 2]}),
        &[MissingComma, TrailingComma],
    );
    mended(
        "{\"a\": \"grep \\d \\$x\"}",
        json!({"a": "grep \\d \\$x"}),
        &[BadEscape],
    );
    mended(
        "{\"a\": \"say \"hi\" twice\"}",
        json!({"a": "say \"hi\" twice"}),
        &[InnerQuote],
    );
    mended(
        "{\"mem\": 8.GB, \"n\": +1, \"x\": .5, \"k\": 1_000}",
        json!({"mem": "8.GB", "n": 1, "x": 0.5, "k": 1000}),
        &[UnquotedValue, Number],
    );
    mended("{\"a\": [1, 2}", json!({"a": [1, 2]}), &[MissingCloser]);
    mended("{\"a\": 1]", json!({"a": 1}), &[WrongCloser]);
    mended("{“a”: “x”}", json!({"a": "x"}), &[OtherQuotes]);
    mended(
        "{'it': 'it's \\'so\\''}",
        json!({"it": "it's 'so'"}),
        &[OtherQuotes, InnerQuote, BadEscape],
    );
    mended(
        "{\"a\": \"\\ud83d\\ude00\\u00e9\",}",
        json!({"a": "😀é"}),
        &[TrailingComma],
    );
    mended("{\"a\": tru", json!({"a": true}), &[MissingCloser]);
    mended("{\"a\": 1, \"b\":", json!({"a": 1}), &[MissingCloser]);
    mended(
        "```json\n{\"a\": [1, 2\n```",
        json!({"a": [1, 2]}),
        &[CodeFence, MissingCloser],
    );
}

#[test]
fn the_value_is_found_among_other_braces() {
    let code = "process X { script: foo }\nworkflow { x -> y }\n";
    mended(
        &format!("{code}{{\"ok\": true}}"),
        json!({"ok": true}),
        &[Repair::ProseAround],
    );
    mended(
        "See [1]. {\"steps\": [\"a\", \"b\"]}",
        json!({"steps": ["a", "b"]}),
        &[Repair::ProseAround],
    );
}

#[test]
fn what_is_no_json_is_an_error() {
    for text in [
        "",
        "no",
        "{",
        "process X { y }",
        "{{{{",
        "[\"a\": 1}",
        "```\n```",
        "{,,",
    ] {
        if let Ok(got) = repair(text) {
            // An opener alone is an empty value that was not ended.
            assert!(
                got.value == json!({}) || got.value.is_array(),
                "{text}: {got:?}"
            );
        }
    }
    assert!(repair("no").is_err() && repair("process X { y }").is_err());
    assert!(
        repair(&"[".repeat(100_000)).is_err(),
        "deeper than the bound"
    );
}

#[test]
fn hostile_text_costs_no_more_than_its_length() {
    // Each of these would be quadratic, were nothing counted: 2 MB would take hours.
    for piece in [
        "{\"", "{a:", "[\"x\" ", "[[{", "{\"a\":[", "\" ", "/*", "{/*", "[#", "[//", "{a:\"", "\\",
        "[1,", "```{",
    ] {
        let _ = repair(&piece.repeat(2_000_000 / piece.len()));
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~é日\n\t\"'\\\\]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z_ \"]{0,6}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_is_returned_as_it_is(value in value(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert_eq!(repair(&text).unwrap(), Repaired { value: value.clone(), repairs: vec![] });
        let fenced = format!("Here:\n```json\n{text}\n```\n");
        if !text.contains("```") {
            prop_assert_eq!(repair(&fenced).unwrap().value, value);
        }
    }

    #[test]
    fn the_forgiving_parser_reads_json_as_the_strict_one(value in value()) {
        let wrapped = serde_json::to_string(&serde_json::json!([value])).unwrap();
        let mut parser = Parser::new(&wrapped, 0, usize::MAX);
        prop_assert_eq!(parser.top(), Some(serde_json::json!([value])));
        prop_assert_eq!(parser.at(), wrapped.len());
        prop_assert!(parser.into_repairs().is_empty());
    }

    #[test]
    fn mutilated_json_never_panics(value in value(), cuts in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}:,\"'`/*#\\\\u\n é]{0,3}"), 0..6)) {
        let mut text: Vec<char> = serde_json::to_string(&value).unwrap().chars().collect();
        for (place, piece) in cuts {
            let at = place.index(text.len() + 1);
            let end = (at + piece.len() % 3).min(text.len());
            text.splice(at..end, piece.chars());
        }
        let text: String = text.into_iter().collect();
        let _ = repair(&text);
    }

    #[test]
    fn a_prefix_of_an_object_is_mended(value in value(), at: prop::sample::Index) {
        let text = serde_json::to_string(&serde_json::json!({"first": 1, "then": value})).unwrap();
        let mut cut = "{\"first\":1,".len() + at.index(text.len() - 11);
        while !text.is_char_boundary(cut) { cut += 1; }
        let got = repair(&text[..cut]).unwrap();
        prop_assert_eq!(&got.value["first"], &serde_json::json!(1));
    }
}
