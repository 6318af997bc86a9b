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
use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

/// What a training begins with.
pub struct Prepared {
    /// The model's files, all there and of the right shapes.
    pub model: Rc<ModelDir>,
    /// The rows to learn from.
    pub read: Rc<Read>,
    files: Vec<String>,
    /// The rows to look at.
    pub looked: Rc<Read>,
    /// Which rows each step learns from.
    pub plan: Plan,
    /// What all of it is.
    pub identity: Identity,
}

/// What several trainings read once: members of a sweep have the model in common, and most have the rows.
#[derive(Default)]
pub struct Sources {
    model: Option<(Rc<ModelDir>, Tokens)>,
    hash: Option<String>,
    rows: Vec<(RowsOf, Rc<Read>)>,
}

/// What rows as tokens are a function of, besides the model.
#[derive(Clone, PartialEq)]
struct RowsOf {
    files: Vec<String>,
    loss: Loss,
    most: u32,
}

impl Sources {
    /// The model and its tokenizer; of the first training that asks, whose model all others have.
    fn model(&mut self, dir: &str) -> Result<&(Rc<ModelDir>, Tokens), Undone> {
        let model = match self.model.take() {
            Some(model) => model,
            None => {
                let model = ModelDir::open(Path::new(dir)).map_err(|error| error.to_string())?;
                let tokens = Tokens::open(Path::new(dir), model.decoder.vocabulary)?;
                (Rc::new(model), tokens)
            }
        };
        Ok(self.model.insert(model))
    }

    /// The model's digest: asked for last, since every byte of it is read.
    fn hash(&mut self, model: &ModelDir) -> Result<String, Undone> {
        let hash = match self.hash.take() {
            Some(hash) => hash,
            None => model
                .hash()
                .map_err(|error| undone("the model cannot be read", &error))?,
        };
        Ok(self.hash.insert(hash).clone())
    }

    /// The rows of files, and whether they were read just now.
    fn rows(&mut self, files: &[String], job: &FineTune) -> Result<(Rc<Read>, bool), Undone> {
        let of = RowsOf {
            files: files.to_vec(),
            loss: job.settings.loss,
            most: job.settings.max_seq_length,
        };
        if let Some((_, read)) = self.rows.iter().find(|(known, _)| *known == of) {
            return Ok((read.clone(), false));
        }
        let paths: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let (model, tokens) = self.model(&job.model)?;
        let read = read_rows(&paths, tokens, &job.settings, model.decoder.context)?;
        let read = Rc::new(read);
        self.rows.push((of, read.clone()));
        Ok((read, true))
    }
}

impl Prepared {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence that names the file, and what is wrong with it; no row to learn from, with the reasons by count, or fewer
    /// than are needed; a holdout that is learned from.
    pub fn read(
        sources: &mut Sources,
        asked: &FineTune,
        job: &FineTune,
        tell: Tell<'_>,
    ) -> Result<Self, Undone> {
        tell(Told::Stage("reading"));
        let model = sources.model(&job.model)?.0.clone();
        let (read, new) = sources.rows(&job.data, job)?;
        if new {
            notes("", &read, tell);
        }
        enough(read.rows.len() as u64, job.minimum)?;
        let mut looked = Rc::new(Read::default());
        if !job.holdout.is_empty() {
            let new;
            (looked, new) = sources.rows(&job.holdout, job)?;
            if new {
                notes(" of the holdout", &looked, tell);
            }
            let found = holdout::check(&looked.rows, &read.rows)?;
            for note in found.into_iter().filter(|_| new) {
                tell(Told::Note(note));
            }
        }
        let identity = Identity::of(asked, job, sources.hash(&model)?)?;
        Ok(Self {
            plan: Plan::new(&read.lengths(), &job.settings)?,
            model,
            read,
            files: job.data.clone(),
            looked,
            identity,
        })
    }

    /// Where a row stands: `file:line`.
    pub fn place(&self, row: u32) -> String {
        let (file, line) = self.read.places[row as usize];
        format!("{}:{line}", self.files[file as usize])
    }

    /// Tokens of a micro-batch of so many rows, and supervised ones of them: no batch has more.
    pub fn most(&self, settings: &Settings) -> [usize; 2] {
        let rows = settings.per_device_train_batch_size as usize;
        let sum = |mut each: Vec<usize>| -> usize {
            each.sort_unstable_by(|a, b| b.cmp(a));
            each.iter().take(rows).sum()
        };
        let longest = sum(self
            .read
            .rows
            .iter()
            .map(|row| row.tokens() as usize)
            .collect());
        let tokens = match settings.packing {
            true => longest.max(rows * self.plan.packed().map_or(0, |packed| packed.room as usize)),
            false => longest,
        };
        let supervised = match settings.packing {
            true => tokens,
            false => sum(self.read.rows.iter().map(Row::supervised).collect()),
        };
        [tokens, supervised]
    }

    /// The same of a look at the holdout.
    pub fn most_looked(&self, settings: &Settings) -> [usize; 2] {
        let rows = settings.per_device_train_batch_size.max(1) as usize;
        let looks = self.looked.rows.chunks(rows).map(|rows| {
            let tokens = rows.iter().map(|row| row.tokens() as usize).sum();
            [tokens, rows.iter().map(Row::supervised).sum()]
        });
        looks.fold([0; 2], |[a, b], [c, d]: [usize; 2]| [a.max(c), b.max(d)])
    }

    /// These rows, as the model sees them.
    pub fn batch(&self, rows: &[u32]) -> Batch {
        batch(&self.read.rows, rows)
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
