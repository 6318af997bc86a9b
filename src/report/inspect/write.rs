//! A log as inspect-ai would have written it.

use super::log::{Given, Header, Reduced, Reduction, Summary, Usage};
use crate::words::words;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    io::{self, Seek, Write},
};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

/// Samples between two summaries: what a reader of a torn log can lose.
const FLUSHED: usize = 100;

words! {
    /// Why an answer ended.
    #[derive(Default)]
    pub enum Stopped {
        /// By itself.
        #[default]
        Itself = "stop",
        /// It had as many tokens as it may.
        MaxTokens = "max_tokens",
        /// The model takes no longer text.
        ModelLength = "model_length",
    }
}

/// One sample, asked once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Its id.
    pub id: String,
    /// Turns that were given, as role and text.
    pub messages: Vec<(String, String)>,
    /// What is right.
    pub target: String,
    /// What was answered; none where nothing was generated.
    pub answer: Option<String>,
    /// Why the answer ended where it did.
    pub stopped: Stopped,
    /// Values by scorer: right or wrong as 1 or 0, or another number.
    pub scores: BTreeMap<String, f64>,
    /// Tokens.
    pub usage: Usage,
}

/// An id like those of inspect-ai, 22 letters and digits, of whatever tells it from others.
pub fn identifier(of: &[&str]) -> String {
    const LETTERS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut hash = Sha256::new();
    for part in of {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    digest.iter().take(22).map(letter).collect()
}

/// Writes a finished log. `header.results` is as it is given; what is in no sample's scores has no reduction.
///
/// # Errors
/// Those of writing.
pub fn write(to: impl Write + Seek, header: &Header, samples: &[Sample]) -> io::Result<()> {
    let mut zip = ZipWriter::new(to);
    let start = json!({ "version": header.version, "eval": header.eval, "plan": header.plan });
    put(&mut zip, "_journal/start.json", &start)?;
    let mut summaries = Vec::with_capacity(samples.len());
    for (number, some) in (1..).zip(samples.chunks(FLUSHED)) {
        let first = summaries.len();
        for sample in some {
            let name = format!("samples/{}_epoch_1.json", path(&sample.id));
            put(&mut zip, &name, &whole(sample, &header.eval.model))?;
            summaries.push(summary(sample));
        }
        let name = format!("_journal/summaries/{number}.json");
        put(&mut zip, &name, &summaries[first..])?;
    }
    put(&mut zip, "summaries.json", &summaries)?;
    put(&mut zip, "reductions.json", &reductions(samples))?;
    let head = Header {
        reductions: None,
        ..header.clone()
    };
    put(&mut zip, "header.json", &head)?;
    zip.finish()?.flush()
}

/// An id as readers look for it, below `samples/`; but no path that leads out of there.
fn path(id: &str) -> String {
    let tame = |part: &str| !matches!(part, "" | "." | "..");
    if id.split('/').all(tame) && !id.contains(['\\', '\0', ':']) {
        return id.into();
    }
    identifier(&[id])
}

fn put<W: Write + Seek>(
    zip: &mut ZipWriter<W>,
    name: &str,
    value: &(impl Serialize + ?Sized),
) -> io::Result<()> {
    let how = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o600);
    zip.start_file(name, how)?;
    zip.write_all(&serde_json::to_vec_pretty(value)?)
}

fn input(sample: &Sample) -> Value {
    match sample.messages.as_slice() {
        [(role, text)] if role == "user" => json!(text),
        several => several.iter().map(turn).collect(),
    }
}

fn turn((role, text): &(String, String)) -> Value {
    json!({ "role": role, "content": text })
}

/// `C` and `I` where a value is right or wrong: scorers and viewers know those.
fn scores(sample: &Sample) -> BTreeMap<String, Given> {
    let given = |value: &f64| Given {
        value: match value {
            0.0 => json!("I"),
            1.0 => json!("C"),
            other => json!(other),
        },
        answer: sample.answer.clone(),
    };
    let all = sample.scores.iter();
    all.map(|(name, value)| (name.clone(), given(value)))
        .collect()
}

fn summary(sample: &Sample) -> Summary {
    Summary {
        id: json!(sample.id),
        epoch: 1,
        input: input(sample),
        target: json!(sample.target),
        scores: Some(scores(sample)),
        completed: true,
    }
}

fn whole(sample: &Sample, model: &str) -> Value {
    let mut messages: Vec<Value> = sample.messages.iter().map(turn).collect();
    let mut choices = Vec::new();
    if let Some(answer) = &sample.answer {
        let said =
            json!({ "role": "assistant", "content": answer, "source": "generate", "model": model });
        messages.push(said.clone());
        choices.push(json!({ "message": said, "stop_reason": sample.stopped }));
    }
    json!({
        "id": sample.id,
        "epoch": 1,
        "input": input(sample),
        "target": sample.target,
        "messages": messages,
        "output": { "model": model, "choices": choices, "usage": sample.usage },
        "scores": scores(sample),
        "metadata": {},
        "store": {},
        "events": [],
        "model_usage": { model: sample.usage },
        "attachments": {},
    })
}

fn reductions(samples: &[Sample]) -> Vec<Reduction> {
    let mut by_scorer: BTreeMap<&str, Vec<Reduced>> = BTreeMap::new();
    for sample in samples {
        for (scorer, value) in &sample.scores {
            let reduced = Reduced {
                sample_id: json!(sample.id),
                value: json!(value),
                answer: sample.answer.clone(),
            };
            by_scorer.entry(scorer).or_default().push(reduced);
        }
    }
    let reduction = |(scorer, samples): (&str, Vec<Reduced>)| Reduction {
        scorer: scorer.into(),
        samples,
    };
    by_scorer.into_iter().map(reduction).collect()
}
