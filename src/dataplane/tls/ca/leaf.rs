//! A certificate for one host: what is in it, and for how long it holds.
//!
//! The common name is the host's where it is a name that fits. An address has none: OpenSSL would hold it against the CA's
//! permitted names, as if it were one, and refuse it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
};
use rustls::pki_types::DnsName;
use rustls::sign::CertifiedKey;

use super::{CaError, DAY, date, serial};

/// Browsers refuse more than 398 days; Let's Encrypt gives 90. Renewal costs nothing here, so less.
pub(super) const LIFETIME: Duration = DAY.saturating_mul(30);
/// Clients whose clock is behind by this much still accept a certificate made a moment ago. The CA's own
/// start lies further back, so that no leaf is older than its issuer.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// X.520 `ub-common-name`. OpenSSL enforces it when it makes certificates, and some clients when reading.
const COMMON_NAME_CHARS_MAX: usize = 64;

/// A certificate for one host together with the key that goes with it, ready for rustls.
#[derive(Clone)]
pub struct Leaf {
    /// The chain (the leaf alone: clients have the root, or nothing helps them) and its key.
    pub certified: Arc<CertifiedKey>,
    /// Valid from here: an hour before it was made.
    pub not_before: SystemTime,
    /// Valid until here: 30 days after it was made.
    pub not_after: SystemTime,
}

impl Leaf {
    /// True while more than a third of its life is left, and the clock has not gone back behind its start.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        let lifetime = self.not_after.duration_since(self.not_before).unwrap_or_default();
        let left = self.not_after.duration_since(now).unwrap_or_default();
        now >= self.not_before && left > lifetime / 3
    }

    /// True while clients with the right time accept it.
    pub fn is_valid(&self, now: SystemTime) -> bool {
        (self.not_before..self.not_after).contains(&now)
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf")
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// What is to be signed for a host, valid between the two times.
pub(super) fn params(
    host: &str,
    not_before: SystemTime,
    not_after: SystemTime,
) -> Result<CertificateParams, CaError> {
    let name = subject_alt_name(host)?;
    let mut params = CertificateParams::default();
    params.serial_number = Some(serial()?);
    params.not_before = date(not_before);
    params.not_after = date(not_after);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "minipaas");
    if matches!(name, SanType::DnsName(_)) && host.len() <= COMMON_NAME_CHARS_MAX {
        params.distinguished_name.push(DnType::CommonName, host);
    }
    params.subject_alt_names = vec![name];
    // Explicitly, since rcgen writes a subject key identifier only beside basic constraints.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn subject_alt_name(host: &str) -> Result<SanType, CaError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let invalid = || CaError::Host { host: host.to_owned() };
    let name = host.strip_prefix("*.").unwrap_or(host);
    // A trailing dot is fine in a DNS lookup, and never matches in a certificate.
    if name.ends_with('.') || DnsName::try_from(name).is_err() {
        return Err(invalid());
    }
    Ia5String::try_from(host).map(SanType::DnsName).map_err(|_| invalid())
}
