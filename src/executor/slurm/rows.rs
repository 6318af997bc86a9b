//! What SLURM's programs print, line by line: which columns they are asked for, and how those are read.
//!
//! A line that is not whole is no line: names may hold anything, output may be cut. What is left out is no news.

use super::{
    calls::{AccountRow, Indices, QueueRow},
    words::State,
};

/// Between two fields. Names may hold every printable character.
pub const SEPARATOR: char = '\u{1f}';

/// `squeue --format`: base id, indices, name, state, reason, nodes, partition.
pub const QUEUE_FORMAT: &str = "%F\u{1f}%K\u{1f}%j\u{1f}%T\u{1f}%r\u{1f}%N\u{1f}%P";

/// `sacct --format`; [`accounts`] reads it with [`SEPARATOR`] as `--delimiter`.
pub const ACCOUNT_FORMAT: &str = "JobID,JobName,State,ExitCode,ElapsedRaw,Start,NodeList,Submit";

/// No array of any site has so many tasks: a list that says so is not understood.
const MOST_RANGES: usize = 100_000;

/// What `sbatch` answered: the last line that is nothing but `ID` or `ID;CLUSTER` (`--parsable`), or
/// `Submitted batch job ID`. Sites print banners above and below.
pub fn submitted(stdout: &[u8]) -> Option<u64> {
    lines(stdout).filter_map(|line| id_of(line.trim())).last()
}

fn id_of(line: &str) -> Option<u64> {
    let text = match line.strip_prefix("Submitted batch job ") {
        Some(rest) => rest.split(" on cluster ").next()?,
        None => match line.split_once(';') {
            Some((_, cluster)) if cluster.is_empty() || cluster.contains(char::is_whitespace) => {
                return None;
            }
            Some((id, _)) => id,
            None => line,
        },
    };
    number(text).filter(|id| *id > 0)
}

/// What `squeue` printed in [`QUEUE_FORMAT`].
pub fn queue(stdout: &[u8]) -> Vec<QueueRow> {
    lines(stdout).filter_map(|line| queue_row(&line)).collect()
}

fn queue_row(line: &str) -> Option<QueueRow> {
    let [id, indices, name, state, reason, nodes, partition] = fields(line)?;
    Some(QueueRow {
        id: number(id)?,
        indices: match indices {
            "N/A" => Indices::Whole,
            list => indices_of(list),
        },
        name: name.into(),
        state: State::read(state),
        reason: present(reason),
        nodes: present(nodes),
        partition: partition.into(),
    })
}

/// What `sacct` printed in [`ACCOUNT_FORMAT`], the latest submission last.
pub fn accounts(stdout: &[u8]) -> Vec<AccountRow> {
    let mut rows: Vec<_> = lines(stdout)
        .filter_map(|line| account_row(&line))
        .collect();
    // Stable: of rows submitted in one second, sacct's order holds.
    if rows.iter().all(|(submit, _)| number(submit).is_some()) {
        rows.sort_by_key(|(submit, _)| number(submit));
    } else {
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The time of submission as it is printed, and the row.
fn account_row(line: &str) -> Option<(String, AccountRow)> {
    let [job, name, state, exit, elapsed, start, nodes, submit] = fields(line)?;
    let (id, indices) = job_of(job)?;
    let begun = !matches!(start, "" | "Unknown" | "None");
    let row = AccountRow {
        id,
        indices,
        name: name.into(),
        state: State::read(state),
        exit: exit.into(),
        // A job that was cancelled before it started may have a start; nodes it has none.
        elapsed_seconds: number(elapsed).filter(|_| begun && !present(nodes).is_empty()),
        nodes: present(nodes),
    };
    Some((submit.into(), row))
}

/// `12`, `12_3`, `12_[0-3,7%5]`; a step (`12.batch`) is no job.
fn job_of(text: &str) -> Option<(u64, Indices)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (id, rest) = text.split_at(end);
    let id = number(id)?;
    match rest.chars().next() {
        None => Some((id, Indices::Whole)),
        Some('_') if rest.contains('.') && !rest.contains("...") => None,
        Some('_') => Some((id, indices_of(&rest[1..]))),
        Some('+') => Some((id, Indices::Unclear(rest.into()))),
        Some(_) => None,
    }
}

/// A list of indices: `4`, `0-3,7`, `1-9:2`, with brackets and `%5` or without. One that was cut, or is not understood, is
/// [`Indices::Unclear`].
fn indices_of(text: &str) -> Indices {
    ranges(text).map_or_else(|| Indices::Unclear(text.into()), Indices::Some)
}

fn ranges(text: &str) -> Option<Vec<(u32, u32)>> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None => text,
    };
    let list = match bare.split_once('%') {
        Some((list, at_once)) => number(at_once).map(|_| list)?,
        None => bare,
    };
    let mut found = Vec::new();
    for part in list.split(',') {
        let (range, step) = match part.split_once(':') {
            Some((range, step)) => (range, index(step)?),
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (index(first)?, index(last)?),
            None => (index(range)?, index(range)?),
        };
        if first > last || step == 0 {
            return None;
        }
        if step == 1 {
            found.push((first, last));
        } else {
            let each = usize::try_from(step).ok()?;
            let steps = (first..=last).step_by(each).map(|one| (one, one));
            found.extend(steps.take(MOST_RANGES + 1));
        }
        if found.len() > MOST_RANGES {
            return None;
        }
    }
    Some(found)
}

fn index(text: &str) -> Option<u32> {
    number(text).and_then(|number| u32::try_from(number).ok())
}

/// Digits and nothing else; Rust would read `+5` too.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// SLURM's words for nothing are nothing.
fn present(text: &str) -> String {
    match text {
        "None" | "(null)" | "None assigned" | "N/A" => String::new(),
        text => text.into(),
    }
}

/// The whole lines: what has no line feed behind it was cut.
fn lines(stdout: &[u8]) -> impl Iterator<Item = String> + '_ {
    stdout
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n"))
        .map(|line| String::from_utf8_lossy(line).into_owned())
}

fn fields<const N: usize>(line: &str) -> Option<[&str; N]> {
    line.split(SEPARATOR).collect::<Vec<_>>().try_into().ok()
}

#[cfg(test)]
mod tests;
