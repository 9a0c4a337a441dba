//! The reading half of a connection, and a request's body, which has it while it lasts.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use super::super::decode::{Decoder, Piece};
use super::super::{AnyBody, BodyError};

/// The reading half.
#[derive(Debug)]
pub(super) struct Reader<R> {
    pub read: R,
    /// Read and not yet understood.
    pub input: BytesMut,
}

/// Where the reading half comes back to.
#[derive(Debug)]
pub(super) struct Slot<R> {
    /// With whether the body was read to its end. Written once, when the body is dropped; read after.
    back: Mutex<Option<(Box<Reader<R>>, bool)>>,
    /// Whether the client waits for `100 Continue`, and the body was asked for.
    is_continue_due: AtomicBool,
    waits: AtomicBool,
    /// The connection's task, which writes it: an upstream of HTTP/2 asks for the body in a task of its own.
    writer: AtomicWaker,
}

struct Incoming<R: Unpin> {
    /// `Some` until it is dropped.
    reader: Option<Box<Reader<R>>>,
    decoder: Decoder,
    slot: Arc<Slot<R>>,
}

/// The body of a request whose head was just read.
pub(super) fn body<R>(reader: Box<Reader<R>>, decoder: Decoder, slot: &Arc<Slot<R>>) -> AnyBody
where
    R: AsyncRead + Unpin + Send + 'static,
{
    Incoming { reader: Some(reader), decoder, slot: Arc::clone(slot) }.boxed_unsync()
}

impl<R> Slot<R> {
    pub(super) fn new(waits: bool) -> Self {
        Self {
            back: Mutex::default(),
            is_continue_due: AtomicBool::new(false),
            waits: AtomicBool::new(waits),
            writer: AtomicWaker::new(),
        }
    }

    /// Lets the task be woken when `100 Continue` becomes due, and when the reading half is back.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        self.writer.register(cx.waker());
    }

    /// Whether `100 Continue` is to be written; says so once.
    pub(super) fn is_continue_due(&self) -> bool {
        self.is_continue_due.load(Ordering::Relaxed) && self.is_continue_due.swap(false, Ordering::Relaxed)
    }

    /// The reading half, and whether the body was read to its end; `None` when the body still has it.
    pub(super) fn take(&self) -> Option<(Box<Reader<R>>, bool)> {
        self.back.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<R: AsyncRead + Unpin> Body for Incoming<R> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { reader, decoder, slot } = &mut *self;
        let Some(Reader { read, input }) = reader.as_deref_mut() else { return Poll::Ready(None) };
        loop {
            match decoder.next(input) {
                Ok(Some(Piece::Data(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Some(Piece::Trailers(trailers))) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Ok(None) if decoder.is_done() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            // A client that sends without being asked does not wait.
            if slot.waits.load(Ordering::Relaxed)
                && slot.waits.swap(false, Ordering::Relaxed)
                && input.is_empty()
            {
                slot.is_continue_due.store(true, Ordering::Relaxed);
                slot.writer.wake();
            }
            input.reserve(decoder.read_bytes());
            match ready!(poll_read_buf(Pin::new(&mut *read), cx, input)) {
                Ok(0) => return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.size_hint()
    }
}

impl<R: Unpin> Drop for Incoming<R> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            let back = (reader, self.decoder.is_done());
            *self.slot.back.lock().unwrap_or_else(PoisonError::into_inner) = Some(back);
            self.slot.writer.wake();
        }
    }
}
