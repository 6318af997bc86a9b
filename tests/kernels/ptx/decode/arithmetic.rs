//! Decoding of arithmetic, logic, comparison and conversion.

use super::{Decoder, Parts};
use crate::ptx::op::{
    BitOp, Compare, Convert, Finish, FloatOp, IntegerOp, Logic, Op, Relation, Rounding,
};
use crate::ptx::operand::{Literal, Operand};
use crate::ptx::registers::Reg;
use crate::ptx::types::Type;

/// Modifiers of floating-point arithmetic. `approx` and `full` are computed exactly, see [`crate::ptx::float`].
const FLOAT: [&str; 9] = [
    "rn", "rz", "rm", "rp", "ftz", "sat", "approx", "full", "NaN",
];

impl Decoder {
    /// Arithmetic, if it is that.
    pub(super) fn arithmetic(&mut self, parts: &Parts) -> Result<Option<Op>, String> {
        let op = match parts.name {
            "setp" => self.compare(parts)?,
            "selp" => self.select(parts)?,
            "cvt" => self.convert(parts)?,
            "lop3" | "popc" | "clz" | "brev" | "bfind" | "bfe" | "bfi" | "prmt" | "shf" => {
                self.bits(parts)?
            }
            "and" | "or" | "xor" | "not" if parts.kind()? == Type::Pred => self.logic(parts)?,
            _ => {
                let Ok(kind) = parts.kind() else {
                    return Ok(None);
                };
                let found = if kind.float() {
                    self.float(parts, kind)?
                } else {
                    self.integer(parts, kind)?
                };
                return Ok(found);
            }
        };
        Ok(Some(op))
    }

    /// The target and up to `N - 1` sources; places without an operand repeat the first source.
    fn registers<const N: usize>(
        &mut self,
        parts: &Parts,
        kinds: [Type; N],
        count: usize,
    ) -> Result<[Reg; N], String> {
        parts.count(count)?;
        let target = self.target(parts.operand(0)?, kinds[0])?;
        let mut registers = [target; N];
        let first = self.source(parts.operand(1)?, kinds[1])?;
        registers[1..].fill(first);
        for n in 2..count {
            registers[n] = self.source(parts.operand(n)?, kinds[n])?;
        }
        Ok(registers)
    }

    fn integer(&mut self, parts: &Parts, kind: Type) -> Result<Option<Op>, String> {
        let (wide, high) = (parts.has("wide"), parts.has("hi"));
        let (op, count) = match parts.name {
            "add" => (IntegerOp::Add, 3),
            "sub" => (IntegerOp::Sub, 3),
            "mul" if wide => (IntegerOp::MulWide, 3),
            "mul" if high => (IntegerOp::MulHigh, 3),
            "mul" => (IntegerOp::MulLow, 3),
            "mad" if wide => (IntegerOp::MadWide, 4),
            "mad" if high => (IntegerOp::MadHigh, 4),
            "mad" => (IntegerOp::MadLow, 4),
            "div" => (IntegerOp::Div, 3),
            "rem" => (IntegerOp::Rem, 3),
            "min" => (IntegerOp::Min, 3),
            "max" => (IntegerOp::Max, 3),
            "abs" => (IntegerOp::Abs, 2),
            "neg" => (IntegerOp::Neg, 2),
            "and" => (IntegerOp::And, 3),
            "or" => (IntegerOp::Or, 3),
            "xor" => (IntegerOp::Xor, 3),
            "not" => (IntegerOp::Not, 2),
            "cnot" => (IntegerOp::LogicalNot, 2),
            "shl" => (IntegerOp::ShiftLeft, 3),
            "shr" => (IntegerOp::ShiftRight, 3),
            "sad" => return self.absolute_difference(parts, kind).map(Some),
            _ => return Ok(None),
        };
        parts.only(if matches!(parts.name, "mul" | "mad") {
            &["lo", "hi", "wide"]
        } else {
            &[]
        })?;
        if matches!(kind, Type::U8 | Type::S8) {
            return Err("arithmetic has no 8-bit type".into());
        }
        let double = match kind {
            _ if !wide => kind,
            Type::U16 => Type::U32,
            Type::S16 => Type::S32,
            Type::U32 => Type::U64,
            Type::S32 => Type::S64,
            _ => return Err("a wide product of 64-bit numbers does not exist".into()),
        };
        let amount = matches!(op, IntegerOp::ShiftLeft | IntegerOp::ShiftRight);
        let second = if amount { Type::U32 } else { kind };
        Ok(Some(Op::Integer(
            op,
            kind,
            self.registers(parts, [double, kind, second, double], count)?,
        )))
    }

