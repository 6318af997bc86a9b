//! One model, base or with an adapter, on all items: the loss of the right answers, their rank among others, and what it says
//! by itself. Every arm computes the same batches, so that nothing but the adapter makes a difference.

use super::{
    Told,
    items::{Item, last_learned},
    kind::judge,
    language::Language,
};
use crate::{
    evaluation::{
        job::{EvaluationSettings, Metric},
        paired::Share,
    },
    lora::{
        backend::{Ask, Backend, Done, Trouble, Use},
        batch::Batch,
        cuda::budget::looking::{Answers, sequences},
        decoder::Decoder,
        engine::{Adapters, Engine},
    },
    report::inspect::Stopped,
    training::site::Site,
};
use std::collections::BTreeMap;

/// Tokens of a batch, unless one row alone has more.
const BATCH: usize = 4096;
/// Items whose options are computed together.
const RANKED: usize = 32;
/// Answers that are decoded side by side, where memory allows it.
pub const DECODED: usize = 8;

/// How one item was answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What it adds to each metric that it has.
    pub metrics: BTreeMap<Metric, Share>,
    /// Mean log-likelihood of a token, of the right answer and then of the others; empty where nothing was ranked.
    pub options: Vec<f64>,
    /// What was said; none where nothing was decoded.
    pub said: Option<Said>,
}

/// A decoded answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its text.
    pub text: String,
    /// Its tokens.
    pub tokens: u64,
    /// Why it ended.
    pub stopped: Stopped,
}

/// A row to be looked at: tokens, and which of them count.
struct Document {
    ids: Vec<u32>,
    learned: Vec<bool>,
}

impl Document {
    fn of(prompt: &[u32], answer: &[u32]) -> Self {
        let (given, all) = (prompt.len(), prompt.len() + answer.len());
        Self {
            ids: [prompt, answer].concat(),
            learned: (0..all).map(|at| at >= given).collect(),
        }
    }
}

/// What is the same for every arm.
pub struct Course<'a> {
    /// The items.
    pub items: &'a [Item],
    /// The items whose answers stand beside each.
    pub distractors: &'a [Vec<usize>],
    /// How much is looked at.
    pub settings: &'a EvaluationSettings,
    /// The tokenizer.
    pub language: &'a dyn Language,
    /// The longest text that the model takes, in tokens.
    pub context: usize,
    /// Answers that are decoded side by side: the same for every arm.
    pub decoded: usize,
}

