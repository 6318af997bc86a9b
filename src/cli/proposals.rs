//! `proposals`, `propose` and `explain proposal`: what is to be tried, why, and what came of it.

use super::{args::Shape, fail::Fail, out, style::Style};
use crate::{
    control::{
        api::Accepted,
        client::{Client, Target},
        proposals::{PlanView, ProposalView, ProposalsView, ProposeRequest, TriedView},
    },
    machines::plan::shown,
    parameters::{Assignment, Value},
};

async fn get(client: &Client, id: &str) -> Result<ProposalsView, Fail> {
    let target = Target::new(&["campaigns", id, "proposals"]);
    Ok(client.get(&target).await?)
}

/// `proposals ID`.
pub async fn list(client: &Client, shape: Shape, id: &str) -> Result<u8, Fail> {
    let view = get(client, id).await?;
    if shape.json {
        out::json(&view)?;
    } else {
        let style = Style::of(&std::io::stdout(), shape.color);
        out::print(&screen(&view, style))?;
    }
    Ok(0)
}

/// `explain proposal P`, where P is `alttp/p4`, or `p4` of the only campaign.
pub async fn explain(client: &Client, shape: Shape, which: &str) -> Result<u8, Fail> {
    let (campaign, proposal) = which.rsplit_once('/').unwrap_or(("-", which));
    let view = get(client, campaign).await?;
    let known: Vec<&str> = view.proposals.iter().map(|one| one.id.as_str()).collect();
    let found = view.proposals.iter().find(|one| one.id == proposal);
    let found = found.ok_or_else(|| {
        let right = match known.as_slice() {
            [] => format!("{} has none yet", view.campaign),
            known => known.join(", "),
        };
        Fail::usage(
            format!("{} has no proposal {proposal}", view.campaign),
            right,
        )
    })?;
    if shape.json {
        out::json(found)?;
    } else {
        out::print(&page(&view, found))?;
    }
    Ok(0)
}

/// `propose ID r=32 learning_rate=2e-4`.
pub async fn propose(
    client: &Client,
    shape: Shape,
    id: &str,
    values: &[String],
    why: String,
) -> Result<u8, Fail> {
    let values = assignment(values)?;
    let target = Target::new(&["campaigns", id, "proposals"]);
    let accepted: Accepted = client
        .post(&target, &ProposeRequest { values, why })
        .await?;
    if shape.json {
        out::json(&accepted)?;
    } else if !shape.quiet {
        out::line(&format!("{}: {}", accepted.id, accepted.what))?;
    }
    Ok(0)
}

fn assignment(words: &[String]) -> Result<Assignment, Fail> {
    let one = |word: &String| {
        let (name, value) = word.split_once('=')?;
        let value: Value = value.parse().ok()?;
        (!name.is_empty()).then(|| (name.to_string(), value))
    };
    words
        .iter()
        .map(|word| {
            one(word).ok_or_else(|| {
                Fail::usage(
                    format!("\"{word}\" sets nothing"),
                    "NAME=VALUE, such as r=32",
                )
            })
        })
        .collect()
}

fn number(value: f64) -> String {
    format!("{value:.4}")
}

/// Where the cycles of a campaign are, in a line.
pub fn learned(plan: &PlanView) -> String {
    let mut text = format!("cycle {} of {}", plan.cycle, plan.cycles);
    if let (Some(best), Some(by)) = (plan.best, &plan.best_experiment) {
        text += &format!("; best {} {} by {by}", plan.metric, number(best));
    }
    // What waits when it has stopped waits for nothing.
    if !plan.waiting.is_empty() && plan.stopped.is_none() {
        text += &format!("; {} wait for you", plan.waiting.join(", "));
    }
    match &plan.stopped {
        Some(stopped) => text + &format!("; {stopped}"),
        None => text,
    }
}

