//! The quality of a query, read from its text and held against what the sample says of itself.
//!
//! The scorer is independent of the generator: it reads the words in the text again and knows no planted fault. A foreign
//! text with the same claims gets the same score.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::vocabulary::{Analysis, Words, words};
use super::wording;

/// The least score of an accepted sample: sound, and at least three of the six useful facts (0.85; two give 0.80).
pub const ACCEPTANCE: f64 = 0.82;

/// Score of a sound query that states no useful fact; the rest is earned by facts.
const VAGUE: f64 = 0.7;

/// What a sample says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// Analysis type.
    pub analysis_type: &'a str,
    /// Organism.
    pub organism: &'a str,
    /// Complexity level.
    pub complexity: &'a str,
    /// Slot to value.
    pub slots: &'a BTreeMap<String, String>,
}

/// The parts of a score, each from 0 (bad) to 1 (good).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct QualityParts {
    /// Share of the slots whose value is in the text, divided by one more than the braces left.
    pub slots_filled: f64,
    /// One over one more than the number of organisms, tools and platforms that do not go together.
    pub compatible: f64,
    /// Share of the quantities in the text that are the level's; 1 where the text states none, which `specific` counts.
    pub complexity_consistent: f64,
    /// 0 when the neighbour has the same text.
    pub distinct: f64,
    /// Share of the useful facts that the text states: organism, tool, samples, conditions, container runtime, executor.
    pub specific: f64,
}

/// A score with its parts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quality {
    /// From 0 to 1: the weakest of the four soundness parts times a base that grows with `specific` from 0.7 to 1.
    pub score: f64,
    /// The parts.
    pub parts: QualityParts,
}

/// What a text says, read once.
struct Reading<'a> {
    /// Organisms named, by key.
    organisms: Vec<&'a str>,
    /// Software named.
    tools: Vec<&'a str>,
    /// Kind and value of the quantities stated.
    quantities: Vec<(&'a str, &'a str)>,
}

impl<'a> Reading<'a> {
    fn of(words: &'a Words, analysis: &Analysis, text: &'a str) -> Reading<'a> {
        Reading {
            organisms: organisms(words, analysis, text),
            tools: words.tools().filter(|tool| names(text, tool)).collect(),
            quantities: quantities(words, text),
        }
    }

    fn states(&self, kind: &str) -> bool {
        self.quantities.iter().any(|(stated, _)| *stated == kind)
    }
}

/// Scores a text against its claims and its neighbour's text, if it has a neighbour. An unknown analysis type scores 0.
pub fn score(text: &str, claims: &Claims<'_>, neighbour: Option<&str>) -> Quality {
    let words = words();
    let Some(analysis) = words.analysis(claims.analysis_type) else {
        return Quality::default();
    };
    let reading = Reading::of(words, analysis, text);
    let parts = QualityParts {
        slots_filled: round(slots_filled(text, claims.slots)),
        compatible: round(1.0 / (1 + misfits(words, analysis, &reading, claims)) as f64),
        complexity_consistent: round(consistent(words, &reading, claims.complexity)),
        distinct: f64::from(u8::from(neighbour != Some(text))),
        specific: round(specific(words, text, &reading)),
    };
    let soundness = [
        parts.slots_filled,
        parts.compatible,
        parts.complexity_consistent,
        parts.distinct,
    ];
    let weakest = soundness.into_iter().fold(1.0, f64::min);
    let score = round(weakest * (VAGUE + (1.0 - VAGUE) * parts.specific));
    Quality { score, parts }
}

/// Four decimals: enough for any statistic, and short lines.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn slots_filled(text: &str, slots: &BTreeMap<String, String>) -> f64 {
    let holes = wording::slots(text).count();
    if slots.is_empty() {
        return 0.0;
    }
    let present = slots.values().filter(|value| names(text, value)).count();
    present as f64 / (slots.len() * (1 + holes)) as f64
}

/// How many things in the text or the claims do not go together.
fn misfits(
    words: &Words,
    analysis: &Analysis,
    reading: &Reading<'_>,
    claims: &Claims<'_>,
) -> usize {
    let mut misfits = Vec::new();
    let known = (analysis.organisms.iter()).any(|name| name == claims.organism);
    if !known || reading.organisms != [claims.organism] {
        misfits.push(claims.organism.to_owned());
    }
    let fits = |tool: &str| words.tool_fits(tool, &analysis.name, claims.organism);
    let foreign = reading.tools.iter().filter(|tool| !fits(tool));
    misfits.extend(foreign.map(|tool| (*tool).to_owned()));
    misfits.extend(unfit_values(words, claims));
    misfits.extend(unfit_platform(words, claims.slots));
    misfits.sort_unstable();
    misfits.dedup();
    misfits.len()
}

/// Slot values that their vocabulary does not offer for this analysis and organism.
fn unfit_values(words: &Words, claims: &Claims<'_>) -> Vec<String> {
    let value = |slots: &[String]| -> Option<String> {
        let parts: Option<Vec<&str>> = (slots.iter())
            .map(|slot| claims.slots.get(slot).map(String::as_str))
            .collect();
        parts.map(|parts| parts.join(" / "))
    };
    let claimed = (words.vocabularies.iter()).filter_map(|v| Some((v, value(&v.slots)?)));
    let unfit = claimed.filter(|(vocabulary, value)| {
        let mut offered = vocabulary.values(words, claims.analysis_type, claims.organism);
        !offered.any(|offer| offer == value)
    });
    unfit.map(|(_, value)| value).collect()
}

