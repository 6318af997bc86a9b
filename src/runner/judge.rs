//! How an attempt ended, in the scheduler's words, from what was seen of it, what it printed and what it left.

use super::hands::{Live, Seen};
use crate::{
    executor::{
        job_dir::{Exit, JobDir},
        said::{end_of, log_says},
    },
    experiment::{analysis::logs::death, attempts::Ended},
    machines::job::Cause,
    time::Timestamp,
};
use std::path::PathBuf;

/// Letters of a note.
const LONGEST: usize = 200;

/// How it ended; none while it has not. `missing`: what it was to leave and did not.
pub fn judge(live: &Live, seen: &Seen, missing: Option<PathBuf>) -> Option<Ended> {
    let ended = |state: &str, note: String| Ended {
        state: state.into(),
        job: live.job.clone(),
        note: short(&note),
        ..Ended::default()
    };
    Some(match seen {
        Seen::Waiting(_) | Seen::Running | Seen::Unknown(_) => return None,
        Seen::Cancelled => ended("CANCELLED", "ended before it began".into()),
        Seen::Refused(text) => ended("FAILED", format!("SLURM refuses the job: {text}")),
        Seen::Lost(why) => ended("FAILED", format!("vanished: {why}")),
        Seen::Ended(exit) => {
            let (state, out_of_memory, note) = end(&live.dir, exit, missing);
            Ended {
                done: state == "COMPLETED",
                out_of_memory,
                seconds: exit.ran_seconds(),
                ..ended(&state, note)
            }
        }
    })
}

/// The state, whether memory was short, and what there is to say.
fn end(dir: &JobDir, exit: &Exit, missing: Option<PathBuf>) -> (String, bool, String) {
    let Some(cause) = exit.cause() else {
        return match missing {
            None => ("COMPLETED".into(), false, String::new()),
            Some(path) => {
                let note = format!("{} and no {}", exit.sentence(), path.display());
                ("FAILED".into(), false, note)
            }
        };
    };
    let said = match cause {
        Cause::Program => log_says(dir, 0),
        _ => None,
    };
    let (cause, line) = match said {
        Some((cause, line)) => (cause, Some(line)),
        None => (cause, None),
    };
    let word = exit.scheduler.as_ref().map_or("", |end| &end.state);
    let state = match cause {
        Cause::OutOfMemory | Cause::GpuMemory => "OUT_OF_MEMORY",
        Cause::TimeLimit => "TIMEOUT",
        Cause::Stopped | Cause::Cancelled => "CANCELLED",
        // NODE_FAIL, PREEMPTED and others say more than that it failed.
        Cause::Transient if !word.is_empty() => word,
        _ => "FAILED",
    };
    let last = || last_line(dir);
    let note = match line.or_else(|| (cause == Cause::Program).then(last).flatten()) {
        Some(line) => format!("{}: {line}", exit.sentence()),
        None => exit.sentence(),
    };
    let short = matches!(cause, Cause::OutOfMemory | Cause::GpuMemory);
    (state.into(), short, note)
}

/// The last line that says something: what is known to kill programs, else the last one of the complaints, else of all.
fn last_line(dir: &JobDir) -> Option<String> {
    let texts = [dir.stderr(0), dir.stdout(0)].map(|path| end_of(&path).unwrap_or_default());
    let last = |text: &String| {
        let mut lines = text.split(['\n', '\r']).rev();
        let found = lines.find(|line| line.chars().any(char::is_alphanumeric));
        found.map(|line| line.trim().to_string())
    };
    let known = texts.iter().find_map(|text| death(text));
    known.or_else(|| texts.iter().find_map(last))
}

/// In one line, of a length that a table bears.
fn short(text: &str) -> String {
    let line = text.replace(char::is_control, " ");
    let mut short: String = line.chars().take(LONGEST).collect();
    if short.len() < line.len() {
        short += " ...";
    }
    short
}

