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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{control::api::TaskOnSlurm, machines::job::Cause};

    const NOW: Timestamp = Timestamp(1_772_442_842_000);

    #[test]
    fn a_job_says_what_it_asked_for_and_used_and_what_was_tried_again() {
        let row = JobView {
            job: "alttp-14".into(),
            phase: "generate 3/8".into(),
            place: "slurm 918280_3".into(),
            state: "done".into(),
            status: "COMPLETED".into(),
            attempt: 2,
            directory: "/state/jobs/alttp-14".into(),
            asked: Asked {
                time_seconds: Some(3_600),
                slurm: Some(SlurmSpec {
                    partition: "main".into(),
                    mem_mib: Some(1_536),
                    ..SlurmSpec::default()
                }),
            },
            used: Some(Used {
                wall_ms: 63_000,
                cpu_ms: Some(60_000),
                max_rss_kib: Some(1_400_000),
            }),
            scheduler: Some(TaskOnSlurm {
                id: "918280_3".into(),
                state: "COMPLETED".into(),
                nodes: "node7".into(),
                ..TaskOnSlurm::default()
            }),
            retries: vec![JobResolution {
                job: "alttp-12".parse().unwrap(),
                shard: 2,
                retry: "alttp-14".parse().unwrap(),
                error_type: Cause::OutOfMemory,
                error_message: "SLURM says OUT_OF_MEMORY".into(),
                resolution_attempted: "increase_memory 1024 -> 1536 MiB".into(),
                resolution_success: Some(true),
                iterations: 1,
                final_state: "done".into(),
            }],
            ..JobView::default()
        };
        let text = job(&[row], NOW);
        for wanted in [
            "asked      time 1h 00m, partition main, memory 1536 MiB\n",
            "used       1m 03s, processors 1m 00s, memory 1368 MiB\n",
            "slurm      918280_3 COMPLETED on node7\n",
            "increase_memory",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert_eq!(job(&[], NOW), "");
    }
}
