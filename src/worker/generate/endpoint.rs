//! Many samples at once, by models: what waits for an answer keeps nobody else waiting.

use super::{Made, Shard, finish};
use crate::worker::Undone;
use crate::{
    artifacts::room::say,
    executor::job_dir::TaskRequest,
    llm::{Budget, Client, Endpoint, Ledger, Options, Prices, SecretSource, Slice},
    machines::spec::TierSpec,
    points::point,
    time::Timestamp,
    trajectory::{TrajectoryRecord, experience::Experience},
    worker::{
        agents::{Stop, endpoint::Models},
        generate::{file::Output, teller::Teller},
        supervisor,
    },
};
use futures_util::{StreamExt, future::ready, stream};
use std::{
    cell::Cell,
    fs, io,
    time::{Duration, SystemTime},
};

/// A question gives up before the deadline of its agent's state, so that a server which is away is not taken for an agent
/// that is slow.
const PATIENCE: Options = Options {
    attempts: 6,
    deadline: Duration::from_secs(480),
    backoff: Duration::from_secs(1),
    longest_backoff: Duration::from_secs(60),
    breaker_failures: 8,
    breaker_pause: Duration::from_secs(5),
};
/// Between two tries of a sample whose server is away.
const PAUSE: Duration = Duration::from_secs(5);

/// Threads that serve the connections; agents only wait.
const THREADS: usize = 2;

/// Makes what is missing of a shard by the models of the request.
pub(super) fn generate(
    shard: &Shard,
    task: &TaskRequest,
    experience: &[String],
) -> Result<Made, Undone> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let models = models(shard, task, &learned(experience)?)?;
    runtime.block_on(make_all(shard, &models))
}

/// What the phase before learned.
fn learned(files: &[String]) -> Result<Experience, String> {
    let mut all = Experience::default();
    for file in files {
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("{file}: {error}")),
        };
        let one: Experience =
            serde_json::from_slice(&text).map_err(|error| format!("{file}: {error}"))?;
        all.join(&one);
    }
    Ok(all)
}

fn models(shard: &Shard, task: &TaskRequest, experience: &Experience) -> Result<Models, Undone> {
    let agents = &shard.agents;
    let ledger = task
        .ledger
        .as_ref()
        .ok_or_else(|| "request.toml names no ledger".to_owned())?;
    let slice = Slice {
        max_usd: task.budget.as_ref().and_then(|budget| budget.usd),
        max_tokens: task.budget.as_ref().and_then(|budget| budget.tokens),
    };
    let ledger = Ledger::open(ledger.as_ref()).map_err(|error| error.to_string())?;
    // The slice bounds the whole ledger, whatever attempt wrote it.
    let budget = Budget::new(slice);
    budget.charge(ledger.spent().amount());
    let client = Client::new(ledger, budget, PATIENCE);
    let tiers = agents
        .tiers
        .iter()
        .map(|tier| endpoint(tier, agents.concurrency))
        .collect::<Result<Vec<Endpoint>, String>>()
        .map_err(Stop::Refused)?;
    Ok(Models::new(
        client,
        tiers,
        &agents.routing,
        agents.counterfactual,
        experience.clone(),
    ))
}

fn endpoint(tier: &TierSpec, in_flight: u32) -> Result<Endpoint, String> {
    let mut endpoint = Endpoint::new(tier.tier, &tier.url, &tier.model, tier.context_length);
    endpoint.prices = Prices {
        prompt: tier.prompt_price,
        cached: Some(tier.cached_price),
        completion: tier.completion_price,
    };
    endpoint.api_key = source(&tier.api_key)?;
    endpoint.max_in_flight = in_flight as usize;
    endpoint.check()?;
    Ok(endpoint)
}

fn source(text: &str) -> Result<SecretSource, String> {
    Ok(match text.split_once(':') {
        None if text.is_empty() => SecretSource::None,
        Some(("env", name)) => SecretSource::Env(name.into()),
        Some(("file", path)) => SecretSource::File(path.into()),
        Some(("credential", name)) => SecretSource::Credential(name.into()),
        // Not shown: it may be a key.
        _ => return Err("api_key is none of env:NAME, file:PATH, credential:NAME".into()),
    })
}

async fn make_all(shard: &Shard, models: &Models) -> Result<Made, Undone> {
    let settings = shard.settings();
    let mut output = Output::open(&shard.output)?;
    let mut told = Teller::new(shard)?;
    let mut made = output.found(shard.target);
    let open: Vec<u64> = shard
        .indexes()
        .filter(|index| !output.has(*index))
        .collect();
    let away = Cell::new(false);
    let one = async |index: u64| -> Result<TrajectoryRecord, Undone> {
        let clock = || Timestamp::from(SystemTime::now());
        loop {
            let sample = shard.sample(index)?;
            match supervisor::make(models, &settings, sample, clock).await {
                // A server that has answered before comes back; one that never did may not be there at all.
                Err(Stop::Unavailable(why)) if models.has_answered() => {
                    if !away.replace(true) {
                        say(&format!("{why}; waiting for it"));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                made => {
                    away.set(false);
                    return Ok(made?);
                }
            }
        }
    };
    let stopping = Cell::new(false);
    // Those under way go on: their answers are paid for.
    let feed = stream::iter(open).take_while(|_| ready(!stopping.get()));
    let all = feed.map(one);
    let mut all = std::pin::pin!(all.buffer_unordered(shard.agents.concurrency as usize));
    let mut stopped = None;
    while let Some(done) = all.next().await {
        match done {
            Ok(record) => {
                made.count(&record);
                output.append(&record)?;
                // An answer took seconds and money; a row takes neither.
                output.hand_over()?;
                point!("generate.appended");
                told.tell(&made, false);
            }
            // Begun again later, with the answers that the ledger has by then.
            Err(undone) => {
                stopping.set(true);
                stopped.get_or_insert(undone);
            }
        }
    }
    match stopped {
        Some(undone) => {
            output.sync()?;
            Err(undone)
        }
        None => {
            finish(shard, &mut output, &made)?;
            told.tell(&made, true);
            Ok(made)
        }
    }
}
