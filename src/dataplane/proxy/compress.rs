//! Responses that are compressed on their way, for clients that take them so (RFC 9110, 12.5.3).
//!
//! [`negotiate`] chooses a coding from what the client accepts and the policy offers: the highest weight wins, then the policy's
//! order. [`plan`] decides whether a response gets it, and changes its headers. [`Compressed`] is the body: it compresses as long
//! as the app has more to give, and flushes as soon as it would have to wait, so that a stream stays live and a file is packed
//! well.
//!
//! Left alone is what is encoded already, partial, without a body, shorter than [`LENGTH_MIN`], forbidden to be transformed, of a
//! type that does not get smaller, or a stream of events. Levels and windows are fixed and low: a proxy spends its time for many.
//! Nothing is ever decompressed here.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, VARY,
};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper::body::{Body, Frame, SizeHint};

use crate::http1::BodyError;
use crate::policy::Encoding;

/// Below this many bytes packing costs more than it saves.
const LENGTH_MIN: u64 = 256;
/// zlib's scale goes to 9; nginx's default is 1.
const GZIP_LEVEL: u32 = 5;
/// Brotli's scale goes to 11; above 4 its time grows fast.
const BROTLI_LEVEL: u32 = 4;
/// Zstandard's default.
const ZSTD_LEVEL: i32 = 3;
/// Windows of 256 KiB: what bounds the memory of one response to about 1 MiB.
const WINDOW_BITS: u32 = 18;
/// How much is compressed before anything else of the connection has its turn.
const TURN_BYTES_MAX: usize = 256 * 1024;
/// How much compressed data is handed on at once.
const PIECE_BYTES: usize = 16 * 1024;
/// The types beside `text/*`, `+json` and `+xml` that get smaller.
const TYPES: [&str; 11] = [
    "application/javascript",
    "application/json",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/xml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/x-icon",
];

/// A body that is compressed as it passes.
#[derive(Debug)]
pub(super) struct Compressed<B> {
    body: B,
    /// `None` once all was handed on.
    encoder: Option<Encoder>,
    /// Whether the encoder holds something back.
    is_dirty: bool,
    trailers: Option<HeaderMap>,
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

/// The coding for a client, of those that the policy offers.
pub(super) fn negotiate(offered: &[Encoding], headers: &HeaderMap) -> Option<Encoding> {
    if offered.is_empty() || !headers.contains_key(ACCEPT_ENCODING) {
        return None;
    }
    let accepted: Vec<(&str, u16)> = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(weighted)
        .collect();
    let weight = |name: &str| {
        let named = accepted.iter().find(|(coding, _)| coding.eq_ignore_ascii_case(name));
        named.or_else(|| accepted.iter().find(|(coding, _)| *coding == "*")).map_or(0, |(_, weight)| *weight)
    };
    let mut best = None;
    for encoding in offered {
        let weight = weight(encoding.as_str());
        if weight > best.map_or(0, |(_, best)| best) {
            best = Some((*encoding, weight));
        }
    }
    best.map(|(encoding, _)| encoding)
}

/// Decides whether a response is compressed, and makes its headers say so. `encoding` is what the client takes.
pub(super) fn plan(
    offered: &[Encoding],
    encoding: Option<Encoding>,
    method: &Method,
    parts: &mut Parts,
    body: &impl Body,
) -> Option<Encoding> {
    if offered.is_empty() || !is_compressible(parts, body) {
        return None;
    }
    // Another client would have got another response, and so would a GET in the place of a HEAD.
    parts.headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    let encoding = encoding.filter(|_| *method != Method::HEAD)?;
    let headers = &mut parts.headers;
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.as_str()));
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    let strong = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    if let Some(Ok(weak)) = strong.map(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())) {
        headers.insert(ETAG, weak);
    }
    Some(encoding)
}

/// Whether a response is a stream of server-sent events.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    media_type(headers) == Some("text/event-stream")
}

impl<B> Compressed<B> {
    /// The body in this coding.
    pub(super) fn new(body: B, encoding: Encoding) -> Self {
        Self { body, encoder: Some(Encoder::new(encoding)), is_dirty: false, trailers: None }
    }
}

impl<B> Compressed<B>
where
    B: Body<Data = Bytes, Error: Into<BodyError>> + Unpin,
{
    fn poll_packed(&mut self, encoder: &mut Encoder, cx: &mut Context<'_>) -> Poll<Result<Step, BodyError>> {
        let mut taken = 0;
        while taken < TURN_BYTES_MAX && encoder.output().len() < PIECE_BYTES {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(Step::End)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.into())),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        taken += data.len();
                        encoder.write_all(&data)?;
                        self.is_dirty = true;
                    }
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        return Poll::Ready(Ok(Step::End));
                    }
                },
                Poll::Pending if self.is_dirty => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        if encoder.output().len() < PIECE_BYTES {
            encoder.flush()?;
            self.is_dirty = false;
        }
        Poll::Ready(Ok(Step::Piece))
    }
}

