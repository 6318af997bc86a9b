//! What members are called: by the settings that tell them apart, short enough for a directory and a line of a table.

use crate::config::layers::flatten;
use std::collections::BTreeMap;
use toml::Value;

/// The longest name of a directory that every file system takes, with room for what is put beside it.
const LONGEST: usize = 100;
/// What a name may be.
pub(super) const RIGHT: &str =
    "1 to 100 letters, digits, -, _ and ., of which the first is a letter or a digit";

/// Whether a directory may be called so.
pub(super) fn is_name(text: &str) -> bool {
    let first = text
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    first && text.len() <= LONGEST && text.chars().all(plain)
}

/// `wide-r8-lr0.0001`: what the member is called, if anything, and then settings with their values.
pub(super) fn name(given: Option<&str>, settings: &[(&str, &Value)]) -> String {
    let given = given.map(String::from).into_iter();
    let settings = settings.iter().map(|(key, value)| setting(key, value));
    given.chain(settings).collect::<Vec<_>>().join("-")
}

/// `r8`, `lr_scheduler_type_cosine`: a word stands off from a word.
fn setting(key: &str, value: &Value) -> String {
    let (key, value) = (short(key), text(value));
    let words = value.starts_with(|c: char| c.is_ascii_alphabetic());
    let between = if words && !key.is_empty() { "_" } else { "" };
    format!("{key}{between}{value}")
}

/// The key in few letters; nothing where the values speak for themselves.
fn short(key: &str) -> &str {
    match key {
        "learning_rate" => "lr",
        "lora_alpha" => "alpha",
        "lora_dropout" => "dropout",
        "num_train_epochs" => "epochs",
        "per_device_train_batch_size" => "batch",
        "gradient_accumulation_steps" => "accumulation",
        "target_modules" => "",
        other => other,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // As people read it: 1e-4 is 0.0001, and 16.0 is 16.
        Value::Float(number) => number.to_string(),
        Value::Array(modules) => self::modules(modules),
        Value::Table(pattern) => {
            let mut numbers = BTreeMap::new();
            flatten("", pattern, &mut numbers);
            let each = numbers
                .iter()
                .map(|(name, number)| format!("{name}{number}"));
            or_none(each.collect::<Vec<_>>().join("_"))
        }
        other => other.to_string(),
    }
}

/// `qkvo`, `qv_gate_up`: letters side by side, longer words apart.
fn modules(modules: &[Value]) -> String {
    let mut text = String::new();
    let mut letters = true;
    for module in modules.iter().filter_map(Value::as_str) {
        let word = module.strip_suffix("_proj").unwrap_or(module);
        let letter = word.len() == 1;
        let beside = text.is_empty() || (letter && letters);
        if !beside {
            text.push('_');
        }
        text += word;
        letters = letter;
    }
    or_none(text)
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_varies_in_few_letters() {
        for (given, settings, expected) in [
            (None, "r = 8\nlearning_rate = 1e-4", "r8-lr0.0001"),
            (Some("wide"), "r = 64", "wide-r64"),
            (Some("plain"), "", "plain"),
            (None, "lora_alpha = 16", "alpha16"),
            (None, "lora_alpha = 16.0", "alpha16"),
            (None, "lora_dropout = 0.05\nseed = 7", "dropout0.05-seed7"),
            (None, "num_train_epochs = 1.5", "epochs1.5"),
            (None, "per_device_train_batch_size = 4", "batch4"),
            (None, "gradient_accumulation_steps = 2", "accumulation2"),
            (None, "adam_epsilon = 1e-8", "adam_epsilon0.00000001"),
            (
                None,
                "lr_scheduler_type = 'linear'",
                "lr_scheduler_type_linear",
            ),
            (None, "use_rslora = true", "use_rslora_true"),
            (None, "target_modules = ['q_proj', 'v_proj']", "qv"),
            (
                None,
                "target_modules = ['q_proj', 'gate_proj', 'up_proj']",
                "q_gate_up",
            ),
            (
                None,
                "target_modules = ['down_proj', 'k_proj', 'v_proj']",
                "down_kv",
            ),
            (None, "target_modules = []", "none"),
            (
                None,
                "rank_pattern = { q_proj = 4, layers.0.k_proj = 2 }",
                "rank_pattern_layers.0.k_proj2_q_proj4",
            ),
            (None, "rank_pattern = {}", "rank_pattern_none"),
        ] {
            // A table of the parser is in the order of letters; these are in the order written.
            let each = settings.lines().map(|line| {
                let table = toml::from_str::<toml::Table>(line).unwrap();
                table.into_iter().next().unwrap()
            });
            let each: Vec<(String, Value)> = each.collect();
            let each: Vec<(&str, &Value)> = each.iter().map(|(k, v)| (k.as_str(), v)).collect();
            assert_eq!(name(given, &each), expected, "{settings}");
            assert!(is_name(expected), "{expected}");
        }
    }

    #[test]
    fn names_are_names_of_directories() {
        let longest = "a".repeat(LONGEST);
        for right in ["a", "7", "r8-lr0.0001", "A_b.c", &longest] {
            assert!(is_name(right), "{right}");
        }
        let longer = "a".repeat(LONGEST + 1);
        for wrong in [
            "", ".", "..", "-r", "_a", ".a", "a/b", "a b", "ä", "a\n", "a\0", &longer,
        ] {
            assert!(!is_name(wrong), "{wrong:?}");
        }
    }
}
