//! `campaignd run`: a daemon, a campaign and someone who watches it, in the foreground.

use super::{
    args::{Place, Shape, SpecFlags},
    ctl::{Only, parts},
    fail::{Fail, INTERRUPTED},
    now, out, screen, serve,
    style::{Style, ago, thousands},
};
use crate::{
    config::{Env, Settings},
    control::{
        api::{Accepted, ActRequest, CampaignView, ListView, StatusView, SubmitRequest, VERSION},
        client::{Client, Target},
    },
    daemon::{self, Daemon, Stop, signals},
    machines::spec::{CampaignSpec, Parts},
};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Between two looks.
const TICK: Duration = Duration::from_millis(100);
/// Without a terminal, progress is told at most this often.
const TOLD: Duration = Duration::from_secs(5);

/// The flags of `run`.
#[derive(clap::Args, Clone, Debug)]
pub struct RunArgs {
    /// The campaign file; without one, the quickstart
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub flags: SpecFlags,
    /// "pilot" or "validate" alone
    #[arg(long, value_name = "PART")]
    pub only: Option<Only>,
    /// Straight to the full generation, on your word
    #[arg(long, conflicts_with = "only")]
    pub skip_pilot: bool,
    /// Answer yes where a launch waits for approval
    #[arg(long)]
    pub approve: bool,
    /// Another campaign beside a finished one: NAME-2, NAME-3 ...
    #[arg(long)]
    pub new: bool,
}

/// Runs one campaign to its end; gives its exit status.
pub fn run(args: RunArgs, place: &Place, shape: Shape) -> Result<u8, Fail> {
    let env = Env::capture();
    let settings = Settings::load(None)?;
    let spec = args.flags.read(args.file.as_deref(), &env, &settings)?;
    let (state_dir, socket) = place.resolve(&env, &settings)?;
    let options = serve::options(&settings, &state_dir, &socket)?;
    let daemon = Daemon::open(daemon::take(&state_dir)?, options)?;
    let (report, result) = mpsc::channel();
    let parts = parts(args.only, args.skip_pilot);
    let status = daemon.run(move |remote| {
        let stop = remote.stop.clone();
        if let Err(error) = signals::listen(remote, Stop::Interrupt) {
            tracing::warn!("signals are not heard: {error}");
        }
        thread::spawn(move || {
            let followed = attend(&socket, spec, parts, &args, shape);
            // The main thread waits for this.
            let _ = report.send(followed);
            let _ = stop.send(Stop::Leave);
        });
    });
    // The follower loses its daemon when a signal ended that first.
    match result.recv_timeout(Duration::from_secs(5)) {
        Ok(Ok(Some(view))) => finish(&view, shape),
        Ok(Err(fail)) if fail.0.first().is_none_or(|error| error.kind != "no_daemon") => Err(fail),
        _ if status != 0 => Ok(u8::try_from(status).unwrap_or(1)),
        _ => {
            out::note("interrupted; everything is saved; the same command continues");
            Ok(INTERRUPTED)
        }
    }
}

fn finish(view: &CampaignView, shape: Shape) -> Result<u8, Fail> {
    if shape.json {
        out::json(&serde_json::json!({ "version": VERSION, "campaign": view }))?;
    } else if !shape.quiet {
        let style = Style::of(&std::io::stdout(), shape.color);
        out::print(&screen::summary(view, style))?;
    }
    Ok(view.exit_status.unwrap_or(1))
}

fn attend(
    socket: &Path,
    spec: CampaignSpec,
    parts: Parts,
    args: &RunArgs,
    shape: Shape,
) -> Result<Option<CampaignView>, Fail> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime
        .map_err(|error| Fail::usage(format!("no runtime: {error}"), "more memory or threads"))?;
    runtime.block_on(follow(&Client::new(socket), spec, parts, args, shape))
}