    /// `sad` has a sum that is no part of the difference: only the difference with zero added is understood.
    fn absolute_difference(&mut self, parts: &Parts, kind: Type) -> Result<Op, String> {
        match parts.operand(3)? {
            Operand::Number(Literal::Integer(0)) => {}
            _ => return Err("`sad` is known only with a sum of 0".into()),
        }
        let to = self.target(parts.operand(0)?, kind)?;
        let (a, b) = (
            self.source(parts.operand(1)?, kind)?,
            self.source(parts.operand(2)?, kind)?,
        );
        Ok(Op::Integer(
            IntegerOp::AbsoluteDifference,
            kind,
            [to, a, b, a],
        ))
    }

    fn float(&mut self, parts: &Parts, kind: Type) -> Result<Option<Op>, String> {
        let nan = parts.has("NaN");
        let (op, count) = match parts.name {
            "add" => (FloatOp::Add, 3),
            "sub" => (FloatOp::Sub, 3),
            "mul" => (FloatOp::Mul, 3),
            "fma" | "mad" => (FloatOp::Fma, 4),
            "div" => (FloatOp::Div, 3),
            "min" => (if nan { FloatOp::MinNan } else { FloatOp::Min }, 3),
            "max" => (if nan { FloatOp::MaxNan } else { FloatOp::Max }, 3),
            "abs" => (FloatOp::Abs, 2),
            "neg" => (FloatOp::Neg, 2),
            "copysign" => (FloatOp::CopySign, 3),
            "sqrt" => (FloatOp::Sqrt, 2),
            "rsqrt" => (FloatOp::Rsqrt, 2),
            "rcp" => (FloatOp::Reciprocal, 2),
            "ex2" => (FloatOp::Exp2, 2),
            "lg2" => (FloatOp::Log2, 2),
            "sin" => (FloatOp::Sin, 2),
            "cos" => (FloatOp::Cos, 2),
            "tanh" => (FloatOp::Tanh, 2),
            _ => return Ok(None),
        };
        parts.only(&FLOAT)?;
        let finish = Finish {
            rounding: rounding(parts),
            flush: parts.has("ftz"),
            saturate: parts.has("sat"),
        };
        match kind {
            Type::F32 => {}
            Type::F64 if finish.rounding == Rounding::Near => {}
            _ => {
                return Err(format!(
                    "`{}` is known for f32 and, to nearest, f64 only",
                    parts.name
                ));
            }
        }
        Ok(Some(Op::Float(
            op,
            kind,
            finish,
            self.registers(parts, [kind; 4], count)?,
        )))
    }

    fn bits(&mut self, parts: &Parts) -> Result<Op, String> {
        let kind = parts.kind()?;
        parts.only(&["shiftamt", "l", "r", "wrap", "clamp"])?;
        let (u32s, clamp) = (Type::U32, parts.has("clamp"));
        let (op, kinds, count) = match parts.name {
            "popc" => (BitOp::Count, [u32s, kind, kind, kind, kind], 2),
            "clz" => (BitOp::LeadingZeros, [u32s, kind, kind, kind, kind], 2),
            "brev" => (BitOp::Reverse, [kind; 5], 2),
            "bfind" => (
                BitOp::Find {
                    shift: parts.has("shiftamt"),
                },
                [u32s, kind, kind, kind, kind],
                2,
            ),
            "bfe" => (BitOp::Extract, [kind, kind, u32s, u32s, u32s], 4),
            "bfi" => (BitOp::Insert, [kind, kind, kind, u32s, u32s], 5),
            "prmt" => (BitOp::Permute, [u32s; 5], 4),
            "shf" if parts.has("l") => (BitOp::FunnelLeft { clamp }, [u32s; 5], 4),
            "shf" => (BitOp::FunnelRight { clamp }, [u32s; 5], 4),
            _ => {
                let Operand::Number(Literal::Integer(table)) = parts.operand(4)? else {
                    return Err("the table of `lop3` is no number".into());
                };
                (BitOp::Table(*table as u8), [u32s; 5], 5)
            }
        };
        if !matches!(kind.bytes(), 4 | 8) {
            return Err(format!("`{}` is known for 32 and 64 bits only", parts.name));
        }
        Ok(Op::Bits(op, kind, self.registers(parts, kinds, count)?))
    }

    fn logic(&mut self, parts: &Parts) -> Result<Op, String> {
        parts.only(&[])?;
        let op = match parts.name {
            "not" => {
                parts.count(2)?;
                let to = self.target(parts.operand(0)?, Type::Pred)?;
                return Ok(Op::NotPredicate(
                    to,
                    self.source(parts.operand(1)?, Type::Pred)?,
                ));
            }
            "and" => Logic::And,
            "or" => Logic::Or,
            _ => Logic::Xor,
        };
        Ok(Op::Logic(op, self.registers(parts, [Type::Pred; 3], 3)?))
    }

