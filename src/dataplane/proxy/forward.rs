//! Puts a request on a connection to its upstream, and does so again where that can do no harm.
//!
//! Three things may go wrong before a response begins. A kept connection turns out to be closed: the request goes out on a new
//! one, which is no retry, since it was heard by nobody. The connection is refused: another upstream gets the request, whatever
//! it is, because nobody has seen any of it. The connection dies after the request was written: the request goes out again only
//! if it is idempotent and has no body (RFC 9110, 9.2.2). How many retries a request may have is the policy's to say, how many
//! all requests of a route may have its budget's; then the client is told.

use std::io;
use std::sync::Arc;

use http::{Method, Version, request};
use tokio::time::timeout;
use tracing::warn;

use super::Proxy;
use super::access::Entry;
use super::answer::Answer;
use super::claim::{Address, Claim};
use super::error::Error;
use crate::http1::{self, Connection, RequestBody};
use crate::http2;
use crate::policy::Timeouts;
use crate::traffic::{InFlight, Upstream};

/// How a request is tried.
#[derive(Debug, Clone, Copy)]
struct How<'t> {
    /// Whether on a connection that was used before.
    may_reuse: bool,
    /// Whether sending it twice is the same as sending it once.
    is_repeatable: bool,
    timeouts: &'t Timeouts,
}

impl Proxy {
    /// Sends the request to the claimed upstream, or to the one that a retry claims, by the version of HTTP that its head names.
    ///
    /// # Errors
    ///
    /// What the last attempt failed of.
    pub(super) async fn forward(
        &self,
        mut claim: Claim,
        to: Address<'_>,
        head: &request::Parts,
        mut body: RequestBody,
        entry: &mut Entry,
    ) -> Result<(Answer, InFlight), Error> {
        let is_repeatable = is_idempotent(&head.method) && body.is_empty();
        let Claim { timeouts, mut retries, .. } = claim;
        let mut may_reuse = true;
        loop {
            let how = How { may_reuse, is_repeatable, timeouts: &timeouts };
            let error = match attempt(&claim.guard, how, head, &mut body, entry).await {
                Ok(mut answer) => {
                    let guard = claim.answered(answer.status(), answer.headers_mut());
                    return Ok((answer, guard));
                }
                Err(error) => error,
            };
            let first = claim.failed(&error);
            let was_seen = match &error {
                Error::Unreachable(_) | Error::ConnectTimeout => false,
                Error::Died(error) => !matches!(error, http1::Error::Unsent(_)),
                Error::Aborted(error) => !matches!(error, http2::Error::Unsent(_)),
                _ => return Err(error),
            };
            if retries == 0 || (was_seen && !is_repeatable) {
                return Err(error);
            }
            let Some(next) = self.claim_retry(to, &head.headers, &first, was_seen).await else {
                return Err(error);
            };
            warn!(
                app = entry.app(),
                instance = first.instance().as_str(),
                request_id = entry.id.as_str(),
                side = error.side().as_str(),
                error = &error as &dyn std::error::Error,
                "request is sent again"
            );
            entry.retried();
            claim = next;
            retries -= 1;
            may_reuse = false;
        }
    }
}

async fn attempt(
    guard: &InFlight,
    how: How<'_>,
    head: &request::Parts,
    body: &mut RequestBody,
    entry: &mut Entry,
) -> Result<Answer, Error> {
    let upstream = guard.upstream();
    entry.upstream = Some(Arc::clone(upstream));
    if head.version == Version::HTTP_2 {
        // Boxed, so that a request of HTTP/1 does not carry room for it.
        return Box::pin(attempt_http2(upstream, how, head, body, entry)).await;
    }
    let How { may_reuse, is_repeatable, timeouts } = how;
    if let Some(connection) = may_reuse.then(|| upstream.take_connection()).flatten() {
        entry.connected();
        match connection.exchange(head, body, timeouts.first_byte).await {
            Ok(answer) => return Ok(answer.into()),
            // It died of age while nobody looked.
            Err(http1::Error::Unsent(_)) => {}
            Err(http1::Error::Closed) if is_repeatable => {}
            Err(error) => return Err(error.into()),
        }
    }
    let connection = connect(upstream, timeouts).await?;
    entry.connected();
    Ok(connection.exchange(head, body, timeouts.first_byte).await?.into())
}

async fn attempt_http2(
    upstream: &Upstream,
    how: How<'_>,
    head: &request::Parts,
    body: &mut RequestBody,
    entry: &mut Entry,
) -> Result<Answer, Error> {
    let How { mut may_reuse, timeouts, .. } = how;
    loop {
        let stream = upstream.open_stream(timeouts.connect).await.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Error::ConnectTimeout,
            _ => Error::Unreachable(error),
        })?;
        entry.connected();
        match stream.exchange(head, body, timeouts.first_byte).await {
            Ok(response) => return Ok(Answer::Http2(response.map(Box::new))),
            // The connection ended while nobody looked; the next one may be well.
            Err(http2::Error::Unsent(_)) if may_reuse => may_reuse = false,
            Err(error) => return Err(error.into()),
        }
    }
}

async fn connect(upstream: &Upstream, timeouts: &Timeouts) -> Result<Box<Connection>, Error> {
    timeout(timeouts.connect, Connection::connect(upstream.addr()))
        .await
        .map_err(|_| Error::ConnectTimeout)?
        .map_err(|error| if is_ours(&error) { Error::Exhausted(error) } else { Error::Unreachable(error) })
}

/// Whether a connection failed before the instance was asked: for want of file descriptors, ports or memory.
fn is_ours(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL | Errno::NOBUFS | Errno::NOMEM))
}

/// Whether sending the request twice is the same as sending it once.
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

impl From<http1::Error> for Error {
    fn from(error: http1::Error) -> Self {
        match error {
            http1::Error::Silent => Self::Silent,
            http1::Error::RequestBody(_) => Self::BadBody,
            error => Self::Died(error),
        }
    }
}

impl From<http2::Error> for Error {
    fn from(error: http2::Error) -> Self {
        match error {
            http2::Error::Host => Self::BadHost,
            http2::Error::Silent => Self::Silent,
            http2::Error::RequestBody(_) => Self::BadBody,
            error => Self::Aborted(error),
        }
    }
}
