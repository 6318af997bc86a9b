//! Held-out rows as items: what is given, what is right, what it could be taken for, and which items know of each other.
//!
//! Which rows are looked at is decided by their ids and the seed, so that every evaluation of one data set meets the same
//! ones, whatever the order of the files.

use super::{kind::Kind, language::Language};
use crate::{
    artifacts::{named, samples::rank, sums},
    chat::Message,
    curation::{row::id_key, split::Manifest, words::DataSet},
    evaluation::job::{DataFile, EvaluationSettings, Items},
    lora::tokens::{Example, Row},
    training::philox::philox,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::Path,
};

/// One held-out row.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its id, no other's.
    pub id: String,
    /// The data set that it is of.
    pub dataset: String,
    /// Its component.
    pub cluster: u32,
    /// What it asks for.
    pub kind: Kind,
    /// The conversation as people read it; empty for rows that are tokens already.
    pub turns: Vec<Message>,
    /// All of it, as the model sees it.
    pub example: Example,
    /// The tokens of its last answer.
    pub answer: std::ops::Range<usize>,
    /// The text of that answer.
    pub right: String,
    /// A worse answer that the row itself has.
    pub rejected: Option<Example>,
    /// Whether it is answered by decoding, too.
    pub generated: bool,
}

impl Item {
    /// What is given.
    pub fn prompt(&self) -> &[u32] {
        &self.example.ids[..self.answer.start]
    }

    /// What is right, to its end.
    pub fn answer(&self) -> &[u32] {
        &self.example.ids[self.answer.clone()]
    }
}

/// What is measured on.
#[derive(Debug)]
pub struct Held {
    /// The items, in the order of the files.
    pub items: Vec<Item>,
    /// What became of the rows.
    pub counts: Items,
    /// The files.
    pub files: Vec<DataFile>,
}

/// A row before it is an item.
struct Line {
    rank: u64,
    place: usize,
    id: String,
    dataset: String,
    cluster: String,
    row: Value,
}

/// Reads the items. `most` is the longest row that the model takes, in tokens.
///
/// # Errors
/// A sentence: a file that cannot be read, a line that is no row, with its number; nothing to measure, with the reasons.
pub fn read(
    files: &[String],
    settings: &EvaluationSettings,
    most: usize,
    language: &dyn Language,
) -> Result<Held, String> {
    let (mut lines, mut found) = (Vec::new(), Vec::new());
    for file in files {
        let before = lines.len();
        lines_of(Path::new(file), settings.seed, &mut lines)?;
        found.push(DataFile {
            path: file.clone(),
            sha256: sums::digest(Path::new(file)).map_err(|error| error.to_string())?,
            rows: (lines.len() - before) as u64,
        });
    }
    let mut counts = Items {
        read: lines.len() as u64,
        ..Items::default()
    };
    lines.sort_unstable_by(|a, b| (a.rank, &a.id, a.place).cmp(&(b.rank, &b.id, b.place)));
    let wanted = match settings.items {
        0 => usize::MAX,
        some => usize::try_from(some).unwrap_or(usize::MAX),
    };
    let mut items: Vec<(usize, String, Item)> = Vec::new();
    for line in lines {
        if items.len() >= wanted {
            counts.left_out += 1;
            continue;
        }
        match item(&line, language) {
            Err(_) => counts.unanswered += 1,
            Ok(item) if longest(&item) > most => counts.too_long += 1,
            Ok(mut item) => {
                item.generated = (items.len() as u64) < settings.generate;
                items.push((line.place, line.cluster, item));
            }
        }
    }
    items.sort_by_key(|(place, ..)| *place);
    let items = numbered(items);
    if items.is_empty() {
        return Err(format!(
            "there is no item to measure in {}: of {} rows {} are longer than {most} tokens and {} have no answer to measure",
            files.join(", "),
            counts.read,
            counts.too_long,
            counts.unanswered
        ));
    }
    counts.measured = items.len() as u64;
    let clusters: HashSet<u32> = items.iter().map(|item| item.cluster).collect();
    counts.clusters = clusters.len() as u64;
    Ok(Held {
        items,
        counts,
        files: found,
    })
}

fn longest(item: &Item) -> usize {
    let other = item.rejected.as_ref().map_or(0, |row| row.ids.len());
    item.example.ids.len().max(other)
}

/// Components numbered in the order of their items, and no id twice.
fn numbered(items: Vec<(usize, String, Item)>) -> Vec<Item> {
    let (mut clusters, mut ids) = (HashMap::new(), HashSet::new());
    let number = |(place, cluster, mut item): (usize, String, Item)| {
        let next = clusters.len() as u32;
        item.cluster = *clusters.entry(cluster).or_insert(next);
        if !ids.insert(item.id.clone()) {
            item.id = format!("{}#{place}", item.id);
            ids.insert(item.id.clone());
        }
        item
    };
    items.into_iter().map(number).collect()
}

fn lines_of(path: &Path, seed: u64, lines: &mut Vec<Line>) -> Result<(), String> {
    let file = File::open(path).map_err(|error| named(error, "read", path).to_string())?;
    let dataset = dataset(path);
    let components = components(path, dataset.parse::<DataSet>().is_ok())?;
    let before = lines.len();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|error| named(error, "read", path).to_string())?;
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |why: String| format!("{}: line {number}: {why}", path.display());
        let row: Value = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        if !row.is_object() {
            return Err(wrong("it is no row: a JSON object".into()));
        }
        let id = match row.get("id") {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => format!("{dataset}:{number}"),
        };
        let source = row.get("trajectory_id").and_then(Value::as_str);
        let component = source.and_then(|source| components.get(&key(source)));
        let cluster = component.map(String::as_str).or(source).unwrap_or(&id);
        lines.push(Line {
            rank: rank(seed, &id),
            place: lines.len(),
            cluster: cluster.to_owned(),
            dataset: dataset.clone(),
            id,
            row,
        });
    }
    match lines.len() - before {
        0 => Err(format!("{}: there is no row in it", path.display())),
        _ => Ok(()),
    }
}

