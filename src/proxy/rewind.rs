//! A connection whose first bytes were read already, to see what it speaks.
//!
//! HTTP/2 with prior knowledge begins with a preface that is no request of HTTP/1 (RFC 9113, 3.4). Whatever came with the first
//! read is kept in front of the connection, so that looking costs no read that HTTP/1 would not need anyway.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How a connection of HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What is asked of the kernel at once: more than an ordinary request.
const READ_BYTES: usize = 4 * 1024;

/// A connection with what was read ahead from it.
#[derive(Debug)]
pub(super) struct Rewind<S> {
    ahead: BytesMut,
    stream: S,
}

impl Rewind<TcpStream> {
    /// Reads until it is clear whether the connection begins with HTTP/2's preface, and tells. Not cancel-safe.
    ///
    /// # Errors
    ///
    /// What the system says. A connection that ends before it says anything is HTTP/1.
    pub(super) async fn look(mut stream: TcpStream) -> io::Result<(Self, bool)> {
        // An idle connection has no buffer yet.
        stream.readable().await?;
        let mut ahead = BytesMut::with_capacity(READ_BYTES);
        loop {
            let has_ended = stream.read_buf(&mut ahead).await? == 0;
            let length = ahead.len().min(PREFACE.len());
            let is_like_it = ahead[..length] == PREFACE[..length];
            if has_ended || !is_like_it || length == PREFACE.len() {
                let is_http2 = is_like_it && length == PREFACE.len();
                return Ok((Self { ahead, stream }, is_http2));
            }
        }
    }
}

impl<S> Rewind<S> {
    /// What was read ahead, and the connection.
    pub(super) fn into_parts(self) -> (BytesMut, S) {
        (self.ahead, self.stream)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..count]);
        self.ahead.advance(count);
        if self.ahead.is_empty() {
            // What it was read into goes.
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewind<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
