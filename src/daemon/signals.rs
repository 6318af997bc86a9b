//! Signals, from a thread of their own to the daemon: the first asks for an end, a second one does not wait for it.

use crate::actors::control_server::Stop;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{io, thread};
use tokio::sync::mpsc::UnboundedSender;

/// Listens for SIGTERM and SIGINT. `on_interrupt` is how a SIGINT ends: the foreground `run` ends its local jobs, the
/// daemon leaves them. A second signal ends the process at once, with status 130; everything committed is kept.
///
/// # Errors
/// Those of registering.
pub fn listen(stop: UnboundedSender<Stop>, on_interrupt: Stop) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut asked = false;
            for signal in signals.forever() {
                if asked {
                    std::process::exit(130);
                }
                asked = true;
                let how = if signal == SIGINT {
                    on_interrupt
                } else {
                    Stop::Leave
                };
                if stop.send(how).is_err() {
                    return;
                }
            }
        })?;
    Ok(())
}
