//! Requests of training and evaluation jobs, against data sets on disk.

use super::*;
use crate::{
    machines::{
        campaign::Campaign,
        event::Event,
        job::{self, Phase, Task},
        spec::{CurationSpec, EvaluationSettings, Parts, StageSpec, TrainingSpec},
        step::step,
    },
    manifest::RUN_MANIFEST,
    time::Timestamp,
    training::{
        base::{BaseSettings, MADE},
        settings::Settings,
        words::Device,
    },
};

const NOW: Timestamp = Timestamp(1_772_442_842_000);

/// A state directory with a campaign's data set in it, and a model beside.
struct Disk {
    dir: tempfile::TempDir,
    state: StateDir,
}

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path().join("state"));
        let disk = Self { dir, state };
        disk.write("small/config.json", 1);
        let config = r#"{"architectures": ["LlamaForCausalLM"]}"#;
        fs::write(disk.path("small/config.json"), config).unwrap();
        for set in ["routing", "codegen", "validation_preferences"] {
            for split in ["train", "validation", "test", "test_unseen_template"] {
                let rows = if split == "train" { 30 } else { 3 };
                disk.write(
                    &format!("state/campaigns/a/dataset/{set}/{split}.jsonl"),
                    rows,
                );
            }
        }
        disk.write("state/campaigns/a/dataset/validation/test.jsonl", 3);
        disk.write("state/campaigns/a/dataset/validation/train.jsonl", 0);
        disk
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, lines: usize) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{}\n".repeat(lines)).unwrap();
    }

    fn set(&self, set: &str, split: &str) -> String {
        let file = format!("state/campaigns/a/dataset/{set}/{split}.jsonl");
        text(&self.path(&file))
    }

    fn run(&self, name: &str, dataset: Option<TrainingSet>) -> RunSpec {
        RunSpec {
            name: name.into(),
            model: text(&self.path("small")),
            dataset,
            minimum_examples: 30,
            merge: false,
            device: Device::Cpu,
            settings: Settings::default(),
            stages: Vec::new(),
        }
    }

    /// A campaign that trains these.
    fn tree(&self, runs: Vec<RunSpec>) -> CampaignTree {
        let mut spec = CampaignSpec::bare("a");
        spec.curation = Some(CurationSpec::default());
        spec.training = Some(TrainingSpec {
            runs: runs.clone(),
            time_seconds: 60,
        });
        spec.evaluation = Some(EvaluationSettings::default());
        let mut tree = CampaignTree::new(Campaign::draft(spec, Parts::Whole, NOW));
        for run in runs {
            let record = TrainingRun {
                cycle: 1,
                stages: run.stage_count(),
                name: run.name,
                stage: 1,
                state: State::Running,
                started_at: NOW,
                ended_at: None,
            };
            tree.runs.insert(record.key(), record);
        }
        tree
    }

    fn ask(&self, tree: &CampaignTree, run: &str, stage: u32) -> Result<FineTune, String> {
        let job = Job {
            id: tree.campaign.id.effect(1),
            phase: Phase::Train,
            round: 1,
            run: Some(TrainingRun::key_of(1, run)),
            stage,
            attempt: 1,
            state: job::State::Waiting,
            tasks: vec![Task {
                shard: 0,
                shards: 1,
                target: 0,
                end: None,
            }],
            retry_of: None,
            interrupted: false,
            silent_since: None,
            created_at: NOW,
            launched_at: None,
            ended_at: None,
            time_seconds: None,
            slurm: None,
            gpus: 0,
        };
        fine_tune(&self.state, tree, &job).map_err(|trouble| match trouble {
            Trouble::Never(text) => text,
            Trouble::Io(error) => panic!("{error}"),
        })
    }

    /// What a stage leaves.
    fn train(&self, run: &str, stage: u32) {
        let dir = self.path(&format!("state/campaigns/a/runs/run-1-{run}"));
        let paths = run::stage(&dir, &run::read(&dir).unwrap(), stage).unwrap();
        for file in [&paths.adapter.join("adapter_config.json"), &paths.rows] {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "{}\n").unwrap();
        }
        if let Some(merged) = paths.merged {
            fs::create_dir_all(&merged).unwrap();
            fs::write(merged.join("config.json"), "{}\n").unwrap();
        }
    }
}

