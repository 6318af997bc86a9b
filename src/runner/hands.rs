//! The two executors behind one face: a job is launched, looked at, ended. Which of the two has it, its request says.

use crate::{
    executor::{
        identity::{Identity, boot_id},
        job_dir::{Exit, JobDir, Request, host},
        local::{Local, Observed},
        slurm::{
            calls::QueueRow,
            desk::Slurm,
            look::{look, wants_a_word, with_word},
            queue::{Launch, Submission, TaskView, Word},
            words::Meaning,
        },
    },
    ids::EffectId,
};
use std::{future::Future, io, sync::Arc, task::Poll, time::Duration};

/// The longest pause between two looks at what runs here; the end of a process ends it sooner.
const HERE: Duration = Duration::from_millis(200);
/// Between two looks at what is about to begin here.
const SOON: Duration = Duration::from_millis(20);
/// Between two looks at what a scheduler has, while nothing is heard from it.
pub(super) const ELSEWHERE: Duration = Duration::from_secs(1);

/// Of a process that is gone, where nobody has looked after what it left.
const SILENT: &str = "gone without a word; experiment run settles it";

/// An attempt that is followed.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its id.
    pub id: EffectId,
    /// Its directory.
    pub dir: JobDir,
    /// What was asked.
    pub request: Request,
    /// It was launched by this process, or is known to have been launched.
    pub launched: bool,
    /// Its number with the scheduler, or its process, once that is known.
    pub job: Option<String>,
    /// When its command began, in milliseconds.
    pub began: Option<i64>,
    /// Its shim, where it runs here.
    pub shim: Option<Identity>,
}

impl Live {
    pub(super) fn clusters(&self) -> Option<&str> {
        Some(self.request.slurm.as_ref()?.clusters.as_str())
    }

    /// Whether a scheduler has it.
    pub fn is_elsewhere(&self) -> bool {
        self.request.slurm.is_some()
    }

    /// The executor's name, and the word for its number in names of files.
    pub fn executor(&self) -> &'static str {
        if self.is_elsewhere() {
            "slurm"
        } else {
            "local"
        }
    }

    /// Its number, and when it began, by who has its claim.
    fn read_claim(&mut self) {
        let claim = self.dir.read_claim(0);
        if let Some(claim) = claim.filter(|claim| claim.by == "shim") {
            self.began = Some(claim.at);
            let number = claim.scheduled.map(|run| run.job.to_string());
            let number = number.or_else(|| (!self.is_elsewhere()).then(|| claim.pid.to_string()));
            self.job = self.job.take().or(number);
            // Of another boot there is nothing to wait for.
            let here = boot_id().is_ok_and(|boot| boot == claim.process.boot_id);
            self.shim = (here && !self.is_elsewhere()).then_some(claim.process);
        }
    }

    pub(super) fn submission(&self, clusters: &str) -> Submission {
        Submission {
            job: self.id.clone(),
            name: self.request.name.clone(),
            clusters: clusters.into(),
            shards: vec![0],
            launched: self.launched,
        }
    }
}

/// What is seen of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It has not begun, and why, where that is known.
    Waiting(String),
    /// It runs.
    Running,
    /// It ended so.
    Ended(Exit),
    /// It will never begin.
    Cancelled,
    /// It is gone without a word.
    Lost(String),
    /// The scheduler does not take it.
    Refused(String),
    /// No news.
    Unknown(String),
}

/// Both executors.
#[derive(Clone, Debug)]
pub struct Hands {
    pub(super) slurm: Arc<Slurm>,
}

impl Hands {
    /// With a desk for SLURM, of which nothing is asked until a job is for it.
    pub fn new(slurm: Slurm) -> Self {
        Self {
            slurm: Arc::new(slurm),
        }
    }

    /// Launches an attempt whose request is written, or goes on following it. Safe to call again.
    ///
    /// # Errors
    /// Why its process could not be started, or why its job directory cannot be read.
    pub async fn launch(&self, live: &mut Live) -> io::Result<()> {
        match live.clusters() {
            Some(clusters) => self.slurm.take(&live.submission(clusters)).await?,
            None => drop(Local.launch(&live.dir).await?),
        }
        live.launched = true;
        Ok(())
    }

