//! What is refused, with what is said, and what is left as it is.

use crate::place::{Place, ended, told};
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn what_would_be_launched_is_said_in_order_and_nothing_is_written() {
    let place = Place::new();
    let before = place.snapshot("ranks");
    let said = ended(&place.run(&["--dry-run", "--at-once", "2"]), 0);
    let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("{text}: {said}"));
    assert!(
        at("rank8/finetune.slurm") < at("rank4/finetune.slurm"),
        "{said}"
    );
    assert!(
        at("rank4/finetune.slurm") < at("when all fine-tunes have ended"),
        "{said}"
    );
    assert!(
        at("when all") < at("rank8/eval/task_epoch0.slurm"),
        "{said}"
    );
    assert!(said.starts_with("ranks: local, 2 at once"), "{said}");
    let json = place.json(&["run", "ranks", "--executor", "local", "--dry-run"]);
    assert_eq!(json["jobs"].as_array().unwrap().len(), 6);
    assert_eq!(
        (json["jobs"][5]["does"].as_str(), json["at_once"].as_u64()),
        (Some("launch"), Some(1))
    );
    assert_eq!(place.snapshot("ranks"), before, "something was written");
    assert!(!place.path("ranks/.campaignd").exists());
    place.write("ranks/rank2/fail", "");
    ended(&place.run(&[]), 1);
    let before = place.snapshot("ranks");
    let said = ended(&place.run(&["--dry-run"]), 0);
    assert!(
        said.contains("nothing  bash rank2/finetune.slurm  (FAILED ended with status 3"),
        "{said}"
    );
    assert!(
        said.contains("nothing  bash rank2/eval/task_epoch0.slurm  (its fine-tune failed)"),
        "{said}"
    );
    let said = ended(&place.run(&["--dry-run", "--again"]), 0);
    assert!(
        said.contains("launch   bash rank2/finetune.slurm  attempt 2"),
        "{said}"
    );
    assert_eq!(place.snapshot("ranks"), before, "something was written");
}

#[test]
fn what_is_not_scaffolded_or_not_the_plans_is_refused() {
    let place = Place::unscaffolded(&[]);
    let output = place.run(&[]);
    ended(&output, 2);
    let said = told(&output);
    assert!(
        said.contains("not scaffolded") && said.contains("campaignctl experiment scaffold "),
        "{said}"
    );
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    place.done(&["scaffold", "ranks"]);
    place.remove("ranks/rank2/eval/task_epoch0.slurm");
    assert!(told(&place.run(&[])).contains("rank2/eval/task_epoch0.slurm"));
    place.done(&["scaffold", "ranks"]);
    let own = place
        .read("ranks/rank2/finetune.yaml")
        .replace("batch_size: 8", "batch_size: 6");
    place.write("ranks/rank2/finetune.yaml", &own);
    let output = place.run(&[]);
    ended(&output, 2);
    let said = told(&output);
    assert!(
        said.contains("-batch_size: 8")
            && said.contains("+batch_size: 6")
            && said.contains("--as-is"),
        "{said}"
    );
    assert!(place.jobs().is_empty() && place.lines().is_empty());
    ended(&place.run(&["--as-is"]), 0);
    assert_eq!(place.count("begin tune rank2 6 x"), 1);
    // What is done is not compared any more.
    ended(&place.run(&[]), 0);
    for (args, wanted) in [
        (vec!["run", "nowhere"], "there is no experiment"),
        (vec!["run", "ranks", "--at-once", "0"], "1 or more"),
        (
            vec!["run", "ranks", "--executor", "elsewhere"],
            "is none of local, slurm",
        ),
    ] {
        let output = place.ctl(&args);
        ended(&output, 2);
        assert!(
            told(&output).contains(wanted),
            "{args:?}: {}",
            told(&output)
        );
    }
}

