//! What a client sees of a campaign: its record, its jobs and the monitors' counts, joined for a screen.

use super::{
    reported::Reported,
    results,
    seen::{Count, Seen},
    slurm_view,
};
use crate::{
    control::api::{
        Asked, CampaignView, CheckView, JobCounts, JobView, PhaseView, ProgressView, QualityView,
        TaskOnSlurm, Used, VerdictView,
    },
    control::dataset::DatasetView,
    control::proposals::PlanView,
    executor::slurm::{desk::Slurm, reasons::hopeless},
    machines::{
        campaign::{Campaign, Stage, State},
        job::{Job, Phase, State as JobState, Task},
        plan, proposal,
        resolution::{JobResolution, resolutions},
        training_run::State as RunState,
        tree::CampaignTree,
    },
    manifest::StateDir,
    time::{Timestamp, two_units},
};

/// A campaign for a screen.
pub fn campaign(
    tree: &CampaignTree,
    seen: &Seen,
    state: &StateDir,
    slurm: &Slurm,
    now: Timestamp,
) -> CampaignView {
    let campaign = &tree.campaign;
    let phases = phases(tree, seen, now);
    CampaignView {
        id: campaign.id.to_string(),
        state: campaign.state.name().into(),
        state_since_at: campaign.state_since.to_string(),
        paused: campaign.paused_at.is_some(),
        phase: campaign.state.stage().map(|stage| stage.name().into()),
        created_at: campaign.created_at.to_string(),
        ended_at: campaign.ended_at.map(|at| at.to_string()),
        deadline_at: campaign.deadline_at.map(|at| at.to_string()),
        exit_status: campaign.exit_status(),
        cause: campaign.cause.clone(),
        needs: needs(campaign.state),
        directory: state
            .campaign(&campaign.id)
            .root()
            .to_string_lossy()
            .into_owned(),
        verdict: verdict(campaign),
        quality: quality(tree, seen),
        progress: progress(tree, seen),
        phases,
        jobs: counts(tree),
        warnings: [warnings(tree, now), slurm_view::warnings(slurm, tree)].concat(),
        dataset: dataset(tree, state),
        runs: results::shown(tree, state, now),
        plan: planned(tree),
        campaign_target: campaign.spec.campaign_target,
        quality_threshold: campaign.spec.criteria.quality_threshold,
    }
}

fn needs(state: State) -> Vec<String> {
    let verbs: &[&str] = match state {
        State::AwaitingApproval | State::AwaitingDecision => &["approve", "reject"],
        State::Rejected => &["amend", "cancel"],
        State::Failed => &["retry"],
        _ => &[],
    };
    verbs.iter().map(|verb| (*verb).into()).collect()
}

/// The gate's verdict for a screen.
pub fn verdict(campaign: &Campaign) -> Option<VerdictView> {
    let verdict = campaign.verdict.as_ref()?;
    let check = |check: &crate::evaluation::Check| CheckView {
        check: check.check.clone(),
        required: check.required,
        observed: check.observed,
        low: check.low,
        high: check.high,
        n: check.n,
        passed: check.passed,
    };
    Some(VerdictView {
        campaign: campaign.id.to_string(),
        decision: verdict.decision.name().into(),
        approved: verdict.approved(),
        gate: verdict.gate.name().into(),
        look: verdict.look,
        max_looks: verdict.max_looks,
        n: verdict.n,
        reason: verdict.reason.clone(),
        recommendation: verdict.recommendation.clone(),
        judged_at: campaign.judged_at.map(|at| at.to_string()),
        checks: verdict.checks.iter().map(check).collect(),
    })
}

/// The phase whose jobs a step of the campaign runs.
fn phase_of(stage: Stage) -> Option<Phase> {
    Some(match stage {
        Stage::Pilot => Phase::Pilot,
        Stage::Generate => Phase::Generate,
        Stage::Execute => Phase::Execute,
        Stage::Curate => Phase::Curate,
        Stage::Train => Phase::Train,
        Stage::Evaluate => Phase::Evaluate,
        Stage::Gate | Stage::Record | Stage::Plan => return None,
    })
}

/// What is made and asked for in a phase.
fn made(tree: &CampaignTree, phase: Phase, count: &Count) -> (u64, u64) {
    if phase.makes_samples() {
        (count.distinct, tree.campaign.target(phase))
    } else {
        reported(tree, phase, count)
    }
}

