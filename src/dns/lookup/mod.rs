//! Lookups: what name servers say of a name right now.
//!
//! A [`Lookup`] asks the system's name servers (`/etc/resolv.conf` and `/etc/hosts`, read anew each time, as laptops move) or those
//! it was given, which alone are asked then. Nothing is remembered, neither answers nor failures: who asks here waits for a change.
//! A name has 5 s.
//!
//! Special names (RFC 6761, 6762, 7686) stay on the machine: `localhost` and what is below it are the loopback
//! addresses, and there is nothing below `invalid`, `onion` and `local`.

mod seen;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::{DnsError as Answered, NetError};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use tokio::time::timeout;

use super::record::ancestors;
use crate::name::is_below;

pub use self::seen::wait_until_seen;

/// For all that is asked of one name.
const TIME_MAX: Duration = Duration::from_secs(5);
/// For one question to one server, so that another has its turn.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(2);
/// Aliases of aliases that are followed.
const ALIASES_MAX: usize = 8;
/// Where authoritative name servers listen.
const DNS_PORT: u16 = 53;

/// Asks name servers. Cheap to clone.
#[derive(Clone)]
pub struct Lookup {
    /// `None` asks as the system would.
    servers: Option<TokioResolver>,
    /// Where the authoritative name servers of zones listen.
    authority_port: u16,
}

/// Who may issue certificates for a name: a CAA record (RFC 8659).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaaRecord {
    /// Whether an authority that does not know the tag must not issue.
    pub critical: bool,
    /// `issue`, `issuewild`, `iodef` or another, in lower case.
    pub tag: String,
    /// As it is, such as `letsencrypt.org; validationmethods=dns-01`.
    pub value: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Nobody has this name.
    #[error("there is no name `{name}` in DNS")]
    NoSuchName {
        /// The name.
        name: String,
    },
    /// The name is there, and has none of these.
    #[error("`{name}` has no {kind} records")]
    NoRecords {
        /// The name.
        name: String,
        /// `address`, or the type of the records.
        kind: &'static str,
    },
    /// It is not known, as no server answered, or with an error.
    #[error("`{name}` could not be looked up: {reason}")]
    Failed {
        /// The name.
        name: String,
        /// What happened.
        reason: String,
    },
    /// Some servers do not show a value that others may.
    #[error("the TXT record of `{name}` is not at {} after {limit:?}", lacking.join(", "))]
    NotSeen {
        /// The name.
        name: String,
        /// The servers, with their addresses.
        lacking: Vec<String>,
        /// How long was waited.
        limit: Duration,
    },
}

// === impl Lookup ===

impl Lookup {
    /// Asks these servers, over UDP and, for long answers, TCP; the system's if there are none.
    #[must_use]
    pub fn new(servers: &[SocketAddr]) -> Self {
        let servers = (!servers.is_empty()).then(|| resolver(servers, true));
        Self { servers, authority_port: DNS_PORT }
    }

    /// Takes zones' own name servers to listen on another port than 53, as in a network of tests.
    #[must_use]
    pub fn with_authority_port(self, port: u16) -> Self {
        Self { authority_port: port, ..self }
    }

