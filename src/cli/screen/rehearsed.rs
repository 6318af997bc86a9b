//! What a rehearsed campaign came to: what was assumed first, then times, cycles, spending, and why it ended.

use super::{
    super::style::{rate, seconds, thousands},
    fit::{Row, labelled, table},
};
use crate::{
    machines::campaign::State,
    rehearsal::{Assumptions, Bowl, Objective, Overshoot, Rehearsed},
};
use std::collections::BTreeMap;

/// So many refused proposals are named; the rest is counted.
const NAMED: usize = 3;

/// The page of one rehearsal.
pub fn rehearsed(found: &Rehearsed, assumed: &Assumptions) -> String {
    let campaign = &found.tree.campaign;
    let name = &campaign.id;
    let mut text = format!("{name} rehearsed: nothing was started\n");
    text += &assumptions(assumed, found);
    text += &labelled("ended    ", &ending(found));
    let steps = found.phases.iter();
    let steps = steps.map(|one| format!("{} {}", one.stage, seconds(one.seconds)));
    text += &labelled("steps    ", &steps.collect::<Vec<_>>().join("   "));
    text += &jobs(found);
    if found.metric.is_some() && !found.cycles.is_empty() {
        text += &cycles(found);
    }
    let usd = if found.gpu_usd > 0.0 {
        format!(", {:.2} USD", found.gpu_usd)
    } else {
        String::new()
    };
    let all = format!(
        "{:.2} GPU hours{usd}, {}",
        found.gpu_hours,
        seconds(found.wall_seconds)
    );
    text += &labelled("spent    ", &all);
    for bound in &found.bounds {
        text += &labelled("         ", &spending(bound));
    }
    text += &refused(found);
    if found.asked.is_empty() {
        text += "asked    nobody\n";
    }
    for (at, asked) in found.asked.iter().enumerate() {
        text += &labelled(if at == 0 { "asked    " } else { "         " }, asked);
    }
    for violation in &found.violations {
        text += &labelled("FAULT    ", violation);
    }
    text
}

/// What was assumed, plainly.
fn assumptions(assumed: &Assumptions, found: &Rehearsed) -> String {
    let spec = &found.tree.campaign.spec;
    let mut all = vec![
        format!("seed {}", assumed.seed),
        format!("pilot quality {}", assumed.quality),
        format!("{} samples a task", rate(assumed.samples_per_second)),
        format!(
            "{} % of attempts fail by chance",
            (assumed.failures * 1e4).round() / 100.0
        ),
    ];
    let mut time = |asked: bool, what: &str, value: f64| {
        if asked {
            all.push(format!("{what} {}", seconds(value)));
        }
    };
    time(
        spec.execution.is_some(),
        "workflows",
        assumed.execute_seconds,
    );
    time(spec.curation.is_some(), "curation", assumed.curate_seconds);
    time(
        spec.training.is_some(),
        "a fine-tune",
        assumed.train_seconds,
    );
    time(
        spec.evaluation.is_some(),
        "evaluation of a cycle",
        assumed.evaluate_seconds,
    );
    let mut text = labelled("assumed  ", "not measured:");
    text += &labelled("         ", &all.join(", "));
    if let Some(metric) = &found.metric {
        text += &labelled("         ", &objective(&assumed.objective, metric));
    }
    let plan = spec.planning.as_ref();
    let goal = plan.and_then(|plan| plan.stop_when.as_ref());
    if let Some(goal) = goal.filter(|goal| Some(&goal.metric) != found.metric.as_ref()) {
        let has = found.tree.experiments.values();
        if !has
            .into_iter()
            .any(|one| one.metrics.contains_key(&goal.metric))
        {
            let line = format!(
                "stop_when: {} is not made up, so never reached",
                goal.metric
            );
            text += &labelled("         ", &line);
        }
    }
    let budget = spec.budget.as_ref();
    if budget.is_some_and(|budget| {
        budget.tokens.is_some() || (budget.usd.is_some() && budget.gpu_hour_usd.is_none())
    }) {
        text += "         what models cost is not rehearsed\n";
    }
    text
}

fn objective(objective: &Objective, metric: &str) -> String {
    let bowl = match objective {
        Objective::Table(rows) => {
            return format!(
                "{metric}: the nearest of {} results",
                thousands(rows.len() as u64)
            );
        }
        Objective::Analytic(bowl) => bowl,
    };
    let Bowl {
        best,
        noise,
        memory,
        diverges_above,
        ..
    } = bowl;
    let mut text = format!("{metric}: made up, a smooth bowl, {best} at best, noise {noise}");
    if let Some(share) = memory {
        text += &format!(", out of memory above {share} of its range");
    }
    if let Some(most) = diverges_above {
        text += &format!(", diverges above learning_rate {most}");
    }
    text
}

fn ending(found: &Rehearsed) -> String {
    let why = found.stopped.as_ref().map(|stopped| &stopped.text);
    let why = why.or(found.cause.as_ref());
    let waits = matches!(
        found.state,
        State::AwaitingApproval | State::AwaitingDecision
    );
    let after = seconds(found.wall_seconds);
    match why {
        _ if waits => format!(
            "{} after {after}: a person is asked (--approve: who says yes)",
            found.state
        ),
        Some(why) => format!("{} after {after}: {why}", found.state),
        None => format!("{} after {after}", found.state),
    }
}

