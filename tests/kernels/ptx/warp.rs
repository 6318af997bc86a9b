//! A warp: 32 lanes that share an instruction as long as they can. Where a branch splits them the group at the lowest
//! instruction goes first and groups that meet again become one; a group that needs absent lanes waits for them.

use crate::ptx::block::Shared;
use crate::ptx::copies::Copies;
use crate::ptx::exchange;
use crate::ptx::execute::execute;
use crate::ptx::op::{Barrier, Op};
use crate::ptx::region::Region;
use crate::ptx::registers::{LANES, Reg, Registers, lanes};

/// Why a warp stopped for now.
pub(crate) enum Stop {
    Done,
    /// At a barrier, and at which instruction.
    Barrier(Barrier, usize),
}

/// Lanes at one instruction.
#[derive(Clone, Copy, Debug)]
struct Group {
    at: usize,
    lanes: u32,
    /// Needs lanes that are elsewhere.
    stuck: bool,
}

/// A warp of the running block.
pub(crate) struct Warp {
    pub registers: Registers,
    pub copies: Copies,
    pub local: Region,
    /// Lanes there are; the last warp of a block may have fewer than 32.
    all: u32,
    live: u32,
    current: Group,
    others: Vec<Group>,
}

impl Warp {
    /// A warp of the first 32 of so many threads, with so many bytes of local memory each.
    pub fn new(threads: u32, registers: Registers, local: usize) -> Self {
        let all = if threads >= LANES as u32 {
            u32::MAX
        } else {
            (1 << threads) - 1
        };
        Self {
            registers,
            copies: Copies::default(),
            local: Region::local(local * LANES),
            all,
            live: 0,
            current: Group {
                at: 0,
                lanes: 0,
                stuck: false,
            },
            others: Vec::new(),
        }
    }

    /// Back to the first instruction. Registers keep what the block before left in them.
    pub fn restart(&mut self) {
        self.live = self.all;
        self.current = Group {
            at: 0,
            lanes: self.all,
            stuck: false,
        };
        self.others.clear();
        self.local.poison();
        self.copies.restart();
    }

    /// Whether all lanes have exited.
    pub fn done(&self) -> bool {
        self.live == 0
    }

    /// The lanes that have not exited.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// The lanes that run together now.
    pub fn lanes(&self) -> u32 {
        self.current.lanes
    }

    /// The instruction they are at.
    pub fn at(&self) -> usize {
        self.current.at
    }

    /// The lowest lane that has not exited.
    pub fn first_lane(&self) -> usize {
        self.live.trailing_zeros() as usize % LANES
    }

    /// Bytes of local memory of each thread.
    pub fn local_size(&self) -> usize {
        self.local.len() / LANES
    }

    /// Runs until a barrier or the end.
    ///
    /// # Errors
    /// What the instruction at [`Self::at`] did wrong.
    pub fn run(&mut self, shared: &mut Shared) -> Result<Stop, String> {
        let code = &shared.kernel.code;
        loop {
            let instruction = code
                .get(self.current.at)
                .ok_or("the kernel ends without `ret`")?;
            let here = self.current.lanes;
            let active = match instruction.guard {
                None => here,
                Some((guard, false)) => here & self.registers.predicate(guard),
                Some((guard, true)) => here & !self.registers.predicate(guard),
            };
            shared.counts.instructions += 1;
            shared.counts.lanes += u64::from(active.count_ones());
            match &instruction.op {
                Op::Branch(target) => self.branch(active, *target),
                Op::BranchTable(index, targets) => self.branch_table(active, *index, targets)?,
                Op::Exit => {
                    self.exit(active)?;
                    if self.live == 0 {
                        return Ok(Stop::Done);
                    }
                }
                Op::Barrier(barrier) => {
                    if self.gather(active, self.live)? {
                        let at = self.current.at;
                        self.current.at += 1;
                        return Ok(Stop::Barrier(*barrier, at));
                    }
                }
                Op::Exchange(what, members) => {
                    if active == 0 {
                        self.current.at += 1;
                    } else {
                        let members = exchange::members(&self.registers, *members, active)?;
                        if self.gather(active, members)? {
                            exchange::run(&mut self.registers, what, active)?;
                            self.current.at += 1;
                        }
                    }
                }
                Op::LoadMatrices(_) | Op::Multiply(_) => {
                    if self.gather(active, u32::MAX)? {
                        execute(shared, self, &instruction.op, active)?;
                        self.current.at += 1;
                    }
                }
                op => {
                    if active != 0 {
                        execute(shared, self, op, active)?;
                    }
                    self.current.at += 1;
                }
            }
            if !self.others.is_empty() {
                self.choose()?;
            }
        }
    }

    fn branch(&mut self, active: u32, target: usize) {
        let rest = self.current.lanes & !active;
        if rest == 0 {
            self.current.at = target;
            return;
        }
        if active != 0 {
            self.others.push(Group {
                at: target,
                lanes: active,
                stuck: false,
            });
        }
        self.current.lanes = rest;
        self.current.at += 1;
    }

    fn branch_table(&mut self, active: u32, index: Reg, targets: &[usize]) -> Result<(), String> {
        let index = self.registers.get::<u32>(index);
        for lane in lanes(active) {
            let at = *targets
                .get(index[lane] as usize)
                .ok_or("the index of `brx` is beyond its table")?;
            self.others.push(Group {
                at,
                lanes: 1 << lane,
                stuck: false,
            });
        }
        self.current.lanes &= !active;
        self.current.at += 1;
        Ok(())
    }

    fn exit(&mut self, active: u32) -> Result<(), String> {
        if self.copies.on_their_way(active) {
            return Err("a cp.async was never waited for".into());
        }
        self.live &= !active;
        self.current.lanes &= !active;
        self.current.at += 1;
        Ok(())
    }

    /// Whether all lanes an instruction needs are here. If some are elsewhere the group waits for them.
    fn gather(&mut self, active: u32, needed: u32) -> Result<bool, String> {
        let missing = needed & !active;
        if missing == 0 {
            return Ok(true);
        }
        if missing & !self.live != 0 {
            return Err(format!(
                "needs lanes {:08x} that have exited or never were",
                missing & !self.live
            ));
        }
        if missing & self.current.lanes != 0 {
            return Err(format!(
                "needs lanes {:08x} that its guard keeps out",
                missing & self.current.lanes
            ));
        }
        self.current.stuck = true;
        Ok(false)
    }

    /// Joins groups that have met and goes on with the lowest that can go on.
    fn choose(&mut self) -> Result<(), String> {
        if self.current.lanes != 0 {
            self.others.push(self.current);
        }
        self.others.sort_unstable_by_key(|group| group.at);
        // Groups that meet are free again: together they may be all that is needed.
        self.others.dedup_by(|next, first| {
            let meet = next.at == first.at;
            if meet {
                first.lanes |= next.lanes;
                first.stuck = false;
            }
            meet
        });
        match self.others.iter().position(|group| !group.stuck) {
            Some(n) => {
                self.current = self.others.remove(n);
                Ok(())
            }
            None => {
                let waiting: Vec<String> = self
                    .others
                    .iter()
                    .map(|group| format!("{:08x}", group.lanes))
                    .collect();
                self.current = self.others[0];
                Err(match waiting.len() {
                    1 => format!(
                        "divergent: lanes {} wait for lanes that have exited",
                        waiting[0]
                    ),
                    _ => format!(
                        "divergent: lanes {} wait at different instructions",
                        waiting.join(" and ")
                    ),
                })
            }
        }
    }
}
