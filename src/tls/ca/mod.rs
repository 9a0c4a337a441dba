//! The local CA: a root made once for this box, and the certificates it signs for the box's hosts.
//!
//! The root is an ECDSA P-256 pair in one directory: `ca.key`, which only the owner can read, and `ca.crt`,
//! which all may. The key is written first and the certificate last, each all at once, under a lock on the
//! directory: a certificate on disk therefore always has its key, whoever was killed when. A key without a
//! certificate has signed nothing and is replaced. Nothing else here ever overwrites a file: a broken pair
//! is an error, since a new CA in its place would silently lose the trust that people gave to the old one.
//!
//! All leaves of a process share one key pair, made at start, never written down. They are all held by this
//! one process, so a pair each would separate nothing, and it would cost a key generation in the first
//! handshake of every host. The secret lasts as long as the process, which is what a leaf is for anyway.
//!
//! Not here: caching and renewing leaves (`resolver`), name constraints, and revocation: a leaf lives for 30
//! days, and a stolen CA key is answered by taking the CA out of the trust stores and making a new one.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use thiserror::Error;
use time::OffsetDateTime;

use super::certificate::{CaCertificate, CertificateError, id_of_public_key};
use super::file;

const CERTIFICATE_FILE: &str = "ca.crt";
const KEY_FILE: &str = "ca.key";
const CERTIFICATE_MODE: u32 = 0o644;
const KEY_MODE: u32 = 0o600;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const CA_LIFETIME: Duration = DAY.saturating_mul(3650);
/// Browsers refuse more than 398 days; Let's Encrypt gives 90. Renewal costs nothing here, so less.
const LEAF_LIFETIME: Duration = DAY.saturating_mul(30);
/// Clients whose clock is behind by this much still accept a certificate made a moment ago. The CA's own
/// start lies further back, so that no leaf is older than its issuer.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);
const CA_BACKDATE: Duration = DAY;

/// X.520 `ub-common-name`. OpenSSL enforces it when it makes certificates, and some clients when reading.
const COMMON_NAME_CHARS_MAX: usize = 64;
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

