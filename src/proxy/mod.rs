//! The data plane: accepts connections, finds each request's route, and forwards it to a ready instance.
//!
//! # Theory of operation
//!
//! `listener` accepts, does TLS and hands every request to `exchange`, which decides who answers: an error page, a redirect,
//! or an upstream claimed from the published table. On a route with a policy it asks `guard` at each step. `forward` puts the request on a connection to that upstream, and tries a
//! second time where that cannot do harm. `body` carries the response back; the request stays counted until its last byte was
//! handed on or the client went away. A connection that changes its protocol becomes a `tunnel`, counted apart, which knows
//! just enough of WebSocket framing (`frames`) to say goodbye in its language.
//!
//! `http3` does what `listener` does, over QUIC; `inbound` is the body of a request, of whatever version.
//!
//! `client` knows who asks: the other end of the connection, or whom a trusted proxy there speaks for.
//!
//! `tcp` serves the ports that lead to apps without HTTP.
//!
//! Nothing on the request path waits for anything but its own client and upstream: the table is a snapshot, the counters are
//! atomic. The exception is a route that is held, where waiting is the point; how many may wait is bounded.
//!
//! Shutdown: the token given to the `serve` functions stops the accepting and asks every connection to finish
//! (`Connection: close`, GOAWAY, a close frame); [`Proxy::finish`] waits for that, and cuts what is left.
//!
//! What this module does not do: it knows routes and a TLS configuration, never who made them. It keeps no response,
//! and buffers bodies only where a policy says so.

mod access;
mod answer;
mod body;
mod buffer;
mod claim;
mod client;
mod clients;
mod compress;
mod error;
mod exchange;
mod forward;
mod frames;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod headers;
mod http2;
mod http3;
mod impatient;
mod inbound;
mod inlet;
mod listener;
mod outbound;
mod page;
pub mod proxy_protocol;
mod request_id;
mod rewind;
mod streams;
mod target;
mod tcp;
mod timed;
mod tunnel;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use self::clients::Clients;
use self::guard::PasswordChecks;
use self::request_id::RequestIds;
use crate::traffic::{Drained, Routes};

pub use self::access::AccessLog;
pub use self::client::Trust;
pub use self::http3::{Http3, Http3Error};

/// What bounds the proxy. Times that an operator may one day set are in [`Timeouts`].
mod limits {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    use ipnet::{IpNet, Ipv4Net, Ipv6Net};

