//! Members by their tables and lists, and what is wrong with a sweep in file and line.

use super::*;
use crate::config::training::{keys::FILE, load_training, tests::EVERY};
use std::fs;

fn sweep(text: &str) -> Result<SweepFile, Vec<Problem>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sweep.toml");
    fs::write(&path, text).unwrap();
    load_sweep(&path)
}

fn names(text: &str) -> Vec<String> {
    let read = sweep(text).unwrap_or_else(|problems| panic!("{text}: {problems:#?}"));
    read.members.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn the_example_means_what_its_remarks_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sweep.toml");
    let read = load_sweep(&path).unwrap_or_else(|problems| panic!("{problems:?}"));
    let beside = |name: &str| {
        let directory = path.parent().unwrap();
        directory.join(name).display().to_string()
    };
    assert_eq!(read.model, Some(beside("models/Qwen2.5-7B")));
    assert_eq!(read.data, [beside("rows.jsonl")]);
    assert_eq!(read.holdout, [beside("holdout.jsonl")]);
    assert_eq!(read.output, Some(beside("adapters")));
    assert_eq!(read.device, Some(Device::Auto));
    let each = read.members.iter().map(|(name, read)| {
        let modules = read.target_modules.len();
        (
            name.as_str(),
            read.r,
            read.lora_alpha,
            read.learning_rate,
            modules,
            read.seed,
        )
    });
    assert_eq!(
        each.collect::<Vec<_>>(),
        [
            ("r8-lr0.0001", 8, 32.0, 1e-4, 4, 42),
            ("r8-lr0.0002", 8, 32.0, 2e-4, 4, 42),
            ("r16-lr0.0001", 16, 32.0, 1e-4, 4, 42),
            ("r16-lr0.0002", 16, 32.0, 2e-4, 4, 42),
            ("all-qkvo", 32, 64.0, 2e-4, 4, 42),
            ("all-qkvo_gate_up_down", 32, 64.0, 2e-4, 7, 42),
            ("r16-seed7", 16, 32.0, 2e-4, 4, 7),
        ]
    );
    let text = fs::read_to_string(&path).unwrap();
    for (name, _) in &read.members {
        assert!(text.contains(name), "{name} is not in the example");
    }
    for key in SWEEP[0] {
        assert!(
            text.contains(&format!("\n{} = ", key.name)),
            "{} is not in the example",
            key.name
        );
    }
    assert_eq!(read.halving, None, "it stands there as a remark");
    let halved = text
        .replace("# [halving]", "[halving]")
        .replace("# min_resource", "min_resource")
        .replace("# reduction_factor", "reduction_factor");
    let halving = sweep(&halved).unwrap().halving.unwrap();
    assert_eq!((halving.min_resource, halving.reduction_factor), (50, 3));
}

#[test]
fn every_key_of_train_toml_stands_at_the_top_and_in_a_member() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("train.toml");
    let every = EVERY.split("[[stage]]").next().unwrap();
    fs::write(&path, every).unwrap();
    let (expected, _) = load_training(Some(&path), dir.path()).unwrap();
    let top = format!("{every}\n[[member]]\nname = \"a\"");
    let inside = every
        .replace("[rank_pattern]", "[member.rank_pattern]")
        .replace("[alpha_pattern]", "[member.alpha_pattern]");
    let inside = format!("[[member]]\nname = \"a\"\n{inside}");
    for text in [top, inside] {
        let read = sweep(&text).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert_eq!(read.members, [("a".to_string(), expected.clone())]);
    }
    for key in FILE {
        assert!(every.contains(key.name), "{} is not tried", key.name);
    }
}

#[test]
fn lists_stand_for_every_combination_in_the_order_written() {
    for (text, expected) in [
        (
            "[[member]]\nr = [8, 16]\nseed = [1, 2]",
            "r8-seed1 r8-seed2 r16-seed1 r16-seed2",
        ),
        (
            "[[member]]\nseed = [1, 2]\nr = [8, 16]",
            "seed1-r8 seed1-r16 seed2-r8 seed2-r16",
        ),
        ("[[member]]\nname = \"a\"\nr = [8]\nlora_alpha = 4", "a-r8"),
        ("[[member]]\nlora_alpha = 4\nr = [8]", "r8"),
        (
            "[[member]]\nuse_rslora = true\nlora_alpha = 4",
            "use_rslora_true-alpha4",
        ),
        (
            "[[member]]\nr = 4\n[[member]]\nr = [8]\n[[member]]\nname = \"z\"",
            "r4 r8 z",
        ),
        (
            "member = [{ r = [4, 8] }, { seed = 3, r = 5 }]",
            "r4 r8 seed3-r5",
        ),
        (
            "[[member]]\ntarget_modules = [\n  [\"q_proj\"],\n  [\"v_proj\", \"up_proj\"],\n]\nr = [4,\n  8]",
            "q-r4 q-r8 v_up-r4 v_up-r8",
        ),
        (
            "[[member]]\nname = \"a\"\ntarget_modules = [\"q_proj\"]",
            "a",
        ),
        (
            "[[member]]\nrank_pattern = [{}, { q_proj = 4 }]",
            "rank_pattern_none rank_pattern_q_proj4",
        ),
    ] {
        assert_eq!(names(text).join(" "), expected, "{text}");
    }
    let most: Vec<String> = (0..64).map(|seed| seed.to_string()).collect();
    assert_eq!(
        names(&format!("[[member]]\nseed = [{}]", most.join(", "))).len(),
        64
    );
}

