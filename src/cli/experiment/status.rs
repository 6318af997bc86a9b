//! `campaignctl experiment status` and `stop`: where an experiment stands, and the end of what runs.

use super::{
    files::{fail, failed},
    read,
    run::{
        hands, held,
        resources::settings,
        runtime,
        screen::{Screen, counts, tables},
    },
};
use crate::{
    cli::{args::Shape, fail::Fail, out, style::Style},
    experiment::plan::Plan,
    parameters::Assignment,
    runner::{Place, Runner, Scaffold, Tables, Terms, survey},
};
use rustix::process::Signal;
use serde_json::json;
use std::{
    io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

/// How long a runner that is asked to go may take: a program of SLURM may block for so long.
const GOES_WITHIN: Duration = Duration::from_secs(70);
/// Between two looks at it.
const SOON: Duration = Duration::from_millis(50);

/// The flags of `status`.
#[derive(clap::Args, Debug)]
pub struct StatusArgs {
    /// The experiment's directory
    pub dir: PathBuf,
}

/// The flags of `stop`.
#[derive(clap::Args, Debug)]
pub struct StopArgs {
    /// The experiment's directory
    pub dir: PathBuf,
    /// A campaignd.toml: its slurm table says how the controller is treated
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Where it stands, by its job directories; no scheduler is asked.
///
/// # Errors
/// There is no such experiment; it cannot be read.
pub fn status(args: &StatusArgs, shape: Shape) -> Result<u8, Fail> {
    let open = read::open(&args.dir)?;
    let place = Place::new(&open.dir);
    let (all, strangers) = survey(&place, (&open.plan, open.words), false).map_err(failed)?;
    let mut table = Tables::new(&open.dir, &open.plan);
    let now = crate::cli::now();
    for one in &all {
        let row = table.row(&one.item);
        table.set(one.item.worker, one.glance(&open.dir, &row, now));
    }
    let plan: Plan = table.plan().clone();
    let runner = place.runner();
    let pid = runner.clone().flatten().map(|who| who.pid);
    let open_jobs = all.iter().filter(|one| one.is_open()).count() + strangers.len();
    if shape.json {
        out::json(&json!({
            "version": 1, "experiment": plan.name, "directory": open.dir, "running": runner.is_some(), "runner": pid,
            "fine_tuning": plan.fine_tuning, "evaluation": plan.evaluation,
        }))?;
        return Ok(0);
    }
    let style = Style::of(&io::stdout(), shape.color);
    let dir = open.dir.display();
    let who = match (&runner, pid) {
        (Some(_), Some(pid)) => format!("process {pid} runs it"),
        (Some(_), None) => "another process runs it".into(),
        (None, _) if open_jobs > 0 => {
            format!("nobody follows its jobs; campaignctl experiment run {dir} does")
        }
        (None, _) => "nobody runs it".into(),
    };
    out::print(&format!(
        "{}: {}; {who}\n\n{}",
        plan.name,
        counts(&plan),
        tables(&plan, style)
    ))?;
    Ok(0)
}

/// Ends its runner, then its jobs.
///
/// # Errors
/// Its runner does not go; something could not be ended.
pub fn stop(args: &StopArgs, shape: Shape) -> Result<u8, Fail> {
    let open = read::open(&args.dir)?;
    let settings = settings(args.config.as_ref())?;
    let place = Place::new(&open.dir);
    if !place.state().root().is_dir() {
        return told(&open.plan, 0, shape);
    }
    place.make().map_err(failed)?;
    send_away(&place)?;
    let _held = held(&place)?;
    let open = read::again(open)?;
    let mut screen = Screen::new(Shape {
        quiet: true,
        ..shape
    });
    let nothing = |_: &_, _: &Assignment| Err("nothing is made here".into());
    let scaffold = Scaffold {
        fine_tunes: Box::new(nothing),
        evaluations: Box::new(|_| Err("nothing is made here".into())),
    };
    let mut runner = Runner::new(
        place.clone(),
        (&open.plan, open.words),
        Terms::default(),
        hands(&place, &settings),
        scaffold,
        &mut screen,
    )
    .map_err(failed)?;
    let ended = runtime()?.block_on(runner.stop());
    let plan = runner.plan().clone();
    let count = ended.map_err(|error| {
        let right = format!(
            "campaignctl experiment stop {} once more",
            open.dir.display()
        );
        fail("not everything could be ended", &error.to_string(), &right)
    })?;
    told(&plan, count, shape)
}

fn told(plan: &Plan, count: usize, shape: Shape) -> Result<u8, Fail> {
    if shape.json {
        out::json(&json!({
            "version": 1, "experiment": plan.name, "ended": count,
            "fine_tuning": plan.fine_tuning, "evaluation": plan.evaluation,
        }))?;
    } else if !shape.quiet {
        out::print(&match count {
            0 => "nothing ran\n".to_string(),
            1 => "1 job was ended\n".to_string(),
            count => format!("{count} jobs were ended\n"),
        })?;
    }
    Ok(0)
}

/// Asks the runner to go, and waits for it; what it launched goes on until it is ended here.
fn send_away(place: &Place) -> Result<(), Fail> {
    let deadline = Instant::now() + GOES_WITHIN;
    let mut asked = false;
    while let Some(who) = place.runner() {
        let dir = place.dir().display().to_string();
        let Some(who) = who else {
            thread::sleep(SOON);
            if Instant::now() > deadline {
                return Err(fail(
                    "somebody has the experiment",
                    &dir,
                    "end that process",
                ));
            }
            continue;
        };
        if !asked {
            // The runner of another machine has another boot's id, and no signal reaches it.
            asked = who.signal(Signal::TERM).map_err(failed)?;
        }
        if Instant::now() > deadline || (!asked && place.runner().is_some()) {
            let right = "end it where it runs, then stop once more";
            let said = format!("its runner, process {}, does not go", who.pid);
            return Err(fail(&said, &dir, right));
        }
        thread::sleep(SOON);
    }
    Ok(())
}
