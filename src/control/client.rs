//! The client: one request a connection, over the Unix socket.

use super::api::{ErrorBody, ErrorView};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt, io,
    path::{Path, PathBuf},
};
use tokio::net::UnixStream;

/// Statuses that the client itself leads to (ux: "STATUS").
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

/// Speaks to the daemon behind one socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon at `socket`; nothing is opened yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
        }
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks for a value.
    ///
    /// # Errors
    /// The daemon's own, or why it cannot be reached.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.read(self.send("GET", path, Bytes::new()).await?).await
    }

    /// Asks for a change.
    ///
    /// # Errors
    /// The daemon's own, or why it cannot be reached.
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.broken(&error))?;
        self.read(self.send("POST", path, Bytes::from(body)).await?)
            .await
    }

    /// Follows a stream of values, one a line, until it ends or `each` says false.
    ///
    /// # Errors
    /// The daemon's own, or why it cannot be reached.
    pub async fn follow<T: DeserializeOwned>(
        &self,
        path: &str,
        mut each: impl FnMut(T) -> bool,
    ) -> Result<(), ClientError> {
        let mut response = self
            .refuse(self.send("GET", path, Bytes::new()).await?)
            .await?;
        let mut waiting = Vec::new();
        while let Some(frame) = response.body_mut().frame().await {
            let frame = frame.map_err(|error| self.broken(&error))?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            waiting.extend_from_slice(data);
            let whole = waiting.iter().rposition(|byte| *byte == b'\n');
            let rest = waiting.split_off(whole.map_or(0, |end| end + 1));
            for line in waiting.split(|byte| *byte == b'\n') {
                if line.is_empty() {
                    continue;
                }
                let value = serde_json::from_slice(line).map_err(|error| self.broken(&error))?;
                if !each(value) {
                    return Ok(());
                }
            }
            waiting = rest;
        }
        Ok(())
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.broken(&error))?;
        // The connection ends with the response; its error, if any, is the response's too.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "campaignd")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| self.broken(&error))?;
        sender
            .send_request(request)
            .await
            .map_err(|error| self.broken(&error))
    }

    async fn read<T: DeserializeOwned>(
        &self,
        response: Response<Incoming>,
    ) -> Result<T, ClientError> {
        let response = self.refuse(response).await?;
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| self.broken(&error))?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| self.broken(&error))
    }

    async fn refuse(
        &self,
        response: Response<Incoming>,
    ) -> Result<Response<Incoming>, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| self.broken(&error))?;
        match serde_json::from_slice::<ErrorBody>(&body.to_bytes()) {
            Ok(body) => Err(ClientError(Box::new(body.error))),
            Err(_) => Err(self.broken(&format!("status {status}"))),
        }
    }

    fn unreachable(&self, error: &io::Error) -> ClientError {
        let socket = self.socket.display();
        let (kind, exit_status, why) = match error.kind() {
            io::ErrorKind::NotFound => ("no_daemon", NO_DAEMON, "no such file"),
            io::ErrorKind::ConnectionRefused => ("no_daemon", NO_DAEMON, "nobody listens"),
            io::ErrorKind::PermissionDenied => ("not_allowed", NOT_ALLOWED, "permission denied"),
            _ => ("no_daemon", NO_DAEMON, "it does not open"),
        };
        let message = if exit_status == NOT_ALLOWED {
            "the socket may not be opened"
        } else {
            "no campaignd answers"
        };
        ClientError(Box::new(ErrorView {
            kind: kind.into(),
            message: message.into(),
            at: Some(format!("{socket}   ({why})")),
            right: Some("campaignd serve --daemonize   or: systemctl start campaignd".into()),
            exit_status,
            ..ErrorView::default()
        }))
    }

    fn broken(&self, why: &impl fmt::Display) -> ClientError {
        ClientError(Box::new(ErrorView {
            kind: "no_daemon".into(),
            message: format!("campaignd's answer broke off: {why}"),
            at: Some(self.socket.display().to_string()),
            right: Some("campaignctl status".into()),
            exit_status: NO_DAEMON,
            ..ErrorView::default()
        }))
    }
}
