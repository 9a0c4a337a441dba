//! HTTP/3 (RFC 9114): the same requests as over TCP, on the streams of QUIC connections.
//!
//! # Theory of operation
//!
//! quinn speaks QUIC on a UDP socket, h3 the frames and headers in it. [`Proxy::serve_http3`] takes connections as `listener`
//! takes those of TCP: each holds one place of all that there are and one of its client's, and is a task of its own. A client
//! whose address may be forged, as anybody's may be in UDP, is asked to prove it while many handshakes are under way. Each
//! request is a task, too (`request`), which hands it to the same [`Peer::answer`] as the others and ends when the client has
//! the response or does not want it any more.
//!
//! `transport` makes quinn's streams h3's, and follows the frames in them (`frames`) where h3 trusts its peer too much.
//!
//! Shutdown: no more connections, GOAWAY on each that there is; it is closed when its requests are answered. The same ends a
//! connection that has been idle, and one whose client cancelled so many requests that it looks like an attack.
//!
//! What this does not do: 0-RTT, whose requests may be replayed; migration, since address rules, limits and the log go by the
//! address that a connection began with; server push, WebTransport, WebSockets; the PROXY protocol.

mod body;
mod frames;
mod request;
mod transport;

use std::io;
use std::net::UdpSocket;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use h3::server::{Connection, RequestResolver};
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicServerConfig};
use quinn::{Endpoint, EndpointConfig, IdleTimeout, Incoming, TokioRuntime, TransportConfig};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, debug_span};

use self::request::{Fate, serve};
use self::transport::Transport;
use super::client::Client;
use super::clients::Place;
use super::exchange::Peer;
use super::{Proxy, limits};
use crate::metrics::OpenConnection;

pub(super) use self::body::Body;

/// How ALPN names HTTP/3 (RFC 9114, 3.1).
const ALPN_H3: &[u8] = b"h3";

/// Where HTTP/3 is spoken. Dropping it closes its connections.
#[derive(Debug)]
pub struct Http3 {
    endpoint: Endpoint,
}

/// Why HTTP/3 cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum Http3Error {
    /// The TLS configuration has no cipher suite that QUIC begins with.
    #[error("QUIC cannot use this TLS configuration")]
    Tls(#[from] NoInitialCipherSuite),
    /// The socket cannot be used.
    #[error("cannot use the UDP socket")]
    Socket(#[from] io::Error),
}

/// A connection before its handshake.
struct Accepted {
    proxy: Proxy,
    incoming: Incoming,
    open: OpenConnection,
    shutdown: CancellationToken,
    permit: OwnedSemaphorePermit,
    place: Place,
    /// Held until the handshake is over by a connection whose address is not proved.
    handshake: Option<OwnedSemaphorePermit>,
}

/// A connection that is open.
struct Running {
    connection: Connection<Transport, Bytes>,
    peer: Arc<Peer>,
    requests: JoinSet<Fate>,
    phase: Phase,
    /// Since when there was no request, if there is none.
    idle_since: Instant,
    /// Requests that broke.
    broken: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Requests are refused, and finished.
    Closing,
    /// The client takes nothing more; what it has not received yet it still gets.
    Done,
}

/// What happens next on a connection.
enum Event {
    Request(Box<RequestResolver<Transport, Bytes>>),
    Ended(Fate),
    /// Nothing more may be asked.
    Close,
    /// Everything that the client asked for is answered, and it will ask for nothing more.
    Done,
    /// It was closed by the client, broke, or is cut.
    Gone,
}

// === impl Http3 ===

impl Http3 {
    /// Speaks HTTP/3 on this socket, with the certificates of `tls`. Nothing is answered before [`Proxy::serve_http3`].
    ///
    /// Call within a tokio runtime.
    ///
    /// # Errors
    ///
    /// See [`Http3Error`].
    pub fn new(socket: UdpSocket, tls: &rustls::ServerConfig) -> Result<Self, Http3Error> {
        let config = server_config(tls)?;
        let endpoint =
            Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(TokioRuntime))?;
        Ok(Self { endpoint })
    }
}

fn server_config(tls: &rustls::ServerConfig) -> Result<quinn::ServerConfig, NoInitialCipherSuite> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![ALPN_H3.to_vec()];
    tls.max_early_data_size = 0;
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(limits::H3_SILENCE_MAX).expect("it is less than 2^62 ms");
    transport
        .max_concurrent_bidi_streams(limits::H3_STREAMS_MAX.into())
        .max_concurrent_uni_streams(limits::H3_ONE_WAY_STREAMS_MAX.into())
        .stream_receive_window(limits::H3_STREAM_WINDOW_BYTES.into())
        .receive_window(limits::H3_CONNECTION_WINDOW_BYTES.into())
        .send_window(limits::H3_SEND_BYTES_MAX)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(limits::H3_PING_INTERVAL));
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config
        .transport_config(Arc::new(transport))
        .max_incoming(limits::H3_INCOMING_MAX)
        .incoming_buffer_size(limits::H3_INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(limits::H3_INCOMING_BYTES_MAX * 64)
        .migration(false);
    Ok(config)
}

// === impl Proxy ===

impl Proxy {
    /// Serves HTTP/3 until `shutdown`; connections go on until [`Proxy::finish`].
    pub async fn serve_http3(self, http3: Http3, shutdown: CancellationToken) {
        let tracker = self.0.endpoints.clone();
        tracker.track_future(self.serve_endpoint(&http3.endpoint, shutdown)).await;
    }

