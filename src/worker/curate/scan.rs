//! The first pass: every row once, and of each only what decisions need.

use super::{
    Job, Tell, Told,
    against::Against,
    output,
    spill::{Spill, Spilling},
    undone,
};
use crate::{
    artifacts::{
        corpus::{Again, Corpus, Item, Limits, Place, Shape, Source, Tally, What},
        executions::Executions,
    },
    curation::{
        asked::Said,
        fates::Key,
        near::{shingles, text_key},
        row::{self, Bar, Seen},
        sets,
        split::{Member, thaw},
        value::Frequencies,
        words::Reason,
    },
    trajectory::TrajectoryRecord,
    worker::Undone,
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    thread,
};

/// Rows between two words about progress.
const OFTEN: u64 = 5_000;

/// What the first pass found.
#[derive(Debug)]
pub struct Scanned {
    /// Every row.
    pub keys: Vec<Key>,
    /// Where each of them is.
    pub places: Vec<Place>,
    /// Lines that are no rows.
    pub unread: Vec<Unread>,
    /// The input, to read rows again.
    pub corpus: Corpus,
    /// What running workflows adds to rows.
    executions: Executions,
    /// Rows that no template made and that say something, in the order of their sets.
    pub free: Vec<u32>,
    /// For each row the number of its set; `u32::MAX` where it has none.
    pub set_of: Vec<u32>,
    /// The sets.
    pub sets: Spill,
    /// Rows that overlap with an evaluation set, with their similarity.
    pub contaminated: HashMap<u32, f32>,
    /// How often organisms and tools are met.
    pub frequencies: Frequencies,
    /// Rows that are trajectories of the built-in generator.
    /// What was odd about the input and cost no row, with how often it was so.
    pub notes: Vec<(&'static str, u64)>,
    /// What rows are held against.
    pub against: Against,
    said: Vec<Said>,
    said_ends: Vec<u32>,
    ours: Vec<bool>,
    missing: HashMap<u32, &'static str>,
}

/// A line that is no row.
#[derive(Clone, Debug, PartialEq)]
pub struct Unread {
    /// Why.
    pub reason: Reason,
    /// In more words.
    pub why: String,
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// How it begins.
    pub excerpt: String,
}

/// What one item comes to, before rows have numbers.
enum Found {
    Row {
        seen: Box<Seen>,
        place: Place,
        set: Vec<u32>,
        contaminated: Option<f32>,
        record: Option<Box<TrajectoryRecord>>,
        said: Vec<Said>,
    },
    Unread(Unread),
}

/// Reads everything.
///
/// # Errors
/// A sentence naming the file; what the machine lacks is to be tried again.
pub fn scan(job: &Job, tell: Tell<'_>) -> Result<Scanned, Undone> {
    let spill = place_to_spill(job)?;
    let against = Against::load(&job.settings)?;
    let corpus = Corpus::open(&job.inputs, Limits::default())
        .map_err(|error| undone("the input cannot be read", &error))?;
    let bar = Bar {
        min_quality: job.settings.min_quality,
        min_words: job.settings.min_words as usize,
    };
    let mut gathered = Gathered::new(&spill)?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut done = 0;
    let executions = Executions::read(&job.executions)
        .map_err(|error| undone("what was run cannot be read", &error))?;
    let look = |item: Item| found(item, &corpus, bar, &against, &executions);
    let take = |found: Found| -> io::Result<()> {
        gathered.take(found)?;
        done += 1;
        if done % OFTEN == 0 {
            tell(Told {
                stage: "read",
                done,
                total: 0,
            });
        }
        Ok(())
    };
    let tallies = corpus
        .read_parallel(threads, look, take)
        .map_err(|error| undone("the input cannot be read", &error))?;
    tell(Told {
        stage: "read",
        done,
        total: done,
    });
    let notes = notes(&corpus, &tallies, &against);
    gathered.finish(corpus, executions, against, notes)
}

fn notes(corpus: &Corpus, tallies: &[Tally], against: &Against) -> Vec<(&'static str, u64)> {
    let all: Tally = tallies.iter().copied().sum();
    let lines = |source: &&Source| source.shape != Shape::Lines;
    let others = corpus.files().iter().filter(lines).count() as u64;
    let notes = [
        ("torn_last_line", all.torn),
        ("blank_lines", all.blank),
        ("files_that_are_no_json_lines", others),
        ("evaluation_rows_without_a_text", against.unread),
    ];
    notes.into_iter().filter(|(_, times)| *times > 0).collect()
}

/// Beside the output, where there is room for a data set; else where temporary files go.
fn place_to_spill(job: &Job) -> Result<PathBuf, Undone> {
    let Some(output) = &job.output else {
        return Ok(std::env::temp_dir());
    };
    let parent = output.parent().unwrap_or(Path::new("/")).to_path_buf();
    fs::create_dir_all(&parent)
        .map_err(|error| undone("the data set cannot be written", &error))?;
    // What an interrupted run left takes room that this one may need.
    let left = output::making(output);
    if left.exists() {
        fs::remove_dir_all(&left)
            .map_err(|error| undone("what was left cannot be removed", &error))?;
    }
    Ok(parent)
}

fn found(
    item: Item,
    corpus: &Corpus,
    bar: Bar,
    against: &Against,
    executions: &Executions,
) -> Found {
    let place = item.at;
    let unread = |reason: Reason, why: String, excerpt: String| {
        Found::Unread(Unread {
            reason,
            why,
            file: corpus.files()[place.file as usize]
                .path
                .file_name()
                .map_or(String::new(), |name| name.to_string_lossy().into_owned()),
            line: place.line,
            excerpt,
        })
    };
    let mut value = match item.what {
        What::Row(value) => value,
        What::Invalid {
            reason,
            why,
            excerpt,
        } => {
            let reason = reason.name().parse().unwrap_or(Reason::InvalidJson);
            return unread(reason, why, excerpt);
        }
    };
    if let Value::Object(row) = &mut value {
        executions.join(row);
    }
    let mut seen = match Seen::read(&value, bar) {
        Ok(seen) => seen,
        Err(reason) => {
            return unread(
                reason,
                "this is JSON and no object".into(),
                value.to_string().chars().take(200).collect(),
            );
        }
    };
    // What only looks like one of ours is somebody else's.
    let record = seen
        .ours
        .then(|| TrajectoryRecord::deserialize(&value).ok())
        .flatten();
    seen.ours = record.is_some();
    let mut set = Vec::new();
    let wanted =
        seen.refused.is_none() && (seen.structure.is_none() || against.evaluation.is_some());
    if let Some(text) = seen.text.as_deref().filter(|_| wanted) {
        shingles(text, &mut set);
    }
    // What is trained on is what a trajectory teaches, not its query alone.
    let taught = record.as_ref().filter(|_| seen.refused.is_none());
    let taught = taught.map_or_else(Vec::new, |record| sets::rows(record, 0.0));
    let said = match (seen.structure, seen.text.as_deref()) {
        _ if !taught.is_empty() => taught.iter().map(Said::of).collect(),
        (Some(_), Some(text)) if !seen.ours => vec![Said::of_foreign(text_key(text), seen.content)],
        _ => Vec::new(),
    };
    let contaminated = against.contaminated(&seen, &set, &taught);
    Found::Row {
        seen: Box::new(seen),
        place,
        set,
        contaminated,
        record: record.map(Box::new),
        said,
    }
}

/// A name as a number that is the same in every data set.
fn number(name: &str) -> u32 {
    text_key(name) as u32
}

/// What is gathered so far.
struct Gathered {
    keys: Vec<Key>,
    places: Vec<Place>,
    unread: Vec<Unread>,
    free: Vec<u32>,
    set_of: Vec<u32>,
    sets: Spilling,
    contaminated: HashMap<u32, f32>,
    frequencies: Frequencies,
    said: Vec<Said>,
    said_ends: Vec<u32>,
    made_ids: u64,
    ours: Vec<bool>,
    missing: HashMap<u32, &'static str>,
}

impl Gathered {
    fn new(spill: &Path) -> Result<Self, Undone> {
        let sets =
            Spilling::new(spill).map_err(|error| undone("nothing can be put aside", &error))?;
        Ok(Self {
            keys: Vec::new(),
            places: Vec::new(),
            unread: Vec::new(),
            free: Vec::new(),
            set_of: Vec::new(),
            sets,
            contaminated: HashMap::new(),
            frequencies: Frequencies::default(),
            said: Vec::new(),
            said_ends: Vec::new(),
            made_ids: 0,
            ours: Vec::new(),
            missing: HashMap::new(),
        })
    }

