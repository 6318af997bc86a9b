//! Where the daemon's own log goes: the journal, with fields, where stderr leads there; else stderr.

use std::{env, fs, os::unix::fs::MetadataExt};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging. `CAMPAIGND_LOG` filters in tracing's language; without it, `level` holds for campaignd, and what its
/// libraries say is told from warnings on.
pub fn start(level: &str) {
    let usual = || EnvFilter::new(format!("warn,campaignd={level}"));
    let filter = EnvFilter::try_from_env("CAMPAIGND_LOG").unwrap_or_else(|_| usual());
    let registry = tracing_subscriber::registry().with(filter);
    let begun = match journal() {
        Some(journal) => registry.with(journal).try_init(),
        None => {
            let plain = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(false)
                // A full stderr cannot be told of on stderr: trying to ends in a panic.
                .log_internal_errors(false)
                .with_target(false);
            registry.with(plain).try_init()
        }
    };
    if let Err(error) = begun {
        eprintln!("campaignd: no log: {error}");
    }
}

/// The journal, if stderr is its. Fields keep their plain names (`CAMPAIGN=`, `SEQ=`, `EVENT=`, `JOB=`): they are what is
/// typed after `journalctl`. tracing's levels are one step too loud for syslog's by default.
fn journal() -> Option<tracing_journald::Layer> {
    if !leads_to_journal(&env::var("JOURNAL_STREAM").ok()?) {
        return None;
    }
    let levels = PriorityMappings {
        info: Priority::Informational,
        debug: Priority::Debug,
        ..PriorityMappings::new()
    };
    let layer = tracing_journald::layer().ok()?;
    Some(
        layer
            .with_field_prefix(None)
            .with_priority_mappings(levels)
            .with_syslog_identifier("campaignd".into()),
    )
}

/// Whether stderr still is what systemd connected (`device:inode`, systemd.exec(5)). A terminal that was started by a
/// service passes the variable on to every program in it.
fn leads_to_journal(stream: &str) -> bool {
    let stderr = fs::metadata("/proc/self/fd/2");
    stderr.is_ok_and(|found| stream == format!("{}:{}", found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inherited_variable_is_not_taken_for_the_journal() {
        let stderr = fs::metadata("/proc/self/fd/2").unwrap();
        let (device, inode) = (stderr.dev(), stderr.ino());
        assert!(leads_to_journal(&format!("{device}:{inode}")));
        assert!(!leads_to_journal(&format!("{device}:{}", inode + 1)));
    }
}
