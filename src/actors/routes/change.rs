//! The routes that change something: submit, the verbs of a campaign, clean.

use super::{Answered, Body, Room, ending, refusal, trajectories::apart};
use crate::{
    actors::{coordinator::Clean, now},
    artifacts::left,
    control::api::{Accepted, ActRequest, SubmitRequest, VERSION},
    ids::CampaignId,
    machines::{
        campaign::State, event::Event, plan, proposal, spec::BudgetSpec, tree::CampaignTree,
    },
    points::point,
};
use actix_web::{HttpRequest, http::StatusCode, web};
use std::{fs, io, sync::Arc};

/// A new campaign, or the same one again: its id answers, and nothing is started twice.
pub(super) async fn submit(
    room: web::Data<Room>,
    request: Body<SubmitRequest>,
    connection: HttpRequest,
) -> Answered<web::Json<Accepted>> {
    let uid = room.changer(&connection).await?;
    let SubmitRequest {
        mut spec,
        parts,
        amend,
    } = request.0;
    let id = spec.name.clone();
    let _one_at_a_time = room.changing.lock().await;
    let known = room.trees().await?.get(&id).cloned();
    // A setting of this daemon, not of the file or of who hands it in; frozen as everything else is.
    spec.retry = match &known {
        Some(tree) => tree.campaign.spec.retry,
        None => room.tuning.get().retry,
    };
    // What a campaign leaves open is the site's to say, once.
    let site = room.tuning.get().site;
    for (phase, slurm) in &mut spec.slurm {
        let frozen = known
            .as_ref()
            .and_then(|tree| tree.campaign.spec.slurm.get(phase));
        *slurm = std::mem::take(slurm).or(frozen.unwrap_or(&site));
    }
    let Some(tree) = known else {
        set_aside(&room, &id).await?;
        let event = Event::Submitted {
            spec: Box::new(spec),
            parts,
        };
        return room.ask(id, event, uid).await.map(web::Json);
    };
    let campaign = &tree.campaign;
    let gate_differs = campaign.spec.criteria_difference(&spec).is_some();
    let amendable = matches!(campaign.state, State::Rejected | State::AwaitingApproval);
    if gate_differs && amend && amendable {
        let criteria = spec.criteria.clone();
        return room
            .ask(id, Event::CriteriaAmended { criteria }, uid)
            .await
            .map(web::Json);
    }
    if let Some((key, ours, theirs)) = campaign.spec.difference(&spec) {
        let word = if campaign.state.ended() {
            "already there"
        } else {
            "already running"
        };
        let message = format!(
            "campaign {word}: {id} is {} with another {key}",
            campaign.state
        );
        let at = format!("{key} = {theirs}   (frozen: {ours})");
        let right = format!("another name, the same {key}, or: campaignctl clean {id}");
        return Err(refusal(
            StatusCode::CONFLICT,
            "state",
            message,
            Some(at),
            Some(right),
        ));
    }
    if campaign.parts != parts && campaign.state == State::Halted {
        return room
            .ask(id, Event::Continued { parts }, uid)
            .await
            .map(web::Json);
    }
    Ok(web::Json(Accepted {
        version: VERSION,
        id: id.to_string(),
        seq: None,
        state: campaign.state.name().into(),
        what: format!("{id} is {} already", campaign.state),
        uid: Some(uid),
        campaign: Some(room.view(tree).await?),
    }))
}

pub(super) async fn act(
    room: web::Data<Room>,
    path: web::Path<(String, String)>,
    request: Body<ActRequest>,
    connection: HttpRequest,
) -> Answered<web::Json<Accepted>> {
    let uid = room.changer(&connection).await?;
    let (word, verb) = path.into_inner();
    let tree = room.find(&word).await?;
    let id = tree.campaign.id.clone();
    let request = request.0;
    let of_proposals = matches!(verb.as_str(), "approve" | "reject")
        && (tree.campaign.state == State::AwaitingDecision || !request.proposals.is_empty());
    let event = match verb.as_str() {
        word if of_proposals => {
            let asked = decided(&tree, request, word == "approve", uid);
            hold(&room, &tree, &asked).await?;
            asked
        }
        "approve" => Event::ApprovalGranted {},
        "reject" => Event::ApprovalDenied { why: request.why },
        "amend" if request.quality_threshold.is_none() => Event::BudgetAmended {
            budget: BudgetSpec {
                usd: request.budget_usd,
                tokens: request.budget_tokens,
                gpu_hours: request.budget_gpu_hours,
                wall_seconds: request.budget_wall_seconds,
                jobs: request.budget_jobs,
                ..BudgetSpec::default()
            },
        },
        "amend" => {
            let mut criteria = tree.campaign.spec.criteria.clone();
            criteria.quality_threshold = request.quality_threshold.unwrap_or(f64::NAN);
            Event::CriteriaAmended { criteria }
        }
        "pause" => Event::PauseAsked {},
        "resume" => Event::ResumeAsked {},
        "cancel" => Event::CancelAsked { why: request.why },
        "retry" => Event::RetryAsked {},
        "clean" => return clean(&room, &tree, uid).await.map(web::Json),
        other => {
            let message = format!("there is no verb {other:?}");
            return Err(refusal(StatusCode::NOT_FOUND, "usage", message, None, None));
        }
    };
    room.ask(id, event, uid).await.map(web::Json)
}

