//! The runner of an experiment (specification 2, `run-experiment` with its workers `run-torchtune` and `run-inspect`): every
//! fine-tune through an executor, then every evaluation of those that succeeded.
//!
//! It has no memory of its own. What there is to do follows from the plan and from the job directories: attempt k + 1 of a
//! fine-tune exists only where attempt k ended out of memory, or where a person asked for it. Each attempt is launched by
//! writing its request, then by the executor, which launches what has a claim, or a name in the queue, no second time. So it
//! may be killed between any two steps, and the same command goes on.

mod ends;
mod evals;
mod files;
mod follow;
mod hands;
mod item;
mod judge;
mod place;
mod request;
mod room;
mod steps;
mod stop;
mod tables;

pub use files::{Fault, Scaffold};
pub use follow::Followed;
pub use hands::Hands;
pub use item::{Item, Worker};
pub use place::{Place, STATE, Taken};
pub use request::{DEVICE, Given};
pub use tables::{Tables, log};

use crate::{
    artifacts::is_starved,
    experiment::{
        Vocabulary,
        log::{Block, Event, LogFile},
        plan::Plan,
        status::Row,
    },
    ids::EffectId,
    time::{Timestamp, two_units},
};
use hands::Live;
use std::{future::Future, io, time::SystemTime};
use tables::{log_of, log_once};

/// Who looks on.
pub trait Watcher {
    /// A row has changed.
    fn changed(&mut self, row: &Row);
    /// Something is to be said.
    fn say(&mut self, text: &str);
    /// Time has passed; the tables as they are now.
    fn tick(&mut self, tables: &dyn Fn() -> Plan);
}

/// How it is run.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// What every job is given.
    pub given: Given,
    /// The GPUs that jobs here share, where there are several.
    pub devices: Vec<String>,
    /// Jobs at the same time.
    pub at_once: usize,
    /// What failed, or was cancelled, goes once more.
    pub again: bool,
    /// The files are run as they are, whatever the plan says.
    pub as_is: bool,
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing more is to be done.
    Done,
    /// It was asked to go; jobs go on.
    Detached,
}

/// The runner.
pub struct Runner<'a> {
    place: Place,
    id: String,
    words: &'a Vocabulary,
    terms: Terms,
    hands: Hands,
    scaffold: Scaffold<'a>,
    watcher: &'a mut dyn Watcher,
    tables: Tables,
    all: Vec<Followed>,
    strangers: Vec<EffectId>,
    /// The machine was short of something when a job was to be started: nothing more is in this pass.
    starved: bool,
    /// It was said that the machine is short of something, and it still is.
    short: bool,
}

impl std::fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Runner of {}", self.place.dir().display())
    }
}

/// What is known of every item of a plan, and jobs that have not ended and are of no plan that there is; nothing is written, and
/// nobody asked.
///
/// # Errors
/// The job directories cannot be read.
pub fn survey(
    place: &Place,
    (plan, words): (&Plan, &Vocabulary),
    again: bool,
) -> io::Result<(Vec<Followed>, Vec<EffectId>)> {
    follow::all(place, &Tables::new(place.dir(), plan), words, again)
}

