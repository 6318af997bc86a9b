//! Every query there is, numbered from zero: the diversity matrix first, a balanced front, then all the rest.
//!
//! Only the *leads* (template, organism, slot values) are stored, a few thousand; what follows a lead (design, platform,
//! scenario) is arithmetic, so an index becomes a query in constant time. In the front, analysis types take turns and two
//! queries of three have no error scenario; the plain product would be ruled by the types with the most parameters.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::vocabulary::{Analysis, Executor, Level, Organism, Template, Words, words};

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::enumerate(words()));

/// The catalogue of the words compiled into this program, built once.
pub fn catalogue() -> &'static Catalogue {
    &CATALOGUE
}

/// Number of distinct queries in the catalogue.
pub fn catalogue_size() -> u64 {
    catalogue().len()
}

/// Refuses a total (pilot, its extensions and full generation together) beyond the catalogue.
pub fn check_target(total: u64) -> Result<(), String> {
    let size = catalogue_size();
    if total <= size {
        return Ok(());
    }
    Err(format!(
        "a target of {total} queries is beyond the catalogue of the built-in generator, which has {size} distinct ones"
    ))
}

/// A template with organism and slot values: the beginning of a query.
#[derive(Debug)]
struct Lead {
    organism: usize,
    template: usize,
    values: BTreeMap<String, String>,
}

/// What a query asks for the containers and where they run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Platform<'a> {
    /// Container runtime, if it is named.
    pub runtime: Option<&'a str>,
    /// Executor, if it is named.
    pub executor: Option<&'a Executor>,
}

/// One query of the catalogue, by its parts.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Analysis type.
    pub analysis: &'a Analysis,
    /// Organism.
    pub organism: &'a Organism,
    /// Template.
    pub template: &'a Template,
    /// Position of the template in its analysis, from 1.
    pub template_number: usize,
    /// Values of the template's own slots, without the organism.
    pub values: &'a BTreeMap<String, String>,
    /// Complexity level.
    pub level: &'a Level,
    /// Phrase that tells the size, with slots.
    pub design: &'a str,
    /// Containers and executor.
    pub platform: Platform<'a>,
    /// Name and clause of the error scenario.
    pub scenario: Option<(&'a str, &'a str)>,
}

/// Where a query is in the product of all parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Address {
    analysis: usize,
    lead: usize,
    design: usize,
    platform: Option<usize>,
    scenario: Option<usize>,
}

/// All queries, by number.
pub struct Catalogue {
    words: &'static Words,
    leads: Vec<Vec<Lead>>,
    platforms: Vec<Platform<'static>>,
    matrix: Vec<Address>,
    /// Queries beyond the matrix that each analysis has in the front.
    turns: u64,
}

impl Catalogue {
    fn enumerate(words: &'static Words) -> Catalogue {
        let leads = words.analyses.iter().map(|a| leads(words, a)).collect();
        let mut catalogue = Catalogue {
            words,
            leads,
            platforms: platforms(words),
            matrix: Vec::new(),
            turns: 0,
        };
        catalogue.matrix = (0..words.analyses.len())
            .flat_map(|analysis| catalogue.matrix_block(analysis))
            .collect();
        let capacities = (0..words.analyses.len()).map(|a| catalogue.capacity(a));
        let smallest = capacities.min().unwrap_or(0);
        catalogue.turns = words.balanced_per_analysis.min(smallest);
        catalogue
    }

    /// Number of queries.
    pub fn len(&self) -> u64 {
        let beyond: u64 = (0..self.leads.len()).map(|a| self.capacity(a)).sum();
        self.matrix.len() as u64 + beyond
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of queries of the diversity matrix: the first ones of the catalogue.
    pub fn matrix_len(&self) -> u64 {
        self.matrix.len() as u64
    }

    /// Number of queries of the balanced front: the matrix, then the analyses in turn.
    pub fn front_len(&self) -> u64 {
        self.matrix.len() as u64 + self.turns * self.leads.len() as u64
    }

    /// The query of a number, `None` beyond the catalogue.
    pub fn query(&self, number: u64) -> Option<Query<'_>> {
        self.address(number).map(|address| self.resolve(address))
    }

