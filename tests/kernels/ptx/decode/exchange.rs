//! Decoding of what the lanes of a warp do together: shuffles, votes, matrix products.

use super::{Decoder, Parts};
use crate::ptx::op::{Exchange, Multiply, Op, Reduction, Shuffle, Vote};
use crate::ptx::operand::Operand;
use crate::ptx::registers::Reg;
use crate::ptx::types::Type;

impl Decoder {
    /// An exchange between lanes, if it is one.
    pub(super) fn exchange(&mut self, parts: &Parts) -> Result<Option<Op>, String> {
        let op = match parts.name {
            "shfl" => self.shuffle(parts)?,
            "vote" => self.vote(parts)?,
            "match" => self.matching(parts)?,
            "redux" => self.redux(parts)?,
            "activemask" => Op::ActiveMask(self.target(parts.operand(0)?, Type::U32)?),
            "mma" => self.multiply(parts)?,
            _ => return Ok(None),
        };
        Ok(Some(op))
    }

    /// A target with a predicate beside it, if there is one.
    fn with_predicate(&self, operand: &Operand, kind: Type) -> Result<(Reg, Option<Reg>), String> {
        match operand {
            Operand::Pair(value, predicate) => {
                Ok((self.named(value, kind.file())?, self.optional(predicate)?))
            }
            one => Ok((self.target(one, kind)?, None)),
        }
    }

    fn shuffle(&mut self, parts: &Parts) -> Result<Op, String> {
        parts.only(&["sync", "up", "down", "bfly", "idx"])?;
        parts.count(5)?;
        if !parts.has("sync") || parts.kind()?.bytes() != 4 {
            return Err("`shfl` is known only as `shfl.sync` of 32 bits".into());
        }
        let modes = [
            ("up", Shuffle::Up),
            ("down", Shuffle::Down),
            ("bfly", Shuffle::Butterfly),
            ("idx", Shuffle::Index),
        ];
        let mode = modes
            .into_iter()
            .find(|(word, _)| parts.has(word))
            .ok_or("no mode of `shfl` is named")?
            .1;
        let (to, valid) = self.with_predicate(parts.operand(0)?, Type::U32)?;
        let mut word = |n| self.source(parts.operand(n)?, Type::U32);
        let (source, lane, clamp, members) = (word(1)?, word(2)?, word(3)?, word(4)?);
        Ok(Op::Exchange(
            Exchange::Shuffle {
                mode,
                to,
                valid,
                source,
                lane,
                clamp,
            },
            members,
        ))
    }

    fn vote(&mut self, parts: &Parts) -> Result<Op, String> {
        parts.only(&["sync", "all", "any", "uni", "ballot"])?;
        parts.count(3)?;
        let votes = [
            ("all", Vote::All),
            ("any", Vote::Any),
            ("uni", Vote::Uniform),
            ("ballot", Vote::Ballot),
        ];
        let vote = votes
            .into_iter()
            .find(|(word, _)| parts.has(word))
            .ok_or("no kind of `vote` is named")?
            .1;
        let kind = if vote == Vote::Ballot {
            Type::U32
        } else {
            Type::Pred
        };
        let to = self.target(parts.operand(0)?, kind)?;
        let (source, negate) = self.condition(parts.operand(1)?)?;
        let members = self.source(parts.operand(2)?, Type::U32)?;
        Ok(Op::Exchange(
            Exchange::Vote {
                vote,
                to,
                source,
                negate,
            },
            members,
        ))
    }

    fn matching(&mut self, parts: &Parts) -> Result<Op, String> {
        parts.only(&["sync", "any", "all"])?;
        parts.count(3)?;
        let (to, agreed) = self.with_predicate(parts.operand(0)?, Type::U32)?;
        let source = self.source(parts.operand(1)?, parts.kind()?)?;
        let members = self.source(parts.operand(2)?, Type::U32)?;
        Ok(Op::Exchange(
            Exchange::Match {
                all: parts.has("all"),
                to,
                agreed,
                source,
            },
            members,
        ))
    }

    fn redux(&mut self, parts: &Parts) -> Result<Op, String> {
        parts.only(&["sync", "add", "min", "max", "and", "or", "xor"])?;
        parts.count(3)?;
        let reductions = [
            ("add", Reduction::Add),
            ("min", Reduction::Min),
            ("max", Reduction::Max),
            ("and", Reduction::And),
            ("or", Reduction::Or),
            ("xor", Reduction::Xor),
        ];
        let reduction = reductions
            .into_iter()
            .find(|(word, _)| parts.has(word))
            .ok_or("no reduction is named")?
            .1;
        let signed = parts.kind()?.signed();
        let (to, source) = (
            self.target(parts.operand(0)?, Type::U32)?,
            self.source(parts.operand(1)?, Type::U32)?,
        );
        let members = self.source(parts.operand(2)?, Type::U32)?;
        Ok(Op::Exchange(
            Exchange::Reduce {
                reduction,
                signed,
                to,
                source,
            },
            members,
        ))
    }

    fn multiply(&mut self, parts: &Parts) -> Result<Op, String> {
        parts.only(&["sync", "aligned", "m16n8k16", "m16n8k8", "row", "col"])?;
        parts.count(4)?;
        let types: Vec<Type> = parts.types().collect();
        let kind = match types[..] {
            [Type::F32, a @ (Type::Bf16 | Type::F16), b, Type::F32] if a == b => a,
            _ => return Err("`mma` is known for bf16 or f16 with f32 sums only".into()),
        };
        let k = if parts.has("m16n8k16") { 16 } else { 8 };
        if !parts.has("row")
            || !parts.has("col")
            || !(parts.has("m16n8k16") || parts.has("m16n8k8"))
        {
            return Err("this `mma` is not known".into());
        }
        let mut sources = |n: usize, count: usize| -> Result<Vec<Reg>, String> {
            let list = self.list(parts.operand(n)?);
            if list.len() != count {
                return Err(format!(
                    "operand {} of `mma` has {} registers, not {count}",
                    n + 1,
                    list.len()
                ));
            }
            list.iter().map(|one| self.source(one, Type::U32)).collect()
        };
        let four = |list: Vec<Reg>| -> [Reg; 4] { std::array::from_fn(|n| list[n]) };
        let (a, b, c) = (sources(1, k / 4)?, sources(2, k / 8)?, four(sources(3, 4)?));
        let d = four(sources(0, 4)?);
        Ok(Op::Multiply(Box::new(Multiply {
            kind,
            k,
            d,
            a,
            b,
            c,
        })))
    }
}
