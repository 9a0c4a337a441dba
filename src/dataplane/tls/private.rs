//! Addresses that are not routed on the internet.
//!
//! No public CA signs for any of these, so the local CA does; and as every network has its own, a local CA may be allowed to sign
//! for all of them without being able to pretend to be somebody's site.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

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

/// Whether an address is one of those.
#[must_use]
pub fn is_private_address(address: IpAddr) -> bool {
    networks().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_routed_on_the_internet_is_not_private() {
        let is_private = |text: &str| is_private_address(text.parse().unwrap());
        for address in [
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
            assert!(is_private(address), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "192.0.2.1", "2001:db8::1"] {
            assert!(!is_private(address), "{address}");
        }
    }
}
