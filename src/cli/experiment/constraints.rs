//! `constraints.json` of a directory of experiments: what failures taught, which configs are held to.
//!
//! It is what `campaignctl constraints --json` prints of a daemon; `design --from HISTORY` learns one from a history. Who
//! knows better removes a constraint from the file.

use super::files::{fail, failed, whole};
use crate::{
    artifacts::named,
    cli::{fail::Fail, now, out},
    control::history::ConstraintsView,
    experiment::config::{Violation, held},
    history::{
        History,
        constraints::{Constraint, Rules, in_force, learn},
    },
    parameters::Assignment,
    time::Timestamp,
};
use std::{fs, io::ErrorKind, path::Path};

/// The file.
pub const FILE: &str = "constraints.json";

/// The constraints of the first of these directories that has a file of them; none where none has.
///
/// # Errors
/// It cannot be read, or is something else: what it forbids is not known then.
pub fn read(dirs: &[&Path]) -> Result<Vec<Constraint>, Fail> {
    for path in dirs.iter().map(|dir| whole(dir).join(FILE)) {
        match fs::read(&path) {
            Ok(text) => return parse(&path, &text),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(named(error, "read", &path))),
        }
    }
    Ok(Vec::new())
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

/// What a history's failures teach, as the file. One that says what runs took, and not what they failed of, teaches nothing,
/// and that is told.
///
/// # Errors
/// The history cannot be read.
pub fn learned(history: &Path) -> Result<ConstraintsView, Fail> {
    let bytes = fs::read(history).map_err(|error| failed(named(error, "read", history)))?;
    let mut view = ConstraintsView {
        version: 1,
        ..ConstraintsView::default()
    };
    match History::read(&bytes) {
        Ok(read) => {
            let mut all = read.experiments().to_vec();
            // A history that says no times is as old as its reader.
            let timeless = all.iter_mut().filter(|one| one.ended_at == Timestamp(0));
            timeless.for_each(|one| one.ended_at = now());
            let all: Vec<_> = all.iter().collect();
            view.constraints = in_force(&learn(&all, now(), &Rules::default()), now());
        }
        Err(why) => out::note(&format!(
            "{} teaches no constraint: {why}",
            history.display()
        )),
    }
    Ok(view)
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
