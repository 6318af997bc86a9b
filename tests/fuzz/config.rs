//! Files that people write: campaigns, settings, the words of the queries.

use crate::{
    mutation::{anything, mutated, reworded},
    property::{Seen, holds},
};
use campaignd::{
    config::{Env, Overrides, Problem, Settings, Source, load_campaign},
    generation::vocabulary,
    machines::spec::CampaignSpec,
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use std::{fs, path::Path};

const CAMPAIGN: &str = r#"name = "alttp"
campaign_target = 34500
quality_threshold = 0.75
pilot_target = 190
min_pilot_samples = 150
max_pilot_samples = 570
gate = "confidence"
auto_launch = true
executor = "local"
seed = 7

[generator]
shards = 8
time = "48h"
evidence = "samples"
command = ["python3", "generate.py", "--out", "{output}", "--n", "{target}"]

[curation]
min_quality = 0.7
split = [0.8, 0.1, 0.1]
"#;

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name);
    fs::read_to_string(path).unwrap()
}

fn files(valid: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    prop_oneof![
        1 => anything(),
        1 => "[a-z]{1,9} = [a-z0-9\"\\[\\]{}.,=]{0,20}".prop_map(String::into_bytes),
        3 => mutated(valid.as_bytes().to_vec()),
        3 => reworded(valid, '=').prop_map(String::into_bytes),
    ]
}

fn load(path: &Path) -> Result<CampaignSpec, Vec<Problem>> {
    let (flags, env) = (Overrides::default(), Env::default());
    let settings = Settings::load(None).unwrap();
    load_campaign(
        &Source::File(path.into()),
        &flags,
        &env,
        &settings,
        Path::new("/"),
    )
}

/// Each problem is a sentence that says where.
fn sentences(problems: &[Problem], seen: &Seen) -> TestCaseResult {
    seen.note("refused");
    prop_assert!(!problems.is_empty());
    for problem in problems {
        prop_assert!(
            !problem.message.is_empty() && !problem.message.contains('\n'),
            "{:?}",
            problem
        );
        prop_assert!(!problem.at.is_empty(), "{:?}", problem);
    }
    Ok(())
}

/// A file that sets every value of a campaign, as its provenance names them.
fn written(spec: &CampaignSpec) -> String {
    let (mut top, mut tables) = (String::new(), String::new());
    for set in &spec.provenance {
        let foreign = !spec.generator.command.is_empty();
        // The two exclude each other.
        if set.key
            == if foreign {
                "generator.brain"
            } else {
                "generator.command"
            }
        {
            continue;
        }
        match set.key.split_once('.') {
            None => top += &format!("{} = {}\n", set.key, set.value),
            Some(("curation", _)) if spec.curation.is_none() => {}
            Some((table, key)) => tables += &format!("[{table}]\n{key} = {}\n", set.value),
        }
    }
    // A table may be opened only once.
    let mut open = "";
    for line in tables.lines() {
        if !line.starts_with('[') {
            top += &format!("{line}\n");
        } else if line != open {
            open = line;
            top += &format!("{line}\n");
        }
    }
    top
}

#[test]
fn a_campaign_file_is_a_campaign_or_sentences() {
    let dir = tempfile::tempdir().unwrap();
    let (path, again) = (dir.path().join("alttp.toml"), dir.path().join("again.toml"));
    let expected = ["accepted", "refused"];
    holds(
        "a_campaign_file",
        1,
        &expected,
        files(CAMPAIGN),
        |bytes, seen| {
            fs::write(&path, &bytes).unwrap();
            let spec = match load(&path) {
                Ok(spec) => spec,
                Err(problems) => return sentences(&problems, seen),
            };
            seen.note("accepted");
            // What the file may ask for, the daemon takes.
            prop_assert_eq!(spec.problems(), Vec::<String>::new());
            let json = serde_json::to_vec(&spec).unwrap();
            prop_assert_eq!(
                &serde_json::from_slice::<CampaignSpec>(&json).unwrap(),
                &spec
            );
            fs::write(&again, written(&spec)).unwrap();
            let back = load(&again);
            prop_assert!(back.is_ok(), "{:?}\n{}", back, written(&spec));
            prop_assert_eq!(back.unwrap().difference(&spec), None);
            Ok(())
        },
    );
}

#[test]
fn a_settings_file_is_settings_or_sentences() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("campaignd.toml");
    let input = files(&shipped("campaignd.toml"));
    holds(
        "a_settings_file",
        1,
        &["accepted", "refused"],
        input,
        |bytes, seen| {
            fs::write(&path, &bytes).unwrap();
            match Settings::load(Some(&path)) {
                Ok(settings) => {
                    seen.note("accepted");
                    prop_assert!(settings.limits.max_concurrent_jobs > 0);
                    Ok(())
                }
                Err(problems) => sentences(&problems, seen),
            }
        },
    );
}

#[test]
fn a_value_is_taken_or_complained_of_but_never_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alttp.toml");
    let plain = CAMPAIGN.replace("seed = 7\n", "");
    let value = prop_oneof![
        "[0-9]{1,20}",
        "[0-9]\\.[0-9]",
        "\"[0-9]{0,3}\"",
        "\\[[0-9]{0,2}\\]",
        Just("{ a = 1 }".to_owned()),
        Just("1979-05-27".to_owned()),
        Just("[\n1,\n2\n]".to_owned()),
        Just("inf".to_owned()),
        Just("0x1F".to_owned()),
    ];
    let key = prop::sample::select(vec!["seed", "seed.x", "seed . x", "\"seed\"", "'seed'"]);
    holds(
        "a_value",
        2,
        &["taken", "refused"],
        (key, value),
        |(key, value), seen| {
            fs::write(&path, format!("{key} = {value}\n{plain}")).unwrap();
            match load(&path) {
                Ok(spec) => {
                    seen.note("taken");
                    let set = spec
                        .provenance
                        .iter()
                        .find(|set| set.key == "seed")
                        .unwrap();
                    prop_assert!(
                        set.from.contains("alttp.toml"),
                        "{} = {} was dropped",
                        key,
                        value
                    );
                }
                Err(problems) => sentences(&problems, seen)?,
            }
            Ok(())
        },
    );
}

#[test]
fn a_query_file_is_words_or_a_sentence() {
    let input = files(&shipped("queries.toml"));
    holds(
        "a_query_file",
        4,
        &["accepted", "refused"],
        input,
        |bytes, seen| {
            let Ok(text) = String::from_utf8(bytes) else {
                return Ok(());
            };
            match vocabulary::parse(&text) {
                Ok(_) => seen.note("accepted"),
                Err(error) => {
                    seen.note("refused");
                    prop_assert!(!error.message().is_empty());
                }
            }
            Ok(())
        },
    );
}
