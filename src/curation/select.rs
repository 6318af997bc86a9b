//! Which rows of a data set an export takes: by data set, by domain, by type. Nothing named takes everything.

use super::words::DataSet;
use serde_json::{Map, Value};

/// What is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    sets: Vec<DataSet>,
    domains: Vec<String>,
    types: Vec<String>,
}

impl Selection {
    /// The data sets, domains and types that an export names; an empty list is all.
    ///
    /// # Errors
    /// A data set that there is none of.
    pub fn new(datasets: &[String], domains: &[String], types: &[String]) -> Result<Self, String> {
        let sets: Result<Vec<DataSet>, String> = datasets.iter().map(|name| name.parse()).collect();
        Ok(Self {
            sets: sets?,
            domains: domains.into(),
            types: types.into(),
        })
    }

    /// Whether rows of a data set may be among them: one that is not needs not be read.
    pub fn takes_set(&self, set: DataSet) -> bool {
        self.sets.is_empty() || self.sets.contains(&set)
    }

    /// Whether every row of the data sets is taken: their files can be handed on as they are.
    pub fn takes_all_rows(&self) -> bool {
        self.domains.is_empty() && self.types.is_empty()
    }

    /// Whether a row is taken. Its domain is the text under `domain`, its type that under `type`, or `analysis_type` where
    /// it has no `type`; a row without one is of none.
    pub fn takes(&self, set: DataSet, row: &Map<String, Value>) -> bool {
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        let among = |wanted: &[String], said: Option<&str>| {
            wanted.is_empty() || said.is_some_and(|said| wanted.iter().any(|word| word == said))
        };
        self.takes_set(set)
            && among(&self.domains, text("domain"))
            && among(&self.types, text("type").or_else(|| text("analysis_type")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    fn selection(datasets: &[&str], domains: &[&str], types: &[&str]) -> Selection {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|word| word.to_string())
                .collect::<Vec<_>>()
        };
        Selection::new(&words(datasets), &words(domains), &words(types)).unwrap()
    }

    #[test]
    fn nothing_named_takes_everything() {
        let all = selection(&[], &[], &[]);
        assert!(all.takes(DataSet::Samples, &row(json!({}))) && all.takes_all_rows());
    }

    #[test]
    fn all_that_is_named_must_hold() {
        let some = selection(&["routing", "samples"], &["asm", "c"], &["optimize"]);
        let taken = row(json!({"domain": "c", "type": "optimize", "analysis_type": "other"}));
        assert!(some.takes(DataSet::Samples, &taken));
        assert!(!some.takes(DataSet::Codegen, &taken) && !some.takes_set(DataSet::Codegen));
        for other in [
            json!({"domain": "lua", "type": "optimize"}),
            json!({"domain": "c", "type": "debug"}),
            json!({"domain": "c"}),
            json!({"type": "optimize"}),
            json!({"domain": ["c"], "type": "optimize"}),
        ] {
            assert!(
                !some.takes(DataSet::Samples, &row(other.clone())),
                "{other}"
            );
        }
        let typed = selection(&[], &[], &["rna_seq"]);
        assert!(typed.takes(DataSet::Routing, &row(json!({"analysis_type": "rna_seq"}))));
        assert!(!typed.takes_all_rows());
    }

    #[test]
    fn a_data_set_that_there_is_none_of_is_named() {
        let error = Selection::new(&["route".into()], &[], &[]).unwrap_err();
        assert!(error.contains("\"route\" is none of routing"), "{error}");
    }
}
