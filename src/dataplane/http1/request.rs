//! Bodies, and what a request carries towards its upstream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, SizeHint};

/// Why a body ended before its time: its client went away, or a rule was broken.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body whose kind no longer matters.
pub type AnyBody = UnsyncBoxBody<Bytes, BodyError>;

/// What a request carries.
#[derive(Debug, Default)]
pub enum RequestBody {
    /// Nothing: the request may be sent again.
    #[default]
    Empty,
    /// Pieces, as they arrive.
    Streaming(AnyBody),
}

/// Forgets a body's kind.
pub fn any<B>(body: B) -> AnyBody
where
    B: Body<Data = Bytes, Error: Into<BodyError>> + Send + 'static,
{
    body.map_err(Into::into).boxed_unsync()
}

impl RequestBody {
    /// A body of whatever kind; [`Self::Empty`] when it is known to have nothing.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BodyError>> + Send + 'static,
    {
        if body.is_end_stream() { Self::Empty } else { Self::Streaming(any(body)) }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(body) => body.size_hint(),
        }
    }
}
