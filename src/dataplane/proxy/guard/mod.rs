//! What stands between a request and its app, and between a response and its client, on a route that has a policy.
//!
//! A [`Visit`] is made for each request of a route that is not plain; a plain route costs the one branch that finds that out.
//! The exchange calls it in this order:
//!
//! 1. [`Visit::maintained`]: an app in maintenance answers nobody but those who may pass.
//! 2. [`Visit::admit`]: canonical host, redirects, address, rate, CORS preflight, password, length of the body. The cheap
//!    questions come first, and each may answer in the app's place.
//! 3. [`Visit::edit`] changes the request's headers, after the proxy has written its own.
//! 4. [`Visit::shape`] does to the app's response what concerns its body: limits of time, buffering, compression; and what a
//!    stripped prefix makes of cookies and redirects.
//! 5. [`Visit::finish`] sets the headers of every response, also of the proxy's own pages.
//!
//! Each decision is a function in a file of its own. What they remember between requests is the route's
//! [`crate::traffic::Memory`].

mod auth;
mod body;
mod canonical;
mod cors;
mod edits;
#[cfg(feature = "testing")]
pub(super) mod fuzzing;
mod maintenance;
mod prefix;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, ORIGIN};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use tokio::time::Instant;

use self::maintenance::Verdict;
use super::body::ResponseBody;
use super::buffer::{self, Collected};
use super::compress;
use super::error::Error;
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::timed::{Late, Timed};
use super::{limits, page};
use crate::http1::{AnyBody, any};
use crate::policy::{Encoding, Policy};
use crate::route::{Maintenance, Mode};
use crate::traffic::{Found, Memory};

pub(super) use self::auth::PasswordChecks;
pub(super) use self::body::{Meter, Metered};

/// One request on a route that is not plain.
#[derive(Debug)]
pub(super) struct Visit {
    policy: Arc<Policy>,
    memory: Arc<Memory>,
    maintenance: Option<Arc<Maintenance>>,
    /// The prefix that is taken off the path.
    prefix: Option<Box<str>>,
    client: IpAddr,
    is_tls: bool,
    /// Whether it is an app that asks, which needs nobody's leave but its link's.
    is_call: bool,
    method: Method,
    /// The host as the client named it, with its port.
    host: HeaderValue,
    origin: Option<HeaderValue>,
    /// With what the response may be compressed.
    encoding: Option<Encoding>,
    /// When request and response must be over.
    deadline: Option<Instant>,
}

/// Where a request came from and what it is aimed at, to begin a [`Visit`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'r> {
    pub client: IpAddr,
    pub is_tls: bool,
    /// Whether it is an app that asks.
    pub is_call: bool,
    /// The host as the client named it, with its port.
    pub host: &'r HeaderValue,
}

impl Visit {
    /// Begins the visit; `None` on a plain route.
    pub(super) fn begin(
        found: Found<'_>,
        arrival: Arrival<'_>,
        request: &Request<Inbound>,
    ) -> Option<Box<Self>> {
        if found.guards().is_plain {
            return None;
        }
        let (route, headers) = (found.route, request.headers());
        let policy = Arc::clone(&route.policy);
        let maintenance = match &route.mode {
            Mode::Maintenance(maintenance) => Some(Arc::clone(maintenance)),
            Mode::Open | Mode::Paused { .. } => None,
        };
        let is_stripped = route.strip_prefix && route.path.as_str() != "/";
        Some(Box::new(Self {
            memory: Arc::clone(&found.guards().memory),
            maintenance,
            prefix: is_stripped.then(|| route.path.as_str().into()),
            client: arrival.client,
            is_tls: arrival.is_tls,
            is_call: arrival.is_call,
            method: request.method().clone(),
            host: arrival.host.clone(),
            origin: policy.cors.as_ref().and_then(|_| headers.get(ORIGIN).cloned()),
            encoding: compress::negotiate(&policy.compress, headers),
            deadline: policy.timeouts.whole.map(|whole| Instant::now() + whole),
            policy,
        }))
    }

    /// The answer of an app that is in maintenance; `None` for whoever may pass.
    ///
    /// # Errors
    ///
    /// [`Error::Maintenance`].
    pub(super) fn maintained(
        &self,
        request: &Request<Inbound>,
    ) -> Result<Option<Response<ResponseBody>>, Error> {
        let Some(maintenance) = &self.maintenance else { return Ok(None) };
        match maintenance::verdict(maintenance, self.client, request.headers(), request.uri().path()) {
            Verdict::Pass => Ok(None),
            Verdict::Healthy => Ok(Some(page::text(StatusCode::OK, "ok, in maintenance\n"))),
            Verdict::Closed => Err(Error::Maintenance { retry_after: maintenance.retry_after }),
        }
    }

