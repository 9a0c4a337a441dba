//! The CLI's side of the control API: one typed method for each route.
//!
//! Every request has a connection of its own, since connecting to a unix socket costs nothing and a stream may last for
//! hours. Dropping a method's future or its stream closes that connection at once, which is how a request is given up: the
//! daemon stops a build whose client is gone, and goes on with a deploy that it has accepted.
//!
//! An answer that is not 2xx comes out as [`ClientError::Failed`]. A stream of progress that stops before its last event is
//! [`ClientError::CutOff`]; after that event it ends, whatever the daemon still sends.
//!
//! It does not start a daemon, retry, or print.

mod answer;
mod certs;
mod lines;
mod processes;
mod query;
#[cfg(test)]
mod tests;
mod traffic;
mod upload;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::{Method, Request, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;

use super::{
    App, BuildQuery, BuildRef, DeployRequest, DownQuery, DownReply, Failure, ImageQuery, LogLine, LogsQuery,
    PlanReply, PlanRequest, Progress, Status, VERSION,
};
use crate::builder::context::{Context, ContextError};
use crate::name::AppName;
use answer::{Answer, RequestName, within};
use query::{encoded, query};

/// For answers that the daemon has at hand.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// For answers that wait for containers: `down` drains (5 min for WebSockets, as configured) and stops them.
const WORK_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How something goes on; ends with `Built`, `Deployed` or `Failed`, or with an error.
pub type ProgressStream = BoxStream<'static, Result<Progress, ClientError>>;
/// Lines of instances; ends when the daemon has no more of them.
pub type LogStream = BoxStream<'static, Result<LogLine, ClientError>>;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A way to the daemon. Cheap to clone; holds no connection.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// Why there is no answer, or not the wanted one.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens on the socket, or it may not be opened.
    #[error("no daemon answers on `{}`", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The daemon says why it did not work.
    #[error(transparent)]
    Failed(Failure),
    /// The answer is none of this API.
    #[error("the daemon's answer to `{request}` is not understood: {problem}")]
    Protocol {
        /// Method and path.
        request: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// There was no answer in time.
    #[error("the daemon did not answer `{request}` within {}s", limit.as_secs())]
    Late {
        /// Method and path.
        request: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The connection ended before the answer did.
    #[error("the daemon ended the connection before it answered `{request}`")]
    CutOff {
        /// Method and path.
        request: String,
        /// What the connection said; `None` when it ended in good order.
        #[source]
        source: Option<hyper::Error>,
    },
    /// The archive could not be made.
    #[error(transparent)]
    Upload(ContextError),
}

// === impl Client ===

impl Client {
    /// The daemon that listens on the unix socket at `path`.
    #[must_use]
    pub fn unix(path: PathBuf) -> Self {
        Self { socket: path }
    }

    /// The socket's path.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Connects and hangs up again.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unreachable`] when nothing listens.
    pub async fn connect(&self) -> Result<(), ClientError> {
        self.stream().await.map(drop)
    }

    /// `GET /v1/status`.
    ///
    /// # Errors
    ///
    /// As every method here: any [`ClientError`] but `Upload`.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/status").await
    }

    /// `GET /v1/apps`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn apps(&self) -> Result<Vec<App>, ClientError> {
        self.get("/apps").await
    }

