//! `campaignctl`: speaks to the daemon.

mod verbs;

use super::{
    args::{Place, Shape},
    budget, constraints, dataset, experiment, export,
    fail::{Fail, INTERRUPTED, USAGE},
    follow, history, look, out, proposals, review, scorecard, scripts, steer, trajectory,
};
use crate::{
    config::{Env, Settings},
    control::{api::ActRequest, client::Client},
    machines::{spec::Parts, table::tables},
};
use clap::{CommandFactory, Parser};
use std::process::ExitCode;
pub use verbs::Only;
use verbs::Verb;

const EXAMPLES: &str = "\
start   submit  approve  reject  amend  retry
look    status  list  watch  explain  verdict  scorecard  jobs  job  logs  events
steer   pause  resume  cancel  wait  clean
take    dataset  export  trajectory  review  feedback
learn   proposals  propose  history  constraints  experiment
daemon  stop  machine  completions

ID is a campaign's name, its beginning, or nothing when there is only one.

Examples:
  campaignctl submit alttp.toml && campaignctl wait alttp --timeout 2d
  campaignctl status --json

Exit statuses: 0 done, 2 usage or wrong state, 3 rejected, 4 failed, 5 cancelled,
6 awaiting approval, 7 no daemon answers, 8 not allowed, 124 timeout, 130 interrupted";

/// Speaks to campaignd: hands in campaigns, looks at them, steers them.
#[derive(Parser, Debug)]
#[command(name = "campaignctl", version, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Ctl {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    shape: Shape,
    #[command(subcommand)]
    verb: Verb,
}

/// What the flags ask for.
pub fn parts(only: Option<Only>, skip_pilot: bool) -> Parts {
    match (only, skip_pilot) {
        (_, true) => Parts::SkipPilot,
        (Some(Only::Pilot), _) => Parts::OnlyPilot,
        (Some(Only::Validate), _) => Parts::OnlyValidate,
        _ => Parts::Whole,
    }
}

/// The program.
pub fn campaignctl() -> ExitCode {
    let ctl = match out::parse::<Ctl>() {
        Ok(ctl) => ctl,
        Err(status) => return status,
    };
    let json = ctl.shape.json;
    match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => match runtime.block_on(interruptible(ctl)) {
            Ok(status) => ExitCode::from(status),
            Err(fail) => fail.tell(json),
        },
        Err(error) => {
            Fail::usage(format!("no runtime: {error}"), "more memory or threads").tell(json)
        }
    }
}

async fn interruptible(ctl: Ctl) -> Result<u8, Fail> {
    tokio::select! {
        done = run(ctl) => done,
        _ = tokio::signal::ctrl_c() => Ok(INTERRUPTED),
    }
}