    /// Whether the request may go on to the app; `Some` is what is answered in its place.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`], [`Error::RateLimited`], [`Error::Unauthorized`], [`Error::PasswordsBusy`], [`Error::TooLarge`].
    pub(super) async fn admit(
        &self,
        request: &mut Request<Inbound>,
        uri: &Uri,
        host: &str,
        passwords: &PasswordChecks,
    ) -> Result<Option<Response<ResponseBody>>, Error> {
        let policy = &*self.policy;
        if !self.is_call
            && let Some(location) = canonical::location(policy, self.is_tls, host, &self.host, uri)
        {
            return Ok(Some(page::redirect(StatusCode::PERMANENT_REDIRECT, location)));
        }
        if let Some((status, location)) = redirect(policy, uri) {
            return Ok(Some(page::redirect(status, location)));
        }
        if !self.is_call && !policy.access.permits(self.client) {
            return Err(Error::Denied);
        }
        if let Some(rate) = &self.memory.rate {
            rate.take(self.client).map_err(|wait| Error::RateLimited { wait })?;
        }
        if let Some(cors) = &policy.cors
            && cors::is_preflight(request.method(), request.headers())
        {
            return Ok(Some(cors::preflight(cors, request.headers())));
        }
        if let Some(verified) = self.memory.verified.as_ref().filter(|_| !self.is_call) {
            passwords.check(&policy.basic_auth, verified, request.headers()).await?;
            request.headers_mut().remove(AUTHORIZATION);
        }
        match policy.body_max {
            Some(max) if length(request.headers()).is_some_and(|length| length > max) => {
                Err(Error::TooLarge { max })
            }
            _ => Ok(None),
        }
    }

    /// Changes the headers of the request that goes to the app.
    pub(super) fn edit(&self, headers: &mut HeaderMap) {
        if self.maintenance.is_some() {
            maintenance::remove_cookie(headers);
        }
        edits::apply(&self.policy.request_headers, headers);
    }

    /// How large the request's body may be, and for how long it may pause, where the policy says so.
    pub(super) fn body_limits(&self) -> (Option<u64>, Option<Duration>) {
        (self.policy.body_max, self.policy.timeouts.idle)
    }

    /// How much of a request's body is collected before an upstream is claimed, if it is.
    pub(super) fn buffered(&self) -> Option<u64> {
        self.policy.buffering.requests.then(|| self.policy.body_max.unwrap_or(limits::SPOOL_BYTES_MAX))
    }

    /// Awaits what must be over before the deadline of the whole request.
    ///
    /// # Errors
    ///
    /// What the future failed of, or [`Error::Expired`].
    pub(super) async fn in_time<T>(
        &self,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match self.deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, future).await.map_err(|_| Error::Expired)?,
            None => future.await,
        }
    }

    /// The app's response as the client is to have it, but for the headers that [`Self::finish`] sets.
    ///
    /// # Errors
    ///
    /// On a route that buffers responses: what the response failed of.
    pub(super) async fn shape(&self, response: Response<ResponseBody>) -> Result<Response<Outbound>, Error> {
        let (mut parts, body) = response.into_parts();
        if let Some(prefix) = &self.prefix {
            prefix::rewrite_location(prefix, &self.host, &mut parts.headers);
            if self.policy.scope_cookies {
                prefix::scope_cookies(prefix, &mut parts.headers);
            }
        }
        // A stream of events is never complete, and each is wanted at once.
        let is_buffered = self.policy.buffering.responses && !compress::is_event_stream(&parts.headers);
        let encoding = compress::plan(&self.policy.compress, self.encoding, &self.method, &mut parts, &body);
        let idle = self.policy.timeouts.idle;
        if encoding.is_none() && !is_buffered && idle.is_none() && self.deadline.is_none() {
            return Ok(Response::from_parts(parts, Outbound::Plain(body)));
        }
        let mut body = any(Timed::new(body, idle, self.deadline));
        if is_buffered {
            body = self.in_time(collected(body)).await?;
        }
        if let Some(encoding) = encoding {
            body = any(compress::Compressed::new(body, encoding));
        }
        Ok(Response::from_parts(parts, Outbound::filtered(body)))
    }

    /// Sets the headers that all responses of the route have, the proxy's own pages included.
    pub(super) fn finish(&self, headers: &mut HeaderMap) {
        if let Some(cors) = &self.policy.cors {
            cors::apply(cors, self.origin.as_ref(), headers);
        }
        if let Some(hsts) = self.policy.hsts.filter(|_| self.is_tls) {
            edits::secure(hsts, headers);
        }
        edits::apply(&self.policy.response_headers, headers);
    }

    /// The app's own page for an error.
    pub(super) fn page(&self, error: &Error) -> Option<&str> {
        let of_maintenance = match error {
            Error::Maintenance { .. } => self.maintenance.as_ref().and_then(|m| m.page.as_deref()),
            _ => None,
        };
        let page = match error {
            Error::Maintenance { .. } => self.policy.maintenance_page(),
            error => self.policy.page(error.status().as_u16()),
        };
        of_maintenance.or_else(|| page.map(|page| &**page))
    }
}

/// The body, once all of it has come that may be kept.
async fn collected(body: AnyBody) -> Result<AnyBody, Error> {
    match buffer::collect(body, limits::SPOOL_BYTES_MAX).await {
        Ok(Collected::Whole(buffered)) => Ok(any(buffered)),
        // Too large to keep: the client gets what there is, and the rest as it comes.
        Ok(Collected::Begun(begun)) => Ok(any(begun)),
        Err(buffer::Error::Body(error)) => Err(match error.downcast_ref() {
            Some(Late::Idle) => Error::Silent,
            Some(Late::Whole) => Error::Expired,
            None => Error::Broken(error),
        }),
        Err(buffer::Error::Spool(error)) => Err(Error::Spool(error)),
    }
}

/// Where the policy's redirects lead this request, if one is for it.
fn redirect(policy: &Policy, uri: &Uri) -> Option<(StatusCode, HeaderValue)> {
    policy.redirects.iter().find_map(|redirect| {
        let location = redirect.location(uri.path(), uri.path_and_query().and_then(PathAndQuery::query))?;
        Some((StatusCode::from_u16(redirect.status).ok()?, HeaderValue::try_from(location).ok()?))
    })
}

/// The length that a body is said to have. One that is no number was refused as the head was read.
fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
