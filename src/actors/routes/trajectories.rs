//! The routes of trajectories: one, a sample, all of them. Shard files are read on threads that may wait; what people say
//! and what running a workflow adds is joined by id.

mod feedback;
mod rows;

use super::{Answered, Query, Refusal, Room, ending, refusal};
use crate::{
    artifacts::{
        executions::{self, Executions},
        feedback::{Feedback, last_words},
        is_starved, samples,
    },
    control::{
        api::{ErrorView, VERSION},
        trajectories::{MOST_SAMPLED, SampleView, TrajectoryView},
    },
    ids::CampaignId,
    manifest::CampaignManifest,
};
use actix_web::{HttpResponse, http::StatusCode, web};
use serde_json::Value;
use std::{io, str::FromStr};

/// Bytes of a sample: it is one answer, in memory here and there.
const MOST_OF_A_SAMPLE: usize = 64 << 20;

/// The routes. Before the verbs of a campaign, one of which would be called `feedback`.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/trajectories/{id}", web::get().to(anywhere))
        .route("/v1/campaigns/{c}/trajectories", web::get().to(several))
        .route("/v1/campaigns/{c}/trajectories/{id}", web::get().to(one))
        .route("/v1/campaigns/{c}/feedback", web::get().to(feedback::said))
        .route("/v1/campaigns/{c}/feedback", web::post().to(feedback::say));
}

/// Work on a thread that may wait.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Answered<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ending())?.map_err(|error| broken(&error))
}

/// Files that cannot be read or written: a full disk passes, what else there is a person must look at.
pub(super) fn broken(error: &io::Error) -> Refusal {
    let (status, right) = if is_starved(error) {
        let right = "room on the disk; what was acknowledged is kept, this was not recorded";
        (StatusCode::INSUFFICIENT_STORAGE, right)
    } else if error.kind() == io::ErrorKind::FileTooLarge {
        (StatusCode::BAD_REQUEST, "a smaller sample")
    } else {
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "campaignctl logs --level orchestration",
        )
    };
    refusal(status, "store", error.to_string(), None, Some(right.into()))
}

fn wrong(key: &str, value: &str, message: String, expected: &str) -> Refusal {
    let error = ErrorView {
        kind: "usage".into(),
        message,
        at: Some(format!("{key} = {value:?}")),
        right: Some(expected.into()),
        key: Some(key.into()),
        value: Some(value.into()),
        expected: Some(expected.into()),
        exit_status: 2,
        ..ErrorView::default()
    };
    Refusal(StatusCode::BAD_REQUEST, Box::new(error))
}

/// A value of the query, where there is one.
fn asked<T: FromStr>(query: &Query, key: &str, expected: &str) -> Answered<Option<T>> {
    let Some(text) = query.get(key) else {
        return Ok(None);
    };
    let read = text.parse().map(Some);
    read.map_err(|_| wrong(key, text, format!("{key} is not {expected}"), expected))
}

fn no_such(id: &str, at: Option<String>) -> Refusal {
    let message = format!("there is no trajectory {id:?}");
    let right =
        "an id of the campaign's shard files, or: campaignctl review CAMPAIGN --sample 10 --json";
    let status = StatusCode::NOT_FOUND;
    refusal(status, "unknown", message, at, Some(right.into()))
}

/// A row with what people say of it, and what running its workflow adds.
fn joined(
    line: &[u8],
    last: Option<&Feedback>,
    executions: &Executions,
) -> serde_json::Result<Value> {
    let mut row: Value = serde_json::from_slice(line)?;
    if let Some(row) = row.as_object_mut() {
        executions.join(row);
        if let Some(last) = last {
            row.insert("user_feedback".into(), last.feedback.name().into());
        }
    }
    Ok(row)
}

/// One trajectory of a campaign.
fn look(
    paths: &CampaignManifest,
    campaign: &CampaignId,
    id: &str,
) -> io::Result<Option<TrajectoryView>> {
    let Some((shard, line)) = samples::find(paths, id)? else {
        return Ok(None);
    };
    let feedback = last_words(&paths.feedback())?.remove(id);
    let executions = Executions::of(paths)?;
    let execution = match executions.has(id) {
        true => executions::find(paths, id)?,
        false => None,
    };
    Ok(Some(TrajectoryView {
        version: VERSION,
        campaign: campaign.to_string(),
        phase: shard.phase.into(),
        id: id.into(),
        trajectory: joined(&line, feedback.as_ref(), &executions)?,
        feedback,
        execution,
    }))
}

