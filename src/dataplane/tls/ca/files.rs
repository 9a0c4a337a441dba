//! The two files of the CA: `ca.key`, sealed with the box's key, and `ca.crt`, which all may read.
//!
//! Whoever has the directory open holds its lock, so that one CA is made, however many come at once. The key is written first
//! and the certificate last, each all at once: a certificate on disk therefore always has its key, whoever was killed when. A
//! key without a certificate has signed nothing and is replaced. Nothing else here ever overwrites a file: a broken pair is an
//! error, since a new CA in its place would silently lose the trust that people gave to the old one.
//!
//! Earlier versions kept the key as plain PEM. Such a key is sealed when it is read, by the same replacement of the whole file:
//! there is the plain key or the sealed one at every moment, and never both or none.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{KeyPair, PublicKeyData as _};
use zeroize::Zeroizing;

use super::CaError;
use crate::file;
use crate::seal::BoxKey;
use crate::tls::certificate::{CaCertificate, id_of_public_key};

pub(super) const CERTIFICATE_FILE: &str = "ca.crt";
pub(super) const KEY_FILE: &str = "ca.key";
const CERTIFICATE_MODE: u32 = 0o644;

/// What a sealed key begins with; what follows is for [`BoxKey::open`]. No PEM text does.
const SEALED: &[u8] = b"minipaas sealed key 1\n";
/// What the key is sealed as.
const KEY_NAME: &str = "the key of the local CA";

/// The directory of a CA, locked. Dropping it lets the next one in.
pub(super) struct Files<'a> {
    dir: &'a Path,
    box_key: &'a BoxKey,
    _lock: File,
}

impl<'a> Files<'a> {
    /// Opens the directory, which is made if needed, and waits for its lock.
    pub(super) fn open(dir: &'a Path, box_key: &'a BoxKey) -> Result<Self, CaError> {
        let write = |source| CaError::Write { path: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(write)?;
        let lock = File::open(dir).map_err(write)?;
        // The kernel lets go of the lock when its holder dies, and the holder only makes two keys and two files, so waiting
        // needs no limit.
        lock.lock().map_err(write)?;
        Ok(Self { dir, box_key, _lock: lock })
    }

    /// Where the certificate is.
    pub(super) fn certificate_path(&self) -> PathBuf {
        self.dir.join(CERTIFICATE_FILE)
    }

    /// The pair; `None` if there is no certificate, whether or not there is a key.
    pub(super) fn read(&self) -> Result<Option<(CaCertificate, KeyPair)>, CaError> {
        let (certificate_path, key_path) = (self.certificate_path(), self.dir.join(KEY_FILE));
        let Some(certificate) = read(&certificate_path)? else {
            return Ok(None);
        };
        let certificate = CaCertificate::from_pem(&String::from_utf8_lossy(&certificate))
            .map_err(|source| CaError::DamagedCertificate { path: certificate_path, source })?;
        let Some(contents) = read(&key_path)?.map(Zeroizing::new) else {
            return Err(CaError::MissingKey { path: key_path });
        };
        let (pem, is_sealed) = match contents.strip_prefix(SEALED) {
            Some(sealed) => {
                let opened = self.box_key.open(KEY_NAME, sealed);
                (opened.map_err(|source| CaError::Sealed { path: key_path.clone(), source })?, true)
            }
            None => (contents, false),
        };
        let key = str::from_utf8(&pem)
            .ok()
            .and_then(|pem| KeyPair::from_pem(pem).ok())
            .ok_or_else(|| CaError::DamagedKey { path: key_path.clone() })?;
        if id_of_public_key(&key.subject_public_key_info()) != certificate.id() {
            return Err(CaError::KeyMismatch { path: key_path });
        }
        if is_sealed {
            file::make_private(&key_path).map_err(|source| CaError::Write { path: key_path, source })?;
        } else {
            self.write_key(&key)?;
            tracing::info!(path = %key_path.display(), "the local CA's key is now sealed with the box's key");
        }
        Ok(Some((certificate, key)))
    }

    /// Writes a new pair.
    pub(super) fn write(&self, certificate: &CaCertificate, key: &KeyPair) -> Result<(), CaError> {
        self.write_key(key)?;
        let path = self.certificate_path();
        file::replace(&path, CERTIFICATE_MODE, certificate.pem().as_bytes())
            .map_err(|source| CaError::Write { path, source })
    }

    fn write_key(&self, key: &KeyPair) -> Result<(), CaError> {
        let pem = Zeroizing::new(key.serialize_pem());
        let contents = [SEALED, &self.box_key.seal(KEY_NAME, pem.as_bytes())].concat();
        let path = self.dir.join(KEY_FILE);
        file::replace(&path, file::PRIVATE_MODE, &contents).map_err(|source| CaError::Write { path, source })
    }
}

/// The key in `dir`, if there is one that is sealed.
pub(super) fn sealed_key(dir: &Path) -> Option<PathBuf> {
    let path = dir.join(KEY_FILE);
    let is_sealed = fs::read(&path).is_ok_and(|contents| contents.starts_with(SEALED));
    is_sealed.then_some(path)
}

/// The file's contents; `None` if there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, CaError> {
    match fs::read(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CaError::Read { path: path.to_owned(), source }),
    }
}
