//! The body of a request as its client sends it, whatever it speaks.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::http3;
use super::outbound::BoxError;

/// The body of a request, on its way in.
pub(super) enum Inbound {
    /// Of HTTP/1 or HTTP/2.
    Hyper(Incoming),
    /// Of HTTP/3. Boxed, so that requests of the other two carry no room for it.
    Http3(Box<http3::Body>),
}

impl From<Incoming> for Inbound {
    fn from(body: Incoming) -> Self {
        Self::Hyper(body)
    }
}

impl From<http3::Body> for Inbound {
    fn from(body: http3::Body) -> Self {
        Self::Http3(Box::new(body))
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Hyper(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Self::Http3(body) => {
                Pin::new(&mut **body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Hyper(body) => body.is_end_stream(),
            Self::Http3(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Hyper(body) => body.size_hint(),
            Self::Http3(body) => body.size_hint(),
        }
    }
}
