//! Accepts connections, does TLS, and runs HTTP on them until they end or are asked to.
//!
//! Over TLS ALPN says which HTTP is spoken. Without TLS it is HTTP/1, unless the connection begins as one of HTTP/2 does. A
//! connection holds one place of all that there are; when none is free nothing is accepted, and clients wait in the kernel's
//! queue.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};

use bytes::BytesMut;
use http::Request;
use rustix::net::sockopt;
use rustls::server::ClientHello;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, debug_span, warn};

use super::asked::Asked;
use super::client::Client;
use super::clients::Place;
use super::exchange::Peer;
use super::impatient::Impatient;
use super::proxy_protocol::Addresses;
use super::{Proxy, http2, limits, preface, proxy_protocol};
use crate::http1::server::{self, Closing, Limits};
use crate::metrics::OpenConnection;
use crate::tls::{ClientCertificate, Clients, TLS_ALPN01};

/// How ALPN names HTTP/2 (RFC 9113, 3.2).
const ALPN_H2: &[u8] = b"h2";

/// A connection before its first byte.
struct Accepted {
    proxy: Proxy,
    stream: TcpStream,
    /// The other end, or whom it speaks for.
    addr: SocketAddr,
    /// The port that the client connected to, as it sees it.
    port: u16,
    is_trusted: bool,
    open: OpenConnection,
    shutdown: CancellationToken,
    permit: OwnedSemaphorePermit,
    place: Place,
}

/// How the handshakes of a listener go.
#[derive(Debug)]
struct Tls {
    config: Arc<rustls::ServerConfig>,
    /// Those of hosts that ask for certificates.
    clients: Arc<Clients>,
}

/// Tells why connections cannot be accepted, and not at every attempt.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    last: Option<Instant>,
}

impl Proxy {
    /// Serves HTTP/1.1, and HTTP/2 to clients that know that it is spoken, until `shutdown`; connections go on until
    /// [`Proxy::finish`].
    pub async fn serve_http(self, listener: TcpListener, shutdown: CancellationToken) {
        self.serve(listener, None, shutdown).await;
    }

    /// Serves HTTP/2 and HTTP/1.1 over TLS until `shutdown`; connections go on until [`Proxy::finish`].
    ///
    /// `tls` says by ALPN what may be spoken: `h2`, `http/1.1`.
    pub async fn serve_https(
        self,
        listener: TcpListener,
        tls: Arc<rustls::ServerConfig>,
        shutdown: CancellationToken,
    ) {
        let clients = Arc::new(Clients::new(Arc::clone(&tls)));
        self.serve(listener, Some(Arc::new(Tls { config: tls, clients })), shutdown).await;
    }

    async fn serve(self, listener: TcpListener, tls: Option<Arc<Tls>>, shutdown: CancellationToken) {
        let port = match &tls {
            Some(_) => self.0.config.https_port,
            None => listener.local_addr().map_or(80, |addr| addr.port()),
        };
        let metrics = self.0.routes.metrics();
        let metrics = if tls.is_some() { metrics.https() } else { metrics.http() };
        let mut complaints = Complaints::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                accepted = self.accept(&listener) => accepted,
            };
            let (stream, addr, permit) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    complaints.pause_after(&error, port).await;
                    continue;
                }
            };
            let inner = &*self.0;
            let client = addr.ip().to_canonical();
            let Some(place) = inner.clients.admit(client) else {
                inner.routes.metrics().refused().inc();
                debug!(%addr, "connection refused, its client has enough");
                continue;
            };
            let is_trusted = inner.config.trust.covers(client);
            let accepted = Accepted {
                // One for each connection, so that polling them does not meet in one lock.
                shutdown: shutdown.child_token(),
                proxy: self.clone(),
                stream,
                addr,
                port,
                is_trusted,
                open: metrics.open(),
                permit,
                place,
            };
            let span = debug_span!("downstream", %addr);
            if is_trusted && inner.config.trust.proxy_protocol {
                inner.tasks.spawn(accepted.run_behind(tls.clone()).instrument(span));
            } else {
                inner.tasks.spawn(accepted.run(tls.clone()).instrument(span));
            }
        }
    }

    /// The PROXY header that a connection of a trusted proxy begins with.
    pub(super) async fn read_header(&self, stream: &mut TcpStream) -> io::Result<Option<Addresses>> {
        let read = timeout(limits::PROXY_HEADER_TIME_MAX, proxy_protocol::read(stream));
        let cut = || io::Error::from(io::ErrorKind::ConnectionAborted);
        self.0.cut.run_until_cancelled(read).await.ok_or_else(cut)?.map_err(io::Error::from)?
    }

    /// Cancel-safe: a connection that was accepted is returned.
    pub(super) async fn accept(
        &self,
        listener: &TcpListener,
    ) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.0.connections).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let (stream, addr) = listener.accept().await?;
        if let Err(error) = prepare(&stream) {
            debug!(error = &error as &dyn std::error::Error, "connection ended as it began");
        }
        Ok((stream, addr, permit))
    }
}

