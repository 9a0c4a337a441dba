//! HTTP/1.1 towards upstreams (RFC 9112): one connection, one exchange at a time, in the task of the request itself.
//!
//! # Theory of operation
//!
//! hyper's client runs each connection in a task of its own and passes requests and bodies through channels, which is right for
//! a client and costs a proxy half of its time. Here the task that serves the downstream request drives the upstream's socket,
//! too: [`Connection::exchange`] writes the head, then moves the request's body and listens for the response at the same time,
//! and returns with the response's head. [`ResponseBody`] goes on in the same way, so that an app may answer before it has read
//! everything. When both directions are complete the connection comes out of the body again, for the next request.
//!
//! `encode` writes heads, `head` reads them, `sender` moves a message to a socket, `decode` finds where a response's body ends.
//!
//! What this module does not do: it keeps no pool, retries nothing and knows no route. It changes no header but those that
//! frame the message: `Content-Length` and `Transfer-Encoding` follow from the body.

mod body;
mod decode;
mod encode;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod list;
mod read_ahead;
mod request;
mod sender;
pub mod server;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use http::header::EXPECT;
use http::request::Parts;
use http::{Method, Response};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use self::decode::Decoder;
use self::sender::Sender;
use crate::alarm::Alarm;

pub use body::ResponseBody;
pub use read_ahead::{ReadAhead, Switched};
pub use request::{AnyBody, BodyError, RequestBody, any};

pub(crate) use list::lists;

/// A response's status line and headers together; nginx takes 32 KiB, Heroku 64 KiB.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Headers of one response.
const HEADERS_MAX: usize = 128;
/// What is asked of the kernel at once for a head, or a body of unknown length.
const READ_BYTES: usize = 8 * 1024;
/// What is asked of the kernel at once for a body that is known to be long.
const READ_BYTES_MAX: usize = 64 * 1024;
/// How long an upstream may think about `Expect: 100-continue` before it gets the body anyway; curl waits as long.
const CONTINUE_TIME_MAX: Duration = Duration::from_secs(1);

/// An open connection to an upstream.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Read and not yet understood.
    input: BytesMut,
    upload: Sender<RequestBody>,
    alarm: Alarm,
    /// Whether another exchange may follow.
    is_reusable: bool,
}