/// A person's word on proposals: those that are named, or all that wait.
fn decided(tree: &CampaignTree, request: ActRequest, approve: bool, uid: u32) -> Event {
    let waiting = tree.proposals.values();
    let waiting = waiting.filter(|one| one.state == proposal::State::Waiting);
    let ids = match request.proposals.is_empty() {
        true => waiting.map(|one| one.id.clone()).collect(),
        false => request.proposals,
    };
    let why = match request.why.as_str() {
        "" => String::new(),
        why => format!(": {why}"),
    };
    Event::ProposalsDecided {
        ids,
        approve,
        by: format!("uid {uid}{why}"),
    }
}

/// What is to be approved must keep what all experiments of this daemon taught, not only the campaign's own.
async fn hold(room: &Room, tree: &Arc<CampaignTree>, asked: &Event) -> Answered<()> {
    let Event::ProposalsDecided {
        ids, approve: true, ..
    } = asked
    else {
        return Ok(());
    };
    let campaign = tree.campaign.id.clone();
    let (tree, ids, memory) = (Arc::clone(tree), ids.clone(), Arc::clone(&room.memory));
    let broken = apart(move || Ok(plan::broken(&tree, &memory.history().1, &ids, now()))).await?;
    match broken.into_iter().next() {
        None => Ok(()),
        Some((proposal, reason)) => Err(refusal(
            StatusCode::CONFLICT,
            "state",
            format!("proposal {proposal} cannot be approved: {reason}"),
            None,
            Some(format!(
                "campaignctl reject {campaign} {proposal}, or: campaignctl constraints"
            )),
        )),
    }
}

/// Forgets an ended campaign: its record first, so that files without a record are garbage and never the reverse.
async fn clean(room: &Room, tree: &CampaignTree, uid: u32) -> Answered<Accepted> {
    let id = tree.campaign.id.clone();
    let one_at_a_time = room.changing.lock().await;
    let cleaned = Clean {
        campaign: id.clone(),
        uid: Some(uid),
    };
    let answer = match room.desk.ask(cleaned).await.map_err(|_| ending())? {
        Ok(answer) => answer,
        Err(refused) => return Err(room.refused(&id, "cleaned", refused).await),
    };
    point!("clean.recorded");
    let (state, campaign) = (room.state.clone(), id.clone());
    // Out of the way at once: the name is free for another campaign from here on.
    let aside = tokio::task::spawn_blocking(move || left::set_aside(&state, &campaign)).await;
    drop(one_at_a_time);
    let removed = tokio::task::spawn_blocking(move || match aside {
        Ok(Ok(Some(aside))) => fs::remove_dir_all(aside),
        Ok(Ok(None)) => Ok(()),
        Ok(Err(error)) => Err(error),
        Err(panicked) => Err(io::Error::other(panicked)),
    });
    if let Ok(Err(error)) = removed.await {
        tracing::warn!(campaign = %id, "cleaning left files behind: {error}");
    }
    Ok(Accepted {
        version: VERSION,
        id: id.to_string(),
        seq: Some(answer.seq),
        state: "cleaned".into(),
        what: answer.what,
        uid: Some(uid),
        campaign: None,
    })
}

/// Files of a campaign that has no record: an end of campaignd within a clean left them, or a store was restored. A new
/// campaign must not take them for its own; they are kept, under another name.
async fn set_aside(room: &Room, id: &CampaignId) -> Answered<()> {
    let (state, campaign) = (room.state.clone(), id.clone());
    let set = tokio::task::spawn_blocking(move || left::set_aside(&state, &campaign)).await;
    match set.unwrap_or_else(|panicked| Err(io::Error::other(panicked))) {
        Ok(None) => Ok(()),
        Ok(Some(aside)) => {
            let aside = aside.display();
            tracing::warn!(campaign = %id, "files of an earlier campaign of this name are kept in {aside}");
            Ok(())
        }
        Err(error) => {
            let message = format!("files of an earlier campaign {id} are in the way: {error}");
            let right = Some("another name, or move them".into());
            let status = StatusCode::CONFLICT;
            Err(refusal(status, "state", message, None, right))
        }
    }
}
