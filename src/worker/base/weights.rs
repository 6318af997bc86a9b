//! The numbers of a model that knows nothing: random features, each a function of seed, tensor and place.

use crate::{
    lora::files::layout::{EMBEDDING, HEAD},
    training::philox::{philox, unit},
};

/// Marks the draws of base models among all that are made of one seed.
const KEY: [u32; 2] = [0x6261_7365, 0x6d61_6465];

/// Of logits. The head is frozen, and how fast an adapter learns hangs on how far it can move them: with 4 (a deviation of 2)
/// it came to 0.37 nats a token on held-out answers where it came to 0.66 with 1; 16 was no better.
const HEAD_VARIANCE: f64 = 4.0;

/// A tensor by its Hugging Face name: norms are 1, and every other row's numbers are uniform with variance `1 / inputs`, so
/// that what a layer makes of numbers of variance 1 has variance 1. The embedding has variance 1 itself: nothing comes before
/// it. The loss head's is [`HEAD_VARIANCE`] times as large. Which other tensors there are does not change one.
pub fn weight(seed: u64, index: u32, name: &str, shape: &[usize]) -> Vec<f32> {
    let len = shape.iter().product();
    match shape {
        [_] => vec![1.0; len],
        _ if name == EMBEDDING => uniform(seed, index, len, 1.0),
        [.., inputs] if name == HEAD => uniform(seed, index, len, HEAD_VARIANCE / *inputs as f64),
        [.., inputs] => uniform(seed, index, len, 1.0 / *inputs as f64),
        [] => Vec::new(),
    }
}

/// `len` numbers from -b to b, where b is the square root of three times the variance.
fn uniform(seed: u64, index: u32, len: usize, variance: f64) -> Vec<f32> {
    let bound = (3.0 * variance).sqrt();
    let mixed = philox([seed as u32, (seed >> 32) as u32, 0, 0], KEY);
    let quads = 0..len.div_ceil(4) as u32;
    let numbers = quads.flat_map(|quad| philox([quad, index, 0, 0], [mixed[0], mixed[1]]));
    numbers
        .take(len)
        .map(|bits| ((2.0 * f64::from(unit(bits)) - 1.0) * bound) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_variance_that_keeps_a_layers_output_as_large_as_its_input() {
        for (name, shape, variance) in [
            (EMBEDDING, [512, 128], 1.0),
            (HEAD, [512, 128], HEAD_VARIANCE / 128.0),
            (
                "model.layers.0.self_attn.q_proj.weight",
                [128, 128],
                1.0 / 128.0,
            ),
            (
                "model.layers.0.mlp.down_proj.weight",
                [128, 384],
                1.0 / 384.0,
            ),
        ] {
            let numbers = weight(7, 3, name, &shape);
            let n = numbers.len() as f64;
            let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let found = numbers.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n;
            assert!(mean.abs() < 4.0 * (variance / n).sqrt(), "{name}: {mean}");
            assert!((found / variance - 1.0).abs() < 0.03, "{name}: {found}");
        }
        assert_eq!(weight(7, 3, "model.norm.weight", &[5]), [1.0; 5]);
    }

    #[test]
    fn a_tensor_is_a_function_of_seed_and_place() {
        let draw = |seed, index| weight(seed, index, "lm_head.weight", &[6, 7]);
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(2, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(
            draw(1, 2),
            draw(1 << 32 | 1, 2),
            "the seed's upper half counts"
        );
        let longer = weight(1, 2, "lm_head.weight", &[8, 7]);
        assert_eq!(
            draw(1, 2),
            longer[..42],
            "more rows leave the first ones as they are"
        );
    }
}
