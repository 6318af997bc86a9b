//! `GET /v1/campaigns/ID/scorecard`: the success metrics, counted from the samples and evaluations that are on disk now.

use super::{Answered, Room, trajectories::apart};
use crate::{
    actors::results,
    artifacts::samples::{PIECE, Samples},
    control::{api::VERSION, scorecard::ScorecardView},
    evaluation::{
        job::Measured,
        scorecard::{Rows, scorecard},
    },
    manifest::CampaignManifest,
};
use actix_web::web;
use std::io;

pub(super) async fn show(
    room: web::Data<Room>,
    word: web::Path<String>,
) -> Answered<web::Json<ScorecardView>> {
    let tree = room.find(&word).await?;
    let paths = room.state.campaign(&tree.campaign.id);
    let campaign = tree.campaign.id.to_string();
    let read = apart(move || Ok((rows(&paths)?, results::measured(&tree, &paths)?)));
    let (rows, evaluations): (Rows, Vec<Measured>) = read.await?;
    Ok(web::Json(ScorecardView {
        version: VERSION,
        campaign,
        metrics: scorecard(&rows, &evaluations),
        evaluations: evaluations
            .into_iter()
            .map(|measured| measured.name)
            .collect(),
    }))
}

fn rows(paths: &CampaignManifest) -> io::Result<Rows> {
    let (mut samples, mut rows) = (Samples::of(paths)?, Rows::default());
    while samples.read(PIECE, |_, _, line| rows.add(line))? {}
    Ok(rows)
}
