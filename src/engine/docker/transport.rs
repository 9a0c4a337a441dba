//! How requests get to the engine: a connection each.
//!
//! This replaces the client library's own transport for two reasons, both seen with bollard 0.21. It sends requests without the
//! API version that was agreed on, so that the engine would answer in whatever version it likes best. And a BuildKit build
//! upgrades a connection to a session that the library never closes: each build would leave one behind, here and in the
//! engine. A transport made with [`Transport::until`] has all its connections end with a token.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use http::StatusCode;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, UPGRADE};
use http::uri::PathAndQuery;
use http_body_util::{BodyExt as _, Limited};
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::CONNECT_TIME_MAX;

/// What stands where a URL has a host: a unix socket has none, and engines do not look.
const HOST_NAME: &str = "engine";
/// The longest answer of an engine that would not do it.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// Host and port, not encrypted.
    Tcp(String),
}

/// How to make requests.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    address: Address,
    /// `/v1.41`, or nothing before a version was agreed on.
    prefix: Arc<str>,
    cut: CancellationToken,
}

/// A connection that looks closed by the other side once `cut` is cancelled.
struct Line<S> {
    stream: S,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Transport {
    pub(super) fn new(address: Address) -> Self {
        Self { address, prefix: "".into(), cut: CancellationToken::new() }
    }

    /// The same, speaking this API version: `1.41`.
    pub(super) fn speaking(self, api: &str) -> Self {
        Self { prefix: format!("/v{api}").into(), ..self }
    }

    /// The same, whose connections end when `cut` is cancelled.
    pub(super) fn until(self, cut: CancellationToken) -> Self {
        Self { cut, ..self }
    }

    /// A client over it. It waits as long as it takes: limits belong to the calls.
    pub(super) fn client(self) -> Docker {
        let send = move |request| self.clone().send(request);
        let endpoint = format!("http://{HOST_NAME}");
        Docker::connect_with_custom_transport(send, Some(endpoint), u64::MAX, API_DEFAULT_VERSION)
            .expect("making a client with a transport of one's own only stores it")
    }

    /// Asks with a JSON body for a connection of its own, through which bytes go as they are.
    pub(super) async fn upgraded(
        self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<hyper::upgrade::Upgraded, Error> {
        let request = http::Request::post(format!("http://{HOST_NAME}{path}"))
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "tcp")
            .header(CONTENT_TYPE, "application/json")
            .body(bollard::body_full(body.to_string().into()))?;
        let response = self.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status_code = response.status().as_u16();
            let message = message_of(response).await;
            return Err(Error::DockerResponseServerError { status_code, message });
        }
        Ok(hyper::upgrade::on(response).await?)
    }

    /// Asks, on a connection of its own, which ends with the answer.
    pub(super) async fn send(self, mut request: BollardRequest) -> Result<Response<Incoming>, Error> {
        *request.uri_mut() = self.origin_form(&request)?;
        request.headers_mut().insert(HOST, HeaderValue::from_static(HOST_NAME));
        let stream = within(CONNECT_TIME_MAX, self.connect()).await?;
        let line = Line { stream, cut: Box::pin(self.cut.cancelled_owned()) };
        let (mut sender, connection) = http1::handshake(TokioIo::new(line)).await?;
        // Ends with the response, with the upgraded stream, or when nobody waits for the response any more.
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "engine connection ended early");
            }
        });
        Ok(sender.send_request(request).await?)
    }

    fn origin_form(&self, request: &BollardRequest) -> Result<http::Uri, Error> {
        let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        Ok(format!("{}{path}", self.prefix).parse()?)
    }

    async fn connect(&self) -> io::Result<Either<UnixStream, TcpStream>> {
        match &self.address {
            Address::Unix(path) => UnixStream::connect(path).await.map(Either::Left),
            Address::Tcp(addr) => TcpStream::connect(addr).await.map(Either::Right),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What an engine says with an answer that is not the wanted one.
pub(super) async fn message_of(response: Response<Incoming>) -> String {
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let said: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    said.as_ref().and_then(|said| said["message"].as_str()).unwrap_or_default().to_owned()
}

async fn within<T>(limit: Duration, call: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn requests_name_the_agreed_version_and_end_with_the_token() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("e.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let cut = CancellationToken::new();
        let client = Transport::new(Address::Unix(socket)).speaking("1.41").until(cut.clone()).client();
        let answer = tokio::spawn(async move { client.info().await });
        let (stream, _) = listener.accept().await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "GET /v1.41/info HTTP/1.1");
        cut.cancel();
        assert!(answer.await.unwrap().is_err());
        while lines.next_line().await.unwrap().is_some() {}
    }
}
