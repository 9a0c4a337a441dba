//! The body of a request, from whichever protocol its client speaks.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::http3;
use crate::http1::{AnyBody, BodyError};

/// The body of a request as it arrives.
pub(super) enum Inbound {
    /// There is none.
    Empty,
    /// Of an HTTP/1 connection.
    Http1(AnyBody),
    /// Of an HTTP/2 stream.
    Http2(Incoming),
    /// Of an HTTP/3 stream. Boxed, so that other requests carry no room for it.
    Http3(Box<http3::Body>),
}

impl From<Incoming> for Inbound {
    fn from(body: Incoming) -> Self {
        if body.is_end_stream() { Self::Empty } else { Self::Http2(body) }
    }
}

impl From<http3::Body> for Inbound {
    fn from(body: http3::Body) -> Self {
        Self::Http3(Box::new(body))
    }
}

impl From<Option<AnyBody>> for Inbound {
    fn from(body: Option<AnyBody>) -> Self {
        body.map_or(Self::Empty, Self::Http1)
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(body) => Pin::new(body).poll_frame(cx),
            Self::Http2(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Self::Http3(body) => {
                Pin::new(&mut **body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Http3(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Http3(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Http1(_) => "Http1",
            Self::Http2(_) => "Http2",
            Self::Http3(_) => "Http3",
        })
    }
}
