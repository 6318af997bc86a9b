//! The steps of one item: it is looked at, what follows is launched, or nothing more is done with it. Between any two lines the
//! runner may be killed.

use super::{
    Runner, follow,
    hands::{Live, Seen},
    item::{Item, Worker},
    judge, request,
    room::room,
    tables::{is_submitted, log, log_once},
};
use crate::{
    artifacts::{create_dir_private, is_starved},
    executor::{identity::Identity, job_dir::Exit},
    experiment::{
        attempts::{Course, Ended},
        log::{Block, Event, LogFile},
        retry,
        status::Row,
    },
    parameters::Assignment,
    points::point,
    time::Timestamp,
};
use std::{
    io,
    path::Path,
    time::{Duration, SystemTime},
};

/// How long a file may be there before this machine sees it: a network's file system keeps what it knew of a directory.
const VISIBLE_WITHIN: Duration = Duration::from_secs(90);

/// Whether a file that a node's job should have left may be there all the same. To list its directory makes it seen.
fn unseen_yet(exit: &Exit, path: &Path) -> bool {
    let _ = path.parent().map(std::fs::read_dir);
    let now = Timestamp::from(SystemTime::now());
    exit.cause().is_none() && now.since(Timestamp(exit.ended_at)) < VISIBLE_WITHIN
}

