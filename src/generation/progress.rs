//! Reads how far a generator says it is, from whatever it prints.
//!
//! Three sources are understood, in any mixture: our own `progress.jsonl`, JSON lines on stdout, and text (log lines, tqdm bars
//! with carriage returns and cursor movements). What comes out is a **hint**: good enough for a progress bar and for noticing
//! that something moves. The evidence is the samples on disk (see [`super::tally`]); nothing is ever complete because a log
//! line says so.
//!
//! The system this replaces took the first `n/m` it saw as the campaign's and so declared a pilot complete when one of five
//! sub-generators printed `38/38`. Here the total is always the campaign's own target, given to [`ProgressReader::new`], and a
//! counter with any other total is one part of it; the module `counter` states the rule by which parts are summed, and its limits.
//!
//! Pure: bytes in, values out, no clock and no files.

mod counter;
mod escapes;
mod json;
mod lines;
mod number;
mod ratio;
mod text;

#[cfg(test)]
mod tests;

use counter::Counter;
use lines::{Hints, LineSplitter};

/// The longest line that is read, in bytes; longer ones are dropped and counted in [`ProgressReader::overlong`].
pub const MAX_LINE: usize = 64 * 1024;

/// What a generator has said so far. A hint, never evidence of completion.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Progress {
    /// Samples done as far as the log tells; at most [`total`](Self::total), and equal to it only when the source's own
    /// totals reach the target. `None` until a counter was read.
    pub done: Option<u64>,
    /// The campaign's own target, never a number found in a log; `None` when the target is 0.
    pub total: Option<u64>,
    /// The latest quality, 0 to 1.
    pub quality: Option<f64>,
    /// The latest acceptance or pass rate, 0 to 1.
    pub acceptance: Option<f64>,
    /// The latest speed in samples per second.
    pub rate_per_second: Option<f64>,
    /// What the generator is working on: a domain, or `curation`.
    pub stage: Option<String>,
    /// Lines seen that were not empty; a carriage return or a NUL ends a line as a newline does.
    pub lines: u64,
    /// Those of them from which nothing was taken, dropped ones included.
    pub ignored: u64,
}

/// One `n/m` as it was printed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fraction {
    done: number::Count,
    total: number::Count,
    /// The speed that the same bar shows, in items per second.
    rate: Option<f64>,
}

/// A change of what the generator works on.
#[derive(Debug, Clone, PartialEq)]
enum Stage {
    /// A sub-generator: its counters are parts of the campaign's target.
    Part(String),
    /// Work after generation: its counters count something else.
    After(String),
}

/// Everything one line said.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    fractions: Vec<Fraction>,
    /// A count without a total.
    bare_done: Option<u64>,
    quality: Option<f64>,
    acceptance: Option<f64>,
    rate: Option<f64>,
    stage: Option<Stage>,
    /// An announcement such as `Target: 190 samples`: understood, and deliberately without effect.
    announcement: bool,
}

/// Follows one stream of output and keeps the latest [`Progress`].
///
/// Bytes may come in chunks of any size, with invalid UTF-8, escape sequences, NULs and carriage returns: the result depends
/// only on their concatenation. One reader follows one stream; after a truncation start a new one.
#[derive(Debug)]
pub struct ProgressReader {
    splitter: LineSplitter,
    state: State,
}

/// The reader without its line buffer, so that lines can be handled while they are borrowed from it.
#[derive(Debug)]
struct State {
    counter: Counter,
    progress: Progress,
    reading: Reading,
    plain: Vec<u8>,
    generating: bool,
}

impl ProgressReader {
    /// A reader for a stream whose producer was asked for `target` samples.
    #[must_use]
    pub fn new(target: u64) -> Self {
        let progress = Progress {
            total: (target > 0).then_some(target),
            ..Progress::default()
        };
        Self {
            splitter: LineSplitter::new(MAX_LINE),
            state: State {
                counter: Counter::new(target),
                progress,
                reading: Reading::default(),
                plain: Vec::new(),
                generating: true,
            },
        }
    }

    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Self { splitter, state } = self;
        splitter.feed(bytes, |line| state.line(line));
    }

    /// Reads an unfinished last line too; for when the producer has ended, since a live one may still be writing it.
    pub fn finish(&mut self) {
        let Self { splitter, state } = self;
        splitter.finish(|line| state.line(line));
    }

    /// The progress up to the last finished line.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let mut progress = self.state.progress.clone();
        progress.done = self.state.counter.done();
        progress.lines += self.overlong();
        progress.ignored += self.overlong();
        progress
    }

    /// Lines dropped because they were longer than [`MAX_LINE`].
    #[must_use]
    pub fn overlong(&self) -> u64 {
        self.splitter.dropped()
    }
}

impl State {
    fn line(&mut self, line: &[u8]) {
        self.progress.lines += 1;
        let hints = Hints::of(line);
        if !(hints.any() && self.read(line, hints) && self.apply()) {
            self.progress.ignored += 1;
        }
    }

    /// Parses a line into `self.reading`; false when it says nothing.
    fn read(&mut self, line: &[u8], hints: Hints) -> bool {
        self.reading.clear();
        let plain = escapes::strip(line, &mut self.plain);
        let body = text::without_task_label(plain);
        if body.starts_with(b"{\"") {
            json::read(body, &mut self.reading);
        } else {
            text::read(body, hints, &mut self.reading);
        }
        self.reading != Reading::default()
    }

    /// Takes over what the line said; false when all of it was refused.
    fn apply(&mut self) -> bool {
        let entered = self.apply_stage();
        let counted = self.generating && self.apply_counts();
        let Reading {
            quality,
            acceptance,
            rate,
            announcement,
            ..
        } = self.reading;
        let progress = &mut self.progress;
        progress.quality = quality.or(progress.quality);
        progress.acceptance = acceptance.or(progress.acceptance);
        progress.rate_per_second = rate.or(progress.rate_per_second);
        let measured = quality.or(acceptance).or(rate).is_some();
        entered || counted || measured || announcement
    }

    fn apply_stage(&mut self) -> bool {
        let Some(stage) = self.reading.stage.take() else {
            return false;
        };
        let name = match stage {
            Stage::Part(name) => {
                self.generating = true;
                self.counter.enter(&name);
                name
            }
            Stage::After(name) => {
                self.generating = false;
                name
            }
        };
        self.progress.stage = Some(name);
        true
    }

    fn apply_counts(&mut self) -> bool {
        let mut counted = false;
        for fraction in &self.reading.fractions {
            if self.counter.observe(fraction.done, fraction.total) {
                counted = true;
                self.progress.rate_per_second = fraction.rate.or(self.progress.rate_per_second);
            }
        }
        if let Some(done) = self.reading.bare_done {
            counted |= self.counter.observe_bare(done);
        }
        counted
    }
}

impl Reading {
    /// Empties the reading but keeps its allocation for the next line.
    fn clear(&mut self) {
        let mut fractions = std::mem::take(&mut self.fractions);
        fractions.clear();
        *self = Self {
            fractions,
            ..Self::default()
        };
    }
}
