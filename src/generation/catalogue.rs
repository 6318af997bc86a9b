//! Every query there is, numbered from zero: the diversity matrix first, a balanced front, then all the rest.
//!
//! Only the *leads* (template, organism, slot values) are stored, a few thousand; what follows a lead (design, platform,
//! scenario) is arithmetic, so an index becomes a query in constant time. In the front, analysis types take turns, in each
//! of them its templates, and two queries of three have no error scenario; the plain product would be ruled by the few
//! templates with the most parameters.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::stem::{Stem, stems};
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
    stem: usize,
    lead: usize,
    design: usize,
    platform: Option<usize>,
    scenario: Option<usize>,
}

/// All queries, by number.
pub struct Catalogue {
    words: &'static Words,
    /// Per analysis, the templates that have a filling.
    stems: Vec<Vec<Stem>>,
    platforms: Vec<Platform<'static>>,
    matrix: Vec<Address>,
    /// Queries beyond the matrix that each analysis has in the front.
    turns: u64,
    /// Number of queries.
    size: u64,
}

impl Catalogue {
    fn enumerate(words: &'static Words) -> Catalogue {
        let stems = words.analyses.iter().map(|a| stems(words, a)).collect();
        let mut catalogue = Catalogue {
            words,
            stems,
            platforms: platforms(words),
            matrix: Vec::new(),
            turns: 0,
            size: 0,
        };
        catalogue.matrix = (0..words.analyses.len())
            .flat_map(|analysis| catalogue.matrix_block(analysis))
            .collect();
        let stems = catalogue.stems.iter().enumerate();
        let evenly = stems.map(|(analysis, stems)| {
            let capacities = (0..stems.len()).map(|stem| catalogue.capacity(analysis, stem));
            capacities.min().unwrap_or(0) * stems.len() as u64
        });
        let most = evenly.min().unwrap_or(0);
        catalogue.turns = words.balanced_per_analysis.min(most);
        let rest = catalogue.stem_numbers();
        let rest: u64 = rest
            .map(|(analysis, stem)| catalogue.rest(analysis, stem))
            .sum();
        catalogue.size = catalogue.front_len() + rest;
        catalogue
    }

    /// Number of queries.
    pub fn len(&self) -> u64 {
        self.size
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
        self.matrix.len() as u64 + self.turns * self.stems.len() as u64
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
        let analyses = self.stems.len() as u64;
        if number < self.front_len() {
            let turn = number - self.matrix_len();
            let (analysis, turn) = ((turn % analyses) as usize, turn / analyses);
            let stems = self.stems[analysis].len() as u64;
            return Some(self.beyond(analysis, (turn % stems) as usize, turn / stems));
        }
        let mut left = number - self.front_len();
        for (analysis, stem) in self.stem_numbers() {
            let rest = self.rest(analysis, stem);
            if left < rest {
                let used = self.capacity(analysis, stem) - rest;
                return Some(self.beyond(analysis, stem, used + left));
            }
            left -= rest;
        }
        None
    }

    /// Analysis and stem, in order.
    fn stem_numbers(&self) -> impl Iterator<Item = (usize, usize)> {
        (self.stems.iter().enumerate())
            .flat_map(|(analysis, stems)| (0..stems.len()).map(move |stem| (analysis, stem)))
    }

