//! What upstreams are found with, and the one place that none may be: this box itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Address;

/// For one lookup.
const LOOKUP_TIME_MAX: Duration = Duration::from_secs(5);
/// Of a name's addresses so many are used.
const ADDRESSES_MAX: usize = 32;

/// Says which addresses a name has.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// All addresses, with this port, in any order. Cancel-safe.
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The machine's own resolver.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

/// What upstreams are found with; clones share it.
#[derive(Clone)]
pub struct Surroundings {
    /// Looks names up.
    pub resolver: Arc<dyn Resolver>,
    /// Where the proxy itself listens.
    pub own: Arc<[SocketAddr]>,
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, port)).await?.collect())
    }
}

impl Surroundings {
    /// Whether requests that are sent there come back to this proxy.
    #[must_use]
    pub fn is_own(&self, addr: SocketAddr) -> bool {
        self.own.iter().any(|own| {
            own.port() == addr.port()
                && (own.ip() == addr.ip() || own.ip().is_unspecified() && is_local(addr.ip()))
        })
    }

    /// The addresses of a name, each once.
    ///
    /// # Errors
    ///
    /// A sentence that says why there are none.
    pub async fn look_up(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let lookup = self.resolver.resolve(name, port);
        let mut addrs = match tokio::time::timeout(LOOKUP_TIME_MAX, lookup).await {
            Ok(Ok(addrs)) => addrs,
            Ok(Err(error)) => return Err(format!("`{name}` was not found: {error}")),
            Err(_) => return Err(format!("looking up `{name}` took longer than {LOOKUP_TIME_MAX:?}")),
        };
        addrs.sort_unstable();
        addrs.dedup();
        if addrs.iter().any(|addr| self.is_own(*addr)) {
            return Err(format!("`{name}` is this box itself"));
        }
        if addrs.is_empty() {
            return Err(format!("`{name}` has no addresses"));
        }
        addrs.truncate(ADDRESSES_MAX);
        Ok(addrs)
    }

    /// Whether requests that are sent there come back, as far as that is known before it is looked up; of a name's other
    /// addresses its lookup tells later.
    #[must_use]
    pub fn is_own_address(&self, address: &Address) -> bool {
        let localhost = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        match (address.literal(), address.name()) {
            (Some(addr), _) => self.is_own(addr),
            (None, Some(name)) if name == "localhost" || name.ends_with(".localhost") => {
                localhost.into_iter().any(|ip| self.is_own(SocketAddr::new(ip, address.port())))
            }
            (None, _) => false,
        }
    }
}

/// Whether the address is one of this machine's: then the system would also send from it. Sends nothing.
fn is_local(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let sends_from = || {
        let socket = UdpSocket::bind((any, 0))?;
        // Any port does: nothing is sent.
        socket.connect((ip, 9))?;
        socket.local_addr()
    };
    ip.is_loopback() || sends_from().is_ok_and(|from| from.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_to_the_box_is_its_own() {
        let on = |own: &str| Surroundings {
            resolver: Arc::new(SystemResolver),
            own: Arc::new([own.parse().unwrap()]),
        };
        let is_own = |own: &str, upstream: &str| on(own).is_own_address(&upstream.parse().unwrap());
        assert!(is_own("0.0.0.0:8080", "http://127.0.0.1:8080"));
        assert!(is_own("[::]:80", "http://127.8.8.8"));
        assert!(is_own("127.0.0.1:80", "http://localhost"));
        assert!(is_own("0.0.0.0:80", "http://shop.localhost"));
        assert!(!is_own("0.0.0.0:80", "http://127.0.0.1:8080"));
        assert!(!is_own("127.0.0.1:80", "http://127.0.0.2"));
        assert!(!is_own("0.0.0.0:80", "http://192.0.2.1"), "it is nobody's");
        assert!(!is_own("0.0.0.0:80", "http://app.example.com"));
    }
}
