//! The screens: a view and the time in, text out. 80 columns, few words, what needs a person last.

pub(super) mod fit;
mod job;
mod lines;
mod news;
mod reasons;
mod rehearsed;
mod results;
mod steps;
mod summary;
#[cfg(test)]
mod tests;
mod trajectory;

pub use job::job;
pub use lines::{event, log, progress};
pub use reasons::{explain, verdict};
pub use rehearsed::{rehearsed, trials};
pub use summary::summary;
pub use trajectory::{brief, clean, clean_lines, trajectory};

use super::{
    proposals,
    style::{Style, ago, seconds, thousands},
};
use crate::{
    control::api::{CampaignView, JobView, StatusView},
    time::Timestamp,
};
use fit::{Row, choices, labelled, width};
use steps::{of, quality, state_and_part, steps};

fn percent(view: &CampaignView) -> String {
    match &view.progress {
        Some(progress) if progress.total > 0 => {
            let share = progress.done as f64 / progress.total as f64;
            format!("  {} %", (100.0 * share.min(1.0)) as u64)
        }
        _ => String::new(),
    }
}

/// `8 running, 0 waiting, 0 failed`.
fn jobs_line(view: &CampaignView) -> String {
    let jobs = &view.jobs;
    let mut text = format!(
        "{} running, {} waiting, {} done, {} failed",
        jobs.running, jobs.waiting, jobs.done, jobs.failed
    );
    if jobs.lost > 0 {
        text += &format!(", {} lost", jobs.lost);
    }
    if jobs.retried > 0 {
        text += &format!(", {} retried", jobs.retried);
    }
    text
}

fn for_you(view: &CampaignView) -> Vec<String> {
    if view.needs.is_empty() {
        return vec!["nothing to do".into()];
    }
    let verbs = view.needs.iter();
    verbs
        .map(|verb| format!("campaignctl {verb} {}", view.id))
        .collect()
}

/// One campaign's page.
fn page(view: &CampaignView, style: Style, now: Timestamp) -> String {
    let paused = if view.paused { "  paused" } else { "" };
    let began = ago(Some(&view.created_at), now);
    let (state, share) = (style.word(&view.state), percent(view));
    let head = format!("{}  {state}{share}{paused}   started {began} ago", view.id);
    let named = |name: &str| format!("  {name:<9} ");
    let mut text = labelled("", &head) + &steps(view, style, false);
    text += &labelled(&named("jobs"), &jobs_line(view));
    if let Some(dataset) = &view.dataset {
        let (rows, all) = (thousands(dataset.rows), thousands(dataset.rows_in));
        text += &labelled(&named("data set"), &format!("{rows} rows of {all}"));
    }
    if let Some(plan) = &view.plan {
        text += &labelled(&named("learn"), &proposals::learned(plan));
    }
    if let Some(cause) = &view.cause {
        text += &labelled(&named("cause"), cause);
    }
    for warning in &view.warnings {
        text += &labelled(&named("warning"), warning);
    }
    text + &choices(&named("you"), &for_you(view), "   or: ")
}

/// What `run` redraws in place.
pub fn block(view: &CampaignView, style: Style, now: Timestamp) -> String {
    let age = ago(Some(&view.created_at), now);
    let head = format!("{}  {}   {age}", view.id, style.word(&view.state));
    let mut text = labelled("", &head) + &steps(view, style, true);
    for warning in &view.warnings {
        text += &labelled("  warning: ", warning);
    }
    text + &format!(
        "  {} jobs running.  Ctrl-C keeps everything; the same command continues.",
        view.jobs.running
    )
}

/// What stays of the block: each step's time.
pub fn last_block(view: &CampaignView, style: Style) -> String {
    let head = format!("{}  {}", view.id, style.word(&view.state));
    let text = labelled("", &head) + &steps(view, style, true);
    text.trim_end().into()
}

/// A line a campaign.
pub fn table(campaigns: &[CampaignView], style: Style) -> String {
    let head = ["STATE", "PROGRESS", "QUALITY", "JOBS", "LEFT"];
    let mut rows = vec![Row {
        name: "CAMPAIGN".into(),
        cells: head.map(String::from).into(),
    }];
    rows.extend(campaigns.iter().map(|view| row(view, style)));
    fit::table(&rows, "<>>>>").join("\n") + "\n"
}

fn row(view: &CampaignView, style: Style) -> Row {
    let progress = view.progress.as_ref();
    let made = progress.filter(|progress| progress.total > 0);
    let left = progress.and_then(|progress| progress.left_seconds);
    Row {
        name: view.id.clone(),
        cells: vec![
            style.word(&state_and_part(view)),
            made.map_or("-".into(), |made| of(made.done, made.total)),
            quality(view.quality.as_ref().and_then(|quality| quality.mean)),
            view.jobs.running.to_string(),
            left.map_or("-".into(), seconds),
        ],
    }
}

/// `status`: a page for one campaign, a table for several, then the daemon and what waits for a person.
pub fn status(view: &StatusView, style: Style, now: Timestamp) -> String {
    let mut text = match view.campaigns.as_slice() {
        [] => "no campaign yet: campaignctl submit FILE\n".into(),
        [one] => page(one, style, now),
        several => table(several, style),
    };
    let daemon = &view.daemon;
    let up = ago(Some(&daemon.started_at), now);
    text += &format!("up {up}, {} jobs\n", daemon.jobs_running);
    text += &news::news(&daemon.news, now);
    if let Some(restart) = &daemon.restart {
        let restart = format!(
            "restarted {up} ago; {} campaigns go on, {} effects were owed, found again in {}",
            restart.campaigns,
            restart.owed,
            seconds(restart.opened_seconds)
        );
        text += &labelled("", &restart);
    }
    let waiting = view
        .campaigns
        .iter()
        .filter(|campaign| !campaign.needs.is_empty());
    let waiting: Vec<String> = waiting
        .map(|campaign| format!("{} ({})", campaign.id, campaign.needs.join(" or ")))
        .collect();
    if view.campaigns.len() > 1 && !waiting.is_empty() {
        text += &labelled("for you: ", &waiting.join(", "));
    }
    text
}

/// A row a task; a note that finds no room beside it stands below.
pub fn jobs(jobs: &[JobView], now: Timestamp) -> String {
    let head = ["PHASE", "WHERE", "STATE", "FOR"];
    let mut rows = vec![Row {
        name: "JOB".into(),
        cells: head.map(String::from).into(),
    }];
    rows.extend(jobs.iter().map(|job| {
        let since = job.launched_at.as_deref();
        let lasts = ago(since.filter(|_| job.ended_at.is_none()), now);
        Row {
            name: job.job.clone(),
            cells: vec![
                job.phase.clone(),
                job.place.clone(),
                job.state.clone(),
                lasts,
            ],
        }
    }));
    let notes = std::iter::once("NOTE").chain(jobs.iter().map(|job| job.note.as_str()));
    let mut text = String::new();
    for (line, note) in fit::table(&rows, "<<<>").iter().zip(notes) {
        let last = line.rsplit('\n').next().unwrap_or(line);
        if width(last) + 2 + width(note) <= fit::WIDTH {
            text += &format!("{line}  {note}");
            text = text.trim_end().to_string() + "\n";
        } else {
            text += &format!("{line}\n{}", labelled("    ", note));
        }
    }
    text
}
