//! The second pass: the rows that stay, in the order of their ids, as data sets; and everything that is said of them.

use super::{Job, Tell, Told, facts, judge::Judged, output, scan::Scanned};
use crate::{
    artifacts::{create_dir_private, table::TableWriter},
    curation::{
        asked::{Again, Asked, Said},
        card::{About, card},
        fates::Fate,
        row,
        schema::{
            Inference, Schema,
            features::{Config, configs_yaml},
        },
        sets::{self, SetRow},
        stats::{Stats, Summary},
        value::{Judged as Valued, training_value},
        words::{DataSet, Split},
    },
    report::page,
    trajectory::TrajectoryRecord,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

/// Samples between two words about progress.
const OFTEN: usize = 1_000;
/// Samples that may wait to be written.
const AHEAD: usize = 32;

/// Writes the whole directory; gives the rows by data set.
///
/// # Errors
/// Those of the file system; nothing is left under the output's name.
pub fn write(
    job: &Job,
    output: &Path,
    scanned: &Scanned,
    judged: &Judged,
    tell: Tell<'_>,
) -> io::Result<BTreeMap<&'static str, u64>> {
    let making = output::begin(output)?;
    let samples = samples(scanned, judged)?;
    let mut tables = Tables {
        making: making.clone(),
        samples,
        open: BTreeMap::new(),
    };
    let mut stats = fill(&mut tables, scanned, judged, tell)?;
    let written = tables.finish()?;
    rejected(&making, scanned, judged, &mut stats)?;
    for (split, rows) in components(judged) {
        stats.component(split, rows);
    }
    for (note, times) in &scanned.notes {
        stats.note(note, *times);
    }
    if judged.unchecked > 0 {
        stats.note("near_duplicate_pairs_not_compared", judged.unchecked);
    }
    let summary = stats.finish();
    describe(job, &making, judged, &written, &summary)?;
    output::end(&making, output)?;
    let mut by_set = BTreeMap::new();
    for ((set, _), rows) in &written.rows {
        *by_set.entry(set.name()).or_insert(0) += rows;
    }
    Ok(by_set)
}

/// Each component's split and rows.
fn components(judged: &Judged) -> impl Iterator<Item = (Split, u64)> {
    let mut all: BTreeMap<u32, (Split, u64)> = BTreeMap::new();
    for (component, split) in judged.placed.component.iter().zip(&judged.placed.split) {
        all.entry(*component).or_insert((*split, 0)).1 += 1;
    }
    all.into_values()
}

/// The columns of foreign rows: those of all that stay.
fn samples(scanned: &Scanned, judged: &Judged) -> io::Result<Schema> {
    let mut columns = Inference::default();
    let mut again = scanned.corpus.again();
    for row in judged.kept.iter().filter(|row| !scanned.is_ours(**row)) {
        if let Value::Object(object) = scanned.read(&mut again, *row)? {
            columns.add(&row::sample(object));
        }
    }
    Ok(row::schema(columns.schema()))
}

/// Reading and turning on one thread, writing on another.
fn fill(
    tables: &mut Tables,
    scanned: &Scanned,
    judged: &Judged,
    tell: Tell<'_>,
) -> io::Result<Stats> {
    let samples = tables.samples.clone();
    thread::scope(|scope| {
        let (send, receive) = sync_channel(AHEAD);
        let reading = scope.spawn(move || turn_all(scanned, judged, &samples, &send));
        let written = take_all(tables, &receive, judged.kept.len(), tell);
        // The reader stops at its next sample when nobody takes them.
        drop(receive);
        let read = reading.join().expect("reading does not panic");
        written.and(read)
    })
}

type Turned = (Split, Vec<SetRow>);

fn take_all(
    tables: &mut Tables,
    receive: &Receiver<Turned>,
    total: usize,
    tell: Tell<'_>,
) -> io::Result<()> {
    for (done, (split, rows)) in receive.iter().enumerate() {
        for row in rows {
            tables.push(split, &row)?;
        }
        if (done + 1) % OFTEN == 0 || done + 1 == total {
            let (done, total) = (done as u64 + 1, total as u64);
            tell(Told {
                stage: "write",
                done,
                total,
            });
        }
    }
    Ok(())
}