    /// Looks at an attempt.
    pub async fn look(&self, live: &mut Live) -> Seen {
        let seen = match live.clusters().map(String::from) {
            Some(clusters) => self.look_elsewhere(live, &clusters).await,
            None => look_here(live).await,
        };
        live.launched |= seen == Seen::Running;
        live.read_claim();
        seen
    }

    /// What still has an attempt whose job directory is gone, or why that is not known: a process here, or the job of a
    /// scheduler with the number that it had. `clusters`: where jobs go now; none: nowhere.
    pub async fn stray(
        &self,
        (id, dir): (&EffectId, &JobDir),
        number: Option<&str>,
        clusters: Option<&str>,
    ) -> Option<String> {
        // First of all: what a scheduler started on this very machine, a look here would take for a runaway and kill.
        if let Some(why) = self.queued(id, number, clusters).await {
            return Some(why);
        }
        match Local.observe_started(dir, 0).await {
            Observed::Running(process) => Some(format!("process {} still runs it", process.pid)),
            _ => None,
        }
    }

    /// That a scheduler still has the job of this number, or why that is not known.
    async fn queued(
        &self,
        id: &EffectId,
        number: Option<&str>,
        clusters: Option<&str>,
    ) -> Option<String> {
        let job: u64 = number?.parse().ok()?;
        match self.slurm.queue(clusters.unwrap_or_default()).await {
            Ok(rows) => rows
                .iter()
                .any(|row| row.id == job && is_of(row, id))
                .then(|| format!("SLURM still has it as job {job}; scancel ends that")),
            // Where jobs run here, the number is that of a process.
            Err(_) if clusters.is_none() => None,
            Err(no) => Some(format!(
                "whether SLURM still has it as job {job} is not known: {}",
                no.text()
            )),
        }
    }

    pub(super) async fn look_elsewhere(&self, live: &mut Live, clusters: &str) -> Seen {
        let view = self.slurm.task(clusters, &live.id, 0).unwrap_or_default();
        if !view.handle.is_empty() {
            live.job = Some(view.handle.clone());
        }
        match look(&live.dir, 0) {
            Observed::Ended(exit) if wants_a_word(&exit) => {
                match self.slurm.word(clusters, &live.id, 0).await {
                    Ok((Word::Said(state, reason), task)) => {
                        Seen::Ended(with_word(exit, &state, &reason, &task))
                    }
                    Ok((Word::Nothing, _)) => Seen::Ended(exit),
                    Ok((Word::NotYet, _)) => Seen::Unknown(String::new()),
                    Err(error) => Seen::Unknown(error.to_string()),
                }
            }
            Observed::Ended(exit) => Seen::Ended(exit),
            Observed::Running(_) => Seen::Running,
            Observed::Cancelled => Seen::Cancelled,
            Observed::Lost { why } => Seen::Lost(why),
            Observed::Unknown { why } => Seen::Unknown(why),
            Observed::NotStarted => self.waits(live, clusters, &view).await,
        }
    }

    /// Why it has not begun.
    async fn waits(&self, live: &Live, clusters: &str, view: &TaskView) -> Seen {
        match self.slurm.launched(clusters, &live.id).await {
            Ok(Some(Launch::Refused(text))) => Seen::Refused(text),
            Ok(Some(Launch::Pending(why))) => Seen::Waiting(why.unwrap_or_default()),
            Ok(_) if view.reason == "None" => Seen::Waiting(String::new()),
            Ok(_) => Seen::Waiting(view.reason.clone()),
            Err(error) => Seen::Unknown(error.to_string()),
        }
    }

    /// Waits a moment, and has the scheduler asked what is due. Dropped in the middle, it leaves what came of that unknown.
    ///
    /// # Errors
    /// The program that batch scripts start cannot be laid down.
    pub async fn wait(&self, all: &[&Live]) -> io::Result<()> {
        let mut clusters: Vec<&str> = all.iter().filter_map(|live| live.clusters()).collect();
        clusters.sort_unstable();
        clusters.dedup();
        if clusters.is_empty() {
            wait_here(all).await;
        }
        let here = all.iter().any(|live| !live.is_elsewhere());
        for clusters in clusters {
            let pause = if here { HERE } else { ELSEWHERE };
            self.slurm.turn(clusters, pause).await?;
        }
        Ok(())
    }

