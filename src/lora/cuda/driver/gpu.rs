//! An NVIDIA GPU as a [`Device`]: one stream, one arena, the kernels of the project, products by cuBLASLt.
//!
//! Everything is looked at before the driver is told: places must be reserved, arguments fit the kernel, products be allowed; what
//! is wrong is a sentence and never reaches the GPU. Once the GPU is lost, every call says so again without asking it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use crate::lora::backend::{Done, Trouble};

use crate::lora::cuda::driver::{
    arena::{Arena, gigabytes},
    calls::{Called, Function, Graph, Memory, Module, Session, Stream},
    device::{Address, Arg, Device, Gemm, Kernel, Launch},
    entry::{Entry, entries, fit},
    fault::Fault,
    gemm::Library,
    plan::{Key, Plans},
    presence::Presence,
    product::{Allowed, allow},
    products::{Products, Record, Trial, describe},
};

/// What is left to the driver when all memory is taken: kernels that the library loads at its first product of a kind, stacks.
const MARGIN: u64 = 768 << 20;
/// Dynamic shared memory that a kernel has without asking.
const SHARED: u32 = 48 << 10;

/// How a GPU is to be used.
pub struct Options<'a> {
    /// Its number among those that CUDA_VISIBLE_DEVICES leaves.
    pub ordinal: usize,
    /// Bytes of the arena; none: all that is free, but for a margin.
    pub memory: Option<u64>,
    /// Kernels: the name of each PTX text, and it.
    pub kernels: &'a [(&'a str, &'a str)],
    /// Algorithms that were chosen before, by [`Presence::machine`]'s machine.
    pub plans: Plans,
    /// Writes plans down. A run that is to be repeatable must not go on without it.
    pub record: Record,
}

/// A GPU in use by this thread.
pub struct Gpu {
    name: String,
    stream: Rc<Stream>,
    parts: Rc<Parts>,
    arena: RefCell<Arena>,
    recording: Cell<bool>,
    lost: RefCell<Option<Trouble>>,
}

/// What recorded work uses, and keeps.
struct Parts {
    kernels: HashMap<String, Loaded>,
    products: Products,
    _memory: Memory,
}

struct Loaded {
    function: Function,
    entry: Entry,
    /// Dynamic shared memory that it may have.
    shared: Cell<u32>,
}

/// Work that was written down once and can be done again: [`Gpu::record`].
pub struct Recorded(Graph);

impl Gpu {
    /// Takes a GPU that was found, compiles the kernels for it and sets memory aside.
    ///
    /// # Errors
    ///
    /// The first thing missing, as [`Presence::card`] says it; a text the driver will not compile; too little memory, with numbers.
    pub fn open(presence: &Presence, options: Options) -> Done<Self> {
        let card = presence.card(options.ordinal)?;
        let said = |what: &str| {
            let what = what.to_owned();
            move |fault: Fault| fault.trouble(&what)
        };
        let session = Session::open(card).map_err(said(&format!("the use of {}", card.name)))?;
        let stream = Stream::new(&session).map_err(said("a stream"))?;
        let kernels = load(&session, options.kernels)?;
        let library = Library::open(&stream).map_err(said("the start of cuBLASLt"))?;
        let products =
            Products::new(library, options.plans, options.record).map_err(said("a clock"))?;
        let free = session
            .free()
            .map_err(said("the question for free memory"))?;
        let bytes = share(&card.name, free, options.memory)?;
        let memory = Memory::reserve(&session, bytes)
            .map_err(said(&format!("an arena of {}", gigabytes(bytes))))?;
        Ok(Self {
            name: card.name.clone(),
            arena: RefCell::new(Arena::new(memory.at(), bytes)),
            stream,
            parts: Rc::new(Parts {
                kernels,
                products,
                _memory: memory,
            }),
            recording: Cell::new(false),
            lost: RefCell::default(),
        })
    }

    /// Writes down what `body` tells this device, without doing it. All products of it must have been run once before, and it
    /// neither uploads, downloads nor waits. What it reserves stays its own as long as the record is replayed.
    ///
    /// # Errors
    ///
    /// As `body`, or what the driver says; nothing is recorded then.
    pub fn record(&self, body: impl FnOnce() -> Done) -> Done<Recorded> {
        self.ready("a recording")?;
        self.told("a recording", self.stream.begin_recording())?;
        self.recording.set(true);
        let done = body();
        self.recording.set(false);
        let graph = self.stream.end_recording(self.parts.clone());
        done?;
        self.told("a recording", graph).map(Recorded)
    }

