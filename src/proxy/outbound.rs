//! The body of a response as a connection sends it: as it came, or after a policy did something to it.
//!
//! A body that was wrapped is counted and logged out here, where its bytes are those that the client gets; one that was not
//! does so itself, and costs no box.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, SizeHint};
use tracing::warn;

use super::access::Entry;
use super::body::ResponseBody;

/// Whatever may go wrong with a body.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// Whatever body.
pub(super) type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

/// The body of a response, on its way to the client.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and costs no box")]
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

/// A body whose kind no longer matters.
pub(super) fn any<B>(body: B) -> AnyBody
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    body.map_err(Into::into).boxed_unsync()
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
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Plain(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Self::Filtered(filtered) => {
                let frame = ready!(Pin::new(&mut filtered.body).poll_frame(cx));
                match (&mut filtered.entry, &frame) {
                    (Some(entry), Some(Ok(frame))) => {
                        entry.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                    }
                    (Some(entry), Some(Err(error))) => log_broken(entry, &**error),
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

fn log_broken(entry: &Entry, error: &(dyn std::error::Error + Send + Sync + 'static)) {
    warn!(
        app = entry.app(),
        instance = entry.instance(),
        request_id = entry.id.as_str(),
        side = "upstream",
        error = error as &dyn std::error::Error,
        "response broke off"
    );
}
