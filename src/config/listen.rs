//! Where to listen.

use std::net::SocketAddr;

use super::{ConfigError, Setting};
use crate::port::every_interface;

/// Where plain http is served: the port that browsers use, else one that needs no privilege.
pub(super) const HTTP_PORTS: [u16; 2] = [80, 8080];
/// The same for https.
pub(super) const HTTPS_PORTS: [u16; 2] = [443, 8443];

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenChoice {
    /// At this address and nowhere else.
    Address(SocketAddr),
    /// On every interface, at the first of these ports that is free and permitted.
    Ports(Vec<u16>),
}

impl ListenChoice {
    /// The addresses to try, in order: the first that can be bound is where to listen.
    #[must_use]
    pub fn attempts(&self) -> Vec<SocketAddr> {
        match self {
            Self::Address(addr) => vec![*addr],
            Self::Ports(ports) => ports.iter().flat_map(|port| every_interface(*port)).collect(),
        }
    }
}

pub(super) fn choice(Setting { from, text, .. }: Setting) -> Result<ListenChoice, ConfigError> {
    if let Ok(port) = text.strip_prefix(':').unwrap_or(&text).parse() {
        return Ok(ListenChoice::Ports(vec![port]));
    }
    text.parse().map(ListenChoice::Address).map_err(|_| ConfigError::Address { from, text })
}
