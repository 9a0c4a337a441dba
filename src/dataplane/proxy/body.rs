//! The body of a response, on its way to the client.
//!
//! It carries what must live exactly as long as the response is being sent: the count of the request on its upstream, the
//! connection that becomes free at its end, the entry of the access log. No piece of it is kept or copied; a slow client makes
//! hyper stop polling, and so the upstream stop sending.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::access::Entry;
use crate::http1::BodyError;
use crate::traffic::{InFlight, Outcome};
use crate::{http1, http2};

/// The body of a response.
#[derive(Debug)]
pub(super) struct ResponseBody {
    source: Source,
    /// Written to the log when the body is dropped; that of a tunnel stays with the tunnel.
    entry: Option<Entry>,
}

#[derive(Debug)]
enum Source {
    /// Of the proxy itself; empty when it was sent.
    Page(Bytes),
    /// As it arrives from an upstream. The request is counted as long as it has not ended.
    Http1 { body: http1::ResponseBody, guard: Option<InFlight> },
    /// The same, on a connection that it shares. Boxed, as it is by far the largest and the rarest.
    Http2 { body: Box<http2::ResponseBody>, guard: Option<InFlight> },
}

impl ResponseBody {
    /// A body that is known from the start.
    pub(super) fn page(bytes: Bytes) -> Self {
        Self { source: Source::Page(bytes), entry: None }
    }

    /// A body that arrives from an upstream by HTTP/1.
    pub(super) fn http1(mut body: http1::ResponseBody, guard: InFlight) -> Self {
        let mut guard = Some(guard);
        if body.is_end_stream() {
            end(&mut body, &mut guard);
        }
        Self { source: Source::Http1 { body, guard }, entry: None }
    }

    /// A body that arrives from an upstream by HTTP/2.
    pub(super) fn http2(body: Box<http2::ResponseBody>, guard: InFlight) -> Self {
        let guard = (!body.is_end_stream()).then_some(guard);
        Self { source: Source::Http2 { body, guard }, entry: None }
    }

    /// Lets the entry be written when the body has been sent.
    pub(super) fn log(&mut self, entry: Entry) {
        self.entry = Some(entry);
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { source, entry } = &mut *self;
        let frame = match source {
            Source::Page(bytes) if bytes.is_empty() => None,
            Source::Page(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Source::Http1 { body, guard } => match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Err(error)) => Some(Err(broken(error.into(), guard, entry.as_mut()))),
                frame => {
                    if frame.is_none() || body.is_end_stream() {
                        end(body, guard);
                    }
                    frame.map(|frame| frame.map_err(Into::into))
                }
            },
            Source::Http2 { body, guard } => match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Err(error)) => Some(Err(broken(error.into(), guard, entry.as_mut()))),
                frame => {
                    if frame.as_ref().is_none_or(is_last) || body.is_end_stream() {
                        *guard = None;
                    }
                    frame.map(|frame| frame.map_err(Into::into))
                }
            },
        };
        if let (Some(entry), Some(Ok(frame))) = (entry, &frame) {
            entry.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Page(bytes) => bytes.is_empty(),
            Source::Http1 { body, .. } => body.is_end_stream(),
            Source::Http2 { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Page(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Http1 { body, .. } => body.size_hint(),
            Source::Http2 { body, .. } => body.size_hint(),
        }
    }
}

/// Keeps the connection for the next request, now that the response is complete, and uncounts this one.
fn end(body: &mut http1::ResponseBody, guard: &mut Option<InFlight>) {
    if let (Some(connection), Some(guard)) = (body.take_connection(), guard.as_ref()) {
        guard.upstream().keep_connection(connection);
    }
    *guard = None;
}

/// Whether no frame comes after this one.
fn is_last<E>(frame: &Result<Frame<Bytes>, E>) -> bool {
    frame.as_ref().is_ok_and(Frame::is_trailers)
}

/// Notes that the response ended early, and uncounts the request.
fn broken(error: BodyError, guard: &mut Option<InFlight>, entry: Option<&mut Entry>) -> BodyError {
    if let Some(mut guard) = guard.take() {
        guard.note(Outcome::Broken);
    }
    if let Some(entry) = entry {
        entry.broke(&*error);
    }
    error
}
