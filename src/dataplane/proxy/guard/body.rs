//! A request's body on its way in: counted, and not waited for for ever.
//!
//! The client of the upstream sees no more than a body that failed; why it failed is left in a [`Meter`], which the exchange
//! looks at before it blames anybody, and the log for how much came. The time runs only while the body is asked for its next
//! piece, so an app that reads slowly does not make its client late.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::http1::BodyError;
use crate::proxy::error::Error;

/// How much of a request's body came, and why it ended before its end; written by the body, read by whoever awaits the
/// response or logs the request.
#[derive(Debug, Clone, Default)]
pub(in crate::proxy) struct Meter(Arc<Reading>);

#[derive(Debug, Default)]
struct Reading {
    fault: AtomicU8,
    bytes: AtomicU64,
}

/// A body that is counted.
#[derive(Debug)]
pub(in crate::proxy) struct Metered<B> {
    body: B,
    /// How many bytes may still come, if there is a limit.
    left: Option<u64>,
    max: u64,
    idle: Option<Duration>,
    /// Runs since the next piece was asked for and has not come.
    wait: Option<Pin<Box<Sleep>>>,
    meter: Meter,
}

const FLOWING: u8 = 0;
const TOO_LARGE: u8 = 1;
const SLOW: u8 = 2;
/// The client is waited for; no limit has been passed yet.
const AWAITED: u8 = 3;

impl Meter {
    /// How many bytes came.
    pub(in crate::proxy) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// The error, or what the body did to cause it. `max` is the limit that the body was given.
    pub(in crate::proxy) fn blamed(&self, error: Error, max: Option<u64>) -> Error {
        match (self.0.fault.load(Ordering::Acquire), &error) {
            (TOO_LARGE, _) => Error::TooLarge { max: max.unwrap_or_default() },
            // An app cannot answer before it was asked.
            (SLOW, _) | (AWAITED, Error::Silent | Error::Expired) => Error::SlowBody,
            _ => error,
        }
    }

    fn set(&self, code: u8) {
        self.0.fault.store(code, Ordering::Release);
    }

    fn add(&self, bytes: u64) {
        // One body writes, so nothing is lost.
        self.0.bytes.store(self.bytes() + bytes, Ordering::Relaxed);
    }
}

impl<B> Metered<B> {
    /// A body of at most `max` bytes, each piece of which comes within `idle`.
    pub(in crate::proxy) fn new(body: B, max: Option<u64>, idle: Option<Duration>, meter: Meter) -> Self {
        Self { body, left: max, max: max.unwrap_or_default(), idle, wait: None, meter }
    }

    fn fail(&self, code: u8, error: Error) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.meter.set(code);
        Poll::Ready(Some(Err(error.into())))
    }
}

impl<B> Body for Metered<B>
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
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            let Some(idle) = this.idle else { return Poll::Pending };
            let wait = this.wait.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + idle)));
            this.meter.set(AWAITED);
            ready!(wait.as_mut().poll(cx));
            return this.fail(SLOW, Error::SlowBody);
        };
        if this.wait.take().is_some() {
            this.meter.set(FLOWING);
        }
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            this.meter.add(length);
            if let Some(left) = &mut this.left {
                match left.checked_sub(length) {
                    Some(less) => *left = less,
                    None => return this.fail(TOO_LARGE, Error::TooLarge { max: this.max }),
                }
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