/// How far workers without samples say they are. Of several training runs each says it for itself: one that has ended has
/// done all of its steps, and there is no total before every one of them has said how many it has.
pub(super) fn reported(tree: &CampaignTree, phase: Phase, count: &Count) -> (u64, u64) {
    let sum = |done: u64, total: u64, said: &Reported| (done + said.done, total + said.total);
    if phase != Phase::Train {
        let all = count.reported.values();
        return all.fold((0, 0), |(done, total), said| sum(done, total, said));
    }
    let (mut done, mut total, mut silent) = (0, 0, false);
    for run in tree.present_runs() {
        let said = count.reported.get(&run.key());
        match (said, run.state == RunState::Done) {
            (Some(said), true) => (done, total) = (done + said.total, total + said.total),
            (Some(said), false) => (done, total) = sum(done, total, said),
            (None, _) => silent = true,
        }
    }
    (done, if silent { 0 } else { total })
}

/// Where the cycles of a campaign that plans are.
pub(super) fn planned(tree: &CampaignTree) -> Option<PlanView> {
    let campaign = &tree.campaign;
    let asked = campaign.spec.planning.as_ref()?;
    let best = plan::best(tree, &asked.metric);
    let proposals = tree.proposals.values();
    let waiting = proposals.filter(|one| one.state == proposal::State::Waiting);
    Some(PlanView {
        cycle: campaign.cycle,
        cycles: asked.cycles,
        metric: asked.metric.clone(),
        best: best.map(|(_, value)| value),
        best_experiment: best.map(|(one, _)| one.experiment_id.clone()),
        waiting: waiting.map(|one| one.id.clone()).collect(),
        stopped: campaign
            .stopped
            .as_ref()
            .map(|stopped| stopped.text.clone()),
    })
}

fn phases(tree: &CampaignTree, seen: &Seen, now: Timestamp) -> Vec<PhaseView> {
    let campaign = &tree.campaign;
    let planned = [
        (Stage::Pilot, true),
        (Stage::Gate, true),
        (Stage::Generate, true),
        (Stage::Execute, campaign.spec.execution.is_some()),
        (Stage::Curate, campaign.spec.curation.is_some()),
        (Stage::Train, campaign.spec.training.is_some()),
        (Stage::Evaluate, campaign.spec.evaluation.is_some()),
        (Stage::Record, true),
        (Stage::Plan, campaign.spec.planning.is_some()),
    ];
    let present = campaign
        .state
        .stage()
        .or(campaign.failed_in.and_then(State::stage));
    let view = |(stage, _): (Stage, bool)| {
        let timed = campaign.stages.iter().find(|timed| timed.stage == stage);
        let status = match (timed, present == Some(stage)) {
            (_, true) if campaign.state == State::Failed => "failed",
            (_, true) => "now",
            (Some(_), false) => "done",
            (None, false) => "then",
        };
        let count = phase_of(stage).map(|phase| (phase, seen.count(&campaign.id, phase)));
        let (mut done, total) = count
            .as_ref()
            .map_or((0, 0), |(phase, count)| made(tree, *phase, count));
        let passed = campaign.state == State::Completed
            || campaign
                .stages
                .last()
                .is_some_and(|last| last.stage != stage);
        if status == "done" && done == 0 && passed {
            // An ended campaign is not counted again after a restart; that it was complete is on record.
            done = total;
        }
        PhaseView {
            phase: stage.name().into(),
            status: status.into(),
            done,
            total,
            duration_seconds: timed.map(|timed| {
                timed
                    .ended_at
                    .unwrap_or(now)
                    .since(timed.started_at)
                    .as_secs_f64()
            }),
            quality: count.and_then(|(_, count)| count.quality),
            part: part(tree, stage).filter(|_| status == "now"),
        }
    };
    planned
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(view)
        .collect()
}

/// Which of several parts of training is under way: of one run its stage, of several how many have ended.
fn part(tree: &CampaignTree, stage: Stage) -> Option<String> {
    if stage != Stage::Train {
        return None;
    }
    let runs: Vec<_> = tree.present_runs().collect();
    match runs.as_slice() {
        [] => None,
        [one] => (one.stages > 1).then(|| format!("{}/{}", one.stage, one.stages)),
        several => {
            let ended = several.iter().filter(|run| run.state.ended()).count();
            Some(format!("{ended} of {} runs", several.len()))
        }
    }
}

