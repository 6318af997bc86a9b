//! What may be missing for training on a GPU, each as a sentence that says what to do.

use std::fmt;

use crate::lora::cuda::driver::fault;

/// The oldest CUDA version whose driver reads the kernels: PTX 8.0 came with CUDA 12.0, driver 525.
pub const OLDEST_DRIVER: CudaVersion = CudaVersion(12_000);
/// The oldest compute capability that the kernels are made for: bf16 tensor cores and `cp.async` came with it.
pub const OLDEST_CAPABILITY: (u32, u32) = (8, 0);

/// A version of CUDA as the driver gives it: 1000 * major + 10 * minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CudaVersion(pub i32);

impl CudaVersion {
    /// 12 of 12.8.
    pub fn major(self) -> i32 {
        self.0 / 1000
    }
}

impl fmt::Display for CudaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.0 % 1000 / 10)
    }
}

/// A version of cuBLASLt as it gives it itself: 10000 * major + 100 * minor + patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LibraryVersion(pub usize);

impl LibraryVersion {
    /// 12 of 12.8.4.
    pub fn major(self) -> usize {
        self.0 / 10_000
    }
}

impl fmt::Display for LibraryVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}",
            self.major(),
            self.0 / 100 % 100,
            self.0 % 100
        )
    }
}

/// What stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// libcuda is nowhere.
    Driver,
    /// libcuda lacks a function that every driver since 525 has.
    DriverFunction(&'static str),
    /// Its version.
    DriverOld(CudaVersion),
    /// It would not start: its error number.
    DriverStart(u32),
    /// It sees no GPU, and nothing hides them.
    Device,
    /// CUDA_VISIBLE_DEVICES has this value, and no GPU is left.
    Hidden(String),
    /// The GPU that was asked for, and how many there are.
    Ordinal(usize, usize),
    /// Number, name and compute capability of a GPU.
    Capability(usize, String, (u32, u32)),
    /// libcublasLt is nowhere; the CUDA version of the driver, where it is known.
    Library(Option<CudaVersion>),
    /// libcublasLt lacks a function.
    LibraryFunction(&'static str),
    /// It is older than CUDA 12.
    LibraryOld(LibraryVersion),
    /// It is of a later major version of CUDA than the driver.
    LibraryNew(LibraryVersion, CudaVersion),
}

/// Where cuBLASLt comes from, for a driver that supports `major`.
fn packages(major: i32) -> String {
    let major = major.clamp(12, 13);
    let wheel = match major {
        12 => {
            "`pip install nvidia-cublas-cu12`, and LD_LIBRARY_PATH set to its folder nvidia/cublas/lib"
        }
        _ => "`pip install nvidia-cublas`, and LD_LIBRARY_PATH set to its folder nvidia/cu13/lib",
    };
    format!(
        "install NVIDIA's package libcublas of CUDA {major} (libcublas-{major}-0 or later), or the wheel with {wheel}"
    )
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver => f.write_str(
                "there is no NVIDIA driver (libcuda.so.1 was not found): install driver 525 or newer, in a container start it \
                 with the NVIDIA runtime, or train with device = \"cpu\"",
            ),
            Self::DriverFunction(name) => write!(
                f,
                "the NVIDIA driver lacks {name}: install driver 525 or newer, and take the stubs folder of a CUDA toolkit out of \
                 LD_LIBRARY_PATH"
            ),
            Self::DriverOld(version) => write!(
                f,
                "the NVIDIA driver supports CUDA {version}, and the kernels need {OLDEST_DRIVER}: install driver 525 or newer"
            ),
            Self::DriverStart(code) => start(f, *code),
            Self::Device => f.write_str(
                "the NVIDIA driver sees no GPU: look at `nvidia-smi -L`, and at whether the job asked for one (SLURM: \
                 --gres=gpu:1) and may open /dev/nvidia0",
            ),
            Self::Hidden(value) => write!(
                f,
                "CUDA_VISIBLE_DEVICES is \"{value}\" and leaves no GPU: unset it, or name one that `nvidia-smi -L` lists"
            ),
            Self::Ordinal(asked, there) => write!(
                f,
                "GPU {asked} was asked for and there are {there}, counted from 0: choose another, or look at \
                 CUDA_VISIBLE_DEVICES"
            ),
            Self::Capability(ordinal, name, (major, minor)) => write!(
                f,
                "GPU {ordinal} ({name}) has compute capability {major}.{minor}, and the kernels need 8.0 (Ampere) or newer: choose \
                 another with CUDA_VISIBLE_DEVICES, or train with device = \"cpu\""
            ),
            Self::Library(driver) => write!(
                f,
                "there is no cuBLASLt (libcublasLt.so was not found): {}",
                packages(driver.map_or(12, CudaVersion::major))
            ),
            Self::LibraryFunction(name) => write!(f, "cuBLASLt lacks {name}: {}", packages(12)),
            Self::LibraryOld(version) => write!(f, "cuBLASLt is {version}, and 12.0 is the oldest that serves: {}", packages(12)),
            Self::LibraryNew(version, driver) => write!(
                f,
                "cuBLASLt {version} needs a newer driver than this one, which supports CUDA {driver}: update the driver, or {}",
                packages(driver.major())
            ),
        }
    }
}

