//! A message on its way: its head, then its body as it comes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use hyper::body::Body;
use tokio::io::AsyncWrite;

/// Pieces up to this size are copied behind what is written already: one write costs less than two slices.
const COPY_BYTES_MAX: usize = 2 * 1024;
/// What is gathered of small pieces before it is written.
const GATHER_BYTES_MAX: usize = 16 * 1024;
/// What an idle connection keeps of its buffer.
const KEEP_BYTES_MAX: usize = 4 * 1024;

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By `Content-Length`, by the end of the connection, or there is no body.
    Plain,
    /// Chunk by chunk (RFC 9112, 7.1).
    Chunked,
}

/// What is still to be written of one message.
#[derive(Debug)]
pub(super) struct Sender<B> {
    /// Written first.
    pub out: BytesMut,
    /// Written after it.
    data: Bytes,
    /// Written last: the end of a chunk, which must not wait for the next one.
    tail: &'static [u8],
    body: Option<B>,
    framing: Framing,
    /// Whether the other side wants trailers.
    takes_trailers: bool,
    state: State,
    /// How often something was written.
    moved: u32,
    /// Whether the body gave a piece.
    has_begun: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The body goes on.
    Body,
    /// Everything is in `out` and `data`.
    Flush,
    Done,
}

/// Why a message ended before its end.
#[derive(Debug)]
pub(super) enum Error<E> {
    Io(io::Error),
    Body(E),
}

impl<B: Body<Data = Bytes> + Unpin> Sender<B> {
    pub(super) fn new() -> Self {
        Self {
            out: BytesMut::new(),
            data: Bytes::new(),
            tail: &[],
            body: None,
            framing: Framing::Plain,
            takes_trailers: true,
            state: State::Done,
            moved: 0,
            has_begun: false,
        }
    }

    /// The head is in `out`; the body follows.
    pub(super) fn start(&mut self, body: Option<B>, framing: Framing, takes_trailers: bool) {
        self.takes_trailers = takes_trailers;
        self.state = if body.is_some() { State::Body } else { State::Flush };
        self.body = body;
        self.framing = framing;
        self.moved = 0;
        self.has_begun = false;
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Changes whenever something was written.
    pub(super) fn moved(&self) -> u32 {
        self.moved
    }

    /// Whether nothing was written and nothing of the body was taken.
    pub(super) fn is_untouched(&self) -> bool {
        self.moved == 0 && !self.has_begun
    }

    /// The body, if there is one and it has not ended.
    pub(super) fn take_body(&mut self) -> Option<B> {
        self.body.take()
    }

    /// Gives up a buffer that grew.
    pub(super) fn shrink(&mut self) {
        if self.out.capacity() > KEEP_BYTES_MAX {
            self.out = BytesMut::new();
        }
    }

    /// Writes what there is; the body is left alone while `waits`.
    pub(super) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        waits: bool,
    ) -> Poll<Result<(), Error<B::Error>>> {
        loop {
            let gathered = if waits { Ok(true) } else { self.gather(cx) };
            let is_waiting = match gathered {
                Ok(is_waiting) => is_waiting,
                Err(error) => {
                    // What came before it broke is the other side's to see, as far as the socket takes it.
                    if self.write_all(stream, cx).is_ready() {
                        let _ = Pin::new(&mut *stream).poll_flush(cx);
                    }
                    return Poll::Ready(Err(self.fail(Error::Body(error))));
                }
            };
            if let Err(error) = ready!(self.write_all(stream, cx)) {
                return Poll::Ready(Err(self.fail(Error::Io(error))));
            }
            match self.state {
                State::Done => return Poll::Ready(Ok(())),
                // TLS keeps what the socket did not take.
                State::Flush => match ready!(Pin::new(&mut *stream).poll_flush(cx)) {
                    Ok(()) => {
                        self.state = State::Done;
                        self.body = None;
                    }
                    Err(error) => return Poll::Ready(Err(self.fail(Error::Io(error)))),
                },
                State::Body if is_waiting => {
                    return match ready!(Pin::new(&mut *stream).poll_flush(cx)) {
                        Ok(()) => Poll::Pending,
                        Err(error) => Poll::Ready(Err(self.fail(Error::Io(error)))),
                    };
                }
                State::Body => {}
            }
        }
    }

