//! Connections to an upstream that wait for their next request.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_queue::ArrayQueue;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

/// How many idle connections are kept for one upstream.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// How long one is kept: less than the 5 s after which Node closes an idle connection, so that we rarely write to a closed one.
const IDLE_TIME_MAX: Duration = Duration::from_secs(4);

/// An open HTTP/1.1 connection to an upstream.
#[derive(Debug)]
pub struct Connection {
    /// Where requests are put.
    pub sender: SendRequest<RequestBody>,
}

/// Why a request's body failed.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// What a request to an upstream carries.
#[derive(Debug)]
pub enum RequestBody {
    /// Nothing: the request may be sent again.
    Empty,
    /// What the client sends, as it arrives.
    Streaming {
        /// The client's body.
        body: UnsyncBoxBody<Bytes, BodyError>,
        /// Moved on by every piece that goes to the upstream.
        progress: Arc<Progress>,
    },
}

/// When a request's body last moved: written as it is sent, read by whoever waits for the response.
#[derive(Debug)]
pub struct Progress {
    since: Instant,
    /// Milliseconds after `since`.
    last: AtomicU64,
}

pub(super) struct IdleConnections(ArrayQueue<(Instant, Connection)>);

impl IdleConnections {
    pub(super) fn new() -> Self {
        Self(ArrayQueue::new(IDLE_CONNECTIONS_MAX))
    }

    pub(super) fn take(&self) -> Option<Connection> {
        while let Some((since, connection)) = self.0.pop() {
            if !connection.sender.is_closed() && since.elapsed() < IDLE_TIME_MAX {
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn keep(&self, connection: Connection) {
        // The oldest makes room: it is the nearest to being closed by the other side.
        self.0.force_push((Instant::now(), connection));
    }

    pub(super) fn clear(&self) {
        while self.0.pop().is_some() {}
    }
}

impl fmt::Debug for IdleConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} idle", self.0.len())
    }
}

impl Progress {
    /// Nothing has moved yet; counted from now.
    #[must_use]
    pub fn new() -> Self {
        Self { since: Instant::now(), last: AtomicU64::new(0) }
    }

    /// When the last piece moved.
    #[must_use]
    pub fn last(&self) -> Instant {
        self.since + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    fn touch(&self) {
        let elapsed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestBody {
    /// The body that the client sends; [`Self::Empty`] when it is known to send none.
    #[must_use]
    pub fn new(body: impl Body<Data = Bytes, Error: Into<BodyError>> + Send + 'static) -> Self {
        if body.is_end_stream() {
            Self::Empty
        } else {
            let body = body.map_err(Into::into).boxed_unsync();
            Self::Streaming { body, progress: Arc::new(Progress::new()) }
        }
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
            Self::Streaming { body, progress } => {
                let frame = Pin::new(body).poll_frame(cx);
                if frame.is_ready() {
                    progress.touch();
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming { body, .. } => body.size_hint(),
        }
    }
}