fn progress(tree: &CampaignTree, seen: &Seen) -> Option<ProgressView> {
    let phase = phase_of(tree.campaign.state.stage()?)?;
    let count = seen.count(&tree.campaign.id, phase);
    let (done, total) = made(tree, phase, &count);
    let rate = count.rate_per_second;
    let left = rate
        .filter(|_| total > 0)
        .map(|rate| total.saturating_sub(done) as f64 / rate);
    let unit = match phase {
        Phase::Pilot | Phase::Generate => "samples",
        Phase::Execute => "workflows",
        Phase::Train => "steps",
        _ => "rows",
    };
    Some(ProgressView {
        done,
        total,
        unit: unit.into(),
        rate_per_second: rate,
        left_seconds: left,
    })
}

/// The quality of the full generation once there is some, else the verdict's, else the pilot's so far.
fn quality(tree: &CampaignTree, seen: &Seen) -> Option<QualityView> {
    let of = |phase| {
        let count = seen.count(&tree.campaign.id, phase);
        count.quality.map(|mean| QualityView {
            mean: Some(mean),
            low: None,
            high: None,
            n: count.distinct,
        })
    };
    let judged = tree.campaign.verdict.as_ref().map(|verdict| QualityView {
        mean: verdict.mean,
        low: verdict.low,
        high: verdict.high,
        n: verdict.n,
    });
    of(Phase::Generate).or(judged).or_else(|| of(Phase::Pilot))
}

fn counts(tree: &CampaignTree) -> JobCounts {
    let mut counts = JobCounts::default();
    for job in tree.jobs.values() {
        counts.retried += if job.attempt > 1 {
            job.tasks.len() as u64
        } else {
            0
        };
        for task in &job.tasks {
            match (&task.end, job.state) {
                (Some(end), _) if end.done() => counts.done += 1,
                (Some(_), _) if task.cause() == Some(crate::machines::job::Cause::Lost) => {
                    counts.lost += 1
                }
                (Some(_), _) => counts.failed += 1,
                (None, JobState::Waiting) => counts.waiting += 1,
                (None, _) => counts.running += 1,
            }
        }
    }
    counts
}

fn warnings(tree: &CampaignTree, now: Timestamp) -> Vec<String> {
    let silent = tree
        .jobs
        .values()
        .filter_map(|job| Some((job, job.silent_since?)));
    silent
        .map(|(job, since)| {
            format!(
                "job {} is alive but silent, flagged {} ago",
                job.id,
                two_units(now.since(since))
            )
        })
        .collect()
}

fn dataset(tree: &CampaignTree, state: &StateDir) -> Option<DatasetView> {
    let curated = tree
        .campaign
        .stages
        .iter()
        .any(|timed| timed.stage == Stage::Curate && timed.ended_at.is_some());
    if !curated {
        return None;
    }
    let stats = state
        .campaign(&tree.campaign.id)
        .dataset()
        .join("stats.json");
    let stats: serde_json::Value = serde_json::from_slice(&std::fs::read(stats).ok()?).ok()?;
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
    let reasons = stats["removed_by_reason"].as_object();
    let sets = stats["datasets"].as_object();
    Some(DatasetView {
        rows: number(&stats["kept"]),
        rows_in: number(&stats["rows_in"]),
        removed: number(&stats["removed"]),
        train: number(&stats["splits"]["train"]),
        validation: number(&stats["splits"]["validation"]),
        test: number(&stats["splits"]["test"]),
        test_unseen_template: number(&stats["splits"]["test_unseen_template"]),
        datasets: sets
            .map(|all| {
                all.iter()
                    .map(|(name, set)| (name.clone(), number(&set["rows"])))
                    .collect()
            })
            .unwrap_or_default(),
        removed_by_reason: reasons
            .map(|all| {
                all.iter()
                    .map(|(reason, count)| (reason.clone(), number(count)))
                    .collect()
            })
            .unwrap_or_default(),
    })
}