/// `GET /v1/campaigns/C/trajectories/ID`.
async fn one(
    room: web::Data<Room>,
    path: web::Path<(String, String)>,
) -> Answered<web::Json<TrajectoryView>> {
    let (word, id) = path.into_inner();
    let campaign = room.find(&word).await?.campaign.id.clone();
    let (paths, named) = (room.state.campaign(&campaign), campaign.clone());
    let wanted = id.clone();
    let found = apart(move || look(&paths, &named, &wanted)).await?;
    let at = || Some(format!("campaign {campaign}"));
    found.map(web::Json).ok_or_else(|| no_such(&id, at()))
}

/// `GET /v1/trajectories/ID`: whichever campaign it is of.
async fn anywhere(
    room: web::Data<Room>,
    id: web::Path<String>,
) -> Answered<web::Json<TrajectoryView>> {
    let campaigns: Vec<CampaignId> = room.trees().await?.into_keys().collect();
    let (state, wanted) = (room.state.clone(), id.clone());
    let looked = apart(move || {
        let mut found = Vec::new();
        for campaign in &campaigns {
            found.extend(look(&state.campaign(campaign), campaign, &wanted)?);
        }
        Ok(found)
    });
    let mut found = looked.await?;
    found.sort_by(|one, other| one.campaign.cmp(&other.campaign));
    if found.len() > 1 {
        let message = format!("several campaigns have a trajectory {:?}", id.as_str());
        let ways: Vec<String> = found
            .iter()
            .map(|view| format!("{}/{id}", view.campaign))
            .collect();
        let right = Some(ways.join("   or: "));
        let status = StatusCode::CONFLICT;
        return Err(refusal(status, "unknown", message, None, right));
    }
    found.pop().map(web::Json).ok_or_else(|| no_such(&id, None))
}

/// `GET /v1/campaigns/C/trajectories`: with `sample=N`, `seed=S` and `unreviewed=true` a sample, without all rows as lines;
/// with `summary=1` a last line that says what the others are.
async fn several(
    room: web::Data<Room>,
    word: web::Path<String>,
    query: Query,
) -> Answered<HttpResponse> {
    let campaign = room.find(&word).await?.campaign.id.clone();
    let sample: Option<usize> = asked(&query, "sample", "a number from 1 to 1000")?;
    let seed = asked(&query, "seed", "a number from 0 to 18446744073709551615")?;
    let unreviewed = asked(&query, "unreviewed", "true or false")?.unwrap_or(false);
    let paths = room.state.campaign(&campaign);
    let Some(count) = sample else {
        let summary = query.get("summary").is_some_and(|value| value == "1");
        return rows::all(paths, summary).await;
    };
    if !(1..=MOST_SAMPLED).contains(&count) {
        let message = format!("a sample has 1 to {MOST_SAMPLED} trajectories");
        let value = count.to_string();
        return Err(wrong("sample", &value, message, "a number from 1 to 1000"));
    }
    let seed = seed.unwrap_or(0);
    let drawn = apart(move || draw(&paths, &campaign, count, seed, unreviewed)).await?;
    Ok(HttpResponse::Ok().json(drawn))
}

fn draw(
    paths: &CampaignManifest,
    campaign: &CampaignId,
    count: usize,
    seed: u64,
    unreviewed: bool,
) -> io::Result<SampleView> {
    let mut said = last_words(&paths.feedback())?;
    let wanted = |id: &str| !(unreviewed && said.contains_key(id));
    let drawn = samples::sample(paths, count, seed, MOST_OF_A_SAMPLE, wanted)?;
    let executions = Executions::of(paths)?;
    let mut sample = Vec::new();
    for (phase, id, line) in drawn.rows {
        let feedback = said.remove(&id);
        sample.push(TrajectoryView {
            version: 0,
            campaign: campaign.to_string(),
            phase: phase.into(),
            trajectory: joined(&line, feedback.as_ref(), &executions)?,
            id,
            feedback,
            execution: None,
        });
    }
    Ok(SampleView {
        version: VERSION,
        campaign: campaign.to_string(),
        seed,
        population: drawn.population,
        sample,
    })
}
