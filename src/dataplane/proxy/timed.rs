//! The body of a response that does not take for ever.
//!
//! Two limits of a policy: how long the next piece may take, and when the whole response must be over. The first runs only
//! while the body is asked for a piece, so a client that reads slowly does not make its app late.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::http1::BodyError;

/// A body with limits of time.
#[derive(Debug)]
pub(super) struct Timed<B> {
    body: B,
    idle: Option<Duration>,
    /// Runs since the next piece was asked for and has not come.
    wait: Option<Pin<Box<Sleep>>>,
    whole: Option<Pin<Box<Sleep>>>,
}

/// Which limit was passed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Late {
    #[error("the instance was silent for longer than the idle timeout")]
    Idle,
    #[error("the response took longer than the whole timeout")]
    Whole,
}

impl<B> Timed<B> {
    /// A body whose pieces come within `idle` and whose end before `deadline`.
    pub(super) fn new(body: B, idle: Option<Duration>, deadline: Option<Instant>) -> Self {
        Self { body, idle, wait: None, whole: deadline.map(|deadline| Box::pin(sleep_until(deadline))) }
    }
}

impl<B> Body for Timed<B>
where
    B: Body<Data = Bytes, Error: Into<BodyError>> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(whole) = &mut this.whole
            && whole.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(Late::Whole.into())));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.wait = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(idle) = this.idle else { return Poll::Pending };
        let wait = this.wait.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + idle)));
        ready!(wait.as_mut().poll(cx));
        Poll::Ready(Some(Err(Late::Idle.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
