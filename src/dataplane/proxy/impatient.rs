//! The client's end of a connection, given up once it takes nothing for too long.
//!
//! A client that stops reading costs a place among the connections, an upstream's connection, and what is buffered between the
//! two. The time runs only while there is something to write and the kernel takes none of it, so an idle WebSocket and a slow
//! app are no reason. It lies below TLS, where progress is what the network did.
//!
//! What this module does not do: the streams of HTTP/2 wait for windows, not for the socket; see `streams`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::alarm::Alarm;

/// A socket whose writes fail with [`io::ErrorKind::TimedOut`] once they made no progress for so long.
#[derive(Debug)]
pub(super) struct Impatient<S> {
    stream: S,
    limit: Duration,
    /// Until when the kernel may take the next byte; `None` while nothing waits for it.
    deadline: Option<Instant>,
    alarm: Alarm,
}

impl<S> Impatient<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, deadline: None, alarm: Alarm::default() }
    }

    /// What was tried, or the error once it was tried for too long.
    fn watched<T>(&mut self, poll: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.deadline = None;
            return poll;
        }
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.limit);
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing");
        self.alarm.poll(deadline, cx).map(|()| Err(late()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watched(poll, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watched(poll, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.watched(poll, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watched(poll, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_once_nothing_was_taken_for_so_long() {
        let (ours, _theirs) = duplex(4);
        let mut ours = Impatient::new(ours, LIMIT);
        let began = Instant::now();
        let error = ours.write_all(b"12345678").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_little_now_and_then_is_waited_for() {
        let (ours, mut theirs) = duplex(4);
        let mut ours = Impatient::new(ours, LIMIT);
        let began = Instant::now();
        let slow = async {
            for _ in 0..16 {
                tokio::time::sleep(LIMIT - Duration::from_secs(1)).await;
                theirs.read_u8().await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(ours.write_all(b"1234567890123456"), slow);
        written.unwrap();
        assert!(began.elapsed() > LIMIT * 10);
    }
}
