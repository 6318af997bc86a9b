//! What `check` prints, and the file `init` writes.

use super::{
    execution::OF_A_DATASET,
    keys::{self, Key, Kind},
    training::{MEMBER, OF_A_STAGE, RUN, SWEEP},
};
use crate::machines::spec::CampaignSpec;

/// The headline and the table of settings that are not at their defaults, or of all.
pub fn report(file: &str, spec: &CampaignSpec, all: bool) -> String {
    let criteria = &spec.criteria;
    let run = spec.execution.as_ref().map_or(String::new(), |spec| {
        let (workflows, sets) = (spec.workflows, spec.datasets.len());
        let on = match sets {
            0 => String::new(),
            1 => " on 1 test data set".into(),
            several => format!(" on {several} test data sets"),
        };
        let jobs = if spec.shards == 1 { "job" } else { "jobs" };
        format!(
            ", then at most {workflows} workflows run{on} in {} {jobs}",
            spec.shards
        )
    });
    let runs = spec.training.as_ref().map_or(0, |spec| spec.runs.len());
    let tuned = match runs {
        0 => String::new(),
        1 => ", then 1 fine-tune".into(),
        several => format!(", then {several} fine-tunes"),
    };
    let mut text = format!(
        "{file} is right: pilot {} (at most {}), then {} in {} {} jobs{run}{tuned}\n",
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
        let rows = keys.iter().map(row).collect();
        text += &format!("{title}\n{}", columns(rows));
        if title == "a campaign file" {
            text += &repeated();
        }
    }
    text + &sweep()
}

/// What a sweep has beside the hyperparameters.
fn sweep() -> String {
    let own = [SWEEP[0], SWEEP[2], MEMBER[0]];
    let own = own.into_iter().flatten().map(row).collect();
    format!(
        "sweep.toml; also every hyperparameter of [training], at the top and in each [[member]]\n{}",
        columns(own)
    )
}

/// The tables that a campaign file may have several of.
fn repeated() -> String {
    // The hyperparameters and what stands beside them are those of `[training]`.
    let own = RUN[0].iter().map(row).collect();
    let stage = OF_A_STAGE.map(|(name, sentence)| {
        let name = format!("training.run.stage.{name}");
        [name, "-".into(), String::new(), sentence.into()]
    });
    let dataset = OF_A_DATASET.map(|(name, sentence)| {
        let name = format!("test_dataset.{name}");
        [name, "-".into(), String::new(), sentence.into()]
    });
    format!(
        "[[test_dataset]] in a campaign file, once for each data set that [execution] runs workflows on\n{}\
         [[training.run]] in a campaign file, once for each fine-tune; also every key of [training] but time\n{}\
         [[training.run.stage]], once for each of its stages; [[stage]] in train.toml\n{}",
        columns(dataset.into()),
        columns(own),
        columns(stage.into())
    )
}

/// Name, default, kind, sentence.
fn row(key: &Key) -> [String; 4] {
    let default = if key.default.is_empty() {
        "-"
    } else {
        key.default
    };
    [
        key.name.into(),
        default.into(),
        kind(key).into(),
        key.sentence.into(),
    ]
}

/// Rows under each other, as wide as what is in them, but for what is much longer than the rest.
fn columns(rows: Vec<[String; 4]>) -> String {
    const WIDEST: usize = 24;
    let width = |at: usize, most: usize| {
        let all = rows.iter().map(|row| row[at].len());
        all.filter(|len| *len <= most).max().unwrap_or(0)
    };
    let (name, default, kind) = (width(0, usize::MAX), width(1, WIDEST), width(2, WIDEST));
    let line = |row: &[String; 4]| {
        let [one, two, three, four] = row;
        format!("  {one:<name$}  {two:<default$}  {three:<kind$}  {four}\n")
    };
    rows.iter().map(line).collect()
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
        Kind::Numbers | Kind::Domains => "table",
    }
}

/// The phases that a campaign file to begin with does not ask for: they take longer than data alone.
const OFFERED: [&str; 5] = ["execution", "training", "evaluation", "planning", "slurm"];

