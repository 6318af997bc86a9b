//! Bugs planted in attention's backward kernels are found: by the interpreter, or by the numbers.

use crate::back::{
    problem::{Problem, Shape},
    run::{self, FILE},
};
use crate::ptx::{Mode, Module};
use crate::support::{
    Chance,
    mutation::{must_be_found, mutant, replaced, unguarded, without_barrier},
};

/// What finds a bug first, over the modes.
fn found(module: &Module, problem: &Problem) -> Option<String> {
    Mode::ALL
        .iter()
        .find_map(|&mode| match run::backward(module, problem, mode) {
            Ok(gradient) => gradient
                .wrong(problem)
                .map(|wrong| format!("numbers: {wrong}")),
            Err(fault) => Some(fault.to_string()),
        })
}

/// Plants a bug in the kernels of keys and queries, of both widths; one of `by` must be in what finds it.
fn caught(by: &[&str], bug: impl Fn(&str) -> String) {
    for (kernel, head_dim) in [
        ("keys", 64),
        ("keys", 128),
        ("queries", 64),
        ("queries", 128),
    ] {
        let shape = Shape {
            head_dim,
            heads: 2,
            kv_heads: 1,
            window: 70,
            lengths: vec![20, 290],
            tail: 8,
        };
        let problem = Problem::new(&shape, &mut Chance::new(11));
        let name = format!("attend_back_{kernel}_{head_dim}");
        let found = found(&mutant(FILE, &name, &bug), &problem);
        must_be_found(&name, found, by);
    }
}

#[test]
fn own_rows_overwritten_while_they_are_read() {
    caught(&["race", "never written"], |body| without_barrier(body, 1));
}

#[test]
fn stage_overwritten_while_it_is_read() {
    caught(&["race", "never written"], |body| without_barrier(body, 2));
}

#[test]
fn results_written_over_the_last_stage() {
    caught(&["race", "never written"], |body| without_barrier(body, 3));
}

#[test]
fn copies_not_waited_for() {
    let wait = "cp.async.wait_group 0;";
    caught(&["on its way"], |body| {
        replaced(body, wait, 1, "cp.async.wait_group 1;")
    });
}

#[test]
fn rows_of_another_document_written() {
    caught(&["between blocks", "out of bounds"], |body| {
        unguarded(body, "st.global.v4", 0)
    });
}

#[test]
fn window_one_too_wide() {
    caught(&["numbers"], |body| {
        body.replace("setp.ge.u32", "setp.gt.u32")
    });
}

#[test]
fn last_rows_of_a_stage_left_out() {
    caught(&["numbers"], |body| {
        let end = body.rfind("setp.lt.u32").unwrap();
        format!(
            "{}{}",
            &body[..end],
            replaced(&body[end..], ", 64;", 0, ", 48;")
        )
    });
}

#[test]
fn matrices_not_transposed() {
    caught(&["numbers"], |body| replaced(body, ".x4.trans", 0, ".x4"));
}
