//! The verbs that look: status, list, explain, verdict, jobs, job.

use super::{args::Shape, fail::Fail, screen, style::Style};
use crate::control::{
    api::{ExplainView, JobsView, ListView, StatusView, VerdictAnswer},
    client::Client,
};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// Gets a value and shows it: as it is with `--json`, else by its screen.
async fn show<T: DeserializeOwned + Serialize>(
    client: &Client,
    shape: Shape,
    path: &str,
    screen: impl FnOnce(&T) -> String,
) -> Result<u8, Fail> {
    let view: T = client.get(path).await?;
    if shape.json {
        println!("{}", serde_json::json!(view));
    } else {
        print!("{}", screen(&view));
    }
    Ok(0)
}

fn style(shape: Shape) -> Style {
    Style::of(&std::io::stdout(), shape.color)
}

/// `status [ID]`.
pub async fn status(client: &Client, shape: Shape, id: Option<&str>) -> Result<u8, Fail> {
    let path = id.map_or("/v1/status".into(), |id| format!("/v1/status?id={id}"));
    show(client, shape, &path, |view: &StatusView| {
        screen::status(view, style(shape))
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
    let path = state.map_or("/v1/campaigns".into(), |state| {
        format!("/v1/campaigns?state={state}")
    });
    let mut view: ListView = client.get(&path).await?;
    if let Some(since) = since {
        let young = |at: &str| {
            humantime::parse_rfc3339(at)
                .ok()
                .and_then(|at| at.elapsed().ok())
                .is_none_or(|age| age <= since)
        };
        view.campaigns
            .retain(|campaign| young(&campaign.created_at));
    }
    if shape.json {
        println!("{}", serde_json::json!(view));
    } else {
        print!("{}", screen::table(&view.campaigns, style(shape)));
    }
    Ok(0)
}

/// `explain [ID]`.
pub async fn explain(client: &Client, shape: Shape, id: &str) -> Result<u8, Fail> {
    show(
        client,
        shape,
        &format!("/v1/campaigns/{id}/explain"),
        |view: &ExplainView| screen::explain(view),
    )
    .await
}

/// `verdict [ID]`.
pub async fn verdict(client: &Client, shape: Shape, id: &str) -> Result<u8, Fail> {
    let path = format!("/v1/campaigns/{id}/verdict");
    show(client, shape, &path, |view: &VerdictAnswer| {
        screen::verdict(&view.verdict, style(shape))
    })
    .await
}

/// `jobs [ID]`; `job JOB` is its rows of one job, with the directory.
pub async fn jobs(
    client: &Client,
    shape: Shape,
    id: Option<&str>,
    job: Option<&str>,
) -> Result<u8, Fail> {
    let path = id.map_or("/v1/jobs".into(), |id| format!("/v1/jobs?id={id}"));
    let mut view: JobsView = client.get(&path).await?;
    if let Some(job) = job {
        view.jobs.retain(|row| row.job == job);
        if view.jobs.is_empty() {
            return Err(Fail::usage(
                format!("there is no job {job:?}"),
                "campaignctl jobs",
            ));
        }
    }
    if shape.json {
        println!("{}", serde_json::json!(view));
        return Ok(0);
    }
    print!("{}", screen::jobs(&view.jobs));
    if let Some(row) = view.jobs.first().filter(|_| job.is_some()) {
        println!(
            "status     {}   attempt {}\ndirectory  {}",
            row.status, row.attempt, row.directory
        );
    }
    Ok(0)
}
