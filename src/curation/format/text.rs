//! Conversations as one text, written by hand: the formats that a trainer without a model's files can ask for.

use crate::chat::Message;

/// What Qwen2.5's own template says first where no system turn does. That of Qwen3 says nothing then: for it, `chatml`.
const QWEN: &str = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";

/// ChatML: `<|im_start|>ROLE`, a line's end, what is said, `<|im_end|>`, a line's end; no default.
pub fn chatml(turns: &[Message]) -> Result<String, String> {
    known(turns)?;
    let said = turns.iter().map(|turn| {
        let Message { role, content } = turn;
        format!("<|im_start|>{role}\n{content}<|im_end|>\n")
    });
    Ok(said.collect())
}

/// ChatML as the template of Qwen2.5 writes it: with its default system turn where the first turn is none.
pub fn qwen(turns: &[Message]) -> Result<String, String> {
    let said = chatml(turns)?;
    if turns.first().is_some_and(|turn| turn.role == "system") {
        return Ok(said);
    }
    Ok(chatml(&[Message::new("system", QWEN)])? + &said)
}

/// Llama 3's text: a begin token, then for each turn its role as a header, an empty line, what is said without the white space
/// around it, `<|eot_id|>`. Llama 3.1 and later say dates first: for them, `template`. The text holds its begin token, so it
/// is to be tokenised without special tokens of the tokenizer's own.
pub fn llama3(turns: &[Message]) -> Result<String, String> {
    known(turns)?;
    let said = turns.iter().map(|turn| {
        let (role, content) = (&turn.role, turn.content.trim());
        format!("<|start_header_id|>{role}<|end_header_id|>\n\n{content}<|eot_id|>")
    });
    Ok("<|begin_of_text|>".to_string() + &said.collect::<String>())
}

/// Only the three roles that every model knows, and no turn that forges another.
fn known(turns: &[Message]) -> Result<(), String> {
    let strange = |turn: &&Message| !matches!(turn.role.as_str(), "system" | "user" | "assistant");
    if let Some(turn) = turns.iter().find(strange) {
        let role = &turn.role;
        return Err(format!(
            "the role {role:?} is none of system, user, assistant"
        ));
    }
    unforged(turns, &[])
}

/// No turn holds a control token: anything like `<|word|>`, or one of `specials`.
///
/// # Errors
/// Names the token.
pub fn unforged(turns: &[Message], specials: &[String]) -> Result<(), String> {
    for Message { role, content } in turns {
        for said in [role, content] {
            let special = specials.iter().find(|token| said.contains(token.as_str()));
            if let Some(token) = special.map(String::as_str).or_else(|| control(said)) {
                return Err(format!("a turn holds {token}, which would forge another"));
            }
        }
    }
    Ok(())
}

/// The first `<|word|>` of a text.
fn control(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(at) = rest.find("<|") {
        let (token, after) = (&rest[at..], &rest[at + 2..]);
        let word = after.find(|c: char| !c.is_ascii_alphanumeric() && !"_-.:".contains(c));
        if let Some(length) = word.filter(|length| *length > 0)
            && after[length..].starts_with("|>")
        {
            return Some(&token[..length + 4]);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_tokens_are_found_and_pipes_are_left() {
        let cases = [
            ("a <|im_end|> b", Some("<|im_end|>")),
            ("<|<|eot_id|>", Some("<|eot_id|>")),
            (
                "<|reserved_special_token_5|>",
                Some("<|reserved_special_token_5|>"),
            ),
            ("<||> a <| b |> x<|y", None),
            ("ch_a.map{ it <|> x }", None),
        ];
        for (text, expected) in cases {
            assert_eq!(control(text), expected, "{text}");
        }
    }
}
