//! `experiment_summary.md`: the plan for people, a function of it.

use super::{
    config::said,
    plan::{Plan, TWIN},
    status::{EVALUATION, FINE_TUNING, cell, table},
    vocabulary::{BackEnd, Vocabulary},
};
use std::fmt::Write;

/// The summary.
pub fn render(plan: &Plan, words: &Vocabulary) -> String {
    let mut text = format!(
        "# {}\n\n{}\n\nDrawn from `{TWIN}`, which holds where the two differ; changes here are shown and not read.\n\n",
        plan.name,
        line(&plan.question)
    );
    text += &variables(plan, words);
    text += &runs(plan);
    text += &tools(plan, words);
    text += &resources(plan);
    text += &estimates(plan);
    let _ = write!(text, "{FINE_TUNING}\n\n{}\n", table(&plan.fine_tuning));
    let _ = write!(text, "{EVALUATION}\n\n{}", table(&plan.evaluation));
    text
}

/// Text from data in a line of its own, without signs that would make it something else.
fn line(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    let text = text.trim();
    match text.strip_prefix('#') {
        Some(rest) => format!("\\#{rest}"),
        None => text.into(),
    }
}

/// Text in letters of code.
fn code(text: &str) -> String {
    format!("`{}`", cell(text).replace('`', "'"))
}

fn variables(plan: &Plan, words: &Vocabulary) -> String {
    let about = |name: &str| {
        let parameter = words.schema.parameter(name);
        parameter.map_or(String::new(), |one| cell(&one.about))
    };
    let mut text =
        String::from("## Variables\n\n| Parameter | Values | What it is |\n|---|---|---|\n");
    for one in &plan.variables {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            code(&one.name),
            code(&one.domain.to_string()),
            about(&one.name)
        );
    }
    let _ = write!(
        text,
        "\n## Controls\n\nThe same in every run; from {}.\n\n| Parameter | Value |\n|---|---|\n",
        line(&plan.baseline)
    );
    for (name, value) in &plan.controls {
        let _ = writeln!(text, "| {} | {} |", code(name), code(&value.to_string()));
    }
    let files = |all: &[String]| match all {
        [] => "-".into(),
        all => all
            .iter()
            .map(|file| code(file))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let _ = write!(
        text,
        "\n| Input | |\n|---|---|\n| Model | {} |\n| Training rows | {} |\n| Holdout | {} |\n\n",
        plan.model.as_deref().map_or("-".into(), code),
        files(&plan.data),
        files(&plan.holdout)
    );
    text
}

fn runs(plan: &Plan) -> String {
    let mut text = format!(
        "## Runs\n\n{} in all.\n\n| Run | Values | |\n|---|---|---|\n",
        plan.runs.len()
    );
    for run in &plan.runs {
        let mark = if run.baseline { "baseline" } else { "" };
        let _ = writeln!(
            text,
            "| {} | {} | {mark} |",
            cell(&run.name),
            cell(&said(&run.varied))
        );
    }
    text + "\n"
}

fn tools(plan: &Plan, words: &Vocabulary) -> String {
    let mut text = String::from("## Tools\n\n| Stage | Tool | Workers |\n|---|---|---|\n");
    let (trains, evaluates) = match plan.back_end {
        BackEnd::Torchtune => (
            format!("torchtune, recipe {}", code(&words.recipe)),
            "inspect-ai",
        ),
        BackEnd::Builtin | BackEnd::Generic => ("`campaignd train`".into(), "`campaignd evaluate`"),
    };
    let _ = writeln!(
        text,
        "| Fine-tuning | {trains} | scaffold-torchtune, run-torchtune |"
    );
    let _ = writeln!(
        text,
        "| Evaluation | {evaluates} | scaffold-inspect, run-inspect |"
    );
    let _ = writeln!(text, "| Analysis | `campaignctl experiment analyze` | |");
    if !plan.tasks.is_empty() {
        text += "\n| Evaluation task | File | After epochs |\n|---|---|---|\n";
        let epochs: Vec<String> = plan.eval_epochs.iter().map(u32::to_string).collect();
        let epochs = if epochs.is_empty() {
            "the last".into()
        } else {
            epochs.join(", ")
        };
        for task in &plan.tasks {
            let _ = writeln!(
                text,
                "| {} | {} | {} |",
                cell(&task.name),
                code(&task.script),
                epochs
            );
        }
    }
    text + "\n"
}

