//! Name constraints (RFC 5280, 4.2.1.10): what a CA may sign for, as its certificate says and as clients enforce.
//!
//! Whoever trusts a box lets it vouch for names. With these constraints it can vouch for private names and addresses
//! ([`super::private`]), for the box's own domain, and for the addresses that the machine has when the CA is made; a
//! certificate for somebody's bank is refused, even if the CA's key is stolen. OpenSSL, NSS, Chromium, Go and rustls hold a
//! root to its constraints; Java ignores them there. A CA made by an earlier version has none, and may sign for anything.
//!
//! The list is part of the certificate, so it is never changed: another one is another CA.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::private;
use crate::name::{PRIVATE_SUFFIXES, is_below};

/// Services whose subdomains are anybody's, each being the address that it contains.
const ADDRESS_DOMAINS: [&str; 5] = ["nip.io", "sslip.io", "xip.io", "traefik.me", "localtest.me"];
/// Second labels below which countries register names for anybody, as in `co.uk`.
const SECOND_LABELS: [&str; 10] = ["ac", "co", "com", "edu", "gob", "gov", "mil", "net", "or", "org"];
/// Of the machine's own. More belong to a machine that routes for others, and every client reads them in every handshake.
const ADDRESSES_MAX: usize = 64;

/// The names and addresses that a CA may sign for. Its `Display` is a list for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraints {
    /// With all that is below them.
    names: Vec<String>,
    networks: Vec<IpNet>,
}

impl Constraints {
    /// Those of a new CA of a box with these domains and these addresses of its machine. A domain that is everybody's is left out.
    pub(super) fn of_box(domains: &[&str], addresses: &[IpAddr]) -> Self {
        let mut names: Vec<String> = PRIVATE_SUFFIXES.map(str::to_owned).into();
        let mut networks: Vec<IpNet> = private::networks().collect();
        let is_covered =
            |networks: &[IpNet], addr: &IpAddr| networks.iter().any(|network| network.contains(addr));
        let mut own = Vec::new();
        for domain in domains {
            match domain.parse::<IpAddr>() {
                Ok(addr) => own.push(addr),
                Err(_) if is_everybodys(domain) => {}
                Err(_) if names.iter().any(|name| is_below(domain, name)) => {}
                Err(_) => names.push((*domain).to_owned()),
            }
        }
        own.extend(addresses.iter().take(ADDRESSES_MAX));
        for addr in own {
            if !is_covered(&networks, &addr) && !addr.is_unspecified() && !addr.is_multicast() {
                networks.push(addr.into());
            }
        }
        Self { names, networks }
    }

    /// Those in a certificate; `None` if it has none or cannot be read.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let extension = certificate.name_constraints().ok()??;
        let mut constraints = Self { names: Vec::new(), networks: Vec::new() };
        for subtree in extension.value.permitted_subtrees.iter().flatten() {
            match subtree.base {
                GeneralName::DNSName(name) => constraints.names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => constraints.networks.extend(network(bytes)),
                _ => {}
            }
        }
        Some(constraints)
    }

    /// Names that are permitted with all that is below them.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Networks whose addresses are permitted.
    pub(super) fn networks(&self) -> &[IpNet] {
        &self.networks
    }

    /// Whether clients accept a certificate for this host: a DNS name in lower case, `*.` and one, or an address.
    #[must_use]
    pub fn permits(&self, host: &str) -> bool {
        // A kind that is not mentioned is not constrained.
        match host.parse::<IpAddr>() {
            Ok(addr) => {
                self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&addr))
            }
            Err(_) => {
                let name = host.strip_prefix("*.").unwrap_or(host);
                self.names.is_empty() || self.names.iter().any(|permitted| is_below(name, permitted))
            }
        }
    }
}

impl fmt::Display for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others: Vec<String> =
            self.names.iter().filter(|name| !PRIVATE_SUFFIXES.contains(&name.as_str())).cloned().collect();
        let private: Vec<IpNet> = private::networks().collect();
        let addresses = self.networks.iter().filter(|network| !private.contains(network)).map(|network| {
            if network.prefix_len() == network.max_prefix_len() {
                network.addr().to_string()
            } else {
                network.to_string()
            }
        });
        f.write_str("private names and addresses")?;
        others.into_iter().chain(addresses).try_for_each(|other| write!(f, ", {other}"))
    }
}

/// Whether names below this one belong to different people, as far as can be told without the list of all such names.
fn is_everybodys(domain: &str) -> bool {
    if ADDRESS_DOMAINS.contains(&domain) {
        return true;
    }
    match domain.split('.').collect::<Vec<_>>()[..] {
        [_] => true,
        [second, country] => country.len() == 2 && SECOND_LABELS.contains(&second),
        _ => false,
    }
}

/// An address and its mask, as RFC 5280 has them.
fn network(bytes: &[u8]) -> Option<IpNet> {
    let (addr, mask): (IpAddr, IpAddr) = if let Ok(v4) = <[u8; 8]>::try_from(bytes) {
        let [a, b, c, d, mask @ ..] = v4;
        ([a, b, c, d].into(), mask.into())
    } else {
        let v6 = <[u8; 32]>::try_from(bytes).ok()?;
        let (addr, mask) = v6.split_at(16);
        (<[u8; 16]>::try_from(addr).ok()?.into(), <[u8; 16]>::try_from(mask).ok()?.into())
    };
    IpNet::with_netmask(addr, mask).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_may_sign_for_what_is_private_and_for_what_is_its_own() {
        let own = ["10.0.0.7", "198.51.100.7", "2001:db8::7"].map(|addr| addr.parse().unwrap());
        let constraints = Constraints::of_box(&["apps.example.com", "box.localhost"], &own);
        assert_eq!(
            constraints.to_string(),
            "private names and addresses, apps.example.com, 198.51.100.7, 2001:db8::7"
        );
        for host in [
            "localhost",
            "a.localhost",
            "*.a.lan",
            "apps.example.com",
            "*.apps.example.com",
            "10.9.9.9",
            "198.51.100.7",
            "2001:db8::7",
        ] {
            assert!(constraints.permits(host), "{host}");
        }
        for host in
            ["example.com", "badapps.example.com", "localhost.de", "com", "198.51.100.8", "2001:db8::8"]
        {
            assert!(!constraints.permits(host), "{host}");
        }
    }

    #[test]
    fn a_domain_of_everybody_is_nobodys() {
        for domain in ["com", "co.uk", "com.au", "sslip.io"] {
            let constraints = Constraints::of_box(&[domain], &[]);
            assert_eq!(constraints.to_string(), "private names and addresses", "{domain}");
        }
        for domain in ["example.com", "co.example", "192-0-2-1.sslip.io", "mine.co.uk", "192.0.2.1"] {
            assert!(Constraints::of_box(&[domain], &[]).permits(domain), "{domain}");
        }
    }
}
