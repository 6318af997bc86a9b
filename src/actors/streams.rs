//! What is followed over the control socket: events and logs, one JSON value a line.

use super::{
    coordinator::Line,
    routes::{Answered, Room},
};
use crate::{
    artifacts::follow::Follower,
    control::api::{EventView, LogView},
    executor::job_dir::JobDir,
    machines::tree::CampaignTree,
    manifest::StateDir,
    store::{Entry, History},
    time::Timestamp,
};
use actix_web::{HttpResponse, web};
use futures_util::stream;
use serde::Serialize;
use std::{collections::HashMap, convert::Infallible, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{broadcast, mpsc};

/// How often a followed log is read again.
const LOG_TICK: Duration = Duration::from_millis(300);
/// At most this much of one log file is sent in one look.
const LOG_BYTES: u64 = 4 << 20;
/// Values that wait for a slow client; one that falls behind further is waited for, and holds up only itself.
const WAITING: usize = 1024;

type Query = web::Query<HashMap<String, String>>;
type Lines = mpsc::Sender<Vec<u8>>;

fn wants(query: &Query, key: &str) -> bool {
    query
        .get(key)
        .is_some_and(|value| value == "1" || value == "true")
}

/// A response of lines that `fill` sends until it ends or the client goes.
fn streaming<F>(fill: impl FnOnce(Lines) -> F) -> HttpResponse
where
    F: Future<Output = ()> + 'static,
{
    let (lines, inbox) = mpsc::channel(WAITING);
    actix::spawn(fill(lines));
    let body = stream::unfold(inbox, |mut inbox| async move {
        let line: Vec<u8> = inbox.recv().await?;
        Some((Ok::<_, Infallible>(web::Bytes::from(line)), inbox))
    });
    HttpResponse::Ok()
        .content_type("application/jsonl")
        .streaming(body)
}

/// Sends one value; whether the client is still there.
async fn send(lines: &Lines, value: &impl Serialize) -> bool {
    let Ok(mut line) = serde_json::to_vec(value) else {
        return true;
    };
    line.push(b'\n');
    lines.send(line).await.is_ok()
}

/// `GET /v1/events?id=&after=SEQ&follow=1&past=0`.
pub async fn events(room: web::Data<Room>, query: Query) -> Answered<HttpResponse> {
    let id = match query.get("id") {
        Some(word) => Some(room.find(word).await?.campaign.id.to_string()),
        None => None,
    };
    let after: u64 = query
        .get("after")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let past = query.get("past").is_none_or(|value| value != "0");
    let follow = wants(&query, "follow");
    // Subscribed before the past is read, so that nothing falls between.
    let inbox = room.lines.subscribe();
    let history = room.history.clone();
    Ok(streaming(move |lines| async move {
        let mut last = after;
        if past && !send_past(&lines, history, id.clone(), &mut last).await {
            return;
        }
        if follow {
            send_new(&lines, inbox, id, last).await;
        }
    }))
}

async fn send_past(lines: &Lines, history: History, id: Option<String>, last: &mut u64) -> bool {
    let from = *last + 1;
    let read = tokio::task::spawn_blocking(move || history.events(from, id.as_deref(), usize::MAX));
    match read.await {
        Ok(Ok(entries)) => {
            for entry in entries {
                *last = entry.seq;
                if !send(lines, &event_of_entry(entry)).await {
                    return false;
                }
            }
            true
        }
        Ok(Err(error)) => {
            tracing::error!("the journal cannot be read: {error}");
            true
        }
        Err(_) => false,
    }
}

async fn send_new(
    lines: &Lines,
    mut inbox: broadcast::Receiver<Arc<Line>>,
    id: Option<String>,
    after: u64,
) {
    loop {
        tokio::select! {
            () = lines.closed() => return,
            received = inbox.recv() => match received {
                Ok(line) => {
                    let ours = id.as_ref().is_none_or(|id| id == line.campaign.as_str());
                    if ours && line.seq > after && !send(lines, &event_of_line(&line)).await {
                        return;
                    }
                }
                // A client so slow that lines were dropped sees the next ones; the journal has them all.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
        }
    }
}

fn event_of_entry(entry: Entry) -> EventView {
    EventView {
        seq: entry.seq,
        at: Timestamp(entry.at_ms).to_string(),
        campaign: entry.campaign,
        event: entry.event,
        what: entry.what,
        uid: entry.uid,
        state: None,
    }
}

fn event_of_line(line: &Line) -> EventView {
    EventView {
        seq: line.seq,
        at: line.at.to_string(),
        campaign: line.campaign.to_string(),
        event: line.event.clone(),
        what: line.what.clone(),
        uid: line.uid,
        state: Some(line.tree.campaign.state.name().into()),
    }
}

/// `GET /v1/campaigns/ID/logs?level=orchestration|worker|tool&follow=1`.
pub async fn logs(
    room: web::Data<Room>,
    id: web::Path<String>,
    query: Query,
) -> Answered<HttpResponse> {
    let tree = room.find(&id).await?;
    let level = query.get("level").cloned().unwrap_or_else(|| "tool".into());
    let follow = wants(&query, "follow");
    Ok(streaming(move |lines| async move {
        let mut sources: Vec<Source> = Vec::new();
        let mut tree = tree;
        loop {
            add_sources(&mut sources, &tree, &room.state, &level);
            for source in &mut sources {
                for line in source.read() {
                    if !send(&lines, &line).await {
                        return;
                    }
                }
            }
            if !follow || lines.is_closed() {
                return;
            }
            tokio::time::sleep(LOG_TICK).await;
            match room.find(tree.campaign.id.as_str()).await {
                Ok(now) => tree = now,
                Err(_) => return,
            }
        }
    }))
}

/// One file of a log.
struct Source {
    job: String,
    task: String,
    path: PathBuf,
    follower: Follower,
    partial: Vec<u8>,
}

impl Source {
    /// The lines since the last look; a carriage return ends a line too, as progress bars have it.
    fn read(&mut self) -> Vec<LogView> {
        let partial = &mut self.partial;
        // A file that is not there yet, or cannot be read, is no news.
        let _ = self
            .follower
            .read_new(LOG_BYTES, |chunk| partial.extend_from_slice(chunk));
        let mut found = Vec::new();
        while let Some(end) = self
            .partial
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r'))
        {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            let text = String::from_utf8_lossy(&line[..end]).into_owned();
            if !text.is_empty() {
                found.push(LogView {
                    job: self.job.clone(),
                    task: self.task.clone(),
                    text,
                });
            }
        }
        found
    }
}

/// The campaign's own log, what its shims said, or what its commands printed.
fn add_sources(sources: &mut Vec<Source>, tree: &CampaignTree, state: &StateDir, level: &str) {
    let mut add = |job: String, task: String, path: PathBuf| {
        if !sources.iter().any(|source| source.path == path) {
            let follower = Follower::new(&path);
            sources.push(Source {
                job,
                task,
                path,
                follower,
                partial: Vec::new(),
            });
        }
    };
    if level == "orchestration" {
        let log = state
            .campaign(&tree.campaign.id)
            .mirror()
            .join(crate::report::mirror::ORCHESTRATION_LOG);
        add(String::new(), String::new(), log);
        return;
    }
    for job in tree.jobs.values() {
        let dir = JobDir::new(state.job(&job.id));
        for task in &job.tasks {
            let name = if task.shards > 1 {
                format!("{}/{}", task.shard + 1, task.shards)
            } else {
                String::new()
            };
            let files = match level {
                "worker" => vec![dir.progress(task.shard)],
                _ => vec![dir.stdout(task.shard), dir.stderr(task.shard)],
            };
            for path in files {
                add(job.id.to_string(), name.clone(), path);
            }
        }
    }
}
