//! The ports: handed over by systemd, or bound here.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::config::ListenChoice;
use crate::port::{ListenError, listen_at};

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
    Ok(Listeners { http: listen_at(&http.attempts())?, https: listen_at(&https.attempts())? })
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