async fn run(ctl: Ctl) -> Result<u8, Fail> {
    let shape = ctl.shape;
    match &ctl.verb {
        Verb::Machine { name, format } => return machine(name, format),
        Verb::Experiment(step) => return experiment::from_client(step, shape),
        Verb::Completions { shell } => return out::completions(*shell, Ctl::command()),
        Verb::History(args) if args.file.is_some() => return history::of_file(shape, args),
        _ => {}
    }
    let env = Env::capture();
    let settings = Settings::load(None)?;
    let socket = ctl.place.socket_to_ask(&env, &settings)?;
    let client = Client::new(socket);
    let id = |id: &Option<String>| id.clone().unwrap_or_else(|| "-".into());
    let act = |word: String, verb: &'static str, request: ActRequest| {
        let client = client.clone();
        async move { steer::act(&client, shape, &word, verb, &request).await }
    };
    match ctl.verb {
        Verb::Submit {
            file,
            flags,
            dry_run,
            only,
            skip_pilot,
        } => {
            let spec = flags.read(Some(&file), &env, &settings)?;
            let parts = parts(only, skip_pilot);
            if dry_run {
                return scripts::rehearse(&client, &file, &spec, parts, shape).await;
            }
            steer::submit(&client, shape, spec, parts).await
        }
        Verb::Status { id } => look::status(&client, shape, id.as_deref()).await,
        Verb::List { state, since } => look::list(&client, shape, state.as_deref(), since).await,
        Verb::Watch { id } => follow::events(&client, shape, id.as_deref(), false, true).await,
        Verb::Explain {
            id: Some(word),
            which: Some(which),
        } if word == "proposal" => proposals::explain(&client, shape, &which).await,
        Verb::Explain {
            which: Some(word), ..
        } => Err(Fail::usage(
            format!("nothing can be explained about {word}"),
            "explain ID, or: explain proposal ID/P",
        )),
        Verb::Explain { id: word, .. } => look::explain(&client, shape, &id(&word)).await,
        Verb::Proposals { id: word } => proposals::list(&client, shape, &id(&word)).await,
        Verb::Propose { id, values, why } => {
            proposals::propose(&client, shape, &id, &values, why).await
        }
        Verb::Verdict { id: word } => look::verdict(&client, shape, &id(&word)).await,
        Verb::Budget { id: word } => budget::budget(&client, shape, &id(&word)).await,
        Verb::Jobs { id, state } => {
            look::jobs(&client, shape, id.as_deref(), state.as_deref()).await
        }
        Verb::Job { job } => look::job(&client, shape, &job).await,
        Verb::Logs {
            id: word,
            follow,
            level,
        } => follow::logs(&client, shape, &id(&word), &level, follow).await,
        Verb::Events { id, follow } => {
            follow::events(&client, shape, id.as_deref(), true, follow).await
        }
        Verb::Approve {
            id: word,
            proposals,
        } => {
            let request = ActRequest {
                proposals,
                ..ActRequest::default()
            };
            act(id(&word), "approve", request).await
        }
        Verb::Reject {
            id: word,
            proposals,
            why,
        } => {
            let request = ActRequest {
                why,
                proposals,
                ..ActRequest::default()
            };
            act(id(&word), "reject", request).await
        }
        Verb::Amend {
            id: word,
            quality_threshold,
            budget_usd,
            budget_tokens,
            budget_gpu_hours,
            budget_wall,
            budget_jobs,
        } => {
            let request = ActRequest {
                quality_threshold,
                budget_usd,
                budget_tokens,
                budget_gpu_hours,
                budget_wall_seconds: budget_wall.map(|wall| wall.as_secs()),
                budget_jobs,
                ..ActRequest::default()
            };
            act(id(&word), "amend", request).await
        }
        Verb::Pause { id: word } => act(id(&word), "pause", ActRequest::default()).await,
        Verb::Resume { id: word } => act(id(&word), "resume", ActRequest::default()).await,
        Verb::Retry { id: word } => act(id(&word), "retry", ActRequest::default()).await,
        Verb::Cancel { id: word, why, yes } => {
            steer::cancel(&client, shape, &id(&word), why, yes).await
        }
        Verb::Wait {
            id: word,
            state,
            timeout,
        } => steer::wait(&client, shape, &id(&word), state.as_deref(), timeout).await,
        Verb::Clean { id: word, yes } => steer::clean(&client, shape, &id(&word), yes).await,
        Verb::Stop { cancel_jobs, yes } => steer::stop(&client, shape, cancel_jobs, yes).await,
        Verb::Trajectory { id, part } => trajectory::trajectory(&client, shape, &id, part).await,
        Verb::Feedback { id, opinion, note } => {
            trajectory::feedback(&client, shape, &id, opinion, note).await
        }
        Verb::Review {
            id: word,
            sample,
            seed,
        } => review::review(&client, shape, &id(&word), sample, seed).await,
        Verb::Scorecard { id: word } => scorecard::scorecard(&client, shape, &id(&word)).await,
        Verb::History(args) => history::history(&client, shape, &args).await,
        Verb::Constraints(args) => constraints::constraints(&client, shape, &args).await,
        Verb::Dataset(args) => dataset::dataset(&client, shape, &args).await,
        Verb::Export(args) => export::export(&client, shape, &args).await,
        Verb::Machine { .. } | Verb::Completions { .. } | Verb::Experiment(_) => Ok(0),
    }
}

/// Needs no daemon: the tables are compiled in.
fn machine(name: &str, format: &str) -> Result<u8, Fail> {
    let Some(table) = tables().named(name) else {
        return Ok(USAGE);
    };
    let text = match format {
        "dot" => table.dot(),
        "mermaid" => table.mermaid(),
        _ => table.text(),
    };
    out::print(&text)?;
    Ok(0)
}