fn stage(data: StageData, replay_share: f64, start: Start) -> StageSpec {
    StageSpec {
        name: String::new(),
        data,
        replay_share,
        start,
    }
}

#[test]
fn a_halved_batch_leaves_a_step_its_rows() {
    for ((batch, accumulation, times), right) in [
        ((32, 1, 0), (32, 1)),
        ((32, 1, 1), (16, 2)),
        ((32, 2, 3), (4, 16)),
        ((6, 1, 1), (3, 2)),
        ((6, 1, 2), (1, 6)),
        ((5, 2, 1), (2, 5)),
        ((7, 3, 1), (3, 7)),
        ((1, 4, 3), (1, 4)),
    ] {
        let settings = Settings {
            per_device_train_batch_size: batch,
            gradient_accumulation_steps: accumulation,
            ..Settings::default()
        };
        let halved = super::halved(&settings, times);
        let found = (
            halved.per_device_train_batch_size,
            halved.gradient_accumulation_steps,
        );
        assert_eq!(found, right, "{batch} x {accumulation}, {times} times");
        assert_eq!(found.0 * found.1, batch * accumulation);
    }
}

#[test]
fn one_stage_is_asked_for_with_its_manifest_written_before() {
    let disk = Disk::new();
    let tree = disk.tree(vec![disk.run("r", Some(TrainingSet::Routing))]);
    let dir = disk.path("state/campaigns/a/runs/run-1-r");
    let job = disk.ask(&tree, "r", 1).unwrap();
    assert_eq!(job.data, [disk.set("routing", "train")]);
    assert_eq!(job.holdout, [disk.set("routing", "validation")]);
    assert_eq!(
        (job.output, job.name.as_str(), job.merge, job.minimum),
        (text(&dir), "r", false, 30)
    );
    let of = job.stage.unwrap();
    assert_eq!((of.number, of.of, of.replay_share), (1, 1, 0.0));
    let names: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|one| one.unwrap().file_name())
        .collect();
    assert_eq!(names, [RUN_MANIFEST], "no directory is made ahead");
    let manifest = run::read(&dir).unwrap();
    assert_eq!(manifest.run_metadata.run_id, "a-run-1-r");
    assert_eq!(manifest.run_metadata.timestamp, NOW.to_string());
    assert_eq!(manifest.run_metadata.base_model, "small");
    assert_eq!(manifest.stages(), 1);
    let before = fs::read(dir.join(RUN_MANIFEST)).unwrap();
    disk.ask(&tree, "r", 1).unwrap();
    assert_eq!(fs::read(dir.join(RUN_MANIFEST)).unwrap(), before);
}

#[test]
fn too_few_rows_of_any_run_keep_all_from_being_launched() {
    let disk = Disk::new();
    let mut greedy = disk.run("greedy", Some(TrainingSet::Codegen));
    greedy.minimum_examples = 5000;
    let tree = disk.tree(vec![disk.run("r", Some(TrainingSet::Routing)), greedy]);
    for run in ["r", "greedy"] {
        let why = disk.ask(&tree, run, 1).unwrap_err();
        assert_eq!(
            why,
            "codegen has 30 training rows, 5,000 are needed (training.run.minimum_examples)"
        );
    }
    assert!(!disk.path("state/campaigns/a/runs").exists());
}

#[test]
fn without_held_out_rows_nothing_is_launched_that_is_to_be_evaluated() {
    let disk = Disk::new();
    for split in ["test", "test_unseen_template"] {
        disk.write(
            &format!("state/campaigns/a/dataset/routing/{split}.jsonl"),
            0,
        );
    }
    let mut tree = disk.tree(vec![disk.run("r", Some(TrainingSet::Routing))]);
    let why = disk.ask(&tree, "r", 1).unwrap_err();
    assert!(
        why.ends_with("dataset has no held-out rows of routing"),
        "{why}"
    );
    assert!(!disk.path("state/campaigns/a/runs").exists());
    tree.campaign.spec.evaluation = None;
    disk.ask(&tree, "r", 1).unwrap();
}