    fn compare(&mut self, parts: &Parts) -> Result<Op, String> {
        let kind = parts.kind()?;
        let word = parts.modifiers.first().ok_or("no comparison is named")?;
        let (relation, or_nan) =
            relation(word).ok_or_else(|| format!("comparison `{word}` is not known"))?;
        parts.only(&[word, "ftz", "and", "or", "xor"])?;
        let logic = [("and", Logic::And), ("or", Logic::Or), ("xor", Logic::Xor)];
        let logic = logic
            .into_iter()
            .find(|(word, _)| parts.has(word))
            .map(|(_, logic)| logic);
        parts.count(if logic.is_some() { 4 } else { 3 })?;
        let (to, complement) = match parts.operand(0)? {
            Operand::Pair(yes, no) => (self.optional(yes)?, self.optional(no)?),
            one => (Some(self.target(one, Type::Pred)?), None),
        };
        let sources = [
            self.source(parts.operand(1)?, kind)?,
            self.source(parts.operand(2)?, kind)?,
        ];
        let combine = match logic {
            None => None,
            Some(logic) => {
                let (with, negate) = self.condition(parts.operand(3)?)?;
                Some((logic, with, negate))
            }
        };
        let flush = parts.has("ftz");
        Ok(Op::Compare(Box::new(Compare {
            kind,
            relation,
            or_nan,
            flush,
            sources,
            combine,
            to,
            complement,
        })))
    }

    /// A predicate to be written, or `_` for none.
    pub(super) fn optional(&self, name: &str) -> Result<Option<Reg>, String> {
        if name == "_" {
            Ok(None)
        } else {
            self.named(name, Type::Pred.file()).map(Some)
        }
    }

    fn select(&mut self, parts: &Parts) -> Result<Op, String> {
        let kind = parts.kind()?;
        parts.only(&[])?;
        let kinds = [kind, kind, kind, Type::Pred];
        let [to, yes, no, condition] = self.registers(parts, kinds, 4)?;
        Ok(Op::Select {
            to,
            yes,
            no,
            condition,
        })
    }

    fn convert(&mut self, parts: &Parts) -> Result<Op, String> {
        const KNOWN: [&str; 11] = [
            "rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi", "ftz", "sat", "relu",
        ];
        parts.only(&KNOWN)?;
        let mut types = parts.types();
        let (Some(to), Some(from)) = (types.next(), types.next()) else {
            return Err("`cvt` needs two types".into());
        };
        let rounding = rounding(parts);
        if matches!(to, Type::Bf16x2 | Type::F16x2) {
            parts.count(3)?;
            return Ok(Op::PackHalves {
                kind: to,
                rounding,
                relu: parts.has("relu"),
                to: self.target(parts.operand(0)?, to)?,
                upper: self.source(parts.operand(1)?, from)?,
                lower: self.source(parts.operand(2)?, from)?,
            });
        }
        if parts.has("relu") {
            return Err("`cvt.relu` is known for two halves only".into());
        }
        parts.count(2)?;
        let source = self.any_source(parts.operand(1)?, from)?;
        let target = self.any_target(parts.operand(0)?)?;
        let integral = parts
            .modifiers
            .iter()
            .any(|word| matches!(*word, "rni" | "rzi" | "rmi" | "rpi"));
        let (saturate, flush) = (parts.has("sat"), parts.has("ftz"));
        // To an integer the rounding must be named; without one it is towards zero.
        let rounding = if from.float() && !to.float() && !integral {
            Rounding::Zero
        } else {
            rounding
        };
        Ok(Op::Convert(Convert {
            from,
            to,
            rounding,
            integral,
            saturate,
            flush,
            target,
            source,
        }))
    }
}

fn rounding(parts: &Parts) -> Rounding {
    let named = |word: &&str| {
        Some(match *word {
            "rz" | "rzi" => Rounding::Zero,
            "rm" | "rmi" => Rounding::Down,
            "rp" | "rpi" => Rounding::Up,
            _ => return None,
        })
    };
    parts
        .modifiers
        .iter()
        .find_map(named)
        .unwrap_or(Rounding::Near)
}

/// The comparison a word names, and whether it also holds for NaN.
fn relation(word: &str) -> Option<(Relation, bool)> {
    Some(match word {
        "eq" => (Relation::Equal, false),
        "ne" => (Relation::NotEqual, false),
        "lt" | "lo" => (Relation::Less, false),
        "le" | "ls" => (Relation::LessEqual, false),
        "gt" | "hi" => (Relation::Greater, false),
        "ge" | "hs" => (Relation::GreaterEqual, false),
        "equ" => (Relation::Equal, true),
        "neu" => (Relation::NotEqual, true),
        "ltu" => (Relation::Less, true),
        "leu" => (Relation::LessEqual, true),
        "gtu" => (Relation::Greater, true),
        "geu" => (Relation::GreaterEqual, true),
        "num" => (Relation::Ordered, false),
        "nan" => (Relation::Unordered, false),
        _ => return None,
    })
}
