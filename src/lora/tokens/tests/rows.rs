//! Rows of every format, files of them, and what is said of those that nothing can be learned from.

use super::*;
use crate::training::{settings::Settings, words::Loss};

const CHATML: &str = "<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\n«4<|im_end|>»\n";

fn settings(loss: Loss) -> Settings {
    Settings {
        loss,
        ..Settings::default()
    }
}

fn one(tokens: &Tokens, value: &Value, loss: Loss) -> Result<Vec<String>, String> {
    let row = row::row(tokens, value.as_object().unwrap(), loss)?;
    Ok(row
        .documents()
        .map(|document| shown(tokens, document))
        .collect())
}

fn user(said: &str) -> Value {
    json!({ "role": "user", "content": said })
}

fn assistant(said: &str) -> Value {
    json!({ "role": "assistant", "content": said })
}

#[test]
fn every_format_is_the_same_chat() {
    let tokens = Model::chatml().open();
    let rendered = CHATML.replace(['«', '»'], "");
    let same = [
        json!({ "id": "r", "messages": [user("two?"), assistant("4")], "prompt": null, "text": null }),
        json!({ "prompt": [user("two?")], "completion": [assistant("4")] }),
        json!({ "prompt": [user("two?")], "completion": "4" }),
        json!({ "conversations": [{ "from": "human", "value": "two?" }, { "from": "gpt", "value": "4" }] }),
        json!({ "conversations": [user("two?"), assistant("4")] }),
        json!({ "instruction": "two?", "input": "", "output": "4" }),
        json!({ "text": rendered }),
    ];
    for row in same {
        assert_eq!(one(&tokens, &row, Loss::Sft).unwrap(), [CHATML], "{row}");
    }
    let alpaca = json!({ "instruction": "add", "input": "two?", "output": "4" });
    let expected = format!("<|im_start|>system\nadd<|im_end|>\n{CHATML}");
    assert_eq!(one(&tokens, &alpaca, Loss::Sft).unwrap(), [expected]);
    let asked = json!({ "prompt": [user("two?"), assistant("what?"), user("plus")], "completion": [assistant("4")] });
    let shown = one(&tokens, &asked, Loss::Sft).unwrap().concat();
    assert!(
        shown.contains("\nwhat?<|im_end|>\n") && shown.ends_with("«4<|im_end|>»\n"),
        "{shown}"
    );
}

#[test]
fn texts_are_continued_as_they_stand() {
    let model = Model::new(None, &["<s>", "</s>"], Some("<s>"), "</s>");
    model.begins();
    let tokens = model.open();
    let rows = [
        (
            json!({ "prompt": "Q: two?", "completion": " yes" }),
            "<s>Q: two?« yes</s>»",
        ),
        (
            json!({ "prompt": "Q", "completion": "A</s>" }),
            "<s>Q«A</s>»",
        ),
        (
            json!({ "instruction": "add", "input": "two", "output": "4" }),
            "<s>add\n\ntwo\n\n«4</s>»",
        ),
        (json!({ "text": "any text" }), "<s>«any text</s>»"),
    ];
    for (row, expected) in rows {
        assert_eq!(one(&tokens, &row, Loss::Sft).unwrap(), [expected]);
    }
    let empty = json!({ "prompt": "Q", "completion": "\n" });
    assert!(
        one(&tokens, &empty, Loss::Sft)
            .unwrap_err()
            .contains("empty answer")
    );
}

#[test]
fn rendered_texts_tell_by_their_marks_who_speaks() {
    let block = Model::chatml().open();
    let two = "<|im_start|>system\ns<|im_end|>\n<|im_start|>assistant\n«a<|im_end|>»\n<|im_start|>user\nq<|im_end|>\n\
        <|im_start|>assistant\n«b\n<|im_end|>»\n";
    let text = |text: &str| json!({ "text": text.replace(['«', '»'], "") });
    assert_eq!(one(&block, &text(two), Loss::Sft).unwrap(), [two]);
    // Formats that are not the model's own, where it has their tokens.
    let llama = Model::new(
        Some(styles::CHATML),
        styles::LLAMA3_TOKENS,
        None,
        "<|im_end|>",
    )
    .open();
    let headers = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|>\
        <|start_header_id|>assistant<|end_header_id|>\n\n«a<|eot_id|>»";
    assert_eq!(one(&llama, &text(headers), Loss::Sft).unwrap(), [headers]);
    let inst = Model::new(None, &["<s>", "</s>"], Some("<s>"), "</s>").open();
    let said = "<s>[INST] q [/INST]« a </s>»<s>[INST] r [/INST]« b</s>»";
    assert_eq!(one(&inst, &text(said), Loss::Sft).unwrap(), [said]);
    // The model's own template, in a style that nobody else has.
    let own = "{% for m in messages %}{{ '[' + m.role + ']' + m.content + '<|im_end|>' }}{% endfor %}\
        {% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}";
    let own = Model::new(Some(own), &[], None, "<|im_end|>").open();
    let said = "[user]q<|im_end|>[assistant]«a<|im_end|>»";
    assert_eq!(one(&own, &text(said), Loss::Sft).unwrap(), [said]);
    let wrong = [
        (
            headers,
            "<|eot_id|> ends a turn and is no token of this tokenizer",
        ),
        ("<|im_start|>user\nq<|im_end|>\n", "no assistant speaks"),
        ("<|im_start|>assistant\nq", "has no end of its turn"),
    ];
    for (said, expected) in wrong {
        let error = one(&block, &text(said), Loss::Sft).unwrap_err();
        assert!(error.contains(expected), "{expected:?} is not in {error}");
    }
}