#[test]
fn resources_that_cannot_be_said_are_named() {
    let place = Place::unscaffolded(&[]);
    place.done(&["scaffold", "ranks"]);
    let plan = place.read("ranks/experiment.json");
    let asked = |key: &str, value: &str| {
        let mut plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
        plan["resources"][key] = serde_json::from_str(value).unwrap();
        place.write("ranks/experiment.json", &plan.to_string());
        let output = place.run(&["--as-is"]);
        ended(&output, 2);
        told(&output)
    };
    assert!(
        asked("time", "\"soon\"").contains("the plan asks for time \"soon\", which cannot be read")
    );
    assert!(asked("mem", "\"32X\"").contains("the plan asks for mem \"32X\""));
    assert!(asked("cpus_per_task", "0").contains("the plan asks for cpus_per_task \"0\""));
    let mut empty: serde_json::Value = serde_json::from_str(&plan).unwrap();
    empty["runs"] = serde_json::json!([]);
    place.write("ranks/experiment.json", &empty.to_string());
    let output = place.run(&[]);
    ended(&output, 2);
    assert!(told(&output).contains("the experiment has no runs"));
    // A limit of a job here is kept by its shim.
    let mut limited: serde_json::Value = serde_json::from_str(&plan).unwrap();
    limited["resources"]["time"] = "1s".into();
    place.write("ranks/experiment.json", &limited.to_string());
    place.write("hold", "");
    ended(
        &place.ctl(&[
            "run-torchtune",
            "ranks",
            "--executor",
            "local",
            "--as-is",
            "--at-once",
            "3",
        ]),
        1,
    );
    assert_eq!(
        ["rank8", "rank2", "rank4"].map(|run| place.state(run)),
        ["TIMEOUT"; 3]
    );
}

#[test]
fn without_sbatch_slurm_is_refused() {
    let place = Place::unscaffolded(&["--partition", "gpu"]);
    place.done(&["scaffold", "ranks"]);
    let mut command = place.command(&["run", "ranks"]);
    let output = command.env("PATH", place.path("bin")).output().unwrap();
    ended(&output, 2);
    assert!(
        told(&output).contains("sbatch is not on PATH"),
        "{}",
        told(&output)
    );
    assert!(
        told(&output).contains("the plan names the partition gpu"),
        "{}",
        told(&output)
    );
    assert!(!place.path("ranks/.campaignd").exists());
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    if rustix::process::geteuid().is_root() {
        // A file in its place is in root's way, too.
        let place = Place::new();
        place.write("ranks/.campaignd", "");
        let output = place.run(&[]);
        ended(&output, 2);
        assert!(told(&output).contains(".campaignd"), "{}", told(&output));
        assert!(place.lines().is_empty());
        return;
    }
    let place = Place::new();
    let closed =
        |mode| fs::set_permissions(place.path("ranks"), fs::Permissions::from_mode(mode)).unwrap();
    closed(0o500);
    let output = place.run(&[]);
    closed(0o700);
    ended(&output, 2);
    assert!(
        told(&output).contains("ranks/.campaignd"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_plan_that_changes_while_it_runs_is_not_written_over() {
    let place = Place::new();
    place.write("hold", "");
    let runner = place.spawn(&["run", "ranks", "--executor", "local"]);
    place.until("a job runs", || place.count("begin tune") == 1);
    place.until("the table says so", || place.state("rank8") == "RUNNING");
    let mut plan = place.plan();
    plan["question"] = "another".into();
    place.write("ranks/experiment.json", &plan.to_string());
    place.remove("hold");
    let output = runner.wait_with_output().unwrap();
    ended(&output, 2);
    assert!(
        told(&output).contains("planned anew while it runs"),
        "{}",
        told(&output)
    );
    assert_eq!(place.plan()["question"], "another");
    // Planned anew with other values, the work is other work; what still runs of the old is in its way.
    ended(&place.run(&["--as-is"]), 0);
    assert_eq!(place.count("begin tune"), 3);
}
