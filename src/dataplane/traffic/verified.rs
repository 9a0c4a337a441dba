//! Passwords that were found right, so that the slow hash is computed once for each and not for each request.
//!
//! Kept are keyed hashes of whole `Authorization` values; the key is random in each process and never leaves it, so neither a
//! memory dump nor the time of a look-up tells a password. Wrong ones are not kept: they are what an attacker has plenty of.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::random;

/// How many are kept for one route; the oldest makes room.
const CREDENTIALS_MAX: usize = 1_000;

/// The credentials that one route has found right.
pub struct Verified {
    key: Hmac<Sha256>,
    known: Mutex<Known>,
}

/// The keyed hash of an `Authorization` value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

#[derive(Default)]
struct Known {
    digests: HashSet<Digest>,
    oldest_first: VecDeque<Digest>,
}

impl Verified {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        let mut key = [0; 32];
        key.chunks_exact_mut(4).for_each(|chunk| chunk.copy_from_slice(&random::bits().to_ne_bytes()));
        let key = Hmac::new_from_slice(&key).expect("HMAC takes a key of any length");
        Self { key, known: Mutex::default() }
    }

    /// What is remembered of an `Authorization` value.
    #[must_use]
    pub fn digest(&self, authorization: &[u8]) -> Digest {
        Digest(self.key.clone().chain_update(authorization).finalize().into_bytes().into())
    }

    /// Whether this was found right before.
    #[must_use]
    pub fn knows(&self, digest: &Digest) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).digests.contains(digest)
    }

    /// Remembers that this is right.
    pub fn remember(&self, digest: Digest) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.digests.insert(digest) {
            return;
        }
        known.oldest_first.push_back(digest);
        if known.oldest_first.len() > CREDENTIALS_MAX
            && let Some(oldest) = known.oldest_first.pop_front()
        {
            known.digests.remove(&oldest);
        }
    }
}

impl Default for Verified {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Verified {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{CREDENTIALS_MAX, Verified};

    #[test]
    fn the_oldest_makes_room() {
        let verified = Verified::new();
        let digest = |n: usize| verified.digest(&n.to_le_bytes());
        assert!(!verified.knows(&digest(0)));
        for n in 0..=CREDENTIALS_MAX {
            verified.remember(digest(n));
            verified.remember(digest(n));
        }
        assert!(!verified.knows(&digest(0)));
        assert!(verified.knows(&digest(1)) && verified.knows(&digest(CREDENTIALS_MAX)));
        assert!(!Verified::new().knows(&digest(1)), "each has a key of its own");
    }
}