async fn follow(
    client: &Client,
    mut spec: CampaignSpec,
    parts: Parts,
    args: &RunArgs,
    shape: Shape,
) -> Result<Option<CampaignView>, Fail> {
    if args.new {
        rename(client, &mut spec).await?;
    }
    let id = spec.name.to_string();
    let accepted: Accepted = client
        .post(
            &Target::new(&["campaigns"]),
            &SubmitRequest {
                spec,
                parts,
                amend: true,
            },
        )
        .await?;
    if let (None, Some(view)) = (accepted.seq, &accepted.campaign)
        && view.ended_at.is_some()
    {
        let ago = ago(view.ended_at.as_deref(), now());
        out::note(&format!(
            "{id} is already {} ({ago} ago); start another: --new",
            view.state
        ));
        return Ok(accepted.campaign);
    }
    let mut block = Block::new(shape);
    loop {
        let status: StatusView = client
            .get(&Target::new(&["status"]).query("id", &id))
            .await?;
        let Some(view) = status.campaigns.into_iter().next() else {
            return Ok(None);
        };
        block.show(&view);
        if view.exit_status == Some(6) && approve(client, &view, args.approve).await? {
            continue;
        }
        if view.exit_status.is_some() && view.jobs.running == 0 {
            block.end(&view);
            return Ok(Some(view));
        }
        tokio::time::sleep(TICK).await;
    }
}

/// The first free NAME-2, NAME-3 ...
async fn rename(client: &Client, spec: &mut CampaignSpec) -> Result<(), Fail> {
    let all: ListView = client.get(&Target::new(&["campaigns"])).await?;
    let taken = |name: &str| all.campaigns.iter().any(|view| view.id == name);
    let base = spec.name.to_string();
    let free = (2..)
        .map(|n| format!("{base}-{n}"))
        .find(|name| !taken(name))
        .filter(|_| taken(&base));
    if let Some(free) = free {
        spec.name = free
            .parse()
            .map_err(|error: String| Fail::usage(error, "--name NAME"))?;
    }
    Ok(())
}

/// A launch that waits: `--approve`, or a question on a terminal. Whether it was answered.
async fn approve(client: &Client, view: &CampaignView, yes: bool) -> Result<bool, Fail> {
    let verb = if yes {
        "approve"
    } else if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        out::prompt(&format!(
            "launch the generation of {} samples?  [y]es  [r]eject  [l]ater ",
            thousands(view.campaign_target)
        ));
        let mut answer = String::new();
        let _ = std::io::stdin().read_line(&mut answer);
        match answer.trim() {
            "y" | "yes" => "approve",
            "r" | "reject" => "reject",
            _ => return Ok(false),
        }
    } else {
        out::note("waiting for approval: campaignd run --approve");
        return Ok(false);
    };
    let request = ActRequest {
        why: "refused at the prompt".into(),
        ..ActRequest::default()
    };
    let _: Accepted = client
        .post(&Target::new(&["campaigns", &view.id, verb]), &request)
        .await?;
    Ok(true)
}

/// What is seen meanwhile: a block redrawn in place on a terminal, else a line a change.
struct Block {
    style: Style,
    bars: Option<(MultiProgress, ProgressBar)>,
    quiet: bool,
    state: String,
    told: Instant,
    done: u64,
}

impl Block {
    fn new(shape: Shape) -> Self {
        let terminal = std::io::stderr().is_terminal() && !shape.quiet;
        let bars = terminal.then(|| {
            let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            (bars, bar)
        });
        let style = Style::of(&std::io::stderr(), shape.color);
        Self {
            style,
            bars,
            quiet: shape.quiet,
            state: String::new(),
            told: Instant::now(),
            done: 0,
        }
    }

    fn show(&mut self, view: &CampaignView) {
        if let Some((_, bar)) = &self.bars {
            bar.set_message(screen::block(view, self.style, now()));
            bar.tick();
            return;
        }
        if self.quiet {
            return;
        }
        let done = view.progress.as_ref().map_or(0, |progress| progress.done);
        let changed = view.state != self.state;
        let moved = done != self.done && self.told.elapsed() >= TOLD;
        if changed || moved || self.told.elapsed() >= Duration::from_secs(60) {
            out::note(&screen::progress(view, now()));
            self.state.clone_from(&view.state);
            self.told = Instant::now();
            self.done = done;
        }
    }

    /// The block stays, with each step's time.
    fn end(&self, view: &CampaignView) {
        if let Some((_, bar)) = &self.bars {
            bar.finish_with_message(screen::last_block(view, self.style));
        }
    }
}
