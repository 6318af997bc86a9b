//! The trained part of a projection group: adapters, their gradients, and AdamW over them.

use crate::lora::backend::{AdamStep, Adapter, Moments, Pair};

/// One adapter with all that training keeps of it.
pub(super) struct Trained {
    /// The numbers that are trained.
    pub adapter: Adapter,
    /// Their gradients.
    pub gradient: Pair,
    /// AdamW's moments.
    pub moments: Moments,
    /// Its first column of h.
    pub rank_from: usize,
    /// Its first column of y.
    pub output_from: usize,
}

fn zeros(adapter: &Adapter) -> Pair {
    Pair {
        a: vec![0.0; adapter.a.len()],
        b: vec![0.0; adapter.b.len()],
    }
}

impl Trained {
    /// An adapter that is new here.
    pub(super) fn new(
        adapter: Adapter,
        moments: Option<Moments>,
        rank_from: usize,
        output_from: usize,
    ) -> Self {
        let moments = moments.unwrap_or_else(|| Moments {
            first: zeros(&adapter),
            second: zeros(&adapter),
        });
        Self {
            gradient: zeros(&adapter),
            adapter,
            moments,
            rank_from,
            output_from,
        }
    }

    /// Sets the gradients to 0.
    pub(super) fn clear(&mut self) {
        self.gradient.a.fill(0.0);
        self.gradient.b.fill(0.0);
    }

    /// The sum of the squares of the gradients.
    pub(super) fn squares(&self) -> f64 {
        let squares =
            |numbers: &[f32]| -> f64 { numbers.iter().map(|&g| f64::from(g) * f64::from(g)).sum() };
        squares(&self.gradient.a) + squares(&self.gradient.b)
    }

    /// One step of AdamW.
    pub(super) fn adamw(&mut self, step: &AdamStep) {
        let Self {
            adapter,
            gradient,
            moments: Moments { first, second },
            ..
        } = self;
        let rule = Rule::new(step);
        rule.apply(&mut adapter.a, &gradient.a, &mut first.a, &mut second.a);
        rule.apply(&mut adapter.b, &gradient.b, &mut first.b, &mut second.b);
    }
}

/// The scalars of one step, made in f64 and then rounded, as torch makes them for one tensor after the other.
struct Rule {
    gradient_scale: f32,
    keep: f32,
    toward: f32,
    beta2: f32,
    rest2: f32,
    root: f32,
    epsilon: f32,
    size: f32,
}

impl Rule {
    fn new(step: &AdamStep) -> Self {
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

    fn apply(&self, numbers: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let state = first.iter_mut().zip(second);
        for ((p, &g), (m, v)) in numbers.iter_mut().zip(gradient).zip(state) {
            let g = g * self.gradient_scale;
            *p *= self.keep;
            *m += self.toward * (g - *m);
            *v = *v * self.beta2 + self.rest2 * g * g;
            let denominator = v.sqrt() / self.root + self.epsilon;
            *p -= self.size * *m / denominator;
        }
    }
}