    fn address(&self, number: u64) -> Option<Address> {
        if let Some(address) = usize::try_from(number)
            .ok()
            .and_then(|n| self.matrix.get(n))
        {
            return Some(*address);
        }
        let analyses = self.leads.len() as u64;
        if number < self.front_len() {
            let turn = number - self.matrix_len();
            return Some(self.beyond((turn % analyses) as usize, turn / analyses));
        }
        let mut rest = number - self.front_len();
        for analysis in 0..self.leads.len() {
            let remaining = self.capacity(analysis) - self.turns;
            if rest < remaining {
                return Some(self.beyond(analysis, self.turns + rest));
            }
            rest -= remaining;
        }
        None
    }

    /// The `n`-th query beyond the matrix of an analysis. Leads take turns, so that any stretch shows all of them; a
    /// lead's rounds run through plain and scenario combinations two to one, then through the scenarios left.
    fn beyond(&self, analysis: usize, n: u64) -> Address {
        let leads = self.leads[analysis].len() as u64;
        let (lead, round) = (n % leads, n / leads);
        let plain = self.plain(analysis);
        let before = (round / 3 * 2 + (round % 3).min(2)).min(plain);
        let (combination, scenario) = if round % 3 < 2 && before < plain {
            (scatter(before, lead, plain), None)
        } else {
            let kinds = self.words.analyses[analysis].scenarios.len() as u64;
            let code = scatter(round - before, lead, plain * kinds);
            (code / kinds, Some((code % kinds) as usize))
        };
        let platforms = self.platforms.len() as u64;
        Address {
            analysis,
            lead: lead as usize,
            design: (combination / platforms) as usize,
            platform: Some((combination % platforms) as usize),
            scenario,
        }
    }

    /// Combinations of design, level and platform.
    fn plain(&self, analysis: usize) -> u64 {
        (self.designs(analysis) * self.platforms.len()) as u64
    }

    /// Phrases times levels.
    fn designs(&self, analysis: usize) -> usize {
        self.phrases(analysis).len() * self.words.levels.len()
    }

    fn phrases(&self, analysis: usize) -> &[String] {
        &self.words.designs[&self.words.analyses[analysis].designs]
    }

    /// Queries of an analysis beyond the matrix.
    fn capacity(&self, analysis: usize) -> u64 {
        let scenarios = self.words.analyses[analysis].scenarios.len() as u64;
        self.leads[analysis].len() as u64 * self.plain(analysis) * (scenarios + 1)
    }

    /// The matrix' queries of an analysis, organism by organism: variations, then error scenarios. They name no platform
    /// and all others do, so none occurs twice.
    fn matrix_block(&self, analysis: usize) -> Vec<Address> {
        let definition = &self.words.analyses[analysis];
        let Some(quota) = definition.matrix else {
            return Vec::new();
        };
        let designs = self.designs(analysis);
        let address = |lead, design: usize, scenario| Address {
            analysis,
            lead,
            design: design % designs,
            platform: None,
            scenario,
        };
        let mut block = Vec::new();
        for organism in 0..self.words.organisms.len() {
            let own: Vec<usize> = (self.leads[analysis].iter().enumerate())
                .filter(|(_, lead)| lead.organism == organism)
                .map(|(number, _)| number)
                .collect();
            if own.is_empty() {
                continue;
            }
            let n = own.len();
            block.extend((0..quota.variations).map(|v| address(own[v % n], v % n + v / n, None)));
            let scenarios = definition.scenarios.len().min(quota.scenarios);
            block.extend((0..scenarios).map(|s| address(own[s % n], s + organism, Some(s))));
        }
        block
    }

