//! Launches in every mode: what a kernel leaves may not depend on any freedom that the hardware has.

use crate::ptx::{Arg, Counts, Fault, Kernel, Launch, Memory, Mode};

/// So many blocks of so many threads in a row, `shared` bytes of dynamic shared memory.
pub fn launch(grid: [usize; 3], threads: u32, shared: u32) -> Launch {
    Launch {
        grid: grid.map(|blocks| blocks as u32),
        block: [threads, 1, 1],
        shared,
    }
}

/// A size as a kernel takes it.
pub fn int(size: usize) -> Arg {
    Arg::I32(size as i32)
}

/// Does something in every mode. Its `bits`, which tell NaN from NaN, must be the same each time.
///
/// # Errors
/// The first fault, or that two modes differ.
pub fn in_all_modes<T, B: PartialEq>(
    once: impl Fn(Mode) -> Result<T, Fault>,
    bits: impl Fn(&T) -> B,
) -> Result<T, String> {
    let mut first: Option<(T, B)> = None;
    for mode in Mode::ALL {
        let now = once(mode).map_err(|fault| format!("{mode:?}: {fault}"))?;
        let found = bits(&now);
        match &first {
            None => first = Some((now, found)),
            Some((_, expected)) if *expected == found => {}
            Some(_) => return Err(format!("modes differ in bits: {mode:?} from the first")),
        }
    }
    Ok(first.expect("there are modes").0)
}

/// Launches one kernel in every mode, each on a memory of its own that `place` fills; what `read` finds, bits, must be the same
/// in all.
///
/// # Errors
/// See [`in_all_modes`].
pub fn run<P, T: PartialEq + Clone>(
    kernel: &Kernel,
    launch: &Launch,
    place: impl Fn(&mut Memory) -> (Vec<Arg>, P),
    read: impl Fn(&Memory, &P) -> T,
) -> Result<(T, Counts), String> {
    let once = |mode| {
        let mut memory = Memory::new();
        let (args, places) = place(&mut memory);
        let counts = kernel.run(launch, &args, &mut memory, mode)?;
        Ok((read(&memory, &places), counts))
    };
    in_all_modes(once, |(found, _)| found.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_differs_is_told() {
        let bits = |number: &f32| number.to_bits();
        for odd in Mode::ALL {
            let found = in_all_modes(|mode| Ok(if mode == odd { -0.0 } else { 0.0 }), bits);
            assert!(found.unwrap_err().contains("modes differ"), "{odd:?}");
        }
        assert!(in_all_modes(|_| Ok(f32::NAN), bits).unwrap().is_nan());
    }

    #[test]
    fn a_fault_in_any_mode_is_told() {
        for odd in Mode::ALL {
            let fault = || Fault {
                kernel: "broken".into(),
                place: None,
                what: "out of bounds".into(),
            };
            let once = |mode| if mode == odd { Err(fault()) } else { Ok(1) };
            let told = in_all_modes(once, |&number| number).unwrap_err();
            assert!(told.contains("out of bounds") && told.contains(&format!("{odd:?}")));
        }
    }
}
