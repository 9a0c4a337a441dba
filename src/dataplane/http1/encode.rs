//! A request's head, as bytes.

use bytes::{BufMut, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, request};
use hyper::body::Body;

use super::request::RequestBody;
use super::sender::Framing;

/// Room for an ordinary head.
const HEAD_BYTES: usize = 1024;

/// Writes the head, and says how its body is framed.
///
/// A length that the client named is kept: whoever read the request has made sure that the body has it.
pub(super) fn request(head: &request::Parts, body: &RequestBody, out: &mut BytesMut) -> Framing {
    out.reserve(HEAD_BYTES);
    out.put_slice(head.method.as_str().as_bytes());
    out.put_u8(b' ');
    match head.uri.path_and_query() {
        Some(target) => out.put_slice(target.as_str().as_bytes()),
        None => out.put_u8(b'/'),
    }
    out.put_slice(b" HTTP/1.1\r\n");
    let mut has_length = false;
    for (name, value) in &head.headers {
        if name == TRANSFER_ENCODING {
            continue;
        }
        has_length |= name == CONTENT_LENGTH;
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
    let framing = framing(head, body, has_length, out);
    out.put_slice(b"\r\n");
    framing
}

fn framing(head: &request::Parts, body: &RequestBody, has_length: bool, out: &mut BytesMut) -> Framing {
    if body.is_empty() {
        // Servers expect a length where a body is usual (RFC 9110, 8.6).
        if !has_length && matches!(head.method, Method::POST | Method::PUT | Method::PATCH) {
            out.put_slice(b"content-length: 0\r\n");
        }
        return Framing::Plain;
    }
    if has_length {
        return Framing::Plain;
    }
    if let Some(length) = body.size_hint().exact() {
        out.put_slice(format!("content-length: {length}\r\n").as_bytes());
        return Framing::Plain;
    }
    out.put_slice(b"transfer-encoding: chunked\r\n");
    Framing::Chunked
}
