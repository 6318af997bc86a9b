//! What is asked of SLURM: by sbatch's own names, for all phases and for one.

use super::{
    keys::{Key, Kind, key},
    layers::Layers,
};
use crate::{
    machines::{
        job::Phase,
        spec::{ExecutorKind, SlurmSpec},
    },
    time::parse_duration,
};
use std::{collections::BTreeMap, path::Path};

/// The keys of one table.
macro_rules! resources {
    ($prefix:literal) => {{
        macro_rules! named {
            ($name:literal, $kind:expr, $default:literal, $unit:literal, $sentence:literal) => {
                key(concat!($prefix, $name), $kind, $default, $unit, $sentence)
            };
        }
        const KEYS: &[Key] = &[
            named!(
                "partition",
                Kind::Text,
                "\"\"",
                "name",
                "of sbatch; \"\" leaves each of these to the site"
            ),
            named!("account", Kind::Text, "\"\"", "name", "who pays"),
            named!("qos", Kind::Text, "\"\"", "name", "quality of service"),
            named!(
                "time",
                Kind::Text,
                "\"\"",
                "time",
                "limit of one task: \"4h\", or as sbatch writes it, \"4:00:00\""
            ),
            named!("mem", Kind::Text, "\"\"", "memory", "of one task: \"32G\""),
            named!(
                "cpus_per_task",
                Kind::Whole(0, 65_536),
                "0",
                "cores",
                "of one task; 0 leaves it to the site"
            ),
            named!(
                "gres",
                Kind::Text,
                "\"\"",
                "",
                "GPUs of one task: \"gpu:1\""
            ),
            named!(
                "constraint",
                Kind::Text,
                "\"\"",
                "",
                "features its node must have"
            ),
            named!(
                "clusters",
                Kind::Text,
                "\"\"",
                "names",
                "passed to every SLURM program as --clusters"
            ),
            named!(
                "extra",
                Kind::List,
                "[]",
                "",
                "further options of sbatch, one argument each"
            ),
            named!(
                "log_dir",
                Kind::Text,
                "\"\"",
                "path",
                "what batch scripts print; \"\" = the job directory"
            ),
            named!(
                "work_base_dir",
                Kind::Text,
                "\"\"",
                "path",
                "work of workflow runs; \"\" = the campaign's directory"
            ),
        ];
        KEYS
    }};
}

/// Where a phase's own table is, by phase; the pilot and the full generation share one.
const TABLES: [(Phase, &str); 6] = [
    (Phase::Pilot, "generator."),
    (Phase::Generate, "generator."),
    (Phase::Execute, "execution."),
    (Phase::Curate, "curation."),
    (Phase::Train, "training."),
    (Phase::Evaluate, "evaluation."),
];

const fn place(name: &'static str, sentence: &'static str) -> Key {
    key(
        name,
        Kind::Word(&["", "local", "slurm"]),
        "\"\"",
        "",
        sentence,
    )
}

/// Where each phase runs.
const PLACES: &[Key] = &[
    place(
        "generator.executor",
        "where generation runs; \"\" = as the campaign",
    ),
    place(
        "execution.executor",
        "where workflows run; \"\" = as the campaign",
    ),
    place(
        "curation.executor",
        "where curation runs; \"\" = as the campaign",
    ),
    place(
        "training.executor",
        "where training runs; \"\" = as the campaign",
    ),
    place(
        "evaluation.executor",
        "where evaluation runs; \"\" = as the campaign",
    ),
];

/// The keys of a campaign file.
pub const KEYS: [&[Key]; 7] = [
    resources!("slurm."),
    resources!("generator.slurm."),
    resources!("execution.slurm."),
    resources!("curation.slurm."),
    resources!("training.slurm."),
    resources!("evaluation.slurm."),
    PLACES,
];

/// The keys of `campaignd.toml`: the site's own values.
pub const SITE: &[Key] = resources!("slurm.");

/// Keys that are only the daemon's: how it treats the controller.
pub const DAEMON: &[Key] = &[
    key(
        "slurm.poll_interval",
        Kind::Duration,
        "\"60s\"",
        "time",
        "one squeue for all jobs",
    ),
    key(
        "slurm.calls.burst",
        Kind::Whole(2, 100_000),
        "40",
        "calls",
        "of SLURM's programs at once",
    ),
    key(
        "slurm.calls.per_minute",
        Kind::Whole(1, 100_000),
        "4",
        "calls",
        "that come back; status and submission together",
    ),
    key(
        "slurm.max_array_size",
        Kind::Whole(1, 100_000),
        "1000",
        "tasks",
        "of one array at most",
    ),
    key(
        "retry.grow",
        Kind::Amount,
        "1.5",
        "factor",
        "of memory or time when a task on SLURM had too little",
    ),
];

/// Whether a key is worth showing: those of SLURM where nothing is said of it are nobody's.
pub fn concerns(layers: &Layers, key: &str) -> bool {
    let about = key.contains("slurm.") || (key != "executor" && key.ends_with("executor"));
    !about || layers.get(key).is_some_and(|set| set.from != "default")
}

