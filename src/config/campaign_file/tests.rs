//! Layers in order, and every kind of bad input with its place.

use super::*;
use std::fs;

fn load(text: &str, flags: &Overrides, env: &Env) -> Result<CampaignSpec, Vec<Problem>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alttp.toml");
    fs::write(&path, text).unwrap();
    load_campaign(
        &Source::File(path),
        flags,
        env,
        &Settings::load(None).unwrap(),
        dir.path(),
    )
}

fn problem(text: &str, variables: &[(&str, &str)]) -> Problem {
    let mut all = load(text, &Overrides::default(), &Env::of(variables)).unwrap_err();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn defaults_are_the_specifications() {
    let spec = load("name = \"alttp\"\n", &Overrides::default(), &Env::default()).unwrap();
    let criteria = &spec.criteria;
    assert_eq!(
        (
            criteria.pilot_target,
            criteria.min_pilot_samples,
            criteria.max_pilot_samples
        ),
        (190, 150, 570)
    );
    assert_eq!(
        (criteria.quality_threshold, criteria.gate),
        (0.75, GateKind::Confidence)
    );
    assert_eq!(
        (
            spec.campaign_target,
            spec.auto_launch,
            spec.generator.shards
        ),
        (34_500, true, 8)
    );
    assert_eq!(spec.curation, None, "a phase without its table is skipped");
}

#[test]
fn cycles_are_switched_on_where_something_says_what_they_vary() {
    let flags = Overrides {
        cycles: Some(2),
        ..Overrides::default()
    };
    let all = load("name = \"alttp\"\n", &flags, &Env::default()).unwrap_err();
    assert!(all[0].message.contains("no [planning]"), "{all:?}");
    let settings = Settings::load(None).unwrap();
    let here = Path::new("/");
    let quick = |flags| load_campaign(&Source::Embedded, flags, &Env::default(), &settings, here);
    let cycles = |flags| quick(flags).unwrap().planning.unwrap().cycles;
    assert_eq!((cycles(&Overrides::default()), cycles(&flags)), (1, 2));
}

#[test]
fn later_layers_win_and_say_whom_they_overruled() {
    let text = "name = \"alttp\"\nquality_threshold = 0.7\n";
    let env = Env::of(&[("QUALITY_THRESHOLD", "0.8")]);
    let from = |spec: &CampaignSpec| {
        let found = spec
            .provenance
            .iter()
            .find(|set| set.key == "quality_threshold")
            .unwrap();
        found.from.clone()
    };
    let file = load(text, &Overrides::default(), &Env::default()).unwrap();
    assert_eq!(file.criteria.quality_threshold, 0.7);
    assert!(from(&file).ends_with("alttp.toml:2"), "{}", from(&file));
    let variable = load(text, &Overrides::default(), &env).unwrap();
    assert_eq!(variable.criteria.quality_threshold, 0.8);
    assert!(
        from(&variable).starts_with("QUALITY_THRESHOLD (")
            && from(&variable).ends_with("says 0.7)")
    );
    let flags = Overrides {
        quality_threshold: Some(0.9),
        no_auto_launch: true,
        ..Overrides::default()
    };
    let flag = load(text, &flags, &env).unwrap();
    assert_eq!(
        (flag.criteria.quality_threshold, flag.auto_launch),
        (0.9, false)
    );
    assert!(from(&flag).starts_with("--quality-threshold ("));
}

#[test]
fn the_specifications_variables_work() {
    let env = Env::of(&[
        ("CAMPAIGN_TARGET", "50"),
        ("AUTO_LAUNCH", "false"),
        ("MIN_PILOT_SAMPLES", "160"),
    ]);
    let spec = load("name = \"a\"\n", &Overrides::default(), &env).unwrap();
    assert_eq!(
        (
            spec.campaign_target,
            spec.auto_launch,
            spec.criteria.min_pilot_samples
        ),
        (50, false, 160)
    );
}

#[test]
fn bad_input_names_its_place_and_what_would_be_right() {
    let named = |rest: &str| format!("name = \"alttp\"\n{rest}\n");
    let cases = [
        (
            named("quality_treshold = 0.8"),
            "unknown key `quality_treshold`",
            "`quality_threshold`",
        ),
        (
            named("quality_threshold = \"high\""),
            "wrong type",
            "0 to 1",
        ),
        (named("quality_threshold = 1.5"), "out of range", "0 to 1"),
        (named("quality_threshold = nan"), "out of range", "0 to 1"),
        (named("pilot_target = 0"), "out of range", "1 to"),
        (named("gate = \"open\""), "no such value", "\"point\""),
        (named("executor = \"pbs\""), "no such value", "slurm"),
        (
            named("executor = \"slurm\"\nslurm = { time = \"soon\" }"),
            "slurm.time cannot be read",
            "4:00:00",
        ),
        (
            named("[generator]\nslurm = { mem = \"32X\" }\nexecutor = \"slurm\""),
            "generator.slurm.mem cannot be read",
            "32G",
        ),
        (
            named("campaign_target = 90000000"),
            "90",
            "smaller campaign_target",
        ),
        (
            named("[planning]\ncycles = 1"),
            "there is no [training] to plan",
            "check --keys",
        ),
        (named("[generator]\ntime = \"soon\""), "no duration", "48h"),
        (named("[generator]\ncommand = []"), "empty", "{output}"),
        (
            named("[generator]\ncommand = [\"x\", \"{outptu}\"]"),
            "{outptu}",
            "{output}",
        ),
        (
            named("[generator]\nshards = 51"),
            "more shards",
            "at most 50",
        ),
        (
            named("[generator]\nbrain = \"endpoint\""),
            "no model to ask",
            "[generator.tiers.local_small]",
        ),
        (
            named("[curation]\nsplit = [0.5, 0.1, 0.1]"),
            "no split",
            "[0.8, 0.1, 0.1]",
        ),
        ("quality_threshold = 0.8\n".into(), "no name", "alttp"),
        ("name = \"a b\"\n".into(), "cannot be a name", "letters"),
    ];
    for (text, message, right) in cases {
        let found = problem(&text, &[]);
        assert!(found.message.contains(message), "{text}\n{found}");
        assert!(
            found.right.clone().unwrap_or_default().contains(right),
            "{text}\n{found}"
        );
    }
    let found = problem(&named("quality_treshold = 0.8"), &[]);
    assert_eq!(
        (found.line, found.key.as_deref()),
        (Some(2), Some("quality_treshold"))
    );
    assert!(
        found.at.ends_with("alttp.toml:2   quality_treshold = 0.8"),
        "{}",
        found.at
    );
    let syntax = problem("name = \n", &[]);
    assert_eq!(syntax.line, Some(1));
    assert!(syntax.message.contains("no TOML"), "{syntax}");
}

#[test]
fn a_percentage_in_the_environment_is_explained() {
    let found = problem(
        "name = \"a\"\nquality_threshold = 0.7\n",
        &[("QUALITY_THRESHOLD", "80")],
    );
    assert!(
        found.at.contains("environment QUALITY_THRESHOLD = \"80\"") && found.at.contains("over"),
        "{found}"
    );
    assert_eq!(
        found.right.as_deref(),
        Some("0 to 1; for 80 percent: QUALITY_THRESHOLD=0.80")
    );
}

#[test]
fn all_problems_come_at_once_and_missing_files_are_said() {
    let text = "name = \"a\"\nx = 1\ny = 2\n";
    assert_eq!(
        load(text, &Overrides::default(), &Env::default())
            .unwrap_err()
            .len(),
        2
    );
    let settings = Settings::load(None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let of = |path: PathBuf| {
        let all = load_campaign(
            &Source::File(path),
            &Overrides::default(),
            &Env::default(),
            &settings,
            dir.path(),
        );
        all.unwrap_err().remove(0).message
    };
    assert_eq!(of(dir.path().join("none.toml")), "there is no such file");
    assert_eq!(
        of(dir.path().to_path_buf()),
        "this is a directory, not a file"
    );
}

#[test]
fn the_embedded_campaign_curates_and_trains_a_model_that_nobody_must_have() {
    let settings = Settings::load(None).unwrap();
    let spec = load_campaign(
        &Source::Embedded,
        &Overrides::default(),
        &Env::default(),
        &settings,
        Path::new("/"),
    )
    .unwrap();
    assert_eq!(spec.name.as_str(), "quickstart");
    assert!(spec.curation.is_some());
    let runs = spec.training.unwrap().runs;
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].model, crate::training::base::MADE);
    assert_eq!(runs[0].settings.target_modules.len(), 7);
    assert!(spec.evaluation.is_some());
}

