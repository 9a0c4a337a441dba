//! The body of a response as a connection sends it: as it came, or after a policy did something to it.
//!
//! A body that was wrapped is counted and logged out here, where its bytes are those that the client gets; one that was not
//! does so itself, and costs no box.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::access::Entry;
use super::body::ResponseBody;
use crate::http1::{AnyBody, BodyError};

/// The body of a response, on its way to the client.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the plain one is the common one, and must not cost a box")]
pub(super) enum Outbound {
    /// As it came from the upstream, or a page of the proxy.
    Plain(ResponseBody),
    /// With something done to it.
    Filtered(Box<Filtered>),
}

#[derive(Debug)]
pub(super) struct Filtered {
    body: AnyBody,
    entry: Option<Entry>,
}

impl Outbound {
    /// A body that was wrapped.
    pub(super) fn filtered(body: AnyBody) -> Self {
        Self::Filtered(Box::new(Filtered { body, entry: None }))
    }

    /// Lets the entry be written when the body has been sent.
    pub(super) fn log(&mut self, entry: Entry) {
        match self {
            Self::Plain(body) => body.log(entry),
            Self::Filtered(filtered) => filtered.entry = Some(entry),
        }
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Plain(body) => Pin::new(body).poll_frame(cx),
            Self::Filtered(filtered) => {
                let frame = ready!(Pin::new(&mut filtered.body).poll_frame(cx));
                match (&mut filtered.entry, &frame) {
                    (Some(entry), Some(Ok(frame))) => {
                        entry.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                    }
                    (Some(entry), Some(Err(error))) => entry.broke(&**error),
                    _ => {}
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Filtered(filtered) => filtered.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Filtered(filtered) => filtered.body.size_hint(),
        }
    }
}