/// Why an exchange brought no response.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection ended before the first byte of a response.
    #[error("the connection was closed without a response")]
    Closed,
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[source] io::Error),
    /// The connection broke before anything of the request was written; its body was given back.
    #[error("the connection was broken already")]
    Unsent(#[source] io::Error),
    /// What came is no response of HTTP/1.
    #[error("the response is not HTTP/1: {0}")]
    Invalid(&'static str),
    /// The head of the response is longer than 64 KiB, or has more than 128 headers.
    #[error("the head of the response is too large")]
    HeadTooLarge,
    /// The request's own body ended before its time.
    #[error("the body of the request broke off")]
    RequestBody(#[source] BodyError),
    /// No byte of a response came in time.
    #[error("no response came in time")]
    Silent,
}

/// What an exchange brought.
#[derive(Debug)]
pub enum Answer {
    /// A response.
    Response(Response<ResponseBody>),
    /// `101 Switching Protocols`.
    Switched(Response<()>, Switched),
}

impl Connection {
    /// Connects to an upstream.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn connect(addr: SocketAddr) -> io::Result<Box<Self>> {
        let stream = TcpStream::connect(addr).await?;
        // Only a socket that was closed meanwhile refuses, and the request will tell.
        let _ = stream.set_nodelay(true);
        Ok(Box::new(Self {
            stream,
            input: BytesMut::new(),
            upload: Sender::new(),
            alarm: Alarm::default(),
            is_reusable: true,
        }))
    }

    /// Whether an idle connection is still open. Costs no system call as long as nothing happened on it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        // An idle server has nothing to say: whatever comes, if only the end, makes the connection useless.
        matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request and returns with the head of its response; `first_byte` counts from the last byte that was sent.
    ///
    /// `head` must be meant for an upstream: origin-form target, `Host`, no hop-by-hop headers but `Connection` and `Upgrade`.
    /// `body` is taken once its first byte is needed, and left alone when nothing of the request was sent.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn exchange(
        mut self: Box<Self>,
        head: &Parts,
        body: &mut RequestBody,
        first_byte: Duration,
    ) -> Result<Answer, Error> {
        let framing = encode::request(head, body, &mut self.upload.out);
        let mut waits = head.headers.contains_key(EXPECT) && !body.is_empty();
        let taken = std::mem::take(body);
        self.upload.start((!taken.is_empty()).then_some(taken), framing, true);
        let patience = if waits { CONTINUE_TIME_MAX } else { first_byte };
        let mut deadline = Instant::now() + patience;
        let mut moved = 0;
        loop {
            let parsed = poll_fn(|cx| {
                if !self.upload.is_done() {
                    match self.upload.poll(&mut self.stream, cx, waits) {
                        Poll::Ready(Err(sender::Error::Body(error))) => {
                            return Poll::Ready(Err(Error::RequestBody(error)));
                        }
                        Poll::Ready(Err(sender::Error::Io(error))) => {
                            if self.upload.is_untouched() {
                                *body = self.upload.take_body().unwrap_or_default();
                                return Poll::Ready(Err(Error::Unsent(error)));
                            }
                            // The upstream may have answered before it stopped to listen.
                            self.is_reusable = false;
                        }
                        Poll::Ready(Ok(())) | Poll::Pending => {}
                    }
                    if self.upload.moved() != moved {
                        moved = self.upload.moved();
                        if !waits {
                            deadline = Instant::now() + first_byte;
                        }
                    }
                }
                if let Poll::Ready(parsed) = self.poll_head(cx) {
                    return Poll::Ready(parsed.map(Some));
                }
                self.alarm.poll(deadline, cx).map(|()| Ok(None))
            })
            .await?;
            let Some(parsed) = parsed else {
                if !waits {
                    return Err(Error::Silent);
                }
                waits = false;
                deadline = Instant::now() + first_byte;
                continue;
            };
            match parsed.status().as_u16() {
                101 => {
                    let ahead = self.input.split();
                    return Ok(Answer::Switched(parsed, ReadAhead::new(ahead, self.stream)));
                }
                // 103 and whatever else may come before the response: nobody downstream can be told.
                100..200 => {
                    waits = false;
                    deadline = Instant::now() + first_byte;
                }
                _ => return self.answer(parsed, &head.method),
            }
        }
    }

    fn answer(mut self: Box<Self>, mut parsed: Response<()>, method: &Method) -> Result<Answer, Error> {
        let decoder = Decoder::of(method, &mut parsed)?;
        self.is_reusable &= decoder.is_delimited() && head::keeps_alive(&parsed);
        Ok(Answer::Response(parsed.map(|()| ResponseBody::new(self, decoder))))
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Error>> {
        loop {
            if !self.input.is_empty()
                && let Some(parsed) = head::parse(&mut self.input)?
            {
                return Poll::Ready(Ok(parsed));
            }
            if self.input.len() >= HEAD_BYTES_MAX {
                return Poll::Ready(Err(Error::HeadTooLarge));
            }
            let is_first = self.input.is_empty();
            match std::task::ready!(self.poll_read(READ_BYTES, cx)) {
                Ok(0) if !is_first => return Poll::Ready(Err(Error::Invalid("it broke off"))),
                Ok(0) => return Poll::Ready(Err(Error::Closed)),
                Ok(_) => {}
                // How a connection ends whose other side had closed it before our request came.
                Err(error) if is_first && error.kind() == io::ErrorKind::ConnectionReset => {
                    return Poll::Ready(Err(Error::Closed));
                }
                Err(error) => return Poll::Ready(Err(Error::Io(error))),
            }
        }
    }

    fn poll_read(&mut self, at_most: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(at_most);
        poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input)
    }
}
