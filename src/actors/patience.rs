//! Patience: what an effect cannot do for want of room or descriptors waits for them. It costs no attempt, and says so once.

use super::Surroundings;
use crate::ids::EffectId;
use std::{fmt::Display, time::Duration};

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Tries while `passing` says that an error will pass. None: the effect is not owed any more.
///
/// # Errors
/// Every other error of `attempt`, at once.
pub(super) async fn patiently<T, E: Display>(
    here: &Surroundings,
    id: &EffectId,
    passing: fn(&E) -> bool,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<Option<T>, E> {
    let mut told = false;
    loop {
        match attempt().await {
            Err(error) if passing(&error) => {
                if !told {
                    tracing::error!(campaign = %id.campaign, "{error}; {id} waits until that has passed");
                }
                told = true;
                tokio::time::sleep(PAUSE).await;
                if !here.owed(id).await {
                    return Ok(None);
                }
            }
            tried => {
                if told {
                    tracing::info!(campaign = %id.campaign, "{id} goes on");
                }
                return tried.map(Some);
            }
        }
    }
}
