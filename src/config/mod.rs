//! Settings: defaults, `campaignd.toml`, the campaign file, the environment and flags, in that order, each value with
//! where it came from.
//!
//! One table of keys says what there is, what it may be and what it means; parsing, errors, `check` and the shipped
//! `config/campaignd.toml` all follow from it.

pub mod agents;
pub mod campaign_file;
pub mod check;
pub mod curation;
pub mod evaluation;
pub mod execution;
pub mod keys;
pub mod layers;
pub mod parameters;
pub mod places;
pub mod planning;
pub mod problem;
pub mod settings;
pub mod slurm;
pub mod training;

pub use campaign_file::{Overrides, Source, load_campaign, read_campaign};
pub use places::{Env, resolve_socket, resolve_state_dir};
pub use problem::Problem;
pub use settings::Settings;
