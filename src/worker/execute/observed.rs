//! What a run states of a metric: `metrics.json` that the runner wrote, the account of its tasks, MultiQC's general
//! statistics. What rests on no observation is not stated.

use super::place::Place;
use crate::workflow::{
    expectation::{Observed, in_percent},
    trace::ExecutionMetrics,
};
use serde_json::Value;
use std::{
    fs::File,
    io::{self, Read},
};

/// A longer file of metrics is none.
const LONGEST: u64 = 16 << 20;

/// Every place where a run may state a metric.
pub(super) struct Stated<'a> {
    own: Vec<Value>,
    metrics: Option<&'a ExecutionMetrics>,
    /// The account by the names of its fields.
    fields: Value,
}

impl<'a> Stated<'a> {
    /// Reads them; what is wrong with a file is said in `notes`.
    pub fn of(
        place: &Place,
        metrics: Option<&'a ExecutionMetrics>,
        notes: &mut Vec<String>,
    ) -> Self {
        let mut own = Vec::new();
        for dir in [place.dir.clone(), place.results()] {
            match read(&dir.join("metrics.json")) {
                Ok(Some(value)) => own.push(value),
                Ok(None) => {}
                Err(error) => notes.push(format!("metrics.json is left out: {error}")),
            }
        }
        let fields = metrics.and_then(|metrics| serde_json::to_value(metrics).ok());
        Self {
            own,
            metrics,
            fields: fields.unwrap_or_default(),
        }
    }

    /// The values of a metric: of the first place that states it.
    pub fn values(&self, metric: &str) -> Vec<Observed> {
        let own = self.own.iter().filter_map(|own| of_file(own, metric));
        let first = own.into_iter().find(|values| !values.is_empty());
        first
            .or_else(|| self.field(metric))
            .unwrap_or_else(|| self.of_samples(metric))
    }

    /// A field of the account, where rows stand behind it: a sum of none is no evidence.
    fn field(&self, metric: &str) -> Option<Vec<Observed>> {
        let metrics = self.metrics?;
        let rows = match metric {
            "total_cpu_hours" => metrics.observations.cpu,
            "total_memory_gb_hours" => metrics.observations.memory,
            "wall_time_minutes" => metrics.observations.wall,
            _ => metrics.total_processes,
        };
        let value = self.fields.get(metric)?.as_f64().filter(|_| rows > 0)?;
        Some(vec![plain(value)])
    }

    /// One value for each sample of MultiQC's. Its names are long: `STAR_mqc-generalstats-star-uniquely_mapped_percent`.
    fn of_samples(&self, metric: &str) -> Vec<Observed> {
        let samples = self.metrics.iter().flat_map(|metrics| metrics.qc.values());
        let named = |name: &String| {
            name == metric
                || name
                    .strip_suffix(metric)
                    .is_some_and(|rest| rest.ends_with(['-', '.', '/', ' ']))
        };
        let found = samples.filter_map(|stated| stated.iter().find(|(name, _)| named(name)));
        found
            .map(|(name, value)| Observed {
                value: *value,
                percent: in_percent(name),
            })
            .collect()
    }
}

fn read(path: &std::path::Path) -> io::Result<Option<Value>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("it is too long"));
    }
    Ok(Some(serde_json::from_slice(&text)?))
}

/// A metric of a runner's own file: `mapping_rate`, or `star.mapping_rate` one table down.
fn of_file(own: &Value, metric: &str) -> Option<Vec<Observed>> {
    let found = own.get(metric).or_else(|| {
        let (outer, inner) = metric.split_once('.')?;
        own.get(outer)?.get(inner)
    })?;
    let values: Vec<Observed> = match found {
        Value::Array(all) => all.iter().map(|one| number(one, metric)).collect(),
        Value::Object(by_sample) => by_sample.values().map(|one| number(one, metric)).collect(),
        Value::Null => return None,
        one => vec![number(one, metric)],
    };
    Some(values)
}

/// A number, or a text of one; what is none is NaN, which no expectation takes.
fn number(value: &Value, metric: &str) -> Observed {
    if let Some(number) = value.as_f64() {
        return Observed {
            value: number,
            percent: in_percent(metric),
        };
    }
    let text = value.as_str().unwrap_or("").trim();
    let (number, percent) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), true),
        None => (text, in_percent(metric)),
    };
    Observed {
        value: number.parse().unwrap_or(f64::NAN),
        percent,
    }
}

fn plain(value: f64) -> Observed {
    Observed {
        value,
        percent: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::trace::Observations;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn values(stated: &Stated, metric: &str) -> Vec<f64> {
        let values = stated.values(metric);
        values.iter().map(|observed| observed.value).collect()
    }

    #[test]
    fn the_runners_own_file_comes_first_and_its_texts_are_read() {
        let stated = Stated {
            own: vec![json!({
                "mapping_rate": "83.1 %", "genes": [15000, "16000"], "star": { "rate": 3 },
                "by_sample": { "a": 1, "b": 2 }, "bad": "many", "none": null,
            })],
            metrics: None,
            fields: Value::Null,
        };
        assert_eq!(values(&stated, "mapping_rate"), [83.1]);
        assert!(stated.values("mapping_rate")[0].percent);
        assert_eq!(values(&stated, "genes"), [15000.0, 16000.0]);
        assert_eq!(values(&stated, "star.rate"), [3.0]);
        assert_eq!(values(&stated, "by_sample"), [1.0, 2.0]);
        assert!(values(&stated, "bad")[0].is_nan());
        assert!(values(&stated, "none").is_empty());
        assert!(values(&stated, "other").is_empty());
    }

    #[test]
    fn a_sum_of_no_rows_is_not_stated() {
        let mut metrics = ExecutionMetrics::default();
        let of = |metrics: &ExecutionMetrics, metric: &str| {
            let stated = Stated {
                own: Vec::new(),
                fields: serde_json::to_value(metrics).unwrap(),
                metrics: Some(metrics),
            };
            values(&stated, metric)
        };
        assert!(of(&metrics, "failed_processes").is_empty());
        assert!(of(&metrics, "total_cpu_hours").is_empty());
        metrics.total_processes = 3;
        metrics.observations = Observations {
            cpu: 3,
            ..Observations::default()
        };
        assert_eq!(of(&metrics, "failed_processes"), [0.0]);
        assert_eq!(of(&metrics, "total_cpu_hours"), [0.0]);
        assert!(of(&metrics, "wall_time_minutes").is_empty());
        assert!(of(&metrics, "by_status").is_empty(), "it is no number");
    }

    #[test]
    fn every_sample_of_multiqc_states_its_own() {
        let name = "STAR_mqc-generalstats-star-uniquely_mapped_percent";
        let sample = |value: f64| BTreeMap::from([(name.to_owned(), value)]);
        let metrics = ExecutionMetrics {
            qc: BTreeMap::from([("a".into(), sample(91.0)), ("b".into(), sample(0.5))]),
            ..ExecutionMetrics::default()
        };
        let stated = Stated {
            own: Vec::new(),
            fields: Value::Null,
            metrics: Some(&metrics),
        };
        assert_eq!(values(&stated, "uniquely_mapped_percent"), [91.0, 0.5]);
        assert!(stated.values(name).iter().all(|one| one.percent));
        assert!(
            values(&stated, "mapped_percent").is_empty(),
            "part of a word"
        );
    }
}
