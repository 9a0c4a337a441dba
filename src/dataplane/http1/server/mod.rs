//! HTTP/1 towards clients (RFC 9112): one connection, its requests one after the other, all in the connection's task.
//!
//! # Theory of operation
//!
//! [`serve`] reads a head, gives the request to the handler, writes the response, and begins again. A request without a body is
//! the common case and costs least: the connection keeps its reading half and watches it for the client's leaving, which cancels
//! the handler. A body takes the reading half along (`reader`) and gives it back at its end, so nothing is shared and nothing
//! locked. What was left unread of a body ends the connection, after a while in which the client may still read the response.
//!
//! What can be read in two ways is refused with 400, and what follows it is not looked at: a line that ends with LF alone, a
//! folded header, a space before the colon, lengths that disagree, a length beside a transfer coding, a coding other than
//! `chunked`. `head` has the rules.
//!
//! A connection that waits for its next request keeps no buffer.

mod encode;
mod head;
mod reader;
mod takeover;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use hyper::body::Body;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tokio_util::io::poll_read_buf;

use self::head::{Expected, Head, Refusal};
use self::reader::{Reader, Slot};
use super::sender::{Error as SendError, Sender};
use super::{AnyBody, BodyError, READ_BYTES};
use crate::alarm::Alarm;

pub use head::HEADERS_MAX;
pub use takeover::{Io, Takeover};

/// Empty lines before a request that are passed over: some old clients send one after a body.
const BLANK_LINES_MAX: usize = 8;
/// What is read and thrown away of a body that nobody wanted, so that the client can read why.
const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// For how long.
const LINGER_TIME_MAX: Duration = Duration::from_secs(2);

/// What bounds a connection.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A request's line and headers together, in bytes.
    pub head_bytes_max: usize,
    /// For a head to be complete, counted from the response before it or the start.
    pub head_time_max: Duration,
}

/// Asks a connection to end once it has answered what it has begun to read.
#[derive(Debug, Clone, Default)]
pub struct Closing(Arc<AtomicBool>);