fn counted(of: &BTreeMap<String, u64>) -> String {
    let all = of.iter().map(|(what, n)| format!("{what} {n}"));
    all.collect::<Vec<_>>().join("   ")
}

fn jobs(found: &Rehearsed) -> String {
    let mut text = labelled("jobs     ", &counted(&found.jobs));
    if !found.retried.is_empty() {
        text += &labelled("retried  ", &counted(&found.retried));
    }
    text
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.4}"))
}

fn cycles(found: &Rehearsed) -> String {
    let metric = found.metric.as_deref().unwrap_or_default();
    let cells = |cells: [String; 5]| Row {
        name: "       ".into(),
        cells: cells.into(),
    };
    let best = format!("best {metric}");
    let head = ["cycle", "runs", "failed", &best, "GPU hours"];
    let mut rows = vec![cells(head.map(String::from))];
    rows.extend(found.cycles.iter().map(|one| {
        cells([
            one.cycle.to_string(),
            one.runs.to_string(),
            one.failed.to_string(),
            number(one.best),
            format!("{:.2}", one.gpu_hours),
        ])
    }));
    table(&rows, ">>>>>").join("\n") + "\n"
}

fn spending(bound: &Overshoot) -> String {
    let amount = |value: f64| match bound.bound {
        "wall" => seconds(value),
        "jobs" => thousands(value as u64),
        "usd" => format!("{value:.2}"),
        _ => format!("{value:.2}"),
    };
    let mut text = format!(
        "budget.{}: {} of {}",
        bound.bound,
        amount(bound.used),
        amount(bound.most)
    );
    if let Some(after) = bound.reached_after {
        text += &format!(
            ", reached after {}; {} beyond it, {} of that was under way",
            seconds(after),
            amount(bound.beyond),
            amount(bound.in_flight.min(bound.beyond))
        );
    }
    text
}

fn refused(found: &Rehearsed) -> String {
    let count = found.refused.len();
    let mut text = String::new();
    for (at, one) in found.refused.iter().take(NAMED).enumerate() {
        text += &labelled(if at == 0 { "refused  " } else { "         " }, one);
    }
    if count > NAMED {
        text += &format!("         and {} more\n", count - NAMED);
    }
    text
}

/// The page of many rehearsals: shares of outcomes, and quantiles.
pub fn trials(all: &[Rehearsed], assumed: &Assumptions) -> String {
    let Some(first) = all.first() else {
        return String::new();
    };
    let name = &first.tree.campaign.id;
    let n = all.len();
    let mut text = format!(
        "{name} rehearsed {} times, seeds {} on: nothing was started\n",
        thousands(n as u64),
        assumed.seed
    );
    text += &assumptions(assumed, first);
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    for one in all {
        let by = one.stopped.as_ref();
        let by = by.map_or(String::new(), |stopped| format!(" by {}", stopped.by));
        *outcomes.entry(format!("{}{by}", one.state)).or_default() += 1;
    }
    let shares = outcomes
        .iter()
        .map(|(what, count)| format!("{what} {:.1} %", 100.0 * *count as f64 / n as f64));
    text += &labelled("ended    ", &shares.collect::<Vec<_>>().join("   "));
    text += &(table(&quantiles(all), ">>>").join("\n") + "\n");
    let faults: usize = all.iter().map(|one| one.violations.len()).sum();
    if faults > 0 {
        text += &format!("FAULT    {faults} launches broke a hard constraint\n");
    }
    text
}

fn quantiles(all: &[Rehearsed]) -> Vec<Row> {
    let row = |name: &str, cells: [String; 3]| Row {
        name: format!("         {name}"),
        cells: cells.into(),
    };
    let of = |value: &dyn Fn(&Rehearsed) -> Option<f64>, shown: &dyn Fn(f64) -> String| {
        let mut values: Vec<f64> = all.iter().filter_map(value).collect();
        values.sort_by(f64::total_cmp);
        [0.1, 0.5, 0.9].map(|share| quantile(&values, share).map_or("-".into(), shown))
    };
    let two = |value: f64| format!("{value:.2}");
    let mut rows = vec![
        row("", ["10 %", "50 %", "90 %"].map(String::from)),
        row("wall time", of(&|one| Some(one.wall_seconds), &seconds)),
        row("GPU hours", of(&|one| Some(one.gpu_hours), &two)),
    ];
    if all.iter().any(|one| one.gpu_usd > 0.0) {
        rows.push(row("USD of GPUs", of(&|one| Some(one.gpu_usd), &two)));
    }
    if let Some(metric) = all.first().and_then(|one| one.metric.as_ref()) {
        let shown = |value: f64| number(Some(value));
        rows.push(row(&format!("best {metric}"), of(&|one| one.best, &shown)));
    }
    rows
}

/// The smallest of sorted values that this share of them does not pass; none of no values.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied()
}
