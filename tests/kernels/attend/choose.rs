//! greedy and sample: the next token of rows of logits, run in the interpreter, against f64 arithmetic.

use crate::counts::Counted;
use crate::ptx::{Arg, Counts, Fault, Memory, Mode, Module};
use crate::support::{
    Chance, in_all_modes, int, launch,
    mutation::{Part, must_be_found, mutant, replaced_in},
    rounding::{F32, SPECIAL},
};
use campaignd::training::philox::philox;

const FILE: &str = "decode";

/// How a token is chosen by chance.
#[derive(Clone, Copy, Debug)]
struct Luck {
    seed: u64,
    temperature: f32,
}

/// Rows of logits, infinite where there is no token.
struct Rows {
    logits: Vec<f32>,
    vocabulary: usize,
    ld: usize,
}

impl Rows {
    fn new(rows: &[Vec<f32>], spare: usize) -> Self {
        let vocabulary = rows[0].len();
        let ld = vocabulary.next_multiple_of(8) + spare;
        let mut logits = vec![f32::INFINITY; rows.len() * ld];
        for (to, row) in logits.chunks_exact_mut(ld).zip(rows) {
            to[..vocabulary].copy_from_slice(row);
        }
        Self {
            logits,
            vocabulary,
            ld,
        }
    }

    /// Tokens and the logs of their probabilities; row i is sequence i, at position 3 i + 1.
    fn run(&self, luck: Option<Luck>, mode: Mode) -> (Vec<u32>, Vec<f32>, Counts) {
        let module = crate::support::module(FILE);
        match self.run_of(&module, luck, mode) {
            Ok(done) => done,
            Err(fault) => panic!("{fault}\n{luck:?}, rows of {}", self.vocabulary),
        }
    }

    fn run_of(
        &self,
        module: &Module,
        luck: Option<Luck>,
        mode: Mode,
    ) -> Result<(Vec<u32>, Vec<f32>, Counts), Fault> {
        let n = self.logits.len() / self.ld;
        let mut memory = Memory::new();
        let (tokens, logs) = (memory.room::<u32>(n), memory.room::<f32>(n));
        let mut args: Vec<Arg> = vec![memory.put(&self.logits).into()];
        if luck.is_some() {
            let sequences: Vec<u32> = (0..n as u32).collect();
            let positions: Vec<u32> = sequences.iter().map(|i| 3 * i + 1).collect();
            args.push(memory.put(&sequences).into());
            args.push(memory.put(&positions).into());
        }
        args.extend([Arg::from(tokens), logs.into()]);
        args.extend([self.ld, self.vocabulary].map(int));
        if let Some(luck) = luck {
            args.extend([
                Arg::from(luck.seed as u32),
                ((luck.seed >> 32) as u32).into(),
                luck.temperature.into(),
            ]);
        }
        let launch = launch([n, 1, 1], 512, 256);
        let name = if luck.is_some() { "sample" } else { "greedy" };
        let kernel = module.kernel(name);
        let counts = kernel.run(&launch, &args, &mut memory, mode)?;
        Ok((memory.get(tokens), memory.get(logs), counts))
    }

    fn row(&self, i: usize) -> &[f32] {
        &self.logits[i * self.ld..][..self.vocabulary]
    }

    /// The same bits in all modes.
    fn settled(&self, luck: Option<Luck>) -> (Vec<u32>, Vec<f32>) {
        let module = crate::support::module(FILE);
        let (tokens, logs, _) = in_all_modes(
            |mode| self.run_of(&module, luck, mode),
            |(tokens, logs, _)| {
                let logs = logs.iter().map(|log| log.to_bits());
                (tokens.clone(), logs.collect::<Vec<_>>())
            },
        )
        .unwrap_or_else(|error| panic!("{error}\n{luck:?}, rows of {}", self.vocabulary));
        (tokens, logs)
    }
}

