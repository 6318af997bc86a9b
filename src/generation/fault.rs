//! Defects planted on purpose, so that a gate has something to catch.
//!
//! A fault changes what a query says, never how it is scored: the scorer does not know that faults exist.

use serde::{Deserialize, Serialize};

use super::catalogue::Query;
use super::permutation::{draw, draw_unit};
use super::vocabulary::{Vocabulary, Words};
use super::wording::Wording;

/// A kind of defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A slot stays in braces.
    UnfilledSlot,
    /// A tool that does not fit the analysis or the organism.
    IncompatibleTool,
    /// The text names another organism than the sample.
    WrongOrganism,
    /// The numbers are those of another complexity level.
    ComplexityMismatch,
    /// The query before it once more.
    Repeated,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Fault; 5] = [
        Fault::UnfilledSlot,
        Fault::IncompatibleTool,
        Fault::WrongOrganism,
        Fault::ComplexityMismatch,
        Fault::Repeated,
    ];

    /// The name in samples and reports.
    pub fn name(self) -> &'static str {
        match self {
            Fault::UnfilledSlot => "unfilled_slot",
            Fault::IncompatibleTool => "incompatible_tool",
            Fault::WrongOrganism => "wrong_organism",
            Fault::ComplexityMismatch => "complexity_mismatch",
            Fault::Repeated => "repeated",
        }
    }
}

/// Streams of draws, apart from the permutation's rounds.
const WHETHER: u64 = 101;
const WHICH: u64 = 102;
const WHERE: u64 = 103;

/// The fault planted at an index when a share `faults` (0 to 1) of all samples has one. The first sample repeats nothing.
pub fn planted(seed: u64, faults: f64, index: u64) -> Option<Fault> {
    // A NaN compares false: no faults.
    if draw_unit(seed, WHETHER, index) < faults {
        let kinds = Fault::ALL.len() as u64 - u64::from(index == 0);
        Some(Fault::ALL[(draw(seed, WHICH, index) % kinds) as usize])
    } else {
        None
    }
}

/// Spoils a wording of `query`. `Repeated` changes nothing here: it is a whole sample that comes again.
pub fn plant(
    fault: Fault,
    words: &Words,
    query: &Query<'_>,
    wording: &mut Wording,
    (seed, index): (u64, u64),
) {
    let chance = draw(seed, WHERE, index);
    match fault {
        Fault::UnfilledSlot => leave_a_hole(wording, chance),
        Fault::IncompatibleTool => misuse_a_tool(words, query, wording, chance),
        Fault::WrongOrganism => {
            let others = words
                .organisms
                .iter()
                .filter(|o| o.name != query.organism.name);
            if let Some(other) = pick(others.collect(), chance) {
                wording.speak_organism(query.analysis, other);
            }
        }
        Fault::ComplexityMismatch => {
            let others = words.levels.iter().filter(|l| l.name != query.level.name);
            if let Some(other) = pick(others.collect(), chance) {
                wording.speak_level(other);
                wording.slots = wording.spoken.clone();
            }
        }
        Fault::Repeated => {}
    }
}

fn leave_a_hole(wording: &mut Wording, chance: u64) {
    if let Some(slot) = pick(wording.spoken.keys().cloned().collect(), chance) {
        wording.spoken.remove(&slot);
        wording.slots.remove(&slot);
    }
}

/// Replaces a tool by one of its kind that does not fit, or adds any that does not fit where there is none to replace.
fn misuse_a_tool(words: &Words, query: &Query<'_>, wording: &mut Wording, chance: u64) {
    let (analysis, organism) = (&query.analysis.name, &query.organism.name);
    let wrong = |tool: &&str| !words.tool_fits(tool, analysis, organism);
    let spoken = wording.spoken.keys().filter_map(|slot| {
        let vocabulary = words.vocabulary(slot).filter(|v| v.tool)?;
        let misfits: Vec<&str> = values(vocabulary).filter(wrong).collect();
        Some((slot.clone(), pick(misfits, chance)?))
    });
    let replaced = spoken.collect::<Vec<_>>().into_iter().next();
    let added = || {
        Some((
            "tool".to_owned(),
            pick(words.tools().filter(wrong).collect(), chance)?,
        ))
    };
    let Some((slot, tool)) = replaced.or_else(added) else {
        return;
    };
    if slot == "tool" {
        wording.rest.insert_str(0, ", using {tool}");
    }
    wording.spoken.insert(slot, tool.into());
    wording.slots = wording.spoken.clone();
}

fn values(vocabulary: &Vocabulary) -> impl Iterator<Item = &str> {
    (vocabulary.groups.iter()).flat_map(|group| group.values.iter().map(String::as_str))
}

fn pick<T>(mut choices: Vec<T>, chance: u64) -> Option<T> {
    let place = chance.checked_rem(choices.len() as u64)?;
    Some(choices.swap_remove(place as usize))
}
