//! Who computes: the cryptography under every handshake of the box.
//!
//! ring does all of it everywhere. Where the CPU has what graviola needs (AVX2, ADX, BMI2 and their like on x86-64; AES and SHA-2
//! on 64-bit ARM), graviola exchanges keys over X25519 instead, which is the dear half of a full handshake: its curve is the formally
//! verified assembly of s2n-bignum, built without an assembler, at less than half of ring's cost. With it there is
//! X25519MLKEM768 as well, which browsers offer first: what is recorded today cannot be read by a quantum computer later. ring has
//! no ML-KEM.
//!
//! Signatures stay ring's: with P-256 graviola is hardly faster, and its tables make the binary larger. So do all other groups,
//! what follows a handshake, and whatever HTTP/3 does to packets.

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, ring};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = ring::default_provider();
    let fast = fast::groups();
    provider.kx_groups.retain(|group| fast.iter().all(|fast| fast.name() != group.name()));
    provider.kx_groups.splice(0..0, fast);
    Arc::new(provider)
});

/// The provider of the box's servers. Nothing is installed for the process, so nothing depends on who is first.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod fast {
    use rustls::crypto::SupportedKxGroup;
    use rustls_graviola::kx::{X25519, X25519MLKEM768};

    /// Key exchanges in the order in which the server prefers them; none where the CPU lacks something.
    pub(super) fn groups() -> Vec<&'static dyn SupportedKxGroup> {
        if graviola::util::is_cpu_supported() { vec![X25519MLKEM768, &X25519] } else { Vec::new() }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod fast {
    use rustls::crypto::SupportedKxGroup;

    pub(super) fn groups() -> Vec<&'static dyn SupportedKxGroup> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use rustls::NamedGroup;

    use super::*;

    #[test]
    fn each_group_is_there_once_whatever_the_cpu_has() {
        let names: Vec<_> = provider().kx_groups.iter().map(|group| group.name()).collect();
        let everywhere = [NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1];
        match names.as_slice() {
            [NamedGroup::X25519MLKEM768, rest @ ..] => assert_eq!(rest, everywhere),
            names => assert_eq!(names, everywhere),
        }
    }
}
