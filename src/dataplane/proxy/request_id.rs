//! Names for requests: 128 bits, told to the app as `X-Request-Id` and to people on error pages and in logs.
//!
//! One that a trusted proxy gave is kept. Ours are a keyed hash of a counter, with keys that are random in each process:
//! unique, not to be guessed, and without a system call for each request. They protect nothing, so nothing stronger is needed.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// Makes request ids.
#[derive(Debug)]
pub(super) struct RequestIds {
    keys: RandomState,
    count: AtomicU64,
}

/// The longest id that is kept; ours have 32.
const BYTES_MAX: usize = 64;
/// Anything shorter is no name that is unique.
const BYTES_MIN: usize = 8;

/// 32 hexadecimal digits, or what a trusted proxy named the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestId {
    text: [u8; BYTES_MAX],
    length: u8,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        Self { keys: RandomState::new(), count: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> RequestId {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; BYTES_MAX];
        for (half, digits) in text[..32].chunks_exact_mut(16).enumerate() {
            let bits = self.keys.hash_one((number, half));
            for (digit, nibble) in digits.iter_mut().zip((0..64).step_by(4)) {
                *digit = b"0123456789abcdef"[(bits >> nibble) as usize & 0xf];
            }
        }
        RequestId { text, length: 32 }
    }
}

impl RequestId {
    /// An id that somebody else made, when it is neither too short nor too long and has nothing but letters, digits and
    /// what ids are joined with.
    pub(super) fn parse(given: &str) -> Option<Self> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:=+/@".contains(&b);
        if !(BYTES_MIN..=BYTES_MAX).contains(&given.len()) || !given.bytes().all(is_plain) {
            return None;
        }
        let mut text = [0; BYTES_MAX];
        text[..given.len()].copy_from_slice(given.as_bytes());
        Some(Self { text, length: u8::try_from(given.len()).ok()? })
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("letters, digits and joints are ASCII")
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }

    /// Four bytes that a peer cannot foresee, where the id is ours: what RFC 6455, 5.3 asks of a mask.
    pub(super) fn mask(&self) -> [u8; 4] {
        let text = self.as_bytes();
        [0, 9, 18, 27].map(|at| text[at % text.len()])
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&RequestId> for HeaderValue {
    fn from(id: &RequestId) -> Self {
        Self::from_bytes(id.as_bytes()).expect("letters, digits and joints are a header value")
    }
}

#[cfg(test)]
mod tests {
    use super::RequestIds;

    #[test]
    fn ids_are_32_digits_and_differ() {
        let ids = RequestIds::new();
        let made: std::collections::HashSet<String> = (0..1000).map(|_| ids.next().to_string()).collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }
}
