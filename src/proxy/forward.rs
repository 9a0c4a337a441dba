//! Puts a request on a connection to its upstream, and does so again where that can do no harm.
//!
//! Three things may go wrong before a response begins. A kept connection turns out to be closed: the request goes out on a new
//! one, which is no retry, since it was heard by nobody. The connection is refused: another upstream gets the request, whatever
//! it is, because nobody has seen any of it. The connection dies after the request was written: the request goes out again only
//! if it is idempotent and has no body (RFC 9110, 9.2.2). One retry, then the client is told.

use std::sync::Arc;

use http::{Method, request};
use tokio::time::timeout;
use tracing::warn;

use super::Proxy;
use super::access::Entry;
use super::claim::{Address, Claim};
use super::error::Error;
use crate::http1::{self, Answer, Connection, RequestBody};
use crate::policy::Timeouts;
use crate::traffic::{InFlight, Upstream};

impl Proxy {
    /// Sends the request to the claimed upstream, or to the one that a retry claims.
    ///
    /// # Errors
    ///
    /// What the last attempt failed of.
    pub(super) async fn forward(
        &self,
        claim: Claim,
        to: Address<'_>,
        head: &request::Parts,
        mut body: RequestBody,
        entry: &mut Entry,
    ) -> Result<(Answer, InFlight), Error> {
        let is_repeatable = is_idempotent(&head.method) && body.is_empty();
        let Claim { guard, timeouts, .. } = claim;
        let error = match attempt(&guard, is_repeatable, head, &mut body, &timeouts, entry).await {
            Ok(answer) => return Ok((answer, guard)),
            Err(error) => error,
        };
        let was_seen = match &error {
            Error::Unreachable(_) | Error::ConnectTimeout => false,
            Error::Died(error) => !matches!(error, http1::Error::Unsent(_)),
            _ => return Err(error),
        };
        if was_seen && !is_repeatable {
            return Err(error);
        }
        let first = Arc::clone(guard.upstream());
        drop(guard);
        let guard = match self.claim_again(to, Some(&first)).await {
            Ok(claim) => Some(claim.guard),
            // The connection may have died for a reason of its own while the only instance is well.
            Err(_) => first.claim().filter(|_| was_seen),
        };
        let Some(guard) = guard else { return Err(error) };
        warn!(
            app = entry.app(),
            instance = first.instance().as_str(),
            request_id = entry.id.as_str(),
            side = error.side().as_str(),
            error = &error as &dyn std::error::Error,
            "request is sent again"
        );
        entry.retried();
        let answer = attempt(&guard, is_repeatable, head, &mut body, &timeouts, entry).await?;
        Ok((answer, guard))
    }
}

async fn attempt(
    guard: &InFlight,
    is_repeatable: bool,
    head: &request::Parts,
    body: &mut RequestBody,
    timeouts: &Timeouts,
    entry: &mut Entry,
) -> Result<Answer, Error> {
    let upstream = guard.upstream();
    entry.upstream = Some(Arc::clone(upstream));
    if let Some(connection) = upstream.take_connection() {
        entry.connected();
        match connection.exchange(head, body, timeouts.first_byte).await {
            Ok(answer) => return Ok(answer),
            // It died of age while nobody looked.
            Err(http1::Error::Unsent(_)) => {}
            Err(http1::Error::Closed) if is_repeatable => {}
            Err(error) => return Err(error.into()),
        }
    }
    let connection = connect(upstream, timeouts).await?;
    entry.connected();
    Ok(connection.exchange(head, body, timeouts.first_byte).await?)
}

async fn connect(upstream: &Upstream, timeouts: &Timeouts) -> Result<Box<Connection>, Error> {
    timeout(timeouts.connect, Connection::connect(upstream.addr()))
        .await
        .map_err(|_| Error::ConnectTimeout)?
        .map_err(Error::Unreachable)
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
