//! What lanes tell each other: shuffles, votes, matches, reductions. All lanes named by the mask are present.

use crate::ptx::op::{Exchange, Reduction, Shuffle, Vote};
use crate::ptx::registers::{LANES, Lanes, Reg, Registers, lanes};

/// The member mask of an exchange, the same in all active lanes.
///
/// # Errors
/// A mask that differs, or does not name a lane that takes part.
pub(crate) fn members(registers: &Registers, mask: Reg, active: u32) -> Result<u32, String> {
    let masks = registers.get::<u32>(mask);
    let first = masks[active.trailing_zeros() as usize % LANES];
    if lanes(active).any(|lane| masks[lane] != first) {
        return Err("the lanes give different member masks".into());
    }
    match active & !first {
        0 => Ok(first),
        strangers => Err(format!(
            "lanes {strangers:08x} take part but the member mask {first:08x} does not name them"
        )),
    }
}

/// Runs one exchange between the active lanes.
///
/// # Errors
/// A shuffle that reads from a lane that does not take part.
pub(crate) fn run(registers: &mut Registers, what: &Exchange, active: u32) -> Result<(), String> {
    match *what {
        Exchange::Shuffle {
            mode,
            to,
            valid,
            source,
            lane,
            clamp,
        } => {
            let (lane, clamp) = (registers.get::<u32>(lane), registers.get::<u32>(clamp));
            let (from, inside) = sources(mode, &lane, &clamp);
            if let Some(reader) = lanes(active).find(|&reader| active >> from[reader] & 1 == 0) {
                return Err(format!(
                    "lane {reader} reads from lane {}, which is inactive",
                    from[reader]
                ));
            }
            let values = registers.get::<u32>(source);
            registers.set::<u32>(to, active, from.map(|from| values[from]));
            if let Some(valid) = valid {
                registers.set_predicate(valid, active, inside);
            }
        }
        Exchange::Vote {
            vote,
            to,
            source,
            negate,
        } => {
            let holds = registers.predicate(source);
            let holds = active & if negate { !holds } else { holds };
            let all = |yes: bool| if yes { u32::MAX } else { 0 };
            match vote {
                Vote::Ballot => registers.set::<u32>(to, active, [holds; LANES]),
                Vote::All => registers.set_predicate(to, active, all(holds == active)),
                Vote::Any => registers.set_predicate(to, active, all(holds != 0)),
                Vote::Uniform => {
                    registers.set_predicate(to, active, all(holds == active || holds == 0))
                }
            }
        }
        Exchange::Match {
            all,
            to,
            agreed,
            source,
        } => matching(registers, all, to, agreed, source, active),
        Exchange::Reduce {
            reduction,
            signed,
            to,
            source,
        } => {
            let values = registers.get::<u32>(source);
            let result = lanes(active)
                .map(|lane| values[lane])
                .reduce(|x, y| reduced(reduction, signed, x, y));
            registers.set::<u32>(to, active, [result.unwrap_or(0); LANES]);
        }
        Exchange::Nothing => {}
    }
    Ok(())
}

/// The lane each lane reads from, and the mask of those that stay inside their segment (the others read themselves).
fn sources(mode: Shuffle, lane: &Lanes<u32>, clamp: &Lanes<u32>) -> (Lanes<usize>, u32) {
    let mut inside = 0;
    let from = std::array::from_fn(|own| {
        let (by, segment, limit) = (lane[own] & 31, clamp[own] >> 8 & 31, clamp[own] & 31);
        let me = own as u32;
        let first = me & segment;
        let last = first | limit & !segment;
        let (wanted, fits) = match mode {
            Shuffle::Up => {
                let wanted = me.wrapping_sub(by);
                (wanted, wanted.cast_signed() >= last.cast_signed())
            }
            Shuffle::Down => (me + by, me + by <= last),
            Shuffle::Butterfly => (me ^ by, me ^ by <= last),
            Shuffle::Index => {
                let wanted = first | by & !segment;
                (wanted, wanted <= last)
            }
        };
        inside |= u32::from(fits) << own;
        if fits { wanted as usize } else { own }
    });
    (from, inside)
}

fn matching(
    registers: &mut Registers,
    all: bool,
    to: Reg,
    agreed: Option<Reg>,
    source: Reg,
    active: u32,
) {
    let values = registers.bits(source);
    let same = |with: usize| {
        lanes(active).fold(0, |mask, lane| {
            mask | u32::from(values[lane] == values[with]) << lane
        })
    };
    let first = active.trailing_zeros() as usize % LANES;
    let everyone = same(first) == active;
    let out: Lanes<u32> = match all {
        true => [if everyone { active } else { 0 }; LANES],
        false => std::array::from_fn(same),
    };
    registers.set::<u32>(to, active, out);
    if let Some(agreed) = agreed {
        registers.set_predicate(agreed, active, if everyone { u32::MAX } else { 0 });
    }
}

fn reduced(reduction: Reduction, signed: bool, x: u32, y: u32) -> u32 {
    match reduction {
        Reduction::Add => x.wrapping_add(y),
        Reduction::Min if signed => x.cast_signed().min(y.cast_signed()).cast_unsigned(),
        Reduction::Max if signed => x.cast_signed().max(y.cast_signed()).cast_unsigned(),
        Reduction::Min => x.min(y),
        Reduction::Max => x.max(y),
        Reduction::And => x & y,
        Reduction::Or => x | y,
        Reduction::Xor => x ^ y,
    }
}