fn resources(plan: &Plan) -> String {
    let asked = &plan.resources;
    let cpus = asked.cpus_per_task.map(|n| n.to_string());
    let all = [
        ("Partition", &asked.partition),
        ("Account", &asked.account),
        ("GPUs", &asked.gres),
        ("Processors", &cpus),
        ("Memory", &asked.mem),
        ("Time", &asked.time),
    ];
    let mut text = String::from("## Resources\n\n| A job asks for | |\n|---|---|\n");
    for (what, value) in all {
        let value = value.as_deref().map_or("the site's default".into(), code);
        let _ = writeln!(text, "| {what} | {value} |");
    }
    text + "\n"
}

fn estimates(plan: &Plan) -> String {
    let mut text = String::from("## Estimates\n\n| What | How much | Basis |\n|---|---|---|\n");
    for one in &plan.estimates {
        let amount = one
            .amount
            .map_or("-".into(), |amount| format!("{amount:.2} {}", one.unit));
        let _ = writeln!(
            text,
            "| {} | {amount} | {} |",
            cell(&one.what),
            cell(&one.basis)
        );
    }
    if let Some(budget) = plan.budget_gpu_hours {
        let known = plan
            .estimates
            .iter()
            .find(|one| one.what == "GPU hours")
            .and_then(|one| one.amount);
        let basis = match known {
            Some(hours) => format!("{hours:.2} are estimated"),
            None => "not checked: nothing is known of what a run takes".into(),
        };
        let _ = writeln!(text, "| budget | {budget:.2} GPU hours | {basis} |");
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{
        asked::Asked,
        plan::{Resources, VERSION, Variable},
        status::Row,
        tests::words,
    };
    use crate::parameters::{Assignment, Domain};

    /// A plan of two ranks.
    pub fn plan() -> Plan {
        let vary = vec![("r".to_string(), Domain::parse("8,64").unwrap())];
        let asked = Asked {
            vary: vary.clone(),
            seeds: 1,
            ..Asked::default()
        };
        let runs = asked.runs(&words(), &Assignment::new()).unwrap();
        Plan {
            version: VERSION,
            name: "ranks".into(),
            question: "# Which rank | suffices?\n## Fine-tuning status".into(),
            back_end: BackEnd::Builtin,
            variables: vary
                .into_iter()
                .map(|(name, domain)| Variable { name, domain })
                .collect(),
            controls: [("learning_rate".to_string(), "2e-4".parse().unwrap())].into(),
            baseline: "the defaults".into(),
            model: Some("/models/a|b`c".into()),
            data: vec!["train.jsonl".into()],
            holdout: Vec::new(),
            tasks: Vec::new(),
            eval_epochs: vec![2],
            resources: Resources::default(),
            fine_tuning: runs.iter().map(|run| Row::pending(&run.name)).collect(),
            evaluation: Vec::new(),
            runs,
            estimates: crate::experiment::estimate::Basis::default().all(3),
            budget_gpu_hours: Some(20.0),
            seed: 0,
        }
    }

    #[test]
    fn everything_of_the_plan_is_there_and_stays_text() {
        let text = render(&plan(), &words());
        for part in [
            "| `r` | `8,64` |",
            "| rank16 | r = 16 | baseline |",
            "| `learning_rate` | `2e-4` |",
            "`/models/a\\|b'c`",
            "| cost | - | no price of a GPU hour is given: not estimated |",
            "| time of one run | - | no history: not estimated |",
            "| rank8 | pending | - | - |  |",
            "not checked",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert_eq!(text.matches(&format!("\n{FINE_TUNING}\n")).count(), 1);
        let plan = plan();
        assert_eq!(Plan::read(&plan.json()).unwrap(), plan);
        let evil = plan.json().replace("\"rank8\"", "\"../rank8\"");
        assert!(Plan::read(&evil).unwrap_err().contains("is no name"));
        assert!(Plan::read(&plan.json().replace("\"version\": 1", "\"version\": 9")).is_err());
        assert!(Plan::read("{").is_err());
    }
}
