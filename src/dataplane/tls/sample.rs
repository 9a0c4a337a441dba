//! Certificates for the tests here: an authority of two levels, and what it issues.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::chain::{Chain, KeyKind};

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Keys as OpenSSL writes them.
pub(super) const RSA_PKCS1: &str = include_str!("../../../tests/fixtures/tls/rsa.pkcs1.pem");
pub(super) const RSA_PKCS8: &str = include_str!("../../../tests/fixtures/tls/rsa.pkcs8.pem");
pub(super) const EC_SEC1: &str = include_str!("../../../tests/fixtures/tls/ec.sec1.pem");
pub(super) const EC_PKCS8: &str = include_str!("../../../tests/fixtures/tls/ec.pkcs8.pem");
pub(super) const EC_ENCRYPTED: &str = include_str!("../../../tests/fixtures/tls/ec.encrypted.pem");
pub(super) const ED25519_PKCS8: &str = include_str!("../../../tests/fixtures/tls/ed25519.pkcs8.pem");

/// A root and an authority below it, which issues.
pub(super) struct Authority {
    pub(super) root: String,
    pub(super) intermediate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that is to be issued.
pub(super) struct Request<'a> {
    authority: &'a Authority,
    names: Vec<String>,
    days: (i64, i64),
    key: String,
}

/// A leaf with its key.
pub(super) struct Issued {
    pub(super) leaf: String,
    pub(super) key: String,
    intermediate: String,
}

// === impl Authority ===

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        Self::valid_for(name, (-100, 1000))
    }

    /// Whose certificates are valid between these days from today.
    pub(super) fn valid_for(name: &str, days: (i64, i64)) -> Self {
        let (root_params, root_key) =
            (authority(&format!("{name} Root"), days), KeyPair::generate().unwrap());
        let root = root_params.self_signed(&root_key).unwrap().pem();
        let root_issuer = Issuer::new(root_params, root_key);
        let (params, key) = (authority(name, days), KeyPair::generate().unwrap());
        let intermediate = params.signed_by(&key, &root_issuer).unwrap().pem();
        Self { root, intermediate, issuer: Issuer::new(params, key) }
    }

    pub(super) fn root_der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.root.as_bytes()).unwrap()
    }

    /// For these hosts; valid from yesterday for 60 days, with the ECDSA key of [`EC_PKCS8`], if nothing else is said.
    pub(super) fn request(&self, names: &[&str]) -> Request<'_> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Request { authority: self, names, days: (-1, 60), key: EC_PKCS8.to_owned() }
    }

    pub(super) fn issue(&self, names: &[&str]) -> Issued {
        self.request(names).issue()
    }
}

// === impl Request ===

impl Request<'_> {
    /// Valid between these days from today.
    pub(super) fn days(mut self, from: i64, to: i64) -> Self {
        self.days = (from, to);
        self
    }

    /// With this key, as PEM.
    pub(super) fn key(mut self, key: &str) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    pub(super) fn kind(self, kind: KeyKind) -> Self {
        let key = match kind {
            KeyKind::Ecdsa => EC_PKCS8,
            KeyKind::Rsa => RSA_PKCS8,
            KeyKind::Ed25519 => ED25519_PKCS8,
        };
        self.key(key)
    }

    pub(super) fn issue(self) -> Issued {
        let mut params = CertificateParams::new(self.names).unwrap();
        (params.not_before, params.not_after) = (day(self.days.0).into(), day(self.days.1).into());
        params.distinguished_name = rcgen::DistinguishedName::new();
        let key = KeyPair::from_pem(&self.key).unwrap();
        let leaf = params.signed_by(&key, &self.authority.issuer).unwrap().pem();
        Issued { leaf, key: self.key, intermediate: self.authority.intermediate.clone() }
    }
}

// === impl Issued ===

impl Issued {
    /// The leaf and the authority below the root.
    pub(super) fn pem(&self) -> String {
        format!("{}{}", self.leaf, self.intermediate)
    }

    pub(super) fn chain(&self) -> Chain {
        Chain::from_pem(&self.pem(), &self.key).unwrap()
    }
}

/// This many days from today, in whole days: certificates know no fractions of a second.
pub(super) fn day(days: i64) -> SystemTime {
    let today = crate::clock::now() / 1000 / DAY.as_secs();
    SystemTime::UNIX_EPOCH + DAY * u32::try_from(i64::try_from(today).unwrap() + days).unwrap()
}

fn authority(name: &str, days: (i64, i64)) -> CertificateParams {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (day(days.0).into(), day(days.1).into());
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Sample Trust");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}
