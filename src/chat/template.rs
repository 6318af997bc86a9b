//! A model's chat template: its own Jinja, rendered as the `transformers` library renders it.
//!
//! That library's settings are kept: a line that holds only a block leaves nothing, loops have `break` and `continue`,
//! `raise_exception`, `strftime_now` and `tojson` are there, `{% generation %}` marks and changes nothing. The time is what
//! the caller says, so that the same rows are the same text tomorrow.
//!
//! Templates are files of strangers. One can use neither files nor network nor more than its fuel, so it ends; the memory
//! that it fills until then is bounded only as far as single repetitions are, so it is to be rendered where running out of
//! memory harms nobody: in a worker or a client, not in the daemon.

use super::{Message, json, python};
use crate::time::Timestamp;
use minijinja::{Environment, Error, ErrorKind, Value, syntax::SyntaxConfig};
use serde_json::Value as Json;
use std::{collections::BTreeMap, error::Error as _};

/// Bytes of a template; the largest in use have some tens of thousands.
const MOST_BYTES: usize = 1 << 20;
/// Steps of a rendering, and more for each message: those in use need some hundreds for a message.
const STEPS: u64 = 1_000_000;
const STEPS_PER_MESSAGE: u64 = 10_000;
/// The name that errors of the engine speak of.
const NAME: &str = "chat";

/// A chat template with the special tokens of its model.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    /// What a tokenizer's configuration says of them, by key: `bos_token`, `eos_token`, ...
    tokens: BTreeMap<String, String>,
    specials: Vec<String>,
}

impl Template {
    /// A template in Jinja, with the text of its model's begin and end tokens.
    ///
    /// # Errors
    /// Names the line that is no Jinja.
    pub fn new(jinja: &str, bos: Option<&str>, eos: Option<&str>) -> Result<Self, String> {
        let named = [("bos_token", bos), ("eos_token", eos)];
        let tokens = named
            .into_iter()
            .filter_map(|(key, token)| Some((key.to_string(), token?.to_string())));
        Self::with(jinja, tokens.collect(), Vec::new())
    }

    /// The template of a `tokenizer_config.json`, with its special tokens.
    ///
    /// # Errors
    /// It is no JSON, has no template, or one that is no Jinja.
    pub fn from_tokenizer_config(config: &str) -> Result<Self, String> {
        Self::from_files(config, None)
    }

    /// The template of a model's directory: the text of `chat_template.jinja` where there is one, else the configuration's
    /// `chat_template`, of several the one named `default`.
    ///
    /// # Errors
    /// Those of [`from_tokenizer_config`](Self::from_tokenizer_config).
    pub fn from_files(config: &str, jinja: Option<&str>) -> Result<Self, String> {
        let config: Json = serde_json::from_str(config)
            .map_err(|error| format!("tokenizer_config.json is no JSON: {error}"))?;
        let template = match jinja {
            Some(jinja) => jinja,
            None => chosen(&config["chat_template"])?,
        };
        let (tokens, specials) = tokens(&config);
        Self::with(template, tokens, specials)
    }

    fn with(
        jinja: &str,
        tokens: BTreeMap<String, String>,
        mut specials: Vec<String>,
    ) -> Result<Self, String> {
        if jinja.len() > MOST_BYTES {
            return Err(format!(
                "the chat template has {} bytes; at most {MOST_BYTES} are read",
                jinja.len()
            ));
        }
        let mut environment = Environment::new();
        environment.set_syntax(syntax());
        environment.set_unknown_method_callback(python::method);
        environment.add_filter("tojson", json::tojson);
        environment.add_filter("trim", python::trim);
        environment.add_test("iterable", python::is_iterable);
        environment.add_test("sequence", python::is_sequence);
        environment.add_function("raise_exception", python::raise_exception);
        environment
            .add_template_owned(NAME, prepared(jinja))
            .map_err(|error| sentence(&error))?;
        specials.extend(tokens.values().cloned());
        specials.retain(|token| !token.is_empty());
        specials.sort();
        specials.dedup();
        Ok(Self {
            environment,
            tokens,
            specials,
        })
    }

