//! A response's body, as it arrives on its stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::{Error, Place};

/// A response's body as it arrives. Dropping it before its end resets the stream, and nothing else on its connection.
#[derive(Debug)]
pub struct ResponseBody {
    body: Incoming,
    _place: Place,
}

impl ResponseBody {
    pub(super) fn new(body: Incoming, place: Place) -> Self {
        Self { body, _place: place }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Error::Broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
