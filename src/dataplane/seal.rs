//! The box's key, and what is sealed with it: what would be worth stealing from a copy of the state.
//!
//! One key of 256 bits lies beside the state, not in it, readable by its owner alone; so a copied or backed-up `store/` or
//! `certs/` says nothing without it. A sealed value is XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): a random nonce of 24
//! bytes, which needs no counter to be kept, then the ciphertext and its tag of 16. What the value is for is authenticated
//! with it, so that no value can be put in another's place.
//!
//! It does not say where sealed values are kept, and cannot help against somebody who reads the key.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::file;

/// Of the key, as XChaCha20 has it.
const KEY_BYTES: usize = 32;
/// Before the ciphertext.
const NONCE_BYTES: usize = 24;

/// What seals and opens. Cheap to clone; its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct BoxKey(XChaCha20Poly1305);

/// Why there is no key, or a sealed value stays closed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key's file cannot be read or made.
    #[error("cannot {action} the box's key `{}`", path.display())]
    File {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The file is there and is no key.
    #[error("`{}` is damaged: a key has {KEY_BYTES} bytes; restore it from a backup, or remove it and what it had sealed", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// There is no key, and what it has sealed is there.
    #[error("`{}` is missing, and `{}` is sealed with it; restore it from a backup, or remove both `ca` and `certs` beside it: the box begins with a new CA and without certificates", path.display(), sealed.display())]
    Missing {
        /// The key's file.
        path: PathBuf,
        /// What does not open without it.
        sealed: PathBuf,
    },
    /// Sealed by another key or for something else, or changed since.
    #[error("{what} cannot be opened with this box's key; restore the `box.key` that belongs to this state")]
    Closed {
        /// What the value is for.
        what: String,
    },
}

// === impl BoxKey ===

impl BoxKey {
    /// The key in this file, made first where there is none; the directory must be there, and the caller alone in it.
    ///
    /// A key that others may read is made private again, with a warning in the log.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or made, or is no key.
    pub fn open_or_create(path: &Path) -> Result<Self, SealError> {
        let failed = |action| move |source| SealError::File { action, path: path.to_owned(), source };
        match fs::read(path) {
            Ok(bytes) => {
                let bytes = Zeroizing::new(bytes);
                let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice());
                let key = Zeroizing::new(key.map_err(|_| SealError::Damaged { path: path.to_owned() })?);
                file::make_private(path).map_err(failed("restrict"))?;
                Ok(Self::new(&key))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Zeroizing::new(crate::random::bytes::<KEY_BYTES>());
                // All or nothing: a key that was half written would be taken for a damaged one.
                file::replace(path, file::PRIVATE_MODE, key.as_slice()).map_err(failed("make"))?;
                Ok(Self::new(&key))
            }
            Err(source) => Err(failed("read")(source)),
        }
    }

    /// The key of these bytes.
    #[must_use]
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Seals `plain`. `what` says what it is, as in `certificate 1f2e`; it is not part of the result, and opening needs it again.
    #[must_use]
    pub fn seal(&self, what: &str, plain: &[u8]) -> Vec<u8> {
        let nonce = crate::random::bytes::<NONCE_BYTES>();
        let payload = Payload { msg: plain, aad: what.as_bytes() };
        let sealed = self.0.encrypt(XNonce::from_slice(&nonce), payload);
        [&nonce[..], &sealed.expect("only more than 256 GiB are too long")].concat()
    }

    /// What was sealed under the same `what`.
    ///
    /// # Errors
    ///
    /// [`SealError::Closed`] for anything else.
    pub fn open(&self, what: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let closed = || SealError::Closed { what: what.to_owned() };
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(closed)?;
        let payload = Payload { msg: sealed, aad: what.as_bytes() };
        self.0.decrypt(XNonce::from_slice(nonce), payload).map(Zeroizing::new).map_err(|_| closed())
    }
}

impl fmt::Debug for BoxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxKey")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_was_sealed_opens_as_what_it_was_with_the_same_key() {
        let key = BoxKey::new(&[1; KEY_BYTES]);
        let sealed = key.seal("password of bob", b"secret");
        assert_eq!(*key.open("password of bob", &sealed).unwrap(), b"secret");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_ne!(key.seal("password of bob", b"secret"), sealed);

        let closed =
            |key: &BoxKey, what: &str, sealed: &[u8]| key.open(what, sealed).unwrap_err().to_string();
        let message = "password of eve cannot be opened with this box's key; restore the `box.key` that belongs to this state";
        assert_eq!(closed(&key, "password of eve", &sealed), message);
        assert!(key.open("password of bob", &sealed[..NONCE_BYTES - 1]).is_err());
        assert!(BoxKey::new(&[2; KEY_BYTES]).open("password of bob", &sealed).is_err());
        let mut changed = sealed;
        *changed.last_mut().unwrap() ^= 1;
        assert!(key.open("password of bob", &changed).is_err());
    }

    #[test]
    fn the_file_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("box.key");
        let sealed = BoxKey::open_or_create(&path).unwrap().seal("x", b"secret");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), file::PRIVATE_MODE);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(*BoxKey::open_or_create(&path).unwrap().open("x", &sealed).unwrap(), b"secret");
        assert_eq!(mode(), file::PRIVATE_MODE);

        fs::write(&path, "short").unwrap();
        let error = BoxKey::open_or_create(&path).unwrap_err().to_string();
        assert!(error.ends_with("is damaged: a key has 32 bytes; restore it from a backup, or remove it and what it had sealed"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }
}
