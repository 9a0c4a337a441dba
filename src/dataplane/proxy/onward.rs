//! How a request goes on to its upstream: in which version of HTTP, with which headers, and whether it asks for another
//! protocol.
//!
//! An upgrade is of HTTP/1.1 alone, so a WebSocket of a client that speaks HTTP/2 becomes one here (RFC 8441).

use std::time::{SystemTime, UNIX_EPOCH};

use http::header::EXPECT;
use http::{HeaderMap, HeaderValue, Request, Version, request};

use super::access::Entry;
use super::claim::Claim;
use super::client::Client;
use super::error::Error;
use super::headers::{self, Told};
use super::target;
use super::tunnel::Downstream;
use super::websocket::{self, Handshake};
use crate::http1::RequestBody;
use crate::policy::Protocol;

/// A client's wish to change the protocol.
pub(super) struct Upgrade {
    protocol: HeaderValue,
    downstream: Downstream,
    /// Ours with the upstream, where the client's HTTP has none.
    handshake: Option<Handshake>,
}

/// How a request goes on to its upstream.
pub(super) struct Onward<'r> {
    host: &'r HeaderValue,
    /// How many bytes are taken off the path.
    strip: usize,
    version: Version,
    upgrade: Option<HeaderValue>,
}

// === impl Upgrade ===

impl Upgrade {
    /// What the client wishes; `None` where the connection cannot be taken over. `is_extended` is a WebSocket over HTTP/2.
    pub(super) fn wanted(request: &mut Request<RequestBody>, is_extended: bool) -> Option<Self> {
        if is_extended {
            return Some(Self::extended(request));
        }
        let protocol = headers::wanted_upgrade(request.version(), request.headers())
            .filter(|_| matches!(request.body(), RequestBody::Empty))?;
        let downstream = Downstream::Http1(request.extensions_mut().remove()?);
        Some(Self { protocol, downstream, handshake: None })
    }

    /// The handshake of HTTP/1.1 is ours to make.
    fn extended(request: &mut Request<RequestBody>) -> Self {
        let handshake = Handshake::begin(request.headers_mut());
        let protocol = HeaderValue::from_static(websocket::PROTOCOL);
        let downstream = Downstream::Http2(hyper::upgrade::on(request));
        Self { protocol, downstream, handshake: Some(handshake) }
    }

    pub(super) fn is_websocket(&self) -> bool {
        headers::is_websocket(&self.protocol)
    }

    /// The client's end of the tunnel, once the upstream has agreed; makes its headers those of the answer.
    ///
    /// # Errors
    ///
    /// [`Error::DeclinedUpgrade`] when it did not answer our handshake.
    pub(super) fn accepted(self, headers: &mut HeaderMap) -> Result<Downstream, Error> {
        match self.handshake {
            Some(handshake) if !handshake.ends_with(headers) => return Err(Error::DeclinedUpgrade),
            Some(_) => headers::rewrite_response(headers),
            None => headers::rewrite_switch(headers, self.protocol),
        }
        Ok(self.downstream)
    }
}

// === impl Onward ===

impl<'r> Onward<'r> {
    /// As its route says; `host` is what the client asked for.
    pub(super) fn new(
        claim: &Claim,
        upgrade: Option<&Upgrade>,
        is_grpc: bool,
        host: &'r HeaderValue,
    ) -> Self {
        let version = match claim.protocol {
            // An upgrade is of HTTP/1.1 alone.
            Protocol::Http2 if upgrade.is_none() => Version::HTTP_2,
            Protocol::Auto if is_grpc => Version::HTTP_2,
            _ => Version::HTTP_11,
        };
        Self { host, strip: claim.strip, version, upgrade: upgrade.map(|upgrade| upgrade.protocol.clone()) }
    }

    /// The request as the upstream gets it.
    pub(super) fn rewritten(
        self,
        request: Request<RequestBody>,
        client: &Client,
        entry: &Entry,
    ) -> (request::Parts, RequestBody) {
        let Self { host, strip, version, upgrade } = self;
        let (mut parts, body) = request.into_parts();
        let uri = std::mem::take(&mut parts.uri);
        if version == Version::HTTP_2 {
            // Who asked for it was told to go on as soon as the body is read; nobody behind us waits.
            parts.headers.remove(EXPECT);
        } else if parts.version >= Version::HTTP_2 {
            headers::join_cookies(&mut parts.headers);
        }
        let told = Told {
            client,
            host,
            prefix: (strip > 0).then(|| uri.path().get(..strip)).flatten(),
            id: (&entry.id).into(),
            start_ms: now_ms(),
        };
        headers::rewrite_request(&mut parts.headers, told, upgrade);
        parts.uri = target::for_upstream(&uri, strip);
        parts.version = version;
        // Nothing of the client's connection is of use to the upstream's.
        parts.extensions.clear();
        (parts, body)
    }
}

fn now_ms() -> u64 {
    // Before 1970 the clock is of no use to anybody.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}
