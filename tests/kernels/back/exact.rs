//! Attention's backward pass in f64, P and dS rounded where the kernels round them, and how far f32 may be from it.
//!
//! The bounds are sums over the roundings that a kernel makes, term by term: none is chosen.

use crate::back::problem::Problem;
use crate::support::rounding::{SMALLEST, SPECIAL, Sum, TENSOR, near};
use half::bf16;

/// A number that a kernel may miss by `slack`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Number {
    pub value: f64,
    pub slack: f64,
    /// How far `value` may be from what it would be without the rounding of P and dS.
    pub rounding: f64,
    /// Sum of the magnitudes of its terms.
    size: f64,
    terms: u32,
}

impl Number {
    fn add(&mut self, weight: &Weight, factor: f32) {
        let factor = f64::from(factor);
        self.value += weight.kept * factor;
        self.slack += weight.spread * factor.abs();
        self.rounding += weight.moved * factor.abs();
        self.size += weight.kept.abs() * factor.abs();
        self.terms += 1;
    }

    /// The sum is complete: scaled, in f32.
    fn finish(&mut self, scale: f64) {
        // Below the smallest normal number the special function unit says 0.
        let lost = 8.0 * SMALLEST;
        let summing = f64::from(self.terms) * (TENSOR * self.size + lost);
        self.value *= scale;
        self.rounding *= scale;
        self.slack = scale * (self.slack + summing) + TENSOR * self.value.abs();
    }

    /// Whether a number of bf16 is this one, and it is `plain` but for the rounding of P and dS.
    pub fn admits(&self, got: bf16, plain: f32) -> bool {
        // The plain one is rounded to f32, and its own lse is that of the kernel.
        near(got, self.value, self.slack + SMALLEST)
            && near(got, f64::from(plain), self.slack + self.rounding + SMALLEST)
    }
}

/// An operand of a second product: rounded to bf16, and what else it could have been rounded to.
struct Weight {
    kept: f64,
    spread: f64,
    moved: f64,
}

impl Weight {
    fn new(exact: f64, error: f64) -> Self {
        let narrow = |x: f64| bf16::from_f32(x as f32).to_f64();
        let kept = narrow(exact);
        let (low, high) = (narrow(exact - error), narrow(exact + error));
        Self {
            kept,
            spread: (high - kept).max(kept - low),
            moved: (kept - exact).abs(),
        }
    }
}

/// A sum of products, and how far f32 may be from it.
fn product(a: &[f32], b: &[f32]) -> (f64, f64) {
    let sum = Sum::dot(a, b);
    (sum.value, sum.error(a.len()))
}

/// delta of each (row, head), and how far f32 may be from it.
pub fn delta(problem: &Problem) -> Vec<(f64, f64)> {
    let shape = &problem.shape;
    let (out, dout) = (problem.out.dense(), problem.dout.dense());
    (0..shape.rows() * shape.heads)
        .map(|i| {
            let head = i * shape.head_dim..(i + 1) * shape.head_dim;
            product(&out[head.clone()], &dout[head])
        })
        .collect()
}

/// The gradient of `qkv`, [rows, columns].
pub fn backward(problem: &Problem) -> Vec<Number> {
    let shape = &problem.shape;
    let (heads, width, scale) = (
        shape.heads(),
        shape.head_dim,
        f64::from(shape.heads().scale),
    );
    let columns = heads.columns();
    let qkv = problem.qkv.dense();
    let dout = problem.dout.dense();
    let deltas = delta(problem);
    let mut sums = vec![Number::default(); shape.rows() * columns];
    let starts = shape.starts();
    for document in starts.windows(2) {
        let (start, end) = (document[0] as usize, document[1] as usize);
        for (i, head) in (start..end).flat_map(|i| (0..shape.heads).map(move |head| (i, head))) {
            let first = match shape.window {
                0 => start,
                window => start.max((i + 1).saturating_sub(window)),
            };
            let k = heads.queries() + head / (shape.heads / shape.kv_heads) * width;
            let (q, v) = (head * width, k + heads.keys());
            let query = &qkv[i * columns + q..][..width];
            let d = &dout[i * heads.queries() + q..][..width];
            let lse = f64::from(problem.lse[i * shape.heads + head]);
            let (delta, delta_error) = deltas[i * shape.heads + head];
            for j in first..=i {
                let key = &qkv[j * columns + k..][..width];
                let (score, score_error) = product(query, key);
                let (dp, dp_error) = product(d, &qkv[j * columns + v..][..width]);
                let rounds = TENSOR * ((scale * score).abs() + 2.0 * lse.abs());
                let p = (scale * score - lse).exp();
                let relative = (scale * score_error + rounds).exp_m1() + SPECIAL;
                let differences = dp_error + delta_error + TENSOR * (dp.abs() + delta.abs());
                let ds = p * (dp - delta);
                let ds_error =
                    p * (1.0 + relative) * differences + ds.abs() * (relative + 2.0 * TENSOR);
                let (p, ds) = (Weight::new(p, p * relative), Weight::new(ds, ds_error));
                for c in 0..width {
                    sums[i * columns + q + c].add(&ds, key[c]);
                    sums[j * columns + k + c].add(&ds, query[c]);
                    sums[j * columns + v + c].add(&p, d[c]);
                }
            }
        }
    }
    let values = heads.queries() + heads.keys();
    for (i, sum) in sums.iter_mut().enumerate() {
        sum.finish(if i % columns < values { scale } else { 1.0 });
    }
    sums
}
