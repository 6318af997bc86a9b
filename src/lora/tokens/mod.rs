//! Text as a model sees it: its tokenizer, its chat template, and rows of every format as tokens that know which of them are
//! learned.
//!
//! What is learned is what the model is to say by itself: the assistant's words and the token that ends its turn. Which
//! tokens those are is found by asking the model's own template, not by trusting marks in it: the templates of most models
//! have none.

mod bpe;
mod chat;
mod example;
mod files;
pub mod made;
mod marks;
mod read;
mod row;

pub use example::{Example, Row, batch};
pub use read::{Read, Refused, read_rows};
pub use row::row;

use crate::chat::Template;
use std::{ops::Range, path::Path};
use tokenizers::{ModelWrapper, PostProcessorWrapper, Tokenizer};

/// A model's tokenizer, with all that its directory says about tokens.
#[derive(Debug)]
pub struct Tokens {
    /// Without its post-processor, which would add tokens and may move offsets.
    tokenizer: Tokenizer,
    /// What the post-processor puts before a text and behind it.
    around: [Vec<u32>; 2],
    vocabulary: usize,
    /// The tokens that end an answer, ascending: the end of text, what `generation_config.json` stops at, and the end of the
    /// template's turns.
    pub eos: Vec<u32>,
    /// The token that ends a text that is no chat.
    pub end: Option<u32>,
    /// The token that a text begins with.
    pub bos: Option<u32>,
    /// The token that fills a batch up.
    pub pad: Option<u32>,
    /// The model's own template; none: it has none that can be read, see [`no_template`](Self::no_template).
    pub template: Option<Template>,
    no_template: String,
    habits: chat::Habits,
}

/// A text's tokens.
struct Pieces {
    ids: Vec<u32>,
    /// Where they stand in it, in bytes.
    at: Vec<Range<usize>>,
}

impl Tokens {
    /// The tokenizer of a model's directory, whose model has embeddings for `vocabulary` tokens.
    ///
    /// # Errors
    /// A sentence that names the file: it is missing or unreadable, or has tokens that the model does not know.
    pub fn open(model_dir: &Path, vocabulary: usize) -> Result<Self, String> {
        let mut tokenizer = files::tokenizer(model_dir)?;
        steady(&mut tokenizer)?;
        known(&tokenizer, vocabulary)?;
        let said = files::said(model_dir)?;
        let around = around(&tokenizer)?;
        tokenizer.with_post_processor(None::<PostProcessorWrapper>);
        let id = |token: &Option<String>| tokenizer.token_to_id(token.as_deref()?);
        let (bos, end, pad) = (id(&said.bos), id(&said.eos), id(&said.pad));
        if let (Some(token), None) = (&said.eos, end) {
            return Err(format!(
                "eos_token {token:?} of tokenizer_config.json is no token of tokenizer.json"
            ));
        }
        let end = end.or(said.ends.first().copied());
        let (template, no_template) = match files::template(model_dir) {
            Ok(template) => (Some(template), String::new()),
            Err(why) => (None, why),
        };
        let mut tokens = Self {
            tokenizer,
            around,
            vocabulary,
            eos: said.ends.into_iter().chain(end).collect(),
            end,
            bos,
            pad,
            template,
            no_template,
            habits: chat::Habits::default(),
        };
        tokens.habits = tokens.look();
        let ends = tokens.habits.end;
        tokens.eos.extend(ends);
        tokens.eos.sort_unstable();
        tokens.eos.dedup();
        Ok(tokens)
    }