    /// Downstream connections of all listeners, tunnels included, unless a setting says otherwise. Each costs about 20 KiB
    /// while it is busy.
    pub(super) const CONNECTIONS_MAX: usize = 10_000;
    /// Downstream connections of one client address, unless a setting says otherwise: a tenth of all, and enough for a large
    /// office behind one address.
    pub(super) const CLIENT_CONNECTIONS_MAX: u32 = 1_000;
    /// This machine: what comes from it may be a proxy, a tunnel or a load test.
    pub(super) const LOOPBACK: [IpNet; 2] = [
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    ];
    /// Requests that wait for a held route at the same time, unless a setting says otherwise.
    pub(super) const HELD_REQUESTS_MAX: usize = 1_000;
    /// A request's target; more than any browser sends.
    pub(super) const ADDRESS_BYTES_MAX: usize = 16 * 1024;
    /// How long a request's body may pause while the upstream waits for it, unless the policy says otherwise; as nginx.
    pub(super) const BODY_IDLE_TIME_MAX: Duration = Duration::from_secs(60);
    /// What is kept in memory of one body that is collected.
    pub(super) const SPOOL_MEMORY_BYTES_MAX: u64 = 64 * 1024;
    /// What is collected of one body, in memory and on disk, unless the policy limits requests to less or more.
    pub(super) const SPOOL_BYTES_MAX: u64 = 1024 * 1024 * 1024;
    /// Passwords that are hashed at the same time: each takes a core for about 50 ms.
    pub(super) const PASSWORD_CHECKS_MAX: usize = 2;
    /// Requests that wait for that or are at it.
    pub(super) const PASSWORD_CHECKS_WAITING_MAX: usize = 64;
    /// A request's or response's line and headers together; nginx takes 32 KiB, Heroku 64 KiB.
    pub(super) const HEADER_BYTES_MAX: usize = 64 * 1024;
    /// From accepting a connection of a trusted proxy to the end of its PROXY header.
    pub(super) const PROXY_HEADER_TIME_MAX: Duration = Duration::from_secs(5);
    /// Addresses that are read from the end of `X-Forwarded-For`; further ones are as good as not said.
    pub(super) const FORWARDED_HOPS_MAX: usize = 32;
    /// Handshakes that take longer are from a broken client, or not a client at all.
    pub(super) const TLS_HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
    /// Concurrent streams of one HTTP/2 connection; hyper's default.
    pub(super) const H2_STREAMS_MAX: u32 = 200;
    /// Streams that a client opened and reset before we looked at them (CVE-2023-44487); h2's default.
    pub(super) const H2_PENDING_RESETS_MAX: usize = 20;
    /// Streams that we reset because of the client's errors; hyper's default.
    pub(super) const H2_LOCAL_RESETS_MAX: usize = 1024;
    /// What one stream may send ahead of the upstream's reading.
    pub(super) const H2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
    /// What all streams of one connection may send ahead; hyper's default.
    pub(super) const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
    /// What waits to be written for one stream.
    pub(super) const H2_SEND_BYTES_MAX: usize = 64 * 1024;
    /// From a GOAWAY until an idle client has left.
    pub(super) const H2_GOODBYE_TIME_MAX: Duration = Duration::from_secs(5);
    /// Concurrent requests of one HTTP/3 connection; as for HTTP/2.
    pub(super) const H3_STREAMS_MAX: u32 = 200;
    /// Streams of one direction that a client may have: three are needed (RFC 9114, 6.2), the others try what we ignore.
    pub(super) const H3_ONE_WAY_STREAMS_MAX: u32 = 8;
    /// What one stream may send ahead of the upstream's reading; as for HTTP/2.
    pub(super) const H3_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
    /// What all streams of one connection may send ahead; as for HTTP/2.
    pub(super) const H3_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
    /// What is sent and not yet acknowledged on one connection: a second of 16 Mbit/s; the kernel keeps up to 4 MiB for TCP.
    pub(super) const H3_SEND_BYTES_MAX: u64 = 2 * 1024 * 1024;
    /// A frame that is kept until it is complete, which is any but of data: headers of [`HEADER_BYTES_MAX`], and some more, so
    /// that a little too much is answered with 431.
    pub(super) const H3_FRAME_BYTES_MAX: u64 = 2 * HEADER_BYTES_MAX as u64;
    /// Requests of one connection that broke, most likely because its client cancelled them, until it is closed: it may open
    /// another one. A thousand as for HTTP/2's errors.
    pub(super) const H3_BROKEN_REQUESTS_MAX: u32 = 1000;
    /// Handshakes with clients that have not proved their address, at the same time; the next ones have to (RFC 9000, 8.1).
    pub(super) const H3_UNPROVED_HANDSHAKES_MAX: usize = 100;
    /// Connections that wait to be accepted.
    pub(super) const H3_INCOMING_MAX: usize = 1024;
    /// What each of them may have sent until then, 64 of them together at the most.
    pub(super) const H3_INCOMING_BYTES_MAX: u64 = 64 * 1024;
    /// Silence after which a client is gone; pings see to it that one that is there is not silent.
    pub(super) const H3_SILENCE_MAX: Duration = Duration::from_secs(60);
    /// Between two pings; shorter than routers remember a UDP peer, commonly 30 s.
    pub(super) const H3_PING_INTERVAL: Duration = Duration::from_secs(15);
    /// For how long a browser remembers that there is HTTP/3, in seconds: a day, as is usual.
    pub(super) const ALT_SVC_SECONDS: u32 = 24 * 60 * 60;
    /// After accepting failed for want of file descriptors or memory.
    pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
    /// Between two lines of the log that say so.
    pub(super) const ACCEPT_COMPLAINT_PAUSE: Duration = Duration::from_secs(60);
    /// Silence after which the kernel asks whether the client is still there; without it a vanished WebSocket stays for ever.
    pub(super) const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(60);
    /// How often it asks until it gives up, and how long it waits in between.
    pub(super) const KEEP_ALIVE_PROBES: (u32, Duration) = (4, Duration::from_secs(15));
    /// The buffer of one direction of a tunnel: two make 16 KiB, which an idle WebSocket holds as long as it lives.
    pub(super) const TUNNEL_BUFFER_BYTES: usize = 8 * 1024;
    /// The buffer of each thread for the bytes of TCP ports.
    pub(super) const PORT_BUFFER_BYTES: usize = 64 * 1024;
    /// Upstreams that are tried for one connection to a TCP port.
    pub(super) const PORT_CONNECTS_MAX: usize = 3;
    /// After listening on a TCP port of the table failed.
    pub(super) const BIND_PAUSE: Duration = Duration::from_secs(1);
    /// What remains, after the time to close is over, to write a last frame.
    pub(super) const LAST_WORDS_TIME_MAX: Duration = Duration::from_millis(500);
}

/// What the proxy is told at the start; it does not change.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// The port of https as browsers see it, for redirects and `X-Forwarded-Port`.
    pub https_port: u16,
    /// Whether responses over https say that there is HTTP/3 at that port. Default no.
    pub http3: bool,
    /// The domain under which apps get their hosts, for the error pages.
    pub domain: String,
    /// The certificate of the local CA, served at `http://<any>/.well-known/minipaas/ca.crt`.
    pub ca_pem: Option<Arc<str>>,
    /// Connections of all listeners at the same time; further clients wait until one ends. Default 10,000.
    pub connections_max: usize,
    /// Requests that wait for held and paused routes at the same time; more are answered with 503. Default 1000.
    pub held_requests_max: usize,
    /// Connections of one client address (IPv6: of its /64) at the same time; more are closed at once. Default 1000.
    pub client_connections_max: u32,
    /// Addresses to which that limit does not apply: proxies that bring the clients of others. Default this machine.
    pub unlimited_clients: Vec<IpNet>,
    /// Which proxies in front of this one are believed.
    pub trust: Trust,
    /// How long the proxy waits where no route says so.
    pub timeouts: Timeouts,
    /// Where a line for each request goes; `None` is nowhere.
    pub access_log: Option<AccessLog>,
}

