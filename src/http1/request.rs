//! What a request carries towards its upstream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// Why a body ended before its time: its client went away, or a rule was broken.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// What a request carries.
#[derive(Default)]
pub enum RequestBody {
    /// Nothing: the request may be sent again.
    #[default]
    Empty,
    /// What the client sends, as it arrives.
    Streaming(Incoming),
    /// What something else makes of it.
    Other(Pin<Box<dyn Body<Data = Bytes, Error = BodyError> + Send>>),
}

impl RequestBody {
    /// The body that the client sends; [`Self::Empty`] when it is known to send none.
    #[must_use]
    pub fn new(body: Incoming) -> Self {
        if body.is_end_stream() { Self::Empty } else { Self::Streaming(body) }
    }

    /// A body of whatever kind.
    pub fn other(body: impl Body<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        if body.is_end_stream() { Self::Empty } else { Self::Other(Box::pin(body)) }
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
            Self::Streaming(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Self::Other(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(body) => body.is_end_stream(),
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(body) => body.size_hint(),
            Self::Other(body) => body.size_hint(),
        }
    }
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Streaming(_) => "Streaming",
            Self::Other(_) => "Other",
        })
    }
}
