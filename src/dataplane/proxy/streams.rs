//! The streams of one HTTP/2 connection: each is ended when its client takes nothing.
//!
//! # Theory of operation
//!
//! HTTP/2 has windows of its own, so a client can stop to take a response and go on to read the socket. hyper then leaves the
//! response's body alone, which could do nothing about it; but the task that serves the stream is spawned by [`Streams`], as
//! hyper's executor, and wrapped there. The body ([`Noted`]) leaves a note whenever it hands something on and whenever it has
//! nothing: while the last note says that the client has something to take, a clock runs that any later note sets back. When it
//! runs out the task is dropped, and with it the stream, which h2 then resets.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::Instant;
use tracing::debug;

use crate::alarm::Alarm;

thread_local! {
    /// What the body that is polled within the task at hand noted, if it did.
    static NOTE: Cell<Option<Turn>> = const { Cell::new(None) };
}

/// Who has to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// There is something to take.
    Client,
    /// There is nothing to take yet.
    Proxy,
}

/// Spawns the streams of one connection; clones are handles on the same one.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    limit: Duration,
}

/// A body that leaves notes.
#[derive(Debug)]
pub(super) struct Noted<B>(B);

/// The clock of one stream.
#[derive(Debug, Default)]
struct Watch {
    deadline: Option<Instant>,
    alarm: Alarm,
}

// === impl Streams ===

impl Streams {
    /// Streams that end when their client takes nothing for so long.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let limit = self.limit;
        tokio::spawn(async move {
            let mut stream = pin!(stream);
            let mut watch = Watch::default();
            std::future::poll_fn(|cx| {
                NOTE.set(None);
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                watch.poll(NOTE.take(), limit, cx).map(|()| debug!("stream ended, its client takes nothing"))
            })
            .await;
        });
    }
}

// === impl Noted ===

impl<B> Noted<B> {
    /// The response, whose head is the first that the client has to take.
    pub(super) fn response(response: Response<B>) -> Response<Self> {
        NOTE.set(Some(Turn::Client));
        response.map(Self)
    }
}

impl<B: Body + Unpin> Body for Noted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.0).poll_frame(cx);
        NOTE.set(Some(if frame.is_ready() { Turn::Client } else { Turn::Proxy }));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

// === impl Watch ===

impl Watch {
    /// Ready when it is the client's turn for too long.
    fn poll(&mut self, note: Option<Turn>, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        match note {
            Some(Turn::Client) => self.deadline = Some(Instant::now() + limit),
            Some(Turn::Proxy) => self.deadline = None,
            None => {}
        }
        let Some(deadline) = self.deadline else { return Poll::Pending };
        self.alarm.poll(deadline, cx)
    }
}
