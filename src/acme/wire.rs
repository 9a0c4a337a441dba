//! instant-acme's way to the network: our own client, and errors that keep what the library would drop.
//!
//! The library forgets `Retry-After`, and takes every refusal for one in JSON, also the page of a proxy that stands in front of an
//! authority. So a refusal becomes an error here, while there is still all of it. `badNonce` alone passes, as the library has a
//! quick way to repeat such a request; it gives up after three attempts, so [`repeated`] goes on where it stops.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, Problem};

use super::error::problem_kind;
use crate::web;

/// Times that a request is begun anew, of three attempts each. Of an authority that refuses every second nonce one request in a
/// billion billions fails.
const NONCE_ROUNDS_MAX: u32 = 20;

/// [`web::Client`] as instant-acme calls it.
pub(super) struct Wire(pub(super) web::Client);

/// A response that is a refusal.
#[derive(Debug, thiserror::Error)]
#[error("answered with {status}")]
pub(super) struct Refusal {
    /// Whose it is.
    pub(super) host: String,
    pub(super) status: StatusCode,
    /// What it says, if it says so as ACME wants it.
    pub(super) problem: Option<Problem>,
    /// How long to leave it alone.
    pub(super) retry_after: Option<Duration>,
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            let host = head.uri.host().unwrap_or_default().to_owned();
            let response = client
                .send(Request::from_parts(head, body))
                .await
                .map_err(|error| Error::Other(error.into()))?;
            let (parts, body) = response.into_parts();
            if !parts.status.is_success() {
                let refusal = Refusal::new(host, parts.status, &parts.headers, &body);
                if parts.status != StatusCode::BAD_REQUEST || !refusal.is("badNonce") {
                    return Err(Error::Other(refusal.into()));
                }
            }
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn new(host: String, status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Self {
        let problem = serde_json::from_slice::<Problem>(body).ok().filter(|problem| problem.r#type.is_some());
        Self { host, status, problem, retry_after: retry_after(headers, SystemTime::now()) }
    }

    /// The kind of the problem, without what is the same for all.
    pub(super) fn kind(&self) -> &str {
        self.problem.as_ref().map_or("", problem_kind)
    }

    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind() == kind
    }
}

/// How long to wait, as a response says (RFC 9110, 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).ok(),
    }
}

/// The refusal that an error of the library is.
pub(super) fn refusal(error: &Error) -> Option<&Refusal> {
    match error {
        Error::Other(error) => error.downcast_ref(),
        _ => None,
    }
}

/// Sends a request of the library again for as long as it fails because of its nonce alone, which means that it was not looked at.
macro_rules! repeated {
    ($request:expr) => {{
        let mut round = 1;
        loop {
            match $request {
                Err(error) if $crate::acme::wire::is_stale(&error, round) => round += 1,
                result => break result,
            }
        }
    }};
}
pub(super) use repeated;

/// Whether a request may be begun anew after this error.
pub(super) fn is_stale(error: &Error, round: u32) -> bool {
    round < NONCE_ROUNDS_MAX && matches!(error, Error::Api(problem) if problem_kind(problem) == "badNonce")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:00 GMT").unwrap();
        let check = |value: &str, seconds: Option<u64>| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{value}");
        };
        check("120", Some(120));
        check(" 7 ", Some(7));
        check("Fri, 31 Dec 1999 23:59:59 GMT", Some(59));
        check("Fri, 31 Dec 1999 23:58:59 GMT", None);
        check("soon", None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
