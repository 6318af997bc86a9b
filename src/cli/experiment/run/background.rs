//! `--detach`: the same command in the background.

use crate::{
    cli::{
        args::Shape,
        experiment::files::{fail, failed},
        fail::Fail,
        out,
    },
    experiment::log::LogFile,
    runner::Place,
};
use serde_json::json;
use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long the process in the background may take to have the experiment.
const BEGINS_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at it.
const SOON: Duration = Duration::from_millis(20);

/// Starts it, and returns once it has the experiment.
///
/// # Errors
/// It could not be started, or ended with an error; what it said.
pub fn detach(place: &Place, shape: Shape) -> Result<u8, Fail> {
    super::held(place)?;
    let path = place.complaints();
    let complaints = File::create(&path).map_err(failed)?;
    let words = std::env::args_os()
        .skip(1)
        .map(|word| match word == "--detach" {
            true => "--detached".into(),
            false => word,
        });
    let mut child = Command::new("/proc/self/exe")
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(complaints)
        .spawn()
        .map_err(failed)?;
    let pid = child.id();
    if !begun(place, &mut child)? {
        let said = fs::read_to_string(&path).unwrap_or_default();
        let status = child.wait().map_err(failed)?;
        if status.code() == Some(0) {
            out::note("there was nothing left to do");
            return Ok(0);
        }
        if said.trim().is_empty() {
            // Everything had its end already, and not all of it a good one.
            out::note("there was nothing left to do, and not everything succeeded");
            return Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1));
        }
        return Err(fail(
            "the runner in the background did not begin",
            said.trim(),
            "the same command without --detach",
        ));
    }
    let (dir, log) = (place.dir(), place.dir().join(LogFile::Run.name()));
    if shape.json {
        out::json(&json!({ "version": 1, "directory": dir, "runner": pid, "log": log }))?;
    } else if !shape.quiet {
        let dir = dir.display();
        out::print(&format!(
            "process {pid} runs it\n  look     campaignctl experiment status {dir}\n  follow   tail -f {dir}/run-*.log\n  end it   campaignctl experiment stop {dir}\n"
        ))?;
    }
    Ok(0)
}

/// Whether it has the experiment; false: it has ended before.
fn begun(place: &Place, child: &mut Child) -> Result<bool, Fail> {
    let deadline = Instant::now() + BEGINS_WITHIN;
    loop {
        if child.try_wait().map_err(failed)?.is_some() {
            return Ok(false);
        }
        let who = place.runner().flatten();
        if who.is_some_and(|who| u32::try_from(who.pid) == Ok(child.id())) {
            return Ok(true);
        }
        if Instant::now() > deadline {
            return Ok(true);
        }
        thread::sleep(SOON);
    }
}
