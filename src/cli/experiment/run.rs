//! `campaignctl experiment run`, and its two workers alone. The jobs' shim is campaignd, so it is campaignd that runs them:
//! campaignctl hands over to the one beside it.

mod background;
mod check;
mod dry;
pub(super) mod resources;
pub(super) mod screen;

use super::{
    files::{fail, failed},
    read::{self, Open},
    scaffold,
};
use crate::{
    cli::{
        args::Shape,
        fail::{Fail, INTERRUPTED},
        out,
        style::Style,
    },
    config::Settings,
    executor::{
        identity::Identity,
        slurm::{
            bucket::Rate,
            desk::{Slurm, Terms as Pace},
        },
    },
    experiment::{plan::Plan, status::Row},
    runner::{Hands, Left, Place, Runner, Taken, Terms, Worker, survey},
};
use resources::Executor;
use screen::Screen;
use serde_json::json;
use std::{future::Future, io, path::PathBuf, pin::Pin};
use tokio::signal::unix::{SignalKind, signal};

/// The flags of `run` and of its workers.
#[derive(clap::Args, Debug)]
pub struct RunArgs {
    /// The experiment's directory
    pub dir: PathBuf,
    /// local or slurm [default: slurm where the plan names a partition or sbatch is on PATH, else local]
    #[arg(long, value_name = "WHERE")]
    pub executor: Option<Executor>,
    /// Jobs at the same time [default: local one for each GPU, at least 1; slurm all]
    #[arg(long, value_name = "N", value_parser = at_once)]
    pub at_once: Option<usize>,
    /// Say what would be launched, in order; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Go into the background; the logs tell
    #[arg(long, conflicts_with = "dry_run")]
    pub detach: bool,
    /// What failed, or was cancelled, once more
    #[arg(long)]
    pub again: bool,
    /// Run the files as they are, also where they are not what the plan makes, and against constraints: each is named then
    #[arg(long)]
    pub as_is: bool,
    /// A campaignd.toml: its slurm table says how the controller is treated, and the site's own values
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// This is the process in the background
    #[arg(long, hide = true)]
    pub detached: bool,
}

fn at_once(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number of jobs, 1 or more".into()),
        Ok(number) => Ok(number),
    }
}

/// An experiment that is about to be run.
struct Ready<'a> {
    open: &'a Open,
    place: Place,
    settings: Settings,
    terms: Terms,
    executor: Executor,
    workers: &'a [Worker],
}

/// Runs it.
///
/// # Errors
/// What is wrong with the experiment, its files or its resources; somebody else runs it.
pub fn run(args: &RunArgs, workers: &[Worker], shape: Shape) -> Result<u8, Fail> {
    let open = read::open(&args.dir)?;
    if open.plan.runs.is_empty() {
        return Err(fail(
            "the experiment has no runs",
            &open.dir.display().to_string(),
            "campaignctl experiment design with --vary, and --force",
        ));
    }
    let ready = Ready::of(args, &open, workers)?;
    if args.dry_run {
        noted(&ready.check()?);
        return dry::run(&ready, shape);
    }
    ready.place.make().map_err(failed)?;
    if args.detach && !args.detached {
        noted(&ready.check()?);
        return background::detach(&ready.place, shape);
    }
    if args.detached {
        // A session of its own: nothing that happens to the terminal concerns it.
        let _ = nix::unistd::setsid();
    }
    let _held = held(&ready.place)?;
    // Under the lock: what another runner did until now is seen.
    let open = read::again(open)?;
    let ready = Ready::of(args, &open, workers)?;
    let against = ready.check()?;
    // The one in the background says what goes wrong, and nothing else.
    if !args.detached {
        noted(&against);
    }
    ready.run(Shape {
        quiet: shape.quiet || args.detached,
        ..shape
    })
}

fn noted(all: &[String]) {
    for text in all {
        out::note(text);
    }
}

/// The lock of an experiment.
///
/// # Errors
/// Somebody else has it.
pub(super) fn held(place: &Place) -> Result<Taken, Fail> {
    match place.take().map_err(failed)? {
        Taken::By(who) => Err(taken(place, who.as_ref())),
        mine => Ok(mine),
    }
}

fn taken(place: &Place, who: Option<&Identity>) -> Fail {
    let who = who.map_or("another process".into(), |who| {
        format!("process {}", who.pid)
    });
    let dir = place.dir().display();
    let right = format!(
        "campaignctl experiment status {dir}; to end its jobs: campaignctl experiment stop {dir}"
    );
    fail(
        &format!("{who} runs this experiment already"),
        &dir.to_string(),
        &right,
    )
}

impl<'a> Ready<'a> {
    fn of(args: &RunArgs, open: &'a Open, workers: &'a [Worker]) -> Result<Self, Fail> {
        let executor = resources::executor(args, open)?;
        let settings = resources::settings(args.config.as_ref())?;
        Ok(Self {
            place: Place::new(&open.dir),
            terms: resources::terms(args, open, &settings, executor)?,
            open,
            settings,
            executor,
            workers,
        })
    }

