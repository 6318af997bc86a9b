//! Keeps each campaign's mirror in step: status files by rename, logs by appending. A mirror that cannot be written is
//! said once and holds up nothing.

use super::{
    Surroundings,
    coordinator::{Line, Lines, Snapshot, Trees},
    memory, now,
    seen::{Count, Seen},
    supervision::{Beat, Guard},
};
use crate::{
    artifacts::{create_dir_private, write_atomic},
    executor::job_dir::JobDir,
    ids::CampaignId,
    machines::{
        campaign::State, effect::Performer, job::Phase, resolution::resolutions, tree::CampaignTree,
    },
    manifest::StateDir,
    points::panic_point,
    report::mirror::{self, Facts, Measured},
};
use actix::prelude::*;
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::sync::broadcast::{self, error::RecvError};

/// Between two looks at the counts of running campaigns.
const TICK: Duration = Duration::from_secs(1);
/// The latest scores that are mirrored.
const SCORES: usize = 100;

/// At most this many lines are taken up before the files are written once for all of them.
const BURST: usize = 256;

/// The actor.
pub struct MirrorWriter {
    surroundings: Surroundings,
    lines: broadcast::Sender<Arc<Line>>,
    _guard: Guard,
}

impl MirrorWriter {
    /// A writer of what `lines` will tell and of what is there already.
    pub fn new(surroundings: &Surroundings, lines: &Lines, guard: Guard) -> Self {
        Self {
            surroundings: surroundings.clone(),
            lines: lines.clone(),
            _guard: guard,
        }
    }
}

impl Actor for MirrorWriter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let keep = keep(self.surroundings.clone(), self.lines.subscribe());
        ctx.spawn(keep.into_actor(self));
    }
}

impl Handler<Beat> for MirrorWriter {
    type Result = ();

    fn handle(&mut self, _: Beat, _: &mut Context<Self>) {}
}

struct Mirrored {
    tree: Arc<CampaignTree>,
    /// The files do not show the tree yet.
    stale: bool,
    shown: Option<(u64, u64)>,
    complained: bool,
    frozen: Option<crate::evaluation::Criteria>,
}

type Mirrors = BTreeMap<CampaignId, Mirrored>;

