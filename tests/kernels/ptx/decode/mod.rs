//! From the text of an instruction to the decoded [`Instruction`]. Every modifier must be known: what is not understood is
//! an error here, never a guess at run time.

mod arithmetic;
mod control;
mod exchange;
mod movement;

use std::collections::HashMap;

use crate::ptx::constant::{Constant, Constants, Special};
use crate::ptx::names::Names;
use crate::ptx::op::{Address, Instruction};
use crate::ptx::operand::{self, Literal, Operand};
use crate::ptx::registers::{File, Reg};
use crate::ptx::types::Type;

/// A branch whose label is looked up once all are known.
#[derive(Debug)]
pub(crate) struct Jump {
    /// The instruction.
    pub at: usize,
    /// The scope it stands in.
    pub scope: usize,
    pub label: String,
    pub line: usize,
}

/// Decodes the instructions of one kernel.
pub(crate) struct Decoder {
    pub names: Names,
    pub constants: Constants,
    pub code: Vec<Instruction>,
    pub jumps: Vec<Jump>,
    /// The label declared last, and the tables of labels by their own.
    label: String,
    tables: HashMap<String, Vec<String>>,
}

/// The words of an opcode and its operands, with what they have in common.
struct Parts<'a> {
    name: &'a str,
    modifiers: Vec<&'a str>,
    operands: Vec<Operand<'a>>,
}

impl<'a> Parts<'a> {
    fn has(&self, modifier: &str) -> bool {
        self.modifiers.contains(&modifier)
    }

    /// The types named, in order.
    fn types(&self) -> impl Iterator<Item = Type> {
        self.modifiers.iter().filter_map(|word| Type::parse(word))
    }

    /// The last type named.
    fn kind(&self) -> Result<Type, String> {
        self.types()
            .last()
            .ok_or_else(|| "no type is named".to_owned())
    }

    /// The modifiers that are neither a type nor among the known ones must not be there.
    fn only(&self, known: &[&str]) -> Result<(), String> {
        let strange = |word: &&&str| Type::parse(word).is_none() && !known.contains(*word);
        match self.modifiers.iter().find(strange) {
            None => Ok(()),
            Some(word) => Err(format!(
                "modifier `.{word}` of `{}` is not known",
                self.name
            )),
        }
    }

    fn operand(&self, n: usize) -> Result<&Operand<'a>, String> {
        self.operands
            .get(n)
            .ok_or_else(|| format!("operand {} is missing", n + 1))
    }

    fn count(&self, count: usize) -> Result<(), String> {
        match self.operands.len() == count {
            true => Ok(()),
            false => Err(format!(
                "{count} operands expected, {} found",
                self.operands.len()
            )),
        }
    }
}

impl Decoder {
    pub fn new(names: Names) -> Self {
        Self {
            names,
            constants: Constants::default(),
            code: Vec::new(),
            jumps: Vec::new(),
            label: String::new(),
            tables: HashMap::new(),
        }
    }

    /// A label before the next instruction.
    ///
    /// # Errors
    /// One that is there already.
    pub fn label(&mut self, name: &str) -> Result<(), String> {
        name.clone_into(&mut self.label);
        self.names.declare_label(name, self.code.len())
    }

    /// `.branchtargets a, b`, named by the label before it.
    pub fn targets(&mut self, text: &str) {
        let list = operand::split(text.trim_start_matches(".branchtargets"));
        let list = list.into_iter().map(str::to_owned).collect();
        self.tables.insert(std::mem::take(&mut self.label), list);
    }

    /// Decodes one statement and appends it.
    ///
    /// # Errors
    /// What is not understood.
    pub fn instruction(&mut self, text: &str, line: usize) -> Result<(), String> {
        let (guard, rest) = match text.strip_prefix('@') {
            Some(guarded) => {
                let (name, rest) = guarded
                    .split_once(char::is_whitespace)
                    .ok_or("a guard and nothing guarded")?;
                let (name, negate) = name
                    .strip_prefix('!')
                    .map_or((name, false), |name| (name, true));
                (
                    Some((self.named(name, File::Predicate)?, negate)),
                    rest.trim_start(),
                )
            }
            None => (None, text),
        };
        let (opcode, operands) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let mut words = opcode.split('.').filter(|word| !word.is_empty());
        let name = words.next().ok_or("no opcode")?;
        let operands = operand::split(operands)
            .into_iter()
            .map(Operand::parse)
            .collect::<Result<_, _>>()?;
        let parts = Parts {
            name,
            modifiers: words.collect(),
            operands,
        };
        let op = match self.arithmetic(&parts)? {
            Some(op) => Some(op),
            None => match self.movement(&parts)? {
                Some(op) => Some(op),
                None => match self.exchange(&parts)? {
                    Some(op) => Some(op),
                    None => self.control(&parts, line)?,
                },
            },
        };
        let op = op.ok_or_else(|| format!("instruction `{name}` is not known"))?;
        self.code.push(Instruction { guard, op, line });
        Ok(())
    }