/// What the cycle under way tries: a line each, with what came of it beside the baseline.
pub fn tried(plan: &PlanView) -> Vec<String> {
    let one = |tried: &TriedView| {
        let mut text = format!("{} {}", tried.id, shown(&tried.values));
        if let Some(expected) = &tried.prediction {
            text += &format!(
                ", expected {} ± {}",
                number(expected.mean),
                number(expected.sd)
            );
        }
        let Some(result) = &tried.result else {
            return text;
        };
        text += &match (result.value, plan.baseline) {
            (Some(value), Some(baseline)) => format!(
                ": {} {}, {:+.4} to the baseline",
                plan.metric,
                number(value),
                value - baseline
            ),
            (Some(value), None) => format!(": {} {}", plan.metric, number(value)),
            (None, _) => format!(": {}", result.status),
        };
        match &result.failure {
            Some(why) => text + ": " + why,
            None => text,
        }
    };
    plan.tried.iter().map(one).collect()
}

fn screen(view: &ProposalsView, style: Style) -> String {
    let mut text = style.word(&view.campaign).to_string();
    text += "  ";
    text += &match &view.plan {
        None => "plans nothing: its file has no [planning]".to_string(),
        Some(plan) => learned(plan),
    };
    text.push('\n');
    if !view.proposals.is_empty() {
        text += &format!(
            "  {:<5} {:>5}  {:<8} {:<6} {:>17} {:>9}  WHAT\n",
            "ID", "CYCLE", "STATE", "RISK", "EXPECTED", "RESULT"
        );
    }
    for one in &view.proposals {
        text += &row(one);
    }
    let waiting = view.plan.as_ref().map_or(&[][..], |plan| &plan.waiting);
    if !waiting.is_empty() {
        let (id, all) = (&view.campaign, waiting.join(" "));
        text += &format!("  you    campaignctl approve {id} {all} | reject {id} {all} --why W\n");
    }
    text
}

fn row(one: &ProposalView) -> String {
    let expected = one.prediction.as_ref().map_or("-".into(), |expected| {
        format!("{} ± {}", number(expected.mean), number(expected.sd))
    });
    let result = one.result.as_ref().map_or("-".into(), |result| {
        result.value.map_or(result.status.clone(), number)
    });
    let cycle = one.cycle.map_or("-".into(), |cycle| cycle.to_string());
    format!(
        "  {:<5} {cycle:>5}  {:<8} {:<6} {expected:>17} {result:>9}  {}\n",
        one.id,
        one.state,
        one.risk,
        shown(&one.values)
    )
}

fn page(view: &ProposalsView, one: &ProposalView) -> String {
    let mut text = format!(
        "{} of {} is {}: {}\n",
        one.id,
        view.campaign,
        one.state,
        shown(&one.values)
    );
    text += &format!("why    {}: {}\n", one.kind, one.why);
    match &one.prediction {
        Some(expected) => {
            let (mean, sd) = (number(expected.mean), number(expected.sd));
            let best = view
                .plan
                .as_ref()
                .and_then(|plan| plan.best)
                .map_or(String::new(), |best| {
                    format!("; the best so far is {}", number(best))
                });
            text += &format!("think  {} {mean} ± {sd}{best}\n", expected.metric);
        }
        None => text += "think  nothing is expected: there were too few results to expect from\n",
    }
    text += &format!("  {:<15} {:<7} REASON\n", "CHECK", "PASSED");
    for check in &one.checks {
        let passed = if check.passed { "yes" } else { "no" };
        text += &format!("  {:<15} {passed:<7} {}\n", check.name, check.reason);
    }
    let risks = one.risks.join("; ");
    text += &format!(
        "risk   {}{}{risks}\n",
        one.risk,
        if risks.is_empty() { "" } else { ": " }
    );
    if !one.decided_by.is_empty() {
        let at = one.decided_at.as_deref().unwrap_or("-");
        text += &format!("by     {} at {at}\n", one.decided_by);
    }
    if !one.evidence.is_empty() {
        text += &format!(
            "rests  on {} experiments: {}\n",
            one.evidence.len(),
            one.evidence.join(", ")
        );
    }
    match &one.result {
        Some(result) => {
            let what = result
                .value
                .map_or(String::new(), |value| format!(" {}", number(value)));
            let failure = result
                .failure
                .as_deref()
                .map_or(String::new(), |why| format!(": {why}"));
            text += &format!(
                "came   {} {}{what}{failure}\n",
                result.experiment, result.status
            );
        }
        None if one.state == "waiting" => {
            let (id, campaign) = (&one.id, &view.campaign);
            text += &format!(
                "you    campaignctl approve {campaign} {id} | reject {campaign} {id} --why W\n"
            );
        }
        None => {}
    }
    text
}
