//! The client: one request a connection, over the Unix socket. Whatever listens there, it ends: an answer that does not
//! come in time, that is not ours or that has no end is an error, and takes no more memory than the limits below.

mod error;
mod target;
#[cfg(test)]
mod tests;

pub use error::ClientError;
pub use target::Target;

use super::api::{ErrorBody, VERSION};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::UnixStream, time};

/// Between two tries while the listener's queue is full.
const QUEUE_TICK: Duration = Duration::from_millis(20);
/// A daemon that has bound its socket and still reads its store answers late, not never.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Bytes of an answer: some hundred thousand campaigns.
const MAX_ANSWER: usize = 256 << 20;
/// Bytes of a line of a stream.
const MAX_LINE: usize = 16 << 20;

/// What every answer says of itself. A line of a stream says nothing, and is of the version of its stream.
#[derive(Deserialize)]
struct Versioned {
    #[serde(default)]
    version: Option<u32>,
}

/// What the daemon's side may cost.
#[derive(Clone, Copy, Debug)]
struct Limits {
    answer_within: Duration,
    answer: usize,
    line: usize,
}

/// Speaks to the daemon behind one socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    limits: Limits,
}

impl Client {
    /// A client of the daemon at `socket`; nothing is opened yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            limits: Limits {
                answer_within: ANSWER_WITHIN,
                answer: MAX_ANSWER,
                line: MAX_LINE,
            },
        }
    }

    /// The same client, which waits `time` for an answer; for the begin of a stream, which itself may last.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.limits.answer_within = time;
        self
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks for a value.
    ///
    /// # Errors
    /// The daemon's own, or why it cannot be reached or understood.
    pub async fn get<T: DeserializeOwned>(&self, target: &Target) -> Result<T, ClientError> {
        self.timely(async {
            let response = self.send("GET", target, Bytes::new()).await?;
            self.read(response).await
        })
        .await
    }

    /// Asks for a change.
    ///
    /// # Errors
    /// The daemon's own, or why it cannot be reached or understood.
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        target: &Target,
        body: &B,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.unsendable(&error))?;
        self.timely(async {
            let response = self.send("POST", target, Bytes::from(body)).await?;
            self.read(response).await
        })
        .await
    }

    /// Follows a stream of values, one a line, until it ends or `each` says false.
    ///
    /// # Errors
    /// The daemon's own, or why it cannot be reached or understood; a stream that ends in the middle of a line.
    pub async fn follow<T: DeserializeOwned>(
        &self,
        target: &Target,
        mut each: impl FnMut(T) -> bool,
    ) -> Result<(), ClientError> {
        let mut strange = None;
        let decoded = |line: &[u8]| match self.decode(line) {
            Ok(value) => each(value),
            Err(error) => {
                strange = Some(error);
                false
            }
        };
        self.lines(target, decoded).await?;
        strange.map_or(Ok(()), Err)
    }

    /// The same, where the lines are somebody else's words: each is handed out as it came, without its newline.
    ///
    /// # Errors
    /// Those of [`follow`](Self::follow), but for what stands on a line.
    pub async fn lines(
        &self,
        target: &Target,
        mut each: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), ClientError> {
        let begun = self.timely(async {
            let response = self.send("GET", target, Bytes::new()).await?;
            self.refuse(response).await
        });
        let mut response = begun.await?;
        let mut waiting = Vec::new();
        while let Some(frame) = response.body_mut().frame().await {
            let frame = frame.map_err(|error| self.broken(&error))?;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            for piece in data.split_inclusive(|byte| *byte == b'\n') {
                if waiting.len() + piece.len() > self.limits.line {
                    return Err(self.endless("a line", self.limits.line));
                }
                waiting.extend_from_slice(piece);
                if !piece.ends_with(b"\n") {
                    continue;
                }
                let line = waiting.trim_ascii();
                if !line.is_empty() && !each(line) {
                    return Ok(());
                }
                waiting.clear();
            }
        }
        if waiting.is_empty() {
            Ok(())
        } else {
            Err(self.broken(&"in the middle of a line"))
        }
    }

    /// Takes a file as it comes, until it ends or `each` says false.
    ///
    /// # Errors
    /// The daemon's own, or why it cannot be reached; a file that breaks off before the end that was announced.
    pub async fn bytes(
        &self,
        target: &Target,
        mut each: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), ClientError> {
        let begun = self.timely(async {
            let response = self.send("GET", target, Bytes::new()).await?;
            self.refuse(response).await
        });
        let mut response = begun.await?;
        while let Some(frame) = response.body_mut().frame().await {
            let frame = frame.map_err(|error| self.broken(&error))?;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            if !data.is_empty() && !each(data) {
                break;
            }
        }
        Ok(())
    }

    async fn timely<T>(
        &self,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let limit = self.limits.answer_within;
        let answered = time::timeout(limit, answer).await;
        answered.unwrap_or_else(|_| Err(self.silent(limit)))
    }

    async fn send(
        &self,
        method: &str,
        target: &Target,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(target.as_str())
            .header("host", "campaignd")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| self.unsendable(&error))?;
        let stream = self
            .connect()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.broken(&error))?;
        // The connection ends with the response; its error, if any, is the response's too.
        tokio::spawn(connection);
        sender
            .send_request(request)
            .await
            .map_err(|error| self.unread(&error))
    }

    /// A Unix socket whose queue is full answers at once that one would have to wait: so one waits.
    async fn connect(&self) -> io::Result<UnixStream> {
        loop {
            match UnixStream::connect(&self.socket).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    time::sleep(QUEUE_TICK).await;
                }
                done => return done,
            }
        }
    }

    async fn read<T: DeserializeOwned>(
        &self,
        response: Response<Incoming>,
    ) -> Result<T, ClientError> {
        let response = self.refuse(response).await?;
        self.decode(&self.body(response).await?)
    }

    async fn body(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = Limited::new(response.into_body(), self.limits.answer);
        match body.collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(self.endless("the answer", self.limits.answer))
            }
            Err(error) => Err(self.broken(&error)),
        }
    }

    async fn refuse(
        &self,
        response: Response<Incoming>,
    ) -> Result<Response<Incoming>, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(response).await?;
        if serde_json::from_slice::<Versioned>(&body).is_err() {
            return Err(self.foreign(format!("the answer is not campaignd's: status {status}")));
        }
        let mut error = self.decode::<ErrorBody>(&body)?.error;
        // A refusal ends in no success, whatever it says, and is one sentence on a terminal, whatever it holds.
        error.exit_status = error.exit_status.max(1);
        error.message = error.message.replace(char::is_control, " ");
        Err(ClientError(Box::new(error)))
    }

    /// A value of the version that this client reads: names are only ever added to one, so another means another thing.
    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        let not_ours = |error| self.foreign(format!("the answer is not campaignd's: {error}"));
        let found: Versioned = serde_json::from_slice(body).map_err(not_ours)?;
        if let Some(version) = found.version.filter(|version| *version != VERSION) {
            return Err(self.foreign(format!(
                "campaignd answers in version {version} of its language, this reads {VERSION}"
            )));
        }
        serde_json::from_slice(body).map_err(not_ours)
    }
}
