//! A PTX module: its variables and its kernels.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::ptx::decode::Decoder;
use crate::ptx::kernel::{Kernel, Parameter};
use crate::ptx::names::{Names, Symbol};
use crate::ptx::op::Op;
use crate::ptx::operand::{self, Literal};
use crate::ptx::text::{Piece, pieces, without_comments};
use crate::ptx::types::Type;

/// A variable of the module in global or constant memory, as every launch begins with it.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub bytes: Vec<u8>,
    /// Bytes of an element.
    pub element: usize,
    pub writable: bool,
}

/// The kernels of one PTX text.
#[derive(Debug)]
pub struct Module {
    kernels: BTreeMap<String, Kernel>,
}

impl Module {
    /// Reads PTX and decodes every instruction of every kernel.
    ///
    /// # Errors
    /// The line and what of it is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = without_comments(text);
        let lines: Arc<[String]> = text.lines().map(|line| line.trim().to_owned()).collect();
        let pieces = pieces(&text)?;
        let mut reader = Reader {
            variables: Vec::new(),
            symbols: HashMap::new(),
            shared: 0,
            lines,
        };
        let (mut found, mut at) = (Vec::new(), 0);
        while let Some((line, piece)) = pieces.get(at).copied() {
            at += 1;
            let located = |what: String| format!("line {line}: {what}");
            match piece {
                Piece::Statement(head) if head.contains(".entry") => {
                    let end = at + body_length(&pieces[at..]).map_err(located)?;
                    found.push(reader.kernel(head, &pieces[at..end]).map_err(|what| {
                        if what.starts_with("line ") {
                            what
                        } else {
                            located(what)
                        }
                    })?);
                    at = end;
                }
                Piece::Statement(variable) => reader.variable(variable).map_err(located)?,
                other => return Err(located(format!("{other:?} outside a kernel"))),
            }
        }
        let variables: Arc<[Variable]> = reader.variables.into();
        let mut kernels = BTreeMap::new();
        for mut kernel in found {
            kernel.variables = Arc::clone(&variables);
            kernels.insert(kernel.name.clone(), kernel);
        }
        Ok(Self { kernels })
    }

    /// The names of all kernels, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.kernels.keys().map(String::as_str)
    }

    /// A kernel by its name.
    ///
    /// # Panics
    /// If there is none; says which there are.
    pub fn kernel(&self, name: &str) -> &Kernel {
        self.kernels.get(name).unwrap_or_else(|| {
            let names: Vec<&str> = self.names().collect();
            panic!(
                "no kernel is called `{name}`; there are {}",
                names.join(", ")
            )
        })
    }
}

/// The pieces from the opening brace to the one that closes it.
fn body_length(pieces: &[(usize, Piece)]) -> Result<usize, String> {
    let mut depth = 0;
    for (n, (_, piece)) in pieces.iter().enumerate() {
        match piece {
            Piece::Open => depth += 1,
            Piece::Close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(n + 1);
        }
    }
    Err("a kernel has no end".into())
}

/// What is known while the text is read.
struct Reader {
    variables: Vec<Variable>,
    symbols: HashMap<String, Symbol>,
    /// Bytes of shared memory declared outside kernels.
    shared: u32,
    lines: Arc<[String]>,
}

impl Reader {
    fn variable(&mut self, text: &str) -> Result<(), String> {
        if text.contains(".func") {
            return Err("functions are not known, only kernels that call nothing".into());
        }
        if text.starts_with(".pragma") {
            return Ok(());
        }
        let declared = Declaration::parse(text)?;
        let symbol = match declared.space {
            ".shared" => shared_symbol(&declared, &mut self.shared),
            ".global" | ".const" => {
                let writable = declared.space == ".global";
                self.variables.push(Variable {
                    bytes: declared.bytes,
                    element: declared.element,
                    writable,
                });
                Symbol::Module(self.variables.len() - 1)
            }
            other => {
                return Err(format!(
                    "a variable in `{other}` outside a kernel is not known"
                ));
            }
        };
        self.symbols.insert(declared.name.to_owned(), symbol);
        Ok(())
    }

    fn kernel(&self, head: &str, body: &[(usize, Piece)]) -> Result<Kernel, String> {
        let rest = head.split_once(".entry").map_or("", |(_, rest)| rest);
        let (name, rest) = rest.split_once('(').unwrap_or((rest, ")"));
        let (list, directives) = rest.split_once(')').ok_or("the parameters have no end")?;
        let mut symbols = self.symbols.clone();
        let parameters = parameters(list, &mut symbols)?;
        let mut decoder = Decoder::new(Names::new(symbols));
        let (mut shared, mut local) = (self.shared, 0);
        for (line, piece) in body {
            statement(&mut decoder, *line, *piece, &mut shared, &mut local)
                .map_err(|what| format!("line {line}: {what} (in `{}`)", self.lines[line - 1]))?;
        }
        for jump in &decoder.jumps {
            let target = decoder.names.label(jump.scope, &jump.label);
            let target = target
                .ok_or_else(|| format!("line {}: label `{}` is nowhere", jump.line, jump.label))?;
            match &mut decoder.code[jump.at].op {
                Op::BranchTable(_, targets) => targets.push(target),
                op => *op = Op::Branch(target),
            }
        }
        Ok(Kernel {
            name: name.trim().to_owned(),
            code: decoder.code,
            lines: Arc::clone(&self.lines),
            parameters,
            constants: decoder.constants.list(),
            registers: decoder.names.counts(),
            shared,
            local,
            variables: Arc::new([]),
            most_threads: most_threads(directives),
        })
    }
}

