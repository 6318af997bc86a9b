//! The driver's handles as values that give themselves back, and its calls as functions that cannot be called wrongly.
//!
//! This module, `gemm` and `presence` are the only ones with `unsafe`: each block is one call, and says what makes it right. A
//! handle holds on to what it depends on, so they may be dropped in any order. None of them may change threads: the driver's
//! current context is the thread's.

use std::{
    any::Any,
    ffi::{CString, c_int, c_void},
    ptr,
    rc::Rc,
};

use cudarc::driver::sys;

use crate::lora::cuda::driver::{
    arena::Place,
    device::{Address, Launch},
    entry::Fitted,
    fault::Fault,
    presence::Card,
};

/// Result of a call.
pub type Called<T = ()> = Result<T, Fault>;

fn ok(result: sys::CUresult) -> Called {
    match result as u32 {
        0 => Ok(()),
        code => Err(Fault::Driver(code)),
    }
}

/// The use of a GPU by this process: its primary context, which libraries use too, current on this thread.
pub struct Session {
    device: sys::CUdevice,
}

impl Session {
    /// Begins to use a GPU that was found, and makes it this thread's.
    pub fn open(card: &Card) -> Called<Rc<Self>> {
        let (mut device, mut context) = (0, ptr::null_mut());
        // SAFETY: a card exists only where the driver was started; the call writes one handle.
        ok(unsafe { sys::cuDeviceGet(&mut device, card.ordinal as c_int) })?;
        // SAFETY: `device` was given just now; the call writes one handle.
        ok(unsafe { sys::cuDevicePrimaryCtxRetain(&mut context, device) })?;
        let session = Rc::new(Self { device });
        // SAFETY: `context` was given just now, and is kept until `session` is dropped.
        ok(unsafe { sys::cuCtxSetCurrent(context) })?;
        Ok(session)
    }

    /// Bytes of memory that nobody uses.
    pub fn free(&self) -> Called<u64> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: this session's context is current; the call writes two sizes.
        ok(unsafe { sys::cuMemGetInfo_v2(&mut free, &mut total) })?;
        Ok(free as u64)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: taken once in `open`, given back once; every other handle holds a session, so none is left.
        let _ = unsafe { sys::cuDevicePrimaryCtxRelease_v2(self.device) };
    }
}

/// Memory of the GPU.
pub struct Memory {
    at: sys::CUdeviceptr,
    _session: Rc<Session>,
}

impl Memory {
    /// So many bytes, at a multiple of 256.
    pub fn reserve(session: &Rc<Session>, bytes: u64) -> Called<Self> {
        let mut at = 0;
        // SAFETY: the session's context is current; the call writes one address.
        ok(unsafe { sys::cuMemAlloc_v2(&mut at, bytes as usize) })?;
        Ok(Self {
            at,
            _session: session.clone(),
        })
    }

    /// Where it is.
    pub fn at(&self) -> Address {
        Address(self.at)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: reserved once, freed once; the driver waits for work that uses it.
        let _ = unsafe { sys::cuMemFree_v2(self.at) };
    }
}

/// Memory of the processor that the GPU copies from by itself, so that a copy need not be waited for.
struct Pinned {
    at: *mut u8,
    _session: Rc<Session>,
}

impl Pinned {
    fn reserve(session: &Rc<Session>, bytes: usize) -> Called<Self> {
        let mut at = ptr::null_mut();
        // SAFETY: the session's context is current; the call writes one pointer; 0 asks for nothing special.
        ok(unsafe { sys::cuMemHostAlloc(&mut at, bytes, 0) })?;
        Ok(Self {
            at: at.cast(),
            _session: session.clone(),
        })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: reserved once, freed once; [`Stream`], its only owner, has waited for all copies.
        let _ = unsafe { sys::cuMemFreeHost(self.at.cast()) };
    }
}

/// A mark in a stream, which can be waited for and whose time is taken.
pub struct Event {
    raw: sys::CUevent,
    _session: Rc<Session>,
}

impl Event {
    /// One that was not passed yet; waiting for it returns at once.
    pub fn new(session: &Rc<Session>) -> Called<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: the session's context is current; the call writes one handle; 0 is the flag of an event with a time.
        ok(unsafe { sys::cuEventCreate(&mut raw, 0) })?;
        Ok(Self {
            raw,
            _session: session.clone(),
        })
    }

    /// Waits until the stream has passed it.
    pub fn wait(&self) -> Called {
        // SAFETY: the handle lives as long as `self`.
        ok(unsafe { sys::cuEventSynchronize(self.raw) })
    }

    /// Microseconds from this one to a later one that was waited for.
    pub fn microseconds_to(&self, later: &Self) -> Called<f32> {
        // cudarc binds this function's second version only, which drivers before 570 lack.
        type Elapsed = unsafe extern "C" fn(*mut f32, sys::CUevent, sys::CUevent) -> sys::CUresult;
        let mut milliseconds = 0.0;
        // SAFETY: the driver was found to have a function of this name, whose declaration in cuda.h is that of `Elapsed`.
        let elapsed = unsafe { sys::culib().get::<Elapsed>(b"cuEventElapsedTime") };
        let elapsed = elapsed.map_err(|_| Fault::Driver(500))?;
        // SAFETY: both handles live; the call writes one number.
        ok(unsafe { elapsed(&mut milliseconds, self.raw, later.raw) })?;
        Ok(1000.0 * milliseconds)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once.
        let _ = unsafe { sys::cuEventDestroy_v2(self.raw) };
    }
}

