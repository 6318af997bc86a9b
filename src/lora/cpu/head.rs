//! The loss head: logits of some rows at a time, which become their own gradient before the next rows are looked at.

use super::{
    Cpu,
    linear::Linear,
    product::Rows,
    vector::{exponentials, largest},
};
use crate::lora::batch::Batch;

/// Logits at a time, at most, as far as there are as many rows as make a product worth while.
const LOGITS: usize = 1 << 23;
/// Rows that are.
const LEAST: usize = 64;

impl Cpu {
    /// See [`crate::lora::backend::Backend::head`].
    pub(super) fn head_rows(
        &self,
        head: &Linear,
        batch: &Batch,
        x: &[f32],
        losses: &mut [f32],
        mut gradient: Option<(&[f32], &mut [f32])>,
    ) {
        let (h, v) = (head.inputs(), head.outputs());
        let supervised = batch.targets.len();
        let rows = (LOGITS / v.max(1)).max(LEAST).min(supervised);
        let mut logits = vec![0.0; rows * v];
        for from in (0..supervised).step_by(rows.max(1)) {
            let m = rows.min(supervised - from);
            let x = &x[from * h..];
            self.linear_forward(head, batch, &[], x, m, &mut [], false, &mut logits);
            let targets = &batch.targets[from..from + m];
            let weights = gradient.as_ref().map(|(weights, _)| &weights[from..]);
            let losses = &mut losses[from..from + m];
            self.both_rows(
                (&mut logits, v),
                (losses, 1),
                m,
                #[inline(always)]
                |row, logits, loss| {
                    let weight = weights.map(|weights| weights[row]);
                    loss[0] = cross_entropy(logits, targets[row] as usize, weight);
                },
            );
            if let Some((_, dx)) = &mut gradient {
                let left = Rows {
                    numbers: &logits,
                    stride: v,
                };
                self.multiply_turned(left, &head.weight, m, &mut dx[from * h..]);
            }
        }
    }
}

/// -log softmax(logits)`[target]`; with a weight, logits become its gradient times that.
#[inline(always)]
fn cross_entropy(logits: &mut [f32], target: usize, weight: Option<f32>) -> f32 {
    let of_target = logits[target];
    let most = largest(logits);
    let sum = exponentials(logits, most);
    if let Some(weight) = weight {
        let share = weight / sum;
        for logit in &mut *logits {
            *logit *= share;
        }
        logits[target] -= weight;
    }
    sum.ln() + (most - of_target)
}
