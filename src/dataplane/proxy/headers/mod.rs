//! What happens to headers on the way (RFC 9110, 7.6): those that belong to one connection end here, in both directions, and
//! those that tell the app about its client are ours alone to say ([`Client`]).

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::client::Client;
use crate::http1::lists;

/// The id of a request; never the client's own, unless a trusted proxy kept it.
pub(super) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(super) static X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
pub(super) static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

static X_REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");

/// What the app is told about a request.
#[derive(Debug)]
pub(super) struct Told<'t> {
    /// Who asks.
    pub client: &'t Client,
    /// The host, with its port if the client named one.
    pub host: &'t HeaderValue,
    /// The prefix that was taken off the path.
    pub prefix: Option<&'t str>,
    /// The request's id.
    pub id: HeaderValue,
    /// Milliseconds since 1970 at which the request arrived.
    pub start_ms: u64,
}

/// The protocol that a client asks to change to; `None` for h2c, which would let requests pass that no route was found for.
pub(super) fn wanted_upgrade(version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get(UPGRADE)?;
    let is_asked = version == Version::HTTP_11 && lists(headers, &CONNECTION, "upgrade");
    let is_h2c = lists(headers, &UPGRADE, "h2c");
    (is_asked && !is_h2c).then(|| protocol.clone())
}

/// Whether a protocol is WebSocket.
pub(super) fn is_websocket(protocol: &HeaderValue) -> bool {
    protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
}

/// Whether a request is a call of gRPC; what only begins alike (`application/grpc-web`) is ordinary HTTP.
pub(super) fn is_grpc(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    if version < Version::HTTP_2 || *method != Method::POST {
        return false;
    }
    let content_type = headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Rewrites a request's headers for the upstream.
pub(super) fn rewrite_request(headers: &mut HeaderMap, told: Told<'_>, upgrade: Option<HeaderValue>) {
    let takes_trailers = headers.contains_key(TE) && lists(headers, &TE, "trailers");
    remove_hop_by_hop(headers);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    headers.insert(HOST, told.host.clone());
    told.client.tell(headers, told.host, told.prefix);
    headers.insert(&X_REQUEST_ID, told.id);
    headers.insert(&X_REQUEST_START, told.start_ms.into());
}

/// Makes the headers of an HTTP/2 or HTTP/3 request those of HTTP/1.1: cookies come in crumbs there (RFC 9113, 8.2.3; RFC
/// 9114, 4.2.1).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    let joined = HeaderValue::from_bytes(&joined).expect("values joined by `; ` are a value");
    headers.insert(COOKIE, joined);
}

/// Rewrites a response's headers for the client.
pub(super) fn rewrite_response(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
}

/// Rewrites the headers of a `101 Switching Protocols`.
pub(super) fn rewrite_switch(headers: &mut HeaderMap, protocol: HeaderValue) {
    remove_hop_by_hop(headers);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Most messages have none of them: looking at the names once costs less than asking for each.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| is_hop_by_hop(name)).cloned() {
        if name == CONNECTION {
            remove_listed(headers);
        } else {
            headers.remove(name);
        }
    }
}

/// Whether a header belongs to one connection (RFC 9110, 7.6.1), or tells of a client's certificate: that is ours alone to say,
/// and said later, on routes that want one.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "client-cert"
            | "client-cert-chain"
            | "x-client-cert-fingerprint"
            | "x-client-cert-subject"
    )
}

/// Removes `Connection` and what it lists. The length stays whatever it lists: without it the body would end elsewhere.
fn remove_listed(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| *name != CONTENT_LENGTH && *name != HOST)
        .collect();
    for name in listed {
        headers.remove(name);
    }
    headers.remove(CONNECTION);
}

#[cfg(test)]
mod tests;
