//! Names of run directories: the varied parameters alone, as in `rank8_lr1e-5`, safe in every file system and in scripts.

use super::vocabulary::Vocabulary;
use crate::parameters::{Assignment, Value};
use std::collections::BTreeSet;

/// Letters of a name at most: with all that stands behind it a path stays short.
const LONGEST: usize = 100;

/// What is wrong with a word as the name of an experiment or of a task; none for a sound one.
pub fn problem(name: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name {
        "" => Some("it is empty"),
        _ if name.len() > LONGEST => Some("it is longer than 100 letters"),
        _ if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) => {
            Some("it does not begin with a letter or a digit")
        }
        _ if !name.chars().all(plain) => {
            Some("it has other signs than letters, digits, -, _ and .")
        }
        _ => None,
    }
}

/// A name for each set of varied values, in their order; all different, also where letters are not told apart by case.
pub fn names(words: &Vocabulary, order: &[String], runs: &[Assignment]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut free = |name: String| {
        let numbered = (2..).map(|n| format!("{name}_{n}"));
        let found = std::iter::once(name.clone())
            .chain(numbered)
            .find(|name| taken.insert(name.to_lowercase()));
        found.unwrap_or(name)
    };
    let all = runs.iter().zip(1..);
    all.map(|(values, number)| {
        let name = name(words, order, values);
        free(match name.len() {
            0 => "baseline".into(),
            1..=LONGEST => name,
            _ => format!("run{number:03}"),
        })
    })
    .collect()
}

fn name(words: &Vocabulary, order: &[String], values: &Assignment) -> String {
    let parts = order.iter().filter_map(|key| {
        let short = words.short(key);
        Some(match values.get(key)? {
            Value::Text(text) => format!("{short}-{}", safe(text)),
            Value::Flag(flag) => format!("{short}-{}", if *flag { "on" } else { "off" }),
            number => format!("{short}{}", safe(&number.to_string())),
        })
    });
    parts.collect::<Vec<String>>().join("_")
}

/// Signs that no file system and no shell minds.
fn safe(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    text.chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::tests::words;

    fn run(values: &[(&str, &str)]) -> Assignment {
        let value = |text: &str| text.parse().unwrap();
        values
            .iter()
            .map(|(key, text)| (key.to_string(), value(text)))
            .collect()
    }

    #[test]
    fn a_name_says_what_is_varied_in_the_order_asked_for() {
        let order = ["r", "learning_rate"].map(String::from);
        let runs = [
            run(&[("learning_rate", "1e-5"), ("r", "8"), ("seed", "3")]),
            run(&[("learning_rate", "0.00005"), ("r", "64")]),
        ];
        assert_eq!(
            names(&words(), &order, &runs),
            ["rank8_lr1e-5", "rank64_lr5e-5"]
        );
    }

    #[test]
    fn names_differ_and_are_safe() {
        let order = ["note".to_string()];
        let runs = ["../../x y", "..-..-x-y", "A", "a", ""].map(|text| run(&[("note", text)]));
        assert_eq!(
            names(&words(), &order, &runs),
            [
                "note-..-..-x-y",
                "note-..-..-x-y_2",
                "note-A",
                "note-a_2",
                "note-"
            ]
        );
        let long = [run(&[("note", &"x".repeat(300))])];
        assert_eq!(names(&words(), &order, &long), ["run001"]);
        assert_eq!(names(&words(), &[], &[run(&[])]), ["baseline"]);
    }

    #[test]
    fn what_is_no_name_is_told() {
        assert_eq!(problem("rank-sweep_2.b"), None);
        for name in [
            "",
            "..",
            ".a",
            "a/b",
            "a b",
            "-rf",
            "a\nb",
            "ä",
            &"x".repeat(101),
        ] {
            assert!(problem(name).is_some(), "{name:?}");
        }
    }
}
