//! One block at a time: its warps take turns, each running as far as it can (the widest skew the hardware allows), and
//! barriers let them go on.

use crate::ptx::constant::{Constant, Special};
use crate::ptx::counts::Counts;
use crate::ptx::fault::{Fault, Place};
use crate::ptx::kernel::{Kernel, Launch, Mode};
use crate::ptx::memory::{Memory, Pointer};
use crate::ptx::op::{Barrier, BarrierReduction, Logic};
use crate::ptx::region::Region;
use crate::ptx::registers::{LANES, Reg};
use crate::ptx::shadow::Turn;
use crate::ptx::warp::{Stop, Warp};

/// Barriers a block has.
const BARRIERS: usize = 16;

/// What the warps of a block share.
pub(crate) struct Shared<'a> {
    pub kernel: &'a Kernel,
    pub memory: &'a mut Memory,
    pub shared: Region,
    pub parameters: &'a [u8],
    pub turn: Turn,
    pub mode: Mode,
    pub counts: Counts,
}

/// A warp that waits at a barrier.
#[derive(Clone, Copy)]
struct Waiting {
    barrier: Barrier,
    number: usize,
    /// The instruction it waits at.
    at: usize,
}

/// The block that runs now; it is used again for the next one.
pub(crate) struct Block<'a> {
    state: Shared<'a>,
    launch: &'a Launch,
    warps: Vec<Warp>,
    waiting: Vec<Option<Waiting>>,
    /// Threads that arrived at each barrier, and how many of their predicates hold.
    arrived: [(u32, u32); BARRIERS],
    /// Registers that hold the number of the block, and on which axis.
    block_numbers: Vec<(Reg, usize)>,
    place: [u32; 3],
}

impl<'a> Block<'a> {
    pub fn new(
        kernel: &'a Kernel,
        launch: &'a Launch,
        parameters: &'a [u8],
        variables: &[Pointer],
        memory: &'a mut Memory,
        mode: Mode,
        phase: u32,
    ) -> Self {
        let threads: u32 = launch.block.iter().product();
        let warps: Vec<Warp> = (0..threads.div_ceil(LANES as u32))
            .map(|warp| {
                let registers = kernel.first_registers(launch, variables, warp);
                Warp::new(
                    threads - warp * LANES as u32,
                    registers,
                    kernel.local as usize,
                )
            })
            .collect();
        let block_numbers = kernel
            .constants
            .iter()
            .filter_map(|(reg, constant)| match constant {
                Constant::Special(Special::Block(axis)) => Some((*reg, *axis)),
                _ => None,
            });
        Self {
            state: Shared {
                kernel,
                memory,
                shared: Region::shared(kernel.shared_size(launch) as usize),
                parameters,
                turn: Turn::new(phase),
                mode,
                counts: Counts {
                    shared: kernel.shared_size(launch).into(),
                    ..Counts::default()
                },
            },
            launch,
            waiting: vec![None; warps.len()],
            warps,
            arrived: [(0, 0); BARRIERS],
            block_numbers: block_numbers.collect(),
            place: [0; 3],
        }
    }

    /// The first phase that was not used, and what was counted.
    pub fn finish(self) -> (u32, Counts) {
        (self.state.turn.number() + 1, self.state.counts)
    }

    /// Runs one block to its end.
    ///
    /// # Errors
    /// The first fault.
    pub fn run(&mut self, place: [u32; 3]) -> Result<(), Fault> {
        self.place = place;
        self.state.turn.next_block();
        self.state.shared.poison();
        self.arrived = [(0, 0); BARRIERS];
        for warp in &mut self.warps {
            warp.restart();
            for (reg, axis) in &self.block_numbers {
                warp.registers
                    .set_bits(*reg, u32::MAX, &[u64::from(place[*axis]); LANES]);
            }
        }
        while self.round()? {}
        Ok(())
    }

    /// Lets every warp that can run do so once; false when all are done.
    fn round(&mut self) -> Result<bool, Fault> {
        let (count, mut ran) = (self.warps.len(), false);
        for n in 0..count {
            let n = if self.state.mode.reverse {
                count - 1 - n
            } else {
                n
            };
            if self.warps[n].done() || self.waiting[n].is_some() {
                continue;
            }
            ran = true;
            self.state.turn.act(n as u32);
            match self.warps[n].run(&mut self.state) {
                Ok(Stop::Done) => {}
                Ok(Stop::Barrier(barrier, at)) => {
                    self.arrive(n, barrier, at)
                        .map_err(|what| self.fault(n, at, what))?;
                }
                Err(what) => return Err(self.fault(n, self.warps[n].at(), what)),
            }
        }
        if ran {
            return Ok(true);
        }
        match self.waiting.iter().position(Option::is_some) {
            None => Ok(false),
            Some(n) => Err(self.deadlock(n)),
        }
    }

