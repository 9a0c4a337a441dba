//! Where the client gets addresses: as the machine does, or at DNS servers of our choice.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

/// Looks names up for the connector.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    source: Source,
    may_reach: Option<fn(IpAddr) -> bool>,
}

/// Who is asked.
#[derive(Debug, Clone)]
enum Source {
    /// As everything on this machine does, `/etc/hosts` included.
    System(GaiResolver),
    /// At these servers.
    Servers(Box<TokioResolver>),
    /// The servers cannot be asked.
    Broken(String),
}

/// Why there is no address.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct LookupError(String);

type Addrs = vec::IntoIter<SocketAddr>;

impl Lookup {
    /// At these servers, or as the machine does; addresses that may not be reached are left out.
    pub(super) fn new(nameservers: &[SocketAddr], may_reach: Option<fn(IpAddr) -> bool>) -> Self {
        Self { source: Source::new(nameservers), may_reach }
    }
}

impl Source {
    fn new(nameservers: &[SocketAddr]) -> Self {
        if nameservers.is_empty() {
            return Self::System(GaiResolver::new());
        }
        let servers = nameservers.iter().map(server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build();
        resolver
            .map_or_else(|error| Self::Broken(error.to_string()), |servers| Self::Servers(Box::new(servers)))
    }
}

impl Service<Name> for Lookup {
    type Response = Addrs;
    type Error = LookupError;
    type Future = Pin<Box<dyn Future<Output = Result<Addrs, LookupError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LookupError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.source.call(name);
        let Some(may_reach) = self.may_reach else { return found };
        Box::pin(async move {
            let good: Vec<_> = found.await?.filter(|addr| may_reach(addr.ip())).collect();
            if good.is_empty() {
                return Err(LookupError("it has no address that may be asked".to_owned()));
            }
            Ok(good.into_iter())
        })
    }
}

impl Source {
    fn call(&mut self, name: Name) -> <Lookup as Service<Name>>::Future {
        match self {
            Self::System(system) => {
                let found = system.call(name);
                Box::pin(async move {
                    let found = found.await.map_err(|error| LookupError(error.to_string()))?;
                    Ok(found.collect::<Vec<_>>().into_iter())
                })
            }
            Self::Servers(servers) => {
                let servers = servers.clone();
                Box::pin(async move {
                    // With its last dot, so that no domain to search in is put behind it.
                    let name = format!("{}.", name.as_str().trim_end_matches('.'));
                    let found =
                        servers.lookup_ip(name).await.map_err(|error| LookupError(error.to_string()))?;
                    Ok(found.iter().map(|ip| SocketAddr::new(ip, 0)).collect::<Vec<_>>().into_iter())
                })
            }
            Self::Broken(why) => {
                let error = LookupError(why.clone());
                Box::pin(async move { Err(error) })
            }
        }
    }
}

/// A server that is asked over UDP, and over TCP for what does not fit.
fn server(addr: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = addr.port();
        connection
    });
    NameServerConfig::new(addr.ip(), true, connections.into())
}
