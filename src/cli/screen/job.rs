//! One job: its rows, and what is known of each of its tasks.

use super::{super::style::seconds, fit::labelled, jobs};
use crate::{
    control::api::{Asked, JobView, Used},
    machines::{resolution::JobResolution, spec::SlurmSpec},
    time::Timestamp,
};

/// The most retries that are listed.
const RETRIES: usize = 20;

/// The page.
pub fn job(rows: &[JobView], now: Timestamp) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let mut text = jobs(rows, now);
    text += &format!(
        "status     {}   attempt {}\ndirectory  {}\n",
        first.status, first.attempt, first.directory
    );
    text += &labelled("asked      ", &asked(&first.asked));
    for row in rows {
        if let Some(used) = &row.used {
            let name = if rows.len() > 1 {
                format!("{}: ", row.phase)
            } else {
                String::new()
            };
            text += &labelled("used       ", &format!("{name}{}", spent(used)));
        }
        if let Some(told) = row.scheduler.as_ref().filter(|told| !told.state.is_empty()) {
            let reason = match told.reason.as_str() {
                "" => String::new(),
                reason => format!(" ({reason})"),
            };
            let nodes = match told.nodes.as_str() {
                "" => String::new(),
                nodes => format!(" on {nodes}"),
            };
            text += &labelled(
                "slurm      ",
                &format!("{} {}{reason}{nodes}", told.id, told.state),
            );
        }
    }
    let retries: Vec<&JobResolution> = rows.iter().flat_map(|row| &row.retries).collect();
    for retry in retries.iter().take(RETRIES) {
        text += &labelled("retry      ", &told(retry));
    }
    if retries.len() > RETRIES {
        let more = retries.len() - RETRIES;
        text += &format!("retry      and {more} more: --json has all\n");
    }
    text
}

fn asked(asked: &Asked) -> String {
    let limit = asked.time_seconds;
    let mut all: Vec<String> = Vec::new();
    all.extend(limit.map(|limit| format!("time {}", seconds(limit as f64))));
    if let Some(slurm) = &asked.slurm {
        all.extend(of_slurm(slurm));
    }
    match all.is_empty() {
        true => "no limit".into(),
        false => all.join(", "),
    }
}

fn of_slurm(slurm: &SlurmSpec) -> Vec<String> {
    let words = [
        ("partition", &slurm.partition),
        ("account", &slurm.account),
        ("qos", &slurm.qos),
        ("gres", &slurm.gres),
        ("constraint", &slurm.constraint),
        ("clusters", &slurm.clusters),
    ];
    let words = words.into_iter().filter(|(_, word)| !word.is_empty());
    let mut all: Vec<String> = words.map(|(key, word)| format!("{key} {word}")).collect();
    let limit = slurm.time_seconds;
    all.extend(limit.map(|limit| format!("slurm time {}", seconds(limit as f64))));
    all.extend(slurm.mem_mib.map(|mem| format!("memory {mem} MiB")));
    let cpus = slurm.cpus_per_task;
    all.extend(cpus.map(|cpus| format!("{cpus} cores a task")));
    all.extend(slurm.extra.iter().cloned());
    all
}

fn spent(used: &Used) -> String {
    let mut text = seconds(used.wall_ms as f64 / 1e3);
    if let Some(cpu) = used.cpu_ms {
        text += &format!(", processors {}", seconds(cpu as f64 / 1e3));
    }
    if let Some(rss) = used.max_rss_kib {
        text += &format!(", memory {} MiB", rss.div_ceil(1024));
    }
    text
}

fn told(retry: &JobResolution) -> String {
    let helped = match retry.resolution_success {
        Some(true) => "done",
        Some(false) => "undone again",
        None => "under way",
    };
    format!(
        "{} of {} task {}: {} ({}) -> {}, {helped}",
        retry.iterations,
        retry.job,
        retry.shard,
        retry.error_type,
        retry.error_message,
        retry.resolution_attempted
    )
}
