//! What is told a line at a time: whole, however wide, for these lines are searched and cut by other programs.

use super::{
    super::style::{rate, thousands},
    steps::{quality, state_and_part},
};
use crate::{
    control::api::{CampaignView, EventView, LogView},
    time::Timestamp,
};

/// `09:31:40Z`, or RFC 3339: UTC, and marked as such.
pub fn clock(at: &str, digits: usize, whole: bool) -> String {
    match at.get(11..11 + digits) {
        Some(clock) if !whole && at.ends_with('Z') => format!("{clock}Z"),
        _ => at.into(),
    }
}

/// One event.
pub fn event(event: &EventView, utc: bool) -> String {
    let at = clock(&event.at, 8, utc);
    let state = event
        .state
        .as_ref()
        .map_or(String::new(), |state| format!("{state:<12} "));
    let uid = event
        .uid
        .map_or(String::new(), |uid| format!("  (uid {uid})"));
    format!(
        "{at}  {:<5} {} {state}{:<16} {}{uid}",
        event.seq, event.campaign, event.event, event.what
    )
}

/// A line of a log, and whose: `alttp-12 3/8 | ...`.
pub fn log(line: &LogView) -> String {
    let space = if line.task.is_empty() { "" } else { " " };
    let who = format!("{}{space}{}", line.job, line.task);
    if who.is_empty() {
        line.text.clone()
    } else {
        format!("{who} | {}", line.text)
    }
}

/// `2026-03-02T09:14:07Z quickstart generating  12,480/34,500 2,610/s`.
pub fn progress(view: &CampaignView, now: Timestamp) -> String {
    let mut text = format!("{now} {} {}", view.id, state_and_part(view));
    if let Some(progress) = view.progress.as_ref().filter(|progress| progress.total > 0) {
        let (done, total) = (thousands(progress.done), thousands(progress.total));
        text += &format!("  {done}/{total}");
        if let Some(speed) = progress.rate_per_second {
            text += &format!(" {}", rate(speed));
        }
    } else if let Some(verdict) = view
        .verdict
        .as_ref()
        .filter(|_| view.phase.as_deref() != Some("pilot"))
    {
        let mean = quality(view.quality.as_ref().and_then(|quality| quality.mean));
        text += &format!("  {} quality {mean} n={}", verdict.decision, verdict.n);
    }
    text
}
