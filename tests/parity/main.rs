//! Parity with PyTorch, transformers and PEFT: every quantity of the fixtures, within their tolerances, on every machine.
//!
//! The fixtures lie beside the checkout, in `../shared/fixtures/parity`; where they do not, each test says so and is skipped.
//! Each counts what it compared: nothing passes on what was not there.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod fixture;
mod learning;
mod numbers;
mod trainer;
mod words;

use campaignd::lora::{backend::Backend, cpu::Cpu, plain::Plain};
use fixture::Fixture;

/// Their names.
const FIXTURES: [&str; 3] = ["llama-gqa", "qwen2-tied", "mistral"];

/// Compares one quantity of one fixture on one machine; how many numbers.
trait Comparison {
    fn compare<B: Backend>(&self, fixture: &Fixture, machine: fn() -> B) -> usize;
    /// How many there should be.
    fn expected(&self, fixture: &Fixture) -> usize;
}

/// One quantity of all fixtures on all machines.
fn compare_all(name: &str, comparison: &impl Comparison) {
    for fixture in FIXTURES {
        let Some(fixture) = Fixture::open(fixture) else {
            skipped(name, fixture);
            continue;
        };
        let (expected, of) = (comparison.expected(&fixture), fixture.name);
        assert!(expected > 0, "{name} of {of}: nothing is expected");
        let plain = comparison.compare(&fixture, || Plain);
        assert_eq!(plain, expected, "{name} of {of} on the plain machine");
        let cpu = comparison.compare(&fixture, || Cpu::new(2));
        assert_eq!(cpu, expected, "{name} of {of} on the processor");
    }
}

/// Says which test of which fixture is skipped, and why.
fn skipped(name: &str, fixture: &str) {
    eprintln!("skipped {name} of {fixture}: ../shared/fixtures/parity is not beside the checkout");
}

#[test]
fn logits_and_loss() {
    compare_all("logits_and_loss", &numbers::Forward);
}

#[test]
fn gradients() {
    compare_all("gradients", &numbers::Gradients);
}

#[test]
fn preferences() {
    compare_all("preferences", &numbers::Preferences);
}

#[test]
fn merged_logits_and_greedy_tokens() {
    compare_all("merged_logits_and_greedy_tokens", &numbers::Merged);
}

#[test]
fn twenty_steps() {
    compare_all("twenty_steps", &learning::Training);
}

#[test]
fn the_whole_trainer() {
    trainer::compare_all("the_whole_trainer");
}

#[test]
fn tokens_of_texts() {
    words::compare_all("tokens_of_texts", words::texts);
}

#[test]
fn chats_and_what_is_learned_of_them() {
    words::compare_all("chats_and_what_is_learned_of_them", words::chats);
}
