//! The CLI's side of the control API: one typed method for each route.
//!
//! The daemon is that of a unix socket, or of a box elsewhere (`remote`). Every request has a connection of its own, since
//! connecting to a unix socket costs nothing and a stream may last for hours. Dropping a method's future or its stream closes that connection at once, which is how a request is given up: the
//! daemon stops a build whose client is gone, and goes on with a deploy that it has accepted.
//!
//! An answer that is not 2xx comes out as [`ClientError::Failed`]. A stream of progress that stops before its last event is
//! [`ClientError::CutOff`]; after that event it ends, whatever the daemon still sends.
//!
//! It does not start a daemon, and does not print.

mod answer;
mod certs;
mod domains;
mod drains;
mod events;
mod exports;
mod hooks;
mod lines;
mod people;
mod processes;
mod query;
mod releases;
mod remote;
mod runs;
#[cfg(test)]
mod tests;
mod traffic;
mod upload;

use std::io;
use std::path::PathBuf;
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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;

use super::{
    AfterQuery, App, BuildQuery, BuildRef, DeployRequest, DownQuery, DownReply, Failure, Health,
    IDEMPOTENCY_HEADER, ImageQuery, LogLine, LogsQuery, PlanReply, PlanRequest, Progress, Status, VERSION,
};
use crate::builder::context::{Context, ContextError};
use crate::name::AppName;
use crate::{hex, random};
pub use events::EventStream;
pub use releases::ConfigChanged;

use answer::{Answer, RequestName, within};
use query::encoded;
pub(crate) use query::query;
use remote::Remote;
pub use runs::{Connected, Receiver, Sender};

pub use remote::{BoxTrust, BoxUrl, BoxUrlError};

/// For answers that the daemon has at hand.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// For answers that wait for containers: `down` drains (5 min for WebSockets, as configured) and stops them.
const WORK_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How something goes on; ends with `Built`, `Deployed` or `Failed`, or with an error.
pub type ProgressStream = BoxStream<'static, Result<Progress, ClientError>>;
/// Lines of instances; ends when the daemon has no more of them.
pub type LogStream = BoxStream<'static, Result<LogLine, ClientError>>;

/// What a request carries.
enum Body {
    /// All of it, which can be sent again.
    Whole(Bytes),
    /// Made as it is sent.
    Stream(UnsyncBoxBody<Bytes, io::Error>),
}

/// A way to the daemon. Cheap to clone; holds no connection.
#[derive(Debug, Clone)]
pub struct Client {
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    Socket(PathBuf),
    Tls(Remote),
}

/// A connection of either kind.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

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
    /// No box answers there.
    #[error("no box answers at `{url}`")]
    RemoteUnreachable {
        /// Where.
        url: BoxUrl,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Whoever answers there has not proved to be the box.
    #[error(
        "`{url}` has not proved that it is itself: its certificate is of nobody whom this machine trusts"
    )]
    Untrusted {
        /// Where.
        url: BoxUrl,
        /// What is wrong with the certificate.
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
    /// The daemon is of a version that cannot do this.
    #[error("this box runs minipaas {version}, which has no `{request}`")]
    TooOld {
        /// The daemon's version.
        version: String,
        /// Method and path.
        request: String,
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
        Self { way: Way::Socket(path) }
    }

    /// The box at this address; a token says who one is there.
    ///
    /// # Errors
    ///
    /// When the pinned CA is no certificate, or the token is none.
    pub fn https(url: BoxUrl, trust: &BoxTrust, token: Option<&str>) -> Result<Self, BoxUrlError> {
        Ok(Self { way: Way::Tls(Remote::new(url, trust, token)?) })
    }

    /// Connects and hangs up again.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unreachable`] or [`ClientError::RemoteUnreachable`] when nothing listens, [`ClientError::Untrusted`]
    /// when somebody else does.
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

    /// `GET /v1/apps/{app}/health`.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn health(&self, app: &AppName) -> Result<Health, ClientError> {
        self.get(&format!("/apps/{app}/health")).await
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

    /// `GET /v1/apps/{app}/deploys/{release}`: what it said and says, after so many lines.
    ///
    /// # Errors
    ///
    /// As [`Client::status`].
    pub async fn follow_deploy(
        &self,
        app: &AppName,
        release: &str,
        after: u64,
    ) -> Result<ProgressStream, ClientError> {
        let after = AfterQuery { after: Some(after) };
        let path = format!("/apps/{app}/deploys/{}{}", encoded(release), query(&after));
        self.send(Method::GET, &path, empty(), WORK_TIMEOUT).await?.progress().await
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

    async fn stream(&self) -> Result<Box<dyn Connection>, ClientError> {
        match &self.way {
            Way::Socket(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(source) => Err(ClientError::Unreachable { path: path.clone(), source }),
            },
            Way::Tls(remote) => Ok(Box::new(remote.connect().await?)),
        }
    }

    /// Sends a request and waits for the answer's head. A change has a key of its own, with which it is sent once more should
    /// the connection break before there is an answer: the daemon does it once.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body,
        limit: Duration,
    ) -> Result<Answer, ClientError> {
        let bytes = match body {
            Body::Stream(body) => return self.send_once(&method, path, body, None, limit).await,
            Body::Whole(bytes) => bytes,
        };
        let key = (!method.is_safe()).then(|| hex::encode(random::bytes::<16>()));
        let whole = || Full::new(bytes.clone()).map_err(|never| match never {}).boxed_unsync();
        match self.send_once(&method, path, whole(), key.as_deref(), limit).await {
            Err(ClientError::CutOff { .. }) if key.is_some() => {
                self.send_once(&method, path, whole(), key.as_deref(), limit).await
            }
            answer => answer,
        }
    }

    /// A request's beginning: where it goes, and who asks.
    fn request(&self, method: &Method, path: &str) -> http::request::Builder {
        let req = Request::builder().method(method).uri(path);
        match &self.way {
            Way::Socket(_) => req.header(header::HOST, "minipaas"),
            Way::Tls(remote) => {
                let req = req.header(header::HOST, remote.url.authority());
                match remote.token() {
                    Some(token) => req.header(header::AUTHORIZATION, token),
                    None => req,
                }
            }
        }
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        body: UnsyncBoxBody<Bytes, io::Error>,
        key: Option<&str>,
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
        let req = match key {
            Some(key) => self.request(method, &path).header(IDEMPOTENCY_HEADER, key),
            None => self.request(method, &path),
        };
        let req = req.header(header::CONTENT_TYPE, "application/json");
        let req = req.body(body).expect("paths are made of names and encoded text");
        let res = within(limit, &request, sender.send_request(req)).await?;
        let res = res.map_err(|error| request.cut_off(Some(error)))?;
        Ok(Answer { request, res, connection })
    }
}

fn empty() -> Body {
    Body::Whole(Bytes::new())
}

fn json(value: &impl Serialize) -> Body {
    Body::Whole(serde_json::to_vec(value).expect("the API's types are JSON").into())
}
