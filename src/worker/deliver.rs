//! What is handed on of a complete data set: a part of it, in one format, at one place.
//!
//! Each export is made in a directory of its own beside the data set, checksummed, delivered, and removed again: what has
//! been delivered before is found by its checksums and left as it is.

use super::{
    Undone,
    curate::{Exported, Tell, Told, beside},
};
use crate::{
    artifacts::{
        create_dir_private,
        deliver::{Destination, Rsync, Undelivered, deliver},
        is_starved,
        jsonl::{JsonlReader, Line},
        sums,
        table::TableWriter,
        write_atomic,
    },
    chat::Template,
    curation::{
        format::{self, Format, render},
        part::Part,
        schema::{Inference, Schema},
        select::Selection,
        sets,
        words::{DataSet, Split},
    },
    executor::job_dir::TRY_AGAIN,
    machines::spec::ExportSpec,
};
use serde_json::{Map, Value};
use std::{
    fs::{self, File},
    io::{self, BufReader},
    path::Path,
};

/// Makes and delivers every export.
///
/// # Errors
/// The first that is not delivered, with its name: to be tried again where that may help.
pub fn exports(
    dataset: &Path,
    asked: &[ExportSpec],
    tell: Tell<'_>,
) -> Result<Vec<Exported>, Undone> {
    let mut done = Vec::new();
    for spec in asked {
        let (number, all) = (done.len() as u64, asked.len() as u64);
        tell(Told {
            stage: "export",
            done: number,
            total: all,
        });
        let exported = export(dataset, spec).map_err(|undone| Undone {
            text: format!("export {}: {}", spec.name, undone.text),
            ..undone
        })?;
        done.push(exported);
    }
    Ok(done)
}

fn export(dataset: &Path, spec: &ExportSpec) -> Result<Exported, Undone> {
    let destination: Destination = spec.destination.parse()?;
    let making = beside(dataset, &format!("export-{}", spec.name));
    let removed = match fs::remove_dir_all(&making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => create_dir_private(&making),
    };
    removed.map_err(|error| undone(&error))?;
    let made = make(dataset, &making, spec).and_then(|exported| {
        deliver(&making, &destination, &spec.name, &Rsync::default())?;
        Ok(exported)
    });
    // A copy that is not needed any more; the next try makes its own.
    let _ = fs::remove_dir_all(&making);
    made
}

fn make(dataset: &Path, making: &Path, spec: &ExportSpec) -> Result<Exported, Undone> {
    let turning = Turning {
        selection: Selection::new(&spec.datasets, &spec.domains, &spec.types)?,
        format: spec.format.parse()?,
        template: spec
            .model
            .as_deref()
            .map(|dir| template(Path::new(dir)))
            .transpose()?,
    };
    let mut part = Part::default();
    let taken = |set: &&DataSet| turning.selection.takes_set(**set);
    for set in DataSet::ALL.iter().filter(taken) {
        turning
            .turn(*set, dataset, making, &mut part)
            .map_err(|error| undone(&error))?;
    }
    if part.total() == 0 {
        let why = format!(
            "no row is of what it selects and can be said as {}",
            spec.format
        );
        return Err([vec![why], part.reasons()].concat().join("; ").into());
    }
    describe(making, spec, turning.format, &part).map_err(|error| undone(&error))?;
    Ok(Exported {
        name: spec.name.clone(),
        destination: spec.destination.clone(),
        rows: part.total(),
        left_out: part.left_out.values().sum(),
    })
}

/// A card that libraries load by, and checksums.
fn describe(making: &Path, spec: &ExportSpec, format: Format, part: &Part) -> io::Result<()> {
    let card = part.card(&spec.name, "a curated data set", format);
    write_atomic(&making.join("README.md"), card.as_bytes())?;
    let sums = sums::of(making)?;
    write_atomic(&making.join(sums::NAME), sums::text(&sums).as_bytes())
}

/// How rows are turned.
struct Turning {
    selection: Selection,
    format: Format,
    template: Option<Template>,
}

impl Turning {
    /// The columns of what comes out.
    fn schema(&self, set: DataSet, dir: &Path) -> io::Result<Schema> {
        let from = match set {
            DataSet::Samples => {
                let mut columns = Inference::default();
                for split in Split::ALL {
                    for row in rows(&dir.join(format!("{split}.jsonl")))? {
                        columns.add(&row?);
                    }
                }
                columns.schema()
            }
            set => sets::schema(set),
        };
        Ok(format::schema(self.format, &from))
    }

    /// One data set, split by split.
    fn turn(&self, set: DataSet, from: &Path, to: &Path, part: &mut Part) -> io::Result<()> {
        let (from, to) = (from.join(set.name()), to.join(set.name()));
        let schema = self.schema(set, &from)?;
        for split in Split::ALL {
            let mut table = None;
            for row in rows(&from.join(format!("{split}.jsonl")))? {
                let row = row?;
                if !self.selection.takes(set, &row) {
                    continue;
                }
                match render(self.format, &row, self.template.as_ref()) {
                    Ok(turned) => {
                        let table = match &mut table {
                            Some(table) => table,
                            none => {
                                create_dir_private(&to)?;
                                none.insert(TableWriter::create(&to, split.name(), &schema)?)
                            }
                        };
                        table.push(&schema.conform(turned))?;
                    }
                    Err(reason) => part.leave_out(set.name(), reason),
                }
            }
            if let Some(table) = table {
                part.add(set.name(), split.name(), table.finish()?);
            }
        }
        Ok(())
    }
}

type Rows = Box<dyn Iterator<Item = io::Result<Map<String, Value>>>>;

/// The rows of a file that curation wrote; none where there is no file.
fn rows(path: &Path) -> io::Result<Rows> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Box::new(std::iter::empty()));
        }
        file => file?,
    };
    let name = path.to_path_buf();
    let lines = JsonlReader::<_, Map<String, Value>>::new(BufReader::new(file));
    Ok(Box::new(lines.map(move |line| match line? {
        Line::Row { value, .. } => Ok(value),
        Line::Invalid { line_no, why } => {
            let why = format!("{}:{line_no}: {why}", name.display());
            Err(io::Error::new(io::ErrorKind::InvalidData, why))
        }
    })))
}

/// The chat template of a model's directory, as transformers saves it.
///
/// # Errors
/// Names the file that is missing or wrong.
pub fn template(dir: &Path) -> Result<Template, String> {
    let read = |name: &str| fs::read_to_string(dir.join(name));
    let jinja = match read("chat_template.jinja") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        read => Some(read.map_err(|error| format!("chat_template.jinja: {error}"))?),
    };
    let config =
        read("tokenizer_config.json").map_err(|error| format!("tokenizer_config.json: {error}"))?;
    Template::from_files(&config, jinja.as_deref())
}

fn undone(error: &io::Error) -> Undone {
    Undone {
        status: if is_starved(error) { TRY_AGAIN } else { 1 },
        text: error.to_string(),
    }
}

impl From<Undelivered> for Undone {
    fn from(undelivered: Undelivered) -> Self {
        Undone {
            status: match undelivered {
                Undelivered::Passing(_) => TRY_AGAIN,
                Undelivered::Final(_) => 1,
            },
            text: undelivered.to_string(),
        }
    }
}