impl Runner<'_> {
    /// Goes on following what an earlier runner launched.
    pub(super) async fn adopt(&mut self, at: usize) -> io::Result<()> {
        let one = &mut self.all[at];
        match &mut one.live {
            // A queue is asked of what it may have; to be asked again is harmless.
            Some(live) if live.is_elsewhere() => self.hands.launch(live).await,
            _ => Ok(()),
        }
    }

    /// Looks at an attempt that has not ended.
    pub(super) async fn observe(&mut self, at: usize) -> io::Result<()> {
        let one = &mut self.all[at];
        let Some(live) = &mut one.live else {
            return Ok(());
        };
        let mut seen = self.hands.look(live).await;
        if seen == Seen::Cancelled {
            // Whoever cancelled it may have gone before the queue heard of it.
            seen = self.hands.end(live).await?;
        }
        if let Seen::Refused(_) = seen {
            live.dir.take_claim(0, Identity::own()?, "canceller")?;
        }
        // What has a claim has begun, also where nothing is known of it now.
        one.begun |= live.began.is_some() || matches!(seen, Seen::Running | Seen::Ended(_));
        let missing = match &seen {
            Seen::Ended(_) => one.item.unproved(self.place.dir(), live.began),
            _ => None,
        };
        let ended = match (&seen, &missing) {
            (Seen::Ended(exit), Some(path)) if live.is_elsewhere() && unseen_yet(exit, path) => {
                None
            }
            _ => judge::judge(live, &seen, missing),
        };
        let (live, prints) = (live.clone(), one.item.prints(self.place.dir()));
        self.submitted(at, &live, &seen)?;
        if let Err(error) = request::show(&live, &prints)
            && !std::mem::replace(&mut self.all[at].unshown, true)
        {
            self.watcher
                .say(&format!("what {} prints is not shown: {error}", live.id));
        }
        if let Some(ended) = ended {
            return self.conclude(at, ended).await;
        }
        let mut row = self.tables.row(&self.all[at].item);
        let (state, waits) = match seen {
            Seen::Running => ("RUNNING".to_string(), String::new()),
            Seen::Waiting(why) => ("PENDING".into(), why),
            Seen::Unknown(why) => (row.state.clone(), why),
            _ => (row.state.clone(), String::new()),
        };
        row.state = state;
        row.job = live.job;
        row.note = self.all[at].about(&waits);
        self.set(at, row)
    }

    /// Says in the log that a job was handed in, once its number is known.
    fn submitted(&mut self, at: usize, live: &Live, seen: &Seen) -> io::Result<()> {
        let (dir, one) = (self.place.dir(), &mut self.all[at]);
        let (event, file) = match one.item.worker {
            Worker::Torchtune => (Event::SubmitJob, LogFile::RunTorchtune),
            Worker::Inspect => (Event::SubmitEval, LogFile::RunInspect),
        };
        let details = format!("{}: bash {}", live.executor(), one.item.script);
        let block = Block::done(event, &one.item.name, details);
        if let Seen::Refused(text) = seen {
            let again = live.request.attempt > 1 && one.item.worker == Worker::Torchtune;
            let block = Block {
                event: if again {
                    Event::OomRetrySubmitFailed
                } else {
                    event
                },
                ..block
            };
            return log(dir, file, &block.with_result(format!("failed: {text}")));
        }
        let Some(job) = live.job.as_ref().filter(|_| !one.told) else {
            return Ok(());
        };
        if !is_submitted(dir, file, (event, &one.item.name, job))? {
            log(dir, file, &block.with_job(job))?;
        }
        one.told = true;
        Ok(())
    }

    /// An attempt has ended: said in its directory first, then to everybody.
    pub(super) async fn conclude(&mut self, at: usize, ended: Ended) -> io::Result<()> {
        let one = &mut self.all[at];
        let Some(live) = one.live.take() else {
            return Ok(());
        };
        self.place.write_ended(&live.id, &ended)?;
        point!("run.ended");
        self.hands.forget(&live).await?;
        if let Some(last) = one.ends.last_mut() {
            *last = Some(ended.clone());
        }
        let row = one.row(&ended);
        self.set(at, row)
    }

    /// Launches what comes next of an item, where that may be, or settles it.
    pub(super) async fn advance(&mut self, at: usize) -> io::Result<()> {
        let one = &self.all[at];
        if one.settled || self.starved {
            return Ok(());
        }
        if let Some(live) = &one.live {
            let unbegun = !live.launched && !one.begun;
            return match unbegun && self.busy() < self.terms.at_once {
                true => self.start(at).await,
                false => Ok(()),
            };
        }
        match one.course(self.words, self.tables.plan()) {
            Course::Live(_) => Ok(()),
            Course::Done(_) => self.settle(at, None),
            Course::Over(why) => self.over(at, why),
            Course::Launch {
                number,
                times,
                over,
            } => {
                if let Some((state, note)) = self.barred(at) {
                    let mut row = self.tables.row(&self.all[at].item);
                    if row.job.is_none() {
                        row.state = state.into();
                    }
                    row.note = note;
                    return self.settle(at, Some(row));
                }
                match self.busy() < self.terms.at_once {
                    true => self.launch(at, (number, times), &over).await,
                    false => Ok(()),
                }
            }
        }
    }

    /// Jobs that were launched and have not ended.
    fn busy(&self) -> usize {
        let lives = self.all.iter().filter(|one| {
            let launched = one.live.as_ref().is_some_and(|live| live.launched);
            one.live.is_some() && (launched || one.begun)
        });
        lives.count()
    }

    /// Why an evaluation is not launched: its state then, and the reason.
    fn barred(&self, at: usize) -> Option<(&'static str, String)> {
        let one = &self.all[at];
        if one.item.worker == Worker::Torchtune {
            return None;
        }
        let tune = self.all.iter().find(|other| {
            other.item.worker == Worker::Torchtune && other.item.run.name == one.item.run.name
        })?;
        let pending = |why: &str| Some(("pending", why.to_string()));
        match tune.course(self.words, self.tables.plan()) {
            Course::Done(_) => {}
            _ if tune.settled => return Some(("skipped", "its fine-tune failed".into())),
            Course::Over(_) => return Some(("skipped", "its fine-tune failed".into())),
            Course::Live(_) => match tune.ended_well(self.place.dir()) {
                Some(true) => {}
                Some(false) => return Some(("skipped", "its fine-tune failed".into())),
                None => return pending("its fine-tune has not ended"),
            },
            Course::Launch { number: 1, .. } => return pending("its fine-tune has not begun"),
            Course::Launch { .. } => return pending("its fine-tune is to go again"),
        }
        let missing = one.item.missing(self.place.dir())?;
        let why = format!("there is no checkpoint {}", missing.display());
        Some(("skipped", why))
    }

    async fn launch(
        &mut self,
        at: usize,
        (number, times): (u64, u32),
        over: &Assignment,
    ) -> io::Result<()> {
        let dir = self.place.dir().to_path_buf();
        point!("run.before");
        let item = self.all[at].item.clone();
        if item.worker == Worker::Torchtune && times > 0 {
            if let Some(why) = self.unlike(&item, times) {
                return self.over(at, Some(why));
            }
            self.scaffold.rewrite(&dir, &item, over)?;
            point!("run.files");
            let block = retry::block(&item.name, times, &retry::Retry::Again(over.clone()));
            log_once(&dir, LogFile::RunTorchtune, &block)?;
            point!("run.said");
        }
        if let Some(gone) = self.all[at].gone.take() {
            let earlier = item.attempt(number - 1);
            let (job, slurm) = (self.place.job(&earlier), &self.terms.given.slurm);
            let stray = self.hands.stray(
                (&earlier, &job),
                gone.job.as_deref(),
                slurm.as_ref().map(|slurm| slurm.clusters.as_str()),
            );
            if let Some(why) = stray.await {
                return self.over(at, Some(why));
            }
            self.place.write_ended(&earlier, &gone)?;
        }
        let id = item.attempt(number);
        let name = id.scheduler_name(&self.id);
        let device = self.device();
        let experiment = self.tables.plan().name.clone();
        let request = request::request(
            (&experiment, &dir),
            &item,
            (number, name),
            &self.terms.given,
            device.as_deref(),
        );
        let job = self.place.job(&id);
        create_dir_private(&self.place.state().jobs())?;
        room()?;
        job.write_request(&request)?;
        point!("run.requested");
        let one = &mut self.all[at];
        one.ends.push(None);
        one.live = Some(follow::live(id, job, request));
        (one.again, one.begun, one.told) = (false, false, false);
        one.over = over.clone();
        self.start(at).await
    }

    /// Why files are not written again with half the batch: somebody changed them.
    fn unlike(&self, item: &Item, times: u32) -> Option<String> {
        let planned = self.tables.plan().settings(&item.run);
        let overs = follow::overs(self.words, &planned, times);
        match self.scaffold.faults(self.place.dir(), item, &overs) {
            Ok(faults) if faults.is_empty() => None,
            Ok(_) => {
                Some("its files are not the plan's, so its batch is not halved in them".into())
            }
            Err(why) => Some(why),
        }
    }

    async fn start(&mut self, at: usize) -> io::Result<()> {
        let Some(live) = &mut self.all[at].live else {
            return Ok(());
        };
        let launched = self.hands.launch(live).await;
        point!("run.launched");
        match launched {
            Ok(()) => {
                let mut row = self.tables.row(&self.all[at].item);
                (row.state, row.job, row.duration) = ("PENDING".into(), None, None);
                row.note = self.all[at].about("");
                self.set(at, row)
            }
            // The machine is short of something for now: it is tried again, and so is everything behind it.
            Err(error) if is_starved(&error) || error.kind() == io::ErrorKind::TimedOut => {
                self.starved = true;
                let mut row = self.tables.row(&self.all[at].item);
                row.note = format!("it cannot be started now: {error}");
                self.set(at, row)
            }
            Err(error) => self.unlaunched(at, &error).await,
        }
    }

    /// It could not be launched. Unless it has begun after all, it never will.
    async fn unlaunched(&mut self, at: usize, error: &io::Error) -> io::Result<()> {
        let Some(live) = &mut self.all[at].live else {
            return Ok(());
        };
        live.launched = true;
        if !live.dir.take_claim(0, Identity::own()?, "canceller")? {
            return Ok(());
        }
        let ended = Ended {
            state: "FAILED".into(),
            note: format!("it could not be started: {error}"),
            ..Ended::default()
        };
        self.conclude(at, ended).await
    }

    /// The GPU that the fewest jobs have.
    fn device(&self) -> Option<String> {
        if self.terms.devices.len() < 2 || self.terms.given.slurm.is_some() {
            return None;
        }
        let lives = || self.all.iter().filter_map(|one| one.live.as_ref());
        let used = |device: &&String| {
            let same = |live: &&Live| request::device(&live.request) == Some(device.as_str());
            lives().filter(same).count()
        };
        self.terms.devices.iter().min_by_key(used).cloned()
    }

    /// It is not launched again.
    fn over(&mut self, at: usize, why: Option<String>) -> io::Result<()> {
        let one = &self.all[at];
        if let Some(why) = &why {
            let exhausted = retry::Retry::Exhausted(why.clone());
            let block = retry::block(&one.item.name, 0, &exhausted);
            log_once(self.place.dir(), LogFile::RunTorchtune, &block)?;
        }
        let last = one.ends.last().cloned().flatten();
        let row = last.map(|last| {
            let mut row = one.row(&last);
            if let Some(why) = why {
                row.note = format!("{}; {why}", row.note);
            }
            row
        });
        self.settle(at, row)
    }

    /// Nothing more is done with an item.
    fn settle(&mut self, at: usize, row: Option<Row>) -> io::Result<()> {
        let one = &self.all[at];
        let last = one.ends.last().cloned().flatten();
        if let Some(row) = row.or_else(|| last.map(|last| one.row(&last))) {
            self.set(at, row)?;
        }
        self.all[at].settled = true;
        Ok(())
    }
}
