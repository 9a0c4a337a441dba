//! Clients that show certificates: the handshakes in which they are asked for one, and what is known of it after.
//!
//! A handshake knows the host and not yet the route, so it takes a certificate of any CA that a route of the host wants. Which
//! of them it was is asked again for each route, and remembered with the connection: a certificate is checked once for each CA.
//!
//! Such handshakes are always full ones. A session that resumes would bring its certificate along unchecked, also after it has
//! run out or its CA was taken off the route, so there are no tickets, and none of before are taken.
//!
//! Revocation is not asked about: a CA for clients gives short-lived certificates, or is replaced.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::parse_x509_certificate;

use super::provider::provider;
use crate::hex;
use crate::policy::ClientCa;
use crate::route::ClientAuth;

/// What is kept at most, of each kind; when there is more all of it is made again as it is needed.
const KEPT_MAX: usize = 1_000;
/// CAs that are remembered with a connection.
const KNOWN_MAX: usize = 16;
/// A subject beyond this is not passed on: the app's server would refuse the request.
const SUBJECT_BYTES_MAX: usize = 1_024;

/// The configurations of handshakes that ask for certificates, and who checks them; made when first needed.
pub struct Clients {
    base: Arc<ServerConfig>,
    configs: Kept<ClientAuth, Arc<ServerConfig>>,
    verifiers: Kept<Arc<ClientCa>, Arc<dyn ClientCertVerifier>>,
}

/// A certificate that a client has shown, with its key, in the handshake of a connection.
pub struct ClientCertificate {
    /// The client's own first.
    chain: Vec<CertificateDer<'static>>,
    subject: Option<HeaderValue>,
    fingerprint: HeaderValue,
    /// The CAs that were asked about so far.
    known: Mutex<Vec<(Arc<ClientCa>, bool)>>,
}

/// Why clients cannot be asked for certificates.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// A CA's certificate is of a kind that cannot be relied on.
    #[error("a certificate of a client CA cannot be used")]
    Certificate(#[source] rustls::Error),
    /// Nothing can be checked with them.
    #[error("client certificates cannot be checked")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// What was made once.
struct Kept<K, V>(Mutex<HashMap<K, V>>);

// === impl Clients ===

impl Clients {
    /// For handshakes that are otherwise as this configuration says.
    #[must_use]
    pub fn new(base: Arc<ServerConfig>) -> Self {
        Self { base, configs: Kept::default(), verifiers: Kept::default() }
    }

    /// The configuration of a handshake in which clients are asked for this.
    ///
    /// # Errors
    ///
    /// See [`ClientsError`]; nobody may be let in then.
    pub fn config(&self, asked: &ClientAuth) -> Result<Arc<ServerConfig>, ClientsError> {
        self.configs.get_or_make(asked, || {
            let verifier = verifier(asked.cas.iter().map(|ca| &**ca), asked.is_required)?;
            let mut config = ServerConfig::builder_with_provider(Arc::clone(self.base.crypto_provider()))
                .with_safe_default_protocol_versions()
                .expect("they were the provider's versions before")
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(Arc::clone(&self.base.cert_resolver));
            config.alpn_protocols.clone_from(&self.base.alpn_protocols);
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(NoServerSessionStorage {});
            Ok(Arc::new(config))
        })
    }

    /// Whether this CA has signed for the client, and neither certificate has run out.
    pub fn has_signed(&self, ca: &Arc<ClientCa>, certificate: &ClientCertificate) -> bool {
        let mut known = certificate.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, has_signed)) = known.iter().find(|(other, _)| other == ca) {
            return *has_signed;
        }
        let has_signed = match self.verifiers.get_or_make(ca, || verifier([&**ca], true)) {
            Ok(verifier) => certificate.is_accepted(&*verifier),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "nobody passes a client CA");
                false
            }
        };
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.push((Arc::clone(ca), has_signed));
        has_signed
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

fn verifier<'c>(
    cas: impl IntoIterator<Item = &'c ClientCa>,
    is_required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, ClientsError> {
    let mut roots = RootCertStore::empty();
    for certificate in cas.into_iter().flat_map(ClientCa::certificates) {
        roots.add(CertificateDer::from(certificate)).map_err(ClientsError::Certificate)?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let builder = if is_required { builder } else { builder.allow_unauthenticated() };
    Ok(builder.build()?)
}

// === impl ClientCertificate ===

impl ClientCertificate {
    /// What a handshake ended with; `None` when the client showed nothing.
    #[must_use]
    pub fn shown(chain: Option<&[CertificateDer<'static>]>) -> Option<Self> {
        let own = chain?.first()?;
        let fingerprint = hex::encode(Sha256::digest(own));
        Some(Self {
            chain: chain?.to_vec(),
            subject: subject(own),
            fingerprint: HeaderValue::try_from(fingerprint).expect("hex is visible ASCII"),
            known: Mutex::default(),
        })
    }

    /// Its subject (`CN=alice,O=Example`); `None` when it has none that a header can carry.
    pub fn subject(&self) -> Option<&HeaderValue> {
        self.subject.as_ref()
    }

    /// SHA-256 of its DER in lower-case hex.
    pub fn fingerprint(&self) -> &HeaderValue {
        &self.fingerprint
    }

    fn is_accepted(&self, verifier: &dyn ClientCertVerifier) -> bool {
        let Some((own, others)) = self.chain.split_first() else { return false };
        verifier.verify_client_cert(own, others, UnixTime::now()).is_ok()
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// The subject as RFC 4514 writes it, the last part first; escaped, so that no name passes for two.
fn subject(certificate: &[u8]) -> Option<HeaderValue> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let mut parts = Vec::new();
    for part in parsed.subject().iter_rdn() {
        let mut attributes = Vec::new();
        for attribute in part.iter() {
            let oid = attribute.attr_type();
            let name = oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
            attributes.push(format!("{name}={}", escaped(attribute.as_str().ok()?)));
        }
        parts.push(attributes.join("+"));
    }
    parts.reverse();
    let text = parts.join(",");
    let is_fit = !text.is_empty() && text.len() <= SUBJECT_BYTES_MAX;
    HeaderValue::try_from(text).ok().filter(|_| is_fit)
}

/// A value of a subject as RFC 4514, 2.4, escapes it; what is not visible ASCII as its bytes in hex.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (at, byte) in value.bytes().enumerate() {
        let is_edge = at == 0 || at + 1 == value.len();
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\' => escaped.extend(['\\', byte.into()]),
            b' ' if is_edge => escaped.push_str("\\ "),
            b'#' if at == 0 => escaped.push_str("\\#"),
            b' '..=b'~' => escaped.push(byte.into()),
            _ => write!(escaped, "\\{byte:02X}").expect("memory takes it"),
        }
    }
    escaped
}

// === impl Kept ===

impl<K: Hash + Eq + Clone, V: Clone> Kept<K, V> {
    fn get_or_make<E>(&self, key: &K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = kept.get(key) {
            return Ok(value.clone());
        }
        let value = make()?;
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key.clone(), value.clone());
        Ok(value)
    }
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn no_name_passes_for_two() {
        for (value, expected) in [
            ("alice", "alice"),
            ("alice,O=Admins", "alice\\,O\\=Admins"),
            (" a b ", "\\ a b\\ "),
            ("#1#", "\\#1#"),
            ("é\r\n", "\\C3\\A9\\0D\\0A"),
            ("\\+\"<;>", "\\\\\\+\\\"\\<\\;\\>"),
        ] {
            assert_eq!(escaped(value), expected);
        }
    }
}