/// A campaign file to begin with: every key, at its default, with its sentence.
pub fn template(name: &str) -> String {
    let mut text = format!(
        "# A campaign: campaignd check shows what it means, campaignd run runs it.\nname = \"{name}\"\n"
    );
    let mut table = "";
    // A table of a tier says that there is one.
    // What a phase may say of SLURM by itself is as in [slurm].
    let own = |key: &&Key| key.name.contains(".slurm.") || key.name.ends_with(".executor");
    let plain = |key: &&Key| {
        !shown(key).is_empty() && !key.name.starts_with("generator.tiers.") && !own(key)
    };
    for key in keys::CAMPAIGN.iter().filter(plain) {
        let (inside, short) = key.name.split_once('.').unwrap_or(("", key.name));
        let offered = OFFERED.contains(&inside);
        let mark = if offered { "# " } else { "" };
        if inside != table {
            text += &format!("\n{mark}[{inside}]\n");
            table = inside;
        }
        // A command and a brain exclude each other.
        let comment = if offered || key.name == "generator.command" {
            "# "
        } else {
            ""
        };
        let set = format!("{comment}{short} = {}", shown(key));
        text += &format!("{set:<32} # {:<8} {}\n", key.unit, key.sentence);
    }
    text + &datasets() + &runs()
}

/// Test data, offered: behind the tables that a file has once.
fn datasets() -> String {
    let mut text =
        "\n# One for each data set that [execution] runs workflows on.\n# [[test_dataset]]\n"
            .to_string();
    for (name, sentence) in OF_A_DATASET {
        let value = match name {
            "name" => "\"rnaseq_human_small\"",
            "analysis_type" => "\"rna_seq\"",
            "organism" => "\"human\"",
            "size" => "\"small\"",
            "samples" => "4",
            "fastq_paths" => "[]",
            "reference_path" => "\"\"",
            _ => "{}",
        };
        let set = format!("# {name} = {value}");
        text += &format!("{set:<32} # {:<8} {sentence}\n", "");
    }
    text
}

/// Several fine-tunes, offered: behind the tables that a file has once.
fn runs() -> String {
    let mut text = "\n# One for each of several fine-tunes; any key of [training] but time holds for it alone.\n\
                    # [[training.run]]\n# name = \"routing\"\n# [[training.run.stage]]\n"
        .to_string();
    for (name, sentence) in OF_A_STAGE {
        let value = match name {
            "replay_share" => "0.0",
            "start" => "\"adapter\"",
            "data" => "\"routing\"",
            _ => "\"first\"",
        };
        let set = format!("# {name} = {value}");
        text += &format!("{set:<32} # {:<8} {sentence}\n", "");
    }
    text
}

/// A key's default, or what may stand for one that a phase cannot do without.
fn shown(key: &Key) -> &'static str {
    match key.name {
        "training.model" => "\"made\"",
        "training.dataset" => "\"routing\"",
        "planning.vary" => "{ r = [8, 16, 32], learning_rate = \"1e-5..1e-3:log\" }",
        _ => key.default,
    }
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
        let (mine, mut embedded) = (load(Source::File(path)), load(Source::Embedded));
        // What the quickstart trains is its own: a template cannot know which model is there.
        (embedded.training, embedded.evaluation) = (None, None);
        embedded.planning = None;
        assert_eq!(mine.difference(&embedded), None);
        let path = dir.path().join("all.toml");
        let text = template("my").replace(&runs(), "").replace(&datasets(), "");
        let text = text + "\n[[test_dataset]]\nname = \"small\"\n";
        let asked = |line: &str| match line.strip_prefix("# ") {
            Some(rest) if !rest.starts_with("A campaign") && !rest.starts_with("command") => {
                rest.to_string()
            }
            _ => line.to_string(),
        };
        let all: Vec<String> = text.lines().map(asked).collect();
        std::fs::write(&path, all.join("\n")).unwrap();
        let all = load(Source::File(path));
        let run = &all.training.unwrap().runs[0];
        assert_eq!(run.settings, crate::training::settings::Settings::default());
        assert_eq!(run.name, "routing");
        let defaults = crate::machines::spec::EvaluationSettings::default();
        assert_eq!(all.evaluation, Some(defaults));
        let execution = all.execution.unwrap();
        assert_eq!(execution.datasets.len(), 1);
        let datasets = execution.datasets.clone();
        let defaults = crate::machines::spec::ExecutionSpec::default();
        assert_eq!(
            execution,
            crate::machines::spec::ExecutionSpec {
                datasets,
                ..defaults
            }
        );
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

    #[test]
    fn the_keys_of_a_sweep_are_listed() {
        let all = all_keys();
        for key in [SWEEP[0], SWEEP[2], MEMBER[0]].into_iter().flatten() {
            assert!(all.contains(&format!("\n  {} ", key.name)), "{}", key.name);
        }
    }
}
