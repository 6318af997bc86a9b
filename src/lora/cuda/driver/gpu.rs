//! An NVIDIA GPU as a [`Device`]: one stream, one arena, the kernels of the project, products by cuBLASLt.
//!
//! Everything is looked at before the driver is told: places must be reserved, arguments fit the kernel, products be allowed; what
//! is wrong is a sentence and never reaches the GPU. Once the GPU is lost, every call says so again without asking it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use crate::lora::backend::{Done, Trouble};

use crate::lora::cuda::driver::{
    arena::Arena,
    calls::{Called, Graph, Memory, Stream},
    device::{Address, Arg, Device, Gemm, Kernel, Launch},
    entry::fit,
    fault::Fault,
    plan::{Key, Plans},
    product::{Allowed, allow},
    products::{Products, Record, Trial, describe},
    taken::Kernels,
};

/// How the memory of a GPU is to be used.
pub struct Options {
    /// Bytes of the arena; none: all that this process may have.
    pub memory: Option<u64>,
    /// How many processes are to compute on the GPU at once, this one among them.
    pub side_by_side: u32,
    /// Algorithms that were chosen before, by [`Presence::machine`](super::presence::Presence::machine)'s machine.
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
    side_by_side: u32,
    recording: Cell<bool>,
    /// What it failed with last.
    fault: Cell<Option<Fault>>,
    lost: RefCell<Option<Trouble>>,
}

/// What recorded work uses, and keeps.
pub(super) struct Parts {
    pub kernels: Rc<Kernels>,
    pub products: Products,
    pub memory: Memory,
}

/// Work that was written down once and can be done again: [`Gpu::record`].
pub struct Recorded(Graph);

impl Gpu {
    /// One with an arena of so many bytes: [`Taken::gpu`](super::taken::Taken::gpu).
    pub(super) fn of(
        name: String,
        stream: Rc<Stream>,
        parts: Parts,
        bytes: u64,
        side_by_side: u32,
    ) -> Self {
        Self {
            name,
            stream,
            arena: RefCell::new(Arena::new(parts.memory.at(), bytes)),
            parts: Rc::new(parts),
            side_by_side,
            recording: Cell::new(false),
            fault: Cell::new(None),
            lost: RefCell::default(),
        }
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

    /// Whether what failed last may be well later, or on another machine: memory that others use, a GPU that broke. A kernel
    /// that fails will fail again.
    pub fn passes(&self) -> bool {
        self.fault.get().is_some_and(Fault::passes)
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
            self.fault.set(Some(cause));
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

    fn peak(&self) -> u64 {
        self.arena.borrow().peak()
    }

    fn side_by_side(&self) -> u32 {
        self.side_by_side
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