#[test]
fn what_is_not_there_is_named() {
    let disk = Disk::new();
    let mut lost = disk.run("r", Some(TrainingSet::Routing));
    lost.model = text(&disk.path("gone"));
    let why = disk.ask(&disk.tree(vec![lost]), "r", 1).unwrap_err();
    assert!(
        why.ends_with("gone/config.json is needed and is not there"),
        "{why}"
    );
    let none = disk.run("r", Some(TrainingSet::ErrorRecovery));
    let why = disk.ask(&disk.tree(vec![none]), "r", 1).unwrap_err();
    assert!(why.contains("error_recovery/train.jsonl"), "{why}");
    let mut own = disk.run("r", None);
    own.stages = vec![stage(
        StageData::File("/nowhere.jsonl".into()),
        0.0,
        Start::Adapter,
    )];
    let why = disk.ask(&disk.tree(vec![own]), "r", 1).unwrap_err();
    assert!(why.contains("/nowhere.jsonl"), "{why}");
    let why = disk.ask(&disk.tree(vec![]), "r", 1).unwrap_err();
    assert!(why.contains("run-1-r is not asked for"), "{why}");
}

#[test]
fn the_only_data_set_needs_no_name_and_one_of_several_does() {
    let disk = Disk::new();
    let tree = disk.tree(vec![disk.run("r", None)]);
    let why = disk.ask(&tree, "r", 1).unwrap_err();
    assert!(why.contains("routing, codegen"), "{why}");
    fs::remove_dir_all(disk.path("state/campaigns/a/dataset/codegen")).unwrap();
    assert_eq!(
        disk.ask(&tree, "r", 1).unwrap().data,
        [disk.set("routing", "train")]
    );
    let mut prefers = disk.run("p", None);
    prefers.settings.loss = Loss::Dpo;
    let job = disk.ask(&disk.tree(vec![prefers]), "p", 1).unwrap();
    assert_eq!(job.data, [disk.set("validation_preferences", "train")]);
}

#[test]
fn later_stages_need_what_the_one_before_left() {
    let disk = Disk::new();
    let mut staged = disk.run("r", Some(TrainingSet::Routing));
    staged.stages = vec![
        stage(StageData::OfRun, 0.0, Start::Adapter),
        stage(StageData::Set(TrainingSet::Codegen), 0.15, Start::Merged),
        stage(StageData::OfRun, 0.15, Start::Adapter),
    ];
    let tree = disk.tree(vec![staged]);
    let first = disk.ask(&tree, "r", 1).unwrap();
    assert!(first.merge, "the second stage starts from the merged model");
    let why = disk.ask(&tree, "r", 2).unwrap_err();
    assert!(why.contains("stage1/adapters/adapter_config.json"), "{why}");
    disk.train("r", 1);
    let second = disk.ask(&tree, "r", 2).unwrap();
    assert_eq!(second.data, [disk.set("codegen", "train")]);
    let merged = disk.path("state/campaigns/a/runs/run-1-r/stage1/merged-model");
    assert_eq!(second.model, text(&merged));
    assert!(!second.merge);
    let of = second.stage.unwrap();
    assert_eq!(
        (of.number, of.of, of.replay_share, of.start),
        (2, 3, 0.15, Start::Merged)
    );
    disk.train("r", 2);
    let third = disk.ask(&tree, "r", 3).unwrap();
    assert_eq!(
        third.model,
        text(&merged),
        "its adapter belongs to the same model"
    );
    fs::remove_file(
        disk.path("state/campaigns/a/runs/run-1-r")
            .join(RUN_MANIFEST),
    )
    .unwrap();
    let why = disk.ask(&tree, "r", 3).unwrap_err();
    assert!(why.contains(RUN_MANIFEST), "{why}");
}

#[test]
fn a_model_that_is_made_is_made_before_the_first_stage_and_needed_by_the_next() {
    let disk = Disk::new();
    let mut run = disk.run("r", Some(TrainingSet::Routing));
    run.model = MADE.into();
    run.settings.seed = 7;
    run.stages = vec![
        stage(StageData::OfRun, 0.0, Start::Adapter),
        stage(StageData::OfRun, 0.0, Start::Adapter),
    ];
    let tree = disk.tree(vec![run]);
    let first = disk.ask(&tree, "r", 1).unwrap();
    assert!(first.model.ends_with("base/run-1-r"), "{}", first.model);
    let made = BaseSettings {
        seed: 7,
        ..BaseSettings::default()
    };
    assert_eq!(first.make, Some(made));
    disk.train("r", 1);
    let why = disk.ask(&tree, "r", 2).unwrap_err();
    assert!(why.contains("base/run-1-r/config.json"), "{why}");
    disk.write("state/campaigns/a/base/run-1-r/config.json", 1);
    assert_eq!(disk.ask(&tree, "r", 2).unwrap().make, None);
}

