//! Decoding of whatever moves numbers: `mov`, `cvta`, loads, stores, `cp.async`, `ldmatrix`.

use super::{Decoder, Parts};
use crate::ptx::names::Symbol;
use crate::ptx::op::{Access, Copy, IntegerOp, MatrixLoad, Op, Space};
use crate::ptx::operand::{Literal, Operand};
use crate::ptx::registers::{File, Reg};
use crate::ptx::types::Type;
use crate::ptx::window::{LOCAL_WINDOW, SHARED_WINDOW};

/// Modifiers of loads and stores that change nothing here: caching, ordering between warps that take turns anyway.
const HINTS: [&str; 20] = [
    "global",
    "shared",
    "shared::cta",
    "local",
    "const",
    "param",
    "nc",
    "ca",
    "cg",
    "cs",
    "lu",
    "cv",
    "wb",
    "wt",
    "volatile",
    "relaxed",
    "weak",
    "cta",
    "gpu",
    "v2",
];

impl Decoder {
    /// A move, if it is one.
    pub(super) fn movement(&mut self, parts: &Parts) -> Result<Option<Op>, String> {
        let op = match parts.name {
            "mov" => self.mov(parts)?,
            "cvta" => self.generic(parts)?,
            "ld" | "ldu" if parts.has("param") => self.parameter(parts)?,
            "ld" | "ldu" => self.access(parts, true)?,
            "st" => self.access(parts, false)?,
            "cp" => self.copy(parts)?,
            "ldmatrix" => self.matrices(parts)?,
            "prefetch" | "prefetchu" => Op::Nothing,
            _ => return Ok(None),
        };
        Ok(Some(op))
    }

    fn mov(&mut self, parts: &Parts) -> Result<Op, String> {
        let kind = parts.kind()?;
        parts.only(&[])?;
        parts.count(2)?;
        match (parts.operand(0)?, parts.operand(1)?) {
            (Operand::Vector(list), from) => {
                let bits = kind.bits() / list.len() as u32;
                let to = list
                    .iter()
                    .map(|one| self.part(one))
                    .collect::<Result<_, _>>()?;
                Ok(Op::Unpack {
                    to,
                    from: self.source(from, kind)?,
                    bits,
                })
            }
            (to, Operand::Vector(list)) => {
                let bits = kind.bits() / list.len() as u32;
                let part = if bits == 32 { Type::U32 } else { Type::U16 };
                let from = list
                    .iter()
                    .map(|one| self.any_source(one, part))
                    .collect::<Result<_, _>>()?;
                Ok(Op::Pack {
                    to: self.target(to, kind)?,
                    from,
                    bits,
                })
            }
            (to, from) => Ok(Op::Move {
                to: self.target(to, kind)?,
                from: self.source(from, kind)?,
            }),
        }
    }

    /// One target of an unpacked number; `_` throws it away.
    fn part(&self, operand: &Operand) -> Result<Option<Reg>, String> {
        match operand {
            Operand::Name("_") => Ok(None),
            other => self.any_target(other).map(Some),
        }
    }

    /// `cvta`: shared and local memory lie in windows of the generic addresses, global memory is its own window.
    fn generic(&mut self, parts: &Parts) -> Result<Op, String> {
        parts.only(&[
            "to",
            "global",
            "shared",
            "shared::cta",
            "local",
            "const",
            "param",
        ])?;
        parts.count(2)?;
        let kind = parts.kind()?;
        let (to, from) = (
            self.target(parts.operand(0)?, kind)?,
            self.source(parts.operand(1)?, kind)?,
        );
        let window = match space(parts) {
            Space::Shared => SHARED_WINDOW,
            Space::Local => LOCAL_WINDOW,
            _ => return Ok(Op::Move { to, from }),
        };
        if kind.file() != File::Wide {
            return Err("`cvta` is known for 64-bit addresses only".into());
        }
        let window = self.number(Type::U64, window)?;
        let op = if parts.has("to") {
            IntegerOp::Sub
        } else {
            IntegerOp::Add
        };
        Ok(Op::Integer(op, Type::U64, [to, from, window, from]))
    }

    fn parameter(&mut self, parts: &Parts) -> Result<Op, String> {
        parts.only(&["param"])?;
        parts.count(2)?;
        let kind = parts.kind()?;
        let Operand::Address(base, offset) = parts.operand(1)? else {
            return Err("no address".into());
        };
        let symbol = match &**base {
            Operand::Name(name) => self.names.symbol(name),
            _ => None,
        };
        let Some(Symbol::Parameter(start)) = symbol else {
            return Err("a parameter is known only by its name".into());
        };
        let offset = usize::try_from(i64::from(start) + offset)
            .map_err(|_| "the parameter begins before the first")?;
        Ok(Op::Parameter {
            to: self.any_target(parts.operand(0)?)?,
            kind,
            offset,
        })
    }

