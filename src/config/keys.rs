//! Every key there is: its kind, default, unit and one sentence.

use super::{agents, curation, evaluation, execution, planning, slurm, training};

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number in a range.
    Whole(u64, u64),
    /// A number from 0 to 1.
    Share,
    /// A number from 0 on.
    Amount,
    /// `true` or `false`.
    Flag,
    /// `10s`, `5m`, `48h`; the empty text is none.
    Duration,
    /// One of some words.
    Word(&'static [&'static str]),
    /// A list of texts.
    List,
    /// Three shares whose sum is 1.
    Split,
    /// Numbers by name.
    Numbers,
    /// Lists or ranges by name.
    Domains,
}

/// One key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// Its name, dotted.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Its default, as TOML; empty where there is none.
    pub default: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// What it means, one sentence.
    pub sentence: &'static str,
    /// Its names in the environment, without `CAMPAIGND_`; the first is the specification's.
    pub env: Option<&'static str>,
}

pub(super) const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    unit: &'static str,
    sentence: &'static str,
) -> Key {
    Key {
        name,
        kind,
        default,
        unit,
        sentence,
        env: None,
    }
}

const fn env(key: Key, name: &'static str) -> Key {
    Key {
        env: Some(name),
        ..key
    }
}

/// The most samples a number can ask for without being a slip of the finger.
const MOST: u64 = 1_000_000_000;

/// The keys of a campaign file.
pub const CAMPAIGN: &[Key] = &joined::<{ count(PARTS) }>(PARTS);

const PARTS: &[&[Key]] = &[
    GENERAL,
    agents::KEYS[0],
    agents::KEYS[1],
    agents::KEYS[2],
    agents::KEYS[3],
    agents::KEYS[4],
    agents::KEYS[5],
    agents::KEYS[6],
    execution::KEYS,
    curation::KEYS,
    training::KEYS[0],
    training::KEYS[1],
    training::KEYS[2],
    evaluation::KEYS,
    planning::KEYS,
    slurm::KEYS[0],
    slurm::KEYS[1],
    slurm::KEYS[2],
    slurm::KEYS[3],
    slurm::KEYS[4],
    slurm::KEYS[5],
    slurm::KEYS[6],
];

/// Tables that a campaign file may have several of.
pub const SEVERAL: &[&str] = &["export", execution::DATASET, training::SEVERAL];

const fn count(parts: &[&[Key]]) -> usize {
    let (mut sum, mut part) = (0, 0);
    while part < parts.len() {
        sum += parts[part].len();
        part += 1;
    }
    sum
}

const fn joined<const N: usize>(parts: &[&[Key]]) -> [Key; N] {
    let mut all = [parts[0][0]; N];
    let (mut next, mut part) = (0, 0);
    while part < parts.len() {
        let mut at = 0;
        while at < parts[part].len() {
            all[next] = parts[part][at];
            next += 1;
            at += 1;
        }
        part += 1;
    }
    all
}