    fn take(&mut self, found: Found) -> io::Result<()> {
        let (seen, place, set, contaminated, record, said) = match found {
            Found::Unread(unread) => {
                self.unread.push(unread);
                return Ok(());
            }
            Found::Row {
                seen,
                place,
                set,
                contaminated,
                record,
                said,
            } => (*seen, place, set, contaminated, record, said),
        };
        let row = u32::try_from(self.keys.len())
            .ok()
            .filter(|row| *row != u32::MAX)
            .ok_or_else(|| io::Error::other("there are more rows than can be counted"))?;
        if let Some(record) = record {
            self.frequencies.add(&record);
        }
        self.said.extend(said);
        let end = u32::try_from(self.said.len());
        self.said_ends
            .push(end.map_err(|_| io::Error::other("there are more rows than can be counted"))?);
        if let Some(similarity) = contaminated {
            self.contaminated.insert(row, similarity);
        }
        if let Some(what) = seen.missing {
            self.missing.insert(row, what);
        }
        let free = seen.structure.is_none() && !set.is_empty();
        self.set_of.push(if free {
            self.free.len() as u32
        } else {
            u32::MAX
        });
        if free {
            self.free.push(row);
            self.sets.push(&set)?;
        }
        self.places.push(place);
        self.made_ids += u64::from(!seen.given_id);
        self.ours.push(seen.ours);
        self.keys.push(Key {
            id: seen.id.into(),
            content: seen.content,
            score: seen.score.map(|score| score as f32),
            structure: seen.structure,
            text: seen.text.as_deref().map(text_key),
            source: seen.source,
            template: seen.template.as_deref().map(number),
            kind: seen.kind.as_deref().map(number),
            stratum: seen.stratum,
            success: seen.success,
            refused: seen.refused,
            frozen: None,
        });
        Ok(())
    }

