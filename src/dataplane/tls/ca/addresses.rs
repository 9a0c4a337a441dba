//! The machine's own addresses, as the kernel lists them in `/proc/net`; none where there is no such thing.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses that this machine has now.
pub(super) fn of_machine() -> Vec<IpAddr> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    parse(&read("/proc/net/fib_trie"), &read("/proc/net/if_inet6"))
}

fn parse(fib_trie: &str, if_inet6: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut last = None;
    // A leaf of the trie is an address, and below it a line for each of its routes.
    for line in fib_trie.lines().map(str::trim) {
        if let Some(addr) = line.strip_prefix("|-- ") {
            last = addr.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last.map(IpAddr::V4));
        }
    }
    found.extend(if_inet6.lines().filter_map(|line| {
        let bits = u128::from_str_radix(line.split_whitespace().next()?, 16).ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(bits)))
    }));
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_are_local() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 198.51.100.7\n        \
                    /32 host LOCAL\n     |-- 198.51.100.255\n        /32 link BROADCAST\nLocal:\n     |-- 198.51.100.7\n        \
                    /32 host LOCAL\n";
        let inet6 = "20010db8000000000000000000000007 02 40 00 80     eth0\nbroken\n";
        let addrs: Vec<String> = parse(trie, inet6).iter().map(ToString::to_string).collect();
        assert_eq!(addrs, ["198.51.100.7", "2001:db8::7"]);
        assert_eq!(parse("", ""), Vec::<IpAddr>::new());
    }
}
