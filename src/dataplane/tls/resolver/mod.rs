//! Which certificate a handshake gets, by the name that the client asks for.
//!
//! 1. Who offers `acme-tls/1` is an authority that checks a name (RFC 8737): it gets the answer that an order has posted for that
//!    name, or is refused. So is who offers anything beside it, as no authority does.
//! 2. A host that is served gets the best certificate that the [`Vault`] has for it, of a kind of key that the client can check,
//!    and one of the local CA where there is none.
//! 3. Any other name is refused in the handshake: no app's certificate is shown for what is not its own.
//! 4. A client that sends no name (one that dials an address) gets what a client of the default host gets, if there is one.
//!
//! rustls asks in the middle of a handshake, so nothing here waits: the vault and the answers are read without a lock, and
//! [`Leaves`] signs what is missing. What is served, [`Serves`] says; it is asked each time, so a route that goes takes its
//! certificate with it.

mod leaves;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use self::leaves::Leaves;
use super::ca::LocalCa;
use super::chain::KeyKind;
use super::challenges::{Challenges, TLS_ALPN01};
use super::vault::Vault;

/// What is asked about the routes, in every handshake; it must not block.
pub trait Serves: Send + Sync {
    /// Whether `host`, in lower case and without a trailing dot, is to have a certificate.
    fn is_served(&self, host: &str) -> bool;

    /// Whose certificate clients get that send no name: of a DNS name or an address, in lower case. `None` refuses them.
    fn default_host(&self) -> Option<String>;
}

/// Chooses the certificates of handshakes.
pub struct Resolver {
    leaves: Leaves,
    vault: Vault,
    challenges: Challenges,
    serves: Arc<dyn Serves>,
}

/// What a client means to do with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Requests,
    /// To see the answer of an order.
    Challenge,
    /// Neither.
    Mixed,
}

// === impl Resolver ===

impl Resolver {
    /// For what `serves` says: certificates of the `vault`, of `ca` where it has none, and what is posted to `challenges`.
    #[must_use]
    pub fn new(ca: Arc<LocalCa>, vault: Vault, challenges: Challenges, serves: Arc<dyn Serves>) -> Self {
        Self { leaves: Leaves::new(ca), vault, challenges, serves }
    }

    /// Reads the time of the local CA's certificates from `clock` instead of from the system.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.leaves.clock = Box::new(clock);
        self
    }

    /// The certificate for a client that asks for `server_name` and can check any; `None` if it is refused.
    pub fn certified_key(&self, server_name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        self.choose(server_name, |_| true)
    }

    fn choose(
        &self,
        server_name: Option<&str>,
        accepts: impl Fn(KeyKind) -> bool,
    ) -> Option<Arc<CertifiedKey>> {
        let host = match server_name.map(normalized) {
            Some(host) if self.serves.is_served(&host) => host,
            Some(host) => {
                tracing::debug!(host, "handshake refused, nobody serves this host");
                return None;
            }
            None => self.serves.default_host().or_else(|| {
                tracing::debug!("handshake refused, the client sent no name");
                None
            })?,
        };
        self.vault.find_for(&host, accepts).or_else(|| match self.leaves.get(&host) {
            Ok(leaf) => Some(Arc::clone(&leaf.certified)),
            Err(error) => {
                tracing::error!(host, error = &error as &dyn Error, "no certificate for host");
                None
            }
        })
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match Purpose::of(hello.alpn().into_iter().flatten()) {
            Purpose::Requests => {
                let schemes = hello.signature_schemes();
                self.choose(hello.server_name(), |kind| can_check(schemes, kind))
            }
            Purpose::Challenge => self.challenges.tls(&normalized(hello.server_name()?)),
            Purpose::Mixed => None,
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("vault", &self.vault).finish_non_exhaustive()
    }
}

// === impl Purpose ===

impl Purpose {
    /// By the protocols that the client offers.
    fn of<'a>(offered: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut has_challenge, mut has_other) = (false, false);
        for protocol in offered {
            let is_challenge = protocol == TLS_ALPN01;
            has_challenge |= is_challenge;
            has_other |= !is_challenge;
        }
        match (has_challenge, has_other) {
            (false, _) => Self::Requests,
            (true, false) => Self::Challenge,
            (true, true) => Self::Mixed,
        }
    }
}

/// Whether a client that accepts these signatures can check those of such a key.
fn can_check(schemes: &[SignatureScheme], kind: KeyKind) -> bool {
    use SignatureScheme as S;
    let fitting: &[_] = match kind {
        KeyKind::Ecdsa => &[S::ECDSA_NISTP256_SHA256, S::ECDSA_NISTP384_SHA384],
        KeyKind::Rsa => &[
            S::RSA_PSS_SHA256,
            S::RSA_PSS_SHA384,
            S::RSA_PSS_SHA512,
            S::RSA_PKCS1_SHA256,
            S::RSA_PKCS1_SHA384,
            S::RSA_PKCS1_SHA512,
        ],
        KeyKind::Ed25519 => &[S::ED25519],
    };
    schemes.iter().any(|scheme| fitting.contains(scheme))
}

/// `host` as routes and certificates write it.
fn normalized(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