    /// The register of a name, which must be of that file.
    fn named(&self, name: &str, file: File) -> Result<Reg, String> {
        match self.names.register(name) {
            Some(reg) if reg.file == file => Ok(reg),
            Some(_) => Err(format!(
                "register `{name}` is not of the width the type asks for"
            )),
            None => Err(format!("`{name}` is no register")),
        }
    }

    fn constant(&mut self, file: File, constant: Constant) -> Result<Reg, String> {
        self.constants.register(&mut self.names, file, constant)
    }

    fn number(&mut self, kind: Type, bits: u64) -> Result<Reg, String> {
        self.constant(kind.file(), Constant::Bits(bits))
    }

    /// The register an operand is read from, of the file of a type.
    fn source(&mut self, operand: &Operand, kind: Type) -> Result<Reg, String> {
        let reg = self.any_source(operand, kind)?;
        match reg.file == kind.file() {
            true => Ok(reg),
            false => Err(format!(
                "operand {operand:?} is not of the width the type asks for"
            )),
        }
    }

    /// The register an operand is read from, which may be wider than its type.
    fn any_source(&mut self, operand: &Operand, kind: Type) -> Result<Reg, String> {
        match operand {
            Operand::Number(literal) => self.number(kind, literal_bits(*literal, kind)),
            Operand::Name(name) => {
                if let Some(reg) = self.names.register(name) {
                    Ok(reg)
                } else if let Some(special) = Special::parse(name) {
                    self.constant(kind.file(), Constant::Special(special))
                } else if let Some(symbol) = self.names.symbol(name) {
                    self.constant(kind.file(), Constant::Symbol(symbol))
                } else {
                    Err(format!("`{name}` is not known"))
                }
            }
            other => Err(format!("operand {other:?} is no source")),
        }
    }

    /// The register an operand is written to, of the file of a type.
    fn target(&self, operand: &Operand, kind: Type) -> Result<Reg, String> {
        match operand {
            Operand::Name(name) => self.named(name, kind.file()),
            other => Err(format!("operand {other:?} is no target")),
        }
    }

    /// The register an operand is written to, which may be wider than its type.
    fn any_target(&self, operand: &Operand) -> Result<Reg, String> {
        match operand {
            Operand::Name(name) => self
                .names
                .register(name)
                .ok_or_else(|| format!("`{name}` is no register")),
            other => Err(format!("operand {other:?} is no target")),
        }
    }

    /// A predicate, and whether it is negated.
    fn condition(&mut self, operand: &Operand) -> Result<(Reg, bool), String> {
        match operand {
            Operand::Not(name) => Ok((self.named(name, File::Predicate)?, true)),
            other => Ok((self.source(other, Type::Pred)?, false)),
        }
    }

    /// `[base + offset]`.
    fn address(&mut self, operand: &Operand) -> Result<Address, String> {
        let Operand::Address(base, offset) = operand else {
            return Err(format!("operand {operand:?} is no address"));
        };
        match &**base {
            Operand::Number(literal) => {
                let base = self.number(Type::U64, literal_bits(*literal, Type::U64))?;
                Ok(Address {
                    base,
                    offset: *offset,
                })
            }
            base => Ok(Address {
                base: self.any_source(base, Type::U64)?,
                offset: *offset,
            }),
        }
    }

    /// The registers of `{a, b}`, or of one name.
    fn list<'a, 'b>(&self, operand: &'b Operand<'a>) -> &'b [Operand<'a>] {
        match operand {
            Operand::Vector(list) => list,
            one => std::slice::from_ref(one),
        }
    }
}

/// The bits of a number in a register of a type.
fn literal_bits(literal: Literal, kind: Type) -> u64 {
    match (literal, kind) {
        (Literal::Integer(bits), Type::F64) => bits,
        (Literal::Integer(bits), _) if kind.file() == File::Wide => bits,
        (Literal::Integer(bits), Type::Pred) => u64::from(bits != 0),
        (Literal::Integer(bits), Type::U16 | Type::S16) => u64::from(bits as u16),
        (Literal::Integer(bits), _) => u64::from(bits as u32),
        (Literal::Single(bits), Type::F64) => f64::from(f32::from_bits(bits)).to_bits(),
        (Literal::Single(bits), _) => u64::from(bits),
        (Literal::Double(value), Type::F32) => u64::from((value as f32).to_bits()),
        (Literal::Double(value), _) => value.to_bits(),
    }
}
