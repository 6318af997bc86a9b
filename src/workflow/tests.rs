//! The catalogue, its plans and its texts, over every analysis, template, organism and tool that queries know.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::catalogue::{How, catalogue};
use super::lint::lint;
use super::plan::{Asked, Plan, missing, plan};
use super::writer::write;

#[derive(Deserialize)]
struct Queries {
    sets: BTreeMap<String, Vec<String>>,
    vocabulary: Vec<Vocabulary>,
    tools: BTreeMap<String, Vec<String>>,
    analysis: Vec<Analysis>,
}

#[derive(Deserialize)]
struct Vocabulary {
    slots: Vec<String>,
    #[serde(default)]
    tool: bool,
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    values: Vec<String>,
    #[serde(default)]
    analyses: Vec<String>,
    #[serde(default)]
    organisms: Vec<String>,
}

#[derive(Deserialize)]
struct Analysis {
    name: String,
    organisms: Vec<String>,
    templates: Vec<Template>,
}

#[derive(Deserialize)]
struct Template {
    text: String,
    #[serde(default)]
    organisms: Vec<String>,
}

/// One query: what a plan is asked for.
struct Query {
    analysis: String,
    organism: String,
    text: String,
    slots: BTreeMap<String, String>,
}

impl Queries {
    fn covers(&self, list: &[String], name: &str) -> bool {
        let member = |set: &Vec<String>| set.iter().any(|organism| organism == name);
        list.is_empty()
            || list
                .iter()
                .any(|item| item == name || self.sets.get(item).is_some_and(member))
    }

    /// Every template with every organism and, for the first slot that has the most, every value.
    fn all(&self) -> Vec<Query> {
        let mut found = Vec::new();
        for analysis in &self.analysis {
            for template in &analysis.templates {
                for organism in analysis
                    .organisms
                    .iter()
                    .filter(|organism| self.covers(&template.organisms, organism))
                {
                    found.extend(self.fill(analysis, template, organism));
                }
            }
        }
        found
    }

    fn fill(&self, analysis: &Analysis, template: &Template, organism: &str) -> Vec<Query> {
        let pieces = template.text.split('{').skip(1);
        let names: BTreeSet<&str> = pieces
            .filter_map(|piece| piece.split_once('}').map(|(name, _)| name))
            .collect();
        let mut choices: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
        for vocabulary in &self.vocabulary {
            if vocabulary
                .slots
                .iter()
                .any(|slot| names.contains(slot.as_str()))
            {
                let groups = vocabulary.groups.iter().filter(|group| {
                    (group.analyses.is_empty() || group.analyses.contains(&analysis.name))
                        && self.covers(&group.organisms, organism)
                });
                let values: Vec<&str> = groups
                    .flat_map(|group| group.values.iter().map(String::as_str))
                    .collect();
                if values.is_empty() {
                    return Vec::new();
                }
                choices.push((
                    vocabulary.slots.iter().map(String::as_str).collect(),
                    values,
                ));
            }
        }
        let most = choices
            .iter()
            .map(|(_, values)| values.len())
            .max()
            .unwrap_or(1);
        (0..most)
            .map(|round| self.query(analysis, template, organism, &choices, round))
            .collect()
    }

