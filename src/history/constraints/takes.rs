//! What a failure is believed to come from, before anything was seen: parameters whose increase takes memory, time or
//! stability. Everything else must be shown by more cases.

use super::super::{FailureCause, direction::words};

/// Words of parameters that take memory.
#[rustfmt::skip]
const MEMORY: &[&str] = &[
    "r", "rank", "batch", "seq", "seqlen", "sequence", "length", "len", "context", "ctx", "tokens", "hidden", "width", "dim",
    "layers", "depth", "heads", "experts", "input", "image", "resolution", "pixels", "beams", "generations", "block", "cutoff",
];
/// Words of parameters that make training unstable.
const STABILITY: &[&str] = &[
    "lr",
    "learning",
    "momentum",
    "alpha",
    "scaling",
    "temperature",
    "clip",
];
/// Words of parameters that take time.
#[rustfmt::skip]
const TIME: &[&str] = &[
    "epochs", "epoch", "steps", "iterations", "iters", "rows", "samples", "batch", "seq", "seqlen", "sequence", "length", "len",
    "context", "ctx", "tokens", "r", "rank", "layers", "depth", "hidden", "width", "patience", "folds", "generations", "input",
    "image", "resolution",
];
/// Words of parameters that are about something else, whatever other word stands beside them.
const BESIDE: &[&str] = &[
    "warmup", "save", "logging", "log", "every", "interval", "eval", "minimum", "min", "decay",
];
/// Words of what names a run and does nothing to it.
const NOTHING: &[&str] = &[
    "seed",
    "name",
    "output",
    "path",
    "dir",
    "directory",
    "file",
    "port",
    "host",
    "id",
    "uuid",
    "date",
];

/// Whether more of a parameter is believed to bring on a failure of this cause.
pub fn brings_on(cause: FailureCause, parameter: &str) -> bool {
    let takes = match cause {
        FailureCause::Memory => MEMORY,
        FailureCause::Stability => STABILITY,
        FailureCause::TimeLimit => TIME,
        FailureCause::Node | FailureCause::Program | FailureCause::Refused => return false,
    };
    let words = words(parameter);
    let any = |of: &[&str]| words.iter().any(|word| of.contains(&word.as_str()));
    any(takes) && !any(BESIDE) && !any(NOTHING)
}

/// Whether a parameter can be the cause of anything.
pub fn acts(parameter: &str) -> bool {
    let words = words(parameter);
    !words.iter().any(|word| NOTHING.contains(&word.as_str()))
}

/// What is said of runs that failed so.
pub fn said(cause: FailureCause) -> &'static str {
    match cause {
        FailureCause::Memory => "ran out of memory",
        FailureCause::Stability => "became unstable",
        FailureCause::TimeLimit => "did not end in time",
        FailureCause::Node => "lost their node",
        FailureCause::Program => "ended with an error",
        FailureCause::Refused => "were refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_believed_by_whole_words() {
        use FailureCause::*;
        for (cause, parameter, believed) in [
            (Memory, "r", true),
            (Memory, "per_device_train_batch_size", true),
            (Memory, "max_seq_length", true),
            (Memory, "learning_rate", false),
            (Memory, "gradient_accumulation_steps", false),
            (Memory, "run_name", false),
            (Stability, "learning_rate", true),
            (Stability, "lr", true),
            (Stability, "lr_decay", false),
            (Stability, "batch_size", false),
            (TimeLimit, "num_train_epochs", true),
            (TimeLimit, "warmup_steps", false),
            (TimeLimit, "save_steps", false),
            (Node, "r", false),
            (Program, "r", false),
        ] {
            assert_eq!(brings_on(cause, parameter), believed, "{cause} {parameter}");
        }
        assert!(acts("optimizer") && !acts("seed") && !acts("output_dir"));
    }
}
