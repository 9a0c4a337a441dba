//! The local CA: a root made once for this box, and the certificates it signs for the box's hosts.
//!
//! The root is an ECDSA P-256 pair in one directory ([`files`]), its private half sealed with the box's key. Its certificate
//! says for whom it may sign ([`Constraints`]), so that trusting a box is not trusting it with everything; a host beyond that
//! gets a certificate all the same, which clients refuse: it only fills the time until a public CA has signed one.
//!
//! All leaves of a process share one key pair, made at start, never written down. They are all held by this
//! one process, so a pair each would separate nothing, and it would cost a key generation in the first
//! handshake of every host. The secret lasts as long as the process, which is what a leaf is for anyway.
//!
//! Not here: caching and renewing leaves (`resolver`), and revocation: a leaf lives for 30 days, and a stolen CA key is
//! answered by taking the CA out of the trust stores and making a new one.

mod addresses;
mod error;
mod files;
mod leaf;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData as _, SerialNumber,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use time::OffsetDateTime;

use super::certificate::{CaCertificate, id_of_public_key};
use super::constraints::Constraints;
use crate::seal::BoxKey;
use files::Files;

pub use error::CaError;
pub use leaf::Leaf;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LIFETIME: Duration = DAY.saturating_mul(3650);
/// How far a new CA's start lies back.
const BACKDATE: Duration = DAY;

/// Leaves room for the rest of the CA's common name and the id.
const HOSTNAME_CHARS_MAX: usize = 30;
/// Of random, well above the 64 bits that the CA/Browser Forum asks for.
const SERIAL_BYTES: usize = 16;

/// The CA of this box, able to sign. Neither its `Debug` nor any error shows a private key.
pub struct LocalCa {
    certificate: CaCertificate,
    issuer: Issuer<'static, KeyPair>,
    leaf_key: KeyPair,
    leaf_signer: Arc<dyn SigningKey>,
}

impl LocalCa {
    /// Opens the CA in `dir`, and makes it there first if there is none; `dir` is made if needed.
    ///
    /// A new CA may sign for what is private, for `domains` and what is below them, and for the machine's addresses. Of an
    /// old one each domain that it may not sign for is named in the log. A key that an earlier version left unsealed is
    /// sealed, and one that others than the owner may access is made private again, with a warning in the log.
    ///
    /// Blocks on the disk, and for as long as another process has the same directory open.
    ///
    /// # Errors
    ///
    /// If the files cannot be read or written, are damaged, do not belong together, or are sealed with another key.
    pub fn open_or_create(dir: &Path, box_key: &BoxKey, domains: &[&str]) -> Result<Self, CaError> {
        let files = Files::open(dir, box_key)?;
        let ca = match files.read()? {
            Some((certificate, key)) => {
                let issuer = Issuer::from_ca_cert_der(certificate.der(), key)
                    .map_err(|source| CaError::NotAnIssuer { path: files.certificate_path(), source })?;
                Self::ready(certificate, issuer)?
            }
            None => {
                let ca = Self::create(&files, &Constraints::of_box(domains, &addresses::of_machine()))?;
                tracing::info!(directory = %dir.display(), id = ca.certificate.id(), "local CA made");
                ca
            }
        };
        for domain in domains.iter().filter(|domain| !ca.certificate.permits(domain)) {
            tracing::warn!(
                domain,
                directory = %dir.display(),
                "the local CA may not sign for the domain, and browsers will refuse its certificates there; for a new CA \
                 remove `ca.crt` and `ca.key`, start the daemon again, and run `minipaas trust` again"
            );
        }
        Ok(ca)
    }

    /// The file in `dir` that only the box's key opens, if there is a CA already.
    #[must_use]
    pub fn sealed_key(dir: &Path) -> Option<PathBuf> {
        files::sealed_key(dir)
    }

    /// Signs a certificate for `host` that is valid from an hour ago and for 30 days.
    ///
    /// # Errors
    ///
    /// If `host` is not a DNS name, a wildcard of one, or an IP address.
    pub fn leaf(&self, host: &str) -> Result<Leaf, CaError> {
        self.leaf_at(host, SystemTime::now())
    }

