//! What a [`Policy`] asks for beyond its defaults, one thing at a time.
//!
//! [`aspects`] takes a policy apart, field by field and without `..`, so that a new field does not compile until somebody has
//! decided what becomes of it; each entrance then matches every [`Aspect`]. What an entrance cannot say becomes a note with
//! [`Aspect::advice`], which holds wherever there is no better one.

use std::time::Duration;

use ipnet::IpNet;

use crate::name::Host;
use crate::policy::{
    Access, Balance, Buffering, ClientCa, Cors, Credential, Encoding, HeaderEdits, Hsts, Issuer, Logging,
    Policy, Protocol, RateLimit, Redirect, Timeouts,
};

/// One thing that a policy asks for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Aspect<'a> {
    /// Plain http is served, too.
    PlainHttp,
    CanonicalHost(&'a Host),
    Redirects(&'a [Redirect]),
    Hsts(Hsts),
    Allow(&'a [IpNet]),
    Deny(&'a [IpNet]),
    BasicAuth(&'a [Credential]),
    Issuer(Issuer),
    Ask,
    ClientCa(&'a ClientCa),
    RateLimit(RateLimit),
    Cors(&'a Cors),
    /// In bytes.
    BodyMax(u64),
    BufferRequests,
    BufferResponses,
    RequestHeaders,
    ResponseHeaders(&'a HeaderEdits),
    Compress(&'a [Encoding]),
    ScopeCookies,
    ErrorPages,
    ConnectTimeout(Duration),
    FirstByteTimeout(Duration),
    IdleTimeout(Duration),
    Timeout,
    Retries(u32),
    Balance(Balance),
    Ejection,
    /// Requests in flight on one instance.
    RequestsMax(u32),
    Queue,
    Protocol(Protocol),
    Logging(&'a Logging),
}

/// Everything that the policy asks for beyond its defaults, in the order of its fields. Whether the route is public is not
/// among it: there is no entrance to one that is not.
pub(super) fn aspects(policy: &Policy) -> Vec<Aspect<'_>> {
    let Policy {
        is_public: _,
        https_redirect,
        canonical_host,
        redirects,
        hsts,
        access: Access { allow, deny },
        basic_auth,
        issuer,
        ask,
        client_ca,
        rate_limit,
        cors,
        body_max,
        buffering: Buffering { requests: buffer_requests, responses: buffer_responses },
        request_headers,
        response_headers,
        compress,
        scope_cookies,
        error_pages,
        timeouts: Timeouts { connect, first_byte, idle, whole },
        retries,
        balance,
        ejection,
        upstream_requests_max,
        queue,
        protocol,
        logging,
    } = policy;
    let default = Policy::default();
    let when = |is: bool, aspect| is.then_some(aspect);
    [
        when(!https_redirect, Aspect::PlainHttp),
        canonical_host.as_ref().map(Aspect::CanonicalHost),
        when(!redirects.is_empty(), Aspect::Redirects(redirects)),
        hsts.map(Aspect::Hsts),
        when(!allow.is_empty(), Aspect::Allow(allow)),
        when(!deny.is_empty(), Aspect::Deny(deny)),
        when(!basic_auth.is_empty(), Aspect::BasicAuth(basic_auth)),
        issuer.map(Aspect::Issuer),
        ask.as_ref().map(|_| Aspect::Ask),
        client_ca.as_deref().map(Aspect::ClientCa),
        rate_limit.map(Aspect::RateLimit),
        cors.as_ref().map(Aspect::Cors),
        body_max.map(Aspect::BodyMax),
        when(*buffer_requests, Aspect::BufferRequests),
        when(*buffer_responses, Aspect::BufferResponses),
        when(!request_headers.is_empty(), Aspect::RequestHeaders),
        when(!response_headers.is_empty(), Aspect::ResponseHeaders(response_headers)),
        when(!compress.is_empty(), Aspect::Compress(compress)),
        when(*scope_cookies, Aspect::ScopeCookies),
        when(!error_pages.is_empty(), Aspect::ErrorPages),
        when(*connect != default.timeouts.connect, Aspect::ConnectTimeout(*connect)),
        when(*first_byte != default.timeouts.first_byte, Aspect::FirstByteTimeout(*first_byte)),
        idle.map(Aspect::IdleTimeout),
        whole.map(|_| Aspect::Timeout),
        when(*retries != default.retries, Aspect::Retries(*retries)),
        when(*balance != default.balance, Aspect::Balance(*balance)),
        // Nothing but readiness takes an instance out of rotation on a cluster: that is `eject = false` already.
        when(*ejection != default.ejection && ejection.failures > 0, Aspect::Ejection),
        upstream_requests_max.map(Aspect::RequestsMax),
        when(*queue != default.queue, Aspect::Queue),
        when(*protocol != default.protocol, Aspect::Protocol(*protocol)),
        when(*logging != default.logging, Aspect::Logging(logging)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

// === impl Aspect ===

impl Aspect<'_> {
    /// As the manifest names it.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::PlainHttp => "[proxy] https_redirect",
            Self::CanonicalHost(_) => "[proxy] canonical_host",
            Self::Redirects(_) => "[proxy] redirects",
            Self::Hsts(_) => "[proxy] hsts",
            Self::Allow(_) => "[proxy] allow",
            Self::Deny(_) => "[proxy] deny",
            Self::BasicAuth(_) => "[proxy] basic_auth",
            Self::Issuer(_) => "[tls] issuer",
            Self::Ask => "[tls] on_demand",
            Self::ClientCa(_) => "[tls] client_ca",
            Self::RateLimit(_) => "[proxy] rate_limit",
            Self::Cors(_) => "[proxy] cors",
            Self::BodyMax(_) => "[proxy] body_max",
            Self::BufferRequests => "[proxy] buffer_requests",
            Self::BufferResponses => "[proxy] buffer_responses",
            Self::RequestHeaders => "[proxy] request_headers",
            Self::ResponseHeaders(_) => "[proxy] response_headers",
            Self::Compress(_) => "[proxy] compress",
            Self::ScopeCookies => "[proxy] scope_cookies",
            Self::ErrorPages => "[proxy] error_pages",
            Self::ConnectTimeout(_) => "[proxy] connect_timeout",
            Self::FirstByteTimeout(_) => "[proxy] first_byte_timeout",
            Self::IdleTimeout(_) => "[proxy] idle_timeout",
            Self::Timeout => "[proxy] timeout",
            Self::Retries(_) => "[proxy] retries",
            Self::Balance(_) => "[proxy] balance",
            Self::Ejection => "[proxy] eject",
            Self::RequestsMax(_) => "[proxy] max_connections",
            Self::Queue => "[proxy] queue",
            Self::Protocol(_) => "[proxy] protocol",
            Self::Logging(_) => "[proxy] log",
        }
    }

    /// What becomes of it where the entrance has no word for it, and what to do instead.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::PlainHttp => "whether plain http leads to https is the controller's own setting",
            Self::CanonicalHost(_) => {
                "every host answers; have the app redirect, or set it up at the controller"
            }
            Self::Redirects(_) => {
                "these paths reach the app; have it redirect, or set them up at the controller"
            }
            Self::Hsts(_) => "have the app send `Strict-Transport-Security`, or set it up at the controller",
            Self::Allow(_) => {
                "EVERY ADDRESS MAY COME IN; limit the addresses at the controller or the load balancer before it is reachable"
            }
            Self::Deny(_) => {
                "these addresses may come in; refuse them at the controller or the load balancer"
            }
            Self::BasicAuth(_) => {
                "NOBODY IS ASKED FOR A PASSWORD; have the app ask, or set it up at the controller, before it is reachable"
            }
            Self::Issuer(_) => "whoever gives the certificates signs this one, too",
            Self::Ask => "only hosts that are listed get certificates; list each in a `[[route]]`",
            Self::ClientCa(_) => {
                "NO CLIENT IS ASKED FOR A CERTIFICATE; set it up at the controller before it is reachable"
            }
            Self::RateLimit(_) => "nobody counts; limit the rate in the app or at the controller",
            Self::Cors(_) => "the app answers preflight requests itself, or the controller is set up to",
            Self::BodyMax(_) => "the controller's own limit holds; set it there, or have the app refuse",
            Self::BufferRequests => "requests reach the app as the controller passes them on",
            Self::BufferResponses => {
                "a slow client keeps the app busy unless the controller collects responses"
            }
            Self::RequestHeaders => "the app sees the headers as they came; set them up at the controller",
            Self::ResponseHeaders(_) => "have the app send them, or set them up at the controller",
            Self::Compress(_) => "have the app compress, or switch it on for the whole controller",
            Self::ScopeCookies => "cookies keep the path that the app gives them; have it set the prefix",
            Self::ErrorPages => "the controller shows its own; have the app answer with the pages",
            Self::ConnectTimeout(_) | Self::FirstByteTimeout(_) | Self::IdleTimeout(_) | Self::Timeout => {
                "the controller's own timeouts hold; set them there"
            }
            Self::Retries(_) => "how often a request is sent again is the controller's own setting",
            Self::Balance(_) => "the controller chooses an instance by its own rule; set it up there",
            Self::Ejection => {
                "only readiness takes an instance out of rotation; let `ready` tell what failed"
            }
            Self::RequestsMax(_) => {
                "an instance gets whatever comes; limit it in the app, or scale it by `autoscale`"
            }
            Self::Queue => "no request waits for a place; more instances are the cluster's answer",
            Self::Protocol(_) => {
                "the controller has to be told; the Service's `appProtocol` says it to those that read it"
            }
            Self::Logging(_) => "the access log is the controller's own; set it up there",
        }
    }
}
