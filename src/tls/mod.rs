//! https for every host of the box, also where no public CA can help (`*.localhost`, a private network).
//!
//! A [`LocalCa`] lives in the server's home. [`LeafResolver`] has it sign a short-lived certificate the
//! first time a served host is asked for, during that handshake, and again long before it runs out, so
//! there is nothing to configure, to schedule or to restart. [`server_config`] is the rustls configuration
//! around it, and [`Tickets`] let clients come back at less cost, also after a restart. The [`trust`] module puts the CA's certificate into the stores of the machine and of its
//! browsers, and takes it out again; it needs only a [`CaCertificate`], so it also works on a laptop that
//! has fetched the certificate from a box.
//!
//! Not here: certificates of public CAs (ACME), and accepting connections, which is the proxy's.

mod ca;
mod certificate;
mod challenges;
mod file;
mod resolver;
mod server;
mod tickets;
pub mod trust;

pub use ca::{CaError, Leaf, LocalCa};
pub use certificate::{CaCertificate, CertificateError};
pub use challenges::{Challenges, HTTP01_PATH, Posted, TLS_ALPN01};
pub use resolver::LeafResolver;
pub use server::{ClientCertificate, Clients, ClientsError, server_config, server_config_with};
pub use tickets::Tickets;
