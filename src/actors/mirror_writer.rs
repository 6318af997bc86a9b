//! Keeps each campaign's mirror in step: status files by rename, logs by appending. A mirror that cannot be written is
//! said once and holds up nothing.

use super::{
    coordinator::Line,
    now,
    seen::{Count, Seen},
};
use crate::{
    artifacts::{create_dir_private, write_atomic},
    executor::job_dir::JobDir,
    ids::CampaignId,
    machines::{campaign::State, effect::Performer, job::Phase, tree::CampaignTree},
    manifest::StateDir,
    report::mirror::{self, Facts, Measured},
};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::sync::broadcast;

/// Between two looks at the counts of running campaigns.
const TICK: Duration = Duration::from_secs(1);
/// The latest scores that are mirrored.
const SCORES: usize = 100;

struct Mirrored {
    tree: Arc<CampaignTree>,
    shown: Option<(u64, u64)>,
    complained: bool,
    frozen: Option<crate::evaluation::Criteria>,
}

/// Writes mirrors until `lines` ends. `trees` are the campaigns there are at the start.
pub async fn keep(
    state: StateDir,
    seen: Arc<Seen>,
    mut lines: broadcast::Receiver<Arc<Line>>,
    trees: Vec<Arc<CampaignTree>>,
) {
    let fresh = |tree: Arc<CampaignTree>| Mirrored {
        tree,
        shown: None,
        complained: false,
        frozen: None,
    };
    let mut all: BTreeMap<CampaignId, Mirrored> = trees
        .into_iter()
        .map(|tree| (tree.campaign.id.clone(), fresh(tree)))
        .collect();
    let mut tick = tokio::time::interval(TICK);
    loop {
        let line = tokio::select! {
            received = lines.recv() => match received {
                Ok(line) => Some(line),
                Err(broadcast::error::RecvError::Lagged(_)) => None,
                Err(broadcast::error::RecvError::Closed) => return,
            },
            _ = tick.tick() => None,
        };
        match line {
            Some(line) if line.event == "cleaned" => drop(all.remove(&line.campaign)),
            Some(line) => {
                let mirrored = all
                    .entry(line.campaign.clone())
                    .or_insert_with(|| fresh(Arc::clone(&line.tree)));
                mirrored.tree = Arc::clone(&line.tree);
                mirrored.write(&state, &seen, Some(&line));
                if line.tree.campaign.state.ended() {
                    seen.rest(&line.campaign);
                }
            }
            None => {
                for mirrored in all
                    .values_mut()
                    .filter(|mirrored| mirrored.tree.campaign.state.stage().is_some())
                {
                    mirrored.write(&state, &seen, None);
                }
            }
        }
    }
}

impl Mirrored {
    fn write(&mut self, state: &StateDir, seen: &Seen, line: Option<&Line>) {
        match self.try_write(state, seen, line) {
            Ok(()) => self.complained = false,
            Err(error) if !self.complained => {
                self.complained = true;
                tracing::warn!(campaign = %self.tree.campaign.id, "the mirror cannot be written: {error}");
            }
            Err(_) => {}
        }
    }

    fn try_write(&mut self, state: &StateDir, seen: &Seen, line: Option<&Line>) -> io::Result<()> {
        let tree = Arc::clone(&self.tree);
        let campaign = &tree.campaign;
        let dir = state.campaign(&campaign.id).mirror();
        create_dir_private(&dir)?;
        self.write_spec(state)?;
        let facts = Facts {
            tree: &self.tree,
            pilot: measured(seen, &campaign.id, Phase::Pilot),
            generation: measured(seen, &campaign.id, Phase::Generate),
            campaign_pid: running_pid(&self.tree, state),
            orchestrator_pid: std::process::id(),
            now: now(),
        };
        let orchestration = dir.join(mirror::ORCHESTRATION_LOG);
        if let Some(line) = line {
            let level = if campaign.state == State::Failed {
                "ERROR"
            } else {
                "INFO"
            };
            append(
                &orchestration,
                &mirror::log_line(line.at, mirror::speaker(&line.event), level, &line.what),
            )?;
        }
        let counts = (facts.pilot.done, facts.generation.done);
        if line.is_none() && self.shown == Some(counts) {
            return Ok(());
        }
        for (name, value) in mirror::files(&facts) {
            write_atomic(&dir.join(name), &serde_json::to_vec_pretty(&value)?)?;
        }
        write_pids(&dir, &facts)?;
        let (pilot, full) = self.shown.unwrap_or((0, 0));
        let looks = [
            (
                Performer::PilotMonitor,
                &facts.pilot,
                pilot,
                campaign.target(Phase::Pilot),
                mirror::PILOT_LOG,
            ),
            (
                Performer::CampaignMonitor,
                &facts.generation,
                full,
                campaign.target(Phase::Generate),
                mirror::FULL_LOG,
            ),
        ];
        for (performer, measured, before, total, log) in looks {
            if measured.done > before {
                let text = mirror::progress_text(measured, total);
                let line = mirror::log_line(facts.now, mirror::agent(performer), "INFO", &text);
                append(&orchestration, &line)?;
                append(&dir.join(log), &line)?;
            }
        }
        self.shown = Some(counts);
        Ok(())
    }
}

impl Mirrored {
    /// `campaign.toml`: what was resolved and frozen, with where each value came from; written anew when the gate's bar
    /// is moved.
    fn write_spec(&mut self, state: &StateDir) -> io::Result<()> {
        let campaign = &self.tree.campaign;
        if self.frozen.as_ref() == Some(&campaign.spec.criteria) {
            return Ok(());
        }
        let text = toml::to_string(&campaign.spec).map_err(io::Error::other)?;
        let text = format!("# frozen when it was submitted; a mirror, never read back\n{text}");
        write_atomic(
            &state.campaign(&campaign.id).campaign_file(),
            text.as_bytes(),
        )?;
        self.frozen = Some(campaign.spec.criteria.clone());
        Ok(())
    }
}

fn measured(seen: &Seen, id: &CampaignId, phase: Phase) -> Measured {
    let Count {
        distinct,
        accepted,
        quality,
        grew_at,
        ..
    } = seen.count(id, phase);
    let scores = if phase == Phase::Pilot {
        seen.latest_scores(id, phase, SCORES)
    } else {
        Vec::new()
    };
    Measured {
        done: distinct,
        accepted,
        quality,
        scores,
        last_update: grew_at,
    }
}

/// A living process of the full generation.
fn running_pid(tree: &CampaignTree, state: &StateDir) -> Option<i32> {
    let jobs = tree
        .jobs
        .values()
        .filter(|job| job.phase == Phase::Generate && !job.state.ended());
    let claims = jobs.flat_map(|job| {
        let dir = JobDir::new(state.job(&job.id));
        job.tasks
            .iter()
            .filter_map(move |task| dir.read_claim(task.shard))
    });
    claims
        .map(|claim| claim.process)
        .find(|process| process.alive())
        .map(|process| process.pid)
}

/// The two PID files. A stale one is worse than none: what does not run has none.
fn write_pids(dir: &Path, facts: &Facts) -> io::Result<()> {
    write_atomic(
        &dir.join(mirror::ORCHESTRATOR_PID),
        format!("{}\n", facts.orchestrator_pid).as_bytes(),
    )?;
    let path = dir.join(mirror::CAMPAIGN_PID);
    match facts.campaign_pid {
        Some(pid) => write_atomic(&path, format!("{pid}\n").as_bytes()),
        None => match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?
        .write_all(line.as_bytes())
}
