//! `campaignctl`: speaks to the daemon.

use super::{
    args::{Place, Shape, SpecFlags},
    budget, dataset, experiment, export,
    fail::{Fail, INTERRUPTED, USAGE},
    follow, look, out, review, scorecard, scripts, steer, trajectory,
};
use crate::{
    config::{Env, Settings},
    control::{api::ActRequest, client::Client},
    machines::{spec::Parts, table::tables},
    time::parse_duration,
};
use clap::{CommandFactory, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode, time::Duration};

const EXAMPLES: &str = "\
start   submit  approve  reject  amend  retry
look    status  list  watch  explain  verdict  scorecard  jobs  job  logs  events
steer   pause  resume  cancel  wait  clean
take    dataset  export  trajectory  review  feedback
learn   experiment
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

#[derive(Subcommand, Debug)]
enum Verb {
    /// Hand in a campaign; the same file again answers with the same id
    #[command(
        after_help = "Examples:\n  campaignctl submit alttp.toml\n  campaignctl submit alttp.toml --quality-threshold 0.8"
    )]
    Submit {
        /// The campaign file
        file: PathBuf,
        #[command(flatten)]
        flags: SpecFlags,
        /// Show what it means; change nothing
        #[arg(long)]
        dry_run: bool,
        /// "pilot" or "validate" alone
        #[arg(long, value_name = "PART")]
        only: Option<Only>,
        /// Straight to the full generation, on your word
        #[arg(long, conflicts_with = "only")]
        skip_pilot: bool,
    },
    /// Where campaigns are, and what waits for you
    #[command(after_help = "Examples:\n  campaignctl status\n  campaignctl status alttp --json")]
    Status {
        /// The campaign
        id: Option<String>,
    },
    /// All campaigns, ended ones too
    List {
        /// Only those in this state
        #[arg(long)]
        state: Option<String>,
        /// Only those handed in within this time, such as 7d
        #[arg(long, value_parser = parse_duration, value_name = "TIME")]
        since: Option<Duration>,
    },
    /// Follow changes, one line each
    Watch {
        /// The campaign
        id: Option<String>,
    },
    /// Why a campaign is where it is, and what it waits for
    Explain {
        /// The campaign
        id: Option<String>,
    },
    /// What the gate said: each check, what was required, observed, on how many samples
    Verdict {
        /// The campaign
        id: Option<String>,
    },
    /// What the campaign's models cost, by tier, and what is left
    Budget {
        /// The campaign
        id: Option<String>,
    },
    /// A line for each task of the jobs
    #[command(
        after_help = "Examples:\n  campaignctl jobs\n  campaignctl jobs alttp --state pending\n  campaignctl jobs --state failed --json"
    )]
    Jobs {
        /// The campaign
        id: Option<String>,
        /// Only those in a state
        #[arg(long, value_name = "S", value_parser = ["waiting", "pending", "running", "ending", "done", "failed", "lost", "cancelled"])]
        state: Option<String>,
    },
    /// One job: its directory, what it asked for and used, why it waits, its retries
    #[command(
        after_help = "Examples:\n  campaignctl job alttp-12\n  campaignctl job alttp-12 --json"
    )]
    Job {
        /// The job, such as alttp-12
        job: String,
    },
    /// What campaigns, workers and commands printed
    #[command(
        after_help = "Examples:\n  campaignctl logs alttp -f\n  campaignctl logs alttp --level orchestration"
    )]
    Logs {
        /// The campaign
        id: Option<String>,
        /// Go on as it grows
        #[arg(short, long)]
        follow: bool,
        /// orchestration (the campaign's own), worker (progress) or tool (the commands')
        #[arg(long, default_value = "tool", value_parser = ["orchestration", "worker", "tool"])]
        level: String,
    },
    /// The journal
    Events {
        /// The campaign
        id: Option<String>,
        /// Go on as it grows
        #[arg(short, long)]
        follow: bool,
    },
    /// Launch the full generation of a campaign that waits for it
    Approve {
        /// The campaign
        id: Option<String>,
    },
    /// Refuse the launch
    Reject {
        /// The campaign
        id: Option<String>,
        /// The reason, for the journal
        #[arg(long)]
        why: String,
    },
    /// Move the gate's bar and judge the same samples again, or change the budget
    #[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
    Amend {
        /// The campaign
        id: Option<String>,
        /// The new threshold, 0 to 1
        #[arg(long, value_name = "X", group = "what", conflicts_with_all = ["budget_usd", "budget_tokens"])]
        quality_threshold: Option<f64>,
        /// What the campaign's models may cost in all, USD
        #[arg(long, value_name = "USD", group = "what")]
        budget_usd: Option<f64>,
        /// Tokens that they may take in all
        #[arg(long, value_name = "N", group = "what")]
        budget_tokens: Option<u64>,
    },
    /// Start nothing new; what runs runs to its end
    Pause {
        /// The campaign
        id: Option<String>,
    },
    /// End a pause
    Resume {
        /// The campaign
        id: Option<String>,
    },
    /// End a campaign; its samples stay
    Cancel {
        /// The campaign
        id: Option<String>,
        /// The reason, for the journal
        #[arg(long, default_value = "")]
        why: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Go on with a failed campaign where it failed
    Retry {
        /// The campaign
        id: Option<String>,
    },
    /// Wait for a campaign's end, or a state; ends with its status
    Wait {
        /// The campaign
        id: Option<String>,
        /// The state to wait for
        #[arg(long = "for", value_name = "STATE")]
        state: Option<String>,
        /// At most this long
        #[arg(long, default_value = "1h", value_parser = parse_duration, value_name = "TIME")]
        timeout: Duration,
    },
    /// Remove an ended campaign and its files
    Clean {
        /// The campaign
        id: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// One trajectory to read, step by step, or one part of it
    #[command(
        after_help = "Examples:\n  campaignctl trajectory t-2a-17\n  campaignctl trajectory alttp/t-2a-17 --code > main.nf"
    )]
    Trajectory {
        /// Its id, where several campaigns have it behind CAMPAIGN/
        #[arg(value_name = "[CAMPAIGN/]ID")]
        id: String,
        #[command(flatten)]
        part: trajectory::Part,
    },
    /// Say what you think of a trajectory; the last word counts
    #[command(
        after_help = "Examples:\n  campaignctl feedback t-2a-17 positive\n  campaignctl feedback alttp/t-2a-17 negative --note \"wrong aligner\""
    )]
    Feedback {
        /// Its id, where several campaigns have it behind CAMPAIGN/
        #[arg(value_name = "[CAMPAIGN/]ID")]
        id: String,
        /// The word
        #[arg(value_parser = ["positive", "negative", "neutral"])]
        opinion: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Look at a random sample and judge it; the same command goes on where you stopped
    #[command(
        after_help = "Examples:\n  campaignctl review alttp --sample 40\n  campaignctl review alttp --sample 40 --seed 7 --json\n\nAnswers, from a terminal or one a line from stdin: p, n or = with or without a note\nbehind it, s to skip, c for the code, q to stop. --json gives the sample and asks nothing."
    )]
    Review {
        /// The campaign
        id: Option<String>,
        /// How many, 1 to 1000; a larger sample begins with the smaller one
        #[arg(long, value_name = "N")]
        sample: usize,
        /// Which sample
        #[arg(long, value_name = "S", default_value_t = 0)]
        seed: u64,
    },
    /// Take all trajectories, as an SQLite database or as JSON lines
    #[command(
        after_help = "Examples:\n  campaignctl export alttp --format sqlite --out alttp.db\n  campaignctl export alttp --format jsonl | jq .outcome"
    )]
    Export(export::ExportArgs),
    /// Take the data set, or a part of it, in a format that a trainer reads
    #[command(
        after_help = "Examples:\n  campaignctl dataset alttp --output alttp-set\n  campaignctl dataset alttp --name codegen --format template --model Qwen3-8B --output sft\n\nWithout --name and --format the files are taken as they are, and compared with their checksums.\nA format keeps the id and the columns that all data sets share. Rows that it cannot say are\ncounted and left out: alpaca has one question and one answer, dpo needs a rejected answer.\n\nExit statuses: 0 done, 1 no room, 2 usage, no such part, no data set yet, 7 no daemon answers"
    )]
    Dataset(dataset::DatasetArgs),
    /// Every success metric: target, what was seen, on how much, how surely
    #[command(
        after_help = "Examples:\n  campaignctl scorecard alttp\n  campaignctl scorecard alttp --json | jq '.metrics[] | select(.standing != \"met\")'"
    )]
    Scorecard {
        /// The campaign
        id: Option<String>,
    },
    /// Several runs as one question: design, scaffold, analyze; needs no daemon
    #[command(subcommand, disable_help_subcommand = true)]
    Experiment(experiment::Step),
    /// A state machine: campaign, job, training_run or trajectory
    Machine {
        /// Which
        #[arg(default_value = "campaign", value_parser = ["campaign", "job", "training_run", "trajectory"])]
        name: String,
        /// text, dot (Graphviz) or mermaid
        #[arg(long, default_value = "text", value_parser = ["text", "dot", "mermaid"])]
        format: String,
    },
    /// End the daemon; local jobs go on, to be adopted
    Stop {
        /// End local jobs too; the next campaignd starts them again where they were
        #[arg(long)]
        cancel_jobs: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// A part of a campaign.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// The pilot.
    Pilot,
    /// The gate.
    Validate,
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
        Verb::Experiment(step) => return experiment::run(step, shape),
        Verb::Completions { shell } => return out::completions(*shell, Ctl::command()),
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
        Verb::Explain { id: word } => look::explain(&client, shape, &id(&word)).await,
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
        Verb::Approve { id: word } => act(id(&word), "approve", ActRequest::default()).await,
        Verb::Reject { id: word, why } => {
            act(
                id(&word),
                "reject",
                ActRequest {
                    why,
                    ..ActRequest::default()
                },
            )
            .await
        }
        Verb::Amend {
            id: word,
            quality_threshold,
            budget_usd,
            budget_tokens,
        } => {
            let request = ActRequest {
                quality_threshold,
                budget_usd,
                budget_tokens,
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
