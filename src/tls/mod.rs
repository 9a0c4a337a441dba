//! https for every host of the box, also where no public CA can help (`*.localhost`, a private network).
//!
//! A [`LocalCa`] lives in the server's home. [`LeafResolver`] has it sign a short-lived certificate the
//! first time a served host is asked for, during that handshake, and again long before it runs out, so
//! there is nothing to configure, to schedule or to restart. [`server_config`] is the rustls configuration
//! around it. The [`trust`] module puts the CA's certificate into the stores of the machine and of its
//! browsers, and takes it out again; it needs only a [`CaCertificate`], so it also works on a laptop that
//! has fetched the certificate from a box.
//!
//! Not here: certificates of public CAs (ACME), and accepting connections, which is the proxy's.

mod ca;
mod certificate;
mod chain;
mod challenges;
mod file;
mod resolver;
#[cfg(test)]
mod sample;
pub mod trust;
mod vault;

pub use ca::{CaError, Leaf, LocalCa};
pub use certificate::{CaCertificate, CertificateError};
pub use chain::{Chain, ChainError, KeyKind};
pub use challenges::{Challenges, HTTP01_PATH, Posted, TLS_ALPN01};
pub use resolver::{LeafResolver, server_config};
pub use vault::{CertificateId, CertificateIdError, Source, Summary, Vault, VaultError};