impl<'a> Runner<'a> {
    /// The runner of a plan, whose lock is held.
    ///
    /// # Errors
    /// The job directories cannot be read.
    pub fn new(
        place: Place,
        (plan, words): (&Plan, &'a Vocabulary),
        terms: Terms,
        hands: Hands,
        scaffold: Scaffold<'a>,
        watcher: &'a mut dyn Watcher,
    ) -> io::Result<Self> {
        let tables = Tables::new(place.dir(), plan);
        let (all, strangers) = follow::all(&place, &tables, words, terms.again)?;
        Ok(Self {
            id: place.id()?,
            place,
            words,
            terms,
            hands,
            scaffold,
            watcher,
            tables,
            all,
            strangers,
            starved: false,
            short: false,
        })
    }

    /// The plan with its rows as they are now.
    pub fn plan(&self) -> &Plan {
        self.tables.plan()
    }

    /// Runs these workers one after the other. `asked` is ready when it is to leave. What the machine lacks for a while, room on its
    /// disk most of all, is waited for.
    ///
    /// # Errors
    /// Those of the file system; what runs goes on.
    pub async fn run(
        &mut self,
        workers: &[Worker],
        asked: &mut (dyn Future<Output = ()> + Unpin),
    ) -> io::Result<Left> {
        let alone = workers.len() == 1;
        // What a runner that was killed left unsaid is said first.
        let mut left = self.with_room(asked, Self::keep).await?;
        for worker in workers {
            if left == Left::Done {
                left = self.call(*worker, alone, asked).await?;
            }
            if left == Left::Detached {
                self.leave(*worker, alone)?;
                break;
            }
        }
        Ok(left)
    }

    /// Runs a worker, and says in the log of all of them that it was called and how it ended, unless it is run alone.
    async fn call(
        &mut self,
        worker: Worker,
        alone: bool,
        asked: &mut (dyn Future<Output = ()> + Unpin),
    ) -> io::Result<Left> {
        let dir = self.place.dir().to_path_buf();
        let note = |block: &Block| match alone {
            true => Ok(()),
            false => log(&dir, LogFile::Run, block),
        };
        let count = self.of(worker).count();
        let called = Block::done(Event::CallWorker, worker.name(), format!("{count} jobs"));
        if self.with_room(asked, |_| note(&called)).await? == Left::Detached
            || self.work(worker, asked).await? == Left::Detached
        {
            return Ok(Left::Detached);
        }
        let (done, result) = self.summed(worker);
        let block = Block::done(Event::WorkerDone, worker.name(), done).with_result(result);
        self.with_room(asked, |_| note(&block)).await
    }

    /// Says that it leaves. A disk that is full keeps nobody from leaving.
    fn leave(&self, worker: Worker, alone: bool) -> io::Result<()> {
        let details = "jobs go on; the same command comes back to them";
        let block = Block::done(Event::MonitorDetached, worker.name(), details);
        let said = log(self.place.dir(), log_of(worker), &block).and_then(|()| match alone {
            true => Ok(()),
            false => log(self.place.dir(), LogFile::Run, &block),
        });
        match said {
            Err(error) if is_starved(&error) => Ok(()),
            said => said,
        }
    }

    fn of(&self, worker: Worker) -> impl Iterator<Item = usize> + use<> {
        let of = |one: &Followed| one.item.worker == worker;
        let found: Vec<usize> = (0..self.all.len())
            .filter(|at| of(&self.all[*at]))
            .collect();
        found.into_iter()
    }

    /// `3 of 4 completed`, and whether that is all.
    fn summed(&self, worker: Worker) -> (String, &'static str) {
        let all: Vec<usize> = self.of(worker).collect();
        let done = all.iter().filter(|at| self.all[**at].is_done()).count();
        let result = match done == all.len() {
            true => "success",
            false => "failed",
        };
        (format!("{done} of {} completed", all.len()), result)
    }

    async fn work(
        &mut self,
        worker: Worker,
        asked: &mut (dyn Future<Output = ()> + Unpin),
    ) -> io::Result<Left> {
        let all: Vec<usize> = self.of(worker).collect();
        if all.is_empty() {
            return Ok(Left::Done);
        }
        let file = log_of(worker);
        if all.iter().any(|at| !self.all[*at].is_done()) {
            let details = format!(
                "{}, {}",
                match self.terms.given.slurm {
                    Some(_) => "slurm",
                    None => "local",
                },
                match self.terms.at_once {
                    usize::MAX => "all at once".into(),
                    most => format!("{most} at once"),
                }
            );
            let block = Block::done(Event::MonitorConfig, format!("{} jobs", all.len()), details);
            let dir = self.place.dir().to_path_buf();
            if self.with_room(asked, |_| log(&dir, file, &block)).await? == Left::Detached {
                return Ok(Left::Detached);
            }
        }
        let mut adopted = false;
        while !all.iter().all(|at| self.all[*at].settled) {
            // It may leave at any step, as it may be killed: a controller that does not answer holds nobody.
            let passed = tokio::select! {
                biased;
                () = &mut *asked => return Ok(Left::Detached),
                passed = self.pass(&all, adopted) => passed,
            };
            adopted = passed.is_ok();
            let left = match passed {
                Ok(()) => {
                    self.short = false;
                    Left::Done
                }
                Err(error) => self.recover(error, asked).await?,
            };
            if left == Left::Detached {
                return Ok(left);
            }
        }
        self.show();
        let (done, result) = self.summed(worker);
        let block = Block::done(Event::AllComplete, worker.name(), done).with_result(result);
        let dir = self.place.dir().to_path_buf();
        self.with_room(asked, |_| log_once(&dir, file, &block))
            .await
    }

    /// Looks at all of these, launches what may be, and waits for news.
    async fn pass(&mut self, all: &[usize], adopted: bool) -> io::Result<()> {
        for at in all.iter().filter(|_| !adopted) {
            self.adopt(*at).await?;
        }
        for at in all {
            self.observe(*at).await?;
        }
        self.starved = false;
        for at in all {
            self.advance(*at).await?;
        }
        self.show();
        if all.iter().all(|at| self.all[*at].settled) {
            return Ok(());
        }
        let lives = self.all.iter().filter_map(|one| one.live.as_ref());
        let lives: Vec<&Live> = lives.collect();
        self.hands.wait(&lives).await
    }

    fn show(&mut self) {
        let (tables, all) = (&self.tables, &self.all);
        self.watcher.tick(&|| {
            let now = Timestamp::from(SystemTime::now());
            let mut plan = tables.plan().clone();
            for one in all {
                let ran = one
                    .live
                    .as_ref()
                    .and_then(|live| judge::running_for(live, now));
                let rows = match one.item.worker {
                    Worker::Torchtune => &mut plan.fine_tuning,
                    Worker::Inspect => &mut plan.evaluation,
                };
                let row = rows.iter_mut().find(|row| row.name == one.item.name);
                if let (Some(row), Some(ran)) = (row, ran) {
                    row.duration = Some(two_units(ran));
                }
            }
            plan
        });
    }

    /// Another row: said in the log, in both tables, and to who looks on.
    fn set(&mut self, at: usize, row: Row) -> io::Result<()> {
        let item = &self.all[at].item;
        let old = self.tables.row(item);
        if old == row {
            return Ok(());
        }
        let worker = item.worker;
        if old.state != row.state {
            let details = format!("{} -> {}", old.state, row.state);
            let mut block = Block::done(Event::StateChange, &row.name, details);
            block.job.clone_from(&row.job);
            if !row.note.is_empty() {
                block = block.with_result(&row.note);
            }
            log(self.place.dir(), log_of(worker), &block)?;
            self.watcher.changed(&row);
        }
        self.tables.set(worker, row);
        self.keep()
    }

    fn keep(&mut self) -> io::Result<()> {
        if let Some(said) = self.tables.keep()? {
            self.watcher.say(&said);
        }
        Ok(())
    }
}
