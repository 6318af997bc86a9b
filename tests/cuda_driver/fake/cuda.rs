//! A libcuda and a libcublasLt without a GPU, for the tests of what calls them: a shared library on its own, which the tests
//! compile and put where the loader looks.
//!
//! Device memory is memory of the process. Work is queued and done as late as it may be: when a stream or an event is waited for,
//! so that a buffer that is used again too early shows. Every handle is counted and has a kind; a wrong or dead one is an error.
//! `FAKE=key=value,...` sets what is pretended: version, init, devices, capability, free, library, fail, none.

#![allow(non_snake_case, clippy::missing_safety_doc, clippy::too_many_arguments)]

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{CStr, c_char, c_void},
    sync::{LazyLock, Mutex, MutexGuard},
};

static FAKE: LazyLock<Mutex<Fake>> = LazyLock::new(Mutex::default);

fn fake() -> MutexGuard<'static, Fake> {
    FAKE.lock().expect("no call panics")
}

/// What is pretended.
fn setting(key: &str) -> Option<String> {
    let all = std::env::var("FAKE").unwrap_or_default();
    let mut pairs = all.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|pair| pair.0 == key)
        .map(|pair| pair.1.to_owned())
}

fn number(key: &str, otherwise: u64) -> u64 {
    setting(key).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Context,
    Stream,
    Event,
    Module,
    Function,
    Graph,
    Executable,
    Host,
    Library,
    Layout,
    Operation,
    Preference,
}

#[derive(Clone)]
enum Op {
    Copy { from: u64, to: u64, bytes: usize },
    Zero { at: u64, bytes: usize },
    Mark(u64),
    Kernel { name: String, cells: Vec<u64> },
    Product(Product),
}

#[derive(Clone)]
struct Product {
    operation: Operation,
    layouts: [Layout; 4],
    places: [u64; 4],
    scalars: [f32; 2],
    algorithm: u64,
}

#[derive(Clone, Copy, Default)]
struct Operation {
    transposed: [u32; 2],
    epilogue: u32,
    bias: u64,
}

#[derive(Clone, Copy)]
struct Layout {
    kind: u32,
    rows: u64,
    columns: u64,
    ld: i64,
}

#[derive(Default)]
struct Fake {
    handles: HashMap<u64, Kind>,
    next: u64,
    current: u64,
    retained: u32,
    /// Device memory: where, and how long.
    memory: BTreeMap<u64, (usize, Vec<u128>)>,
    texts: HashMap<u64, String>,
    functions: HashMap<u64, (u64, String, u32)>,
    queue: Vec<Op>,
    recording: Option<Vec<Op>>,
    recorded: HashMap<u64, Vec<Op>>,
    passed: HashMap<u64, f32>,
    microseconds: f32,
    kernels: u64,
    broken: u32,
    layouts: HashMap<u64, Layout>,
    operations: HashMap<u64, Operation>,
    preferences: HashMap<u64, BTreeMap<u32, u64>>,
    heuristics: u64,
    products: u64,
}

impl Fake {
    fn make(&mut self, kind: Kind) -> u64 {
        self.next += 16;
        self.handles.insert(self.next, kind);
        self.next
    }

    fn is(&self, handle: u64, kind: Kind) -> bool {
        self.handles.get(&handle) == Some(&kind)
    }

    fn unmake(&mut self, handle: u64, kind: Kind) -> u32 {
        match self.is(handle, kind) {
            true => {
                self.handles.remove(&handle);
                0
            }
            false => 400,
        }
    }

    fn tell(&mut self, op: Op) -> u32 {
        if self.broken != 0 {
            return self.broken;
        }
        match &mut self.recording {
            Some(list) => list.push(op),
            None => self.queue.push(op),
        }
        0
    }

    /// Whether bytes are device memory. What is not is an address of the processor's, or wrong.
    fn owns(&self, at: u64, bytes: usize) -> bool {
        let piece = self.memory.range(..=at).next_back();
        piece.is_some_and(|(begin, (length, _))| at + bytes as u64 <= begin + *length as u64)
    }