#[test]
fn preferences_are_learned_by_their_answers() {
    let tokens = Model::chatml().open();
    let both = [CHATML.to_owned(), CHATML.replace('4', "5")];
    let same = [
        json!({ "prompt": [user("two?")], "chosen": [assistant("4")], "rejected": [assistant("5")], "messages": null }),
        json!({ "prompt": [user("two?")], "chosen": assistant("4"), "rejected": assistant("5") }),
        json!({ "prompt": [user("two?")], "chosen": "4", "rejected": "5" }),
        json!({ "chosen": [user("two?"), assistant("4")], "rejected": [user("two?"), assistant("5")] }),
        json!({ "prompt": "two?", "chosen": [user("two?"), assistant("4")], "rejected": [user("two?"), assistant("5")] }),
    ];
    for row in same {
        assert_eq!(one(&tokens, &row, Loss::Dpo).unwrap(), both, "{row}");
        assert!(
            one(&tokens, &row, Loss::Sft)
                .unwrap_err()
                .contains("it is a preference")
        );
    }
    let texts = json!({ "prompt": "two", "chosen": " 4", "rejected": " 5" });
    assert_eq!(
        one(&tokens, &texts, Loss::Dpo).unwrap(),
        ["two« 4<|im_end|>»", "two« 5<|im_end|>»"]
    );
    let said = json!([user("two?"), assistant("what?"), user("plus")]);
    let longer =
        json!({ "prompt": said, "chosen": [assistant("4")], "rejected": [assistant("5")] });
    let shown = one(&tokens, &longer, Loss::Dpo).unwrap();
    assert!(
        shown.iter().all(|shown| shown.matches('«').count() == 1),
        "{shown:?}"
    );
    let chat = json!({ "messages": [user("a"), assistant("b")] });
    assert!(
        one(&tokens, &chat, Loss::Dpo)
            .unwrap_err()
            .contains("it is no preference")
    );
    let equal = json!({ "prompt": "a", "chosen": "b", "rejected": "b" });
    assert!(
        one(&tokens, &equal, Loss::Dpo)
            .unwrap_err()
            .contains("the same")
    );
    let ids = json!({ "chosen": { "input_ids": [1, 2], "labels": [-100, 2] }, "rejected": { "input_ids": [1, 3], "labels": [-100, 3] } });
    assert_eq!(one(&tokens, &ids, Loss::Dpo).unwrap().len(), 2);
}

#[test]
fn tokens_are_taken_as_they_are() {
    let tokens = Model::chatml().open();
    let read = |value: Value| row::row(&tokens, value.as_object().unwrap(), Loss::Sft);
    let example = |ids: &[u32], learned: &[bool]| {
        let (ids, learned) = (ids.to_vec(), learned.to_vec());
        Ok(Row::Sft(Example { ids, learned }))
    };
    let labelled = json!({ "input_ids": [5, 6, 7], "labels": [-100, 6, -100] });
    assert_eq!(read(labelled), example(&[5, 6, 7], &[false, true, false]));
    assert_eq!(
        read(json!({ "input_ids": [5, 399] })),
        example(&[5, 399], &[true, true])
    );
    let padded =
        json!({ "input_ids": [5, 6, 0], "labels": [5, 6, -100], "attention_mask": [1, 1, 0] });
    assert_eq!(read(padded), example(&[5, 6], &[true, true]));
    let wrong = [
        (json!({ "input_ids": [5, 400] }), "which are 0 to 399"),
        (json!({ "input_ids": [5, -1] }), "none of the model's"),
        (json!({ "input_ids": [5, 1.5] }), "no list of integers"),
        (
            json!({ "input_ids": [5, 6], "labels": [5] }),
            "differ in length",
        ),
        (
            json!({ "input_ids": [5, 6], "labels": [6, -100] }),
            "not to be shifted",
        ),
        (
            json!({ "input_ids": [5, 6], "labels": [5, -100] }),
            "no token of it is learned",
        ),
        (json!({ "input_ids": [] }), "no token of it is learned"),
    ];
    for (value, expected) in wrong {
        let error = read(value).unwrap_err();
        assert!(error.contains(expected), "{expected:?} is not in {error}");
    }
}

