//! `campaignd simulate`: a campaign rehearsed in virtual time, or how often the gate errs on made-up pilots.

use super::{args::Shape, fail::Fail, out, rehearse};
use crate::{
    config::Settings,
    evaluation::operating_table::{render_table, table},
};
use std::path::Path;

/// Pilots of a row where nobody says how many.
const PILOTS: u64 = 2_000;

/// The flags of `simulate`.
#[derive(clap::Args, Clone, Debug)]
pub struct SimulateArgs {
    /// What is rehearsed: a campaign file, or the word gate
    #[arg(value_name = "FILE|gate")]
    pub what: String,
    /// Rehearsals, each of a seed of its own [default: 1]; of the gate, pilots a row [default: 2000]
    #[arg(long, value_name = "K")]
    pub trials: Option<u64>,
    #[command(flatten)]
    pub assumed: rehearse::AssumedArgs,
    #[command(flatten)]
    pub flags: super::args::SpecFlags,
}

/// Prints the table of the gate, or a rehearsal.
pub fn simulate(args: &SimulateArgs, shape: Shape) -> Result<u8, Fail> {
    if args.what != "gate" {
        return rehearse::rehearse(args, shape);
    }
    // The campaign's own flag, here the root of the pilots' scores: two of one name cannot be told apart.
    let seed = args.flags.seed.unwrap_or(1);
    let trials = args.trials.unwrap_or(PILOTS);
    let spec = args.flags.read(
        None::<&Path>,
        &crate::config::Env::capture(),
        &Settings::load(None)?,
    )?;
    let rows = table(&spec.criteria, trials, seed);
    if shape.json {
        out::json(
            &serde_json::json!({ "version": 1, "trials": trials, "seed": seed, "table": render_table(&rows) }),
        )?;
    } else {
        out::print(&render_table(&rows))?;
    }
    Ok(0)
}
