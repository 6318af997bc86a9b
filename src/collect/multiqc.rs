//! MultiQC's general statistics: metrics by name, by sample.
//!
//! The JSON holds the values as they are; the tables (`.txt`, `.yaml`) may hold scaled ones (2.3e-05 millions of reads), so
//! they are read only without it. In the JSON of late versions a sample is a list of JSON texts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Metric by name, by sample.
pub type Statistics = BTreeMap<String, BTreeMap<String, f64>>;

/// Reads `multiqc_data.json`, of any version; empty where it has no general statistics, none where it is no JSON.
pub fn json(text: &str) -> Option<Statistics> {
    let report: Value = serde_json::from_str(text).ok()?;
    let data = report.get("report_general_stats_data")?;
    // A list of modules, or in the latest an object of them.
    let modules: Vec<&Value> = match data {
        Value::Array(modules) => modules.iter().collect(),
        Value::Object(modules) => modules.values().collect(),
        _ => return None,
    };
    let mut found = Statistics::new();
    let samples = modules.into_iter().filter_map(Value::as_object).flatten();
    for (sample, value) in samples {
        let own = found.entry(sample.clone()).or_default();
        take(value, own);
    }
    Some(found)
}

fn take(value: &Value, own: &mut BTreeMap<String, f64>) {
    match value {
        Value::Object(object) => {
            let values = match object.get("data") {
                Some(Value::Object(data)) => data,
                _ => object,
            };
            take_numbers(values, own);
        }
        Value::Array(parts) => parts.iter().for_each(|part| take(part, own)),
        Value::String(text) => {
            if let Ok(inner @ Value::Object(_)) = serde_json::from_str(text) {
                take(&inner, own);
            }
        }
        _ => {}
    }
}

/// The first module that has a metric gives it.
fn take_numbers(values: &Map<String, Value>, own: &mut BTreeMap<String, f64>) {
    for (metric, value) in values {
        if let Some(number) = value.as_f64() {
            own.entry(metric.clone()).or_insert(number);
        }
    }
}

/// Reads `multiqc_general_stats.txt`: a row a sample, by tabs.
pub fn table(text: &str) -> Option<Statistics> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next()?.split('\t').collect();
    if header.first() != Some(&"Sample") {
        return None;
    }
    let mut found = Statistics::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let mut cells = line.split('\t');
        let own = found.entry(cells.next()?.to_owned()).or_default();
        for (metric, cell) in header[1..].iter().zip(cells) {
            insert(own, metric, cell);
        }
    }
    Some(found)
}

/// Reads `multiqc_general_stats.yaml`: two levels of plain keys, as MultiQC writes it and no other YAML.
pub fn yaml(text: &str) -> Option<Statistics> {
    let mut found = Statistics::new();
    let mut sample: Option<String> = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (key, value) = line.rsplit_once(':')?;
        let key = key.trim().trim_matches(['\'', '"']);
        if line.starts_with(' ') {
            insert(found.get_mut(sample.as_ref()?)?, key, value);
        } else {
            found.entry(key.to_owned()).or_default();
            sample = Some(key.to_owned());
        }
    }
    Some(found)
}

fn insert(own: &mut BTreeMap<String, f64>, metric: &str, cell: &str) {
    let number = cell.trim().parse::<f64>();
    if let Some(number) = number.ok().filter(|number| number.is_finite()) {
        own.insert(metric.to_owned(), number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_the_json_are_read() {
        let plain = r#"{"report_general_stats_data": [{"s1": {"gc": 42.0, "note": "x"}}, {"s1": {"dups": 1}, "s2": {"gc": 7}}]}"#;
        let found = json(plain).unwrap();
        assert_eq!(
            (found["s1"]["gc"], found["s1"]["dups"], found["s2"]["gc"]),
            (42.0, 1.0, 7.0)
        );
        assert!(!found["s1"].contains_key("note"));
        let listed = r#"{"report_general_stats_data": [{"s1": ["{\"sample\":\"s1\",\"data\":{\"gc\":48.0}}"]}]}"#;
        assert_eq!(json(listed).unwrap()["s1"]["gc"], 48.0);
        let by_module = r#"{"report_general_stats_data": {"fastqc": {"s1": [{"sample": "s1", "data": {"gc": 1}}]}}}"#;
        assert_eq!(json(by_module).unwrap()["s1"]["gc"], 1.0);
        for text in ["", "[]", "{}", "{\"report_general_stats_data\": 3}"] {
            assert_eq!(json(text), None, "{text}");
        }
    }

    #[test]
    fn tables_are_read_and_what_is_no_number_is_left_out() {
        let found = table("Sample\tgc\tkind\ns1\t4.5\tpe\ns2\tnan\t\n").unwrap();
        assert_eq!(found["s1"].len(), 1);
        assert_eq!((found["s1"]["gc"], found["s2"].len()), (4.5, 0));
        assert_eq!(table("name\tstatus\n"), None);
        let found = yaml("S1:\n  'LIB: X_mqc-gc': 1.5\n  b: 2\nS2:\n  b: x\n").unwrap();
        assert_eq!((found["S1"]["LIB: X_mqc-gc"], found["S2"].len()), (1.5, 0));
    }
}
