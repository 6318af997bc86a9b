//! The screens: a view in, text out. 80 columns, few words, what needs a person last.

use super::style::{Style, ago, rate, seconds, thousands};
use crate::control::api::{
    CampaignView, EventView, ExplainView, JobView, PhaseView, StatusView, VerdictView,
};

/// Width of a bar.
const BAR: usize = 16;

fn of(done: u64, total: u64) -> String {
    format!("{} / {}", thousands(done), thousands(total))
}

fn percent(view: &CampaignView) -> String {
    match &view.progress {
        Some(progress) if progress.total > 0 => format!(
            "  {} %",
            100 * progress.done.min(progress.total) / progress.total
        ),
        _ => String::new(),
    }
}

/// What a step shows beside its name and status.
fn detail(view: &CampaignView, phase: &PhaseView, style: Style, bar: bool) -> String {
    if phase.phase == "gate" {
        return view.verdict.as_ref().map_or(String::new(), |verdict| {
            let word = style.word(&verdict.decision);
            format!("{word}  {}", bounds(view))
        });
    }
    let mut text = String::new();
    if phase.total > 0 {
        if bar {
            text += &format!("{}  ", style.bar(phase.done, phase.total, BAR));
        }
        text += &format!("{:>17}", of(phase.done, phase.total));
    }
    if let Some(quality) = phase.quality {
        text += &format!("   quality {quality:.3}");
    }
    if phase.status == "now"
        && let Some(progress) = &view.progress
    {
        if let Some(speed) = progress.rate_per_second {
            text += &format!("   {}", rate(speed));
        }
        if let Some(left) = progress.left_seconds {
            text += &format!("  {} left", seconds(left));
        }
    }
    text
}

/// `0.850 to 0.886 on 190, 0.75 needed`.
fn bounds(view: &CampaignView) -> String {
    let Some(verdict) = &view.verdict else {
        return String::new();
    };
    let quality = verdict.checks.iter().find(|check| check.check == "quality");
    let observed = quality.map_or(String::new(), |check| {
        match (check.low, check.high, check.observed) {
            (Some(low), Some(high), _) => format!("{low:.3} to {high:.3}"),
            (_, _, Some(mean)) => format!("{mean:.3}"),
            _ => "nothing seen".into(),
        }
    });
    format!(
        "{observed} on {}, {} needed",
        verdict.n, view.quality_threshold
    )
}

/// The steps, a line each; those to come on one.
pub fn steps(view: &CampaignView, style: Style, bar: bool) -> String {
    let mut text = String::new();
    for phase in view.phases.iter().filter(|phase| phase.status != "then") {
        let took = phase
            .duration_seconds
            .filter(|_| phase.status != "now")
            .map(seconds)
            .unwrap_or_default();
        // Padded before it is coloured: escapes have no width.
        let pad = " ".repeat(6_usize.saturating_sub(phase.status.len()));
        let line = format!(
            "  {:<9} {}{pad}{}",
            phase.phase,
            style.word(&phase.status),
            detail(view, phase, style, bar)
        );
        text += &format!("{}   {took}", line.trim_end());
        text = text.trim_end().to_string() + "\n";
    }
    let then: Vec<&str> = view
        .phases
        .iter()
        .filter(|phase| phase.status == "then")
        .map(|phase| phase.phase.as_str())
        .collect();
    if !then.is_empty() && view.ended_at.is_none() {
        text += &format!("  {:<9} {}\n", "then", then.join(", "));
    }
    text
}

/// `8 running, 0 waiting, 0 failed`.
fn jobs_line(view: &CampaignView) -> String {
    let jobs = &view.jobs;
    let mut text = format!(
        "{} running, {} waiting, {} done, {} failed",
        jobs.running, jobs.waiting, jobs.done, jobs.failed
    );
    if jobs.lost > 0 {
        text += &format!(", {} lost", jobs.lost);
    }
    if jobs.retried > 0 {
        text += &format!(", {} retried", jobs.retried);
    }
    text
}

fn for_you(view: &CampaignView) -> String {
    if view.needs.is_empty() {
        return "nothing to do".into();
    }
    let verbs: Vec<String> = view
        .needs
        .iter()
        .map(|verb| format!("campaignctl {verb} {}", view.id))
        .collect();
    verbs.join("   or: ")
}

/// One campaign's page.
pub fn page(view: &CampaignView, style: Style) -> String {
    let paused = if view.paused { "  paused" } else { "" };
    let began = ago(Some(&view.created_at));
    let mut text = format!(
        "{}  {}{}{paused}   started {began} ago\n",
        view.id,
        style.word(&view.state),
        percent(view)
    );
    text += &steps(view, style, false);
    text += &format!("  {:<9} {}\n", "jobs", jobs_line(view));
    if let Some(dataset) = &view.dataset {
        text += &format!(
            "  {:<9} {} rows of {}\n",
            "data set",
            thousands(dataset.rows),
            thousands(dataset.rows_in)
        );
    }
    if let Some(cause) = &view.cause {
        text += &format!("  {:<9} {cause}\n", "cause");
    }
    for warning in &view.warnings {
        text += &format!("  {:<9} {warning}\n", "warning");
    }
    text + &format!("  {:<9} {}\n", "you", for_you(view))
}