    fn finish(
        mut self,
        corpus: Corpus,
        executions: Executions,
        against: Against,
        mut notes: Vec<(&'static str, u64)>,
    ) -> Result<Scanned, Undone> {
        for key in &mut self.keys {
            let mut one = [member(key)];
            thaw(&mut one, &against.frozen);
            key.frozen = one[0].frozen;
        }
        if self.made_ids > 0 {
            notes.push(("rows_without_an_id", self.made_ids));
        }
        // The same whatever the files' order.
        self.unread
            .sort_by(|a, b| (&a.file, a.line, &a.excerpt).cmp(&(&b.file, b.line, &b.excerpt)));
        let sets = self
            .sets
            .finish()
            .map_err(|error| undone("nothing can be put aside", &error))?;
        Ok(Scanned {
            keys: self.keys,
            places: self.places,
            unread: self.unread,
            corpus,
            executions,
            free: self.free,
            set_of: self.set_of,
            sets,
            contaminated: self.contaminated,
            frequencies: self.frequencies,
            notes,
            against,
            said: self.said,
            said_ends: self.said_ends,
            ours: self.ours,
            missing: self.missing,
        })
    }
}

impl Scanned {
    /// Whether a row is a trajectory of the built-in generator.
    pub fn is_ours(&self, row: u32) -> bool {
        self.ours[row as usize]
    }

    /// What its rows of data sets say.
    pub fn said(&self, row: u32) -> &[Said] {
        let start = row
            .checked_sub(1)
            .map_or(0, |before| self.said_ends[before as usize]);
        &self.said[start as usize..self.said_ends[row as usize] as usize]
    }

    /// What an incomplete row lacks.
    pub fn missing(&self, row: u32) -> Option<&'static str> {
        self.missing.get(&row).copied()
    }

    /// What binds a row to others.
    pub fn member(&self, row: u32) -> Member {
        member(&self.keys[row as usize])
    }

    /// A row again, as the data set may have it.
    ///
    /// # Errors
    /// The file has changed or cannot be read.
    pub fn read(&self, again: &mut Again<'_>, row: u32) -> io::Result<Value> {
        let mut value = again.read_at(&self.places[row as usize])?;
        if let Value::Object(object) = &mut value {
            self.executions.join(object);
            if self.is_ours(row) {
                row::timeless(object);
            }
        }
        Ok(value)
    }
}

fn member(key: &Key) -> Member {
    Member {
        id: row::id_key(&key.id),
        structure: key.structure,
        text: key.text.filter(|_| key.structure.is_none()),
        source: Some(key.source),
        template: key.template,
        kind: key.kind,
        stratum: key.stratum,
        frozen: key.frozen,
    }
}
