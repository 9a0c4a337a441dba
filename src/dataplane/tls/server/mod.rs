//! The server's end of TLS: what is offered in a handshake, and to whom.
//!
//! [`server_config`] is the configuration of every handshake: TLS 1.3 and 1.2 with forward secrecy and authenticated encryption
//! alone, HTTP/2 and HTTP/1.1 by ALPN, and tickets ([`Tickets`]) so that a client that comes back saves the key exchange's
//! signature. `provider` says who computes. `acme-tls/1` is spoken with authorities that check a name (RFC 8737), and leads to
//! no HTTP: the resolver has a certificate for it only while an order waits, and the proxy closes what negotiated it.
//!
//! [`Clients`] asks for client certificates, of hosts that want them.
//!
//! It does not choose certificates, and accepts no connections.

mod clients;
mod provider;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;

use super::challenges::TLS_ALPN01;
use super::tickets::Tickets;

pub use clients::{ClientCertificate, Clients, ClientsError};
use provider::provider;

/// The protocols offered, in the order in which the server prefers them.
const ALPN: [&[u8]; 3] = [b"h2", b"http/1.1", TLS_ALPN01];
/// Tickets after a full handshake of TLS 1.3. Each may be used once (RFC 8446, C.4), and what one costs to make and send is much
/// of what resuming saves; browsers keep one connection to a host, and get the next ticket when they come back.
const TICKETS_PER_HANDSHAKE: usize = 1;

/// The server's TLS, with tickets that a restart makes worthless.
pub fn server_config(resolver: Arc<impl ResolvesServerCert + 'static>) -> Arc<ServerConfig> {
    server_config_with(resolver, Arc::new(Tickets::in_memory()))
}

/// The server's TLS, with these tickets.
pub fn server_config_with(
    resolver: Arc<impl ResolvesServerCert + 'static>,
    tickets: Arc<Tickets>,
) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    config.ticketer = tickets;
    config.send_tls13_tickets = TICKETS_PER_HANDSHAKE;
    Arc::new(config)
}
