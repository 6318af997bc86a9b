//! What this machine has for training on a GPU: driver, GPUs, cuBLASLt. Looking never fails and never panics.
//!
//! cudarc panics where a library or one of its functions is not there. So the libraries are asked for first, then every
//! function that is called anywhere in these modules (`DRIVER` and `LIBRARY`; a test compares the lists with the sources), and
//! only then is one of them called. Whoever opens a device must hand over what was found: there is no other way to it.

use std::ffi::{CStr, c_int};

use crate::lora::backend::{Done, Trouble};
use cudarc::{cublaslt, driver::sys};

use crate::lora::cuda::driver::{
    arena::gigabytes,
    missing::{CudaVersion, LibraryVersion, Missing, OLDEST_CAPABILITY, OLDEST_DRIVER},
    plan::Machine,
};

/// Functions of libcuda that are called, by their names in the library.
const DRIVER: &[&str] = &[
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDeviceTotalMem_v2",
    "cuDriverGetVersion",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventElapsedTime",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuFuncSetAttribute",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuInit",
    "cuLaunchKernel",
    "cuMemAlloc_v2",
    "cuMemFreeHost",
    "cuMemFree_v2",
    "cuMemGetInfo_v2",
    "cuMemHostAlloc",
    "cuMemcpyDtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemsetD8Async",
    "cuModuleGetFunction",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuStreamBeginCapture_v2",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamEndCapture",
    "cuStreamSynchronize",
];

/// Functions of libcublasLt that are called.
const LIBRARY: &[&str] = &[
    "cublasLtCreate",
    "cublasLtDestroy",
    "cublasLtGetVersion",
    "cublasLtMatmul",
    "cublasLtMatmulAlgoCheck",
    "cublasLtMatmulAlgoConfigGetAttribute",
    "cublasLtMatmulAlgoGetHeuristic",
    "cublasLtMatmulDescCreate",
    "cublasLtMatmulDescDestroy",
    "cublasLtMatmulDescSetAttribute",
    "cublasLtMatmulPreferenceCreate",
    "cublasLtMatmulPreferenceDestroy",
    "cublasLtMatmulPreferenceSetAttribute",
    "cublasLtMatrixLayoutCreate",
    "cublasLtMatrixLayoutDestroy",
];

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its number among those that CUDA_VISIBLE_DEVICES leaves.
    pub ordinal: usize,
    /// As NVIDIA calls it.
    pub name: String,
    /// Compute capability.
    pub capability: (u32, u32),
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// Bytes of its memory.
    pub memory: u64,
    /// Bytes that nobody uses; none where it was not asked, or could not be (another process has it for itself).
    pub free: Option<u64>,
}

impl std::fmt::Display for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (major, minor) = self.capability;
        let memory = gigabytes(self.memory);
        write!(
            f,
            "GPU {}: {}, compute capability {major}.{minor}, {memory}",
            self.ordinal, self.name
        )?;
        match self.free {
            Some(free) => write!(f, " ({} free)", gigabytes(free)),
            None => Ok(()),
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// What CUDA the driver supports.
    pub driver: Result<CudaVersion, Missing>,
    /// The driver's own version, where the system tells.
    pub release: Option<String>,
    /// Those that the driver sees; empty without a driver.
    pub cards: Vec<Card>,
    /// cuBLASLt.
    pub library: Result<LibraryVersion, Missing>,
    /// CUDA_VISIBLE_DEVICES, where it is set.
    pub visible: Option<String>,
    /// Nobody else can say that something is there.
    looked: Looked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Looked;

/// One line for `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `driver`, `gpu` or `cublaslt`.
    pub what: &'static str,
    /// Whether it serves.
    pub good: bool,
    /// What it is, or what is missing and how to get it.
    pub text: String,
}

impl Presence {
    /// Looks. Starts the driver, and uses no GPU.
    pub fn look() -> Self {
        let driver = driver();
        Self {
            release: std::fs::read_to_string("/sys/module/nvidia/version")
                .ok()
                .map(|text| text.trim().to_owned()),
            cards: driver.as_ref().map_or_else(|_| Vec::new(), |_| cards()),
            library: library(driver.as_ref().ok().copied()),
            visible: std::env::var_os("CUDA_VISIBLE_DEVICES")
                .map(|text| text.to_string_lossy().into_owned()),
            driver,
            looked: Looked,
        }
    }

