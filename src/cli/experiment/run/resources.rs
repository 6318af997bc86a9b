//! What a job is given: the plan's resources as the executors take them, or why they cannot be.

use super::RunArgs;
use crate::{
    cli::{
        experiment::{files::problem, read::Open},
        fail::Fail,
    },
    config::{
        Settings,
        slurm::{mebibytes, seconds},
    },
    control::api::ErrorView,
    executor::local,
    machines::spec::SlurmSpec,
    runner::{DEVICE, Given, Terms},
    words::words,
};
use std::path::PathBuf;

words! {
    /// Where jobs run.
    pub enum Executor {
        /// On this machine.
        Local = "local",
        /// On SLURM.
        Slurm = "slurm",
    }
}

/// Variables that a job on SLURM gets from who submits it: where programs are found. All others are those of a login on its node,
/// and keys stay here.
const CARRIED: [&str; 8] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "HF_HOME",
    "HF_HUB_OFFLINE",
];

/// Where jobs run: as asked; else on SLURM where the plan names a partition or sbatch is here; else on this machine.
///
/// # Errors
/// They are to run on SLURM, and sbatch is not here.
pub fn executor(args: &RunArgs, open: &Open) -> Result<Executor, Fail> {
    let named = open.plan.resources.partition.is_some();
    let there = is_on_path("sbatch");
    let chosen = match args.executor {
        Some(asked) => asked,
        None if named || there => Executor::Slurm,
        None => Executor::Local,
    };
    if chosen == Executor::Slurm && !there {
        let why = match args.executor {
            Some(_) => "--executor slurm".to_string(),
            None => format!(
                "the plan names the partition {}",
                open.plan.resources.partition.as_deref().unwrap_or("")
            ),
        };
        return Err(super::super::files::fail(
            "sbatch is not on PATH",
            &why,
            "a machine that submits to SLURM, or --executor local",
        ));
    }
    Ok(chosen)
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// How it is run.
///
/// # Errors
/// All of the plan's resources that cannot be said to the executor.
pub fn terms(
    args: &RunArgs,
    open: &Open,
    settings: &Settings,
    executor: Executor,
) -> Result<Terms, Fail> {
    let asked = &open.plan.resources;
    let at = open.dir.join(crate::experiment::plan::TWIN);
    let mut wrong: Vec<ErrorView> = Vec::new();
    let mut read = |key: &str, text: &Option<String>, to: fn(&str) -> Option<u64>, right: &str| {
        let text = text.as_deref()?;
        let found = to(text).filter(|number| *number > 0);
        if found.is_none() {
            let message = format!("the plan asks for {key} {text:?}, which cannot be read");
            wrong.push(problem(&message, &at.display().to_string(), right));
        }
        found
    };
    let time = read(
        "time",
        &asked.time,
        seconds,
        "\"4h\", \"4:00:00\" or \"1-12:00:00\"",
    );
    let memory = read("mem", &asked.mem, mebibytes, "\"32G\" or \"32000M\"");
    let cpus = asked.cpus_per_task.map(|cpus| cpus.to_string());
    read(
        "cpus_per_task",
        &cpus,
        |text| text.parse().ok(),
        "1 or more",
    );
    if !wrong.is_empty() {
        return Err(Fail(wrong));
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let slurm = SlurmSpec {
        partition: text(&asked.partition),
        account: text(&asked.account),
        gres: text(&asked.gres),
        time_seconds: time,
        mem_mib: memory,
        cpus_per_task: asked.cpus_per_task,
        ..SlurmSpec::default()
    };
    let environment = CARRIED.iter().filter_map(|name| {
        // A word with braces would be filled in, and one that is no text cannot be said.
        let value = std::env::var(name).ok()?;
        (!value.contains('{')).then(|| (name.to_string(), value))
    });
    Ok(Terms {
        at_once: args.at_once.unwrap_or(match executor {
            Executor::Local => devices().len().max(1),
            Executor::Slurm => usize::MAX,
        }),
        given: Given {
            slurm: (executor == Executor::Slurm).then(|| slurm.or(&settings.slurm)),
            time_seconds: time,
            environment: environment.collect(),
        },
        devices: devices(),
        again: args.again,
        as_is: args.as_is,
    })
}

/// The GPUs that jobs here share: those that this process may see.
fn devices() -> Vec<String> {
    match std::env::var(DEVICE) {
        Ok(named) => named
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .map(String::from)
            .collect(),
        Err(_) => (0..local::gpus()).map(|n| n.to_string()).collect(),
    }
}

/// Settings of the daemon, for how the controller is treated.
///
/// # Errors
/// They cannot be read.
pub fn settings(file: Option<&PathBuf>) -> Result<Settings, Fail> {
    Ok(Settings::load(file.map(PathBuf::as_path))?)
}
