//! One exchange on a connection that it shares.

use std::error::Error as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Response, Uri, Version};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::SendRequest;
use tokio::time::{Instant, timeout_at};

use super::upload::{Progress, Sent};
use super::{Error, Open, Place, ResponseBody};
use crate::http1::RequestBody;

/// A place on a connection, for one exchange.
#[derive(Debug)]
pub struct Stream {
    sender: SendRequest<Sent>,
    number: u64,
    place: Place,
}

impl Stream {
    pub(super) fn new(Open { sender, number }: Open, place: Place) -> Self {
        Self { sender, number, place }
    }

    /// Sends a request and returns with the head of its response; `first_byte` counts from the last piece of the body that
    /// was sent.
    ///
    /// `head` is as for HTTP/1: origin-form target, `Host`, no hop-by-hop headers. `body` is taken, and given back with
    /// [`Error::Unsent`]. Dropping the future resets the stream, and nothing else on its connection.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn exchange(
        mut self,
        head: &Parts,
        body: &mut RequestBody,
        first_byte: Duration,
    ) -> Result<Response<ResponseBody>, Error> {
        let mut request = Request::new(());
        *request.method_mut() = head.method.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = head.headers.clone();
        *request.uri_mut() = uri(&head.uri, request.headers_mut()).ok_or(Error::Host)?;
        let progress = (!body.is_empty()).then(Arc::<Progress>::default);
        let request = request.map(|()| Sent::new(std::mem::take(body), progress.clone()));
        let begun = Instant::now();
        let mut sent = pin!(self.sender.try_send_request(request));
        let mut deadline = begun + first_byte;
        loop {
            match timeout_at(deadline, sent.as_mut()).await {
                Ok(Ok(response)) => return Ok(response.map(|body| ResponseBody::new(body, self.place))),
                Ok(Err(error)) => return Err(failure(error, body, progress.as_deref())),
                Err(_) => {
                    let moved = progress.as_ref().map_or(begun, |progress| progress.moved());
                    if moved + first_byte <= Instant::now() {
                        // The host may have vanished, and then nothing that is sent there will be answered.
                        self.place.0.retire(self.number);
                        return Err(Error::Silent);
                    }
                    deadline = moved + first_byte;
                }
            }
        }
    }
}

/// The target as HTTP/2 has it; takes `Host`, which becomes `:authority`.
fn uri(target: &Uri, headers: &mut HeaderMap) -> Option<Uri> {
    let host = headers.remove(HOST)?;
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    parts.path_and_query =
        Some(target.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    Uri::from_parts(parts).ok()
}

fn failure(
    mut error: TrySendError<Request<Sent>>,
    body: &mut RequestBody,
    progress: Option<&Progress>,
) -> Error {
    let unsent = error.take_message();
    let error = error.into_error();
    if let Some(request) = unsent {
        *body = request.into_body().into_inner();
        return Error::Unsent(error);
    }
    if let Some(error) = progress.and_then(Progress::take_error) {
        return Error::RequestBody(error);
    }
    if is_unseen(&error) {
        match progress.map(Progress::replayed) {
            None => return Error::Unsent(error),
            Some(Some(again)) => {
                *body = again;
                return Error::Unsent(error);
            }
            Some(None) => {}
        }
    }
    Error::Broken(error)
}

/// Whether the upstream says that it has not processed the request (RFC 9113, 8.7): by REFUSED_STREAM, or by a GOAWAY that
/// names an earlier stream as the last.
///
/// hyper has no name for either, but what h2 says is kept as its source: the one is the only stream error of this reason, the
/// other is told to those streams alone. `tests/proxy/upstream_h2.rs` has both over real sockets.
fn is_unseen(error: &hyper::Error) -> bool {
    error.source().is_some_and(|source| {
        let text = source.to_string();
        text.starts_with("stream error received: refused stream")
            || text.starts_with("connection error received: ")
    })
}