    fn access(&mut self, parts: &Parts, load: bool) -> Result<Op, String> {
        let hint = |word: &&&str| {
            Type::parse(word).is_none()
                && !HINTS.contains(*word)
                && **word != "v4"
                && !["L1::", "L2::"].iter().any(|hint| word.starts_with(hint))
        };
        if let Some(word) = parts.modifiers.iter().find(hint) {
            return Err(format!(
                "modifier `.{word}` of `{}` is not known",
                parts.name
            ));
        }
        parts.count(2)?;
        let kind = parts.kind()?;
        let (numbers, address) = if load { (0, 1) } else { (1, 0) };
        let list = self.list(parts.operand(numbers)?);
        let expected = if parts.has("v4") {
            4
        } else {
            1 + usize::from(parts.has("v2"))
        };
        if list.len() != expected {
            return Err(format!(
                "{expected} registers expected, {} found",
                list.len()
            ));
        }
        let mut registers = Vec::new();
        for one in list {
            let reg = if load {
                self.any_target(one)?
            } else {
                self.any_source(one, kind)?
            };
            if reg.file != File::Wide && kind.file() == File::Wide {
                return Err(format!("operand {one:?} is narrower than the type"));
            }
            registers.push(reg);
        }
        let address = self.address(parts.operand(address)?)?;
        let access = Box::new(Access {
            space: space(parts),
            kind,
            address,
            registers,
        });
        Ok(if load {
            Op::Load(access)
        } else {
            Op::Store(access)
        })
    }

    fn copy(&mut self, parts: &Parts) -> Result<Op, String> {
        if parts.modifiers.first() != Some(&"async") {
            return Err("`cp` is known only as `cp.async`".into());
        }
        let integer = |operand: &Operand| match operand {
            Operand::Number(Literal::Integer(value)) => Ok(*value as usize),
            other => Err(format!("operand {other:?} is no number")),
        };
        match parts.modifiers.get(1) {
            Some(&"commit_group") => return Ok(Op::CommitCopies),
            Some(&"wait_group") => return Ok(Op::WaitCopies(Some(integer(parts.operand(0)?)?))),
            Some(&"wait_all") => return Ok(Op::WaitCopies(None)),
            Some(&("ca" | "cg")) => {}
            _ => return Err("this `cp.async` is not known".into()),
        }
        let hint = |word: &&&str| {
            !["async", "ca", "cg", "shared", "shared::cta", "global"].contains(*word)
                && !word.starts_with("L2::")
        };
        if let Some(word) = parts.modifiers.iter().find(hint) {
            return Err(format!("modifier `.{word}` of `cp.async` is not known"));
        }
        let size = integer(parts.operand(2)?)?;
        let fits = if parts.has("cg") {
            size == 16
        } else {
            matches!(size, 4 | 8 | 16)
        };
        if !fits {
            return Err(format!("`cp.async` of {size} bytes does not exist"));
        }
        let source_size = match parts.operands.get(3) {
            None => None,
            Some(operand) => Some(self.source(operand, Type::U32)?),
        };
        let (to, from) = (
            self.address(parts.operand(0)?)?,
            self.address(parts.operand(1)?)?,
        );
        Ok(Op::Copy(Box::new(Copy {
            to,
            from,
            size,
            source_size,
        })))
    }

    fn matrices(&mut self, parts: &Parts) -> Result<Op, String> {
        parts.only(&[
            "sync",
            "aligned",
            "m8n8",
            "x1",
            "x2",
            "x4",
            "trans",
            "shared",
            "shared::cta",
        ])?;
        parts.count(2)?;
        let list = self.list(parts.operand(0)?);
        let to = list
            .iter()
            .map(|one| self.target(one, Type::U32))
            .collect::<Result<Vec<_>, _>>()?;
        let expected = if parts.has("x4") {
            4
        } else {
            1 + usize::from(parts.has("x2"))
        };
        if to.len() != expected || parts.kind()? != Type::U16 || !parts.has("m8n8") {
            return Err("this `ldmatrix` is not known".into());
        }
        let address = self.address(parts.operand(1)?)?;
        Ok(Op::LoadMatrices(Box::new(MatrixLoad {
            to,
            address,
            transpose: parts.has("trans"),
        })))
    }
}

/// The space an instruction names; none: generic.
fn space(parts: &Parts) -> Space {
    let named = |word: &&str| {
        Some(match *word {
            "global" => Space::Global,
            "shared" | "shared::cta" => Space::Shared,
            "local" => Space::Local,
            "const" => Space::Const,
            _ => return None,
        })
    };
    parts
        .modifiers
        .iter()
        .find_map(named)
        .unwrap_or(Space::Generic)
}
