//! What rows are held against: evaluation sets, and what earlier data sets test on.

use super::undone;
use crate::{
    artifacts::corpus::{Corpus, Item, Limits, What},
    curation::{
        asked::Said,
        near::{Contamination, normalised, shingles, text_key},
        row::{self, Seen, id_key},
        sets::SetRow,
        split::{Frozen, Manifest},
        words::{DataSet, Split},
    },
    machines::spec::CurationSpec,
    worker::Undone,
};
use serde_json::{Map, Value};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What rows are held against.
#[derive(Debug)]
pub struct Against {
    /// Texts of evaluation sets.
    pub evaluation: Option<Contamination>,
    /// Rows of evaluation files that have no text to compare.
    pub unread: u64,
    /// The manifests of earlier data sets, as one.
    pub manifest: Option<Manifest>,
    /// What they test on.
    pub frozen: Frozen,
    /// Questions that they test on.
    pub questions: Vec<u64>,
    /// Free texts that they test on.
    texts: Option<Contamination>,
}

impl Against {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// A sentence naming the file; evaluation files without any text, for a check against nothing would pass everything.
    pub fn load(settings: &CurationSpec) -> Result<Against, Undone> {
        let manifest = earlier(&settings.frozen)?;
        let frozen = manifest
            .as_ref()
            .map_or(Ok(Frozen::default()), Manifest::frozen)?;
        let (mut sets, mut questions) = (Vec::new(), Vec::new());
        for file in &settings.frozen {
            tested(Path::new(file), &mut sets, &mut questions)?;
        }
        let (evaluation, unread) = evaluation(&settings.evaluation_files)?;
        Ok(Against {
            evaluation,
            unread,
            manifest,
            frozen,
            questions,
            texts: (!sets.is_empty()).then(|| Contamination::new(sets.into_iter())),
        })
    }

    /// How similar a row, or what it teaches, is to what it is not to be trained on.
    pub fn contaminated(&self, seen: &Seen, set: &[u32], taught: &[SetRow]) -> Option<f32> {
        let found = self.evaluation.as_ref().and_then(|evaluation| {
            let mut own = Vec::new();
            let mut asks = |row: &SetRow| {
                shingles(&normalised(&row::said(&row.row)?), &mut own);
                evaluation.check(&own)
            };
            evaluation
                .check(set)
                .or_else(|| taught.iter().find_map(&mut asks))
        });
        let found = found.or_else(|| {
            let text = seen.text.as_deref().filter(|_| seen.structure.is_none())?;
            let keys = [text_key(text), id_key(&seen.id), seen.source];
            // The very row that is tested on stays, where it is.
            let itself = keys.iter().any(|key| self.frozen.keys.contains_key(key));
            self.texts.as_ref().filter(|_| !itself)?.check(set)
        });
        found.map(|(_, similarity)| similarity as f32)
    }
}

/// Every row of files, as objects; what is none is counted.
fn objects(paths: &[PathBuf], mut each: impl FnMut(Map<String, Value>)) -> io::Result<u64> {
    let mut others = 0;
    let take = |item: Item| -> io::Result<()> {
        match item.what {
            What::Row(Value::Object(row)) => each(row),
            What::Row(_) | What::Invalid { .. } => others += 1,
        }
        Ok(())
    };
    Corpus::open(paths, Limits::default())?.read_parallel(1, |item| item, take)?;
    Ok(others)
}

fn set_of(row: &Map<String, Value>) -> Option<Vec<u32>> {
    let mut set = Vec::new();
    shingles(&normalised(&row::said(row)?), &mut set);
    Some(set)
}

fn evaluation(files: &[String]) -> Result<(Option<Contamination>, u64), Undone> {
    if files.is_empty() {
        return Ok((None, 0));
    }
    let paths: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    let (mut sets, mut silent) = (Vec::new(), 0);
    let unread = objects(&paths, |row| match set_of(&row) {
        Some(set) => sets.push(set),
        None => silent += 1,
    });
    let unread = unread.map_err(|error| undone("an evaluation file cannot be read", &error))?;
    if sets.is_empty() {
        let why = format!("there is no text to check against in {}", files.join(", "));
        return Err(why.into());
    }
    Ok((Some(Contamination::new(sets.into_iter())), unread + silent))
}

/// The manifests of earlier data sets, as one.
fn earlier(files: &[String]) -> Result<Option<Manifest>, Undone> {
    let mut all: Option<Manifest> = None;
    for file in files {
        let text =
            fs::read(file).map_err(|error| undone(&format!("{file} cannot be read"), &error))?;
        let one: Manifest = serde_json::from_slice(&text)
            .map_err(|error| format!("{file} is no manifest of a data set: {error}"))?;
        // Each is looked through, so that the file is named where it is wrong.
        one.frozen().map_err(|error| format!("{file}: {error}"))?;
        match &mut all {
            None => all = Some(one),
            Some(all) => {
                all.keep_out.extend(one.keep_out);
                all.test_components.extend(one.test_components);
            }
        }
    }
    Ok(all)
}

/// What the data set of a manifest tests on, read from the test files beside it: free texts, and questions of the others.
fn tested(
    manifest: &Path,
    sets: &mut Vec<Vec<u32>>,
    questions: &mut Vec<u64>,
) -> Result<(), Undone> {
    let dir = manifest.parent().unwrap_or(Path::new("."));
    for name in DataSet::ALL {
        for split in [Split::Test, Split::TestUnseenTemplate] {
            let file = dir.join(format!("{name}/{split}.jsonl"));
            if !file.exists() {
                continue;
            }
            let wrong =
                |error: io::Error| undone("a test of an earlier data set cannot be read", &error);
            objects(&[file], |row| match name {
                DataSet::Samples => sets.extend(set_of(&row)),
                set => questions.push(Said::of_map(*set, &row).question),
            })
            .map_err(wrong)?;
        }
    }
    Ok(())
}
