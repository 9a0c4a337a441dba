//! Why the local CA cannot be opened or cannot sign: which file it is, and what to do about it. No error shows a key.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::files::{CERTIFICATE_FILE, KEY_FILE};
use crate::seal::SealError;
use crate::tls::certificate::CertificateError;

/// Why the local CA cannot be opened or cannot sign.
#[derive(Debug, Error)]
pub enum CaError {
    /// A file or directory of the CA cannot be read, locked or listed.
    #[error("cannot read `{}` of the local CA", path.display())]
    Read {
        /// What was being read.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file or directory of the CA cannot be made or changed.
    #[error("cannot write `{}` of the local CA", path.display())]
    Write {
        /// What was being written.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The certificate file is not a certificate.
    #[error("`{}` is damaged; {}", path.display(), Remedy(path))]
    DamagedCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
    /// The certificate file is a certificate that cannot be an issuer.
    #[error("`{}` is not a CA certificate; {}", path.display(), Remedy(path))]
    NotAnIssuer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rcgen::Error,
    },
    /// The key file is not a private key. There is no source: a parser's message may quote what it read.
    #[error("`{}` is damaged; {}", path.display(), Remedy(path))]
    DamagedKey {
        /// The file.
        path: PathBuf,
    },
    /// The key file is sealed, and not with this box's key.
    #[error("`{}` is sealed with another key; {}", path.display(), Remedy(path))]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why it stays closed.
        #[source]
        source: SealError,
    },
    /// There is a certificate and no key.
    #[error("`{}` is missing and `{CERTIFICATE_FILE}` is there; {}", path.display(), Remedy(path))]
    MissingKey {
        /// Where the key should be.
        path: PathBuf,
    },
    /// The key is not the one that the certificate is about.
    #[error("`{}` is not the key of `{CERTIFICATE_FILE}` beside it; {}", path.display(), Remedy(path))]
    KeyMismatch {
        /// The key file.
        path: PathBuf,
    },
    /// No certificate can be made for such a host.
    #[error("`{host}` cannot be in a certificate; use a DNS name, `*.` and a DNS name, or an IP address")]
    Host {
        /// What was asked for.
        host: String,
    },
    /// Making or signing a certificate failed.
    #[error("cannot make a certificate for `{subject}`")]
    Sign {
        /// The host, or the CA's own name.
        subject: String,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// A new key cannot be made.
    #[error("cannot make a private key")]
    Key(#[source] rcgen::Error),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
}

/// What to do about a broken pair, the same for all ways in which it can be broken.
struct Remedy<'a>(&'a Path);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dir = self.0.parent().unwrap_or(Path::new(".")).display();
        write!(
            f,
            "restore it from a backup, or remove `{CERTIFICATE_FILE}` and `{KEY_FILE}` in `{dir}` for a new CA \
             and run `minipaas trust` again"
        )
    }
}