    /// Does what is queued, up to and with a mark.
    fn run(&mut self, until: Option<u64>) -> u32 {
        while self.broken == 0 && !self.queue.is_empty() {
            let op = self.queue.remove(0);
            let last = matches!(op, Op::Mark(event) if Some(event) == until);
            self.microseconds += 1.0;
            unsafe { self.one(op) };
            if last {
                break;
            }
        }
        self.broken
    }

    unsafe fn one(&mut self, op: Op) {
        match op {
            Op::Copy { from, to, bytes } => unsafe {
                std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes);
            },
            Op::Zero { at, bytes } => unsafe { std::ptr::write_bytes(at as *mut u8, 0, bytes) },
            Op::Mark(event) => {
                self.passed.insert(event, self.microseconds);
            }
            Op::Kernel { name, cells } => {
                self.kernels += 1;
                let fail = setting("fail").unwrap_or_default();
                if let Some((code, place)) = fail.split_once('@')
                    && place.parse() == Ok(self.kernels)
                {
                    self.broken = code.parse().expect("a number");
                    return;
                }
                let (at, count, by) =
                    (cells[0], cells[1] as usize, f32::from_bits(cells[2] as u32));
                if name != "scale" || !self.owns(at, 4 * count) {
                    self.broken = 700;
                    return;
                }
                for i in 0..count {
                    let one = unsafe { &mut *(at as *mut f32).add(i) };
                    *one *= by;
                }
            }
            Op::Product(product) => unsafe { self.product(&product) },
        }
    }

    unsafe fn product(&mut self, told: &Product) {
        self.products += 1;
        self.microseconds += match told.algorithm {
            3 => 90.0,
            5 => 30.0,
            9 => 10.0,
            _ => 5.0,
        };
        let [a, b, c, d] = told.layouts;
        let at = |which: usize, layout: Layout, row: u64, column: u64| {
            let place = row + column * layout.ld as u64;
            let address = told.places[which] + place * if layout.kind == 0 { 4 } else { 2 };
            (address, row < layout.rows && column < layout.columns)
        };
        let read = |this: &Self, which: usize, layout: Layout, flip: u32, row: u64, column: u64| {
            let (row, column) = if flip == 1 {
                (column, row)
            } else {
                (row, column)
            };
            let (address, inside) = at(which, layout, row, column);
            assert!(inside && this.owns(address, 2), "a factor is read outside");
            unsafe { load(address, layout.kind) }
        };
        let [ta, tb] = told.operation.transposed;
        let depth = if ta == 1 { a.rows } else { a.columns };
        for column in 0..d.columns {
            for row in 0..d.rows {
                let mut sum = 0.0;
                for k in 0..depth {
                    sum += read(self, 0, a, ta, row, k) * read(self, 1, b, tb, k, column);
                }
                let mut out = told.scalars[0] * sum;
                if told.scalars[1] != 0.0 {
                    out += told.scalars[1] * read(self, 2, c, 0, row, column);
                }
                if told.operation.epilogue == 4 {
                    out += unsafe { load(told.operation.bias + 2 * row, 14) };
                }
                if told.algorithm == 9 {
                    out += self.products as f32;
                }
                unsafe { store(at(3, d, row, column).0, d.kind, out) };
            }
        }
    }
}

/// A number of `cudaDataType` 14, bf16, or 0, f32.
unsafe fn load(at: u64, kind: u32) -> f32 {
    match kind {
        14 => f32::from_bits(u32::from(unsafe { *(at as *const u16) }) << 16),
        _ => unsafe { *(at as *const f32) },
    }
}

unsafe fn store(at: u64, kind: u32, number: f32) {
    let bits = number.to_bits();
    match kind {
        14 => unsafe { *(at as *mut u16) = ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16 },
        _ => unsafe { *(at as *mut f32) = number },
    }
}

/// Handles and device memory that are alive.
#[unsafe(no_mangle)]
pub extern "C" fn fake_live() -> u64 {
    let fake = fake();
    fake.handles
        .values()
        .filter(|kind| **kind != Kind::Function)
        .count() as u64
        + fake.memory.len() as u64
}

