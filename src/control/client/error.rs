//! What keeps a request from its answer, in one sentence each.

use super::Client;
use crate::{control::api::ErrorView, time::two_units};
use std::{fmt, io, time::Duration};

/// Statuses that the client itself leads to (ux: "STATUS").
const USAGE: u8 = 2;
const NO_DAEMON: u8 = 7;
const NOT_ALLOWED: u8 = 8;

/// A refusal, from the daemon or on the way to it. Boxed: it is far larger than what succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError(pub Box<ErrorView>);

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for ClientError {}

impl Client {
    fn error(&self, kind: &str, exit_status: u8, message: String, right: &str) -> ClientError {
        ClientError(Box::new(ErrorView {
            kind: kind.into(),
            message,
            at: Some(self.socket.display().to_string()),
            right: Some(right.into()),
            exit_status,
            ..ErrorView::default()
        }))
    }

    pub(super) fn unreachable(&self, error: &io::Error) -> ClientError {
        const START: &str = "campaignd serve --daemonize   or: systemctl start campaignd";
        if error.kind() == io::ErrorKind::PermissionDenied {
            let message = "the socket may not be opened".into();
            let right = "as the user or in the group that campaignd's socket belongs to";
            return self.error("not_allowed", NOT_ALLOWED, message, right);
        }
        let why = match error.kind() {
            io::ErrorKind::NotFound => "no such file".into(),
            io::ErrorKind::ConnectionRefused => "nobody listens".into(),
            _ => error.to_string(),
        };
        let mut found = self.error("no_daemon", NO_DAEMON, "no campaignd answers".into(), START);
        found.0.at = Some(format!("{}   ({why})", self.socket.display()));
        found
    }

    pub(super) fn broken(&self, why: &impl fmt::Display) -> ClientError {
        let message = format!("campaignd's answer broke off: {why}");
        self.error("no_daemon", NO_DAEMON, message, "campaignctl status")
    }

    /// Something answers, in words that this client does not know.
    pub(super) fn foreign(&self, message: String) -> ClientError {
        let right = "a campaignctl of the daemon's version, or another --socket";
        self.error("protocol", NO_DAEMON, message, right)
    }

    pub(super) fn unsendable(&self, why: &impl fmt::Display) -> ClientError {
        let message = format!("the request cannot be sent: {why}");
        self.error("usage", USAGE, message, "a shorter name")
    }

    /// The answer did not come in time. What was asked may still be done: nobody knows.
    pub(super) fn silent(&self, limit: Duration) -> ClientError {
        let limit = two_units(limit);
        let message = format!("campaignd did not answer within {limit}");
        self.error("timeout", NO_DAEMON, message, "campaignctl status, later")
    }

    /// No answer was read: its beginning is not HTTP, or there is none.
    pub(super) fn unread(&self, error: &hyper::Error) -> ClientError {
        if error.is_parse() {
            self.foreign(format!("the answer is not campaignd's: {error}"))
        } else {
            self.broken(error)
        }
    }

    /// More than anybody can have meant.
    pub(super) fn endless(&self, what: &str, limit: usize) -> ClientError {
        self.foreign(format!("{what} is longer than {limit} bytes"))
    }
}
