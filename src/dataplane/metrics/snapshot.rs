//! Every number at one moment, as plain values.

use std::sync::Arc;

use super::call::CallSample;
use super::histogram::Distribution;
use super::port::PortSample;
use super::series::STATUSES;

/// Every number of a box. Each was read by itself: they agree as well as numbers do that go on growing meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// By app, host and path.
    pub routes: Vec<RouteSample>,
    /// By instance.
    pub upstreams: Vec<UpstreamSample>,
    /// By app and port.
    pub ports: Vec<PortSample>,
    /// By the app that calls and the one that is called.
    pub calls: Vec<CallSample>,
    /// What belongs to no app.
    pub global: GlobalSample,
    /// By name; put in by who owns them.
    pub certificates: Vec<CertificateSample>,
    /// Series that were too many to be told of.
    pub left_out: u64,
}

/// How a name's certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSample {
    /// The name.
    pub name: String,
    /// When it runs out, in seconds since the Unix epoch; `None` while there is none.
    pub not_after: Option<u64>,
    /// Whether it, or its successor, cannot be had.
    pub has_problem: bool,
}

/// The numbers of a route, since the daemon started or the route is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSample {
    /// The app.
    pub app: Arc<str>,
    /// Host and path.
    pub route: Arc<str>,
    /// Requests that have begun and not ended.
    pub in_flight: u64,
    /// Requests that have ended, parallel to [`STATUSES`].
    pub ended: [u64; STATUSES.len()],
    /// From the head of a request to the last byte of its response.
    pub latency: Distribution,
    /// Of requests' bodies.
    pub bytes_in: u64,
    /// Of responses' bodies.
    pub bytes_out: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Requests that waited for an upstream.
    pub held: u64,
}

/// The numbers of an upstream, since it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSample {
    /// The app.
    pub app: Arc<str>,
    /// `web.1`.
    pub slot: Arc<str>,
    /// `v3`.
    pub release: Arc<str>,
    /// The instance's id.
    pub instance: Arc<str>,
    /// Requests that were sent to it, and have ended.
    pub requests: u64,
    /// Those of them without a whole response, or with one of status 500 and above.
    pub failures: u64,
    /// How often it was left alone because it failed.
    pub ejections: u64,
    /// Requests that it has now.
    pub in_flight: u64,
    /// Whether it is left alone now.
    pub is_ejected: bool,
}

/// The numbers that belong to no app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GlobalSample {
    /// Connections of plain http.
    pub http: ListenerSample,
    /// Connections of https.
    pub https: ListenerSample,
    /// Connections that were closed at once, because their client had enough.
    pub refused: u64,
    /// TLS handshakes that succeeded.
    pub handshakes: u64,
    /// TLS handshakes that did not.
    pub handshakes_failed: u64,
    /// Requests that no app answered, by code.
    pub errors: Vec<(&'static str, u64)>,
    /// Lines that the access log had no room for.
    pub log_dropped: u64,
}

/// The connections of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListenerSample {
    /// Accepted so far.
    pub opened: u64,
    /// Open now.
    pub open: u64,
}
