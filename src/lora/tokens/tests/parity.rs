//! The truths of the parity fixtures about tokenizers and chats.

use super::*;

fn models() -> Vec<(PathBuf, Value)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/parity");
    let names = ["llama-gqa", "qwen2-tied", "mistral"].map(|name| root.join(name));
    let found = names.into_iter().filter_map(|dir| {
        let expected = fs::read_to_string(dir.join("expected.json")).ok()?;
        Some((dir.join("model"), serde_json::from_str(&expected).unwrap()))
    });
    found.collect()
}

fn numbers(value: &Value) -> Vec<i64> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn texts_and_chats_are_those_of_transformers() {
    let models = models();
    if models.is_empty() {
        eprintln!(
            "skipped texts_and_chats_are_those_of_transformers: there are no parity fixtures beside the checkout"
        );
        return;
    }
    for (dir, expected) in models {
        let tokens = Tokens::open(&dir, 512).unwrap();
        let ids = |text: &Value, special| {
            let ids = tokens.encode(text.as_str().unwrap(), special).unwrap();
            ids.into_iter().map(i64::from).collect::<Vec<_>>()
        };
        for case in expected["tokenizer"].as_array().unwrap() {
            assert_eq!(ids(&case["text"], false), numbers(&case["ids"]), "{case}");
            assert_eq!(
                ids(&case["text"], true),
                numbers(&case["ids_with_special"]),
                "{case}"
            );
        }
        for case in expected["chat"].as_array().unwrap() {
            let messages = crate::chat::messages("messages", &case["messages"]).unwrap();
            let template = tokens.template.as_ref().unwrap();
            assert_eq!(case["text"], template.render(&messages, false).unwrap());
            assert_eq!(
                case["with_generation_prompt"],
                template.render(&messages, true).unwrap()
            );
            let example = tokens.chat(&messages, 0).unwrap();
            let input: Vec<i64> = example.ids.iter().map(|id| i64::from(*id)).collect();
            let masked = input.iter().zip(&example.learned);
            let labels: Vec<i64> = masked
                .map(|(id, learned)| if *learned { *id } else { -100 })
                .collect();
            assert_eq!(
                (input, labels),
                (numbers(&case["input_ids"]), numbers(&case["labels"])),
                "{case}"
            );
        }
    }
}
