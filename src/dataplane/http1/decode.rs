//! Where a response's body ends (RFC 9112, 6.3).

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Version};
use hyper::body::SizeHint;

use super::{Error, READ_BYTES, READ_BYTES_MAX};

/// A chunk's size line, with its extensions, which nobody uses.
const CHUNK_LINE_BYTES_MAX: usize = 256;
/// All trailers together.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Pieces up to this size are copied out of the buffer, so that the buffer can be used again.
const COPY_BYTES_MAX: usize = 4 * 1024;

/// Finds the pieces of a body among the bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    /// So many bytes are left.
    Length(u64),
    /// Chunk by chunk.
    Chunked(Chunk),
    /// Until the connection ends.
    Close,
    /// Nothing is left.
    Done,
}

/// What is expected next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// A size line.
    Size,
    /// So many bytes.
    Data(u64),
    /// The end of the line after the data.
    DataEnd,
    /// Trailers, and the empty line after them.
    Trailers,
}

/// A part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Decoder {
    /// What frames the body of this response; a length that does not count is taken away.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for lengths that contradict each other, and codings that nobody would undo.
    pub(super) fn of(method: &Method, response: &mut Response<()>) -> Result<Self, Error> {
        let (status, version) = (response.status().as_u16(), response.version());
        let headers = response.headers_mut();
        if *method == Method::HEAD || matches!(status, 204 | 304) {
            headers.remove(TRANSFER_ENCODING);
            if status == 204 {
                // There is no body, and nobody may be told of one (RFC 9110, 8.6).
                headers.remove(CONTENT_LENGTH);
            }
            return Ok(Self::Done);
        }
        if headers.contains_key(TRANSFER_ENCODING) {
            if version == Version::HTTP_10 {
                return Err(Error::Invalid("`Transfer-Encoding` in HTTP/1.0"));
            }
            let decoder = coded(headers)?;
            headers.remove(CONTENT_LENGTH);
            headers.remove(TRANSFER_ENCODING);
            return Ok(decoder);
        }
        match content_length(headers)? {
            Some(0) => Ok(Self::Done),
            Some(length) => Ok(Self::Length(length)),
            None => Ok(Self::Close),
        }
    }

    /// Whether the end of the body is told apart from the end of the connection.
    pub(super) fn is_delimited(self) -> bool {
        self != Self::Close
    }

    /// What is asked of the kernel at once: no more than is known to come.
    pub(super) fn read_bytes(self) -> usize {
        let left = match self {
            Self::Length(left) | Self::Chunked(Chunk::Data(left)) => left,
            _ => return READ_BYTES,
        };
        usize::try_from(left).unwrap_or(READ_BYTES_MAX).clamp(READ_BYTES, READ_BYTES_MAX)
    }

    /// What is left of the body.
    pub(super) fn size_hint(self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(left),
            Self::Done => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::Close => SizeHint::default(),
        }
    }

    pub(super) fn is_done(self) -> bool {
        matches!(self, Self::Done | Self::Length(0))
    }

    /// The next piece; `None` when `input` has to have more.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for chunks that are none.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Piece>, Error> {
        loop {
            match self {
                Self::Done => return Ok(None),
                Self::Close => return Ok(take(input, u64::MAX).map(Piece::Data)),
                Self::Length(left) => {
                    let data = take(input, *left);
                    *left -= data.as_ref().map_or(0, |data| data.len() as u64);
                    return Ok(data.map(Piece::Data));
                }
                Self::Chunked(Chunk::Data(left)) => {
                    let Some(data) = take(input, *left) else { return Ok(None) };
                    *left -= data.len() as u64;
                    if *left == 0 {
                        *self = Self::Chunked(Chunk::DataEnd);
                    }
                    return Ok(Some(Piece::Data(data)));
                }
                Self::Chunked(Chunk::DataEnd) => {
                    if input.len() < 2 {
                        return Ok(None);
                    }
                    if !input.starts_with(b"\r\n") {
                        return Err(Error::Invalid("a chunk is longer than it said"));
                    }
                    input.advance(2);
                    *self = Self::Chunked(Chunk::Size);
                }
                Self::Chunked(Chunk::Size) => {
                    let Some(size) = chunk_size(input)? else { return Ok(None) };
                    *self = Self::Chunked(if size == 0 { Chunk::Trailers } else { Chunk::Data(size) });
                }
                Self::Chunked(Chunk::Trailers) => {
                    let Some(trailers) = trailers(input)? else { return Ok(None) };
                    *self = Self::Done;
                    return Ok((!trailers.is_empty()).then_some(Piece::Trailers(trailers)));
                }
            }
        }
    }
}