    /// The IPv4 and IPv6 addresses of a name, never none. Those of an address are itself.
    ///
    /// # Errors
    ///
    /// It has none, or could not be looked up.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = literal.parse() {
            return Ok(vec![ip]);
        }
        if is_below_any(host, &["localhost"]) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        within(host, async {
            let resolver = self.resolver(host)?;
            let found = resolver.lookup_ip(absolute(host)?).await;
            let found = found.map_err(|error| LookupError::new(host, "address", &error))?;
            let mut addresses: Vec<_> = found.iter().map(|ip| ip.to_canonical()).collect();
            addresses.dedup();
            if addresses.is_empty() {
                return Err(LookupError::NoRecords { name: host.to_owned(), kind: "address" });
            }
            Ok(addresses)
        })
        .await
    }

    /// The values of the name's TXT records, never none; the strings of one record are joined.
    ///
    /// # Errors
    ///
    /// It has none, or could not be looked up.
    pub async fn txt(&self, name: &str) -> Result<Vec<String>, LookupError> {
        let read = |data: &RData| match data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        };
        within(name, self.ask(name, RecordType::TXT, "TXT", read)).await
    }

    /// The CAA records that hold for a name: its own, else those of the nearest name above it that has some (RFC 8659, 3).
    /// None, if nobody has any. A wildcard's are those of the name that it is for.
    ///
    /// # Errors
    ///
    /// One of the names could not be looked up; an authority would not issue then.
    pub async fn caa(&self, name: &str) -> Result<Vec<CaaRecord>, LookupError> {
        let name = name.strip_prefix("*.").unwrap_or(name);
        let name = name.strip_suffix('.').unwrap_or(name);
        let read = |data: &RData| match data {
            RData::CAA(caa) => Some(CaaRecord {
                critical: caa.issuer_critical,
                tag: caa.tag.to_ascii_lowercase(),
                value: String::from_utf8_lossy(&caa.value).into_owned(),
            }),
            _ => None,
        };
        within(name, async {
            for name in ancestors(name) {
                match self.ask(name, RecordType::CAA, "CAA", read).await {
                    Err(error) if error.is_absent() => {}
                    found => return found,
                }
            }
            Ok(Vec::new())
        })
        .await
    }

    /// What a name is an alias of (CNAME), followed to its end; itself, if it is none. The record of a challenge belongs there.
    ///
    /// # Errors
    ///
    /// A name could not be looked up, or the aliases have no end.
    pub async fn canonical(&self, name: &str) -> Result<String, LookupError> {
        let read = |data: &RData| match data {
            RData::CNAME(target) => Some(target.to_ascii()),
            _ => None,
        };
        let mut current = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        within(name, async {
            for _ in 0..ALIASES_MAX {
                let found = match self.ask(&current, RecordType::CNAME, "CNAME", read).await {
                    Err(error) if error.is_absent() => return Ok(current),
                    found => found?,
                };
                let Some(target) = found.first() else { return Ok(current) };
                current = target.trim_end_matches('.').to_ascii_lowercase();
            }
            let reason = format!("it is an alias of more than {ALIASES_MAX} others");
            Err(LookupError::Failed { name: name.to_owned(), reason })
        })
        .await
    }

    /// The names of the zone's own servers, if the name is a zone.
    async fn name_servers(&self, zone: &str) -> Result<Vec<String>, LookupError> {
        let read = |data: &RData| match data {
            RData::NS(server) => Some(server.to_ascii().trim_end_matches('.').to_ascii_lowercase()),
            _ => None,
        };
        within(zone, self.ask(zone, RecordType::NS, "NS", read)).await
    }

    /// A lookup at one authoritative server, which is not to ask others.
    fn at(server: SocketAddr) -> Self {
        Self { servers: Some(resolver(&[server], false)), authority_port: DNS_PORT }
    }

    async fn ask<T>(
        &self,
        name: &str,
        record_type: RecordType,
        kind: &'static str,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, LookupError> {
        let no_records = || LookupError::NoRecords { name: name.to_owned(), kind };
        if is_below_any(name, &["localhost"]) {
            return Err(no_records());
        }
        let resolver = self.resolver(name)?;
        let found = resolver.lookup(absolute(name)?, record_type).await;
        let found = found.map_err(|error| LookupError::new(name, kind, &error))?;
        let records: Vec<_> = found.answers().iter().filter_map(|record| read(&record.data)).collect();
        if records.is_empty() { Err(no_records()) } else { Ok(records) }
    }

    fn resolver(&self, name: &str) -> Result<TokioResolver, LookupError> {
        if is_below_any(name, &["invalid", "local", "onion"]) {
            return Err(LookupError::NoSuchName { name: name.to_owned() });
        }
        if let Some(resolver) = &self.servers {
            return Ok(resolver.clone());
        }
        let system = TokioResolver::builder_tokio().and_then(|mut builder| {
            restrict(builder.options_mut());
            builder.build()
        });
        system.map_err(|error| LookupError::Failed {
            name: name.to_owned(),
            reason: format!("the system's name servers are not known: {error}"),
        })
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").field("is_system", &self.servers.is_none()).finish_non_exhaustive()
    }
}

// === impl LookupError ===

