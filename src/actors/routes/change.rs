//! The routes that change something: submit, the verbs of a campaign, clean.

use super::{Answered, Peer, Room, ending, refusal};
use crate::{
    actors::coordinator::Clean,
    control::api::{Accepted, ActRequest, SubmitRequest, VERSION},
    machines::{campaign::State, event::Event, tree::CampaignTree},
};
use actix_web::{HttpRequest, http::StatusCode, web};

/// A new campaign, or the same one again: its id answers, and nothing is started twice.
pub(super) async fn submit(
    room: web::Data<Room>,
    request: web::Json<SubmitRequest>,
    connection: HttpRequest,
) -> Answered<web::Json<Accepted>> {
    let SubmitRequest { spec, parts, amend } = request.into_inner();
    let peer = connection.conn_data::<Peer>().copied();
    let id = spec.name.clone();
    let Some(tree) = room.trees().await?.get(&id).cloned() else {
        let event = Event::Submitted {
            spec: Box::new(spec),
            parts,
        };
        return room.ask(id, event, peer).await.map(web::Json);
    };
    let campaign = &tree.campaign;
    let gate_differs = campaign.spec.criteria_difference(&spec).is_some();
    let amendable = matches!(campaign.state, State::Rejected | State::AwaitingApproval);
    if gate_differs && amend && amendable {
        let criteria = spec.criteria.clone();
        return room
            .ask(id, Event::CriteriaAmended { criteria }, peer)
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
            .ask(id, Event::Continued { parts }, peer)
            .await
            .map(web::Json);
    }
    Ok(web::Json(Accepted {
        version: VERSION,
        id: id.to_string(),
        seq: None,
        state: campaign.state.name().into(),
        what: format!("{id} is {} already", campaign.state),
        uid: peer.and_then(|peer| peer.uid),
        campaign: Some(room.view(&tree)),
    }))
}

pub(super) async fn act(
    room: web::Data<Room>,
    path: web::Path<(String, String)>,
    request: web::Json<ActRequest>,
    connection: HttpRequest,
) -> Answered<web::Json<Accepted>> {
    let (word, verb) = path.into_inner();
    let tree = room.find(&word).await?;
    let id = tree.campaign.id.clone();
    let peer = connection.conn_data::<Peer>().copied();
    let request = request.into_inner();
    let event = match verb.as_str() {
        "approve" => Event::ApprovalGranted {},
        "reject" => Event::ApprovalDenied { why: request.why },
        "amend" => {
            let mut criteria = tree.campaign.spec.criteria.clone();
            criteria.quality_threshold = request.quality_threshold.unwrap_or(f64::NAN);
            Event::CriteriaAmended { criteria }
        }
        "pause" => Event::PauseAsked {},
        "resume" => Event::ResumeAsked {},
        "cancel" => Event::CancelAsked { why: request.why },
        "retry" => Event::RetryAsked {},
        "clean" => return clean(&room, &tree, peer).await.map(web::Json),
        other => {
            let message = format!("there is no verb {other:?}");
            return Err(refusal(StatusCode::NOT_FOUND, "usage", message, None, None));
        }
    };
    room.ask(id, event, peer).await.map(web::Json)
}

/// Forgets an ended campaign: its record first, so that files without a record are garbage and never the reverse.
async fn clean(room: &Room, tree: &CampaignTree, peer: Option<Peer>) -> Answered<Accepted> {
    let id = tree.campaign.id.clone();
    let uid = peer.and_then(|peer| peer.uid);
    let answer = room
        .coordinator
        .send(Clean {
            campaign: id.clone(),
            uid,
        })
        .await
        .map_err(|_| ending())?;
    let answer = match answer {
        Ok(answer) => answer,
        Err(refused) => return Err(room.refused(&id, "cleaned", refused).await),
    };
    let mut folders = vec![room.state.campaign(&id).root().to_path_buf()];
    folders.extend(tree.jobs.keys().map(|job| room.state.job(job)));
    let removed = tokio::task::spawn_blocking(move || {
        let all = folders.iter().filter(|folder| folder.exists());
        all.map(std::fs::remove_dir_all)
            .collect::<Result<Vec<()>, _>>()
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
        uid,
        campaign: None,
    })
}
