//! The table of training's keys, once for each place that they stand in.

use crate::config::keys::{Key, Kind, key};

/// The hyperparameters, behind a prefix.
macro_rules! hyperparameters {
    ($prefix:literal) => {{
        const MOST: u64 = u32::MAX as u64;
        macro_rules! named {
            ($name:literal, $kind:expr, $default:literal, $unit:literal, $sentence:literal) => {
                key(concat!($prefix, $name), $kind, $default, $unit, $sentence)
            };
        }
        const KEYS: &[Key] = &[
            named!("r", Kind::Whole(1, 4096), "16", "", "rank of the adapters"),
            named!(
                "lora_alpha",
                Kind::Amount,
                "32.0",
                "",
                "their output is scaled by lora_alpha / r"
            ),
            named!(
                "lora_dropout",
                Kind::Share,
                "0.1",
                "0 to 1",
                "share of their inputs dropped in training"
            ),
            named!(
                "target_modules",
                Kind::List,
                "[\"q_proj\", \"k_proj\", \"v_proj\", \"o_proj\"]",
                "",
                "which modules have one; also gate_proj, up_proj, down_proj"
            ),
            named!(
                "rank_pattern",
                Kind::Numbers,
                "{}",
                "",
                "other ranks, by the end of a module's name"
            ),
            named!(
                "alpha_pattern",
                Kind::Numbers,
                "{}",
                "",
                "other alphas, in the same way"
            ),
            named!(
                "use_rslora",
                Kind::Flag,
                "false",
                "",
                "scaled by lora_alpha / sqrt(r)"
            ),
            named!(
                "loss",
                Kind::Word(&["sft", "dpo"]),
                "\"sft\"",
                "",
                "answers, or preferences"
            ),
            named!("beta", Kind::Amount, "0.1", "", "DPO's temperature"),
            named!(
                "learning_rate",
                Kind::Amount,
                "0.0002",
                "",
                "the highest one"
            ),
            named!(
                "adam_beta1",
                Kind::Share,
                "0.9",
                "0 to 1",
                "decay of AdamW's first moment"
            ),
            named!(
                "adam_beta2",
                Kind::Share,
                "0.999",
                "0 to 1",
                "decay of its second"
            ),
            named!(
                "adam_epsilon",
                Kind::Amount,
                "0.00000001",
                "",
                "added to its denominator"
            ),
            named!(
                "weight_decay",
                Kind::Amount,
                "0.0",
                "",
                "decoupled, as AdamW has it"
            ),
            named!(
                "max_grad_norm",
                Kind::Amount,
                "1.0",
                "",
                "gradients are clipped to it; 0: never"
            ),
            named!(
                "lr_scheduler_type",
                Kind::Word(&["cosine", "linear", "constant", "constant_with_warmup"]),
                "\"cosine\"",
                "",
                "how the learning rate develops"
            ),
            named!(
                "warmup_steps",
                Kind::Whole(0, MOST),
                "0",
                "steps",
                "0: warmup_ratio decides"
            ),
            named!(
                "warmup_ratio",
                Kind::Share,
                "0.03",
                "0 to 1",
                "share of all steps"
            ),
            named!(
                "num_train_epochs",
                Kind::Amount,
                "3.0",
                "epochs",
                "passes over the rows"
            ),
            named!(
                "max_steps",
                Kind::Whole(0, 1_000_000_000),
                "0",
                "steps",
                "0: num_train_epochs decides"
            ),
            named!(
                "per_device_train_batch_size",
                Kind::Whole(1, 1 << 20),
                "8",
                "rows",
                "of a micro-batch"
            ),
            named!(
                "gradient_accumulation_steps",
                Kind::Whole(1, 1 << 20),
                "1",
                "",
                "micro-batches of a step"
            ),
            named!(
                "max_seq_length",
                Kind::Whole(0, MOST),
                "2048",
                "tokens",
                "of a row; 0: what the model can"
            ),
            named!(
                "packing",
                Kind::Flag,
                "false",
                "",
                "several rows share a sequence"
            ),
            named!(
                "shuffle",
                Kind::Flag,
                "true",
                "",
                "each epoch has an order of its own"
            ),
            named!("seed", Kind::Whole(0, MOST), "42", "", "root of all chance"),
            named!(
                "eval_steps",
                Kind::Whole(0, MOST),
                "0",
                "steps",
                "between looks at the holdout; 0: an epoch"
            ),
            named!(
                "save_steps",
                Kind::Whole(0, MOST),
                "0",
                "steps",
                "between checkpoints; 0: with each look. Better looks, every 10 minutes and the end leave one too"
            ),
            named!(
                "early_stopping_patience",
                Kind::Whole(0, MOST),
                "0",
                "looks",
                "without a better one, then it stops; 0: never"
            ),
        ];
        KEYS
    }};
}