    fn resolve(&self, address: Address) -> Query<'_> {
        let analysis = &self.words.analyses[address.analysis];
        let lead = &self.leads[address.analysis][address.lead];
        let levels = &self.words.levels;
        let scenario = address.scenario.map(|s| analysis.scenarios[s].as_str());
        Query {
            analysis,
            organism: &self.words.organisms[lead.organism],
            template: &analysis.templates[lead.template],
            template_number: lead.template + 1,
            values: &lead.values,
            level: &levels[address.design % levels.len()],
            design: &self.phrases(address.analysis)[address.design / levels.len()],
            platform: address
                .platform
                .map(|p| self.platforms[p])
                .unwrap_or_default(),
            scenario: scenario.map(|name| (name, self.words.scenarios[name].as_str())),
        }
    }
}

/// A bijection of `0..size`, another one for each `salt`: neighbours land far apart.
fn scatter(n: u64, salt: u64, size: u64) -> u64 {
    (n * coprime_step(size) + salt * 7) % size
}

/// A step near the golden section of `size` that shares no factor with it.
fn coprime_step(size: u64) -> u64 {
    let near = (size as f64 * 0.618) as u64;
    (near.max(1)..)
        .find(|&step| gcd(step, size) == 1)
        .unwrap_or(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Runtime alone, executor alone, and every pair that works.
fn platforms(words: &'static Words) -> Vec<Platform<'static>> {
    let pair = |runtime, executor| Platform { runtime, executor };
    let runtimes = words.runtimes().into_iter().map(|r| pair(Some(r), None));
    let mut platforms: Vec<Platform<'static>> = runtimes.collect();
    for executor in &words.executors {
        platforms.push(pair(None, Some(executor)));
        let runtimes = executor.runtimes.iter();
        platforms.extend(runtimes.map(|r| pair(Some(r.as_str()), Some(executor))));
    }
    platforms
}

/// The leads of an analysis: per organism, templates take turns, so that the first few already show most of them.
fn leads(words: &Words, analysis: &Analysis) -> Vec<Lead> {
    let mut leads = Vec::new();
    for (organism, definition) in words.organisms.iter().enumerate() {
        if !analysis.organisms.contains(&definition.name) {
            continue;
        }
        let mut ranked = Vec::new();
        for (template, sentence) in analysis.templates.iter().enumerate() {
            if words.covers(&sentence.organisms, &definition.name) {
                let fillings = fillings(words, analysis, &definition.name, &sentence.text);
                ranked.extend(fillings.into_iter().enumerate().map(|(rank, values)| {
                    let lead = Lead {
                        organism,
                        template,
                        values,
                    };
                    (rank, lead)
                }));
            }
        }
        ranked.sort_by_key(|(rank, lead)| (*rank, lead.template));
        leads.extend(ranked.into_iter().map(|(_, lead)| lead));
    }
    leads
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_combination_comes_twice() {
        let numbers = 0..catalogue_size();
        let mut addresses: Vec<Address> = numbers.filter_map(|n| catalogue().address(n)).collect();
        assert_eq!(addresses.len() as u64, catalogue_size());
        addresses.sort_unstable();
        let twice = addresses.windows(2).find(|pair| pair[0] == pair[1]);
        assert_eq!(twice, None);
    }

    #[test]
    fn scatter_is_a_bijection() {
        for size in [1, 2, 3, 12, 168, 2016] {
            for salt in [0, 5] {
                let mut places: Vec<u64> = (0..size).map(|n| scatter(n, salt, size)).collect();
                places.sort_unstable();
                assert!(places.into_iter().eq(0..size), "size {size}, salt {salt}");
            }
        }
    }

    #[test]
    fn one_query_of_three_in_the_front_has_a_scenario() {
        let beyond = catalogue().matrix_len()..catalogue().front_len();
        let queries = beyond.clone().filter_map(|n| catalogue().query(n));
        let share = queries.filter(|q| q.scenario.is_some()).count() as f64
            / (beyond.end - beyond.start) as f64;
        assert!((0.25..0.40).contains(&share), "{share}");
    }
}