/// How a body ends that has a transfer coding: `chunked`, or `identity`, which is none and which old servers say.
fn coded(headers: &HeaderMap) -> Result<Decoder, Error> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let (coding, second) = (codings.next().map(|coding| coding.as_bytes().trim_ascii()), codings.next());
    match coding {
        Some(coding) if second.is_none() && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Decoder::Chunked(Chunk::Size))
        }
        Some(coding) if second.is_none() && coding.eq_ignore_ascii_case(b"identity") => Ok(Decoder::Close),
        _ => Err(Error::Invalid("`Transfer-Encoding` other than `chunked`")),
    }
}

/// The length that the headers name, once or several times the same.
pub(super) fn content_length(headers: &mut HeaderMap) -> Result<Option<u64>, Error> {
    const BAD: Error = Error::Invalid("bad `Content-Length`");
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(None) };
    let is_repeated = lengths.next().is_some() || first.as_bytes().contains(&b',');
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for text in value.as_bytes().split(|b| *b == b',') {
            let text = text.trim_ascii();
            if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
                return Err(BAD);
            }
            let number =
                std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok()).ok_or(BAD)?;
            if length.is_some_and(|length| length != number) {
                return Err(BAD);
            }
            length = Some(number);
        }
    }
    if let Some(length) = length.filter(|_| is_repeated) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(length)
}

/// Whether a line ends with LF alone, which not everybody takes for the end of a line.
pub(super) fn has_lone_lf(lines: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', lines).any(|at| at == 0 || lines[at - 1] != b'\r')
}

/// Up to `at_most` bytes; `None` when there are none.
fn take(input: &mut BytesMut, at_most: u64) -> Option<Bytes> {
    let length = usize::try_from(at_most).unwrap_or(usize::MAX).min(input.len());
    if length == 0 {
        return None;
    }
    if length <= COPY_BYTES_MAX {
        let data = Bytes::copy_from_slice(&input[..length]);
        input.advance(length);
        return Some(data);
    }
    Some(input.split_to(length).freeze())
}

fn chunk_size(input: &mut BytesMut) -> Result<Option<u64>, Error> {
    const BAD: Error = Error::Invalid("bad chunk size");
    let window = &input[..input.len().min(CHUNK_LINE_BYTES_MAX)];
    let Some(end) = window.iter().position(|b| *b == b'\n') else {
        return if window.len() == CHUNK_LINE_BYTES_MAX { Err(BAD) } else { Ok(None) };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or(BAD)?;
    // To some it would end the line.
    if line.contains(&b'\r') {
        return Err(BAD);
    }
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii_end();
    // Sixteen digits would be 2^64: no chunk is that long, and nothing may overflow.
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(BAD);
    }
    let size =
        std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(BAD)?;
    input.advance(end + 1);
    Ok(Some(size))
}

fn trailers(input: &mut BytesMut) -> Result<Option<HeaderMap>, Error> {
    const BAD: Error = Error::Invalid("bad trailer");
    let mut headers = [httparse::EMPTY_HEADER; 32];
    match httparse::parse_headers(input, &mut headers) {
        // As if they had come byte by byte.
        Ok(httparse::Status::Complete((length, _))) if length > TRAILER_BYTES_MAX => Err(BAD),
        Ok(httparse::Status::Complete((length, _))) if has_lone_lf(&input[..length]) => Err(BAD),
        Ok(httparse::Status::Complete((length, headers))) => {
            let mut map = HeaderMap::with_capacity(headers.len());
            for header in headers {
                let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| BAD)?;
                // What frames or routes a message cannot be changed after its body (RFC 9110, 6.5.1).
                if name == CONTENT_LENGTH || name == TRANSFER_ENCODING || name == http::header::HOST {
                    continue;
                }
                map.append(name, HeaderValue::from_bytes(header.value).map_err(|_| BAD)?);
            }
            input.advance(length);
            Ok(Some(map))
        }
        Ok(httparse::Status::Partial) if input.len() < TRAILER_BYTES_MAX => Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => Err(BAD),
    }
}