#[test]
fn members_keep_what_the_top_says() {
    let read =
        sweep("r = 4\nlora_alpha = 8\n[[member]]\nname = \"a\"\n[[member]]\nr = [5, 6]").unwrap();
    let each: Vec<(u32, f64)> = read
        .members
        .iter()
        .map(|(_, read)| (read.r, read.lora_alpha))
        .collect();
    assert_eq!(each, [(4, 8.0), (5, 8.0), (6, 8.0)]);
    assert_eq!((read.model, read.output, read.device), (None, None, None));
    assert!(read.data.is_empty() && read.holdout.is_empty());
}

#[test]
fn a_sweep_says_how_it_halves() {
    let two = "[[member]]\nseed = [1, 2]";
    let read = |top: &str| sweep(&format!("{top}\n{two}")).unwrap().halving;
    let halving = |min_resource, reduction_factor| {
        Some(Halving {
            min_resource,
            reduction_factor,
        })
    };
    assert_eq!(read(""), None);
    assert_eq!(read("[halving]\nmin_resource = 20"), halving(20, 3));
    assert_eq!(read("halving.min_resource = 1"), halving(1, 3));
    let all = "halving = { reduction_factor = 2, min_resource = 9 }";
    assert_eq!(read(all), halving(9, 2));
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let longest = "a".repeat(101);
    let most = (0..33)
        .map(|seed| seed.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let cases: Vec<(String, &str, &str, Option<u32>)> = vec![
        ("r = 8".into(), "there is no [[member]]", "[[member]]", None),
        ("[[member]]\nr = []".into(), "r is an empty list", "values", Some(3)),
        ("[[member]]\nname = \"a\"\ntarget_modules = []".into(), "member a: target_modules cannot be []", "q_proj", Some(4)),
        ("[[member]]\nname = \"a\"\ntarget_modules = [[\"q_proj\"], []]".into(), "member a-none: target_modules cannot be []", "q_proj", Some(4)),
        ("[[member]]\nname = \"a\"\ntarget_modules = [[\"q_proj\"], [\"lm_head\"]]".into(), "member a-lm_head: target_modules has no such value", "q_proj", Some(4)),
        ("[[member]]\nr = [8, 0]".into(), "member r0: r is out of range", "1 to 4096", Some(3)),
        ("[[member]]\nr = [8, [9]]".into(), "r has the wrong type", "a whole number", Some(3)),
        ("[[member]]\nseed = [1, 2]\nr = [\n  8,\n  0]".into(), "member seed1-r0: r is out of range", "1 to 4096", Some(4)),
        ("[[member]]\nname = \"a\"\nlora_dropout = 1.0".into(), "member a: lora_dropout cannot be 1", "below 1", Some(4)),
        ("lora_dropout = 1.0\n[[member]]\nr = [8, 16]".into(), "member r8: lora_dropout cannot be 1", "below 1", Some(2)),
        ("r = 0\n[[member]]\nseed = [8, 16]".into(), "r is out of range", "1 to 4096", Some(2)),
        ("r = [8, 16]\n[[member]]\nname = \"a\"".into(), "r has the wrong type", "lists of values stand in a [[member]]", Some(2)),
        ("[[member]]\nname = \"a\"\nlearning_rat = 1".into(), "member a: unknown key `learning_rat`", "did you mean `learning_rate`", Some(4)),
        ("learning_rat = 1\n[[member]]\nname = \"a\"".into(), "unknown key `learning_rat`", "did you mean `learning_rate`", Some(2)),
        ("[[member]]\nname = \"a\"\nmodel = \"b\"".into(), "unknown key `model`", "all keys", Some(4)),
        ("data = \"rows.jsonl\"\n[[member]]\nname = \"a\"".into(), "data has the wrong type", "a list of texts", Some(2)),
        ("device = \"tpu\"\n[[member]]\nname = \"a\"".into(), "device has no such value", "\"cuda\"", Some(2)),
        ("[[member]]\nname = \"a\"\n[[member]]\nname = \"a\"\nr = 3".into(), "two members have the name a", "another", Some(5)),
        ("[[member]]\nr = [8]\n[[member]]\nr = 8\nseed = 43\n[[member]]\nseed = [44]\n[[member]]\nr = [8]\nseed = 44".into(), "two members have the name r8", "another", Some(9)),
        ("[[member]]\nname = \"a\"\n[[member]]\nr = 16".into(), "members a and r16 ask for the same", "seed", Some(4)),
        ("[[member]]\nname = \"a\"\n[[member]]\nname = \"b\"\nloss = \"dpo\"".into(), "member b has the loss dpo, member a sft", "one loss", Some(6)),
        ("[[member]]\nloss = [\"sft\", \"dpo\"]".into(), "member loss_dpo has the loss dpo", "one loss", Some(3)),
        ("[[member]]\nname = \"a/b\"".into(), "no directory can be called \"a/b\"", "letters", Some(3)),
        ("[[member]]\nname = \"\"".into(), "no directory can be called \"\"", "letters", Some(3)),
        ("[[member]]\nname = \"../a\"\nr = [8, 16]".into(), "no directory can be called \"../a\"", "letters", Some(3)),
        (format!("[[member]]\nname = \"{longest}\""), "no directory can be called", "1 to 100", Some(3)),
        ("[[member]]".into(), "no directory can be called \"\"", "name = ", Some(2)),
        ("[[member]]\nname = [\"a\", \"b\"]\nr = 3".into(), "name has the wrong type", "a text", Some(3)),
        (format!("[[member]]\nr = 8\n[[member]]\nseed = [{most}]\nr = [8, 16]"), "the sweep has 67 members", "at most 64", Some(4)),
        ("[[member]]\nr = 8\nr = 9".into(), "no TOML", "", Some(4)),
        ("[halving]\n[[member]]\nr = 8".into(), "[halving] does not say where the first rung is", "min_resource = ", Some(2)),
        ("[halving]\nreduction_factor = 2\n[[member]]\nr = 8".into(), "[halving] does not say", "min_resource = ", Some(2)),
        ("[halving]\nmin_resource = 0\n[[member]]\nr = 8".into(), "halving.min_resource is out of range", "1 to", Some(3)),
        ("[halving]\nmin_resource = 5\nreduction_factor = 1\n[[member]]\nr = 8".into(), "halving.reduction_factor is out of range", "2 to 64", Some(4)),
        ("[halving]\nmin_resource = \"a\"\n[[member]]\nr = 8".into(), "halving.min_resource has the wrong type", "a whole number", Some(3)),
        ("[halving]\nfirst = 5\nmin_resource = 5\n[[member]]\nr = 8".into(), "unknown key `halving.first`", "all keys", Some(3)),
        ("[[member]]\nr = 8\nhalving = { min_resource = 5 }".into(), "unknown key `halving`", "all keys", Some(4)),
    ];
    for (text, message, right, line) in cases {
        let found = sweep(&format!("# one line before\n{text}\n")).unwrap_err();
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert!(found[0].message.contains(message), "{text}\n{}", found[0]);
        let said = found[0].right.clone().unwrap_or_default();
        assert!(said.contains(right), "{text}\n{}", found[0]);
        assert_eq!(found[0].line, line, "{text}\n{}", found[0]);
        assert!(found[0].at.contains("sweep.toml"), "{}", found[0]);
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let text = "rr = 1\n[[member]]\nr = [0, 8]\nseed = []\nlora_alpha = -1\n[[member]]\nname = \"/\"\nloss = \"x\"\n\
                [[member]]\nname = \"a\"\n[[member]]\nname = \"a\"";
    let found = sweep(text).unwrap_err();
    let each: Vec<(Option<u32>, &str)> = found
        .iter()
        .map(|one| (one.line, one.message.as_str()))
        .collect();
    assert_eq!(
        each,
        [
            (Some(1), "unknown key `rr`"),
            (Some(4), "seed is an empty list"),
            (Some(5), "member r0: lora_alpha is out of range"),
            (Some(3), "member r0: r is out of range"),
            (Some(8), "loss has no such value"),
            (Some(7), "no directory can be called \"/\""),
            (Some(12), "two members have the name a"),
            (Some(11), "members a and a ask for the same"),
        ]
    );
}

#[test]
fn tables_that_are_no_members_and_files_that_are_none_say_what_would_be_right() {
    let found = sweep("[member]\nr = 8").unwrap_err();
    let right = found[0].right.as_deref().unwrap();
    assert!(right.contains("double brackets"), "{}", found[0]);
    let found = load_sweep(Path::new("/nowhere/sweep.toml")).unwrap_err();
    assert_eq!(found.len(), 1);
    let right = found[0].right.as_deref().unwrap();
    assert!(right.contains("config/sweep.toml"), "{}", found[0]);
}
