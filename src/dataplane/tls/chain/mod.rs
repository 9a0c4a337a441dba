//! A certificate chain and its private key, read and checked together.
//!
//! Both come as PEM text from a person or from an authority. Whatever would only show when a client connects is looked for here:
//! that the key belongs to a certificate of the chain, which is then the leaf; that each certificate signed the one before it,
//! which also puts a shuffled chain right; that the leaf names a host. A root at the end is dropped, as clients have it or
//! nothing helps them. Dates are checked apart from that, by [`Chain::check`], as they change without anything being read.
//!
//! It does not ask whether anybody trusts the chain: a private authority, or a certificate that signed itself, may be what is
//! wanted. No error and no `Debug` quotes anything of the key, not even what the PEM parser stumbled over.

mod error;
mod facts;
mod order;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::RootCertStore;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use zeroize::{Zeroize as _, Zeroizing};

pub use error::ChainError;
pub use facts::KeyKind;
pub(super) use facts::{Facts, name_above};

/// Certificates in one chain. Public ones have two to four; more is a bundle of roots that was taken for a chain.
const CERTIFICATES_MAX: usize = 16;
/// Characters in a line of PEM (RFC 7468, 2).
const PEM_LINE: usize = 64;

/// A chain whose leaf has a name and whose key fits.
pub struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    key: Secret,
    certified: Arc<CertifiedKey>,
    facts: Facts,
    /// Whether the root was there, too.
    is_rooted: bool,
}

/// The key as it was read; wiped when it is dropped.
struct Secret(PrivateKeyDer<'static>);

// === impl Chain ===

impl Chain {
    /// Reads a chain and the key of its leaf; what else stands in the texts is passed over.
    ///
    /// The key may be PKCS#8, SEC1 or PKCS#1: ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits.
    ///
    /// # Errors
    ///
    /// When either text is not what it should be, or they do not belong together.
    pub fn from_pem(certificates: &str, key: &str) -> Result<Self, ChainError> {
        let certificates = read_certificates(certificates)?;
        let key = read_key(key)?;
        let signer = key.signer()?;
        let (order, is_rooted) = {
            let parsed = parse(&certificates)?;
            let order = order::from_leaf(&parsed, leaf_of(&parsed, signer.as_ref())?)?;
            let is_rooted = order.len() < parsed.len() && order::is_root_among(&parsed);
            (order, is_rooted)
        };
        let certificates: Vec<_> = order.into_iter().map(|index| certificates[index].clone()).collect();
        let facts = Facts::of(&certificates)?;
        let certified = Arc::new(CertifiedKey::new(certificates.clone(), signer));
        Ok(Self { certificates, key, certified, facts, is_rooted })
    }

    /// Whether clients with the right time accept every certificate of the chain at `now`.
    ///
    /// # Errors
    ///
    /// [`ChainError::Expired`] or [`ChainError::NotYetValid`], with the certificate and the time.
    pub fn check(&self, now: SystemTime) -> Result<(), ChainError> {
        for span in &self.facts.spans {
            let subject = || span.subject.clone();
            if now >= span.not_after {
                return Err(ChainError::Expired { subject: subject(), at: span.not_after });
            }
            if now < span.not_before {
                return Err(ChainError::NotYetValid { subject: subject(), from: span.not_before });
            }
        }
        Ok(())
    }

    /// What the leaf is for: DNS names in lower case, also `*.` and a name, and IP addresses as text.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.facts.names
    }

    /// Whether the leaf is for `host`, a name in any case or an address. A wildcard stands for exactly one label.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let above = name_above(&host);
        self.facts.names.iter().any(|name| *name == host || above.as_ref() == Some(name))
    }

    /// When the last of the chain's certificates becomes valid.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.facts.not_before()
    }

    /// When the first of the chain's certificates expires.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.facts.not_after()
    }

    /// Who signed the leaf, for people: `R10 (Let's Encrypt)`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.facts.issuer
    }

    /// The leaf's serial number as lower-case hex with colons.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.facts.serial
    }

    /// SHA-256 of the leaf as upper-case hex with colons, as browsers and `openssl x509 -fingerprint` show it.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.facts.fingerprint
    }

    /// Of which kind the leaf's key is.
    #[must_use]
    pub fn key_kind(&self) -> KeyKind {
        self.facts.key_kind
    }

    /// How the last certificate of the chain is called and who signed it, if that is neither itself nor one of `roots`, and was
    /// not given with it: the certificate of an authority between may be missing, or the authority is a private one.
    #[must_use]
    pub fn unknown_issuer(&self, roots: &RootCertStore) -> Option<(String, String)> {
        let parsed = parse(&self.certificates).ok().filter(|_| !self.is_rooted)?;
        order::unknown_issuer(parsed.last()?, roots)
    }

    /// The chain and its key as rustls serves them.
    #[must_use]
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// The certificate that is about the host.
    #[must_use]
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.certificates[0]
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The certificates as PEM, the leaf first.
    pub(super) fn certificates_pem(&self) -> String {
        let blocks = self.certificates.iter().map(|der| pem("CERTIFICATE", der));
        blocks.fold(String::new(), |text, block| text + &block)
    }

    /// The key as PEM, to be sealed.
    pub(super) fn key_pem(&self) -> Zeroizing<String> {
        let label = match &self.key.0 {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        Zeroizing::new(pem(label, self.key.0.secret_der()))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        f.debug_struct("Chain").field("names", &names).field("serial", &self.serial()).finish_non_exhaustive()
    }
}