fn turn_all(
    scanned: &Scanned,
    judged: &Judged,
    samples: &Schema,
    send: &SyncSender<Turned>,
) -> io::Result<Stats> {
    let mut stats = Stats::default();
    let mut again = scanned.corpus.again();
    let mut asked = judged.asked.clone();
    for (at, row) in judged.kept.iter().enumerate() {
        let split = judged.split(at);
        let nearest = Some(f64::from(judged.nearest[at])).filter(|similarity| *similarity > 0.0);
        let value = scanned.read(&mut again, *row)?;
        let rows = if scanned.is_ours(*row) {
            trajectory(scanned, &value, split, nearest, &mut stats)?
        } else {
            foreign(value, samples, split, nearest, &mut stats)
        };
        let rows = once(rows, scanned.said(*row), split, &mut asked, &mut stats);
        if rows.is_empty() {
            stats.in_no_set();
        }
        for row in &rows {
            let (prompt, answer) = tokens(&row.row);
            stats.row(row.set, split, prompt, answer);
        }
        if send.send((split, rows)).is_err() {
            break;
        }
    }
    Ok(stats)
}

/// The rows that nobody before them says, and nobody in another split asks.
fn once(
    rows: Vec<SetRow>,
    said: &[Said],
    split: Split,
    asked: &mut Asked,
    stats: &mut Stats,
) -> Vec<SetRow> {
    if said.is_empty() {
        return rows;
    }
    let mut stays = |(row, said): (SetRow, &Said)| {
        let again = asked.again(*said, split);
        if let Some(again) = again {
            let why = match again {
                Again::AskedElsewhere => "ask what another split has",
                Again::SaidAlready => "say what another row says",
            };
            stats.note(&format!("rows of {} left out: they {why}", row.set), 1);
        }
        again.is_none().then_some(row)
    };
    rows.into_iter().zip(said).filter_map(&mut stays).collect()
}

fn trajectory(
    scanned: &Scanned,
    value: &Value,
    split: Split,
    nearest: Option<f64>,
    stats: &mut Stats,
) -> io::Result<Vec<SetRow>> {
    let mut value = value.clone();
    // It was taken out so that it can be in no data set; the record has to have one.
    if let Value::Object(object) = &mut value {
        object.insert("created_at".into(), "".into());
    }
    let record = TrajectoryRecord::deserialize(&value)?;
    let valued = Valued::of(&record, &scanned.frequencies, nearest.unwrap_or(0.0));
    let (worth, _) = training_value(&valued);
    stats.add(&facts::of_trajectory(&record, worth, split, nearest));
    Ok(sets::rows(&record, worth))
}

fn foreign(
    value: Value,
    samples: &Schema,
    split: Split,
    nearest: Option<f64>,
    stats: &mut Stats,
) -> Vec<SetRow> {
    let Value::Object(object) = value else {
        return Vec::new();
    };
    stats.add(&facts::of_row(&object, split, nearest));
    let note = &mut |key: &str, _| stats.note(&format!("value of {key} kept as text"), 1);
    vec![SetRow {
        set: DataSet::Samples,
        row: row::conform(samples, row::sample(object), note),
    }]
}

/// Estimated tokens of what is given and of what is to be said: characters / 4.
fn tokens(row: &Map<String, Value>) -> (u64, u64) {
    let chars = |turn: &Value| {
        let said = turn.get("content").and_then(Value::as_str).unwrap_or("");
        said.chars().count() as u64
    };
    let list = |key: &str| {
        row.get(key)
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
    };
    let (asked, answered): (u64, u64) = if row.get("chosen").is_some_and(Value::is_array) {
        (
            list("prompt").iter().map(chars).sum(),
            list("chosen").iter().map(chars).sum(),
        )
    } else {
        let of = |turn: &&Value| turn.get("role").and_then(Value::as_str) == Some("assistant");
        let all: u64 = list("messages").iter().map(chars).sum();
        let answered = list("messages").iter().filter(of).map(chars).sum();
        (all - answered, answered)
    };
    (asked.div_ceil(4), answered.div_ceil(4))
}

/// A table for each data set and split that has rows.
struct Tables {
    making: PathBuf,
    samples: Schema,
    open: BTreeMap<(DataSet, Split), TableWriter>,
}

/// What was written.
struct Written {
    rows: BTreeMap<(DataSet, Split), u64>,
    samples: Schema,
}

impl Tables {
    fn push(&mut self, split: Split, row: &SetRow) -> io::Result<()> {
        let key = (row.set, split);
        if !self.open.contains_key(&key) {
            let dir = self.making.join(row.set.name());
            create_dir_private(&dir)?;
            let table = TableWriter::create(&dir, split.name(), &schema(row.set, &self.samples))?;
            self.open.insert(key, table);
        }
        match self.open.get_mut(&key) {
            Some(table) => table.push(&row.row),
            None => Ok(()),
        }
    }