    /// Takes what the body has, so that the first pieces go out together with the head. Whether the body has to be waited for.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<bool, B::Error> {
        // A tail that the socket did not take goes before whatever comes next.
        while self.state == State::Body
            && self.data.is_empty()
            && self.tail.is_empty()
            && self.out.len() < GATHER_BYTES_MAX
        {
            let Some(body) = &mut self.body else { break };
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Ok(true),
                Poll::Ready(Some(Ok(frame))) => {
                    self.has_begun = true;
                    let is_last = body.is_end_stream();
                    match frame.into_data() {
                        Ok(data) => {
                            self.push(data);
                            if is_last {
                                self.finish(None);
                            }
                        }
                        Err(frame) => self.finish(frame.trailers_ref().filter(|_| self.takes_trailers)),
                    }
                }
                Poll::Ready(None) => self.finish(None),
                Poll::Ready(Some(Err(error))) => return Err(error),
            }
        }
        Ok(false)
    }

    fn write_all<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.out.is_empty() || !self.data.is_empty() || !self.tail.is_empty() {
            match ready!(self.poll_write(stream, cx))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        if self.data.is_empty() && self.tail.is_empty() {
            return stream.poll_write(cx, &self.out);
        }
        if stream.is_write_vectored() {
            let slices = [IoSlice::new(&self.out), IoSlice::new(&self.data), IoSlice::new(self.tail)];
            return stream.poll_write_vectored(cx, &slices);
        }
        let first = [&self.out[..], &self.data[..], self.tail].into_iter().find(|part| !part.is_empty());
        stream.poll_write(cx, first.unwrap_or_default())
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
            let size = format!("{:x}\r\n", data.len());
            self.out.put_slice(size.as_bytes());
        }
        if data.len() <= COPY_BYTES_MAX {
            self.out.put_slice(&data);
            if self.framing == Framing::Chunked {
                self.out.put_slice(b"\r\n");
            }
            return;
        }
        if self.framing == Framing::Chunked {
            self.tail = b"\r\n";
        }
        self.data = data;
    }

    fn finish(&mut self, trailers: Option<&HeaderMap>) {
        if self.framing == Framing::Chunked {
            if self.data.is_empty() {
                put_end(&mut self.out, trailers);
            } else if trailers.is_none() {
                self.tail = b"\r\n0\r\n\r\n";
            } else {
                // What was gathered before it has to be written first.
                let mut data = BytesMut::from(&self.data[..]);
                data.put_slice(self.tail);
                put_end(&mut data, trailers);
                (self.data, self.tail) = (data.freeze(), &[]);
            }
        }
        self.state = State::Flush;
    }

    /// Nothing more will be written.
    fn fail(&mut self, error: Error<B::Error>) -> Error<B::Error> {
        self.state = State::Done;
        self.out.clear();
        self.data = Bytes::new();
        self.tail = &[];
        error
    }
}

/// The last chunk, and what follows it.
fn put_end(out: &mut BytesMut, trailers: Option<&HeaderMap>) {
    out.put_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;

    use hyper::body::Frame;

    use super::super::decode::{Chunk, Decoder, Piece};
    use super::*;

    /// A socket that takes so many bytes, then none for a moment.
    struct Choppy {
        taken: Vec<u8>,
        step: usize,
        is_full: bool,
        is_vectored: bool,
    }

    struct Pieces(VecDeque<Bytes>);

    impl AsyncWrite for Choppy {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.is_full = !self.is_full;
            if !self.is_full {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let bytes: Vec<u8> =
                slices.iter().flat_map(|slice| slice.iter()).copied().take(self.step).collect();
            self.taken.extend_from_slice(&bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn is_write_vectored(&self) -> bool {
            self.is_vectored
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
        }
    }

    #[tokio::test]
    async fn the_end_of_a_chunk_goes_before_the_next_one_wherever_a_write_stops() {
        const LARGE: usize = COPY_BYTES_MAX + 1;
        for is_vectored in [true, false] {
            // From one byte to all that is written of the first chunk.
            for step in (1..64).chain(LARGE - 8..LARGE + 16) {
                for second in [5, LARGE] {
                    let pieces = [vec![b'a'; LARGE], vec![b'b'; second], vec![b'c'; 3]];
                    let mut sender = Sender::new();
                    let body = Pieces(pieces.iter().cloned().map(Bytes::from).collect());
                    sender.start(Some(body), Framing::Chunked, true);
                    let mut socket = Choppy { taken: Vec::new(), step, is_full: false, is_vectored };
                    assert!(poll_fn(|cx| sender.poll(&mut socket, cx, false)).await.is_ok());
                    let (mut input, mut found) = (BytesMut::from(&socket.taken[..]), Vec::new());
                    let mut decoder = Decoder::Chunked(Chunk::Size);
                    while let Some(Piece::Data(data)) =
                        decoder.next(&mut input).unwrap_or_else(|error| panic!("by {step}: {error}"))
                    {
                        found.extend_from_slice(&data);
                    }
                    assert!(decoder.is_done() && input.is_empty(), "by {step}");
                    assert_eq!(found, pieces.concat(), "by {step}");
                }
            }
        }
    }
}
