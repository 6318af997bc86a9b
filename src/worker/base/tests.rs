//! Models made of the same texts, of others, and in places that are taken.

use super::*;
use crate::{
    lora::decoder::Tensors,
    training::base::{BaseSettings, Size},
};

const ROWS: &str = concat!(
    r#"{"messages":[{"role":"user","content":"process FASTQC ran out of memory"},{"role":"assistant","content":"increase the memory"}]}"#,
    "\n",
    r#"{"messages":[{"role":"user","content":"process MULTIQC ran out of time"},{"role":"assistant","content":"increase the time"}]}"#,
    "\n",
);

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(rows: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("rows.jsonl"), rows).unwrap();
        Self { dir }
    }

    fn job(&self, output: &str, seed: u64) -> BaseJob {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        BaseJob {
            data: vec![path("rows.jsonl")],
            output: path(output),
            settings: BaseSettings {
                size: Size::Tiny,
                seed,
            },
        }
    }

    fn make(&self, output: &str, seed: u64) -> Result<Made, String> {
        let made = make(&self.job(output, seed), &mut |_| {});
        made.map_err(|undone| {
            undone
                .text
                .replace(&self.dir.path().display().to_string(), "")
        })
    }

    /// Every file of a directory with its bytes.
    fn files(&self, output: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.dir.path().join(output)).unwrap();
        entries
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect()
    }
}

#[test]
fn the_directory_is_a_model_with_its_tokenizer() {
    let place = Place::new(ROWS);
    let made = place.make("deep/er/base", 1).unwrap();
    let model = ModelDir::open(&made.output).unwrap();
    let shape = Size::Tiny.shape();
    assert_eq!(model.decoder.hidden, shape.hidden_size);
    assert_eq!(model.decoder.layers.len(), shape.num_hidden_layers);
    assert_eq!(model.decoder.vocabulary, made.vocabulary);
    assert!(made.vocabulary <= shape.vocab_size);
    let head = model.tensor("lm_head.weight").unwrap();
    assert_eq!(head.len(), made.vocabulary * shape.hidden_size);
    let tokens = Tokens::open(&made.output, made.vocabulary).unwrap();
    assert!(tokens.template.is_some());
    let ids = tokens.encode("process FASTQC", false).unwrap();
    assert!(
        ids.len() < "process FASTQC".len(),
        "merges were learned: {ids:?}"
    );
    assert_eq!(tokens.decode(&ids).unwrap(), "process FASTQC");
    let told: u64 = layout::weights(&model.decoder)
        .iter()
        .map(|(name, _)| model.tensor(name).unwrap().len() as u64)
        .sum();
    assert_eq!(made.parameters, told);
}

#[test]
fn every_byte_is_a_function_of_texts_and_seed() {
    let place = Place::new(ROWS);
    for (output, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        place.make(output, seed).unwrap();
    }
    assert_eq!(place.files("a"), place.files("b"));
    let (a, c) = (place.files("a"), place.files("c"));
    assert_eq!(
        a["tokenizer.json"], c["tokenizer.json"],
        "only the weights are drawn"
    );
    assert_ne!(a["model.safetensors"], c["model.safetensors"]);
}

#[test]
fn what_is_there_already_is_found_and_left() {
    let place = Place::new(ROWS);
    let first = place.make("base", 1).unwrap();
    let files = place.files("base");
    let again = place.make("base", 1).unwrap();
    assert!(!first.found && again.found);
    assert_eq!(
        again,
        Made {
            found: true,
            ..first
        }
    );
    assert_eq!(place.files("base"), files);
}

#[test]
fn a_place_that_is_taken_is_refused() {
    let place = Place::new(ROWS);
    place.make("base", 1).unwrap();
    let other = place.make("base", 2).unwrap_err();
    assert_eq!(
        other,
        "/base is there, made with another seed than is asked for"
    );
    fs::write(
        place.dir.path().join("rows.jsonl"),
        "{\"text\":\"other\"}\n",
    )
    .unwrap();
    let other = place.make("base", 1).unwrap_err();
    assert_eq!(
        other,
        "/base is there, made with another texts_sha256 than is asked for"
    );
    fs::create_dir(place.dir.path().join("mine")).unwrap();
    let mine = place.make("mine", 1).unwrap_err();
    assert_eq!(mine, "/mine is there, and is no model that was made here");
}

#[test]
fn without_texts_nothing_is_left() {
    let place = Place::new("{\"input_ids\":[1,2]}\n");
    let error = place.make("base", 1).unwrap_err();
    assert_eq!(
        error,
        "there is no text to train a tokenizer on in /rows.jsonl"
    );
    let left: Vec<_> = fs::read_dir(place.dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only the rows: {left:?}");
}
