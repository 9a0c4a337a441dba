//! An answer of the daemon: read whole as JSON or text, or line by line while it lasts.
//!
//! Reading is bounded in time and size, and an answer that is not 2xx comes out as the [`Failure`] that it carries. The
//! connection lives as long as the answer or the stream made of it. A stream of progress ends with its last event.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::Response;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio_util::task::AbortOnDropHandle;

use super::{ANSWER_TIMEOUT, ClientError, ProgressStream, lines};
use crate::api::{CODE_NO_ROUTE, Failure, Progress, VERSION_HEADER};

/// An answer that is no stream; the status of 200 apps has less than 1 MiB.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// An answer's head, with the connection that its body comes from.
pub(super) struct Answer {
    pub(super) request: RequestName,
    pub(super) res: Response<Incoming>,
    pub(super) connection: AbortOnDropHandle<()>,
}

/// Method and path, for errors.
#[derive(Debug, Clone)]
pub(super) struct RequestName(pub(super) String);

// === impl Answer ===

impl Answer {
    /// This answer if it is 2xx; else the failure that it carries.
    pub(super) async fn successful(self) -> Result<Self, ClientError> {
        let status = self.res.status();
        if status.is_success() {
            return Ok(self);
        }
        let request = self.request.clone();
        let version = self.res.headers().get(VERSION_HEADER).and_then(|version| version.to_str().ok());
        let version = version.unwrap_or("of another version").to_owned();
        let body = self.bytes(ANSWER_TIMEOUT).await?;
        match serde_json::from_slice::<Failure>(&body) {
            Ok(failure) if failure.code == CODE_NO_ROUTE => Err(request.too_old(version)),
            Ok(failure) => Err(ClientError::Failed(failure)),
            Err(_) => Err(request.protocol(format!("status {status} without a reason"))),
        }
    }

    pub(super) async fn json<T: DeserializeOwned>(self, limit: Duration) -> Result<T, ClientError> {
        let answer = self.successful().await?;
        let request = answer.request.clone();
        let body = answer.bytes(limit).await?;
        serde_json::from_slice(&body).map_err(|error| request.protocol(error.to_string()))
    }

    pub(super) async fn text(self, limit: Duration) -> Result<String, ClientError> {
        let answer = self.successful().await?;
        let request = answer.request.clone();
        String::from_utf8(answer.bytes(limit).await?.into()).map_err(|_| request.protocol("not UTF-8"))
    }

    pub(super) async fn bytes(self, limit: Duration) -> Result<Bytes, ClientError> {
        let Self { request, res, connection: _connection } = self;
        let body = Limited::new(res.into_body(), ANSWER_BYTES_MAX).collect();
        match within(limit, &request, body).await? {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(error) => Err(request.cut_off(Some(*error))),
                Err(_) => Err(request.protocol(format!("it has more than {ANSWER_BYTES_MAX} bytes"))),
            },
        }
    }

    /// The body as one JSON value a line.
    pub(super) fn lines<T: DeserializeOwned + Send + 'static>(
        self,
    ) -> BoxStream<'static, Result<T, ClientError>> {
        let Self { request, res, connection } = self;
        lines::lines(request, res.into_body(), connection)
    }

    /// The body as progress, up to its last event.
    pub(super) async fn progress(self) -> Result<ProgressStream, ClientError> {
        let answer = self.successful().await?;
        let request = answer.request.clone();
        let until_last = stream::unfold(Some(answer.lines::<Progress>()), move |lines| {
            let request = request.clone();
            async move {
                let mut lines = lines?;
                match lines.next().await {
                    Some(Ok(event)) => {
                        let rest = (!is_last(&event)).then_some(lines);
                        Some((Ok(event), rest))
                    }
                    Some(Err(error)) => Some((Err(error), None)),
                    None => Some((Err(request.cut_off(None)), None)),
                }
            }
        });
        Ok(until_last.boxed())
    }
}

// === impl RequestName ===

impl RequestName {
    pub(super) fn cut_off(&self, source: Option<hyper::Error>) -> ClientError {
        ClientError::CutOff { request: self.0.clone(), source }
    }

    fn too_old(&self, version: String) -> ClientError {
        ClientError::TooOld { version, request: self.0.clone() }
    }

    pub(super) fn protocol(&self, problem: impl Into<String>) -> ClientError {
        ClientError::Protocol { request: self.0.clone(), problem: problem.into() }
    }
}

impl fmt::Display for RequestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_last(event: &Progress) -> bool {
    matches!(
        event,
        Progress::Built { .. }
            | Progress::Deployed(_)
            | Progress::Reformed { .. }
            | Progress::Ran { .. }
            | Progress::Pushed { .. }
            | Progress::Failed { .. }
    )
}

/// What `work` gives within `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    request: &RequestName,
    work: impl Future<Output = T>,
) -> Result<T, ClientError> {
    let late = || ClientError::Late { request: request.to_string(), limit };
    tokio::time::timeout(limit, work).await.map_err(|_| late())
}
