//! Reading a request's body: small, within a time, and JSON; anything else is a refusal, and the client is let go.

use super::routes::{Refusal, refusal};
use actix_web::{FromRequest, HttpRequest, dev::Payload, http::StatusCode, web};
use serde::de::DeserializeOwned;
use std::{future::Future, pin::Pin, time::Duration};

/// Bodies larger than this are refused: a campaign is a few kilobytes.
pub(super) const MOST_BYTES: usize = 256 << 10;
/// A client that has not sent its body after this long is let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// A body of JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = web::Bytes::from_request(request, payload);
        Box::pin(async move {
            let wrong = |status, message: String| refusal(status, "usage", message, None, None);
            let read = tokio::time::timeout(PATIENCE, bytes).await.map_err(|_| {
                let message = format!("the request's body did not come within {PATIENCE:?}");
                wrong(StatusCode::REQUEST_TIMEOUT, message)
            })?;
            let bytes = read.map_err(|error| {
                let status = error.as_response_error().status_code();
                wrong(
                    status,
                    format!("the request's body cannot be read: {error}"),
                )
            })?;
            let read = serde_json::from_slice(&bytes).map_err(|error| {
                let message = format!("the request is not understood: {error}");
                wrong(StatusCode::BAD_REQUEST, message)
            })?;
            Ok(Body(read))
        })
    }
}