    /// The same template on a day: what its `strftime_now` tells, in UTC. Without one the function is not there, and templates
    /// that can do without the date have a fixed one.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        let told = move |format: String| {
            let date = python::strftime(now, &format);
            date.map_err(|why| Error::new(ErrorKind::InvalidOperation, why))
        };
        self.environment.add_function("strftime_now", told);
        self
    }

    /// The texts that the tokenizer does not take for text, in order, each once: a message that holds one could forge a
    /// turn.
    pub fn specials(&self) -> &[String] {
        &self.specials
    }

    /// The text of a conversation; with `add_generation_prompt` it ends where the model is to answer.
    ///
    /// # Errors
    /// A sentence: what the template says of messages that it cannot render, or where it fails.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, String> {
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(STEPS + STEPS_PER_MESSAGE * messages.len() as u64));
        let turn = |message: &Message| {
            let pairs = [("role", &message.role), ("content", &message.content)];
            Value::from_pairs(pairs.map(|(key, text)| (key, Value::from(text.as_str()))))
        };
        let messages: Vec<Value> = messages.iter().map(turn).collect();
        let named = [
            ("messages", Value::from(messages)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("add_generation_prompt", add_generation_prompt.into()),
        ];
        let tokens = self.tokens.iter();
        let tokens = tokens.map(|(key, token)| (key.as_str(), Value::from(token.as_str())));
        let known = Value::from_pairs(tokens.chain(named));
        let rendered = environment
            .get_template(NAME)
            .and_then(|template| template.render(known));
        rendered.map_err(|error| sentence(&error))
    }
}

fn syntax() -> SyntaxConfig {
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    syntax.build().expect("these are the usual delimiters")
}

/// Line ends as Jinja reads them, and marks of what the model says itself taken for what they are: nothing.
fn prepared(jinja: &str) -> String {
    let text = jinja.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        out.push_str(before);
        let end = tag.find("%}").unwrap_or(tag.len());
        let (inside, after) = tag.split_at(end);
        let word = inside.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        match word {
            "generation" => out.push_str(&inside.replacen("generation", "if true", 1)),
            "endgeneration" => out.push_str(&inside.replacen("endgeneration", "endif", 1)),
            _ => out.push_str(inside),
        }
        rest = after;
    }
    out + rest
}

/// The template of a configuration.
fn chosen(template: &Json) -> Result<&str, String> {
    if let Some(text) = template.as_str() {
        return Ok(text);
    }
    let none =
        "tokenizer_config.json has no chat_template, and no chat_template.jinja is beside it";
    let named = template.as_array().ok_or(none)?;
    let default = named
        .iter()
        .find(|entry| entry["name"] == "default")
        .or_else(|| named.first().filter(|_| named.len() == 1));
    if let Some(text) = default.and_then(|entry| entry["template"].as_str()) {
        return Ok(text);
    }
    let names: Vec<&str> = named
        .iter()
        .filter_map(|entry| entry["name"].as_str())
        .collect();
    Err(format!(
        "tokenizer_config.json has several chat templates ({}), and none is named default",
        names.join(", ")
    ))
}

/// The special tokens of a configuration, by key, and the texts of all that it calls special.
fn tokens(config: &Json) -> (BTreeMap<String, String>, Vec<String>) {
    let said = |value: &Json| {
        let text = value.as_str().or_else(|| value["content"].as_str());
        text.filter(|text| !text.is_empty()).map(str::to_string)
    };
    let keys = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"];
    let named = keys.iter().filter_map(|word| {
        let key = format!("{word}_token");
        let token = said(&config[&key])?;
        Some((key, token))
    });
    let more = config["additional_special_tokens"].as_array();
    let more = more.into_iter().flatten().filter_map(said);
    let added = config["added_tokens_decoder"].as_object();
    let added = added
        .into_iter()
        .flatten()
        .filter(|(_, token)| token["special"] == true)
        .filter_map(|(_, token)| said(token));
    (named.collect(), more.chain(added).collect())
}

/// An error of the engine as a sentence. What a template says by `raise_exception` is the innermost error's detail.
fn sentence(error: &Error) -> String {
    let mut source = error.source();
    let mut innermost = error;
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<Error>() {
            innermost = cause;
        }
        source = cause.source();
    }
    let line = innermost.line().or(error.line());
    let line = line.map_or(String::new(), |line| format!(" in line {line}"));
    if innermost.kind() == ErrorKind::OutOfFuel {
        return format!("the chat template does not end{line}: it was stopped");
    }
    let why = innermost
        .detail()
        .map_or_else(|| innermost.kind().to_string(), str::to_string);
    let why = why.replace(char::is_control, " ");
    let why = match why.strip_suffix('.') {
        Some(said) if !said.ends_with('.') => said,
        _ => &why,
    };
    format!("the chat template fails{line}: {why}")
}

#[cfg(test)]
mod tests;
