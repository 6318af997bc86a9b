//! `constraints.json` of a directory of experiments: what failures taught, which configs are held to.
//!
//! It is what `campaignctl constraints --json` prints of a daemon; `design --from HISTORY` learns one from a history. Who
//! knows better removes a constraint from the file.

use super::files::{fail, failed, whole};
use crate::{
    artifacts::named,
    cli::{fail::Fail, now, out},
    control::history::ConstraintsView,
    experiment::{
        Vocabulary,
        config::{Violation, held},
    },
    history::{
        History,
        constraints::{Constraint, Origin, Rules, in_force, learn},
    },
    parameters::Assignment,
    time::Timestamp,
};
use std::{fs, io::ErrorKind, path::Path};

/// The file.
pub const FILE: &str = "constraints.json";

/// The constraints of the first of these directories that has a file of them, by the back end's own names; none where none has.
///
/// # Errors
/// It cannot be read, or is something else: what it forbids is not known then.
pub fn read(dirs: &[&Path], words: &Vocabulary) -> Result<Vec<Constraint>, Fail> {
    for (at, path) in dirs.iter().map(|dir| whole(dir).join(FILE)).enumerate() {
        match fs::read(&path) {
            // Above an experiment another program may call its own file so.
            Ok(text) if at > 0 && !is_ours(&text) => {}
            Ok(text) => return Ok(renamed(parse(&path, &text)?, words)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(named(error, "read", &path))),
        }
    }
    Ok(Vec::new())
}

/// The constraints that an experiment's runs are held to: of its directory, else of the one above.
///
/// # Errors
/// They cannot be read.
pub fn of_experiment(dir: &Path, words: &Vocabulary) -> Result<Vec<Constraint>, Fail> {
    read(&[dir, dir.parent().unwrap_or(dir)], words)
}

/// What one back end calls `r` is another's `lora_rank`.
pub fn renamed(mut all: Vec<Constraint>, words: &Vocabulary) -> Vec<Constraint> {
    for bound in all.iter_mut().flat_map(|one| &mut one.bounds) {
        if let Ok(name) = words.named(&bound.parameter) {
            bound.parameter = name.into();
        }
    }
    all
}

/// Whether it is a list of constraints of ours at all.
fn is_ours(text: &[u8]) -> bool {
    let read: Option<serde_json::Value> = serde_json::from_slice(text).ok();
    read.is_some_and(|read| read["version"].is_u64() && read["constraints"].is_array())
}

fn parse(path: &Path, text: &[u8]) -> Result<Vec<Constraint>, Fail> {
    let read: Result<ConstraintsView, _> = serde_json::from_slice(text);
    let view = read.map_err(|error| {
        let at = format!("{}: {error}", path.display());
        let right = "what campaignctl constraints --json prints, or no such file";
        fail("the constraints cannot be read", &at, right)
    })?;
    Ok(in_force(&view.constraints, now()))
}

/// The file of a directory after a history's failures were learned from: what they teach, and what persons wrote or pinned in
/// the file that is there. None where the history teaches nothing, for it says what runs took and not what they failed of;
/// that is told.
///
/// # Errors
/// The history, or the file that is there, cannot be read.
pub fn learned(history: &Path, dir: &Path) -> Result<Option<ConstraintsView>, Fail> {
    let wrong = |error| failed(named(error, "read", history));
    let bytes = fs::read(history).map_err(wrong)?;
    let read = match History::read(&bytes) {
        Ok(read) => read,
        Err(why) => {
            let name = history.display();
            out::note(&format!("{name} teaches no constraint: {why}"));
            return Ok(None);
        }
    };
    // A history that says no times is as old as its file: the same file teaches the same tomorrow.
    let written = fs::metadata(history).and_then(|found| found.modified());
    let written = Timestamp::from(written.map_err(wrong)?);
    let mut all = read.experiments().to_vec();
    let timeless = all.iter_mut().filter(|one| one.ended_at == Timestamp(0));
    timeless.for_each(|one| one.ended_at = written);
    let all: Vec<_> = all.iter().collect();
    let mut constraints = in_force(&learn(&all, now(), &Rules::default()), now());
    for one in persons(&dir.join(FILE))? {
        constraints.retain(|other| other.id != one.id);
        constraints.push(one);
    }
    Ok(Some(ConstraintsView {
        version: 1,
        constraints,
        ..ConstraintsView::default()
    }))
}

/// What persons wrote or pinned in a file of constraints; nothing where there is none of ours.
fn persons(path: &Path) -> Result<Vec<Constraint>, Fail> {
    match fs::read(path) {
        Ok(text) if is_ours(&text) => {
            let all = parse(path, &text)?.into_iter();
            Ok(all
                .filter(|one| one.pinned || one.origin == Origin::Person)
                .collect())
        }
        Ok(_) => Ok(Vec::new()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(named(error, "read", path))),
    }
}

/// The file's text.
pub fn text(view: &ConstraintsView) -> String {
    serde_json::to_string_pretty(view).unwrap_or_default() + "\n"
}

/// What values break, as [`generate`](crate::experiment::config::generate) asks it: of their own model where they name one, else
/// of `model`.
pub fn check<'a>(
    known: &'a [Constraint],
    model: Option<&'a str>,
) -> impl Fn(&Assignment) -> Vec<Violation> + 'a {
    move |values| {
        let own = values.get("model").map(ToString::to_string);
        held(known, values, own.as_deref().or(model).unwrap_or_default())
    }
}