const GENERAL: &[Key] = &[
    key(
        "name",
        Kind::Text,
        "",
        "",
        "the campaign's id: letters, digits, - and _",
    ),
    env(
        key(
            "pilot_target",
            Kind::Whole(1, MOST),
            "190",
            "samples",
            "each look at the gate adds this many",
        ),
        "PILOT_TARGET",
    ),
    key(
        "max_pilot_samples",
        Kind::Whole(1, MOST),
        "",
        "samples",
        "EXTEND never asks for more; three looks without it",
    ),
    env(
        key(
            "min_pilot_samples",
            Kind::Whole(1, MOST),
            "150",
            "samples",
            "with fewer nothing is approved",
        ),
        "MIN_PILOT_SAMPLES",
    ),
    env(
        key(
            "quality_threshold",
            Kind::Share,
            "0.75",
            "0 to 1",
            "what the pilot's quality must reach",
        ),
        "QUALITY_THRESHOLD",
    ),
    key(
        "gate",
        Kind::Word(&["confidence", "point"]),
        "\"confidence\"",
        "",
        "by bounds that hold, or by the mean alone",
    ),
    env(
        key(
            "campaign_target",
            Kind::Whole(1, MOST),
            "34500",
            "samples",
            "of the full generation",
        ),
        "CAMPAIGN_TARGET",
    ),
    env(
        key(
            "auto_launch",
            Kind::Flag,
            "true",
            "",
            "false waits for campaignctl approve",
        ),
        "AUTO_LAUNCH",
    ),
    key(
        "executor",
        Kind::Word(&["local", "slurm"]),
        "\"local\"",
        "",
        "where jobs run; a phase may say otherwise",
    ),
    key(
        "seed",
        Kind::Whole(0, u32::MAX as u64),
        "1",
        "",
        "root of all randomness",
    ),
    key(
        "generator.brain",
        Kind::Word(&["rules", "endpoint"]),
        "\"rules\"",
        "",
        "the built-in generator",
    ),
    key(
        "generator.command",
        Kind::List,
        "[]",
        "",
        "a foreign generator, as an argument vector",
    ),
    key(
        "generator.shards",
        Kind::Whole(1, 10_000),
        "8",
        "jobs",
        "of the full generation",
    ),
    key(
        "generator.time",
        Kind::Duration,
        "\"\"",
        "time",
        "limit of one of them; without it none",
    ),
    key(
        "generator.evidence",
        Kind::Word(&["samples", "log"]),
        "\"samples\"",
        "",
        "what quality rests on",
    ),
    key(
        "generator.faults",
        Kind::Share,
        "0.1",
        "0 to 1",
        "share of samples whose query gets a known fault",
    ),
];

/// The keys of `campaignd.toml`.
pub const DAEMON: &[Key] = &joined::<{ count(DAEMON_PARTS) }>(DAEMON_PARTS);

const DAEMON_PARTS: &[&[Key]] = &[GENERAL_OF_DAEMON, slurm::SITE, slurm::DAEMON];

const GENERAL_OF_DAEMON: &[Key] = &[
    key(
        "state_dir",
        Kind::Text,
        "\"\"",
        "path",
        "store, journal, jobs, results; \"\" = the user's state directory",
    ),
    key(
        "socket",
        Kind::Text,
        "\"\"",
        "path",
        "the control socket; \"\" = control.sock in the state dir",
    ),
    key(
        "socket_group",
        Kind::Text,
        "\"\"",
        "group",
        "its members may submit and steer; \"\" = only campaignd's user and root",
    ),
    key(
        "socket_readers",
        Kind::Word(&["group", "everyone"]),
        "\"group\"",
        "who",
        "may look, beside those who may steer; \"group\" = nobody else",
    ),
    key(
        "check_interval.pilot",
        Kind::Duration,
        "\"10s\"",
        "time",
        "the pilot is looked at this often at the latest",
    ),
    key(
        "check_interval.campaign",
        Kind::Duration,
        "\"60s\"",
        "time",
        "everything else is looked at this often at the latest",
    ),
    key(
        "silent_after",
        Kind::Duration,
        "\"5m\"",
        "time",
        "a job without progress is flagged, never ended",
    ),
    key(
        "limits.max_concurrent_jobs",
        Kind::Whole(1, 100_000),
        "50",
        "jobs",
        "at once; each task is one",
    ),
    key(
        "limits.max_training_jobs",
        Kind::Whole(1, 1_000),
        "3",
        "jobs",
        "of these that train",
    ),
    key(
        "limits.max_jobs_per_hour",
        Kind::Whole(1, 1_000_000),
        "100",
        "jobs",
        "started in any 60 minutes",
    ),
    key(
        "retry.times.transient",
        Kind::Whole(0, 1_000),
        "3",
        "times",
        "a job is started again after a failure of node or network",
    ),
    key(
        "retry.times.lost",
        Kind::Whole(0, 1_000),
        "3",
        "times",
        "a job is started again that vanished without a word",
    ),
];
