//! The runner of an experiment (specification 2, `run-experiment` with its workers `run-torchtune` and `run-inspect`): every
//! fine-tune through an executor, then every evaluation of those that succeeded.
//!
//! It has no memory of its own. What there is to do follows from the plan and from the job directories: attempt k + 1 of a
//! fine-tune exists only where attempt k ended out of memory, or where a person asked for it. Each attempt is launched by
//! writing its request, then by the executor, which launches what has a claim, or a name in the queue, no second time. So it
//! may be killed between any two steps, and the same command goes on.

mod evals;
mod files;
mod follow;
mod hands;
mod item;
mod judge;
mod place;
mod request;
mod steps;
mod tables;

pub use files::{Fault, Scaffold};
pub use follow::Followed;
pub use hands::Hands;
pub use item::{Item, Worker};
pub use place::{Place, STATE, Taken};
pub use request::{DEVICE, Given};
pub use tables::{Tables, log};

use crate::{
    executor::job_dir::JobDir,
    experiment::{
        Vocabulary,
        log::{Block, Event, LogFile},
        plan::Plan,
        status::Row,
    },
    ids::EffectId,
    time::{Timestamp, two_units},
};
use hands::{Live, Seen};
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
        })
    }

    /// The plan with its rows as they are now.
    pub fn plan(&self) -> &Plan {
        self.tables.plan()
    }

    /// Runs these workers one after the other. `asked` is ready when it is to leave.
    ///
    /// # Errors
    /// Those of the file system; what runs goes on.
    pub async fn run(
        &mut self,
        workers: &[Worker],
        asked: &mut (dyn Future<Output = ()> + Unpin),
    ) -> io::Result<Left> {
        let dir = self.place.dir().to_path_buf();
        // What a runner that was killed left unsaid is said first.
        self.keep()?;
        for worker in workers {
            let note = |block: Block| match workers.len() {
                1 => Ok(()),
                _ => log(&dir, LogFile::Run, &block),
            };
            let count = self.of(*worker).count();
            note(Block::done(
                Event::CallWorker,
                worker.name(),
                format!("{count} jobs"),
            ))?;
            let left = self.work(*worker, asked).await?;
            if left == Left::Detached {
                let details = "jobs go on; the same command comes back to them";
                let block = Block::done(Event::MonitorDetached, worker.name(), details);
                log(&dir, log_of(*worker), &block)?;
                note(block)?;
                return Ok(left);
            }
            let (done, result) = self.summed(*worker);
            note(Block::done(Event::WorkerDone, worker.name(), done).with_result(result))?;
        }
        Ok(Left::Done)
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
            log(self.place.dir(), file, &block)?;
        }
        let mut adopted = false;
        while !all.iter().all(|at| self.all[*at].settled) {
            // It may leave at any step, as it may be killed: a controller that does not answer holds nobody.
            tokio::select! {
                biased;
                () = &mut *asked => return Ok(Left::Detached),
                passed = self.pass(&all, adopted) => passed?,
            }
            adopted = true;
        }
        self.show();
        let (done, result) = self.summed(worker);
        let block = Block::done(Event::AllComplete, worker.name(), done).with_result(result);
        log_once(self.place.dir(), file, &block)?;
        Ok(Left::Done)
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

    /// Ends everything that has not ended, of whatever plan. How many that were.
    ///
    /// # Errors
    /// Something could not be ended: this is to be called again.
    pub async fn stop(&mut self) -> io::Result<usize> {
        let mut ending: Vec<(Option<usize>, Live)> = Vec::new();
        for (at, one) in self.all.iter().enumerate() {
            ending.extend(one.live.clone().map(|live| (Some(at), live)));
        }
        for id in self.strangers.clone() {
            let dir: JobDir = self.place.job(&id);
            let request = dir.read_request()?;
            ending.push((None, follow::live(id, dir, request)));
        }
        let hands = &self.hands;
        let each = ending.iter_mut().map(|(_, live)| async move {
            // A scheduler's number is known from a look, and whether it had ended by itself.
            let before = hands.look(live).await;
            let by_itself = matches!(before, Seen::Ended(_) | Seen::Lost(_));
            Ok::<_, io::Error>((by_itself, hands.end(live).await?))
        });
        let seen = futures_util::future::join_all(each).await;
        let mut count = 0;
        for ((at, live), seen) in ending.into_iter().zip(seen) {
            let (by_itself, seen) = seen?;
            let missing = at.and_then(|at| {
                let item = &self.all[at].item;
                item.unproved(self.place.dir(), live.began)
            });
            let ended = judge::judge(&live, &seen, missing);
            let mut ended =
                ended.ok_or_else(|| io::Error::other(format!("{} does not end", live.id)))?;
            if !by_itself && !ended.done {
                // Whatever its command made of the signal.
                (ended.state, ended.out_of_memory) = ("CANCELLED".into(), false);
                ended.note = "ended on request".into();
            }
            count += 1;
            match at {
                Some(at) => {
                    self.all[at].live = Some(live);
                    self.conclude(at, ended).await?;
                }
                None => self.place.write_ended(&live.id, &ended)?,
            }
        }
        Ok(count)
    }
}
