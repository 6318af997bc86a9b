//! What a member begins with, or goes on from: the newest checkpoint, else the adapters that were asked for, else fresh ones.

use super::{
    Told, checkpoint::Checkpoints, member::Tell, origin, places::Places, prepare::Prepared,
    state::State,
};
use crate::{
    lora::{
        engine::{Adapters, AllMoments, fresh},
        files::read_adapter,
    },
    training::job::FineTune,
    worker::Undone,
};
use std::path::Path;

/// What a member comes with.
pub struct Start {
    /// Where it goes on; none: it begins.
    pub state: State,
    /// Its adapters.
    pub adapters: Adapters,
    /// Their moments, where it goes on.
    pub moments: Option<AllMoments>,
    /// Its checkpoints.
    pub checkpoints: Checkpoints,
}

impl Start {
    /// Of the newest checkpoint, or anew.
    ///
    /// # Errors
    /// A checkpoint that was started with something else; an adapter that does not fit.
    pub fn of(
        job: &FineTune,
        places: &Places,
        prepared: &Prepared,
        tell: Tell<'_>,
    ) -> Result<Self, Undone> {
        let mut checkpoints = Checkpoints::of(&places.work);
        let newest = checkpoints.newest(&prepared.identity, &prepared.model.decoder, tell)?;
        Ok(match newest {
            Some(newest) => Self {
                state: newest.state,
                adapters: newest.adapters,
                moments: Some(newest.moments),
                checkpoints,
            },
            None => Self {
                state: State::new(prepared.identity.clone()),
                adapters: first(job, prepared, tell)?,
                moments: None,
                checkpoints,
            },
        })
    }
}

/// The adapters of the first step: those that were asked for, else fresh ones.
fn first(job: &FineTune, prepared: &Prepared, tell: Tell<'_>) -> Result<Adapters, Undone> {
    let decoder = &prepared.model.decoder;
    let fresh = fresh(&job.settings, decoder);
    let Some(dir) = &job.adapter_init else {
        return Ok(fresh);
    };
    let read = read_adapter(Path::new(dir), decoder).map_err(|error| error.to_string())?;
    let hash = &prepared.identity.model;
    if let Some(note) = origin::check(Path::new(dir), &read, &prepared.model, hash)? {
        tell(Told::Note(note));
    }
    for (site, adapter) in &fresh {
        let found = read.adapters.get(site);
        let same = found.is_some_and(|found| {
            found.rank == adapter.rank
                && (found.scale - adapter.scale).abs() <= 1e-6 * adapter.scale
        });
        if !same {
            let said = found.map_or("none".into(), |found| {
                format!("one of rank {} and scale {}", found.rank, found.scale)
            });
            return Err(format!(
                "the adapter {dir} does not fit the settings: for {site} they ask for rank {} and scale {}, and it has {said}",
                adapter.rank, adapter.scale
            )
            .into());
        }
    }
    if let Some(site) = read.adapters.keys().find(|site| !fresh.contains_key(site)) {
        let text = format!("the adapter {dir} has {site}, which is not among target_modules");
        return Err(text.into());
    }
    Ok(read.adapters)
}
