//! A connection on its way from HTTP to another protocol.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use http::Request;
use http::header::UPGRADE;
use tokio::io::{AsyncRead, AsyncWrite, Join, join};
use tokio::sync::oneshot;

use super::super::ReadAhead;

/// Both halves of a connection that speaks another protocol now, with what the client sent right after its request.
pub type Io = ReadAhead<Join<Box<dyn AsyncRead + Unpin + Send>, Box<dyn AsyncWrite + Unpin + Send>>>;

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
        ahead: BytesMut,
        read: impl AsyncRead + Unpin + Send + 'static,
        write: impl AsyncWrite + Unpin + Send + 'static,
    ) {
        let read: Box<dyn AsyncRead + Unpin + Send> = Box::new(read);
        let write: Box<dyn AsyncWrite + Unpin + Send> = Box::new(write);
        let _ = self.0.send(ReadAhead::new(ahead, join(read, write)));
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