fn key(id: &str) -> String {
    format!("{:032x}", id_key(id))
}

/// The name of the data set that a file is a split of; a foreign one has its own name.
fn dataset(path: &Path) -> String {
    let name = |path: Option<&Path>| Some(path?.file_name()?.to_string_lossy().into_owned());
    let parent = name(path.parent()).filter(|name| name.parse::<DataSet>().is_ok());
    let own = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    parent.or(own).unwrap_or_default()
}

/// The component of each key that the data set's manifest knows; of a foreign file none. A manifest that cannot be read is
/// no reason to take rows for strangers that are not: intervals would be too narrow.
fn components(path: &Path, ours: bool) -> Result<HashMap<String, String>, String> {
    let Some(root) = path.parent().and_then(Path::parent) else {
        return Ok(HashMap::new());
    };
    let path = root.join("manifest.json");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(named(error, "read", &path).to_string()),
    };
    let manifest = match serde_json::from_slice::<Manifest>(&text) {
        Ok(manifest) => manifest,
        // Another program's manifest is none of ours, and says nothing.
        Err(_) if !ours && is_foreign(&text) => return Ok(HashMap::new()),
        Err(error) => {
            let path = path.display();
            return Err(format!(
                "{path} says which rows know of each other and cannot be read: {error}"
            ));
        }
    };
    let all = manifest.test_components.into_iter();
    Ok(all
        .flat_map(|component| {
            let name = component.key;
            component
                .members
                .into_iter()
                .map(move |member| (member, name.clone()))
        })
        .collect())
}

/// JSON of another kind.
fn is_foreign(text: &[u8]) -> bool {
    serde_json::from_slice::<Value>(text).is_ok_and(|found| found.get("test_components").is_none())
}

fn item(line: &Line, language: &dyn Language) -> Result<Item, String> {
    let (example, rejected) = match language.row(&line.row)? {
        Row::Sft(example) => (example, None),
        Row::Pair { chosen, rejected } => (chosen, Some(rejected)),
    };
    let answer = last_learned(&example).ok_or("nothing in it is learned")?;
    if let Some(rejected) = &rejected {
        last_learned(rejected).ok_or("nothing in the rejected answer is learned")?;
    }
    let ids = &example.ids[answer.clone()];
    let ended = ids
        .last()
        .is_some_and(|last| language.ends().contains(last));
    let right = language.text(&ids[..ids.len() - usize::from(ended)]);
    Ok(Item {
        id: line.id.clone(),
        dataset: line.dataset.clone(),
        cluster: 0,
        kind: Kind::of(&line.row, &right),
        turns: turns(&line.row),
        example,
        answer,
        right,
        rejected,
        generated: false,
    })
}

/// The last run of learned tokens; the first token of a row is never learned, as nothing comes before it.
pub fn last_learned(example: &Example) -> Option<std::ops::Range<usize>> {
    let end = example.learned.iter().rposition(|learned| *learned)? + 1;
    let before = example.learned[..end].iter().rposition(|learned| !*learned);
    let start = before.map_or(0, |at| at + 1).max(1);
    (start < end).then_some(start..end)
}

/// What is given, as people read it: all turns but the answer.
fn turns(row: &Value) -> Vec<Message> {
    let list = |key: &str| {
        row.get(key)
            .and_then(|value| crate::chat::messages(key, value).ok())
    };
    if let Some(prompt) = list("prompt") {
        return prompt;
    }
    let mut turns = list("messages").unwrap_or_default();
    turns.pop();
    turns
}

/// For each item the items whose answers stand beside its own, drawn by the seed among those of its data set: of other text,
/// and short enough for the model. An item of a pair has its own, and for some there is none.
pub fn distractors(items: &[Item], settings: &EvaluationSettings, most: usize) -> Vec<Vec<usize>> {
    let mut of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        of.entry(&item.dataset).or_default().push(at);
    }
    let wanted = (settings.options as usize).saturating_sub(1);
    let chosen = |item: &Item| {
        let pool = &of[item.dataset.as_str()];
        if item.rejected.is_some() || wanted == 0 {
            return Vec::new();
        }
        let mut found: Vec<usize> = Vec::new();
        let id = rank(settings.seed, &item.id);
        let key = [settings.seed as u32, (settings.seed >> 32) as u32];
        // After so many draws there are not enough of another text.
        for draw in 0..wanted as u32 * 32 {
            let number = philox([id as u32, (id >> 32) as u32, draw, STREAM], key)[0];
            let other = pool[((u64::from(number) * pool.len() as u64) >> 32) as usize];
            let new = std::iter::once(item)
                .chain(found.iter().map(|at| &items[*at]))
                .all(|known| known.answer() != items[other].answer());
            if new && item.prompt().len() + items[other].answer().len() <= most {
                found.push(other);
                if found.len() == wanted {
                    break;
                }
            }
        }
        found
    };
    items.iter().map(chosen).collect()
}

/// Keeps these draws apart from others of the same seed.
const STREAM: u32 = 0x6f70_7473;
