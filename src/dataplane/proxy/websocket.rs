//! WebSockets of clients that speak HTTP/2 (RFC 8441): an extended CONNECT, which becomes an upgrade of HTTP/1.1 for the app.
//!
//! HTTP/2 has no use for the handshake of RFC 6455, 4, so the key is ours to make and what the app makes of it ours to check.
//! It protects nothing: it shows that the app knows what it agreed to. After it the two are the same bytes.

use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderValue, Request, Version};
use hyper::ext::Protocol;

use crate::random;

/// What `:protocol` and `Upgrade` call it.
pub(super) const PROTOCOL: &str = "websocket";
/// What an app puts behind the key before it digests both (RFC 6455, 1.3).
const SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A handshake that has begun.
#[derive(Debug)]
pub(super) struct Handshake {
    /// What `Sec-WebSocket-Accept` must say.
    accept: String,
}

/// Whether a CONNECT asks for a WebSocket.
pub(super) fn is_asked<B>(request: &Request<B>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    request.version() == Version::HTTP_2 && protocol.is_some_and(|protocol| protocol.as_str() == PROTOCOL)
}

impl Handshake {
    /// Begins one with the app; what the client may have said of it is replaced.
    pub(super) fn begin(headers: &mut HeaderMap) -> Self {
        let key = base64(&random::bytes::<16>());
        let accept = base64(&sha1(&[key.as_bytes(), SUFFIX].concat()));
        let key = HeaderValue::try_from(key).expect("base64 is a header value");
        headers.insert(SEC_WEBSOCKET_KEY, key);
        headers.entry(SEC_WEBSOCKET_VERSION).or_insert(HeaderValue::from_static("13"));
        Self { accept }
    }

    /// Whether the app ends it as it must; what it said is taken out of its headers.
    pub(super) fn ends_with(&self, headers: &mut HeaderMap) -> bool {
        headers.remove(SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| accept.as_bytes() == self.accept.as_bytes())
    }
}

/// Base64 (RFC 4648, 4), with its padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| chunk.get(at).map_or(0, |byte| u32::from(*byte));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let is_padding = digit > chunk.len();
            let value = bits >> (18 - 6 * digit) & 0x3f;
            out.push(if is_padding { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    out
}

/// SHA-1 (RFC 3174): nothing else will do here, and nothing here is a secret.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((message.len() + 9).next_multiple_of(64) - 8, 0);
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    let mut hash = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for at in 16..80 {
            words[at] = (words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = hash;
        for (at, word) in words.iter().enumerate() {
            let (mix, constant) = match at {
                0..20 => (b & c | !b & d, 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let sum = a.rotate_left(5).wrapping_add(mix).wrapping_add(e);
            let next = sum.wrapping_add(*word).wrapping_add(constant);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        for (sum, word) in hash.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(word);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(hash) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_that_of_the_rfc() {
        let key = b"dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(base64(b"the sample nonce").as_bytes(), key);
        assert_eq!(base64(&sha1(&[key, SUFFIX].concat())), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!([&b""[..], b"f", b"fo", b"foo"].map(base64), ["", "Zg==", "Zm8=", "Zm9v"]);
    }

    #[test]
    fn a_digest_is_right_around_the_end_of_a_block() {
        // RFC 3174, 7.3, and the lengths at which the padding needs a block of its own.
        for (message, start) in [
            (b"abc".to_vec(), [0xa9, 0x99, 0x3e, 0x36]),
            (Vec::new(), [0xda, 0x39, 0xa3, 0xee]),
            (b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".to_vec(), [0x84, 0x98, 0x3e, 0x44]),
            (b"01234567".repeat(80), [0xde, 0xa3, 0x56, 0xa2]),
        ] {
            assert_eq!(sha1(&message)[..4], start, "{} bytes", message.len());
        }
    }

    #[test]
    fn only_the_right_answer_to_our_key_ends_it() {
        let mut request = HeaderMap::new();
        request.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("the client's"));
        let handshake = Handshake::begin(&mut request);
        assert_ne!(request[SEC_WEBSOCKET_KEY], "the client's");
        let mut response = HeaderMap::new();
        assert!(!handshake.ends_with(&mut response));
        response.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(!handshake.ends_with(&mut response));
        response.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(handshake.accept.clone()).unwrap());
        assert!(handshake.ends_with(&mut response) && response.is_empty());
    }
}
