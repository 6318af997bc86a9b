//! `campaignd doctor`: what this machine offers, and what is missing.

use super::{
    args::{Place, Shape},
    fail::Fail,
    out,
    screen::fit,
};
use crate::{
    artifacts::create_dir_private,
    config::{Env, Settings, resolve_socket, resolve_state_dir},
    worker::device::{self, Verdict},
};
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Writes that the speed of the disk is taken over.
const FSYNCS: u32 = 20;

/// One finding.
struct Finding {
    what: &'static str,
    state: &'static str,
    text: String,
}

/// Looks; 1 when something needed is missing.
pub fn doctor(place: &Place, shape: Shape) -> Result<u8, Fail> {
    let (env, settings) = (Env::capture(), Settings::load(None)?);
    let (state_dir, from) =
        resolve_state_dir(place.state_dir.as_deref(), &env, &settings.state_dir);
    let findings = [
        state(&state_dir, &from),
        socket(place.socket.as_deref(), &env, &settings, &state_dir),
        processes(),
        slurm(&env),
    ];
    let findings: Vec<Finding> = findings.into_iter().chain(gpu()).collect();
    let missing = findings
        .iter()
        .filter(|finding| finding.state == "missing")
        .count();
    if shape.json {
        let all: Vec<_> = findings
            .iter()
            .map(|found| serde_json::json!({ "what": found.what, "state": found.state, "text": found.text }))
            .collect();
        out::json(&serde_json::json!({ "version": 1, "findings": all, "missing": missing }))?;
    } else {
        for found in &findings {
            out::print(&shown(found))?;
        }
        out::line(&match missing {
            0 => "nothing that is needed is missing".into(),
            some => format!("{some} of what is needed is missing"),
        })?;
    }
    Ok(u8::from(missing > 0))
}

/// A finding as lines that fit a screen.
fn shown(found: &Finding) -> String {
    fit::labelled(
        &format!("{:<10} {:<8} ", found.what, found.state),
        &found.text,
    )
}

fn state(dir: &Path, from: &str) -> Finding {
    let shown = format!("{} ({from})", dir.display());
    match create_dir_private(dir).and_then(|()| fsync(dir)) {
        Ok(took) => {
            let free = nix::sys::statvfs::statvfs(dir)
                .map(|disk| disk.blocks_available() * disk.fragment_size() / 1_000_000_000);
            let free = free.map_or("unknown".into(), |gb| format!("{gb} GB"));
            let text = format!(
                "{shown}: {free} free, fsync {:.2} ms",
                took.as_secs_f64() * 1000.0
            );
            Finding {
                what: "state dir",
                state: "ok",
                text,
            }
        }
        Err(error) => Finding {
            what: "state dir",
            state: "missing",
            text: format!("{shown}: {error}"),
        },
    }
}

