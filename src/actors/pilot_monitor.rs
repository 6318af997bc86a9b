//! The PilotMonitor: follows the pilot's jobs, every 10 s at the latest.

use super::{Perform, Surroundings, performer, watch};

performer! {
    /// The actor.
    PilotMonitor, perform
}

async fn perform(here: Surroundings, perform: Perform) {
    let pace = here.pace.pilot;
    watch::watch(&here, &perform, pace).await;
}