impl Accepted {
    /// Reads the PROXY header first, and goes on as if the client that it names had connected.
    async fn run_behind(mut self, tls: Option<Arc<Tls>>) {
        match self.proxy.read_header(&mut self.stream).await {
            Ok(Some(Addresses { from, to })) => {
                (self.addr, self.port) = (from, to.port());
                self.is_trusted = self.proxy.0.config.trust.covers(from.ip().to_canonical());
            }
            Ok(None) => {}
            Err(error) => return debug!(error = &error as &dyn std::error::Error, "no PROXY header"),
        }
        self.run(tls).await;
    }

    async fn run(self, tls: Option<Arc<Tls>>) {
        let peer = Peer {
            client: Client::direct(self.addr, self.port, tls.is_some()),
            is_trusted: self.is_trusted,
            is_tls: tls.is_some(),
            asked: OnceLock::new(),
            proxy: self.proxy,
            _open: self.open,
            shutdown: self.shutdown,
            _permit: self.permit,
            _place: self.place,
        };
        run(self.stream, tls, Arc::new(peer)).await;
    }
}

async fn run(stream: TcpStream, tls: Option<Arc<Tls>>, peer: Arc<Peer>) {
    let Some(tls) = tls else { return run_plain(stream, peer).await };
    let stream = Impatient::new(stream, peer.proxy.0.config.timeouts.write);
    let cut = peer.proxy.0.cut.clone();
    let handshake = timeout(limits::TLS_HANDSHAKE_TIME_MAX, tls.shake(stream, &peer));
    let metrics = peer.proxy.0.routes.metrics();
    let mut stream = match cut.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => stream,
        Some(Ok(Err(error))) => {
            metrics.handshakes_failed().inc();
            return debug!(error = &error as &dyn std::error::Error, "TLS handshake failed");
        }
        Some(Err(_)) => {
            metrics.handshakes_failed().inc();
            return debug!("TLS handshake took too long");
        }
        None => return,
    };
    metrics.handshakes().inc();
    match stream.get_ref().1.alpn_protocol() {
        Some(ALPN_H2) => Box::pin(http2::run(stream, peer)).await,
        // The handshake was all that the authority wanted to see (RFC 8737, 3).
        Some(TLS_ALPN01) => drop(stream.shutdown().await),
        _ => run_http1(BytesMut::new(), split(stream), peer).await,
    }
}

async fn run_plain(stream: TcpStream, peer: Arc<Peer>) {
    let look = timeout(peer.proxy.0.config.timeouts.head, preface::look(stream, &peer.shutdown));
    match peer.proxy.0.cut.run_until_cancelled(look).await {
        Some(Ok(Ok(Some((stream, true))))) => {
            let patience = peer.proxy.0.config.timeouts.write;
            Box::pin(http2::run(Impatient::new(stream, patience), peer)).await;
        }
        Some(Ok(Ok(Some((stream, false))))) => {
            let (ahead, stream) = stream.into_parts();
            let (read, write) = stream.into_split();
            let write = Impatient::new(write, peer.proxy.0.config.timeouts.write);
            run_http1(ahead, (read, write), peer).await;
        }
        Some(Ok(Err(error))) => debug!(error = &error as &dyn std::error::Error, "connection ended"),
        Some(Err(_)) => debug!("connection said nothing for too long"),
        Some(Ok(Ok(None))) | None => {}
    }
}

