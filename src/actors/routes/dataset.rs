//! The routes of a campaign's data set: what it holds, and its files as they lie there. Who may read the socket may have
//! them, without a right to the state directory.

use super::{
    Answered, Refusal, Room, refusal,
    trajectories::{apart, broken},
};
use crate::{
    artifacts::dataset,
    control::{
        api::VERSION,
        dataset::{DatasetIndex, FileView, SplitView},
    },
    curation::words::{DataSet, Split},
    machines::campaign::Campaign,
};
use actix_web::{HttpResponse, http::StatusCode, web};
use futures_util::stream;
use std::{
    fs::File,
    io::{self, Read},
};

/// Bytes that are in memory for one client.
const PIECE: usize = 256 << 10;

/// The routes.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/campaigns/{id}/dataset", web::get().to(index))
        .route("/v1/campaigns/{id}/dataset/{path:.*}", web::get().to(file));
}

/// `GET /v1/campaigns/ID/dataset`.
async fn index(
    room: web::Data<Room>,
    word: web::Path<String>,
) -> Answered<web::Json<DatasetIndex>> {
    let tree = room.find(&word).await?;
    let dir = room.state.campaign(&tree.campaign.id).dataset();
    let found = apart(move || {
        let files = dataset::files(&dir)?;
        files
            .map(|files| Ok((files, dataset::rows(&dir)?)))
            .transpose()
    });
    let (files, rows) = found.await?.ok_or_else(|| none_yet(&tree.campaign))?;
    let file = |found: dataset::Found| FileView {
        path: found.path,
        bytes: found.bytes,
        sha256: found.sha256,
    };
    let split = |(set, split, rows): (DataSet, Split, u64)| SplitView {
        name: set.name().into(),
        split: split.name().into(),
        rows,
    };
    Ok(web::Json(DatasetIndex {
        version: VERSION,
        campaign: tree.campaign.id.to_string(),
        files: files.into_iter().map(file).collect(),
        splits: rows.into_iter().map(split).collect(),
    }))
}

/// `GET /v1/campaigns/ID/dataset/PATH`: a file as it lies there. One that cannot be read to its end breaks off.
async fn file(room: web::Data<Room>, path: web::Path<(String, String)>) -> Answered<HttpResponse> {
    let (word, asked) = path.into_inner();
    let tree = room.find(&word).await?;
    let dir = room.state.campaign(&tree.campaign.id).dataset();
    let Some(known) = dataset::known(&asked) else {
        return Err(no_such(&asked));
    };
    let finished = dir.clone();
    if apart(move || dataset::files(&finished)).await?.is_none() {
        return Err(none_yet(&tree.campaign));
    }
    let path = dir.join(&known);
    let opened = tokio::task::spawn_blocking(move || {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok::<_, io::Error>((file, bytes))
    });
    let opened = opened
        .await
        .unwrap_or_else(|gone| Err(io::Error::other(gone)));
    let (file, bytes) = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_such(&asked)),
        opened => opened.map_err(|error| broken(&error))?,
    };
    // So many as were announced: what grows meanwhile is of another file.
    let body = stream::try_unfold(file.take(bytes), |mut file| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; PIECE];
            let n = file.read(&mut piece)?;
            piece.truncate(n);
            Ok::<_, io::Error>((piece, file))
        });
        let (piece, file) = read.await.map_err(io::Error::other)??;
        Ok::<_, io::Error>((!piece.is_empty()).then(|| (web::Bytes::from(piece), file)))
    });
    Ok(HttpResponse::Ok()
        .no_chunking(bytes)
        .content_type("application/octet-stream")
        .streaming(body))
}

fn no_such(asked: &str) -> Refusal {
    let message = format!("the data set has no file {asked:?}");
    let right = "one that GET .../dataset names".into();
    refusal(StatusCode::NOT_FOUND, "unknown", message, None, Some(right))
}

/// A campaign without a finished data set: what it does instead, and what to wait for.
fn none_yet(campaign: &Campaign) -> Refusal {
    let (id, state) = (&campaign.id, campaign.state);
    let (message, right) = if campaign.spec.curation.is_none() {
        let message = format!("{id} makes no data set: its file has no [curation]");
        (message, format!("campaignctl export {id} --format jsonl"))
    } else if state.ended() {
        let message = format!("{id} has no data set: it is {state}");
        (message, format!("campaignctl explain {id}"))
    } else {
        let message = format!("{id} has no data set yet: it is {state}");
        let right = format!("campaignctl wait {id}   then the same command: curating makes it");
        (message, right)
    };
    refusal(StatusCode::CONFLICT, "state", message, None, Some(right))
}
