//! Runs one property: deterministic, with its seed printed, and only passed when it met what it is about.

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseResult, TestError, TestRng, TestRunner},
};
use std::{cell::RefCell, collections::BTreeMap};

const SEED: u64 = 20_260_302;
const COUNT: u32 = 256;

/// How often what a property is about was met; what is listed must be met at least once.
#[derive(Default)]
pub struct Seen(RefCell<BTreeMap<&'static str, u32>>);

impl Seen {
    /// Counts one.
    pub fn note(&self, what: &'static str) {
        *self.0.borrow_mut().entry(what).or_default() += 1;
    }
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Err(_) => default,
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable} = {text:?} is no number")),
    }
}

/// Checks `test` on values of `strategy`; `cost` divides the number of cases. Each word of `expected` must have been
/// noted by the end, so that a property cannot pass on inputs which all die at the first byte.
pub fn holds<S: Strategy>(
    name: &str,
    cost: u32,
    expected: &[&'static str],
    strategy: S,
    test: impl Fn(S::Value, &Seen) -> TestCaseResult,
) {
    let seed = number("CAMPAIGND_SEED", SEED);
    let count = u32::try_from(number("CAMPAIGND_COUNT", COUNT.into())).unwrap();
    let config = Config {
        cases: (count / cost).max(1),
        failure_persistence: None,
        ..Config::default()
    };
    let cases = config.cases;
    let again =
        format!("CAMPAIGND_SEED={seed} CAMPAIGND_COUNT={count} cargo test --test fuzz {name}");
    println!("{name}: {cases} cases, seed {seed}");
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &spread(seed, name));
    let seen = Seen::default();
    let outcome = TestRunner::new_with_rng(config, rng).run(&strategy, |value| test(value, &seen));
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, value)) => {
            panic!("{name}: {why}\n  smallest: {value:?}\n  again: {again}")
        }
        Err(TestError::Abort(why)) => panic!("{name}: {why}\n  again: {again}"),
    }
    let seen = seen.0.into_inner();
    println!("{name}: {seen:?}");
    // A handful of cases may miss a kind of input; the default number never does.
    if count >= COUNT {
        for what in expected {
            assert!(
                seen.contains_key(what),
                "{name} never met {what:?}: {seen:?}\n  again: {again}"
            );
        }
    }
}

/// The seed and the name as 32 bytes, so that each property has numbers of its own.
fn spread(seed: u64, name: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    for (place, byte) in name.bytes().enumerate() {
        let place = 8 + place % 24;
        bytes[place] = bytes[place].wrapping_mul(31).wrapping_add(byte);
    }
    bytes
}