/// Kernels of one PTX text, compiled by the driver for its GPU.
pub struct Module {
    raw: sys::CUmodule,
    _session: Rc<Session>,
}

impl Module {
    /// Compiles a text, or takes what the driver compiled before (it keeps a cache under ~/.nv).
    pub fn load(session: &Rc<Session>, text: &str) -> Called<Rc<Self>> {
        let text = CString::new(text).map_err(|_| Fault::Driver(218))?;
        let mut raw = ptr::null_mut();
        // SAFETY: the session's context is current; the text ends with a 0 and is not kept; the call writes one handle.
        ok(unsafe { sys::cuModuleLoadData(&mut raw, text.as_ptr().cast()) })?;
        Ok(Rc::new(Self {
            raw,
            _session: session.clone(),
        }))
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: loaded once, unloaded once; every function of it holds it.
        let _ = unsafe { sys::cuModuleUnload(self.raw) };
    }
}

/// A kernel.
pub struct Function {
    raw: sys::CUfunction,
    _module: Rc<Module>,
}

impl Function {
    /// The entry point of this name.
    pub fn find(module: &Rc<Module>, name: &str) -> Called<Self> {
        let name = CString::new(name).map_err(|_| Fault::Driver(500))?;
        let mut raw = ptr::null_mut();
        // SAFETY: the module is loaded; the name ends with a 0; the call writes one handle.
        ok(unsafe { sys::cuModuleGetFunction(&mut raw, module.raw, name.as_ptr()) })?;
        Ok(Self {
            raw,
            _module: module.clone(),
        })
    }

    /// Lets it be launched with so many bytes of dynamic shared memory; 48 KiB are allowed without asking.
    pub fn allow_shared(&self, bytes: u32) -> Called {
        let which = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        let bytes = c_int::try_from(bytes).map_err(|_| Fault::Driver(1))?;
        // SAFETY: the handle lives as long as `self`.
        ok(unsafe { sys::cuFuncSetAttribute(self.raw, which, bytes) })
    }
}

/// Bytes of one half of the memory that uploads pass through.
const HALF: usize = 8 << 20;

/// Work in order.
pub struct Stream {
    raw: sys::CUstream,
    pinned: Pinned,
    /// When the copies out of each half are done.
    copied: [Event; 2],
    session: Rc<Session>,
}

impl Stream {
    /// A stream of its own, which waits for no other.
    pub fn new(session: &Rc<Session>) -> Called<Rc<Self>> {
        let pinned = Pinned::reserve(session, 2 * HALF)?;
        let copied = [Event::new(session)?, Event::new(session)?];
        let mut raw = ptr::null_mut();
        let flags = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: the session's context is current; the call writes one handle.
        ok(unsafe { sys::cuStreamCreate(&mut raw, flags) })?;
        Ok(Rc::new(Self {
            raw,
            pinned,
            copied,
            session: session.clone(),
        }))
    }

    /// The driver's handle, for libraries.
    pub fn raw(&self) -> *mut c_void {
        self.raw.cast()
    }

    /// What it belongs to.
    pub fn session(&self) -> &Rc<Session> {
        &self.session
    }

    /// Waits until all is done.
    pub fn wait(&self) -> Called {
        // SAFETY: the handle lives as long as `self`.
        ok(unsafe { sys::cuStreamSynchronize(self.raw) })
    }

    /// Marks where the stream is now.
    pub fn mark(&self, event: &Event) -> Called {
        // SAFETY: both handles live.
        ok(unsafe { sys::cuEventRecord(event.raw, self.raw) })
    }

    /// Copies bytes to the GPU, through two halves of pinned memory in turn: one is filled while the other is copied. As many
    /// bytes as `to` has.
    pub fn upload(&self, bytes: &[u8], to: Place) -> Called {
        assert_eq!(
            bytes.len() as u64,
            to.bytes(),
            "as many bytes as there is place for"
        );
        for (piece, chunk) in bytes.chunks(HALF).enumerate() {
            let copied = &self.copied[piece % 2];
            copied.wait()?;
            let place = to.at().plus((piece * HALF) as u64);
            // SAFETY: pinned memory has two halves, a chunk is at most one, and the copies out of this half are done.
            let from = unsafe { self.pinned.at.add(piece % 2 * HALF) };
            // SAFETY: as above; a borrowed slice does not overlap memory that only this module has a pointer to.
            unsafe { ptr::copy_nonoverlapping(chunk.as_ptr(), from, chunk.len()) };
            // SAFETY: `to` is live and chunks stay inside it; `from` is not written before `copied` is passed, nor freed before
            // the stream is done.
            ok(unsafe { sys::cuMemcpyHtoDAsync_v2(place.0, from.cast(), chunk.len(), self.raw) })?;
            self.mark(copied)?;
        }
        Ok(())
    }

