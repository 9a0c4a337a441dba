//! Handing lines over, by each transport.
//!
//! A batch is handed over or not; what was handed over in part is handed over again, as the other side cannot say how much of
//! it arrived. Syslog has no answers: over TCP what is under way when the other side goes away is lost, and UDP promises
//! nothing at all.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::super::line::Line;
use super::address::{DrainUrl, Transport};
use super::frame::{self, Form};
use crate::name::AppName;
use crate::web::{self, WebError};

/// From the look-up to an open connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// For one batch, however slow the other side is.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);
/// The longest message in a datagram, as rsyslog takes them; what is longer is cut.
const DATAGRAM_BYTES_MAX: usize = 8 * 1024;

/// Why lines were not handed over.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("cannot {action} `{host}`: {problem}")]
    Connection { action: &'static str, host: String, problem: io::Error },
    #[error("`{host}` does not answer in time")]
    Slow { host: String },
    #[error("{0}")]
    Web(String),
    #[error("`{host}` answers with {status}")]
    Status { host: String, status: StatusCode },
}

/// An open way to the other side.
pub(super) struct Connection {
    url: DrainUrl,
    app: AppName,
    id: String,
    open: Option<Open>,
    web: web::Client,
    tls: Arc<ClientConfig>,
}

enum Open {
    Udp(UdpSocket),
    Stream(Box<dyn Stream>),
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// What every connection over TLS is made with: whom the machine trusts. Reads files.
pub(super) fn tls_config() -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for TLS 1.2 and 1.3")
        .with_root_certificates(web::machine_roots())
        .with_no_client_auth();
    Arc::new(config)
}

impl Connection {
    pub(super) fn new(
        app: AppName,
        id: String,
        url: DrainUrl,
        web: web::Client,
        tls: Arc<ClientConfig>,
    ) -> Self {
        Self { url, app, id, open: None, web, tls }
    }

    /// Hands lines over; connects first where that is needed. After a failure the next one connects anew.
    pub(super) async fn send(&mut self, lines: &[Line]) -> Result<(), SendError> {
        let result = match self.url.transport() {
            Transport::Http => self.post(lines).await,
            Transport::Udp => self.send_datagrams(lines).await,
            Transport::Tcp | Transport::Tls => self.send_frames(lines).await,
        };
        if result.is_err() {
            self.open = None;
        }
        result
    }

    async fn post(&self, lines: &[Line]) -> Result<(), SendError> {
        let mut body = Vec::new();
        lines.iter().for_each(|line| frame::push(&mut body, &frame::message(&self.app, line, Form::Logplex)));
        let request = self.request(lines.len(), body.into());
        match self.web.send(request).await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => {
                Err(SendError::Status { host: self.url.host().to_owned(), status: answer.status() })
            }
            Err(error) => Err(SendError::Web(explained(&error))),
        }
    }

    fn request(&self, count: usize, body: Bytes) -> Request<Bytes> {
        let uri: Uri = self.url.secret().parse().expect("it was parsed when it was made");
        let authority = uri.authority().map_or("", http::uri::Authority::as_str).to_owned();
        let (user, place) = authority
            .rsplit_once('@')
            .map_or((None, authority.as_str()), |(user, place)| (Some(user), place));
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}://{place}{path}", uri.scheme_str().unwrap_or("https")))
            .header(header::CONTENT_TYPE, "application/logplex-1")
            .header("logplex-msg-count", count)
            .header("logplex-frame-id", format!("{:08x}", crate::random::bits()))
            .header("logplex-drain-token", format!("d.{}", self.id));
        if let Some(user) = user {
            let user = if user.contains(':') { decoded(user) } else { decoded(user) + ":" };
            request = request.header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(user)));
        }
        request.body(body).expect("its parts were checked when the URL was")
    }

    async fn send_datagrams(&mut self, lines: &[Line]) -> Result<(), SendError> {
        if self.open.is_none() {
            let addr = self.address().await?;
            let any: SocketAddr = if addr.is_ipv6() { ([0_u16; 8], 0).into() } else { ([0; 4], 0).into() };
            let socket = UdpSocket::bind(any).await.map_err(self.failed("open a socket for"))?;
            socket.connect(addr).await.map_err(self.failed("reach"))?;
            self.open = Some(Open::Udp(socket));
        }
        let Some(Open::Udp(socket)) = &self.open else { unreachable!("the transport does not change") };
        for line in lines {
            let mut message = frame::message(&self.app, line, Form::Syslog);
            message.truncate(message.floor_char_boundary(DATAGRAM_BYTES_MAX));
            socket.send(message.as_bytes()).await.map_err(self.failed("send to"))?;
        }
        Ok(())
    }

    async fn send_frames(&mut self, lines: &[Line]) -> Result<(), SendError> {
        let mut frames = Vec::new();
        lines
            .iter()
            .for_each(|line| frame::push(&mut frames, &frame::message(&self.app, line, Form::Syslog)));
        let mut stream = match self.open.take() {
            Some(Open::Stream(mut stream)) => match is_closed(&mut stream).await {
                true => self.connect().await?,
                false => stream,
            },
            _ => self.connect().await?,
        };
        let write = async {
            stream.write_all(&frames).await?;
            stream.flush().await
        };
        match timeout(WRITE_TIME_MAX, write).await {
            Ok(result) => result.map_err(self.failed("send to"))?,
            Err(_) => return Err(SendError::Slow { host: self.url.host().to_owned() }),
        }
        self.open = Some(Open::Stream(stream));
        Ok(())
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, SendError> {
        let connected = async {
            let addr = self.address().await?;
            let tcp = TcpStream::connect(addr).await.map_err(self.failed("connect to"))?;
            if self.url.transport() == Transport::Tcp {
                return Ok(Box::new(tcp) as Box<dyn Stream>);
            }
            let name = ServerName::try_from(self.url.host().to_owned());
            let name = name.map_err(|error| self.failed("connect to")(io::Error::other(error)))?;
            let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await;
            Ok(Box::new(tls.map_err(self.failed("speak TLS with"))?) as Box<dyn Stream>)
        };
        match timeout(CONNECT_TIME_MAX, connected).await {
            Ok(result) => result,
            Err(_) => Err(SendError::Slow { host: self.url.host().to_owned() }),
        }
    }

    async fn address(&self) -> Result<SocketAddr, SendError> {
        let mut found =
            lookup_host((self.url.host(), self.url.port())).await.map_err(self.failed("look up"))?;
        found.next().ok_or_else(|| self.failed("look up")(io::ErrorKind::NotFound.into()))
    }

    fn failed(&self, action: &'static str) -> impl Fn(io::Error) -> SendError {
        let host = self.url.host().to_owned();
        move |problem| SendError::Connection { action, host: host.clone(), problem }
    }
}

/// Whether the other side has said that it is gone; what it sends otherwise is no business of ours.
async fn is_closed(stream: &mut Box<dyn Stream>) -> bool {
    let mut ignored = [0; 256];
    // Once, without waiting.
    match timeout(Duration::ZERO, stream.read(&mut ignored)).await {
        Err(_) => false,
        Ok(read) => !matches!(read, Ok(count) if count > 0),
    }
}

fn explained(error: &WebError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Without percent signs, as far as they are what they must be.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).expect("two digits of 16 are a byte"));
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