/// A line a campaign.
pub fn table(campaigns: &[CampaignView], style: Style) -> String {
    let width = campaigns
        .iter()
        .map(|view| view.id.len())
        .max()
        .unwrap_or(0)
        .max(8);
    let mut text = format!(
        "{:<width$}  {:<17}  {:>17}  {:>7}  {:>4}  {:>7}\n",
        "CAMPAIGN", "STATE", "PROGRESS", "QUALITY", "JOBS", "LEFT"
    );
    for view in campaigns {
        let made = view.progress.as_ref().filter(|progress| progress.total > 0);
        let made = made.map_or("-".into(), |progress| of(progress.done, progress.total));
        let quality = view.quality.as_ref().and_then(|quality| quality.mean);
        let quality = quality.map_or("-".into(), |mean| format!("{mean:.3}"));
        let left = view
            .progress
            .as_ref()
            .and_then(|progress| progress.left_seconds)
            .map_or("-".into(), seconds);
        let pad = " ".repeat(17_usize.saturating_sub(view.state.len()));
        text += &format!(
            "{:<width$}  {}{pad}  {made:>17}  {quality:>7}  {:>4}  {left:>7}\n",
            view.id,
            style.word(&view.state),
            view.jobs.running
        );
    }
    text
}

/// `status`: a page for one campaign, a table for several, then the daemon and what waits for a person.
pub fn status(view: &StatusView, style: Style) -> String {
    let mut text = match view.campaigns.as_slice() {
        [] => "no campaign yet: campaignctl submit FILE\n".into(),
        [one] => page(one, style),
        several => table(several, style),
    };
    let daemon = &view.daemon;
    text += &format!(
        "up {}, {} jobs\n",
        ago(Some(&daemon.started_at)),
        daemon.jobs_running
    );
    if let Some(restart) = &daemon.restart {
        text += &format!(
            "restarted {} ago; {} campaigns go on, {} effects were owed, found again in {}\n",
            ago(Some(&daemon.started_at)),
            restart.campaigns,
            restart.owed,
            seconds(restart.opened_seconds)
        );
    }
    let waiting: Vec<String> = view
        .campaigns
        .iter()
        .filter(|campaign| !campaign.needs.is_empty())
        .map(|campaign| format!("{} ({})", campaign.id, campaign.needs.join(" or ")))
        .collect();
    if view.campaigns.len() > 1 && !waiting.is_empty() {
        text += &format!("for you: {}\n", waiting.join(", "));
    }
    text
}

/// The gate's verdict.
pub fn verdict(verdict: &VerdictView, style: Style) -> String {
    let mut text = format!(
        "{}  {}  look {} of {}, gate \"{}\"   {} ago\n",
        verdict.campaign,
        style.word(&verdict.decision),
        verdict.look,
        verdict.max_looks,
        verdict.gate,
        ago(verdict.judged_at.as_deref())
    );
    text += &format!(
        "{:<12} {:>9}  {:>24} {:>6}  PASSED\n",
        "CHECK", "REQUIRED", "OBSERVED", "N"
    );
    for check in &verdict.checks {
        let observed = match (check.observed, check.low, check.high) {
            (Some(mean), Some(low), Some(high)) => format!("{mean:.3} ({low:.3} to {high:.3})"),
            (Some(number), _, _) if check.check == "quality" => format!("{number:.3}"),
            (Some(number), _, _) => format!("{number}"),
            _ => "nothing".into(),
        };
        let passed = match check.passed {
            Some(true) => "yes",
            Some(false) => "no",
            None => "open",
        };
        text += &format!(
            "{:<12} {:>9}  {observed:>24} {:>6}  {}\n",
            check.check,
            check.required,
            check.n,
            style.word(passed)
        );
    }
    text + &format!(
        "why    {}\nnext   {}\n",
        verdict.reason, verdict.recommendation
    )
}

