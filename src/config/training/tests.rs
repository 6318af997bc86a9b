//! Every key of training at its place, and what is wrong with it in file and line.

use super::*;
use crate::config::{Env, Overrides, Settings as Daemon, Source, load_campaign};
use crate::machines::spec::CampaignSpec;
use std::fs;

const LLAMA: &str = r#"{"architectures": ["LlamaForCausalLM"]}"#;

/// A campaign file beside a model directory; its first line is a name.
fn load(text: &str) -> Result<CampaignSpec, Vec<Problem>> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("small")).unwrap();
    fs::write(dir.path().join("small/config.json"), LLAMA).unwrap();
    fs::create_dir(dir.path().join("bert")).unwrap();
    let bert = LLAMA.replace("Llama", "Bert");
    fs::write(dir.path().join("bert/config.json"), bert).unwrap();
    fs::write(dir.path().join("rows.jsonl"), "{}\n").unwrap();
    let path = dir.path().join("alttp.toml");
    fs::write(&path, format!("name = \"alttp\"\n{text}\n")).unwrap();
    load_campaign(
        &Source::File(path),
        &Overrides::default(),
        &Env::default(),
        &Daemon::load(None).unwrap(),
        dir.path(),
    )
}

fn train(text: &str) -> Result<(Settings, Vec<StageSpec>), Vec<Problem>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("train.toml");
    fs::write(&path, text).unwrap();
    load_training(Some(&path), dir.path())
}

#[test]
fn the_defaults_of_every_place_are_those_of_the_settings() {
    assert_eq!(
        load_training(None, Path::new("/")).unwrap(),
        (Settings::default(), Vec::new())
    );
    let spec = load("[curation]\n[training]\nmodel = \"small\"\ndataset = \"routing\"").unwrap();
    let training = spec.training.unwrap();
    assert_eq!(training.time_seconds, 24 * 3600);
    let run = &training.runs[0];
    assert_eq!(
        (run.name.as_str(), run.dataset),
        ("routing", Some(TrainingSet::Routing))
    );
    assert_eq!(run.settings, Settings::default());
    assert!(run.model.ends_with("/small"), "{}", run.model);
    let several = load(
        "[curation]\n[[training.run]]\nname = \"a\"\nmodel = \"small\"\ndataset = \"routing\"",
    )
    .unwrap();
    assert_eq!(several.training.unwrap().runs[0].settings, run.settings);
}

/// Every key at another value than its default, but for `packing`, which DPO forbids.
pub(super) const EVERY: &str = r#"
        r = 8
        lora_alpha = 4
        lora_dropout = 0.0
        target_modules = ["q_proj", "gate_proj"]
        use_rslora = true
        loss = "dpo"
        beta = 0.2
        learning_rate = 1e-5
        adam_beta1 = 0.8
        adam_beta2 = 0.99
        adam_epsilon = 1e-6
        weight_decay = 0.1
        max_grad_norm = 0
        lr_scheduler_type = "linear"
        warmup_steps = 7
        warmup_ratio = 0
        num_train_epochs = 1.5
        max_steps = 9
        per_device_train_batch_size = 2
        gradient_accumulation_steps = 3
        max_seq_length = 64
        packing = false
        shuffle = false
        seed = 1
        eval_steps = 4
        save_steps = 5
        early_stopping_patience = 6
        [rank_pattern]
        layers.0.self_attn.q_proj = 2
        "1.self_attn.q_proj" = 3
        [alpha_pattern]
        gate_proj = 1.5
        [[stage]]
        name = "analysis"
        data = "a.jsonl"
        [[stage]]
        replay_share = 0.15
        start = "merged"
    "#;