/// `ahead` was read already.
async fn run_http1<R, W>(ahead: BytesMut, (read, write): (R, W), peer: Arc<Peer>)
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let limits =
        Limits { head_bytes_max: limits::HEADER_BYTES_MAX, head_time_max: peer.proxy.0.config.timeouts.head };
    let closing = Closing::default();
    let handler = {
        let peer = Arc::clone(&peer);
        move |request: Request<_>| Arc::clone(&peer).answer(request)
    };
    // Boxed, as below: a task has room for the largest thing that it may ever do, and most connections are idle HTTP/1.
    let connection = Box::pin(server::serve(ahead, read, write, limits, closing.clone(), handler));
    until_end(connection, |_| closing.ask(), &peer).await;
}

/// Runs a connection; from the shutdown on only until its requests are answered, and never beyond the cut.
async fn until_end<C, E>(connection: C, finish: impl FnOnce(Pin<&mut C>), peer: &Peer)
where
    C: Future<Output = Result<(), E>>,
    E: std::error::Error + 'static,
{
    let mut connection = pin!(connection);
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = peer.shutdown.cancelled() => {
            finish(connection.as_mut());
            match peer.proxy.0.cut.run_until_cancelled(connection).await {
                Some(result) => result,
                None => return,
            }
        }
    };
    if let Err(error) = result {
        debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}

/// Sends small writes at once, and notices clients that vanish.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    let (probes, interval) = limits::KEEP_ALIVE_PROBES;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, limits::KEEP_ALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, interval)?;
    sockopt::set_tcp_keepcnt(stream, probes)?;
    Ok(())
}

// === impl Tls ===

impl Tls {
    /// Does the handshake; notes with the peer what it was asked for.
    async fn shake(
        &self,
        stream: Impatient<TcpStream>,
        peer: &Peer,
    ) -> io::Result<TlsStream<Impatient<TcpStream>>> {
        if peer.proxy.0.routes.load().table().has_client_auth() {
            // Boxed, as few boxes have such routes.
            return Box::pin(self.shake_asking(stream, peer)).await;
        }
        TlsAcceptor::from(Arc::clone(&self.config)).accept(stream).await
    }

    /// Reads first what host the client names.
    async fn shake_asking(
        &self,
        stream: Impatient<TcpStream>,
        peer: &Peer,
    ) -> io::Result<TlsStream<Impatient<TcpStream>>> {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let named = start.client_hello().server_name().map(str::to_ascii_lowercase);
        let host = named.as_deref().map(|name| name.strip_suffix('.').unwrap_or(name));
        // An authority that checks a name shows no certificate, and no request follows its handshake.
        let host = host.filter(|_| !is_challenge(&start.client_hello()));
        let asked = host.and_then(|host| Some((host, peer.proxy.0.routes.load().table().client_auth(host)?)));
        let Some((host, auth)) = asked else { return start.into_stream(Arc::clone(&self.config)).await };
        let config = self.clients.config(&auth).map_err(io::Error::other)?;
        let stream = start.into_stream(config).await?;
        let certificate = ClientCertificate::shown(stream.get_ref().1.peer_certificates());
        let (host, clients) = (host.to_owned(), Arc::clone(&self.clients));
        let asked = peer.asked.set(Box::new(Asked { host, certificate, clients }));
        asked.expect("a connection has one handshake");
        Ok(stream)
    }
}

/// Whether a client offers `acme-tls/1` alone.
fn is_challenge(hello: &ClientHello<'_>) -> bool {
    let mut offered = hello.alpn().into_iter().flatten().peekable();
    offered.peek().is_some() && offered.all(|protocol| protocol == TLS_ALPN01)
}

// === impl Complaints ===

impl Complaints {
    /// Says that accepting failed, and waits until it may be tried again; neither, when only one connection was to blame.
    pub(super) async fn pause_after(&mut self, error: &io::Error, port: u16) {
        if is_of_connection(error) {
            return;
        }
        if self.last.is_none_or(|last| last.elapsed() >= limits::ACCEPT_COMPLAINT_PAUSE) {
            self.last = Some(Instant::now());
            warn!(port, error = error as &dyn std::error::Error, "cannot accept connections");
        }
        sleep(limits::ACCEPT_PAUSE).await;
    }
}

/// Whether accepting failed because of the one connection that was to be accepted; the next one may be well.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
