//! The CampaignMonitor: follows every job that is neither pilot nor training, every 60 s at the latest.

use super::{Perform, Surroundings, performer, watch};

performer! {
    /// The actor.
    CampaignMonitor, perform
}

async fn perform(here: Surroundings, perform: Perform) {
    watch::watch(&here, &perform, |pace| pace.campaign).await;
}