    /// Follows an attempt no longer.
    ///
    /// # Errors
    /// The queue panicked.
    pub async fn forget(&self, live: &Live) -> io::Result<()> {
        match live.clusters() {
            Some(clusters) => self.slurm.forget(clusters, &live.id, true).await,
            None => Ok(()),
        }
    }
}

/// Whether a job that has not ended is one of the same item: ids are used again, and the letters behind the name of an
/// experiment's jobs may be gone with the job directory.
fn is_of(row: &QueueRow, id: &EffectId) -> bool {
    let named = row.name.split_once('.').map(|(name, _)| name);
    let of = named.and_then(|name| name.parse::<EffectId>().ok());
    let over = matches!(row.state.meaning(), Meaning::Over(_));
    !over && of.is_some_and(|of| of.campaign == id.campaign)
}

/// What an attempt's job directory says of it, and whether its process lives, where that is here. Nothing is done about it.
pub fn glance(live: &mut Live) -> Seen {
    live.read_claim();
    match look(&live.dir, 0) {
        Observed::Running(shim) if !live.is_elsewhere() => match (away(&live.dir), shim.alive()) {
            (Some(host), _) => Seen::Unknown(on(&host)),
            (None, Ok(false)) => silent(&live.dir),
            (None, _) => Seen::Running,
        },
        seen => from(seen),
    }
}

/// A process that lived no longer may have said how it ended between two looks.
fn silent(dir: &JobDir) -> Seen {
    match look(dir, 0) {
        Observed::Running(_) => Seen::Lost(SILENT.into()),
        seen => from(seen),
    }
}

/// The machine on which an attempt runs that has not ended, where it is another one that shares this directory: whether it lives
/// is not to be seen from here. Not known of claims that name no host.
pub(super) fn away(dir: &JobDir) -> Option<String> {
    let claim = dir.read_claim(0).filter(|claim| claim.by == "shim")?;
    let (host, own) = (claim.host?, host()?);
    let another = host != own && claim.process.boot_id != boot_id().ok()?;
    (another && matches!(dir.read_exit(0), Ok(None))).then_some(host)
}

/// Where it is, and the way out where that is no more.
pub(super) fn on(host: &str) -> String {
    format!("it runs on {host}; if that is no more, remove its job directory")
}

/// Until one of these has ended, or a while has passed.
async fn wait_here(all: &[&Live]) {
    let shims = all.iter().filter_map(|live| live.shim.as_ref());
    let mut each: Vec<_> = shims
        .map(|shim| Box::pin(Local.changed(shim, HERE)))
        .collect();
    if each.is_empty() {
        let begun = !all.is_empty() && all.iter().all(|live| live.began.is_some());
        return tokio::time::sleep(if begun { HERE } else { SOON }).await;
    }
    // All of them, each polled in turn: the first that is ready ends the wait.
    std::future::poll_fn(|context| {
        let ready = each
            .iter_mut()
            .any(|one| one.as_mut().poll(context).is_ready());
        if ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    // What has ended and cannot be read would be looked at without a pause.
    tokio::time::sleep(SOON).await;
}

async fn look_here(live: &Live) -> Seen {
    if let Some(host) = away(&live.dir) {
        return Seen::Unknown(on(&host));
    }
    from(match live.launched {
        true => Local.observe_started(&live.dir, 0).await,
        false => Local.observe(&live.dir, 0).await,
    })
}

/// The same, in the words of both executors.
pub(super) fn from(observed: Observed) -> Seen {
    match observed {
        Observed::NotStarted => Seen::Waiting(String::new()),
        Observed::Running(_) => Seen::Running,
        Observed::Ended(exit) => Seen::Ended(exit),
        Observed::Cancelled => Seen::Cancelled,
        Observed::Lost { why } => Seen::Lost(why),
        Observed::Unknown { why } => Seen::Unknown(why),
    }
}
