//! What is followed over the control socket: events and logs, one JSON value a line.

use super::{
    coordinator::Line,
    routes::{Answered, Room},
};
use crate::{
    artifacts::follow::Follower,
    control::api::EventView,
    executor::job_dir::JobDir,
    machines::tree::CampaignTree,
    manifest::StateDir,
    store::{Entries, Entry, Error, History},
    time::Timestamp,
};
use actix_web::{HttpResponse, web};
use futures_util::stream;
use serde::Serialize;
use std::{
    borrow::Cow,
    collections::HashMap,
    convert::Infallible,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{broadcast, mpsc};

/// How often a followed log is read again.
const LOG_TICK: Duration = Duration::from_millis(300);
/// At most this much of one log file is in memory for one client.
const LOG_BYTES: u64 = 64 << 10;
/// A line longer than this is sent in pieces.
const MOST_OF_A_LINE: usize = 1 << 20;
/// So many entries of the journal are in memory for one client.
const PAGE: usize = 256;
/// Pieces of answer that wait for a slow client; one that falls behind further is waited for, and holds up only itself.
const WAITING: usize = 2;

/// A blank line is sent this often where there is nothing to say: only a write finds out that a client has gone.
const ALIVE: Duration = Duration::from_secs(15);

type Query = web::Query<HashMap<String, String>>;
/// Takes whole lines, any number at a time: many small ones in one piece cost a fraction of as many pieces.
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

/// Sends values, one a line; whether the client is still there.
async fn send<T: Serialize>(lines: &Lines, values: impl IntoIterator<Item = T>) -> bool {
    let mut piece = Vec::new();
    for value in values {
        let whole = piece.len();
        match serde_json::to_writer(&mut piece, &value) {
            Ok(()) => piece.push(b'\n'),
            // Half a value would spoil the line after it.
            Err(_) => piece.truncate(whole),
        }
    }
    if piece.is_empty() {
        return !lines.is_closed();
    }
    lines.send(piece).await.is_ok()
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
        if past && !send_past(&lines, history.clone(), id.clone(), &mut last).await {
            return;
        }
        if follow {
            send_new(&lines, inbox, history, id, last).await;
        }
    }))
}

/// Sends what happened before, a page at a time: a journal may be far larger than memory, and a slow client holds no
/// thread while it is waited for.
async fn send_past(lines: &Lines, history: History, id: Option<String>, last: &mut u64) -> bool {
    let from = *last + 1;
    let mut read = tokio::task::spawn_blocking(move || page(history.entries(from)?, id));
    loop {
        let (entries, id, found) = match read.await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => {
                tracing::error!("the journal cannot be read: {error}");
                return true;
            }
            Err(_) => return false,
        };
        if found.is_empty() {
            return true;
        }
        *last = found.last().map_or(*last, |entry| entry.seq);
        if !send(lines, found.into_iter().map(event_of_entry)).await {
            return false;
        }
        read = tokio::task::spawn_blocking(move || page(entries, id));
    }
}

/// What is read next: the rest, whose entries are wanted, and the first of them; none when there are no more.
type Page = (Entries, Option<String>, Vec<Entry>);

fn page(mut entries: Entries, id: Option<String>) -> Result<Page, Error> {
    let wanted = |entry: &Result<Entry, Error>| match (entry, &id) {
        (Ok(entry), Some(id)) => entry.campaign == *id,
        _ => true,
    };
    let found = entries.by_ref().filter(wanted).take(PAGE);
    let found = found.collect::<Result<_, _>>()?;
    Ok((entries, id, found))
}

