//! Texts and conversations: token ids, rendered chats, which tokens are learned. Exact.

use super::{FIXTURES, fixture::*, skipped};
use campaignd::{chat::messages, lora::tokens::Tokens};
use serde_json::Value;

/// One comparison of all fixtures; it says how much it compared, and how much there was.
pub fn compare_all(name: &str, compare: fn(&Tokens, &Value) -> (usize, usize)) {
    for fixture in FIXTURES {
        let Some(fixture) = Fixture::open(fixture) else {
            skipped(name, fixture);
            continue;
        };
        let directory = fixture.model.directory();
        let tokens = Tokens::open(directory, fixture.model.decoder.vocabulary).unwrap();
        let (compared, expected) = compare(&tokens, &fixture.expected);
        assert!(expected > 0, "{name} of {}", fixture.name);
        assert_eq!(compared, expected, "{name} of {}", fixture.name);
    }
}

/// Texts, without the tokens that belong around them and with them.
pub fn texts(tokens: &Tokens, expected: &Value) -> (usize, usize) {
    let cases = expected["tokenizer"].as_array().unwrap();
    let mut compared = 0;
    for case in cases {
        let text = case["text"].as_str().unwrap();
        for (special, key) in [(false, "ids"), (true, "ids_with_special")] {
            let found = tokens.encode(text, special).unwrap();
            assert_eq!(found, ids(&case[key]), "{key} of {text:?}");
            compared += 1;
        }
        // Not the text itself: a tokenizer may normalise it.
        let again = tokens.decode_all(&ids(&case["ids"])).unwrap();
        assert_eq!(tokens.encode(&again, false).unwrap(), ids(&case["ids"]));
    }
    (compared, 2 * cases.len())
}

/// Conversations: the text, with the beginning of an answer and without, its tokens, their labels.
pub fn chats(tokens: &Tokens, expected: &Value) -> (usize, usize) {
    let cases = expected["chat"].as_array().unwrap();
    let template = tokens.template.as_ref().unwrap();
    let mut compared = 0;
    for case in cases {
        let turns = messages("messages", &case["messages"]).unwrap();
        for (asked, key) in [(false, "text"), (true, "with_generation_prompt")] {
            let text = template.render(&turns, asked).unwrap();
            assert_eq!(text, case[key].as_str().unwrap(), "{key}");
            compared += 1;
        }
        let found = tokens.chat(&turns, 0).unwrap();
        assert_eq!(found.ids, ids(&case["input_ids"]));
        let both = found.ids.iter().zip(&found.learned);
        let labels = both.map(|(&id, &learned)| if learned { i64::from(id) } else { -100 });
        let expected: Vec<i64> = list(&case["labels"]).iter().map(|&x| x as i64).collect();
        assert_eq!(labels.collect::<Vec<_>>(), expected);
        compared += 2;
    }
    (compared, 4 * cases.len())
}
