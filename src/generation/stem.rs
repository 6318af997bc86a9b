//! The beginnings of queries: each template with every filling of its slots that the rules allow.
//!
//! These few thousand fillings are the only part of the catalogue that is stored.

use std::collections::BTreeMap;

use super::vocabulary::{Analysis, Words};

/// A template with all its fillings: the beginnings of queries.
#[derive(Debug)]
pub struct Stem {
    /// Position of the template in its analysis.
    pub template: usize,
    /// Its fillings, organism by organism; never none.
    pub leads: Vec<Lead>,
}

/// One filling of a template.
#[derive(Debug)]
pub struct Lead {
    /// Position of the organism among all.
    pub organism: usize,
    /// Slot to value, without the organism.
    pub values: BTreeMap<String, String>,
}

/// The templates of an analysis that can be filled, with their fillings for every organism.
pub fn stems(words: &Words, analysis: &Analysis) -> Vec<Stem> {
    let templates = analysis.templates.iter().enumerate();
    let stems = templates.map(|(template, sentence)| {
        let organisms = words.organisms.iter().enumerate().filter(|(_, organism)| {
            analysis.organisms.contains(&organism.name)
                && words.covers(&sentence.organisms, &organism.name)
        });
        let leads = organisms.flat_map(|(organism, definition)| {
            let fillings = fillings(words, analysis, &definition.name, &sentence.text);
            fillings
                .into_iter()
                .map(move |values| Lead { organism, values })
        });
        Stem {
            template,
            leads: leads.collect(),
        }
    });
    stems.filter(|stem| !stem.leads.is_empty()).collect()
}

/// Every compatible filling of a sentence's slots; none if a slot has no value for this organism.
fn fillings(
    words: &Words,
    analysis: &Analysis,
    organism: &str,
    sentence: &str,
) -> Vec<BTreeMap<String, String>> {
    let mut fillings = vec![BTreeMap::new()];
    for vocabulary in &words.vocabularies {
        let used = |slot: &String| sentence.contains(&format!("{{{slot}}}"));
        if !vocabulary.slots.iter().any(used) {
            continue;
        }
        let values: Vec<&str> = vocabulary.values(words, &analysis.name, organism).collect();
        fillings = (fillings.iter())
            .flat_map(|filling| values.iter().map(move |value| (filling, value)))
            .map(|(filling, value)| {
                let mut filling = filling.clone();
                let parts = value.split(" / ").map(String::from);
                filling.extend(vocabulary.slots.iter().cloned().zip(parts));
                filling
            })
            .collect();
    }
    fillings
}
