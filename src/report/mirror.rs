//! The status files, PID files and logs of specification 3, for the scripts and dashboards that read them. Mirrors of the
//! store: written by rename, never read back.
//!
//! Keys, phase words, agents' names and the format of a log line are the specification's.

use crate::{
    machines::{
        campaign::{Campaign, Stage, State},
        effect::Performer,
        job::Phase,
        training_run::TrainingRun,
        tree::CampaignTree,
    },
    time::Timestamp,
};
use serde_json::{Value, json};

/// The orchestrator's log.
pub const ORCHESTRATION_LOG: &str = "training_orchestrator.log";
/// The pilot's output.
pub const PILOT_LOG: &str = "pilot_campaign.log";
/// The full generation's output.
pub const FULL_LOG: &str = "full_campaign.log";
/// What was done about tasks that ended undone, a retry a line.
pub const RESOLUTIONS: &str = "error_resolutions.jsonl";
/// The daemon's PID.
pub const ORCHESTRATOR_PID: &str = "orchestrator.pid";
/// The PID of the running generation's first task.
pub const CAMPAIGN_PID: &str = "campaign.pid";

/// What a monitor sees of one phase.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Distinct samples.
    pub done: u64,
    /// Of them, marked as accepted.
    pub accepted: u64,
    /// Mean quality.
    pub quality: Option<f64>,
    /// The latest scores, at most 100.
    pub scores: Vec<f64>,
    /// When the count last grew.
    pub last_update: Option<Timestamp>,
}

impl Measured {
    /// The accepted share, 0 to 1; none of nothing.
    pub fn acceptance(&self) -> Option<f64> {
        (self.done > 0).then(|| self.accepted as f64 / self.done as f64)
    }

    /// Complete is counted, and never on nothing.
    pub fn complete(&self, total: u64) -> bool {
        total > 0 && self.done >= total
    }
}

/// What the files are made from.
pub struct Facts<'a> {
    /// The campaign.
    pub tree: &'a CampaignTree,
    /// The pilot, as the PilotMonitor sees it.
    pub pilot: Measured,
    /// The full generation, as the CampaignMonitor sees it.
    pub generation: Measured,
    /// The PID of a running task of the generation.
    pub campaign_pid: Option<i32>,
    /// The daemon's PID.
    pub orchestrator_pid: u32,
    /// The time of writing.
    pub now: Timestamp,
}

/// The five status files: (name, content).
pub fn files(facts: &Facts) -> Vec<(&'static str, Value)> {
    vec![
        ("pilot_monitor_status.json", pilot_monitor(facts)),
        ("campaign_validation.json", validation(facts)),
        ("campaign_status.json", campaign_status(facts)),
        ("campaign_monitor_status.json", campaign_monitor(facts)),
        ("orchestrator_state.json", orchestrator(facts)),
    ]
}

fn at(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |at| at.to_string().into())
}

fn pilot_monitor(facts: &Facts) -> Value {
    let campaign = &facts.tree.campaign;
    let (pilot, total) = (&facts.pilot, campaign.target(Phase::Pilot));
    let verdict = campaign.verdict.as_ref();
    let quality_check =
        verdict.and_then(|verdict| verdict.checks.iter().find(|check| check.check == "quality"));
    json!({
        "progress": pilot.done,
        "total": total,
        "quality_scores": pilot.scores,
        "acceptance_rate": pilot.acceptance(),
        "accepted": pilot.accepted,
        "rejected": pilot.done - pilot.accepted.min(pilot.done),
        "is_complete": pilot.complete(total),
        "last_update": at(pilot.last_update),
        "estimated_quality": pilot.quality,
        "quality_threshold": campaign.spec.criteria.quality_threshold,
        "quality_pass": quality_check.and_then(|check| check.passed),
        "monitor_timestamp": facts.now.to_string(),
    })
}

fn validation(facts: &Facts) -> Value {
    let campaign = &facts.tree.campaign;
    let verdict = campaign.verdict.as_ref();
    let check = |name: &str| {
        let found =
            verdict.and_then(|verdict| verdict.checks.iter().find(|check| check.check == name));
        found.and_then(|check| check.passed)
    };
    json!({
        "approved": verdict.is_some_and(crate::evaluation::Verdict::approved),
        "reason": verdict.map(|verdict| verdict.reason.clone()),
        "recommendation": verdict.map(|verdict| verdict.recommendation.clone()),
        "checks": {
            "completion": check("completion"),
            "min_samples": check("min_samples"),
            "quality": check("quality"),
        },
        "decision": verdict.map(|verdict| verdict.decision.name()),
        "pilot_status": pilot_monitor(facts),
        "validation_timestamp": at(campaign.judged_at),
    })
}

fn launched_at(campaign: &Campaign) -> Option<Timestamp> {
    campaign
        .stages
        .iter()
        .find(|timed| timed.stage == Stage::Generate)
        .map(|timed| timed.started_at)
}

fn campaign_status(facts: &Facts) -> Value {
    let campaign = &facts.tree.campaign;
    json!({
        "launched": launched_at(campaign).is_some(),
        "pid": facts.campaign_pid,
        "target": campaign.spec.campaign_target,
        "approved_by": campaign.approval.as_ref().map(|approval| approval.by.clone()),
        "launch_timestamp": at(launched_at(campaign)),
        "status": campaign.state.name(),
        "cause": campaign.cause,
    })
}

