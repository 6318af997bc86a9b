//! The optimiser's tables, as the host writes them: see `kernels/trained.cuh`.

use campaignd::lora::backend::AdamStep;

/// Numbers of a tensor that one block takes.
pub const CHUNK: usize = 4096;

/// One A or one B. Addresses are those of its number (0, 0).
#[derive(Clone, Copy, Debug)]
pub struct Tensor {
    pub master: u64,
    pub gradient: u64,
    pub first: u64,
    pub second: u64,
    pub border: u64,
    pub columns: usize,
    pub gradient_ld: usize,
    pub border_ld: usize,
    pub scale: f32,
    pub rule: usize,
    pub count: usize,
}

impl Tensor {
    /// Its 64 bytes.
    pub fn words(&self) -> [u32; 16] {
        let mut words = [0; 16];
        let addresses = [
            self.master,
            self.gradient,
            self.first,
            self.second,
            self.border,
        ];
        for (words, address) in words.chunks_exact_mut(2).zip(addresses) {
            words.copy_from_slice(&[address as u32, (address >> 32) as u32]);
        }
        words[10..].copy_from_slice(&[
            self.columns as u32,
            self.gradient_ld as u32,
            self.border_ld as u32,
            self.scale.to_bits(),
            self.rule as u32,
            self.count as u32,
        ]);
        words
    }
}

/// The chunks of tensors of these lengths: pairs of a tensor and its first number.
pub fn chunks(counts: impl IntoIterator<Item = usize>) -> Vec<[u32; 2]> {
    let of = |(tensor, count): (usize, usize)| {
        (0..count)
            .step_by(CHUNK)
            .map(move |from| [tensor as u32, from as u32])
    };
    counts.into_iter().enumerate().flat_map(of).collect()
}

/// What the kernel knows of a step: the scalars of `lora::cpu::adapters`, made in f64 and then rounded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    pub gradient_scale: f32,
    pub keep: f32,
    pub toward: f32,
    pub beta2: f32,
    pub rest2: f32,
    pub root: f32,
    pub epsilon: f32,
    pub size: f32,
}

impl Rule {
    pub fn new(step: &AdamStep) -> Self {
        let correction = |beta: f64| 1.0 - beta.powf(step.step as f64);
        Self {
            gradient_scale: step.gradient_scale as f32,
            keep: (1.0 - step.learning_rate * step.weight_decay) as f32,
            toward: (1.0 - step.beta1) as f32,
            beta2: step.beta2 as f32,
            rest2: (1.0 - step.beta2) as f32,
            root: correction(step.beta2).sqrt() as f32,
            epsilon: step.epsilon as f32,
            size: (step.learning_rate / correction(step.beta1)) as f32,
        }
    }

    /// Its 32 bytes.
    pub fn words(&self) -> [f32; 8] {
        [
            self.gradient_scale,
            self.keep,
            self.toward,
            self.beta2,
            self.rest2,
            self.root,
            self.epsilon,
            self.size,
        ]
    }

    /// One number (p, m, v) of one step, with the operations of `lora::cpu::adapters` in their order.
    pub fn apply(&self, [p, m, v]: [f32; 3], gradient: f32) -> [f32; 3] {
        let g = gradient * self.gradient_scale;
        let kept = p * self.keep;
        let m = m + self.toward * (g - m);
        let v = v * self.beta2 + self.rest2 * g * g;
        let denominator = v.sqrt() / self.root + self.epsilon;
        [kept - self.size * m / denominator, m, v]
    }
}
