//! The name of a content: a hash that is equal where, and only where, a build would see the same.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::hex;

/// SHA-256 of a build's input.
///
/// `Display` shows the first 16 hexadecimal digits, enough for a tag; [`ContentDigest::full`] has all 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentDigest([u8; 32]);

/// Hashes fields so that no two sequences of fields hash alike: each goes in with its length.
#[derive(Debug)]
pub(super) struct Fields {
    hasher: Sha256,
}

const SHORT_BYTES: usize = 8;

impl ContentDigest {
    /// All 64 hexadecimal digits.
    pub fn full(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..SHORT_BYTES]))
    }
}

impl Fields {
    /// `domain` keeps digests of different kinds and versions of input apart.
    pub(super) fn new(domain: &str) -> Fields {
        let mut fields = Fields { hasher: Sha256::new() };
        fields.field(domain.as_bytes());
        fields
    }

    pub(super) fn field(&mut self, bytes: &[u8]) {
        self.length(bytes.len() as u64);
        self.raw(bytes);
    }

    /// The length of a field whose bytes follow with [`Fields::raw`].
    pub(super) fn length(&mut self, bytes: u64) {
        self.hasher.update(bytes.to_le_bytes());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    pub(super) fn finish(self) -> ContentDigest {
        ContentDigest(self.hasher.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(fields: &[&[u8]]) -> ContentDigest {
        let mut hashed = Fields::new("test");
        fields.iter().for_each(|field| hashed.field(field));
        hashed.finish()
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_ne!(digest(&[b"a", b""]), digest(&[b"a"]));
    }

    #[test]
    fn short_form_is_the_start_of_the_full_one() {
        let digest = digest(&[b"a"]);
        assert_eq!((digest.to_string().len(), digest.full().len()), (16, 64));
        assert!(digest.full().starts_with(&digest.to_string()));
    }
}
