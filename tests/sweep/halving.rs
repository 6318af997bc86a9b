//! Sweeps that halve: who goes on follows from what members show at a rung, what they are does not follow from the others.

use super::{made, one_by_one, over, same, sweep, write_sweep};
use crate::tiny::{Bench, said};
use campaignd::planning::halving::{Outcome, judge, rungs};
use serde_json::Value;
use std::{fs, path::Path, process::Output};

/// Members of unlike steps and ends. Their learning rate stays, so that one that ends at a rung is one of so many steps.
const MEMBERS: [(&str, &str); 6] = [
    ("plain", ""),
    (
        "wide",
        "r = 17\nlora_dropout = 0.0\nlearning_rate = 0.02\nseed = 7\ntarget_modules = [\"q_proj\", \"down_proj\"]\n",
    ),
    (
        "small",
        "r = 1\nper_device_train_batch_size = 5\ngradient_accumulation_steps = 1\nnum_train_epochs = 2.0\n",
    ),
    ("weak", "learning_rate = 0.0005\nseed = 5\n"),
    (
        "short",
        "learning_rate = 0.001\ngradient_accumulation_steps = 3\nmax_steps = 5\n",
    ),
    ("strong", "r = 8\nlearning_rate = 0.03\nseed = 11\n"),
];
const SHARED: &str = "lr_scheduler_type = \"constant\"\n";

