//! The verbs that follow: watch, events, logs.

use super::{args::Shape, fail::Fail, screen};
use crate::control::{
    api::{EventView, LogView},
    client::Client,
};
use std::io::Write;

/// Prints a line; whether anybody still reads.
fn print(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// `events [ID] [-f]`; `watch [ID]` is what comes from now on.
pub async fn events(
    client: &Client,
    shape: Shape,
    id: Option<&str>,
    past: bool,
    follow: bool,
) -> Result<u8, Fail> {
    let mut path = format!(
        "/v1/events?past={}&follow={}",
        u8::from(past),
        u8::from(follow)
    );
    if let Some(id) = id {
        path += &format!("&id={id}");
    }
    let each = |event: EventView| {
        if shape.json {
            print(&serde_json::json!(event).to_string())
        } else {
            print(&screen::event(&event, shape.utc))
        }
    };
    client.follow(&path, each).await?;
    Ok(0)
}

/// `logs [ID] [-f] [--level]`.
pub async fn logs(
    client: &Client,
    shape: Shape,
    id: &str,
    level: &str,
    follow: bool,
) -> Result<u8, Fail> {
    let path = format!(
        "/v1/campaigns/{id}/logs?level={level}&follow={}",
        u8::from(follow)
    );
    let each = |line: LogView| {
        if shape.json {
            return print(&serde_json::json!(line).to_string());
        }
        let space = if line.task.is_empty() { "" } else { " " };
        let who = format!("{}{space}{}", line.job, line.task);
        print(&if who.is_empty() {
            line.text
        } else {
            format!("{who} | {}", line.text)
        })
    };
    client.follow(&path, each).await?;
    Ok(0)
}
