//! One request of HTTP/3, from its stream to [`Peer::answer`] and back.
//!
//! What the two are joined by ends with whichever ends first: a client that does not want its response any more ends the
//! exchange with the app, and a response that breaks off resets the stream, so that it is not taken for a whole one.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use h3::error::{Code, StreamError};
use h3::server::{RequestResolver, RequestStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::timeout;
use tracing::debug;

use super::body::{self, Body};
use super::transport::{End, SendStream, Transport};
use crate::http1::BodyError;
use crate::proxy::exchange::Peer;
use crate::proxy::outbound::Outbound;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The client has all of the response.
    Answered,
    /// It went away, or something broke.
    Broken,
}

/// Why a request was not answered, or not wholly.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the head of the request took too long")]
    Late,
    #[error("the stream broke")]
    Stream(#[source] StreamError),
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    #[error("the body of the request is malformed")]
    Body(#[source] body::Error),
    #[error("the response broke off")]
    Response(#[source] BodyError),
}

/// Answers one request. Returns when the client has all of the response; `end` is that of its stream.
pub(super) async fn serve(
    resolver: RequestResolver<Transport, Bytes>,
    mut end: End,
    peer: Arc<Peer>,
) -> Fate {
    let answered = tokio::select! {
        biased;
        answered = exchange(resolver, peer) => answered,
        _ = &mut end => {
            debug!("the client went away");
            return Fate::Broken;
        }
    };
    match answered {
        Ok(()) => {
            // A connection is closed when no request is left, and what was not received by then is lost.
            let _ = end.await;
            Fate::Answered
        }
        Err(error) => {
            debug!(error = &error as &dyn std::error::Error, "request ended");
            Fate::Broken
        }
    }
}

async fn exchange(resolver: RequestResolver<Transport, Bytes>, peer: Arc<Peer>) -> Result<(), Error> {
    let head_time = peer.proxy.0.config.timeouts.head;
    let resolved = timeout(head_time, resolver.resolve_request()).await.map_err(|_| Error::Late)?;
    let (request, stream) = resolved.map_err(Error::Stream)?;
    let (mut send, recv) = stream.split();
    let length = match checked(&request) {
        Ok(length) => length,
        Err(error) => {
            send.stop_stream(Code::H3_MESSAGE_ERROR);
            return Err(error);
        }
    };
    let mut body = Body::new(recv, length);
    // The end of the stream may come in a packet after the head. A method that usually has no body waits for it: an app may
    // treat a body of unknown length, even an empty one, as a mistake.
    let waits = length == Some(0) || (length.is_none() && has_no_body(request.method()));
    if let Err(error) = timeout(head_time, body.begin(waits)).await.map_err(|_| Error::Late)? {
        send.stop_stream(Code::H3_MESSAGE_ERROR);
        return Err(Error::Body(error));
    }
    let is_head = request.method() == Method::HEAD;
    let response = peer.answer(request.map(|()| body)).await;
    respond(&mut send, response, is_head).await
}

/// The length that the body is said to have.
///
/// # Errors
///
/// When the request breaks a rule (RFC 9114, 4.2 and 4.3) that h3 does not check.
fn checked(request: &Request<()>) -> Result<Option<u64>, Error> {
    let (headers, uri) = (request.headers(), request.uri());
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        if headers.contains_key(name) {
            return Err(Error::Malformed("a header of HTTP/1's connections"));
        }
    }
    if headers.get_all(TE).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        return Err(Error::Malformed("`te` other than `trailers`"));
    }
    if request.method() != Method::CONNECT {
        let target = uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        let is_path = target.starts_with('/') || (target == "*" && request.method() == Method::OPTIONS);
        if uri.scheme().is_none() || !is_path {
            return Err(Error::Malformed("no scheme or path"));
        }
    }
    length(headers).ok_or(Error::Malformed("`content-length`"))
}

/// `None` when it is no number, or not one.
fn length(headers: &HeaderMap) -> Option<Option<u64>> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = values.next() else { return Some(None) };
    let text = first.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    if values.next().is_some() {
        return None;
    }
    text.parse().ok().map(Some)
}

fn has_no_body(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS | Method::TRACE)
}

/// Sends the response: each piece when the one before found room, so a slow client makes the app wait.
async fn respond(
    send: &mut RequestStream<SendStream, Bytes>,
    response: Response<Outbound>,
    is_head: bool,
) -> Result<(), Error> {
    let (mut head, mut body) = response.into_parts();
    // What hyper does for the other versions.
    if !head.headers.contains_key(DATE) {
        let now = httpdate::fmt_http_date(SystemTime::now());
        head.headers.insert(DATE, HeaderValue::try_from(now).expect("a date is ASCII"));
    }
    let has_no_body = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) || is_head;
    if !has_no_body
        && let Some(length) = body.size_hint().exact()
        && !head.headers.contains_key(CONTENT_LENGTH)
    {
        head.headers.insert(CONTENT_LENGTH, length.into());
    }
    send.send_response(Response::from_parts(head, ())).await.map_err(Error::Stream)?;
    while !has_no_body && let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                send.stop_stream(Code::H3_INTERNAL_ERROR);
                return Err(Error::Response(error));
            }
        };
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => send.send_data(data).await.map_err(Error::Stream)?,
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    send.send_trailers(trailers).await.map_err(Error::Stream)?;
                }
            }
        }
    }
    drop(body);
    send.finish().await.map_err(Error::Stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: http::request::Builder) -> Option<Option<u64>> {
        checked(&request.body(()).unwrap()).ok()
    }

    #[test]
    fn a_request_says_where_it_goes() {
        let get = |uri: &str| check(Request::get(uri));
        assert_eq!(get("https://blog.localhost/x?y"), Some(None));
        assert_eq!(get("/x"), None, "without a scheme");
        assert_eq!(check(Request::options("https://blog.localhost/*")), Some(None));
        assert_eq!(check(Request::connect("blog.localhost:443")), Some(None), "refused later, with a page");
    }

    #[test]
    fn headers_of_connections_and_doubtful_lengths_are_malformed() {
        let with = |name: &str, value: &str| check(Request::post("https://b/").header(name, value));
        assert_eq!(with("connection", "close"), None);
        assert_eq!(with("transfer-encoding", "chunked"), None);
        assert_eq!(with("upgrade", "websocket"), None);
        assert_eq!(with("te", "gzip"), None);
        assert_eq!(with("te", "trailers"), Some(None));
        assert_eq!(with("content-length", "5"), Some(Some(5)));
        for length in ["", "+5", "-5", "5, 5", "0x5", "18446744073709551616"] {
            assert_eq!(with("content-length", length), None, "{length}");
        }
        let twice = Request::post("https://b/").header("content-length", "5").header("content-length", "5");
        assert_eq!(check(twice), None);
    }
}
