//! `sweep.toml`: several fine-tunes of one frozen base. What stands at the top holds for every member; a `[[member]]` says what
//! differs, and a list where a key takes one value stands for a member of each. A `[halving]` says that members are left out on
//! the way.

mod members;
mod names;

use super::keys::{HALVING_BY, HALVING_FROM, SWEEP};
use crate::{
    config::{
        keys::Key,
        layers::{Layers, shown},
        problem::Problem,
    },
    training::{job::Halving, settings::Settings, words::Device},
};
use members::{Member, members};
use std::{path::Path, sync::LazyLock};

/// The table of a member.
const TABLE: &str = "member";
/// The table that says how members are left out on the way.
const HALVING: &str = "halving";

/// What `sweep.toml` says.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepFile {
    /// The base of every member.
    pub model: Option<String>,
    /// Files of rows to learn from.
    pub data: Vec<String>,
    /// Files of rows that are only looked at.
    pub holdout: Vec<String>,
    /// Where a directory of each member will be.
    pub output: Option<String>,
    /// Where is computed.
    pub device: Option<Device>,
    /// Names, which are names of directories and differ, with settings, which differ in more than the name; at least one, in the
    /// order written.
    pub members: Vec<(String, Settings)>,
    /// How members are left out on the way.
    pub halving: Option<Halving>,
}

/// What `sweep.toml` says. Paths start from the file.
///
/// # Errors
/// All that is wrong with the file, at once.
pub fn load_sweep(file: &Path) -> Result<SweepFile, Vec<Problem>> {
    static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| SWEEP.concat());
    let mut layers = Layers::new(&KEYS);
    layers.may_repeat = &[TABLE];
    layers.file(file, &[]);
    layers.problems.iter_mut().for_each(hint);
    if !layers.unread {
        if layers.several.is_empty() {
            layers.problems.push(empty(file));
        }
        let members = members(&mut layers);
        check_halving(&mut layers);
        if layers.problems.is_empty() {
            return Ok(read(&layers, file, members));
        }
    }
    Err(layers.problems)
}

fn read(layers: &Layers, file: &Path, members: Vec<Member>) -> SweepFile {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let directory = whole.parent().unwrap_or(Path::new("/"));
    let path = |path: String| directory.join(path).display().to_string();
    let one = |key: &str| Some(layers.string(key)).filter(|text| !text.is_empty());
    let several = |key: &str| layers.list(key).into_iter().map(path).collect();
    let member = |member: Member| (member.name, member.settings);
    SweepFile {
        model: one("model").map(path),
        data: several("data"),
        holdout: several("holdout"),
        output: one("output").map(path),
        device: layers.string("device").parse().ok(),
        members: members.into_iter().map(member).collect(),
        halving: layers.get(HALVING_FROM).map(|_| Halving {
            min_resource: layers.whole(HALVING_FROM),
            reduction_factor: layers.whole(HALVING_BY),
        }),
    }
}

/// Complains of a `[halving]` that says no first rung.
fn check_halving(layers: &mut Layers) {
    let Some((_, place)) = layers.tables.iter().find(|(name, _)| name == HALVING) else {
        return;
    };
    let wrong = |problem: &Problem| problem.key.as_deref() == Some(HALVING_FROM);
    if layers.get(HALVING_FROM).is_some() || layers.problems.iter().any(wrong) {
        return;
    }
    let (file, line) = place.rsplit_once(':').unwrap_or((place, ""));
    layers.problems.push(Problem {
        message: format!("[{HALVING}] does not say where the first rung is"),
        at: format!("{place}   [{HALVING}]"),
        right: Some("min_resource = 50: steps up to it".into()),
        file: Some(file.into()),
        line: line.parse().ok(),
        key: Some(HALVING_FROM.into()),
        ..Problem::default()
    });
}

fn empty(file: &Path) -> Problem {
    let shown = shown(file);
    Problem {
        message: "there is no [[member]]".into(),
        at: shown.clone(),
        right: Some("[[member]], once for each, with hyperparameters of its own".into()),
        file: Some(shown),
        ..Problem::default()
    }
}

/// Says what would be right in a sweep, where the keys alone would say less.
fn hint(problem: &mut Problem) {
    let key = problem.key.as_deref().unwrap_or_default();
    let list = problem
        .value
        .as_deref()
        .unwrap_or_default()
        .starts_with('[');
    if problem.key.is_none() && problem.right.is_some() {
        problem.right = Some("a sweep file, such as config/sweep.toml".into());
    } else if key == TABLE {
        problem.right = Some("[[member]], in double brackets, once for each".into());
    } else if let Some(right) = &mut problem.right
        && list
        && SWEEP[1].iter().any(|known| known.name == key)
    {
        *right += ", which every member has; lists of values stand in a [[member]]";
    }
}

#[cfg(test)]
mod tests;
