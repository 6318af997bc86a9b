//! Twenty steps from the first adapter to the last.

use super::{Comparison, fixture::*, numbers::engine};
use campaignd::{
    lora::{
        backend::{AdamStep, Backend, Use},
        batch::Batch,
    },
    training::{schedule::learning_rate, settings::Settings},
};
use serde_json::Value;

pub struct Training;

/// How a fixture was trained.
pub fn settings(fixture: &Fixture) -> Settings {
    let opt = &fixture.expected["case"]["opt"];
    let betas = list(&opt["betas"]);
    Settings {
        learning_rate: number(&opt["lr"]),
        adam_beta1: betas[0],
        adam_beta2: betas[1],
        adam_epsilon: number(&opt["eps"]),
        weight_decay: number(&opt["weight_decay"]),
        max_grad_norm: number(&fixture.expected["clip"]),
        lr_scheduler_type: opt["schedule"].as_str().unwrap().parse().unwrap(),
        warmup_steps: opt["warmup"].as_u64().unwrap(),
        warmup_ratio: 0.0,
        ..Settings::default()
    }
}

impl Comparison for Training {
    fn compare<B: Backend>(&self, fixture: &Fixture, machine: fn() -> B) -> usize {
        let (settings, expected) = (settings(fixture), &fixture.expected["train"]);
        let [losses, norms, rates, tokens] =
            ["loss", "grad_norm", "lr", "label_tokens"].map(|key| list(&expected[key]));
        let accumulation = fixture.expected["accumulation"].as_u64().unwrap() as usize;
        let batch =
            |rows: &Value| fixture.batch(&rows.as_array().unwrap().iter().collect::<Vec<_>>());
        let micro: Vec<Batch> = fixture.data["train"]
            .as_array()
            .unwrap()
            .iter()
            .map(batch)
            .collect();
        let mut engine = engine(fixture, machine, "adapter_init");
        let (mut compared, mut clipped) = (0, 0);
        for (step, batches) in micro.chunks(accumulation).enumerate() {
            let labels: usize = batches.iter().map(|batch| batch.targets.len()).sum();
            engine.clear(0).unwrap();
            let learn = |batch| engine.learn(batch, 1.0 / labels as f32, Use::On).unwrap();
            let loss = batches.iter().map(learn).sum::<f64>() / labels as f64;
            let norm = engine.squares(0).unwrap().sqrt();
            let rate = learning_rate(&settings, step as u64, losses.len() as u64);
            let scale = (settings.max_grad_norm / (norm + 1e-6)).min(1.0);
            clipped += usize::from(scale < 1.0);
            let adam = AdamStep {
                step: step as u64 + 1,
                learning_rate: rate,
                beta1: settings.adam_beta1,
                beta2: settings.adam_beta2,
                epsilon: settings.adam_epsilon,
                weight_decay: settings.weight_decay,
                gradient_scale: scale,
            };
            engine.update(0, &adam).unwrap();
            let what = |quantity: &str| format!("{quantity} of step {step}");
            compared += relative(&what("loss"), loss, losses[step], 3e-6);
            compared += relative(&what("norm"), norm, norms[step], 1e-5);
            compared += relative(&what("rate"), rate, rates[step], 1e-6);
            compared += one(&what("tokens"), labels as f64, tokens[step], 0.0);
        }
        assert!(clipped > 0, "no step was clipped");
        let last = fixture.adapters("adapter_final");
        let found = engine.adapters(0).unwrap();
        assert!(found.keys().eq(last.keys()));
        for (site, adapter) in &found {
            let expected = &last[site];
            compared += near(&tensor_name(*site, 'A'), &adapter.a, &expected.a, 1e-5);
            compared += near(&tensor_name(*site, 'B'), &adapter.b, &expected.b, 1e-5);
        }
        compared
    }

    fn expected(&self, fixture: &Fixture) -> usize {
        4 * fixture.expected["steps"].as_u64().unwrap() as usize + fixture.trainable()
    }
}
