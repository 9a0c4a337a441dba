//! How a container finds the apps that it may call: `<app>.internal` is the box's own address on the bridge.
//!
//! The names are written into the container's `/etc/hosts`, which every resolver reads and nothing can take away: no daemon
//! has to run for it. Where the box may answer DNS on the bridge, too, it becomes the container's first name server, for what
//! does not read that file; the host's own servers follow, and are asked while the daemon is away. A container that calls
//! nobody has neither: its names are resolved as in any container.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};

use crate::name::AppName;
use crate::route::internal_host;

/// Where name servers listen.
const DNS_PORT: u16 = 53;
/// Where the system's name servers stand; the second where the first names only a resolver on the host itself.
const RESOLV_CONF: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/// What the engine itself takes for a container when the host's servers are all on the host's loopback.
const PUBLIC_SERVERS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];
/// More are not asked by any resolver.
const SERVERS_MAX: usize = 3;

/// What a container is told, or what it finds by itself.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Lines of its `/etc/hosts`, as the engine takes them.
    pub(super) hosts: Option<Vec<String>>,
    /// Its name servers, the first before the others.
    pub(super) servers: Option<Vec<String>>,
}

impl Names {
    /// Of a container that may call these apps.
    pub(super) fn of(gateway: IpAddr, links: &BTreeSet<AppName>) -> Self {
        let hosts = links.iter().map(|app| format!("{}:{gateway}", internal_host(app))).collect();
        Self { hosts: Some(hosts), servers: may_listen(gateway).then(|| servers(gateway)) }
    }
}

/// Whether this process may answer DNS there, or somebody does already.
fn may_listen(gateway: IpAddr) -> bool {
    match UdpSocket::bind((gateway, DNS_PORT)) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::AddrInUse,
    }
}

fn servers(gateway: IpAddr) -> Vec<String> {
    let texts = RESOLV_CONF.iter().filter_map(|path| fs::read_to_string(path).ok());
    let found = texts.map(|text| reachable(&text)).find(|found| !found.is_empty());
    let found = found.unwrap_or_else(|| PUBLIC_SERVERS.map(str::to_owned).to_vec());
    std::iter::once(gateway.to_string()).chain(found).take(SERVERS_MAX).collect()
}

/// The servers of a `resolv.conf` that a container can reach.
fn reachable(text: &str) -> Vec<String> {
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addrs = named.filter_map(|addr| addr.trim().parse::<IpAddr>().ok());
    addrs.filter(|addr| !addr.is_loopback()).map(|addr| addr.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_the_box() {
        let names = Names::of([127, 0, 0, 1].into(), &["billing".parse().unwrap()].into());
        assert_eq!(names.hosts.unwrap(), ["billing.internal:127.0.0.1"]);
    }

    #[test]
    fn a_resolver_on_the_hosts_loopback_is_none_for_a_container() {
        let text =
            "# a comment\nnameserver 127.0.0.53\n nameserver 10.0.0.1 \nnameserver fe80::1%eth0\nsearch x\n";
        assert_eq!(reachable(text), ["10.0.0.1"]);
    }
}