#[test]
fn the_example_of_models_is_right_and_says_where_each_agent_goes() {
    use crate::trajectory::record::{Agent, Tier};
    let text = include_str!("../../../config/examples/endpoint.toml");
    let spec = load(text, &Overrides::default(), &Env::default()).unwrap();
    let agents = &spec.generator.agents;
    assert_eq!(spec.generator.brain, Brain::Endpoint);
    let tiers: Vec<Tier> = agents.tiers.iter().map(|tier| tier.tier).collect();
    assert_eq!(tiers, [Tier::LocalLarge, Tier::CloudSmall]);
    assert_eq!(agents.tiers[1].cached_price, 0.075);
    assert_eq!(agents.tiers[1].api_key, "env:API_KEY");
    assert!(
        agents
            .routing
            .contains(&(Agent::Validator, Tier::CloudSmall))
    );
    assert_eq!(spec.budget.unwrap().usd, Some(20.0));
    assert!(spec.curation.is_some());
}

#[test]
fn models_that_cannot_be_asked_are_refused_with_what_would_be_right() {
    let one = |tier: &str| {
        let text = format!(
            "name = \"a\"\n[generator]\nbrain = \"endpoint\"\n[generator.tiers.local_small]\n{tier}\n"
        );
        problem(&text, &[])
    };
    let whole = "url = \"http://h/v1\"\nmodel = \"m\"\n";
    for (tier, key) in [
        (
            "model = \"m\"".to_owned(),
            "generator.tiers.local_small.url",
        ),
        (
            "url = \"http://h/v1\"".to_owned(),
            "generator.tiers.local_small.model",
        ),
        (
            whole.replace("http:", "ftp:"),
            "generator.tiers.local_small.url",
        ),
        (
            format!("{whole}prompt_price = -1"),
            "generator.tiers.local_small.prompt_price",
        ),
        (
            format!("{whole}[generator.routing]\ncodegen = \"cloud_large\""),
            "generator.routing.codegen",
        ),
    ] {
        let found = one(&tier);
        assert_eq!(found.key.as_deref(), Some(key), "{found:?}");
        assert!(found.right.is_some() || key.ends_with("price"), "{found:?}");
    }
}