/// The sweep, halved from a step on.
fn write_halved(bench: &Bench, members: &[(&str, &str)], shared: &str, halving: &str) {
    write_sweep(bench, members, shared);
    let path = bench.path("sweep.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replacen(
        "[[member]]",
        &format!("[halving]\n{halving}\n[[member]]"),
        1,
    );
    fs::write(path, text).unwrap();
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The member that ends at a step by its own settings.
fn up_to(bench: &Bench, (name, own): (&str, &str), step: u64) {
    let without = own.lines().filter(|line| !line.starts_with("max_steps"));
    let own: String = without.map(|line| format!("{line}\n")).collect();
    let text = over(&format!("{SHARED}{own}max_steps = {step}\n"));
    fs::write(bench.path("train.toml"), text).unwrap();
    let done = bench.train(&format!("upto/{name}"), &["--device", "cpu"]);
    assert!(done.status.success(), "{name}: {}", said(&done));
}

/// What a member that was trained alone shows at a rung: its look there, or its last.
fn shown(alone: &Path, rung: u64) -> f64 {
    let (_, rows) = made(alone);
    let looks = rows.iter().filter(|row| row.get("eval_loss").is_some());
    let mut before = looks.filter(|row| row["step"].as_u64().unwrap() <= rung);
    before.next_back().unwrap()["eval_loss"].as_f64().unwrap()
}

#[test]
fn the_better_ones_go_on_and_every_adapter_is_the_one_that_it_is_alone() {
    let bench = Bench::new();
    one_by_one(&bench, &MEMBERS, SHARED);
    // Looks are due at steps 6 and 12 anyway: those of the members alone say who goes on.
    write_halved(
        &bench,
        &MEMBERS,
        SHARED,
        "min_resource = 6\nreduction_factor = 2",
    );
    let done = sweep(&bench, &["--json"]);
    assert!(done.status.success(), "{}", said(&done));
    let swept: Value = serde_json::from_slice(&done.stdout).unwrap();
    let judged = swept["halving"]["rungs"].as_array().unwrap();
    let planned = rungs(MEMBERS.len(), 6, 24, 2).unwrap();
    assert_eq!((judged.len(), planned.len()), (2, 3));
    let mut going: Vec<usize> = (0..MEMBERS.len()).collect();
    let mut left_out = Vec::new();
    for (rung, judged) in planned.iter().zip(judged) {
        assert_eq!(judged["step"].as_u64(), Some(rung.resource));
        let names: Vec<&str> = going.iter().map(|at| MEMBERS[*at].0).collect();
        let runs = judged["runs"].as_array().unwrap();
        let told: Vec<&str> = runs
            .iter()
            .map(|run| run["name"].as_str().unwrap())
            .collect();
        assert_eq!(told, names);
        let losses = names.iter().map(|name| {
            let alone = bench.path(&format!("alone/{name}"));
            Some(shown(&alone, rung.resource))
        });
        let losses: Vec<Option<f64>> = losses.collect();
        let told: Vec<Option<f64>> = runs.iter().map(|run| run["eval_loss"].as_f64()).collect();
        assert_eq!(told, losses);
        let Ok(Outcome::Judged { mut kept, .. }) = judge(&losses, rung.keep, true) else {
            panic!("all have reported");
        };
        kept.sort_unstable();
        let on = (0..runs.len()).filter(|at| runs[*at]["went_on"] == true);
        assert_eq!(on.collect::<Vec<_>>(), kept);
        for (at, run) in runs.iter().enumerate() {
            if !kept.contains(&at) && run["over"] == false {
                left_out.push((going[at], rung.resource, kept.len(), runs.len(), losses[at]));
            }
        }
        going = kept.iter().map(|at| going[*at]).collect();
    }
    assert!(left_out.len() >= 3, "{left_out:?}");
    let mut steps = 0;
    for (at, member) in MEMBERS.iter().enumerate() {
        let found = bench.path(&format!("sweep/{}", member.0));
        let trained = &json(&found.join("training.json"))["trained"];
        steps += trained["steps"].as_u64().unwrap();
        let Some((_, step, on, of, loss)) = left_out.iter().find(|one| one.0 == at) else {
            same(&found, &bench.path(&format!("alone/{}", member.0)));
            assert_eq!(trained["ended"], Value::Null);
            continue;
        };
        up_to(&bench, *member, *step);
        same(&found, &bench.path(&format!("upto/{}", member.0)));
        let loss = loss.unwrap();
        let said = format!("left out at step {step}: eval_loss {loss:.4}, {on} of {of} went on");
        assert_eq!(trained["ended"], said.as_str());
        assert_eq!(
            trained["planned_steps"],
            swept["members"][at]["trained"]["planned_steps"]
        );
        let card = fs::read_to_string(found.join("README.md")).unwrap();
        assert!(card.contains(&format!("It was {said}.")), "{card}");
    }
    let told = |key: &str| swept["halving"][key].as_u64().unwrap();
    assert_eq!(told("steps"), steps);
    assert_eq!(told("steps_without"), 24 + 24 + 10 + 24 + 5 + 24);
    assert!(steps < told("steps_without"));
    what_is_said(&bench, steps);
    what_was_halved_stays_so(&bench);
}

/// To a person, of a sweep that has ended.
fn what_is_said(bench: &Bench, steps: u64) {
    let again = sweep(bench, &[]);
    let text = String::from_utf8(again.stdout).unwrap();
    assert!(
        again.status.success() && text.contains("6 of 6 members"),
        "{text}"
    );
    assert!(text.contains("rung     step 6: 3 of 6 went on: "), "{text}");
    let saved = format!("steps    {steps} made of at most 111 without halving");
    assert!(text.contains(&saved), "{text}");
    assert!(text.contains("< left out at a rung"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    let page = fs::read_to_string(bench.path("sweep/report.html")).unwrap();
    assert!(page.contains("id=\"rungs\"") && page.contains(">left out<small>"));
    let weak = over(&format!("{SHARED}{}", MEMBERS[3].1));
    fs::write(bench.path("train.toml"), weak).unwrap();
    let done = bench.train("sweep/weak", &["--device", "cpu"]);
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.contains("  ended    left out at step 6: "), "{text}");
}

/// With another halving, other members, or none, it is another sweep.
fn what_was_halved_stays_so(bench: &Bench) {
    let refused = |more: &[&str], words: &[&str]| {
        let before = fs::read(bench.path("sweep/halving.json")).unwrap();
        let done = sweep(bench, more);
        let text = said(&done);
        assert_eq!(done.status.code(), Some(2), "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
        assert_eq!(fs::read(bench.path("sweep/halving.json")).unwrap(), before);
    };
    let halving = "with the halving min_resource 6 and reduction_factor 2";
    let other = "min_resource 4 and reduction_factor 2";
    refused(&["--min-resource", "4"], &[halving, other, "begins anew"]);
    refused(&["--only", "weak"], &["weak cannot be trained by itself"]);
    write_sweep(bench, &MEMBERS, SHARED);
    refused(&[], &[halving, "asked for without halving"]);
    let all = "min_resource = 6\nreduction_factor = 2";
    write_halved(bench, &MEMBERS[..5], SHARED, all);
    refused(
        &[],
        &["halves plain, wide, small, weak, short, strong, not"],
    );
    write_halved(
        bench,
        &MEMBERS,
        "lr_scheduler_type = \"constant\"\nseed = 3\n",
        all,
    );
    refused(&[], &["plain in ", "seed 42, now 3"]);
    fs::remove_dir_all(bench.path("sweep")).unwrap();
    write_sweep(bench, &MEMBERS[..2], SHARED);
    assert!(sweep(bench, &["--only", "plain"]).status.success());
    let done = sweep(bench, &["--min-resource", "4", "--resume"]);
    let text = said(&done);
    assert!(text.contains("was begun without halving"), "{text}");
}

/// What must be the same of a halved sweep, killed or not.
fn decided(bench: &Bench, output: &str) -> (Value, Vec<Value>) {
    let rungs = json(&bench.path(&format!("{output}/halving.json")))["rungs"].clone();
    let ended = MEMBERS.map(|(name, _)| {
        let trained = &json(&bench.path(&format!("{output}/{name}/training.json")))["trained"];
        let keys = ["steps", "best_step", "eval_loss", "ended"];
        keys.map(|key| trained[key].clone()).into_iter().collect()
    });
    (rungs, ended.to_vec())
}

/// Of the members of a rung between their own looks: those that went on are what they are alone, and the others as if it had
/// been their last step.
fn no_look_at_a_rung_leaves_a_trace(bench: &Bench) {
    one_by_one(bench, &MEMBERS, SHARED);
    let mut ends = 0;
    for member in MEMBERS {
        let found = bench.path(&format!("whole/{}", member.0));
        let trained = &json(&found.join("training.json"))["trained"];
        let alone = match trained["ended"].as_str() {
            None => "alone",
            Some(_) => {
                ends += 1;
                up_to(bench, member, trained["steps"].as_u64().unwrap());
                "upto"
            }
        };
        same(&found, &bench.path(&format!("{alone}/{}", member.0)));
    }
    assert!(ends >= 3, "{ends} ended at a rung");
}

fn killed(bench: &Bench, output: &str, point: &str, after: u64) -> Output {
    let mark = bench.path(&format!("mark-{output}"));
    let words = [
        "--sweep",
        "sweep.toml",
        "--output",
        output,
        "--resume",
        "--quiet",
    ];
    let mut command = bench.bare(&words);
    let done = command
        .env("FAILPOINTS", format!("{point}={after}*off->return"))
        .env("CAMPAIGND_CRASH_MARK", &mark)
        .output()
        .unwrap();
    assert!(mark.exists(), "nothing came by {point}: {}", said(&done));
    done
}

#[test]
fn killed_at_a_rung_the_same_go_on_to_the_same_bytes() {
    if !cfg!(feature = "failpoints") {
        println!("skipped killed_at_a_rung: needs --features failpoints");
        return;
    }
    let bench = Bench::new();
    // Between two looks of the members' own, and between two checkpoints.
    write_halved(
        &bench,
        &MEMBERS,
        SHARED,
        "min_resource = 5\nreduction_factor = 2",
    );
    let done = sweep(&bench, &["--output", "whole"]);
    assert!(done.status.success(), "{}", said(&done));
    let expected = decided(&bench, "whole");
    no_look_at_a_rung_leaves_a_trace(&bench);
    let points = [
        ("train.updated", 26),
        ("train.rung.judged", 0),
        ("train.rung.judged", 1),
        ("train.rung.written", 0),
        ("train.rung.written", 1),
        ("train.checkpoint.written", 10),
        ("train.checkpoint.renamed", 13),
        ("train.rung.ended", 0),
        ("train.metrics", 45),
        ("train.export.written", 2),
    ];
    for (trial, (point, after)) in points.into_iter().enumerate() {
        let output = format!("killed{trial}");
        let done = killed(&bench, &output, point, after);
        assert!(!done.status.success(), "{point} killed nobody");
        let done = sweep(&bench, &["--output", &output, "--resume"]);
        assert!(done.status.success(), "{point} {after}: {}", said(&done));
        assert_eq!(decided(&bench, &output), expected, "{point} {after}");
        for (name, _) in MEMBERS {
            let whole = bench.path(&format!("whole/{name}"));
            same(&bench.path(&format!("{output}/{name}")), &whole);
        }
    }
}

#[test]
fn a_look_at_a_rung_is_none_of_a_members_own() {
    let bench = Bench::new();
    let eager = ("eager", "learning_rate = 0.3\neval_steps = 1000\n");
    one_by_one(&bench, &[eager], SHARED);
    write_halved(&bench, &[eager, MEMBERS[3]], SHARED, "min_resource = 1");
    let done = sweep(&bench, &["--json"]);
    assert!(done.status.success(), "{}", said(&done));
    let swept: Value = serde_json::from_slice(&done.stdout).unwrap();
    let rung = &swept["halving"]["rungs"][0]["runs"][0];
    let trained = &swept["members"][0]["trained"];
    assert_eq!(rung["went_on"], true, "{swept:#}");
    let loss = |value: &Value| value["eval_loss"].as_f64().unwrap();
    assert!(loss(rung) < loss(trained), "it was best at the rung");
    assert_eq!(trained["best_step"], 24);
    same(&bench.path("sweep/eager"), &bench.path("alone/eager"));
}

#[test]
fn one_that_was_trained_on_elsewhere_cannot_be_compared() {
    if !cfg!(feature = "failpoints") {
        println!("skipped one_that_was_trained_on: needs --features failpoints");
        return;
    }
    let bench = Bench::new();
    let halving = "min_resource = 5\nreduction_factor = 2";
    write_halved(&bench, &MEMBERS[..3], SHARED, halving);
    killed(&bench, "sweep", "train.rung.judged", 0);
    fs::write(bench.path("train.toml"), over(SHARED)).unwrap();
    let done = bench.train("sweep/plain", &["--device", "cpu", "--resume"]);
    assert!(done.status.success(), "{}", said(&done));
    let done = sweep(&bench, &["--resume"]);
    let text = said(&done);
    assert_eq!(done.status.code(), Some(2), "{text}");
    let why = "has ended, and the rung at step 5 is not judged";
    assert!(text.contains("plain in ") && text.contains(why), "{text}");
}

#[test]
fn a_member_whose_numbers_end_it_is_out_at_the_next_rung() {
    let bench = Bench::new();
    let wild = (
        "wild",
        "learning_rate = 1.0\nlora_alpha = 64.0\nlr_scheduler_type = \"linear\"\nmax_grad_norm = 0.0\n\
         warmup_steps = 500\nmax_steps = 1000\neval_steps = 1000\n",
    );
    let patient = (
        "patient",
        "learning_rate = 0.3\neval_steps = 1\nsave_steps = 1\nearly_stopping_patience = 2\n",
    );
    let members = [wild, MEMBERS[0], patient, MEMBERS[3]];
    one_by_one(&bench, &members[1..], SHARED);
    write_halved(
        &bench,
        &members,
        SHARED,
        "min_resource = 400\nreduction_factor = 2",
    );
    let done = sweep(&bench, &["--json"]);
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    let swept: Value = serde_json::from_slice(&done.stdout).unwrap();
    let first = &swept["halving"]["rungs"][0]["runs"];
    assert_eq!(first[0]["eval_loss"], Value::Null, "{first}");
    assert_eq!(first[0]["over"], true);
    assert!(
        first[0]["why"]
            .as_str()
            .unwrap()
            .contains("no finite number")
    );
    assert!(
        swept["members"][0]["stopped"]
            .as_str()
            .unwrap()
            .contains("in step")
    );
    // Early stopping counts with its best look, and whoever ended so keeps that end.
    let alone = &json(&bench.path("alone/patient/training.json"))["trained"];
    assert!(alone["steps"].as_u64().unwrap() < 18, "{alone}");
    assert_eq!(first[2]["eval_loss"], alone["eval_loss"]);
    assert_eq!(first[2]["step"], alone["best_step"]);
    same(&bench.path("sweep/plain"), &bench.path("alone/plain"));
    same(&bench.path("sweep/patient"), &bench.path("alone/patient"));
    let again = sweep(&bench, &[]);
    assert!(
        said(&again).contains("the sweep has ended"),
        "{}",
        said(&again)
    );
}

#[test]
fn what_cannot_be_halved_is_refused_in_a_sentence() {
    let bench = Bench::new();
    let refused = |more: &[&str], words: &[&str]| {
        let done = sweep(&bench, more);
        let text = said(&done);
        assert_eq!(done.status.code(), Some(2), "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
        assert!(!bench.path("sweep").exists(), "nothing is left");
    };
    let two = &MEMBERS[..2];
    write_sweep(&bench, two, SHARED);
    refused(&["--min-resource", "24"], &["min_resource = 24", "step 24"]);
    refused(&["--min-resource", "0"], &["--min-resource"]);
    refused(&["--reduction-factor", "2"], &["--min-resource STEPS"]);
    let only = ["--min-resource", "4", "--only", "wide"];
    refused(&only, &["wide cannot be trained by itself"]);
    write_halved(&bench, &two[..1], SHARED, "min_resource = 4");
    refused(&[], &["one member"]);
    write_halved(&bench, two, SHARED, "reduction_factor = 4");
    refused(&[], &["where the first rung is", "sweep.toml"]);
    write_halved(
        &bench,
        &[two[0], ("halving.json", "r = 2\n")],
        SHARED,
        "min_resource = 4",
    );
    refused(&[], &["can be called halving.json"]);
    write_halved(&bench, two, SHARED, "min_resource = 4");
    let text = fs::read_to_string(bench.path("sweep.toml")).unwrap();
    let text = text.replace("holdout = [\"holdout.jsonl\"]\n", "");
    fs::write(bench.path("sweep.toml"), text).unwrap();
    refused(&[], &["held-out rows, and there are none"]);
}

/// What halving saves on the tiny model, where a step costs little beside its look: no measure of time on a large one.
#[test]
#[ignore = "prints a table, and asserts nothing"]
fn what_nine_members_cost_halved_and_not() {
    let bench = Bench::new();
    let nine: Vec<(String, String)> = [2, 8, 16]
        .iter()
        .flat_map(|r| [0.001, 0.005, 0.02].map(|lr| (r, lr)))
        .map(|(r, lr)| {
            (
                format!("r{r}-lr{lr}"),
                format!("r = {r}\nlearning_rate = {lr}\n"),
            )
        })
        .collect();
    let nine: Vec<(&str, &str)> = nine.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    write_sweep(&bench, &nine, "");
    for words in [
        &["--output", "all"][..],
        &["--output", "halved", "--min-resource", "3"],
    ] {
        let began = std::time::Instant::now();
        let done = sweep(&bench, words);
        let seconds = began.elapsed().as_secs_f64();
        assert!(done.status.success(), "{}", said(&done));
        println!(
            "{seconds:.1} s\n{}",
            String::from_utf8(done.stdout).unwrap()
        );
    }
}
