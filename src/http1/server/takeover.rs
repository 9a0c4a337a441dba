//! A connection on its way from HTTP to another protocol.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::Request;
use http::header::UPGRADE;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// Both halves of a connection that speaks another protocol now.
pub struct Io {
    /// What the client sent right after its request.
    read_ahead: Bytes,
    read: Box<dyn AsyncRead + Unpin + Send>,
    write: Box<dyn AsyncWrite + Unpin + Send>,
}

/// The wish to take over the connection of a request; clones are the same one.
#[derive(Debug, Clone)]
pub struct Takeover(Arc<Mutex<Option<oneshot::Receiver<Io>>>>);

/// The other end of a [`Takeover`].
#[derive(Debug)]
pub(super) struct Offer(oneshot::Sender<Io>);

/// Puts a [`Takeover`] into a request that asks for another protocol.
pub(super) fn offer<B>(request: &mut Request<B>) -> Option<Offer> {
    if !request.headers().contains_key(UPGRADE) {
        return None;
    }
    let (sender, receiver) = oneshot::channel();
    request.extensions_mut().insert(Takeover(Arc::new(Mutex::new(Some(receiver)))));
    Some(Offer(sender))
}

impl Offer {
    /// Hands the connection over to whoever kept the [`Takeover`]; nobody is fine, too.
    pub(super) fn hand_over(
        self,
        read_ahead: Bytes,
        read: impl AsyncRead + Unpin + Send + 'static,
        write: impl AsyncWrite + Unpin + Send + 'static,
    ) {
        let _ = self.0.send(Io { read_ahead, read: Box::new(read), write: Box::new(write) });
    }
}

impl Takeover {
    /// The connection, once the 101 was sent.
    ///
    /// # Errors
    ///
    /// When it ended before, or somebody else took it.
    pub async fn taken(self) -> io::Result<Io> {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
        receiver.ok_or_else(gone)?.await.map_err(|_| gone())
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read_ahead.is_empty() {
            return Pin::new(&mut self.read).poll_read(cx, buf);
        }
        let count = self.read_ahead.len().min(buf.remaining());
        buf.put_slice(&self.read_ahead[..count]);
        self.read_ahead.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").field("read_ahead", &self.read_ahead.len()).finish_non_exhaustive()
    }
}