    /// Does what was recorded, once more.
    ///
    /// # Errors
    ///
    /// What the driver says.
    pub fn replay(&self, recorded: &Recorded) -> Done {
        self.ready("a replay")?;
        self.told("a replay", recorded.0.replay())
    }

    /// Whether the GPU is gone for this process: the one way on is to end it and start again.
    pub fn is_lost(&self) -> bool {
        self.lost.borrow().is_some()
    }

    /// Whether there still is a GPU.
    fn alive(&self) -> Done {
        match &*self.lost.borrow() {
            Some(trouble) => Err(trouble.clone()),
            None => Ok(()),
        }
    }

    /// [`alive`](Self::alive), and not at a recording, which `what` cannot be part of.
    fn ready(&self, what: &str) -> Done {
        match self.recording.get() {
            true => Err(Trouble(format!("{what} cannot be part of a recording"))),
            false => self.alive(),
        }
    }

    /// A result as a sentence; a lost GPU is remembered. The library reports one as its own failure, so the driver is asked then.
    fn told<T>(&self, what: &str, called: Called<T>) -> Done<T> {
        called.map_err(|fault| {
            let cause = match (fault, self.recording.get()) {
                (Fault::Library(_), false) => self.stream.wait().err().unwrap_or(fault),
                _ => fault,
            };
            let trouble = cause.trouble(what);
            if cause.is_lost() {
                self.lost.replace(Some(trouble.clone()));
            }
            trouble
        })
    }

    /// Makes a product ready: with the recorded algorithm, or one that is tried out now.
    fn prepare(&self, product: &Allowed) -> Done {
        self.ready(&format!("the first run of {}", describe(product)))?;
        let products = &self.parts.products;
        if products.adopt(product)? {
            return Ok(());
        }
        let gemm = product.gemm();
        if gemm.beta == 0.0 {
            return self.tried(product, gemm.d);
        }
        let bytes = product.result().bytes();
        let Ok(room) = self.reserve(bytes) else {
            return products.choose(product, None);
        };
        let done = self.tried(product, room);
        self.release(room);
        done
    }

    /// Chooses an algorithm by trying, with a D that may be overwritten.
    fn tried(&self, product: &Allowed, d: Address) -> Done {
        let arena = self.arena.borrow();
        let gemm = Gemm {
            d,
            ..*product.gemm()
        };
        let trial = Trial {
            product: allow(&gemm, &arena)?,
            arena: &arena,
        };
        self.parts.products.choose(product, Some(&trial))
    }
}

/// Compiles all texts, and finds the functions that they say they have.
fn load(session: &Rc<Session>, texts: &[(&str, &str)]) -> Done<HashMap<String, Loaded>> {
    let mut kernels = HashMap::new();
    for (file, text) in texts {
        let what = format!("the kernels of {file}");
        let module = Module::load(session, text).map_err(|fault| fault.trouble(&what))?;
        for (name, entry) in
            entries(text).map_err(|Trouble(why)| Trouble(format!("{why} ({file})")))?
        {
            let function = Function::find(&module, &name)
                .map_err(|fault| fault.trouble(&format!("kernel {name}")))?;
            let loaded = Loaded {
                function,
                entry,
                shared: Cell::new(SHARED),
            };
            if kernels.insert(name.clone(), loaded).is_some() {
                return Err(Trouble(format!(
                    "two kernels are called {name}, the second in {file}"
                )));
            }
        }
    }
    Ok(kernels)
}

/// Bytes of the arena, of so many that are free.
fn share(name: &str, free: u64, wanted: Option<u64>) -> Done<u64> {
    let most = free.saturating_sub(MARGIN);
    match wanted.unwrap_or(most) {
        0 => Err(Trouble(format!(
            "{name} has {} of memory free, which is too little to begin with: end what else uses it (nvidia-smi lists it)",
            gigabytes(free)
        ))),
        bytes if bytes > most => Err(Trouble(format!(
            "training needs {} of memory, and {name} has {} free, {} of them kept for the driver: end what else uses it \
             (nvidia-smi lists it), or take fewer tokens to a batch",
            gigabytes(bytes),
            gigabytes(free),
            gigabytes(MARGIN)
        ))),
        bytes => Ok(bytes),
    }
}