    /// The `n`-th query beyond the matrix of a stem. Leads take turns, so that any stretch shows all of them; a lead's
    /// rounds run through plain and scenario combinations two to one, then through what is left of either.
    fn beyond(&self, analysis: usize, stem: usize, n: u64) -> Address {
        let leads = self.stems[analysis][stem].leads.len() as u64;
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
            stem,
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

    /// Queries of a stem beyond the matrix.
    fn capacity(&self, analysis: usize, stem: usize) -> u64 {
        let scenarios = self.words.analyses[analysis].scenarios.len() as u64;
        let leads = self.stems[analysis][stem].leads.len() as u64;
        leads * self.plain(analysis) * (scenarios + 1)
    }

    /// Queries of a stem after the front.
    fn rest(&self, analysis: usize, stem: usize) -> u64 {
        let stems = self.stems[analysis].len() as u64;
        let in_front = (self.turns + stems - 1 - stem as u64) / stems;
        self.capacity(analysis, stem) - in_front
    }

    /// The leads of an organism, as stem and lead: stems take turns, so that the first few already show most of them.
    fn leads_of(&self, analysis: usize, organism: usize) -> Vec<(usize, usize)> {
        let mut ranked = Vec::new();
        for (number, stem) in self.stems[analysis].iter().enumerate() {
            let own = (stem.leads.iter().enumerate()).filter(|(_, l)| l.organism == organism);
            ranked.extend((own.enumerate()).map(|(rank, (lead, _))| (rank, number, lead)));
        }
        ranked.sort_unstable();
        ranked
            .into_iter()
            .map(|(_, stem, lead)| (stem, lead))
            .collect()
    }

    /// The matrix' queries of an analysis, organism by organism: variations, then error scenarios. They name no platform
    /// and all others do, so none occurs twice.
    fn matrix_block(&self, analysis: usize) -> Vec<Address> {
        let definition = &self.words.analyses[analysis];
        let Some(quota) = definition.matrix else {
            return Vec::new();
        };
        let designs = self.designs(analysis);
        let address = |(stem, lead), design: usize, scenario| Address {
            analysis,
            stem,
            lead,
            design: design % designs,
            platform: None,
            scenario,
        };
        let mut block = Vec::new();
        for organism in 0..self.words.organisms.len() {
            let own = self.leads_of(analysis, organism);
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
        let stem = &self.stems[address.analysis][address.stem];
        let lead = &stem.leads[address.lead];
        let levels = &self.words.levels;
        let scenario = address.scenario.map(|s| analysis.scenarios[s].as_str());
        Query {
            analysis,
            organism: &self.words.organisms[lead.organism],
            template: &analysis.templates[stem.template],
            template_number: stem.template + 1,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A lead's rounds are a bijection of its combinations, whatever the lead's number: the first and the last show it.
    #[test]
    fn no_combination_comes_twice() {
        for (analysis, stem) in catalogue().stem_numbers() {
            let leads = catalogue().stems[analysis][stem].leads.len() as u64;
            let rounds = catalogue().capacity(analysis, stem) / leads;
            for lead in [0, leads - 1] {
                let numbers = (0..rounds).map(|round| round * leads + lead);
                let mut addresses: Vec<Address> = numbers
                    .map(|n| catalogue().beyond(analysis, stem, n))
                    .collect();
                addresses.sort_unstable();
                addresses.dedup();
                assert_eq!(addresses.len() as u64, rounds, "{analysis}/{stem}");
                assert!(addresses.iter().all(|a| a.lead as u64 == lead));
            }
        }
    }

    #[test]
    fn the_rest_continues_each_stem_where_the_front_ends() {
        let catalogue = catalogue();
        let mut in_front: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for number in catalogue.matrix_len()..catalogue.front_len() {
            let address = catalogue.address(number).expect("inside the front");
            let n = in_front
                .entry((address.analysis, address.stem))
                .or_default();
            assert_eq!(
                address,
                catalogue.beyond(address.analysis, address.stem, *n)
            );
            *n += 1;
        }
        let mut number = catalogue.front_len();
        for (analysis, stem) in catalogue.stem_numbers() {
            let (used, capacity) = (
                in_front[&(analysis, stem)],
                catalogue.capacity(analysis, stem),
            );
            let first = catalogue.beyond(analysis, stem, used);
            assert_eq!(catalogue.address(number), Some(first));
            number += capacity - used;
            let last = catalogue.beyond(analysis, stem, capacity - 1);
            assert_eq!(catalogue.address(number - 1), Some(last));
        }
        assert_eq!(number, catalogue_size());
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