/// How long an attempt has been running.
pub fn running_for(live: &Live, now: Timestamp) -> Option<std::time::Duration> {
    // A clock that was set back since shows no time, not a wrong one.
    Some(now.since(Timestamp(live.began?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::{
        job_dir::{Request, TaskRequest, Work},
        slurm::queue::SchedulerEnd,
    };
    use std::fs;

    fn live(root: &std::path::Path) -> Live {
        Live {
            id: "a-1".parse().unwrap(),
            dir: JobDir::new(root),
            request: Request {
                job: "a-1".into(),
                name: "a-1.0".into(),
                campaign: "a".into(),
                phase: "fine_tune".into(),
                attempt: 1,
                directory: "/".into(),
                time_seconds: None,
                side_by_side: 1,
                work: Work::Command { argv: Vec::new() },
                slurm: None,
                tasks: vec![TaskRequest {
                    shard: 0,
                    shards: 1,
                    target: 0,
                    first: 0,
                    output: None,
                    seed: 0,
                    experience: None,
                    ledger: None,
                    budget: None,
                }],
            },
            launched: true,
            job: Some("77".into()),
            began: Some(1_000),
            shim: None,
        }
    }

    fn status(status: i32) -> Exit {
        Exit {
            status: Some(status),
            started_at: 1_000,
            ended_at: 66_000,
            ..Exit::default()
        }
    }

    fn by_scheduler(state: &str, cause: Cause) -> Exit {
        Exit {
            scheduler: Some(SchedulerEnd {
                state: state.into(),
                reason: String::new(),
                task: "77".into(),
                cause,
            }),
            ..status(1)
        }
    }

    #[test]
    fn ends_have_the_schedulers_words() {
        let root = tempfile::tempdir().unwrap();
        let live = live(root.path());
        let told = |exit: Exit, missing: Option<&str>| {
            let ended = judge(&live, &Seen::Ended(exit), missing.map(PathBuf::from)).unwrap();
            assert_eq!(ended.job.as_deref(), Some("77"));
            (ended.state, ended.done, ended.out_of_memory, ended.note)
        };
        let simple = |state: &str| (state.to_string(), false, false);
        let (state, done, short, note) = told(status(0), None);
        assert_eq!(
            (state.as_str(), done, short, note.as_str()),
            ("COMPLETED", true, false, "")
        );
        let (state, done, short, note) = told(status(0), Some("/r/adapter"));
        assert_eq!((state, done, short), simple("FAILED"));
        assert_eq!(note, "ended with status 0 and no /r/adapter");
        let timed_out = Exit {
            timed_out: true,
            ..status(1)
        };
        let stopped = Exit {
            stopped: true,
            ..status(1)
        };
        for (exit, word) in [
            (timed_out, "TIMEOUT"),
            (stopped, "CANCELLED"),
            (by_scheduler("TIMEOUT", Cause::TimeLimit), "TIMEOUT"),
            (by_scheduler("NODE_FAIL", Cause::Transient), "NODE_FAIL"),
            (
                by_scheduler("CANCELLED by 0", Cause::Cancelled),
                "CANCELLED",
            ),
            // It says COMPLETED of what left no exit.json.
            (by_scheduler("COMPLETED", Cause::Lost), "FAILED"),
        ] {
            let (state, done, short, _) = told(exit, None);
            assert_eq!((state, done, short), simple(word));
        }
        let (state, done, short, _) = told(by_scheduler("OUT_OF_MEMORY", Cause::OutOfMemory), None);
        assert_eq!(
            (state.as_str(), done, short),
            ("OUT_OF_MEMORY", false, true)
        );
    }

    #[test]
    fn what_it_printed_last_is_the_note_and_memory_is_known_from_it() {
        let root = tempfile::tempdir().unwrap();
        let live = live(root.path());
        fs::create_dir_all(live.dir.task(0)).unwrap();
        let ended = || judge(&live, &Seen::Ended(status(3)), None).unwrap();
        assert_eq!(ended().note, "ended with status 3");
        assert_eq!(ended().seconds, Some(65));
        fs::write(live.dir.stdout(0), "step 1\nall is lost\n\n---\n").unwrap();
        assert_eq!(ended().note, "ended with status 3: all is lost");
        fs::write(live.dir.stderr(0), "a bar\rno room for x\n").unwrap();
        assert_eq!(ended().note, "ended with status 3: no room for x");
        let said = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n";
        fs::write(live.dir.stderr(0), said).unwrap();
        assert_eq!(
            (ended().state.as_str(), ended().out_of_memory),
            ("OUT_OF_MEMORY", true)
        );
        // Of what succeeded, what it said on the way counts nothing.
        assert!(judge(&live, &Seen::Ended(status(0)), None).unwrap().done);
        fs::write(live.dir.stderr(0), "x".repeat(900)).unwrap();
        assert!(ended().note.len() < 300);
    }

    #[test]
    fn no_news_is_no_end_and_a_clock_set_back_no_time() {
        let root = tempfile::tempdir().unwrap();
        let live = live(root.path());
        for seen in [
            Seen::Waiting(String::new()),
            Seen::Running,
            Seen::Unknown("x".into()),
        ] {
            assert_eq!(judge(&live, &seen, None), None);
        }
        let shown = |now| running_for(&live, Timestamp(now)).map(|d| d.as_secs());
        assert_eq!((shown(61_000), shown(0)), (Some(60), Some(0)));
        let back = Exit {
            ended_at: 10,
            ..status(0)
        };
        assert_eq!(
            judge(&live, &Seen::Ended(back), None).unwrap().seconds,
            None
        );
    }
}
