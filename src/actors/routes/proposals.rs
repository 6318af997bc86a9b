//! `/v1/campaigns/ID/proposals`: what is to be tried, why, and what came of it; and what a person wants tried.

use super::{Answered, Body, Room, refusal};
use crate::{
    actors::{now, view},
    control::{
        api::{Accepted, VERSION},
        proposals::{
            CheckView, PredictionView, ProposalView, ProposalsView, ProposeRequest, ResultView,
        },
    },
    history::Experiment,
    machines::{event::Event, plan, proposal::Proposal, tree::CampaignTree},
};
use actix_web::{HttpRequest, http::StatusCode, web};

/// The routes of proposals.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let path = "/v1/campaigns/{id}/proposals";
    config
        .route(path, web::get().to(list))
        .route(path, web::post().to(propose));
}

/// What was proposed, oldest first.
async fn list(
    room: web::Data<Room>,
    path: web::Path<String>,
) -> Answered<web::Json<ProposalsView>> {
    let tree = room.find(&path).await?;
    Ok(web::Json(all(&tree)))
}

fn all(tree: &CampaignTree) -> ProposalsView {
    let plan = view::planned(tree);
    let metric = plan.as_ref().map(|plan| plan.metric.as_str());
    let mut proposals: Vec<&Proposal> = tree.proposals.values().collect();
    proposals.sort_by_key(|one| (one.created_at, one.id.len(), &one.id));
    ProposalsView {
        version: VERSION,
        campaign: tree.campaign.id.to_string(),
        proposals: proposals
            .into_iter()
            .map(|one| proposal(tree, one, metric))
            .collect(),
        plan,
    }
}

fn proposal(tree: &CampaignTree, one: &Proposal, metric: Option<&str>) -> ProposalView {
    let of_this = |other: &&Experiment| other.proposal.as_deref() == Some(&one.id);
    let result = tree.experiments.values().find(of_this);
    ProposalView {
        id: one.id.clone(),
        cycle: one.cycle,
        values: one.values.clone(),
        kind: one.kind.clone(),
        why: one.why.clone(),
        prediction: one.prediction.as_ref().map(|expected| PredictionView {
            metric: expected.metric.clone(),
            mean: expected.mean,
            sd: expected.sd,
        }),
        checks: one
            .checks
            .iter()
            .map(|check| CheckView {
                name: check.name.name().into(),
                passed: check.passed,
                reason: check.reason.clone(),
            })
            .collect(),
        risk: one.risk.name().into(),
        risks: one.risks.clone(),
        evidence: one.evidence.clone(),
        state: one.state.name().into(),
        decided_by: one.decided_by.clone(),
        created_at: one.created_at.to_string(),
        decided_at: one.decided_at.map(|at| at.to_string()),
        result: result.map(|result| ResultView {
            experiment: result.experiment_id.clone(),
            status: result.status.name().into(),
            value: metric.and_then(|metric| result.metrics.get(metric).copied()),
            failure: result.failure.as_ref().map(|failure| failure.text.clone()),
        }),
    }
}

/// A person wants something tried. The same checks are asked of it as of the planner's own.
async fn propose(
    room: web::Data<Room>,
    path: web::Path<String>,
    request: Body<ProposeRequest>,
    connection: HttpRequest,
) -> Answered<web::Json<Accepted>> {
    let uid = room.changer(&connection).await?;
    let tree = room.find(&path).await?;
    let id = tree.campaign.id.clone();
    let by = format!("uid {uid}");
    let (_, history) = room.memory.history();
    let ProposeRequest { values, why } = request.0;
    let proposed = plan::of_person(&tree, &history, values, &why, &by, now());
    let proposal = proposed.map_err(|message| {
        let right = Some(format!("campaignctl proposals {id}"));
        refusal(StatusCode::CONFLICT, "state", message, None, right)
    })?;
    let event = Event::Proposed {
        proposal: Box::new(proposal),
    };
    room.ask(id, event, uid).await.map(web::Json)
}