/// The log of a token's probability, and how far the kernel's may be from it.
fn log_probability(row: &[f32], token: usize) -> (f64, f64) {
    let top = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let below = |x: f32| f64::from(x) - top;
    let finite = || row.iter().filter(|x| x.is_finite()).map(|&x| below(x));
    let sum: f64 = finite().map(f64::exp).sum();
    // Each term: a subtraction, a product and 2^x; each step of a lane, of the warp, of the block: a sum, and a new maximum.
    let terms: f64 = finite().map(|x| x.exp() * (3.0 * F32 * x.abs())).sum();
    let steps = (row.len() / 2048 + 1 + 5 + 16) as f64;
    let spread = finite().fold(0.0, |s: f64, x| s.max(x.abs()));
    let relative =
        terms / sum + SPECIAL + steps * (6.0 * F32 + SPECIAL) + 2.0 * F32 * spread.min(100.0);
    let exact = below(row[token]) - sum.ln();
    let last = 3.0 * F32 * (below(row[token]).abs() + sum.ln()) + SPECIAL * (1.0 + sum.ln());
    (exact, relative + last)
}

fn likely(rows: &Rows, i: usize, token: u32, log: f32) {
    let (exact, slack) = log_probability(rows.row(i), token as usize);
    let apart = (f64::from(log) - exact).abs();
    assert!(
        apart <= slack,
        "row {i} of {} tokens: {log}, not {exact} within {slack:e}",
        rows.vocabulary
    );
}

fn random(chance: &mut Chance, vocabulary: usize, size: f32) -> Vec<f32> {
    (0..vocabulary).map(|_| size * chance.normal()).collect()
}

/// The index of the largest, the first of equal ones.
fn first_largest(row: &[f32]) -> usize {
    let better = |best: usize, (i, &x): (usize, &f32)| if x > row[best] { i } else { best };
    row.iter().enumerate().fold(0, better)
}

#[test]
fn greedy_takes_the_likeliest() {
    let mut chance = Chance::new(1);
    for vocabulary in [1, 2, 3, 5, 511, 2047, 2048, 2049, 5000] {
        let rows: Vec<_> = [0.1, 3.0, 30.0]
            .map(|size| random(&mut chance, vocabulary, size))
            .to_vec();
        let rows = Rows::new(&rows, 8 * chance.below(2));
        let (tokens, logs) = rows.settled(None);
        for i in 0..3 {
            assert_eq!(
                tokens[i] as usize,
                first_largest(rows.row(i)),
                "{vocabulary} tokens"
            );
            likely(&rows, i, tokens[i], logs[i]);
        }
    }
}

#[test]
fn the_smallest_index_wins_a_tie() {
    let mut chance = Chance::new(2);
    for vocabulary in [3, 700, 4099] {
        let rows: Vec<Vec<f32>> = (0..6)
            .map(|_| {
                (0..vocabulary)
                    .map(|_| chance.below(3) as f32 - 1.0)
                    .collect()
            })
            .collect();
        let rows = Rows::new(&rows, 0);
        let (tokens, logs) = rows.settled(None);
        for i in 0..6 {
            assert_eq!(tokens[i] as usize, first_largest(rows.row(i)));
            likely(&rows, i, tokens[i], logs[i]);
        }
    }
}

#[test]
fn infinities_and_what_is_no_number() {
    let low = f32::NEG_INFINITY;
    let mut masked = vec![low; 600];
    masked[517] = -3.0;
    let mut broken = vec![1.0; 600];
    broken[9] = f32::NAN;
    broken[300] = 2.0;
    let rows = Rows::new(&[masked, broken, vec![f32::NAN; 600], vec![low; 600]], 0);
    for luck in [
        None,
        Some(Luck {
            seed: 4,
            temperature: 0.01,
        }),
    ] {
        let (tokens, logs) = rows.settled(luck);
        assert_eq!(tokens, [517, 300, 0, 0]);
        assert_eq!(logs[0], 0.0);
        assert!(logs[1..].iter().all(|log| log.is_nan()), "{logs:?}");
    }
}

