//! What the proxy does with an app's requests beyond forwarding them: `[proxy]`, `[tls]` and what routes say instead, with every
//! default.
//!
//! A [`Policy`] is a pure value, complete and valid. The manifest makes it, a plan carries it to each route, the route table
//! hands it to the data plane, and [`crate::proxy`] obeys it. Whatever must be remembered between requests (who used up their
//! rate, which upstream is ejected) lives in [`crate::traffic`], beside the table, never in here.

mod access;
mod balance;
mod certificate;
mod client_ca;
mod content;
mod page;
mod port;
mod redirect;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::name::{Host, PathPrefix};

pub use access::{Access, Cors, Credential, RateLimit};
pub use balance::{Balance, Ejection, Protocol, Queue};
pub use certificate::{Ask, AskError, Issuer};
pub use client_ca::{ClientCa, ClientCaError};
pub use content::{Buffering, Encoding, HeaderEdits, Hsts};
pub use page::{PageKey, PageKeyError};
pub use port::ProxyVersion;
pub use redirect::Redirect;

/// How requests of one route are treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether the route is there for everybody, and not only for apps that are linked to it. Default true.
    pub is_public: bool,
    /// Whether plain http is answered with a redirect to https. Default true.
    pub https_redirect: bool,
    /// The one host that the app wants to be seen at; requests for the route's other hosts are redirected to it.
    pub canonical_host: Option<Host>,
    /// Paths that are answered with a redirect, the first that matches.
    pub redirects: Vec<Redirect>,
    /// `Strict-Transport-Security`, sent over https alone. Default none.
    pub hsts: Option<Hsts>,
    /// Which client addresses may come in. Default all.
    pub access: Access,
    /// Who may come in with a password; empty: everybody, without.
    pub basic_auth: Vec<Credential>,
    /// Who signs the certificate. Default: the host says.
    pub issuer: Option<Issuer>,
    /// Who says whether a name may be ordered that nobody has listed. Default nobody, and none is.
    pub ask: Option<Ask>,
    /// Whose certificate a client must show to come in; https alone. Default none.
    pub client_ca: Option<Arc<ClientCa>>,
    /// How much one client may ask. Default unlimited.
    pub rate_limit: Option<RateLimit>,
    /// Which pages of other origins may call the app. Default: the app answers that itself.
    pub cors: Option<Cors>,
    /// The largest body of a request, in bytes; a larger one is answered with 413. Default unlimited.
    pub body_max: Option<u64>,
    /// Whether bodies are collected before they are passed on. Default neither.
    pub buffering: Buffering,
    /// What is changed in a request's headers before the app sees it.
    pub request_headers: HeaderEdits,
    /// What is changed in a response's headers before the client sees it.
    pub response_headers: HeaderEdits,
    /// With what a response may be compressed, the most wanted first. Default nothing.
    pub compress: Vec<Encoding>,
    /// Whether cookies of an app behind a stripped prefix are limited to it. Default false.
    pub scope_cookies: bool,
    /// The app's own pages: what is shown instead of minipaas's. [`Self::page`] finds the one.
    pub error_pages: BTreeMap<PageKey, Arc<str>>,
    /// How long the proxy waits.
    pub timeouts: Timeouts,
    /// How often a request that failed without harm is sent again. Default 1.
    pub retries: u32,
    /// How an upstream is chosen. Default: the one with fewer requests in flight, of two at random.
    pub balance: Balance,
    /// When an upstream that fails is left alone for a while.
    pub ejection: Ejection,
    /// Requests in flight on one upstream at most. Default unlimited.
    pub upstream_requests_max: Option<u32>,
    /// Requests that may wait for one of those places, and for how long.
    pub queue: Queue,
    /// What is spoken with the upstream.
    pub protocol: Protocol,
    /// What the access log leaves out and adds.
    pub logging: Logging,
}

/// How long the proxy waits for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For an upstream to accept a connection. Default 5 s, as Heroku.
    pub connect: Duration,
    /// For the first byte of a response, counted from the last byte of the request. Default 60 s.
    pub first_byte: Duration,
    /// For the next byte of a body, in either direction, and of a tunnel. Default none for responses: an event stream may be
    /// silent for long.
    pub idle: Option<Duration>,
    /// For the whole of a request and its response; WebSockets excepted. Default none.
    pub whole: Option<Duration>,
}

/// What the access log leaves out and adds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Logging {
    /// Requests below these paths are counted and not logged.
    pub exclude: Vec<PathPrefix>,
    /// Request headers whose values are logged.
    pub headers: Vec<HeaderName>,
    /// Query parameters whose values are replaced by `***`; `*` stands for all.
    pub mask: Vec<String>,
}

// === impl Policy ===

impl Policy {
    /// Whether requests and responses pass as they are: no guard stops one, and nothing is done to a header or a body.
    ///
    /// Asked once for each published route. Whatever else the policy says (redirects to https, balancing, retries, the log)
    /// is part of every request's way.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let stops_none = self.canonical_host.is_none()
            && self.redirects.is_empty()
            && self.access == Access::default()
            && self.basic_auth.is_empty()
            && self.rate_limit.is_none()
            && self.body_max.is_none();
        let changes_nothing = self.hsts.is_none()
            && self.cors.is_none()
            && self.request_headers.is_empty()
            && self.response_headers.is_empty()
            && self.compress.is_empty()
            && !self.scope_cookies
            && self.error_pages.is_empty();
        let waits_as_usual = self.buffering == Buffering::default()
            && self.timeouts.idle.is_none()
            && self.timeouts.whole.is_none();
        stops_none && changes_nothing && waits_as_usual
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            is_public: true,
            https_redirect: true,
            canonical_host: None,
            redirects: Vec::new(),
            hsts: None,
            access: Access::default(),
            basic_auth: Vec::new(),
            issuer: None,
            ask: None,
            client_ca: None,
            rate_limit: None,
            cors: None,
            body_max: None,
            buffering: Buffering::default(),
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            compress: Vec::new(),
            scope_cookies: false,
            error_pages: BTreeMap::new(),
            timeouts: Timeouts::default(),
            retries: 1,
            balance: Balance::default(),
            ejection: Ejection::default(),
            upstream_requests_max: None,
            queue: Queue::default(),
            protocol: Protocol::default(),
            logging: Logging::default(),
        }
    }
}

// === impl Timeouts ===

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), first_byte: Duration::from_secs(60), idle: None, whole: None }
    }
}
