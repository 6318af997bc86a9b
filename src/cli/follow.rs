//! The verbs that follow: watch, events, logs.

use super::{args::Shape, fail::Fail, out, screen};
use crate::control::{
    api::EventView,
    client::{Client, Target},
};
use serde::{Serialize, de::DeserializeOwned};

/// Shows each value of a stream, for as long as somebody reads.
async fn show<T: DeserializeOwned + Serialize>(
    client: &Client,
    shape: Shape,
    target: &Target,
    screen: impl Fn(&T) -> String,
) -> Result<u8, Fail> {
    let mut written = Ok(true);
    let each = |value: T| {
        written = if shape.json {
            out::json(&value)
        } else {
            out::line(&screen(&value))
        };
        written == Ok(true)
    };
    client.follow(target, each).await?;
    written.map(|_| 0)
}

/// `events [ID] [-f]`; `watch [ID]` is what comes from now on.
pub async fn events(
    client: &Client,
    shape: Shape,
    id: Option<&str>,
    past: bool,
    follow: bool,
) -> Result<u8, Fail> {
    let target = Target::new(&["events"])
        .query("past", u8::from(past))
        .query("follow", u8::from(follow))
        .query_some("id", id);
    show(client, shape, &target, |event: &EventView| {
        screen::event(event, shape.utc)
    })
    .await
}

/// `logs [ID] [-f] [--level]`.
pub async fn logs(
    client: &Client,
    shape: Shape,
    id: &str,
    level: &str,
    follow: bool,
) -> Result<u8, Fail> {
    let target = Target::new(&["campaigns", id, "logs"])
        .query("level", level)
        .query("follow", u8::from(follow));
    show(client, shape, &target, screen::log).await
}
