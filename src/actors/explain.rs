//! Why a campaign is where it is, what is seen of it, what it waits for, and where it can go.

use super::{seen::Seen, slurm_view, view};
use crate::{
    control::api::{CampaignView, ExplainView, NextView, SeenView, VERSION, WaitsView, WhyView},
    executor::{
        job_dir::JobDir,
        local::{Local, Observed},
        slurm::{desk::Slurm, look::look},
    },
    machines::{
        campaign::{Stage, State},
        job::Phase,
        table::tables,
        tree::CampaignTree,
    },
    manifest::StateDir,
    time::{Timestamp, two_units},
};

/// The latest transitions that are shown.
const WHY: usize = 5;

/// The explanation of a campaign, as it is shown.
pub async fn explain(
    tree: &CampaignTree,
    shown: CampaignView,
    seen: &Seen,
    state: &StateDir,
    slurm: &Slurm,
    now: Timestamp,
) -> ExplainView {
    let campaign = &tree.campaign;
    let last = campaign.trail.last();
    let headline = match last {
        Some(last) => format!("{} is {}: {}", campaign.id, campaign.state, last.text),
        None => format!("{} is {}", campaign.id, campaign.state),
    };
    let why = campaign
        .trail
        .iter()
        .rev()
        .take(WHY)
        .rev()
        .map(|step| WhyView {
            at: step.at.to_string(),
            event: step.event.clone(),
            text: format!("{}: {}", step.to, step.text),
            source: source(tree, step.to),
        });
    let left = shown
        .progress
        .as_ref()
        .and_then(|progress| progress.left_seconds);
    ExplainView {
        version: VERSION,
        id: campaign.id.to_string(),
        state: campaign.state.name().into(),
        headline,
        why: why.collect(),
        seen: observed(tree, seen, state, now).await,
        waits: WaitsView {
            what: waits(tree),
            left_seconds: left,
            deadline_at: shown.deadline_at,
        },
        next: next(tree),
        you: you(tree),
        scheduler: slurm_view::sentences(slurm, tree),
    }
}

/// Where the setting came from that decided a transition.
fn source(tree: &CampaignTree, to: State) -> Option<String> {
    let key = match to {
        State::Launching | State::AwaitingApproval => "auto_launch",
        State::Rejected => "quality_threshold",
        _ => return None,
    };
    let found = tree
        .campaign
        .spec
        .provenance
        .iter()
        .find(|setting| setting.key == key)?;
    Some(format!("{} = {} ({})", found.key, found.value, found.from))
}

async fn observed(
    tree: &CampaignTree,
    seen: &Seen,
    state: &StateDir,
    now: Timestamp,
) -> Vec<SeenView> {
    let mut all = Vec::new();
    for phase in [Phase::Pilot, Phase::Generate] {
        let count = seen.count(&tree.campaign.id, phase);
        if count.distinct > 0 {
            let newest = count.grew_at.map_or(String::new(), |at| {
                format!(", the newest {} ago", two_units(now.since(at)))
            });
            let faults = match (count.invalid, count.duplicates) {
                (0, 0) => String::new(),
                (invalid, repeated) => {
                    format!("; {invalid} lines are no samples, {repeated} repeat an id")
                }
            };
            all.push(SeenView {
                what: format!("{phase} samples"),
                observed: format!("{} samples on disk{newest}{faults}", count.distinct),
                n: count.distinct,
                at: count.grew_at.map(|at| at.to_string()),
            });
        }
    }
    for phase in [Phase::Train, Phase::Evaluate] {
        let count = seen.count(&tree.campaign.id, phase);
        let present = tree.campaign.state.stage().map(Stage::name) == Some(phase.name());
        if !present || count.reported.is_empty() {
            continue;
        }
        let (done, total) = view::reported(tree, phase, &count);
        let of = if total > 0 {
            format!(" of {total}")
        } else {
            String::new()
        };
        let newest = count.grew_at.map_or(String::new(), |at| {
            format!(", the newest {} ago", two_units(now.since(at)))
        });
        let unit = if phase == Phase::Train {
            "steps"
        } else {
            "items"
        };
        all.push(SeenView {
            what: phase.name().into(),
            observed: format!("{done}{of} {unit}{newest}"),
            n: done,
            at: count.grew_at.map(|at| at.to_string()),
        });
    }
    let (mut alive, mut asked, mut remote) = (0, 0, false);
    let local = Local;
    for job in tree.jobs.values().filter(|job| !job.state.ended()) {
        let dir = JobDir::new(state.job(&job.id));
        for task in job.tasks.iter().filter(|task| task.end.is_none()) {
            asked += 1;
            let observed = match &job.slurm {
                Some(_) => look(&dir, task.shard),
                None => local.observe(&dir, task.shard).await,
            };
            remote |= job.slurm.is_some();
            alive += u64::from(matches!(observed, Observed::Running(_)));
        }
    }
    if asked > 0 {
        all.push(SeenView {
            what: "jobs".into(),
            observed: match remote {
                true => format!("{alive} of {asked} tasks have begun, by their claims"),
                false => {
                    format!("{alive} of {asked} tasks alive (PID, start time and boot id match)")
                }
            },
            n: asked,
            at: Some(now.to_string()),
        });
    }
    all
}

