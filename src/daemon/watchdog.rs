//! Signs of life: systemd is pinged only while every actor answers, and the state directory is still there.

use super::{BROKEN, lifecycle};
use crate::{
    actors::{
        coordinator::Snapshot,
        desk::Desk,
        supervision::{Fatal, Pulse, Supervisor},
    },
    store::Lock,
};
use actix::Addr;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc::UnboundedSender;

/// How often to look where systemd asks for no pings.
const TICK: Duration = Duration::from_secs(5);

/// Looks until the process ends. A ping is worth nothing if it comes from somebody who has nothing to do with the work:
/// it is sent only when each actor, and the thread that writes the journal, has answered within the interval.
pub async fn keep(
    supervisor: Addr<Supervisor>,
    desk: Desk,
    lock: Arc<Lock>,
    fatal: UnboundedSender<Fatal>,
) {
    let asked = sd_notify::watchdog_enabled();
    // Two pings within the time that systemd allows.
    let every = asked.map_or(TICK, |allowed| allowed / 3).min(TICK);
    loop {
        tokio::time::sleep(every).await;
        let pulse = Pulse { within: every };
        let silent = supervisor.send(pulse).await;
        match silent {
            Ok(silent) if silent.is_empty() => {
                let trees = desk.ask(Snapshot).await.unwrap_or_default();
                lifecycle::alive(&trees, asked.is_some());
            }
            Ok(silent) => {
                let names: Vec<String> = silent.iter().map(ToString::to_string).collect();
                tracing::error!("no sign of life from {}", names.join(", "));
            }
            Err(error) => tracing::error!("no sign of life from the supervisor: {error}"),
        }
        if !lock.is_named() {
            let why = "the state directory was removed or replaced while campaignd ran; \
                       jobs that run go on by themselves";
            // Nobody listens only when the process is ending.
            let _ = fatal.send(Fatal {
                status: BROKEN,
                why: why.into(),
            });
            return;
        }
    }
}