    /// As [`leaf`](Self::leaf), at a given time.
    ///
    /// # Errors
    ///
    /// As `leaf`.
    pub fn leaf_at(&self, host: &str, now: SystemTime) -> Result<Leaf, CaError> {
        let (not_before, not_after) = (now - leaf::CLOCK_SKEW, now + leaf::LIFETIME);
        let signed = leaf::params(host, not_before, not_after)?
            .signed_by(&self.leaf_key, &self.issuer)
            .map_err(|source| CaError::Sign { subject: host.to_owned(), source })?;
        let chain = vec![CertificateDer::from(signed)];
        let certified = Arc::new(CertifiedKey::new(chain, Arc::clone(&self.leaf_signer)));
        Ok(Leaf { certified, not_before, not_after })
    }

    /// The CA's own certificate: what clients have to trust.
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// The CA's certificate as PEM text.
    pub fn certificate_pem(&self) -> &str {
        self.certificate.pem()
    }

    /// SHA-256 of the CA's certificate as upper-case hex with colons.
    pub fn fingerprint(&self) -> String {
        self.certificate.fingerprint()
    }

    /// Makes a new pair and writes it.
    fn create(files: &Files<'_>, constraints: &Constraints) -> Result<Self, CaError> {
        let key = KeyPair::generate().map_err(CaError::Key)?;
        let name = format!(
            "minipaas local CA ({}) {}",
            hostname(),
            // Several boxes may have one host name, and trust stores tell CAs apart by this whole name.
            id_of_public_key(&key.subject_public_key_info())
        );
        let now = SystemTime::now();
        let mut params = CertificateParams::default();
        params.serial_number = Some(serial()?);
        params.not_before = date(now - BACKDATE);
        params.not_after = date(now + LIFETIME);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "minipaas");
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(extension(constraints));
        let signed =
            params.self_signed(&key).map_err(|source| CaError::Sign { subject: name.clone(), source })?;
        let certificate = CaCertificate::from_pem(&signed.pem()).expect("rcgen writes one valid certificate");
        files.write(&certificate, &key)?;
        Self::ready(certificate, Issuer::new(params, key))
    }

    /// The CA with a fresh key for this process's leaves.
    fn ready(certificate: CaCertificate, issuer: Issuer<'static, KeyPair>) -> Result<Self, CaError> {
        let leaf_key = KeyPair::generate().map_err(CaError::Key)?;
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialized_der()));
        let leaf_signer =
            ring::sign::any_ecdsa_type(&der).expect("ring reads the P-256 key that it has just made");
        Ok(Self { certificate, issuer, leaf_key, leaf_signer })
    }
}

impl fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCa").field("id", &self.certificate.id()).finish_non_exhaustive()
    }
}

/// The constraints as rcgen writes them: critical, as RFC 5280 wants it.
fn extension(constraints: &Constraints) -> NameConstraints {
    let names = constraints.names().iter().map(|name| GeneralSubtree::DnsName(name.clone()));
    let networks = constraints.networks().iter().map(|network| {
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(network.network(), network.prefix_len()))
    });
    NameConstraints { permitted_subtrees: names.chain(networks).collect(), excluded_subtrees: Vec::new() }
}

/// A random serial number. Without one rcgen derives it from the key, and leaves that share a key would
/// share the number too, which Firefox refuses (`SEC_ERROR_REUSED_ISSUER_AND_SERIAL`).
fn serial() -> Result<SerialNumber, CaError> {
    let mut bytes = [0; SERIAL_BYTES];
    ring::default_provider().secure_random.fill(&mut bytes).map_err(|_| CaError::Random)?;
    // Positive, and of the same length always.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Whole seconds, which is all that X.509 can say.
fn date(time: SystemTime) -> OffsetDateTime {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The machine's name as far as it fits into a certificate, to be recognised by people.
fn hostname() -> String {
    let name = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' })
        .take(HOSTNAME_CHARS_MAX)
        .collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

#[cfg(test)]
mod tests;
