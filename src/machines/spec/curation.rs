//! What is asked of curation: what a data set keeps, how it is split, and where parts of it go.

use serde::{Deserialize, Serialize};

/// `[curation]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CurationSpec {
    /// Rows below this quality are removed, 0 to 1.
    pub min_quality: f64,
    /// Shares of train, validation and test; their sum is 1.
    pub split: [f64; 3],
    /// What asks or says fewer words is trivial.
    pub min_words: u32,
    /// Free text this similar to a better row is removed: Jaccard index of character 4-grams, 0 to 1.
    pub near_duplicate: f64,
    /// Free texts this similar are never in two splits.
    pub same_split: f64,
    /// Trajectories that failed may be at most this share of the data set.
    pub max_failure_share: f64,
    /// One analysis type may be at most this share of the data set.
    pub max_type_share: f64,
    /// Whether one template of each analysis type is kept out, to test on.
    pub unseen_templates: bool,
    /// Files of evaluation sets: rows that overlap with them are removed.
    pub evaluation_files: Vec<String>,
    /// Manifests of earlier data sets: what they test on is never trained on.
    pub frozen: Vec<String>,
    /// What is handed on when the data set is there.
    pub exports: Vec<ExportSpec>,
}

impl Default for CurationSpec {
    fn default() -> Self {
        Self {
            min_quality: 0.7,
            split: [0.8, 0.1, 0.1],
            min_words: 3,
            near_duplicate: 0.85,
            same_split: 0.7,
            max_failure_share: 0.5,
            max_type_share: 0.25,
            unseen_templates: true,
            evaluation_files: Vec::new(),
            frozen: Vec::new(),
            exports: Vec::new(),
        }
    }
}

impl CurationSpec {
    /// Tells `refuse` what is wrong.
    pub(super) fn problems(&self, refuse: &mut impl FnMut(bool, String)) {
        let shares = [
            ("min_quality", self.min_quality),
            ("near_duplicate", self.near_duplicate),
            ("same_split", self.same_split),
            ("max_failure_share", self.max_failure_share),
            ("max_type_share", self.max_type_share),
        ];
        for (key, value) in shares {
            refuse(
                !(0.0..=1.0).contains(&value),
                format!("curation.{key} = {value} is not between 0 and 1"),
            );
        }
        let split = self.split;
        let sound = split.iter().all(|share| (0.0..=1.0).contains(share));
        refuse(
            !sound || (split.iter().sum::<f64>() - 1.0).abs() > 1e-9,
            format!("curation.split = {split:?} is no split"),
        );
        refuse(
            self.same_split > self.near_duplicate,
            format!(
                "curation.same_split = {} is above near_duplicate = {}",
                self.same_split, self.near_duplicate
            ),
        );
    }
}

/// `[[export]]`: a part of the data set, in one format, at one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportSpec {
    /// Its name, and that of the directory it makes at the destination.
    pub name: String,
    /// Data sets; none: all.
    pub datasets: Vec<String>,
    /// Values of the field `domain`; none: all.
    pub domains: Vec<String>,
    /// Values of the field `type` or `analysis_type`; none: all.
    pub types: Vec<String>,
    /// The format.
    pub format: String,
    /// The directory with the model's tokenizer, for `format = "template"`.
    pub model: Option<String>,
    /// A directory, or `host:path` for rsync.
    pub destination: String,
}
