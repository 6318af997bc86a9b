//! A real SLURM of one node, where one can be started: the faulty cluster is held against it.

use crate::{front::install, same::behaves_like_slurm};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// The cluster; dropped, it ends.
struct Real {
    maker: PathBuf,
    dir: TempDir,
}

/// A started cluster; none, with the reason printed, where that cannot be.
fn real(test: &str) -> Option<Real> {
    let skipped = |why: &str| println!("skipped {test}: {why}");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A working tree may lie one directory deeper.
    let places = [
        "../shared/slurm/local-slurm",
        "../../shared/slurm/local-slurm",
    ];
    let Some(maker) = places
        .map(|place| sources.join(place))
        .into_iter()
        .find(|path| path.exists())
    else {
        skipped("no local-slurm beside the checkout");
        return None;
    };
    let needs = "test \"$(id -u)\" = 0 && command -v slurmctld slurmd slurmdbd munged mariadbd";
    let there = Command::new("sh")
        .args(["-c", needs])
        .stdout(Stdio::null())
        .status();
    if !there.is_ok_and(|status| status.success()) {
        skipped("SLURM and its accounting are not installed, or this is not root");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let real = Real { maker, dir };
    let started = real.maker(&["--accounting"], "start");
    let text = String::from_utf8_lossy(&started.stdout).into_owned();
    let Some(conf) = text.trim().strip_prefix("export SLURM_CONF=") else {
        let why = String::from_utf8_lossy(&started.stderr).into_owned();
        skipped(&format!("no SLURM comes up here: {}", why.trim()));
        return None;
    };
    for name in ["sbatch", "squeue", "sacct", "scancel", "scontrol"] {
        let text = format!("#!/bin/sh\nSLURM_CONF={conf} exec /usr/bin/{name} \"$@\"\n");
        install(&real.dir.path().join(name), &text);
    }
    Some(real)
}

impl Real {
    fn maker(&self, options: &[&str], verb: &str) -> Output {
        let site = self.dir.path().join("d");
        let mut command = Command::new(&self.maker);
        command.arg(verb).arg(site).args(options).output().unwrap()
    }

    fn path(&self) -> OsString {
        let own = std::env::var_os("PATH").unwrap_or_default();
        let all = [self.dir.path().to_path_buf()];
        let all = all.into_iter().chain(std::env::split_paths(&own));
        std::env::join_paths(all).unwrap()
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        // What is left lies in a temporary directory.
        let _ = self.maker(&[], "stop");
    }
}

#[test]
fn slurm_behaves_like_slurm() {
    if let Some(real) = real("slurm_behaves_like_slurm") {
        behaves_like_slurm(&real.path());
        refusals_are_refusals(&real);
    }
}

/// What the model knows only because SLURM says so.
fn refusals_are_refusals(real: &Real) {
    use campaignd::{executor::slurm::calls::Unanswered, machines::spec::SlurmSpec};
    let bench = crate::bench::Bench::new(real.path(), "");
    let refused = |change: fn(&mut SlurmSpec)| {
        let mut resources = SlurmSpec::default();
        change(&mut resources);
        let answer = bench.submit_with("refused", 1, &resources);
        assert!(matches!(answer, Err(Unanswered::Refused(_))), "{answer:?}");
    };
    refused(|asked| asked.partition = "nowhere".into());
    refused(|asked| asked.constraint = "unheard-of".into());
    refused(|asked| asked.mem_mib = Some(999_999_999));
    refused(|asked| asked.extra = vec!["--unheard-of".into()]);
    assert_eq!(real.maker(&["slurmctld"], "stop").status.code(), Some(0));
    let call = campaignd::executor::slurm::calls::Call::Ping;
    assert!(matches!(bench.ask(&call), Err(Unanswered::Unsure(_))));
    let down = bench.submit("down", 1);
    assert!(matches!(down, Err(Unanswered::Unsure(_))), "{down:?}");
}
