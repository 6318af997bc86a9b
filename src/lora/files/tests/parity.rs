//! The fixtures of PyTorch and PEFT: models open, adapters are read and written back as the very bytes that PEFT wrote.

use super::made;
use crate::lora::{
    decoder::Tensors,
    files::{ModelDir, layout, read_adapter, write_adapter, write_merged},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn fixtures(test: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/parity");
    if !dir.is_dir() {
        eprintln!("skipped {test}: there are no parity fixtures beside the checkout");
        return None;
    }
    Some(dir)
}

#[test]
fn models_and_adapters_of_peft_are_read_and_written_alike() {
    let Some(dir) = fixtures("models_and_adapters_of_peft_are_read_and_written_alike") else {
        return;
    };
    for name in ["llama-gqa", "qwen2-tied", "mistral"] {
        let model = ModelDir::open(&dir.join(name).join("model")).unwrap();
        for (tensor, shape) in layout::weights(&model.decoder) {
            let n: usize = shape.iter().product();
            assert_eq!(model.tensor(&tensor).unwrap().len(), n);
        }
        for state in ["adapter_init", "adapter_final"] {
            let source = dir.join(name).join(state);
            let found = read_adapter(&source, &model.decoder).unwrap();
            assert_eq!((found.adapters.len(), found.is_zero), (8, false), "{name}");
            let out = tempfile::tempdir().unwrap();
            let settings = made::settings(found.r, found.lora_alpha);
            write_adapter(out.path(), &settings, "model", &found.adapters).unwrap();
            let bytes = |dir: &Path| fs::read(dir.join("adapter_model.safetensors")).unwrap();
            assert!(bytes(&source) == bytes(out.path()), "{name}/{state}");
            assert_eq!(
                read_adapter(out.path(), &model.decoder).unwrap().adapters,
                found.adapters
            );
            let merged = out.path().join("merged");
            write_merged(&model, &found.adapters, &merged, &mut |_, _| ()).unwrap();
            assert_eq!(ModelDir::open(&merged).unwrap().decoder, model.decoder);
        }
        let other = if name == "qwen2-tied" {
            "mistral"
        } else {
            "qwen2-tied"
        };
        let other = made_of_other(&dir.join(other).join("model"));
        assert!(read_adapter(&dir.join(name).join("adapter_init"), &other).is_err());
    }
}

/// A decoder of another depth: no adapter of the fixtures fits it.
fn made_of_other(model: &Path) -> crate::lora::decoder::Decoder {
    let mut decoder = ModelDir::open(model).unwrap().decoder;
    decoder.layers.pop();
    decoder
}
