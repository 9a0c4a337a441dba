//! Clients of the proxy: one for whole requests, one for bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::backend::AnyBody;
use super::soon;

/// A whole response.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
    pub trailers: HeaderMap,
}

/// A connection that is written and read byte by byte.
pub struct Raw(pub TcpStream);

/// A keep-alive connection for whole requests.
pub struct Client(http1::SendRequest<Full<Bytes>>);

/// An HTTP/2 connection.
#[derive(Clone)]
pub struct Client2(http2::SendRequest<AnyBody>);

/// A request with a host and no body.
pub fn get(host: &str, target: &str) -> Request<Full<Bytes>> {
    Request::get(target).header(header::HOST, host).body(Full::default()).unwrap()
}

/// A request with a host and a body.
pub fn post(host: &str, target: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(target).header(header::HOST, host).body(Full::from(body)).unwrap()
}

/// Opens TLS that speaks `protocol`, trusting only this root.
pub async fn tls(
    addr: SocketAddr,
    root: &rustls::pki_types::CertificateDer<'static>,
    host: &str,
    protocol: &str,
) -> TlsStream<TcpStream> {
    try_tls(addr, root, host, protocol).await.unwrap()
}

/// As [`tls`], where the handshake may fail.
pub async fn try_tls(
    addr: SocketAddr,
    root: &rustls::pki_types::CertificateDer<'static>,
    host: &str,
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

impl Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap()).await
    }

    pub async fn over(
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Reply {
        self.try_send(request).await.unwrap()
    }

    pub async fn try_send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Reply> {
        soon(async {
            self.0.ready().await?;
            let response = self.0.send_request(request).await?;
            Reply::read(response).await
        })
        .await
    }
}

impl Client2 {
    /// Without TLS, knowing that HTTP/2 is spoken.
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap()).await
    }

    pub async fn over(
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Reply {
        self.try_send(request).await.unwrap()
    }

    pub async fn try_send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Reply> {
        let request = request.map(BodyExt::boxed);
        soon(async { Reply::read(self.0.send_request(request).await?).await }).await
    }

    /// Sends a request whose body may go on, and returns with the head of its response.
    pub async fn open(&mut self, request: Request<AnyBody>) -> Response<Incoming> {
        soon(self.0.send_request(request)).await.unwrap()
    }

    /// Resolves when the server has said that it takes no more.
    pub async fn closed(&mut self) {
        soon(async {
            while self.0.ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

impl Reply {
    async fn read(response: http::Response<hyper::body::Incoming>) -> hyper::Result<Self> {
        let (parts, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        Ok(Self { status: parts.status, headers: parts.headers, body, trailers })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Raw {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self(TcpStream::connect(addr).await.unwrap())
    }

    pub async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until this text has come, and returns everything up to its end.
    pub async fn until(&mut self, text: &str) -> String {
        soon(async {
            let mut read = Vec::new();
            while !read.ends_with(text.as_bytes()) {
                let byte = self.0.read_u8().await;
                read.push(
                    byte.unwrap_or_else(|_| panic!("ended after {:?}", String::from_utf8_lossy(&read))),
                );
            }
            String::from_utf8(read).unwrap()
        })
        .await
    }

    /// Reads until the other side ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut read = Vec::new();
        let _ = soon(self.0.read_to_end(&mut read)).await;
        read
    }
}