/// Sends what happens. Lines may be missing, because the client is slow or who published them crashed: what the numbers
/// skip is in the journal.
async fn send_new(
    lines: &Lines,
    mut inbox: broadcast::Receiver<Arc<Line>>,
    history: History,
    id: Option<String>,
    mut last: u64,
) {
    let mut heard: Option<u64> = None;
    loop {
        tokio::select! {
            () = lines.closed() => return,
            () = tokio::time::sleep(ALIVE) => {
                if lines.send(vec![b'\n']).await.is_err() {
                    return;
                }
            }
            received = inbox.recv() => match received {
                Ok(line) => {
                    let skipped = heard.is_some_and(|heard| line.seq > heard + 1);
                    if skipped && !send_past(lines, history.clone(), id.clone(), &mut last).await {
                        return;
                    }
                    let ours = id.as_ref().is_none_or(|id| id == line.campaign.as_str());
                    if ours && line.seq > last && !send(lines, [event_of_line(&line)]).await {
                        return;
                    }
                    last = last.max(line.seq);
                    heard = heard.max(Some(line.seq));
                }
                // The next line shows by its number what is missing.
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
        let mut spoke = Instant::now();
        loop {
            add_sources(&mut sources, &tree, &room.state, &level);
            for source in &mut sources {
                if !send_log(&lines, source, !follow).await {
                    return;
                }
            }
            if !follow || lines.is_closed() {
                return;
            }
            tokio::time::sleep(LOG_TICK).await;
            if spoke.elapsed() > ALIVE {
                spoke = Instant::now();
                if lines.send(vec![b'\n']).await.is_err() {
                    return;
                }
            }
            match room.find(tree.campaign.id.as_str()).await {
                Ok(now) => tree = now,
                Err(_) => return,
            }
        }
    }))
}

/// Sends what a log has gained, a piece at a time; whether the client is still there. A line without its newline is
/// sent only when nothing more is waited for.
async fn send_log(lines: &Lines, source: &mut Source, last: bool) -> bool {
    loop {
        let mut reading = std::mem::take(&mut source.reading);
        let read = tokio::task::spawn_blocking(move || {
            let more = reading.read();
            (reading, more)
        });
        let Ok((reading, more)) = read.await else {
            return false;
        };
        source.reading = reading;
        if !send(lines, source.lines(last && !more)).await {
            return false;
        }
        source.reading.sent();
        if !more {
            return true;
        }
    }
}

/// One file of a log.
struct Source {
    job: String,
    task: String,
    path: PathBuf,
    reading: Reading,
}

/// A [`LogView`](crate::control::api::LogView) that borrows: logs have millions of lines.
#[derive(Serialize)]
struct LogLine<'a> {
    job: &'a str,
    task: &'a str,
    text: Cow<'a, str>,
}

impl Source {
    fn lines(&mut self, all: bool) -> impl Iterator<Item = LogLine<'_>> {
        let (job, task) = (&self.job, &self.task);
        let line = move |text| LogLine { job, task, text };
        self.reading.lines(all).map(line)
    }
}

/// How far a log was read, and the line that has not ended yet.
#[derive(Default)]
struct Reading {
    follower: Option<Follower>,
    partial: Vec<u8>,
    /// So much of it was given out as lines.
    whole: usize,
}

impl Reading {
    /// Reads on; whether there was anything.
    fn read(&mut self) -> bool {
        let (partial, Some(follower)) = (&mut self.partial, &mut self.follower) else {
            return false;
        };
        // A file that is not there yet, or cannot be read, is no news.
        let read = follower.read_new(LOG_BYTES, |chunk| partial.extend_from_slice(chunk));
        read.is_ok_and(|followed| followed.bytes > 0)
    }

    /// The whole lines, and with `all` what follows them; a carriage return ends a line too, as progress bars have it,
    /// and a line too long to be one is cut. They are given again until they were [sent](Self::sent).
    fn lines(&mut self, all: bool) -> impl Iterator<Item = Cow<'_, str>> {
        let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
        self.whole = match self.partial.iter().rposition(ends) {
            _ if all || self.partial.len() > MOST_OF_A_LINE => self.partial.len(),
            Some(end) => end + 1,
            None => 0,
        };
        let texts = self.partial[..self.whole].split(ends);
        texts
            .filter(|text| !text.is_empty())
            .map(String::from_utf8_lossy)
    }

    fn sent(&mut self) {
        self.partial.drain(..self.whole);
        self.whole = 0;
    }
}

