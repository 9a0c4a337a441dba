//! What is known of one request, from its first byte to its last, and what becomes of it: counts, and a line of the access log.
//! Connections to TCP ports have lines, too (`stream`).
//!
//! [`Entry`] goes with the request, into the body of its response or the tunnel that it becomes. It counts and writes when it
//! is dropped, so that a request whose client went away is told of like any other, as status 499.
//!
//! A line has the fields of Heroku's router, as logfmt:
//!
//! ```text
//! 2026-01-01T00:00:00.123Z router: at=info method=GET path="/x?a=b" host=shop.example.com request_id=… fwd="192.0.2.1"
//!   app=shop instance=web.1 release=v3 connect=0ms service=18ms status=200 bytes=13 protocol=h2 tls=true
//! ```
//!
//! What the request itself says is written into a buffer as soon as it is here, since the request is then taken apart; the
//! rest is added at the end. Buffers are used again, so a line costs no allocation. What the line must hide or add is known
//! once the request has a route.

mod buffer;
mod line;
mod sink;
mod stream;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, Request, Version};
use tokio::time::Instant;
use tracing::warn;

use super::client::Client;
use super::error::{self, Error, Side};
use super::exchange::Peer;
use super::guard::Meter;
use super::request_id::RequestId;
use crate::metrics::{CallMetrics, RouteMetrics};
use crate::policy::Logging;
use crate::traffic::{Found, Upstream};

pub use sink::AccessLog;
pub(super) use stream::{StreamEnd, StreamEntry};

/// As nginx and HAProxy call a client that went away before it was answered.
const CLIENT_GONE: u16 = 499;

/// What is known of one request.
#[derive(Debug)]
pub(super) struct Entry {
    /// The request's id.
    pub id: RequestId,
    /// The upstream that it was last sent to.
    pub upstream: Option<Arc<Upstream>>,
    /// The status that was answered; 0 as long as none was.
    pub status: u16,
    /// The bytes of the response's body that were handed on.
    pub bytes: u64,
    /// What counts the bytes of the request's body, if it has one.
    pub meter: Option<Meter>,
    route: Option<Arc<RouteMetrics>>,
    /// If it is an app that asks.
    call: Option<Arc<CallMetrics>>,
    failure: Option<Box<Failure>>,
    since: Instant,
    connect: Duration,
    version: Version,
    /// What the request says, as the line has it; empty when no line is written.
    head: Vec<u8>,
    /// Where the query is in it.
    query: Range<usize>,
    /// Who asked; `None` once the entry was taken elsewhere.
    peer: Option<Arc<Peer>>,
}

/// Why no app answered, or not all of it.
#[derive(Debug)]
struct Failure {
    code: &'static str,
    side: Side,
    text: Cow<'static, str>,
}

impl Entry {
    pub(super) fn new<B>(peer: &Arc<Peer>, client: &Client, id: RequestId, request: &Request<B>) -> Self {
        let mut entry = Self {
            id,
            upstream: None,
            status: 0,
            bytes: 0,
            meter: None,
            route: None,
            call: None,
            failure: None,
            since: Instant::now(),
            connect: Duration::ZERO,
            version: request.version(),
            head: Vec::new(),
            query: 0..0,
            peer: Some(Arc::clone(peer)),
        };
        if peer.proxy.0.config.access_log.is_some() {
            entry.head = buffer::take();
            entry.describe(client, request);
        }
        entry
    }

    fn describe<B>(&mut self, client: &Client, request: &Request<B>) {
        let (uri, head) = (request.uri(), &mut self.head);
        line::bare(head, " method=", request.method().as_str());
        head.extend_from_slice(b" path=\"");
        line::escape(head, uri.path().as_bytes());
        if let Some(query) = uri.query() {
            head.push(b'?');
            let start = head.len();
            line::escape(head, query.as_bytes());
            self.query = start..head.len();
        }
        head.push(b'"');
        let host = uri.authority().map(|authority| authority.as_str().as_bytes());
        let host = host.or_else(|| request.headers().get(HOST).map(http::HeaderValue::as_bytes));
        if let Some(host) = host {
            head.extend_from_slice(b" host=");
            line::value(head, host);
        }
        line::bare(head, " request_id=", self.id.as_str());
        head.extend_from_slice(b" fwd=\"");
        line::escape(head, client.chain().as_bytes());
        head.push(b'"');
    }

    /// Moves the entry to where the request goes on; what stays behind counts and writes nothing.
    pub(super) fn take(&mut self) -> Self {
        Self {
            upstream: self.upstream.take(),
            meter: self.meter.take(),
            route: self.route.take(),
            call: self.call.take(),
            failure: self.failure.take(),
            head: std::mem::take(&mut self.head),
            query: self.query.clone(),
            peer: self.peer.take(),
            ..*self
        }
    }

    /// Notes the route that the request takes: counts it there, and has the line say what the route wants it to.
    pub(super) fn routed(&mut self, found: Found<'_>, path: &str, headers: &HeaderMap) {
        found.metrics().begin();
        self.route = Some(Arc::clone(found.metrics()));
        let Logging { exclude, headers: captured, mask } = &found.policy().logging;
        if self.head.is_empty() {
            return;
        }
        if exclude.iter().any(|prefix| prefix.matches(path)) {
            buffer::give_back(std::mem::take(&mut self.head));
            return;
        }
        if !mask.is_empty() && !self.query.is_empty() {
            line::mask(&mut self.head, self.query.clone(), mask);
        }
        for name in captured {
            for value in headers.get_all(name) {
                line::bare(&mut self.head, " header.", name.as_str());
                self.head.push(b'=');
                line::value(&mut self.head, value.as_bytes());
            }
        }
    }

