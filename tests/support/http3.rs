//! A client of HTTP/3, over UDP on this machine.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use h3::client::{Connection, RequestStream, SendRequest};
use h3::error::{Code, StreamError};
use h3_quinn::{BidiStream, OpenStreams};
use http::{HeaderMap, Request, Response};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, Endpoint};
use rustls::pki_types::CertificateDer;
use tokio_util::task::AbortOnDropHandle;

use super::client::Reply;
use super::soon;

/// A connection that speaks HTTP/3.
pub struct Client3 {
    pub requests: SendRequest<OpenStreams, Bytes>,
    /// What is below it.
    pub quic: quinn::Connection,
    _driver: AbortOnDropHandle<()>,
}

/// One request, both ways.
pub struct Exchange(pub RequestStream<BidiStream<Bytes>, Bytes>);

/// Opens QUIC for `host`, trusting only this root.
pub async fn quic(
    addr: SocketAddr,
    root: &CertificateDer<'static>,
    host: &str,
) -> Result<quinn::Connection, ConnectionError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    soon(endpoint.connect_with(config, addr, host).unwrap()).await
}

impl Client3 {
    pub async fn connect(addr: SocketAddr, root: &CertificateDer<'static>, host: &str) -> Self {
        let (client, driver) = Self::undriven(addr, root, host).await;
        client.driven(driver)
    }

    /// A client that has not read what the server set as its limits.
    pub async fn undriven(
        addr: SocketAddr,
        root: &CertificateDer<'static>,
        host: &str,
    ) -> (Self, Connection<h3_quinn::Connection, Bytes>) {
        let quic = quic(addr, root, host).await.unwrap();
        let (driver, requests) = h3::client::new(h3_quinn::Connection::new(quic.clone())).await.unwrap();
        let idle = AbortOnDropHandle::new(tokio::spawn(async {}));
        (Self { requests, quic, _driver: idle }, driver)
    }

    /// Reads from now on what the server says on the connection.
    pub fn driven(mut self, mut driver: Connection<h3_quinn::Connection, Bytes>) -> Self {
        let driving = async move {
            poll_fn(|cx| driver.poll_close(cx)).await;
        };
        self._driver = AbortOnDropHandle::new(tokio::spawn(driving));
        self
    }

    /// Begins a request; its body may follow.
    pub async fn begin(&mut self, request: Request<()>) -> Exchange {
        Exchange(soon(self.requests.send_request(request)).await.unwrap())
    }

    /// A whole request without a body.
    pub async fn get(&mut self, uri: &str) -> Reply {
        self.send(Request::get(uri).body(()).unwrap(), "").await
    }

    /// A whole request; no body is sent when it is empty.
    pub async fn send(&mut self, request: Request<()>, body: impl Into<Bytes>) -> Reply {
        let mut exchange = self.begin(request).await;
        let body = body.into();
        if !body.is_empty() {
            exchange.0.send_data(body).await.unwrap();
        }
        exchange.0.finish().await.unwrap();
        exchange.reply().await.unwrap().0
    }

    /// The code with which the server closes the connection.
    pub async fn closed(&self) -> u64 {
        match soon(self.quic.closed()).await {
            ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
            other => panic!("{other}"),
        }
    }
}

impl Exchange {
    pub async fn head(&mut self) -> Result<Response<()>, StreamError> {
        soon(self.0.recv_response()).await
    }

    /// The next piece of the body.
    pub async fn data(&mut self) -> Result<Option<Bytes>, StreamError> {
        let data = soon(self.0.recv_data()).await?;
        Ok(data.map(|mut data| data.copy_to_bytes(data.remaining())))
    }

    /// The rest of the body.
    pub async fn rest(&mut self) -> Result<Vec<u8>, StreamError> {
        let mut body = Vec::new();
        while let Some(data) = self.data().await? {
            body.extend_from_slice(&data);
        }
        Ok(body)
    }

    /// All of the response, with its trailers.
    pub async fn reply(&mut self) -> Result<(Reply, Option<HeaderMap>), StreamError> {
        let (head, ()) = self.head().await?.into_parts();
        let body = String::from_utf8(self.rest().await?).unwrap();
        let trailers = soon(self.0.recv_trailers()).await?;
        let (status, headers) = (head.status, head.headers);
        let reply = Reply { status, headers, body, trailers: trailers.clone().unwrap_or_default() };
        Ok((reply, trailers))
    }

    /// Does not want the response any more.
    pub fn cancel(&mut self) {
        self.0.stop_sending(Code::H3_REQUEST_CANCELLED);
    }
}

/// The code with which the server ended the stream.
pub fn code(error: &StreamError) -> Code {
    match error {
        StreamError::RemoteTerminate { code, .. } => *code,
        other => panic!("{other}"),
    }
}