impl Course<'_> {
    /// How many answers fit side by side into `room` bytes of a GPU, with any of these adapters.
    ///
    /// # Errors
    /// Not one, with numbers.
    pub fn fitting(&self, decoder: &Decoder, adapters: &[Adapters], room: u64) -> Done<usize> {
        let rank = |site: Site| {
            let ranks = adapters.iter().filter_map(|all| all.get(&site));
            vec![ranks.map(|adapter| adapter.rank).max().unwrap_or(0)]
        };
        let rows = (0..self.items.len()).flat_map(|at| {
            let own = self.items[at].example.ids.len();
            let others = self.options(at).into_iter().map(|other| other.ids.len());
            others.chain([own])
        });
        let tokens = rows.max().unwrap_or(0).max(BATCH);
        let ask = Ask {
            decoder,
            ranks: &rank,
            tokens,
            supervised: tokens,
        };
        let asked = self.items.iter().filter(|item| item.generated);
        let longest = asked.clone().map(|item| item.prompt().len()).max();
        let longest = longest.unwrap_or(0);
        let answers = Answers {
            most: asked.count().min(self.decoded),
            longest,
            capacity: (longest + self.settings.max_new_tokens as usize).min(self.context),
        };
        sequences(&ask, answers, room)
    }

    /// Steps of one arm, for progress.
    pub fn steps(&self) -> u64 {
        let decoded = self.items.iter().filter(|item| item.generated).count();
        let ranked = if self.settings.options < 2 {
            0
        } else {
            self.items.len()
        };
        (self.items.len() + ranked + decoded) as u64
    }

    /// Measures one arm.
    ///
    /// # Errors
    /// A loss that is no number, with the item; the machine's own.
    pub fn run<B: Backend>(
        &self,
        engine: &mut Engine<B>,
        used: Use,
        tell: &mut dyn FnMut(Told),
    ) -> Done<Vec<Outcome>> {
        let mut outcomes = vec![Outcome::default(); self.items.len()];
        let mut done = 0;
        let mut step = |stage, more: usize| {
            done += more as u64;
            tell(Told::Step {
                stage,
                done,
                total: self.steps(),
            });
        };
        let right = self.losses(engine, used, &mut outcomes, &mut step)?;
        if self.settings.options >= 2 {
            self.rank(engine, used, &right, &mut outcomes, &mut step)?;
        }
        self.generate(engine, used, &mut outcomes, &mut step)?;
        Ok(outcomes)
    }

    /// Losses of all learned tokens; gives the mean of each right answer's.
    fn losses<B: Backend>(
        &self,
        engine: &mut Engine<B>,
        used: Use,
        outcomes: &mut [Outcome],
        step: &mut dyn FnMut(&'static str, usize),
    ) -> Done<Vec<f64>> {
        let documents = self.items.iter().map(|item| Document {
            ids: item.example.ids.clone(),
            learned: item.example.learned.clone(),
        });
        let found = losses(engine, used, documents, &mut |n| step("loss", n))?;
        for (item, losses) in self.items.iter().zip(&found) {
            finite(losses, &item.id)?;
        }
        let each = self.items.iter().zip(found).zip(outcomes);
        Ok(each
            .map(|((item, losses), outcome)| {
                let share = Share {
                    sum: losses.iter().map(|loss| f64::from(*loss)).sum(),
                    count: losses.len() as f64,
                };
                outcome.metrics.insert(Metric::Loss, share);
                mean(&losses[losses.len() - item.answer.len()..])
            })
            .collect())
    }

    fn rank<B: Backend>(
        &self,
        engine: &mut Engine<B>,
        used: Use,
        right: &[f64],
        outcomes: &mut [Outcome],
        step: &mut dyn FnMut(&'static str, usize),
    ) -> Done {
        for first in (0..self.items.len()).step_by(RANKED) {
            let some = first..(first + RANKED).min(self.items.len());
            let options: Vec<Vec<Document>> = some.clone().map(|at| self.options(at)).collect();
            let counts: Vec<usize> = options.iter().map(Vec::len).collect();
            let found = losses(engine, used, options.into_iter().flatten(), &mut |_| {})?;
            let mut found = found.iter();
            for (at, count) in some.clone().zip(counts) {
                let mut others = Vec::with_capacity(count);
                for losses in found.by_ref().take(count) {
                    finite(losses, &self.items[at].id)?;
                    others.push(mean(losses));
                }
                if others.is_empty() {
                    continue;
                }
                let best = others.iter().all(|other| right[at] < *other);
                outcomes[at].metrics.insert(Metric::Ranking, one(best));
                let all = std::iter::once(right[at]).chain(others);
                outcomes[at].options = all.map(|loss| -loss).collect();
            }
            step("ranking", some.len());
        }
        Ok(())
    }

    /// The other answers to an item.
    fn options(&self, at: usize) -> Vec<Document> {
        let item = &self.items[at];
        if let Some(rejected) = &item.rejected {
            let answer = last_learned(rejected).unwrap_or(0..0);
            let (prompt, answer) = (&rejected.ids[..answer.start], &rejected.ids[answer.clone()]);
            return vec![Document::of(prompt, answer)];
        }
        let others = self.distractors[at].iter();
        others
            .map(|other| Document::of(item.prompt(), self.items[*other].answer()))
            .collect()
    }

    /// Why an answer of so many tokens ended behind a prompt of so many.
    pub(super) fn stopped(&self, prompt: usize, answer: usize) -> Stopped {
        if answer >= self.settings.max_new_tokens as usize {
            Stopped::MaxTokens
        } else if prompt + answer >= self.context {
            Stopped::ModelLength
        } else {
            Stopped::Itself
        }
    }

    fn generate<B: Backend>(
        &self,
        engine: &mut Engine<B>,
        used: Use,
        outcomes: &mut [Outcome],
        step: &mut dyn FnMut(&'static str, usize),
    ) -> Done {
        let asked: Vec<usize> = (0..self.items.len())
            .filter(|at| self.items[*at].generated)
            .collect();
        let most = self.settings.max_new_tokens as usize;
        for some in asked.chunks(self.decoded.max(1)) {
            let prompts: Vec<Vec<u32>> = some
                .iter()
                .map(|at| self.items[*at].prompt().to_vec())
                .collect();
            let answers = engine.generate(&prompts, most, self.language.ends(), used)?;
            for (at, answer) in some.iter().zip(answers) {
                let (item, text) = (&self.items[*at], self.language.text(&answer));
                outcomes[*at]
                    .metrics
                    .extend(judge(item.kind, &item.right, &text));
                outcomes[*at].said = Some(Said {
                    text,
                    tokens: answer.len() as u64,
                    stopped: self.stopped(item.prompt().len(), answer.len()),
                });
            }
            step("decoding", some.len());
        }
        Ok(())
    }
}

fn one(right: bool) -> Share {
    Share {
        sum: f64::from(u8::from(right)),
        count: 1.0,
    }
}

/// A model whose numbers overflow is not measured: to be wrong everywhere would be a result, and any other would beat it.
fn finite(losses: &[f32], id: &str) -> Done {
    match losses.iter().find(|loss| !loss.is_finite()) {
        None => Ok(()),
        Some(loss) => Err(Trouble(format!(
            "its loss on item {id} is {loss}, not a number to compare: its weights overflow"
        ))),
    }
}

fn mean(losses: &[f32]) -> f64 {
    losses.iter().map(|loss| f64::from(*loss)).sum::<f64>() / losses.len() as f64
}

/// The losses of each document's learned tokens, computed in batches of at most [`BATCH`] tokens or one document.
fn losses<B: Backend>(
    engine: &mut Engine<B>,
    used: Use,
    documents: impl Iterator<Item = Document>,
    done: &mut dyn FnMut(usize),
) -> Done<Vec<Vec<f32>>> {
    let (mut batch, mut counts, mut all) = (Batch::default(), Vec::new(), Vec::new());
    let mut flush = |batch: &mut Batch, counts: &mut Vec<usize>| -> Done {
        if counts.is_empty() {
            return Ok(());
        }
        let found = engine.losses(batch, used)?;
        let mut found = found.as_slice();
        for count in counts.iter() {
            let (own, rest) = found.split_at(*count);
            all.push(own.to_vec());
            found = rest;
        }
        done(counts.len());
        *batch = Batch::default();
        counts.clear();
        Ok(())
    };
    for document in documents {
        if batch.tokens() + document.ids.len() > BATCH {
            flush(&mut batch, &mut counts)?;
        }
        let before = batch.supervised.len();
        batch.push(0, &document.ids, &document.learned);
        counts.push(batch.supervised.len() - before);
    }
    flush(&mut batch, &mut counts)?;
    Ok(all)
}
