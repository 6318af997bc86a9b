//! A conversation as tokens: rendered by the model's own template, and of it learned what the model is to say.
//!
//! Where an answer stands in the text is found by saying another word in its place: what the template writes before and
//! behind the word is before and behind the answer too, whatever it says. So an answer that repeats its question, or holds
//! marks of the template, is found as surely as any other. An answer that the template does not write as it is (Qwen3 drops
//! the thoughts of earlier ones) is refused: the model would learn to say what nobody said.
//!
//! What a template writes between the place where it asks and the answer (a space, or Qwen3's empty thoughts) is learned with
//! the answer: when it is asked, the model has to say that, too.

use super::{Example, Pieces, Tokens};
use crate::chat::{Message, Template};
use std::ops::Range;

/// What a template does, found out once by a small conversation.
#[derive(Debug, Default)]
pub struct Habits {
    /// It writes something between where a model is asked and what it answers.
    pub prelude: bool,
    /// The token that ends the assistant's turns.
    pub end: Option<u32>,
    /// What it writes where a model is asked to answer, and that token.
    pub marks: Option<(String, String)>,
}

impl Tokens {
    /// A conversation as its template writes it, with the answers from turn `from` on learned, counted from 0. Without any
    /// the mask is empty.
    ///
    /// # Errors
    /// There is no template, or it refuses or rewrites a turn, or no end-of-turn token follows an answer.
    pub fn chat(&self, messages: &[Message], from: usize) -> Result<Example, String> {
        let template = self.templated()?;
        let text = template.render(messages, false)?;
        let pieces = self.pieces(&text)?;
        let mut learned = vec![false; pieces.ids.len()];
        let answers = (from..messages.len()).filter(|turn| messages[*turn].role == "assistant");
        for turn in answers {
            let said = self.said(template, messages, &text, turn)?;
            let ended = self.learn(&pieces, &text, &said, &mut learned);
            ended.map_err(|why| format!("turn {}: {why}", turn + 1))?;
        }
        Ok(Example {
            ids: pieces.ids,
            learned,
        })
    }

    /// The tokens that a conversation's next answer is asked for with.
    ///
    /// # Errors
    /// There is no template, or it refuses the turns.
    pub fn asked(&self, messages: &[Message]) -> Result<Vec<u32>, String> {
        self.encode(&self.templated()?.render(messages, true)?, false)
    }

    /// What the template does around an answer.
    pub(super) fn look(&self) -> Habits {
        let found = || {
            let template = self.template.as_ref()?;
            let asked = [Message::new("user", "a")];
            let word = "answered";
            let both = [asked[0].clone(), Message::new("assistant", word)];
            let text = template.render(&both, false).ok()?;
            let at = text.rfind(word)?;
            let behind = &text[at + word.len()..];
            let end = self.pieces(behind).ok()?;
            let first = (0..end.ids.len()).find(|at| self.is_added(end.ids[*at]));
            let first = first.filter(|first| blank(&behind[..end.at[*first].start]));
            let end = first.map(|first| end.ids[first]);
            let without = template.render(&asked, false).ok()?;
            let prompt = Prompt::of(template, &asked, &text);
            let prelude = prompt
                .as_ref()
                .is_some_and(|prompt| prompt.prelude(&text, at).is_some());
            let open = prompt.and_then(|prompt| text[..prompt.end].strip_prefix(&without));
            let open = open.filter(|open| !open.is_empty());
            let close = end.and_then(|end| self.tokenizer.id_to_token(end));
            let marks = open.map(str::to_owned).zip(close);
            Some(Habits {
                prelude,
                end,
                marks,
            })
        };
        found().unwrap_or_default()
    }

