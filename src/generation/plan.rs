//! A plan of samples: (seed, index) to a query with its score.
//!
//! Pilot, its extensions and the full generation are ranges of indexes of one plan, so they never overlap.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::catalogue::{Query, catalogue};
use super::fault::{Fault, plant, planted};
use super::permutation::permute;
use super::score::{ACCEPTANCE, Claims, Quality, QualityParts, score};
use super::vocabulary::words;
use super::wording::Wording;

/// What decides every sample of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Order of the catalogue and place of the faults.
    pub seed: u64,
    /// Share of samples with a planted fault, 0 to 1.
    pub faults: f64,
}

impl Default for Plan {
    /// One sample in ten has a fault: a mean quality of about 0.85.
    fn default() -> Plan {
        Plan {
            seed: 42,
            faults: 0.1,
        }
    }
}

/// One generated query: a line of a shard file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuerySample {
    /// `q-<seed in hex>-<index>`.
    pub id: String,
    /// Position in the plan.
    pub index: u64,
    /// The query's text.
    pub query: String,
    /// Analysis type.
    pub analysis_type: String,
    /// Organism.
    pub organism: String,
    /// Complexity level.
    pub complexity: String,
    /// Analysis type and number of the template, such as `rna_seq/3`.
    pub template: String,
    /// Slot to value.
    pub slots: BTreeMap<String, String>,
    /// Name of the error scenario that the query tells of.
    pub scenario: Option<String>,
    /// Quality, 0 to 1, from the text.
    pub quality_score: f64,
    /// What the quality is made of.
    pub quality_parts: QualityParts,
    /// Whether the quality reaches [`ACCEPTANCE`].
    pub accepted: bool,
    /// The defect planted in it; no score looks at it.
    pub planted_fault: Option<Fault>,
}

impl QuerySample {
    /// Scores the sample again, from its text and its claims alone.
    pub fn quality(&self, neighbour: Option<&str>) -> Quality {
        let claims = Claims {
            analysis_type: &self.analysis_type,
            organism: &self.organism,
            complexity: &self.complexity,
            slots: &self.slots,
        };
        score(&self.query, &claims, neighbour)
    }
}

impl Plan {
    /// Refuses a share of faults that is no share, NaN among them.
    pub fn check(&self) -> Result<(), String> {
        if (0.0..=1.0).contains(&self.faults) {
            return Ok(());
        }
        Err(format!("faults = {} is not between 0 and 1", self.faults))
    }

    /// The sample of an index, `None` beyond the catalogue. Without faults, distinct indexes have distinct texts.
    pub fn sample(&self, index: u64) -> Option<QuerySample> {
        let (query, wording) = self.wording(index)?;
        let before = index.checked_sub(1).and_then(|before| self.wording(before));
        let neighbour = before.map(|(_, wording)| wording.text());
        let mut sample = QuerySample {
            id: format!("q-{:x}-{index}", self.seed),
            index,
            query: wording.text(),
            analysis_type: query.analysis.name.clone(),
            organism: query.organism.name.clone(),
            complexity: query.level.name.clone(),
            template: format!("{}/{}", query.analysis.name, query.template_number),
            slots: wording.slots,
            scenario: query.scenario.map(|(name, _)| name.to_owned()),
            quality_score: 0.0,
            quality_parts: QualityParts::default(),
            accepted: false,
            planted_fault: self.fault(index),
        };
        let quality = sample.quality(neighbour.as_deref());
        sample.quality_score = quality.score;
        sample.quality_parts = quality.parts;
        sample.accepted = quality.score >= ACCEPTANCE;
        Some(sample)
    }

    fn fault(&self, index: u64) -> Option<Fault> {
        planted(self.seed, self.faults, index)
    }

    /// The query and wording that an index says: its own, or those before it where it repeats.
    fn wording(&self, index: u64) -> Option<(Query<'static>, Wording)> {
        self.place(index)?;
        let mut source = index;
        // Ends at 0 at the latest, which repeats nothing.
        while self.fault(source) == Some(Fault::Repeated) {
            source = source.checked_sub(1)?;
        }
        let query = catalogue().query(self.place(source)?)?;
        let mut wording = Wording::of(&query);
        if let Some(fault) = self.fault(source) {
            plant(fault, words(), &query, &mut wording, (self.seed, source));
        }
        Some((query, wording))
    }

    /// The catalogue number of an index: the balanced front is permuted in itself, and so is what comes after it.
    fn place(&self, index: u64) -> Option<u64> {
        let (size, front) = (catalogue().len(), catalogue().front_len());
        if index < front {
            Some(permute(self.seed, index, front))
        } else if index < size {
            Some(front + permute(self.seed, index - front, size - front))
        } else {
            None
        }
    }
}