/// Writes mirrors until `lines` ends. Every tick it also looks at what is durable: lines may be lost, by a crash of who
/// publishes them or because they come too fast, and records are not.
async fn keep(here: Surroundings, mut lines: broadcast::Receiver<Arc<Line>>) {
    let mut mirrors = Mirrors::new();
    let mut remembered = Remembered::default();
    let mut tick = tokio::time::interval(TICK);
    loop {
        let first = tokio::select! {
            received = lines.recv() => match received {
                Ok(line) => Some(line),
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
            _ = tick.tick() => None,
        };
        panic_point!("actor.MirrorWriter");
        let trees = match first {
            Some(_) => None,
            None => here.desk.ask(Snapshot).await.ok(),
        };
        let waiting = std::iter::from_fn(|| lines.try_recv().ok()).take(BURST);
        let news: Vec<Arc<Line>> = first.into_iter().chain(waiting).collect();
        let here = here.clone();
        // Every file waits for the disk: not on the thread of the actors.
        let written = tokio::task::spawn_blocking(move || {
            take_up(&mut mirrors, &here, &news);
            if let Some(trees) = trees {
                look_over(&mut mirrors, &here, trees);
            }
            (mirrors, remember(&here, remembered))
        });
        (mirrors, remembered) = written.await.unwrap_or_default();
    }
}

/// What `training_history.json` shows.
#[derive(Clone, Copy, Default)]
struct Remembered {
    version: u64,
    complained: bool,
}

/// Writes `training_history.json` where it shows another version; tried again at the next look where that fails.
fn remember(here: &Surroundings, shown: Remembered) -> Remembered {
    let (version, history) = here.memory.history();
    let path = here.state.training_history();
    if version == shown.version || (history.experiments().is_empty() && !path.exists()) {
        return shown;
    }
    match memory::write(&path, &history) {
        Ok(()) => Remembered {
            version,
            complained: false,
        },
        Err(error) => {
            if !shown.complained {
                tracing::warn!("the history cannot be written: {error}");
            }
            Remembered {
                complained: true,
                ..shown
            }
        }
    }
}

fn fresh(tree: &Arc<CampaignTree>) -> Mirrored {
    Mirrored {
        tree: Arc::clone(tree),
        stale: true,
        shown: None,
        complained: false,
        frozen: None,
    }
}

/// Writes what lines tell.
fn take_up(mirrors: &mut Mirrors, here: &Surroundings, news: &[Arc<Line>]) {
    let mut by_campaign: BTreeMap<&CampaignId, Vec<&Line>> = BTreeMap::new();
    for line in news {
        by_campaign.entry(&line.campaign).or_default().push(line);
    }
    for (id, lines) in by_campaign {
        let cleaned = lines.iter().rposition(|line| line.event == "cleaned");
        if cleaned.is_some() {
            mirrors.remove(id);
        }
        // What comes behind a clean is another campaign of that name.
        let lines = &lines[cleaned.map_or(0, |at| at + 1)..];
        let Some(last) = lines.last() else { continue };
        let mirrored = mirrors
            .entry(id.clone())
            .or_insert_with(|| fresh(&last.tree));
        mirrored.show(Arc::clone(&last.tree));
        mirrored.write(&here.state, &here.seen, lines);
        mirrored.let_rest(&here.seen);
    }
}

/// Writes what is durable and not written, and the counts of what runs.
fn look_over(mirrors: &mut Mirrors, here: &Surroundings, trees: Trees) {
    mirrors.retain(|id, _| trees.contains_key(id));
    for (id, tree) in trees {
        let mirrored = mirrors.entry(id).or_insert_with(|| fresh(&tree));
        let runs = tree.campaign.state.stage().is_some();
        mirrored.show(tree);
        if mirrored.stale || runs {
            mirrored.write(&here.state, &here.seen, &[]);
            mirrored.let_rest(&here.seen);
        }
    }
}

impl Mirrored {
    fn show(&mut self, tree: Arc<CampaignTree>) {
        self.stale |= !Arc::ptr_eq(&self.tree, &tree);
        self.tree = tree;
    }

    /// Of a campaign that has ended counts are enough.
    fn let_rest(&self, seen: &Seen) {
        if self.tree.campaign.state.ended() {
            seen.rest(&self.tree.campaign.id);
        }
    }

    fn write(&mut self, state: &StateDir, seen: &Seen, lines: &[&Line]) {
        match self.try_write(state, seen, lines) {
            Ok(()) => self.complained = false,
            Err(error) if !self.complained => {
                self.complained = true;
                tracing::warn!(campaign = %self.tree.campaign.id, "the mirror cannot be written: {error}");
            }
            Err(_) => {}
        }
    }

    fn try_write(&mut self, state: &StateDir, seen: &Seen, lines: &[&Line]) -> io::Result<()> {
        let tree = Arc::clone(&self.tree);
        let campaign = &tree.campaign;
        // A state directory that was removed is not to be made anew by its mirror.
        state.root().metadata()?;
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
        for line in lines {
            let level = if line.tree.campaign.state == State::Failed {
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
        if !self.stale && self.shown == Some(counts) {
            return Ok(());
        }
        for (name, value) in mirror::files(&facts) {
            write_atomic(&dir.join(name), &serde_json::to_vec_pretty(&value)?)?;
        }
        let retries = resolutions(&self.tree);
        if !retries.is_empty() {
            let mut text = Vec::new();
            for retry in &retries {
                serde_json::to_writer(&mut text, retry)?;
                text.push(b'\n');
            }
            write_atomic(&dir.join(mirror::RESOLUTIONS), &text)?;
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
        self.stale = false;
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
        .filter(|job| job.phase == Phase::Generate && !job.state.ended() && job.slurm.is_none());
    let claims = jobs.flat_map(|job| {
        let dir = JobDir::new(state.job(&job.id));
        job.tasks
            .iter()
            .filter_map(move |task| dir.read_claim(task.shard))
    });
    claims
        .map(|claim| claim.process)
        .find(|process| process.alive().unwrap_or(false))
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