/// How long the proxy waits where no route says so.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For an upstream of a TCP port to accept a connection; 5 s, as Heroku.
    pub connect: Duration,
    /// For a held route to get an upstream; 60 s.
    pub hold: Duration,
    /// For a client to send a request's head, and on a kept connection the next one; 30 s.
    pub head: Duration,
    /// For a client to send a request on an HTTP/2 connection that has none; 3 min.
    pub idle: Duration,
    /// For a client to take something of what there is for it; 60 s, as nginx.
    pub write: Duration,
    /// For a WebSocket's client to answer a close frame; 2 s.
    pub close: Duration,
    /// For either side of a connection to a TCP port to say something; 1 h.
    pub port_idle: Duration,
}

/// The proxy; clones are handles on the same one. Dropping the last one leaves its connections alone.
#[derive(Debug, Clone)]
pub struct Proxy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    routes: Routes,
    config: ProxyConfig,
    ids: RequestIds,
    /// `Alt-Svc` (RFC 7838), when there is HTTP/3.
    alt_svc: Option<HeaderValue>,
    connections: Arc<Semaphore>,
    clients: Arc<Clients>,
    held: Semaphore,
    passwords: PasswordChecks,
    /// Connections and tunnels.
    tasks: TaskTracker,
    /// UDP sockets, until the last words of their connections were sent.
    endpoints: TaskTracker,
    /// Cancelled when the grace is over.
    cut: CancellationToken,
}

// === impl ProxyConfig ===

impl ProxyConfig {
    /// The configuration for a domain, with https at its default port, no CA to hand out and no access log.
    #[must_use]
    pub fn new(domain: impl Into<String>) -> Self {
        Self {
            https_port: 443,
            http3: false,
            domain: domain.into(),
            ca_pem: None,
            connections_max: limits::CONNECTIONS_MAX,
            held_requests_max: limits::HELD_REQUESTS_MAX,
            client_connections_max: limits::CLIENT_CONNECTIONS_MAX,
            unlimited_clients: limits::LOOPBACK.to_vec(),
            trust: Trust::default(),
            timeouts: Timeouts::default(),
            access_log: None,
        }
    }
}

// === impl Timeouts ===

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            hold: Duration::from_secs(60),
            head: Duration::from_secs(30),
            idle: Duration::from_secs(3 * 60),
            write: Duration::from_secs(60),
            close: Duration::from_secs(2),
            port_idle: Duration::from_secs(60 * 60),
        }
    }
}

// === impl Proxy ===

impl Proxy {
    /// A proxy for these routes; it serves nothing yet.
    #[must_use]
    pub fn new(routes: Routes, config: ProxyConfig) -> Self {
        let unlimited = config.unlimited_clients.clone();
        let alt_svc = config.http3.then(|| {
            let text = format!("h3=\":{}\"; ma={}", config.https_port, limits::ALT_SVC_SECONDS);
            HeaderValue::try_from(text).expect("numbers are ASCII")
        });
        Self(Arc::new(Inner {
            alt_svc,
            clients: Clients::new(config.client_connections_max, unlimited),
            routes,
            ids: RequestIds::new(),
            connections: Arc::new(Semaphore::new(config.connections_max)),
            held: Semaphore::new(config.held_requests_max),
            config,
            passwords: PasswordChecks::new(),
            tasks: TaskTracker::new(),
            endpoints: TaskTracker::new(),
            cut: CancellationToken::new(),
        }))
    }

    /// Connections that were closed at once, because their client had enough.
    #[must_use]
    pub fn refused_connections(&self) -> u64 {
        self.0.clients.refused()
    }

    /// Waits until every connection and tunnel has ended, at most `grace`, and cuts those that are left.
    ///
    /// Call after the token of the `serve` functions was cancelled, which is what makes them end.
    pub async fn finish(&self, grace: Duration) -> Drained {
        let tasks = &self.0.tasks;
        tasks.close();
        info!(connections = tasks.len(), "finishing connections");
        let mut cut = 0;
        if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
            cut = tasks.len();
            warn!(connections = cut, "cutting connections, the grace is over");
            self.0.cut.cancel();
            tasks.wait().await;
        }
        // TCP's last words are the kernel's to send; those of QUIC are ours.
        self.0.endpoints.close();
        let _ = tokio::time::timeout(limits::LAST_WORDS_TIME_MAX, self.0.endpoints.wait()).await;
        Drained { cut }
    }
}