/// How often algorithms were asked for.
#[unsafe(no_mangle)]
pub extern "C" fn fake_heuristics() -> u64 {
    fake().heuristics
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut i32) -> u32 {
    unsafe { *version = number("version", 12_080) as i32 };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuInit(flags: u32) -> u32 {
    if flags == 0 {
        number("init", 0) as u32
    } else {
        1
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut i32) -> u32 {
    unsafe { *count = number("devices", 1) as i32 };
    if number("init", 0) == 0 { 0 } else { 3 }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut i32, ordinal: i32) -> u32 {
    unsafe { *device = 40 + ordinal };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: i32, device: i32) -> u32 {
    let text = format!("Fake {device}\0");
    assert!(text.len() <= length as usize);
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr().cast(), name, text.len()) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, _device: i32) -> u32 {
    unsafe { *bytes = 40_000_000_000 };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(value: *mut i32, which: i32, _device: i32) -> u32 {
    let capability = number("capability", 90) as i32;
    unsafe {
        *value = match which {
            16 => 7,
            75 => capability / 10,
            76 => capability % 10,
            _ => return 1,
        }
    };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut u64, _device: i32) -> u32 {
    let mut fake = fake();
    if fake.retained == 0 {
        let made = fake.make(Kind::Context);
        fake.texts.insert(0, made.to_string());
    }
    fake.retained += 1;
    unsafe { *context = fake.texts[&0].parse().expect("a number") };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRelease_v2(_device: i32) -> u32 {
    let mut fake = fake();
    fake.retained -= 1;
    if fake.retained == 0 {
        fake.handles.retain(|_, kind| *kind != Kind::Context);
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(context: *mut u64) -> u32 {
    unsafe { *context = fake().current };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSetCurrent(context: u64) -> u32 {
    fake().current = context;
    0
}

fn current() -> bool {
    let fake = fake();
    fake.is(fake.current, Kind::Context)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> u32 {
    unsafe { (*free, *total) = (number("free", 1_000_000_000) as usize, 40_000_000_000) };
    if current() { 0 } else { 201 }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(at: *mut u64, bytes: usize) -> u32 {
    if !current() {
        return 201;
    }
    let mut room = vec![0x5555_5555_5555_5555_5555_5555_5555_5555u128; bytes.div_ceil(16) + 16];
    // A place of its own at a multiple of 256: what is before it belongs to nobody.
    let begin = (room.as_mut_ptr() as u64).next_multiple_of(256);
    unsafe { *at = begin };
    fake().memory.insert(begin, (bytes, room));
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFree_v2(at: u64) -> u32 {
    let mut fake = fake();
    fake.run(None);
    if fake.memory.remove(&at).is_some() {
        0
    } else {
        1
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(at: *mut u64, bytes: usize, _flags: u32) -> u32 {
    if !current() {
        return 201;
    }
    let begin = Box::leak(vec![0u8; bytes].into_boxed_slice()).as_mut_ptr() as u64;
    fake().handles.insert(begin, Kind::Host);
    unsafe { *at = begin };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFreeHost(at: u64) -> u32 {
    fake().unmake(at, Kind::Host)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut u64, flags: u32) -> u32 {
    unsafe { *stream = fake().make(Kind::Stream) };
    if flags == 1 { 0 } else { 1 }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamDestroy_v2(stream: u64) -> u32 {
    fake().unmake(stream, Kind::Stream)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamSynchronize(stream: u64) -> u32 {
    let mut fake = fake();
    match (fake.is(stream, Kind::Stream), fake.recording.is_some()) {
        (false, _) => 400,
        (_, true) => 900,
        _ => fake.run(None),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: u64,
    from: u64,
    bytes: usize,
    stream: u64,
) -> u32 {
    let mut fake = fake();
    match fake.is(stream, Kind::Stream) && fake.owns(to, bytes) {
        true => fake.tell(Op::Copy { from, to, bytes }),
        false => 1,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: u64,
    from: u64,
    bytes: usize,
    stream: u64,
) -> u32 {
    let mut fake = fake();
    match fake.is(stream, Kind::Stream) && fake.owns(from, bytes) {
        true => fake.tell(Op::Copy { from, to, bytes }),
        false => 1,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoDAsync_v2(
    to: u64,
    from: u64,
    bytes: usize,
    stream: u64,
) -> u32 {
    let mut fake = fake();
    match fake.is(stream, Kind::Stream) && fake.owns(from, bytes) && fake.owns(to, bytes) {
        true => fake.tell(Op::Copy { from, to, bytes }),
        false => 1,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemsetD8Async(at: u64, byte: u8, bytes: usize, stream: u64) -> u32 {
    let mut fake = fake();
    match fake.is(stream, Kind::Stream) && fake.owns(at, bytes) && byte == 0 {
        true => fake.tell(Op::Zero { at, bytes }),
        false => 1,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: *mut u64, _flags: u32) -> u32 {
    unsafe { *event = fake().make(Kind::Event) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventDestroy_v2(event: u64) -> u32 {
    fake().unmake(event, Kind::Event)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventRecord(event: u64, stream: u64) -> u32 {
    let mut fake = fake();
    match fake.is(event, Kind::Event) && fake.is(stream, Kind::Stream) {
        true => fake.tell(Op::Mark(event)),
        false => 400,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventSynchronize(event: u64) -> u32 {
    let mut fake = fake();
    let ahead = fake
        .queue
        .iter()
        .any(|op| matches!(op, Op::Mark(mark) if *mark == event));
    if ahead {
        fake.run(Some(event))
    } else {
        fake.broken
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime(milliseconds: *mut f32, begin: u64, end: u64) -> u32 {
    let fake = fake();
    let (Some(begin), Some(end)) = (fake.passed.get(&begin), fake.passed.get(&end)) else {
        return 600;
    };
    unsafe { *milliseconds = (end - begin) / 1000.0 };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: *mut u64, text: *const c_char) -> u32 {
    let text = unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned();
    if text.contains("nonsense") {
        return 218;
    }
    let mut fake = fake();
    let made = fake.make(Kind::Module);
    fake.texts.insert(made, text);
    unsafe { *module = made };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleUnload(module: u64) -> u32 {
    fake().unmake(module, Kind::Module)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    function: *mut u64,
    module: u64,
    name: *const c_char,
) -> u32 {
    let name = unsafe { CStr::from_ptr(name) }
        .to_string_lossy()
        .into_owned();
    let mut fake = fake();
    if !fake.is(module, Kind::Module) || !fake.texts[&module].contains(&format!(".entry {name}(")) {
        return 500;
    }
    let made = fake.make(Kind::Function);
    fake.functions.insert(made, (module, name, 48 << 10));
    unsafe { *function = made };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncSetAttribute(function: u64, which: i32, value: i32) -> u32 {
    match (which, fake().functions.get_mut(&function)) {
        (8, Some(known)) if value <= 227 << 10 => {
            known.2 = value as u32;
            0
        }
        _ => 1,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: u64,
    x: u32,
    y: u32,
    z: u32,
    u: u32,
    v: u32,
    w: u32,
    shared: u32,
    stream: u64,
    parameters: *const *const u8,
    extra: *const c_void,
) -> u32 {
    let mut fake = fake();
    let Some((module, name, most)) = fake.functions.get(&function).cloned() else {
        return 400;
    };
    let sizes = [x, y, z, u, v, w].contains(&0);
    if !fake.is(module, Kind::Module)
        || !fake.is(stream, Kind::Stream)
        || sizes
        || shared > most
        || !extra.is_null()
    {
        return 1;
    }
    let text = &fake.texts[&module];
    let declared = text
        .split(&format!(".entry {name}("))
        .nth(1)
        .and_then(|rest| rest.split(')').next());
    let cells = declared
        .expect("was found")
        .split(',')
        .enumerate()
        .map(|(place, one)| unsafe {
            let mut cell = [0; 8];
            let bytes = if one.contains("64") { 8 } else { 4 };
            std::ptr::copy_nonoverlapping(*parameters.add(place), cell.as_mut_ptr(), bytes);
            u64::from_le_bytes(cell)
        });
    let cells = cells.collect();
    fake.tell(Op::Kernel { name, cells })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamBeginCapture_v2(_stream: u64, mode: u32) -> u32 {
    let mut fake = fake();
    fake.recording = Some(Vec::new());
    if mode == 1 { 0 } else { 1 }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamEndCapture(_stream: u64, graph: *mut u64) -> u32 {
    let mut fake = fake();
    let Some(list) = fake.recording.take() else {
        return 901;
    };
    let made = fake.make(Kind::Graph);
    fake.recorded.insert(made, list);
    unsafe { *graph = made };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphInstantiateWithFlags(
    made: *mut u64,
    graph: u64,
    flags: u64,
) -> u32 {
    let mut fake = fake();
    if !fake.is(graph, Kind::Graph) || flags != 0 {
        return 1;
    }
    let list = fake.recorded[&graph].clone();
    let executable = fake.make(Kind::Executable);
    fake.recorded.insert(executable, list);
    unsafe { *made = executable };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphLaunch(graph: u64, _stream: u64) -> u32 {
    let mut fake = fake();
    if !fake.is(graph, Kind::Executable) {
        return 400;
    }
    let list = fake.recorded[&graph].clone();
    list.into_iter().map(|op| fake.tell(op)).max().unwrap_or(0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphDestroy(graph: u64) -> u32 {
    fake().unmake(graph, Kind::Graph)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphExecDestroy(graph: u64) -> u32 {
    fake().unmake(graph, Kind::Executable)
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasLtGetVersion() -> usize {
    number("library", 120_804) as usize
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtCreate(handle: *mut u64) -> u32 {
    if !current() {
        return 1;
    }
    unsafe { *handle = fake().make(Kind::Library) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtDestroy(handle: u64) -> u32 {
    fake().unmake(handle, Kind::Library)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatrixLayoutCreate(
    made: *mut u64,
    kind: u32,
    rows: u64,
    columns: u64,
    ld: i64,
) -> u32 {
    let mut fake = fake();
    let handle = fake.make(Kind::Layout);
    let layout = Layout {
        kind,
        rows,
        columns,
        ld,
    };
    fake.layouts.insert(handle, layout);
    unsafe { *made = handle };
    if rows as i64 <= ld { 0 } else { 7 }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatrixLayoutDestroy(layout: u64) -> u32 {
    fake().unmake(layout, Kind::Layout)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulDescCreate(made: *mut u64, sums: u32, scale: u32) -> u32 {
    let mut fake = fake();
    let handle = fake.make(Kind::Operation);
    fake.operations.insert(handle, Operation::default());
    unsafe { *made = handle };
    if (sums, scale) == (68, 0) { 0 } else { 7 }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulDescDestroy(operation: u64) -> u32 {
    fake().unmake(operation, Kind::Operation)
}

/// The number of an attribute of 4 or 8 bytes.
unsafe fn attribute(at: *const u8, bytes: usize) -> u64 {
    let mut cell = [0; 8];
    unsafe { std::ptr::copy_nonoverlapping(at, cell.as_mut_ptr(), bytes) };
    u64::from_le_bytes(cell)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulDescSetAttribute(
    operation: u64,
    which: u32,
    at: *const u8,
    bytes: usize,
) -> u32 {
    let value = unsafe { attribute(at, bytes) };
    let mut fake = fake();
    let Some(operation) = fake.operations.get_mut(&operation) else {
        return 7;
    };
    match (which, bytes) {
        (3 | 4, 4) => operation.transposed[which as usize - 3] = value as u32,
        (7, 4) => operation.epilogue = value as u32,
        (8, 8) => operation.bias = value,
        _ => return 7,
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulPreferenceCreate(made: *mut u64) -> u32 {
    let mut fake = fake();
    let handle = fake.make(Kind::Preference);
    fake.preferences.insert(handle, BTreeMap::new());
    unsafe { *made = handle };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulPreferenceDestroy(preference: u64) -> u32 {
    fake().unmake(preference, Kind::Preference)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulPreferenceSetAttribute(
    preference: u64,
    which: u32,
    at: *const u8,
    bytes: usize,
) -> u32 {
    let value = unsafe { attribute(at, bytes) };
    let good = bytes == if which == 1 { 8 } else { 4 };
    match fake().preferences.get_mut(&preference) {
        Some(set) if good => {
            set.insert(which, value);
            0
        }
        _ => 7,
    }
}

#[repr(C)]
pub struct Proposal {
    algorithm: [u64; 8],
    workspace: usize,
    state: u32,
    waves: f32,
    reserved: [i32; 4],
}

/// Number, splits of k, reduction, workspace and state of each; the library ranks them like this. Those that add
/// partial sums afterwards, or want too much memory, are the fastest; number 9 never makes the same bytes twice, number 6 will not
/// run, and number 5 is the fastest that serves.
const ALGORITHMS: [(u64, u64, u64, usize, u32); 8] = [
    (1, 4, 2, 0, 0),
    (2, 1, 2, 0, 0),
    (3, 1, 0, 0, 0),
    (4, 1, 0, 64 << 20, 0),
    (9, 1, 0, 0, 0),
    (5, 1, 0, 1 << 20, 0),
    (6, 1, 0, 0, 0),
    (7, 1, 0, 0, 15),
];

fn proposal((number, splits, scheme, workspace, state): (u64, u64, u64, usize, u32)) -> Proposal {
    Proposal {
        algorithm: [number, splits, scheme, 0, 0, 0, 0, 0xfa4e],
        workspace,
        state,
        waves: 1.0,
        reserved: [0; 4],
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulAlgoGetHeuristic(
    library: u64,
    operation: u64,
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    preference: u64,
    most: i32,
    proposals: *mut Proposal,
    found: *mut i32,
) -> u32 {
    let mut fake = fake();
    fake.heuristics += 1;
    let schemes = fake.preferences[&preference].get(&3).copied().unwrap_or(7);
    let wanted = BTreeMap::from([
        (1, 32 << 20),
        (3, schemes),
        (5, 16),
        (6, 16),
        (7, 16),
        (8, 16),
    ]);
    let layouts = [a, b, c, d]
        .iter()
        .all(|layout| fake.is(*layout, Kind::Layout));
    if !fake.is(library, Kind::Library)
        || !fake.is(operation, Kind::Operation)
        || !layouts
        || fake.preferences[&preference] != wanted
    {
        return 7;
    }
    // What is proposed to those who want no partial sums: the same, nothing, or an error.
    match (schemes, number("none", 0)) {
        (0, 15) => return 15,
        (0, 1) => {
            unsafe { *found = 0 };
            return 0;
        }
        (0, _) => {}
        _ if number("none", 0) == 0 => return 7,
        _ => {}
    }
    let count = ALGORITHMS.len().min(most as usize);
    for (place, one) in ALGORITHMS.iter().take(count).enumerate() {
        unsafe { proposals.add(place).write(proposal(*one)) };
    }
    unsafe { *found = count as i32 };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulAlgoCheck(
    _library: u64,
    _operation: u64,
    _a: u64,
    _b: u64,
    _c: u64,
    _d: u64,
    algorithm: *const [u64; 8],
    result: *mut Proposal,
) -> u32 {
    let words = unsafe { *algorithm };
    let known = ALGORITHMS
        .iter()
        .find(|one| proposal(**one).algorithm == words);
    match known {
        Some(one) => {
            unsafe { (*result).workspace = one.3 };
            0
        }
        None => 15,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulAlgoConfigGetAttribute(
    algorithm: *const [u64; 8],
    which: u32,
    at: *mut u32,
    bytes: usize,
    written: *mut usize,
) -> u32 {
    let words = unsafe { *algorithm };
    match (which, bytes) {
        (2, 4) => unsafe { *at = words[1] as u32 },
        (3, 4) => unsafe { *at = words[2] as u32 },
        _ => return 7,
    }
    unsafe { *written = 4 };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmul(
    library: u64,
    operation: u64,
    alpha: *const f32,
    a: u64,
    first: u64,
    b: u64,
    second: u64,
    beta: *const f32,
    c: u64,
    old: u64,
    d: u64,
    result: u64,
    algorithm: *const [u64; 8],
    workspace: u64,
    bytes: usize,
    stream: u64,
) -> u32 {
    let (alpha, beta, words) = unsafe { (*alpha, *beta, *algorithm) };
    let mut fake = fake();
    if !fake.is(library, Kind::Library)
        || !fake.is(stream, Kind::Stream)
        || !fake.owns(workspace, bytes)
    {
        return 7;
    }
    if words[0] == 6 {
        return 15;
    }
    let product = Product {
        operation: fake.operations[&operation],
        layouts: [first, second, old, result].map(|layout| fake.layouts[&layout]),
        places: [a, b, c, d],
        scalars: [alpha, beta],
        algorithm: words[0],
    };
    if fake.tell(Op::Product(product)) == 0 {
        0
    } else {
        13
    }
}
