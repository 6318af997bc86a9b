//! Errors on their way to a person: three lines on stderr, or one JSON value, and an exit status.

use super::out;
use crate::{
    config::Problem,
    control::{
        api::{ErrorBody, ErrorView, VERSION},
        client::ClientError,
    },
    daemon::StartError,
};
use std::{fmt, process::ExitCode};

/// Something that is needed is missing for now: room on a disk, descriptors.
pub const MISSING: u8 = 1;
/// Usage, settings, unknown id, wrong state, store.
pub const USAGE: u8 = 2;
/// `--timeout` passed.
pub const TIMEOUT: u8 = 124;
/// Interrupted; everything is kept.
pub const INTERRUPTED: u8 = 130;

/// Errors, all of one exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fail(pub Vec<ErrorView>);

impl Fail {
    /// A usage error.
    pub fn usage(message: impl Into<String>, right: impl Into<String>) -> Self {
        Self(vec![ErrorView {
            kind: "usage".into(),
            message: message.into(),
            right: Some(right.into()),
            exit_status: USAGE,
            ..ErrorView::default()
        }])
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        self.0.first().map_or(1, |error| error.exit_status)
    }

    /// Says it; gives the exit status.
    pub fn tell(&self, json: bool) -> ExitCode {
        out::prompt(&self.to_string());
        if json {
            let body = ErrorBody {
                version: VERSION,
                error: self.0.first().cloned().unwrap_or_default(),
            };
            // The error has a status and is on stderr already; that stdout takes nothing changes neither.
            let _ = out::json(&body);
        }
        ExitCode::from(self.status())
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.0 {
            writeln!(f, "error: {}", error.message)?;
            if let Some(at) = &error.at {
                writeln!(f, "  at     {at}")?;
            }
            if let Some(right) = &error.right {
                writeln!(f, "  right  {right}")?;
            }
        }
        Ok(())
    }
}

impl From<ClientError> for Fail {
    fn from(error: ClientError) -> Self {
        Self(vec![*error.0])
    }
}

impl From<Box<Problem>> for Fail {
    fn from(problem: Box<Problem>) -> Self {
        vec![*problem].into()
    }
}

impl From<Vec<Problem>> for Fail {
    fn from(problems: Vec<Problem>) -> Self {
        let view = |problem: Problem| ErrorView {
            kind: "settings".into(),
            message: problem.message,
            at: Some(problem.at),
            right: problem.right.clone(),
            file: problem.file,
            line: problem.line,
            key: problem.key,
            value: problem.value,
            expected: problem.right,
            suggestion: None,
            exit_status: USAGE,
        };
        Self(problems.into_iter().map(view).collect())
    }
}

impl From<StartError> for Fail {
    fn from(error: StartError) -> Self {
        Self(vec![ErrorView {
            kind: "store".into(),
            message: error.message,
            at: Some(error.at),
            right: Some(error.right),
            exit_status: if error.passing { MISSING } else { USAGE },
            ..ErrorView::default()
        }])
    }
}
