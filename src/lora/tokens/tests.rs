//! Masks shown as text: what is learned stands between « and »; templates in the styles of those in use, written for these
//! tests.

use super::*;
use crate::chat::Message;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

mod parity;
mod rows;
mod styles;

/// A model's directory: a small tokenizer with these special tokens, and a template.
struct Model {
    dir: TempDir,
    vocabulary: usize,
}

const TEXTS: [&str; 3] = [
    "What is two plus two? It is four, and the answer is yes.",
    "user assistant system The answer is what you said: yes, yes.",
    "Which workflow should be run? The workflow that aligns the reads.",
];

impl Model {
    fn new(template: Option<&str>, specials: &[&str], bos: Option<&str>, eos: &str) -> Self {
        let made = made::make(TEXTS, 330, 512).unwrap();
        let mut tokenizer: Value = serde_json::from_str(&made.tokenizer).unwrap();
        let added = tokenizer["added_tokens"].as_array_mut().unwrap();
        let mut like = added[0].clone();
        for (at, special) in specials.iter().enumerate() {
            like["content"] = (*special).into();
            like["id"] = (made.tokens + at).into();
            added.push(like.clone());
        }
        let config = json!({ "chat_template": template, "bos_token": bos, "eos_token": eos });
        let model = Self {
            dir: tempfile::tempdir().unwrap(),
            vocabulary: 400,
        };
        model.write("tokenizer.json", &tokenizer.to_string());
        model.write("tokenizer_config.json", &config.to_string());
        model
    }

    fn chatml() -> Self {
        Self::new(Some(styles::CHATML), &[], None, "<|im_end|>")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn edit(&self, name: &str, edit: impl Fn(&mut Value)) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        let mut value = serde_json::from_str(&text).unwrap();
        edit(&mut value);
        self.write(name, &value.to_string());
    }

    fn try_open(&self) -> Result<Tokens, String> {
        Tokens::open(self.dir.path(), self.vocabulary)
    }

    fn open(&self) -> Tokens {
        self.try_open().unwrap()
    }
}

/// An example as text, what is learned between « and ».
fn shown(tokens: &Tokens, example: &Example) -> String {
    assert_eq!(example.ids.len(), example.learned.len());
    let mut text = String::new();
    let mut from = 0;
    while from < example.ids.len() {
        let learned = example.learned[from];
        let run = example.learned[from..]
            .iter()
            .take_while(|other| **other == learned);
        let to = from + run.count();
        let part = tokens.decode_all(&example.ids[from..to]).unwrap();
        text += &if learned { format!("«{part}»") } else { part };
        from = to;
    }
    text
}

fn turns(turns: &[(&str, &str)]) -> Vec<Message> {
    turns
        .iter()
        .map(|(role, content)| Message::new(*role, *content))
        .collect()
}

#[test]
fn a_model_without_a_tokenizer_is_told_which_file_it_needs() {
    let model = Model::chatml();
    fs::rename(model.path("tokenizer.json"), model.path("tokenizer.model")).unwrap();
    let error = model.try_open().unwrap_err();
    assert!(
        error.contains("has no tokenizer.json: it has tokenizer.model (sentencepiece)"),
        "{error}"
    );
    fs::remove_file(model.path("tokenizer.model")).unwrap();
    assert!(
        model
            .try_open()
            .unwrap_err()
            .ends_with("has no tokenizer.json")
    );
    model.write("tokenizer.json", "{\"version\": 1");
    assert!(
        model
            .try_open()
            .unwrap_err()
            .contains("tokenizer.json is no tokenizer")
    );
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let mut model = Model::new(None, &["<extra>"], None, "<|im_end|>");
    let last = model.open().tokenizer.token_to_id("<extra>").unwrap();
    model.vocabulary = last as usize;
    let error = model.try_open().unwrap_err();
    let expected =
        format!("\"<extra>\" as token {last}, but the model knows only tokens below {last}");
    assert!(error.contains(&expected), "{error}");
    model.vocabulary += 1;
    assert_eq!(model.open().vocabulary(), model.vocabulary);
}

#[test]
fn an_end_that_is_no_token_is_refused_and_so_is_chance() {
    let model = Model::new(None, &[], None, "<eos>");
    assert!(
        model
            .try_open()
            .unwrap_err()
            .contains("eos_token \"<eos>\"")
    );
    let model = Model::chatml();
    model.edit("tokenizer.json", |json| {
        json["model"]["dropout"] = json!(0.1)
    });
    assert!(model.try_open().unwrap_err().contains("dropout"));
    model.edit("tokenizer.json", |json| {
        json["model"]["dropout"] = json!(0.0)
    });
    model.write("tokenizer_config.json", "{");
    assert!(
        model
            .try_open()
            .unwrap_err()
            .contains("tokenizer_config.json is no JSON")
    );
}