    /// Asks each GPU for its free memory, too. That uses it briefly: about a second for each, which only a person waits for.
    #[must_use]
    pub fn measured(mut self) -> Self {
        for card in &mut self.cards {
            card.free = able(card).ok().and_then(|()| free(card.ordinal));
        }
        self
    }

    /// The GPU of this number, when all that is needed to train on it is there.
    ///
    /// # Errors
    ///
    /// The first thing missing, and what to do.
    pub fn card(&self, ordinal: usize) -> Done<&Card> {
        self.usable(ordinal)
            .map_err(|missing| Trouble(missing.to_string()))
    }

    /// Driver first, then GPU, then library: the order in which they are installed.
    fn usable(&self, ordinal: usize) -> Result<&Card, Missing> {
        self.driver.clone()?;
        let card = self
            .cards
            .get(ordinal)
            .ok_or_else(|| self.no_card(ordinal))?;
        able(card)?;
        self.library.clone()?;
        Ok(card)
    }

    fn no_card(&self, ordinal: usize) -> Missing {
        match (&self.visible, self.cards.len()) {
            (Some(value), 0) => Missing::Hidden(value.clone()),
            (None, 0) => Missing::Device,
            (_, there) => Missing::Ordinal(ordinal, there),
        }
    }

    /// What recorded plans of matrix products hold for.
    ///
    /// # Errors
    ///
    /// As [`card`](Self::card).
    pub fn machine(&self, ordinal: usize) -> Done<Machine> {
        let card = self.card(ordinal)?;
        let (major, minor) = card.capability;
        let words = |missing: Missing| Trouble(missing.to_string());
        let (driver, library) = (
            self.driver.clone().map_err(words)?,
            self.library.clone().map_err(words)?,
        );
        let release = self.release.as_deref().unwrap_or("release unknown");
        Ok(Machine {
            gpu: format!(
                "{}, {major}.{minor}, {} multiprocessors",
                card.name, card.multiprocessors
            ),
            driver: format!("CUDA {driver}, {release}"),
            library: library.to_string(),
        })
    }

    /// The lines of `doctor`: one on the driver, one on each GPU, one on cuBLASLt.
    pub fn findings(&self) -> Vec<Finding> {
        let release = self
            .release
            .as_ref()
            .map_or(String::new(), |release| format!("{release}, "));
        let driver = self
            .driver
            .clone()
            .map(|version| format!("{release}CUDA {version}"));
        let mut all = vec![finding("driver", driver)];
        if self.driver.is_ok() {
            let cards = self
                .cards
                .iter()
                .map(|card| able(card).map(|()| card.to_string()));
            all.extend(cards.map(|card| finding("gpu", card)));
            if self.cards.is_empty() {
                all.push(finding("gpu", Err(self.no_card(0))));
            }
        }
        let library = self.library.clone();
        all.push(finding(
            "cublaslt",
            library.map(|version| version.to_string()),
        ));
        all
    }
}

fn finding(what: &'static str, found: Result<String, Missing>) -> Finding {
    Finding {
        what,
        good: found.is_ok(),
        text: found.unwrap_or_else(|missing| missing.to_string()),
    }
}

fn able(card: &Card) -> Result<(), Missing> {
    match card.capability >= OLDEST_CAPABILITY {
        true => Ok(()),
        false => Err(Missing::Capability(
            card.ordinal,
            card.name.clone(),
            card.capability,
        )),
    }
}

/// Starts the driver. A driver that sees no GPU says so when it starts; that is found again as an empty list.
fn driver() -> Result<CudaVersion, Missing> {
    // SAFETY: opens and closes libraries by the names of NVIDIA's, whose initialisers expect no more than that.
    if !unsafe { sys::is_culib_present() } {
        return Err(Missing::Driver);
    }
    // SAFETY: the library was found just now, so this does not panic; the symbols are looked up, not called.
    let lacking = DRIVER
        .iter()
        .find(|name| unsafe { sys::culib().get::<*const ()>(name.as_bytes()) }.is_err());
    if let Some(&name) = lacking {
        return Err(Missing::DriverFunction(name));
    }
    let mut version: c_int = 0;
    // SAFETY: the function exists, and writes one int; it may be called before the driver is started.
    let code = unsafe { sys::cuDriverGetVersion(&mut version) } as u32;
    match (code, CudaVersion(version)) {
        (0, version) if version < OLDEST_DRIVER => return Err(Missing::DriverOld(version)),
        (0, _) => {}
        (code, _) => return Err(Missing::DriverStart(code)),
    }
    // SAFETY: the function exists; 0 is the only flag there is.
    match unsafe { sys::cuInit(0) } as u32 {
        0 | 100 => Ok(CudaVersion(version)),
        code => Err(Missing::DriverStart(code)),
    }
}