#[test]
fn every_key_of_train_toml_is_read() {
    let (read, stages) = train(EVERY).unwrap_or_else(|problems| panic!("{problems:?}"));
    let expected = serde_json::json!({
        "r": 8, "lora_alpha": 4.0, "lora_dropout": 0.0, "target_modules": ["q_proj", "gate_proj"],
        "rank_pattern": { "layers.0.self_attn.q_proj": 2, "1.self_attn.q_proj": 3 },
        "alpha_pattern": { "gate_proj": 1.5 }, "use_rslora": true, "loss": "dpo", "beta": 0.2,
        "learning_rate": 1e-5, "adam_beta1": 0.8, "adam_beta2": 0.99, "adam_epsilon": 1e-6,
        "weight_decay": 0.1, "max_grad_norm": 0.0, "lr_scheduler_type": "linear", "warmup_steps": 7,
        "warmup_ratio": 0.0, "num_train_epochs": 1.5, "max_steps": 9, "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 3, "max_seq_length": 64, "packing": false, "shuffle": false,
        "seed": 1, "eval_steps": 4, "save_steps": 5, "early_stopping_patience": 6,
    });
    assert_eq!(serde_json::to_value(&read).unwrap(), expected);
    let defaults = serde_json::to_value(Settings::default()).unwrap();
    let same = |(key, value): (&String, &serde_json::Value)| defaults[key] == *value;
    let same: Vec<_> = expected
        .as_object()
        .unwrap()
        .iter()
        .filter(|all| same(*all))
        .collect();
    assert_eq!(same.len(), 1, "only packing, which dpo forbids: {same:?}");
    assert_eq!(stages[0].name, "analysis");
    assert!(matches!(&stages[0].data, StageData::File(path) if path.ends_with("/a.jsonl")));
    assert_eq!(
        (stages[1].name.as_str(), stages[1].replay_share),
        ("stage2", 0.15)
    );
    assert_eq!(stages[1].data, StageData::OfRun);
}

#[test]
fn what_is_wrong_in_train_toml_is_named_with_its_line() {
    for (text, message, right) in [
        ("r = 0", "r is out of range", "1 to 4096"),
        ("r = \"8\"", "r has the wrong type", "a whole number"),
        ("lora_r = 8", "unknown key `lora_r`", "all keys"),
        (
            "learning_rate = nan",
            "learning_rate is out of range",
            "0 on",
        ),
        ("learning_rate = 0", "learning_rate cannot be 0", "above 0"),
        ("lora_dropout = 1", "lora_dropout cannot be 1", "below 1"),
        ("lora_alpha = 0", "lora_alpha cannot be 0", "above 0"),
        (
            "warmup_ratio = 1.5",
            "warmup_ratio is out of range",
            "0 to 1",
        ),
        (
            "target_modules = []",
            "target_modules cannot be []",
            "q_proj",
        ),
        (
            "target_modules = [\"all-linear\"]",
            "target_modules has no such value",
            "q_proj",
        ),
        ("loss = \"orpo\"", "loss has no such value", "\"dpo\""),
        (
            "rank_pattern = { q_proj = 0 }",
            "rank_pattern cannot be q_proj = 0",
            "1 to",
        ),
        (
            "rank_pattern = { q_proj = 1.5 }",
            "rank_pattern cannot be q_proj = 0",
            "1 to",
        ),
        (
            "rank_pattern = { q_proj = \"8\" }",
            "rank_pattern has the wrong type",
            "q_proj = 8",
        ),
        (
            "rank_pattern = { \"^q_proj\" = 8 }",
            "rank_pattern cannot be ^q_proj",
            "regular expressions",
        ),
        (
            "alpha_pattern = { up_proj = 8 }",
            "alpha_pattern cannot be up_proj",
            "target_modules",
        ),
        ("max_steps = -1", "max_steps is out of range", "0 to"),
        (
            "num_train_epochs = 0",
            "num_train_epochs cannot be 0",
            "max_steps",
        ),
        (
            "[[stage]]\nreplay_share = 0.1",
            "before it to replay",
            "later stages",
        ),
        (
            "[[stage]]\n[[stage]]\nreplay_share = 1",
            "out of range",
            "0.15",
        ),
        (
            "[[stage]]\nstart = \"base\"",
            "start has no such value",
            "merged",
        ),
        (
            "[[stage]]\nrows = \"a\"",
            "unknown key `rows`",
            "replay_share",
        ),
        ("[[stage]]\ndata = 7", "data has the wrong type", "a text"),
        (
            "[[stage]]\nname = \"a\"\n[[stage]]\nname = \"a\"",
            "two stages have the name a",
            "another name",
        ),
        ("r = 8\nr = 9", "no TOML", ""),
    ] {
        let found = train(&format!("# one line before\n{text}\n")).unwrap_err();
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].message.contains(message), "{text}\n{}", found[0]);
        let said = found[0].right.clone().unwrap_or_default();
        assert!(said.contains(right), "{text}\n{}", found[0]);
        assert!(found[0].line >= Some(2), "{text}: {:?}", found[0]);
        assert!(found[0].at.contains("train.toml:"), "{}", found[0]);
    }
    let all = train("r = 0\nlora_rank = 3\nbeta = -1\n").unwrap_err();
    assert_eq!(all.len(), 3, "all at once: {all:?}");
}

