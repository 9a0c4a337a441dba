//! Routes that let in only clients with a certificate.
//!
//! The handshake asks for one when any route of its host wants it (`listener`). Each request then has to be for that host, since a
//! client may put requests for other hosts on its connection (RFC 9113, 9.1.1), and for them it was asked nothing: 421 sends it to
//! a connection of its own. Then the certificate has to be of the route's own CA. Over HTTP/3 nobody is asked, so 421 it is there;
//! without TLS there is nothing to ask for.
//!
//! The app is told by the names that others use: `Client-Cert` would be the standard's (RFC 9440), and is the whole certificate,
//! which hardly an app wants to parse; `X-Client-Cert-Subject` and `X-Client-Cert-Fingerprint` are what load balancers and their
//! users call its parts. All of them are taken off every request that comes in (`headers`), whoever sent it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::error::Error;
use super::exchange::Peer;
use crate::policy::ClientCa;
use crate::tls::{ClientCertificate, Clients};

/// The subject as RFC 4514 writes it: `CN=alice,O=Example`.
static X_CLIENT_CERT_SUBJECT: HeaderName = HeaderName::from_static("x-client-cert-subject");
/// SHA-256 of the certificate in hex.
static X_CLIENT_CERT_FINGERPRINT: HeaderName = HeaderName::from_static("x-client-cert-fingerprint");

/// A handshake in which the client was asked for a certificate.
#[derive(Debug)]
pub(super) struct Asked {
    /// The host that it was for, as routes write it.
    pub host: String,
    /// What it showed.
    pub certificate: Option<ClientCertificate>,
    /// Who checks it.
    pub clients: Arc<Clients>,
}

// === impl Asked ===

impl Asked {
    /// The certificate of a client that may come in where `ca` is asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Misdirected`], [`Error::NoCertificate`], [`Error::ForeignCertificate`].
    pub(super) fn certificate<'p>(
        peer: &'p Peer,
        ca: &Arc<ClientCa>,
        host: &str,
    ) -> Result<&'p ClientCertificate, Error> {
        let Some(asked) = peer.asked.get() else {
            return Err(if peer.is_tls { Error::Misdirected } else { Error::NoCertificate });
        };
        if asked.host != host {
            return Err(Error::Misdirected);
        }
        let certificate = asked.certificate.as_ref().ok_or(Error::NoCertificate)?;
        if asked.clients.has_signed(ca, certificate) {
            Ok(certificate)
        } else {
            Err(Error::ForeignCertificate)
        }
    }
}

/// Tells the app whose certificate it was.
pub(super) fn tell(certificate: &ClientCertificate, headers: &mut HeaderMap) {
    headers.insert(&X_CLIENT_CERT_FINGERPRINT, certificate.fingerprint().clone());
    if let Some(subject) = certificate.subject() {
        headers.insert(&X_CLIENT_CERT_SUBJECT, subject.clone());
    }
}