    /// Copies bytes from the GPU, and waits for them. As many bytes as `from` has.
    pub fn download(&self, from: Place, bytes: &mut [u8]) -> Called {
        assert_eq!(
            bytes.len() as u64,
            from.bytes(),
            "as many bytes as there is place for"
        );
        // SAFETY: `from` is live; `bytes` is borrowed until the copy was waited for, below, whatever the call returned.
        let copy = ok(unsafe {
            sys::cuMemcpyDtoHAsync_v2(
                bytes.as_mut_ptr().cast(),
                from.at().0,
                bytes.len(),
                self.raw,
            )
        });
        self.wait().and(copy)
    }

    /// Sets bytes to 0.
    pub fn zero(&self, at: Place) -> Called {
        // SAFETY: the place is live.
        ok(unsafe { sys::cuMemsetD8Async(at.at().0, 0, at.bytes() as usize, self.raw) })
    }

    /// Copies as many bytes as `to` has; the places do not overlap.
    pub fn copy(&self, from: Place, to: Place) -> Called {
        assert_eq!(
            from.bytes(),
            to.bytes(),
            "as many bytes as there is place for"
        );
        // SAFETY: both places are live and of this length.
        ok(unsafe {
            sys::cuMemcpyDtoDAsync_v2(to.at().0, from.at().0, to.bytes() as usize, self.raw)
        })
    }

    /// Runs a kernel with arguments that fit it.
    pub fn launch(&self, function: &Function, launch: &Launch, args: &Fitted) -> Called {
        let mut cells: Vec<*mut c_void> = args
            .cells()
            .iter()
            .map(|cell| ptr::from_ref(cell).cast_mut().cast())
            .collect();
        let ([x, y, z], [u, v, w]) = (launch.grid, launch.block);
        // SAFETY: the handles live. The driver reads as many cells as the entry point has parameters, and of each as many bytes
        // as that has, before it returns: `Fitted` has them, least significant byte first. A kernel that reaches beyond what it
        // was given is an error of the GPU, which later calls report.
        ok(unsafe {
            sys::cuLaunchKernel(
                function.raw,
                x,
                y,
                z,
                u,
                v,
                w,
                launch.shared,
                self.raw,
                cells.as_mut_ptr(),
                ptr::null_mut(),
            )
        })
    }

    /// From here on work is written down and not done, until [`end_recording`](Self::end_recording).
    pub fn begin_recording(&self) -> Called {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the handle lives as long as `self`.
        ok(unsafe { sys::cuStreamBeginCapture_v2(self.raw, mode) })
    }

    /// What was written down, ready to be done as often as is wanted. `keeps` owns all that it uses: memory, kernels, libraries.
    pub fn end_recording(self: &Rc<Self>, keeps: Rc<dyn Any>) -> Called<Graph> {
        let mut recorded = ptr::null_mut();
        // SAFETY: the handle lives as long as `self`; the call writes one handle.
        ok(unsafe { sys::cuStreamEndCapture(self.raw, &mut recorded) })?;
        let mut raw = ptr::null_mut();
        // SAFETY: `recorded` was given just now; the call writes one handle; 0 asks for nothing special.
        let made = ok(unsafe { sys::cuGraphInstantiateWithFlags(&mut raw, recorded, 0) });
        // SAFETY: `recorded` was given once and is destroyed once; what was made of it does not need it.
        let _ = unsafe { sys::cuGraphDestroy(recorded) };
        made?;
        Ok(Graph {
            raw,
            stream: self.clone(),
            _keeps: keeps,
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.wait();
        // SAFETY: created once, destroyed once.
        let _ = unsafe { sys::cuStreamDestroy_v2(self.raw) };
    }
}

/// Recorded work.
pub struct Graph {
    raw: sys::CUgraphExec,
    stream: Rc<Stream>,
    _keeps: Rc<dyn Any>,
}

impl Graph {
    /// Does it, on the stream that it was recorded on.
    pub fn replay(&self) -> Called {
        // SAFETY: both handles live, and `_keeps` all that the recorded work uses.
        ok(unsafe { sys::cuGraphLaunch(self.raw, self.stream.raw) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let _ = self.stream.wait();
        // SAFETY: made once, destroyed once, and not being done.
        let _ = unsafe { sys::cuGraphExecDestroy(self.raw) };
    }
}
