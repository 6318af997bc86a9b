//! LoRA adapters as PEFT keeps them: `adapter_config.json` says which modules have one and how it is scaled, `adapter_model.safetensors`
//! has A and B of each.

mod config;
mod pattern;
mod read;
mod write;

pub use read::{AdapterDir, read_adapter};
pub use write::write_adapter;

/// The file that describes an adapter.
pub const CONFIG: &str = "adapter_config.json";
/// The file with its numbers.
pub const MODEL: &str = "adapter_model.safetensors";

/// What PEFT puts before the names of a model's modules.
const PREFIX: &str = "base_model.model.";

/// What PEFT calls the two matrices of a module.
fn tensor_names(site: crate::training::site::Site) -> [String; 2] {
    ["A", "B"].map(|matrix| format!("{PREFIX}{site}.lora_{matrix}.weight"))
}

/// What an adapter's output is multiplied by.
fn scale(alpha: f64, rank: u32, rank_stabilised: bool) -> f32 {
    let rank = f64::from(rank);
    let over = if rank_stabilised { rank.sqrt() } else { rank };
    (alpha / over) as f32
}
