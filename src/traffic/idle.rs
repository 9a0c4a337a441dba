//! Connections to an upstream that wait for their next request.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_queue::ArrayQueue;
use hyper::body::{Body, Frame, Incoming, SizeHint};
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

/// What a request to an upstream carries.
#[derive(Debug)]
pub enum RequestBody {
    /// Nothing: the request may be sent again.
    Empty,
    /// What the client sends, as it arrives.
    Streaming(Incoming),
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

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
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