    /// `GET /v1/apps/{app}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn app(&self, app: &AppName) -> Result<App, ClientError> {
        self.get(&format!("/apps/{app}")).await
    }

    /// `POST /v1/apps/{app}/plan`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn plan(&self, app: &AppName, plan: &PlanRequest) -> Result<PlanReply, ClientError> {
        let path = format!("/apps/{app}/plan");
        self.send(Method::POST, &path, json(plan), ANSWER_TIMEOUT).await?.json(ANSWER_TIMEOUT).await
    }

    /// `GET /v1/apps/{app}/builds/{content}`; `None` when it is to be built.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn find_build(&self, app: &AppName, content: &str) -> Result<Option<BuildRef>, ClientError> {
        let path = format!("/apps/{app}/builds/{}", encoded(content));
        let answer = self.send(Method::GET, &path, empty(), ANSWER_TIMEOUT).await?;
        if answer.res.status() == StatusCode::NOT_FOUND {
            // Read to its end, so that the daemon does not see a client that hung up.
            answer.bytes(ANSWER_TIMEOUT).await?;
            return Ok(None);
        }
        answer.json(ANSWER_TIMEOUT).await.map(Some)
    }

    /// `POST /v1/apps/{app}/builds` with the context's archive, which is made while it is sent.
    ///
    /// # Errors
    ///
    /// As [`Client::status`], and [`ClientError::Upload`], also in the stream, when a file cannot be read.
    pub async fn build(
        &self,
        app: &AppName,
        build: &BuildQuery,
        context: Context,
    ) -> Result<ProgressStream, ClientError> {
        let path = format!("/apps/{app}/builds{}", query(build));
        let (body, writing) = upload::archive(context);
        // The head comes with the first line of the log, so after the upload: the limit is on all of that.
        match self.send(Method::POST, &path, body, WORK_TIMEOUT).await {
            Ok(answer) => Ok(upload::blaming(answer.progress().await?, writing)),
            Err(error) => Err(upload::blame(error, writing).await),
        }
    }

    /// `POST /v1/apps/{app}/images`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn image(&self, app: &AppName, image: &ImageQuery) -> Result<ProgressStream, ClientError> {
        let path = format!("/apps/{app}/images{}", query(image));
        self.send(Method::POST, &path, empty(), WORK_TIMEOUT).await?.progress().await
    }

    /// `POST /v1/static-base`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn static_base(&self) -> Result<BuildRef, ClientError> {
        self.send(Method::POST, "/static-base", empty(), WORK_TIMEOUT).await?.json(WORK_TIMEOUT).await
    }

    /// `POST /v1/apps/{app}/deploys`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn deploy(&self, app: &AppName, deploy: &DeployRequest) -> Result<ProgressStream, ClientError> {
        let path = format!("/apps/{app}/deploys");
        self.send(Method::POST, &path, json(deploy), WORK_TIMEOUT).await?.progress().await
    }

    /// `DELETE /v1/apps/{app}/deploys/{release}`: asks for it; the deploy's stream says how it ended.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn cancel(&self, app: &AppName, release: &str) -> Result<(), ClientError> {
        let path = format!("/apps/{app}/deploys/{}", encoded(release));
        self.send(Method::DELETE, &path, empty(), ANSWER_TIMEOUT).await?.text(ANSWER_TIMEOUT).await.map(drop)
    }

    /// `DELETE /v1/apps/{app}`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn down(&self, app: &AppName, down: &DownQuery) -> Result<DownReply, ClientError> {
        let path = format!("/apps/{app}{}", query(down));
        self.send(Method::DELETE, &path, empty(), WORK_TIMEOUT).await?.json(WORK_TIMEOUT).await
    }

    /// `GET /v1/apps/{app}/logs`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn logs(&self, app: &AppName, logs: &LogsQuery) -> Result<LogStream, ClientError> {
        let path = format!("/apps/{app}/logs{}", query(logs));
        Ok(self.send(Method::GET, &path, empty(), ANSWER_TIMEOUT).await?.successful().await?.lines().boxed())
    }

    /// `GET /v1/ca.pem`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn ca_pem(&self) -> Result<String, ClientError> {
        self.send(Method::GET, "/ca.pem", empty(), ANSWER_TIMEOUT).await?.text(ANSWER_TIMEOUT).await
    }

    async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<T, ClientError> {
        self.send(method, path, body, ANSWER_TIMEOUT).await?.json(ANSWER_TIMEOUT).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(Method::GET, path, empty(), ANSWER_TIMEOUT).await?.json(ANSWER_TIMEOUT).await
    }

    async fn stream(&self) -> Result<UnixStream, ClientError> {
        UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::Unreachable { path: self.socket.clone(), source })
    }

    /// Sends a request and waits for the answer's head.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body,
        limit: Duration,
    ) -> Result<Answer, ClientError> {
        let path = format!("/{VERSION}{path}");
        let request = RequestName(format!("{method} {}", path.split('?').next().unwrap_or(&path)));
        let io = TokioIo::new(self.stream().await?);
        let (mut sender, connection) =
            http1::handshake(io).await.map_err(|error| request.cut_off(Some(error)))?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // Whatever ends it also ends the body, where it is reported.
            let _ = connection.await;
        }));
        let req = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "minipaas")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .expect("paths are made of names and encoded text");
        let res = within(limit, &request, sender.send_request(req)).await?;
        let res = res.map_err(|error| request.cut_off(Some(error)))?;
        Ok(Answer { request, res, connection })
    }
}

fn empty() -> Body {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync()
}

fn json(value: &impl Serialize) -> Body {
    let text = serde_json::to_vec(value).expect("the API's types are JSON");
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
}
