//! Names for requests: 128 bits, told to the app as `X-Request-Id` and to people on error pages and in logs.
//!
//! They are a keyed hash of a counter, with keys that are random in each process: unique, not to be guessed, and without a
//! system call for each request. They protect nothing, so nothing stronger is needed.

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

/// 32 hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestId([u8; 32]);

impl RequestIds {
    pub(super) fn new() -> Self {
        Self { keys: RandomState::new(), count: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> RequestId {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; 32];
        for (half, digits) in text.chunks_exact_mut(16).enumerate() {
            let bits = self.keys.hash_one((number, half));
            for (digit, nibble) in digits.iter_mut().zip((0..64).step_by(4)) {
                *digit = b"0123456789abcdef"[(bits >> nibble) as usize & 0xf];
            }
        }
        RequestId(text)
    }
}

impl RequestId {
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }

    /// Four bytes that a peer cannot foresee: what RFC 6455, 5.3 asks of a mask.
    pub(super) fn mask(&self) -> [u8; 4] {
        [self.0[0], self.0[9], self.0[18], self.0[27]]
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&RequestId> for HeaderValue {
    fn from(id: &RequestId) -> Self {
        Self::from_bytes(&id.0).expect("hexadecimal digits are a header value")
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
