//! The public half of a CA: one certificate, with the names people and stores know it by.
//!
//! It is read from PEM text, so it can come from a local file or from another box over the control API. The
//! id is taken from the public key: it needs nothing but the certificate to compute, is random because the
//! key is, and so tells the CAs of several boxes apart in one trust store. The certificate is parsed only
//! as far as that; whether it can sign anything is for those who verify with it.

use std::fmt;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::ParsedCertificate;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::constraints::Constraints;

/// Length of an id before it is written in hex. 48 bits tell apart any number of boxes one machine trusts,
/// and leave room for a host name in a common name, which X.520 ends at 64 characters.
const ID_BYTES: usize = 6;

/// Where every box gives its CA's certificate to whoever asks, on every host.
pub const CA_PATH: &str = "/.well-known/minipaas/ca.crt";

const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

/// A CA's certificate. Cheap enough to clone; holds nothing secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CaCertificate {
    pem: String,
    der: CertificateDer<'static>,
    id: String,
}

/// Why a text is not a CA certificate.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum CertificateError {
    /// More or fewer than one certificate; only one is ever trusted at a time.
    #[error("there are {found} certificates in the PEM text; exactly one is expected")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// The PEM framing or the base64 in it is broken.
    #[error("the PEM text is broken; expected `-----BEGIN CERTIFICATE-----`, base64, and the end line")]
    Pem,
    /// It is PEM, and what is in it is no X.509 certificate.
    #[error("the PEM text does not hold an X.509 certificate")]
    NotACertificate(#[source] rustls::Error),
}

impl CaCertificate {
    /// Reads the one certificate in `text`; what stands around it (comments, say) is dropped.
    ///
    /// # Errors
    ///
    /// If there is not exactly one certificate, or if it cannot be parsed.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let mut ders = CertificateDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CertificateError::Pem)?;
        let found = ders.len();
        let (Some(der), 1) = (ders.pop(), found) else {
            return Err(CertificateError::Count { found });
        };
        // The text kept is what trust stores are given, so it must be that certificate and nothing else.
        let begin = text.find(PEM_BEGIN).ok_or(CertificateError::Pem)?;
        let end = begin + text[begin..].find(PEM_END).ok_or(CertificateError::Pem)? + PEM_END.len();
        let id = {
            let parsed = ParsedCertificate::try_from(&der).map_err(CertificateError::NotACertificate)?;
            id_of_public_key(&parsed.subject_public_key_info())
        };
        Ok(Self { pem: format!("{}\n", &text[begin..end]), der, id })
    }

    /// The certificate as PEM text, ending in a newline.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificate as DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Twelve hex digits that tell this CA from every other.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `minipaas-<id>`: what trust stores know the certificate by, as file name or nickname.
    pub fn label(&self) -> String {
        format!("minipaas-{}", self.id)
    }

    /// The name that it gives itself, and that people see in lists: its common name; empty if it has none.
    pub fn name(&self) -> String {
        let parsed = X509Certificate::from_der(&self.der).ok();
        let name = parsed.and_then(|(_, parsed)| {
            Some(parsed.subject().iter_common_name().next()?.as_str().ok()?.to_owned())
        });
        name.unwrap_or_default()
    }

    /// Whether it says that it may sign others.
    pub fn is_ca(&self) -> bool {
        X509Certificate::from_der(&self.der).is_ok_and(|(_, parsed)| parsed.is_ca())
    }

    /// What the CA may sign for; `None` for one made by an earlier version, which may sign for anything.
    pub fn constraints(&self) -> Option<Constraints> {
        Constraints::read(&self.der)
    }

    /// Whether clients accept what the CA signs for this host: a name in lower case, `*.` and one, or an address.
    pub fn permits(&self, host: &str) -> bool {
        self.constraints().is_none_or(|constraints| constraints.permits(host))
    }

    /// SHA-256 of the DER as upper-case hex with colons, as browsers and `openssl x509 -fingerprint` show it.
    pub fn fingerprint(&self) -> String {
        let pairs: Vec<String> = Sha256::digest(&self.der).iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }
}

impl fmt::Debug for CaCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaCertificate").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The id of the CA whose public key this is, as DER `SubjectPublicKeyInfo`.
pub(super) fn id_of_public_key(spki: &[u8]) -> String {
    crate::hex::encode(&Sha256::digest(spki)[..ID_BYTES])
}
