//! Everything that a training begins with: model, tokenizer, rows, and which rows each step learns from.

use super::{Tell, Told, holdout, identity::Identity, undone};
use crate::{
    digits::thousands,
    lora::{
        batch::Batch,
        files::ModelDir,
        tokens::{Read, Row, Tokens, batch, read_rows},
    },
    training::{job::FineTune, plan::Plan, settings::Settings, words::Loss},
    worker::Undone,
};
use std::path::{Path, PathBuf};

/// What a training begins with.
pub struct Prepared {
    /// The model's files, all there and of the right shapes.
    pub model: ModelDir,
    /// The rows to learn from.
    pub rows: Vec<Row>,
    places: Vec<(u32, u64)>,
    files: Vec<String>,
    /// The rows to look at.
    pub holdout: Vec<Row>,
    /// Rows left out for their length.
    pub too_long: u64,
    /// Rows cut to the length that they may have.
    pub truncated: u64,
    /// Rows that could not be used.
    pub refused: u64,
    /// Rows of the holdout that are not looked at.
    pub holdout_left_out: u64,
    /// Rows of the holdout that were cut.
    pub holdout_truncated: u64,
    /// Which rows each step learns from.
    pub plan: Plan,
    /// What all of it is.
    pub identity: Identity,
}

impl Prepared {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence that names the file, and what is wrong with it; no row to learn from, with the reasons by count, or fewer
    /// than are needed; a holdout that is learned from.
    pub fn read(asked: &FineTune, job: &FineTune, tell: Tell<'_>) -> Result<Self, Undone> {
        tell(Told::Stage("reading"));
        let model = ModelDir::open(Path::new(&job.model)).map_err(|error| error.to_string())?;
        let tokens = Tokens::open(Path::new(&job.model), model.decoder.vocabulary)?;
        let paths = |files: &[String]| files.iter().map(PathBuf::from).collect::<Vec<_>>();
        let context = model.decoder.context;
        let read = read_rows(&paths(&job.data), &tokens, &job.settings, context)?;
        notes("", &read, tell);
        enough(read.rows.len() as u64, job.minimum)?;
        let looked = if job.holdout.is_empty() {
            Read::default()
        } else {
            let looked = read_rows(&paths(&job.holdout), &tokens, &job.settings, context)?;
            notes(" of the holdout", &looked, tell);
            holdout::check(&looked.rows, &read.rows)?
                .into_iter()
                .for_each(|note| tell(Told::Note(note)));
            looked
        };
        let hash = model.hash();
        let hash = hash.map_err(|error| undone("the model cannot be read", &error))?;
        let identity = Identity::of(asked, job, hash)?;
        Ok(Self {
            plan: Plan::new(&read.lengths(), &job.settings)?,
            model,
            refused: read.refusals(),
            holdout_left_out: looked.refusals() + looked.too_long,
            holdout_truncated: looked.truncated,
            rows: read.rows,
            places: read.places,
            files: job.data.clone(),
            holdout: looked.rows,
            too_long: read.too_long,
            truncated: read.truncated,
            identity,
        })
    }

    /// Where a row stands: `file:line`.
    pub fn place(&self, row: u32) -> String {
        let (file, line) = self.places[row as usize];
        format!("{}:{line}", self.files[file as usize])
    }

    /// Tokens of a micro-batch of so many rows, and supervised ones of them: no batch has more.
    pub fn most(&self, settings: &Settings) -> [usize; 2] {
        let rows = settings.per_device_train_batch_size as usize;
        let sum = |mut each: Vec<usize>| -> usize {
            each.sort_unstable_by(|a, b| b.cmp(a));
            each.iter().take(rows).sum()
        };
        let longest = sum(self.rows.iter().map(|row| row.tokens() as usize).collect());
        let tokens = match settings.packing {
            true => longest.max(rows * settings.max_seq_length as usize),
            false => longest,
        };
        let supervised = match settings.packing {
            true => tokens,
            false => sum(self.rows.iter().map(Row::supervised).collect()),
        };
        [tokens, supervised]
    }

    /// These rows, as the model sees them.
    pub fn batch(&self, rows: &[u32]) -> Batch {
        batch(&self.rows, rows)
    }
}

/// Says what is not used as it is.
fn notes(of: &str, read: &Read, tell: Tell<'_>) {
    for refused in &read.refused {
        let (rows, why, first) = (refused.rows, &refused.why, &refused.first);
        tell(Told::Note(format!(
            "{rows} rows{of} are left out: {why} ({first})"
        )));
    }
    let others = [
        (read.too_long, "are longer than a row may be, and left out"),
        (read.truncated, "are cut to the length that a row may have"),
        (
            read.unended,
            "come as tokens whose last learned one is no end of a turn: their answers are learned without an end",
        ),
    ];
    for (rows, what) in others.into_iter().filter(|(rows, _)| *rows > 0) {
        tell(Told::Note(format!("{rows} rows{of} {what}")));
    }
}

/// Refuses fewer rows than are needed.
fn enough(rows: u64, needed: u64) -> Result<(), String> {
    if rows >= needed {
        return Ok(());
    }
    let (rows, needed) = (thousands(rows), thousands(needed));
    Err(format!(
        "{rows} rows can be learned from, {needed} are needed (minimum_examples)"
    ))
}

/// What one step is about, for the word that says it.
pub fn unit(loss: Loss) -> &'static str {
    match loss {
        Loss::Sft => "token",
        Loss::Dpo => "pair",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_rows_than_are_needed_are_refused_with_both_numbers() {
        assert_eq!(enough(5000, 5000), Ok(()));
        assert_eq!(
            enough(1204, 5000).unwrap_err(),
            "1,204 rows can be learned from, 5,000 are needed (minimum_examples)"
        );
    }
}
