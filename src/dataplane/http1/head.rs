//! A response's head, from bytes.

use bytes::{Buf, Bytes, BytesMut};
use http::header::CONNECTION;
use http::{HeaderName, HeaderValue, Response, StatusCode, Version};
use httparse::Status;

use super::{Error, HEAD_BYTES_MAX, HEADERS_MAX, lists};

const BAD_HEADER: Error = Error::Invalid("bad header");

/// Takes a head off the front of `input`; `None` when it is not complete.
///
/// # Errors
///
/// [`Error::Invalid`] and [`Error::HeadTooLarge`].
pub(super) fn parse(input: &mut BytesMut) -> Result<Option<Response<()>>, Error> {
    let mut headers = [const { std::mem::MaybeUninit::uninit() }; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut head, input, &mut headers);
    let length = match parsed {
        // As if it had come byte by byte.
        Ok(Status::Complete(length)) if length > HEAD_BYTES_MAX => return Err(Error::HeadTooLarge),
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Error::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(Error::Invalid("unknown version")),
        Err(httparse::Error::Status) => return Err(Error::Invalid("bad status")),
        Err(_) => return Err(BAD_HEADER),
    };
    if length > HEAD_BYTES_MAX {
        return Err(Error::HeadTooLarge);
    }
    let mut response = Response::new(());
    let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
    *response.status_mut() = status.ok_or(Error::Invalid("bad status"))?;
    *response.version_mut() = if head.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    // One copy of the whole head, which all values share: the buffer stays free for the next response.
    let copy = Bytes::copy_from_slice(&input[..length]);
    let start = input.as_ptr().addr();
    let map = response.headers_mut();
    map.reserve(head.headers.len());
    for header in head.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| BAD_HEADER)?;
        let at = header.value.as_ptr().addr() - start;
        let value = copy.slice(at..at + header.value.len());
        map.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| BAD_HEADER)?);
    }
    input.advance(length);
    Ok(Some(response))
}

/// Whether the connection outlives the response (RFC 9112, 9.3).
pub(super) fn keeps_alive(response: &Response<()>) -> bool {
    let headers = response.headers();
    match response.version() {
        Version::HTTP_10 => lists(headers, &CONNECTION, "keep-alive"),
        _ => !lists(headers, &CONNECTION, "close"),
    }
}
