//! Decoding of branches, barriers and fences.

use super::{Decoder, Jump, Parts};
use crate::ptx::op::{Barrier, BarrierReduction, Exchange, Logic, Op};
use crate::ptx::operand::Operand;
use crate::ptx::types::Type;

impl Decoder {
    /// What steers a warp, if it is that.
    pub(super) fn control(&mut self, parts: &Parts, line: usize) -> Result<Option<Op>, String> {
        let op = match parts.name {
            "bra" => {
                parts.only(&["uni"])?;
                parts.count(1)?;
                let Operand::Name(label) = parts.operand(0)? else {
                    return Err("a branch goes to a label".into());
                };
                let jump = Jump {
                    at: self.code.len(),
                    scope: self.names.here(),
                    label: (*label).to_owned(),
                    line,
                };
                self.jumps.push(jump);
                Op::Branch(usize::MAX)
            }
            "brx" => self.branch_table(parts, line)?,
            "ret" | "exit" => Op::Exit,
            "bar" | "barrier" if parts.has("warp") => Op::Exchange(
                Exchange::Nothing,
                self.source(parts.operand(0)?, Type::U32)?,
            ),
            "bar" | "barrier" => Op::Barrier(self.barrier(parts)?),
            "membar" | "fence" => Op::Nothing,
            "nop" => Op::Nothing,
            "trap" => Op::Trap,
            _ => return Ok(None),
        };
        Ok(Some(op))
    }

    fn branch_table(&mut self, parts: &Parts, line: usize) -> Result<Op, String> {
        parts.only(&["idx", "uni"])?;
        parts.count(2)?;
        let index = self.source(parts.operand(0)?, Type::U32)?;
        let Operand::Name(table) = parts.operand(1)? else {
            return Err("a table of branches has a label".into());
        };
        let labels = self
            .tables
            .get(*table)
            .ok_or_else(|| format!("table `{table}` is nowhere"))?;
        let (at, scope) = (self.code.len(), self.names.here());
        let jumps = labels.iter().map(|label| Jump {
            at,
            scope,
            label: label.clone(),
            line,
        });
        self.jumps.extend(jumps);
        Ok(Op::BranchTable(index, Vec::new()))
    }

    fn barrier(&mut self, parts: &Parts) -> Result<Barrier, String> {
        parts.only(&[
            "sync", "arrive", "red", "cta", "aligned", "popc", "and", "or",
        ])?;
        let reduce = parts.has("red");
        let skip = usize::from(reduce);
        let number = self.source(parts.operand(skip)?, Type::U32)?;
        let rest = parts.operands.len() - skip - skip;
        let threads = match rest {
            1 => None,
            _ => Some(self.source(parts.operand(skip + 1)?, Type::U32)?),
        };
        let reduce = match reduce {
            false => None,
            true => {
                let logic = match (parts.has("and"), parts.has("or")) {
                    (true, _) => Some(Logic::And),
                    (_, true) => Some(Logic::Or),
                    _ => None,
                };
                let kind = if logic.is_some() {
                    Type::Pred
                } else {
                    Type::U32
                };
                let to = self.target(parts.operand(0)?, kind)?;
                let (source, negate) = self.condition(parts.operand(parts.operands.len() - 1)?)?;
                Some(BarrierReduction {
                    logic,
                    to,
                    source,
                    negate,
                })
            }
        };
        if parts.has("arrive") && threads.is_none() {
            return Err("`bar.arrive` needs a number of threads".into());
        }
        Ok(Barrier {
            number,
            threads,
            arrive: parts.has("arrive"),
            reduce,
        })
    }
}
