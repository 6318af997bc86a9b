//! What the driver's and the library's error numbers mean to the person who reads them.
//!
//! An error of a kernel, or of the hardware, is *sticky*: every later call of the process fails too, so the only way on is a
//! new process. The sentence says so, and that the last checkpoint is good; [`Fault::is_lost`] tells a caller to stop at once.

use crate::lora::backend::Trouble;

/// A call that failed: its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `CUresult`, of libcuda.
    Driver(u32),
    /// `cublasStatus_t`, of libcublasLt.
    Library(u32),
}

impl Fault {
    /// Whether no later call of this process can succeed: the context, or the GPU, is gone.
    pub fn is_lost(self) -> bool {
        matches!(
            self,
            Self::Driver(
                46 | 101 | 201 | 214 | 220 | 700 | 702 | 709 | 710 | 714..=719 | 721 | 911 | 999
            )
        )
    }

    /// Whether the same may go well later, or on another machine: what others use is in the way, or the hardware broke. A
    /// kernel that fails is neither.
    pub fn passes(self) -> bool {
        matches!(
            self,
            Self::Driver(2 | 46 | 101 | 201 | 214 | 220 | 709 | 802 | 911 | 999)
                | Self::Library(1 | 3)
        )
    }

    /// The sentence for it; `what` is what was asked for, as `kernel swiglu`. A fault of a kernel shows at a later call.
    pub fn trouble(self, what: &str) -> Trouble {
        Trouble(match self {
            Self::Driver(code) => driver(what, code),
            Self::Library(status) => library(what, status),
        })
    }
}

fn driver(what: &str, code: u32) -> String {
    let why = match code {
        2 => {
            return format!(
                "the GPU had too little memory for {what}: end what else uses it (nvidia-smi lists it), or take a smaller batch"
            );
        }
        221 => {
            return format!(
                "the NVIDIA driver cannot compile {what} (libnvidia-ptxjitcompiler.so.1 was not found): install it with the driver, \
                 in a container ask for the driver capability `compute`"
            );
        }
        222 => {
            return format!("the NVIDIA driver is too old for {what}: install driver 525 or newer");
        }
        223 => {
            return format!("the NVIDIA driver may not compile {what}: unset CUDA_DISABLE_PTX_JIT");
        }
        214 | 220 => {
            "the hardware reported an uncorrectable memory error; have the GPU reset or replaced"
        }
        46 | 101 | 201 | 709 | 911 => "the GPU fell out of use",
        702 => "a kernel ran longer than the driver allows on a GPU that also drives a display",
        700 | 710 | 714..=719 | 721 => "a kernel failed",
        999 => "the driver does not say why",
        _ => return format!("the NVIDIA driver refused {what} ({})", named(code)),
    };
    format!(
        "the GPU was lost at or before {what} ({}: {why}): the last checkpoint is good, start again from it; if it happens again, \
         `dmesg | grep -i xid` says more",
        named(code)
    )
}

fn library(what: &str, status: u32) -> String {
    let name = match status {
        1 => "not initialised",
        3 => "allocation failed",
        7 => "invalid value",
        8 => "GPU too old for it",
        11 => "mapping error",
        13 => "execution failed",
        14 => "internal error",
        15 => "not supported",
        16 => "licence error",
        _ => "unknown status",
    };
    let advice = match status {
        1 | 3 => {
            ": it may have found too little memory, or be newer than the driver; install libcublas of the CUDA version that \
                  nvidia-smi shows"
        }
        13 | 14 => {
            ", as it does when the GPU was lost: the last checkpoint is good, start again from it"
        }
        _ => "",
    };
    format!("cuBLASLt failed at {what} (status {status}, {name}){advice}")
}

/// A driver error as `CUDA error 719, launch failed`.
pub fn named(code: u32) -> String {
    match name(code) {
        Some(name) => format!("CUDA error {code}, {name}"),
        None => format!("CUDA error {code}"),
    }
}

