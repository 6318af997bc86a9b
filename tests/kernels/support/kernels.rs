//! Where the kernels' PTX is: nothing else knows the folder.

use crate::ptx::Module;

/// The PTX text of a kernel file.
///
/// # Panics
/// There is no such file.
pub fn text(name: &str) -> String {
    let path = format!(
        "{}/src/lora/cuda/kernels/{name}.ptx",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A kernel file, parsed.
///
/// # Panics
/// There is no such file, or something in it that the interpreter does not know.
pub fn module(name: &str) -> Module {
    Module::parse(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