/// Why `cuInit` fails, as its documentation and its users have it.
fn start(f: &mut fmt::Formatter<'_>, code: u32) -> fmt::Result {
    let what = match code {
        34 => {
            "libcuda.so is the stub of a CUDA toolkit: take its folder (stubs) out of LD_LIBRARY_PATH"
        }
        802 => "start nvidia-fabricmanager, or wait until it is up",
        803 => {
            "the driver was updated while the old one is loaded: restart the machine, or reload the kernel module nvidia"
        }
        804 => "take the package cuda-compat out of LD_LIBRARY_PATH, or update the driver",
        805..=809 => "look at the MPS server (nvidia-cuda-mps-control), or end it",
        _ => {
            "look at whether `nvidia-smi` works, and load the kernel module nvidia_uvm (`nvidia-modprobe -u`)"
        }
    };
    write!(
        f,
        "the NVIDIA driver would not start ({}): {what}",
        fault::named(code)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_as_people_write_them() {
        assert_eq!(CudaVersion(12_080).to_string(), "12.8");
        assert_eq!(CudaVersion(13_000).to_string(), "13.0");
        assert_eq!(LibraryVersion(120_804).to_string(), "12.8.4");
        assert_eq!(LibraryVersion(130_002).to_string(), "13.0.2");
    }

    #[test]
    fn each_thing_missing_says_what_it_is_and_what_to_do() {
        let v100 = || Missing::Capability(1, "Tesla V100".into(), (7, 0));
        let cases: [(Missing, &[&str]); 17] = [
            (Missing::Driver, &["no NVIDIA driver", "install driver 525"]),
            (
                Missing::DriverFunction("cuInit"),
                &["lacks cuInit", "stubs"],
            ),
            (
                Missing::DriverOld(CudaVersion(11_040)),
                &["supports CUDA 11.4", "need 12.0", "install driver 525"],
            ),
            (
                Missing::DriverStart(34),
                &["CUDA error 34, stub library", "LD_LIBRARY_PATH"],
            ),
            (Missing::DriverStart(803), &["restart the machine"]),
            (Missing::DriverStart(804), &["cuda-compat"]),
            (Missing::DriverStart(802), &["fabricmanager"]),
            (
                Missing::DriverStart(999),
                &["unknown error", "nvidia-modprobe"],
            ),
            (Missing::Device, &["sees no GPU", "--gres=gpu:1"]),
            (
                Missing::Hidden(String::new()),
                &["CUDA_VISIBLE_DEVICES is \"\"", "unset it"],
            ),
            (
                Missing::Ordinal(3, 2),
                &["GPU 3 was asked for and there are 2"],
            ),
            (
                v100(),
                &[
                    "GPU 1 (Tesla V100)",
                    "7.0",
                    "need 8.0",
                    "CUDA_VISIBLE_DEVICES",
                ],
            ),
            (
                Missing::Library(None),
                &[
                    "no cuBLASLt",
                    "libcublas of CUDA 12",
                    "nvidia-cublas-cu12",
                    "LD_LIBRARY_PATH",
                ],
            ),
            (
                Missing::Library(Some(CudaVersion(13_010))),
                &["libcublas of CUDA 13", "pip install nvidia-cublas`"],
            ),
            (
                Missing::LibraryFunction("cublasLtCreate"),
                &["lacks cublasLtCreate"],
            ),
            (
                Missing::LibraryOld(LibraryVersion(110_901)),
                &["is 11.9.1", "libcublas of CUDA 12"],
            ),
            (
                Missing::LibraryNew(LibraryVersion(130_002), CudaVersion(12_040)),
                &[
                    "13.0.2 needs a newer driver",
                    "supports CUDA 12.4",
                    "libcublas of CUDA 12",
                ],
            ),
        ];
        for (missing, parts) in cases {
            let said = missing.to_string();
            for part in parts {
                assert!(said.contains(part), "{missing:?}: {said}");
            }
            assert!(
                !said.ends_with('.') && !said.contains("  ") && !said.contains('\n'),
                "{said}"
            );
        }
    }
}
