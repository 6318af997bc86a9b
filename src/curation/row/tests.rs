//! What is read of a row, and what a foreign one becomes.

use super::{super::filters, *};
use crate::curation::{
    format::{Format, render},
    schema::{self, Inference, Schema, Type},
};
use serde_json::json;
use std::collections::BTreeSet;

const BAR: Bar = Bar {
    min_quality: 0.7,
    min_words: 3,
};

fn read(value: Value) -> Seen {
    Seen::read(&value, BAR).unwrap()
}

#[test]
fn what_is_no_row_is_said_by_its_reason() {
    assert_eq!(Seen::read(&json!([1]), BAR), Err(Reason::InvalidJson));
    assert_eq!(Seen::read(&json!("x"), BAR), Err(Reason::InvalidJson));
}

#[test]
fn scores_rule_and_without_them_acceptance() {
    let refused = |value: Value| read(value).refused;
    let text = "align the reads of a human sample";
    let row = |more: Value| {
        let mut row = json!({ "id": "a", "text": text });
        row.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        row
    };
    assert_eq!(refused(row(json!({ "quality_score": 0.7 }))), None);
    assert_eq!(
        refused(row(json!({ "quality_score": 0.69, "accepted": true }))),
        Some(Reason::BelowMinQuality)
    );
    assert_eq!(
        refused(row(json!({ "accepted": false }))),
        Some(Reason::NotAccepted)
    );
    // A quality that is none says nothing.
    assert_eq!(refused(row(json!({ "quality_score": 7 }))), None);
    assert_eq!(
        refused(json!({ "id": "a", "text": "hi" })),
        Some(Reason::Trivial)
    );
    assert_eq!(refused(json!({ "id": "a" })), Some(Reason::Incomplete));
}

#[test]
fn structure_is_template_and_slots_in_any_order_of_keys() {
    let one: Value =
        serde_json::from_str(r#"{"id":1,"text":"a b c d","template":"t","slots":{"a":1,"b":2}}"#)
            .unwrap();
    let two: Value = serde_json::from_str(
        r#"{"slots":{"b":2,"a":1},"template":"t","text":"other words here","id":2}"#,
    )
    .unwrap();
    let three = json!({ "id": 3, "text": "a b c d", "template": "u", "slots": { "a": 1, "b": 2 } });
    let (one, two, three) = (read(one), read(two), read(three));
    assert_eq!(one.structure, two.structure);
    assert_ne!(one.structure, three.structure);
    for slots in [json!({}), json!([]), Value::Null] {
        let row = json!({ "id": 1, "text": "a b c d", "template": "t", "slots": slots });
        assert_eq!(read(row.clone()).structure, None, "{row}");
    }
    assert_eq!(
        read(json!({ "id": 1, "text": "a b c d", "template": "t" })).structure,
        None
    );
}

#[test]
fn chats_of_all_shapes_say_what_is_asked_and_become_messages() {
    let chat = json!({ "id": 1, "messages": [
        { "role": "system", "content": "be brief" }, { "role": "user", "content": "align my reads" },
        { "role": "assistant", "content": "bwa mem" } ] });
    let shared = json!({ "id": 1, "conversations": [
        { "from": "human", "value": "align my reads" }, { "from": "gpt", "value": "bwa mem" } ] });
    for row in [&chat, &shared] {
        assert_eq!(said(row.as_object().unwrap()).unwrap(), "align my reads");
    }
    let messages = |row: Value| sample(row.as_object().unwrap().clone())["messages"].clone();
    assert_eq!(messages(chat.clone()), chat["messages"]);
    let asked = json!([{ "role": "user", "content": "align my reads" }, { "role": "assistant", "content": "bwa mem" }]);
    assert_eq!(messages(shared), asked);
    assert_eq!(
        messages(json!({ "prompt": "align my reads", "completion": "bwa mem" })),
        asked
    );
    assert_eq!(
        messages(json!({ "instruction": "align", "input": "my reads", "output": "bwa mem" }))[0]["content"],
        "align\nmy reads"
    );
}

#[test]
fn times_of_our_own_samples_are_not_their_content() {
    let row = |time: &str| json!({ "id": "t", "trajectory_id": "t", "steps": [], "outcome_reason": "", "created_at": time });
    assert_eq!(read(row("1")).content, read(row("2")).content);
    let foreign = |time: &str| json!({ "id": "t", "text": "a b c d e", "created_at": time });
    assert_ne!(read(foreign("1")).content, read(foreign("2")).content);
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(row) = value else {
        panic!("a row is an object")
    };
    row
}

fn turns(turns: &[(&str, &str)]) -> Value {
    let turn = |(role, content): &(&str, &str)| json!({ "role": role, "content": content });
    turns.iter().map(turn).collect()
}

fn asked_and_told() -> Value {
    turns(&[("user", "align my reads"), ("assistant", "bwa mem")])
}

/// The rows as a data set has them.
fn samples(rows: &[Value]) -> (Schema, Vec<Map<String, Value>>) {
    let rows: Vec<_> = rows.iter().map(|row| sample(object(row.clone()))).collect();
    let mut inference = Inference::default();
    rows.iter().for_each(|row| inference.add(row));
    let schema = super::schema(inference.schema());
    let note = &mut |key: &str, misfit| panic!("{key}: {misfit}");
    let rows = rows.into_iter().map(|row| conform(&schema, row, note));
    let rows = rows.collect();
    (schema, rows)
}

fn column<'a>(schema: &'a Schema, name: &str) -> &'a Type {
    &schema.0.iter().find(|field| field.name == name).unwrap().of
}

