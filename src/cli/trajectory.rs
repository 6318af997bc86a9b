//! `campaignctl trajectory`: one trajectory to read, or one part of it to use. `campaignctl feedback`: what you say of it.

use super::{args::Shape, fail::Fail, now, out, screen, style::Style};
use crate::control::{
    api::VERSION,
    client::{Client, Target},
    trajectories::{FeedbackAccepted, FeedbackRequest, TrajectoryView},
};
use clap::Args;
use serde_json::{Value, json};
use std::io::IsTerminal;

/// Which part alone goes to stdout.
#[derive(Args, Clone, Copy, Debug, Default)]
#[group(multiple = false)]
pub struct Part {
    /// Only the workflow, main.nf
    #[arg(long)]
    code: bool,
    /// Only nextflow.config
    #[arg(long)]
    config: bool,
    /// Only README.md
    #[arg(long)]
    readme: bool,
    /// Only the plan, as JSON
    #[arg(long)]
    plan: bool,
}

impl Part {
    /// The part's word and its key in a row.
    fn key(self) -> Option<(&'static str, &'static str)> {
        match self {
            Part { code: true, .. } => Some(("code", "generated_code")),
            Part { config: true, .. } => Some(("config", "config_code")),
            Part { readme: true, .. } => Some(("readme", "readme")),
            Part { plan: true, .. } => Some(("plan", "plan_json")),
            _ => None,
        }
    }
}

/// `[CAMPAIGN/]ID`: an id that has a `/` itself needs its campaign before it.
pub async fn get(client: &Client, word: &str) -> Result<TrajectoryView, Fail> {
    let target = match word.split_once('/') {
        Some((campaign, id)) => Target::new(&["campaigns", campaign, "trajectories", id]),
        None => Target::new(&["trajectories", word]),
    };
    Ok(client.get(&target).await?)
}

/// `trajectory [CAMPAIGN/]ID [--code|--config|--readme|--plan]`.
pub async fn trajectory(client: &Client, shape: Shape, word: &str, part: Part) -> Result<u8, Fail> {
    let view = get(client, word).await?;
    if let Some((word, key)) = part.key() {
        return only(&view, shape, word, key);
    }
    if shape.json {
        out::json(&view)?;
    } else {
        let style = Style::of(&std::io::stdout(), shape.color);
        out::print(&screen::trajectory(&view, style, now()))?;
    }
    Ok(0)
}

/// One part, byte for byte; a terminal, which would act on them, gets no control characters.
fn only(view: &TrajectoryView, shape: Shape, word: &str, key: &str) -> Result<u8, Fail> {
    let Some(text) = text_of(&view.trajectory, key) else {
        return Err(Fail::usage(
            format!("trajectory {} has no {word}", screen::clean(&view.id)),
            format!(
                "campaignctl trajectory {}/{}",
                view.campaign,
                screen::clean(&view.id)
            ),
        ));
    };
    if shape.json {
        let mut value = json!({ "version": VERSION, "campaign": view.campaign, "id": view.id });
        value[word] = text.into();
        out::json(&value)?;
    } else if std::io::stdout().is_terminal() {
        out::line(&screen::clean_lines(&text))?;
    } else {
        out::print(&text)?;
    }
    Ok(0)
}

/// A part's text; what is no text is JSON.
pub fn text_of(row: &Value, key: &str) -> Option<String> {
    match row.get(key)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Records what is said of a trajectory.
pub async fn say(
    client: &Client,
    campaign: &str,
    request: &FeedbackRequest,
) -> Result<FeedbackAccepted, Fail> {
    let target = Target::new(&["campaigns", campaign, "feedback"]);
    Ok(client.post(&target, request).await?)
}

/// `feedback [CAMPAIGN/]ID positive|negative|neutral [--note TEXT]`.
pub async fn feedback(
    client: &Client,
    shape: Shape,
    word: &str,
    opinion: String,
    note: Option<String>,
) -> Result<u8, Fail> {
    let (campaign, id) = match word.split_once('/') {
        Some((campaign, id)) => (campaign.to_string(), id.to_string()),
        None => {
            let view = get(client, word).await?;
            (view.campaign, view.id)
        }
    };
    let request = FeedbackRequest {
        trajectory: id,
        feedback: opinion,
        note,
        review: None,
    };
    let accepted = say(client, &campaign, &request).await?;
    if shape.json {
        out::json(&accepted)?;
    } else if !shape.quiet {
        let said = &accepted.feedback;
        let id = screen::clean(&said.trajectory);
        let (campaign, word) = (&accepted.campaign, said.feedback);
        out::line(&format!(
            "{campaign}/{id} is {word}  (recorded, uid {})",
            said.uid
        ))?;
    }
    Ok(0)
}