/// Why the local CA cannot be opened or cannot sign.
#[derive(Debug, Error)]
pub enum CaError {
    /// A file or directory of the CA cannot be read, locked or listed.
    #[error("cannot read `{}` of the local CA", path.display())]
    Read {
        /// What was being read.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file or directory of the CA cannot be made or changed.
    #[error("cannot write `{}` of the local CA", path.display())]
    Write {
        /// What was being written.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The certificate file is not a certificate.
    #[error("`{}` is damaged; {}", path.display(), Remedy(path))]
    DamagedCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
    /// The certificate file is a certificate that cannot be an issuer.
    #[error("`{}` is not a CA certificate; {}", path.display(), Remedy(path))]
    NotAnIssuer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rcgen::Error,
    },
    /// The key file is not a private key. There is no source: a parser's message may quote what it read.
    #[error("`{}` is damaged; {}", path.display(), Remedy(path))]
    DamagedKey {
        /// The file.
        path: PathBuf,
    },
    /// There is a certificate and no key.
    #[error("`{}` is missing and `{CERTIFICATE_FILE}` is there; {}", path.display(), Remedy(path))]
    MissingKey {
        /// Where the key should be.
        path: PathBuf,
    },
    /// The key is not the one that the certificate is about.
    #[error("`{}` is not the key of `{CERTIFICATE_FILE}` beside it; {}", path.display(), Remedy(path))]
    KeyMismatch {
        /// The key file.
        path: PathBuf,
    },
    /// No certificate can be made for such a host.
    #[error("`{host}` cannot be in a certificate; use a DNS name, `*.` and a DNS name, or an IP address")]
    Host {
        /// What was asked for.
        host: String,
    },
    /// Making or signing a certificate failed.
    #[error("cannot make a certificate for `{subject}`")]
    Sign {
        /// The host, or the CA's own name.
        subject: String,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// A new key cannot be made.
    #[error("cannot make a private key")]
    Key(#[source] rcgen::Error),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
}

/// What to do about a broken pair, the same for all ways in which it can be broken.
struct Remedy<'a>(&'a Path);

impl LocalCa {
    /// Opens the CA in `dir`, and makes it there first if there is none; `dir` is made if needed.
    ///
    /// Blocks on the disk, and for as long as another process is making the CA in the same directory. A key
    /// that others than the owner may access is made private again, with a warning in the log.
    ///
    /// # Errors
    ///
    /// If the files cannot be read or written, are damaged, or do not belong together.
    pub fn open_or_create(dir: &Path) -> Result<Self, CaError> {
        if let Some(ca) = Self::open(dir)? {
            return Ok(ca);
        }
        let write = |source| CaError::Write { path: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(write)?;
        // The kernel lets go of the lock when its holder dies, and the holder only makes two keys and two
        // files, so waiting needs no limit.
        let lock = File::open(dir).map_err(write)?;
        lock.lock().map_err(write)?;
        if let Some(ca) = Self::open(dir)? {
            return Ok(ca);
        }
        let ca = Self::create(dir)?;
        tracing::info!(directory = %dir.display(), id = ca.certificate.id(), "local CA made");
        Ok(ca)
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
        let (not_before, not_after) = (now - CLOCK_SKEW, now + LEAF_LIFETIME);
        let mut params = CertificateParams::default();
        params.serial_number = Some(serial()?);
        params.not_before = date(not_before);
        params.not_after = date(not_after);
        params.subject_alt_names = vec![subject_alt_name(host)?];
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "minipaas");
        if host.len() <= COMMON_NAME_CHARS_MAX {
            params.distinguished_name.push(DnType::CommonName, host);
        }
        // Explicitly, since rcgen writes a subject key identifier only beside basic constraints.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let signed = params
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

    /// Opens the pair in `dir`; `None` if there is no certificate, whether or not there is a key.
    fn open(dir: &Path) -> Result<Option<Self>, CaError> {
        let (certificate_path, key_path) = (dir.join(CERTIFICATE_FILE), dir.join(KEY_FILE));
        let Some(certificate) = read(&certificate_path)? else {
            return Ok(None);
        };
        let certificate = CaCertificate::from_pem(&String::from_utf8_lossy(&certificate))
            .map_err(|source| CaError::DamagedCertificate { path: certificate_path.clone(), source })?;
        let Some(key) = read(&key_path)? else {
            return Err(CaError::MissingKey { path: key_path });
        };
        let key = str::from_utf8(&key)
            .ok()
            .and_then(|pem| KeyPair::from_pem(pem).ok())
            .ok_or_else(|| CaError::DamagedKey { path: key_path.clone() })?;
        if id_of_public_key(&key.subject_public_key_info()) != certificate.id() {
            return Err(CaError::KeyMismatch { path: key_path });
        }
        make_private(&key_path)?;
        let issuer = Issuer::from_ca_cert_der(certificate.der(), key)
            .map_err(|source| CaError::NotAnIssuer { path: certificate_path, source })?;
        Self::ready(certificate, issuer).map(Some)
    }

    /// Makes a new pair and writes it; the directory's lock is held.
    fn create(dir: &Path) -> Result<Self, CaError> {
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
        params.not_before = date(now - CA_BACKDATE);
        params.not_after = date(now + CA_LIFETIME);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "minipaas");
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let signed =
            params.self_signed(&key).map_err(|source| CaError::Sign { subject: name.clone(), source })?;

        let write = |file: &str, mode, contents: &str| {
            let path = dir.join(file);
            file::replace(&path, mode, contents.as_bytes()).map_err(|source| CaError::Write { path, source })
        };
        write(KEY_FILE, KEY_MODE, &key.serialize_pem())?;
        write(CERTIFICATE_FILE, CERTIFICATE_MODE, &signed.pem())?;
        let certificate = CaCertificate::from_pem(&signed.pem()).expect("rcgen writes one valid certificate");
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

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dir = self.0.parent().unwrap_or(Path::new(".")).display();
        write!(
            f,
            "restore it from a backup, or remove `{CERTIFICATE_FILE}` and `{KEY_FILE}` in `{dir}` for a new CA \
             and run `minipaas trust` again"
        )
    }
}

/// The file's contents; `None` if there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, CaError> {
    match fs::read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CaError::Read { path: path.to_owned(), source }),
    }
}

/// Takes the key away from everybody but its owner, if a copy or a restore has left it open.
fn make_private(path: &Path) -> Result<(), CaError> {
    let metadata = fs::metadata(path).map_err(|source| CaError::Read { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(KEY_MODE))
            .map_err(|source| CaError::Write { path: path.to_owned(), source })?;
        tracing::warn!(
            path = %path.display(),
            was = format!("{mode:o}"),
            "the local CA's key was accessible to others; now only to its owner"
        );
    }
    Ok(())
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