fn files(model: &Model, contents: &[&str]) -> Vec<PathBuf> {
    let write = |(at, text): (usize, &&str)| {
        let name = format!("{at}.jsonl");
        model.write(&name, text);
        model.path(&name)
    };
    contents.iter().enumerate().map(write).collect()
}

#[test]
fn files_are_read_in_order_and_what_is_refused_is_counted() {
    let model = Model::chatml();
    let tokens = model.open();
    let first = format!(
        "{}\n\n{{\"messages\": [\n{}\n{}\n",
        json!({ "messages": [user("two?"), assistant("4")] }),
        json!({ "messages": [user("two?")] }),
        json!({ "nothing": 1 }),
    );
    let second = format!(
        "{}\n{}",
        json!({ "messages": [user("x")] }),
        json!({ "text": "last" })
    );
    let files = files(&model, &[&first, &second]);
    let read = read_rows(&files, &tokens, &settings(Loss::Sft), 512).unwrap();
    let rows: Vec<String> = read
        .rows
        .iter()
        .flat_map(Row::documents)
        .map(|row| shown(&tokens, row))
        .collect();
    assert_eq!(rows, [CHATML, "«last<|im_end|>»"]);
    assert_eq!(
        read.lengths()
            .iter()
            .map(|length| u64::from(*length))
            .sum::<u64>(),
        read.tokens()
    );
    let said: Vec<String> = read.refused.iter().map(Refused::to_string).collect();
    let (a, b) = (files[0].display(), "no token of it is learned");
    assert!(
        said[0].starts_with(&format!(
            "1 line: the line is no JSON object (first {a}:3, "
        )),
        "{said:?}"
    );
    assert_eq!(
        said[1],
        format!("2 lines: {b}: no turn is the assistant's (first {a}:4)")
    );
    assert!(
        said[2].contains("none of the keys of a format") && said[2].contains(":5)"),
        "{said:?}"
    );
    assert_eq!(
        (said.len(), read.refusals(), read.too_long, read.truncated),
        (3, 4, 0, 0)
    );
}

#[test]
fn long_rows_lose_their_ends_where_something_learned_is_left() {
    let model = Model::chatml();
    let tokens = model.open();
    let row = |length: u32, from: u32, to: u32| {
        let ids: Vec<u32> = (0..length).collect();
        let labels: Vec<i64> = ids
            .iter()
            .map(|id| {
                if (from..to).contains(id) {
                    i64::from(*id)
                } else {
                    -100
                }
            })
            .collect();
        json!({ "input_ids": ids, "labels": labels })
    };
    let ids = |length: u32, from: u32| row(length, from, length);
    // Whole; its answer cut; nothing learned before the cut; an answer that ends where the cut is.
    let text = [ids(10, 3), ids(11, 3), ids(11, 10), row(30, 9, 10)]
        .map(|row| row.to_string())
        .join("\n");
    let read = |text: &str, max_seq_length, context, loss| {
        let settings = Settings {
            max_seq_length,
            ..settings(loss)
        };
        read_rows(&files(&model, &[text]), &tokens, &settings, context)
    };
    for (max_seq_length, context) in [(10, 512), (0, 10), (512, 10)] {
        let read = read(&text, max_seq_length, context, Loss::Sft).unwrap();
        assert_eq!(
            (read.lengths(), read.truncated, read.too_long),
            (vec![10, 10], 1, 2)
        );
        assert_eq!(read.rows[1].supervised(), 1);
        assert_eq!(
            read.unended, 4,
            "none of them ends in a token that ends a turn"
        );
    }
    let pair = json!({ "chosen": ids(10, 2), "rejected": ids(11, 2) }).to_string();
    let error = read(&pair, 10, 512, Loss::Dpo).unwrap_err();
    assert!(
        error.ends_with("1 rows are longer than 10 tokens"),
        "{error}"
    );
    assert_eq!(read(&pair, 11, 512, Loss::Dpo).unwrap().lengths(), [21]);
}

#[test]
fn nothing_to_learn_from_is_said_with_its_reasons() {
    let model = Model::chatml();
    let tokens = model.open();
    let read = |contents: &[&str]| {
        let files = files(&model, contents);
        read_rows(&files, &tokens, &settings(Loss::Sft), 512).unwrap_err()
    };
    assert!(read(&["\n"]).ends_with(": there are no rows"));
    let error = read(&["{}\n{}\n", "[1]\n"]);
    assert!(
        error.contains("2 lines: it has none of the keys"),
        "{error}"
    );
    assert!(error.contains("1.jsonl:1"), "{error}");
    let absent = read_rows(
        &[model.path("absent.jsonl")],
        &tokens,
        &settings(Loss::Sft),
        512,
    );
    assert!(absent.unwrap_err().contains("absent.jsonl"));
    let many: String = (0..99)
        .map(|n| format!("{{\"conversations\": [{{\"from\": \"x{n}\", \"value\": \"\"}}]}}\n"))
        .collect();
    assert!(
        read(&[&many]).contains("60 lines: other reasons"),
        "reasons are bounded"
    );
}
