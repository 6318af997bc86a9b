//! `campaignd`: the daemon, a campaign in the foreground, and what needs neither.

use super::{
    args::{Place, Shape},
    base, bench_train, check, collect, curate, doctor, errors, evaluate, experiment,
    fail::Fail,
    lint, out, run, simulate, train,
};
use crate::{
    config::{Env, Settings},
    daemon::{
        self, Daemon, Doors, Options, Pace, Tuned,
        background::{NotStarted, Side, fork},
        signals, telemetry,
    },
    executor::{
        local,
        slurm::{bucket::Rate, desk::Terms},
    },
    machines::admission::Limits,
    manifest::StateDir,
    worker::{self, exec::Which},
};
use clap::{Parser, Subcommand};
use nix::unistd::{Gid, Group};
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
    /// Rehearse a campaign in virtual time; or `gate`: how often the gate errs
    #[command(
        after_help = "Examples:\n  campaignd simulate my.toml --failures 0.05 --train 2h\n  campaignd simulate my.toml --trials 100 --noise 0.02\n  campaignd simulate my.toml --table training_history.json\n  campaignd simulate gate --trials 10000\n\nNothing is started, and no model or data need be there."
    )]
    Simulate(simulate::SimulateArgs),
    /// The catalogue of queries of the built-in generator
    #[command(
        after_help = "Examples:\n  campaignd queries --matrix\n  campaignd queries --sample 5"
    )]
    Queries(check::QueriesArgs),
    /// What is wrong with Nextflow workflows, by line; --fix mends what is safe to mend
    #[command(
        after_help = "Examples:\n  campaignd lint main.nf modules/\n  campaignd lint --fix main.nf\n  campaignd lint --rules\n\nExit statuses: 0 nothing found, 1 findings are left, 2 usage"
    )]
    Lint(lint::LintArgs),
    /// What went wrong in a run, read from its output, and what helps
    #[command(
        after_help = "Examples:\n  campaignd errors .nextflow.log\n  campaignd errors slurm-*.err --json\n\nWith --json an array: for each file is_failure, primary_kind and the errors.\nExit statuses: 0 no error, 1 an error is found, 2 usage"
    )]
    Errors(errors::ErrorsArgs),
    /// What a run of a workflow did and used: tasks, hours, memory, failures, from what it left behind
    Collect(collect::CollectArgs),
    /// A curated data set of any JSON lines: filtered, deduplicated, split without leaks, documented
    #[command(
        after_help = "Examples:\n  campaignd curate --input samples/ --output sets/mine\n  campaignd curate --input a.jsonl b.jsonl --dry-run --json\n  campaignd curate --input data/ --output set --config my.toml\n\nExit statuses: 0 made, 1 no room for now, 2 usage, or no usable row"
    )]
    Curate(curate::CurateArgs),
    /// A LoRA adapter for a model, from rows: resumable, verified, as PEFT reads it
    #[command(
        after_help = "Examples:\n  campaignd train --model models/small --data set/codegen/train.jsonl --output adapters/codegen --holdout set/codegen/validation.jsonl\n  campaignd train --model models/small --data rows.jsonl --output adapters/mine --config train.toml --merge --resume\n  campaignd train --sweep sweep.toml --resume\n  campaignd train --sweep sweep.toml --only r16-lr0.0002\n\nExit statuses: 0 trained, 1 no room for now, 2 usage, settings, model or rows, or a member of a sweep that stopped by itself"
    )]
    Train(train::TrainArgs),
    /// A model and its adapters on held-out rows: paired statistics, a verdict, inspect-ai logs
    #[command(
        after_help = "Examples:\n  campaignd evaluate --model models/small --adapter adapters/codegen --data set/codegen/test.jsonl --output evaluations/codegen\n  campaignd evaluate --model models/small --adapter a --adapter b --data test.jsonl --training train.jsonl --output e --json\n\nExit statuses: 0 measured, whatever the verdict, 1 no room for now, 2 usage, model, adapters or rows"
    )]
    Evaluate(evaluate::EvaluateArgs),
    /// A small base model of random weights and a tokenizer trained on rows, made on the spot
    #[command(
        after_help = "Examples:\n  campaignd base --data dataset/error_recovery/train.jsonl --output base\n  campaignd base --data rows.jsonl --output base --size small --seed 7 --json\n\nExit statuses: 0 made, 1 no room for now, 2 usage"
    )]
    Base(base::BaseArgs),
    /// How fast this machine trains a model's shape, from random weights, and what the adapters cost
    #[command(
        after_help = "Examples:\n  campaignd bench-train --shape llama-3.1-8b --targets all --device cuda\n  campaignd bench-train --layers 1 --tokens 64 --device cpu\n  campaignd bench-train --shape models/mine/config.json --seq 512 --tokens 2048 --json\n\nExit statuses: 0 measured, 1 no room for now, 2 usage, shape, or a shape too large for this machine"
    )]
    BenchTrain(bench_train::BenchTrainArgs),
    /// Completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// What campaignctl hands over: the shim around an experiment's jobs is this program
    #[command(hide = true, subcommand, disable_help_subcommand = true)]
    Experiment(experiment::Step),
    /// The shim and the built-in workers; for job directories alone
    #[command(hide = true)]
    Worker {
        /// exec, generate, curate, train or evaluate
        kind: String,
        /// The job directory
        dir: PathBuf,
        /// The task
        #[arg(required_unless_present = "position")]
        shard: Option<u32>,
        /// The task by its position in the request: what a batch script knows
        #[arg(long, conflicts_with = "shard")]
        position: Option<u32>,
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
        Verb::Worker {
            kind,
            dir,
            shard,
            position,
        } => return work(&kind, &dir, shard, position),
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
        Verb::Lint(lint) => lint::run(&lint, shape),
        Verb::Curate(curate) => curate::run(&curate, shape),
        Verb::Train(train) => train::run(&train, shape),
        Verb::Evaluate(args) => evaluate::run(&args, shape),
        Verb::Base(base) => base::run(&base, shape),
        Verb::BenchTrain(bench) => bench_train::run(&bench, shape),
        Verb::Errors(args) => errors::errors(&args, shape),
        Verb::Collect(args) => collect::run(&args, shape),
        Verb::Experiment(step) => {
            telemetry::start("warn");
            experiment::run(&step, shape)
        }
        Verb::Completions { shell } => {
            out::completions(shell, <Campaignd as clap::CommandFactory>::command())
        }
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(fail) => fail.tell(shape.json),
    }
}

