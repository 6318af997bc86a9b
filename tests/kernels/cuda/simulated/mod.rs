//! A device without a GPU: the shipped PTX in the interpreter, matrix products as plain loops in a fixed order.

use crate::ptx::{Arg, Counts, Launch, Memory, Mode, Module, Pointer};
use campaignd::lora::{
    backend::{Done, Trouble},
    cuda::device::{self, Address, Device, Element, Gemm, Kernel},
};
use half::bf16;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::Path,
    rc::Rc,
};

/// Where the kernels are.
const KERNELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lora/cuda/kernels");
/// Reservations are multiples of this, as those of the driver's arena are.
const PIECE: u64 = 256;

thread_local! {
    /// The module of each entry point.
    static MODULES: BTreeMap<String, Rc<Module>> = modules();
}

fn modules() -> BTreeMap<String, Rc<Module>> {
    let mut found = BTreeMap::new();
    for file in Path::new(KERNELS).read_dir().unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ptx") {
            let text = std::fs::read_to_string(&path).unwrap();
            let module = Module::parse(&text).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            let module = Rc::new(module);
            found.extend(module.names().map(|name| (name.to_owned(), module.clone())));
        }
    }
    found
}

/// A piece that was reserved.
struct Live {
    pointer: Pointer,
    bytes: u64,
    reserved: bool,
}

/// What becomes of the arguments of a launch; none: it does not happen.
type Change = dyn Fn(&str, Vec<device::Arg>) -> Option<Vec<device::Arg>>;

/// The device.
pub struct Simulated {
    mode: Mode,
    /// A bug that is planted.
    change: Option<Box<Change>>,
    memory: RefCell<Memory>,
    pieces: RefCell<BTreeMap<u64, Live>>,
    /// Launches of each kernel.
    pub launches: RefCell<BTreeMap<&'static str, (u64, Counts)>>,
    /// A module whose kernels take the place of those of the same name.
    pub instead: RefCell<Option<Rc<Module>>>,
    held: Cell<u64>,
    peak: Cell<u64>,
}

impl Simulated {
    /// One whose copies and warps go in this order.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            change: None,
            memory: RefCell::new(Memory::new()),
            pieces: RefCell::default(),
            launches: RefCell::default(),
            instead: RefCell::default(),
            held: Cell::new(0),
            peak: Cell::new(0),
        }
    }

    /// One on which launches are not those that were asked for: a test that does not find that proves nothing.
    pub fn planted(
        mode: Mode,
        change: impl Fn(&str, Vec<device::Arg>) -> Option<Vec<device::Arg>> + 'static,
    ) -> Self {
        Self {
            change: Some(Box::new(change)),
            ..Self::new(mode)
        }
    }

    /// The place in the interpreter's memory, if so many bytes of one live piece are there.
    fn place(&self, at: Address, bytes: u64) -> Done<Pointer> {
        let pieces = self.pieces.borrow();
        let piece = pieces.range(..=at.0).next_back();
        let found =
            piece.filter(|(base, live)| live.reserved && at.0 - *base + bytes <= live.bytes);
        let (base, live) =
            found.ok_or_else(|| Trouble(format!("{at:?} + {bytes} is in no piece")))?;
        Ok(live.pointer.offset((at.0 - base) as usize, 1))
    }

    /// Bytes that all have been written.
    fn bytes(&self, at: Address, len: usize) -> Done<Vec<u8>> {
        let place = self.place(at, len as u64)?;
        let all = self.memory.borrow().get_raw::<u8>(place);
        let known: Option<Vec<u8>> = all.into_iter().take(len).collect();
        known.ok_or_else(|| Trouble("bytes that were never written are read".into()))
    }

    /// A factor of a product, [rows, columns].
    fn factor(&self, matrix: &device::Matrix, rows: usize, columns: usize) -> Done<Vec<f32>> {
        let (stored, wide) = match matrix.transposed {
            false => (rows, columns),
            true => (columns, rows),
        };
        assert!(
            matrix.ld.is_multiple_of(8) && matrix.ld >= wide && matrix.at.0.is_multiple_of(16),
            "{matrix:?}"
        );
        let place = self.place(matrix.at, 2 * ((stored - 1) * matrix.ld + wide) as u64)?;
        let all = self.memory.borrow().get_raw::<bf16>(place);
        let number = |row: usize, column: usize| {
            let at = match matrix.transposed {
                false => row * matrix.ld + column,
                true => column * matrix.ld + row,
            };
            let known = all[at].ok_or_else(|| Trouble("a product of unwritten numbers".into()));
            known.map(bf16::to_f32)
        };
        let rows = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        rows.map(|(row, column)| number(row, column)).collect()
    }

    /// Numbers of D, as f32.
    fn read(&self, element: Element, at: Address, len: usize) -> Done<Vec<f32>> {
        let bytes = self.bytes(at, len * element.bytes() as usize)?;
        Ok(match element {
            Element::Bf16 => bytes
                .chunks(2)
                .map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32())
                .collect(),
            Element::F32 => bytes
                .chunks(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
        })
    }
}

impl Device for Simulated {
    fn name(&self) -> &str {
        "interpreter"
    }

