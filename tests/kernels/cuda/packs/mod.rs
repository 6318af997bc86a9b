//! Several members in one batch: each beside the plain machine that rounds where a GPU stores, and to the bit what it is alone.
//!
//! Buffers are soiled first: another batch, whose rows are all one member's, has left its numbers in every tail. What a pass
//! forgets to write is therefore not 0 by chance.

pub mod pack;

use super::given::near;
use super::rounded::Rounded;
use super::simulated::Simulated;
use crate::ptx::Mode;
use crate::support::mutation::must_be_found;
use campaignd::{
    lora::{
        backend::Use,
        cuda::{Cuda, device::Arg},
    },
    training::philox::step_key,
};
use pack::{ABSENT, Alone, INPUTS, LENGTHS, Pack, say, uses};

#[test]
fn members_beside_the_machine_that_rounds() {
    for (number, used) in uses().into_iter().enumerate() {
        let name = format!("{used:?}");
        let pack = Pack::new(used, number % 2 == 0);
        let expected = say(&Rounded, &pack);
        let found = say(&Cuda::new(Simulated::new(Mode::ALL[number % 4])), &pack);
        near(&name, &found.rows, &expected.rows);
        let members = found.members.iter().zip(&expected.members);
        members.for_each(|(found, expected)| near(&name, found, expected));
        for (found, expected) in found.norms.iter().zip(&expected.norms) {
            let (found, expected) = (f64::from_bits(*found), f64::from_bits(*expected));
            let apart = (found - expected).abs();
            assert!(apart <= expected / 64.0, "{name}: {found}, not {expected}");
        }
    }
}

#[test]
fn each_member_is_to_the_bit_what_it_is_alone() {
    for (number, used) in uses().into_iter().enumerate() {
        let modes = if number == 0 {
            0..4
        } else {
            number..number + 1
        };
        for mode in Mode::ALL[modes].iter().copied() {
            let pack = Pack::new(used.clone(), number % 2 == 1);
            let alone = Alone::all(&pack, mode);
            assert_eq!(alone.len(), 3 * 2 + 2);
            let said = say(&Cuda::new(Simulated::new(mode)), &pack);
            assert!(said.norms[0] != 0 && said.norms[ABSENT] == 0);
            assert_eq!(Alone::others(&alone, &said), [""; 0], "{used:?} {mode:?}");
        }
    }
}

#[test]
fn a_member_that_is_retired_harms_nobody() {
    let mut pack = Pack::new(vec![Use::On; 4], false);
    pack.batch.spans.retain(|span| span.member != 1);
    let alone = Alone::all(&pack, Mode::ALL[0]);
    // f32 has it, bf16 does not: it is infinite in the border, and 0 times that is no number.
    let wild = pack.group[0].adapters[1].as_mut().unwrap();
    wild.a.fill(f32::MAX);
    let kept = wild.a.clone();
    for retired in [None, Some(1)] {
        let pack = Pack {
            retired,
            ..pack.clone()
        };
        let said = say(&Cuda::new(Simulated::new(Mode::ALL[0])), &pack);
        let others = Alone::others(&alone, &said);
        assert_eq!(others.is_empty(), retired.is_some(), "{others:?}");
        if retired.is_some() {
            let adapter = said.members[1]
                .iter()
                .find(|(name, ..)| name.contains("adapter a"));
            assert_eq!(adapter.unwrap().2, kept);
        }
    }
}

/// A launch that is changed, or does not happen.
type Bug = fn(&str, Vec<Arg>) -> Option<Vec<Arg>>;

/// That an argument is this number.
fn is(args: &[Arg], at: usize, number: usize) -> bool {
    args[at] == Arg::I32(number as i32)
}

/// A pointer moved on by so many bytes.
fn moved(mut args: Vec<Arg>, at: usize, bytes: u64) -> Vec<Arg> {
    let Arg::Pointer(place) = args[at] else {
        panic!("no pointer: {args:?}")
    };
    args[at] = place.plus(bytes).into();
    args
}

/// Rows of the members 0 and 1, and columns of the border.
const FIRST: usize = LENGTHS[3];
const SECOND: usize = LENGTHS[5];
const TAIL: usize = 256;

#[test]
fn planted_bugs_are_found() {
    let bugs: [(&str, Bug, &[&str]); 9] = [
        (
            "a mask of another member",
            |kernel, mut args| {
                if kernel == "lora_down_64" && is(&args, 5, FIRST) {
                    let [k0, k1] = step_key(9, 7);
                    (args[13], args[14]) = (k0.into(), k1.into());
                }
                Some(args)
            },
            &["member 0"],
        ),
        (
            "x from the next row on",
            |kernel, args| match kernel == "lora_down_64" && is(&args, 5, FIRST) {
                true => Some(moved(args, 0, 2 * (INPUTS + TAIL + 8) as u64)),
                false => Some(args),
            },
            &["member 0"],
        ),
        (
            "positions from the next row on",
            |kernel, args| match kernel == "lora_preload" && is(&args, 5, FIRST) {
                true => Some(moved(args, 3, 4)),
                false => Some(args),
            },
            &["member 0"],
        ),
        (
            "dh of the columns of another",
            |kernel, args| match kernel == "lora_da" && is(&args, 5, SECOND) {
                true => Some(moved(args, 0, 32)),
                false => Some(args),
            },
            &["member 1"],
        ),
        (
            "columns of others are not zeroed",
            |kernel, mut args| {
                if kernel == "lora_down_64" {
                    args[12] = args[11];
                }
                Some(args)
            },
            &["member 0", "member 1", "member 3"],
        ),
        (
            "the tail of nobody is not zeroed",
            |kernel, args| {
                let bug = kernel == "border" && is(&args, 4, LENGTHS[4]) && is(&args, 5, TAIL);
                (!bug).then_some(args)
            },
            &["of nobody"],
        ),
        (
            "dx of nobody is not zeroed",
            |kernel, args| {
                let bug = kernel == "border" && is(&args, 4, LENGTHS[0]) && is(&args, 5, INPUTS);
                (!bug).then_some(args)
            },
            &["of nobody"],
        ),
        (
            "dx without dropout is not zeroed",
            |kernel, args| {
                let bug = kernel == "border" && is(&args, 4, SECOND) && is(&args, 5, INPUTS);
                (!bug).then_some(args)
            },
            &["member 1"],
        ),
        (
            "dh with dropout counts twice",
            |kernel, args| {
                let bug = kernel == "border" && is(&args, 4, FIRST) && is(&args, 5, TAIL);
                (!bug).then_some(args)
            },
            &["member 0"],
        ),
    ];
    let mode = Mode::ALL[0];
    let pack = Pack::new(uses()[0].clone(), false);
    let alone = Alone::all(&pack, mode);
    for (bug, change, by) in bugs {
        let said = say(&Cuda::new(Simulated::planted(mode, change)), &pack);
        let found = Alone::others(&alone, &said);
        must_be_found(bug, found.clone(), by);
        // Nobody else notices it: rows and sums are each one's own.
        let whose = |one: &String| by.iter().any(|word| one.contains(word));
        assert!(found.iter().all(whose), "{bug}: {found:?}");
    }
}