fn work(kind: &str, dir: &Path, shard: Option<u32>, position: Option<u32>) -> ExitCode {
    if kind == "exec"
        && let Some(position) = position
    {
        return worker::exec::exec(dir, Which::Position(position));
    }
    let shard = shard.unwrap_or_default();
    let done = match kind {
        "exec" => return worker::exec::exec(dir, Which::Shard(shard)),
        "generate" => worker::generate::run(dir, shard),
        "execute" => worker::execute::run(dir, shard),
        "curate" => worker::curate::run(dir, shard),
        "train" => worker::train::run(dir, shard),
        "evaluate" => worker::evaluate::run(dir, shard),
        other => Err(format!("there is no worker {other:?}").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(undone) => {
            out::note(&format!("campaignd worker {kind}: {}", undone.text));
            ExitCode::from(undone.status)
        }
    }
}

/// What a daemon is started with, from settings and places.
///
/// # Errors
/// A group that does not exist.
pub fn options(settings: &Settings, state_dir: &Path, socket: &Path) -> Result<Options, Fail> {
    Ok(Options {
        state_dir: state_dir.into(),
        socket: socket.into(),
        doors: Doors {
            group: group(&settings.socket_group)?,
            all_read: settings.socket_readers == "everyone",
        },
        tuned: tuned(settings),
    })
}

fn tuned(settings: &Settings) -> Tuned {
    Tuned {
        limits: of_this_machine(settings.limits),
        pace: Pace {
            pilot: settings.pilot_interval,
            campaign: settings.campaign_interval,
            silent_after: settings.silent_after,
        },
        retry: settings.retry,
        site: settings.slurm.clone(),
        slurm: Terms {
            interval: settings.poll_interval,
            rate: Rate {
                burst: settings.calls_burst,
                per_minute: settings.calls_per_minute,
            },
            largest: settings.limits.max_array_size,
            at_once: settings.limits.max_concurrent_jobs,
        },
    }
}

/// The limits, with what this machine has: as many tasks as processors, and one that trains a GPU, where there are any.
fn of_this_machine(limits: Limits) -> Limits {
    let processors = std::thread::available_parallelism();
    let gpus = local::gpus();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Limits {
        local_slots: processors.map_or(1, |count| number(count.get())),
        local_training: match gpus {
            0 => limits.max_training_jobs,
            gpus => number(gpus),
        },
        ..limits
    }
}

fn group(name: &str) -> Result<Option<Gid>, Fail> {
    if name.is_empty() {
        return Ok(None);
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(Some(group.gid)),
        _ => Err(Fail::usage(
            format!("there is no group {name:?}: socket_group"),
            format!("groupadd --system {name}"),
        )),
    }
}

/// Where the settings are: the flag, or the service's own directory of settings, if systemd gives one and a file is there.
fn settings_file(flag: Option<&Path>, env: &Env) -> Option<PathBuf> {
    let of_service = || {
        let file = Path::new(env.get("CONFIGURATION_DIRECTORY")?).join("campaignd.toml");
        file.exists().then_some(file)
    };
    flag.map(PathBuf::from).or_else(of_service)
}

fn serve(config: Option<&Path>, daemonize: bool, place: &Place) -> Result<u8, Fail> {
    let env = Env::capture();
    let found = {
        let (flag, env) = (config.map(PathBuf::from), env.clone());
        move || settings_file(flag.as_deref(), &env)
    };
    let settings = Settings::load(found().as_deref())?;
    let (state_dir, socket) = place.resolve(&env, &settings)?;
    let options = options(&settings, &state_dir, &socket)?;
    // Before the fork: a second daemon is refused in the shell that started it.
    let mut lock = daemon::take(&state_dir)?;
    if !daemonize {
        telemetry::start("info");
        return Ok(live(Daemon::open(lock, options)?, found, || {}));
    }
    let log = StateDir::new(&state_dir).log_file();
    match fork(&log)? {
        Side::Parent(answer) => {
            lock.leave();
            match answer {
                Ok(()) => {
                    out::line(&format!("campaignd answers on {}", socket.display()))?;
                    Ok(0)
                }
                Err(NotStarted { why, status }) => {
                    out::prompt(&why);
                    Ok(status)
                }
            }
        }
        Side::Child(readiness) => {
            telemetry::start("info");
            let opened = daemon::sign(&mut lock).and_then(|()| Daemon::open(lock, options));
            match opened {
                Ok(daemon) => Ok(live(daemon, found, move || readiness.ready())),
                Err(error) => {
                    let fail = Fail::from(error);
                    readiness.failed(&fail.to_string(), fail.status());
                    Ok(fail.status())
                }
            }
        }
    }
}

/// `config` says where the settings are, which may be written after the start.
fn live(
    daemon: Daemon,
    config: impl Fn() -> Option<PathBuf> + Send + 'static,
    ready: impl FnOnce() + 'static,
) -> u8 {
    let reload = move || match Settings::load(config().as_deref()) {
        Ok(settings) => Ok(tuned(&settings)),
        Err(problems) => Err(Fail::from(problems).to_string()),
    };
    let status = daemon.run(move |remote| {
        if let Err(error) = signals::listen_and_reload(remote, reload) {
            tracing::warn!("signals are not heard: {error}");
        }
        ready();
    });
    u8::try_from(status).unwrap_or(1)
}
