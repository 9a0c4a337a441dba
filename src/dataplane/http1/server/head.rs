//! A request's head, from bytes, and what it says about its connection.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};
use httparse::Status;

use super::super::AnyBody;
use super::super::decode::{Chunk, Decoder, content_length, has_lone_lf};
use super::super::lists;

/// Header lines of one request.
pub const HEADERS_MAX: usize = 100;

/// A request without its body.
pub(super) struct Head {
    pub request: Request<Option<AnyBody>>,
    pub expected: Expected,
    pub wishes: Wishes,
}

/// What follows the head.
pub(super) enum Expected {
    Nothing,
    Body(Decoder),
}

/// What the client wants of the response and of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wishes {
    pub is_head: bool,
    pub is_http10: bool,
    pub keeps_alive: bool,
    /// It holds its body back until it hears `100 Continue`.
    pub continues: bool,
    pub takes_trailers: bool,
}

/// A head that is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub rule: &'static str,
}

impl Refusal {
    pub(super) const TOO_LARGE: Self =
        Self { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, rule: "the head is too large" };
    pub(super) const BLANK: Self = Self::bad("empty lines go on before a request");
    const TARGET_TOO_LONG: Self = Self { status: StatusCode::URI_TOO_LONG, rule: "the target is too long" };

    const fn bad(rule: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, rule }
    }
}

/// Takes the empty lines before a request off the front of `input` (RFC 9112, 2.2), and says how many there were.
pub(super) fn skip_blank(input: &mut BytesMut) -> usize {
    let lines = input.chunks_exact(2).take_while(|line| line == b"\r\n").count();
    input.advance(2 * lines);
    lines
}

/// Takes a head of at most `bytes_max` off the front of `input`; `None` when it is not complete.
///
/// # Errors
///
/// [`Refusal`]; nothing that follows may be read.
pub(super) fn parse(input: &mut BytesMut, bytes_max: usize) -> Result<Option<Head>, Refusal> {
    let mut headers = [const { std::mem::MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(input, &mut headers) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TOO_LARGE),
        Err(_) => return Err(Refusal::bad("a line of the head is malformed")),
    };
    if length > bytes_max {
        return Err(Refusal::TOO_LARGE);
    }
    if has_lone_lf(&input[..length]) {
        return Err(Refusal::bad("a line ends with LF alone"));
    }
    // One copy of the whole head, which target and values share: the buffer stays free for what follows.
    let copy = Bytes::copy_from_slice(&input[..length]);
    let start = input.as_ptr().addr();
    let shared = |part: &[u8]| {
        let at = part.as_ptr().addr() - start;
        copy.slice(at..at + part.len())
    };
    let mut request = Request::new(None);
    let method = parsed.method.unwrap_or_default();
    *request.method_mut() =
        Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::bad("the method is no token"))?;
    let target = parsed.path.unwrap_or_default();
    if target.len() > usize::from(u16::MAX - 1) {
        return Err(Refusal::TARGET_TOO_LONG);
    }
    *request.uri_mut() = Uri::from_maybe_shared(shared(target.as_bytes()))
        .map_err(|_| Refusal::bad("the target is no URI"))?;
    let is_http10 = parsed.version == Some(0);
    *request.version_mut() = if is_http10 { Version::HTTP_10 } else { Version::HTTP_11 };
    let map = request.headers_mut();
    // Room for what the proxy adds.
    map.reserve(parsed.headers.len() + 12);
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes())
            .map_err(|_| Refusal::bad("the name of a header is no token"))?;
        let value = HeaderValue::from_maybe_shared(shared(header.value))
            .map_err(|_| Refusal::bad("the value of a header has a control character"))?;
        map.append(name, value);
    }
    input.advance(length);
    let expected = expected(request.headers_mut(), is_http10)?;
    let headers = request.headers();
    let connection = headers.contains_key(CONNECTION);
    let wishes = Wishes {
        is_head: *request.method() == Method::HEAD,
        is_http10,
        keeps_alive: match (is_http10, connection) {
            (false, false) => true,
            (false, true) => !lists(headers, &CONNECTION, "close"),
            (true, _) => connection && lists(headers, &CONNECTION, "keep-alive"),
        },
        continues: !is_http10
            && headers
                .get(EXPECT)
                .is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue")),
        takes_trailers: headers.contains_key(TE) && lists(headers, &TE, "trailers"),
    };
    Ok(Some(Head { request, expected, wishes }))
}

/// What frames the body (RFC 9112, 6.3), read as strictly as it can be.
fn expected(headers: &mut HeaderMap, is_http10: bool) -> Result<Expected, Refusal> {
    if headers.contains_key(TRANSFER_ENCODING) {
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        let is_chunked =
            codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !is_chunked || codings.next().is_some() {
            return Err(Refusal::bad("a transfer coding other than `chunked`, once"));
        }
        if is_http10 {
            return Err(Refusal::bad("a transfer coding in HTTP/1.0"));
        }
        if headers.contains_key(CONTENT_LENGTH) {
            return Err(Refusal::bad("a length beside a transfer coding"));
        }
        return Ok(Expected::Body(Decoder::Chunked(Chunk::Size)));
    }
    if !headers.contains_key(CONTENT_LENGTH) {
        return Ok(Expected::Nothing);
    }
    let has_list = headers.get_all(CONTENT_LENGTH).iter().any(|value| value.as_bytes().contains(&b','));
    match content_length(headers) {
        Ok(Some(0)) => Ok(Expected::Nothing),
        Ok(Some(length)) if !has_list => Ok(Expected::Body(Decoder::Length(length))),
        _ => Err(Refusal::bad("a length that is none, or several")),
    }
}
