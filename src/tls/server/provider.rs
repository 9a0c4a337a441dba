//! Who computes: the cryptography under every handshake of the box.
//!
//! ring does all of it everywhere. Where the CPU has what graviola needs (AVX2, ADX, BMI2 and their like on x86-64; AES and SHA-2
//! on aarch64), graviola does the dear half of a full handshake instead: the key exchange, and the signature of an ECDSA key. Its
//! curves are the formally verified assembly of s2n-bignum, built without an assembler. What follows a handshake, and everything
//! that HTTP/3 does to packets, stays ring's, and so do RSA keys and the signatures of others that we check.
//!
//! With graviola there is X25519MLKEM768 as well, which browsers offer first: what is recorded today cannot be read by a quantum
//! computer later. ring has no ML-KEM.

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = ring::default_provider();
    if let Some(groups) = fast::groups() {
        provider.kx_groups = groups;
    }
    Arc::new(provider)
});

/// The provider of the box's servers. Nothing is installed for the process, so nothing depends on who is first.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// What signs handshakes with this private key.
///
/// # Errors
///
/// When it is no key, or one of a kind that TLS has no signatures for.
pub(crate) fn signing_key(key: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
    if let Some(signing) = fast::signing_key(key) {
        return Ok(signing);
    }
    ring::sign::any_supported_type(key)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod fast {
    use std::sync::Arc;

    use rustls::SignatureAlgorithm;
    use rustls::crypto::SupportedKxGroup;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::sign::SigningKey;

    /// Key exchanges in the order in which the server prefers them; `None` where the CPU lacks something.
    pub(super) fn groups() -> Option<Vec<&'static dyn SupportedKxGroup>> {
        graviola::util::is_cpu_supported().then(|| rustls_graviola::kx::ALL_KX_GROUPS.to_vec())
    }

    /// `None` unless it is an ECDSA key, and the CPU has what it takes.
    pub(super) fn signing_key(key: &PrivateKeyDer<'_>) -> Option<Arc<dyn SigningKey>> {
        if !graviola::util::is_cpu_supported() {
            return None;
        }
        let loaded = rustls_graviola::default_provider().key_provider.load_private_key(key.clone_key());
        loaded.ok().filter(|key| key.algorithm() == SignatureAlgorithm::ECDSA)
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod fast {
    use std::sync::Arc;

    use rustls::crypto::SupportedKxGroup;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::sign::SigningKey;

    pub(super) fn groups() -> Option<Vec<&'static dyn SupportedKxGroup>> {
        None
    }

    pub(super) fn signing_key(_: &PrivateKeyDer<'_>) -> Option<Arc<dyn SigningKey>> {
        None
    }
}
