//! The routes of the control socket: each reads its request, asks the coordinator, and answers after the commit.

use super::{
    Ask,
    access::{Access, Peer},
    body::{Body, MOST_BYTES},
    coordinator::{Lines, Snapshot, Trees},
    desk::Desk,
    memory::Memory,
    now,
    seen::Seen,
    slurm_view, streams,
    tuning::Tuning,
    view,
};
use crate::{
    control::api::{
        Accepted, CampaignView, DaemonView, ErrorBody, ErrorView, ListView, RestartView,
        StatusView, StopRequest, VERSION, VerdictAnswer,
    },
    executor::slurm::desk::Slurm,
    ids::CampaignId,
    machines::{campaign::State, event::Event, step::Refused, table::tables, tree::CampaignTree},
    manifest::StateDir,
    store::History,
    time::Timestamp,
};
use actix_web::{HttpRequest, HttpResponse, ResponseError, http::StatusCode, web};
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};
use tokio::sync::mpsc;

mod budget;
mod change;
mod dataset;
mod history;
mod jobs;
mod proposals;
mod scorecard;
mod trajectories;

use trajectories::apart;

/// How the daemon is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Local jobs go on, to be adopted.
    Leave,
    /// Local jobs end, to be started again by the next daemon.
    Interrupt,
}

/// What the routes need.
pub struct Room {
    /// Who decides.
    pub desk: Desk,
    /// What a reload may change.
    pub tuning: Tuning,
    /// Who may change things.
    pub access: Access,
    /// What the monitors see.
    pub seen: Arc<Seen>,
    /// Jobs on SLURM.
    pub slurm: Arc<Slurm>,
    /// What came of every experiment.
    pub memory: Arc<Memory>,
    /// Where everything lies.
    pub state: StateDir,
    /// Committed events, as they come.
    pub lines: Lines,
    /// Committed events, as they came.
    pub history: History,
    /// Held while a campaign is made or removed: both are a record and files.
    pub changing: tokio::sync::Mutex<()>,
    /// Where a stop is asked for.
    pub stop: mpsc::UnboundedSender<Stop>,
    /// When the daemon started.
    pub started_at: Timestamp,
    /// What it found then.
    pub restart: Option<RestartView>,
}

/// A refusal on its way to the client.
#[derive(Debug)]
pub struct Refusal(StatusCode, Box<ErrorView>);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1.message)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.0
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.0);
        if matches!(
            self.0,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
        ) {
            // What is still coming is not wanted.
            answer.force_close();
        }
        answer.json(ErrorBody {
            version: VERSION,
            error: (*self.1).clone(),
        })
    }
}

pub(super) type Answered<T> = Result<T, Refusal>;

pub(super) fn refusal(
    status: StatusCode,
    kind: &str,
    message: String,
    at: Option<String>,
    right: Option<String>,
) -> Refusal {
    let error = ErrorView {
        kind: kind.into(),
        message,
        at,
        right,
        exit_status: 2,
        ..ErrorView::default()
    };
    Refusal(status, Box::new(error))
}

/// All routes.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .app_data(web::PayloadConfig::new(MOST_BYTES))
        .route("/v1/status", web::get().to(status))
        .route("/v1/campaigns", web::get().to(list))
        .route("/v1/campaigns", web::post().to(change::submit))
        .route("/v1/campaigns/{id}/verdict", web::get().to(verdict))
        .route("/v1/campaigns/{id}/budget", web::get().to(budget::budget))
        .route("/v1/campaigns/{id}/explain", web::get().to(explain))
        .route(
            "/v1/campaigns/{id}/scorecard",
            web::get().to(scorecard::show),
        )
        .route("/v1/campaigns/{id}/logs", web::get().to(streams::logs))
        .configure(proposals::routes)
        .configure(history::routes)
        .configure(trajectories::routes)
        .configure(dataset::routes)
        .route("/v1/campaigns/{id}/{verb}", web::post().to(change::act))
        .route("/v1/jobs", web::get().to(jobs::jobs))
        .route("/v1/slurm", web::get().to(jobs::slurm))
        .route("/v1/events", web::get().to(streams::events))
        .route("/v1/stop", web::post().to(stop))
        .default_service(web::to(nowhere));
}

/// A request for something that is not there, a newer protocol among others.
async fn nowhere(request: HttpRequest) -> Answered<HttpResponse> {
    let message = format!("there is no {} {}", request.method(), request.path());
    let version = request.path().trim_start_matches('/').split('/').next();
    let version = version.and_then(|word| word.strip_prefix('v')?.parse::<u32>().ok());
    let right = match version {
        Some(asked) if asked != VERSION => {
            format!("version {VERSION} is spoken here: campaignctl of the same release")
        }
        _ => "campaignctl --help".into(),
    };
    Err(refusal(
        StatusCode::NOT_FOUND,
        "usage",
        message,
        None,
        Some(right),
    ))
}

type Query = web::Query<HashMap<String, String>>;