impl LookupError {
    /// Whether it is certain that there is nothing.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::NoSuchName { .. } | Self::NoRecords { .. })
    }

    fn new(name: &str, kind: &'static str, error: &NetError) -> Self {
        let name = name.to_owned();
        match error {
            NetError::Dns(Answered::NoRecordsFound(found)) => match found.response_code {
                ResponseCode::NXDomain => Self::NoSuchName { name },
                ResponseCode::NoError => Self::NoRecords { name, kind },
                code => Self::Failed { name, reason: format!("the server answered {}", code.to_str()) },
            },
            NetError::Dns(Answered::ResponseCode(code)) => {
                Self::Failed { name, reason: format!("the server answered {}", code.to_str()) }
            }
            NetError::Timeout => Self::Failed { name, reason: "no server answered in time".to_owned() },
            NetError::NoConnections => Self::Failed { name, reason: "no server can be reached".to_owned() },
            error => Self::Failed { name, reason: error.to_string() },
        }
    }
}

/// Asks nobody else than these servers.
fn resolver(servers: &[SocketAddr], is_recursive: bool) -> TokioResolver {
    let servers = servers.iter().map(|server| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        NameServerConfig::new(server.ip(), true, connections.into())
    });
    let config = ResolverConfig::from_name_servers(servers.collect());
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.use_hosts_file = ResolveHosts::Never;
    options.recursion_desired = is_recursive;
    restrict(options);
    builder.build().expect("only encrypted transports have anything that could fail")
}

fn restrict(options: &mut ResolverOpts) {
    options.cache_size = 0;
    options.timeout = QUESTION_TIME_MAX;
    options.attempts = 1;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
}

async fn within<T>(
    name: &str,
    lookup: impl Future<Output = Result<T, LookupError>>,
) -> Result<T, LookupError> {
    let slow = |_| LookupError::Failed {
        name: name.to_owned(),
        reason: format!("no server answered within {TIME_MAX:?}"),
    };
    timeout(TIME_MAX, lookup).await.map_err(slow)?
}

/// Whether the name, as anybody writes it, is one of these or below it.
fn is_below_any(name: &str, domains: &[&str]) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    domains.iter().any(|domain| is_below(&name, domain))
}

/// Never completed by the system's search list.
fn absolute(name: &str) -> Result<Name, LookupError> {
    let no_name = |_| LookupError::Failed { name: name.to_owned(), reason: "it is no name".to_owned() };
    let mut name = Name::from_utf8(name).map_err(no_name)?;
    name.set_fqdn(true);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has nobody to ask.
    fn alone() -> Lookup {
        Lookup { servers: Some(resolver(&[], true)), authority_port: DNS_PORT }
    }

    #[test]
    fn without_servers_of_ones_own_the_systems_are_asked() {
        assert!(Lookup::new(&[]).servers.is_none());
        assert!(Lookup::new(&[SocketAddr::from(([192, 0, 2, 1], 53))]).servers.is_some());
    }

    #[tokio::test]
    async fn special_names_stay_on_the_machine() {
        let lookup = alone();
        let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        for name in ["localhost", "app.localhost", "App.LocalHost."] {
            assert_eq!(lookup.addresses(name).await.unwrap(), loopback, "{name}");
            assert_eq!(lookup.caa(name).await.unwrap(), []);
            assert!(matches!(lookup.txt(name).await, Err(LookupError::NoRecords { .. })));
        }
        for name in ["a.invalid", "printer.local", "x.onion"] {
            assert!(matches!(lookup.addresses(name).await, Err(LookupError::NoSuchName { .. })), "{name}");
            assert!(matches!(lookup.txt(name).await, Err(LookupError::NoSuchName { .. })), "{name}");
        }
        assert!(matches!(lookup.addresses("example.com").await, Err(LookupError::Failed { .. })));
    }

    #[tokio::test]
    async fn an_address_is_its_own_name() {
        let lookup = alone();
        assert_eq!(lookup.addresses("192.0.2.1").await.unwrap(), [IpAddr::from([192, 0, 2, 1])]);
        assert_eq!(lookup.addresses("[::1]").await.unwrap(), [IpAddr::from(Ipv6Addr::LOCALHOST)]);
    }

    #[tokio::test]
    async fn what_is_no_name_is_said_to_be_none() {
        let error = alone().addresses("a..b").await.unwrap_err();
        assert_eq!(error.to_string(), "`a..b` could not be looked up: it is no name");
    }
}
