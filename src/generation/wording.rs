//! A query as a sentence: a pattern with slots in braces, and the values that fill them.
//!
//! Everything variable is a slot, also organism, sample numbers and platform, so that one rule fills a sentence and a fault
//! is a change of a few values. `spoken` fills the text, `slots` is what the sample claims; only a fault makes them differ.

use std::collections::BTreeMap;

use super::catalogue::Query;
use super::vocabulary::{Analysis, Level, Organism};

/// A sentence before its slots are filled.
#[derive(Debug, Clone, PartialEq)]
pub struct Wording {
    /// The template, with the organism.
    pub lead: String,
    /// Size, platform and scenario.
    pub rest: String,
    /// What fills the text: slot to value.
    pub spoken: BTreeMap<String, String>,
    /// What the sample says of itself: slot to value.
    pub slots: BTreeMap<String, String>,
}

impl Wording {
    /// The wording of a query without fault.
    pub fn of(query: &Query<'_>) -> Wording {
        let mut wording = Wording {
            lead: lead(query),
            rest: rest(query),
            spoken: query.values.clone(),
            slots: BTreeMap::new(),
        };
        wording.speak_organism(query.analysis, query.organism);
        wording.speak_level(query.level);
        let platform = query.platform;
        let pairs = [
            ("container_runtime", platform.runtime),
            ("executor", platform.executor.map(|e| e.name.as_str())),
        ];
        for (slot, value) in pairs {
            (wording.spoken).extend(value.map(|value| (slot.to_owned(), value.to_owned())));
        }
        wording.slots = wording.spoken.clone();
        wording
    }

    /// The text: slots without a value stay as they are, in braces.
    pub fn text(&self) -> String {
        fill(&format!("{}{}", self.lead, self.rest), &self.spoken)
    }

    /// Names an organism, in the form that the sentence needs.
    pub fn speak_organism(&mut self, analysis: &Analysis, organism: &Organism) {
        let [adjective, noun] = analysis.organism_names(organism);
        let ends = self.lead.ends_with("{organism}");
        let name = if ends { noun } else { adjective };
        self.spoken.insert("organism".into(), name.into());
    }

    /// Gives the sentence's quantities the values of a level.
    pub fn speak_level(&mut self, level: &Level) {
        for slot in slots(&self.rest) {
            if let Some(value) = level.quantity(slot) {
                self.spoken.insert(slot.into(), value.into());
            }
        }
    }
}

fn lead(query: &Query<'_>) -> String {
    let template = query.template;
    if template.text.contains("{organism}") {
        return template.text.clone();
    }
    let place = template.place.as_ref().unwrap_or(&query.analysis.place);
    format!("{}{place}", template.text)
}

fn rest(query: &Query<'_>) -> String {
    let mut rest = format!(", {}", query.design);
    let executor = query.platform.executor.map(|e| e.phrase.as_str());
    let runtime = query.platform.runtime.map(|_| "with {container_runtime}");
    let platform: Vec<&str> = executor.into_iter().chain(runtime).collect();
    if !platform.is_empty() {
        rest.push_str(", ");
        rest.push_str(&platform.join(" "));
    }
    if let Some((_, clause)) = query.scenario {
        rest.push_str("; ");
        rest.push_str(clause);
    }
    rest
}

/// The names in braces of a pattern or a text, in order.
pub fn slots(pattern: &str) -> impl Iterator<Item = &str> {
    (pattern.split('{').skip(1)).filter_map(|piece| piece.split_once('}').map(|(name, _)| name))
}

fn fill(pattern: &str, values: &BTreeMap<String, String>) -> String {
    let mut text = String::with_capacity(pattern.len() + 64);
    let mut pieces = pattern.split('{');
    text.extend(pieces.next());
    for piece in pieces {
        let value = (piece.split_once('}'))
            .and_then(|(name, after)| values.get(name).map(|value| (value, after)));
        if let Some((value, after)) = value {
            text.push_str(value);
            text.push_str(after);
        } else {
            text.push('{');
            text.push_str(piece);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filling_keeps_what_it_does_not_know() {
        let values = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        assert_eq!(fill("{a} and {b}{a}, {", &values), "1 and {b}1, {");
        assert_eq!(slots("{a} and {b}, {").collect::<Vec<_>>(), ["a", "b"]);
    }
}
