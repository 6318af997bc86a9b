//! `campaignd`: the daemon, a campaign in the foreground, and what needs neither.

use super::{
    args::{Place, Shape},
    check, doctor,
    fail::Fail,
    out, run, simulate,
};
use crate::{
    config::{Env, Settings},
    daemon::{
        Daemon, Options, Pace, Stop,
        background::{Side, fork},
        signals, telemetry,
    },
    manifest::StateDir,
    worker,
};
use clap::{Parser, Subcommand};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

const EXAMPLES: &str = "\
Examples:
  campaignd run                          a whole campaign, about a minute
  campaignd init my.toml && campaignd run my.toml
  campaignd serve --daemonize && campaignctl submit my.toml

Exit statuses: 0 done, 1 something needed is missing, 2 usage or settings, 3 rejected,
4 failed, 5 cancelled, 6 awaiting approval, 70 crash loop, 130 interrupted";

/// Runs whole training campaigns with nobody watching.
#[derive(Parser, Debug)]
#[command(name = "campaignd", version, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Campaignd {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    shape: Shape,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// One campaign in the foreground, to its end; the same command continues it
    #[command(
        after_help = "Examples:\n  campaignd run\n  campaignd run alttp.toml --quality-threshold 0.8 --json"
    )]
    Run(run::RunArgs),
    /// The daemon
    #[command(
        after_help = "Examples:\n  campaignd serve\n  campaignd serve --config campaignd.toml --daemonize"
    )]
    Serve {
        /// Settings [default: built in]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Go into the background once it answers
        #[arg(long)]
        daemonize: bool,
    },
    /// Write a campaign file to begin with
    Init {
        /// The file, which must not exist
        file: PathBuf,
    },
    /// Whether a campaign or settings file is right, and where each value comes from
    #[command(after_help = "Examples:\n  campaignd check alttp.toml\n  campaignd check --keys")]
    Check(check::CheckArgs),
    /// What this machine offers, and what is missing
    Doctor,
    /// Rehearse: `gate` prints how often the gate errs
    #[command(after_help = "Examples:\n  campaignd simulate gate --trials 10000")]
    Simulate(simulate::SimulateArgs),
    /// The catalogue of queries of the built-in generator
    #[command(
        after_help = "Examples:\n  campaignd queries --matrix\n  campaignd queries --sample 5"
    )]
    Queries(check::QueriesArgs),
    /// Completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The shim and the built-in workers; for job directories alone
    #[command(hide = true)]
    Worker {
        /// exec, generate or curate
        kind: String,
        /// The job directory
        dir: PathBuf,
        /// The task
        shard: u32,
    },
}

/// The program.
pub fn campaignd() -> ExitCode {
    let args = match out::parse::<Campaignd>() {
        Ok(args) => args,
        Err(status) => return status,
    };
    let (place, shape) = (args.place, args.shape);
    let done = match args.verb {
        Verb::Worker { kind, dir, shard } => return work(&kind, &dir, shard),
        Verb::Run(run) => {
            telemetry::start("warn");
            run::run(run, &place, shape)
        }
        Verb::Serve { config, daemonize } => serve(config.as_deref(), daemonize, &place),
        Verb::Init { file } => check::init(&file),
        Verb::Check(check) => check::check(&check, shape),
        Verb::Doctor => doctor::doctor(&place, shape),
        Verb::Simulate(simulate) => simulate::simulate(&simulate, shape),
        Verb::Queries(queries) => check::queries(&queries, shape),
        Verb::Completions { shell } => {
            out::completions(shell, <Campaignd as clap::CommandFactory>::command())
        }
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(fail) => fail.tell(shape.json),
    }
}

fn work(kind: &str, dir: &Path, shard: u32) -> ExitCode {
    let done = match kind {
        "exec" => return worker::exec::exec(dir, shard),
        "generate" => worker::generate::run(dir, shard),
        "curate" => worker::curate::run(dir, shard),
        other => Err(format!("there is no worker {other:?}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::note(&format!("campaignd worker {kind}: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// What a daemon is started with, from settings and places.
pub fn options(settings: &Settings, state_dir: &Path, socket: &Path) -> Result<Options, Fail> {
    Ok(Options {
        state_dir: state_dir.into(),
        socket: socket.into(),
        limits: settings.limits,
        pace: Pace {
            pilot: settings.pilot_interval,
            campaign: settings.campaign_interval,
            silent_after: settings.silent_after,
        },
    })
}

fn serve(config: Option<&Path>, daemonize: bool, place: &Place) -> Result<u8, Fail> {
    let env = Env::capture();
    let settings = Settings::load(config)?;
    let (state_dir, socket) = place.resolve(&env, &settings)?;
    let options = options(&settings, &state_dir, &socket)?;
    if !daemonize {
        telemetry::start("info");
        return Ok(live(Daemon::open(options)?, || {}));
    }
    let log = StateDir::new(&state_dir).log_file();
    crate::artifacts::create_dir_private(&state_dir).map_err(|error| {
        Fail::usage(
            error.to_string(),
            "a directory that this user may write: --state-dir DIR",
        )
    })?;
    match fork(&log)? {
        Side::Parent(Ok(())) => {
            out::line(&format!("campaignd answers on {}", socket.display()))?;
            Ok(0)
        }
        Side::Parent(Err(why)) => {
            out::prompt(&why);
            Ok(super::fail::USAGE)
        }
        Side::Child(readiness) => {
            telemetry::start("info");
            match Daemon::open(options) {
                Ok(daemon) => Ok(live(daemon, move || readiness.ready())),
                Err(error) => {
                    readiness.failed(&format!(
                        "error: {}\n  at     {}\n  right  {}\n",
                        error.message, error.at, error.right
                    ));
                    Ok(super::fail::USAGE)
                }
            }
        }
    }
}

fn live(daemon: Daemon, ready: impl FnOnce() + 'static) -> u8 {
    let status = daemon.run(move |stop| {
        if let Err(error) = signals::listen(stop, Stop::Leave) {
            tracing::warn!("signals are not heard: {error}");
        }
        ready();
    });
    u8::try_from(status).unwrap_or(1)
}
