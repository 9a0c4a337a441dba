//! QUIC as h3 wants it: the streams of a quinn connection.
//!
//! h3-quinn does the same, but hides the one thing that a proxy must know: that a client does not want the response any more,
//! while there is nothing to write yet ([`Transport::take_end`]). Besides, no read is boxed here, and each stream's frames
//! are followed by [`Frames`].

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::stream::{BoxStream, StreamExt, unfold};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::{ReadError, StoppedError, VarInt, WriteError};

use super::frames::Frames;
use crate::proxy::limits::H3_FRAME_BYTES_MAX;

/// Resolves when the client does not want the response any more, has all of it, or is gone.
pub(super) type End = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>> + Send>>;

/// A connection whose streams h3 may take.
pub(super) struct Transport {
    connection: quinn::Connection,
    requests: BoxStream<'static, Result<(quinn::SendStream, quinn::RecvStream), quinn::ConnectionError>>,
    one_way: BoxStream<'static, Result<quinn::RecvStream, quinn::ConnectionError>>,
    opened: BoxStream<'static, Result<quinn::SendStream, quinn::ConnectionError>>,
    /// That of the last request that was accepted.
    end: Option<End>,
    is_closing: bool,
}

/// Both directions of a request's stream.
pub(super) struct Both {
    send: SendStream,
    recv: RecvStream,
}

/// What goes to the client.
pub(super) struct SendStream {
    stream: quinn::SendStream,
    writing: Option<WriteBuf<Bytes>>,
}

/// What comes from the client.
pub(super) struct RecvStream {
    stream: quinn::RecvStream,
    frames: Frames,
}

/// We open no streams of both directions: servers do not in HTTP/3.
#[derive(Debug, thiserror::Error)]
#[error("a server opens no streams of both directions")]
struct NoSuchStream;

// === impl Transport ===

impl Transport {
    /// Takes the streams of this connection.
    pub(super) fn new(connection: quinn::Connection) -> Self {
        Self {
            requests: unfold(connection.clone(), |c| async { Some((c.accept_bi().await, c)) }).boxed(),
            one_way: unfold(connection.clone(), |c| async { Some((c.accept_uni().await, c)) }).boxed(),
            opened: unfold(connection.clone(), |c| async { Some((c.open_uni().await, c)) }).boxed(),
            connection,
            end: None,
            is_closing: false,
        }
    }

    /// The end of the request that was accepted last.
    pub(super) fn take_end(&mut self) -> Option<End> {
        self.end.take()
    }

    /// Refuses all further requests in a way that lets clients send them again (RFC 9114, 4.1.1).
    pub(super) fn refuse_requests(&mut self) {
        self.is_closing = true;
    }
}

impl quic::Connection<Bytes> for Transport {
    type RecvStream = RecvStream;
    type OpenStreams = Self;

    fn poll_accept_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<RecvStream, ConnectionErrorIncoming>> {
        let stream = ready!(self.one_way.poll_next_unpin(cx)).expect("it is made without an end");
        let frames = Frames::of_one_way(H3_FRAME_BYTES_MAX);
        Poll::Ready(stream.map(|stream| RecvStream { stream, frames }).map_err(of_connection))
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Both, ConnectionErrorIncoming>> {
        loop {
            let accepted = ready!(self.requests.poll_next_unpin(cx)).expect("it is made without an end");
            let (mut send, mut recv) = accepted.map_err(of_connection)?;
            if self.is_closing {
                let _ = send.reset(code(Code::H3_REQUEST_REJECTED.value()));
                let _ = recv.stop(code(Code::H3_REQUEST_REJECTED.value()));
                continue;
            }
            self.end = Some(Box::pin(send.stopped()));
            let send = SendStream { stream: send, writing: None };
            let recv = RecvStream { stream: recv, frames: Frames::of_request(H3_FRAME_BYTES_MAX) };
            return Poll::Ready(Ok(Both { send, recv }));
        }
    }

    fn opener(&self) -> Self {
        Self::new(self.connection.clone())
    }
}

impl quic::OpenStreams<Bytes> for Transport {
    type BidiStream = Both;
    type SendStream = SendStream;