    /// That nothing stands in the way; what is launched against a constraint all the same.
    fn check(&self) -> Result<Vec<String>, Fail> {
        let nothing = self.open.plan.evaluation.is_empty();
        if nothing && self.workers == [Worker::Inspect] {
            let right = "campaignctl experiment design with --eval TASK";
            let dir = self.open.dir.display().to_string();
            return Err(fail("no evaluation is planned", &dir, right));
        }
        let own = scaffold::place(self.open)?;
        let (all, strangers) = survey(
            &self.place,
            (&self.open.plan, self.open.words),
            self.terms.again,
        )
        .map_err(failed)?;
        check::strangers(&self.open.dir, &strangers)?;
        let scaffold = check::rendered(self.open, &own);
        check::scaffolded(self.open, &scaffold, &all, (self.workers, self.terms.as_is))
    }

    fn run(self, shape: Shape) -> Result<u8, Fail> {
        let own = scaffold::place(self.open)?;
        let mut screen = Screen::new(shape);
        let mut runner = Runner::new(
            self.place.clone(),
            (&self.open.plan, self.open.words),
            self.terms.clone(),
            hands(&self.place, &self.settings),
            check::rendered(self.open, &own),
            &mut screen,
        )
        .map_err(failed)?;
        let ended = runtime()?.block_on(async {
            let mut leave = asked_to_leave()?;
            runner.run(self.workers, &mut leave).await
        });
        let plan = runner.plan().clone();
        drop(runner);
        screen.end();
        let left = ended.map_err(|error| gone_on(&self.place, &error))?;
        self.tell(&plan, left, shape)
    }

    /// What came of it.
    fn tell(&self, plan: &Plan, left: Left, shape: Shape) -> Result<u8, Fail> {
        let status = match left {
            Left::Detached => INTERRUPTED,
            Left::Done if all_done(plan, self.workers) => 0,
            Left::Done => 1,
        };
        if shape.json {
            let state = match left {
                Left::Detached => "detached",
                Left::Done if status == 0 => "completed",
                Left::Done => "failed",
            };
            out::json(&json!({
                "version": 1, "experiment": plan.name, "directory": self.open.dir, "state": state,
                "fine_tuning": plan.fine_tuning, "evaluation": plan.evaluation,
            }))?;
            return Ok(status);
        }
        let dir = self.open.dir.display();
        if left == Left::Detached {
            let again = self.again();
            out::note(&format!(
                "left; the jobs go on ({})\n  come back  {again}\n  look       campaignctl experiment status {dir}\n  end them   campaignctl experiment stop {dir}",
                screen::counts(plan)
            ));
            return Ok(status);
        }
        if !shape.quiet {
            let style = Style::of(&io::stdout(), shape.color);
            out::print(&screen::tables(plan, style))?;
            let next = match status {
                0 => format!("  next     campaignctl experiment analyze {dir}\n"),
                _ => format!(
                    "  next     what failed, once more: {} --again\n",
                    self.again()
                ),
            };
            out::print(&next)?;
        }
        Ok(status)
    }

    /// The command that goes on.
    fn again(&self) -> String {
        let verb = match self.workers {
            [one] => one.name(),
            _ => "run",
        };
        format!("campaignctl experiment {verb} {}", self.open.dir.display())
    }
}

/// Whether everything of these workers succeeded.
fn all_done(plan: &Plan, workers: &[Worker]) -> bool {
    let done = |rows: &[Row]| rows.iter().all(|row| row.state == "COMPLETED");
    workers.iter().all(|worker| match worker {
        Worker::Torchtune => done(&plan.fine_tuning),
        Worker::Inspect => done(&plan.evaluation),
    })
}

/// Something failed under the runner: what runs goes on.
fn gone_on(place: &Place, error: &io::Error) -> Fail {
    let right = format!(
        "what runs goes on; campaignctl experiment run {} comes back to it",
        place.dir().display()
    );
    fail("the runner cannot go on", &error.to_string(), &right)
}

/// Both executors.
pub(super) fn hands(place: &Place, settings: &Settings) -> Hands {
    Hands::new(Slurm::new(
        place.state().clone(),
        Pace {
            interval: settings.poll_interval,
            rate: Rate {
                burst: settings.calls_burst,
                per_minute: settings.calls_per_minute,
            },
            largest: settings.limits.max_array_size,
            at_once: settings.limits.max_concurrent_jobs,
        },
    ))
}

/// Where waiting happens.
///
/// # Errors
/// The machine has no room for it.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Fail> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| Fail::usage(format!("no runtime: {error}"), "more memory or threads"))
}

/// Ready when a person, or the machine, asks it to go.
fn asked_to_leave() -> io::Result<Pin<Box<dyn Future<Output = ()>>>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(Box::pin(async move {
        tokio::select! {
            _ = interrupt.recv() => {},
            _ = terminate.recv() => {},
            _ = hang_up.recv() => {},
        }
    }))
}