    fn query(
        &self,
        analysis: &Analysis,
        template: &Template,
        organism: &str,
        choices: &[(Vec<&str>, Vec<&str>)],
        round: usize,
    ) -> Query {
        let mut slots = BTreeMap::from([("organism".to_owned(), organism.to_owned())]);
        for (names, values) in choices {
            let value = values[round % values.len()];
            let parts: Vec<&str> = if names.len() == 1 {
                vec![value]
            } else {
                value.split(" / ").collect()
            };
            slots.extend(
                names
                    .iter()
                    .zip(parts)
                    .map(|(name, part)| ((*name).to_owned(), part.to_owned())),
            );
        }
        let mut text = template.text.clone();
        for (name, value) in &slots {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        if !template.text.contains("{organism}") {
            text.push_str(&format!(" in {organism}"));
        }
        Query {
            analysis: analysis.name.clone(),
            organism: organism.to_owned(),
            text,
            slots,
        }
    }
}

fn queries() -> Queries {
    toml::from_str(include_str!("../../config/queries.toml")).unwrap()
}

fn planned(query: &Query) -> Plan {
    plan(&Asked {
        analysis_type: &query.analysis,
        organism: &query.organism,
        complexity: "medium",
        query: &query.text,
        slots: &query.slots,
    })
    .unwrap()
}

#[test]
fn the_catalogue_holds_together() {
    let catalogue = catalogue();
    assert_eq!(catalogue.analyses.len(), 15);
    let mut problems = Vec::new();
    for process in catalogue.processes.values() {
        for make in &process.makes {
            if make.files.is_empty() {
                problems.push(format!("{} makes nothing as {}", process.name, make.emit));
            }
            if let Some(kind) = catalogue.kinds.get(&make.emit) {
                let names = kind.names(&make.emit).len();
                if names != make.files.len() && make.emit != "qc" && !kind.shared {
                    problems.push(format!(
                        "{} makes {} files of {}",
                        process.name,
                        make.files.len(),
                        make.emit
                    ));
                }
                if kind.shared != process.is_shared(&catalogue.kinds) {
                    problems.push(format!(
                        "{}: {} is shared on one side only",
                        process.name, make.emit
                    ));
                }
            }
        }
    }
    for (name, kind) in &catalogue.kinds {
        if let Some(maker) = Some(&kind.maker).filter(|maker| !maker.is_empty()) {
            let made = catalogue
                .processes
                .get(maker)
                .is_some_and(|process| process.makes.iter().any(|make| make.emit == *name));
            if !made {
                problems.push(format!("{maker} does not make {name}"));
            }
        }
        if !kind.param.is_empty() && !catalogue.params.contains_key(&kind.param) {
            problems.push(format!("{name}: no parameter {}", kind.param));
        }
        if !kind.source.is_empty() && !catalogue.sources.contains_key(&kind.source) {
            problems.push(format!("{name}: no source {}", kind.source));
        }
    }
    for analysis in &catalogue.analyses {
        let named = (analysis
            .choice
            .values()
            .flat_map(|choice| choice.tools.values().flatten()))
        .chain(analysis.recipes.iter().flat_map(|recipe| &recipe.steps));
        for step in named {
            let name = step.split(' ').next().unwrap();
            let known = match name.strip_prefix('$') {
                Some(slot) => analysis.choice.contains_key(slot),
                None => catalogue.processes.contains_key(name),
            };
            if !known {
                problems.push(format!("{}: no step {step}", analysis.name));
            }
        }
        for choice in analysis.choice.values() {
            if !choice.tools.contains_key(&choice.default) {
                problems.push(format!("{}: no tool {}", analysis.name, choice.default));
            }
        }
        let last = analysis.recipes.last().unwrap();
        if !(last.words.is_empty() && last.asks.is_empty() && last.when.is_empty()) {
            problems.push(format!(
                "{}: the last recipe does not fit every query",
                analysis.name
            ));
        }
    }
    let used: BTreeSet<&str> = catalogue
        .processes
        .values()
        .flat_map(|process| &process.params)
        .map(String::as_str)
        .collect();
    for name in used
        .iter()
        .filter(|name| !catalogue.params.contains_key(**name))
    {
        problems.push(format!("no parameter {name}"));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_tool_that_queries_name_is_there() {
    let queries = queries();
    let slots = queries
        .vocabulary
        .iter()
        .filter(|vocabulary| vocabulary.tool);
    let values =
        slots.flat_map(|vocabulary| vocabulary.groups.iter().flat_map(|group| &group.values));
    let mut seen = 0;
    for tool in values.chain(queries.tools.keys()) {
        assert!(
            catalogue().tools.contains_key(tool),
            "{tool} is not in the catalogue"
        );
        let runs = catalogue()
            .processes
            .values()
            .any(|process| process.tool == *tool);
        assert!(runs, "no process runs {tool}");
        seen += 1;
    }
    assert!(seen > 100, "only {seen} tools were seen");
}

#[test]
fn every_image_is_pinned() {
    for process in catalogue().processes.values() {
        let tag = process.image.rsplit_once(':').map(|(_, tag)| tag);
        assert!(
            tag.is_some_and(|tag| !tag.is_empty() && tag != "latest"),
            "{} of {}",
            process.image,
            process.name
        );
    }
}

#[test]
fn every_query_has_a_plan_that_honours_it() {
    let queries = queries();
    let all = queries.all();
    assert!(all.len() > 1500, "only {} queries", all.len());
    let mut problems = BTreeSet::new();
    for query in &all {
        let plan = planned(query);
        problems.extend(
            missing(&plan)
                .into_iter()
                .map(|lack| format!("{}: {lack}", query.text)),
        );
        problems.extend(
            plan.unmet
                .iter()
                .map(|note| format!("{}: {note}", query.text)),
        );
        let slots = queries
            .vocabulary
            .iter()
            .filter(|vocabulary| vocabulary.tool)
            .flat_map(|vocabulary| &vocabulary.slots);
        let asked = slots
            .filter_map(|slot| query.slots.get(slot))
            .map(String::as_str);
        let told = queries
            .tools
            .keys()
            .map(String::as_str)
            .filter(|tool| query.text.contains(tool));
        for tool in asked.chain(told) {
            if !plan.tools().contains(&tool) {
                problems.insert(format!("{}: no {tool} in {:?}", query.text, plan.tools()));
            }
        }
    }
    let shown: Vec<&String> = problems.iter().take(40).collect();
    assert!(
        problems.is_empty(),
        "{} problems: {shown:#?}",
        problems.len()
    );
}

#[test]
fn a_plan_without_a_step_that_others_need_lacks_something() {
    let mut dropped = 0;
    for query in queries().all().iter().step_by(7) {
        let whole = planned(query);
        for at in 0..whole.steps.len() {
            let mut plan = whole.clone();
            let step = plan.steps.remove(at);
            let only = |kind: &&String| {
                catalogue().kinds.contains_key(*kind)
                    && *kind != "qc"
                    && !whole.inputs.contains(kind)
                    && whole
                        .steps
                        .iter()
                        .filter(|other| other.outputs.contains(kind))
                        .count()
                        == 1
            };
            let needed = step.outputs.iter().filter(only).any(|kind| {
                plan.steps.iter().any(|other| {
                    other
                        .inputs
                        .iter()
                        .any(|input| input.rsplit(':').next() == Some(kind))
                })
            });
            if needed {
                assert!(
                    !missing(&plan).is_empty(),
                    "{} of {} is not missed",
                    step.process,
                    query.text
                );
                dropped += 1;
            }
        }
    }
    assert!(dropped > 300, "only {dropped} steps were dropped");
}

#[test]
fn every_text_is_clean_and_tells_its_tools() {
    let mut problems = BTreeSet::new();
    let mut largest = 0;
    for query in &queries().all() {
        let plan = planned(query);
        let artefact = write(&plan);
        largest = largest.max(artefact.main_nf.len());
        for issue in lint(&artefact.main_nf) {
            let line = artefact
                .main_nf
                .lines()
                .nth(issue.line as usize - 1)
                .unwrap_or("");
            problems.insert(format!("{:?} {} | {line}", issue.rule, issue.message));
        }
        for tool in plan.tools() {
            if !artefact.readme.contains(tool) {
                problems.insert(format!("no {tool} in the README of {}", query.text));
            }
        }
        assert_eq!(write(&planned(query)), artefact, "{}", query.text);
    }
    let shown: Vec<&String> = problems.iter().take(60).collect();
    assert!(
        problems.is_empty(),
        "{} problems: {shown:#?}",
        problems.len()
    );
    assert!(largest < 20 * 1024, "a main.nf has {largest} bytes");
}

#[test]
fn what_does_not_fit_is_told_and_not_taken() {
    let asked = |slots: &BTreeMap<String, String>, text: &str| {
        plan(&Asked {
            analysis_type: "rna_seq",
            organism: "e_coli",
            complexity: "simple",
            query: text,
            slots,
        })
        .unwrap()
    };
    let wrong = BTreeMap::from([("aligner".to_owned(), "STAR".to_owned())]);
    let plan = asked(&wrong, "E. coli RNA-seq workflow with STAR alignment");
    assert!(
        plan.unmet[0].contains("STAR does not fit"),
        "{:?}",
        plan.unmet
    );
    assert!(plan.tools().contains(&"BWA-MEM2") && missing(&plan).is_empty());
    let plan = asked(
        &BTreeMap::new(),
        "E. coli RNA-seq workflow with {aligner} alignment",
    );
    assert!(
        plan.unmet[0].contains("leaves aligner open"),
        "{:?}",
        plan.unmet
    );
    let other = BTreeMap::from([("tool".to_owned(), "Bismark".to_owned())]);
    assert!(asked(&other, "RNA-seq, using Bismark").unmet[0].contains("Bismark has no place"));
}

#[test]
fn an_unknown_analysis_is_refused() {
    let slots = BTreeMap::new();
    let asked = Asked {
        analysis_type: "astrology",
        organism: "human",
        complexity: "simple",
        query: "",
        slots: &slots,
    };
    assert_eq!(plan(&asked).unwrap_err(), "no analysis type \"astrology\"");
}

#[test]
fn what_the_data_is_like_adds_a_step() {
    let slots = BTreeMap::new();
    let text = "RNA-seq for mouse; ribosomal RNA makes up more than half of the reads";
    let plan = plan(&Asked {
        analysis_type: "rna_seq",
        organism: "mouse",
        complexity: "simple",
        query: text,
        slots: &slots,
    })
    .unwrap();
    let at = |name: &str| {
        plan.steps
            .iter()
            .position(|step| step.process == name)
            .unwrap()
    };
    assert!(at("TRIMGALORE") < at("SORTMERNA") && at("SORTMERNA") < at("STAR_ALIGN"));
}

#[test]
fn whole_cohorts_are_taken_once() {
    let takes = catalogue()
        .processes
        .values()
        .flat_map(|process| &process.takes);
    assert!(
        takes.clone().any(|take| take.how == How::All)
            && takes.clone().any(|take| take.how == How::Whole)
    );
}
