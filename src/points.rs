//! Fail points: named places where a test ends, stops or panics the process. Compiled out of everything but a build with
//! the feature `failpoints`; what a point does there comes from the variable `FAILPOINTS` (crate `fail`).
//!
//! `FAILPOINTS=launch.spawned=return` kills the process there as `kill -9` does. With `CAMPAIGND_CRASH_MARK=FILE` that
//! happens to one process only, the first to come by: it creates the file, and with the file there no point does anything.

#[cfg(feature = "failpoints")]
mod armed {
    use rustix::process::{Signal, getpid, kill_process};
    use std::{env, fs::File, path::PathBuf};

    fn mark() -> Option<PathBuf> {
        env::var_os("CAMPAIGND_CRASH_MARK").map(PathBuf::from)
    }

    /// Whether points do anything.
    pub fn armed() -> bool {
        mark().is_none_or(|mark| !mark.exists())
    }

    /// Leaves the mark: from here on no point does anything.
    pub fn leave_mark() {
        if let Some(mark) = mark() {
            // Another process may have been faster; it is on its way out too.
            let _ = File::create_new(mark);
        }
    }

    /// Ends this process as a power cut would: no destructor runs, nothing is flushed.
    pub fn die() -> ! {
        leave_mark();
        // Cannot fail: the process exists and is this one.
        let _ = kill_process(getpid(), Signal::KILL);
        std::process::abort()
    }

    /// A panic, as a defect would make it.
    pub fn panic_here(name: &str) {
        if fail::eval(name, |_| ()).is_some() {
            leave_mark();
            panic!("the fail point {name} panics");
        }
    }
}

#[cfg(feature = "failpoints")]
pub use armed::{armed, die, panic_here};

/// A place where the process may be killed.
#[cfg(feature = "failpoints")]
macro_rules! point {
    ($name:literal) => {
        fail::fail_point!($name, $crate::points::armed(), |_| $crate::points::die())
    };
}

/// A place where the process may be killed.
#[cfg(not(feature = "failpoints"))]
macro_rules! point {
    ($name:literal) => {};
}

/// A place where whoever comes by may panic.
#[cfg(feature = "failpoints")]
macro_rules! panic_point {
    ($name:expr) => {
        if $crate::points::armed() {
            $crate::points::panic_here(&$name);
        }
    };
}

/// A place where whoever comes by may panic.
#[cfg(not(feature = "failpoints"))]
macro_rules! panic_point {
    ($name:expr) => {};
}

pub(crate) use {panic_point, point};

/// A number that a test sets in place of a constant.
#[cfg(feature = "failpoints")]
pub fn number(name: &str) -> Option<u64> {
    fail::eval(name, |value| value.and_then(|value| value.parse().ok())).flatten()
}

/// A number that a test sets in place of a constant.
#[cfg(not(feature = "failpoints"))]
pub fn number(_: &str) -> Option<u64> {
    None
}

/// Reads `FAILPOINTS`; the points act as long as the value lives.
#[cfg(feature = "failpoints")]
pub fn setup() -> fail::FailScenario<'static> {
    fail::FailScenario::setup()
}

/// What a build without fail points has in place of a scenario.
#[cfg(not(feature = "failpoints"))]
pub struct Off;

/// Nothing to read, in a build without fail points.
#[cfg(not(feature = "failpoints"))]
pub fn setup() -> Off {
    Off
}
