//! One case in a process of its own, so that its peak memory is its own.

use super::{Case, Figures, model};
use campaignd::lora::{
    backend::{AdamStep, Backend, Dropout, Projection, Use},
    batch::Batch,
    cpu::Cpu,
    engine::Engine,
};
use std::{fs, time::Instant};

/// Trains for some steps; the figures of the fastest.
pub fn run(case: &Case) -> Figures {
    let decoder = case.size.decoder();
    let cpu = Cpu::new(case.threads);
    let mut engine = Engine::new(cpu, &decoder, &case.size, &case.size.adapters()).unwrap();
    let (mut seconds, mut first) = (f64::MAX, 0.0);
    for step in 1..=case.steps {
        let batch = model::batch(step, case.prompts);
        let used = match case.dropout {
            0.0 => Use::On,
            p => Use::Drop(Dropout {
                seed: 42,
                step: step.into(),
                p,
            }),
        };
        let learned = batch.supervised.len();
        let begin = Instant::now();
        engine.clear(0).unwrap();
        let loss = engine.learn(&batch, 1.0 / learned as f32, used).unwrap();
        let norm = engine.squares(0).unwrap().sqrt();
        engine.update(0, &adam(step, norm)).unwrap();
        seconds = seconds.min(begin.elapsed().as_secs_f64());
        if step == 1 {
            first = loss / learned as f64;
        }
    }
    Figures {
        seconds,
        loss: first,
        memory: peak(),
    }
}

fn adam(step: u32, norm: f64) -> AdamStep {
    AdamStep {
        step: step.into(),
        learning_rate: 2e-4,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.0,
        gradient_scale: (1.0 / (norm + 1e-6)).min(1.0),
    }
}

/// Peak memory of this process, in bytes.
fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    1024.0 * kilobytes.unwrap().parse::<f64>().unwrap()
}

/// The best rate of a product of the model's kind, in operations a second.
pub fn rate(threads: usize) -> f64 {
    let cpu = Cpu::new(threads);
    let (m, n, k) = (1024, 1024, 256);
    let weight = Projection {
        outputs: n,
        inputs: k,
        weight: vec![0.5; n * k],
        bias: None,
        adapters: Vec::new(),
    };
    let linear = cpu.linear(0, vec![weight]).unwrap();
    let placed = cpu.place(&Batch::default()).unwrap();
    let (x, mut y) = (vec![0.25; m * k], vec![0.0; m * n]);
    let mut best = f64::MAX;
    for _ in 0..200 {
        let begin = Instant::now();
        cpu.forward(&linear, &placed, &[], &x, m, &mut Vec::new(), false, &mut y)
            .unwrap();
        best = best.min(begin.elapsed().as_secs_f64());
    }
    (2 * m * n * k) as f64 / best
}
