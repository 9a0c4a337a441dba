//! The body of a request on its way to the upstream: watched, and kept as long as it is short.
//!
//! An upstream may refuse a stream after it got its body, and is then to get it again on another connection. So that calls of
//! gRPC, which all have a body, are not lost to that, the first pieces stay (they are shared, not copied) until there is a
//! response.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::http1::{BodyError, RequestBody};

/// How long a body may be that can be sent again.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// A body as the connection sends it.
#[derive(Debug)]
pub(super) struct Sent {
    body: RequestBody,
    /// None for a request without a body.
    progress: Option<Arc<Progress>>,
}

/// What whoever waits for the response knows of the body.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Debug)]
struct State {
    /// When the last piece was taken.
    moved: Instant,
    error: Option<BodyError>,
    /// `None` once there was too much to keep.
    kept: Option<Vec<Frame<Bytes>>>,
    kept_bytes: usize,
    is_whole: bool,
}

// === impl Sent ===

impl Sent {
    pub(super) fn new(body: RequestBody, progress: Option<Arc<Progress>>) -> Self {
        Self { body, progress }
    }

    /// The body, if none of it was taken.
    pub(super) fn into_inner(self) -> RequestBody {
        self.body
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        let Some(progress) = &this.progress else { return Poll::Ready(frame) };
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                progress.note(&frame, this.body.is_end_stream());
                Some(Ok(frame))
            }
            // Kept for whoever waits for the response; hyper only needs to know that it is over.
            Some(Err(error)) => {
                progress.lock().error = Some(error);
                Some(Err("the client's body broke off".into()))
            }
            None => {
                progress.lock().is_whole = true;
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Progress ===

impl Progress {
    /// When the last piece was taken, or all began.
    pub(super) fn moved(&self) -> Instant {
        self.lock().moved
    }

    /// Why the body ended early, if it did.
    pub(super) fn take_error(&self) -> Option<BodyError> {
        self.lock().error.take()
    }

    /// The body from its beginning, if all of it was kept.
    pub(super) fn replayed(&self) -> Option<RequestBody> {
        let mut state = self.lock();
        let frames = state.kept.take().filter(|_| state.is_whole)?;
        Some(RequestBody::new(StreamBody::new(stream::iter(frames.into_iter().map(Ok::<_, BodyError>)))))
    }

    fn note(&self, frame: &Frame<Bytes>, is_last: bool) {
        let mut state = self.lock();
        state.moved = Instant::now();
        state.is_whole = is_last || frame.is_trailers();
        state.kept_bytes += frame.data_ref().map_or(0, Bytes::len);
        if state.kept_bytes > KEPT_BYTES_MAX {
            state.kept = None;
        }
        if let Some(kept) = &mut state.kept {
            kept.extend(shared(frame));
        }
    }

    /// Only the two tasks of one exchange ever meet here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for State {
    fn default() -> Self {
        Self { moved: Instant::now(), error: None, kept: Some(Vec::new()), kept_bytes: 0, is_whole: false }
    }
}

fn shared(frame: &Frame<Bytes>) -> Option<Frame<Bytes>> {
    let data = frame.data_ref().map(|data| Frame::data(data.clone()));
    data.or_else(|| frame.trailers_ref().map(|trailers| Frame::trailers(trailers.clone())))
}