#[test]
fn adapters_of_one_model_are_measured_on_the_same_rows_together() {
    let disk = Disk::new();
    let mut prefers = disk.run("prefers", Some(TrainingSet::Validation));
    prefers.settings.loss = Loss::Dpo;
    let runs = vec![
        disk.run("one", Some(TrainingSet::Routing)),
        disk.run("two", Some(TrainingSet::Routing)),
        disk.run("code", Some(TrainingSet::Codegen)),
        prefers,
    ];
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    let mut tree = disk.tree(runs);
    for name in &names {
        disk.ask(&tree, name, 1).unwrap();
        disk.train(name, 1);
    }
    let none = measures(&disk.state, &tree);
    assert!(matches!(none, Err(Trouble::Never(_))), "no run is done");
    for run in tree.runs.values_mut() {
        (run.state, run.ended_at) = (State::Done, Some(NOW));
    }
    let Ok(all) = measures(&disk.state, &tree) else {
        panic!("the adapters are there");
    };
    let found: Vec<(Vec<&str>, &str)> = all
        .iter()
        .map(|one| {
            let adapters = one.adapters.iter().map(|all| all.name.as_str());
            (adapters.collect(), one.output.rsplit('/').next().unwrap())
        })
        .collect();
    assert_eq!(
        found,
        [
            (vec!["run-1-code"], "run-1-code"),
            (vec!["run-1-one", "run-1-two"], "run-1-one"),
            (vec!["run-1-prefers"], "run-1-prefers"),
        ]
    );
    let held_out = ["test", "test_unseen_template"].map(|split| disk.set("routing", split));
    assert_eq!(all[1].data, held_out);
    assert_eq!(all[1].training, [disk.set("routing", "train")]);
    assert_eq!(
        all[2].data,
        [disk.set("validation", "test")],
        "answers, not preferences"
    );
    assert!(all[2].training.is_empty());
    let gone = disk.path("state/campaigns/a/runs/run-1-code/stage1/adapters/adapter_config.json");
    fs::remove_file(&gone).unwrap();
    match measures(&disk.state, &tree) {
        Err(Trouble::Never(why)) => assert!(why.contains("run-1-code"), "{why}"),
        _ => panic!("an adapter is missing"),
    }
}

#[test]
fn requests_of_training_and_evaluation_read_back_from_toml() {
    use crate::executor::job_dir::Work;
    let disk = Disk::new();
    let mut run = disk.run("r", Some(TrainingSet::Routing));
    run.settings.rank_pattern = [("layers.0.self_attn.q_proj".to_string(), 4)].into();
    run.settings.adam_epsilon = 1e-8;
    run.model = MADE.into();
    let mut tree = disk.tree(vec![run]);
    let job = disk.ask(&tree, "r", 1).unwrap();
    disk.train("r", 1);
    for run in tree.runs.values_mut() {
        (run.state, run.ended_at) = (State::Done, Some(NOW));
    }
    let Ok(jobs) = measures(&disk.state, &tree) else {
        panic!("the adapter is there");
    };
    for work in [Work::Train { job }, Work::Evaluate { jobs }] {
        let text = toml::to_string(&work).unwrap();
        assert_eq!(toml::from_str::<Work>(&text).unwrap(), work, "{text}");
    }
    let spec = toml::to_string(&tree.campaign.spec).unwrap();
    assert!(
        spec.contains("[training"),
        "the mirror of the campaign file: {spec}"
    );
}

/// A campaign that is handed in with such runs is sound by every check of the machines.
#[test]
fn the_spec_of_these_tests_is_one_that_can_be_handed_in() {
    let disk = Disk::new();
    let tree = disk.tree(vec![disk.run("r", Some(TrainingSet::Routing))]);
    let spec = Box::new(tree.campaign.spec.clone());
    let parts = Parts::Whole;
    assert!(step(None, &Event::Submitted { spec, parts }, NOW).is_ok());
}