/// The campaign's own log, what its shims said, or what its commands printed.
fn add_sources(sources: &mut Vec<Source>, tree: &CampaignTree, state: &StateDir, level: &str) {
    let mut add = |job: String, task: String, path: PathBuf| {
        if !sources.iter().any(|source| source.path == path) {
            let reading = Reading {
                follower: Some(Follower::new(&path)),
                ..Reading::default()
            };
            sources.push(Source {
                job,
                task,
                path,
                reading,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::LogView;
    use crate::store::{Draft, SEGMENT_LIMIT, Store};
    use std::fs;

    /// All lines of a log that is read piece by piece.
    fn lines_of(text: &[u8]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, text).unwrap();
        let mut reading = Reading {
            follower: Some(Follower::new(&path)),
            ..Reading::default()
        };
        let mut found = Vec::new();
        while reading.read() {
            found.extend(reading.lines(false).map(Cow::into_owned));
            reading.sent();
            assert!(reading.partial.len() <= MOST_OF_A_LINE);
        }
        found.extend(reading.lines(true).map(Cow::into_owned));
        found
    }

    #[test]
    fn a_log_is_sent_line_by_line_to_its_last_byte() {
        assert_eq!(
            lines_of(b"one\n 10%\r 20%\r\n\n\xfftwo\nthree"),
            ["one", " 10%", " 20%", "\u{fffd}two", "three"]
        );
        assert_eq!(lines_of(b""), Vec::<String>::new());
        let many: Vec<String> = (0..100_000).map(|n| format!("line {n}")).collect();
        assert_eq!(lines_of(many.join("\n").as_bytes()), many);
    }

    #[test]
    fn a_line_is_sent_as_clients_read_it() {
        let (job, task) = ("alttp-3".to_owned(), "1/2".to_owned());
        let text = "\u{1b}[1mhalf \"done\"\u{fffd}";
        let line = LogLine {
            job: &job,
            task: &task,
            text: text.into(),
        };
        let sent = serde_json::to_vec(&line).unwrap();
        let read: LogView = serde_json::from_slice(&sent).unwrap();
        let text = text.into();
        assert_eq!(read, LogView { job, task, text });
    }

    #[test]
    fn a_line_without_an_end_is_sent_in_pieces() {
        let found = lines_of(&vec![b'x'; 3 * MOST_OF_A_LINE + 5]);
        assert!(found.len() >= 3);
        assert_eq!(
            found.iter().map(String::len).sum::<usize>(),
            3 * MOST_OF_A_LINE + 5
        );
    }

    #[test]
    fn the_past_comes_in_pages_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path(), SEGMENT_LIMIT).unwrap();
        let draft = |number: usize| Draft {
            at_ms: 0,
            uid: None,
            campaign: if number.is_multiple_of(3) { "a" } else { "b" }.into(),
            event: "task_ended".into(),
            what: String::new(),
            payload: Vec::new(),
            changes: Vec::new(),
        };
        store
            .commit((1..=3 * PAGE + 30).map(draft).collect())
            .unwrap();
        for (id, numbers) in [(None, 1..=3 * PAGE + 30), (Some("a"), 1..=PAGE + 10)] {
            let step = if id.is_some() { 3 } else { 1 };
            let expected: Vec<u64> = numbers.map(|number| (number * step) as u64).collect();
            let mut rest = store.history().entries(1).unwrap();
            let (mut wanted, mut found) = (id.map(String::from), Vec::new());
            loop {
                let (entries, id, more) = page(rest, wanted).unwrap();
                (rest, wanted) = (entries, id);
                assert!(more.len() <= PAGE);
                if more.is_empty() {
                    break;
                }
                found.extend(more.iter().map(|entry| entry.seq));
            }
            assert_eq!(found, expected);
        }
    }
}
