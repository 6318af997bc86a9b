//! The verbs that change something. An answer means that it is durable.

use super::{
    args::Shape,
    fail::{Fail, TIMEOUT, USAGE},
    out,
    style::{seconds, thousands},
};
use crate::control::{
    api::{Accepted, ActRequest, CampaignView, StatusView, StopRequest, Stopping, SubmitRequest},
    client::{Client, Target},
};
use crate::machines::spec::{CampaignSpec, Parts};
use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

/// Between two looks at a campaign that is waited for.
const TICK: Duration = Duration::from_millis(200);

/// Asks on a terminal; elsewhere, and with `--yes`, the answer is yes.
fn sure(question: &str, yes: bool) -> bool {
    if yes || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return true;
    }
    out::prompt(&format!("{question} [y/N] "));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn tell(accepted: &Accepted, shape: Shape, text: &str) -> Result<u8, Fail> {
    if shape.json {
        out::json(accepted)?;
    } else if !shape.quiet {
        let uid = accepted
            .uid
            .map_or(String::new(), |uid| format!(", uid {uid}"));
        let entry = accepted
            .seq
            .map_or(String::new(), |seq| format!("  (entry {seq}{uid})"));
        out::line(&format!("{text}{entry}"))?;
    }
    Ok(0)
}

/// `submit FILE`.
pub async fn submit(
    client: &Client,
    shape: Shape,
    spec: CampaignSpec,
    parts: Parts,
) -> Result<u8, Fail> {
    let pilot = spec.criteria.pilot_target;
    let accepted: Accepted = client
        .post(
            &Target::new(&["campaigns"]),
            &SubmitRequest {
                spec,
                parts,
                amend: false,
            },
        )
        .await?;
    let text = match accepted.seq {
        Some(_) => format!(
            "{} submitted: {} pilot samples in 1 job, then the gate",
            accepted.id,
            thousands(pilot)
        ),
        None => accepted.what.clone(),
    };
    tell(&accepted, shape, &text)
}

/// A verb without an extra: approve, pause, resume, retry; or with one: reject, amend.
pub async fn act(
    client: &Client,
    shape: Shape,
    id: &str,
    verb: &str,
    request: &ActRequest,
) -> Result<u8, Fail> {
    let accepted: Accepted = client
        .post(&Target::new(&["campaigns", id, verb]), request)
        .await?;
    let text = format!("{} {}: {}", accepted.id, past(verb), accepted.what);
    tell(&accepted, shape, &text)
}

fn past(verb: &str) -> &str {
    match verb {
        "approve" => "approved",
        "reject" => "rejected",
        "amend" => "amended",
        "pause" => "paused",
        "resume" => "resumed",
        "retry" => "retried",
        "clean" => "cleaned",
        other => other,
    }
}

/// The campaign meant by a name, its beginning, or `-`.
pub async fn one(client: &Client, id: &str) -> Result<CampaignView, Fail> {
    let target = Target::new(&["status"]).query("id", id);
    let view: StatusView = client.get(&target).await?;
    let found = view.campaigns.into_iter().next();
    found.ok_or_else(|| Fail::usage("there is no campaign yet", "campaignctl submit FILE"))
}

fn samples(view: &CampaignView) -> u64 {
    view.phases
        .iter()
        .map(|phase| {
            if matches!(phase.phase.as_str(), "pilot" | "generate") {
                phase.done
            } else {
                0
            }
        })
        .sum()
}

/// `cancel [ID]`: asks, cancels, and waits until nothing of it runs.
pub async fn cancel(
    client: &Client,
    shape: Shape,
    id: &str,
    why: String,
    yes: bool,
) -> Result<u8, Fail> {
    let view = one(client, id).await?;
    let question = format!(
        "cancel {}: {} jobs end, {} samples stay on disk.",
        view.id,
        view.jobs.running,
        thousands(samples(&view))
    );
    if !sure(&question, yes) {
        return Ok(USAGE);
    }
    let began = Instant::now();
    let request = ActRequest {
        why,
        ..ActRequest::default()
    };
    let accepted: Accepted = client
        .post(&Target::new(&["campaigns", &view.id, "cancel"]), &request)
        .await?;
    let mut now = one(client, &view.id).await?;
    while now.jobs.running + now.jobs.waiting > 0 && began.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(TICK).await;
        now = one(client, &view.id).await?;
    }
    let took = seconds(began.elapsed().as_secs_f64());
    let text = format!(
        "{} cancelled: {} jobs ended in {took}, {} samples kept",
        view.id,
        view.jobs.running,
        thousands(samples(&now))
    );
    tell(&accepted, shape, &text)
}

/// `clean [ID]`: lists what goes, asks, removes.
pub async fn clean(client: &Client, shape: Shape, id: &str, yes: bool) -> Result<u8, Fail> {
    let view = one(client, id).await?;
    if !shape.json {
        out::note(&format!(
            "clean {} ({}): its record, its job directories and\n  {}",
            view.id, view.state, view.directory
        ));
    }
    if !sure("remove them for good?", yes) {
        return Ok(USAGE);
    }
    act(client, shape, &view.id, "clean", &ActRequest::default()).await
}

/// `stop`: the daemon ends; local jobs go on, to be adopted, or end to be started again.
pub async fn stop(client: &Client, shape: Shape, interrupt: bool, yes: bool) -> Result<u8, Fail> {
    if interrupt
        && !sure(
            "end all local jobs? their samples stay, and the next campaignd goes on",
            yes,
        )
    {
        return Ok(USAGE);
    }
    let answer: Stopping = client
        .post(&Target::new(&["stop"]), &StopRequest { interrupt })
        .await?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while client.socket().exists() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if client.socket().exists() {
        let mut fail = Fail::usage(
            "campaignd still ends",
            "campaignctl stop, again, or its log",
        );
        fail.0[0].exit_status = TIMEOUT;
        fail.0[0].kind = "timeout".into();
        return Err(fail);
    }
    if shape.json {
        out::json(&answer)?;
    } else if !shape.quiet {
        let jobs = if interrupt {
            "local jobs ended, to go on"
        } else {
            "local jobs go on, to be adopted"
        };
        out::line(&format!("campaignd stopped; {jobs}"))?;
    }
    Ok(0)
}

/// `wait [ID] [--for STATE] [--timeout 1h]`: ends with the campaign's status.
pub async fn wait(
    client: &Client,
    shape: Shape,
    id: &str,
    state: Option<&str>,
    timeout: Duration,
) -> Result<u8, Fail> {
    // A time that no clock reaches is no limit.
    let deadline = Instant::now().checked_add(timeout);
    loop {
        let view = one(client, id).await?;
        let status = match state {
            Some(state) if view.state == state => Some(0),
            Some(_) if view.ended_at.is_some() => view.exit_status,
            Some(_) => None,
            None => view.exit_status,
        };
        if let Some(status) = status {
            if shape.json {
                out::json(&view)?;
            } else if !shape.quiet {
                out::line(&format!("{} is {}", view.id, view.state))?;
            }
            return Ok(status);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let mut fail = Fail::usage(
                format!("{} is {} still", view.id, view.state),
                "campaignctl explain, or --timeout 2d",
            );
            fail.0[0].exit_status = TIMEOUT;
            fail.0[0].kind = "timeout".into();
            return Err(fail);
        }
        tokio::time::sleep(TICK).await;
    }
}
