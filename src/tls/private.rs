//! What is nobody's on the internet: names that public DNS never has, and addresses that are not routed there.
//!
//! No public CA signs for any of these, so the local CA does; and as they are everybody's, a local CA may be allowed to sign
//! for all of them without being able to pretend to be somebody's site.
//!
//! It does not resolve anything: a public name that leads to a private address is public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Top-level and other names whose every subdomain is private: special use (RFC 6761: `example`, `localhost`, `test`; RFC 6762:
/// `local`; RFC 8375: `home.arpa`), reserved for private use by ICANN (`internal`), and those that RFC 6762, appendix G, has
/// seen in private networks, which are not delegated.
pub(super) const SUFFIXES: [&str; 12] = [
    "corp",
    "example",
    "home",
    "home.arpa",
    "internal",
    "intranet",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "private",
    "test",
];

/// Networks that are not routed on the internet, by address and prefix: loopback, link-local, private (RFC 1918, RFC 4193),
/// and what providers and overlay networks share (RFC 6598).
const NETWORKS: [(IpAddr, u8); 9] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
];

/// The private networks.
pub(super) fn networks() -> impl Iterator<Item = IpNet> {
    NETWORKS.into_iter().map(|(addr, prefix)| IpNet::new_assert(addr, prefix))
}

/// Whether a host, in lower case, is private: a private address, a name below a private suffix, or a name of one label.
#[must_use]
pub fn is_private(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(addr) => networks().any(|network| network.contains(&addr)),
        Err(_) => !host.contains('.') || SUFFIXES.iter().any(|suffix| is_below(host, suffix)),
    }
}

/// Whether a name is `domain` or one below it.
pub(super) fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_is_what_no_public_ca_signs_for() {
        for host in [
            "localhost",
            "a.b.localhost",
            "printer",
            "nas.local",
            "x.home.arpa",
            "shop.internal",
            "10.1.2.3",
            "127.0.0.2",
            "169.254.1.1",
            "172.31.0.1",
            "192.168.0.1",
            "100.100.1.1",
            "::1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(is_private(host), "{host}");
        }
        for host in [
            "example.com",
            "notlocal.de",
            "mylocal.host",
            "arpa.home.de",
            "home.arpa.de",
            "8.8.8.8",
            "172.32.0.1",
            "192.0.2.1",
            "2001:db8::1",
            "10.0.0.1.sslip.io",
        ] {
            assert!(!is_private(host), "{host}");
        }
    }
}