    /// Where an answer stands in the rendered text, in bytes.
    fn said(
        &self,
        template: &Template,
        messages: &[Message],
        text: &str,
        turn: usize,
    ) -> Result<Range<usize>, String> {
        let content = &messages[turn].content;
        let number = turn + 1;
        if content.trim().is_empty() {
            return Err(format!("turn {number} is an empty answer"));
        }
        let word = absent(text);
        let mut other = messages.to_vec();
        other[turn].content.clone_from(&word);
        let other = template.render(&other, false)?;
        let Some((before, behind)) = other.split_once(&word).filter(|(_, b)| !b.contains(&word))
        else {
            return Err(format!(
                "the chat template does not write turn {number} once"
            ));
        };
        let rewritten = || {
            format!(
                "the chat template does not write turn {number} as it is said: a conversation whose earlier answers it \
                 rewrites is to be cut into one row for each answer"
            )
        };
        let end = text.strip_suffix(behind).ok_or_else(rewritten)?.len();
        let same =
            |start: usize| start <= end && is_said(&text[..start], &text[start..end], content);
        let plain = Some(before.len()).filter(|_| text.starts_with(before));
        let plain = plain.filter(|start| same(*start));
        if let Some(start) = plain.filter(|_| !self.habits.prelude) {
            return Ok(start..end);
        }
        let prompt = Prompt::of(template, &messages[..turn], text);
        let asked = prompt.as_ref().filter(|prompt| prompt.asks);
        match (plain, asked) {
            (Some(start), _) => {
                let prelude = prompt.and_then(|prompt| prompt.prelude(text, start));
                Ok(prelude.unwrap_or(start)..end)
            }
            (None, Some(asked)) if same(asked.end) => Ok(asked.end..end),
            _ => Err(rewritten()),
        }
    }

    /// Marks the tokens of an answer, and up to the token that ends its turn, as learned.
    pub(super) fn learn(
        &self,
        pieces: &Pieces,
        text: &str,
        said: &Range<usize>,
        learned: &mut [bool],
    ) -> Result<(), String> {
        let mut last = None;
        for at in pieces.within(said) {
            learned[at] = true;
            last = Some(at);
        }
        let ends = |at: usize| self.eos.contains(&pieces.ids[at]);
        // A token may take the white space before it with it, and so begin within the answer.
        if last.is_some_and(|at| pieces.at[at].end > said.end && ends(at)) {
            return Ok(());
        }
        let behind = pieces
            .at
            .iter()
            .enumerate()
            .skip(last.map_or(0, |at| at + 1));
        for (at, place) in behind.filter(|(_, place)| place.start >= said.end) {
            learned[at] = true;
            if ends(at) {
                return Ok(());
            }
            if !text.get(place.clone()).is_some_and(blank) {
                break;
            }
        }
        Err("no end-of-turn token follows the answer".into())
    }
}

/// Where a text asks for an answer: it begins with what the template writes of the turns before.
struct Prompt {
    end: usize,
    /// Whether the template writes something to ask: a header, as a rule.
    asks: bool,
}

impl Prompt {
    /// None where the template refuses to ask so, or asks with another text.
    fn of(template: &Template, messages: &[Message], text: &str) -> Option<Self> {
        let with = template.render(messages, true).ok()?;
        let without = template.render(messages, false).ok()?;
        text.starts_with(&with).then(|| Self {
            end: with.len(),
            asks: with != without,
        })
    }

    /// Where what the model has to say before an answer at `start` begins, if there is any. A template that does not ask
    /// leaves its header to nobody; white space is the model's.
    fn prelude(&self, text: &str, start: usize) -> Option<usize> {
        let written = text.get(self.end..start)?;
        let own = !written.is_empty() && (self.asks || blank(written));
        own.then_some(self.end)
    }
}

fn blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// A word that a text does not hold.
fn absent(text: &str) -> String {
    let words = (0_u64..).map(|n| format!("answer{n}x"));
    let mut free = words.filter(|word| !text.contains(word.as_str()));
    free.next().expect("a text does not hold every word")
}

/// Whether `written`, behind `before`, says `content`, white space aside. Its beginning may be what `before` ends with: the
/// `<think>` that some templates write when they ask.
fn is_said(before: &str, written: &str, content: &str) -> bool {
    let bare = |text: &str| text.split_whitespace().collect::<String>();
    let (content, written) = (bare(content), bare(written));
    let head = content
        .strip_suffix(&written)
        .filter(|_| !written.is_empty());
    head.is_some_and(|head| head.is_empty() || bare(before).ends_with(head))
}
