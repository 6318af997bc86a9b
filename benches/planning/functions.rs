//! The functions of the regret bench, the same as in benches/optuna_baseline.py; smaller is better in all of them.

use campaignd::parameters::{Assignment, Domain};
use std::f64::consts::{E, PI};

/// A function with its space.
pub struct Function {
    /// Its name in the tables.
    pub name: &'static str,
    /// Its value.
    pub value: fn(&Assignment) -> f64,
    /// Its least value.
    pub least: f64,
    /// Standard deviation of what is added to it.
    pub noise: f64,
    /// Its parameters.
    pub space: Vec<(String, Domain)>,
}

fn number(values: &Assignment, name: &str) -> f64 {
    values[name].number().unwrap_or(f64::NAN)
}

fn numbers<const N: usize>(values: &Assignment) -> [f64; N] {
    std::array::from_fn(|at| number(values, &format!("x{at}")))
}

fn branin(values: &Assignment) -> f64 {
    let [a, b] = numbers(values);
    let bow = b - 5.1 / (4.0 * PI * PI) * a * a + 5.0 / PI * a - 6.0;
    bow * bow + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * a.cos() + 10.0
}

const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
const STEEP: [[f64; 6]; 4] = [
    [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
    [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
    [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
    [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
];
const CENTRES: [[f64; 6]; 4] = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
];

fn hartmann6(values: &Assignment) -> f64 {
    let x: [f64; 6] = numbers(values);
    let hill = |(alpha, (steep, centre)): (&f64, (&[f64; 6], &[f64; 6]))| {
        let far: f64 = (0..6).map(|k| steep[k] * (x[k] - centre[k]).powi(2)).sum();
        alpha * (-far).exp()
    };
    -ALPHA
        .iter()
        .zip(STEEP.iter().zip(&CENTRES))
        .map(hill)
        .sum::<f64>()
}

fn ackley5(values: &Assignment) -> f64 {
    let x: [f64; 5] = numbers(values);
    let root = (x.iter().map(|v| v * v).sum::<f64>() / 5.0).sqrt();
    let waves = x.iter().map(|v| (2.0 * PI * v).cos()).sum::<f64>() / 5.0;
    -20.0 * (-0.2 * root).exp() - waves.exp() + 20.0 + E
}

/// A made-up loss: each optimiser has its learning rate, a larger rank wants a smaller one, and there is a best of each.
fn mixed(values: &Assignment) -> f64 {
    let (floor, rate) = match values["optimizer"].to_string().as_str() {
        "adamw" => (0.0, -3.4),
        "sgd" => (0.15, -1.6),
        _ => (0.05, -4.3),
    };
    let a = number(values, "learning_rate").log10() - rate;
    let b = number(values, "rank").log2() - 4.0;
    let c = number(values, "dropout") - 0.1;
    let bowl = 0.4 * a * a + 0.05 * b * b + 0.1 * a * b + 4.0 * c * c;
    floor + bowl + 0.03 * (1.0 - (6.0 * a).cos())
}

fn space(parameters: &[(&str, &str)]) -> Vec<(String, Domain)> {
    let of = |(name, text): &(&str, &str)| {
        let domain = Domain::parse(text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        (name.to_string(), domain)
    };
    parameters.iter().map(of).collect()
}

fn reals(count: usize, domain: &str) -> Vec<(String, Domain)> {
    let names: Vec<String> = (0..count).map(|at| format!("x{at}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), domain)).collect();
    space(&pairs)
}

/// All of them.
pub fn all() -> Vec<Function> {
    let hartmann = -3.322_368_011_415_513;
    let of = |name, value, least, noise, space| Function {
        name,
        value,
        least,
        noise,
        space,
    };
    vec![
        of(
            "branin",
            branin as fn(&Assignment) -> f64,
            0.397_887_357_729_738_16,
            0.0,
            space(&[("x0", "-5..10"), ("x1", "0..15")]),
        ),
        of("hartmann6", hartmann6, hartmann, 0.0, reals(6, "0..1")),
        of("ackley5", ackley5, 0.0, 0.0, reals(5, "-5..10")),
        of(
            "mixed",
            mixed,
            0.0,
            0.0,
            space(&[
                ("learning_rate", "1e-6..0.1:log"),
                ("optimizer", "adamw,sgd,lion"),
                ("rank", "1..128:log:int"),
                ("dropout", "0..0.5"),
            ]),
        ),
        of(
            "noisy_hartmann6",
            hartmann6,
            hartmann,
            0.2,
            reals(6, "0..1"),
        ),
    ]
}

/// The next number of SplitMix64.
fn split_mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number from 0 to below 1.
pub fn uniform(state: u64) -> f64 {
    (split_mix(state) >> 11) as f64 / (1_u64 << 53) as f64
}

/// The standard normal number that disturbs a trial.
pub fn normal(seed: u64, trial: u64) -> f64 {
    let state = seed.wrapping_mul(1_000_003).wrapping_add(2 * trial);
    let one = ((split_mix(state) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    (-2.0 * one.ln()).sqrt() * (2.0 * PI * uniform(state + 1)).cos()
}