/// The GPUs of a driver that was started; those that do not answer are left out.
fn cards() -> Vec<Card> {
    let mut count: c_int = 0;
    // SAFETY: `driver` found the function; it writes one int.
    if unsafe { sys::cuDeviceGetCount(&mut count) } as u32 != 0 {
        return Vec::new();
    }
    (0..count).filter_map(card).collect()
}

fn card(ordinal: c_int) -> Option<Card> {
    use sys::CUdevice_attribute as Attribute;
    let (mut device, mut memory) = (0, 0);
    let mut name = [0u8; 256];
    // SAFETY: `driver` found the functions; the first writes the handle that the others are given, and they write one size,
    // and at most as many bytes as they are told, the last of them 0.
    let codes = unsafe {
        [
            sys::cuDeviceGet(&mut device, ordinal),
            sys::cuDeviceTotalMem_v2(&mut memory, device),
            sys::cuDeviceGetName(name.as_mut_ptr().cast(), name.len() as c_int - 1, device),
        ]
    };
    if codes.iter().any(|&code| code as u32 != 0) {
        return None;
    }
    let attribute = |which| {
        let mut value: c_int = 0;
        // SAFETY: `driver` found the function; the device is one that `cuDeviceGet` gave; it writes one int.
        let code = unsafe { sys::cuDeviceGetAttribute(&mut value, which, device) } as u32;
        (code == 0).then(|| value.cast_unsigned())
    };
    let capability = (
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    );
    Some(Card {
        ordinal: ordinal as usize,
        name: CStr::from_bytes_until_nul(&name)
            .ok()?
            .to_string_lossy()
            .into_owned(),
        capability,
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        memory: memory as u64,
        free: None,
    })
}

/// Bytes that nobody uses. Only a context can be asked, so one is made, or that of the process is used, and left again.
fn free(ordinal: usize) -> Option<u64> {
    let (mut before, mut own) = (std::ptr::null_mut(), std::ptr::null_mut());
    let (mut device, mut free, mut total) = (0, 0, 0);
    // SAFETY: a card exists only where `driver` found the functions; each writes what its pointers point to. The context is used
    // only if it was made, given back as often as it was taken, and the one that was current is so again.
    unsafe {
        if sys::cuDeviceGet(&mut device, ordinal as c_int) as u32 != 0
            || sys::cuCtxGetCurrent(&mut before) as u32 != 0
            || sys::cuDevicePrimaryCtxRetain(&mut own, device) as u32 != 0
        {
            return None;
        }
        let known = sys::cuCtxSetCurrent(own) as u32 == 0
            && sys::cuMemGetInfo_v2(&mut free, &mut total) as u32 == 0;
        let _ = sys::cuCtxSetCurrent(before);
        let _ = sys::cuDevicePrimaryCtxRelease_v2(device);
        known.then_some(free as u64)
    }
}

/// cuBLASLt, for a driver of this version; without one, whether it is there at all.
fn library(driver: Option<CudaVersion>) -> Result<LibraryVersion, Missing> {
    // SAFETY: as for the driver's library.
    if !unsafe { cublaslt::sys::is_culib_present() } {
        return Err(Missing::Library(driver));
    }
    // SAFETY: the library was found just now, so this does not panic; the symbols are looked up, not called.
    let lacking = LIBRARY
        .iter()
        .find(|name| unsafe { cublaslt::sys::culib().get::<*const ()>(name.as_bytes()) }.is_err());
    if let Some(&name) = lacking {
        return Err(Missing::LibraryFunction(name));
    }
    // SAFETY: the function exists, takes nothing and needs no GPU.
    let version = LibraryVersion(unsafe { cublaslt::sys::cublasLtGetVersion() });
    match driver {
        _ if version.major() < 12 => Err(Missing::LibraryOld(version)),
        Some(driver) if version.major() > driver.major() as usize => {
            Err(Missing::LibraryNew(version, driver))
        }
        _ => Ok(version),
    }
}

#[cfg(test)]
mod tests;
