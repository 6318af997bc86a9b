//! `/v1/history` and `/v1/constraints`: what came of every experiment, and what it forbids.
//!
//! Readers ask a history that is committed and does not change: no writer waits for them, nor they for one.

use super::{Answered, Body, Query, Room, refusal, trajectories::apart};
use crate::{
    actors::{coordinator::Trees, now},
    control::{
        api::VERSION,
        history::{Act, ActedView, ConstraintsView},
    },
    history::{
        History,
        constraints::{Rules, contradictions, in_force, learn, rule},
        query::{self, Asked},
    },
    machines::{event::Event, plan, tree::CampaignTree},
    parameters::Schema,
};
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use std::sync::Arc;

/// The routes of the history, and of what it forbids.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/history", web::get().to(history))
        .route("/v1/constraints", web::get().to(constraints))
        .route("/v1/constraints/{id}", web::post().to(act));
}

fn wrong(problem: &query::Problem) -> super::Refusal {
    refusal(
        StatusCode::BAD_REQUEST,
        "usage",
        problem.message.clone(),
        Some(problem.place()),
        Some(problem.right.clone()),
    )
}

/// Experiments by a question.
async fn history(room: web::Data<Room>, asked: Query) -> Answered<HttpResponse> {
    let pairs = asked
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    let query = Asked::of(pairs)
        .read(now())
        .map_err(|problem| wrong(&problem))?;
    let memory = Arc::clone(&room.memory);
    let answered = apart(move || Ok(query::answer(&memory.history().1, &query)));
    let answer = answered.await?.map_err(|problem| wrong(&problem))?;
    Ok(HttpResponse::Ok().json(answer))
}

/// The constraints of a campaign as its persons ruled them, or what all experiments teach.
async fn constraints(room: web::Data<Room>, asked: Query) -> Answered<web::Json<ConstraintsView>> {
    let trees = room.trees().await?;
    let tree = match asked.get("campaign") {
        Some(word) => Some(room.find(word).await?),
        None => only(&trees),
    };
    let memory = Arc::clone(&room.memory);
    let view = apart(move || Ok(view(tree.as_deref(), &memory.history().1)));
    Ok(web::Json(view.await?))
}

/// The only campaign that plans.
fn only(trees: &Trees) -> Option<Arc<CampaignTree>> {
    let mut planning = trees
        .values()
        .filter(|tree| tree.campaign.spec.planning.is_some());
    let first = planning.next()?;
    planning.next().is_none().then(|| Arc::clone(first))
}

fn view(tree: Option<&CampaignTree>, history: &History) -> ConstraintsView {
    let constraints = match tree {
        Some(tree) => plan::constraints(tree, history, now()),
        None => {
            let all: Vec<_> = history.experiments().iter().collect();
            in_force(&learn(&all, now(), &Rules::default()), now())
        }
    };
    ConstraintsView {
        version: VERSION,
        contradictions: contradictions(&constraints, &schema(tree)),
        constraints,
    }
}

fn schema(tree: Option<&CampaignTree>) -> Schema {
    let planning = tree.and_then(|tree| tree.campaign.spec.planning.as_ref());
    planning.map(plan::schema).unwrap_or_default()
}

/// A person pins, deletes or writes a constraint of a campaign.
async fn act(
    room: web::Data<Room>,
    word: web::Path<String>,
    request: Body<Act>,
    connection: HttpRequest,
) -> Answered<web::Json<ActedView>> {
    let uid = room.changer(&connection).await?;
    let tree = room.find(&word).await?;
    let id = tree.campaign.id.clone();
    let memory = Arc::clone(&room.memory);
    let ruled = apart(move || {
        let known = plan::constraints(&tree, &memory.history().1, now());
        Ok(rule(&request.0, now(), &known, &schema(Some(&tree))))
    });
    let ruling = ruled.await?.map_err(|problem| wrong(&problem))?;
    let about = ruling.about().id.clone();
    let event = Event::ConstraintRuled {
        ruling: Box::new(ruling),
    };
    let accepted = room.ask(id, event, uid).await?;
    Ok(web::Json(ActedView {
        version: VERSION,
        id: about,
        what: accepted.what,
    }))
}
