//! All rows of a campaign as lines, read a piece at a time: however many there are, a slow client holds up only itself.

use super::{super::Answered, apart, joined};
use crate::{
    artifacts::{
        executions::Executions,
        feedback::{Feedback, last_words},
        jsonl::MAX_LINE,
        samples::{self, PIECE, Samples},
    },
    control::{api::VERSION, trajectories::Summary},
    manifest::CampaignManifest,
};
use actix_web::{HttpResponse, web};
use futures_util::stream;
use std::{collections::HashMap, io, sync::Arc};
use tokio::sync::mpsc;

/// Pieces that wait for a slow client.
const WAITING: usize = 2;
/// A longer row is not sent: with what is joined to it, a client reads lines of at most [`MAX_LINE`].
const MOST_OF_A_ROW: usize = MAX_LINE - 4096;

/// What is joined to rows, by id.
struct Joins {
    said: HashMap<String, Feedback>,
    executions: Executions,
}

type Pieces = mpsc::Sender<io::Result<Vec<u8>>>;

/// All rows, as they are read. An error in the middle breaks the answer off, so that no half of it passes for the whole.
pub(super) async fn all(paths: CampaignManifest, summary: bool) -> Answered<HttpResponse> {
    let (samples, joins) = apart(move || {
        let joins = Joins {
            said: last_words(&paths.feedback())?,
            executions: Executions::of(&paths)?,
        };
        Ok((Samples::of(&paths)?, Arc::new(joins)))
    })
    .await?;
    let (pieces, inbox) = mpsc::channel(WAITING);
    actix::spawn(send(pieces, samples, joins, summary));
    let body = stream::unfold(inbox, |mut inbox| async move {
        let piece: io::Result<Vec<u8>> = inbox.recv().await?;
        Some((piece.map(web::Bytes::from), inbox))
    });
    Ok(HttpResponse::Ok()
        .content_type("application/jsonl")
        .streaming(body))
}

async fn send(pieces: Pieces, mut samples: Samples, joins: Arc<Joins>, summary: bool) {
    let mut sums = Summary {
        version: VERSION,
        ..Summary::default()
    };
    loop {
        let joining = Arc::clone(&joins);
        let read = tokio::task::spawn_blocking(move || {
            let piece = read_piece(&mut samples, &joining, sums)?;
            Ok((samples, piece))
        });
        let read = read
            .await
            .unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
        let (piece, more) = match read {
            Ok((rest, (piece, so_far, more))) => {
                (samples, sums) = (rest, so_far);
                (piece, more)
            }
            Err(error) => {
                tracing::error!("trajectories cannot be read: {error}");
                // Nothing is to follow, whether or not somebody still listens.
                let _ = pieces.send(Err(error)).await;
                return;
            }
        };
        // An empty piece would say that the answer ends.
        if pieces.is_closed() || (!piece.is_empty() && pieces.send(Ok(piece)).await.is_err()) {
            return;
        }
        if !more {
            break;
        }
    }
    if summary {
        sums.unreadable += samples.too_long;
        let mut line = serde_json::to_vec(&sums).unwrap_or_default();
        line.push(b'\n');
        // A client that has gone needs no summary.
        let _ = pieces.send(Ok(line)).await;
    }
}

fn read_piece(
    samples: &mut Samples,
    joins: &Joins,
    mut sums: Summary,
) -> io::Result<(Vec<u8>, Summary, bool)> {
    let mut piece = Vec::new();
    let more = samples.read(PIECE, |_, _, line| match sent(line, joins) {
        Some(row) => {
            piece.extend_from_slice(&row);
            piece.push(b'\n');
            sums.rows += 1;
        }
        None => sums.unreadable += 1,
    })?;
    Ok((piece, sums, more))
}

/// A row as it is sent in a stream: as its generator wrote it, unless there is something to join.
fn sent(line: &[u8], joins: &Joins) -> Option<Vec<u8>> {
    let id = samples::id(line).filter(|_| line.len() <= MOST_OF_A_ROW)?;
    let last = joins.said.get(&id);
    if last.is_none() && !joins.executions.has(&id) {
        return Some(line.to_vec());
    }
    serde_json::to_vec(&joined(line, last, &joins.executions).ok()?).ok()
}
