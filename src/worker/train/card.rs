//! The adapter's card: a README that people read and model catalogues load by.

use super::Trained;
use crate::training::{
    job::FineTune,
    settings::Settings,
    words::{Loss, Module},
};
use std::fmt::Write;

/// vLLM's `--max-lora-rank` where nobody says otherwise.
const VLLM_RANK: u32 = 16;

/// The card.
pub fn card(job: &FineTune, trained: &Trained) -> String {
    // JSON's quoting is YAML's.
    let base = serde_json::Value::from(job.model.as_str());
    let method = match job.settings.loss {
        Loss::Sft => "sft",
        Loss::Dpo => "dpo",
    };
    let mut text = format!(
        "---\nbase_model: {base}\nlibrary_name: peft\npipeline_tag: text-generation\ntags:\n- lora\n- {method}\n---\n\n# {}\n\n",
        plain(&trained.name)
    );
    let _ = writeln!(
        text,
        "A LoRA adapter for `{}`, trained on {} rows{}. Numbers for programs: `training.json`, `metrics.jsonl`; the loss curve: `report.html`.\n",
        job.model,
        trained.rows,
        match trained.holdout_rows {
            0 => ", without a holdout".into(),
            rows => format!(" and looked at on {rows} others"),
        }
    );
    text += &results(trained);
    text += &data(job, trained);
    text += &verification(trained);
    text += &loading(job, trained);
    text += "## Settings\n\n| setting | value |\n|---|---|\n";
    for (key, value) in settings(&job.settings) {
        let _ = writeln!(text, "| `{key}` | {} |", plain(&value));
    }
    text
}

/// Text from elsewhere in a line of Markdown.
fn plain(text: &str) -> String {
    let line = text.replace(['\n', '\r'], " ");
    line.replace('|', "\\|").replace('<', "&lt;")
}

fn loss(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| format!("{value:.4}"))
}

fn results(trained: &Trained) -> String {
    let mut text = String::from("## Results\n\n| | before | after |\n|---|--:|--:|\n");
    let (before, after) = (loss(trained.eval_loss_before), loss(trained.eval_loss));
    let _ = writeln!(text, "| loss on the holdout | {before} | {after} |");
    let (first, last) = (loss(trained.first_loss), loss(trained.last_loss));
    let _ = writeln!(text, "| loss of a training step | {first} | {last} |\n");
    let _ = writeln!(
        text,
        "{} of {} steps ({:.2} passes over the rows), {} tokens, {} trained parameters.{} The adapter is that of step {}{}.\n",
        trained.steps,
        trained.planned_steps,
        trained.epochs,
        trained.tokens,
        trained.trainable_parameters,
        early(trained),
        trained.best_step,
        match trained.eval_loss {
            Some(_) => ", the best on the holdout",
            None => ", the last",
        }
    );
    text
}

/// Why it made fewer steps than planned.
fn early(trained: &Trained) -> String {
    match &trained.ended {
        Some(ended) => format!(" It was {ended}."),
        None if trained.stopped_early() => " It stopped early: the holdout got no better.".into(),
        None => String::new(),
    }
}

fn data(job: &FineTune, trained: &Trained) -> String {
    let mut text = String::from("## Data\n\n");
    let files = [("learned from", &job.data), ("looked at", &job.holdout)];
    for (what, paths) in files {
        for path in paths {
            let _ = writeln!(text, "- {what}: `{path}`");
        }
    }
    let left = [
        (trained.too_long, "longer than a row may be, left out"),
        (trained.truncated, "cut to the length that a row may have"),
        (trained.refused, "that could not be used, left out"),
        (trained.holdout_left_out, "of the holdout left out"),
        (trained.holdout_truncated, "of the holdout cut"),
    ];
    for (rows, why) in left {
        if rows > 0 {
            let _ = writeln!(text, "- {rows} rows {why}");
        }
    }
    text + "\n"
}

fn verification(trained: &Trained) -> String {
    let found = &trained.verification;
    let mut text = format!(
        "## Verification\n\nWhat was written was read back and run on {} tokens of {} rows:\n\n| compared | largest difference of a logit |\n|---|--:|\n| the adapter in memory and on disk | {:.1e} |\n| the model with and without it | {:.3} |\n",
        found.tokens, found.rows, found.reloaded_max_abs, found.off_on_max_abs
    );
    if let Some(merged) = &found.merged {
        let _ = writeln!(
            text,
            "| with the adapter, and merged ({}) | {:.1e} |\n\nLargest difference of a token's log-probability when merged: {:.1e} (up to {:.0e} is taken for rounding to {}).",
            merged.dtype, merged.max_abs, merged.log_prob_gap, merged.tolerance, merged.dtype
        );
    }
    text + "\n"
}