fn waits(tree: &CampaignTree) -> String {
    let campaign = &tree.campaign;
    if campaign.paused_at.is_some() {
        return "for campaignctl resume".into();
    }
    match campaign.state {
        State::AwaitingApproval => "for a person to approve or reject".into(),
        State::AwaitingDecision => "for a person to decide on proposals".into(),
        State::Rejected => "for a person to amend or cancel".into(),
        State::Halted => "for a person: the part that was asked for is done".into(),
        State::Failed => "for a person to retry".into(),
        State::Completed | State::Cancelled => "for nothing".into(),
        _ => {
            let owed: Vec<&str> = tree
                .outbox
                .values()
                .map(|owed| owed.effect.name())
                .collect();
            if owed.is_empty() {
                "for its next event".into()
            } else {
                format!("for {}", owed.join(", "))
            }
        }
    }
}

fn next(tree: &CampaignTree) -> Vec<NextView> {
    let table = &tables().campaign;
    let state = tree.campaign.state.name();
    let ways = table.expected(state).into_iter().flat_map(|event| {
        table
            .alternatives(state, event)
            .iter()
            .map(move |way| NextView {
                when: way
                    .when
                    .map_or(event.name().into(), |guard| format!("{event} [{guard}]")),
                go: way.go.clone(),
            })
    });
    ways.collect()
}

fn you(tree: &CampaignTree) -> Vec<String> {
    let id = &tree.campaign.id;
    let verbs: Vec<String> = match tree.campaign.state {
        State::AwaitingApproval => vec![format!("approve {id}"), format!("reject {id} --why W")],
        State::AwaitingDecision => vec![
            format!("proposals {id}"),
            format!("approve {id} PROPOSAL"),
            format!("reject {id} PROPOSAL --why W"),
        ],
        State::Rejected => vec![
            format!("amend {id} --quality-threshold X"),
            format!("cancel {id}"),
        ],
        State::Failed => vec![
            format!("retry {id}"),
            format!("logs {id} --level tool"),
            format!("clean {id}"),
        ],
        State::Completed | State::Cancelled => vec![format!("clean {id}")],
        State::Halted => vec![format!("verdict {id}"), format!("cancel {id}")],
        _ if tree.campaign.paused_at.is_some() => {
            vec![format!("resume {id}"), format!("cancel {id}")]
        }
        _ => vec![
            format!("logs {id} -f"),
            format!("pause {id}"),
            format!("cancel {id}"),
        ],
    };
    verbs
        .into_iter()
        .map(|verb| format!("campaignctl {verb}"))
        .collect()
}