#[test]
fn rows_without_an_id_have_one_of_their_content() {
    let row = |more: Value| {
        let mut row = object(json!({ "text": "align the reads of a mouse" }));
        row.extend(object(more));
        Value::Object(row)
    };
    let id = |more: Value| {
        let seen = read(row(more.clone()));
        let made = sample(object(row(more)));
        if !seen.given_id {
            assert_eq!(made["id"], seen.id.as_str(), "the data set's row has it");
        }
        assert_eq!(read(Value::Object(made)).id, seen.id, "and keeps it");
        (seen.id, seen.given_id)
    };
    assert_eq!(id(json!({ "id": 7 })), ("7".into(), true));
    assert_eq!(id(json!({ "id": "7" })), ("7".into(), true));
    let (made, given) = id(json!({}));
    let digits = made.strip_prefix("h-").unwrap();
    assert!(digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert!(!given);
    let mut all = BTreeSet::from([made]);
    for odd in [
        json!(null),
        json!(""),
        json!({ "$oid": "5" }),
        json!([1]),
        json!(true),
    ] {
        let (made, given) = id(json!({ "id": odd }));
        assert!(!given && all.insert(made), "{odd}");
    }
    let kept = sample(object(row(json!({ "id": { "$oid": "5" } }))));
    assert_eq!(kept["id_given"], "{\"$oid\":\"5\"}");
}

#[test]
fn one_odd_row_leaves_the_messages_of_all_a_chat() {
    let plain = json!({ "id": "a", "messages": asked_and_told() });
    let odd = [
        json!([{ "role": "user", "content": "align my reads", "name": "mia" },
            { "role": "assistant", "content": "bwa mem" }]),
        json!([{ "role": "user", "content": "align my reads" },
            { "role": "assistant", "content": "bwa mem", "weight": 0 }]),
        json!([{ "role": "user", "content": [{ "type": "text", "text": "align my reads" },
            { "type": "image_url", "image_url": { "url": "x" } }] },
            { "role": "assistant", "content": "bwa mem" }]),
    ];
    for messages in odd {
        let row = json!({ "id": "b", "messages": messages });
        let (schema, rows) = samples(&[plain.clone(), row]);
        assert_eq!(column(&schema, "messages"), &schema::chat());
        for row in &rows {
            assert_eq!(row["messages"], asked_and_told());
        }
        assert_eq!(rows[0]["messages_given"], Value::Null);
        assert_eq!(rows[1]["messages_given"], messages.to_string());
    }
}

#[test]
fn what_is_said_without_loss_is_not_kept_twice() {
    for messages in [
        asked_and_told(),
        json!([{ "role": "user", "content": ["align", { "type": "text", "text": "my reads" }], "name": null },
            { "role": "assistant", "content": "bwa mem", "tool_calls": [] }]),
        json!(asked_and_told().to_string()),
    ] {
        let row = sample(object(json!({ "id": 1, "messages": messages })));
        assert_eq!(row.len(), 2, "{row:?}");
        assert_eq!(row["messages"][1], asked_and_told()[1]);
    }
    let parts = sample(object(
        json!({ "messages": [{ "role": "user", "content": ["a", { "text": "b" }] }] }),
    ));
    assert_eq!(parts["messages"], turns(&[("user", "a\nb")]));
}

#[test]
fn calls_of_tools_are_said_as_json() {
    let calls = json!([{ "id": "1", "function": { "name": "ls", "arguments": "{}" } }]);
    for content in [Value::Null, json!("")] {
        let row = json!({ "messages": [{ "role": "user", "content": "list it" },
            { "role": "assistant", "content": content, "tool_calls": calls },
            { "role": "tool", "content": "a b", "tool_call_id": "1" }] });
        let row = sample(object(row));
        assert_eq!(row["messages"][1]["content"], calls.to_string());
        assert_eq!(
            row["messages"][2],
            json!({ "role": "tool", "content": "a b" })
        );
        assert!(
            row["messages_given"]
                .as_str()
                .unwrap()
                .contains("tool_call_id")
        );
    }
}

#[test]
fn turns_that_cannot_be_read_make_a_row_incomplete() {
    for messages in [
        json!(["align my reads", "bwa mem"]),
        json!([{ "content": "align my reads" }]),
        json!([{ "role": 1, "content": "align my reads" }]),
        json!([{ "role": "user", "content": "align my reads" }, null]),
    ] {
        for name in ["messages", "conversations"] {
            let seen = read(json!({ "id": 1, name: messages }));
            assert_eq!(
                (seen.refused, seen.missing),
                (Some(Reason::Incomplete), Some(name))
            );
        }
    }
    // Another thing of that name.
    let row =
        json!({ "id": 1, "messages": 12, "instruction": "align my reads", "output": "bwa mem" });
    assert_eq!(read(row.clone()).refused, None);
    let row = sample(object(row));
    assert_eq!(
        (&row["messages"], &row["messages_given"]),
        (&asked_and_told(), &json!("12"))
    );
}

#[test]
fn what_is_made_once_stays() {
    for row in [
        json!({ "messages": [{ "role": "user", "content": "a", "name": "m" }, { "role": "assistant", "content": "b" }] }),
        json!({ "instruction": "a", "output": "b" }),
        json!({ "conversations": [{ "from": "human", "value": "a", "weight": 1 }, { "from": "gpt", "value": "b" }] }),
        json!({ "system": "s", "question": "a", "chosen": "b", "rejected": "c" }),
        json!({ "prompt": "a", "chosen": ["b"], "rejected": "c" }),
    ] {
        let once = sample(object(row));
        assert_eq!(sample(once.clone()), once);
    }
}

#[test]
fn preferences_of_all_shapes_are_one() {
    let all = turns(&[("user", "align my reads"), ("assistant", "bwa mem")]);
    let other = turns(&[("user", "align my reads"), ("assistant", "cat")]);
    for row in [
        json!({ "prompt": "align my reads", "chosen": "bwa mem", "rejected": "cat" }),
        json!({ "question": "align my reads", "chosen": "bwa mem", "rejected": "cat" }),
        json!({ "instruction": "align", "input": "my reads", "chosen": "bwa mem", "rejected": "cat" }),
        json!({ "prompt": [all[0]], "chosen": [all[1]], "rejected": [other[1]] }),
        json!({ "prompt": "align my reads", "chosen": all[1], "rejected": other[1] }),
        json!({ "chosen": all, "rejected": other }),
        json!({ "prompt": "align my reads ", "chosen": all, "rejected": other, "messages": all }),
        json!({ "messages": [all[0]], "chosen": "bwa mem", "rejected": "cat" }),
        json!({ "conversations": [{ "from": "human", "value": "align my reads" }],
            "chosen": { "from": "gpt", "value": "bwa mem" }, "rejected": { "from": "gpt", "value": "cat" } }),
        json!({ "chosen": "\n\nHuman: align my reads\n\nAssistant: bwa mem",
            "rejected": "\n\nHuman: align my reads\n\nAssistant: cat" }),
    ] {
        let seen = read(row.clone());
        assert_eq!(seen.refused, None, "{row}");
        assert!(seen.text.unwrap().starts_with("align"), "{row}");
        let made = sample(object(row.clone()));
        assert!(
            !made.contains_key("messages") && !made.contains_key("messages_given"),
            "{row}"
        );
        let (schema, rows) = samples(&[row.clone(), json!({ "text": "a row of another kind" })]);
        for name in ["prompt", "chosen", "rejected", "messages"] {
            assert_eq!(column(&schema, name), &schema::chat(), "{name} of {row}");
        }
        let said = render(Format::Dpo, &rows[0], None).unwrap();
        assert_eq!(said["prompt"][0]["role"], "user");
        let words = said["prompt"][0]["content"]
            .as_str()
            .unwrap()
            .split_whitespace();
        assert_eq!(words.collect::<Vec<_>>(), ["align", "my", "reads"], "{row}");
        assert_eq!(said["chosen"], json!([all[1]]), "{row}");
        assert_eq!(said["rejected"], json!([other[1]]), "{row}");
        assert!(render(Format::Dpo, &rows[1], None).is_err());
    }
}

#[test]
fn a_prompt_goes_on_to_where_the_answers_part() {
    let made = |row: Value| sample(object(row));
    let talk = |last: &str| {
        turns(&[
            ("system", "s"),
            ("user", "a"),
            ("assistant", "b"),
            ("user", "c"),
            ("assistant", last),
        ])
    };
    let row = made(json!({ "chosen": talk("d"), "rejected": talk("e") }));
    assert_eq!(row["prompt"].as_array().unwrap().len(), 4);
    assert_eq!(said(&row).unwrap(), "a\nc");
    // What both answers begin with is of the answer.
    let answer = |last: &str| turns(&[("user", "a"), ("assistant", "same"), ("assistant", last)]);
    let row = made(json!({ "chosen": answer("d"), "rejected": answer("e") }));
    assert_eq!(row["prompt"], turns(&[("user", "a")]));
    // One that is given is gone on from.
    let on = |last: &str| turns(&[("assistant", "b"), ("user", "c"), ("assistant", last)]);
    let row = made(json!({ "prompt": "a", "chosen": on("d"), "rejected": on("e") }));
    assert_eq!(
        row["prompt"],
        turns(&[("user", "a"), ("assistant", "b"), ("user", "c")])
    );
    // One that the answers repeat is said once.
    for prompt in ["a", "c"] {
        let row = made(json!({ "prompt": prompt, "chosen": talk("d"), "rejected": talk("e") }));
        assert_eq!(row["prompt"].as_array().unwrap().len(), 4, "{row:?}");
    }
    let row = made(json!({ "system": "s", "prompt": "a", "chosen": "d", "rejected": "e" }));
    assert_eq!(row["prompt"], turns(&[("system", "s"), ("user", "a")]));
}

#[test]
fn preferences_lose_nothing_and_need_all_three() {
    let odd = json!([{ "role": "assistant", "content": "b", "weight": 2 }]);
    let row = sample(object(
        json!({ "prompt": "a", "chosen": odd, "rejected": "c", "messages": [{ "role": "user", "content": "else" }] }),
    ));
    assert_eq!(row["chosen_given"], odd.to_string());
    assert!(row["messages_given"].as_str().unwrap().contains("else"));
    let lacks = |row: Value| filters::incomplete(&object(row));
    assert_eq!(
        lacks(json!({ "chosen": "b", "rejected": "c" })),
        Some("prompt")
    );
    assert_eq!(
        lacks(json!({ "prompt": "a", "chosen": "b", "rejected": " " })),
        Some("rejected")
    );
    // One that cannot be read does not make the column a text.
    let numbers = json!({ "text": "which is better?", "chosen": 1, "rejected": 2 });
    let row = json!({ "prompt": "a", "chosen": "b", "rejected": "c" });
    let (schema, rows) = samples(&[numbers, json!({ "prompt": "q", "completion": "d" }), row]);
    assert_eq!(column(&schema, "chosen"), &schema::chat());
    assert_eq!(
        rows[1]["prompt"],
        turns(&[("user", "q")]),
        "a prompt among those of preferences"
    );
    assert_eq!(
        rows[1]["messages"],
        turns(&[("user", "q"), ("assistant", "d")])
    );
    let (schema, rows) = samples(&[json!({ "prompt": "q", "completion": "d" })]);
    assert_eq!(
        column(&schema, "prompt"),
        &Type::Text,
        "alone it stays what it is"
    );
    assert_eq!(rows[0]["prompt"], "q");
}

#[test]
fn only_our_own_have_parents() {
    let row = |parent: &str| json!({ "id": "t", "trajectory_id": "t", "steps": [], "outcome_reason": "", "parent": parent });
    assert_eq!(read(row("p")).source, id_key("p"));
    let foreign = json!({ "id": "t", "text": "a b c d e", "parent": "p" });
    assert_eq!(read(foreign).source, id_key("t"));
}
