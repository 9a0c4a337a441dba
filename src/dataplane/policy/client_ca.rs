//! Whose certificates clients must show.

use std::fmt;

use x509_parser::pem::Pem;

/// More CAs than this for one route are a list of customers, which belongs under a CA of their own.
const CERTIFICATES_MAX: usize = 16;

/// The certificates of the CAs one of which has signed for a client, directly or through others that the client shows along.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientCa {
    /// As DER; never empty.
    certificates: Vec<Vec<u8>>,
}

/// Why a text names no CA.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientCaError {
    /// There is none in it.
    #[error("there is no certificate in it; expected PEM, which begins with `-----BEGIN CERTIFICATE-----`")]
    Missing,
    /// There are too many.
    #[error("there are more than {CERTIFICATES_MAX} certificates in it; put a CA above them")]
    TooMany,
    /// The framing or the base64 in it is broken.
    #[error("its PEM is broken")]
    Pem,
    /// There is something else in it.
    #[error(
        "there is a `{label}` in it, which nobody needs to check certificates; keep the certificates alone"
    )]
    Other {
        /// What it says it is.
        label: String,
    },
    /// This certificate, counted from 1, cannot be read.
    #[error("certificate {number} in it is broken")]
    Broken {
        /// Which.
        number: usize,
    },
    /// This certificate, counted from 1, may sign no others.
    #[error("certificate {number} in it is not a CA's: it may not sign others")]
    NoCa {
        /// Which.
        number: usize,
    },
}

// === impl ClientCa ===

impl ClientCa {
    /// Reads the certificates of a PEM text; what stands around them is a comment.
    ///
    /// # Errors
    ///
    /// See [`ClientCaError`]. Whether they have run out is not asked: that is for the moment in which they are used.
    pub fn from_pem(text: &str) -> Result<Self, ClientCaError> {
        let mut certificates = Vec::new();
        for pem in Pem::iter_from_buffer(text.as_bytes()) {
            let (pem, number) = (pem.map_err(|_| ClientCaError::Pem)?, certificates.len() + 1);
            if pem.label != "CERTIFICATE" {
                return Err(ClientCaError::Other { label: pem.label });
            }
            if number > CERTIFICATES_MAX {
                return Err(ClientCaError::TooMany);
            }
            let is_ca = pem.parse_x509().map_err(|_| ClientCaError::Broken { number })?.is_ca();
            if !is_ca {
                return Err(ClientCaError::NoCa { number });
            }
            certificates.push(pem.contents);
        }
        if certificates.is_empty() { Err(ClientCaError::Missing) } else { Ok(Self { certificates }) }
    }

    /// The certificates, as DER.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(Vec::as_slice)
    }
}

impl fmt::Debug for ClientCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCa").field("certificates", &self.certificates.len()).finish()
    }
}
