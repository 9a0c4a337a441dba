//! Which names mean something to everybody, and which only here.

use std::net::IpAddr;

/// The ends of names that mean something else in every network, and are delegated to nobody: special use (RFC 6761: `example`,
/// `localhost`, `test`; RFC 6762: `local`; RFC 8375: `home.arpa`), reserved for private use by ICANN (`internal`), and those that
/// RFC 6762, appendix G, has seen in private networks.
pub const PRIVATE_SUFFIXES: [&str; 12] = [
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
/// The ends of names that no DNS has, and that are not a network's own either (RFC 9476, 6761, 7686).
const OTHER_SUFFIXES: [&str; 3] = ["alt", "invalid", "onion"];

/// Whether a public certificate authority could give a certificate for this host: a DNS name of at least two labels with no
/// private end. `host` is in lower case and may begin with `*.`.
#[must_use]
pub fn is_public(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    // No top-level domain is a number, so that a name that ends in one is a broken address.
    let is_numeric = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    name.parse::<IpAddr>().is_err()
        && name.rsplit_once('.').is_some_and(|(_, last)| !last.is_empty() && !is_numeric(last))
        && !PRIVATE_SUFFIXES.iter().chain(&OTHER_SUFFIXES).any(|suffix| is_below(name, suffix))
}

/// Whether a name is `domain` or one below it.
#[must_use]
pub fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_dns_are_public_and_those_of_a_network_are_not() {
        for public in [
            "example.com",
            "a.b.example.co.uk",
            "*.example.com",
            "10.0.0.5.sslip.io",
            "local.dev",
            "notlocal.de",
            "arpa.home.de",
        ] {
            assert!(is_public(public), "{public}");
        }
        for private in [
            "localhost",
            "blog.localhost",
            "nas",
            "printer.local",
            "a.home.arpa",
            "10.0.0.5",
            "::1",
            "*.test",
            "a.onion",
            "a.1",
        ] {
            assert!(!is_public(private), "{private}");
        }
    }
}