    /// Notes which app asks, if one does.
    pub(super) fn called(&mut self, call: Option<Arc<CallMetrics>>) {
        if let Some(call) = &call
            && !self.head.is_empty()
        {
            line::bare(&mut self.head, " caller=", call.caller());
        }
        self.call = call;
    }

    /// Notes that the request has to wait until there is an upstream.
    pub(super) fn held(&self) {
        if let Some(route) = &self.route {
            route.held().inc();
        }
    }

    /// Notes that there is a connection to an upstream.
    pub(super) fn connected(&mut self) {
        self.connect = self.since.elapsed();
    }

    /// Notes that the request is sent again: what it was sent to has failed.
    pub(super) fn retried(&mut self) {
        if let Some(route) = &self.route {
            route.retries().inc();
        }
        if let Some(upstream) = self.upstream.take() {
            upstream.metrics().end(true);
        }
    }

    /// Notes why no app answers.
    pub(super) fn failed(&mut self, error: &Error) {
        self.fail(error.code(), error.side(), error);
    }

    /// Notes that a response broke off after it had begun, and logs it unless the client is to blame.
    pub(super) fn broke(&mut self, error: &(dyn std::error::Error + 'static)) {
        let (code, side) = error::of_broken(error);
        self.fail(code, side, error);
        if side != Side::Downstream {
            warn!(
                app = self.app(),
                instance = self.instance(),
                request_id = self.id.as_str(),
                side = side.as_str(),
                error,
                "response broke off"
            );
        }
    }

    fn fail(&mut self, code: &'static str, side: Side, error: &(dyn std::error::Error + 'static)) {
        if let Some(peer) = &self.peer {
            peer.proxy.0.routes.metrics().errors().inc(code);
        }
        let text = if self.head.is_empty() { Cow::Borrowed("") } else { error.to_string().into() };
        self.failure = Some(Box::new(Failure { code, side, text }));
    }

    /// The id of the instance that the request was last sent to, for logs.
    pub(super) fn instance(&self) -> Option<&str> {
        self.upstream.as_ref().map(|upstream| upstream.instance().as_str())
    }

    /// The name of the app, for logs and pages.
    pub(super) fn app(&self) -> Option<&str> {
        self.route.as_ref().map(|route| route.app())
    }

    fn count(&self, total: Duration) {
        if let Some(route) = &self.route {
            // How long a tunnel is open says nothing about how fast an app answers.
            let latency = (self.status != 101).then_some(total);
            let received = self.meter.as_ref().map_or(0, Meter::bytes);
            route.end(self.status, latency, received, self.bytes);
        }
        if let Some(call) = &self.call {
            call.end(self.status);
        }
        if let Some(upstream) = &self.upstream {
            // A response that broke off has a good status.
            let is_blamed = self.failure.as_ref().is_some_and(|failure| failure.side == Side::Upstream);
            upstream.metrics().end(self.status >= 500 || is_blamed);
        }
    }

    fn write(&self, line: &mut Vec<u8>, is_tls: bool, total: Duration) {
        line::timestamp(line, self.since + total);
        let gone = Failure {
            code: "client-gone",
            side: Side::Downstream,
            text: Cow::Borrowed("the client went away before it was answered"),
        };
        match self.failure.as_deref().or_else(|| (self.status == CLIENT_GONE).then_some(&gone)) {
            None => line.extend_from_slice(b" router: at=info"),
            Some(Failure { code, side, text }) => {
                line::bare(line, " router: at=error code=", code);
                line.extend_from_slice(b" desc=\"");
                line::escape(line, text.as_bytes());
                line::bare(line, "\" side=", side.as_str());
            }
        }
        line.extend_from_slice(&self.head);
        if let Some(route) = &self.route {
            line::bare(line, " app=", route.app());
        }
        if let Some(upstream) = &self.upstream {
            line::bare(line, " instance=", upstream.metrics().slot());
            line::bare(line, " release=", upstream.metrics().release());
        }
        line::millis(line, " connect=", self.connect);
        line::millis(line, " service=", total.saturating_sub(self.connect));
        line::number(line, " status=", self.status.into());
        line::number(line, " bytes=", self.bytes);
        line::bare(line, " protocol=", protocol(self.version));
        line.extend_from_slice(if is_tls { b" tls=true\n" } else { b" tls=false\n" });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(peer) = self.peer.take() else { return };
        let total = self.since.elapsed();
        if self.status == 0 {
            self.status = CLIENT_GONE;
        }
        self.count(total);
        if let Some(log) = peer.proxy.0.config.access_log.as_ref().filter(|_| !self.head.is_empty()) {
            log.append(|line| self.write(line, peer.is_tls, total));
        }
        buffer::give_back(std::mem::take(&mut self.head));
    }
}

/// The version's name, as ALPN has it.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_3 => "h3",
        Version::HTTP_2 => "h2",
        Version::HTTP_10 => "http/1.0",
        _ => "http/1.1",
    }
}
