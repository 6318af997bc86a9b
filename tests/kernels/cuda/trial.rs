//! The trial that a GPU passes before it is trusted: the kernels that ship pass it, and with one wrong constant they do not.

use super::simulated::Simulated;
use crate::{
    ptx::Mode,
    support::{
        module,
        mutation::{mutant, replaced},
    },
};
use campaignd::lora::{
    backend::Trouble,
    cuda::{
        device::Device,
        kernels,
        trial::{self, Failed, MEMORY},
    },
};
use std::rc::Rc;

#[test]
fn the_kernels_that_ship_pass() {
    let device = Rc::new(Simulated::new(Mode::ALL[0]));
    let found = trial::run(&device).unwrap();
    let peak = device.peak();
    println!("{found}; {peak} bytes");
    assert!(peak < MEMORY, "{peak} bytes");
    assert!(found.loss > 0.0 && found.gradient > 0.0 && found.update > 0.0);
    assert_eq!(found.tokens, 18);
    // All but those that no job launches yet.
    let launches = device.launches.borrow();
    let mut names: Vec<String> = kernels::ALL
        .iter()
        .flat_map(|(file, _)| module(file).names().map(str::to_owned).collect::<Vec<_>>())
        .filter(|name| !launches.contains_key(name.as_str()))
        .collect();
    let none = ["add_rows", "document_sums", "log_probabilities", "sample"];
    names.sort();
    assert_eq!(names, none);
}

/// What the trial says where one kernel is another.
fn must_be_named(file: &str, kernel: &str, change: impl Fn(&str) -> String, named: &str) {
    let device = Simulated::new(Mode::ALL[0]);
    let instead = Rc::new(mutant(file, kernel, change));
    device.instead.replace(Some(instead));
    match trial::run(&Rc::new(device)) {
        Err(Failed::Differs(Trouble(why))) => {
            println!("{kernel}: {why}");
            assert!(why.starts_with(named), "{kernel}: {why}");
            assert!(why.contains(" on interpreter and "), "{why}");
        }
        other => panic!("{kernel}: {other:?}"),
    }
}

/// log2(e), by which exponentials are made, and another number.
const LOG2E: [&str; 2] = ["0f3FB8AA3B", "0f3FD00000"];

fn other_exponential(body: &str) -> String {
    body.replace(LOG2E[0], LOG2E[1])
}

#[test]
fn adamw_without_its_root() {
    let change = |body: &str| body.replace("sqrt.rn.f32", "abs.f32");
    must_be_named("adamw", "adamw", change, "AdamW's step of");
}

#[test]
fn adamw_with_another_decay() {
    // The moment's own decay, known only from the second step.
    let change = |body: &str| {
        // Both loops: with gradients that are cleared, and without.
        body.replace("\t%f16, %f4, ", "\t%f16, %f6, ")
            .replace("\t%f36, %f4, ", "\t%f36, %f6, ")
    };
    must_be_named("adamw", "adamw", change, "AdamW's step of");
}

#[test]
fn rope_that_turns_the_other_way() {
    let change = |body: &str| replaced(body, "%p2, %r9, 0", 0, "%p2, %r9, 1");
    must_be_named("rope", "rope", change, "the gradient of");
}

#[test]
fn attention_of_another_temperature() {
    must_be_named("attend", "attend_64", other_exponential, "the gradient of");
}

#[test]
fn a_way_back_of_another_temperature() {
    must_be_named(
        "attend_back",
        "attend_back_keys_64",
        other_exponential,
        "the gradient of",
    );
}

#[test]
fn dropout_that_is_another_on_the_way_back() {
    let change = |body: &str| body.replace("-766435501", "-766435503");
    must_be_named("preload", "lora_preload", change, "the gradient of");
}

#[test]
fn decoding_of_another_temperature() {
    must_be_named(
        "decode",
        "attend_cached_64",
        other_exponential,
        "attention over a cache",
    );
}