enum Step {
    Piece,
    End,
}

impl<B> Body for Compressed<B>
where
    B: Body<Data = Bytes, Error: Into<BodyError>> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some(mut encoder) = this.encoder.take() else {
            return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
        };
        let step = match this.poll_packed(&mut encoder, cx) {
            Poll::Ready(step) => step,
            Poll::Pending => {
                this.encoder = Some(encoder);
                return Poll::Pending;
            }
        };
        match step {
            Ok(Step::Piece) => {
                let piece = std::mem::take(encoder.output());
                this.encoder = Some(encoder);
                Poll::Ready(Some(Ok(Frame::data(piece.into()))))
            }
            Ok(Step::End) => {
                Poll::Ready(Some(encoder.finish().map(|last| Frame::data(last.into())).map_err(Into::into)))
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Encoder {
    fn new(encoding: Encoding) -> Self {
        let out = Vec::with_capacity(PIECE_BYTES);
        match encoding {
            Encoding::Gzip => Self::Gzip(GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL))),
            Encoding::Brotli => {
                let writer = brotli::CompressorWriter::new(out, PIECE_BYTES, BROTLI_LEVEL, WINDOW_BITS);
                Self::Brotli(Box::new(writer))
            }
            Encoding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)
                    .expect("zstd fails only for want of memory or at a level that it does not have");
                encoder.window_log(WINDOW_BITS).expect("zstd takes windows of 2^10 to 2^27 bytes");
                Self::Zstd(encoder)
            }
        }
    }

    /// What was compressed and not handed on.
    fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }

    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(data),
            Self::Brotli(encoder) => encoder.write_all(data),
            Self::Zstd(encoder) => encoder.write_all(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.flush(),
            Self::Brotli(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) => "Gzip",
            Self::Brotli(_) => "Brotli",
            Self::Zstd(_) => "Zstd",
        })
    }
}

/// A member of `Accept-Encoding` and its weight in thousandths; what is no weight counts as none.
fn weighted(member: &str) -> (&str, u16) {
    let mut parts = member.split(';').map(str::trim);
    let coding = parts.next().unwrap_or_default();
    let weight = parts
        .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
        .map_or(1.0, |weight| if is_number(weight) { weight.parse().unwrap_or(0.0) } else { 0.0_f32 });
    (coding, (weight.clamp(0.0, 1.0) * 1000.0).round() as u16)
}

/// Whether a weight has no sign, exponent or name, such as `inf`.
fn is_number(weight: &str) -> bool {
    weight.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn is_compressible(parts: &Parts, body: &impl Body) -> bool {
    let Parts { status, headers, .. } = parts;
    let has_body = !matches!(
        *status,
        StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::NOT_MODIFIED
            | StatusCode::PARTIAL_CONTENT
    );
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    has_body
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && !is_fixed(headers)
        && media_type(headers).is_some_and(gets_smaller)
        && length.or_else(|| body.size_hint().exact()).is_none_or(|length| length >= LENGTH_MIN)
}

/// Whether the app forbids to change the body (RFC 9111, 5.2.2.6).
fn is_fixed(headers: &HeaderMap) -> bool {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|directive| directive.trim().eq_ignore_ascii_case("no-transform")))
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next().map(str::trim)
}

fn gets_smaller(media: &str) -> bool {
    let media = media.to_ascii_lowercase();
    (media.starts_with("text/") && media != "text/event-stream")
        || media.ends_with("+json")
        || media.ends_with("+xml")
        || TYPES.contains(&media.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_weight_wins_and_then_the_policys_order() {
        use Encoding::{Brotli, Gzip, Zstd};
        for (accept, expected) in [
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip;q=1.0, br;q=0.5, zstd;q=0.5", Some(Gzip)),
            ("GZIP", Some(Gzip)),
            ("br;q=0, *", Some(Zstd)),
            ("zstd;q=0, *;q=0.1", Some(Brotli)),
            ("*;q=0", None),
            ("identity", None),
            ("", None),
            ("br;q=x", None),
            ("br;q=inf", None),
            ("gzip;q=0.999, br;q=0.998", Some(Gzip)),
            ("br;q=0.001", Some(Brotli)),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accept))]);
            assert_eq!(negotiate(&[Zstd, Brotli, Gzip], &headers), expected, "{accept}");
            assert_eq!(negotiate(&[], &headers), None);
        }
        assert_eq!(negotiate(&[Gzip], &HeaderMap::new()), None);
    }

    #[test]
    fn types_that_are_packed_already_are_left_alone() {
        for (media, expected) in [
            ("text/html", true),
            ("Text/CSS", true),
            ("image/svg+xml", true),
            ("application/problem+json", true),
            ("application/wasm", true),
            ("text/event-stream", false),
            ("image/png", false),
            ("application/grpc", false),
            ("application/octet-stream", false),
        ] {
            assert_eq!(gets_smaller(media), expected, "{media}");
        }
    }
}
