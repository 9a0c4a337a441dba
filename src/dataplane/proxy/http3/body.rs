//! The body of a request of HTTP/3: data, then perhaps trailers, as long as its length says.
//!
//! The length is checked here, since h3 does not, and the app will rely on it (RFC 9114, 4.1.2).

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use h3::error::StreamError;
use h3::server::RequestStream;
use hyper::body::{Body as _, Frame, SizeHint};

use super::transport::RecvStream;

/// The body of a request.
pub(in crate::proxy) struct Body {
    stream: RequestStream<RecvStream, Bytes>,
    /// What was read before the request was handed on.
    first: Option<Frame<Bytes>>,
    /// How many bytes must still come, if that was said.
    left: Option<u64>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    Trailers,
    Done,
}

/// Why a body ended before its time.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum Error {
    #[error("the stream of the request broke off")]
    Stream(#[source] StreamError),
    #[error("the body has another length than its headers say")]
    Length,
}

impl Body {
    /// What comes on this stream, of this length if one was said.
    pub(super) fn new(stream: RequestStream<RecvStream, Bytes>, length: Option<u64>) -> Self {
        Self { stream, first: None, left: length, state: State::Data }
    }

    /// Finds out whether there is a body at all, so that the app is told of none where there is none. With `waits` for as
    /// long as that takes, else from what is here.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub(super) async fn begin(&mut self, waits: bool) -> Result<(), Error> {
        let first = poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx));
        let first = if waits { first.await } else { first.now_or_never().flatten() };
        self.first = first.transpose()?;
        Ok(())
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(mut data) = ready!(self.stream.poll_recv_data(cx)).map_err(Error::Stream)? else {
            return Poll::Ready(None);
        };
        let data = data.copy_to_bytes(data.remaining());
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(data.len() as u64).ok_or(Error::Length)?;
        }
        Poll::Ready(Some(Ok(data)))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if this.state == State::Data {
            if let Some(data) = ready!(this.poll_data(cx)) {
                return Poll::Ready(Some(data.map(Frame::data)));
            }
            this.state = State::Trailers;
        }
        if this.state == State::Trailers {
            let trailers = ready!(this.stream.poll_recv_trailers(cx)).map_err(Error::Stream)?;
            this.state = State::Done;
            if this.left.is_some_and(|left| left > 0) {
                return Poll::Ready(Some(Err(Error::Length)));
            }
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Done && self.first.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
        match self.left {
            _ if self.state == State::Done => SizeHint::with_exact(first),
            Some(left) => SizeHint::with_exact(first + left),
            None => SizeHint::default(),
        }
    }
}