    fn poll_open_bidi(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Both, StreamErrorIncoming>> {
        Poll::Ready(Err(StreamErrorIncoming::Unknown(Box::new(NoSuchStream))))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        let stream = ready!(self.opened.poll_next_unpin(cx)).expect("it is made without an end");
        Poll::Ready(stream.map(|stream| SendStream { stream, writing: None }).map_err(lost))
    }

    fn close(&mut self, reason: Code, text: &[u8]) {
        self.connection.close(code(reason.value()), text);
    }
}

// === impl Both ===

impl quic::BidiStream<Bytes> for Both {
    type SendStream = SendStream;
    type RecvStream = RecvStream;

    fn split(self) -> (SendStream, RecvStream) {
        (self.send, self.recv)
    }
}

impl quic::SendStream<Bytes> for Both {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, reset_code: u64) {
        self.send.reset(reset_code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

impl quic::RecvStream for Both {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.recv.poll_data(cx)
    }

    fn stop_sending(&mut self, error_code: u64) {
        self.recv.stop_sending(error_code);
    }

    fn recv_id(&self) -> StreamId {
        self.recv.recv_id()
    }
}

// === impl SendStream ===

impl quic::SendStream<Bytes> for SendStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if let Some(data) = &mut self.writing {
            while data.has_remaining() {
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, data.chunk()));
                data.advance(written.map_err(of_write)?);
            }
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        debug_assert!(self.writing.is_none(), "h3 awaits that the stream is ready");
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(self.stream.finish().map_err(|error| StreamErrorIncoming::Unknown(Box::new(error))))
    }

    fn reset(&mut self, reset_code: u64) {
        // Only a stream that has ended cannot be reset.
        let _ = self.stream.reset(code(reset_code));
    }

    fn send_id(&self) -> StreamId {
        id(self.stream.id())
    }
}

// === impl RecvStream ===

impl quic::RecvStream for RecvStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        loop {
            match self.frames.next() {
                Ok(Some(piece)) => return Poll::Ready(Ok(Some(piece))),
                Ok(None) => {}
                Err(error) => {
                    self.stop_sending(Code::H3_EXCESSIVE_LOAD.value());
                    return Poll::Ready(Err(StreamErrorIncoming::Unknown(Box::new(error))));
                }
            }
            // It keeps nothing between two polls, so a new one goes on where the last was dropped.
            let read = pin!(self.stream.read_chunk(usize::MAX, true));
            match ready!(read.poll(cx)).map_err(of_read)? {
                Some(chunk) => self.frames.feed(chunk.bytes),
                None => {
                    let end =
                        self.frames.end().map_err(|error| StreamErrorIncoming::Unknown(Box::new(error)));
                    return Poll::Ready(end.map(|()| None));
                }
            }
        }
    }

    fn stop_sending(&mut self, error_code: u64) {
        // Only a stream that has ended cannot be stopped.
        let _ = self.stream.stop(code(error_code));
    }

    fn recv_id(&self) -> StreamId {
        id(self.stream.id())
    }
}

impl Drop for RecvStream {
    /// What the client still sends is not wanted, and nobody's fault (RFC 9114, 4.1).
    fn drop(&mut self) {
        let _ = self.stream.stop(code(Code::H3_NO_ERROR.value()));
    }
}

fn id(id: quinn::StreamId) -> StreamId {
    u64::from(VarInt::from(id)).try_into().expect("both are numbers of 62 bits")
}

fn code(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

fn lost(error: quinn::ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error: of_connection(error) }
}

fn of_connection(error: quinn::ConnectionError) -> ConnectionErrorIncoming {
    match error {
        quinn::ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into() }
        }
        quinn::ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        error => ConnectionErrorIncoming::Undefined(Arc::new(error)),
    }
}

fn of_read(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into() },
        ReadError::ConnectionLost(error) => lost(error),
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}

fn of_write(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into() },
        WriteError::ConnectionLost(error) => lost(error),
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}
