//! Finds the patterns of all errors in one pass over a line.
//!
//! A pattern is literal fragments in order. A position is looked at closely only where its two bytes begin some pattern;
//! a pattern is tried once a line, because if its fragments do not follow its first place they follow no later one. So the
//! time grows with the length of the line alone, whatever the line says.

use super::catalogue::Entry;

struct Pattern {
    /// Index of the error; `None` marks a line that never counts.
    error: Option<usize>,
    fragments: Vec<String>,
}

/// All patterns, by their first two bytes.
pub(super) struct Matcher {
    patterns: Vec<Pattern>,
    /// Per pair of first bytes, the bucket plus one; zero for none.
    table: Vec<u16>,
    buckets: Vec<Vec<usize>>,
}

/// An error found in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    /// Index of the error in the catalogue.
    pub error: usize,
    /// Byte in the line where its pattern begins.
    pub at: usize,
}

impl Matcher {
    /// Refuses a pattern whose first fragment is shorter than two bytes.
    pub fn new(entries: &[Entry], noise: &[Vec<String>]) -> Result<Matcher, String> {
        let mut matcher = Matcher {
            patterns: Vec::new(),
            table: vec![0; 1 << 16],
            buckets: Vec::new(),
        };
        for fragments in noise {
            matcher.add(None, fragments)?;
        }
        for (error, entry) in entries.iter().enumerate() {
            for fragments in &entry.patterns {
                matcher.add(Some(error), fragments)?;
            }
        }
        Ok(matcher)
    }

    fn add(&mut self, error: Option<usize>, fragments: &[String]) -> Result<(), String> {
        let Some([a, b, ..]) = fragments.first().map(String::as_bytes) else {
            return Err(format!("pattern {fragments:?} begins too short"));
        };
        let slot = &mut self.table[key(*a, *b)];
        if *slot == 0 {
            self.buckets.push(Vec::new());
            *slot = u16::try_from(self.buckets.len()).map_err(|_| "too many patterns")?;
        }
        self.buckets[usize::from(*slot) - 1].push(self.patterns.len());
        self.patterns.push(Pattern {
            error,
            fragments: fragments.to_vec(),
        });
        Ok(())
    }

    /// The errors found in a line, each once, in the order of their places; none in a line of noise.
    pub fn hits(&self, line: &str, entries: &[Entry]) -> Vec<Hit> {
        let bytes = line.as_bytes();
        let mut tried: Vec<usize> = Vec::new();
        let mut hits: Vec<Hit> = Vec::new();
        for (at, pair) in bytes.windows(2).enumerate() {
            let slot = self.table[key(pair[0], pair[1])];
            if slot == 0 {
                continue;
            }
            for &number in &self.buckets[usize::from(slot) - 1] {
                let pattern = &self.patterns[number];
                let first = pattern.fragments[0].as_bytes();
                if !bytes[at..].starts_with(first) || tried.contains(&number) {
                    continue;
                }
                tried.push(number);
                if !follows(&line[at + first.len()..], &pattern.fragments[1..]) {
                    continue;
                }
                let Some(error) = pattern.error else {
                    return Vec::new();
                };
                if hits.iter().all(|hit| hit.error != error) {
                    hits.push(Hit { error, at });
                }
            }
        }
        hits.retain(|hit| {
            let unless = &entries[hit.error].unless;
            !unless.iter().any(|words| line.contains(words.as_str()))
        });
        hits
    }
}

fn key(a: u8, b: u8) -> usize {
    usize::from(a) << 8 | usize::from(b)
}

/// Whether the fragments come one after the other.
fn follows(mut rest: &str, fragments: &[String]) -> bool {
    fragments.iter().all(|fragment| {
        let Some(at) = rest.find(fragment.as_str()) else {
            return false;
        };
        rest = &rest[at + fragment.len()..];
        true
    })
}