fn unfit_platform(words: &Words, slots: &BTreeMap<String, String>) -> Option<String> {
    let (executor, runtime) = (slots.get("executor")?, slots.get("container_runtime")?);
    let works =
        (words.executors.iter()).any(|e| &e.name == executor && e.runtimes.contains(runtime));
    (!works).then(|| format!("{runtime} on {executor}"))
}

/// The software that a text names.
pub fn tools_named(text: &str) -> Vec<&'static str> {
    let tools = words().tools();
    tools.filter(|tool| names(text, tool)).collect()
}

/// The organisms that a text names, by key.
fn organisms<'a>(words: &'a Words, analysis: &Analysis, text: &str) -> Vec<&'a str> {
    let named = (words.organisms.iter()).filter(|organism| {
        let forms = analysis.organism_names(organism);
        forms.into_iter().any(|form| names(text, form))
    });
    named.map(|organism| organism.name.as_str()).collect()
}

/// The quantities stated: kind and value of every number or known word before one of the kind's nouns.
fn quantities<'a>(words: &'a Words, text: &'a str) -> Vec<(&'a str, &'a str)> {
    let tokens: Vec<&str> = text
        .split_whitespace()
        .map(|token| token.trim_end_matches([',', ';']))
        .collect();
    let mut stated = Vec::new();
    for pair in tokens.windows(2) {
        let (value, noun) = (pair[0], pair[1]);
        let kind = words
            .nouns
            .iter()
            .find(|(_, nouns)| nouns.iter().any(|n| n == noun));
        let Some((kind, _)) = kind else { continue };
        let is_number = value.starts_with(|c: char| c.is_ascii_digit());
        if is_number || words.levels.iter().any(|l| l.quantity(kind) == Some(value)) {
            stated.push((kind.as_str(), value));
        }
    }
    stated
}

fn consistent(words: &Words, reading: &Reading<'_>, complexity: &str) -> f64 {
    let Some(level) = words.level(complexity) else {
        return 0.0;
    };
    let stated = &reading.quantities;
    if stated.is_empty() {
        return 1.0;
    }
    let agreeing = (stated.iter()).filter(|(kind, value)| level.quantity(kind) == Some(*value));
    agreeing.count() as f64 / stated.len() as f64
}

fn specific(words: &Words, text: &str, reading: &Reading<'_>) -> f64 {
    let facts = [
        !reading.organisms.is_empty(),
        !reading.tools.is_empty(),
        reading.states("samples"),
        reading.states("conditions"),
        words.runtimes().iter().any(|runtime| names(text, runtime)),
        (words.executors.iter()).any(|executor| names(text, &executor.name)),
    ];
    facts.iter().filter(|&&fact| fact).count() as f64 / facts.len() as f64
}

/// Whether a text has a phrase as whole words; a hyphen joins words, so `STAR-Fusion` does not name `STAR`.
fn names(text: &str, phrase: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '-';
    let Some(first) = phrase.bytes().next() else {
        return false;
    };
    // Texts are short and phrases many: a search that prepares itself would do little else.
    let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == first);
    starts.into_iter().any(|(start, _)| {
        // The first byte of a phrase begins a character, so this is one's beginning, too.
        let Some(after) = text[start..].strip_prefix(phrase) else {
            return false;
        };
        let before = text[..start].chars().next_back();
        !before.is_some_and(joins) && !after.chars().next().is_some_and(joins)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims<'a>(slots: &'a BTreeMap<String, String>, complexity: &'a str) -> Claims<'a> {
        Claims {
            analysis_type: "rna_seq",
            organism: "mouse",
            complexity,
            slots,
        }
    }

    fn slots() -> BTreeMap<String, String> {
        let pairs = [
            ("organism", "mouse"),
            ("aligner", "STAR"),
            ("samples", "12-24"),
        ];
        pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn a_sound_text_earns_by_its_facts() {
        let slots = slots();
        let claims = claims(&slots, "medium");
        let short = score(
            "mouse RNA-seq workflow with STAR alignment, 12-24 samples",
            &claims,
            None,
        );
        let long = score(
            "mouse RNA-seq workflow with STAR alignment, 12-24 samples in 3-4 conditions, on slurm with singularity",
            &claims,
            None,
        );
        assert_eq!(short.score, 0.85);
        assert_eq!(long.score, 1.0);
    }

    #[test]
    fn each_part_reads_the_text() {
        let slots = slots();
        let sound = "mouse RNA-seq workflow with STAR alignment, 12-24 samples";
        let part =
            |text: &str, complexity| score(text, &claims(&slots, complexity), Some("x")).parts;
        assert_eq!(part(sound, "complex").complexity_consistent, 0.0);
        assert_eq!(
            part(&sound.replace("STAR", "{aligner}"), "medium").slots_filled,
            0.3333
        );
        assert_eq!(
            part(&sound.replace("mouse", "rat"), "medium").compatible,
            0.5
        );
        assert_eq!(
            part(&sound.replace("STAR", "Bismark"), "medium").compatible,
            0.5
        );
        let again = score(sound, &claims(&slots, "medium"), Some(sound));
        assert_eq!((again.parts.distinct, again.score), (0.0, 0.0));
    }

    #[test]
    fn unknown_claims_and_no_slots_are_worth_nothing() {
        let none = BTreeMap::new();
        assert_eq!(
            score("mouse RNA-seq", &claims(&none, "medium"), None).score,
            0.0
        );
        assert_eq!(
            score("mouse RNA-seq", &claims(&slots(), "huge"), None).score,
            0.0
        );
    }

    #[test]
    fn names_are_whole_words() {
        assert!(names("RNA-seq for rat, low", "rat"));
        assert!(!names("integration", "rat"));
        assert!(!names("with STAR-Fusion", "STAR"));
        assert!(!names("any, thing", ""), "an empty value is never stated");
    }
}
