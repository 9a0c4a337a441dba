//! The ports: handed over by systemd, or bound here.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::config::ListenChoice;

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

/// The two listeners of the proxy, each with the address that it has.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) http: (SocketAddr, TcpListener),
    pub(super) https: (SocketAddr, TcpListener),
}

/// Takes the sockets that systemd holds for us, or binds what was chosen.
///
/// `names` is `LISTEN_FDNAMES`: which socket is which, as systemd promises no order among those of several units. Where
/// nobody named any the first is http, the second https.
///
/// # Errors
///
/// When a port that was asked for by its number cannot be had, or none of the defaults.
pub(super) async fn listen(
    http: &ListenChoice,
    https: &ListenChoice,
    names: Option<&str>,
) -> Result<Listeners, ListenError> {
    let mut handed = listenfd::ListenFd::from_env();
    if handed.len() >= 2 {
        let (http, https) = positions(names);
        return Ok(Listeners { http: take(&mut handed, http)?, https: take(&mut handed, https)? });
    }
    Ok(Listeners { http: bind(http)?, https: bind(https)? })
}

/// Where the sockets for http and https are among those that were handed over.
fn positions(names: Option<&str>) -> (usize, usize) {
    let position = |wanted| names?.split(':').position(|name| name == wanted);
    position("http").zip(position("https")).unwrap_or((0, 1))
}

fn take(handed: &mut listenfd::ListenFd, index: usize) -> Result<(SocketAddr, TcpListener), ListenError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    let failed = |source| ListenError::Refused { addr: unknown, source };
    let listener = handed
        .take_tcp_listener(index)
        .and_then(|found| {
            found.ok_or_else(|| io::Error::other("systemd handed over a socket that is not TCP"))
        })
        .map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((addr, listener))
}

/// Binds the first address of the choice that can be had.
///
/// # Errors
///
/// When none can.
pub(super) fn bind(choice: &ListenChoice) -> Result<(SocketAddr, TcpListener), ListenError> {
    let mut first = None;
    for addr in choice.attempts() {
        match bind_one(addr) {
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
        io::ErrorKind::AddrInUse => ListenError::Taken { addr, by: crate::port::owner(addr.port()) },
        io::ErrorKind::PermissionDenied => ListenError::Forbidden { addr },
        _ => ListenError::Refused { addr, source },
    })
}

fn bind_one(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the last connections of the process before to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::positions;

    #[test]
    fn names_go_before_order() {
        assert_eq!(positions(Some("https:http")), (1, 0));
        assert_eq!(positions(Some("metrics:http:https")), (1, 2));
        assert_eq!(positions(Some("unknown:unknown")), (0, 1));
        assert_eq!(positions(None), (0, 1));
    }
}
