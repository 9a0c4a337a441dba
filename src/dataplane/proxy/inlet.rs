//! The body of a request between its client and the upstream's connection: metered always, collected where a policy says so.

use std::time::Duration;

use http::Request;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::body::Body;

use super::buffer::{self, Collected};
use super::error::Error;
use super::guard::{Meter, Metered, Visit};
use super::inbound::Inbound;
use super::limits::BODY_IDLE_TIME_MAX;
use crate::http1::RequestBody;

/// What is known of a body that is on its way.
#[derive(Debug)]
pub(super) struct Inlet {
    /// How much came, and why it ended if it did; none for a request without a body.
    meter: Option<Meter>,
    max: Option<u64>,
}

/// Puts the meter in the way of a request's body.
///
/// # Errors
///
/// [`Error::Coding`] for a transfer coding other than `chunked`, once: we would have to undo it, and what we do not know we
/// cannot pass on, since the coding ends here.
pub(super) fn open(
    request: Request<Inbound>,
    visit: Option<&Visit>,
    is_grpc: bool,
) -> Result<(Request<RequestBody>, Inlet), Error> {
    let (max, idle) = visit.map_or((None, None), Visit::body_limits);
    // Either side of a call may be silent for as long as it likes, as in a tunnel.
    let idle: Option<Duration> = idle.or((!is_grpc).then_some(BODY_IDLE_TIME_MAX));
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    if codings.next().is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || codings.next().is_some()
    {
        return Err(Error::Coding);
    }
    if request.body().is_end_stream() {
        return Ok((request.map(|_| RequestBody::Empty), Inlet { meter: None, max }));
    }
    let meter = Meter::default();
    let request = request.map(|body| RequestBody::new(Metered::new(body, max, idle, meter.clone())));
    Ok((request, Inlet { meter: Some(meter), max }))
}

impl Inlet {
    /// What counts the body.
    pub(super) fn meter(&self) -> Option<Meter> {
        self.meter.clone()
    }

    /// The request with all of its body at hand.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], [`Error::SlowBody`], [`Error::BadBody`], [`Error::Spool`].
    pub(super) async fn collected(
        &self,
        request: Request<RequestBody>,
        max: u64,
    ) -> Result<Request<RequestBody>, Error> {
        let (mut parts, body) = request.into_parts();
        let RequestBody::Streaming(body) = body else { return Ok(Request::from_parts(parts, body)) };
        let buffered = match buffer::collect(body, max).await {
            Ok(Collected::Whole(buffered)) => buffered,
            Ok(Collected::Begun(_)) => return Err(Error::TooLarge { max }),
            Err(buffer::Error::Spool(error)) => return Err(Error::Spool(error)),
            Err(buffer::Error::Body(_)) => return Err(self.blamed(Error::BadBody)),
        };
        if let Some(length) = buffered.length() {
            parts.headers.insert(CONTENT_LENGTH, length.into());
        }
        Ok(Request::from_parts(parts, RequestBody::new(buffered)))
    }

    /// The error, or what the body did to cause it.
    pub(super) fn blamed(&self, error: Error) -> Error {
        match &self.meter {
            Some(meter) => meter.blamed(error, self.max),
            None => error,
        }
    }
}
