//! The name of a kept certificate.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use crate::hex;

/// Of the fingerprint. 64 bits tell apart any number of certificates that one box keeps.
const ID_BYTES: usize = 8;

/// The first 16 digits of the leaf's SHA-256, in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateId([u8; ID_BYTES]);

/// Why a text names no certificate.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("`{text}` is no id of a certificate; it has 16 hexadecimal digits, as `minipaas certs` shows them")]
pub struct CertificateIdError {
    text: String,
}

impl CertificateId {
    /// Of the chain that begins with this leaf.
    #[must_use]
    pub fn of(leaf: &CertificateDer<'_>) -> Self {
        let digest = Sha256::digest(leaf);
        Self(std::array::from_fn(|index| digest[index]))
    }
}

impl FromStr for CertificateId {
    type Err = CertificateIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::decode(text).map(Self).ok_or_else(|| CertificateIdError { text: text.to_owned() })
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateId({self})")
    }
}