#[test]
fn ends_are_those_of_all_files_and_of_the_template() {
    let model = Model::new(
        Some(styles::LLAMA3),
        styles::LLAMA3_TOKENS,
        Some("<|begin_of_text|>"),
        "<|endoftext|>",
    );
    let id = |tokens: &Tokens, name: &str| tokens.tokenizer.token_to_id(name).unwrap();
    let tokens = model.open();
    let (eos, eot) = (id(&tokens, "<|endoftext|>"), id(&tokens, "<|eot_id|>"));
    assert_eq!(
        (tokens.eos.as_slice(), tokens.end),
        ([eos, eot].as_slice(), Some(eos))
    );
    model.write("generation_config.json", "{\"eos_token_id\": [3, 1, 3]}");
    assert_eq!(model.open().eos, [1, 3, eos, eot]);
    model.write("generation_config.json", "{\"eos_token_id\": 5}");
    model.write("config.json", "{\"eos_token_id\": 9}");
    assert_eq!(model.open().eos, [5, eos, eot]);
    fs::remove_file(model.path("generation_config.json")).unwrap();
    assert_eq!(model.open().eos, [9, eos, eot]);
}

impl Model {
    /// Puts a post-processor in that begins texts with `<s>`, which must be the first of the model's own special tokens.
    fn begins(&self) {
        self.edit("tokenizer.json", |json| {
            let id = json["added_tokens"][3]["id"].clone();
            let (a, b) = (
                json!({ "Sequence": { "id": "A", "type_id": 0 } }),
                json!({ "Sequence": { "id": "B", "type_id": 1 } }),
            );
            json["post_processor"] = json!({
                "type": "TemplateProcessing",
                "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, a],
                "pair": [a, b],
                "special_tokens": { "<s>": { "id": "<s>", "ids": [id], "tokens": ["<s>"] } },
            });
        });
    }
}

#[test]
fn begin_and_end_are_added_as_the_post_processor_says() {
    let model = Model::new(None, &["<s>", "</s>"], Some("<s>"), "</s>");
    let text = |tokens: &Tokens| {
        let ids = tokens.encode("hi", true).unwrap();
        tokens.decode_all(&ids).unwrap()
    };
    assert_eq!(text(&model.open()), "hi");
    model.begins();
    assert_eq!(text(&model.open()), "<s>hi");
    let tokens = model.open();
    assert_eq!(tokens.encode("", true).unwrap(), [tokens.bos.unwrap()]);
    // Transformers passes over these where there is a tokenizer.json.
    for add in [true, false] {
        model.edit("tokenizer_config.json", |json| {
            json["add_bos_token"] = add.into();
            json["add_eos_token"] = add.into();
        });
        assert_eq!(text(&model.open()), "<s>hi");
    }
}

#[test]
fn what_is_made_is_a_tokenizer_and_always_the_same() {
    let made = made::make(TEXTS, 280, 512).unwrap();
    assert_eq!(made, made::make(TEXTS, 280, 512).unwrap());
    assert_eq!(made.tokens, 280);
    let model = Model::chatml();
    model.write("tokenizer.json", &made.tokenizer);
    model.write("tokenizer_config.json", &made.config);
    let tokens = Tokens::open(model.dir.path(), 280).unwrap();
    assert_eq!(
        (tokens.end, tokens.pad, tokens.eos.as_slice()),
        (Some(279), Some(277), &[279][..])
    );
    let ids = tokens.encode(" yes, naïve 🦀\r\n\t\0", false).unwrap();
    assert_eq!(tokens.decode_all(&ids).unwrap(), " yes, naïve 🦀\r\n\t\0");
    let learned = tokens.encode("the answer is", false).unwrap();
    assert!(learned.len() < 10, "{learned:?}");
    assert_eq!(
        tokens.decode(&[279, ids[0], 1000]).unwrap(),
        tokens.decode(&ids[..1]).unwrap()
    );
    let few = made::make(["ab"], 500, 512).unwrap();
    assert_eq!(few.tokens, 259, "nothing occurs twice");
    assert!(made::make(TEXTS, 258, 512).unwrap_err().contains("258"));
}

/// Texts with all that could be taken for marks.
fn said() -> impl Strategy<Value = String> {
    let parts = [
        "<|im_start|>",
        "<|im_end|>",
        "assistant\n",
        "<|im_start|>assistant\n",
        "user",
        " ",
        "\n",
        "yes",
        "é",
        "🦀",
        "[/INST]",
        "</s>",
        "answer0x",
        "<think>",
        "</think>",
        "x",
    ];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 1..6)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_learned_is_the_answers_and_their_ends_whatever_they_say(
        asked in prop::collection::vec((said(), said().prop_filter("an answer", |said| !said.trim().is_empty())), 1..4),
    ) {
        thread_local!(static TOKENS: Tokens = Model::chatml().open());
        TOKENS.with(|tokens| {
            let messages: Vec<Message> = asked
                .iter()
                .flat_map(|(question, answer)| turns(&[("user", question), ("assistant", answer)]))
                .collect();
            let example = tokens.chat(&messages, 0).unwrap();
            // By bytes of the text, each of which is in one token here.
            let text = tokens.template.as_ref().unwrap().render(&messages, false).unwrap();
            let pieces = tokens.pieces(&text).unwrap();
            let mut expected = Vec::new();
            for (question, answer) in &asked {
                let head = format!("<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n");
                expected.resize(expected.len() + head.len(), false);
                expected.resize(expected.len() + answer.len() + "<|im_end|>".len(), true);
                expected.push(false);
            }
            for (at, learned) in pieces.at.iter().zip(&example.learned) {
                prop_assert_eq!(*learned, expected[at.clone()].contains(&true), "{:?} of {:?}", at, text);
            }
            Ok(())
        })?;
    }
}
