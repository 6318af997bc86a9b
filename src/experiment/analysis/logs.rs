//! What the logs of other programs say: torchtune's progress and metrics, and what a job died of.

use crate::training::metrics::{LookRow, Row, StepRow};
use std::collections::BTreeMap;

/// A step as torchtune's progress bar says it: `1|34|Loss: 0.52`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Which epoch, from 1.
    pub epoch: u64,
    /// Which step.
    pub step: u64,
    /// Its loss; perhaps no number.
    pub loss: f64,
}

/// Every step of a log, in order, each once: a bar writes the same line again and again, with carriage returns between, and a
/// run that was begun again has its steps again: the later word counts.
pub fn progress(text: &str) -> Vec<Progress> {
    let mut found: BTreeMap<u64, Progress> = BTreeMap::new();
    for piece in text.split(['\r', '\n']) {
        // tqdm may write two of its lines without anything between them.
        for (at, _) in piece.match_indices("|Loss: ") {
            if let Some(one) = step(&piece[..at], &piece[at + "|Loss: ".len()..]) {
                found.insert(one.step, one);
            }
        }
    }
    found.into_values().collect()
}

fn step(before: &str, behind: &str) -> Option<Progress> {
    let digits = |text: &str| {
        let start = text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        text[start..]
            .parse::<u64>()
            .ok()
            .map(|number| (start, number))
    };
    let (start, step) = digits(before)?;
    let (_, epoch) = digits(before[..start].strip_suffix('|')?)?;
    Some(Progress {
        epoch,
        step,
        loss: number(behind)?,
    })
}

/// The number that a text begins with; `nan` and `inf` are, too.
fn number(text: &str) -> Option<f64> {
    let of = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    let end = text.find(|c| !of(c)).unwrap_or(text.len());
    // A bar puts a colon and its per cent behind the number: what is cut there is no part of it.
    text[..end].parse().ok()
}

/// Lines of torchtune's loggers: `Step 3 | loss:0.5 lr:0.0001 tokens_per_second_per_gpu:812.3`.
pub fn metrics(text: &str) -> BTreeMap<u64, BTreeMap<String, f64>> {
    let mut found: BTreeMap<u64, BTreeMap<String, f64>> = BTreeMap::new();
    for line in text.split(['\r', '\n']) {
        let Some((step, rest)) = line
            .strip_prefix("Step ")
            .and_then(|rest| rest.split_once(" | "))
        else {
            continue;
        };
        let Ok(step) = step.trim().parse() else {
            continue;
        };
        let pairs = rest.split_whitespace().filter_map(|pair| {
            let (name, value) = pair.rsplit_once(':')?;
            Some((name.to_string(), value.parse().ok()?))
        });
        found.entry(step).or_default().extend(pairs);
    }
    found
}

/// The rows of a learning curve, of the progress bar or of a logger's lines, whichever says more.
pub fn rows(bar: &[Progress], logged: &BTreeMap<u64, BTreeMap<String, f64>>) -> Vec<Row> {
    let of_bar = bar.iter().map(|one| (one.step, one.loss, &NONE));
    let of_log = logged
        .iter()
        .filter_map(|(step, all)| Some((*step, *all.get("loss")?, all)));
    let of_log: Vec<_> = of_log.collect();
    let points: Vec<_> = if of_log.len() >= bar.len() {
        of_log
    } else {
        of_bar.collect()
    };
    let looks = logged.iter().filter_map(|(step, all)| {
        let loss = all.get("val_loss").or(all.get("eval_loss"))?;
        Some(Row::Look(LookRow {
            step: *step,
            epoch: 0.0,
            eval_loss: *loss,
            eval_rewards_accuracies: None,
        }))
    });
    let steps = points.into_iter().map(|(step, loss, all)| {
        let of = |name: &str| all.get(name).copied().unwrap_or(0.0);
        Row::Step(StepRow {
            step,
            epoch: 0.0,
            loss,
            grad_norm: of("grad_norm"),
            lr: of("lr"),
            tokens: 0,
            tokens_per_second: of("tokens_per_second_per_gpu"),
            rewards_chosen: None,
            rewards_rejected: None,
            rewards_accuracies: None,
        })
    });
    steps.chain(looks).collect()
}

static NONE: BTreeMap<String, f64> = BTreeMap::new();

/// The loss of a run's last steps: the mean of the last tenth, since one step says little. NaN where one of them is no number;
/// none without steps.
pub fn last_loss(rows: &[Row]) -> Option<f64> {
    let losses: Vec<f64> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Step(step) => Some(step.loss),
            Row::Look(_) => None,
        })
        .collect();
    let last = &losses[losses.len() - losses.len().div_ceil(10)..];
    (!last.is_empty()).then(|| last.iter().sum::<f64>() / last.len() as f64)
}