/// Why a connection ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client went away, or the socket broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// A body that was promised did not come to its end.
    #[error("the response broke off")]
    Response(#[source] BodyError),
    /// A request was refused, and nothing after it was read.
    #[error("the request is not HTTP/1: {0}")]
    Invalid(&'static str),
}

/// The connection, without what is being written.
struct Connection<R> {
    /// `None` while a request's body has it.
    reader: Option<Box<Reader<R>>>,
    /// Where it comes back to from there.
    lent: Option<Arc<Slot<R>>>,
    /// Whether the last request was read to its end.
    is_read: bool,
    alarm: Alarm,
    limits: Limits,
    closing: Closing,
}

/// What comes next on a connection.
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made, once for each request")]
enum Next {
    Request(Head),
    /// The client has left.
    Gone,
    /// The client may go on and we do not: it was silent for too long, or the connection is to end.
    Enough,
}

impl Closing {
    /// Asks. The connection hears of it when its task is woken next: whoever asks polls it.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Serves one connection until it ends.
///
/// `ahead` was read from the connection already. The handler's request has an extension of type [`Takeover`] when it asks for
/// another protocol; a handler that answers 101 gets both halves of the connection through it.
///
/// # Errors
///
/// See [`Error`]; a client that leaves between two requests, or before it is answered, is none.
pub async fn serve<R, W, H, F, B>(
    ahead: BytesMut,
    read: R,
    mut write: W,
    limits: Limits,
    closing: Closing,
    handler: H,
) -> Result<(), Error>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Option<AnyBody>>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes, Error: Into<BodyError>> + Unpin,
{
    let reader = Some(Box::new(Reader { read, input: ahead }));
    let mut connection =
        Connection { reader, lent: None, is_read: true, alarm: Alarm::default(), limits, closing };
    let mut sender = Sender::<B>::new();
    loop {
        let Head { mut request, expected, wishes } = match connection.head().await {
            Ok(Next::Request(head)) => head,
            Ok(Next::Gone) => return Ok(()),
            Ok(Next::Enough) => {
                // A client that is still there can tell this end from one that somebody between us has made (RFC 8446, 6.1).
                write.shutdown().await?;
                return Ok(());
            }
            Err(refusal) => {
                encode::refusal(refusal.status, &mut sender.out);
                write.write_all(&sender.out).await?;
                connection.linger(write).await;
                return Err(Error::Invalid(refusal.rule));
            }
        };
        let takeover = takeover::offer(&mut request);
        if let Expected::Body(decoder) = expected {
            let slot = Arc::new(Slot::new(wishes.continues));
            let reader = connection.reader.take().expect("taken back after the last request");
            *request.body_mut() = Some(reader::body(reader, decoder, &slot));
            connection.lent = Some(slot);
        }
        let response = {
            // Pinned here: a future that is passed on takes its room twice, in every connection.
            let answer = pin!(handler(request));
            connection.answer(answer, &mut write).await?
        };
        let Some(response) = response else { return Ok(()) };
        let is_switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let may_go_on = wishes.keeps_alive && !connection.closing.is_asked();
        let goes_on = encode::response(response, &wishes, may_go_on, &mut sender);
        connection.send(&mut sender, &mut write).await?;
        sender.shrink();
        connection.take_back();
        if connection.lent.is_some() || !connection.is_read {
            connection.linger(write).await;
            return Ok(());
        }
        if is_switching {
            if let (Some(takeover), Some(reader)) = (takeover, connection.reader) {
                takeover.hand_over(reader.input, reader.read, write);
            }
            return Ok(());
        }
        if !goes_on {
            connection.linger(write).await;
            return Ok(());
        }
    }
}

impl<R: AsyncRead + Unpin> Connection<R> {
    async fn head(&mut self) -> Result<Next, Refusal> {
        let deadline = Instant::now() + self.limits.head_time_max;
        let mut blank_lines = 0;
        // What was sent ahead is looked at at once; of what comes in pieces only whole lines are worth it.
        let mut has_news = true;
        poll_fn(|cx| {
            let Some(Reader { read, input }) = self.reader.as_deref_mut() else {
                return Poll::Ready(Ok(Next::Gone));
            };
            loop {
                blank_lines += head::skip_blank(input);
                if blank_lines > BLANK_LINES_MAX {
                    return Poll::Ready(Err(Refusal::BLANK));
                }
                if has_news
                    && !input.is_empty()
                    && let Some(head) = head::parse(input, self.limits.head_bytes_max)?
                {
                    return Poll::Ready(Ok(Next::Request(head)));
                }
                let known = input.len();
                if known >= self.limits.head_bytes_max {
                    return Poll::Ready(Err(Refusal::TOO_LARGE));
                }
                input.reserve(READ_BYTES);
                match poll_read_buf(Pin::new(&mut *read), cx, input) {
                    // A client that leaves in the middle of a head has nobody to be told.
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Ok(Next::Gone)),
                    Poll::Ready(Ok(_)) => has_news = known == 0 || input[known..].contains(&b'\n'),
                    Poll::Pending => break,
                }
            }
            has_news = false;
            if input.is_empty() {
                if self.closing.is_asked() {
                    return Poll::Ready(Ok(Next::Enough));
                }
                *input = BytesMut::new();
            }
            self.alarm.poll(deadline, cx).map(|()| Ok(Next::Enough))
        })
        .await
    }

    /// Awaits the handler; `None` when the client went away meanwhile.
    async fn answer<T>(
        &mut self,
        mut answer: Pin<&mut impl Future<Output = T>>,
        write: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<Option<T>> {
        let mut interim: &[u8] = &[];
        let mut is_flushed = true;
        poll_fn(|cx| {
            if let Some(slot) = &self.lent {
                slot.watch(cx);
            }
            // The response goes behind what was begun, not into it.
            if interim.is_empty() || interim.len() == encode::CONTINUE.len() {
                if let Poll::Ready(response) = answer.as_mut().poll(cx) {
                    return Poll::Ready(Ok(Some(response)));
                }
                if self.lent.as_ref().is_some_and(|slot| slot.is_continue_due()) {
                    (interim, is_flushed) = (encode::CONTINUE, false);
                }
            }
            while !interim.is_empty() {
                let count = ready!(Pin::new(&mut *write).poll_write(cx, interim))?;
                interim = &interim[count..];
            }
            if !is_flushed {
                // TLS keeps what the socket did not take.
                ready!(Pin::new(&mut *write).poll_flush(cx))?;
                is_flushed = true;
            }
            self.poll_gone(cx).map(|()| Ok(None))
        })
        .await
    }

    async fn send<B>(
        &mut self,
        sender: &mut Sender<B>,
        write: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Error>
    where
        B: Body<Data = Bytes, Error: Into<BodyError>> + Unpin,
    {
        poll_fn(|cx| match sender.poll(write, cx, false) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(SendError::Io(error))) => Poll::Ready(Err(Error::Io(error))),
            Poll::Ready(Err(SendError::Body(error))) => Poll::Ready(Err(Error::Response(error.into()))),
            Poll::Pending => {
                self.poll_gone(cx).map(|()| Err(Error::Io(io::ErrorKind::ConnectionReset.into())))
            }
        })
        .await
    }

    /// Takes the reading half back, if a request's body had it and has it no more.
    fn take_back(&mut self) {
        if let Some((reader, is_read)) = self.lent.as_ref().and_then(|slot| slot.take()) {
            (self.reader, self.is_read, self.lent) = (Some(reader), is_read, None);
        }
    }

    /// Ready when the client ended the connection. What it sends ahead is kept, and then no longer looked at. As long as a
    /// request's body is being read, whoever reads it learns of the end.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(slot) = &self.lent {
            slot.watch(cx);
        }
        self.take_back();
        let Some(Reader { read, input }) = self.reader.as_deref_mut() else { return Poll::Pending };
        if !input.is_empty() {
            return Poll::Pending;
        }
        input.reserve(READ_BYTES);
        match ready!(poll_read_buf(Pin::new(read), cx, input)) {
            Ok(0) | Err(_) => Poll::Ready(()),
            Ok(_) => Poll::Pending,
        }
    }

    /// Ends the connection so that the client can read what was sent last: bytes that nobody read would make a reset of the
    /// end. They are read for a while, and thrown away.
    async fn linger(self, mut write: impl AsyncWrite + Unpin) {
        if write.shutdown().await.is_err() {
            return;
        }
        let Some(Reader { mut read, mut input }) = self.reader.map(|reader| *reader) else { return };
        let drained = async {
            let mut left = LINGER_BYTES_MAX;
            while left > 0 {
                input.clear();
                input.reserve(READ_BYTES);
                match poll_fn(|cx| poll_read_buf(Pin::new(&mut read), cx, &mut input)).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => left = left.saturating_sub(count),
                }
            }
        };
        // However it ends, the connection does.
        let _ = timeout(LINGER_TIME_MAX, drained).await;
    }
}