    /// A text's tokens; with `special` those that the model wants around a text as well. A rendered chat is to be encoded
    /// without: its template says them.
    ///
    /// # Errors
    /// The tokenizer's, for a text that it has no tokens for.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, String> {
        let encoded = self.tokenizer.encode_fast(text, false);
        let encoded = encoded.map_err(|error| untold(&error))?;
        let ids = encoded.get_ids();
        if !special {
            return Ok(ids.to_vec());
        }
        let [before, behind] = &self.around;
        Ok([before, ids, behind].concat())
    }

    /// The text of tokens, special ones left out. Ids that the tokenizer has no token for say nothing.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn decode(&self, ids: &[u32]) -> Result<String, String> {
        self.tokenizer
            .decode(ids, true)
            .map_err(|error| untold(&error))
    }

    /// The text of tokens, special ones too.
    ///
    /// # Errors
    /// The tokenizer's.
    pub fn decode_all(&self, ids: &[u32]) -> Result<String, String> {
        self.tokenizer
            .decode(ids, false)
            .map_err(|error| untold(&error))
    }

    /// Number of embeddings of the model: every token is below.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Why there is no template, where there is none.
    pub fn no_template(&self) -> &str {
        &self.no_template
    }

    fn templated(&self) -> Result<&Template, String> {
        self.template
            .as_ref()
            .ok_or_else(|| self.no_template.clone())
    }

    /// A text's tokens and where they stand.
    fn pieces(&self, text: &str) -> Result<Pieces, String> {
        let encoded = self.tokenizer.encode(text, false);
        let encoded = encoded.map_err(|error| untold(&error))?;
        let at = encoded.get_offsets().iter();
        Ok(Pieces {
            ids: encoded.get_ids().to_vec(),
            at: at.map(|&(from, to)| from..to).collect(),
        })
    }

    /// Whether a token was added to the vocabulary by name: no text becomes it piece by piece.
    fn is_added(&self, id: u32) -> bool {
        let added = self.tokenizer.get_added_vocabulary();
        added.get_added_tokens_decoder().contains_key(&id)
    }
}

impl Pieces {
    /// The tokens that stand in a part of the text, if only with one byte.
    fn within<'a>(&'a self, part: &'a Range<usize>) -> impl Iterator<Item = usize> + 'a {
        let inside = move |at: &usize| {
            let Range { start, end } = &self.at[*at];
            start < end && *start < part.end && *end > part.start
        };
        (0..self.ids.len()).filter(inside)
    }
}

fn untold(error: &tokenizers::Error) -> String {
    format!("the tokenizer fails: {error}")
}

/// Takes away what would make the tokens of a text depend on other texts, and refuses what would make them depend on chance.
fn steady(tokenizer: &mut Tokenizer) -> Result<(), String> {
    tokenizer.with_padding(None);
    let cut = tokenizer.with_truncation(None).map(|_| ());
    cut.map_err(|error| untold(&error))?;
    match tokenizer.get_model() {
        ModelWrapper::BPE(bpe) if bpe.dropout.is_some_and(|share| share > 0.0) => Err(
            "tokenizer.json has a dropout: it would cut the same text differently each time".into(),
        ),
        _ => Ok(()),
    }
}

/// That the model has an embedding for every token.
fn known(tokenizer: &Tokenizer, vocabulary: usize) -> Result<(), String> {
    let all = tokenizer.get_vocab(true);
    let last = all.iter().max_by_key(|(_, id)| **id);
    match last {
        None => Err("tokenizer.json has no tokens".into()),
        Some((token, id)) if *id as usize >= vocabulary => Err(format!(
            "tokenizer.json has {token:?} as token {id}, but the model knows only tokens below {vocabulary}: it is the \
             tokenizer of another model"
        )),
        Some(_) => Ok(()),
    }
}

/// The tokens that belong before a text and behind it: what the post-processor adds. `add_bos_token` and `add_eos_token` of the
/// configuration say how transformers makes a post-processor where there is none; beside a tokenizer.json it passes over them.
fn around(tokenizer: &Tokenizer) -> Result<[Vec<u32>; 2], String> {
    let encoded = |special| {
        let encoded = tokenizer.encode_fast("a", special);
        encoded.map(|encoded| encoded.get_ids().to_vec())
    };
    let whole = encoded(true).map_err(|error| untold(&error))?;
    let bare = encoded(false).map_err(|error| untold(&error))?;
    let at = whole
        .windows(bare.len().max(1))
        .position(|part| part == bare)
        .ok_or("the post-processor of tokenizer.json does not keep a text's tokens together")?;
    Ok([whole[..at].to_vec(), whole[at + bare.len()..].to_vec()])
}

#[cfg(test)]
mod tests;
