//! A measurement to its end on a device without a GPU: what it says of memory is what the device saw. Its seconds are the
//! interpreter's, and mean nothing.

use super::simulated::Simulated;
use crate::ptx::Mode;
use campaignd::{
    lora::cuda::Cuda,
    training::words::{Device, Module},
    worker::{
        bench::{Request, measure_by},
        device::Task,
    },
};
use std::rc::Rc;

#[test]
fn a_device_is_measured_and_takes_what_was_planned() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    let config = r#"{
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": 101,
        "hidden_size": 128, "intermediate_size": 160, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64
    }"#;
    std::fs::write(&path, config).unwrap();
    let request = Request {
        shape: path.to_str().unwrap().into(),
        layers: None,
        targets: vec![Module::Q, Module::Down],
        rank: 4,
        dropout: 0.1,
        length: Some(12),
        tokens: Some(24),
        rounds: 1,
        device: Device::Cuda,
    };
    let simulated = Rc::new(Simulated::new(Mode::ALL[0]));
    let report = measure_by(&request, Device::Cuda, &mut |_| (), |measuring| {
        measuring.run(|| Cuda::shared(simulated.clone()), None)
    })
    .unwrap();
    // Knowing nothing costs the logarithm of the vocabulary, and half the variance of random logits, which is 1.
    let ignorance = 101_f64.ln() + 0.5;
    assert!((report.loss - ignorance).abs() < 0.5, "{}", report.loss);
    assert!(report.share_of_ceiling() > 0.0 && report.tax().is_finite());
    let bytes = report.bytes;
    assert_eq!(
        bytes.again(),
        "nothing",
        "the interpreter's memory is large"
    );
    let (planned, peak) = (bytes.planned.unwrap(), bytes.peak.unwrap());
    assert!(
        peak <= planned && planned < peak + peak / 10 + (1 << 15),
        "{peak} of {planned} planned"
    );
    assert!(
        bytes.weights > 2 * report.shape.parameters(),
        "bf16 and borders"
    );
    assert!(bytes.weights + bytes.adapters < peak && bytes.kept > 0);
    assert!(simulated.launches.borrow().contains_key("adamw"));
}
