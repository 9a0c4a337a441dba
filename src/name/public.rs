//! Which names mean something to everybody, and which only here.

use std::net::IpAddr;

/// The ends of names that no public DNS ever answers for: special use (RFC 6761, 6762, 7686, 8375), reserved by ICANN for
/// private use (`internal`), or so common in private networks that ICANN will not delegate them (`corp`, `home`, `mail`), and two
/// that are just common there.
pub const PRIVATE_SUFFIXES: [&str; 15] = [
    "alt",
    "corp",
    "example",
    "home",
    "home.arpa",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "private",
    "test",
];

/// Whether a public certificate authority could give a certificate for this host: a DNS name of at least two labels with no
/// private end. `host` is in lower case and may begin with `*.`.
#[must_use]
pub fn is_public(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let is_below =
        |suffix: &&str| name.strip_suffix(*suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    // No top-level domain is a number, so that a name that ends in one is a broken address.
    let is_numeric = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    name.parse::<IpAddr>().is_err()
        && name.rsplit_once('.').is_some_and(|(_, last)| !last.is_empty() && !is_numeric(last))
        && !PRIVATE_SUFFIXES.iter().any(|suffix| is_below(&suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_dns_are_public_and_those_of_a_network_are_not() {
        for public in ["example.com", "a.b.example.co.uk", "*.example.com", "10.0.0.5.sslip.io", "local.dev"]
        {
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
            "a.1",
        ] {
            assert!(!is_public(private), "{private}");
        }
    }
}