/// A row a task, of all jobs of a campaign.
pub fn jobs(tree: &CampaignTree, seen: &Seen, state: &StateDir, slurm: &Slurm) -> Vec<JobView> {
    let retries = resolutions(tree);
    let mut rows = Vec::new();
    for job in tree.jobs.values() {
        for task in &job.tasks {
            let on_slurm = slurm_view::task(slurm, job, task);
            let obstacle = slurm_view::obstacle(slurm, job);
            let mut row = job_row(tree, seen, job, task, state, on_slurm, obstacle);
            let to_here = |one: &&JobResolution| one.shard == task.shard && one.retry <= job.id;
            let phase = |one: &&JobResolution| {
                let retried = tree.jobs.get(&one.retry);
                retried
                    .is_some_and(|other| other.piece() == job.piece() && other.round == job.round)
            };
            let mine = retries.iter().filter(to_here).filter(phase);
            row.retries = mine.cloned().collect();
            rows.push(row);
        }
    }
    rows
}

fn job_row(
    tree: &CampaignTree,
    seen: &Seen,
    job: &Job,
    task: &Task,
    state: &StateDir,
    on_slurm: Option<TaskOnSlurm>,
    obstacle: Option<String>,
) -> JobView {
    let shown = match &task.end {
        None => job.state,
        Some(end) if end.done() => JobState::Done,
        Some(end) => match end.cause {
            Some(crate::machines::job::Cause::Lost) => JobState::Lost,
            Some(crate::machines::job::Cause::Cancelled) => JobState::Cancelled,
            _ => JobState::Failed,
        },
    };
    let waits = if tree.campaign.paused_at.is_some() {
        "held by the pause"
    } else {
        "to be launched"
    };
    let piece = super::watch::piece_of(job, task.shard);
    let said = seen.reported(&job.id.campaign, job.phase, &piece);
    let dir = crate::executor::job_dir::JobDir::new(state.job(&job.id));
    let claim = dir.read_claim(task.shard);
    let begun = claim.is_some();
    let exit = task
        .end
        .as_ref()
        .and_then(|_| dir.read_exit(task.shard).ok()?);
    let pending =
        job.state == JobState::Running && task.end.is_none() && !begun && on_slurm.is_some();
    let place = match &on_slurm {
        Some(on_slurm) if on_slurm.id.is_empty() => "slurm".into(),
        Some(on_slurm) => format!("slurm {}", on_slurm.id),
        None => claim.map_or("-".into(), |claim| format!("PID {}", claim.pid)),
    };
    JobView {
        job: job.id.to_string(),
        campaign: job.id.campaign.to_string(),
        phase: tree.task_name(job, task),
        place,
        state: if pending { "pending" } else { shown.name() }.into(),
        status: shown.spoken(job.launched_at.is_some() && !pending).into(),
        attempt: job.attempt,
        task: task.shard,
        launched_at: job.launched_at.map(|at| at.to_string()),
        ended_at: task.end.as_ref().map(|end| end.at.to_string()),
        note: match &task.end {
            Some(end) => end.text.clone(),
            None if job.state == JobState::Waiting => obstacle.unwrap_or_else(|| waits.into()),
            None if pending => on_slurm.as_ref().map_or_else(String::new, why_pending),
            None if job.silent_since.is_some() => "alive but silent".into(),
            None => said.map_or_else(
                || format!("attempt {}", job.attempt),
                |said| format!("{} of {}", said.done, said.total),
            ),
        },
        directory: state.job(&job.id).to_string_lossy().into_owned(),
        asked: Asked {
            time_seconds: job.time_seconds,
            slurm: job.slurm.clone(),
        },
        used: exit.map(|exit| Used {
            wall_ms: exit.ended_at - exit.started_at,
            cpu_ms: exit.used.map(|used| used.cpu_ms),
            max_rss_kib: exit.used.map(|used| used.max_rss_kib),
        }),
        scheduler: on_slurm,
        retries: Vec::new(),
    }
}

/// SLURM's reason, and what it means where it never passes by itself.
fn why_pending(on_slurm: &TaskOnSlurm) -> String {
    match hopeless(&on_slurm.reason) {
        Some(sentence) => format!("{}: {sentence}", on_slurm.reason),
        None if on_slurm.state.is_empty() => "not seen in the queue yet".into(),
        None if slurm_view::waits(on_slurm) => on_slurm.reason.clone(),
        None => on_slurm.state.clone(),
    }
}
