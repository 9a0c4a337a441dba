//! What can go wrong with a request of ours, in plain words.
//!
//! The errors below are nested and speak of connectors; what is kept of them is the innermost reason.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy;
use rustls::CertificateError;

use super::limits;
use super::lookup::LookupError;

/// A request that had no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// An additional root cannot be used.
    #[error("an additional root is no certificate that can be trusted")]
    Root(#[source] rustls::Error),
    /// Nothing that a request can be sent to.
    #[error("`{address}` is no address that begins with http:// or https:// and a host")]
    Address {
        /// What was given.
        address: String,
    },
    /// The host has no address, or nobody said in time.
    #[error("cannot look up `{host}`: {why}")]
    Unknown {
        /// Whom we asked for.
        host: String,
        /// What the look-up said.
        why: String,
    },
    /// There is no connection to it.
    #[error("cannot reach `{host}`: {why}")]
    Unreachable {
        /// Whom we called.
        host: String,
        /// What the system said.
        why: String,
    },
    /// TLS did not come about because of its certificate.
    #[error("the certificate of `{host}` is not trusted: {why}")]
    Untrusted {
        /// Whom we called.
        host: String,
        /// What is wrong with the certificate.
        why: String,
    },
    /// It took longer than it may.
    #[error("`{host}` did not answer within {limit:?}")]
    Slow {
        /// Whom we asked.
        host: String,
        /// How long it had.
        limit: Duration,
    },
    /// It said more than it may.
    #[error("the response of `{host}` is larger than {limit} bytes")]
    Large {
        /// Whom we asked.
        host: String,
        /// How much it may say.
        limit: usize,
    },
    /// It answered, and not as an http server does.
    #[error("the connection to `{host}` broke: {why}")]
    Broken {
        /// Whom we asked.
        host: String,
        /// What happened to it.
        why: String,
    },
}

impl WebError {
    /// Whether the host is to blame, or the way there, so that it may be well later without anybody changing a setting.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Unknown { .. } | Self::Unreachable { .. } | Self::Slow { .. } | Self::Broken { .. }
        )
    }

    /// What a request ended with before there was a response.
    pub(super) fn of_request(host: &str, error: &legacy::Error) -> Self {
        let host = host.to_owned();
        if let Some(error) = find::<LookupError>(error) {
            return Self::Unknown { host, why: error.to_string() };
        }
        match find::<rustls::Error>(error) {
            Some(rustls::Error::InvalidCertificate(error)) => Self::Untrusted { host, why: complaint(error) },
            Some(error) => Self::Broken { host, why: error.to_string() },
            None if error.is_connect() => Self::Unreachable { host, why: innermost(error) },
            None => Self::Broken { host, why: innermost(error) },
        }
    }

    /// What a response ended with before its end.
    pub(super) fn of_body(host: &str, error: &(dyn Error + 'static)) -> Self {
        Self::Broken { host: host.to_owned(), why: innermost(error) }
    }
}

/// An error and what caused it, outermost first. An `io::Error` hides the error that it was made of; it comes out here.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    if find::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        return format!("nobody answered within {:?}", limits::CONNECT_TIME_MAX);
    }
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

/// What is wrong with a certificate, for those who do not know rustls.
fn complaint(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "its issuer is not known here".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; is the clock of this machine right?".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".to_owned()
        }
        CertificateError::Other(_) if is_of_a_ca(error) => {
            "it is one of a CA, as `openssl req -x509` makes it, and not of a server; have that CA sign one for the server"
                .to_owned()
        }
        CertificateError::Revoked => "it was revoked".to_owned(),
        other => other.to_string(),
    }
}

/// Whether a server has shown a CA's certificate as its own. rustls has no variant for that, and wraps webpki's.
fn is_of_a_ca(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity")
}