/// Seconds that an evaluation says it took: `total time:  0:12:34`.
pub fn total_time(text: &str) -> Option<f64> {
    let line = text
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("total time:"))?;
    let parts: Vec<f64> = line
        .trim()
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    match parts.as_slice() {
        [hours, minutes, seconds] => Some(hours * 3600.0 + minutes * 60.0 + seconds),
        _ => None,
    }
}

/// Words in a job's log that say what it died of, the surest first, and what they mean.
const DEATHS: [(&str, &str); 7] = [
    ("torch.OutOfMemoryError", "the GPU has no memory left"),
    ("CUDA out of memory", "the GPU has no memory left"),
    ("oom_kill", "the machine had no memory left"),
    ("oom-kill", "the machine had no memory left"),
    ("DUE TO TIME LIMIT", "its time was over"),
    ("DUE TO PREEMPTION", "it was preempted"),
    ("CANCELLED AT", "it was cancelled"),
];

/// Whether a log says that a GPU had no memory left, which SLURM calls an ordinary failure.
pub fn gpu_without_memory(log: &str) -> bool {
    DEATHS[..2].iter().any(|(words, _)| log.contains(words))
}

/// What a job died of, as the end of its log says; none where it says nothing of the kind.
pub fn death(log: &str) -> Option<String> {
    let shown = |line: &str| line.trim().chars().take(200).collect::<String>();
    for (words, meaning) in DEATHS {
        let line = log
            .split(['\r', '\n'])
            .rev()
            .find(|line| line.contains(words));
        if let Some(line) = line {
            return Some(format!("{meaning}: {}", shown(line)));
        }
    }
    let lines: Vec<&str> = log
        .split(['\r', '\n'])
        .filter(|line| !line.trim().is_empty())
        .collect();
    if log.contains("Traceback (most recent call last)") {
        let error = lines.iter().rev().find(|line| {
            line.split(':')
                .next()
                .is_some_and(|name| name.ends_with("Error") || name.ends_with("Exception"))
        });
        return Some(shown(error.or(lines.last())?));
    }
    lines
        .iter()
        .rev()
        .find(|line| line.starts_with("error: "))
        .map(|line| shown(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "Writing logs to x\n  0%|          | 0/3 [00:00<?, ?it/s]\r 33%|███       | 1/3 [00:01<00:02]\r1|1|Loss: 2.5:  33%|███ | 1/3\r1|1|Loss: 2.5:  33%|███ | 1/3\r1|2|Loss: 1.25e+00:  66%|██ | 2/31|3|Loss: nan: 100%|\nINFO: done\n";

    #[test]
    fn progress_is_read_between_carriage_returns() {
        let found = progress(LOG);
        assert_eq!(found.len(), 3);
        assert_eq!(
            found[1],
            Progress {
                epoch: 1,
                step: 2,
                loss: 1.25
            }
        );
        assert!(found[2].loss.is_nan(), "no number is told, not left out");
        assert_eq!(progress("|Loss: 3\nx|1|Loss: \n1|y|Loss: 2"), []);
        let again = progress("1|1|Loss: 3.0\n1|2|Loss: 2.0\n1|1|Loss: 2.9\n");
        assert_eq!((again.len(), again[0].loss), (2, 2.9));
    }

    #[test]
    fn loggers_lines_are_read_and_make_a_curve() {
        let text = "Step 1 | loss:2.5 lr:1e-05 tokens_per_second_per_gpu:812.5 \nStep 2 | loss:2.0 lr:2e-05\nStep 2 | val_loss:2.25\nStep x | loss:3\n";
        let found = metrics(text);
        assert_eq!(found[&1]["tokens_per_second_per_gpu"], 812.5);
        let rows = rows(&progress("1|1|Loss: 9"), &found);
        assert_eq!(rows.len(), 3);
        assert_eq!(last_loss(&rows), Some(2.0));
        assert!(
            last_loss(&super::rows(&progress(LOG), &BTreeMap::new()))
                .unwrap()
                .is_nan()
        );
        assert_eq!(last_loss(&[]), None);
        assert_eq!(total_time("x\ntotal time:    0:12:34 \n"), Some(754.0));
    }

    #[test]
    fn a_death_is_told_by_its_surest_word() {
        let oom = "Traceback (most recent call last):\n  x\ntorch.OutOfMemoryError: CUDA out of memory. Tried\nslurmstepd: error: x\n";
        assert!(
            death(oom)
                .unwrap()
                .starts_with("the GPU has no memory left: torch.OutOfMemoryError")
        );
        assert!(gpu_without_memory(oom) && !gpu_without_memory("out of tea"));
        assert!(
            death("slurmstepd: error: *** JOB 1 CANCELLED AT 2026 DUE TO TIME LIMIT ***")
                .unwrap()
                .starts_with("its time was over")
        );
        assert_eq!(
            death("Traceback (most recent call last):\n  f\nValueError: no rows\nbye\n").unwrap(),
            "ValueError: no rows"
        );
        assert_eq!(
            death("error: there are no rows\n  at x\n").unwrap(),
            "error: there are no rows"
        );
        assert_eq!(death("all fine\n"), None);
    }
}
