//! `check`, `init` and `queries`: what needs no daemon.

use super::{
    args::{Shape, SpecFlags},
    fail::Fail,
    out,
    style::thousands,
};
use crate::{
    config::{Env, Settings, check as report},
    generation::{Plan, catalogue_size, matrix},
};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// The flags of `check`.
#[derive(clap::Args, Clone, Debug)]
pub struct CheckArgs {
    /// A campaign file, or a settings file with --daemon
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub flags: SpecFlags,
    /// Show every key, defaults too
    #[arg(long)]
    pub all: bool,
    /// List the keys there are
    #[arg(long)]
    pub keys: bool,
    /// The file is campaignd.toml
    #[arg(long)]
    pub daemon: bool,
}

/// The flags of `queries`.
#[derive(clap::Args, Clone, Debug)]
pub struct QueriesArgs {
    /// The diversity matrix, counted
    #[arg(long)]
    pub matrix: bool,
    /// Show this many samples
    #[arg(long, value_name = "N")]
    pub sample: Option<u64>,
    /// Root of the samples' order
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// `campaignd check`.
pub fn check(args: &CheckArgs, shape: Shape) -> Result<u8, Fail> {
    if args.keys {
        out::print(&report::all_keys())?;
        return Ok(0);
    }
    if args.daemon {
        Settings::load(args.file.as_deref())?;
        out::line("the settings are right")?;
        return Ok(0);
    }
    let settings = Settings::load(None)?;
    let spec = args
        .flags
        .read(args.file.as_deref(), &Env::capture(), &settings)?;
    if shape.json {
        out::json(&serde_json::json!({ "version": 1, "campaign": spec }))?;
        return Ok(0);
    }
    let name = args
        .file
        .as_ref()
        .map_or("the quickstart".into(), |file| file.display().to_string());
    out::print(&report::report(&name, &spec, args.all))?;
    Ok(0)
}

/// `campaignd init FILE`; never over a file that is there.
pub fn init(file: &Path) -> Result<u8, Fail> {
    let stem = file.file_stem().map_or("campaign".into(), |stem| {
        stem.to_string_lossy().into_owned()
    });
    let name = if stem.parse::<crate::ids::CampaignId>().is_ok() {
        stem
    } else {
        "campaign".into()
    };
    let wrong = |error: std::io::Error| {
        Fail::usage(
            format!("{} cannot be written: {error}", file.display()),
            "a new file in a directory of yours",
        )
    };
    let mut made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .map_err(wrong)?;
    made.write_all(report::template(&name).as_bytes())
        .map_err(wrong)?;
    out::line(&format!(
        "{} written: campaignd check {0}, then campaignd run {0}",
        file.display()
    ))?;
    Ok(0)
}

/// `campaignd queries`.
pub fn queries(args: &QueriesArgs, shape: Shape) -> Result<u8, Fail> {
    if let Some(count) = args.sample {
        return samples(count, args.seed, shape);
    }
    let rows = matrix();
    if shape.json {
        let value =
            serde_json::json!({ "version": 1, "matrix": rows, "catalogue": catalogue_size() });
        out::json(&value)?;
        return Ok(0);
    }
    let mut text = format!(
        "{:<14} {:>9} {:>10} {:>15} {:>13}\n",
        "ANALYSIS", "ORGANISMS", "VARIATIONS", "ERROR SCENARIOS", "TOTAL QUERIES"
    );
    for row in &rows {
        text += &format!(
            "{:<14} {:>9} {:>10} {:>15} {:>13}\n",
            row.analysis, row.organisms, row.variations, row.scenarios, row.total
        );
    }
    let total: usize = rows.iter().map(|row| row.total).sum();
    text += &format!(
        "{:<14} {:>9} {:>10} {:>15} {total:>13}\n",
        "total", "-", "-", "-"
    );
    let all = thousands(catalogue_size());
    out::print(&format!(
        "{text}the whole catalogue: {all} distinct queries\n"
    ))?;
    Ok(0)
}

/// A sample a line, for as long as somebody reads: there may be millions.
fn samples(count: u64, seed: u64, shape: Shape) -> Result<u8, Fail> {
    let plan = Plan { seed, faults: 0.0 };
    for sample in (0..count).map_while(|index| plan.sample(index)) {
        let read = if shape.json {
            out::json(&sample)?
        } else {
            out::line(&format!("{:<13} {}", sample.analysis_type, sample.query))?
        };
        if !read {
            break;
        }
    }
    Ok(0)
}
