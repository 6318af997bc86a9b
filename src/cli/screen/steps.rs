//! The steps of a campaign, a line each: how far, how good, how long.

use super::{
    super::style::{Style, rate, seconds, thousands},
    fit::{WIDTH, labelled, width},
};
use crate::control::api::{CampaignView, PhaseView};

/// What a line may hold. All lines of a block hold the same, so that columns align.
#[derive(Clone, Copy)]
struct Room {
    /// Width of the bars; 0 for none.
    bar: usize,
    /// Whether the present step shows its quality.
    quality: bool,
    /// Whether it shows its speed.
    rate: bool,
}

/// What is left out first where a line grows too wide.
const ROOMS: [Room; 5] = [
    Room {
        bar: 16,
        quality: true,
        rate: true,
    },
    Room {
        bar: 16,
        quality: false,
        rate: true,
    },
    Room {
        bar: 10,
        quality: false,
        rate: true,
    },
    Room {
        bar: 0,
        quality: false,
        rate: true,
    },
    Room {
        bar: 0,
        quality: false,
        rate: false,
    },
];

/// `21,045 / 34,500`.
pub fn of(done: u64, total: u64) -> String {
    format!("{} / {}", thousands(done), thousands(total))
}

/// `0.806`; `-` where nobody knows it.
pub fn quality(mean: Option<f64>) -> String {
    mean.map_or("-".into(), |mean| format!("{mean:.3}"))
}

/// `0.850 to 0.886 on 190, 0.75 needed`.
pub fn bounds(view: &CampaignView) -> String {
    let Some(verdict) = &view.verdict else {
        return String::new();
    };
    let check = verdict.checks.iter().find(|check| check.check == "quality");
    let observed = match check.map(|check| (check.low, check.high, check.observed)) {
        Some((Some(low), Some(high), _)) => format!("{low:.3} to {high:.3}"),
        Some((_, _, mean)) => quality(mean),
        None => quality(None),
    };
    format!(
        "{observed} on {}, {} needed",
        verdict.n, view.quality_threshold
    )
}

/// The steps, a line each; those to come on one.
pub fn steps(view: &CampaignView, style: Style, bars: bool) -> String {
    let mut lines = Vec::new();
    for room in ROOMS {
        let bar = if bars { room.bar } else { 0 };
        let begun = view.phases.iter().filter(|phase| phase.status != "then");
        lines = begun
            .map(|phase| line(view, phase, style, Room { bar, ..room }))
            .collect();
        if lines.iter().all(|line| width(line) <= WIDTH) {
            break;
        }
    }
    let mut text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let then = view.phases.iter().filter(|phase| phase.status == "then");
    let then: Vec<&str> = then.map(|phase| phase.phase.as_str()).collect();
    if !then.is_empty() && view.ended_at.is_none() {
        text += &labelled(&format!("  {:<9} ", "then"), &then.join(", "));
    }
    text
}

/// `train 1/2`: a step with the part of it that is under way.
fn part(phase: &PhaseView) -> String {
    let part = phase.part.as_ref();
    part.map_or(phase.phase.clone(), |part| {
        format!("{} {part}", phase.phase)
    })
}

/// `training 1/2`: a state with the part of it that is under way.
pub fn state_and_part(view: &CampaignView) -> String {
    let now = view.phases.iter().find(|phase| phase.status == "now");
    let part = now.and_then(|phase| phase.part.as_ref());
    part.map_or(view.state.clone(), |part| format!("{} {part}", view.state))
}

fn line(view: &CampaignView, phase: &PhaseView, style: Style, room: Room) -> String {
    // Padded before it is coloured: escapes have no width.
    let pad = " ".repeat(6_usize.saturating_sub(phase.status.len()).max(1));
    let mut text = format!("  {:<9} {}{pad}", part(phase), style.word(&phase.status));
    text += &match (phase.phase.as_str(), phase.status.as_str()) {
        ("gate", _) => gate(view, style),
        (_, "now") => counted(phase, style, room) + &going(view, room),
        _ => counted(
            phase,
            style,
            Room {
                quality: true,
                ..room
            },
        ),
    };
    if let Some(took) = phase.duration_seconds.filter(|_| phase.status != "now") {
        text = format!("{}   {}", text.trim_end(), seconds(took));
    }
    text.trim_end().into()
}

fn gate(view: &CampaignView, style: Style) -> String {
    view.verdict.as_ref().map_or(String::new(), |verdict| {
        format!("{}  {}", style.word(&verdict.decision), bounds(view))
    })
}

fn counted(phase: &PhaseView, style: Style, room: Room) -> String {
    let mut text = String::new();
    if phase.total > 0 {
        if room.bar > 0 {
            text += &style.bar(phase.done, phase.total, room.bar);
            text += "  ";
        }
        text += &format!("{:>17}", of(phase.done, phase.total));
    }
    if let Some(mean) = phase.quality.filter(|_| room.quality) {
        text += &format!("   quality {mean:.3}");
    }
    text
}

fn going(view: &CampaignView, room: Room) -> String {
    let Some(progress) = &view.progress else {
        return String::new();
    };
    let speed = progress.rate_per_second.filter(|_| room.rate);
    let speed = speed.map_or(String::new(), |speed| format!("   {}", rate(speed)));
    let left = progress.left_seconds;
    speed + &left.map_or(String::new(), |left| format!("  {} left", seconds(left)))
}
