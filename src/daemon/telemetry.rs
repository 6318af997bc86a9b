//! Where the daemon's own log goes: the journal under systemd, else stderr.

use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging. `CAMPAIGND_LOG` filters in tracing's language; without it, `level` holds.
pub fn start(level: &str) {
    let filter = EnvFilter::try_from_env("CAMPAIGND_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let registry = tracing_subscriber::registry().with(filter);
    // systemd sets this where stderr is the journal's.
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    let begun = match journal {
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
