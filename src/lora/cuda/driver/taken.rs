//! A GPU that a process has taken: its context, one stream, the kernels compiled for it. Memory is taken from it afterwards,
//! and may be given back and taken again, without compiling anything twice.

use std::{cell::Cell, collections::HashMap, rc::Rc};

use crate::lora::backend::{Done, Trouble};

use super::{
    arena::gigabytes,
    calls::{Called, Function, Memory, Module, Session, Stream},
    entry::{Entry, entries},
    fault::Fault,
    gemm::Library,
    gpu::{Gpu, Options, Parts},
    presence::Presence,
    products::Products,
    share,
};

/// Dynamic shared memory that a kernel has without asking.
const SHARED: u32 = 48 << 10;

/// Why a GPU, or its memory, could not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untaken {
    /// The sentence for it.
    pub trouble: Trouble,
    /// Whether it is nothing but what others use of the machine, or its state: asked again later, it may be there.
    pub passes: bool,
}

impl Untaken {
    /// Asking again does not help.
    pub fn for_good(said: String) -> Self {
        Self {
            trouble: Trouble(said),
            passes: false,
        }
    }

    /// Asking again may help.
    pub fn passing(said: String) -> Self {
        Self {
            trouble: Trouble(said),
            passes: true,
        }
    }

    fn of(fault: Fault, what: &str) -> Self {
        Self {
            trouble: fault.trouble(what),
            passes: fault.passes(),
        }
    }
}

impl From<Trouble> for Untaken {
    fn from(trouble: Trouble) -> Self {
        Self {
            trouble,
            passes: false,
        }
    }
}

/// The kernels by name.
pub(super) type Kernels = HashMap<String, Loaded>;

/// A kernel that was compiled.
pub(super) struct Loaded {
    pub function: Function,
    pub entry: Entry,
    /// Dynamic shared memory that it may have.
    pub shared: Cell<u32>,
}

/// A GPU in use by this thread, of whose memory nothing is taken yet.
pub struct Taken {
    name: String,
    memory: u64,
    session: Rc<Session>,
    stream: Rc<Stream>,
    kernels: Rc<Kernels>,
}

impl Taken {
    /// Takes the GPU of this number among those that were found, and compiles kernels for it: the name of each PTX text, and it.
    ///
    /// # Errors
    /// The first thing missing, as [`Presence::card`] says it; a text the driver will not compile.
    pub fn open(
        presence: &Presence,
        ordinal: usize,
        kernels: &[(&str, &str)],
    ) -> Result<Self, Untaken> {
        let card = presence.card(ordinal)?;
        let session = told(&format!("the use of {}", card.name), Session::open(card))?;
        Ok(Self {
            name: card.name.clone(),
            memory: card.memory,
            stream: told("a stream", Stream::new(&session))?,
            kernels: Rc::new(load(&session, kernels)?),
            session,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes memory of it, and starts cuBLASLt.
    ///
    /// # Errors
    /// Too little memory, with numbers; the library will not start.
    pub fn gpu(&self, options: Options) -> Result<Gpu, Untaken> {
        let library = told("the start of cuBLASLt", Library::open(&self.stream))?;
        let products = Products::new(library, options.plans, options.record);
        let memory = share::Memory {
            name: &self.name,
            total: self.memory,
            free: told("the question for free memory", self.session.free())?,
            side_by_side: options.side_by_side,
        };
        let bytes = memory.share(options.memory)?;
        let what = format!("an arena of {}", gigabytes(bytes));
        let parts = Parts {
            kernels: self.kernels.clone(),
            products: told("a clock", products)?,
            memory: told(&what, Memory::reserve(&self.session, bytes))?,
        };
        let side_by_side = options.side_by_side.max(1);
        Ok(Gpu::of(
            self.name.clone(),
            self.stream.clone(),
            parts,
            bytes,
            side_by_side,
        ))
    }
}

fn told<T>(what: &str, called: Called<T>) -> Result<T, Untaken> {
    called.map_err(|fault| Untaken::of(fault, what))
}

/// Compiles all texts, and finds the functions that they say they have.
fn load(session: &Rc<Session>, texts: &[(&str, &str)]) -> Result<Kernels, Untaken> {
    let mut kernels = HashMap::new();
    for (file, text) in texts {
        let module = told(
            &format!("the kernels of {file}"),
            Module::load(session, text),
        )?;
        let named = |Trouble(why)| Trouble(format!("{why} ({file})"));
        let found: Done<Vec<_>> = entries(text).map(|all| all.into_iter().collect());
        for (name, entry) in found.map_err(named)? {
            let function = Function::find(&module, &name);
            let loaded = Loaded {
                function: told(&format!("kernel {name}"), function)?,
                entry,
                shared: Cell::new(SHARED),
            };
            if kernels.insert(name.clone(), loaded).is_some() {
                let why = format!("two kernels are called {name}, the second in {file}");
                return Err(Untaken::for_good(why));
            }
        }
    }
    Ok(kernels)
}