/// Names of the errors that a user may meet.
fn name(code: u32) -> Option<&'static str> {
    Some(match code {
        1 => "invalid value",
        2 => "out of memory",
        3 => "not initialised",
        4 => "the driver is shutting down",
        34 => "stub library",
        46 => "device unavailable",
        100 => "no device",
        101 => "invalid device",
        102 => "device not licensed",
        200 => "invalid kernel image",
        201 => "invalid context",
        209 => "no binary for this GPU",
        214 => "uncorrectable ECC error",
        218 => "invalid PTX",
        220 => "uncorrectable NVLink error",
        221 => "PTX JIT compiler not found",
        222 => "PTX version too new for the driver",
        223 => "PTX JIT compilation disabled",
        304 => "operating system call failed",
        400 => "invalid handle",
        500 => "not found",
        700 => "illegal address",
        701 => "too many resources asked for a launch",
        702 => "launch timed out",
        709 => "context destroyed",
        710 => "assertion failed",
        714 => "hardware stack error",
        715 => "illegal instruction",
        716 => "misaligned address",
        717 => "invalid address space",
        718 => "invalid program counter",
        719 => "launch failed",
        721 => "tensor memory leak",
        800 => "not permitted",
        801 => "not supported",
        802 => "system not ready",
        803 => "driver and library do not match",
        804 => "forward compatibility not supported on this GPU",
        805..=809 => "MPS server failed",
        900..=908 => "stream capture failed",
        911 => "external device failed",
        999 => "unknown error",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u32) -> String {
        Fault::Driver(code).trouble("kernel swiglu").0
    }

    #[test]
    fn sticky_errors_say_that_the_gpu_was_lost_and_what_to_do() {
        for code in [
            46, 214, 220, 700, 702, 709, 714, 715, 716, 717, 718, 719, 721, 999,
        ] {
            assert!(Fault::Driver(code).is_lost(), "{code}");
            let said = said(code);
            let parts = [
                "the GPU was lost at or before kernel swiglu",
                "last checkpoint",
                "xid",
            ];
            for part in parts.into_iter().chain([&*code.to_string()]) {
                assert!(said.contains(part), "{code}: {said}");
            }
        }
    }

    #[test]
    fn other_errors_are_not_a_loss() {
        for code in [
            0, 1, 2, 100, 218, 221, 222, 223, 400, 500, 701, 801, 900, 12345,
        ] {
            assert!(!Fault::Driver(code).is_lost(), "{code}");
            assert!(!said(code).contains("lost"), "{code}");
        }
        assert!(said(2).contains("too little memory for kernel swiglu: end what else uses it"));
        assert!(said(221).contains("libnvidia-ptxjitcompiler.so.1"));
        assert_eq!(
            said(12345),
            "the NVIDIA driver refused kernel swiglu (CUDA error 12345)"
        );
        assert_eq!(
            said(701),
            "the NVIDIA driver refused kernel swiglu (CUDA error 701, too many resources asked for a launch)"
        );
    }

    #[test]
    fn a_status_of_the_library_is_named() {
        let said = |status| Fault::Library(status).trouble("a product").0;
        assert_eq!(
            said(15),
            "cuBLASLt failed at a product (status 15, not supported)"
        );
        assert!(said(1).contains("newer than the driver"));
        assert!(said(13).contains("last checkpoint"));
        assert!(!Fault::Library(13).is_lost(), "only the driver knows");
    }

    #[test]
    fn what_others_use_passes_and_a_wrong_kernel_does_not() {
        for code in [2, 46, 214, 802, 911, 999] {
            assert!(Fault::Driver(code).passes(), "{code}");
        }
        for code in [1, 218, 222, 700, 702, 715, 716, 719] {
            assert!(!Fault::Driver(code).passes(), "{code}");
        }
        assert!(Fault::Library(3).passes() && !Fault::Library(13).passes());
    }

    #[test]
    fn sentences_are_sentences() {
        for code in 0..1000 {
            for fault in [Fault::Driver(code), Fault::Library(code)] {
                let Trouble(said) = fault.trouble("this");
                assert!(
                    !said.ends_with('.') && !said.contains('\n') && !said.contains("  "),
                    "{said}"
                );
            }
        }
    }
}
