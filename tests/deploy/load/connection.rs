//! A connection to the box's proxy, whatever HTTP it speaks, for bodies that are streamed either way.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;

use super::HOST;
use crate::support::backend::AnyBody;
use crate::support::client::tls;

/// A way to the proxy.
#[derive(Clone)]
pub(super) struct Road {
    addr: SocketAddr,
    /// Over TLS, trusting this root.
    ca: Option<CertificateDer<'static>>,
    pub(super) is_h2: bool,
}

pub(super) enum Connection {
    H1(http1::SendRequest<AnyBody>),
    H2(http2::SendRequest<AnyBody>),
}

// === impl Road ===

impl Road {
    pub(super) fn http(addr: SocketAddr) -> Self {
        Self { addr, ca: None, is_h2: false }
    }

    pub(super) fn https(addr: SocketAddr, ca: CertificateDer<'static>) -> Self {
        Self { addr, ca: Some(ca), is_h2: false }
    }

    pub(super) fn h2(addr: SocketAddr, ca: CertificateDer<'static>) -> Self {
        Self { addr, ca: Some(ca), is_h2: true }
    }

    pub(super) async fn connect(&self) -> Connection {
        let Some(ca) = &self.ca else {
            let stream = TcpStream::connect(self.addr).await.expect("the proxy listens");
            return h1(stream).await;
        };
        let stream = tls(self.addr, ca, HOST, if self.is_h2 { "h2" } else { "http/1.1" }).await;
        if !self.is_h2 {
            return h1(stream).await;
        }
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("the proxy answers");
        tokio::spawn(connection);
        Connection::H2(sender)
    }

    /// A request for a page of the app.
    pub(super) fn request(&self, method: &str, path: &str, body: AnyBody) -> Request<AnyBody> {
        let request = Request::builder().method(method);
        let request = if self.is_h2 {
            request.uri(format!("https://{HOST}{path}"))
        } else {
            request.uri(path).header(header::HOST, HOST)
        };
        request.body(body).expect("a request")
    }
}

async fn h1(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> Connection {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a socket");
    tokio::spawn(connection);
    Connection::H1(sender)
}

// === impl Connection ===

impl Connection {
    /// Sends a request, and returns with the head of its response.
    pub(super) async fn send(&mut self, request: Request<AnyBody>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::H1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::H2(sender) => sender.send_request(request).await,
        }
    }

    /// As many handles on it; more than one shares it, which takes h2.
    pub(super) fn handles(self, count: usize) -> Vec<Self> {
        match self {
            Self::H2(sender) => (0..count).map(|_| Self::H2(sender.clone())).collect(),
            h1 if count == 1 => vec![h1],
            Self::H1(_) => panic!("one request at a time on HTTP/1.1"),
        }
    }

    /// Whether another request may be sent on it.
    pub(super) async fn is_open(&mut self, response: &http::HeaderMap) -> bool {
        let is_last = response.get(header::CONNECTION).is_some_and(|value| value == "close");
        let ready = match self {
            Self::H1(sender) => sender.ready().await,
            Self::H2(sender) => sender.ready().await,
        };
        !is_last && ready.is_ok()
    }
}

/// Nothing.
pub(super) fn empty() -> AnyBody {
    crate::support::backend::full(Bytes::new())
}
