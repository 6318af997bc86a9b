//! One fixture as it lies on disk: its model, its batches, what the reference stack computed.

use campaignd::{
    lora::{
        backend::Pair,
        batch::Batch,
        engine::Adapters,
        files::{ModelDir, read_adapter},
    },
    training::{site::Site, words::Module},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Tensors of a safetensors file, in f32, by name: read by hand, so that the trainer's own reader is judged too.
pub struct Numbers(BTreeMap<String, Vec<f32>>);

impl Numbers {
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let (len, rest) = bytes.split_first_chunk::<8>().unwrap();
        let (header, data) = rest.split_at(u64::from_le_bytes(*len) as usize);
        let header: BTreeMap<String, Value> = serde_json::from_slice(header).unwrap();
        let floats = header
            .into_iter()
            .filter(|(_, tensor)| tensor["dtype"] == "F32");
        let tensor = |(name, tensor): (String, Value)| {
            let at = |end: usize| tensor["data_offsets"][end].as_u64().unwrap() as usize;
            let quads = data[at(0)..at(1)].as_chunks::<4>().0;
            (
                name,
                quads.iter().map(|quad| f32::from_le_bytes(*quad)).collect(),
            )
        };
        Self(floats.map(tensor).collect())
    }

    pub fn get(&self, name: &str) -> &[f32] {
        let found = self.0.get(name);
        found.unwrap_or_else(|| panic!("there is no {name}"))
    }
}

pub struct Fixture {
    pub name: &'static str,
    pub root: PathBuf,
    pub model: ModelDir,
    /// `expected.safetensors`.
    pub tensors: Numbers,
    /// `expected.json`.
    pub expected: Value,
    /// `data.json`.
    pub data: Value,
}

impl Fixture {
    /// None where it is not beside the checkout.
    pub fn open(name: &'static str) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = root.join("../shared/fixtures/parity").join(name);
        root.is_dir().then(|| Self {
            name,
            model: ModelDir::open(&root.join("model")).unwrap(),
            tensors: Numbers::read(&root.join("expected.safetensors")),
            expected: json(&root.join("expected.json")),
            data: json(&root.join("data.json")),
            root,
        })
    }

    /// An adapter directory: `adapter_init` or `adapter_final`.
    pub fn adapters(&self, name: &str) -> Adapters {
        let found = read_adapter(&self.root.join(name), &self.model.decoder).unwrap();
        found.adapters
    }

    /// Where the adapters of all fixtures sit.
    pub fn sites(&self) -> impl Iterator<Item = Site> {
        let layers = 0..self.model.decoder.layers.len() as u32;
        let modules = [Module::Q, Module::K, Module::V, Module::O];
        layers.flat_map(move |layer| modules.map(|module| Site { layer, module }))
    }

    /// Numbers of all adapters.
    pub fn trainable(&self) -> usize {
        self.expected["trainable_params"].as_u64().unwrap() as usize
    }

    /// A list of rows, or a row, of `data.json` as one batch.
    pub fn batch(&self, rows: &[&Value]) -> Batch {
        let mut batch = Batch::default();
        for (number, row) in (0..).zip(rows) {
            let labels = row["labels"].as_array().unwrap();
            let learned: Vec<bool> = labels.iter().map(|label| label != -100).collect();
            batch.push(number, &ids(&row["input_ids"]), &learned);
        }
        batch
    }

    /// The fixed batch.
    pub fn fixed(&self) -> Batch {
        self.batch(
            &self.data["fixed"]
                .as_array()
                .unwrap()
                .iter()
                .collect::<Vec<_>>(),
        )
    }
}

/// What PEFT calls the tensor of an adapter.
pub fn tensor_name(site: Site, matrix: char) -> String {
    format!("base_model.model.{site}.lora_{matrix}.weight")
}

pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

pub fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

pub fn ids(value: &Value) -> Vec<u32> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|id| id.as_u64().unwrap() as u32).collect()
}

/// How many pairs of numbers are near each other: all, or it says which is not. A NaN never is.
pub fn near(what: &str, found: &[f32], expected: &[f32], tolerance: f64) -> usize {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let apart = (f64::from(found) - f64::from(expected)).abs();
        assert!(
            apart <= tolerance,
            "{what} at {at}: {found}, not {expected} +- {tolerance:e}"
        );
    }
    found.len()
}

/// The same of one number: absolute.
pub fn one(what: &str, found: f64, expected: f64, tolerance: f64) -> usize {
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found}, not {expected} +- {tolerance:e}"
    );
    1
}

/// And relative.
pub fn relative(what: &str, found: f64, expected: f64, tolerance: f64) -> usize {
    one(what, found, expected, tolerance * expected.abs())
}

/// Gradients under a prefix of `expected.safetensors`, each against the largest number of its tensor.
pub fn gradients(fixture: &Fixture, prefix: &str, found: &BTreeMap<Site, Pair>) -> usize {
    let mut compared = 0;
    assert!(fixture.sites().eq(found.keys().copied()));
    for (&site, pair) in found {
        for (matrix, found) in [('A', &pair.a), ('B', &pair.b)] {
            let name = format!("{prefix}{}", tensor_name(site, matrix));
            let expected = fixture.tensors.get(&name);
            let highest = expected
                .iter()
                .fold(0.0_f64, |m, x| m.max(f64::from(x.abs())));
            compared += near(&name, found, expected, 3e-5 * highest);
        }
    }
    compared
}

/// The L2 norm.
pub fn norm(numbers: &[f32]) -> f64 {
    let squares = numbers.iter().map(|&x| f64::from(x) * f64::from(x));
    squares.sum::<f64>().sqrt()
}