#[test]
fn runs_say_what_differs_and_keep_the_rest() {
    let text = r#"
        [curation]
        [training]
        model = "small"
        r = 8
        minimum_examples = 100
        time = "8h"
        merge = true
        [training.rank_pattern]
        q_proj = 4
        [[training.run]]
        dataset = "routing"
        minimum_examples = 5000
        [[training.run]]
        name = "prefers"
        dataset = "validation"
        loss = "dpo"
        r = 32
        device = "cpu"
        [[training.run]]
        name = "stages"
        dataset = "codegen"
        [[training.run.stage]]
        name = "analysis"
        [[training.run.stage]]
        data = "error_recovery"
        replay_share = 0.15
        start = "merged"
        [[training.run.stage]]
        data = "rows.jsonl"
        [evaluation]
        items = 50
        confidence = 0.9
    "#;
    let spec = load(text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let training = spec.training.as_ref().unwrap();
    assert_eq!(training.time_seconds, 8 * 3600);
    let [routing, prefers, stages] = training.runs.as_slice() else {
        panic!("{training:?}");
    };
    assert_eq!(
        (routing.name.as_str(), routing.minimum_examples),
        ("routing", 5000)
    );
    assert_eq!((routing.settings.r, routing.merge), (8, true));
    assert_eq!(routing.settings.rank_pattern["q_proj"], 4);
    assert_eq!(prefers.settings.r, 32);
    assert_eq!(prefers.minimum_examples, 100);
    assert_eq!(
        prefers.dataset.unwrap().directory(prefers.settings.loss),
        "validation_preferences"
    );
    assert_eq!(stages.stage_count(), 3);
    assert_eq!(stages.data(1), &StageData::OfRun);
    assert_eq!(stages.data(2), &StageData::Set(TrainingSet::ErrorRecovery));
    assert!(matches!(stages.data(3), StageData::File(path) if path.ends_with("/rows.jsonl")));
    let evaluation = spec.evaluation.as_ref().unwrap();
    assert_eq!((evaluation.items, evaluation.confidence), (50, 0.9));
    let found = spec
        .provenance
        .iter()
        .find(|one| one.key == "training.run.prefers.r")
        .unwrap();
    assert_eq!(found.value, "32");
    assert!(found.from.ends_with("alttp.toml:19"), "{}", found.from);
    assert_eq!(spec.problems(), Vec::<String>::new());
    let plain = load("[curation]").unwrap();
    assert!(
        plain
            .provenance
            .iter()
            .all(|one| !one.key.starts_with("training."))
    );
}

/// A text, what is wrong with it, what would be right, and the line; the campaign's name is line 1.
type Case = (String, &'static str, &'static str, Option<u32>);

fn cases() -> Vec<Case> {
    let run =
        "[curation]\n[[training.run]]\nname = \"a\"\nmodel = \"small\"\ndataset = \"routing\"\n";
    vec![
        (
            "[curation]\n[training]\ndataset = \"routing\"".to_string(),
            "no model to train",
            "model =",
            None,
        ),
        (
            "[training]\nmodel = \"small\"\ndataset = \"routing\"".into(),
            "without curation",
            "[curation]",
            Some(2),
        ),
        (
            "[evaluation]".into(),
            "without training",
            "[training]",
            Some(2),
        ),
        (
            "[[training.run]]\nname = \"a\"\nmodel = \"small\"\n[[training.run.stage]]\ndata = \"rows.jsonl\"\n[evaluation]".into(),
            "no held-out rows",
            "[curation]",
            Some(7),
        ),
        (
            "[curation]\nsplit = [0.9, 0.1, 0.0]\nunseen_templates = false\n[training]\nmodel = \"small\"\ndataset = \"routing\"\n[evaluation]".into(),
            "holds no rows out",
            "curation.split",
            Some(8),
        ),
        (
            "[curation]\n[training]\nmodel = \"none\"\ndataset = \"routing\"".into(),
            "no such file",
            "training.model",
            None,
        ),
        (
            "[curation]\n[training]\nmodel = \"small\"\ndataset = \"sql\"".into(),
            "no such value",
            "routing",
            Some(5),
        ),
        (
            format!("{run}r = 0"),
            "r is out of range",
            "1 to 4096",
            Some(7),
        ),
        (
            format!("{run}rr = 2"),
            "unknown key `training.run.rr`",
            "training.run.r",
            Some(7),
        ),
        (
            format!("{run}lora_dropout = 1.0"),
            "lora_dropout cannot be 1",
            "below 1",
            Some(7),
        ),
        (
            format!("{run}minimum_examples = 0"),
            "out of range",
            "1 to",
            Some(7),
        ),
        (
            format!("{run}[[training.run]]\nname = \"a\"\nmodel = \"small\"\ndataset = \"routing\""),
            "have the name a",
            "another name",
            Some(8),
        ),
        (
            "[curation]\n[generator]\ncommand = [\"make\"]\n[[training.run]]\nmodel = \"small\"".into(),
            "no name that can be one",
            "letters",
            Some(5),
        ),
        (
            "[curation]\n[[training.run]]\nname = \"a\"\ndataset = \"routing\"".into(),
            "no model to train",
            "under [training]",
            Some(3),
        ),
        (
            format!("{run}loss = \"dpo\""),
            "preferences",
            "validation",
            Some(6),
        ),
        (
            format!("{run}[[training.run.stage]]\nreplay_share = 0.5"),
            "to replay",
            "later",
            Some(3),
        ),
        (
            format!("{run}[[training.run.stage]]\ndata = \"none.jsonl\""),
            "no such file",
            "stage.data",
            None,
        ),
        (
            "[curation]\n[training]\nmodel = \"small\"\ndataset = \"routing\"\n[evaluation]\nconfidence = 0.2".into(),
            "confidence cannot be 0.2",
            "above 0.5",
            Some(7),
        ),
        (
            "[curation]\n[training]\nmodel = \"small\"".into(),
            "several data sets",
            "codegen",
            None,
        ),
        (
            "[curation]\n[training]\nmodel = \"small\"\ndataset = \"sft\"".into(),
            "no rows of the data set sft",
            "generator.command",
            Some(5),
        ),
        (
            "[curation]\n[training]\nmodel = \"bert\"\ndataset = \"routing\"".into(),
            "the architecture is BertForCausalLM",
            "one of these",
            None,
        ),
        (
            "[curation]\n[training]\nmodel = \"small\"\ndataset = \"routing\"\ntime = \"800h\"".into(),
            "longer than training may go",
            "720h",
            Some(6),
        ),
        (
            "[curation]\n[[training.run]]\nname = \"a\"\nmodel = \"small\"\nloss = \"dpo\"\n\
             [[training.run.stage]]\ndata = \"routing\""
                .into(),
            "which routing has none of",
            "validation",
            None,
        ),
        (
            format!("{run}[[training.run.stage]]\nstart = \"merged\""),
            "the first stage starts from the model",
            "later stages",
            None,
        ),
        (
            format!("{run}early_stopping_patience = 2\n[[training.run.stage]]\ndata = \"rows.jsonl\""),
            "early stopping looks at held-out rows",
            "data sets alone",
            Some(7),
        ),
    ]
}

#[test]
fn what_is_wrong_in_a_campaign_file_is_named_with_its_line() {
    for (text, message, right, line) in cases() {
        let found = load(&text).unwrap_err();
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].message.contains(message), "{text}\n{}", found[0]);
        let said = found[0].right.clone().unwrap_or_default();
        assert!(said.contains(right), "{text}\n{}", found[0]);
        if line.is_some() {
            assert_eq!(found[0].line, line, "{text}\n{}", found[0]);
        }
    }
}

