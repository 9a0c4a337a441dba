//! What certificates say of themselves: names, times, issuer, kind of key.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::{CertificateDer, DnsName};
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519};
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use super::{ChainError, parse};
use crate::plain::plain;

/// Of what a certificate calls somebody; X.520 has 64 for a name, and 64 for an organization.
const NAME_CHARS_MAX: usize = 200;

/// How the key of a certificate signs. Clients say which kinds they can check; the order is that of our preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// On P-256 or P-384.
    Ecdsa,
    /// Of 2048 to 4096 bits.
    Rsa,
    /// Which browsers do not take.
    Ed25519,
}

/// What a chain says, apart from its key.
#[derive(Debug, Clone)]
pub(in crate::tls) struct Facts {
    pub(in crate::tls) names: Vec<String>,
    pub(in crate::tls) issuer: String,
    pub(in crate::tls) serial: String,
    /// SHA-256 of the leaf as upper-case hex with colons.
    pub(in crate::tls) fingerprint: String,
    pub(in crate::tls) key_kind: KeyKind,
    /// Of each certificate, the leaf's first; never empty.
    pub(super) spans: Vec<Span>,
}

/// When one certificate is valid.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) subject: String,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

// === impl KeyKind ===

impl KeyKind {
    /// `ecdsa`, `rsa` or `ed25519`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Ecdsa, Self::Rsa, Self::Ed25519].into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

// === impl Facts ===

impl Facts {
    /// Of a chain with its leaf first.
    ///
    /// # Errors
    ///
    /// When there is no certificate, one cannot be read, or the leaf names no host.
    pub(in crate::tls) fn of(certificates: &[CertificateDer<'static>]) -> Result<Self, ChainError> {
        let parsed = parse(certificates)?;
        let leaf = parsed.first().ok_or(ChainError::NoCertificate)?;
        let names = names(leaf);
        if names.is_empty() {
            return Err(ChainError::NoNames { subject: subject(leaf) });
        }
        let algorithm = &leaf.public_key().algorithm.algorithm;
        let key_kind = [
            (OID_KEY_TYPE_EC_PUBLIC_KEY, KeyKind::Ecdsa),
            (OID_PKCS1_RSAENCRYPTION, KeyKind::Rsa),
            (OID_SIG_ED25519, KeyKind::Ed25519),
        ];
        let key_kind = key_kind.into_iter().find(|(oid, _)| oid == algorithm).map(|(_, kind)| kind);
        let span = |certificate| Span {
            subject: subject(certificate),
            not_before: time(&certificate.validity().not_before),
            not_after: time(&certificate.validity().not_after),
        };
        Ok(Self {
            names,
            issuer: for_people(leaf.issuer()),
            serial: leaf.raw_serial_as_string(),
            fingerprint: fingerprint(&certificates[0]),
            key_kind: key_kind.ok_or(ChainError::KeyUnusable)?,
            spans: parsed.iter().map(span).collect(),
        })
    }

    pub(in crate::tls) fn not_before(&self) -> SystemTime {
        self.spans.iter().map(|span| span.not_before).max().unwrap_or(UNIX_EPOCH)
    }

    pub(in crate::tls) fn not_after(&self) -> SystemTime {
        self.spans.iter().map(|span| span.not_after).min().unwrap_or(UNIX_EPOCH)
    }
}

/// `*.` and what is left of `host` without its first label; `None` for an address, or where nothing would be left.
pub(in crate::tls) fn name_above(host: &str) -> Option<String> {
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let (label, rest) = host.split_once('.')?;
    (!label.is_empty() && label != "*" && !rest.is_empty()).then(|| format!("*.{rest}"))
}

fn fingerprint(der: &CertificateDer<'_>) -> String {
    let pairs: Vec<String> = Sha256::digest(der).iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

/// How people call a certificate: by its first host, else by its own name, else by its number.
pub(super) fn subject(certificate: &X509Certificate<'_>) -> String {
    let name = names(certificate).into_iter().next().unwrap_or_else(|| for_people(certificate.subject()));
    if name.is_empty() { format!("serial {}", certificate.raw_serial_as_string()) } else { name }
}

/// `R10 (Let's Encrypt)`: what it is called, and whose it is.
pub(super) fn for_people(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().find_map(|attribute| attribute.as_str().ok());
    let organization = name.iter_organization().find_map(|attribute| attribute.as_str().ok());
    let text = match (common, organization) {
        (Some(common), Some(organization)) => format!("{common} ({organization})"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => name.to_string(),
    };
    plain(&text, NAME_CHARS_MAX)
}

/// Those that a handshake can ask for. Names in the subject alone count for no client any more.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let mut names = Vec::new();
    for name in &extension.value.general_names {
        let name = match name {
            GeneralName::DNSName(name) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                let is_host = DnsName::try_from(name.strip_prefix("*.").unwrap_or(&name)).is_ok();
                is_host.then_some(name)
            }
            GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
            _ => None,
        };
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)))).ok()
}

fn time(time: &ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}
