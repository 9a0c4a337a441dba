//! The data plane: accepts connections, finds each request's route, and forwards it to a ready instance.
//!
//! # Theory of operation
//!
//! `listener` accepts, does TLS and hands every request to `exchange`, which decides who answers: an error page, a redirect,
//! or an upstream claimed from the published table. On a route with a policy it asks `guard` at each step. `onward` says in
//! which form the request goes on; `forward` puts it on a connection to that upstream, and tries a second time where that
//! cannot do harm. `body` carries the response back; the request stays counted until its last byte was handed on or the client
//! went away. A connection that changes its protocol becomes a `tunnel`, counted apart, which knows just enough of WebSocket
//! framing (`frames`) to say goodbye in its language.
//!
//! `http3` does what `listener` does, over QUIC; `inbound` is the body of a request, of whatever version.
//!
//! `asked` knows the certificate that a client has shown, where its route wants one.
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
mod asked;
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
mod internal;
mod limits;
mod listener;
mod onward;
mod outbound;
mod page;
mod preface;
pub mod proxy_protocol;
mod request_id;
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
use crate::tls::Challenges;
use crate::traffic::{Drained, Routes};

pub use self::access::AccessLog;
pub use self::client::Trust;
pub use self::http3::{Http3, Http3Error};

/// What the proxy is told at the start; it does not change.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// The port of https as browsers see it, for redirects and `X-Forwarded-Port`.
    pub https_port: u16,
    /// Whether responses over https say that there is HTTP/3 at that port. Default no.
    pub http3: bool,
    /// The domain under which apps get their hosts, for the error pages.
    pub domain: String,
    /// The certificate of the local CA, served on every host at [`CA_PATH`](crate::tls::CA_PATH).
    pub ca_pem: Option<Arc<str>>,
    /// What certificate authorities are answered, on every host. Default nothing.
    pub challenges: Challenges,
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
            challenges: Challenges::default(),
            connections_max: limits::CONNECTIONS_MAX,
            held_requests_max: limits::HELD_REQUESTS_MAX,
            client_connections_max: limits::CLIENT_CONNECTIONS_MAX,
            unlimited_clients: limits::LOOPBACK.to_vec(),
            trust: Trust::default(),
            timeouts: Timeouts::default(),
            access_log: None,
        }
    }

    /// Whether the domain is this machine's own, so that whoever asks is who runs the box.
    fn is_local(&self) -> bool {
        self.domain == "localhost" || self.domain.ends_with(".localhost")
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