    fn reserve(&self, bytes: u64) -> Done<Address> {
        // Granules of two bytes, so that neighbours of bf16 are told apart.
        let wanted = bytes.max(1).next_multiple_of(PIECE);
        let pointer = self
            .memory
            .borrow_mut()
            .room::<u16>(bytes.max(1).div_ceil(2) as usize);
        let at = pointer.address();
        let live = Live {
            pointer,
            bytes: bytes.max(1),
            reserved: true,
        };
        self.pieces.borrow_mut().insert(at, live);
        self.held.set(self.held.get() + wanted);
        self.peak.set(self.peak.get().max(self.held.get()));
        Ok(Address(at))
    }

    fn release(&self, at: Address) {
        if let Some(live) = self
            .pieces
            .borrow_mut()
            .get_mut(&at.0)
            .filter(|live| live.reserved)
        {
            live.reserved = false;
            self.held
                .set(self.held.get() - live.bytes.next_multiple_of(PIECE));
        }
    }

    fn room(&self) -> u64 {
        u64::MAX
    }

    fn peak(&self) -> u64 {
        self.peak.get()
    }

    fn upload(&self, bytes: &[u8], to: Address) -> Done {
        let place = self.place(to, bytes.len() as u64)?;
        self.memory.borrow_mut().set(place, bytes);
        Ok(())
    }

    fn download(&self, from: Address, bytes: &mut [u8]) -> Done {
        bytes.copy_from_slice(&self.bytes(from, bytes.len())?);
        Ok(())
    }

    fn zero(&self, at: Address, bytes: u64) -> Done {
        self.upload(&vec![0; bytes as usize], at)
    }

    fn copy(&self, from: Address, to: Address, bytes: u64) -> Done {
        let bytes = self.bytes(from, bytes as usize)?;
        self.upload(&bytes, to)
    }

    fn launch(&self, kernel: Kernel, launch: &device::Launch, args: &[device::Arg]) -> Done {
        if launch.grid.contains(&0) {
            return Ok(());
        }
        let changed = match &self.change {
            None => Some(args.to_vec()),
            Some(change) => change(kernel.0, args.to_vec()),
        };
        let Some(args) = changed else { return Ok(()) };
        let args = args.iter().map(|arg| {
            Ok(match *arg {
                device::Arg::Pointer(Address::NULL) => Arg::Null,
                device::Arg::Pointer(at) => Arg::Pointer(self.place(at, 0)?),
                device::Arg::I32(number) => Arg::I32(number),
                device::Arg::U32(number) => Arg::U32(number),
                device::Arg::U64(number) => Arg::U64(number),
                device::Arg::F32(number) => Arg::F32(number),
            })
        });
        let args = args.collect::<Done<Vec<_>>>()?;
        let instead = self.instead.borrow().clone();
        let instead = instead.filter(|module| module.names().any(|name| name == kernel.0));
        let module = instead.or_else(|| MODULES.with(|all| all.get(kernel.0).cloned()));
        let module = module.ok_or_else(|| Trouble(format!("there is no kernel {}", kernel.0)))?;
        let launch = Launch {
            grid: launch.grid,
            block: launch.block,
            shared: launch.shared,
        };
        let mut memory = self.memory.borrow_mut();
        let made = module
            .kernel(kernel.0)
            .run(&launch, &args, &mut memory, self.mode);
        let counts = made.map_err(|fault| Trouble(fault.to_string()))?;
        let mut launches = self.launches.borrow_mut();
        let (times, sum) = launches.entry(kernel.0).or_default();
        *times += 1;
        *sum += counts;
        Ok(())
    }

    fn gemm(&self, gemm: &Gemm) -> Done {
        let Gemm { m, n, k, .. } = *gemm;
        if m * n == 0 {
            return Ok(());
        }
        assert!(
            gemm.ldd.is_multiple_of(8) && gemm.ldd >= n && gemm.d.0.is_multiple_of(16),
            "{gemm:?}"
        );
        let (a, b) = (self.factor(&gemm.a, m, k)?, self.factor(&gemm.b, k, n)?);
        let bias = match gemm.bias {
            Some(at) => self.read(Element::Bf16, at, n)?,
            None => vec![0.0; n],
        };
        for row in 0..m {
            let at = gemm.d.plus((row * gemm.ldd) as u64 * gemm.element.bytes());
            let mut sums = vec![0.0_f32; n];
            for (&a, b) in a[row * k..][..k].iter().zip(b.chunks_exact(n)) {
                sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
            }
            if gemm.beta != 0.0 {
                let old = self.read(gemm.element, at, n)?;
                let both = sums.iter_mut().zip(old);
                both.for_each(|(sum, old)| *sum = gemm.alpha * *sum + gemm.beta * old);
            }
            let row = sums.iter().zip(&bias).map(|(sum, bias)| sum + bias);
            let bytes: Vec<u8> = match gemm.element {
                Element::Bf16 => row.flat_map(|x| bf16::from_f32(x).to_le_bytes()).collect(),
                Element::F32 => row.flat_map(f32::to_le_bytes).collect(),
            };
            self.upload(&bytes, at)?;
        }
        Ok(())
    }

    fn synchronize(&self) -> Done {
        Ok(())
    }
}
