//! What the names of a kernel stand for: registers, symbols in memory, parameters, labels; scope by scope, because inline
//! assembly declares its own between braces.

use std::collections::HashMap;

use crate::ptx::registers::{File, Reg};
use crate::ptx::types::Type;

/// Where a symbol is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Symbol {
    /// The n-th variable of the module in global or constant memory.
    Module(usize),
    /// So many bytes into the shared memory of the block.
    Shared(u32),
    /// The dynamic shared memory, behind all that is declared.
    DynamicShared,
    /// So many bytes into the local memory of the thread.
    Local(u32),
    /// So many bytes into the parameters.
    Parameter(u32),
}

/// One pair of braces.
#[derive(Default, Debug)]
struct Scope {
    parent: Option<usize>,
    registers: HashMap<String, Reg>,
    /// `%r<9>`: prefix, first register, how many.
    families: Vec<(String, Reg, u32)>,
    symbols: HashMap<String, Symbol>,
    labels: HashMap<String, usize>,
}

/// The names of one kernel.
#[derive(Debug)]
pub(crate) struct Names {
    scopes: Vec<Scope>,
    current: usize,
    counts: [u32; 3],
}

impl Names {
    /// The outermost scope with the symbols of the module.
    pub fn new(symbols: HashMap<String, Symbol>) -> Self {
        Self {
            scopes: vec![Scope {
                symbols,
                ..Scope::default()
            }],
            current: 0,
            counts: [0; 3],
        }
    }

    pub fn open(&mut self) {
        self.scopes.push(Scope {
            parent: Some(self.current),
            ..Scope::default()
        });
        self.current = self.scopes.len() - 1;
    }

    /// Leaves a scope.
    pub fn close(&mut self) {
        self.current = self.scopes[self.current].parent.unwrap_or(0);
    }

    /// The scope statements are in now.
    pub fn here(&self) -> usize {
        self.current
    }

    /// A new register, or so many in a row.
    ///
    /// # Errors
    /// More registers than a slot can number.
    pub fn registers(&mut self, file: File, count: u32) -> Result<Reg, String> {
        let used = &mut self.counts[file as usize];
        let first = *used;
        *used = used.saturating_add(count);
        if *used > u32::from(u16::MAX) {
            return Err(format!("more than {} registers of one kind", u16::MAX));
        }
        Ok(Reg {
            file,
            slot: first as u16,
        })
    }

    /// How many predicates, narrow and wide registers there are.
    pub fn counts(&self) -> [usize; 3] {
        self.counts.map(|count| count as usize)
    }

    /// `.reg .f32 %f<9>, x;`
    ///
    /// # Errors
    /// What is no such declaration.
    pub fn declare_registers(&mut self, declaration: &str) -> Result<(), String> {
        let wrong = || format!("`{declaration}` is not understood");
        let rest = declaration.trim_start_matches(".reg").trim_start();
        let (kind, list) = rest.split_once(char::is_whitespace).ok_or_else(wrong)?;
        let kind = Type::parse(kind.trim_start_matches('.')).ok_or_else(wrong)?;
        for name in list.split(',').map(str::trim) {
            if let Some((prefix, count)) = name.split_once('<') {
                let count = count.trim_end_matches('>').parse().map_err(|_| wrong())?;
                let first = self.registers(kind.file(), count)?;
                self.scopes[self.current]
                    .families
                    .push((prefix.to_owned(), first, count));
            } else {
                let reg = self.registers(kind.file(), 1)?;
                self.scopes[self.current]
                    .registers
                    .insert(name.to_owned(), reg);
            }
        }
        Ok(())
    }

    pub fn declare_symbol(&mut self, name: &str, symbol: Symbol) {
        self.scopes[self.current]
            .symbols
            .insert(name.to_owned(), symbol);
    }

    /// # Errors
    /// A label that is there already.
    pub fn declare_label(&mut self, name: &str, at: usize) -> Result<(), String> {
        match self.scopes[self.current].labels.insert(name.to_owned(), at) {
            None => Ok(()),
            Some(_) => Err(format!("label `{name}` stands twice")),
        }
    }

    /// The scopes from one outwards.
    fn outwards(&self, from: usize) -> impl Iterator<Item = &Scope> {
        std::iter::successors(Some(&self.scopes[from]), |scope| {
            scope.parent.map(|parent| &self.scopes[parent])
        })
    }

    pub fn register(&self, name: &str) -> Option<Reg> {
        self.outwards(self.current).find_map(|scope| {
            scope.registers.get(name).copied().or_else(|| {
                scope.families.iter().find_map(|(prefix, first, count)| {
                    let number: u32 = name.strip_prefix(prefix.as_str())?.parse().ok()?;
                    (number < *count).then(|| Reg {
                        file: first.file,
                        slot: first.slot + number as u16,
                    })
                })
            })
        })
    }

    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        self.outwards(self.current)
            .find_map(|scope| scope.symbols.get(name).copied())
    }

    /// Where a label used in a scope stands.
    pub fn label(&self, scope: usize, name: &str) -> Option<usize> {
        self.outwards(scope)
            .find_map(|scope| scope.labels.get(name).copied())
    }
}