/// What one table asks for. Complains where a value cannot be read.
pub fn resources(layers: &mut Layers, prefix: &str, directory: &Path) -> SlurmSpec {
    let name = |key: &str| format!("{prefix}slurm.{key}");
    let path = |text: String| match text.is_empty() {
        true => text,
        false => directory.join(text).display().to_string(),
    };
    let time = layers.string(&name("time"));
    let time_seconds = read(
        layers,
        &name("time"),
        &time,
        seconds,
        "\"4h\", \"4:00:00\" or \"1-12:00:00\"",
    );
    let mem = layers.string(&name("mem"));
    let mem_mib = read(
        layers,
        &name("mem"),
        &mem,
        mebibytes,
        "\"32G\" or \"32000M\"",
    );
    let cpus = layers.whole(&name("cpus_per_task"));
    SlurmSpec {
        partition: layers.string(&name("partition")),
        account: layers.string(&name("account")),
        qos: layers.string(&name("qos")),
        time_seconds,
        mem_mib,
        cpus_per_task: u32::try_from(cpus).ok().filter(|cpus| *cpus > 0),
        gres: layers.string(&name("gres")),
        constraint: layers.string(&name("constraint")),
        clusters: layers.string(&name("clusters")),
        extra: layers.list(&name("extra")),
        log_dir: path(layers.string(&name("log_dir"))),
        work_base_dir: path(layers.string(&name("work_base_dir"))),
        grow_percent: 0,
    }
}

/// Whether what a table is about runs on SLURM: by its own word, or by the campaign's.
pub fn is_on_slurm(layers: &Layers, prefix: &str) -> bool {
    let own = layers.string(&format!("{prefix}executor"));
    let place = if own.is_empty() {
        layers.string("executor")
    } else {
        own
    };
    place.parse() == Ok(ExecutorKind::Slurm)
}

/// The phases that run on SLURM, each with its own table over the campaign's.
pub fn phases(layers: &mut Layers, directory: &Path) -> BTreeMap<Phase, SlurmSpec> {
    let base = resources(layers, "", directory);
    let mut found = BTreeMap::new();
    // Phases that share a table stand next to each other: it is read once, and complained of once.
    let mut last: Option<(&str, SlurmSpec)> = None;
    for (phase, prefix) in TABLES {
        if !is_on_slurm(layers, prefix) {
            continue;
        }
        let own = match last.take() {
            Some((same, own)) if same == prefix => own,
            _ => resources(layers, prefix, directory).or(&base),
        };
        found.insert(phase, own.clone());
        last = Some((prefix, own));
    }
    let told = found.values().flat_map(SlurmSpec::problems);
    let told: std::collections::BTreeSet<String> = told.collect();
    for problem in told {
        layers.complain("slurm.extra", problem, None);
    }
    found
}

fn read(
    layers: &mut Layers,
    name: &str,
    text: &str,
    reading: fn(&str) -> Option<u64>,
    right: &str,
) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let number = reading(text).filter(|number| *number > 0);
    if number.is_none() {
        let message = format!("{name} cannot be read");
        layers.complain(name, message, Some(right.into()));
    }
    number
}

/// A limit as people write it, or as sbatch does: `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`,
/// `days-hours:minutes`, `days-hours:minutes:seconds` (sbatch(1), `--time`).
pub fn seconds(text: &str) -> Option<u64> {
    if let Ok(duration) = parse_duration(text) {
        return Some(duration.as_secs());
    }
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(days.parse::<u64>().ok()?), rest),
        None => (None, text),
    };
    let parts: Vec<u64> = rest
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match (days.is_some(), parts.as_slice()) {
        (false, [minutes]) => (0, *minutes, 0),
        (false, [minutes, seconds]) => (0, *minutes, *seconds),
        (true, [hours]) => (*hours, 0, 0),
        (true, [hours, minutes]) => (*hours, *minutes, 0),
        (_, [hours, minutes, seconds]) => (*hours, *minutes, *seconds),
        _ => return None,
    };
    let days = days.unwrap_or(0).checked_mul(86_400)?;
    let hours = hours.checked_mul(3_600)?;
    let minutes = minutes.checked_mul(60)?;
    days.checked_add(hours)?
        .checked_add(minutes)?
        .checked_add(seconds)
}

/// A size as sbatch writes it (`--mem`), in MiB: without a unit it is MiB already.
pub fn mebibytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|unit: char| !unit.is_ascii_digit());
    let number: u64 = digits.parse().ok()?;
    match text[digits.len()..].trim().to_ascii_uppercase().as_str() {
        "K" | "KB" => Some(number.div_ceil(1024)),
        "" | "M" | "MB" => Some(number),
        "G" | "GB" => number.checked_mul(1 << 10),
        "T" | "TB" => number.checked_mul(1 << 20),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_sizes_as_sbatch_writes_them() {
        for (text, wanted) in [
            ("4h", Some(14_400)),
            ("4:00:00", Some(14_400)),
            ("90", Some(5_400)),
            ("10:30", Some(630)),
            ("1-12", Some(129_600)),
            ("1-12:30", Some(131_400)),
            ("2-00:00:05", Some(172_805)),
            ("1:2:3:4", None),
            ("x", None),
            ("99999999999999999999", None),
            ("999999999999999999-0", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
        for (text, wanted) in [
            ("32G", Some(32_768)),
            ("32000M", Some(32_000)),
            ("1T", Some(1_048_576)),
            ("500", Some(500)),
            ("1K", Some(1)),
            ("32X", None),
            ("G", None),
            ("99999999999999999T", None),
        ] {
            assert_eq!(mebibytes(text), wanted, "{text}");
        }
    }
}