/// The median time of a small append and its fdatasync.
fn fsync(dir: &Path) -> std::io::Result<Duration> {
    let path = dir.join(".doctor");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..FSYNCS {
        let began = Instant::now();
        file.write_all(&[0; 256])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    fs::remove_file(&path)?;
    times.sort();
    Ok(times[times.len() / 2])
}

fn socket(flag: Option<&Path>, env: &Env, settings: &Settings, dir: &Path) -> Finding {
    match resolve_socket(flag, env, &settings.socket, dir) {
        Ok(path) => {
            let text = format!(
                "{}, {} of 107 bytes",
                path.display(),
                path.as_os_str().len()
            );
            Finding {
                what: "socket",
                state: "ok",
                text,
            }
        }
        Err(problem) => Finding {
            what: "socket",
            state: "missing",
            text: problem.message,
        },
    }
}

/// Adoption tells processes apart by `/proc`.
fn processes() -> Finding {
    let me = crate::executor::identity::Identity::own();
    match me.and_then(|me| Ok(!me.boot_id.is_empty() && me.alive()?)) {
        Ok(true) => Finding {
            what: "processes",
            state: "ok",
            text: "/proc shows start times and the boot id".into(),
        },
        _ => Finding {
            what: "processes",
            state: "missing",
            text: "/proc shows no start times or no boot id".into(),
        },
    }
}

fn on_path(env: &Env, program: &str) -> Option<PathBuf> {
    let path = env.get("PATH")?;
    std::env::split_paths(path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

fn slurm(env: &Env) -> Finding {
    let clients = ["sbatch", "squeue", "sacct", "scontrol", "scancel"];
    let found: Vec<&str> = clients
        .into_iter()
        .filter(|program| on_path(env, program).is_some())
        .collect();
    match found.len() {
        0 => Finding {
            what: "slurm",
            state: "absent",
            text: "no clients on PATH: jobs run on this machine".into(),
        },
        5 => Finding {
            what: "slurm",
            state: "ok",
            text: found.join(" "),
        },
        _ => Finding {
            what: "slurm",
            state: "partial",
            text: format!("only {}", found.join(" ")),
        },
    }
}

/// What training on a GPU needs, and whether the GPU computes what the processor does; none of it is needed where training is
/// done elsewhere or on the processor.
fn gpu() -> impl Iterator<Item = Finding> {
    let findings = device::findings().into_iter().map(|found| Finding {
        what: found.what,
        state: if found.good { "ok" } else { "absent" },
        text: found.text,
    });
    findings.chain(device::tried().map(trial))
}

/// How the GPU's trial ended.
fn trial(verdict: &Verdict) -> Finding {
    let (state, text) = match verdict {
        Verdict::Agrees(agreement) => ("ok", agreement.to_string()),
        Verdict::Fails(why) => ("failed", why.to_string()),
        Verdict::Unavailable(why) => ("busy", format!("could not be made: {why}")),
    };
    Finding {
        what: "gpu trial",
        state,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::{
        backend::Trouble,
        cuda::{
            driver::missing::{CudaVersion, Missing},
            trial::Agreement,
        },
    };

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    /// A line above 80 columns is broken by the terminal in the middle of a word.
    #[test]
    fn lines_keep_to_80_columns_and_lose_no_word() {
        let driver = CudaVersion(12_040);
        let missing = [
            Missing::Driver,
            Missing::DriverStart(803),
            Missing::Device,
            Missing::Hidden("3".into()),
            Missing::Capability(0, "Tesla T4".into(), (7, 5)),
            Missing::Library(None),
            Missing::Library(Some(driver)),
        ];
        let texts = missing.iter().map(ToString::to_string);
        for text in texts.chain(["short".into(), String::new()]) {
            let found = Finding {
                what: "cublaslt",
                state: "absent",
                text,
            };
            let shown = shown(&found);
            let lines: Vec<&str> = shown.lines().collect();
            for (number, line) in lines.iter().enumerate() {
                assert!(line.chars().count() <= fit::WIDTH, "{line}");
                assert_eq!(line.trim_end(), *line);
                assert!(number == 0 || line.starts_with(&" ".repeat(20)), "{line}");
            }
            assert!(lines.len() > 1 || found.text.len() <= 60, "{shown}");
            let head = ["cublaslt", "absent"];
            assert_eq!(words(&shown), [&head[..], &words(&found.text)].concat());
        }
    }

    #[test]
    fn a_word_longer_than_a_line_stays_whole() {
        let text = format!("/{} (the default)", "x".repeat(90));
        let found = Finding {
            what: "state dir",
            state: "ok",
            text,
        };
        assert_eq!(shown(&found).lines().count(), 2);
    }

    #[test]
    fn a_trial_is_said_with_its_figures() {
        let agreement = Agreement {
            loss: 0.0021,
            gradient: 0.012,
            update: 0.02,
            tokens: 24,
        };
        let found = trial(&Verdict::Agrees(agreement));
        assert_eq!((found.what, found.state), ("gpu trial", "ok"));
        assert_eq!(
            found.text,
            "one training step agrees with the processor (losses to 0.2 %, gradients 1.2 %, AdamW 2.0 %), and so do 24 \
             decoded tokens"
        );
        let failed = trial(&Verdict::Fails(Trouble("the loss is 1".into())));
        assert_eq!(
            (failed.state, failed.text.as_str()),
            ("failed", "the loss is 1")
        );
        let busy = trial(&Verdict::Unavailable(Trouble("no memory".into())));
        assert_eq!(busy.text, "could not be made: no memory");
    }
}