#[test]
fn a_model_may_be_made_on_the_spot() {
    let text = "[curation]\n[training]\nmodel = \"made\"\ndataset = \"routing\"";
    let spec = load(text).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(spec.training.unwrap().runs[0].model, "made");
}

#[test]
fn the_example_has_the_four_models_of_the_specification_and_their_minima() {
    let dir = tempfile::tempdir().unwrap();
    let text = include_str!("../../../config/examples/fine-tunes.toml");
    let path = dir.path().join("fine-tunes.toml");
    fs::write(&path, text).unwrap();
    for model in [
        "Orchestrator-8B",
        "CodeLlama-7B",
        "Qwen2.5-7B",
        "Mistral-7B",
    ] {
        let model = dir.path().join("models").join(model);
        fs::create_dir_all(&model).unwrap();
        fs::write(model.join("config.json"), LLAMA).unwrap();
    }
    let load = || {
        load_campaign(
            &Source::File(path.clone()),
            &Overrides::default(),
            &Env::default(),
            &Daemon::load(None).unwrap(),
            dir.path(),
        )
    };
    let spec = load().unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(spec.problems(), Vec::<String>::new());
    let runs = spec.training.unwrap().runs;
    let needed: Vec<(Option<TrainingSet>, u64)> = runs
        .iter()
        .map(|run| (run.dataset, run.minimum_examples))
        .collect();
    assert_eq!(
        needed,
        [
            (Some(TrainingSet::Routing), 5000),
            (Some(TrainingSet::Codegen), 2000),
            (Some(TrainingSet::Validation), 3000),
            (Some(TrainingSet::ErrorRecovery), 1000),
        ]
    );
    assert_eq!((runs[0].settings.r, runs[1].settings.r), (16, 32));
    assert!(spec.evaluation.is_some());
    fs::remove_dir_all(dir.path().join("models/Mistral-7B")).unwrap();
    let problems = load().unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].at.ends_with("models/Mistral-7B/config.json"),
        "{}",
        problems[0]
    );
}

#[test]
fn rows_of_ones_own_need_no_curation() {
    let text = "[[training.run]]\nname = \"a\"\nmodel = \"small\"\n[[training.run.stage]]\ndata = \"rows.jsonl\"";
    let spec = load(text).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert!(spec.curation.is_none() && spec.training.is_some());
}

#[test]
fn what_runs_and_stages_say_has_a_row_each_and_a_name() {
    let text = "[curation]\n[training]\nmodel = \"small\"\ndataset = \"routing\"\n[[training.run]]\nr = 4\n\
                [[training.run.stage]]\nname = \"one\"\n[[training.run.stage]]\nreplay_share = 0.15";
    let spec = load(text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let rows: Vec<(&str, &str)> = spec
        .provenance
        .iter()
        .filter(|one| one.key.starts_with("training.run."))
        .map(|one| (one.key.as_str(), one.value.as_str()))
        .collect();
    assert_eq!(
        rows,
        [
            ("training.run.routing.r", "4"),
            ("training.run.routing.stage.1.name", "\"one\""),
            ("training.run.routing.stage.2.replay_share", "0.15"),
        ]
    );
}
