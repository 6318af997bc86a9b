//! What persons rule about constraints: they write some, keep some, and delete some.

use super::{ANY, Constraint, Origin, Strength, contradictions::contradictions, parse::parse};
use crate::{history::query::Problem, parameters::Schema, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// So many failures after a deletion teach a constraint anew.
const TEACH_ANEW: usize = 2;

/// What a person asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A constraint stays, whatever is learned; by its id or the beginning of it.
    Pin {
        /// Which.
        id: String,
    },
    /// A constraint goes. It is learned anew only from new failures.
    Delete {
        /// Which.
        id: String,
    },
    /// A constraint is written.
    Add {
        /// What is allowed: `learning_rate <= 0.01`.
        text: String,
        /// The model that it is for; none: any.
        model: Option<String>,
        /// How strictly it is held.
        strength: Strength,
    },
}

/// An act that was carried out: what stands in the records, whole in itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ruling {
    /// It stays as it was then.
    Pinned(Constraint),
    /// It went, with the evidence that it had then.
    Deleted(Constraint),
    /// A person wrote it.
    Added(Constraint),
}

impl Ruling {
    /// The constraint that it is about.
    pub fn about(&self) -> &Constraint {
        match self {
            Ruling::Pinned(about) | Ruling::Deleted(about) | Ruling::Added(about) => about,
        }
    }
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self {
            Ruling::Pinned(_) => "is pinned",
            Ruling::Deleted(_) => "is deleted",
            Ruling::Added(_) => "is added",
        };
        let about = self.about();
        write!(f, "constraint {} {verb}: {}", about.id, about.text())
    }
}

/// What an act comes to, given the constraints in force.
///
/// # Errors
/// There is no such constraint, several, or its text is none; it contradicts another hard one.
pub fn rule(
    act: &Act,
    now: Timestamp,
    shown: &[Constraint],
    schema: &Schema,
) -> Result<Ruling, Problem> {
    match act {
        Act::Pin { id } => {
            let mut kept = one(shown, id)?.clone();
            kept.pinned = true;
            kept.expires_at = None;
            Ok(Ruling::Pinned(kept))
        }
        Act::Delete { id } => Ok(Ruling::Deleted(one(shown, id)?.clone())),
        Act::Add {
            text,
            model,
            strength,
        } => {
            let scope = model.as_deref().unwrap_or(ANY);
            let mut added = parse(text, scope, now)?;
            added.strength = *strength;
            let mut all = shown.to_vec();
            all.push(added.clone());
            let against = contradictions(&all, schema);
            match against
                .iter()
                .find(|found| found.constraints.contains(&added.id))
            {
                Some(found) => Err(Problem {
                    message: found.text.clone(),
                    part: "constraint",
                    column: None,
                    right: "one that leaves something, or delete the other first".into(),
                }),
                None => Ok(Ruling::Added(added)),
            }
        }
    }
}

/// The constraint of an id, or of the only one that begins so.
fn one<'a>(shown: &'a [Constraint], id: &str) -> Result<&'a Constraint, Problem> {
    let fault = |message: String, right: String| Problem {
        message,
        part: "id",
        column: None,
        right,
    };
    let names = |all: &mut dyn Iterator<Item = &Constraint>| -> String {
        let names: Vec<&str> = all.map(|one| one.id.as_str()).collect();
        names.join(", ")
    };
    if let Some(found) = shown.iter().find(|one| one.id == id) {
        return Ok(found);
    }
    let bare = id.strip_prefix("c-").unwrap_or(id);
    let begins = |one: &&Constraint| !bare.is_empty() && one.id["c-".len()..].starts_with(bare);
    let fits: Vec<&Constraint> = shown.iter().filter(begins).collect();
    match fits.as_slice() {
        [only] => Ok(only),
        [] if shown.is_empty() => Err(fault(
            format!("there is no constraint \"{id}\""),
            "there is none yet".into(),
        )),
        [] => Err(fault(
            format!("there is no constraint \"{id}\""),
            names(&mut shown.iter()),
        )),
        several => Err(fault(
            format!("\"{id}\" is ambiguous"),
            names(&mut several.iter().copied()),
        )),
    }
}

/// The constraints in force: what was learned, and what persons ruled about it, in the order in which they did. Applying
/// the same rulings twice changes nothing.
pub fn apply(learned: Vec<Constraint>, rulings: &[Ruling]) -> Vec<Constraint> {
    let mut all = learned;
    for ruling in rulings {
        match ruling {
            Ruling::Deleted(gone) => all.retain(|one| one.id != gone.id || teaches_anew(one, gone)),
            Ruling::Pinned(kept) => match all.iter_mut().find(|one| one.id == kept.id) {
                // What is learned about it goes on; that it stays does, too.
                Some(there) => {
                    there.pinned = true;
                    there.expires_at = None;
                    there.strength = there.strength.min(kept.strength);
                }
                None => all.push(kept.clone()),
            },
            Ruling::Added(new) => match all.iter_mut().find(|one| one.id == new.id) {
                Some(there) => *there = new.clone(),
                None => all.push(new.clone()),
            },
        }
    }
    all
}

/// Whether a learned constraint that was deleted has failures that were not known then.
fn teaches_anew(one: &Constraint, gone: &Constraint) -> bool {
    let new = one.evidence.iter().filter(|id| !gone.evidence.contains(id));
    one.origin == Origin::Learned && !one.pinned && new.count() >= TEACH_ANEW
}
