//! https for every host of the box, also where no public CA can help (`*.localhost`, a private network).
//!
//! | part | what it is |
//! |---|---|
//! | [`Resolver`] | which certificate a handshake gets, by the host that it asks for |
//! | [`Vault`] | certificates that are kept: one's own, and those that authorities issued; keys sealed |
//! | [`Chain`] | a certificate chain and its key, read and checked together |
//! | [`LocalCa`] | the box's own CA: it signs a short-lived certificate for a host when it is first asked for |
//! | [`Challenges`] | what is answered to authorities that check a name |
//! | [`server_config`], [`Tickets`] | the rustls configuration around the resolver; what clients come back with, also after a restart |
//! | [`Clients`] | which clients must show a certificate, and whose |
//! | [`trust`] | puts the CA's certificate into the stores of the machine and of its browsers, and takes it out |
//!
//! `trust` needs only a [`CaCertificate`], so it also works on a laptop that has fetched the certificate from a box.
//!
//! Not here: ordering certificates (ACME), and accepting connections, which is the proxy's.

mod ca;
mod certificate;
mod chain;
mod challenges;
mod constraints;
mod private;
mod resolver;
#[cfg(test)]
mod sample;
mod server;
mod tickets;
pub mod trust;
mod vault;

pub use ca::{CaError, Leaf, LocalCa};
pub use certificate::{CA_PATH, CaCertificate, CertificateError};
pub use chain::{Chain, ChainError, KeyKind};
pub use challenges::{Challenges, HTTP01_PATH, Posted, TLS_ALPN01};
pub use constraints::Constraints;
pub use private::is_private_address;
pub use resolver::{Resolver, Serves};
pub use server::{ClientCertificate, Clients, ClientsError, server_config, server_config_with};
pub use tickets::Tickets;
pub use vault::{CertificateId, CertificateIdError, Source, Summary, Vault, VaultError};