    fn finish(self) -> io::Result<Written> {
        let mut rows = BTreeMap::new();
        for (key, table) in self.open {
            rows.insert(key, table.finish()?);
        }
        Ok(Written {
            rows,
            samples: self.samples,
        })
    }
}

impl Written {
    /// By which libraries find the files and their types.
    fn configs(&self) -> String {
        let sets: Vec<(DataSet, Schema, Vec<&str>)> = DataSet::ALL
            .iter()
            .map(|set| {
                let splits = self.rows.keys().filter(|(of, _)| of == set);
                let splits = splits.map(|(_, split)| split.name()).collect();
                (*set, schema(*set, &self.samples), splits)
            })
            .filter(|(_, _, splits): &(_, _, Vec<&str>)| !splits.is_empty())
            .collect();
        let configs: Vec<Config<'_>> = sets
            .iter()
            .map(|(set, schema, splits)| Config {
                name: set.name(),
                schema,
                splits,
            })
            .collect();
        configs_yaml(&configs)
    }
}

/// What was asked for, as people read it.
fn settings(job: &Job) -> Vec<(String, String)> {
    let asked = &job.settings;
    let [train, validation, test] = asked.split;
    let all = [
        ("seed", job.seed.to_string()),
        ("min_quality", asked.min_quality.to_string()),
        ("min_words", asked.min_words.to_string()),
        ("near_duplicate", asked.near_duplicate.to_string()),
        ("same_split", asked.same_split.to_string()),
        ("max_failure_share", asked.max_failure_share.to_string()),
        ("max_type_share", asked.max_type_share.to_string()),
        ("split", format!("{train} / {validation} / {test}")),
        ("unseen_templates", asked.unseen_templates.to_string()),
    ];
    all.map(|(key, value)| (key.into(), value)).into()
}

fn schema(set: DataSet, samples: &Schema) -> Schema {
    match set {
        DataSet::Samples => samples.clone(),
        set => sets::schema(set),
    }
}

/// Every row and line that went, with the reason.
fn rejected(
    making: &Path,
    scanned: &Scanned,
    judged: &Judged,
    stats: &mut Stats,
) -> io::Result<()> {
    let mut file = output::create(&making.join("rejected.jsonl"))?;
    let mut line = |value: &Value| {
        serde_json::to_writer(&mut file, value)?;
        file.write_all(b"\n")
    };
    let mut again = scanned.corpus.again();
    for row in judged.dropped(scanned) {
        let Fate::Dropped {
            reason,
            partner,
            similarity,
        } = judged.fates[row as usize]
        else {
            continue;
        };
        stats.removed(reason, similarity.map(f64::from));
        let mut value = scanned.read(&mut again, row)?;
        if let Value::Object(object) = &mut value {
            if let (id, false) = row::id(object) {
                object.insert("id".into(), id.into());
            }
            let partner = partner.map(|row| scanned.keys[row as usize].id.to_string());
            object.insert("rejection_reason".into(), reason.name().into());
            object.insert("rejection_partner".into(), json!(partner));
            object.insert("rejection_score".into(), json!(similarity));
            if let Some(what) = scanned.missing(row) {
                object.insert("rejection_detail".into(), format!("no {what}").into());
            }
        }
        line(&value)?;
    }
    for unread in &scanned.unread {
        stats.removed(unread.reason, None);
        line(&json!({
            "rejection_reason": unread.reason.name(), "rejection_detail": unread.why,
            "file": unread.file, "line": unread.line, "text": unread.excerpt,
        }))?;
    }
    output::finish(file)
}

/// `manifest.json`, `stats.json`, `README.md` and `report.html`.
fn describe(
    job: &Job,
    making: &Path,
    judged: &Judged,
    written: &Written,
    summary: &Summary,
) -> io::Result<()> {
    output::text(
        &making.join("manifest.json"),
        &serde_json::to_vec_pretty(&judged.manifest)?,
    )?;
    output::text(
        &making.join("stats.json"),
        &serde_json::to_vec_pretty(summary)?,
    )?;
    let settings = settings(job);
    let about = About {
        name: &job.name,
        generator: None,
        settings: &settings,
    };
    let card = card(&about, summary, &written.configs());
    output::text(&making.join("README.md"), card.as_bytes())?;
    output::text(
        &making.join("report.html"),
        page::render(&about, summary).as_bytes(),
    )
}
