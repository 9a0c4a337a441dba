//! Puts a request on a connection to its upstream, and does so again where that can do no harm.
//!
//! Three things may go wrong before a response begins. A kept connection turns out to be closed and hyper hands the request
//! back: it goes out on a new one, which is no retry, since nothing was tried. The connection is refused: another upstream gets
//! the request, whatever it is, because nobody has seen any of it. The connection dies after the request was written: the
//! request goes out again only if it is idempotent and has no body (RFC 9110, 9.2.2). One retry, then the client is told.

use std::sync::Arc;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument, debug, debug_span, warn};

use super::access::Entry;
use super::body::Lease;
use super::claim::{Address, Claim};
use super::error::Error;
use super::limits::BUFFER_BYTES_MAX;
use super::{Proxy, Timeouts};
use crate::traffic::{Connection, InFlight, RequestBody, Upstream};

/// An attempt that brought no response.
struct Failure {
    error: Error,
    /// The request, when nobody has seen any of it.
    request: Option<Box<Request<RequestBody>>>,
}

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
        request: Request<RequestBody>,
        entry: &mut Entry,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        let timeouts = &self.0.config.timeouts;
        let copy = is_repeatable(&request).then(|| copy(&request));
        let guard = claim.guard;
        let failure = match attempt(&guard, true, request, timeouts, entry).await {
            Ok((response, connection)) => return Ok((response, Lease { guard, connection })),
            Err(failure) => failure,
        };
        let was_seen = failure.request.is_none();
        let may_retry = !matches!(failure.error, Error::Silent | Error::BadBody);
        let Some(request) = failure.request.map(|request| *request).or(copy).filter(|_| may_retry) else {
            return Err(failure.error);
        };
        let first = Arc::clone(guard.upstream());
        drop(guard);
        let guard = match self.claim_again(to, Some(&first)).await {
            Ok(claim) => Some(claim.guard),
            // A kept connection may have died of age while the only instance is well.
            Err(_) => first.claim().filter(|_| was_seen),
        };
        let Some(guard) = guard else { return Err(failure.error) };
        warn!(
            app = entry.app(),
            instance = first.instance().as_str(),
            request_id = entry.id.as_str(),
            side = failure.error.side().as_str(),
            error = &failure.error as &dyn std::error::Error,
            "request is sent again"
        );
        match attempt(&guard, false, request, timeouts, entry).await {
            Ok((response, connection)) => Ok((response, Lease { guard, connection })),
            Err(failure) => Err(failure.error),
        }
    }
}

async fn attempt(
    guard: &InFlight,
    may_reuse: bool,
    mut request: Request<RequestBody>,
    timeouts: &Timeouts,
    entry: &mut Entry,
) -> Result<(Response<Incoming>, Connection), Failure> {
    let upstream = guard.upstream();
    entry.upstream = Some(Arc::clone(upstream));
    if let Some(mut connection) = may_reuse.then(|| upstream.take_connection()).flatten() {
        entry.connected();
        match send(&mut connection, request, timeouts).await {
            Ok(response) => return Ok((response, connection)),
            Err(Failure { request: Some(unsent), .. }) => request = *unsent,
            Err(failure) => return Err(failure),
        }
    }
    let mut connection = match connect(upstream, timeouts).await {
        Ok(connection) => connection,
        Err(error) => return Err(Failure { error, request: Some(Box::new(request)) }),
    };
    entry.connected();
    let response = send(&mut connection, request, timeouts).await?;
    Ok((response, connection))
}

async fn connect(upstream: &Upstream, timeouts: &Timeouts) -> Result<Connection, Error> {
    let stream = timeout(timeouts.connect, TcpStream::connect(upstream.addr()))
        .await
        .map_err(|_| Error::ConnectTimeout)?
        .map_err(Error::Unreachable)?;
    // Only a socket that was closed meanwhile refuses, and the request will tell.
    let _ = stream.set_nodelay(true);
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Error::Died)?;
    let span = debug_span!("upstream", instance = upstream.instance().as_str(), addr = %upstream.addr());
    let connection = async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!(error = &error as &dyn std::error::Error, "connection ended");
        }
    };
    tokio::spawn(connection.instrument(span));
    Ok(Connection { sender })
}

async fn send(
    connection: &mut Connection,
    request: Request<RequestBody>,
    timeouts: &Timeouts,
) -> Result<Response<Incoming>, Failure> {
    let progress = match request.body() {
        RequestBody::Streaming { progress, .. } => Some(Arc::clone(progress)),
        RequestBody::Empty => None,
    };
    let response = connection.sender.try_send_request(request);
    tokio::pin!(response);
    let mut deadline = Instant::now() + timeouts.first_byte;
    loop {
        match timeout_at(deadline, &mut response).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(mut unsent)) => {
                let request = unsent.take_message().map(Box::new);
                let error = unsent.into_error();
                // The user of hyper's client is we: its body is what the client sends.
                let error = if error.is_user() { Error::BadBody } else { Error::Died(error) };
                return Err(Failure { error, request });
            }
            Err(_) => {
                // A long upload is no silence.
                let later = progress.as_ref().map(|progress| progress.last() + timeouts.first_byte);
                match later.filter(|later| *later > Instant::now()) {
                    Some(later) => deadline = later,
                    None => return Err(Failure { error: Error::Silent, request: None }),
                }
            }
        }
    }
}

/// Whether sending the request twice is the same as sending it once.
fn is_repeatable(request: &Request<RequestBody>) -> bool {
    let is_idempotent = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    is_idempotent && matches!(request.body(), RequestBody::Empty)
}

fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}