/// A key that somebody wrote into the file is shown to nobody, and neither is a password in a URL.
#[test]
fn a_secret_in_the_file_is_refused_and_not_shown() {
    let text = |line: &str| {
        format!(
            "name = \"a\"\n[generator]\nbrain = \"endpoint\"\n[generator.tiers.local_small]\nmodel = \"m\"\n{line}\n"
        )
    };
    for line in [
        "url = \"http://h/v1\"\napi_key = \"sk-hunter2\"",
        "url = \"http://me:sk-hunter2@h/v1\"",
    ] {
        let found = problem(&text(line), &[]);
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
}

#[test]
fn a_phase_says_where_it_runs_and_what_it_asks_for() {
    use crate::machines::job::Phase;
    let text = "name = \"alttp\"\nexecutor = \"slurm\"\n[slurm]\npartition = \"main\"\nmem = \"32G\"\ntime = \"4:00:00\"\n\
                [generator]\nshards = 5000\nslurm = { mem = \"2G\", cpus_per_task = 2 }\n\
                [curation]\nexecutor = \"local\"\n";
    let spec = load(text, &Overrides::default(), &Env::default()).unwrap();
    let generation = &spec.slurm[&Phase::Generate];
    assert_eq!(generation, &spec.slurm[&Phase::Pilot]);
    assert_eq!(
        (
            generation.partition.as_str(),
            generation.mem_mib,
            generation.cpus_per_task
        ),
        ("main", Some(2_048), Some(2))
    );
    assert_eq!(generation.time_seconds, Some(14_400));
    assert_eq!(spec.slurm[&Phase::Train].mem_mib, Some(32_768));
    assert!(!spec.on_slurm(Phase::Curate));
    // Here as many shards as may run at once, there as many as one likes.
    let here = text.replace("[generator]", "[generator]\nexecutor = \"local\"");
    let refused = load(&here, &Overrides::default(), &Env::default()).unwrap_err();
    assert!(
        refused[0].message.contains("more shards than jobs may run"),
        "{refused:?}"
    );
    let ours = "name = \"a\"\nexecutor = \"slurm\"\nslurm = { extra = [\"--array=1-9\"] }\n";
    let refused = load(ours, &Overrides::default(), &Env::default()).unwrap_err();
    assert!(
        refused[0].message.contains("campaignd's to say"),
        "{refused:?}"
    );
}
