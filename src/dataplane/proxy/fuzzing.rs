//! Doors for the fuzz targets: what the proxy does to headers, targets and bodies, a function at a time. Compiled with
//! `testing` alone.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};

use super::client::Client;
use super::guard::fuzzing as guard;
use super::headers::{self, Told};
use super::{compress, target};
use crate::http1::BodyError;
use crate::policy::{Encoding, HeaderEdits, Policy};

/// The id that [`rewrite_request`] gives a request.
pub const REQUEST_ID: &str = "0123456789abcdef";

/// Rewrites a request's headers as for an upstream, and returns the protocol that it may change to.
pub fn rewrite_request(
    headers: &mut HeaderMap,
    version: Version,
    peer: SocketAddr,
    host: &HeaderValue,
    prefix: Option<&str>,
) -> Option<HeaderValue> {
    let client = Client::direct(peer, peer.port(), false);
    let upgrade = headers::wanted_upgrade(version, headers);
    if version == Version::HTTP_2 {
        headers::join_cookies(headers);
    }
    let told = Told { client: &client, host, prefix, id: HeaderValue::from_static(REQUEST_ID), start_ms: 1 };
    headers::rewrite_request(headers, told, upgrade.clone());
    upgrade
}

/// Rewrites a response's headers as for a client.
pub fn rewrite_response(headers: &mut HeaderMap) {
    headers::rewrite_response(headers);
}

/// Applies a policy's edits.
pub fn edit(edits: &HeaderEdits, headers: &mut HeaderMap) {
    guard::edit(edits, headers);
}

/// Puts a stripped prefix into a response's `Location` and cookies.
pub fn restore_prefix(prefix: &str, host: &HeaderValue, headers: &mut HeaderMap) {
    guard::restore_prefix(prefix, host, headers);
}

/// The host of a request: as it is sent on, and as it is routed.
#[must_use]
pub fn host(uri: &Uri, headers: &HeaderMap) -> Option<(HeaderValue, String)> {
    let header = target::host_header(uri, headers).ok()?;
    let routed = target::routed_host(&header).ok()?.into_owned();
    Some((header, routed))
}

/// The target that an upstream sees.
#[must_use]
pub fn for_upstream(uri: &Uri, strip: usize) -> Uri {
    target::for_upstream(uri, strip)
}

/// Where the redirect to https leads.
#[must_use]
pub fn over_https(host: &str, port: u16, uri: &Uri) -> Option<HeaderValue> {
    target::over_https(host, port, uri).ok()
}

/// Where the redirect to the canonical host leads.
#[must_use]
pub fn canonical(policy: &Policy, host: &str, named: &HeaderValue, uri: &Uri) -> Option<HeaderValue> {
    guard::canonical(policy, host, named, uri)
}

/// The coding that a client gets.
#[must_use]
pub fn negotiate(offered: &[Encoding], headers: &HeaderMap) -> Option<Encoding> {
    compress::negotiate(offered, headers)
}

/// A body in this coding that comes in these pieces; `None` is a moment at which nothing comes.
///
/// # Panics
///
/// When it cannot be compressed, or the body waits for nothing.
#[must_use]
pub fn compressed(encoding: Encoding, pieces: Vec<Option<Bytes>>) -> Bytes {
    let mut collect = Box::pin(compress::Compressed::new(Script(pieces.into()), encoding).collect());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    // Each piece and each pause makes for at most one wait.
    for _ in 0..10_000 {
        if let Poll::Ready(collected) = collect.as_mut().poll(&mut cx) {
            return collected.expect("memory takes it").to_bytes();
        }
    }
    panic!("the body does not end")
}

/// A body that comes as it was written down.
struct Script(VecDeque<Option<Bytes>>);

impl Body for Script {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(Some(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(None) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