/// What a fine-tune of a campaign has beside them.
macro_rules! of_a_run {
    ($prefix:literal) => {{
        const KEYS: &[Key] = &[
            key(
                concat!($prefix, "model"),
                Kind::Text,
                "",
                "path",
                "a Hugging Face model directory; made = a small one, made on the spot",
            ),
            key(
                concat!($prefix, "dataset"),
                Kind::Word(&["routing", "codegen", "validation", "error_recovery", "sft"]),
                "",
                "",
                "what is learned from; without it the one that there is",
            ),
            key(
                concat!($prefix, "minimum_examples"),
                Kind::Whole(1, 1_000_000_000),
                "1",
                "rows",
                "of all stages together; with fewer nothing is launched, and none with a stage that has no row",
            ),
            key(
                concat!($prefix, "device"),
                Kind::Word(&["auto", "cpu", "cuda"]),
                "\"auto\"",
                "",
                "where is computed",
            ),
            key(
                concat!($prefix, "merge"),
                Kind::Flag,
                "false",
                "",
                "merged weights are written as well",
            ),
        ];
        KEYS
    }};
}

/// The keys of `[training]`, in the order in which they are shown.
pub const KEYS: [&[Key]; 3] = [
    of_a_run!("training."),
    &[key(
        "training.time",
        Kind::Duration,
        "\"24h\"",
        "time",
        "limit of one training job, which then goes on from its checkpoints",
    )],
    hyperparameters!("training."),
];

/// The keys of a `[[training.run.stage]]`, and of a `[[stage]]` in `train.toml`, with a sentence each.
pub const OF_A_STAGE: [(&str, &str); 4] = [
    ("name", "what the stage is called"),
    ("data", "a data set, or a file of rows; else the run's"),
    ("replay_share", "share of the rows of earlier stages"),
    ("start", "adapter or merged: what a later stage starts from"),
];

/// The keys of a `[[training.run]]`.
pub const RUN: [&[Key]; 3] = [
    &[key(
        "training.run.name",
        Kind::Text,
        "",
        "",
        "what the fine-tune is called",
    )],
    of_a_run!("training.run."),
    hyperparameters!("training.run."),
];

/// The keys of `train.toml`.
pub(super) const FILE: &[Key] = hyperparameters!("");

/// The keys of `sweep.toml`: what is trained on what, what holds for every member, and how members are left out on the way.
pub const SWEEP: [&[Key]; 3] = [
    &[
        key(
            "model",
            Kind::Text,
            "",
            "path",
            "a Hugging Face model directory, the same for every member",
        ),
        key("data", Kind::List, "[]", "paths", "rows to learn from"),
        key(
            "holdout",
            Kind::List,
            "[]",
            "paths",
            "rows that are only looked at",
        ),
        key(
            "output",
            Kind::Text,
            "",
            "path",
            "a directory with one of each member in it",
        ),
        key(
            "device",
            Kind::Word(&["auto", "cpu", "cuda"]),
            "",
            "",
            "where is computed",
        ),
    ],
    hyperparameters!(""),
    &[
        key(
            HALVING_FROM,
            Kind::Whole(1, 1_000_000_000),
            "",
            "steps",
            "up to the first rung, where members are compared on the holdout",
        ),
        key(
            HALVING_BY,
            Kind::Whole(2, 64),
            "3",
            "",
            "one in so many goes on, and the next rung is so many times as far",
        ),
    ],
];

/// Where the first rung of a sweep that halves is.
pub(super) const HALVING_FROM: &str = "halving.min_resource";
/// How many times fewer members go on from a rung, and further.
pub(super) const HALVING_BY: &str = "halving.reduction_factor";

/// The keys of a `[[member]]`.
pub const MEMBER: [&[Key]; 2] = [
    &[key(
        "member.name",
        Kind::Text,
        "",
        "",
        "what the member's directory is called, before what its lists vary",
    )],
    hyperparameters!("member."),
];
