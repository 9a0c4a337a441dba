//! Where hooks may lead.
//!
//! A hook has the box send a request of somebody's choice. Addresses that are only good from inside are therefore refused:
//! those of a network's own link, where clouds keep the machine's credentials, for everybody; this machine's own, where
//! services listen that trust whoever reaches them, for those who are no administrators.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Alibaba Cloud's metadata, and the IPv6 address of AWS's; others are link-local.
const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Whether an administrator's hook may lead there.
pub(super) fn may_reach(ip: IpAddr) -> bool {
    let ip = inner(ip);
    let is_no_host = match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_multicast(),
    };
    !is_no_host && !METADATA.contains(&ip)
}

/// Whether anybody's hook may lead there.
pub(super) fn may_reach_from_outside(ip: IpAddr) -> bool {
    may_reach(ip) && !inner(ip).is_loopback()
}

/// Whether a hook may be there, as far as its URL tells; a name's addresses are looked at when it is connected to.
pub(super) fn check(uri: &http::Uri, may_be_here: bool) -> Result<(), String> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let Ok(ip) = host.parse::<IpAddr>() else { return Ok(()) };
    let is_good = if may_be_here { may_reach(ip) } else { may_reach_from_outside(ip) };
    if is_good {
        return Ok(());
    }
    Err(if inner(ip).is_loopback() {
        format!("`{host}` is this machine; only an administrator's hook may lead there")
    } else {
        format!("`{host}` is an address of this machine's own network link, where no hook may lead")
    })
}

/// The IPv4 address in an IPv6 one that stands for it: mapped (RFC 4291), or translated by NAT64 (RFC 6052).
fn inner(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
        _ => ip.to_canonical(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_good_from_inside_is_refused() {
        let check = |url: &str, may_be_here| check(&url.parse().unwrap(), may_be_here).is_ok();
        for url in [
            "http://169.254.169.254/latest/meta-data",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://100.100.100.200/",
            "http://0.0.0.0:9/",
            "http://[::]/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
        ] {
            assert!(!check(url, true) && !check(url, false), "{url}");
        }
        for url in ["http://127.0.0.1:9/", "http://[::1]/", "http://[::ffff:127.8.8.8]/"] {
            assert!(check(url, true) && !check(url, false), "{url}");
        }
        for url in ["https://192.0.2.1/x", "http://10.0.0.5/", "http://[2001:db8::1]/", "https://example.com"]
        {
            assert!(check(url, true) && check(url, false), "{url}");
        }
    }
}
