//! What a finished campaign made, how good it is, where it lies, what is next.

use super::{
    super::proposals,
    super::style::{Style, seconds, thousands},
    fit::{choices, labelled},
    results,
    steps::{bounds, quality},
};
use crate::control::{api::CampaignView, dataset::DatasetView};

/// The last page of `run`.
pub fn summary(view: &CampaignView, style: Style) -> String {
    let state = style.word(&view.state);
    let mut text = labelled("", &format!("{} {state}{}", view.id, took(view)));
    text += &made(view);
    text += &results::adapters(view);
    if let Some(verdict) = &view.verdict {
        let check = verdict.checks.iter().find(|check| check.check == "quality");
        let mean = quality(check.and_then(|check| check.observed));
        let word = style.word(&verdict.decision);
        text += &labelled(
            "good   pilot      ",
            &format!("{word} quality {mean} ({})", bounds(view)),
        );
    }
    text += &results::verdicts(view, style);
    if let Some(plan) = &view.plan {
        text += &labelled("learn  ", &proposals::learned(plan));
        for line in proposals::tried(plan) {
            text += &labelled("       ", &line);
        }
    }
    if let Some(cause) = &view.cause {
        text += &labelled("why    ", cause);
    }
    let mut inside = Vec::new();
    if view.dataset.is_some() {
        inside.extend(["dataset/report.html", "dataset/"]);
    }
    if !view.runs.is_empty() {
        inside.push("runs/");
    }
    if view.runs.iter().any(|run| run.verdict.is_some()) {
        inside.push("evaluation/");
    }
    inside.extend(["data/", "mirror/"]);
    let inside = inside.join("  ");
    text += &format!("where  {}\n       {inside}\n", view.directory);
    text + &choices("next   ", &next(view), "   or: ")
}

fn took(view: &CampaignView) -> String {
    let ended = view.ended_at.as_deref().map(humantime::parse_rfc3339);
    match (humantime::parse_rfc3339(&view.created_at), ended) {
        (Ok(began), Some(Ok(ended))) => {
            let took = ended.duration_since(began).unwrap_or_default();
            format!(" in {}", seconds(took.as_secs_f64()))
        }
        _ => String::new(),
    }
}

fn made(view: &CampaignView) -> String {
    if let Some(dataset) = &view.dataset {
        return data_set(dataset);
    }
    let made = view
        .phases
        .iter()
        .find(|phase| phase.phase == "generate" && phase.done > 0);
    made.map_or(String::new(), |made| {
        let (done, all) = (thousands(made.done), thousands(view.campaign_target));
        format!("made   samples    {done} of {all}\n")
    })
}

fn data_set(dataset: &DatasetView) -> String {
    let rows = format!(
        "{} rows of {} samples; {} removed, with reasons",
        thousands(dataset.rows),
        thousands(dataset.rows_in),
        thousands(dataset.removed)
    );
    let mut splits = format!(
        "train {}   validation {}   test {}",
        thousands(dataset.train),
        thousands(dataset.validation),
        thousands(dataset.test)
    );
    if dataset.test_unseen_template > 0 {
        splits += &format!(
            "   of unseen templates {}",
            thousands(dataset.test_unseen_template)
        );
    }
    let sets: Vec<String> = dataset
        .datasets
        .iter()
        .filter(|(_, rows)| **rows > 0)
        .map(|(name, rows)| format!("{name} {}", thousands(*rows)))
        .collect();
    let mut text = labelled("made   data set   ", &rows) + &labelled("       splits     ", &splits);
    if !sets.is_empty() {
        text += &labelled("       rows       ", &sets.join("   "));
    }
    text
}

fn next(view: &CampaignView) -> Vec<String> {
    let id = &view.id;
    match view.state.as_str() {
        "completed" => {
            let own = "campaignd init my.toml && campaignd run my.toml     one of your own";
            // The quickstart says what could be varied; nobody has seen its file.
            let once = view.plan.as_ref().is_some_and(|plan| plan.cycles < 2);
            let more = once && (id == "quickstart" || id.starts_with("quickstart-"));
            let more = more
                .then(|| "campaignd run --new --cycles 2     the same, and then it learns".into());
            more.into_iter().chain([own.into()]).collect()
        }
        "rejected" => vec![
            "campaignd run --quality-threshold X".into(),
            format!("campaignctl amend {id} --quality-threshold X"),
        ],
        "failed" => vec![
            format!("campaignctl explain {id}"),
            format!("campaignctl retry {id}"),
        ],
        "awaiting_approval" => vec![
            format!("campaignctl approve {id}"),
            format!("campaignctl reject {id} --why W"),
        ],
        "halted" => vec!["campaignd run   with another part, or the whole".into()],
        _ => vec![format!("campaignctl clean {id}")],
    }
}
