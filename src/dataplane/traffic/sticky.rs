//! The cookie that brings a client back to the upstream that it had before.
//!
//! Its value is a MAC of the instance's id under the box's own key. Whoever has a value can tell neither an address nor an
//! instance from it, and can make none up; one that fits no upstream of the route is as good as none. A value is computed
//! once for each upstream, so that a request costs a comparison, no cryptography.

use std::fmt;

use hmac::{Hmac, Mac};
use http::HeaderValue;
use sha2::Sha256;

use crate::name::{InstanceId, PathPrefix};

/// The name of the cookie.
pub const STICKY_COOKIE: &str = "minipaas_sticky";
/// How many bytes of a MAC are used; 128 bits cannot be guessed.
const MAC_BYTES: usize = 16;

/// The key that makes the cookies of a box. One that changes sends every client to a new upstream, once.
#[derive(Clone, PartialEq, Eq)]
pub struct StickyKey([u8; 32]);

/// What the cookie of an upstream says: lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickyToken(String);

// === impl StickyKey ===

impl StickyKey {
    /// The key with these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A new key that nobody can guess.
    pub(super) fn random() -> Self {
        Self(crate::random::bytes())
    }

    /// What leads to this instance.
    pub(super) fn token(&self, instance: &InstanceId) -> StickyToken {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(b"sticky ");
        mac.update(instance.as_str().as_bytes());
        let digest = mac.finalize().into_bytes();
        StickyToken(crate::hex::encode(&digest[..MAC_BYTES]))
    }
}

impl fmt::Debug for StickyKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StickyKey").finish_non_exhaustive()
    }
}

// === impl StickyToken ===

impl StickyToken {
    /// The value of the cookie.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The `Set-Cookie` that makes a client come back here; it ends with the browser's session.
    #[must_use]
    pub fn set_cookie(&self, path: &PathPrefix, is_https: bool) -> HeaderValue {
        let secure = if is_https { "; Secure" } else { "" };
        let text = format!("{STICKY_COOKIE}={}; Path={path}; HttpOnly; SameSite=Lax{secure}", self.0);
        HeaderValue::try_from(text).expect("a path prefix is made of visible ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_depends_on_key_and_instance_and_names_neither() {
        let (key, other) = (StickyKey::new([1; 32]), StickyKey::new([2; 32]));
        let (one, two) = (InstanceId::from_bits(1), InstanceId::from_bits(2));
        let token = key.token(&one);
        assert_eq!(token, StickyKey::new([1; 32]).token(&one), "it survives a restart");
        assert_ne!(token, key.token(&two));
        assert_ne!(token, other.token(&one));
        assert_eq!(token.as_str().len(), 2 * MAC_BYTES);
        assert!(!token.as_str().contains(one.as_str()));
        assert!(!format!("{key:?}").contains('1'));
    }

    #[test]
    fn the_cookie_is_for_the_route_alone_and_for_no_script() {
        let token = StickyToken("abc".to_owned());
        let path = "/api".parse().unwrap();
        assert_eq!(
            token.set_cookie(&path, true),
            "minipaas_sticky=abc; Path=/api; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(token.set_cookie(&path, false), "minipaas_sticky=abc; Path=/api; HttpOnly; SameSite=Lax");
    }
}