// === impl Secret ===

impl Secret {
    /// What signs handshakes with it.
    fn signer(&self) -> Result<Arc<dyn SigningKey>, ChainError> {
        any_supported_type(&self.0).map_err(|_| ChainError::KeyUnusable)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Every certificate in the text, in its order.
pub(super) fn read_certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, ChainError> {
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| ChainError::ChainPem)?;
    match certificates.len() {
        0 => Err(ChainError::NoCertificate),
        found if found > CERTIFICATES_MAX => Err(ChainError::TooMany { found, max: CERTIFICATES_MAX }),
        _ => Ok(certificates),
    }
}

/// The chain and the key that its file was sealed with; both were checked when they were put there.
pub(super) fn certified(
    certificates: Vec<CertificateDer<'static>>,
    key: &str,
) -> Result<CertifiedKey, ChainError> {
    Ok(CertifiedKey::new(certificates, read_key(key)?.signer()?))
}

fn read_key(text: &str) -> Result<Secret, ChainError> {
    if let Ok(key) = PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        return Ok(Secret(key));
    }
    if text.contains("ENCRYPTED") {
        return Err(ChainError::KeyEncrypted);
    }
    // Who mixed up the two files reads that, and not that a key is missing.
    let is_chain = <(SectionKind, Vec<u8>)>::from_pem_slice(text.as_bytes())
        .is_ok_and(|(kind, _)| kind == SectionKind::Certificate);
    Err(if is_chain { ChainError::KeyIsChain } else { ChainError::NoKey })
}

fn parse<'a>(certificates: &'a [CertificateDer<'static>]) -> Result<Vec<X509Certificate<'a>>, ChainError> {
    let parse = |(index, der): (usize, &'a CertificateDer<'static>)| {
        let parsed =
            X509Certificate::from_der(der).map_err(|_| ChainError::NotACertificate { place: index + 1 });
        parsed.map(|(_, certificate)| certificate)
    };
    certificates.iter().enumerate().map(parse).collect()
}

/// The certificate that the key belongs to.
fn leaf_of(certificates: &[X509Certificate<'_>], key: &dyn SigningKey) -> Result<usize, ChainError> {
    let public = key.public_key().ok_or(ChainError::KeyUnusable)?;
    let is_ours = |certificate: &X509Certificate<'_>| certificate.public_key().raw == public.as_ref();
    certificates.iter().position(is_ours).ok_or_else(|| {
        let meant = certificates.iter().find(|certificate| !certificate.is_ca()).unwrap_or(&certificates[0]);
        ChainError::KeyMismatch { subject: facts::subject(meant) }
    })
}

fn pem(label: &str, der: &[u8]) -> String {
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(der));
    let mut text = String::with_capacity(encoded.len() + encoded.len() / PEM_LINE + 2 * label.len() + 40);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    for start in (0..encoded.len()).step_by(PEM_LINE) {
        text.push_str(&encoded[start..encoded.len().min(start + PEM_LINE)]);
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests;
