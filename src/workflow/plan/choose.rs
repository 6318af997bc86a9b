//! Choosing the recipe and the tools that a query asks for.

use std::collections::BTreeMap;

use super::Asked;
use crate::workflow::catalogue::{Analysis, Catalogue, Choice, Recipe};

/// What was chosen.
pub struct Chosen<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Processes in order, each with the kinds that it is fed instead of its own.
    pub steps: Vec<Wanted<'a>>,
    /// What could not be honoured.
    pub unmet: Vec<String>,
}

/// A step that a recipe wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The process.
    pub process: &'a str,
    /// A kind it takes, and the kind it is fed instead.
    pub instead: Option<(&'a str, &'a str)>,
}

/// Chooses the recipe and, where `free`, the tools that are asked for; otherwise those that the recipe prefers.
pub fn choose<'a>(
    catalogue: &'a Catalogue,
    analysis: &'a Analysis,
    asked: &Asked<'_>,
    free: bool,
) -> Chosen<'a> {
    let text = asked.query.to_lowercase();
    let mut unmet = open_slots(asked, analysis);
    let tools = asked_tools(catalogue, analysis, asked, &mut unmet);
    let fits = |recipe: &&Recipe| matches(recipe, &text, asked, &tools);
    let recipe = (analysis.recipes.iter().find(fits))
        .or(analysis.recipes.last())
        .expect("every analysis has recipes: a test reads them");
    let mut steps = Vec::with_capacity(16);
    for step in &recipe.steps {
        let (name, instead) = match step.split_once(' ') {
            Some((name, instead)) => (name, instead.split_once('=')),
            None => (step.as_str(), None),
        };
        let Some(slot) = name.strip_prefix('$') else {
            steps.push(Wanted {
                process: name,
                instead,
            });
            continue;
        };
        let choice = &analysis.choice[slot];
        let tool = tools
            .get(slot)
            .copied()
            .filter(|_| free)
            .unwrap_or_else(|| preferred(catalogue, recipe, choice, slot, analysis, asked));
        for (at, process) in choice.tools[tool].iter().enumerate() {
            steps.push(Wanted {
                process,
                instead: instead.filter(|_| at == 0),
            });
        }
    }
    respond(catalogue, &text, &mut steps);
    Chosen {
        recipe,
        steps,
        unmet,
    }
}

/// The tool of a slot that the query leaves open.
fn preferred<'a>(
    catalogue: &Catalogue,
    recipe: &'a Recipe,
    choice: &'a Choice,
    slot: &str,
    analysis: &Analysis,
    asked: &Asked<'_>,
) -> &'a str {
    let wished = recipe.prefer.get(slot);
    let fit = wished.filter(|tool| catalogue.fits(tool, &analysis.name, asked.organism));
    fit.or_else(|| choice.by_organism.get(asked.organism))
        .unwrap_or(&choice.default)
}

/// The tools that the query asks for by slot and that can be had.
fn asked_tools<'a>(
    catalogue: &Catalogue,
    analysis: &'a Analysis,
    asked: &Asked<'_>,
    unmet: &mut Vec<String>,
) -> BTreeMap<&'a str, &'a str> {
    let mut tools = BTreeMap::new();
    for (slot, choice) in &analysis.choice {
        let Some(value) = asked.slots.get(slot) else {
            continue;
        };
        match choice.tools.get_key_value(value) {
            Some((tool, _)) if catalogue.fits(tool, &analysis.name, asked.organism) => {
                tools.insert(slot.as_str(), tool.as_str());
            }
            _ => unmet.push(format!(
                "{value} does not fit {} of {} as {slot}",
                analysis.title, asked.organism
            )),
        }
    }
    tools
}

/// The slots that the query left in braces.
fn open_slots(asked: &Asked<'_>, analysis: &Analysis) -> Vec<String> {
    let pieces = asked.query.split('{').skip(1);
    let names = pieces.filter_map(|piece| piece.split_once('}').map(|(name, _)| name));
    let mut unmet: Vec<String> = names
        .map(|name| match analysis.choice.get(name) {
            Some(choice) => format!(
                "the query leaves {name} open: {} unless a step says otherwise",
                choice.default
            ),
            None => format!("the query leaves {name} open"),
        })
        .collect();
    let text = asked.query.to_lowercase();
    let named = asked.slots.get("organism");
    let unnamed = named.filter(|name| !text.contains(&name.to_lowercase()));
    unmet.extend(unnamed.map(|name| format!("the query does not speak of {name}")));
    unmet
}

fn matches(recipe: &Recipe, text: &str, asked: &Asked<'_>, tools: &BTreeMap<&str, &str>) -> bool {
    let said = recipe.words.iter().any(|word| text.contains(word.as_str()));
    let filled = recipe
        .asks
        .iter()
        .any(|slot| asked.slots.contains_key(slot));
    let free = recipe.words.is_empty() && recipe.asks.is_empty();
    let has = |(slot, values): (&String, &Vec<String>)| {
        let value = (tools.get(slot.as_str()).copied())
            .or_else(|| asked.slots.get(slot).map(String::as_str));
        value.is_some_and(|value| values.iter().any(|known| known == value))
    };
    (said || filled || free) && recipe.when.iter().all(has)
}

/// Adds the steps that answer what the query tells of its data.
fn respond<'a>(catalogue: &'a Catalogue, text: &str, steps: &mut Vec<Wanted<'a>>) {
    for response in &catalogue.responses {
        if !text.contains(&response.words) {
            continue;
        }
        let is_place = |step: &Wanted<'_>| response.after.iter().any(|name| name == step.process);
        if let Some(at) = steps.iter().rposition(is_place) {
            steps.insert(
                at + 1,
                Wanted {
                    process: &response.step,
                    instead: None,
                },
            );
        }
    }
}
