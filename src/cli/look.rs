//! The verbs that look: status, list, explain, verdict, jobs, job.

use super::{args::Shape, fail::Fail, now, out, screen, style::Style};
use crate::{
    control::{
        api::{ExplainView, JobsView, ListView, StatusView, VerdictAnswer},
        client::{Client, Target},
    },
    time::Timestamp,
};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// Gets a value and shows it: as it is with `--json`, else by its screen.
async fn show<T: DeserializeOwned + Serialize>(
    client: &Client,
    shape: Shape,
    target: &Target,
    screen: impl FnOnce(&T) -> String,
) -> Result<u8, Fail> {
    let view: T = client.get(target).await?;
    tell(&view, shape, screen)
}

fn tell<T: Serialize>(
    view: &T,
    shape: Shape,
    screen: impl FnOnce(&T) -> String,
) -> Result<u8, Fail> {
    if shape.json {
        out::json(view)?;
    } else {
        out::print(&screen(view))?;
    }
    Ok(0)
}

fn style(shape: Shape) -> Style {
    Style::of(&std::io::stdout(), shape.color)
}

/// `status [ID]`.
pub async fn status(client: &Client, shape: Shape, id: Option<&str>) -> Result<u8, Fail> {
    let target = Target::new(&["status"]).query_some("id", id);
    show(client, shape, &target, |view: &StatusView| {
        screen::status(view, style(shape), now())
    })
    .await
}

/// `list [--state S] [--since 7d]`.
pub async fn list(
    client: &Client,
    shape: Shape,
    state: Option<&str>,
    since: Option<Duration>,
) -> Result<u8, Fail> {
    let target = Target::new(&["campaigns"]).query_some("state", state);
    let mut view: ListView = client.get(&target).await?;
    if let Some(since) = since {
        let now = now();
        view.campaigns
            .retain(|campaign| young(&campaign.created_at, since, now));
    }
    tell(&view, shape, |view| {
        screen::table(&view.campaigns, style(shape))
    })
}

/// An instant that cannot be read is shown rather than hidden.
fn young(at: &str, since: Duration, now: Timestamp) -> bool {
    let at = humantime::parse_rfc3339(at);
    at.map_or(true, |at| now.since(at.into()) <= since)
}

/// `explain [ID]`.
pub async fn explain(client: &Client, shape: Shape, id: &str) -> Result<u8, Fail> {
    let target = Target::new(&["campaigns", id, "explain"]);
    show(client, shape, &target, |view: &ExplainView| {
        screen::explain(view, shape.utc)
    })
    .await
}

/// `verdict [ID]`.
pub async fn verdict(client: &Client, shape: Shape, id: &str) -> Result<u8, Fail> {
    let target = Target::new(&["campaigns", id, "verdict"]);
    show(client, shape, &target, |view: &VerdictAnswer| {
        screen::verdict(&view.verdict, style(shape), now())
    })
    .await
}

/// `jobs [ID] [--state S]`.
pub async fn jobs(
    client: &Client,
    shape: Shape,
    id: Option<&str>,
    state: Option<&str>,
) -> Result<u8, Fail> {
    let target = Target::new(&["jobs"]).query_some("id", id);
    let mut view: JobsView = client.get(&target).await?;
    view.jobs
        .retain(|row| state.is_none_or(|state| row.state == state));
    tell(&view, shape, |view| screen::jobs(&view.jobs, now()))
}

/// `job JOB`: its rows, then what it asked for and used, why it waits, and its retries.
pub async fn job(client: &Client, shape: Shape, job: &str) -> Result<u8, Fail> {
    let campaign = job.rsplit_once('-').map(|(campaign, _)| campaign);
    let target = Target::new(&["jobs"]).query_some("id", campaign);
    let mut view: JobsView = client.get(&target).await?;
    view.jobs.retain(|row| row.job == job);
    if view.jobs.is_empty() {
        return Err(Fail::usage(
            format!("there is no job {job:?}"),
            "campaignctl jobs",
        ));
    }
    tell(&view, shape, |view| screen::job(&view.jobs, now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn young_is_what_is_no_older_than_asked() {
        let now = Timestamp(1_772_442_842_000);
        let hour = Duration::from_secs(3_600);
        assert!(young("2026-03-02T08:14:02Z", hour, now));
        assert!(!young("2026-03-02T08:14:01Z", hour, now));
        assert!(young("2026-03-02T10:00:00Z", hour, now), "a clock set back");
        assert!(young("unknown", hour, now));
    }
}
