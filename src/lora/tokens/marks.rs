//! Chats that are text already: where the assistant speaks is told by the marks of their format.
//!
//! What is learned of such a text is what stands between a mark that opens an assistant's turn and the next token that closes
//! one, that token included. The marks of the model's own template are looked for first, then those of ChatML (Qwen),
//! Llama 3, Gemma, Zephyr and Phi, Llama 2 and Mistral. A text without any marks is no chat: all of it is learned, with the
//! token that ends a text behind it.

use super::{Example, Tokens};
use std::ops::Range;

/// What opens an assistant's turn, and what may close it.
type Marks = (&'static str, &'static [&'static str]);

const KNOWN: [Marks; 7] = [
    ("<|im_start|>assistant\n", &["<|im_end|>"]),
    (
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        &["<|eot_id|>", "<|eom_id|>"],
    ),
    ("<start_of_turn>model\n", &["<end_of_turn>"]),
    ("<|assistant|>\n", &["</s>", "<|end|>", "<|endoftext|>"]),
    ("<|assistant|>", &["</s>", "<|end|>", "<|endoftext|>"]),
    ("[/INST]", &["</s>"]),
    ("<|assistant_start|>", &["<|assistant_end|>"]),
];

/// What only chats hold.
const CHATS: [&str; 5] = [
    "<|im_start|>",
    "<|start_header_id|>",
    "<start_of_turn>",
    "<|user|>",
    "[INST]",
];

impl Tokens {
    /// A rendered chat, or a text.
    ///
    /// # Errors
    /// A chat in which no assistant speaks, or whose turns end with no token of this tokenizer; a text for which the model
    /// has no end.
    pub fn text(&self, text: &str) -> Result<Example, String> {
        let own = self
            .habits
            .marks
            .iter()
            .map(|(open, close)| (open.as_str(), vec![close.as_str()]));
        let known = KNOWN.iter().map(|(open, closes)| (*open, closes.to_vec()));
        let found = own.chain(known).find(|(open, _)| text.contains(open));
        match found {
            Some((open, closes)) => self.marked(text, open, &closes),
            None if CHATS.iter().any(|mark| text.contains(mark)) => {
                Err("it is a chat in which no assistant speaks".into())
            }
            None => self.completion("", text),
        }
    }

    /// A text and how it goes on, which is learned, with the token that ends a text.
    ///
    /// # Errors
    /// It does not go on, or the model has no such token.
    pub fn completion(&self, prompt: &str, said: &str) -> Result<Example, String> {
        if said.trim().is_empty() {
            return Err("it has an empty answer".into());
        }
        let end = self.end.ok_or(
            "neither tokenizer_config.json nor generation_config.json says what ends a text",
        )?;
        let whole = format!("{prompt}{said}");
        let pieces = self.pieces(&whole)?;
        let before = self.around[0].as_slice();
        let mut learned = vec![false; before.len() + pieces.ids.len()];
        for at in pieces.within(&(prompt.len()..whole.len())) {
            learned[before.len() + at] = true;
        }
        let mut ids = [before, &pieces.ids].concat();
        if ids.last().is_none_or(|last| !self.eos.contains(last)) {
            ids.push(end);
            learned.push(true);
        }
        Ok(Example { ids, learned })
    }

    /// Of a text with marks the assistant's turns.
    fn marked(&self, text: &str, open: &str, closes: &[&str]) -> Result<Example, String> {
        let pieces = self.pieces(text)?;
        let mut learned = vec![false; pieces.ids.len()];
        let mut from = 0;
        while let Some(at) = text[from..].find(open) {
            let start = from + at + open.len();
            let Some(closed) = closing(text, start, closes) else {
                return Err(format!("an answer behind {open:?} has no end of its turn"));
            };
            let whole = |range: &Range<usize>| text.get(range.clone()).map(str::trim);
            let wanted = Some(&text[closed.clone()]);
            let token = pieces.at.iter().position(|at| {
                at.start <= closed.start && at.end >= closed.end && whole(at) == wanted
            });
            if token.is_none() {
                let mark = &text[closed.clone()];
                return Err(format!(
                    "{mark} ends a turn and is no token of this tokenizer"
                ));
            }
            for at in pieces.within(&(start..closed.end)) {
                learned[at] = true;
            }
            from = closed.end;
        }
        Ok(Example {
            ids: pieces.ids,
            learned,
        })
    }
}

/// The first of some marks behind `start`.
fn closing(text: &str, start: usize, closes: &[&str]) -> Option<Range<usize>> {
    let found = closes.iter().filter_map(|mark| {
        let at = start + text[start..].find(mark)?;
        Some(at..at + mark.len())
    });
    found.min_by_key(|range| range.start)
}
