//! The routes about jobs, and about the scheduler that some of them wait for.

use super::{Answered, Query, Room, trajectories::apart};
use crate::{
    actors::{slurm_view, view},
    control::api::{JobsView, SlurmSite, VERSION},
    machines::tree::CampaignTree,
};
use actix_web::web;
use std::sync::Arc;

pub(super) async fn jobs(room: web::Data<Room>, query: Query) -> Answered<web::Json<JobsView>> {
    let trees = match query.get("id") {
        Some(word) => vec![room.find(word).await?],
        None => room.trees().await?.into_values().collect::<Vec<_>>(),
    };
    let (seen, state) = (Arc::clone(&room.seen), room.state.clone());
    let slurm = Arc::clone(&room.slurm);
    let of = move |tree: &Arc<CampaignTree>| view::jobs(tree, &seen, &state, &slurm);
    let jobs = apart(move || Ok(trees.iter().flat_map(of).collect())).await?;
    Ok(web::Json(JobsView {
        version: VERSION,
        jobs,
    }))
}

pub(super) async fn slurm(room: web::Data<Room>) -> web::Json<SlurmSite> {
    let tuned = room.tuning.get();
    web::Json(SlurmSite {
        version: VERSION,
        state_dir: room.state.root().display().to_string(),
        site: tuned.site,
        at_once: tuned.slurm.at_once,
        max_array_size: tuned.slurm.largest,
        news: slurm_view::news(&room.slurm),
    })
}