/// `.maxntid 128, 1, 1`: the most threads of a block.
fn most_threads(directives: &str) -> Option<u32> {
    let (_, rest) = directives.split_once(".maxntid")?;
    let rest = rest.split('.').next()?;
    rest.split(',')
        .map(|number| number.trim().parse::<u32>().ok())
        .product()
}

/// One piece of a kernel's body.
fn statement(
    decoder: &mut Decoder,
    line: usize,
    piece: Piece,
    shared: &mut u32,
    local: &mut u32,
) -> Result<(), String> {
    match piece {
        Piece::Open => decoder.names.open(),
        Piece::Close => decoder.names.close(),
        Piece::Label(name) => decoder.label(name)?,
        Piece::Statement(text) if text.starts_with(".reg") => {
            decoder.names.declare_registers(text)?
        }
        Piece::Statement(text) if text.starts_with(".pragma") => {}
        Piece::Statement(text) if text.starts_with(".branchtargets") => decoder.targets(text),
        Piece::Statement(text) if text.starts_with('.') => {
            let declared = Declaration::parse(text)?;
            let symbol = match declared.space {
                ".shared" => shared_symbol(&declared, shared),
                ".local" => {
                    let at = local.next_multiple_of(declared.align);
                    *local = at + declared.bytes.len() as u32;
                    Symbol::Local(at)
                }
                other => {
                    return Err(format!(
                        "a variable in `{other}` inside a kernel is not known"
                    ));
                }
            };
            decoder.names.declare_symbol(declared.name, symbol);
        }
        Piece::Statement(text) => decoder.instruction(text, line)?,
    }
    Ok(())
}

fn shared_symbol(declared: &Declaration, used: &mut u32) -> Symbol {
    if declared.open {
        return Symbol::DynamicShared;
    }
    let at = used.next_multiple_of(declared.align);
    *used = at + declared.bytes.len() as u32;
    Symbol::Shared(at)
}

/// The parameters of a kernel one after the other, each aligned to its size.
fn parameters(list: &str, symbols: &mut HashMap<String, Symbol>) -> Result<Vec<Parameter>, String> {
    let (mut parameters, mut end) = (Vec::new(), 0);
    for text in operand::split(list) {
        let declared = Declaration::parse(text)?;
        let at = u32::next_multiple_of(end, declared.align);
        end = at + declared.bytes.len() as u32;
        symbols.insert(declared.name.to_owned(), Symbol::Parameter(at));
        parameters.push(Parameter {
            at: at as usize,
            size: declared.bytes.len(),
        });
    }
    Ok(parameters)
}

/// `.space .align 4 .b8 name[16] = {1, 2}`.
struct Declaration<'a> {
    space: &'a str,
    align: u32,
    element: usize,
    name: &'a str,
    bytes: Vec<u8>,
    /// `name[]`: the size is not said.
    open: bool,
}

impl<'a> Declaration<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not understood");
        let (head, values) = text
            .split_once('=')
            .map_or((text, None), |(head, values)| (head, Some(values)));
        let (mut space, mut align, mut kind) = ("", None, None);
        let mut words = head.split_whitespace().peekable();
        let mut name = "";
        while let Some(word) = words.next() {
            match word {
                ".global" | ".const" | ".shared" | ".local" | ".param" if space.is_empty() => {
                    space = word
                }
                ".align" => {
                    align = Some(
                        words
                            .next()
                            .and_then(|n| n.parse().ok())
                            .ok_or_else(wrong)?,
                    )
                }
                _ if word.starts_with('.') => kind = kind.or(Type::parse(&word[1..])),
                _ => name = word,
            }
        }
        let kind = kind.ok_or_else(wrong)?;
        let (name, extent) = name
            .split_once('[')
            .map_or((name, None), |(name, rest)| (name, Some(rest)));
        let extent = extent.map(|rest| rest.trim_end_matches(']'));
        let open = extent == Some("");
        let count = match extent {
            None => 1,
            Some("") => 0,
            Some(number) => number.parse::<usize>().map_err(|_| wrong())?,
        };
        let mut bytes = Vec::new();
        if let Some(values) = values {
            initial(values, kind, &mut bytes)?;
        }
        if bytes.len() > count * kind.bytes() || name.is_empty() {
            return Err(wrong());
        }
        bytes.resize(count * kind.bytes(), 0);
        let align = align.unwrap_or(kind.bytes() as u32);
        Ok(Self {
            space,
            align,
            element: kind.bytes(),
            name,
            bytes,
            open,
        })
    }
}

/// The bytes of an initialiser.
fn initial(values: &str, kind: Type, bytes: &mut Vec<u8>) -> Result<(), String> {
    let list = values.trim().trim_start_matches('{').trim_end_matches('}');
    for value in operand::split(list) {
        let bits = match operand::literal(value)? {
            Literal::Integer(bits) => bits,
            Literal::Single(bits) => u64::from(bits),
            Literal::Double(value) if kind == Type::F32 => u64::from((value as f32).to_bits()),
            Literal::Double(value) => value.to_bits(),
        };
        bytes.extend_from_slice(&bits.to_le_bytes()[..kind.bytes()]);
    }
    Ok(())
}