    async fn serve_endpoint(self, endpoint: &Endpoint, shutdown: CancellationToken) {
        let handshakes = Arc::new(Semaphore::new(limits::H3_UNPROVED_HANDSHAKES_MAX));
        while let Some((incoming, permit)) =
            shutdown.run_until_cancelled(self.incoming(endpoint)).await.flatten()
        {
            let addr = incoming.remote_address();
            let handshake = match Arc::clone(&handshakes).try_acquire_owned() {
                _ if incoming.remote_address_validated() => None,
                Ok(handshake) => Some(handshake),
                Err(_) => {
                    // It comes again with a token, if it is where it says. One that is not proved may always be asked to.
                    let _ = incoming.retry();
                    continue;
                }
            };
            let Some(place) = self.0.clients.admit(addr.ip().to_canonical()) else {
                self.0.routes.metrics().refused().inc();
                debug!(%addr, "connection refused, its client has enough");
                incoming.refuse();
                continue;
            };
            let accepted = Accepted {
                open: self.0.routes.metrics().https().open(),
                shutdown: shutdown.child_token(),
                proxy: self.clone(),
                incoming,
                permit,
                place,
                handshake,
            };
            self.0.tasks.spawn(accepted.run().instrument(debug_span!("downstream", %addr)));
        }
        // From now on new connections are refused.
        endpoint.set_server_config(None);
        endpoint.wait_idle().await;
    }

    /// Cancel-safe: a connection that arrived is returned.
    async fn incoming(&self, endpoint: &Endpoint) -> Option<(Incoming, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.0.connections).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        Some((endpoint.accept().await?, permit))
    }
}

// === impl Accepted ===

impl Accepted {
    async fn run(self) {
        let Self { proxy, incoming, open, shutdown, permit, place, handshake } = self;
        let (addr, metrics) = (incoming.remote_address(), proxy.0.routes.metrics());
        let shaken = timeout(limits::TLS_HANDSHAKE_TIME_MAX, async { incoming.accept()?.await });
        let connection = match proxy.0.cut.run_until_cancelled(shaken).await {
            Some(Ok(Ok(connection))) => connection,
            Some(Ok(Err(error))) => {
                metrics.handshakes_failed().inc();
                return debug!(error = &error as &dyn std::error::Error, "QUIC handshake failed");
            }
            Some(Err(_)) => {
                metrics.handshakes_failed().inc();
                return debug!("QUIC handshake took too long");
            }
            None => return,
        };
        metrics.handshakes().inc();
        drop(handshake);
        let peer = Peer {
            client: Client::direct(addr, proxy.0.config.https_port, true),
            is_trusted: proxy.0.config.trust.covers(addr.ip().to_canonical()),
            is_tls: true,
            asked: OnceLock::new(),
            proxy,
            _open: open,
            shutdown,
            _permit: permit,
            _place: place,
        };
        run(connection, Arc::new(peer)).await;
    }
}

/// Answers the requests of a connection, until it is closed by either side.
async fn run(connection: quinn::Connection, peer: Arc<Peer>) {
    let built = h3::server::builder()
        .max_field_section_size(limits::HEADER_BYTES_MAX as u64)
        // Exercise for clients, which they get from others.
        .send_grease(false)
        .build(Transport::new(connection))
        .await;
    match built {
        Ok(connection) => Running::new(connection, peer).run().await,
        Err(error) => debug!(error = &error as &dyn std::error::Error, "connection ended"),
    }
}

// === impl Running ===

impl Running {
    fn new(connection: Connection<Transport, Bytes>, peer: Arc<Peer>) -> Self {
        let (requests, idle_since) = (JoinSet::new(), Instant::now());
        Self { connection, peer, requests, phase: Phase::Open, idle_since, broken: 0 }
    }

    /// Returning closes the connection, without an error.
    async fn run(mut self) {
        while self.phase == Phase::Open || !self.requests.is_empty() {
            match self.next().await {
                Event::Request(resolver) => {
                    let end = self.connection.inner.conn.take_end().expect("it comes with every request");
                    let served = serve(*resolver, end, Arc::clone(&self.peer));
                    self.requests.spawn(served.in_current_span());
                }
                Event::Ended(fate) => {
                    self.idle_since = Instant::now();
                    self.broken += u32::from(fate == Fate::Broken);
                    if self.broken == limits::H3_BROKEN_REQUESTS_MAX && self.phase == Phase::Open {
                        debug!("connection is closed, its client cancels too much");
                        self.close().await;
                    }
                }
                Event::Close => self.close().await,
                Event::Done => self.phase = Phase::Done,
                Event::Gone => return,
            }
        }
    }

    /// Says that nothing more is taken.
    async fn close(&mut self) {
        self.phase = Phase::Closing;
        self.connection.inner.conn.refuse_requests();
        // The first that is not taken is the one after the last that was. If this fails the next event tells why.
        let _ = self.connection.shutdown(1).await;
    }

    async fn next(&mut self) -> Event {
        let (is_open, is_idle) = (self.phase == Phase::Open, self.requests.is_empty());
        let inner = &*self.peer.proxy.0;
        let idle_end = self.idle_since + inner.config.timeouts.head;
        tokio::select! {
            () = inner.cut.cancelled() => Event::Gone,
            () = self.peer.shutdown.cancelled(), if is_open => Event::Close,
            () = sleep_until(idle_end), if is_open && is_idle => Event::Close,
            // One that panicked has said so.
            Some(ended) = self.requests.join_next() => Event::Ended(ended.unwrap_or(Fate::Broken)),
            accepted = self.connection.accept(), if self.phase != Phase::Done => match accepted {
                Ok(Some(resolver)) => Event::Request(Box::new(resolver)),
                Ok(None) => Event::Done,
                Err(error) => {
                    debug!(error = &error as &dyn std::error::Error, "connection ended");
                    Event::Gone
                }
            },
        }
    }
}
