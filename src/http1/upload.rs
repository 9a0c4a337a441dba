//! A request on its way to the upstream: its head, then its body as it arrives.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use hyper::body::Body;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::request::{BodyError, RequestBody};

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By `Content-Length`, or there is none.
    Plain,
    /// Chunk by chunk (RFC 9112, 7.1).
    Chunked,
}

/// What is still to be written.
#[derive(Debug)]
pub(super) struct Upload {
    /// Written first.
    pub out: BytesMut,
    /// Written after it.
    data: Bytes,
    /// Written last: the end of a chunk, which must not wait for the next one.
    tail: &'static [u8],
    body: RequestBody,
    framing: Framing,
    state: State,
    /// How often something was written.
    moved: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The body goes on.
    Body,
    /// Everything is in `out` and `data`.
    Flush,
    Done,
}

/// Why an upload ended.
#[derive(Debug)]
pub(super) enum Error {
    Io(io::Error),
    Body(BodyError),
}

impl Upload {
    pub(super) fn done() -> Self {
        Self {
            out: BytesMut::new(),
            data: Bytes::new(),
            tail: &[],
            body: RequestBody::Empty,
            framing: Framing::Plain,
            state: State::Done,
            moved: 0,
        }
    }

    /// The head is in `out`; the body follows.
    pub(super) fn start(&mut self, body: RequestBody, framing: Framing) {
        self.state = if body.is_empty() { State::Flush } else { State::Body };
        self.body = body;
        self.framing = framing;
        self.moved = 0;
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Changes whenever something was written.
    pub(super) fn moved(&self) -> u32 {
        self.moved
    }

    /// The body, when none of it and nothing of the head was written.
    pub(super) fn unsent(&mut self) -> Option<RequestBody> {
        (self.moved == 0).then(|| std::mem::take(&mut self.body))
    }

    /// Writes what there is; the body is left alone while `waits`.
    pub(super) fn poll(
        &mut self,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        waits: bool,
    ) -> Poll<Result<(), Error>> {
        loop {
            while !self.out.is_empty() || !self.data.is_empty() || !self.tail.is_empty() {
                let written = match ready!(self.poll_write(stream, cx)) {
                    Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                    other => other,
                };
                match written {
                    Ok(count) => self.advance(count),
                    Err(error) => return Poll::Ready(Err(self.fail(Error::Io(error)))),
                }
            }
            match self.state {
                State::Done => return Poll::Ready(Ok(())),
                State::Flush => {
                    self.state = State::Done;
                    self.body = RequestBody::Empty;
                }
                State::Body if waits => return Poll::Pending,
                State::Body => match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => self.push(data),
                        Err(frame) => self.finish(frame.trailers_ref()),
                    },
                    None => self.finish(None),
                    Some(Err(error)) => return Poll::Ready(Err(self.fail(Error::Body(error)))),
                },
            }
        }
    }

    fn poll_write(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        if self.data.is_empty() && self.tail.is_empty() {
            return stream.poll_write(cx, &self.out);
        }
        let slices = [IoSlice::new(&self.out), IoSlice::new(&self.data), IoSlice::new(self.tail)];
        stream.poll_write_vectored(cx, &slices)
    }

    fn advance(&mut self, count: usize) {
        self.moved = self.moved.wrapping_add(1);
        let of_out = count.min(self.out.len());
        self.out.advance(of_out);
        let of_data = (count - of_out).min(self.data.len());
        self.data.advance(of_data);
        self.tail = &self.tail[count - of_out - of_data..];
    }

    fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        if self.framing == Framing::Chunked {
            self.out.put_slice(format!("{:x}\r\n", data.len()).as_bytes());
            self.tail = b"\r\n";
        }
        self.data = data;
    }

    fn finish(&mut self, trailers: Option<&HeaderMap>) {
        if self.framing == Framing::Chunked {
            self.out.put_slice(b"0\r\n");
            for (name, value) in trailers.into_iter().flatten() {
                self.out.put_slice(name.as_str().as_bytes());
                self.out.put_slice(b": ");
                self.out.put_slice(value.as_bytes());
                self.out.put_slice(b"\r\n");
            }
            self.out.put_slice(b"\r\n");
        }
        self.state = State::Flush;
    }

    /// Nothing more will be written.
    fn fail(&mut self, error: Error) -> Error {
        self.state = State::Done;
        self.out.clear();
        self.data = Bytes::new();
        self.tail = &[];
        error
    }
}
