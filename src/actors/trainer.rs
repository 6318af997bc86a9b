//! The Trainer: starts and follows training jobs. At most three run at once; the line is kept by admission.

use super::{Perform, Surroundings, launcher, performer, watch};
use crate::machines::effect::Effect;

performer! {
    /// The actor.
    Trainer, perform
}

async fn perform(here: Surroundings, perform: Perform) {
    match perform.effect {
        Effect::LaunchJob { .. } => launcher::launch(&here, &perform).await,
        _ => watch::watch(&here, &perform, |pace| pace.campaign).await,
    }
}