/// Why a campaign is where it is.
pub fn explain(view: &ExplainView) -> String {
    let mut text = format!("{}\n", view.headline);
    for (at, why) in view.why.iter().enumerate() {
        let label = if at == 0 { "why" } else { "" };
        let clock = why.at.get(11..16).unwrap_or("");
        let source = why
            .source
            .as_ref()
            .map_or(String::new(), |source| format!("  [{source}]"));
        text += &format!("{label:<6} {clock}  {}{source}\n", why.text);
    }
    for (at, seen) in view.seen.iter().enumerate() {
        text += &format!(
            "{:<6} {}\n",
            if at == 0 { "seen" } else { "" },
            seen.observed
        );
    }
    let left = view
        .waits
        .left_seconds
        .map_or(String::new(), |left| format!(": {} left", seconds(left)));
    let deadline = view
        .waits
        .deadline_at
        .as_ref()
        .map_or(String::new(), |at| format!("; deadline {at}"));
    text += &format!("{:<6} {}{left}{deadline}\n", "waits", view.waits.what);
    for (at, next) in view.next.iter().enumerate() {
        text += &format!(
            "{:<6} {} -> {}\n",
            if at == 0 { "next" } else { "" },
            next.when,
            next.go
        );
    }
    text + &format!("{:<6} {}\n", "you", view.you.join(" | "))
}

/// A row a task.
pub fn jobs(jobs: &[JobView]) -> String {
    let width = jobs
        .iter()
        .map(|job| job.job.len())
        .max()
        .unwrap_or(0)
        .max(3);
    let mut text = format!(
        "{:<width$}  {:<13} {:<12} {:<9} {:>8}  NOTE\n",
        "JOB", "PHASE", "WHERE", "STATE", "FOR"
    );
    for job in jobs {
        let lasted = ago(job
            .launched_at
            .as_deref()
            .filter(|_| job.ended_at.is_none()));
        text += &format!(
            "{:<width$}  {:<13} {:<12} {:<9} {lasted:>8}  {}\n",
            job.job, job.phase, job.place, job.state, job.note
        );
    }
    text
}

/// One event.
pub fn event(event: &EventView, utc: bool) -> String {
    let at = if utc {
        event.at.clone()
    } else {
        event.at.get(11..19).unwrap_or(&event.at).into()
    };
    let state = event
        .state
        .as_ref()
        .map_or(String::new(), |state| format!("{state:<12} "));
    let uid = event
        .uid
        .map_or(String::new(), |uid| format!("  (uid {uid})"));
    format!(
        "{at}  {:<5} {} {state}{:<16} {}{uid}",
        event.seq, event.campaign, event.event, event.what
    )
}

/// What a finished campaign made, how good it is, where it lies, what is next.
pub fn summary(view: &CampaignView, style: Style) -> String {
    let took = match (
        humantime::parse_rfc3339(&view.created_at),
        view.ended_at.as_deref().map(humantime::parse_rfc3339),
    ) {
        (Ok(began), Some(Ok(ended))) => format!(
            " in {}",
            seconds(
                ended
                    .duration_since(began)
                    .unwrap_or_default()
                    .as_secs_f64()
            )
        ),
        _ => String::new(),
    };
    let mut text = format!("{} {}{took}\n", view.id, style.word(&view.state));
    if let Some(dataset) = &view.dataset {
        text += &format!(
            "made   data set   {} rows of {} samples; {} removed, with reasons\n",
            thousands(dataset.rows),
            thousands(dataset.rows_in),
            thousands(dataset.removed)
        );
        text += &format!(
            "       splits     train {}   validation {}   test {}\n",
            thousands(dataset.train),
            thousands(dataset.validation),
            thousands(dataset.test)
        );
    } else if let Some(made) = view
        .phases
        .iter()
        .find(|phase| phase.phase == "generate" && phase.done > 0)
    {
        text += &format!(
            "made   samples    {} of {}\n",
            thousands(made.done),
            thousands(view.campaign_target)
        );
    }
    if let Some(verdict) = &view.verdict {
        let mean = view.verdict.as_ref().and_then(|verdict| {
            verdict
                .checks
                .iter()
                .find(|check| check.check == "quality")?
                .observed
        });
        let mean = mean.map_or("-".into(), |mean| format!("{mean:.3}"));
        text += &format!(
            "good   pilot      {} quality {mean} ({})\n",
            style.word(&verdict.decision),
            bounds(view)
        );
    }
    if let Some(cause) = &view.cause {
        text += &format!("why    {cause}\n");
    }
    let inside = if view.dataset.is_some() {
        "dataset/  data/  mirror/"
    } else {
        "data/  mirror/"
    };
    text += &format!("where  {}\n       {inside}\n", view.directory);
    text + &format!("next   {}\n", next(view))
}

fn next(view: &CampaignView) -> String {
    match view.state.as_str() {
        "completed" => "campaignd init my.toml && campaignd run my.toml     one of your own".into(),
        "rejected" => format!(
            "campaignd run --quality-threshold X   or: campaignctl amend {} --quality-threshold X",
            view.id
        ),
        "failed" => format!(
            "campaignctl explain {0}   and: campaignctl retry {0}",
            view.id
        ),
        "awaiting_approval" => format!(
            "campaignctl approve {0}   or: campaignctl reject {0} --why W",
            view.id
        ),
        "halted" => "campaignd run   with another part, or the whole".into(),
        _ => format!("campaignctl clean {}", view.id),
    }
}

#[cfg(test)]
mod tests;