fn loading(job: &FineTune, trained: &Trained) -> String {
    // JSON's quoting is Python's.
    let base = serde_json::Value::from(job.model.as_str());
    let mut text = format!(
        "## How to load it\n\n```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\nmodel = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained({base}), \".\")\ntokenizer = AutoTokenizer.from_pretrained(\".\")\n```\n\n"
    );
    let rank = job.settings.r;
    let flag = if rank > VLLM_RANK {
        format!(" --max-lora-rank {}", rank.next_power_of_two())
    } else {
        String::new()
    };
    let patterns = !job.settings.rank_pattern.is_empty() || !job.settings.alpha_pattern.is_empty();
    if patterns {
        text += "Ranks and alphas differ by module (`rank_pattern`, `alpha_pattern`), which vLLM is not known to honour: serve merged weights.\n\n";
        return text + merged(trained);
    }
    let _ = writeln!(
        text,
        "```sh\nvllm serve '{}' --enable-lora --lora-modules 'adapter=.'{flag}\n```\n",
        job.model
    );
    if rank > VLLM_RANK {
        let _ = writeln!(
            text,
            "**vLLM refuses ranks above {VLLM_RANK} unless told**: this adapter has rank {rank}, so `--max-lora-rank` is needed as above.\n"
        );
    }
    text + merged(trained)
}

fn merged(trained: &Trained) -> &'static str {
    match trained.merged {
        Some(_) => "The merged weights are a model of their own; they load without PEFT.\n\n",
        None => "",
    }
}

/// The few numbers that matter: what, how much, and what that means.
pub fn facts(trained: &Trained) -> Vec<(&'static str, String, String)> {
    let mut facts = vec![
        ("Steps", trained.steps.to_string(), {
            let epochs = trained.epochs;
            let ended = trained
                .ended
                .as_ref()
                .map_or("", |_| "; left out at a rung");
            format!("of {}, {epochs:.2} epochs{ended}", trained.planned_steps)
        }),
        (
            "Training loss",
            loss(trained.last_loss),
            format!("first {}", loss(trained.first_loss)),
        ),
    ];
    if trained.eval_loss.is_some() {
        facts.push((
            "Holdout loss",
            loss(trained.eval_loss),
            format!("before {}", loss(trained.eval_loss_before)),
        ));
    }
    facts.push((
        "Rows",
        trained.rows.to_string(),
        format!("{} held out", trained.holdout_rows),
    ));
    facts.push((
        "Tokens",
        trained.tokens.to_string(),
        "through the model".into(),
    ));
    facts.push((
        "Parameters",
        trained.trainable_parameters.to_string(),
        "trained".into(),
    ));
    facts
}

/// The settings by their names, as people write them.
pub fn settings(settings: &Settings) -> Vec<(String, String)> {
    let value = serde_json::to_value(settings).unwrap_or_default();
    let all = value.as_object().into_iter().flatten();
    let mut named: Vec<(String, String)> = all
        .map(|(key, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), String::from);
            (key.clone(), text)
        })
        .collect();
    named.sort();
    let modules: Vec<&str> = settings
        .target_modules
        .iter()
        .map(|m: &Module| m.name())
        .collect();
    for (key, value) in &mut named {
        if key == "target_modules" {
            *value = modules.join(", ");
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{training::words::Device, worker::train::verify::Verified};

    fn made(settings: Settings) -> String {
        let job = FineTune {
            name: "routing".into(),
            model: "/models/base".into(),
            make: None,
            data: vec!["train.jsonl".into()],
            holdout: vec!["validation.jsonl".into()],
            output: "out".into(),
            adapter_init: None,
            merge: false,
            stage: None,
            minimum: 0,
            settings,
            device: Device::Cpu,
        };
        let trained = Trained {
            name: job.name.clone(),
            output: job.output.clone(),
            merged: None,
            rows: 10,
            holdout_rows: 2,
            too_long: 1,
            truncated: 0,
            refused: 0,
            holdout_left_out: 0,
            holdout_truncated: 3,
            trainable_parameters: 64,
            steps: 3,
            planned_steps: 6,
            epochs: 1.5,
            tokens: 700,
            first_loss: Some(3.0),
            last_loss: Some(2.0),
            eval_loss_before: Some(3.25),
            eval_loss: Some(2.125),
            best_step: 2,
            ended: None,
            verification: Verified::default(),
        };
        card(&job, &trained)
    }

    #[test]
    fn a_card_says_what_came_of_what_and_how_to_load_it() {
        let text = made(Settings::default());
        for said in [
            "base_model: \"/models/base\"",
            "| loss on the holdout | 3.2500 | 2.1250 |",
            "3 of 6 steps",
            "It stopped early",
            "step 2, the best on the holdout",
            "- looked at: `validation.jsonl`",
            "- 1 rows longer than a row may be",
            "- 3 rows of the holdout cut",
            "PeftModel.from_pretrained",
            "| `target_modules` | q_proj, k_proj, v_proj, o_proj |",
        ] {
            assert!(text.contains(said), "{said:?} is not in {text}");
        }
        assert!(!text.contains("--max-lora-rank"), "16 is what vLLM takes");
    }

    #[test]
    fn a_rank_that_a_server_refuses_is_warned_of() {
        let mut settings = Settings {
            r: 24,
            ..Settings::default()
        };
        assert!(made(settings.clone()).contains("--lora-modules 'adapter=.' --max-lora-rank 32"));
        settings.rank_pattern.insert("q_proj".into(), 8);
        let text = made(settings);
        assert!(text.contains("serve merged weights"), "{text}");
        assert!(!text.contains("--lora-modules"), "{text}");
    }
}
