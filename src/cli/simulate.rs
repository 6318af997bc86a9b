//! `campaignd simulate gate`: how often the gate errs, measured on made-up pilots of known quality.

use super::{args::Shape, fail::Fail, out};
use crate::{
    config::Settings,
    evaluation::operating_table::{render_table, table},
};
use std::path::Path;

/// The flags of `simulate`.
#[derive(clap::Args, Clone, Debug)]
pub struct SimulateArgs {
    /// What is rehearsed
    #[arg(value_parser = ["gate"])]
    pub what: String,
    /// Pilots a row
    #[arg(long, default_value_t = 2_000)]
    pub trials: u64,
    #[command(flatten)]
    pub flags: super::args::SpecFlags,
}

/// Prints the table.
pub fn simulate(args: &SimulateArgs, shape: Shape) -> Result<u8, Fail> {
    // The campaign's own flag, here the root of the pilots' scores: two of one name cannot be told apart.
    let seed = args.flags.seed.unwrap_or(1);
    let spec = args.flags.read(
        None::<&Path>,
        &crate::config::Env::capture(),
        &Settings::load(None)?,
    )?;
    let rows = table(&spec.criteria, args.trials, seed);
    if shape.json {
        out::json(
            &serde_json::json!({ "version": 1, "trials": args.trials, "seed": seed, "table": render_table(&rows) }),
        )?;
    } else {
        out::print(&render_table(&rows))?;
    }
    Ok(0)
}
