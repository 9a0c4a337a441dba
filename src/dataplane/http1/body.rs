//! A response's body, and the rest of the request's while the upstream still wants it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};

use super::decode::{Decoder, Piece};
use super::{Connection, Error, READ_BYTES, sender};

/// A response's body as it arrives.
#[derive(Debug)]
pub struct ResponseBody {
    /// `None` once the body has ended and the connection was taken, or broke.
    connection: Option<Box<Connection>>,
    decoder: Decoder,
}

impl ResponseBody {
    pub(super) fn new(connection: Box<Connection>, decoder: Decoder) -> Self {
        Self { connection: Some(connection), decoder }
    }

    /// The connection, once the response is complete and another exchange may follow.
    ///
    /// An app that answered before it read the whole request leaves nothing that could be used again.
    pub fn take_connection(&mut self) -> Option<Box<Connection>> {
        if !self.decoder.is_done() {
            return None;
        }
        let mut connection = self.connection.take()?;
        let is_reusable =
            connection.is_reusable && connection.upload.is_done() && connection.input.is_empty();
        if !is_reusable {
            return None;
        }
        // A large response must not leave its buffer to an idle connection.
        if connection.input.capacity() > 2 * READ_BYTES {
            connection.input = BytesMut::new();
        }
        connection.upload.shrink();
        Some(connection)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>, Error>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(None)) };
        if !connection.upload.is_done()
            && let Poll::Ready(Err(error)) = connection.upload.poll(&mut connection.stream, cx, false)
        {
            connection.is_reusable = false;
            if let sender::Error::Body(error) = error {
                return Poll::Ready(Err(Error::RequestBody(error)));
            }
        }
        loop {
            if let Some(piece) = self.decoder.next(&mut connection.input)? {
                return Poll::Ready(Ok(Some(piece)));
            }
            if self.decoder.is_done() {
                return Poll::Ready(Ok(None));
            }
            if ready!(connection.poll_read(self.decoder.read_bytes(), cx)).map_err(Error::Io)? == 0 {
                if self.decoder == Decoder::Close {
                    self.decoder = Decoder::Done;
                    return Poll::Ready(Ok(None));
                }
                return Poll::Ready(Err(Error::Io(io::ErrorKind::UnexpectedEof.into())));
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let piece = ready!(self.poll_piece(cx));
        Poll::Ready(match piece {
            Ok(Some(Piece::Data(data))) => Some(Ok(Frame::data(data))),
            Ok(Some(Piece::Trailers(trailers))) => Some(Ok(Frame::trailers(trailers))),
            Ok(None) => None,
            Err(error) => {
                // What comes next on it cannot be told.
                self.connection = None;
                self.decoder = Decoder::Done;
                Some(Err(error))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.size_hint()
    }
}
