//! The routes of what people say of trajectories. An answer means that it is on disk.

use super::{
    super::{Answered, Body, Room},
    apart, no_such, wrong,
};
use crate::{
    actors::now,
    artifacts::{
        feedback::{Feedback, Opinion, append, read},
        samples,
    },
    control::{
        api::VERSION,
        trajectories::{FeedbackAccepted, FeedbackRequest, FeedbackView},
    },
};
use actix_web::{HttpRequest, web};

/// `GET /v1/campaigns/C/feedback`.
pub(super) async fn said(
    room: web::Data<Room>,
    word: web::Path<String>,
) -> Answered<web::Json<FeedbackView>> {
    let campaign = room.find(&word).await?.campaign.id.clone();
    let path = room.state.campaign(&campaign).feedback();
    let (feedback, unreadable) = apart(move || read(&path)).await?;
    Ok(web::Json(FeedbackView {
        version: VERSION,
        campaign: campaign.to_string(),
        feedback,
        unreadable,
    }))
}

/// `POST /v1/campaigns/C/feedback`.
pub(super) async fn say(
    room: web::Data<Room>,
    word: web::Path<String>,
    request: Body<FeedbackRequest>,
    connection: HttpRequest,
) -> Answered<web::Json<FeedbackAccepted>> {
    let uid = room.changer(&connection).await?;
    let FeedbackRequest {
        trajectory,
        feedback: word_of,
        note,
        review,
    } = request.0;
    let feedback: Opinion = word_of.parse().map_err(|error: String| {
        wrong("feedback", &word_of, error, "positive, negative or neutral")
    })?;
    let campaign = room.find(&word).await?.campaign.id.clone();
    let (paths, id) = (room.state.campaign(&campaign), trajectory.clone());
    let exists = apart(move || Ok(samples::find(&paths, &id)?.is_some())).await?;
    if !exists {
        return Err(no_such(&trajectory, Some(format!("campaign {campaign}"))));
    }
    let feedback = Feedback {
        trajectory,
        feedback,
        note: note.filter(|note| !note.trim().is_empty()),
        review,
        given_at: now().to_string(),
        uid,
    };
    let path = room.state.campaign(&campaign).feedback();
    let said = feedback.clone();
    // The lock is held on the thread that writes: a client that hangs up lets nobody else in beside it.
    apart(move || {
        let _one_at_a_time = room.changing.blocking_lock();
        append(&path, &said)
    })
    .await?;
    Ok(web::Json(FeedbackAccepted {
        version: VERSION,
        campaign: campaign.to_string(),
        feedback,
    }))
}