fn campaign_monitor(facts: &Facts) -> Value {
    let (made, total) = (&facts.generation, facts.tree.campaign.spec.campaign_target);
    json!({
        "progress": made.done,
        "total": total,
        "percent": if total > 0 { Some(100.0 * made.done as f64 / total as f64) } else { None },
        "estimated_quality": made.quality,
        "acceptance_rate": made.acceptance(),
        "is_complete": made.complete(total),
        "is_running": facts.campaign_pid.is_some(),
        "last_update": at(made.last_update),
        "monitor_timestamp": facts.now.to_string(),
    })
}

fn orchestrator(facts: &Facts) -> Value {
    let campaign = &facts.tree.campaign;
    let decision = campaign.verdict.as_ref().map(|verdict| verdict.decision);
    json!({
        "phase": phase_word(campaign, decision),
        "state": campaign.state.name(),
        "campaign": campaign.id,
        "started": campaign.created_at.to_string(),
        "ended": at(campaign.ended_at),
        "pid": facts.orchestrator_pid,
        "pilot_result": pilot_monitor(facts),
        "validation_result": campaign.verdict.as_ref().map(|_| validation(facts)),
        "campaign_result": launched_at(campaign).map(|_| campaign_status(facts)),
        "training_result": training(facts),
        "updated": facts.now.to_string(),
    })
}

/// The training runs; null before there is one.
fn training(facts: &Facts) -> Value {
    let run = |(key, run): (&String, &TrainingRun)| {
        json!({
            "run": key,
            "state": run.state.name(),
            "stage": run.stage,
            "stages": run.stages,
            "started": run.started_at.to_string(),
            "ended": at(run.ended_at),
        })
    };
    let all: Vec<Value> = facts.tree.runs.iter().map(run).collect();
    if all.is_empty() {
        Value::Null
    } else {
        all.into()
    }
}

/// A campaign that failed before its launch is a failed validation, and after it a failed launch.
fn phase_word(campaign: &Campaign, decision: Option<crate::evaluation::Decision>) -> &'static str {
    let before = matches!(
        campaign.failed_in,
        Some(State::Piloting | State::Validating)
    );
    match campaign.state {
        State::Failed if before => "validation_failed",
        state => state.spoken(decision),
    }
}

/// What the specification calls an actor.
pub fn agent(performer: Performer) -> &'static str {
    match performer {
        Performer::PilotMonitor => "PilotQualityMonitor",
        Performer::Validator => "CampaignValidator",
        Performer::Launcher => "CampaignLauncher",
        Performer::CampaignMonitor => "CampaignMonitor",
        Performer::Historian => "Historian",
        Performer::Trainer => "Trainer",
    }
}

/// What the specification calls the coordinator.
pub const ORCHESTRATOR: &str = "TrainingOrchestrator";

/// A log line: `2025-12-21 06:50:15 [PilotQualityMonitor] INFO: Progress: 89/190 (46.8%)`, in UTC.
pub fn log_line(now: Timestamp, agent: &str, level: &str, text: &str) -> String {
    let stamp = now.to_string().replace('T', " ").replace('Z', "");
    let text = text.replace(['\n', '\r'], " ");
    format!("{stamp} [{agent}] {level}: {text}\n")
}

/// `Progress: 89/190 (46.8%) | Quality: 0.821 | Acceptance: 87.00%`.
pub fn progress_text(measured: &Measured, total: u64) -> String {
    let percent = if total > 0 {
        100.0 * measured.done as f64 / total as f64
    } else {
        0.0
    };
    let mut text = format!("Progress: {}/{total} ({percent:.1}%)", measured.done);
    if let Some(quality) = measured.quality {
        text += &format!(" | Quality: {quality:.3}");
    }
    if let Some(acceptance) = measured.acceptance() {
        text += &format!(" | Acceptance: {:.2}%", 100.0 * acceptance);
    }
    text
}

/// Who says an event in the orchestrator's log.
pub fn speaker(event: &str) -> &'static str {
    match event {
        "pilot_judged" => agent(Performer::Validator),
        "job_launched" | "launch_failed" | "job_ended" => agent(Performer::Launcher),
        "recorded" | "planned" => agent(Performer::Historian),
        _ => ORCHESTRATOR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_the_specifications() {
        let measured = Measured {
            done: 89,
            accepted: 77,
            quality: Some(0.8211),
            ..Measured::default()
        };
        let text = progress_text(&measured, 190);
        assert_eq!(
            text,
            "Progress: 89/190 (46.8%) | Quality: 0.821 | Acceptance: 86.52%"
        );
        let line = log_line(
            Timestamp(1_766_299_815_000),
            agent(Performer::PilotMonitor),
            "INFO",
            &text,
        );
        assert_eq!(
            line,
            format!("2025-12-21 06:50:15 [PilotQualityMonitor] INFO: {text}\n")
        );
    }

    #[test]
    fn nothing_is_never_complete() {
        assert!(!Measured::default().complete(0));
        assert_eq!(Measured::default().acceptance(), None);
        assert_eq!(
            progress_text(&Measured::default(), 0),
            "Progress: 0/0 (0.0%)"
        );
    }
}
