//! An experiment's directory, read: the plan rules, and a summary that says something else is shown.

use super::files::fail;
use crate::{
    artifacts::named,
    cli::{fail::Fail, out},
    config::parameters::vocabulary,
    experiment::{
        Vocabulary,
        diff::diff,
        plan::{Plan, SUMMARY, TWIN},
        status::{EVALUATION, FINE_TUNING, replaced},
        summary,
    },
};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// An experiment that is there.
#[derive(Debug)]
pub struct Open {
    /// Its directory, whole.
    pub dir: PathBuf,
    /// Its plan.
    pub plan: Plan,
    /// The words of its back end.
    pub words: &'static Vocabulary,
    /// How the summary differs from the plan; none where it does not.
    pub edited: Option<String>,
}

/// Opens an experiment; says on stderr where its summary was edited.
///
/// # Errors
/// There is none; its plan cannot be read.
pub fn open(dir: &Path) -> Result<Open, Fail> {
    let dir = super::files::whole(dir);
    let plan = plan(&dir)?;
    let words = vocabulary(plan.back_end);
    let edited = edited(&dir, &plan, words);
    if let Some(shown) = &edited {
        out::note(&format!(
            "warning: {SUMMARY} is not what {TWIN} says; {TWIN} holds, and what follows is not read:\n{}",
            shown.trim_end()
        ));
    }
    Ok(Open {
        dir,
        plan,
        words,
        edited,
    })
}

/// The same experiment as it is now, where somebody may have worked on it since; what was edited was told.
///
/// # Errors
/// Its plan cannot be read any more.
pub fn again(open: Open) -> Result<Open, Fail> {
    let plan = plan(&open.dir)?;
    Ok(Open {
        words: vocabulary(plan.back_end),
        plan,
        ..open
    })
}

fn plan(dir: &Path) -> Result<Plan, Fail> {
    let path = dir.join(TWIN);
    let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let right = "campaignctl experiment design NAME makes one";
            fail("there is no experiment", &path.display().to_string(), right)
        }
        _ => super::files::failed(named(error, "read", &path)),
    })?;
    let right = format!("{TWIN} as campaignctl experiment design wrote it");
    Plan::read(&text).map_err(|why| {
        fail(
            "the experiment cannot be read",
            &format!("{}: {why}", path.display()),
            &right,
        )
    })
}

fn edited(dir: &Path, plan: &Plan, words: &Vocabulary) -> Option<String> {
    let drawn = summary::render(plan, words);
    let found = fs::read(dir.join(SUMMARY)).unwrap_or_default();
    let mut found = String::from_utf8_lossy(&found).into_owned();
    // A runner writes first the plan, then its tables here: between the two nobody has edited anything.
    for (heading, rows) in [
        (FINE_TUNING, &plan.fine_tuning),
        (EVALUATION, &plan.evaluation),
    ] {
        found = replaced(&found, heading, rows).unwrap_or(found);
    }
    diff(&drawn, &found, (TWIN, SUMMARY))
}