/// A token's score in the race, in base 2: what the kernel compares.
fn score(logit: f32, luck: Luck, i: usize, token: usize) -> f64 {
    let counter = [token as u32 / 4, 3 * i as u32 + 1, i as u32, 0x7361_6d70];
    let word = philox(counter, [luck.seed as u32, (luck.seed >> 32) as u32])[token % 4];
    let v = (f64::from(word >> 9) + 0.5) / (1u64 << 23) as f64;
    (f64::from(logit) / f64::from(luck.temperature) - (-(-v).ln_1p()).ln())
        * std::f64::consts::LOG2_E
}

#[test]
fn chance_is_a_function_of_seed_sequence_and_position() {
    let mut chance = Chance::new(3);
    let mut exact = 0;
    for vocabulary in [1, 7, 2050] {
        for temperature in [0.3, 1.0, 2.5] {
            let luck = Luck {
                seed: chance.bits(),
                temperature,
            };
            let rows: Vec<_> = (0..4)
                .map(|_| random(&mut chance, vocabulary, 2.0))
                .collect();
            let rows = Rows::new(&rows, 8);
            let (tokens, logs) = rows.settled(Some(luck));
            for i in 0..4 {
                let row = rows.row(i).iter().enumerate();
                let scores: Vec<f64> = row.map(|(t, &x)| score(x, luck, i, t)).collect();
                let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                // The inner logarithm is at least 0.09 and 2^-22 from right, the outer one 2^-22 of itself, at most 24.
                let slack = SPECIAL * (1.44 / 0.09 + 26.0) + 4.0 * F32 * 60.0;
                assert!(scores[tokens[i] as usize] >= best - 2.0 * slack);
                exact += usize::from(scores[tokens[i] as usize] == best);
                likely(&rows, i, tokens[i], logs[i]);
            }
        }
    }
    assert!(exact >= 35, "{exact} of 36 took the exact winner");
}

#[test]
fn frequencies_are_those_of_the_softmax() {
    let logits = [0.0_f32, 1.0, 2.0, -1.0, 0.5];
    let (n, temperature) = (4000, 1.5_f32);
    let rows = Rows::new(&vec![logits.to_vec(); n], 0);
    let luck = Luck {
        seed: 99,
        temperature,
    };
    let (tokens, ..) = rows.run(Some(luck), Mode::ALL[0]);
    let weights = logits.map(|x| f64::from(x / temperature).exp());
    let sum: f64 = weights.iter().sum();
    let chi: f64 = (0..5)
        .map(|t| {
            let expected = n as f64 * weights[t] / sum;
            let seen = tokens.iter().filter(|&&token| token as usize == t).count();
            (seen as f64 - expected).powi(2) / expected
        })
        .sum();
    // Four degrees of freedom: above 23.5 once in 10,000 seeds.
    assert!(chi < 23.5, "chi squared {chi}");
}

#[test]
fn planted_bugs_are_found() {
    let rows = Rows::new(&[vec![1.0; 4099]], 0);
    let broken = |old: &str, new: &str| {
        let module = mutant(FILE, "greedy", |body| {
            replaced_in(body, Part::All, old, new)
        });
        rows.run_of(&module, None, Mode::ALL[0])
    };
    let early = broken("bar.sync", "// bar.sync").err();
    must_be_found(
        "no barriers",
        early.map(|fault| fault.to_string()),
        &["never written"],
    );
    // The largest index wins a tie; the vector of four reaches beyond the row.
    let (tokens, ..) = broken("setp.lt.u32", "setp.gt.u32").unwrap();
    assert_ne!(tokens, [0]);
    let (_, logs, _) = broken("setp.gt.s32", "setp.lt.s32").unwrap();
    assert!(logs[0].is_nan(), "{logs:?}");
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let (mut chance, vocabulary) = (Chance::new(8), 128_256);
    let rows = Rows::new(&[random(&mut chance, vocabulary, 3.0)], 0);
    let luck = Luck {
        seed: 5,
        temperature: 0.7,
    };
    let counted = |kernel, luck, more| {
        let (.., counts) = rows.run(luck, Mode::ALL[0]);
        let plan = vocabulary * 4 + 8 + more;
        Counted::new(kernel, "1 row of 128,256", counts, plan)
    };
    vec![counted("greedy", None, 0), counted("sample", Some(luck), 8)]
}
