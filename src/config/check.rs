//! What `check` prints, and the file `init` writes.

use super::keys::{self, Key, Kind};
use crate::machines::spec::CampaignSpec;

/// The headline and the table of settings that are not at their defaults, or of all.
pub fn report(file: &str, spec: &CampaignSpec, all: bool) -> String {
    let criteria = &spec.criteria;
    let mut text = format!(
        "{file} is right: pilot {} (at most {}), then {} in {} {} jobs\n",
        criteria.pilot_target,
        criteria.max_pilot_samples,
        spec.campaign_target,
        spec.generator.shards,
        spec.executor
    );
    let rows: Vec<_> = spec
        .provenance
        .iter()
        .filter(|set| all || set.from != "default")
        .collect();
    let width = |of: fn(&crate::machines::spec::Provenance) -> usize, least| {
        rows.iter().map(|row| of(row)).max().unwrap_or(0).max(least)
    };
    let (key, value) = (
        width(|row| row.key.len(), 3),
        width(|row| row.value.len(), 5),
    );
    text += &format!("{:<key$}  {:<value$}  FROM\n", "KEY", "VALUE");
    for row in rows {
        text += &format!("{:<key$}  {:<value$}  {}\n", row.key, row.value, row.from);
    }
    text
}

/// Every key of a campaign file and of `campaignd.toml`.
pub fn all_keys() -> String {
    let mut text = String::new();
    for (title, keys) in [
        ("a campaign file", keys::CAMPAIGN),
        ("campaignd.toml", keys::DAEMON),
    ] {
        text += &format!("{title}\n");
        for key in keys {
            let default = if key.default.is_empty() {
                "-"
            } else {
                key.default
            };
            text += &format!(
                "  {:<28} {:<17} {:<9} {}\n",
                key.name,
                default,
                kind(key),
                key.sentence
            );
        }
    }
    text
}

fn kind(key: &Key) -> &str {
    match key.kind {
        Kind::Text | Kind::Word(_) => "text",
        Kind::Whole(..) => "number",
        Kind::Share => "0 to 1",
        Kind::Amount => "0 or more",
        Kind::Flag => "flag",
        Kind::Duration => "time",
        Kind::List | Kind::Split => "list",
    }
}

/// A campaign file to begin with: every key, at its default, with its sentence.
pub fn template(name: &str) -> String {
    let mut text = format!(
        "# A campaign: campaignd check shows what it means, campaignd run runs it.\nname = \"{name}\"\n"
    );
    let mut table = "";
    // A table of a tier says that there is one.
    let plain = |key: &&Key| !key.default.is_empty() && !key.name.starts_with("generator.tiers.");
    for key in keys::CAMPAIGN.iter().filter(plain) {
        let (inside, short) = key.name.split_once('.').unwrap_or(("", key.name));
        if inside != table {
            text += &format!("\n[{inside}]\n");
            table = inside;
        }
        // A command and a brain exclude each other.
        let comment = if key.name == "generator.command" {
            "# "
        } else {
            ""
        };
        let set = format!("{comment}{short} = {}", key.default);
        text += &format!("{set:<32} # {:<8} {}\n", key.unit, key.sentence);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Env, Overrides, Settings, Source, load_campaign};
    use std::path::Path;

    #[test]
    fn the_template_is_right_and_means_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("my.toml");
        std::fs::write(&path, template("my")).unwrap();
        let settings = Settings::load(None).unwrap();
        let load = |source: Source| {
            load_campaign(
                &source,
                &Overrides::default(),
                &Env::default(),
                &settings,
                Path::new("/"),
            )
            .unwrap()
        };
        let (mine, embedded) = (load(Source::File(path)), load(Source::Embedded));
        assert_eq!(mine.difference(&embedded), None);
        let shown = report("my.toml", &embedded, true);
        assert!(
            shown.starts_with(
                "my.toml is right: pilot 190 (at most 570), then 34500 in 8 local jobs\n"
            ),
            "{shown}"
        );
        assert!(
            shown
                .lines()
                .any(|line| line.starts_with("quality_threshold") && line.ends_with("default"))
        );
    }
}