    /// All warps wait or are done, and the barrier of the `n`-th is not complete.
    fn deadlock(&self, n: usize) -> Fault {
        let Some(waiting) = self.waiting[n] else {
            unreachable!("the caller found it waiting")
        };
        let done = self.warps.iter().filter(|warp| warp.done()).count();
        let (arrived, _) = self.arrived[waiting.number];
        let what = format!(
            "deadlock: barrier {} has {arrived} threads of {}, {done} warps have exited and the others wait",
            waiting.number,
            self.expected(n, waiting.barrier),
        );
        self.fault(n, waiting.at, what)
    }

    /// Threads a barrier waits for.
    fn expected(&self, warp: usize, barrier: Barrier) -> u32 {
        match barrier.threads {
            Some(reg) => self.warps[warp].registers.get::<u32>(reg)[self.warps[warp].first_lane()],
            None => (self.warps.len() * LANES) as u32,
        }
    }

    /// A warp arrives at a barrier and, if it was the last, lets all go on.
    fn arrive(&mut self, warp: usize, barrier: Barrier, at: usize) -> Result<(), String> {
        let lane = self.warps[warp].first_lane();
        let number = self.warps[warp].registers.get::<u32>(barrier.number)[lane] as usize;
        if number >= BARRIERS {
            return Err(format!("barrier {number} does not exist"));
        }
        let expected = self.expected(warp, barrier);
        if expected == 0 || !expected.is_multiple_of(LANES as u32) {
            return Err(format!(
                "barrier {number} expects {expected} threads, no multiple of a warp"
            ));
        }
        let holding = barrier
            .reduce
            .map_or(0, |reduce| self.holding(warp, reduce));
        let (arrived, held) = &mut self.arrived[number];
        *arrived += LANES as u32;
        *held += holding;
        if !barrier.arrive {
            self.waiting[warp] = Some(Waiting {
                barrier,
                number,
                at,
            });
        }
        if *arrived > expected {
            return Err(format!(
                "barrier {number} has {arrived} threads, more than the {expected} expected"
            ));
        }
        if *arrived == expected {
            self.release(number, at)
        } else {
            Ok(())
        }
    }

    /// Lanes of a warp in which the predicate of a reduction holds.
    fn holding(&self, warp: usize, reduce: BarrierReduction) -> u32 {
        let holds = self.warps[warp].registers.predicate(reduce.source);
        let holds = if reduce.negate { !holds } else { holds };
        (holds & self.warps[warp].live()).count_ones()
    }

    fn release(&mut self, number: usize, at: usize) -> Result<(), String> {
        let (_, held) = std::mem::take(&mut self.arrived[number]);
        let threads: u32 = self.launch.block.iter().product();
        for (waiting, warp) in self.waiting.iter_mut().zip(&mut self.warps) {
            let Some(there) = waiting.take_if(|there| there.number == number) else {
                continue;
            };
            if there.at != at && there.barrier.threads.is_none() {
                let other = &self.state.kernel.code[there.at];
                return Err(format!(
                    "divergent barrier: a warp waits at the one of line {}",
                    other.line
                ));
            }
            if let Some(reduce) = there.barrier.reduce {
                let value = match reduce.logic {
                    None => held,
                    Some(Logic::And) => u32::from(held == threads),
                    Some(_) => u32::from(held > 0),
                };
                warp.registers
                    .set_bits(reduce.to, warp.live(), &[u64::from(value); LANES]);
            }
        }
        self.state.counts.barriers += 1;
        self.state.turn.next_phase();
        Ok(())
    }

    fn fault(&self, warp: usize, at: usize, what: String) -> Fault {
        let kernel = self.state.kernel;
        let line = kernel
            .code
            .get(at)
            .map_or(0, |instruction| instruction.line);
        Fault {
            kernel: kernel.name.clone(),
            place: Some(Place {
                block: self.place,
                warp: warp as u32,
                lanes: self.warps[warp].lanes(),
                line,
                instruction: kernel
                    .lines
                    .get(line.wrapping_sub(1))
                    .cloned()
                    .unwrap_or_default(),
            }),
            what,
        }
    }
}
