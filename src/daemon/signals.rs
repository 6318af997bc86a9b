//! Signals, from a thread of their own to the daemon: the first asks for an end, a second one does not wait for it.

use super::{Remote, lifecycle};
use crate::actors::{control_server::Stop, tuning::Tuned};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{io, thread};

/// Listens for SIGTERM and SIGINT. `on_interrupt` is how a SIGINT ends: the foreground `run` ends its local jobs, the
/// daemon leaves them. A second signal ends the process at once, with status 130; everything committed is kept.
///
/// # Errors
/// Those of registering.
pub fn listen(remote: Remote, on_interrupt: Stop) -> io::Result<()> {
    hear(remote, on_interrupt, &[SIGINT, SIGTERM], || Err("".into()))
}

/// [`listen`], and SIGHUP: `reload` reads the settings again, or says in a sentence why they stay as they were.
///
/// # Errors
/// Those of registering.
pub fn listen_and_reload(
    remote: Remote,
    reload: impl Fn() -> Result<Tuned, String> + Send + 'static,
) -> io::Result<()> {
    hear(remote, Stop::Leave, &[SIGINT, SIGTERM, SIGHUP], reload)
}

fn hear(
    remote: Remote,
    on_interrupt: Stop,
    signals: &[i32],
    reload: impl Fn() -> Result<Tuned, String> + Send + 'static,
) -> io::Result<()> {
    let mut signals = Signals::new(signals)?;
    let hear = move || {
        let mut asked = false;
        for signal in signals.forever() {
            if signal == SIGHUP {
                lifecycle::reloading();
                match reload() {
                    Ok(tuned) => {
                        tracing::info!("settings are read again: {:?}", tuned.limits);
                        remote.slurm.set(tuned.slurm);
                        remote.tuning.set(tuned);
                    }
                    Err(why) => tracing::error!("the settings stay as they were: {why}"),
                }
                lifecycle::ready();
                continue;
            }
            if asked {
                std::process::exit(130);
            }
            asked = true;
            let how = if signal == SIGINT {
                on_interrupt
            } else {
                Stop::Leave
            };
            if remote.stop.send(how).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(hear)?;
    Ok(())
}