impl Device for Gpu {
    fn name(&self) -> &str {
        &self.name
    }

    fn reserve(&self, bytes: u64) -> Done<Address> {
        self.arena.borrow_mut().reserve(bytes)
    }

    fn release(&self, at: Address) {
        self.arena.borrow_mut().release(at);
    }

    fn room(&self) -> u64 {
        self.arena.borrow().room()
    }

    fn upload(&self, bytes: &[u8], to: Address) -> Done {
        self.ready("an upload")?;
        if bytes.is_empty() {
            return Ok(());
        }
        let place = self
            .arena
            .borrow()
            .place("an upload", to, bytes.len() as u64)?;
        self.told("an upload", self.stream.upload(bytes, place))
    }

    fn download(&self, from: Address, bytes: &mut [u8]) -> Done {
        self.ready("a download")?;
        if bytes.is_empty() {
            return Ok(());
        }
        let place = self
            .arena
            .borrow()
            .place("a download", from, bytes.len() as u64)?;
        self.told("a download", self.stream.download(place, bytes))
    }

    fn zero(&self, at: Address, bytes: u64) -> Done {
        self.alive()?;
        if bytes == 0 {
            return Ok(());
        }
        let place = self.arena.borrow().place("zeroing", at, bytes)?;
        self.told("zeroing", self.stream.zero(place))
    }

    fn copy(&self, from: Address, to: Address, bytes: u64) -> Done {
        self.alive()?;
        if bytes == 0 {
            return Ok(());
        }
        let place = |at| self.arena.borrow().place("a copy", at, bytes);
        self.told("a copy", self.stream.copy(place(from)?, place(to)?))
    }

    fn launch(&self, kernel: Kernel, launch: &Launch, args: &[Arg]) -> Done {
        self.alive()?;
        if launch.grid.contains(&0) {
            return Ok(());
        }
        let Kernel(name) = kernel;
        let loaded = self.parts.kernels.get(name);
        let loaded = loaded.ok_or_else(|| Trouble(format!("there is no kernel called {name}")))?;
        let arena = self.arena.borrow();
        let fitted = fit(name, &loaded.entry, launch, args, |at| arena.knows(at))?;
        let what = || format!("kernel {name}");
        if launch.shared > loaded.shared.get() {
            self.told(&what(), loaded.function.allow_shared(launch.shared))?;
            loaded.shared.set(launch.shared);
        }
        match self.stream.launch(&loaded.function, launch, &fitted) {
            Ok(()) => Ok(()),
            failed => self.told(&what(), failed),
        }
    }

    fn gemm(&self, gemm: &Gemm) -> Done {
        self.alive()?;
        if gemm.m == 0 || gemm.n == 0 {
            return Ok(());
        }
        let product = allow(gemm, &self.arena.borrow())?;
        if !self.parts.products.is_ready(&Key::of(gemm)) {
            self.prepare(&product)?;
        }
        match self.parts.products.run(&product) {
            Ok(()) => Ok(()),
            failed => self.told(&describe(&product), failed),
        }
    }

    fn synchronize(&self) -> Done {
        self.ready("waiting")?;
        self.told("the end of what it was told", self.stream.wait())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arena_is_what_is_free_but_for_a_margin() {
        let (free, gb) = (140_000_000_000, 1_000_000_000);
        assert_eq!(share("a GPU", free, None).expect("room"), free - MARGIN);
        assert_eq!(share("a GPU", free, Some(8 * gb)).expect("room"), 8 * gb);
        let said = |free, wanted| share("NVIDIA A100", free, wanted).expect_err("refused").0;
        assert!(
            said(MARGIN, None)
                .starts_with("NVIDIA A100 has 805.3 MB of memory free, which is too little")
        );
        assert!(said(24 * gb, Some(30 * gb)).starts_with(
            "training needs 30.0 GB of memory, and NVIDIA A100 has 24.0 GB free, 805.3 MB"
        ));
        assert!(
            share("a GPU", 24 * gb, Some(24 * gb)).is_err(),
            "the margin is the driver's"
        );
    }
}