impl Room {
    pub(super) async fn trees(&self) -> Answered<Trees> {
        // One that is being started again is there in a moment.
        for _ in 0..100 {
            if let Ok(trees) = self.desk.ask(Snapshot).await {
                return Ok(trees);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(ending())
    }

    /// Campaigns for a screen. What their runs came to is read from disk: not on the thread that answers.
    async fn views(&self, trees: Vec<Arc<CampaignTree>>) -> Answered<Vec<CampaignView>> {
        let (seen, state) = (Arc::clone(&self.seen), self.state.clone());
        let slurm = Arc::clone(&self.slurm);
        apart(move || {
            let view =
                |tree: &Arc<CampaignTree>| view::campaign(tree, &seen, &state, &slurm, now());
            Ok(trees.iter().map(view).collect())
        })
        .await
    }

    /// One of them.
    async fn view(&self, tree: Arc<CampaignTree>) -> Answered<CampaignView> {
        let views = self.views(vec![tree]).await?;
        views.into_iter().next().ok_or_else(ending)
    }

    /// The campaign meant by a name, its beginning, or nothing when there is only one.
    pub(super) async fn find(&self, word: &str) -> Answered<Arc<CampaignTree>> {
        let trees = self.trees().await?;
        if let Some(tree) = word.parse().ok().and_then(|id: CampaignId| trees.get(&id)) {
            return Ok(Arc::clone(tree));
        }
        let word = if word == "-" { "" } else { word };
        let fits: Vec<_> = trees
            .iter()
            .filter(|(id, _)| id.as_str().starts_with(word))
            .collect();
        let names = |all: Vec<&CampaignId>| {
            all.iter()
                .map(|id| id.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        match fits.as_slice() {
            [(_, tree)] => Ok(Arc::clone(tree)),
            [] => {
                let known = if trees.is_empty() {
                    "there is none yet".into()
                } else {
                    names(trees.keys().collect())
                };
                let message = format!("there is no campaign {word:?}");
                Err(refusal(
                    StatusCode::NOT_FOUND,
                    "unknown",
                    message,
                    None,
                    Some(known),
                ))
            }
            several => {
                let message = if word.is_empty() {
                    "which campaign?".into()
                } else {
                    format!("{word:?} is ambiguous")
                };
                let right = names(several.iter().map(|(id, _)| *id).collect());
                Err(refusal(
                    StatusCode::NOT_FOUND,
                    "unknown",
                    message,
                    None,
                    Some(right),
                ))
            }
        }
    }

    /// Who asks for a change, if that is one who may.
    async fn changer(&self, request: &HttpRequest) -> Answered<u32> {
        let peer = request.conn_data::<Peer>().copied();
        let access = self.access.clone();
        let may = tokio::task::spawn_blocking(move || access.may_change(peer)).await;
        match peer {
            Some(peer) if may.unwrap_or(false) => Ok(peer.uid),
            _ => Err(not_allowed(peer)),
        }
    }

    async fn ask(&self, campaign: CampaignId, event: Event, uid: u32) -> Answered<Accepted> {
        let uid = Some(uid);
        let name = event.name();
        let answer = self
            .desk
            .ask(Ask {
                campaign: campaign.clone(),
                event,
                uid,
            })
            .await;
        let answer = match answer.map_err(|_| ending())? {
            Ok(answer) => answer,
            Err(refused) => return Err(self.refused(&campaign, name, refused).await),
        };
        Ok(Accepted {
            version: VERSION,
            id: campaign.to_string(),
            seq: Some(answer.seq),
            state: answer.tree.campaign.state.name().into(),
            what: answer.what,
            uid,
            campaign: Some(self.view(answer.tree).await?),
        })
    }

    /// A verb that does not fit the state: which state, since when, and what would fit.
    async fn refused(&self, id: &CampaignId, event: &str, refused: Refused) -> Refusal {
        let verb = verb_of(event);
        let tree = self
            .trees()
            .await
            .ok()
            .and_then(|trees| trees.get(id).cloned());
        let Some(tree) = tree else {
            return refusal(
                StatusCode::CONFLICT,
                "state",
                refused.to_string(),
                None,
                None,
            );
        };
        let campaign = &tree.campaign;
        let since = crate::time::two_units(now().since(campaign.state_since));
        let at = format!("state {} for {since}", campaign.state);
        let message = match &refused {
            Refused::Pointless(text) => format!("{id} cannot be {verb}: {text}"),
            _ => format!("{id} cannot be {verb}: it is {}", campaign.state),
        };
        refusal(
            StatusCode::CONFLICT,
            "state",
            message,
            Some(at),
            Some(what_fits(campaign.state, id)),
        )
    }
}

fn not_allowed(peer: Option<Peer>) -> Refusal {
    let who = peer.map_or("who asks is unknown".into(), |peer| {
        format!("uid {}", peer.uid)
    });
    let error = ErrorView {
        kind: "not_allowed".into(),
        message: "only campaignd's own user, root and its group may change things".into(),
        at: Some(who),
        right: Some("campaignctl status, list, explain, logs: reading is allowed".into()),
        exit_status: 8,
        ..ErrorView::default()
    };
    Refusal(StatusCode::FORBIDDEN, Box::new(error))
}

fn ending() -> Refusal {
    refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        "no_daemon",
        "campaignd is ending, or starting a part of itself again: whether it counts, campaignctl status says".into(),
        None,
        None,
    )
}

fn verb_of(event: &str) -> &str {
    match event {
        "approval_granted" => "approved",
        "approval_denied" => "rejected",
        "criteria_amended" => "amended",
        "pause_asked" => "paused",
        "resume_asked" => "resumed",
        "cancel_asked" => "cancelled",
        "retry_asked" => "retried",
        other => other,
    }
}

/// The verbs that a state takes, from its table.
fn what_fits(state: State, id: &CampaignId) -> String {
    use crate::machines::table::EventName;
    let verbs = tables()
        .campaign
        .expected(state.name())
        .into_iter()
        .filter_map(|event| match event {
            EventName::ApprovalGranted => Some(format!("campaignctl approve {id}")),
            EventName::ApprovalDenied => Some(format!("reject {id} --why W")),
            EventName::CriteriaAmended => {
                Some(format!("campaignctl amend {id} --quality-threshold X"))
            }
            EventName::CancelAsked => Some(format!("cancel {id}")),
            EventName::RetryAsked => Some(format!("campaignctl retry {id}")),
            _ => None,
        });
    let verbs: Vec<String> = verbs.collect();
    if verbs.is_empty() {
        format!("campaignctl explain {id}")
    } else {
        verbs.join("   or: ")
    }
}

async fn status(room: web::Data<Room>, query: Query) -> Answered<web::Json<StatusView>> {
    let trees = room.trees().await?;
    let jobs_running = trees
        .values()
        .flat_map(|tree| tree.jobs.values())
        .map(|job| job.running_tasks() as u64)
        .sum();
    let campaigns = match query.get("id") {
        Some(word) => vec![room.find(word).await?],
        None => {
            let live: Vec<_> = trees
                .values()
                .filter(|tree| !tree.campaign.state.ended())
                .cloned()
                .collect();
            if live.is_empty() {
                trees.values().cloned().collect()
            } else {
                live
            }
        }
    };
    let fresh = now().since(room.started_at).as_secs() < 600;
    let daemon = DaemonView {
        daemon_version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        started_at: room.started_at.to_string(),
        jobs_running,
        restart: room.restart.clone().filter(|_| fresh),
        news: slurm_view::news(&room.slurm),
    };
    let campaigns = room.views(campaigns).await?;
    Ok(web::Json(StatusView {
        version: VERSION,
        daemon,
        campaigns,
    }))
}

async fn list(room: web::Data<Room>, query: Query) -> Answered<web::Json<ListView>> {
    let trees = room.trees().await?;
    let mut trees: Vec<_> = trees.values().cloned().collect();
    trees.sort_by_key(|tree| tree.campaign.created_at);
    let wanted = |tree: &Arc<CampaignTree>| {
        query
            .get("state")
            .is_none_or(|state| tree.campaign.state.name() == state)
    };
    let campaigns = room
        .views(trees.into_iter().filter(wanted).collect())
        .await?;
    Ok(web::Json(ListView {
        version: VERSION,
        campaigns,
    }))
}

async fn verdict(
    room: web::Data<Room>,
    id: web::Path<String>,
) -> Answered<web::Json<VerdictAnswer>> {
    let tree = room.find(&id).await?;
    let none = || {
        let message = format!(
            "{} has no verdict yet: it is {}",
            tree.campaign.id, tree.campaign.state
        );
        refusal(StatusCode::CONFLICT, "state", message, None, None)
    };
    let verdict = view::verdict(&tree.campaign).ok_or_else(none)?;
    Ok(web::Json(VerdictAnswer {
        version: VERSION,
        verdict,
    }))
}

async fn explain(room: web::Data<Room>, id: web::Path<String>) -> Answered<HttpResponse> {
    let tree = room.find(&id).await?;
    let shown = room.view(Arc::clone(&tree)).await?;
    let explained =
        super::explain::explain(&tree, shown, &room.seen, &room.state, &room.slurm, now()).await;
    Ok(HttpResponse::Ok().json(explained))
}

async fn stop(
    room: web::Data<Room>,
    request: Body<StopRequest>,
    connection: HttpRequest,
) -> Answered<HttpResponse> {
    let uid = room.changer(&connection).await?;
    let how = if request.0.interrupt {
        Stop::Interrupt
    } else {
        Stop::Leave
    };
    tracing::info!("uid {uid} asks for the end");
    // A daemon that is ending already needs no second word.
    let _ = room.stop.send(how);
    Ok(HttpResponse::Accepted().json(serde_json::json!({ "version": VERSION, "stopping": true })))
}
