//! The PilotMonitor: follows the pilot's jobs, every 10 s at the latest.

use super::{Perform, Surroundings, performer, watch};

performer! {
    /// The actor.
    PilotMonitor, perform
}

async fn perform(here: Surroundings, perform: Perform) {
    watch::watch(&here, &perform, |pace| pace.pilot).await;
}
