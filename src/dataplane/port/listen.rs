//! Listening on a port of this machine, and why that may not be possible.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use tokio::net::{TcpListener, TcpSocket};

use super::owner;

/// How many connections may wait to be accepted; the kernel's own limit cuts it further.
const BACKLOG: u32 = 4096;

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody has it.
    #[error("port {} is taken{}", addr.port(), by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default())]
    Taken {
        /// The address.
        addr: SocketAddr,
        /// Who has it, when that can be seen: "`nginx` (pid 812)".
        by: Option<String>,
    },
    /// Only root may have it.
    #[error("no permission to listen on port {}", addr.port())]
    Forbidden {
        /// The address.
        addr: SocketAddr,
    },
    /// Somebody has the UDP port.
    #[error("UDP port {}, which HTTP/3 needs, is taken", addr.port())]
    UdpTaken {
        /// The address.
        addr: SocketAddr,
    },
    /// The system refused.
    #[error("cannot listen on {addr}")]
    Refused {
        /// The address.
        addr: SocketAddr,
        /// The system's word.
        #[source]
        source: io::Error,
    },
}

/// The addresses that stand for every interface: `[::]` also takes IPv4 on Linux; the other is for machines without IPv6.
#[must_use]
pub fn every_interface(port: u16) -> [SocketAddr; 2] {
    [(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
}

/// Listens at the first of these addresses where it can; with the address that it then has.
///
/// # Errors
///
/// What was wrong with the first.
pub fn listen_at(attempts: &[SocketAddr]) -> Result<(SocketAddr, TcpListener), ListenError> {
    let mut first = None;
    for addr in attempts.iter().copied() {
        match listen(addr) {
            Ok(listener) => {
                let addr = listener.local_addr().map_err(|source| ListenError::Refused { addr, source })?;
                return Ok((addr, listener));
            }
            Err(error) => {
                tracing::debug!(%addr, %error, "cannot listen");
                first.get_or_insert((addr, error));
            }
        }
    }
    let (addr, source) = first.expect("there is at least one address to try");
    Err(match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken { addr, by: owner(addr.port()) },
        io::ErrorKind::PermissionDenied => ListenError::Forbidden { addr },
        _ => ListenError::Refused { addr, source },
    })
}

/// Receives UDP at this address.
///
/// # Errors
///
/// When it cannot be had.
pub fn receive_at(addr: SocketAddr) -> Result<UdpSocket, ListenError> {
    UdpSocket::bind(addr).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::UdpTaken { addr },
        io::ErrorKind::PermissionDenied => ListenError::Forbidden { addr },
        _ => ListenError::Refused { addr, source },
    })
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the last connections of the process before to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}
